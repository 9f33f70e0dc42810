//! Takes events of workflows and does what is to be done.

use std::sync::Arc;

use celeriac_broker::{Broker, BrokerError};

use crate::plans::Plans;

/// Carries workflows on: what a worker has, to do what a store cannot do without the plan.
#[derive(Debug)]
pub struct Conductor {
    broker: Arc<dyn Broker>,
    plans: Arc<Plans>,
}

impl Conductor {
    /// One for this store.
    #[must_use]
    pub fn new(broker: Arc<dyn Broker>) -> Self {
        Self { broker, plans: Arc::default() }
    }

    /// The plans it has loaded, for whoever else needs them.
    #[must_use]
    pub fn plans(&self) -> &Arc<Plans> {
        &self.plans
    }

    /// Takes at most `max` events and handles them. Answers how many it took; 0 says that there is nothing to do now.
    ///
    /// An event that could not be handled is taken again, by anybody, when its lease has ended.
    ///
    /// # Errors
    /// What the store says when it is asked for events.
    pub async fn conduct(&self, max: usize) -> Result<usize, BrokerError> {
        let _ = (max, &self.broker);
        Err(BrokerError::Invalid("not yet".to_owned()))
    }
}
