//! Waits for work, by BLPOP on the control list and the wake lists of a session, in two ways.
//!
//! A worker waits and fetches in one round trip, see [`Waiting::wait_and_call`]; dropping that closes its connection. Who only waits has a
//! command in a task of its own:
//!
//! A future that is dropped does not stop its command, and what that command pops is gone. So the command belongs to a task,
//! and the token it popped to whoever waits next in this session. If nobody waits for a moment, the task ends its
//! command by a token on its own control list, and gives back a token that it popped: another worker may be idle.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use celeriac_core::{Incarnation, QueueName};
use redis::{Cmd, Value};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::keys::Keys;
use super::link::{Link, Target};
use super::replies::Reply;
use super::script::{self, Call};
use super::session::millis;
use crate::error::BrokerError;

/// How long the command goes on, and a token is kept, when nobody waits any more. A fetch between two waits is shorter.
const GRACE: Duration = Duration::from_millis(50);
/// Redis 6.2 cuts timeouts to whole milliseconds, and 0 would be for ever.
const SHORTEST: Duration = Duration::from_millis(10);
/// How long a token for one process is kept; its incarnation may be gone for ever.
const CONTROL_TTL: Duration = Duration::from_secs(3600);
/// A longer wait is several.
const LONGEST: Duration = Duration::from_secs(600);

/// The waits of all sessions of a broker.
#[derive(Debug)]
pub(super) struct Waiting {
    target: Target,
    keys: Arc<Keys>,
    commands: Arc<Link>,
    sessions: Mutex<HashMap<Incarnation, Arc<Slot>>>,
}

/// One session's wait.
#[derive(Debug)]
struct Slot {
    control: String,
    /// The connection that waits; nothing else may use it.
    link: Link,
    /// The connection that waits with a call behind the wait.
    calls: Link,
    commands: Arc<Link>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The lists of the command in progress.
    blocked_on: Option<Vec<String>>,
    /// The command in progress has been told to end.
    nudged: bool,
    /// The list whose token was popped and not used yet.
    popped: Option<String>,
    error: Option<BrokerError>,
    waiters: usize,
}

/// What a waiter does next.
enum Step {
    Return(Result<(), BrokerError>),
    Start,
    Nudge,
    GiveBack(String),
    Wait,
}

/// A panic while the lock was held cannot leave half a state, so the data is used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a waiter for as long as its future lives.
struct Present<'a>(&'a Slot);

impl<'a> Present<'a> {
    fn new(slot: &'a Slot) -> Self {
        lock(&slot.state).waiters += 1;
        slot.changed.notify_waiters();
        Self(slot)
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).waiters -= 1;
        self.0.changed.notify_waiters();
    }
}

impl Waiting {
    pub(super) fn new(target: &Target, keys: &Arc<Keys>, commands: &Arc<Link>) -> Self {
        let (target, keys, commands) = (target.clone(), keys.clone(), commands.clone());
        Self { target, keys, commands, sessions: Mutex::default() }
    }

    /// Waits for a token of one of the queues.
    pub(super) async fn wait(
        &self,
        incarnation: &Incarnation,
        queues: &[QueueName],
        timeout: Duration,
    ) -> Result<(), BrokerError> {
        let slot = self.slot(incarnation);
        let lists: Vec<String> = queues.iter().map(|queue| self.keys.wake(queue)).collect();
        let deadline = Instant::now() + timeout;
        let _present = Present::new(&slot);
        loop {
            // Registered before the state is read, so that no change falls between the two.
            let changed = slot.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match slot.step(&lists) {
                Step::Return(answer) => return answer,
                Step::Start => {
                    let left = deadline.saturating_duration_since(Instant::now()).clamp(SHORTEST, LONGEST);
                    tokio::spawn(slot.clone().block(lists.clone(), left));
                }
                Step::Nudge => slot.nudge().await?,
                Step::GiveBack(list) => {
                    slot.give_back(&list).await;
                    continue;
                }
                Step::Wait => {}
            }
            tokio::select! {
                () = changed => {}
                () = sleep_until(deadline) => return Ok(()),
            }
        }
    }

    /// Waits for a token of one of the queues, and has a script run the moment it is there.
    ///
    /// The script is in the server's hands while it waits, so a job's start is one round trip nearer. A token that is
    /// popped in vain is no loss: the script passes it on.
    pub(super) async fn wait_and_call(
        &self,
        incarnation: &Incarnation,
        queues: &[QueueName],
        timeout: Duration,
        call: &Call,
    ) -> Result<Reply, BrokerError> {
        let slot = self.slot(incarnation);
        let lists: Vec<String> = queues.iter().map(|queue| self.keys.wake(queue)).collect();
        let timeout = timeout.clamp(SHORTEST, LONGEST);
        slot.calls.waiting_call(&blpop(&slot.control, &lists, timeout), timeout, call).await
    }

