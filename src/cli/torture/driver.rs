//! Inflicts the faults, keeps the processes alive that nobody killed, and heals everything at the end.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::arena::Arena;
use super::cast::Slot;
use super::evidence::Fault;
use super::links::Links;
use super::order::Role;
use super::plan::{Plan, Planned};
use super::settings::{GRACE, Settings};
use crate::cli::args::FaultKind;
use crate::cli::exit::{Exit, Failure};
use crate::cli::process::monotonic_ns;

/// How often processes and healing are looked at.
const TICK: Duration = Duration::from_millis(20);

/// How late a tick may come before the machine itself counts as faulty: then a lease may end with nobody to blame.
const STALL: Duration = Duration::from_millis(700);

/// How many faults may be open at once.
const MOST_AT_ONCE: usize = 2;

/// What a worker may take beyond its grace: what the verb `worker` promises, and a little for a busy machine.
const FAREWELL: Duration = Duration::from_secs(8);

/// How long an empty slot stays empty, at most, in milliseconds.
const LONGEST_DEATH: u64 = 500;

/// Everything that runs, and what was done to it.
pub(super) struct Driver<'a> {
    settings: &'a Settings,
    pub(super) arena: &'a Arena,
    pub(super) slots: Vec<Slot>,
    links: Links,
    pub(super) faults: Vec<Fault>,
    open: Vec<Open>,
    pub(super) stragglers: Vec<String>,
    chance: fastrand::Rng,
}

/// A fault that goes on.
struct Open {
    /// Its place among the faults.
    fault: usize,
    /// Its place among the slots, if it is done to a process.
    slot: Option<usize>,
    until: Instant,
    cure: Cure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cure {
    /// Its effect passes by itself.
    Time,
    Continue,
    /// The process must have ended by now.
    Ended,
    Thaw,
    Restart,
    Mend,
}

impl<'a> Driver<'a> {
    pub(super) fn new(settings: &'a Settings, arena: &'a Arena, slots: Vec<Slot>, links: Links) -> Self {
        let chance = fastrand::Rng::with_seed(settings.seed ^ 0x5eed);
        Self { settings, arena, slots, links, faults: Vec::new(), open: Vec::new(), stragglers: Vec::new(), chance }
    }

    /// Lets faults come until the time is over; `tick` is told how many there were.
    pub(super) async fn storm(&mut self, mut tick: impl FnMut(usize)) -> Result<(), Failure> {
        let end = Instant::now() + self.settings.time;
        let mut plan = Plan::new(self.settings);
        let mut next = plan.next();
        let mut due = Instant::now() + next.as_ref().map_or(Duration::MAX / 4, |planned| planned.pause);
        let mut last = Instant::now();
        while Instant::now() < end {
            self.watch_the_machine(last);
            last = Instant::now();
            self.supervise()?;
            self.heal(false).await?;
            if Instant::now() >= due && self.open.len() < MOST_AT_ONCE {
                if let Some(planned) = next.take() {
                    self.inflict(&planned).await?;
                }
                next = plan.next();
                due = Instant::now() + next.as_ref().map_or(Duration::MAX / 4, |planned| planned.pause);
                // What starting a server takes is no stall.
                last = Instant::now();
            }
            tick(self.faults.len());
            tokio::time::sleep(TICK).await;
        }
        self.heal(true).await
    }

    /// A look at the processes alone, for when no fault is to come any more.
    pub(super) async fn calm(&mut self) -> Result<(), Failure> {
        self.supervise()?;
        self.heal(true).await?;
        tokio::time::sleep(TICK).await;
        Ok(())
    }

    /// Ends some of the processes in order; their slots stay empty.
    pub(super) async fn dismiss(&mut self, chosen: impl Fn(Role) -> bool) {
        let (mut leaving, staying) = std::mem::take(&mut self.slots).into_iter().partition(|slot| chosen(slot.role));
        self.slots = staying;
        let leaving: &mut Vec<Slot> = &mut leaving;
        leaving.iter_mut().for_each(|slot| slot.signal(Signal::TERM));
        for slot in leaving {
            let Some(name) = slot.name().map(str::to_owned) else { continue };
            match slot.end(GRACE + FAREWELL).await {
                Some((_, status)) if status.success() => {}
                Some((_, status)) => {
                    self.stragglers
                        .push(format!("{name} was told to end, with nothing wrong, and ended with {status}"));
                }
                None => {
                    self.stragglers
                        .push(format!("{name} had not ended {} s after it was told to", (GRACE + FAREWELL).as_secs()));
                    slot.signal(Signal::KILL);
                }
            }
        }
    }

