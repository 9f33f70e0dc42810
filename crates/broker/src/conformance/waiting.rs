//! Cases of [`Broker::wait_for_work`](crate::Broker::wait_for_work): no work is slept through.
//!
//! A wait may end early, so no case asserts that one lasts.

use std::time::Duration;

use super::context::{Context, Outcome, delayed, expect_session_lost, job, queue_name, seconds, within};
use super::flow::{self, Flow};
use super::worker::{Load, TestWorker, hand_back, parking, request, settlement, success};
use crate::{BrokerError, Fetched};
use celeriac_core::{Priority, QueueName};

/// Longer than any case may take: only work can end this wait.
const LONG: Duration = Duration::from_secs(3600);

fn queues(names: &[&str]) -> Vec<QueueName> {
    names.iter().map(|name| queue_name(name)).collect()
}

async fn wait(worker: &TestWorker, names: &[&str]) -> Outcome {
    worker.broker.wait_for_work(&worker.session, &queues(names), LONG).await
}

/// Waits and fetches until it has a job, as a worker does.
async fn wait_and_fetch(worker: &TestWorker, names: &[&str]) -> Result<usize, BrokerError> {
    loop {
        wait(worker, names).await?;
        let got = worker.fetch_idle(names, 1).await?.jobs.len();
        if got > 0 {
            return Ok(got);
        }
    }
}

/// A wait ends when its time is over, without work.
pub async fn a_wait_ends_when_its_time_is_over(context: Context) -> Outcome {
    let worker = context.worker().await?;
    let queues = queues(&["q"]);
    within(context.broker.wait_for_work(&worker.session, &queues, Duration::from_millis(20))).await
}

/// Work that came before the wait ends it.
pub async fn work_that_came_before_is_not_missed(context: Context) -> Outcome {
    let worker = context.worker().await?;
    context.enqueue([job("q")]).await?;
    assert_eq!(within(wait_and_fetch(&worker, &["q"])).await?, 1);
    Ok(())
}

/// Work that comes during the wait ends it, in any of the queues.
pub async fn new_work_ends_a_wait(context: Context) -> Outcome {
    let worker = context.worker().await?;
    for queue in ["a", "b", "a", "a", "b"] {
        let (fetched, sent) =
            within(async { tokio::join!(wait_and_fetch(&worker, &["a", "b"]), context.enqueue([job(queue)])) }).await;
        sent?;
        assert_eq!(fetched?, 1);
    }
    Ok(())
}

/// Work that one worker left wakes another one.
pub async fn work_that_is_left_wakes_another_worker(context: Context) -> Outcome {
    let (one, other) = (context.worker().await?, context.worker().await?);
    for _ in 0..5 {
        let both = async {
            tokio::join!(
                wait_and_fetch(&one, &["q"]),
                wait_and_fetch(&other, &["q"]),
                context.enqueue([job("q"), job("q")])
            )
        };
        let (first, second, sent) = within(both).await;
        sent?;
        assert_eq!((first?, second?), (1, 1));
    }
    Ok(())
}

/// Steps that begin with an end wake another worker, unless the call that ends it hands them out: also in a queue that it did not ask for, and with
/// a priority that their queue never had.
pub async fn steps_that_begin_with_an_exchange_wake_another_worker(context: Context) -> Outcome {
    let mut urgent = flow::waiting(flow::link(1));
    urgent.record.priority = Priority::new(9).expect("9 is a priority");
    let waiting = [2, 4, 5].map(|node| flow::waiting(flow::link(node)));
    let roots = [flow::link_before(0, &[1, 2]), flow::link_before(3, &[4, 5])];
    let steps = Flow::begin(&context, roots, waiting.into_iter().chain([urgent]).collect()).await?;
    let other = context.worker().await?;
    // Looks once, so that no token of the beginning is left.
    assert!(other.fetch_idle(&["q1", "q2", "q4", "q5"], 1).await?.jobs.is_empty());
    for (root, asked, behind) in [(0, ["q1", "q2"], ["q1", "q2"]), (3, ["q4", "q6"], ["q4", "q5"])] {
        let delivery = steps.take(root).await?;
        let ends = [settlement(&delivery, success(&delivery, context.now()))];
        let asked = request(&asked, 1, Load::Busy);
        let both = async {
            tokio::join!(wait_and_fetch(&other, &behind), context.broker.exchange(&steps.worker.session, &ends, &asked))
        };
        let (woken, exchanged) = within(both).await;
        assert_eq!((woken?, exchanged?.fetched.jobs.len()), (1, 1));
    }
    Ok(())
}

