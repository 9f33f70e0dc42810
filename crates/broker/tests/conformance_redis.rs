//! Redis passes the suite.

use std::sync::Arc;

use celeriac_broker::StoreClock;
use celeriac_broker::conformance::Fixture;
use celeriac_broker::redis::RedisBroker;
use celeriac_core::Timestamp;
use celeriac_testkit::shared_redis;

async fn make_store() -> Fixture {
    let clock = StoreClock::manual(Timestamp::from_millis(1_764_000_000_000));
    let connect = async |clock: &StoreClock| {
        let url = shared_redis().await;
        Arc::new(RedisBroker::connect(&url, clock.clone()).await.expect("the server answers"))
    };
    let (broker, stranger) = (connect(&clock).await, connect(&clock).await);
    Fixture { broker, stranger, clock, guard: Box::new(()) }
}

celeriac_broker::conformance_suite!(make_store);
