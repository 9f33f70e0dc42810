//! Workflows: a row each, a row for each node that has ended or whose job waits, and a row for each event.

use super::broker::SqliteBroker;
use crate::workflows::Workflows;

impl Workflows for SqliteBroker {}
