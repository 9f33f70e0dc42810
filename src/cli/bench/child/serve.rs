//! Runs one role and reports.

use std::sync::Arc;

use celeriac_broker::{Broker, StoreUrl};

use super::control::{Control, order};
use super::{floor, probe, produce, seam, work};
use crate::cli::bench::protocol::{Event, Order, Report, Role};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::print_json;
use crate::cli::process::{peak_resident, resident};
use crate::cli::store::connect;

/// Runs the role that standard input names.
///
/// On a runtime with one thread, in a thread of its own: the roles do no work that two threads could share, and handing
/// tasks from thread to thread would be most of what is measured.
pub(crate) async fn run() -> Result<(), Failure> {
    let role = tokio::task::spawn_blocking(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Exit::Failed, format!("no runtime: {error}")))?;
        runtime.block_on(serve())
    });
    role.await.map_err(|error| Failure::new(Exit::Failed, format!("the role broke off: {error}")))?
}

async fn serve() -> Result<(), Failure> {
    let order = order()?;
    let control = Control::listen();
    match play(order, &control).await {
        Ok(report) => {
            let report = Report { resident: resident(), peak_resident: peak_resident(), ..report };
            print_json(&Event::Done(report))
        }
        Err(failure) => {
            print_json(&Event::Failed(failure.message.clone()))?;
            Err(failure)
        }
    }
}

async fn play(order: Order, control: &Control) -> Result<Report, Failure> {
    match order.role.clone() {
        Role::Produce(manner) => produce::run(&order, manner, store(&order).await?, control).await,
        Role::Probe { results, file } => probe::run(&order, results, file, store(&order).await?, control).await,
        Role::Work(how) if how.results => work::run::<true>(&order, how, store(&order).await?, control).await,
        Role::Work(how) => work::run::<false>(&order, how, store(&order).await?, control).await,
        Role::Seam => seam::run(&order, store(&order).await?, control).await,
        Role::Push => floor::push(&order, control).await,
        Role::Pop => floor::pop(&order, control).await,
        Role::Spawn => floor::spawn(&order, control).await,
        Role::Sync(file) => floor::sync(&order, &file, control).await,
    }
}

async fn store(order: &Order) -> Result<Arc<dyn Broker>, Failure> {
    let url: StoreUrl = order.store.parse().map_err(|error| Failure::usage(format!("the store: {error}")))?;
    connect(&url).await.map_err(|error| Failure::store(&url.to_string(), &error))
}
