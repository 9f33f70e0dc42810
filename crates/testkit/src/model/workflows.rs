//! Workflows of the model.

use celeriac_broker::Workflows;

use super::broker::ModelBroker;

impl Workflows for ModelBroker {}
