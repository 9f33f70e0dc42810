//! The child that enqueues what is due, until it is told to end.

use celeriac_beat::Beat;
use celeriac_broker::StoreUrl;
use tokio::signal::unix::{SignalKind, signal};

use super::reach;
use crate::cli::exit::{Exit, Failure, chain};
use crate::cli::torture::order::Order;

pub(super) async fn run(order: Order) -> Result<(), Failure> {
    let mut ended =
        signal(SignalKind::terminate()).map_err(|error| Failure::new(Exit::Failed, format!("no signals: {error}")))?;
    let url: StoreUrl = order.store.parse().map_err(|error| Failure::usage(format!("the store: {error}")))?;
    let beating = async {
        let beat = Beat::builder(reach(&url).await).build();
        let beat = beat.map_err(|error| Failure::new(Exit::Failed, chain(&error)))?;
        beat.run().await.map_err(|error| Failure::new(Exit::Failed, chain(&error)))
    };
    tokio::select! {
        beaten = beating => beaten.map(|_| ()),
        _ = ended.recv() => Ok(()),
    }
}