/// A wait that was dropped takes no other worker's wake-up with it.
pub async fn a_dropped_wait_takes_nothing_along(context: Context) -> Outcome {
    let (gone, worker) = (context.worker().await?, context.worker().await?);
    for _ in 0..5 {
        drop(tokio::time::timeout(Duration::from_millis(20), wait(&gone, &["q"])).await);
        let (fetched, sent) =
            within(async { tokio::join!(wait_and_fetch(&worker, &["q"]), context.enqueue([job("q")])) }).await;
        sent?;
        assert_eq!(fetched?, 1);
    }
    Ok(())
}

/// A worker whose wait was dropped can wait again.
pub async fn a_worker_can_wait_again_after_a_dropped_wait(context: Context) -> Outcome {
    let worker = context.worker().await?;
    for _ in 0..5 {
        drop(tokio::time::timeout(Duration::from_millis(20), wait(&worker, &["q"])).await);
        context.enqueue([job("q")]).await?;
        assert_eq!(within(wait_and_fetch(&worker, &["q"])).await?, 1);
    }
    Ok(())
}

/// A promotion wakes.
pub async fn a_promotion_ends_a_wait(context: Context) -> Outcome {
    let worker = context.worker().await?;
    context.enqueue([delayed(seconds(1), "q")]).await?;
    context.advance(seconds(1));
    let (fetched, promoted) =
        within(async { tokio::join!(wait_and_fetch(&worker, &["q"]), context.broker.promote_due(1)) }).await;
    assert_eq!((fetched?, promoted?.count), (1, 1));
    Ok(())
}

/// A promotion that stopped at its limit wakes for what it did, and the next one for the rest.
pub async fn each_promotion_wakes_for_its_part(context: Context) -> Outcome {
    let worker = context.worker().await?;
    context.enqueue([delayed(seconds(1), "q"), delayed(seconds(2), "q")]).await?;
    context.advance(seconds(2));
    for _ in 0..2 {
        let (fetched, promoted) =
            within(async { tokio::join!(wait_and_fetch(&worker, &["q"]), context.broker.promote_due(1)) }).await;
        assert_eq!((fetched?, promoted?.count), (1, 1));
    }
    Ok(())
}

/// A paused queue that is resumed wakes.
pub async fn resuming_a_queue_ends_a_wait(context: Context) -> Outcome {
    let worker = context.worker().await?;
    context.broker.set_paused(&queue_name("q"), true).await?;
    context.enqueue([job("q")]).await?;
    assert!(worker.fetch_idle(&["q"], 1).await?.jobs.is_empty());
    let resume = async {
        // By now the wait has met the paused queue, and it may have ended early once.
        tokio::task::yield_now().await;
        context.broker.set_paused(&queue_name("q"), false).await
    };
    let (fetched, resumed) = within(async { tokio::join!(wait_and_fetch(&worker, &["q"]), resume) }).await;
    resumed?;
    assert_eq!(fetched?, 1);
    Ok(())
}

/// A job that is handed back wakes another worker.
pub async fn a_hand_back_ends_a_wait(context: Context) -> Outcome {
    let (one, other) = (context.worker().await?, context.worker().await?);
    context.enqueue([job("q")]).await?;
    let delivery = one.fetch_one("q").await?;
    let transition = hand_back(&delivery, context.now());
    let (fetched, settled) =
        within(async { tokio::join!(wait_and_fetch(&other, &["q"]), one.settle_one(&delivery, transition)) }).await;
    settled?;
    assert_eq!(fetched?, 1);
    Ok(())
}

/// A suspect wakes a worker that holds nothing.
pub async fn a_suspect_ends_a_wait(context: Context) -> Outcome {
    let (gone, worker) = (context.worker().await?, context.worker().await?);
    context.enqueue([job("q")]).await?;
    gone.fetch_one("q").await?;
    let (fetched, lost) = within(async { tokio::join!(wait_and_fetch(&worker, &["q"]), context.lose(&gone)) }).await;
    lost?;
    assert_eq!(fetched?, 1);
    Ok(())
}

/// Parked jobs that are released wake.
pub async fn a_release_ends_a_wait(context: Context) -> Outcome {
    let (one, other) = (context.worker().await?, context.worker().await?);
    context.enqueue([job("q")]).await?;
    let delivery = one.fetch_one("q").await?;
    one.settle_one(&delivery, parking(&delivery, context.now())).await?;
    let tasks = [delivery.record.task.clone()];
    let release = context.broker.release_parked(&tasks, 10);
    let (fetched, released) = within(async { tokio::join!(wait_and_fetch(&other, &["q"]), release) }).await;
    assert_eq!((fetched?, released?), (1, 1));
    Ok(())
}

