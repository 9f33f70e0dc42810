//! Cases of [`Inspector`](crate::Inspector): what people see.

use celeriac_core::{JobId, State};

use super::context::{Context, Outcome, delayed, job, job_of, queue_name, seconds, task_name};
use super::worker::{TestWorker, death, parking, retry, success};
use crate::{Grade, JobFilter, QueueView};

/// Nobody knows an unknown job, and an empty store is empty.
pub async fn an_empty_store_shows_nothing(context: Context) -> Outcome {
    assert!(context.broker.job(&JobId::generate()).await?.is_none());
    assert!(context.jobs().await?.is_empty());
    assert!(context.broker.queues().await?.is_empty());
    assert!(context.broker.workers().await?.is_empty());
    assert!(context.broker.lost(10).await?.is_empty());
    Ok(())
}

/// One job for each state but `Succeeded`, all in queue `q`; their ids by state.
async fn one_in_each_state(context: &Context) -> Result<Vec<(State, JobId)>, crate::BrokerError> {
    let worker = context.worker().await?;
    let mut ids = context.enqueue((0..5).map(|_| job("q"))).await?;
    let got = worker.fetch(&["q"], 4).await?;
    worker.settle_one(&got[1], retry(&got[1], context.now(), seconds(60))).await?;
    worker.settle_one(&got[2], death(&got[2], context.now())).await?;
    worker.settle_one(&got[3], parking(&got[3], context.now())).await?;
    ids.push(context.enqueue_one(delayed(seconds(60), "q")).await?);
    let states = [State::Running, State::Retry, State::Dead, State::Parked, State::Queued, State::Scheduled];
    Ok(states.into_iter().zip(ids).collect())
}

/// Each state can be listed alone, and by id each job is in its own.
pub async fn each_state_can_be_listed(context: Context) -> Outcome {
    for (state, id) in one_in_each_state(&context).await? {
        assert_eq!(context.job(&id).await?.state, state);
        let filter = JobFilter { state: Some(state), limit: 10, ..JobFilter::default() };
        let listed: Vec<_> =
            context.broker.jobs(&filter).await?.into_iter().map(|view| (view.id, view.state)).collect();
        assert_eq!(listed, [(id, state)]);
    }
    let ended = JobFilter { state: Some(State::Succeeded), limit: 10, ..JobFilter::default() };
    assert!(context.broker.jobs(&ended).await?.is_empty());
    assert_eq!(context.jobs().await?.len(), 6);
    Ok(())
}

/// A queue's counters count each job once.
pub async fn a_queue_counts_each_job_once(context: Context) -> Outcome {
    one_in_each_state(&context).await?;
    let mut expected = QueueView::empty(queue_name("q"));
    (expected.ready, expected.scheduled, expected.running) = (1, 2, 1);
    (expected.dead, expected.parked) = (1, 1);
    expected.oldest = Some(context.now());
    assert_eq!(context.broker.queues().await?, [expected]);
    Ok(())
}

/// A listing may be narrowed to a queue, to a task and to so many.
pub async fn a_listing_can_be_narrowed(context: Context) -> Outcome {
    let sent = context.enqueue([job_of("a", "q"), job_of("b", "q"), job_of("a", "other")]).await?;
    let count = async |filter| Ok::<_, crate::BrokerError>(context.broker.jobs(&filter).await?.len());
    let all = JobFilter { limit: 10, ..JobFilter::default() };
    assert_eq!(count(all.clone()).await?, 3);
    assert_eq!(count(JobFilter { queue: Some(queue_name("q")), ..all.clone() }).await?, 2);
    assert_eq!(count(JobFilter { task: Some(task_name("a")), ..all.clone() }).await?, 2);
    assert_eq!(count(JobFilter { limit: 2, ..all.clone() }).await?, 2);
    assert_eq!(count(JobFilter { limit: 0, ..all.clone() }).await?, 0);
    let narrow = JobFilter { queue: Some(queue_name("other")), task: Some(task_name("a")), ..all.clone() };
    let listed: Vec<_> = context.broker.jobs(&narrow).await?.into_iter().map(|view| view.id).collect();
    assert_eq!(listed, [sent[2].clone()]);
    assert_eq!(count(JobFilter { queue: Some(queue_name("none")), ..all }).await?, 0);
    Ok(())
}

