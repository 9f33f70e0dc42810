//! What may be typed behind `schedule`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use celeriac_core::{CatchUp, Overlap, QueueName, ScheduleName, TaskName, UniqueKey, parse_duration};
use clap::{ArgGroup, Args, Subcommand};

use super::{at_least_one, header, instant, time_limit};
use crate::cli::schedule::spec::{catch_up, overlap};

#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleVerb {
    /// List schedules: when they come, what became of the last job, whether they are late
    List,
    /// Show all that is known of a schedule
    Show {
        /// Name of the schedule
        name: ScheduleName,
    },
    /// Say when a timetable comes next; needs no store
    Next(NextArgs),
    /// Add a schedule
    Add(Box<AddArgs>),
    /// Remove schedules that were added by hand; their jobs stay
    Remove {
        /// Names of the schedules
        #[arg(required = true, value_name = "NAME")]
        names: Vec<ScheduleName>,
    },
    /// Let a schedule not come until it is resumed, whoever keeps it
    Pause {
        /// Name of the schedule
        name: ScheduleName,
    },
    /// Let a schedule come again; what would have come meanwhile is not caught up
    Resume {
        /// Name of the schedule
        name: ScheduleName,
    },
    /// Enqueue a job of a schedule now, and print its id; when the schedule comes next stays as it is
    Run {
        /// Name of the schedule
        name: ScheduleName,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NextArgs {
    /// A cron expression as in '0 3 * * MON-FRI', a period as in 'every 5m', an instant as in 'at 2030-01-31T10:00:00Z'
    #[arg(value_name = "EXPR")]
    pub(crate) expression: String,
    /// Time zone on whose clock it is due, as in Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    pub(crate) tz: Option<String>,
    /// Only what comes after this instant [default: now]
    #[arg(long, value_name = "RFC3339", value_parser = instant)]
    pub(crate) after: Option<SystemTime>,
    /// How many
    #[arg(short = 'n', long = "count", value_name = "N", default_value = "5", value_parser = at_least_one::<NonZeroUsize>)]
    pub(crate) count: NonZeroUsize,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("when").args(["cron", "every", "at"]).required(true))]
