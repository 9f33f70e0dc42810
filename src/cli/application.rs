//! What an application hands over to its command line: tasks and schedules.

use std::process::ExitCode;

use celeriac_beat::Periodic;
use celeriac_worker::Tasks;

use crate::cli::run;

/// The command line of an application that has more than tasks.
///
/// ```no_run
/// use std::time::Duration;
///
/// use celeriac::{Periodic, Tasks, task};
///
/// #[task("orders.export")]
/// async fn export(day: String) -> Result<(), std::io::Error> {
///     Ok(())
/// }
///
/// # async fn example() -> std::process::ExitCode {
/// let today = || export { day: "today".to_owned() };
/// celeriac::Cli::new(Tasks::new().task::<export>())
///     .owner("shop")
///     .schedules([
///         Periodic::cron("export.nightly", "0 3 * * MON-FRI", today()).zone("Europe/Berlin"),
///         Periodic::every("export.often", Duration::from_secs(900), today()),
///     ])
///     .run()
///     .await
/// # }
/// ```
///
/// `beat` and `worker --beat` run these schedules beside those that others have in the same store.
#[derive(Debug)]
#[must_use = "a command line does nothing until it is run"]
pub struct Cli {
    tasks: Tasks,
    schedules: ApplicationSchedules,
}

/// Schedules that stand in the code of the application.
#[derive(Debug, Default)]
pub(crate) struct ApplicationSchedules {
    pub(crate) owner: Option<String>,
    pub(crate) periodic: Vec<Periodic>,
}

impl Cli {
    /// A command line for these tasks and the command tasks of `celeriac.toml`.
    pub fn new(tasks: Tasks) -> Self {
        Self { tasks, schedules: ApplicationSchedules::default() }
    }

    /// Names the application, so that its schedules are told from those of others in the same store. When a beat starts, the store's
    /// schedules of this owner become those given here and in `celeriac.toml`: others of it are removed.
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.schedules.owner = Some(owner.into());
        self
    }

    /// Adds schedules. They need an [owner](Cli::owner).
    pub fn schedules(mut self, schedules: impl IntoIterator<Item = Periodic>) -> Self {
        self.schedules.periodic.extend(schedules);
        self
    }

    /// Does what the arguments of the process say, as [`cli`] does.
    pub async fn run(self) -> ExitCode {
        run::run(self.tasks, self.schedules).await
    }
}

/// The whole command line for any application: the verbs of `celeriac`, for `tasks` and the command tasks of `celeriac.toml`.
///
/// It reads the arguments of the process and installs signal handlers and, unless there is one, a log on standard error. An application
/// that has schedules of its own hands them over with [`Cli`].
///
/// ```no_run
/// # use celeriac::Tasks;
/// # async fn example() -> std::process::ExitCode {
/// celeriac::cli(Tasks::new()).await
/// # }
/// ```
pub async fn cli(tasks: Tasks) -> ExitCode {
    Cli::new(tasks).run().await
}
