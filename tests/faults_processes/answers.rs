//! Workers that are killed around an answer of their store: before they read which jobs they got, before they could settle one, before they
//! read that it is settled.

use std::time::Instant;

use celeriac::Client;
use celeriac_testkit::{Commands, Fault, FaultProxy, Rule, Way};

use crate::jobs::{attempts_and_losses, enqueue, success_of, tell, until_all_leases_are_over, until_held};
use crate::support::{Bench, Process, wait_for};

/// What a run of a job leaves in the ledger.
const NOTE: &str = "echo $CELERIAC_JOB_ID $CELERIAC_ATTEMPT >> $LEDGER";

/// A Redis, and a link to it that can fail.
struct Linked {
    bench: Bench,
    proxy: FaultProxy,
    client: Client,
}

impl Linked {
    async fn new() -> Self {
        let bench = Bench::redis();
        bench.task(NOTE);
        let proxy = FaultProxy::start(bench.redis.as_ref().unwrap().port()).await.unwrap();
        let client = bench.client().await;
        Self { bench, proxy, client }
    }

    /// A worker behind the link.
    fn victim(&self) -> Process {
        let url = self.bench.redis.as_ref().unwrap().url_through(self.proxy.port(), "celeriac").expose();
        self.bench.worker_at(&url, "victim", &["-c", "8"])
    }

    fn lines_of(&self, id: &celeriac::JobId) -> Vec<String> {
        let ledger = self.bench.ledger();
        ledger.into_keys().filter_map(|line| line.strip_prefix(&format!("{id} ")).map(str::to_owned)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_whose_hand_out_was_never_read_run_again() {
    let linked = Linked::new().await;
    // The server knows all scripts from an earlier worker; else the first answer would only ask for the text of one.
    assert!(linked.bench.worker("earlier", &["--burst"]).wait().success());
    let ids = enqueue(&linked.client, 5).await;
    // The first fetch takes the jobs, and its answer does not come; the connection stays open, so the worker knows nothing of it.
    let fetches = Commands::holding("q:default:suspects").and_holding(":running:victim");
    let order = linked.proxy.set(Rule::new(fetches, Fault::Vanish(Way::ToClient)));
    let victim = linked.victim();
    assert!(order.happened().await);
    until_held(&linked.client, "default", 5).await;
    victim.kill();
    let killed = Instant::now();
    let _second = linked.bench.worker("second", &["-c", "8"]);
    for id in &ids {
        assert_eq!(attempts_and_losses(&linked.client, id).await, (2, 1));
        assert_eq!(linked.lines_of(id), ["2"], "the first attempt never began");
    }
    tell("W2", "jobs with a lost hand-out have run", killed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_done_and_not_settled_runs_again_under_its_id() {
    let linked = Linked::new().await;
    // Only calls that settle name the channel on which ends are told.
    let order = linked.proxy.set(Rule::new(Commands::holding(":finished"), Fault::Vanish(Way::ToServer)));
    let id = enqueue(&linked.client, 1).await.remove(0);
    let victim = linked.victim();
    assert!(order.happened().await);
    assert_eq!(linked.lines_of(&id), ["1"]);
    victim.kill();
    let killed = Instant::now();
    let _second = linked.bench.worker("second", &[]);
    assert_eq!(attempts_and_losses(&linked.client, &id).await, (2, 1));
    tell("W3", "a job that was not settled has run", killed);
    assert_eq!(linked.lines_of(&id), ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_settled_is_done_although_its_worker_never_learned_of_it() {
    let linked = Linked::new().await;
    let order = linked.proxy.set(Rule::new(Commands::holding(":finished"), Fault::Vanish(Way::ToClient)));
    let id = enqueue(&linked.client, 1).await.remove(0);
    let victim = linked.victim();
    assert!(order.happened().await);
    success_of(&linked.client, &id).await;
    victim.kill();
    is_not_run_again(&linked.bench, &linked.client, &id).await;
}

/// A settled job stays as it is when the lease of its dead worker ends.
async fn is_not_run_again(bench: &Bench, client: &Client, id: &celeriac::JobId) {
    let _second = bench.worker("second", &[]);
    bench.wait_for_text("second.log", "registered");
    until_all_leases_are_over(client).await;
    let next = enqueue(client, 1).await.remove(0);
    success_of(client, &next).await;
    assert_eq!(attempts_and_losses(client, id).await, (1, 0));
    assert_eq!(bench.ledger(), [(format!("{id} 1"), 1), (format!("{next} 1"), 1)].into());
}

/// Somebody else writes to the file while the end of the job would have to be.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_done_and_not_settled_runs_again_on_sqlite() {
    let bench = Bench::sqlite();
    bench.task("echo began >> $LEDGER; while [ ! -e go ]; do sleep 0.02; done; echo $CELERIAC_ATTEMPT >> $LEDGER");
    let client = bench.client().await;
    let id = enqueue(&client, 1).await.remove(0);
    let victim = bench.worker("victim", &[]);
    wait_for("the job to begin", || bench.ledger().contains_key("began").then_some(()));
    let file = rusqlite::Connection::open(bench.path("queue.db")).unwrap();
    file.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
    file.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::fs::write(bench.path("go"), "").unwrap();
    wait_for("the body's end", || bench.ledger().contains_key("1").then_some(()));
    victim.kill();
    let killed = Instant::now();
    file.execute_batch("ROLLBACK").unwrap();
    let _second = bench.worker("second", &[]);
    assert_eq!(attempts_and_losses(&client, &id).await, (2, 1));
    tell("W3", "a job that was not settled has run, SQLite,", killed);
    assert_eq!(bench.ledger(), [("began".into(), 2), ("1".into(), 1), ("2".into(), 1)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_the_moment_its_job_is_settled_loses_nothing_on_sqlite() {
    let bench = Bench::sqlite();
    bench.task(NOTE);
    let client = bench.client().await;
    let id = enqueue(&client, 1).await.remove(0);
    let victim = bench.worker("victim", &[]);
    while client.broker().result(&id).await.unwrap().is_none() {}
    victim.kill();
    is_not_run_again(&bench, &client, &id).await;
}