pub(crate) struct AddArgs {
    /// Name of the schedule
    pub(crate) name: ScheduleName,
    /// Name of the task
    pub(crate) task: TaskName,
    /// Arguments as JSON, - for standard input [default: {}]
    #[arg(value_name = "ARGS_JSON", allow_negative_numbers = true)]
    pub(crate) args: Option<String>,
    /// Whenever a cron expression of five fields says so, as in '0 3 * * MON-FRI'; @hourly, @daily and others are known
    #[arg(long, value_name = "EXPR")]
    pub(crate) cron: Option<String>,
    /// Whenever this much time has passed; 1s at least
    #[arg(long, value_name = "DURATION")]
    pub(crate) every: Option<String>,
    /// An instant from which the periods of --every count [default: 1970-01-01T00:00:00Z]
    #[arg(long, value_name = "INSTANT", requires = "every", conflicts_with_all = ["cron", "at"])]
    pub(crate) anchor: Option<String>,
    /// Once, at this instant, as in 2030-01-31T10:00:00Z; with --tz also 2030-01-31T10:00
    #[arg(long, value_name = "INSTANT")]
    pub(crate) at: Option<String>,
    /// Time zone on whose clock it is due, as in Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", conflicts_with = "every")]
    pub(crate) tz: Option<String>,
    /// Queue of its jobs [default: the task's own]
    #[arg(short, long)]
    pub(crate) queue: Option<QueueName>,
    /// How many failures lead to another attempt [default: the task's own, or 25]
    #[arg(long, value_name = "N")]
    pub(crate) retries: Option<u32>,
    /// How long one attempt may run [default: the task's own, or no limit]
    #[arg(long, value_name = "DURATION", value_parser = time_limit)]
    pub(crate) timeout: Option<Duration>,
    /// How urgent its jobs are in their queue: 0 to 9, 9 first [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9))]
    pub(crate) priority: Option<u8>,
    /// Key that no other unfinished job may have; while one has it, an occurrence is skipped
    #[arg(long, value_name = "KEY")]
    pub(crate) unique: Option<UniqueKey>,
    /// Begin no attempt later than this after a job was enqueued [default: until the schedule comes next]
    #[arg(long, value_name = "DURATION", value_parser = time_limit)]
    pub(crate) expires: Option<Duration>,
    /// Let its jobs run however late
    #[arg(long, conflicts_with = "expires")]
    pub(crate) keep_late: bool,
    /// Header that travels with its jobs, as in traceparent=00-…; may be repeated
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    /// What is done about occurrences that nobody enqueued in time: skip, latest, all, or the newest N
    #[arg(long, value_name = "skip|latest|all|N", default_value = "latest", value_parser = catch_up)]
    pub(crate) catch_up: CatchUp,
    /// What is done while the job before has not ended: allow another, or skip it
    #[arg(long, value_name = "allow|skip", default_value = "allow", value_parser = overlap)]
    pub(crate) overlap: Overlap,
    /// Enqueue each job up to this much later, by a part that is fixed for each occurrence; a week at most
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration)]
    pub(crate) jitter: Duration,
    /// Come not before this instant
    #[arg(long, value_name = "RFC3339", value_parser = instant)]
    pub(crate) starts_at: Option<SystemTime>,
    /// Come not at this instant or after
    #[arg(long, value_name = "RFC3339", value_parser = instant)]
    pub(crate) ends_at: Option<SystemTime>,
    /// Do not come until it is resumed
    #[arg(long)]
    pub(crate) paused: bool,
    /// Change the schedule of this name if there is one; what it did so far stays
    #[arg(long)]
    pub(crate) replace: bool,
    /// File of command tasks, to know their queues [default: celeriac.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{CommandLine, Verb};
    use clap::Parser;

    /// Reads a line whose words are parted by `|`, because expressions have blanks.
    fn parse(line: &str) -> Result<ScheduleVerb, clap::Error> {
        let words = ["c", "schedule"].into_iter().chain(line.split('|'));
        CommandLine::try_parse_from(words).map(|line| match line.verb {
            Verb::Schedule(verb) => verb,
            verb => panic!("{verb:?}"),
        })
    }

    fn added(line: &str) -> AddArgs {
        match parse(line).unwrap() {
            ScheduleVerb::Add(args) => *args,
            verb => panic!("{verb:?}"),
        }
    }

    #[test]
    fn a_schedule_has_a_name_a_time_and_a_task() {
        let args = added("add|nightly|--cron|0 3 * * *|--tz|Europe/Berlin|report|{}");
        assert_eq!((args.name.as_str(), args.task.as_str(), args.args.as_deref()), ("nightly", "report", Some("{}")));
        assert_eq!((args.cron.as_deref(), args.tz.as_deref()), (Some("0 3 * * *"), Some("Europe/Berlin")));
        assert_eq!((args.catch_up, args.overlap, args.jitter), (CatchUp::Latest, Overlap::Allow, Duration::ZERO));
        let args =
            added("add|tick|report|--every|5m|--anchor|2030-01-01T00:00:00Z|--catch-up|7|--overlap|skip|--paused");
        assert_eq!((args.every.as_deref(), args.catch_up, args.overlap), (Some("5m"), CatchUp::All(7), Overlap::Skip));
        assert!(args.paused && args.args.is_none());
    }

    #[test]
    fn the_next_five_after_now_are_shown_unless_more_is_said() {
        let ScheduleVerb::Next(args) = parse("next|* * * * *").unwrap() else { panic!("another verb") };
        assert_eq!((args.count.get(), args.after, args.tz), (5, None, None));
        let ScheduleVerb::Next(args) = parse("next|@daily|-n|3|--after|1970-01-01T00:00:00Z").unwrap() else {
            panic!("another verb")
        };
        assert_eq!((args.count.get(), args.after), (3, Some(SystemTime::UNIX_EPOCH)));
    }

    #[test]
    fn what_cannot_go_together_is_refused() {
        for line in [
            "add|s|t",
            "add|s|--cron|@daily",
            "add|s|t|--cron|@daily|--every|5m",
            "add|s|t|--cron|@daily|--anchor|2030-01-01T00:00:00Z",
            "add|s|t|--every|5m|--tz|Europe/Berlin",
            "add|s|t|--every|5m|--expires|1m|--keep-late",
            "add|s|t|--every|5m|--catch-up|0",
            "add|s|t|--every|5m|--catch-up|some",
            "add|s|t|--every|5m|--overlap|queue",
            "add|s|t|--every|5m|--jitter|5",
            "add|s|t|--every|5m|--starts-at|2030-01-01",
            "add|two words|t|--every|5m",
            "next",
            "next|@daily|-n|0",
            "next|@daily|--after|tomorrow",
            "remove",
            "run",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        for line in ["beat|--owner|two words", "worker|--owner|shop", "worker|--beat|--burst", "beat|--health|8080"] {
            assert!(CommandLine::try_parse_from(["c"].into_iter().chain(line.split('|'))).is_err(), "{line}");
        }
    }
}
