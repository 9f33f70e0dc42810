//! The child that runs jobs: `celeriac worker` with one task more.

use std::sync::Arc;

use celeriac_worker::Tasks;
use clap::Parser as _;

use super::handler::{Ledger, torture};
use crate::cli::application::ApplicationSchedules;
use crate::cli::args::{CommandLine, Verb};
use crate::cli::exit::{Exit, Failure};
use crate::cli::run::Setting;
use crate::cli::torture::events::Pen;
use crate::cli::torture::jobs::QUEUES;
use crate::cli::torture::order::Order;
use crate::cli::worker;

pub(super) async fn run(order: Order) -> Result<(), Failure> {
    let pen = Pen::open(&order.writes, &order.name).map_err(|error| super::broken(&error))?;
    let tasks = Tasks::new().handle(torture).state(Ledger(Arc::new(pen)));
    let url = order.store.parse().map_err(|error| Failure::usage(format!("the store: {error}")))?;
    let (lease, grace, queues) =
        (format!("{}ms", order.lease.as_millis()), format!("{}ms", order.grace.as_millis()), QUEUES.join(","));
    let line =
        ["celeriac", "worker", "--name", &order.name, "--lease", &lease, "--grace", &grace, "-q", &queues, "-c", "8"];
    match CommandLine::try_parse_from(line).map(|line| line.verb) {
        Ok(Verb::Worker(args)) => {
            worker::run(
                args,
                Setting { tasks, schedules: ApplicationSchedules::default(), url, is_named: true, json: false },
            )
            .await
        }
        Ok(_) => Err(Failure::new(Exit::Failed, "the verb `worker` is gone")),
        Err(error) => Err(Failure::usage(error.to_string())),
    }
}
