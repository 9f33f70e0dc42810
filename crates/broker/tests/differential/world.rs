//! All sides, the clock they share, and what chance may choose from.

use std::time::Duration;

use celeriac_broker::conformance::{given, job_of, queue_name, registration, seconds, task_name};
use celeriac_broker::{Batch, FetchRequest, JobFilter, Lane, NewJob, Start, StoreClock};
use celeriac_core::{JobId, Priority, State, Timestamp, UniqueKey};
use proptest::sample::Index;

use crate::call::{Age, Call, JobWish, Way, Wish};
use crate::schedules::{self, Beats, ScheduleCall, ScheduleWish};
use crate::side::Side;
use crate::stores::{self, Guard};
use crate::workflows;

pub(crate) const QUEUES: [&str; 3] = ["a", "b", "c"];
pub(crate) const TASKS: [&str; 2] = ["one", "two"];
const GIVEN: [&str; 3] = ["x", "y", "z"];
pub(crate) const KEYS: [&str; 3] = ["k", "l", "m"];
const MAX_WORKERS: usize = 10;

pub(crate) struct World {
    clock: StoreClock,
    /// The model first.
    sides: Vec<Side>,
    _guards: Vec<Guard>,
    /// The last batch of each lane.
    lanes: Vec<Batch>,
    /// Every id that was ever sent.
    ids: Vec<JobId>,
    /// Ids that had an end at some time: what is looked up after each step.
    ended: Vec<JobId>,
    /// Makes every due time another one: between jobs that are due at once, stores may choose.
    uneven: u64,
    beats: Beats,
}

impl World {
    /// Empty stores, two workers, a job in each queue, two schedules and a workflow.
    pub(crate) async fn open() -> Self {
        let clock = StoreClock::manual(Timestamp::from_millis(1_764_000_000_000));
        let (sides, guards) = stores::open(&clock).await;
        let made_at = clock.manual_now().unwrap_or_default();
        let lane = |index| Lane { producer: JobId::generate().to_string(), index, made_at };
        let lanes = (0..2).map(|index| Batch { lane: lane(index), number: 0, jobs: Vec::new() }).collect();
        let mut world = Self {
            clock,
            sides,
            _guards: guards,
            lanes,
            ids: workflows::ids().collect(),
            ended: Vec::new(),
            uneven: 0,
            beats: Beats::default(),
        };
        let jobs = QUEUES.map(|queue| job_of(TASKS[0], queue)).into();
        let batch = world.next_batch(0, jobs);
        let (schedules, workflow) = (Call::Schedules(schedules::first()), Call::Workflows(workflows::first()));
        for call in [batch, world.registration(), world.registration_after(1), schedules, workflow] {
            world.carry_out(&call).await.expect("the sides begin alike");
        }
        world
    }

    fn now(&self) -> Timestamp {
        self.clock.manual_now().unwrap_or_default()
    }

    fn model(&self) -> &Side {
        &self.sides[0]
    }

    /// Lets every side do it; the difference, if there is one.
    pub(crate) async fn carry_out(&mut self, call: &Call) -> Result<(), String> {
        if let Call::Advance(by) = call {
            self.clock.advance_to(self.now().after(*by));
        } else {
            let now = self.now();
            let mut answers = Vec::new();
            for side in &mut self.sides {
                answers.push((side.name, side.answer(call, now).await));
            }
            compare("answers", &answers)?;
        }
        self.note_ends().await;
        let ended = self.ended.clone();
        self.compare_states(&ended).await?;
        if matches!(call, Call::Settle { .. } | Call::Exchange { .. } | Call::Drain { .. }) {
            // Between jobs that were parked at once, stores may choose.
            self.clock.advance_to(self.now().after(seconds(1)));
        }
        Ok(())
    }

    /// Compares all that can be seen, with the ends of all jobs there ever were.
    pub(crate) async fn compare_everything(&mut self) -> Result<(), String> {
        let ids = self.ids.clone();
        self.compare_states(&ids).await
    }

