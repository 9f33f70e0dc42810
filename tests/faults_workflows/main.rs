//! Random workflows and a large chord while workers are killed and answers of the store are swallowed: every step that should run has run, each began once, and
//! the results are those of a sequential evaluation. Then what was fatal is mended, and all go on to their end.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]
#![expect(clippy::print_stdout, reason = "what was run is shown to who asks for it")]

#[path = "../support/mod.rs"]
mod support;

mod random;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac::broker::{Broker, KeptEnd, MAX_STEPS, WorkflowView};
use celeriac::canvas::{Canvas, EndKind, Evaluation, Limits, NodeKind, Plan, WhenDead, Workflow, compile, evaluate};
use celeriac_core::WorkflowId;
use celeriac_testkit::{FaultProxy, Kind, Plan as LinkPlan};
use celeriac_workflow::{NewId, retry, submit};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use support::{Bench, Process};
use worker::{FOLDER, MENDED};

/// How many workflows run at once.
const WORKFLOWS: usize = 40;
/// Members of the chord beside them: more than a call begins.
const MEMBERS: usize = 2 * MAX_STEPS + 200;
const WORKERS: usize = 3;
/// A worker is killed this often: so rarely that each lives longer than its lease, or nobody would take back what the dead have held.
const KILL_EVERY: Duration = Duration::from_millis(900);
const PATIENCE: Duration = Duration::from_secs(240);

/// A workflow under way, and what should come of it.
struct Case {
    plan: Plan,
    /// As it is, and when nothing fails.
    expected: Evaluation,
    mended: Evaluation,
}

impl Case {
    fn of(workflow: &Workflow, id: &WorkflowId) -> Self {
        let plan = compile(workflow, id, &Limits::default()).unwrap();
        // A failure ends an evaluation at once, and in a run what is beside it may have begun: so what can be reached is compared.
        let patient = workflow.clone().when_dead(match plan.when_dead() {
            WhenDead::Fail => WhenDead::Wait,
            other => other,
        });
        let reach = compile(&patient, id, &Limits::default()).unwrap();
        let expected = evaluate(&reach, |task, args| match task.as_str() {
            "fatal" => Err("fatal".to_owned()),
            task => Ok(worker::answer(task, args)),
        });
        let mended = evaluate(&plan, |task, args| Ok(worker::answer(task.as_str(), args)));
        Self { expected: expected.unwrap(), mended: mended.unwrap(), plan }
    }

    fn id(&self) -> &WorkflowId {
        self.plan.workflow()
    }

    async fn ends(&self, broker: &dyn Broker) -> Vec<Option<KeptEnd>> {
        let nodes: Vec<u32> = (0..self.plan.len() as u32).collect();
        let mut ends = Vec::new();
        while ends.len() < nodes.len() {
            let page = &nodes[ends.len()..nodes.len().min(ends.len() + MAX_STEPS)];
            ends.extend(broker.step_ends(self.id(), page, true).await.unwrap());
        }
        ends
    }

    /// Whether everything has ended that can before somebody mends it.
    async fn rests(&self, broker: &dyn Broker, view: &WorkflowView) -> bool {
        if self.plan.when_dead() != WhenDead::Wait || view.ended_at.is_some() {
            return view.ended_at.is_some();
        }
        let ends = self.ends(broker).await;
        let reached = self.plan.nodes().filter(|node| is_step(node.kind())).all(|node| {
            let index = node.index() as usize;
            self.expected.ends[index].is_none() || ends[index].is_some()
        });
        reached && self.failed_as_it_should()
    }

    fn failed_as_it_should(&self) -> bool {
        self.expected.values[self.plan.output() as usize].is_none()
    }

    /// Compares values with those of an evaluation; those of an evaluation that nobody needs may be missing.
    fn compare(&self, ends: &[Option<KeptEnd>], evaluation: &Evaluation, all: bool) {
        for node in self.plan.nodes().filter(|node| node.kind() == NodeKind::Step) {
            let (end, expected) = (&ends[node.index() as usize], &evaluation.values[node.index() as usize]);
            let name = format!("{}:{}", self.id(), node.name());
            match end {
                Some(kept) if kept.kind().lets_go_on() => {
                    let expected = expected.as_ref().unwrap_or_else(|| panic!("{name} should not have ended well"));
                    assert_eq!(without_attempts(&kept.end.value), without_attempts(expected), "{name}");
                }
                Some(kept) => assert!(expected.is_none(), "{name} ended without success: {}", kept.end.value),
                None => assert!(!all || expected.is_none(), "{name} has not run"),
            }
        }
    }
}

