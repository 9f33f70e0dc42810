//! Connections that end in the middle of a command or of an answer, at any byte.

use std::time::Instant;

use celeriac::broker::JobFilter;
use celeriac_testkit::{Commands, Fault, Rule};

use crate::link::{count, done, link, took};

/// Places to cut at: every byte at the beginning, where the frame says how much will come, and then one in so many.
fn places(end: usize, step: usize) -> impl Iterator<Item = usize> {
    (0..24).chain((24..end).step_by(step))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enqueue_that_is_cut_at_any_byte_is_stored_once() {
    let link = link().await;
    let began = Instant::now();
    let mut cuts = Vec::new();
    // The longest of both commands is shorter; a cut behind the end loses the answer alone.
    cuts.extend(places(900, 23).map(|at| Fault::CutCommand { at }));
    cuts.extend((0..40).map(|at| Fault::CutAnswer { at }));
    for (number, fault) in cuts.iter().enumerate() {
        let name = format!("precious-{number}");
        let cut = link.proxy.set(Rule::new(Commands::holding(name.as_str()), fault.clone()));
        let job = link.linked.enqueue(count { name }).await.unwrap();
        assert!(cut.happened().await, "{fault:?}");
        assert!(link.straight.broker().job(job.id()).await.unwrap().is_some(), "{fault:?}");
    }
    took("R15", &format!("{} enqueues, each cut at another byte,", cuts.len()), began);
    let mut filter = JobFilter::default();
    filter.limit = 1000;
    assert_eq!(link.straight.broker().jobs(&filter).await.unwrap().len(), cuts.len(), "each is stored once");
    link.has_ready(cuts.len() as u64).await;
    let worker = link.straight_worker(|worker| worker).await;
    for number in 0..cuts.len() {
        link.ledger.has_begun(&format!("precious-{number}"), 1).await;
    }
    assert_eq!(link.ledger.all_runs() as usize, cuts.len() + 1);
    worker.handle.stop();
}

/// Runs a job for each fault, which happens to a command that holds this text, and expects each to run once.
async fn each_runs_once(text: &str, what: &str, cuts: &[Fault]) {
    let link = link().await;
    link.worker(|worker| worker).await;
    let began = Instant::now();
    for (number, fault) in cuts.iter().enumerate() {
        let cut = link.proxy.set(Rule::new(Commands::holding(text), fault.clone()));
        let name = format!("job-{number}");
        let job = link.counted(&name).await;
        assert_eq!(done(&job).await, name);
        assert!(cut.happened().await, "{fault:?}");
        let end = link.straight.broker().result(job.id()).await.unwrap().unwrap();
        assert_eq!((end.attempt, end.losses, link.ledger.runs(&name)), (1, 0, 1), "{fault:?}");
        // A job that has ended may have ended in the store alone. The next fault must not meet what follows from this one.
        done(&link.counted("between").await).await;
    }
    took("R15", &format!("{} {what}, each cut at another byte,", cuts.len()), began);
    link.is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_whose_command_is_cut_at_any_byte_costs_no_attempt() {
    let cuts: Vec<_> = places(900, 23).map(|at| Fault::CutCommand { at }).collect();
    each_runs_once("q:counted:suspects", "fetches", &cuts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_out_whose_answer_is_cut_at_any_byte_costs_no_attempt() {
    let cuts: Vec<_> = places(240, 5).map(|at| Fault::CutAnswer { at }).collect();
    each_runs_once("q:counted:suspects", "hand-outs", &cuts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_is_cut_at_any_byte_is_settled_once() {
    let mut cuts: Vec<_> = places(1500, 73).map(|at| Fault::CutCommand { at }).collect();
    cuts.extend((0..24).map(|at| Fault::CutAnswer { at }));
    each_runs_once(":finished", "settlements", &cuts).await;
}
