//! The sides that are compared: the model first, then every store of this build.

use std::any::Any;
use std::sync::Arc;

use celeriac_broker::StoreClock;
use celeriac_testkit::ModelBroker;

use crate::side::Side;

/// What must live as long as the sides.
pub(crate) type Guard = Box<dyn Any + Send>;

/// Opens an empty store of each kind.
pub(crate) async fn open(clock: &StoreClock) -> (Vec<Side>, Vec<Guard>) {
    let mut sides = vec![Side::new("model", Arc::new(ModelBroker::new(clock.clone())))];
    let mut guards: Vec<Guard> = Vec::new();
    #[cfg(feature = "sqlite")]
    {
        let (directory, url) = celeriac_testkit::temp_sqlite();
        let store =
            celeriac_broker::sqlite::SqliteBroker::open(&url, clock.clone()).await.expect("a new file can be opened");
        sides.push(Side::new("sqlite", Arc::new(store)));
        guards.push(Box::new(directory));
    }
    #[cfg(feature = "redis")]
    {
        let url = celeriac_testkit::shared_redis().await;
        let store =
            celeriac_broker::redis::RedisBroker::connect(&url, clock.clone()).await.expect("the server answers");
        sides.push(Side::new("redis", Arc::new(store)));
        guards.push(Box::new(()));
    }
    (sides, guards)
}
