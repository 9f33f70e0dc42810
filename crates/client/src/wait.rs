//! Waits for an end that the store tells, and notices if none will ever be told.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use celeriac_broker::{Broker, BrokerError};
use celeriac_core::{JobId, Outcome};

/// How long a wait goes on before it first looks whether there is anything to wait for. Most jobs have ended by then.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// The longest pause between two such looks.
const RARE_LOOK: Duration = Duration::from_secs(600);

/// The end that is kept under this id, as soon as it is there; `None` if what should end is not open and no end of it is kept.
pub(crate) async fn outcome<F>(
    broker: &dyn Broker,
    id: &JobId,
    is_open: impl Fn() -> F,
) -> Result<Option<Outcome>, BrokerError>
where
    F: Future<Output = Result<bool, BrokerError>>,
{
    let mut wait = pin!(broker.wait_result(id));
    let mut pause = FIRST_LOOK;
    loop {
        if let Ok(outcome) = tokio::time::timeout(pause, &mut wait).await {
            return outcome.map(Some);
        }
        let looked = async {
            if is_open().await? {
                return Ok(None);
            }
            // It may have ended between the store's look for the job and its look for the end.
            Ok(Some(broker.result(id).await?))
        };
        match looked.await {
            Ok(Some(outcome)) => return Ok(outcome),
            Err(error @ BrokerError::Corrupt { .. }) => return Err(error),
            // The wait itself mends connections; the next look may succeed.
            Ok(None) | Err(_) => pause = (pause * 2).min(RARE_LOOK),
        }
    }
}