    /// Lets the wait of a session end by a token on its control list.
    pub(super) async fn nudge(&self, incarnation: &Incarnation) -> Result<(), BrokerError> {
        self.slot(incarnation).nudge().await
    }

    /// Forgets a session that ends; its task ends by itself.
    pub(super) fn forget(&self, incarnation: &Incarnation) {
        lock(&self.sessions).remove(incarnation);
    }

    fn slot(&self, incarnation: &Incarnation) -> Arc<Slot> {
        let make = || Slot {
            control: self.keys.control(incarnation),
            link: Link::new(&self.target),
            calls: Link::new(&self.target),
            commands: self.commands.clone(),
            state: Mutex::default(),
            changed: Notify::new(),
        };
        lock(&self.sessions).entry(incarnation.clone()).or_insert_with(|| Arc::new(make())).clone()
    }
}

impl Slot {
    fn step(&self, lists: &[String]) -> Step {
        let mut state = lock(&self.state);
        if let Some(list) = state.popped.take() {
            let mine = list == self.control || lists.contains(&list);
            return if mine { Step::Return(Ok(())) } else { Step::GiveBack(list) };
        }
        if let Some(error) = state.error.take() {
            return Step::Return(Err(error));
        }
        match &state.blocked_on {
            None => {
                state.blocked_on = Some(lists.to_vec());
                state.nudged = false;
                Step::Start
            }
            Some(blocked_on) if blocked_on == lists || state.nudged => Step::Wait,
            Some(_) => {
                state.nudged = true;
                Step::Nudge
            }
        }
    }

    /// Ends the command in progress by a token on its control list. If it has just ended, the next wait returns early, or
    /// the token expires.
    async fn nudge(&self) -> Result<(), BrokerError> {
        let mut call = Call::new(&script::WAKE, &[&self.control]);
        call.arg(millis(CONTROL_TTL));
        self.commands.call(&call).await.map(|_| ())
    }

    /// Leaves a token where it came from. If that fails, the next fetch of a worker whose wait has ended finds the work.
    async fn give_back(&self, list: &str) {
        let mut call = Call::new(&script::WAKE, &[list]);
        call.arg("");
        if let Err(error) = self.commands.call(&call).await {
            tracing::debug!(%error, list, "a wake token could not be given back");
        }
    }

    /// Runs the command in progress to its end, whoever waits for it meanwhile.
    async fn block(self: Arc<Self>, lists: Vec<String>, timeout: Duration) {
        let command = blpop(&self.control, &lists, timeout);
        let answer = {
            let waiting = self.link.waiting(&command, timeout);
            tokio::pin!(waiting);
            loop {
                // Both may be dropped or polled again: the command goes on, the look starts anew.
                tokio::select! {
                    answer = &mut waiting => break answer,
                    () = self.deserted(), if !lock(&self.state).nudged => {
                        lock(&self.state).nudged = true;
                        // If it fails the command runs to its timeout; the store is away anyway.
                        let _ = self.nudge().await;
                    }
                }
            }
        };
        self.note(answer);
        self.changed.notify_waiters();
        self.used_or_deserted().await;
    }

    fn note(&self, answer: Result<Value, BrokerError>) {
        let mut state = lock(&self.state);
        state.blocked_on = None;
        match answer {
            Ok(value) => {
                let popped = redis::from_redis_value::<Option<(String, Vec<u8>)>>(value).ok().flatten();
                let list = popped.map(|(list, _)| list);
                // The token of an own nudge is no news.
                state.popped = list.filter(|list| !(state.nudged && *list == self.control));
            }
            Err(error) => state.error = Some(error).filter(|_| state.waiters > 0),
        }
    }

    /// Waits until nobody has waited for a moment.
    async fn deserted(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if lock(&self.state).waiters > 0 {
                changed.await;
                continue;
            }
            tokio::select! {
                () = changed => {}
                () = sleep(GRACE) => return,
            }
        }
    }

    /// Gives a popped token back unless somebody uses it soon.
    async fn used_or_deserted(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let waiters = match &*lock(&self.state) {
                State { popped: None, .. } => return,
                state => state.waiters,
            };
            if waiters > 0 {
                changed.await;
                continue;
            }
            tokio::select! {
                () = changed => {}
                () = sleep(GRACE) => break,
            }
        }
        let unused = lock(&self.state).popped.take();
        if let Some(list) = unused {
            self.give_back(&list).await;
        }
    }
}

fn blpop(control: &str, lists: &[String], timeout: Duration) -> Cmd {
    let mut command = redis::cmd("BLPOP");
    command.arg(control).arg(lists).arg(format!("{:.3}", timeout.as_secs_f64()));
    command
}
