//! The model passes the suite, so the suite asks nothing that the contract does not give.

use std::sync::Arc;

use celeriac_broker::StoreClock;
use celeriac_broker::conformance::Fixture;
use celeriac_core::Timestamp;
use celeriac_testkit::ModelBroker;

async fn make_store() -> Fixture {
    let clock = StoreClock::manual(Timestamp::from_millis(1_764_000_000_000));
    let broker = Arc::new(ModelBroker::new(clock.clone()));
    let stranger = Arc::new(ModelBroker::new(clock.clone()));
    Fixture { broker, stranger, clock, guard: Box::new(()) }
}

celeriac_broker::conformance_suite!(make_store);
