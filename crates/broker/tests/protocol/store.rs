//! What the scripts in `crates/broker/lua` do with a store, one function each, and nothing that the protocol does not need.
//!
//! Left out, because no rule about who holds a job hangs on it: queues, priorities, due times (a retry is ready at once), suspects, revoking,
//! results and their retention. A job that dies leaves no record here.

use crate::Mutant;

/// Jobs in the world; each is a batch of its own.
pub(crate) const JOBS: usize = 2;
/// The most lives of workers: two begin, and whoever was condemned begins anew.
pub(crate) const INCARNATIONS: usize = 5;
/// Lanes of the producer: one after a gap, one after a doubt.
pub(crate) const LANES: usize = 4;
/// Losses after which a job is dead. `core::decide` says three; two lead to the same edges with fewer states.
const MAX_LOSSES: u8 = 2;

/// A hand-out: what `fetch` notes beside a job. `serial` is the model's own name of it, which no store knows and nothing takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Lease {
    pub(crate) token: u8,
    pub(crate) serial: u8,
    /// The attempt that it is, counted from 1: of the record as it was handed out.
    pub(crate) attempt: u8,
}

/// Leases by job.
pub(crate) type Leases = [Option<Lease>; JOBS];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Session {
    pub(crate) incarnation: u8,
    pub(crate) generation: u8,
}

/// Who settles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Holder {
    Session(Session),
    Condemned(u8),
}

/// What becomes of a job, as `core::decide` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Ending {
    Succeeded,
    Failed,
    HandedBack,
    Lost,
}

/// The lease of an incarnation by the store's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LeaseTime {
    /// It holds nothing.
    None,
    Holds,
    Ended,
}

/// What a script answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Done,
    SessionLost,
    NotHeld,
    Gap,
}

/// A job as the store has it. Times that something happened are what the store's present history says: a failover takes them back too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Job {
    /// Attempts and losses, while there is a record.
    pub(crate) record: Option<(u8, u8)>,
    /// How often its id stands in the ready list.
    pub(crate) ready: u8,
    /// How often a batch brought it.
    pub(crate) applied: u8,
    /// How often an attempt was counted.
    pub(crate) attempts: u8,
    /// How often it ended.
    pub(crate) ended: u8,
}

/// What a store keeps of one incarnation of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Incarnation {
    /// The newest generation of its connections, while it is registered.
    pub(crate) generation: Option<u8>,
    pub(crate) lease: LeaseTime,
    /// Condemned, and not drained yet.
    pub(crate) lost: bool,
    pub(crate) running: Leases,
}

impl Incarnation {
    const NEVER: Self = Self { generation: None, lease: LeaseTime::None, lost: false, running: [None; JOBS] };

    pub(crate) fn holds_jobs(&self) -> bool {
        self.running.iter().any(Option::is_some)
    }

    pub(crate) fn holds_any(&self, leases: Leases) -> bool {
        self.running.iter().zip(leases).any(|(held, lease)| lease.is_some() && *held == lease)
    }
}

/// What was done that must never be done, and cannot be seen afterwards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Wrongs {
    /// A settlement was applied to a job that its sender does not hold, or holds anew.
    pub(crate) stale_settled: bool,
    /// An incarnation was condemned whose lease had not ended.
    pub(crate) innocent_condemned: bool,
    /// A token was given that is not larger than all before it.
    pub(crate) token_repeated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    /// The number of the last batch of each lane.
    pub(crate) lanes: [u8; LANES],
    pub(crate) jobs: [Job; JOBS],
    pub(crate) fence: u8,
    pub(crate) incarnations: [Incarnation; INCARNATIONS],
    pub(crate) wrongs: Wrongs,
}

impl Store {
    pub(crate) fn new(workers: usize) -> Self {
        let mut store = Self {
            lanes: [0; LANES],
            jobs: [Job::default(); JOBS],
            fence: 0,
            incarnations: [Incarnation::NEVER; INCARNATIONS],
            wrongs: Wrongs::default(),
        };
        store.incarnations.iter_mut().take(workers).for_each(|worker| worker.generation = Some(1));
        store
    }

    /// `is_registered` in lib/guard.lua; without a generation any session of the worker will do.
    fn is_registered(&self, incarnation: u8, generation: Option<u8>) -> bool {
        let known = self.incarnations[usize::from(incarnation)].generation;
        known.is_some() && (generation.is_none() || known == generation)
    }

    fn admits(&self, session: Session, mutant: Option<Mutant>) -> bool {
        let asked = (mutant != Some(Mutant::NoGenerations)).then_some(session.generation);
        self.is_registered(session.incarnation, asked)
    }

    /// enqueue.lua, for a batch of one job. `again` and `applied` are one status: the job is there.
    pub(crate) fn enqueue(&mut self, lane: u8, number: u8, job: usize, mutant: Option<Mutant>) -> Status {
        let last = &mut self.lanes[usize::from(lane)];
        let again = number == *last;
        if again && mutant != Some(Mutant::NumberNotCompared) {
            return Status::Done;
        }
        if !again && number != *last + 1 {
            return Status::Gap;
        }
        *last = number;
        self.push(job);
        Status::Done
    }

    /// The number is there and the jobs are not: what [`Mutant::NumberFirst`] leaves when it is cut off in between.
    pub(crate) fn half_enqueue(&mut self, lane: u8, number: u8) {
        let last = &mut self.lanes[usize::from(lane)];
        if number == *last + 1 {
            *last = number;
        }
    }

    fn push(&mut self, job: usize) {
        let job = &mut self.jobs[job];
        job.record = Some((0, 0));
        job.ready += 1;
        job.applied += 1;
    }

