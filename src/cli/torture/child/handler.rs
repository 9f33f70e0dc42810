//! The handler of every job: it writes down that it runs, does what the job says, and writes down how that ended.

use std::sync::Arc;
use std::time::Duration;

use celeriac_core::TaskError;
use celeriac_worker::{Context, State};

use crate::cli::torture::events::{Event, Pen};
use crate::cli::torture::jobs::{Act, Torture};

/// The file that handlers write.
#[derive(Debug, Clone)]
pub(super) struct Ledger(pub(super) Arc<Pen>);

impl Ledger {
    fn write(&self, context: &Context, event: fn(u32, u64) -> Event) -> Result<(), TaskError> {
        let event = event(context.attempt(), context.fence().get());
        self.0.write(context.job_id().as_str(), event).map_err(|error| TaskError::retry(format!("no ledger: {error}")))
    }
}

pub(super) async fn torture(job: Torture, context: Context, ledger: State<Ledger>) -> Result<u64, TaskError> {
    ledger.write(&context, |attempt, fence| Event::Began { attempt, fence })?;
    let takes = Duration::from_millis(job.takes);
    if job.act == Act::Block {
        std::thread::sleep(takes);
    } else {
        tokio::select! {
            () = tokio::time::sleep(takes) => {}
            () = context.cancelled() => {
                ledger.write(&context, |attempt, fence| Event::Failed { attempt, fence })?;
                return Err(TaskError::retry("told to stop"));
            }
        }
    }
    let attempt = context.attempt();
    match job.act {
        Act::Abort => std::process::abort(),
        Act::PanicUntil(last) if attempt <= last => {
            ledger.write(&context, |attempt, fence| Event::Failed { attempt, fence })?;
            std::panic::panic_any("as ordered");
        }
        Act::FailUntil(last) if attempt <= last => fail(&ledger, &context),
        Act::Fail => fail(&ledger, &context),
        _ => {
            ledger.write(&context, |attempt, fence| Event::Ended { attempt, fence })?;
            Ok(context.fence().get())
        }
    }
}

fn fail(ledger: &Ledger, context: &Context) -> Result<u64, TaskError> {
    ledger.write(context, |attempt, fence| Event::Failed { attempt, fence })?;
    Err(TaskError::retry("as ordered"))
}
