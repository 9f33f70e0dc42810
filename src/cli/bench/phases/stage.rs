//! What every phase works with.

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::bench::crew::CrewOptions;
use crate::cli::bench::place::Place;
use crate::cli::bench::protocol::{Manner, Report, Role};
use crate::cli::bench::settings::Settings;
use crate::cli::bench::spawned::Spawned;
use crate::cli::exit::Failure;

/// The store, the settings, and which run of how many this is.
pub(super) struct Stage<'b> {
    pub(super) place: &'b Place,
    pub(super) settings: &'b Settings,
    /// Counted from 1.
    pub(super) run: usize,
}

/// What one process did, and what that cost the server.
pub(super) struct Act {
    pub(super) report: Report,
    pub(super) server_cpu: Option<u64>,
}

impl Stage<'_> {
    /// A bar on standard error for as long as a phase runs, if that is a terminal.
    pub(super) fn bar(&self, phase: &str, total: u64) -> Bar {
        let bar = ProgressBar::new(total);
        let template = "{msg:38} {bar:30} {pos}/{len} in {elapsed}";
        let bar = match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        };
        let runs = self.settings.runs;
        let run = if runs > 1 { format!("run {} of {runs}: ", self.run) } else { String::new() };
        bar.set_message(format!("{run}{phase}"));
        bar.tick();
        Bar(bar)
    }

    pub(super) async fn spawn(&self, role: Role, jobs: u64) -> Result<Spawned, Failure> {
        Spawned::start(self.place, role, jobs, self.settings.payload).await
    }

    /// Lets one process do its part, and reads the server's processor time before and after.
    pub(super) async fn act(&self, phase: &str, role: Role, jobs: u64) -> Result<Act, Failure> {
        let bar = self.bar(phase, jobs);
        let mut child = self.spawn(role, jobs).await?;
        let before = self.place.server_cpu_ns().await?;
        child.go().await?;
        let report = bar.follow(&mut child).await?;
        let after = self.place.server_cpu_ns().await?;
        Ok(Act { report, server_cpu: difference(before, after) })
    }

    /// Fills the queue.
    pub(super) async fn fill(&self, jobs: u64) -> Result<(), Failure> {
        self.act("filling the queue", Role::Produce(Manner::Bulk), jobs).await.map(drop)
    }

    /// A worker as this measurement has them.
    pub(super) fn crew(&self) -> CrewOptions {
        CrewOptions {
            concurrency: self.settings.concurrency,
            queues: vec![celeriac_core::QueueName::DEFAULT.to_owned()],
            ..CrewOptions::default()
        }
    }
}

/// A bar that goes when it is dropped.
pub(super) struct Bar(pub(super) ProgressBar);

impl Bar {
    /// Shows a child's progress until its end.
    pub(super) async fn follow(&self, child: &mut Spawned) -> Result<Report, Failure> {
        let done = child.progress();
        let mut look = tokio::time::interval(std::time::Duration::from_millis(100));
        let report = child.report();
        tokio::pin!(report);
        loop {
            tokio::select! {
                report = &mut report => return report,
                _ = look.tick() => self.0.set_position(done.load(std::sync::atomic::Ordering::Relaxed)),
            }
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// How much more, if both are known.
pub(super) fn difference(before: Option<u64>, after: Option<u64>) -> Option<u64> {
    before.zip(after).map(|(before, after)| after.saturating_sub(before))
}