    /// register.lua. The incarnation is always a new one, so its `again` never comes.
    pub(crate) fn register(&mut self, incarnation: u8) {
        self.incarnations[usize::from(incarnation)].generation = Some(1);
    }

    /// fetch.lua for one job. `newest` is the largest token that any store of this name ever gave; so many hand-outs there were, and the
    /// time in microseconds is larger than it, because a call takes longer than one.
    pub(crate) fn fetch(
        &mut self,
        session: Session,
        newest: &mut u8,
        mutant: Option<Mutant>,
    ) -> Result<Option<(usize, Lease)>, Status> {
        if !self.admits(session, mutant) {
            return Err(Status::SessionLost);
        }
        let Some(at) = self.jobs.iter().position(|job| job.ready > 0 && job.record.is_some()) else { return Ok(None) };
        let micros = *newest + 1;
        let token = match mutant {
            Some(Mutant::NoFence) => 1,
            Some(Mutant::PlainCounter) => self.fence + 1,
            _ => micros.max(self.fence + 1),
        };
        self.wrongs.token_repeated |= token <= *newest;
        *newest = micros;
        self.fence = token;
        let job = &mut self.jobs[at];
        job.ready -= 1;
        let lease = Lease { token, serial: micros, attempt: job.record.map_or(0, |(attempt, _)| attempt) + 1 };
        let worker = &mut self.incarnations[usize::from(session.incarnation)];
        worker.running[at] = Some(lease);
        worker.lease = LeaseTime::Holds;
        Ok(Some((at, lease)))
    }

    /// settle.lua. Both answers to a job that is there or not, `D` and `N`, are [`Status::Done`]: the holder forgets it.
    pub(crate) fn settle(&mut self, holder: Holder, leases: Leases, ending: Ending, mutant: Option<Mutant>) -> Status {
        let (incarnation, allowed) = match holder {
            Holder::Session(session) => (session.incarnation, self.admits(session, mutant)),
            Holder::Condemned(incarnation) => {
                let noted = self.incarnations[usize::from(incarnation)].lost;
                (incarnation, noted || mutant == Some(Mutant::CondemnWithoutNote))
            }
        };
        if !allowed {
            return Status::SessionLost;
        }
        for (job, lease) in leases.into_iter().enumerate() {
            let Some(lease) = lease else { continue };
            let held = self.incarnations[usize::from(incarnation)].running[job];
            let applies = match mutant {
                Some(Mutant::SettleWithoutOwner) => self.jobs[job].record.is_some(),
                Some(Mutant::SettleWithoutToken) => held.is_some(),
                _ => held.is_some_and(|held| held.token == lease.token),
            };
            if applies {
                self.wrongs.stale_settled |= held.map(|held| held.serial) != Some(lease.serial);
                self.incarnations[usize::from(incarnation)].running[job] = None;
                self.apply(job, lease, ending);
            }
        }
        Status::Done
    }

    /// What lib/settle.lua does with one job, and `core::decide` with its record.
    fn apply(&mut self, at: usize, lease: Lease, ending: Ending) {
        let job = &mut self.jobs[at];
        let Some((_, losses)) = job.record else { return };
        let losses = losses + u8::from(ending == Ending::Lost);
        let before = lease.attempt - 1;
        job.attempts += u8::from(ending != Ending::HandedBack);
        job.record = match ending {
            Ending::Succeeded => None,
            Ending::Lost if losses >= MAX_LOSSES => None,
            Ending::Lost | Ending::Failed => Some((lease.attempt, losses)),
            Ending::HandedBack => Some((before, losses)),
        };
        let over = job.record.is_none();
        job.ready = if over { 0 } else { job.ready + 1 };
        job.ended += u8::from(over);
    }

    /// reconcile.lua: a new generation, and what the worker holds. `newest` is as for [`Store::fetch`].
    pub(crate) fn reconcile(
        &mut self,
        incarnation: u8,
        newest: &mut u8,
        mutant: Option<Mutant>,
    ) -> Result<(u8, Leases), Status> {
        let worker = &mut self.incarnations[usize::from(incarnation)];
        let generation = worker.generation.as_mut().ok_or(Status::SessionLost)?;
        let micros = *newest + 1;
        *generation =
            if mutant == Some(Mutant::PlainGenerations) { *generation + 1 } else { micros.max(*generation + 1) };
        *newest = *generation.max(newest);
        Ok((*generation, worker.running))
    }

    /// heartbeat.lua, without the renewal of a registration, which never expires here.
    pub(crate) fn heartbeat(&mut self, incarnation: u8) -> Status {
        if !self.is_registered(incarnation, None) {
            return Status::SessionLost;
        }
        let worker = &mut self.incarnations[usize::from(incarnation)];
        worker.lease = if worker.holds_jobs() { LeaseTime::Holds } else { LeaseTime::None };
        Status::Done
    }

    /// condemn.lua.
    pub(crate) fn condemn(&mut self, incarnation: u8, mutant: Option<Mutant>) -> Status {
        let worker = &mut self.incarnations[usize::from(incarnation)];
        if worker.lease != LeaseTime::Ended {
            if mutant != Some(Mutant::CondemnUnchecked) || worker.generation.is_none() {
                return Status::NotHeld;
            }
            self.wrongs.innocent_condemned = true;
        }
        worker.lease = LeaseTime::None;
        worker.lost = mutant != Some(Mutant::CondemnWithoutNote);
        worker.generation = worker.generation.filter(|_| mutant == Some(Mutant::RegistrationSurvives));
        Status::Done
    }

    /// finish_drain.lua.
    pub(crate) fn finish_drain(&mut self, incarnation: u8) -> Status {
        let worker = &mut self.incarnations[usize::from(incarnation)];
        if !worker.lost || worker.holds_jobs() {
            return Status::NotHeld;
        }
        worker.lost = false;
        Status::Done
    }
}
