//! What a retry mends, and what it refuses.

use celeriac_core::canvas::{Canvas, Status, WhenDead, Workflow};
use celeriac_core::{Ending, State};
use celeriac_workflow::{RetryError, retry, revoke};

use crate::stage::{Stage, died, ok, on_each_store, raw, w};

/// A group of four, two of which die, before another group.
async fn failed(stage: &mut Stage) {
    let members = ["bad", "good", "worse", "good"].map(Canvas::step);
    let behind = (0..20).map(|_| Canvas::step("behind"));
    stage.submit(&Workflow::new(Canvas::group(members).then(Canvas::group(behind)).then(Canvas::step("last")))).await;
    let mut jobs = stage.fetch(3).await;
    let worse = jobs.remove(2);
    let good = jobs.remove(1);
    let bad = jobs.remove(0);
    stage.settle(vec![(bad, died("no disk".to_owned())), (good, Ending::Succeeded(raw("1")))]).await;
    stage.run(|_, _| ok("2")).await;
    assert_eq!(stage.ran, [], "what had not begun was taken back");
    stage.settle_one(worse, died("no net".to_owned())).await;
    stage.run(|_, _| ok("2")).await;
    assert_eq!(stage.end().await.0, State::Dead);
}

async fn a_retry_of_all_that_failed_resumes_the_workflow(mut stage: Stage) {
    failed(&mut stage).await;
    assert_eq!(retry(stage.broker.as_ref(), &w(), None).await.unwrap(), 2);
    assert!(stage.outcome().await.is_none(), "it has not ended any more");
    assert_eq!(stage.sight().await.status, Status::Running);
    assert_eq!(
        stage.broker.queues().await.unwrap()[0].ready,
        3,
        "what was taken back is there before any worker has looked"
    );
    stage.run(|_, _| ok("2")).await;
    let times = stage.times();
    assert!(times.values().all(|times| *times == 1), "{times:?}");
    assert_eq!(times.len(), 3 + 20 + 1, "all but the one that had succeeded");
    assert_eq!(stage.given("chain/1/19"), "[[2,1,2,2]]");
    assert_eq!(stage.end().await, (State::Succeeded, Some("2".to_owned()), None));
}

async fn a_retry_of_one_of_two_failures_runs_that_and_resumes_nothing(mut stage: Stage) {
    failed(&mut stage).await;
    assert_eq!(retry(stage.broker.as_ref(), &w(), Some("chain/0/0")).await.unwrap(), 1);
    stage.run(|_, _| ok("2")).await;
    assert_eq!(stage.times().into_keys().collect::<Vec<_>>(), ["chain/0/0"]);
    assert_eq!(stage.sight().await.status, Status::Failed);
    assert_eq!(retry(stage.broker.as_ref(), &w(), None).await.unwrap(), 1);
    stage.run(|_, _| ok("2")).await;
    assert_eq!(stage.end().await.0, State::Succeeded);
}

async fn a_retry_that_fails_again_can_be_repeated(mut stage: Stage) {
    failed(&mut stage).await;
    for _ in 0..3 {
        assert_eq!(retry(stage.broker.as_ref(), &w(), None).await.unwrap(), 2);
        stage.run(|task, _| if task.as_str() == "good" { ok("2") } else { Err("still".to_owned()) }).await;
        assert_eq!(stage.end().await.0, State::Dead);
    }
}

async fn what_waits_behind_a_failure_goes_on_after_its_retry(mut stage: Stage) {
    let bad = Canvas::step("bad").then(Canvas::step("behind"));
    stage.submit(&Workflow::new(Canvas::group([bad]).join(Canvas::step("body"))).when_dead(WhenDead::Wait)).await;
    stage.run(|_, _| Err("no disk".to_owned())).await;
    assert_eq!(retry(stage.broker.as_ref(), &w(), Some("chord/0/0")).await.unwrap(), 1);
    stage.run(|_, _| ok("2")).await;
    assert_eq!(stage.end().await, (State::Succeeded, Some("2".to_owned()), None));
}

