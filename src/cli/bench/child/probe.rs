//! The role that measures latency: single jobs with pauses between them, and between these the shortest question there is.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::Broker;
use celeriac_client::Client;

use super::control::{Control, Teller};
use super::floor::Question;
use crate::cli::bench::noop::Noop;
use crate::cli::bench::protocol::{Begun, Order, Report};
use crate::cli::exit::{Exit, Failure, chain};
use crate::cli::process::monotonic_ns;

/// The pause before and after each question: long enough for the worker to settle a job and to wait again.
const PAUSE: Duration = Duration::from_millis(2);

pub(super) async fn run(
    order: &Order,
    results: bool,
    file: Option<PathBuf>,
    broker: Arc<dyn Broker>,
    control: &Control,
) -> Result<Report, Failure> {
    let client = Client::new(broker);
    let mut question = Question::open(order, file).await?;
    control.ready().await?;
    let begun = Begun::now();
    let mut report = Report::default();
    let done = Arc::default();
    let teller = Teller::of(Arc::clone(&done));
    for n in 0..order.jobs {
        let job = Noop::<true>::new(n, order.payload);
        let began = monotonic_ns();
        let handle = client.enqueue(job).await.map_err(|error| failed(&error))?;
        if results {
            handle.result().await.map_err(|error| failed(&error))?;
            report.results.push(monotonic_ns() - began);
        }
        report.enqueued.push(began);
        tokio::time::sleep(PAUSE).await;
        let asked = monotonic_ns();
        question.ask().await?;
        report.answers.push(monotonic_ns() - asked);
        tokio::time::sleep(PAUSE).await;
        done.store(n + 1, std::sync::atomic::Ordering::Relaxed);
    }
    report.span = begun.until_now();
    drop(teller);
    client.close().await;
    Ok(report)
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Failed, format!("a single job failed: {}", chain(error)))
}
