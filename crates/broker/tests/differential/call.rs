//! What is wished for, by chance, and what comes of it: a call that is the same for every side.

use std::time::Duration;

use celeriac_broker::{Batch, FetchRequest, Registration};
use celeriac_core::{JobId, QueueName, TaskName};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::schedules::{ScheduleCall, ScheduleWish, scheduling};
use crate::workflows::{WorkflowCall, WorkflowWish, carrying_out};

/// A way out of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Succeed,
    SucceedUnkept,
    Retry(Duration),
    Die,
    HandBack,
    Park,
    Lose,
    Revoke,
}

/// How a job is sent.
#[derive(Debug, Clone)]
pub(crate) struct JobWish {
    pub(crate) queue: Index,
    pub(crate) task: Index,
    /// Seconds; 0 is now.
    pub(crate) delay: u64,
    pub(crate) given: Option<Index>,
    pub(crate) priority: u8,
    pub(crate) unique: Option<Index>,
}

/// Which session of a worker speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Age {
    Newest,
    Older,
}

/// Something by chance; whom it is about is decided when it is known who there is.
#[derive(Debug, Clone)]
pub(crate) enum Wish {
    Enqueue {
        lane: usize,
        jobs: Vec<JobWish>,
    },
    Resend {
        lane: usize,
    },
    Skip {
        lane: usize,
        ahead: u64,
    },
    Register,
    Reconcile {
        worker: Index,
        age: Age,
    },
    Heartbeat {
        worker: Index,
        age: Age,
    },
    Deregister {
        worker: Index,
    },
    Fetch {
        worker: Index,
        age: Age,
        queues: Vec<Index>,
        max_jobs: usize,
        lowest_first: bool,
    },
    Settle {
        worker: Index,
        age: Age,
        picks: Vec<(Index, Way)>,
    },
    Exchange {
        worker: Index,
        age: Age,
        picks: Vec<(Index, Way)>,
        queues: Vec<Index>,
        max_jobs: usize,
    },
    /// Settles deliveries whoever holds them, under whatever token.
    SettleStray {
        worker: Index,
        picks: Vec<(Index, Way)>,
    },
    Drain {
        worker: Index,
        count: usize,
        way: Way,
    },
    FinishDrain {
        worker: Index,
    },
    /// Lets a worker fall silent while the others live, until it is condemned and drained.
    Vanish {
        worker: Index,
    },
    Advance {
        seconds: u64,
    },
    Promote {
        max: usize,
    },
    Condemn {
        max: usize,
    },
    RetryDead {
        picks: Vec<Index>,
    },
    Pause {
        queue: Index,
        paused: bool,
    },
    Release {
        task: Index,
        max: usize,
    },
    Prune,
    Revoke {
        picks: Vec<Index>,
    },
    Delete {
        picks: Vec<Index>,
    },
    Purge {
        queue: Index,
    },
    Schedules(ScheduleWish),
    Workflows(WorkflowWish),
}

fn ways() -> impl Strategy<Value = Way> {
    prop_oneof![
        4 => Just(Way::Succeed),
        1 => Just(Way::SucceedUnkept),
        4 => (1u64..40).prop_map(|seconds| Way::Retry(Duration::from_secs(seconds))),
        2 => Just(Way::Die),
        3 => Just(Way::HandBack),
        2 => Just(Way::Park),
        1 => Just(Way::Lose),
        1 => Just(Way::Revoke),
    ]
}

fn ages() -> impl Strategy<Value = Age> {
    prop_oneof![8 => Just(Age::Newest), 1 => Just(Age::Older)]
}

fn jobs() -> impl Strategy<Value = JobWish> {
    let delay = prop_oneof![3 => Just(0u64), 1 => 1u64..60];
    let maybe = |chance| proptest::option::weighted(chance, any::<Index>());
    let priority = prop_oneof![3 => Just(5u8), 2 => 0u8..10];
    (any::<Index>(), any::<Index>(), delay, maybe(0.4), priority, maybe(0.3)).prop_map(
        |(queue, task, delay, given, priority, unique)| JobWish { queue, task, delay, given, priority, unique },
    )
}

fn picks() -> impl Strategy<Value = Vec<(Index, Way)>> {
    proptest::collection::vec((any::<Index>(), ways()), 1..4)
}

fn producing() -> impl Strategy<Value = Wish> {
    prop_oneof![
        8 => (0usize..2, proptest::collection::vec(jobs(), 0..5)).prop_map(|(lane, jobs)| Wish::Enqueue { lane, jobs }),
        1 => (0usize..2).prop_map(|lane| Wish::Resend { lane }),
        1 => (0usize..2, 0u64..2).prop_map(|(lane, ahead)| Wish::Skip { lane, ahead }),
    ]
}

