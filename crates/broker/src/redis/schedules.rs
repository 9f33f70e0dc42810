//! Schedules in Redis: definitions and states in two hashes, when each is due in a sorted set, changes in a stream of one entry.
//!
//! The stream is what beats wait for: every one of them reads the entry, and one that was away reads it when it comes back.

use std::borrow::Cow;
use std::time::Duration;

use async_trait::async_trait;
use celeriac_core::{JobId, QueueName, Record, ScheduleName, State, Timestamp};
use redis::Value;

use super::places::Places;
use super::replies::read;
use super::script::{self, Call};
use super::store::RedisBroker;
use crate::error::BrokerError;
use crate::schedules::{
    DueSchedules, Fired, Firing, MAX_SCHEDULES, Owner, Put, ScheduleEntry, ScheduleMark, ScheduleView, Schedules,
    check_count, read_definition,
};

/// A longer wait is several; 0 would be for ever.
const WAITS: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(600);

impl RedisBroker {
    fn schedule_keys(&self) -> [String; 4] {
        let keys = &self.keys;
        [keys.schedules(), keys.schedule_states(), keys.schedules_due(), keys.schedule_changes()]
    }

    fn schedule_call(&self, script: &'static std::sync::LazyLock<redis::Script>) -> Call {
        let mut call = Call::new(script, &self.schedule_keys());
        call.arg(self.now_override());
        call
    }

    /// The schedules of these names that are there, in their order.
    async fn views(&self, names: &[ScheduleName]) -> Result<Vec<ScheduleView>, BrokerError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let fields: Vec<_> = names.iter().map(ScheduleName::as_str).collect();
        let mut pipe = redis::Pipeline::with_capacity(3);
        for key in [self.keys.schedules(), self.keys.schedule_states()] {
            pipe.cmd("HMGET").arg(key).arg(&fields);
        }
        pipe.cmd("ZMSCORE").arg(self.keys.schedules_due()).arg(&fields);
        let mut answers = self.commands.pipeline(&pipe).await?.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Nil);
        let (values, states, dues) = (next(), next(), next());
        let values: Vec<Option<Vec<u8>>> = read(values)?;
        let states: Vec<Option<Vec<u8>>> = read(states)?;
        let dues: Vec<Option<f64>> = read(dues)?;
        let rows = names.iter().zip(values).zip(states.into_iter().zip(dues));
        let shown = rows.filter_map(|((name, value), (state, due))| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "milliseconds that a script wrote"
            )]
            let due = due.map(|due| Timestamp::from_millis(due as u64));
            Some(view(name.clone(), &value?, &state.unwrap_or_default(), due))
        });
        Ok(shown.collect())
    }
}

#[async_trait]
impl Schedules for RedisBroker {
    async fn put_schedules(&self, entries: &[ScheduleEntry]) -> Result<Vec<Put>, BrokerError> {
        check_count(entries.len())?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let mut call = self.schedule_call(&script::PUT_SCHEDULES);
        for ScheduleEntry { name, owner, schedule } in entries {
            call.arg(name.as_str()).arg(owner.as_str()).arg(one_line(&schedule.pace())?).arg(schedule.encode());
        }
        let answers: Vec<String> = self.commands.call(&call).await?.take()?;
        Ok(answers.iter().map(|answer| put(answer)).collect())
    }

    async fn remove_schedules(&self, names: &[ScheduleName], owner: Option<&Owner>) -> Result<Vec<bool>, BrokerError> {
        check_count(names.len())?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut call = self.schedule_call(&script::REMOVE_SCHEDULES);
        call.arg(u8::from(owner.is_none())).arg(owner.map_or("", Owner::as_str));
        names.iter().for_each(|name| {
            call.arg(name.as_str());
        });
        self.commands.call(&call).await?.take()
    }

    async fn pause_schedule(&self, name: &ScheduleName, paused: bool) -> Result<bool, BrokerError> {
        let mut call = self.schedule_call(&script::PAUSE_SCHEDULE);
        call.arg(name.as_str()).arg(u8::from(paused));
        let reply = self.commands.call(&call).await?;
        Ok(reply.status() == super::replies::Status::Done)
    }

    async fn schedules(&self, after: Option<&ScheduleName>, max: usize) -> Result<Vec<ScheduleView>, BrokerError> {
        let found = self.commands.command(redis::cmd("HKEYS").arg(self.keys.schedules())).await?;
        let found: Vec<Vec<u8>> = read(found)?;
        let mut names: Vec<_> = found.iter().filter_map(|name| listed(name)).collect();
        names.retain(|name| after.is_none_or(|after| name > after));
        names.sort_unstable();
        names.truncate(max.min(MAX_SCHEDULES));
        self.views(&names).await
    }

    async fn schedule(&self, name: &ScheduleName) -> Result<Option<ScheduleView>, BrokerError> {
        Ok(self.views(std::slice::from_ref(name)).await?.pop())
    }

    async fn due_schedules(&self, max: usize) -> Result<DueSchedules, BrokerError> {
        let mut call = self.schedule_call(&script::DUE_SCHEDULES);
        call.arg(max.min(MAX_SCHEDULES));
        let mut reply = self.commands.call(&call).await?;
        let (now, next) = (reply.instant()?, reply.maybe_instant()?);
        let mark = ScheduleMark(reply.take()?);
        let found: Vec<Vec<u8>> = reply.take()?;
        let due = found.chunks_exact(4).filter_map(|row| {
            let due = text(&row[3]).parse().ok().map(Timestamp::from_millis);
            Some(view(ScheduleName::new(text(&row[0])).ok()?, &row[1], &row[2], due))
        });
        Ok(DueSchedules { due: due.collect(), next, now, mark })
    }