    async fn compare_states(&mut self, ends: &[JobId]) -> Result<(), String> {
        let mut states = Vec::new();
        for side in &mut self.sides {
            let state = side.state(ends).await;
            states.push((side.name, state.map_err(|error| format!("{} cannot be read: {error}", side.name))?));
        }
        compare("state", &states)
    }

    async fn note_ends(&mut self) {
        let mut fresh = Vec::new();
        for id in self.ids.iter().filter(|id| !self.ended.contains(id)) {
            if self.model().broker.result(id).await.is_ok_and(|end| end.is_some()) {
                fresh.push(id.clone());
            }
        }
        self.ended.extend(fresh);
    }

    /// Makes calls of a wish; none if there is nobody they could be about.
    pub(crate) async fn decide(&mut self, wish: &Wish) -> Vec<Call> {
        match wish {
            Wish::Vanish { worker } => self.vanish(worker),
            Wish::Schedules(wish) => self.schedule(wish).await,
            Wish::Workflows(wish) => {
                vec![Call::Workflows(workflows::decide(wish, self.model().broker.as_ref(), self.now()).await)]
            }
            _ => self.decide_one(wish).await.into_iter().collect(),
        }
    }

    async fn schedule(&mut self, wish: &ScheduleWish) -> Vec<Call> {
        let (now, model) = (self.now(), self.model().broker.clone());
        let calls = self.beats.decide(wish, model.as_ref(), now).await;
        self.note_ids(calls.iter().flat_map(ScheduleCall::jobs));
        calls.into_iter().map(Call::Schedules).collect()
    }

    /// Notes ids that are sent.
    fn note_ids(&mut self, ids: impl IntoIterator<Item = JobId>) {
        self.ids.extend(ids);
        self.ids.sort();
        self.ids.dedup();
    }

    fn vanish(&self, worker: &Index) -> Vec<Call> {
        let gone = worker.index(self.workers());
        let mut calls = vec![Call::Advance(seconds(15))];
        calls.extend(
            (0..self.workers()).filter(|other| *other != gone).map(|worker| Call::Heartbeat { worker, session: 0 }),
        );
        calls.extend([
            Call::Advance(seconds(10)),
            Call::Condemn(10),
            Call::Drain { worker: gone, count: 100, way: Way::Lose },
            Call::FinishDrain { worker: gone },
        ]);
        calls
    }

    async fn decide_one(&mut self, wish: &Wish) -> Option<Call> {
        Some(match wish {
            Wish::Enqueue { lane, jobs } => {
                let jobs = jobs.iter().map(|job| self.new_job(job)).collect();
                self.next_batch(*lane, jobs)
            }
            Wish::Resend { lane } if self.lanes[*lane].number == 0 => return None,
            Wish::Resend { lane } => Call::Enqueue(self.lanes[*lane].clone()),
            Wish::Skip { lane, ahead } => self.skipped(*lane, *ahead)?,
            Wish::Register if self.workers() < MAX_WORKERS => self.registration(),
            Wish::Register => return None,
            Wish::Reconcile { worker, age } => {
                let (worker, session) = self.session(worker, *age);
                Call::Reconcile { worker, session }
            }
            Wish::Heartbeat { worker, age } => {
                let (worker, session) = self.session(worker, *age);
                Call::Heartbeat { worker, session }
            }
            Wish::Fetch { worker, age, queues, max_jobs, lowest_first } => {
                self.fetch((worker, *age), queues, *max_jobs, *lowest_first).await
            }
            Wish::Settle { worker, age, picks } => self.settle(worker, *age, picks).await?,
            Wish::Exchange { worker, age, picks, queues, max_jobs } => {
                let Call::Settle { worker: number, session, picks } = self.settle(worker, *age, picks).await? else {
                    return None;
                };
                let Call::Fetch { mut request, .. } = self.fetch((worker, *age), queues, *max_jobs, false).await else {
                    return None;
                };
                let held = self.held_by(number).await;
                request.holds_nothing = held.iter().all(|held| picks.iter().any(|(delivery, _)| delivery == held));
                Call::Exchange { worker: number, session, picks, request }
            }
            Wish::SettleStray { worker, picks } => {
                let (worker, session) = self.session(worker, Age::Newest);
                let all: Vec<_> = (0..self.model().deliveries.len()).collect();
                Call::Settle { worker, session, picks: self.choose(&all, picks)? }
            }
            _ => return self.decide_upkeep(wish).await,
        })
    }

