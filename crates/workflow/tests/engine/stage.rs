//! A store, a worker that is turned by hand, and conductors.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::redis::RedisBroker;
use celeriac_broker::sqlite::SqliteBroker;
use celeriac_broker::{
    Broker, Delivery, FaultyBroker, FetchRequest, Holder, Registration, Session, Settled, Settlement, StoreClock,
    WorkflowView,
};
use celeriac_core::canvas::{Evaluation, Limits, NodeKind, Plan, Workflow, compile, evaluate};
use celeriac_core::{
    Cause, Ending, Incarnation, JobId, Outcome, QueueName, Rules, State, TaskError, TaskName, Timestamp, WorkflowId,
    decide,
};
use celeriac_testkit::{ModelBroker, random_result, shared_redis, temp_sqlite};
use celeriac_workflow::{Conductor, NewId, Sight, sight, submit};
use serde_json::value::RawValue;

/// Runs each of these tests on each store.
macro_rules! on_each_store {
    ($($name:ident),+ $(,)?) => {
        mod on_the_model {
            $(#[tokio::test] async fn $name() { super::$name(crate::stage::Stage::model().await).await; })+
        }
        mod on_sqlite {
            $(#[tokio::test] async fn $name() { super::$name(crate::stage::Stage::sqlite().await).await; })+
        }
        mod on_redis {
            $(#[tokio::test] async fn $name() { super::$name(crate::stage::Stage::redis().await).await; })+
        }
    };
}
pub(crate) use on_each_store;

/// What a handler answers.
pub(crate) type Answer = Result<Box<RawValue>, String>;

/// Everything that a test of workflows needs.
pub(crate) struct Stage {
    pub(crate) faulty: Arc<FaultyBroker>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) conductor: Conductor,
    pub(crate) clock: StoreClock,
    session: Session,
    /// What ran: each step and its arguments, in this order.
    pub(crate) ran: Vec<(String, String)>,
    kind: Kind,
    _guard: Box<dyn Any>,
}

#[derive(Clone, Copy)]
enum Kind {
    Model,
    Redis,
    Sqlite,
}

impl Stage {
    pub(crate) async fn model() -> Self {
        let clock = clock();
        Self::on(Arc::new(ModelBroker::new(clock.clone())), clock, Kind::Model, Box::new(())).await
    }

    pub(crate) async fn sqlite() -> Self {
        let clock = clock();
        let (folder, url) = temp_sqlite();
        let store = SqliteBroker::open(&url, clock.clone()).await.unwrap();
        Self::on(Arc::new(store), clock, Kind::Sqlite, Box::new(folder)).await
    }

    pub(crate) async fn redis() -> Self {
        let clock = clock();
        let store = RedisBroker::connect(&shared_redis().await, clock.clone()).await.unwrap();
        Self::on(Arc::new(store), clock, Kind::Redis, Box::new(())).await
    }

    async fn on(store: Arc<dyn Broker>, clock: StoreClock, kind: Kind, guard: Box<dyn Any>) -> Self {
        let faulty = Arc::new(FaultyBroker::new(store));
        let broker: Arc<dyn Broker> = Arc::clone(&faulty) as Arc<dyn Broker>;
        let session = broker.register(&worker()).await.unwrap();
        let conductor = Conductor::new(Arc::clone(&broker));
        Self { faulty, broker, conductor, clock, session, ran: Vec::new(), kind, _guard: guard }
    }

    /// Submits a workflow whose id is `w`, which nothing in this store ever had.
    pub(crate) async fn submit(&self, workflow: &Workflow) -> Plan {
        submit(self.broker.as_ref(), workflow, NewId::fresh(w()), |_| None).await.unwrap()
    }

    /// Another stage on an empty store of the same kind.
    pub(crate) async fn fresh(&self) -> Self {
        match self.kind {
            Kind::Model => Self::model().await,
            Kind::Redis => Self::redis().await,
            Kind::Sqlite => Self::sqlite().await,
        }
    }

    /// Handles events until there are none.
    pub(crate) async fn conduct(&self) {
        while self.conductor.conduct(100).await.unwrap() > 0 {}
    }

    /// Turns the clock forward.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance_to(self.now().after(by));
    }

    fn now(&self) -> Timestamp {
        self.clock.manual_now().unwrap()
    }

    /// Takes at most so many jobs.
    pub(crate) async fn fetch(&self, max: usize) -> Vec<Delivery> {
        let queues = ["default", "q"].map(|queue| QueueName::new(queue).unwrap()).to_vec();
        let request = FetchRequest { holds_nothing: true, ..FetchRequest::new(queues, max) };
        self.broker.fetch(&self.session, &request).await.unwrap().jobs
    }

    /// Takes the job of a step, which must be the only one that is ready.
    pub(crate) async fn fetch_step(&self, step: &str) -> Delivery {
        let mut jobs = self.fetch(10).await;
        assert_eq!(steps(&jobs), [step]);
        jobs.remove(0)
    }

    /// Ends jobs.
    pub(crate) async fn settle(&self, ends: Vec<(Delivery, Ending)>) -> Vec<Settled> {
        let rules = Rules::new("worker", self.now());
        let settlement = |(Delivery { record, lease }, ending)| Settlement {
            id: JobId::clone(&record.id),
            fence: lease.fence,
            transition: decide(record, ending, &rules),
        };
        let settlements: Vec<_> = ends.into_iter().map(settlement).collect();
        self.broker.settle(&Holder::Session(self.session.clone()), &settlements).await.unwrap()
    }

    /// Ends one job, which must be held.
    pub(crate) async fn settle_one(&self, delivery: Delivery, ending: Ending) {
        assert_eq!(self.settle(vec![(delivery, ending)]).await, [Settled::Done]);
    }

    /// Takes jobs, at most `max` at a time, runs them and handles events, until there is nothing to do.
    pub(crate) async fn run_in(&mut self, max: usize, mut handler: impl FnMut(&TaskName, &str) -> Answer) {
        loop {
            self.conduct().await;
            let jobs = self.fetch(max).await;
            if jobs.is_empty() {
                return;
            }
            let mut ends = Vec::new();
            for delivery in jobs {
                let args = String::from_utf8(delivery.record.payload.clone()).unwrap();
                self.ran.push((step(&delivery), args.clone()));
                let answer = handler(&delivery.record.task, &args);
                ends.push((delivery, answer.map_or_else(died, Ending::Succeeded)));
            }
            self.settle(ends).await;
        }
    }

    pub(crate) async fn run(&mut self, handler: impl FnMut(&TaskName, &str) -> Answer) {
        self.run_in(100, handler).await;
    }

    /// Runs everything with results that tell what each step was given.
    pub(crate) async fn run_all(&mut self) {
        self.run(|task, args| Ok(random_result(task, args))).await;
    }

    /// How often each step ran.
    pub(crate) fn times(&self) -> BTreeMap<&str, usize> {
        let mut times = BTreeMap::new();
        self.ran.iter().for_each(|(step, _)| *times.entry(step.as_str()).or_default() += 1);
        times
    }

    /// What a step was given when it ran last.
    pub(crate) fn given(&self, step: &str) -> &str {
        let ran = self.ran.iter().rev().find(|(ran, _)| ran == step);
        &ran.unwrap_or_else(|| panic!("{step} did not run: {:?}", self.times())).1
    }

    pub(crate) async fn view(&self) -> WorkflowView {
        self.broker.workflow(&w()).await.unwrap().unwrap()
    }

    pub(crate) async fn sight(&self) -> Sight {
        sight(self.broker.as_ref(), &w()).await.unwrap().unwrap()
    }

    /// The end of the whole workflow, if it is noted.
    pub(crate) async fn outcome(&self) -> Option<Outcome> {
        self.broker.result(&JobId::new("w").unwrap()).await.unwrap()
    }

    /// State, result and error of the whole workflow.
    pub(crate) async fn end(&self) -> (State, Option<String>, Option<String>) {
        let outcome = self.outcome().await.expect("the workflow has ended");
        (outcome.state, outcome.result.map(|result| result.get().to_owned()), outcome.error)
    }

    /// Expects that the workflow was carried out as in one thread.
    pub(crate) async fn assert_like(&self, expected: &Evaluation, plan: &Plan) {
        for (node, (end, value)) in plan.nodes().zip(expected.ends.iter().zip(&expected.values)) {
            if node.kind() == NodeKind::OnFailure {
                // What it did when the workflow had failed stays, whatever became of that.
                continue;
            }
            let kept = self.broker.step_ends(&w(), &[node.index()], true).await.unwrap().remove(0);
            let kept = kept.filter(|kept| kept.kind().lets_go_on());
            assert_eq!(kept.is_some(), value.is_some() || matches!(end, Some(Ok(_))), "{node:?}");
            if let (Some(kept), Some(value), Some(_)) = (kept, value, node.id()) {
                assert_eq!(&kept.end.value, value, "{node:?}");
            }
        }
    }
}

fn clock() -> StoreClock {
    StoreClock::manual(Timestamp::from_millis(1_700_000_000_000))
}

/// A worker whose lease outlasts every test.
fn worker() -> Registration {
    Registration {
        incarnation: Incarnation::generate("worker").unwrap(),
        host: "host".to_owned(),
        pid: 1,
        version: "0".to_owned(),
        queues: Vec::new(),
        tasks: Vec::new(),
        lease: Duration::from_secs(86_400),
    }
}

/// The id of the workflow of a test.
pub(crate) fn w() -> WorkflowId {
    WorkflowId::new("w").unwrap()
}

pub(crate) fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

/// A handler for sums and counts: `one` answers 1, `sum` the sum of a list, `count` how many arguments it has.
pub(crate) fn ok(json: &str) -> Answer {
    Ok(raw(json))
}

/// The end of an attempt that was the last.
pub(crate) fn died(error: String) -> Ending {
    Ending::Failed { cause: Cause::Failed, error: TaskError::permanent(error) }
}

/// The name of the step whose job this is.
pub(crate) fn step(delivery: &Delivery) -> String {
    let id = delivery.record.id.as_str();
    id.strip_prefix("w:").unwrap_or(id).to_owned()
}

pub(crate) fn steps(jobs: &[Delivery]) -> Vec<String> {
    let mut steps: Vec<String> = jobs.iter().map(step).collect();
    steps.sort();
    steps
}

/// What should come of a workflow when these tasks die.
pub(crate) fn expected(workflow: &Workflow, handler: impl FnMut(&TaskName, &str) -> Answer) -> Evaluation {
    evaluate(&compile(workflow, &w(), &Limits::default()).unwrap(), handler).unwrap()
}