    /// A machine that gave us no time gave the workers none either.
    fn watch_the_machine(&mut self, last: Instant) {
        let late = last.elapsed();
        if late > STALL {
            let now = monotonic_ns();
            let from = now.saturating_sub(nanoseconds(late));
            self.faults.push(Fault {
                kind: "stall",
                from,
                healed: now,
                until: now + self.after_effect(),
                target: None,
                hands_back: false,
            });
        }
    }

    /// Gives every empty slot a new life, and notes what ended by itself.
    fn supervise(&mut self) -> Result<(), Failure> {
        for place in 0..self.slots.len() {
            if let Some((name, status)) = self.slots[place].ended() {
                let rest = Duration::from_millis(self.chance.u64(0..LONGEST_DEATH));
                self.slots[place].reborn_at = Instant::now() + rest;
                self.ended_by_itself(&name, status);
            }
            if self.slots[place].name().is_none() && Instant::now() >= self.slots[place].reborn_at {
                self.slots[place].environment = self.clock();
                self.slots[place].start()?;
            }
        }
        Ok(())
    }

    /// A process that no signal of ours has ended: poison, if there is any about; otherwise somebody should know.
    fn ended_by_itself(&mut self, name: &str, status: std::process::ExitStatus) {
        use std::os::unix::process::ExitStatusExt as _;
        let ours = self
            .faults
            .iter()
            .any(|fault| fault.target.as_deref() == Some(name) && matches!(fault.kind, "kill" | "term"));
        let now = monotonic_ns();
        let until = now + self.after_effect();
        if ours {
            return;
        }
        if status.signal() == Some(Signal::ABORT.as_raw()) && self.settings.has(FaultKind::Poison) {
            self.faults.push(Fault {
                kind: "poison",
                from: now,
                healed: now,
                until,
                target: Some(name.to_owned()),
                hands_back: false,
            });
        } else {
            self.stragglers.push(format!("{name} ended by itself, with {status}; its log is in the directory"));
        }
    }