/// A value with the number of attempts left out, which depends on whom was killed.
fn without_attempts(value: &str) -> String {
    let mut parts = value.split("\"attempts\":");
    let mut text = parts.next().unwrap_or_default().to_owned();
    parts.for_each(|part| text.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit())));
    text
}

fn is_step(kind: NodeKind) -> bool {
    matches!(kind, NodeKind::Step | NodeKind::Join)
}

fn workflows(seed: u8) -> Vec<Workflow> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let compiles = |workflow: &Workflow| compile(workflow, &"w".parse().unwrap(), &Limits::default()).is_ok();
    let mut any = || random::workflows().new_tree(&mut runner).unwrap().current();
    std::iter::repeat_with(&mut any).filter(compiles).take(WORKFLOWS).collect()
}

/// A chord of so many members that they are begun in pieces, and end in calls with others.
fn large() -> Workflow {
    let members = (0..MEMBERS).map(|_| Canvas::step("quick"));
    let chord = Canvas::group(members).join(Canvas::step("mix"));
    // Under a policy that makes nothing anew, so that no attempt may take place twice.
    Workflow::new(chord.then(Canvas::group([Canvas::step("mix")]))).when_dead(WhenDead::Wait)
}

/// Workers that are killed one after the other while something is awaited.
struct Crew {
    bench: Bench,
    url: String,
    workers: Vec<Option<Process>>,
    lives: usize,
    last: Instant,
}

impl Crew {
    fn new(bench: Bench, url: String) -> Self {
        let workers = (0..WORKERS).map(|_| None).collect();
        let mut crew = Self { bench, url, workers, lives: 0, last: Instant::now() };
        (0..WORKERS).for_each(|slot| crew.start(slot));
        crew
    }

    fn start(&mut self, slot: usize) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "a_worker_of_this_test", "--ignored", "--nocapture"]);
        command.env(FOLDER, self.bench.folder.path()).env("RUST_BACKTRACE", "0");
        self.lives += 1;
        self.workers[slot] = Some(self.bench.start_at(&self.url, &format!("worker-{slot}"), command));
    }

    /// Kills the next worker if it is time, and starts another one in its place.
    fn turn(&mut self) {
        if self.last.elapsed() > KILL_EVERY {
            let slot = self.lives % WORKERS;
            self.workers[slot].take().unwrap().kill();
            self.start(slot);
            self.last = Instant::now();
        }
    }
}