    async fn decide_upkeep(&mut self, wish: &Wish) -> Option<Call> {
        Some(match wish {
            Wish::Deregister { worker } => {
                let (worker, session) = self.session(worker, Age::Newest);
                let own = &self.model().sessions[worker][session].incarnation;
                let registered = self.model().broker.workers().await.ok()?;
                registered.iter().find(|view| view.incarnation == *own)?;
                Call::Deregister { worker, session }
            }
            Wish::Drain { worker, count, way } => {
                // A drain leaves many jobs one way at one instant, so only ways by which no order is left open.
                let way = if matches!(way, Way::Retry(_) | Way::Park) { Way::Lose } else { *way };
                Call::Drain { worker: worker.index(self.workers()), count: *count, way }
            }
            Wish::FinishDrain { worker } => Call::FinishDrain { worker: worker.index(self.workers()) },
            Wish::Advance { seconds } => Call::Advance(Duration::from_secs(*seconds)),
            Wish::Promote { max } => Call::Promote(*max),
            Wish::Condemn { max } => Call::Condemn(*max),
            Wish::RetryDead { picks } => self.retry_dead(picks).await?,
            Wish::Pause { queue, paused } => Call::Pause(queue_name(name(queue, &QUEUES)), *paused),
            Wish::Release { task, max } => Call::Release(task_name(name(task, &TASKS)), *max),
            Wish::Prune => Call::Prune,
            Wish::Revoke { picks } => Call::Revoke(self.some(picks)),
            Wish::Delete { picks } => match self.retry_dead(picks).await? {
                Call::RetryDead(ids) => Call::Delete(ids),
                _ => return None,
            },
            Wish::Purge { queue } => Call::Purge(queue_name(name(queue, &QUEUES))),
            _ => return None,
        })
    }

    /// Dead jobs, and one that may be anything.
    async fn retry_dead(&self, picks: &[Index]) -> Option<Call> {
        let mut filter = JobFilter::default();
        (filter.state, filter.limit) = (Some(State::Dead), 1000);
        let mut dead: Vec<_> = self.model().broker.jobs(&filter).await.ok()?.into_iter().map(|job| job.id).collect();
        dead.push(picks.first()?.get(&self.ids).clone());
        Some(Call::RetryDead(picks.iter().map(|pick| pick.get(&dead).clone()).collect()))
    }