async fn a_body_of_many_members_that_was_taken_back_begins_again(mut stage: Stage) {
    let chord = Canvas::group((0..20).map(|_| Canvas::step("member"))).join(Canvas::step("body"));
    stage.submit(&Workflow::new(Canvas::group([chord, Canvas::step("bad").into()]))).await;
    let mut jobs = stage.fetch(100).await;
    let bad = jobs.pop().unwrap();
    stage.settle(jobs.into_iter().map(|job| (job, Ending::Succeeded(raw("1")))).collect()).await;
    stage.conduct().await;
    stage.settle_one(bad, died("no disk".to_owned())).await;
    stage.run(|_, _| ok("2")).await;
    assert_eq!(stage.ran, [], "the body waited in its queue, and was taken back");
    assert_eq!(retry(stage.broker.as_ref(), &w(), None).await.unwrap(), 1);
    stage.run(|_, _| ok("2")).await;
    assert_eq!(stage.times().into_keys().collect::<Vec<_>>(), ["group/0/body", "group/1"]);
    assert_eq!(stage.end().await.1.as_deref(), Some("[2,2]"));
}

async fn a_step_whose_dead_job_was_deleted_begins_as_at_first(mut stage: Stage) {
    stage.submit(&Workflow::new(Canvas::step("good").then(Canvas::step("bad")))).await;
    stage.run(|task, _| if task.as_str() == "bad" { Err("no".to_owned()) } else { ok("5") }).await;
    let dead = "w:chain/1".parse().unwrap();
    assert_eq!(stage.broker.delete_dead(&[dead]).await.unwrap(), [true]);
    assert_eq!(retry(stage.broker.as_ref(), &w(), None).await.unwrap(), 1);
    stage.run(|_, _| ok("6")).await;
    assert_eq!(stage.given("chain/1"), "[5]");
    assert_eq!(stage.end().await.1.as_deref(), Some("6"));
}

async fn callbacks_that_died_are_retried_too(mut stage: Stage) {
    let workflow = Workflow::new(Canvas::step("bad").then(Canvas::step("next"))).on_failure(Canvas::step("alarm"));
    stage.submit(&workflow).await;
    stage.run(|task, _| Err(format!("no {task}"))).await;
    let dead = "w:on_failure".parse().unwrap();
    stage.broker.delete_dead(&[dead]).await.unwrap();
    assert_eq!(retry(stage.broker.as_ref(), &w(), None).await.unwrap(), 2);
    stage.run(|_, _| ok("1")).await;
    let given = r#"[{"step":"chain/0","task":"bad","error":"no bad","attempts":1}]"#;
    assert_eq!((stage.given("on_failure"), stage.times()["on_failure"]), (given, 2));
}

async fn what_cannot_be_retried_is_named(mut stage: Stage) {
    let broker = std::sync::Arc::clone(&stage.broker);
    let retry = async |step| retry(broker.as_ref(), &w(), step).await.unwrap_err();
    assert!(matches!(retry(None).await, RetryError::Unknown(_)));
    stage.submit(&Workflow::new(Canvas::group(["bad", "good"].map(Canvas::step)))).await;
    assert_eq!(retry(None).await.to_string(), "workflow w has not failed");
    assert_eq!(retry(Some("group/0")).await.to_string(), "step group/0 has not failed");
    assert_eq!(retry(Some("grop/0")).await.to_string(), "it has no step \"grop/0\"; did you mean \"group/0\"?");
    stage.run(|task, _| if task.as_str() == "bad" { Err("no".to_owned()) } else { ok("1") }).await;
    revoke(stage.broker.as_ref(), &w(), "ann").await.unwrap();
    assert_eq!(retry(None).await.to_string(), "it was revoked by ann, and that is for good");
}

on_each_store!(
    a_retry_of_all_that_failed_resumes_the_workflow,
    a_retry_of_one_of_two_failures_runs_that_and_resumes_nothing,
    a_retry_that_fails_again_can_be_repeated,
    what_waits_behind_a_failure_goes_on_after_its_retry,
    a_body_of_many_members_that_was_taken_back_begins_again,
    a_step_whose_dead_job_was_deleted_begins_as_at_first,
    callbacks_that_died_are_retried_too,
    what_cannot_be_retried_is_named,
);
