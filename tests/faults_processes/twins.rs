//! Two processes under one name: each lives and dies on its own.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::jobs::{attempts_and_losses, enqueue, tell, until_held};
use crate::support::{Bench, Process, wait_for};

/// Who runs which job, as `PROCESS JOB` in the ledger.
const HOLD: &str = "echo $PPID $CELERIAC_JOB_ID >> $LEDGER; while [ ! -e go ]; do sleep 0.05; done";

fn runs(bench: &Bench) -> BTreeMap<u32, String> {
    let ledger = bench.ledger();
    let pairs = ledger.keys().filter_map(|line| line.split_once(' '));
    pairs.map(|(process, job)| (process.parse().unwrap(), job.to_owned())).collect()
}

async fn two_workers_of_one_name_live_and_die_on_their_own(bench: Bench) {
    bench.task(HOLD);
    let client = bench.client().await;
    let ids = enqueue(&client, 2).await;
    // Long enough for the living one to keep it on a busy machine.
    let start = || bench.worker("twin", &["-c", "1", "--lease", "5s"]);
    let twins = [start(), start()];
    until_held(&client, "default", 2).await;
    wait_for("both jobs to run", || (runs(&bench).len() == 2).then_some(()));
    let workers = client.broker().workers().await.unwrap();
    assert_eq!(workers.iter().map(|worker| worker.incarnation.worker_name()).collect::<Vec<_>>(), ["twin", "twin"]);
    assert_ne!(workers[0].incarnation, workers[1].incarnation);

    let [dying, living] = twins;
    let runs_before = runs(&bench);
    let (of_dead, of_living) = (runs_before[&dying.id()].clone(), runs_before[&living.id()].clone());
    dying.kill();
    let killed = Instant::now();
    let third: Process = start();
    wait_for("the job of the dead one to move", || (runs(&bench).get(&third.id()) == Some(&of_dead)).then_some(()));
    tell("W18", "the job of the dead twin has moved", killed);
    let alive = client.broker().workers().await.unwrap();
    assert!(alive.iter().any(|worker| worker.pid == living.id() && worker.running == 1), "{alive:?}");

    std::fs::write(bench.path("go"), "").unwrap();
    for id in &ids {
        let expected = if id.as_str() == of_dead { (2, 1) } else { (1, 0) };
        assert_eq!(attempts_and_losses(&client, id).await, expected, "{id}; the living one has {of_living}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_of_one_name_live_and_die_on_their_own_on_sqlite() {
    two_workers_of_one_name_live_and_die_on_their_own(Bench::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_of_one_name_live_and_die_on_their_own_on_redis() {
    two_workers_of_one_name_live_and_die_on_their_own(Bench::redis()).await;
}
