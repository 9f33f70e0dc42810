//! Much work moves in bounded calls.

use std::collections::HashSet;

use celeriac_broker::conformance::{delayed, seconds, with_payload};
use celeriac_broker::{MAX_BATCH_JOBS, NewJob, Start};

use crate::support::Scene;

#[tokio::test]
async fn a_hundred_thousand_due_jobs_are_promoted_in_bounded_calls() {
    let scene = Scene::shared().await;
    for _ in 0..200 {
        scene.enqueue((0..MAX_BATCH_JOBS).map(|_| delayed(seconds(1), "q"))).await.unwrap();
    }
    assert_eq!(scene.queue("q").await.unwrap().scheduled, 100_000);
    scene.advance(seconds(2));
    let mut calls = 0;
    loop {
        let promoted = scene.broker.promote_due(1_000_000).await.unwrap();
        assert!(promoted.count <= MAX_BATCH_JOBS);
        calls += 1;
        if promoted.next_due.is_none() {
            break;
        }
    }
    let queue = scene.queue("q").await.unwrap();
    assert_eq!((calls, queue.ready, queue.scheduled), (200, 100_000, 0));
}

#[tokio::test]
async fn big_jobs_come_in_portions() {
    let scene = Scene::shared().await;
    for at in 0..12 {
        let size = if at % 2 == 0 { 400 * 1024 } else { 10 };
        let mut new: NewJob = with_payload(vec![b'7'; size], "q");
        new.start = Start::Now;
        scene.enqueue([new]).await.unwrap();
    }
    let worker = scene.worker().await.unwrap();
    let mut seen = HashSet::new();
    loop {
        let got = worker.fetch(&["q"], 500).await.unwrap();
        if got.is_empty() {
            break;
        }
        let bytes: usize = got.iter().map(|delivery| delivery.record.payload.len()).sum();
        assert!(bytes <= 1024 * 1024, "{bytes}");
        seen.extend(got.into_iter().map(|delivery| delivery.record.id));
    }
    assert_eq!(seen.len(), 12);
}
