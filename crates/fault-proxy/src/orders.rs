//! What the proxy was told to do: the rules that stand, and the weather on all connections.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::event::{Event, What, name};
use crate::rule::{Fault, Rule, Way};

/// Whether bytes pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Flow {
    #[default]
    Open,
    /// They wait.
    Hold,
    /// They are thrown away.
    Vanish,
}

/// Whether bytes pass, each way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flows {
    to_server: Flow,
    to_client: Flow,
}

impl Flows {
    pub(crate) fn set(&mut self, ways: Way, flow: Flow) {
        for (way, current) in [(Way::ToServer, &mut self.to_server), (Way::ToClient, &mut self.to_client)] {
            if ways.covers(way) {
                *current = flow;
            }
        }
    }

    /// Of one way.
    pub(crate) fn of(self, way: Way) -> Flow {
        if way == Way::ToServer { self.to_server } else { self.to_client }
    }
}

/// What happens to all connections. Each count is of orders given so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weather {
    pub(crate) cuts: u64,
    pub(crate) resets: u64,
    pub(crate) heals: u64,
    pub(crate) refusing: bool,
    pub(crate) flows: Flows,
}

/// A rule that has something left to do.
#[derive(Debug)]
struct Standing {
    number: u64,
    rule: Rule,
    happened: watch::Sender<u64>,
}

/// A rule that is being carried out.
#[derive(Debug)]
pub(crate) struct Hit {
    pub(crate) fault: Fault,
    happened: watch::Sender<u64>,
    /// Rules that stand until they are lifted are noted once: they may be carried out a million times.
    once: bool,
}

/// What happens to a command.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) delay: Duration,
    pub(crate) answer_delay: Duration,
    pub(crate) hit: Option<Hit>,
}

/// Shared by the proxy, its connections and the orders in its users' hands.
#[derive(Debug)]
pub(crate) struct Orders {
    upstream: AtomicU16,
    connections: AtomicU64,
    numbers: AtomicU64,
    rules: Mutex<Vec<Standing>>,
    weather: watch::Sender<Weather>,
    journal: Mutex<Vec<Event>>,
}

/// A panic while a lock was held cannot leave half an entry, so the data is used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Orders {
    pub(crate) fn new(upstream: u16) -> Self {
        Self {
            upstream: upstream.into(),
            connections: 0.into(),
            numbers: 0.into(),
            rules: Mutex::default(),
            weather: watch::Sender::default(),
            journal: Mutex::default(),
        }
    }

    pub(crate) fn upstream(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.upstream.load(Ordering::SeqCst)).into()
    }

    pub(crate) fn switch_to(&self, port: u16) {
        self.upstream.store(port, Ordering::SeqCst);
        self.note(What::Switch(port), None, None);
    }

    pub(crate) fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn weather(&self) -> watch::Receiver<Weather> {
        self.weather.subscribe()
    }

    pub(crate) fn change_weather(&self, what: What, change: impl FnOnce(&mut Weather)) {
        self.note(what, None, None);
        self.weather.send_modify(change);
    }

    pub(crate) fn set(self: &Arc<Self>, rule: Rule) -> Order {
        let number = self.numbers.fetch_add(1, Ordering::SeqCst);
        let (happened, times) = watch::channel(0);
        lock(&self.rules).push(Standing { number, rule, happened });
        Order { number, times, orders: Arc::clone(self) }
    }

    pub(crate) fn clear(&self) {
        lock(&self.rules).clear();
    }

    fn lift(&self, number: u64) {
        lock(&self.rules).retain(|standing| standing.number != number);
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        lock(&self.journal).clone()
    }

    fn note(&self, what: What, connection: Option<u64>, command: Option<String>) {
        lock(&self.journal).push(Event { at: Instant::now(), what, connection, command });
    }

    /// What happens to this command before the server has it.
    pub(crate) fn at_command(&self, frame: &[u8], connection: u64) -> Verdict {
        let mut verdict = Verdict::default();
        let mut delays = Vec::new();
        self.take(|rule| match &rule.fault {
            Fault::LosePush => None,
            fault if fault.is_of_answers() || !rule.commands.include(frame) => None,
            Fault::Delay { command, answer } => {
                verdict.delay += *command;
                verdict.answer_delay += *answer;
                Some(Take::AndGoOn)
            }
            Fault::Answer(_) if rule.commands.spare(frame) => None,
            _ => Some(Take::AndStop),
        })
        .into_iter()
        .for_each(|hit| {
            if matches!(hit.fault, Fault::Delay { .. }) { delays.push(hit) } else { verdict.hit = Some(hit) }
        });
        delays.into_iter().for_each(|hit| self.done(hit, connection, frame));
        verdict
    }

    /// What happens to the answer to this command.
    pub(crate) fn at_answer(&self, command: &[u8]) -> Option<Hit> {
        let meant = |rule: &Rule| rule.fault.is_of_answers() && rule.commands.include(command);
        self.take(|rule| meant(rule).then_some(Take::AndStop)).pop()
    }

    /// What happens to this push: how late it is, and whether it is lost.
    pub(crate) fn at_push(&self, frame: &[u8]) -> (Duration, Option<Hit>) {
        let mut delay = Duration::ZERO;
        let lost = self.take(|rule| match &rule.fault {
            Fault::LosePush if rule.commands.include(frame) => Some(Take::AndStop),
            Fault::Delay { answer, .. } if rule.commands.include(frame) => {
                delay += *answer;
                None
            }
            _ => None,
        });
        (delay, lost.into_iter().next())
    }

    /// Takes one turn of each rule that `choose` wants, in the order in which they were set.
    fn take(&self, mut choose: impl FnMut(&Rule) -> Option<Take>) -> Vec<Hit> {
        let mut rules = lock(&self.rules);
        let mut hits = Vec::new();
        for standing in rules.iter_mut() {
            let Some(take) = choose(&standing.rule) else { continue };
            let Standing { rule, happened, .. } = standing;
            let once = rule.left.is_none();
            rule.left = rule.left.map(|left| left.saturating_sub(1));
            hits.push(Hit { fault: rule.fault.clone(), happened: happened.clone(), once });
            if matches!(take, Take::AndStop) {
                break;
            }
        }
        rules.retain(|standing| standing.rule.left != Some(0));
        hits
    }

    /// Notes that a rule was carried out on this command, and tells who waits for it.
    pub(crate) fn done(&self, hit: Hit, connection: u64, command: &[u8]) {
        if !hit.once || *hit.happened.borrow() == 0 {
            self.note(What::Fault(hit.fault), Some(connection), Some(name(command)));
        }
        hit.happened.send_modify(|times| *times += 1);
    }
}

/// Whether later rules are asked too.
enum Take {
    AndGoOn,
    AndStop,
}

/// A rule that was given to the proxy. Dropping it changes nothing: the rule stands.
#[derive(Debug)]
pub struct Order {
    number: u64,
    times: watch::Receiver<u64>,
    orders: Arc<Orders>,
}

impl Order {
    /// Waits until the rule was carried out, at least once. A command or answer that is lost or cut counts when that is over: what reached the
    /// server has then been carried out. Answers `false` if the order was lifted, or the proxy healed, before that.
    pub async fn happened(&self) -> bool {
        self.times.clone().wait_for(|times| *times > 0).await.is_ok()
    }

    /// How often the rule was carried out so far.
    #[must_use]
    pub fn times(&self) -> u64 {
        *self.times.borrow()
    }

    /// Takes the order back. What vanishes or is held back since it was carried out goes on to, until the proxy heals.
    pub fn lift(&self) {
        self.orders.lift(self.number);
    }
}