/// A wait that fetches brings the work that ended it.
pub async fn a_wait_that_fetches_brings_work(context: Context) -> Outcome {
    let worker = context.worker().await?;
    for queue in ["a", "b", "a", "b"] {
        let asked = request(&["a", "b"], 5, Load::Idle);
        let wait = async {
            loop {
                let fetched = context.broker.fetch_when_ready(&worker.session, &asked, LONG).await?;
                if let Some(delivery) = fetched.jobs.into_iter().next() {
                    return Ok::<_, BrokerError>(delivery);
                }
            }
        };
        let (fetched, sent) = within(async { tokio::join!(wait, context.enqueue([job(queue)])) }).await;
        let delivery = fetched?;
        assert_eq!(vec![delivery.record.id.clone()], sent?);
        worker.settle_one(&delivery, success(&delivery, context.now())).await?;
    }
    Ok(())
}

/// A wait that fetches ends when its time is over, and when it is told to.
pub async fn a_wait_that_fetches_ends_when_told_to(context: Context) -> Outcome {
    let worker = context.worker().await?;
    let asked = request(&["q"], 5, Load::Idle);
    let short = context.broker.fetch_when_ready(&worker.session, &asked, Duration::from_millis(20));
    assert!(within(short).await?.jobs.is_empty());
    let wait = context.broker.fetch_when_ready(&worker.session, &asked, LONG);
    assert!(within(ended(&worker, wait)).await?.jobs.is_empty());
    Ok(())
}

/// The answer of a wait that is told to end, again and again, because it may not have begun yet.
async fn ended(
    worker: &TestWorker,
    wait: impl Future<Output = Result<Fetched, BrokerError>>,
) -> Result<Fetched, BrokerError> {
    tokio::pin!(wait);
    loop {
        tokio::select! {
            fetched = &mut wait => return fetched,
            () = tokio::time::sleep(Duration::from_millis(20)) => worker.broker.end_wait(&worker.session).await?,
        }
    }
}

/// A wait of an older generation takes nothing, and another worker is woken.
pub async fn a_wait_of_an_older_generation_takes_nothing(context: Context) -> Outcome {
    let (old, other) = (context.worker().await?, context.worker().await?);
    let asked = request(&["q"], 5, Load::Idle);
    let wait = context.broker.fetch_when_ready(&old.session, &asked, LONG);
    let meanwhile = async {
        context.broker.reconcile(&old.session).await?;
        context.enqueue([job("q")]).await?;
        wait_and_fetch(&other, &["q"]).await
    };
    // A store may have woken both, and one of them was first.
    let (refused, fetched) = within(async { tokio::join!(ended(&old, wait), meanwhile) }).await;
    expect_session_lost(&refused);
    assert_eq!(fetched?, 1);
    Ok(())
}

/// Work whose wake-up went down with a worker wakes another one after a look.
pub async fn a_look_wakes_for_work_that_nobody_was_told_of(context: Context) -> Outcome {
    let (gone, worker) = (context.worker().await?, context.worker().await?);
    context.enqueue([job("q")]).await?;
    // It takes the wake-up and never fetches.
    within(wait(&gone, &["q"])).await?;
    let looks = async {
        loop {
            context.broker.look(&queues(&["q"]), 10).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let fetched = async {
        tokio::select! {
            fetched = wait_and_fetch(&worker, &["q"]) => fetched,
            looked = looks => looked,
        }
    };
    assert_eq!(within(fetched).await?, 1);
    Ok(())
}

/// A look says whether something is ready in the queues asked for: not in others, not in a paused one, and not a suspect.
pub async fn a_look_says_whether_work_waits(context: Context) -> Outcome {
    let looks = async |queue: &str| {
        let queues = [super::queue_name(queue)];
        Ok::<_, BrokerError>(context.broker.look(&queues, 10).await?.work_waiting)
    };
    assert!(!looks("q").await?);
    context.enqueue([job("q")]).await?;
    assert!(looks("q").await? && !looks("other").await?);
    context.broker.set_paused(&super::queue_name("q"), true).await?;
    assert!(!looks("q").await?);
    context.broker.set_paused(&super::queue_name("q"), false).await?;
    let gone = context.worker().await?;
    gone.fetch_one("q").await?;
    assert!(!looks("q").await?);
    context.lose(&gone).await?;
    assert!(!looks("q").await?, "a suspect is for who holds nothing");
    Ok(())
}
