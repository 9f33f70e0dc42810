//! The SQLite store passes the suite.
#![cfg(feature = "sqlite")]

use std::sync::Arc;

use celeriac_broker::conformance::Fixture;
use celeriac_broker::sqlite::SqliteBroker;
use celeriac_broker::{StoreClock, StoreUrl};
use celeriac_core::Timestamp;
use celeriac_testkit::temp_sqlite;

async fn make_store() -> Fixture {
    let clock = StoreClock::manual(Timestamp::from_millis(1_764_000_000_000));
    let (directory, url) = temp_sqlite();
    let other: StoreUrl = format!("{url}?prefix=stranger").parse().expect("a valid address");
    let broker = Arc::new(SqliteBroker::open(&url, clock.clone()).await.expect("a new file can be opened"));
    let stranger = Arc::new(SqliteBroker::open(&other, clock.clone()).await.expect("a new file can be opened"));
    Fixture { broker, stranger, clock, guard: Box::new(directory) }
}

celeriac_broker::conformance_suite!(make_store);