/// Other workflows than usual, for whoever asks for them.
fn seed(usual: u8) -> u8 {
    std::env::var("CELERIAC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(usual)
}

/// Carries random workflows out while workers are killed, and compares what came of them.
async fn storm(crew: &mut Crew, broker: &Arc<dyn Broker>, seed: u8) {
    let mut cases = Vec::new();
    for (number, workflow) in workflows(seed).into_iter().chain([large()]).enumerate() {
        let id: WorkflowId = format!("w{number}").parse().unwrap();
        cases.push(Case::of(&workflow, &id));
        // Nothing in this store ever had one of these ids. The store is told of every second.
        let new = if number % 2 == 0 { NewId::fresh(id) } else { NewId::from(id) };
        submit(broker.as_ref(), &workflow, new, |_| None).await.unwrap();
    }
    let steps: usize = cases.iter().map(|case| case.plan.steps()).sum();
    let mut open: BTreeSet<usize> = (0..cases.len()).collect();
    let began = Instant::now();
    while !open.is_empty() {
        crew.turn();
        for number in open.clone() {
            let case = &cases[number];
            let view = broker.workflow(case.id()).await.unwrap().unwrap();
            if case.rests(broker.as_ref(), &view).await {
                open.remove(&number);
            }
        }
        assert!(began.elapsed() < PATIENCE, "still open: {}", describe(&cases, &open, broker.as_ref()).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for case in &cases {
        case.compare(&case.ends(broker.as_ref()).await, &case.expected, case.plan.when_dead() != WhenDead::Fail);
    }
    let first = began.elapsed();

    std::fs::write(crew.bench.path(MENDED), "").unwrap();
    let mut open: BTreeSet<usize> = (0..cases.len()).collect();
    let mut retried = 0;
    while !open.is_empty() {
        crew.turn();
        for number in open.clone() {
            let case = &cases[number];
            let view = broker.workflow(case.id()).await.unwrap().unwrap();
            if view.failures > 0 {
                retried += retry(broker.as_ref(), case.id(), None).await.unwrap_or_default();
            } else if view.ended_at.is_some() && !view.halted {
                open.remove(&number);
            }
        }
        assert!(began.elapsed() < 2 * PATIENCE, "not mended: {}", describe(&cases, &open, broker.as_ref()).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for case in &cases {
        let evaluation = if case.plan.when_dead() == WhenDead::Continue { &case.expected } else { &case.mended };
        case.compare(&case.ends(broker.as_ref()).await, evaluation, true);
    }
    println!(
        "{} workflows of {steps} steps, {} lives of workers: at rest after {first:?}, {retried} steps retried, at the end after {:?}",
        cases.len(),
        crew.lives,
        began.elapsed()
    );
    each_began_once(&crew.bench, &cases);
}

/// No attempt of a step took place twice, unless its workflow had failed and it was made anew; and each attempt was given the same.
fn each_began_once(bench: &Bench, cases: &[Case]) {
    let mut given: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (line, times) in bench.ledger() {
        let mut words = line.split(' ');
        let (id, attempt, answer) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let (workflow, step) = id.split_once(':').unwrap();
        let case = cases.iter().find(|case| case.id().as_str() == workflow).unwrap();
        let made_anew = case.plan.when_dead() == WhenDead::Fail;
        assert!(times == 1 || made_anew, "attempt {attempt} of {id} took place {times} times");
        if step != "on_failure" {
            given.entry(id.to_owned()).or_default().insert(answer.to_owned());
        }
    }
    for (id, answers) in given {
        assert_eq!(answers.len(), 1, "{id} was given different arguments: {answers:?}");
    }
}

async fn describe(cases: &[Case], open: &BTreeSet<usize>, broker: &dyn Broker) -> String {
    let mut text = String::new();
    for number in open {
        let case = &cases[*number];
        let view = broker.workflow(case.id()).await.unwrap();
        text.push_str(&format!("\n{view:?} {:?}", case.plan.when_dead()));
        for (node, end) in case.plan.nodes().zip(case.ends(broker).await) {
            let kind: Option<(EndKind, bool)> = end.map(|end| (end.kind(), end.pending.is_some()));
            let job = match node.id() {
                Some(id) => broker.job(&id).await.unwrap().map(|job| job.state),
                None => None,
            };
            text.push_str(&format!("\n  {} {} {kind:?} {job:?} after {:?}", node.index(), node.name(), node.deps()));
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn random_workflows_on_redis_survive_kills_and_swallowed_answers() {
    let bench = Bench::redis();
    let port = bench.redis.as_ref().unwrap().port();
    let proxy = FaultProxy::start(port).await.unwrap();
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    let broker = celeriac::broker::connect(&bench.url.parse().unwrap()).await.unwrap();
    let mut crew = Crew::new(bench, url);
    let millis = Duration::from_millis;
    let kinds = [Kind::LostAnswer, Kind::LostCommand, Kind::CutAnswer, Kind::Cut];
    let plan = LinkPlan::from_seed(7).only(&kinds).pauses(millis(100)..=millis(600));
    tokio::select! {
        () = storm(&mut crew, &broker, seed(1)) => {}
        () = proxy.run_plan(&plan) => panic!("the plan has no end"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_workflows_on_sqlite_survive_kills() {
    let bench = Bench::sqlite();
    let url = bench.url.clone();
    let broker = celeriac::broker::connect(&url.parse().unwrap()).await.unwrap();
    let mut crew = Crew::new(bench, url);
    storm(&mut crew, &broker, seed(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process that the others start"]
async fn a_worker_of_this_test() {
    worker::work().await;
}
