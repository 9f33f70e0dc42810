//! Workflows in Redis.

use super::store::RedisBroker;
use crate::workflows::Workflows;

impl Workflows for RedisBroker {}