/// Within a state the newest comes first.
pub async fn the_newest_is_listed_first(context: Context) -> Outcome {
    let worker = context.worker().await?;
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.push(context.enqueue_one(job("q")).await?);
        context.advance(seconds(1));
    }
    for _ in 0..3 {
        context.enqueue([job("dead")]).await?;
        let delivery = worker.fetch_one("dead").await?;
        worker.settle_one(&delivery, death(&delivery, context.now())).await?;
        context.advance(seconds(1));
    }
    for state in [State::Queued, State::Dead] {
        let filter = JobFilter { state: Some(state), limit: 10, ..JobFilter::default() };
        let since: Vec<_> = context.broker.jobs(&filter).await?.into_iter().map(|view| view.since).collect();
        assert!(since.len() == 3 && since.is_sorted_by(|one, next| one > next), "{state}: {since:?}");
    }
    sent.reverse();
    let ready = JobFilter { state: Some(State::Queued), limit: 10, ..JobFilter::default() };
    let listed: Vec<_> = context.broker.jobs(&ready).await?.into_iter().map(|view| view.id).collect();
    assert_eq!(listed, sent);
    Ok(())
}

/// A queue says when its oldest ready job became ready, and forgets it with the job.
pub async fn a_queue_tells_how_long_its_oldest_job_waits(context: Context) -> Outcome {
    let start = context.now();
    context.enqueue([job("q")]).await?;
    context.advance(seconds(5));
    context.enqueue([job("q"), job("other")]).await?;
    assert_eq!(context.queue("q").await?.oldest, Some(start));
    let worker = context.worker().await?;
    worker.fetch_one("q").await?;
    assert_eq!(context.queue("q").await?.oldest, Some(context.now()));
    worker.fetch_one("q").await?;
    assert_eq!(context.queue("q").await?.oldest, None);
    Ok(())
}

/// Queues are listed by name, those that are empty by now included.
pub async fn every_queue_that_was_used_is_listed(context: Context) -> Outcome {
    context.enqueue([job("b"), delayed(seconds(9), "c"), job("a")]).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("b").await?;
    worker.settle_one(&delivery, success(&delivery, context.now())).await?;
    let names: Vec<_> = context.broker.queues().await?.into_iter().map(|view| view.name.to_string()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    Ok(())
}

/// A running job names its worker, its token and since when it was ready.
pub async fn a_running_job_names_its_worker(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let ready = context.now();
    context.advance(seconds(5));
    let worker = TestWorker::register(&context.broker, "web-1", seconds(20)).await?;
    let delivery = worker.fetch_one("q").await?;
    let view = context.expect_only_in(&id, State::Running).await?;
    assert_eq!((view.worker.as_deref(), view.fence), (Some("web-1"), Some(delivery.lease.fence)));
    assert_eq!((view.attempt, view.since, view.due_at), (1, ready, None));
    Ok(())
}

/// Two namespaces of one store share nothing.
pub async fn namespaces_do_not_see_each_other(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let stranger = &context.stranger;
    let foreign = TestWorker::register(stranger, "worker", seconds(20)).await?;
    assert!(foreign.fetch_idle(&["q"], 10).await?.jobs.is_empty());
    assert!(stranger.job(&id).await?.is_none());
    assert!(stranger.queues().await?.is_empty());
    let worker = context.worker().await?;
    assert_eq!(context.broker.workers().await?.len(), 1);
    super::context::expect_session_lost(&stranger.heartbeat(&worker.session).await);
    let delivery = worker.fetch_one("q").await?;
    context.advance(seconds(60));
    assert!(stranger.condemn_expired(10).await?.incarnations.is_empty());
    context.broker.heartbeat(&worker.session).await?;
    worker.settle_one(&delivery, success(&delivery, context.now())).await?;
    assert_eq!(stranger.result(&id).await?, None);
    Ok(())
}

/// A store that is fit says so, in words, each once; and looking leaves no trace.
pub async fn a_fit_store_says_so_and_is_left_as_it_was(context: Context) -> Outcome {
    let id = context.enqueue_one(job("q")).await?;
    let before = context.broker.queues().await?;
    let findings = context.broker.checkup().await?.findings;
    assert!(!findings.is_empty());
    let bad: Vec<_> = findings.iter().filter(|finding| finding.grade >= Grade::Bad).collect();
    assert!(bad.is_empty(), "{bad:?}");
    let mut checks: Vec<_> = findings.iter().map(|finding| finding.check).collect();
    checks.sort_unstable();
    checks.dedup();
    assert_eq!(checks.len(), findings.len(), "{findings:?}");
    assert!(findings.iter().all(|finding| !finding.detail.is_empty()), "{findings:?}");
    assert_eq!(context.broker.queues().await?, before);
    context.expect_only_in(&id, State::Queued).await?;
    Ok(())
}
