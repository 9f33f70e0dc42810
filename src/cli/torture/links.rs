//! A link of its own for each process, that can be disturbed without the others noticing.

#[cfg(feature = "redis")]
use std::time::Duration;

use celeriac_broker::StoreUrl;

use super::arena::Arena;
use super::settings::Settings;
use crate::cli::exit::Failure;

#[cfg(feature = "redis")]
pub(super) use proxied::Links;

#[cfg(not(feature = "redis"))]
pub(super) use straight::Links;

/// Links through a proxy each.
#[cfg(feature = "redis")]
mod proxied {
    use std::sync::Arc;

    use celeriac_fault_proxy::{FaultProxy, Plan};
    use tokio::task::JoinHandle;

    use super::{Arena, Duration, Failure, Settings, StoreUrl};
    use crate::cli::exit::Exit;

    /// The links, one for each slot; none to a store that is a file.
    pub(in crate::cli::torture) struct Links {
        links: Vec<Link>,
        longest: Duration,
    }

    struct Link {
        proxy: Arc<FaultProxy>,
        /// What disturbs it now.
        disturbance: Option<JoinHandle<()>>,
    }

    impl Links {
        /// Opens a link for each of `count` slots.
        pub(in crate::cli::torture) async fn open(
            arena: &Arena,
            settings: &Settings,
            count: usize,
        ) -> Result<Self, Failure> {
            let mut links = Vec::new();
            if let Some(redis) = &arena.redis {
                for _ in 0..count {
                    let proxy = FaultProxy::start(redis.port()).await;
                    let proxy = proxy.map_err(|error| Failure::new(Exit::Failed, format!("no proxy: {error}")))?;
                    links.push(Link { proxy: Arc::new(proxy), disturbance: None });
                }
            }
            Ok(Self { links, longest: settings.lease * 2 })
        }

        /// The store as the process in this slot reaches it.
        pub(in crate::cli::torture) fn url(&self, arena: &Arena, place: usize) -> Result<StoreUrl, Failure> {
            arena.url_through(self.links.get(place).map(|link| link.proxy.port()))
        }

        /// Lets a link do what links do, one thing after the other, until it is mended.
        pub(in crate::cli::torture) fn disturb(&mut self, place: usize, seed: u64) {
            let longest = self.longest;
            let Some(link) = self.links.get_mut(place) else { return };
            let plan = Plan::from_seed(seed).lasting(Duration::from_millis(50)..=longest);
            let proxy = Arc::clone(&link.proxy);
            link.disturbance = Some(tokio::spawn(async move { proxy.run_plan(&plan).await }));
        }

        /// Lets it do what it should.
        pub(in crate::cli::torture) async fn mend(&mut self, place: usize) {
            let Some(link) = self.links.get_mut(place) else { return };
            if let Some(disturbance) = link.disturbance.take() {
                disturbance.abort();
                // Whatever it had begun is taken back when it is dropped, and that must be before the healing.
                let _ = disturbance.await;
            }
            link.proxy.heal();
        }
    }
}

/// A build without Redis has no links.
#[cfg(not(feature = "redis"))]
mod straight {
    use super::{Arena, Failure, Settings, StoreUrl};

    pub(in crate::cli::torture) struct Links;

    impl Links {
        pub(in crate::cli::torture) async fn open(_: &Arena, _: &Settings, _: usize) -> Result<Self, Failure> {
            Ok(Self)
        }

        pub(in crate::cli::torture) fn url(&self, arena: &Arena, _: usize) -> Result<StoreUrl, Failure> {
            arena.url()
        }

        pub(in crate::cli::torture) fn disturb(&mut self, _: usize, _: u64) {}

        pub(in crate::cli::torture) async fn mend(&mut self, _: usize) {}
    }
}