    /// Some of all the ids there ever were, each once.
    fn some(&self, picks: &[Index]) -> Vec<JobId> {
        let mut ids: Vec<_> = picks.iter().map(|pick| pick.get(&self.ids).clone()).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    fn workers(&self) -> usize {
        self.model().sessions.len()
    }

    fn session(&self, worker: &Index, age: Age) -> (usize, usize) {
        let worker = worker.index(self.workers());
        let newest = self.model().sessions[worker].len() - 1;
        (worker, if matches!(age, Age::Older) { newest.saturating_sub(1) } else { newest })
    }

    fn registration(&self) -> Call {
        self.registration_after(0)
    }

    /// A worker whose leases never end together with another's, or on a whole second.
    fn registration_after(&self, more: usize) -> Call {
        let number = self.workers() + more;
        let lease = Duration::from_millis(20_007 + 13 * number as u64);
        Call::Register(registration(&format!("worker-{number}"), lease))
    }

    fn next_batch(&mut self, lane: usize, jobs: Vec<NewJob>) -> Call {
        self.note_ids(jobs.iter().map(|job| job.record.id.clone()));
        let last = &mut self.lanes[lane];
        *last = Batch { lane: last.lane.clone(), number: last.number + 1, jobs };
        Call::Enqueue(last.clone())
    }

    /// A batch with a number out of turn: before the last one, or after the next one.
    fn skipped(&self, lane: usize, ahead: u64) -> Option<Call> {
        let last = &self.lanes[lane];
        let number =
            if ahead == 0 { last.number.checked_sub(1).filter(|number| *number > 0)? } else { last.number + 1 + ahead };
        Some(Call::Enqueue(Batch { lane: last.lane.clone(), number, jobs: vec![job_of(TASKS[0], QUEUES[0])] }))
    }

    fn uneven(&mut self, duration: Duration) -> Duration {
        self.uneven += 1;
        duration + Duration::from_millis(self.uneven)
    }

    fn new_job(&mut self, wish: &JobWish) -> NewJob {
        let queue = name(&wish.queue, &QUEUES);
        let mut job = match &wish.given {
            Some(id) => given(name(id, &GIVEN), queue),
            None => job_of(TASKS[0], queue),
        };
        job.record.task = task_name(name(&wish.task, &TASKS));
        job.record.priority = Priority::new(wish.priority).unwrap_or_default();
        job.record.options.unique = wish.unique.and_then(|unique| UniqueKey::new(name(&unique, &KEYS)).ok());
        if wish.delay > 0 {
            job.start = Start::After(self.uneven(Duration::from_secs(wish.delay)));
        }
        job
    }

    async fn fetch(&self, (worker, age): (&Index, Age), queues: &[Index], max_jobs: usize, lowest_first: bool) -> Call {
        let (worker, session) = self.session(worker, age);
        let mut names = Vec::new();
        for queue in queues.iter().map(|queue| queue_name(name(queue, &QUEUES))) {
            if !names.contains(&queue) {
                names.push(queue);
            }
        }
        let holds_nothing = self.held_by(worker).await.is_empty();
        let request = FetchRequest { holds_nothing, lowest_first, ..FetchRequest::new(names, max_jobs) };
        Call::Fetch { worker, session, request }
    }

    /// The deliveries that a worker still holds.
    async fn held_by(&self, worker: usize) -> Vec<usize> {
        let model = self.model();
        let own = &model.sessions[worker][0].incarnation;
        let mut held = Vec::new();
        for (number, delivery) in model.deliveries.iter().enumerate() {
            let view = model.broker.job(&delivery.record.id).await.ok().flatten();
            let current =
                view.is_some_and(|view| view.state == State::Running && view.fence == Some(delivery.lease.fence));
            if current && delivery.lease.holder == *own {
                held.push(number);
            }
        }
        held
    }

    async fn settle(&mut self, worker: &Index, age: Age, picks: &[(Index, Way)]) -> Option<Call> {
        let (worker, session) = self.session(worker, age);
        let held = self.held_by(worker).await;
        Some(Call::Settle { worker, session, picks: self.choose(&held, picks)? })
    }

    /// Chooses deliveries; each retry gets a due time of its own, and only one job is parked.
    fn choose(&mut self, from: &[usize], picks: &[(Index, Way)]) -> Option<Vec<(usize, Way)>> {
        if from.is_empty() {
            return None;
        }
        let mut chosen = Vec::new();
        let mut parks = false;
        for (pick, way) in picks {
            let way = match way {
                Way::Retry(delay) => Way::Retry(self.uneven(*delay)),
                Way::Park if parks => Way::HandBack,
                other => *other,
            };
            parks |= way == Way::Park;
            chosen.push((*pick.get(from), way));
        }
        Some(chosen)
    }
}

pub(crate) fn name(choice: &Index, names: &[&'static str]) -> &'static str {
    names[choice.index(names.len())]
}

fn compare(what: &str, all: &[(&str, String)]) -> Result<(), String> {
    let (_, expected) = &all[0];
    for (name, found) in &all[1..] {
        if found == expected {
            continue;
        }
        let differing: Vec<_> = expected.lines().filter(|line| !found.lines().any(|other| other == *line)).collect();
        let instead: Vec<_> = found.lines().filter(|line| !expected.lines().any(|other| other == *line)).collect();
        return Err(format!("{what}: the model has\n{}\nand {name} has\n{}", differing.join("\n"), instead.join("\n")));
    }
    Ok(())
}