    /// Whether the next life has the wrong time.
    fn clock(&mut self) -> Vec<(String, String)> {
        let Some(library) = self.settings.faketime.filter(|_| self.chance.u8(0..3) == 0) else { return Vec::new() };
        let offset = if self.chance.bool() { "+1h" } else { "-1h" };
        [("LD_PRELOAD", library), ("FAKETIME", offset), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    async fn inflict(&mut self, planned: &Planned) -> Result<(), Failure> {
        match planned.kind {
            FaultKind::Kill => self.strike_process(planned, Signal::KILL, Cure::Time, |_| true),
            FaultKind::Stop => self.strike_process(planned, Signal::STOP, Cure::Continue, |slot| !slot.is_stopped()),
            FaultKind::Term => self.strike_process(planned, Signal::TERM, Cure::Ended, Slot::is_worker),
            FaultKind::Restart => self.strike_server(planned, Cure::Restart).await?,
            FaultKind::Freeze => self.strike_server(planned, Cure::Thaw).await?,
            FaultKind::Link => self.strike_link(planned),
            FaultKind::Clock | FaultKind::Poison => {}
        }
        Ok(())
    }

    /// Those that live, meet no other fault, and fit.
    fn victim(&self, planned: &Planned, fits: impl Fn(&Slot) -> bool) -> Option<usize> {
        let free = |place: &usize| self.open.iter().all(|open| open.slot != Some(*place));
        let able = |place: &usize| self.slots[*place].name().is_some() && fits(&self.slots[*place]) && free(place);
        let able: Vec<_> = (0..self.slots.len()).filter(able).collect();
        (!able.is_empty()).then(|| able[planned.victim % able.len()])
    }

    fn strike_process(&mut self, planned: &Planned, signal: Signal, cure: Cure, fits: impl Fn(&Slot) -> bool) {
        let Some(place) = self.victim(planned, fits) else { return };
        let lasts = match cure {
            Cure::Time => Duration::ZERO,
            Cure::Ended => GRACE + FAREWELL,
            _ => planned.lasts,
        };
        self.note(planned.kind, Some(place), lasts, cure);
        self.slots[place].signal(signal);
    }

    fn strike_link(&mut self, planned: &Planned) {
        let Some(place) = self.victim(planned, |_| true) else { return };
        self.note(planned.kind, Some(place), planned.lasts, Cure::Mend);
        self.links.disturb(place, planned.seed);
    }

    async fn strike_server(&mut self, planned: &Planned, cure: Cure) -> Result<(), Failure> {
        // One thing at a time: a server that is stopped cannot be restarted in order.
        if self.open.iter().any(|open| matches!(open.cure, Cure::Restart | Cure::Thaw)) {
            return Ok(());
        }
        self.note(planned.kind, None, planned.lasts, cure);
        self.server(if cure == Cure::Restart { Work::Kill } else { Work::Freeze }).await
    }

    /// Notes a fault that begins now.
    fn note(&mut self, kind: FaultKind, slot: Option<usize>, lasts: Duration, cure: Cure) {
        let target = slot.and_then(|place| self.slots[place].name().map(str::to_owned));
        let from = monotonic_ns();
        let hands_back = kind == FaultKind::Term;
        self.faults.push(Fault { kind: kind.name(), from, healed: u64::MAX, until: u64::MAX, target, hands_back });
        self.open.push(Open { fault: self.faults.len() - 1, slot, until: Instant::now() + lasts, cure });
    }

    /// Ends the faults whose time is over, or all of them.
    async fn heal(&mut self, all: bool) -> Result<(), Failure> {
        let mut place = 0;
        while place < self.open.len() {
            let open = &self.open[place];
            let gone =
                open.slot.is_some_and(|slot| self.slots[slot].name() != self.faults[open.fault].target.as_deref());
            if !all && !gone && Instant::now() < open.until {
                place += 1;
                continue;
            }
            let open = self.open.remove(place);
            self.cure(&open, gone).await?;
            let now = monotonic_ns();
            (self.faults[open.fault].healed, self.faults[open.fault].until) = (now, now + self.after_effect());
        }
        Ok(())
    }

    async fn cure(&mut self, open: &Open, gone: bool) -> Result<(), Failure> {
        match (open.cure, open.slot) {
            (Cure::Continue, Some(slot)) if !gone => self.slots[slot].signal(Signal::CONT),
            (Cure::Mend, Some(slot)) => self.links.mend(slot).await,
            (Cure::Ended, Some(slot)) if !gone => self.must_end(slot).await,
            (Cure::Thaw, _) => self.server(Work::Thaw).await?,
            (Cure::Restart, _) => self.server(Work::Restart).await?,
            _ => {}
        }
        Ok(())
    }

    /// A worker that was told to end and has had its time.
    async fn must_end(&mut self, slot: usize) {
        let name = self.slots[slot].name().unwrap_or_default().to_owned();
        // When everything is healed at once its time may not be over yet.
        if self.slots[slot].end(GRACE + FAREWELL).await.is_none() {
            self.stragglers
                .push(format!("{name} had not ended {} s after it was told to", (GRACE + FAREWELL).as_secs()));
            self.slots[slot].signal(Signal::KILL);
        }
    }

    /// What a fault may still bring about after it is over: a lease that nobody renewed ends, and a worker that was cut off learns of it.
    fn after_effect(&self) -> u64 {
        nanoseconds(self.settings.lease * 2)
    }

    #[cfg(feature = "redis")]
    async fn server(&self, work: Work) -> Result<(), Failure> {
        let Some(redis) = self.arena.redis.clone() else { return Ok(()) };
        let done = tokio::task::spawn_blocking(move || match work {
            Work::Kill => {
                redis.kill();
                Ok(())
            }
            Work::Restart => redis.restart(),
            Work::Freeze => redis.freeze(),
            Work::Thaw => redis.thaw(),
        });
        let done = done.await.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        done.map_err(|error| Failure::new(Exit::Failed, crate::cli::exit::chain(&error)))
    }

    #[cfg(not(feature = "redis"))]
    async fn server(&self, _: Work) -> Result<(), Failure> {
        Ok(())
    }
}

/// What is done to the server.
#[derive(Debug, Clone, Copy)]
enum Work {
    Kill,
    Restart,
    Freeze,
    Thaw,
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
