//! The processes that a torture starts: the same program again, under a verb that `--help` does not show.
//!
//! [`run`](fn@run) reads the order, the first line of standard input. A [`worker`] runs under the very verb that operators use,
//! with the handler of [`handler`]; a [`producer`] goes on whatever it is told; a [`beat`] enqueues what is due. When standard input closes, or the process that
//! started it is gone, a child goes too.

mod beat;
mod handler;
mod producer;
mod worker;

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::{Broker, StoreUrl};

use super::order::{Order, Role};
use crate::cli::exit::{Exit, Failure};
use crate::cli::store::connect;

/// Plays the part that standard input names.
pub(crate) async fn run() -> Result<(), Failure> {
    die_with_parent();
    let order = Order::read()?;
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        // Nothing is said any more: this ends when the other end closes.
        let _ = std::io::stdin().read_to_end(&mut rest);
        std::process::exit(i32::from(Exit::Failed as u8));
    });
    match order.role {
        Role::Work => worker::run(order).await,
        Role::Produce { rate } => producer::run(order, rate).await,
        Role::Beat => beat::run(order).await,
    }
}

/// Connects, however long that takes.
async fn reach(url: &StoreUrl) -> Arc<dyn Broker> {
    loop {
        match connect(url).await {
            Ok(broker) => return broker,
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// A child that is stopped notices nothing at standard input; the kernel ends it all the same.
fn die_with_parent() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)) {
        tracing::debug!(%error, "a stopped child may outlive the torture");
    }
}

/// A file of the torture could not be opened or written.
fn broken(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot write down what happens: {error}"))
}
