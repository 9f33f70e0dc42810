//! The store of a process that goes on until it is told to end: one that is away at the start is waited for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac_broker::{Broker, StoreUrl};

use crate::cli::exit::{Failure, chain};
use crate::cli::signals::Signals;
use crate::cli::store::connect;

/// The pauses between attempts to reach a store that is away at the start.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often a process says that it still waits for its store.
const SPEAK_EVERY: Duration = Duration::from_secs(10);

/// Connects, however long that takes; `None` if a signal came first.
pub(crate) async fn reach(url: &StoreUrl, signals: &mut Signals) -> Result<Option<Arc<dyn Broker>>, Failure> {
    let mut pause = FIRST_PAUSE;
    let mut spoke: Option<Instant> = None;
    loop {
        let error = tokio::select! {
            connected = connect(url) => match connected {
                Ok(broker) => return Ok(Some(broker)),
                Err(error) => error,
            },
            () = signals.next() => return Ok(None),
        };
        if !error.is_transient() {
            return Err(Failure::store(&url.to_string(), &error));
        }
        if spoke.is_none_or(|spoke| spoke.elapsed() >= SPEAK_EVERY) {
            spoke = Some(Instant::now());
            tracing::warn!(store = %url, error = %chain(&error), "waiting for the store");
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = signals.next() => return Ok(None),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
