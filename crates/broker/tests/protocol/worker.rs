//! What the processes know: a worker with its fetcher, settler, heartbeat, session and reclaimer, and a producer with its lane.

use crate::store::{Ending, Holder, JOBS, Lease, Leases, Session};

/// A command that some process has given up on: its connection is dead, and the store may still carry it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Command {
    Enqueue { lane: u8, number: u8, job: u8 },
    Register(u8),
    Fetch(Session),
    Settle { holder: Holder, leases: Leases, ending: Ending },
    Reconcile(u8),
    Heartbeat(u8),
    Condemn(u8),
    FinishDrain(u8),
}

/// How a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It is carried out and answered.
    Answered,
    /// It is carried out, and the answer is lost.
    Swallowed,
    /// Its connection is lost before it is carried out, and it is left pending there.
    LeftPending,
}

/// The end of an attempt on its way to the store (`ends.rs`), until an answer to it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct End {
    pub(crate) lease: Lease,
    pub(crate) ending: Ending,
}

/// What `session.rs` is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mend {
    /// The session works, as far as the worker knows.
    No,
    /// A call failed: `recover` waits for the gate.
    Due,
    /// The store has answered a reconcile, and the comparison is still to come.
    Compare { generation: u8, listed: Leases },
    /// What the store lists and this process does not know is to be handed back.
    HandBack(Leases),
    /// Everything is lost: `start_over`.
    StartOver,
}

/// What `reclaimer.rs` is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reclaim {
    No,
    /// Its lease had ended when somebody looked.
    Looked(u8),
    /// It is condemned.
    Found(u8),
    /// `held_by` has answered what it holds.
    Listed(u8, Leases),
}

/// An answer to a fetch that the fetcher has not looked at yet, with the session that was current when it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Answer {
    pub(crate) session: Session,
    pub(crate) job: usize,
    pub(crate) lease: Lease,
}

/// A worker process. One that is paused is one that takes no step for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Worker {
    pub(crate) session: Session,
    pub(crate) mend: Mend,
    pub(crate) answer: Option<Answer>,
    /// `held.rs`: from the hand-out until the settlement is answered.
    pub(crate) held: Leases,
    pub(crate) ends: [Option<End>; JOBS],
    pub(crate) reclaim: Reclaim,
}

impl Worker {
    pub(crate) fn new(incarnation: u8) -> Self {
        Self {
            session: Session { incarnation, generation: 1 },
            mend: Mend::No,
            answer: None,
            held: [None; JOBS],
            ends: [None; JOBS],
            reclaim: Reclaim::No,
        }
    }

    /// The hand-out whose handler runs.
    pub(crate) fn runs(&self, job: usize) -> Option<Lease> {
        self.held[job].filter(|lease| self.ends[job].is_none_or(|end| end.lease.token != lease.token))
    }

    pub(crate) fn running(&self) -> usize {
        (0..JOBS).filter(|job| self.runs(*job).is_some()).count()
    }

    /// Those of `listed` that this process does not know.
    pub(crate) fn unknown(&self, listed: Leases) -> Leases {
        let knows = |job: usize, token| self.held[job].is_some_and(|held| held.token == token);
        std::array::from_fn(|job| listed[job].filter(|lease| !knows(job, lease.token)))
    }

    /// `held.rs`, `keep_only`: handlers of the others are told to stop.
    pub(crate) fn keep_only(&mut self, listed: Leases) {
        for (held, listed) in self.held.iter_mut().zip(listed) {
            *held = held.filter(|lease| listed.is_some_and(|listed| listed.token == lease.token));
        }
    }

    /// `settler.rs`, `conclude`: done or not held, the job is forgotten.
    pub(crate) fn conclude(&mut self, job: usize, token: u8) {
        self.ends[job] = None;
        self.held[job] = self.held[job].filter(|held| held.token != token);
    }

    /// `session.rs`, `recover`: after a call of the session in use failed.
    pub(crate) fn recover(&mut self) {
        if matches!(self.mend, Mend::No | Mend::HandBack(_)) {
            self.mend = Mend::Due;
        }
    }
}

/// A producer with one lane (`lane.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Producer {
    pub(crate) lane: u8,
    /// The number of the next batch, or of the one under way.
    pub(crate) number: u8,
    /// The job of that batch.
    pub(crate) job: u8,
    /// A copy of that batch was sent, and its answer did not come.
    pub(crate) in_doubt: bool,
    /// What the producer was told that the store has, and what a failover has not taken back since.
    pub(crate) accepted: [bool; JOBS],
}

impl Producer {
    pub(crate) const NEW: Self = Self { lane: 0, number: 1, job: 0, in_doubt: false, accepted: [false; JOBS] };

    /// A lane that nobody has used; what is in flight begins anew on it.
    pub(crate) fn leave_lane(&mut self) {
        self.lane += 1;
        self.number = 1;
        self.in_doubt = false;
    }
}