    async fn fire(&self, firings: &[Firing]) -> Result<Vec<Fired>, BrokerError> {
        Firing::check(firings)?;
        if firings.is_empty() {
            return Ok(Vec::new());
        }
        let mut queues = Places::new();
        firings.iter().flat_map(|firing| &firing.jobs).for_each(|job| {
            queues.of(&job.queue);
        });
        let keys = &self.keys;
        let mut list = vec![keys.jobs(), keys.queues(), keys.ends(), keys.unique()];
        list.extend([keys.schedule_states(), keys.schedules_due()]);
        list.extend(queues.names().iter().flat_map(|queue| keys.lists(queue)));
        let mut call = Call::new(&script::FIRE, &list);
        call.arg(self.now_override()).arg(queues.len());
        queues.names().iter().for_each(|queue| {
            call.arg(queue.as_str());
        });
        firings.iter().for_each(|firing| add_firing(&mut call, firing, &queues));
        let answers: String = self.commands.call(&call).await?.take()?;
        Ok(answers.bytes().map(fired).collect())
    }

    async fn wait_for_schedules(&self, mark: &ScheduleMark, timeout: Duration) -> Result<(), BrokerError> {
        let timeout = timeout.clamp(*WAITS.start(), *WAITS.end());
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let mut command = redis::cmd("XREAD");
        command.arg("BLOCK").arg(millis).arg("STREAMS").arg(self.keys.schedule_changes()).arg(mark.as_str());
        self.changes.waiting(&command, timeout).await.map(|_| ())
    }
}

/// The parts of a stored schedule end with a line.
fn one_line(timetable: &str) -> Result<&str, BrokerError> {
    if timetable.contains('\n') {
        return Err(BrokerError::Invalid("a timetable has one line".to_owned()));
    }
    Ok(timetable)
}

fn add_firing(call: &mut Call, firing: &Firing, queues: &Places<QueueName>) {
    call.arg(firing.name.as_str())
        .arg(firing.revision)
        .arg(firing.last.as_millis())
        .arg(firing.until.as_millis())
        .arg(firing.next.map_or_else(String::new, |next| next.as_millis().to_string()))
        .arg(firing.due.as_millis())
        .arg(firing.missed)
        .arg(u8::from(firing.unless_unfinished))
        .arg(firing.jobs.len());
    for job in &firing.jobs {
        let mut record: Record = job.clone();
        record.state = State::Queued;
        let unique = job.options.unique.as_ref().map_or("", |key| key.as_str());
        call.arg(queues.place(&job.queue)).arg(job.id.as_str()).arg(record.encode_unstamped()).arg(unique);
    }
}

fn fired(letter: u8) -> Fired {
    match letter {
        b'D' => Fired::Done,
        b'S' => Fired::Skipped,
        _ => Fired::Moved,
    }
}

fn put(answer: &str) -> Put {
    match answer.split_at_checked(1) {
        Some(("A", _)) => Put::Added,
        Some(("C", _)) => Put::Changed,
        Some(("O", owner)) => Put::Owned { by: Owner::from_stored(owner) },
        _ => Put::Unchanged,
    }
}

/// Its name, unless somebody wrote it by hand and no call could name it: then it is left out, so that the others are seen.
fn listed(name: &[u8]) -> Option<ScheduleName> {
    match ScheduleName::new(text(name)) {
        Ok(name) => Some(name),
        Err(problem) => {
            tracing::warn!(%problem, "left out a schedule whose name cannot be read");
            None
        }
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// A schedule from its value and its state.
fn view(name: ScheduleName, value: &[u8], state: &[u8], due: Option<Timestamp>) -> ScheduleView {
    let mut parts = value.splitn(3, |byte| *byte == b'\n');
    let owner = Owner::from_stored(&text(parts.next().unwrap_or_default()));
    let definition = parts.nth(1).unwrap_or_default();
    let state = text(state);
    let numbers = numbers(&state);
    let schedule = match numbers {
        Some(_) => read_definition(definition),
        None => Err("what became of it so far cannot be read; pause it and resume it".to_owned()),
    };
    let [revision, paused, last, fired, missed, skipped, fired_at, lag] = numbers.unwrap_or_default();
    ScheduleView {
        name,
        owner,
        schedule,
        revision,
        paused: paused == 1,
        last: Timestamp::from_millis(last),
        next: due.filter(|_| paused == 0),
        fired,
        missed,
        skipped,
        fired_at: (fired_at > 0).then(|| Timestamp::from_millis(fired_at)),
        lag: Duration::from_millis(lag),
        job: state.splitn(9, ' ').nth(8).and_then(|id| JobId::new(id).ok()),
    }
}

/// The numbers of a state; none if one of them is missing, and then the scripts do not count on the others either.
fn numbers(state: &str) -> Option<[u64; 8]> {
    let numbers = state.split(' ').take(8).map(|number| number.parse().ok()).collect::<Option<Vec<u64>>>()?;
    numbers.try_into().ok()
}