fn working() -> impl Strategy<Value = Wish> {
    let worker = any::<Index>;
    let queues = || proptest::collection::vec(any::<Index>(), 1..4);
    prop_oneof![
        2 => Just(Wish::Register),
        1 => (worker(), ages()).prop_map(|(worker, age)| Wish::Reconcile { worker, age }),
        3 => (worker(), ages()).prop_map(|(worker, age)| Wish::Heartbeat { worker, age }),
        1 => worker().prop_map(|worker| Wish::Deregister { worker }),
        10 => (worker(), ages(), queues(), 0usize..5, proptest::bool::weighted(0.2)).prop_map(
            |(worker, age, queues, max_jobs, lowest_first)| Wish::Fetch { worker, age, queues, max_jobs, lowest_first }
        ),
        8 => (worker(), ages(), picks()).prop_map(|(worker, age, picks)| Wish::Settle { worker, age, picks }),
        6 => (worker(), ages(), picks(), queues(), 0usize..5).prop_map(|(worker, age, picks, queues, max_jobs)| {
            Wish::Exchange { worker, age, picks, queues, max_jobs }
        }),
        2 => (worker(), picks()).prop_map(|(worker, picks)| Wish::SettleStray { worker, picks }),
    ]
}

fn keeping() -> impl Strategy<Value = Wish> {
    let index = any::<Index>;
    prop_oneof![
        5 => (1u64..30).prop_map(|seconds| Wish::Advance { seconds }),
        1 => (100u64..300).prop_map(|seconds| Wish::Advance { seconds }),
        4 => (1usize..6).prop_map(|max| Wish::Promote { max }),
        4 => (1usize..3).prop_map(|max| Wish::Condemn { max }),
        4 => (index(), 1usize..4, ways()).prop_map(|(worker, count, way)| Wish::Drain { worker, count, way }),
        4 => (index(), Just(100), Just(Way::Lose)).prop_map(|(worker, count, way)| Wish::Drain { worker, count, way }),
        2 => index().prop_map(|worker| Wish::FinishDrain { worker }),
        5 => index().prop_map(|worker| Wish::Vanish { worker }),
        2 => proptest::collection::vec(index(), 1..4).prop_map(|picks| Wish::RetryDead { picks }),
        2 => (index(), any::<bool>()).prop_map(|(queue, paused)| Wish::Pause { queue, paused }),
        2 => (index(), 1usize..4).prop_map(|(task, max)| Wish::Release { task, max }),
        1 => Just(Wish::Prune),
        4 => proptest::collection::vec(index(), 1..4).prop_map(|picks| Wish::Revoke { picks }),
        1 => proptest::collection::vec(index(), 1..3).prop_map(|picks| Wish::Delete { picks }),
        1 => index().prop_map(|queue| Wish::Purge { queue }),
    ]
}

pub(crate) fn wishes() -> impl Strategy<Value = Wish> {
    let scheduling = scheduling().prop_map(Wish::Schedules);
    let carrying_out = carrying_out().prop_map(Wish::Workflows);
    prop_oneof![3 => producing(), 8 => working(), 6 => keeping(), 5 => scheduling, 6 => carrying_out]
}

/// Mostly about workflows, so that what happened to one matters for what happens next.
pub(crate) fn workflow_wishes() -> impl Strategy<Value = Wish> {
    prop_oneof![4 => working(), 2 => keeping(), 9 => carrying_out().prop_map(Wish::Workflows)]
}

/// A call, the same for every side. Workers, sessions and deliveries are counted in the order in which they came to be.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Enqueue(Batch),
    Register(Registration),
    Reconcile { worker: usize, session: usize },
    Heartbeat { worker: usize, session: usize },
    Deregister { worker: usize, session: usize },
    Fetch { worker: usize, session: usize, request: FetchRequest },
    Settle { worker: usize, session: usize, picks: Vec<(usize, Way)> },
    Exchange { worker: usize, session: usize, picks: Vec<(usize, Way)>, request: FetchRequest },
    Drain { worker: usize, count: usize, way: Way },
    FinishDrain { worker: usize },
    Advance(Duration),
    Promote(usize),
    Condemn(usize),
    RetryDead(Vec<JobId>),
    Pause(QueueName, bool),
    Release(TaskName, usize),
    Prune,
    Revoke(Vec<JobId>),
    Delete(Vec<JobId>),
    Purge(QueueName),
    Schedules(ScheduleCall),
    Workflows(WorkflowCall),
}
