//! The log of a process that runs the command line: lines on standard error, for people or as JSON.

use std::io::stderr;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::cli::log_lines::LogLines;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts the log of a verb that answers and ends: it speaks up only when something is wrong.
pub(crate) fn start() {
    init(LogFormat::Text, "warn", stderr);
}

/// Starts the log of a worker, which is its output. The worker does not wait for whoever reads it; what is returned waits for its last lines.
pub(crate) fn start_lasting(format: LogFormat) -> Option<LogLines> {
    let lines = LogLines::default();
    if lines.write_to(stderr()).is_err() {
        // A log that may make the worker wait is better than none.
        init(format, "info", stderr);
        return None;
    }
    init(format, "info", lines.clone());
    Some(lines)
}

/// `RUST_LOG` goes before `level`. An application that has set up its own log keeps it.
fn init(format: LogFormat, level: &str, writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // A log that cannot be written, because nobody reads standard error any more, must not take the worker with it.
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(false)
        .with_target(false)
        .log_internal_errors(false);
    // An error means that there is a log already.
    let _ = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).try_init(),
    };
}
