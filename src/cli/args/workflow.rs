//! What may be typed behind `workflow`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use celeriac_core::WorkflowId;
use clap::{Args, Subcommand};

use super::{Wait, at_least_one};

#[derive(Debug, Subcommand)]
pub(crate) enum WorkflowVerb {
    /// Check a workflow, let it begin, and print its id
    Run(RunArgs),
    /// List workflows, the newest first
    List {
        /// The most workflows to list
        #[arg(long, value_name = "N", default_value = "50", value_parser = at_least_one::<NonZeroUsize>)]
        limit: NonZeroUsize,
    },
    /// Show a workflow and where each of its steps is
    Show {
        /// Id of the workflow
        id: WorkflowId,
    },
    /// Let the steps begin anew that ended without success, and go on
    Retry {
        /// Id of the workflow
        id: WorkflowId,
        /// Name of the step, as in chain/1 [default: all that ended without success]
        step: Option<String>,
    },
    /// Give a workflow up for good: what waits never starts, what runs is told to stop
    Revoke {
        /// Id of the workflow
        id: WorkflowId,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// File of the workflow as JSON, - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Id of the workflow; refused while it is in use [default: a new one]
    #[arg(long)]
    pub(crate) id: Option<WorkflowId>,
    /// Wait for the end, at most DURATION if given
    #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = Wait::FOR_EVER)]
    pub(crate) wait: Option<Wait>,
    /// File of command tasks, to know their queues [default: celeriac.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}
