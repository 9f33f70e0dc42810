//! The Redis store passes the suite, against a real server that the tests of this file share under random prefixes.
#![cfg(feature = "redis")]

use std::sync::Arc;

use celeriac_broker::StoreClock;
use celeriac_broker::conformance::Fixture;
use celeriac_broker::redis::RedisBroker;
use celeriac_core::Timestamp;
use celeriac_testkit::shared_redis;

async fn make_store() -> Fixture {
    let clock = StoreClock::manual(Timestamp::from_millis(1_764_000_000_000));
    let broker =
        Arc::new(RedisBroker::connect(&shared_redis().await, clock.clone()).await.expect("the server answers"));
    let stranger =
        Arc::new(RedisBroker::connect(&shared_redis().await, clock.clone()).await.expect("the server answers"));
    Fixture { broker, stranger, clock, guard: Box::new(()) }
}

celeriac_broker::conformance_suite!(make_store);
