//! Cases of steps: how one begins, what its end does in the same commit, and what is left to be done.

use celeriac_core::canvas::{EndKind, MAX_INLINE_BYTES, Policy, StepEnd, WaitingStep};
use celeriac_core::{State, Transition};
use serde_json::value::RawValue;

use super::context::{Context, Outcome, job, queue_name, seconds, task_name};
use super::flow::{
    Flow, died, flow_end, link, link_before, link_counting, step, step_id, succeeded, under, waiting, workflow_id,
};
use super::worker::{Load, death, hand_back, parking, request, retry, revocation, settlement, success};
use crate::{Begun, BrokerError, Delivery, REVIEW, Retried, Revocation, Settled};

fn success_with(bytes: usize) -> impl Fn(&Delivery, celeriac_core::Timestamp) -> Transition {
    move |delivery, now| {
        let mut end = success(delivery, now);
        if let Transition::Finish { outcome, .. } = &mut end {
            let text = format!("\"{}\"", "x".repeat(bytes - 2));
            outcome.result = RawValue::from_string(text).ok();
        }
        end
    }
}

/// The commit that ends a step begins what waits for it alone, with its result in the gap; nothing is left to be done.
pub async fn a_step_begins_what_waits_for_it_alone(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link_before(0, &[1])], vec![waiting(link(1))]).await?;
    assert!(!flow.is_ready(1).await?);
    let first = flow.take(0).await?;
    context.advance(seconds(1));
    let settlements = [settlement(&first, success(&first, context.now()))];
    let asked = request(&["q1"], 1, Load::Idle);
    let exchanged = context.broker.exchange(&flow.worker.session, &settlements, &asked).await?;
    assert_eq!(exchanged.settled, [Settled::Done]);
    let next = &exchanged.fetched.jobs[0].record;
    assert_eq!(next.payload, br#"{"took":[1]}"#);
    assert_eq!((next.enqueued_at, next.since, next.attempt), (context.now(), context.now(), 0));
    assert_eq!(next.options.step.as_deref(), Some(&link(1)));
    assert_eq!(flow.ended(0).await?, succeeded("[1]"));
    assert_eq!((flow.end(1).await?, flow.events().await?), (None, vec![]));
    Ok(())
}

/// A job that waits and takes no result begins as it is.
pub async fn a_job_without_a_gap_begins_as_it_is(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link_before(0, &[1])], vec![WaitingStep::new(step(link(1)), None)]).await?;
    flow.succeed(0).await?;
    assert_eq!(flow.take(1).await?.record.payload, b"{}");
    Ok(())
}

/// A waiting job that is not stored is left to whoever takes events.
pub async fn a_follower_without_a_stored_job_is_an_event(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link_before(0, &[1, 2])], vec![waiting(link(2))]).await?;
    flow.succeed(0).await?;
    assert_eq!(flow.events().await?, [1]);
    assert!(flow.is_ready(2).await?);
    Ok(())
}

/// What waits for several nodes is an event once they all have ended, and not before.
pub async fn ends_are_counted_for_what_waits_for_several(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link_counting(0, 2, 2), link_counting(1, 2, 2)], vec![]).await?;
    let counted = || context.broker.counted(&flow.id, 2);
    assert_eq!(counted().await?, 0);
    flow.succeed(0).await?;
    assert_eq!((flow.events().await?, counted().await?), (vec![], 1));
    flow.succeed(1).await?;
    assert_eq!((flow.events().await?, counted().await?), (vec![2], 2));
    assert_eq!(context.broker.counted(&workflow_id("none"), 2).await?, 0);
    Ok(())
}

/// The end of the last step is an event, also when nothing is pending.
pub async fn the_end_of_the_last_step_is_an_event(context: Context) -> Outcome {
    let mut last = link(0);
    last.last = true;
    let flow = Flow::begin(&context, [last], vec![]).await?;
    flow.succeed(0).await?;
    assert_eq!((flow.ended(0).await?, flow.events().await?), (succeeded("[1]"), vec![0]));
    Ok(())
}

/// The followers of a step with many are left to whoever takes events.
pub async fn many_followers_are_pending(context: Context) -> Outcome {
    let mut many = link(0);
    many.many = true;
    let flow = Flow::begin(&context, [many], vec![]).await?;
    flow.succeed(0).await?;
    assert_eq!(flow.ended(0).await?, Some(('S', "[1]".to_owned(), true)));
    assert_eq!(flow.events().await?, [0]);
    Ok(())
}

/// A result that is too long to be copied leaves the followers pending; one that just fits does not.
pub async fn a_long_result_leaves_followers_pending(context: Context) -> Outcome {
    let links = [link_before(0, &[2]), link_before(1, &[3])];
    let flow = Flow::begin(&context, links, vec![waiting(link(2)), waiting(link(3))]).await?;
    flow.settle(0, success_with(MAX_INLINE_BYTES)).await?;
    flow.settle(1, success_with(MAX_INLINE_BYTES + 1)).await?;
    let pending = [flow.end(0).await?, flow.end(1).await?].map(|end| end.map(|end| end.pending));
    assert_eq!(pending, [Some(None), Some(Some(0))]);
    assert_eq!((flow.is_ready(2).await?, flow.is_ready(3).await?), (true, false));
    assert_eq!(flow.events().await?, [1]);
    Ok(())
}

/// A dead step is a failure and halts its workflow: nothing begins any more, a callback excepted.
pub async fn a_dead_step_halts_its_workflow(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link_before(0, &[1])], vec![waiting(link(1))]).await?;
    flow.die(0).await?;
    assert_eq!(flow.failed().await?, (1, true));
    assert_eq!(flow.ended(0).await?, Some(('D', died(0), false)));
    assert_eq!((flow.events().await?, flow.is_ready(1).await?), (vec![0], false));
    let jobs = [step(link(2)), step(under(Policy::Callback, link(3)))];
    assert_eq!(context.broker.begin_steps(&flow.id, &jobs, false).await?, [Begun::Halted, Begun::Done]);
    assert_eq!((flow.is_ready(2).await?, flow.is_ready(3).await?), (false, true));
    Ok(())
}

/// Where a failure waits for a retry it halts nothing.
pub async fn a_failure_that_waits_halts_nothing(context: Context) -> Outcome {
    let first = under(Policy::Wait, link_before(0, &[1]));
    let flow = Flow::begin(&context, [first, link(2)], vec![waiting(link(1))]).await?;
    flow.die(0).await?;
    assert_eq!((flow.failed().await?, flow.events().await?), ((1, false), vec![0]));
    flow.settle(2, revocation).await?;
    assert_eq!((flow.failed().await?, flow.events().await?), ((2, true), vec![2]));
    assert!(!flow.is_ready(1).await?);
    assert_eq!(flow.ended(2).await?.map(|end| end.0), Some('R'));
    Ok(())
}

/// Where a failure is a value the workflow goes on with it.
pub async fn a_failure_that_is_a_value_goes_on(context: Context) -> Outcome {
    let links = [0, 1].map(|at| under(Policy::Continue, link_before(at, &[at + 2])));
    let flow = Flow::begin(&context, links, vec![waiting(link(2)), waiting(link(3))]).await?;
    flow.die(0).await?;
    flow.succeed(1).await?;
    let failure = format!(r#"{{"error":{}}}"#, died(0));
    assert_eq!(flow.ended(0).await?, Some(('E', failure.clone(), false)));
    assert_eq!(flow.ended(1).await?, succeeded(r#"{"ok":[1]}"#));
    assert_eq!(flow.take(2).await?.record.payload, format!(r#"{{"took":{failure}}}"#).into_bytes());
    assert_eq!(flow.take(3).await?.record.payload, br#"{"took":{"ok":[1]}}"#);
    assert_eq!((flow.failed().await?, flow.events().await?), ((0, false), vec![]));
    Ok(())
}

/// A callback that fails is no failure of the workflow, and nothing is to be done about it.
pub async fn a_dead_callback_counts_for_nothing(context: Context) -> Outcome {
    let links = [under(Policy::Callback, link(0)), under(Policy::Wait, link(1))];
    let flow = Flow::begin(&context, links, vec![]).await?;
    flow.die(0).await?;
    assert_eq!((flow.failed().await?, flow.events().await?), ((0, false), vec![]));
    assert_eq!(flow.ended(0).await?.map(|end| end.0), Some('D'));
    flow.die(1).await?;
    let again = context.broker.begin_steps(&flow.id, &[step(under(Policy::Callback, link(0)))], true).await?;
    assert_eq!((again, flow.failed().await?), (vec![Begun::Done], (1, false)));
    Ok(())
}

/// A step that ends while its workflow is halted keeps its end; what should follow is pending, and nobody is told.
pub async fn what_follows_in_a_halted_workflow_is_pending(context: Context) -> Outcome {
    let links = [link(0), link_before(1, &[2]), link_counting(3, 4, 1)];
    let flow = Flow::begin(&context, links, vec![waiting(link(2))]).await?;
    flow.die(0).await?;
    flow.succeed(1).await?;
    flow.succeed(3).await?;
    assert_eq!(flow.ended(1).await?, Some(('S', "[1]".to_owned(), true)));
    assert_eq!(flow.ended(3).await?, Some(('S', "[1]".to_owned(), true)));
    assert_eq!((flow.events().await?, flow.is_ready(2).await?), (vec![0], false));
    Ok(())
}

/// A step begins once: not while its job waits or runs, and not after a good end.
pub async fn a_step_begins_once(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [], vec![waiting(link(0))]).await?;
    let begin = async |again| context.broker.begin_steps(&flow.id, &[step(link(0))], again).await;
    context.advance(seconds(1));
    assert_eq!(begin(false).await?, [Begun::Done]);
    let view = context.expect_only_in(&step_id(&link(0)), State::Queued).await?;
    assert_eq!((view.enqueued_at, view.since), (context.now(), context.now()));
    assert_eq!(begin(false).await?, [Begun::Before]);
    let delivery = flow.take(0).await?;
    assert_eq!(begin(true).await?, [Begun::Before]);
    context.broker.fail_step(&flow.id, 0, &StepEnd::new(EndKind::Dead, "{}"), Policy::Wait).await?;
    assert_eq!((begin(true).await?, flow.failed().await?), (vec![Begun::Before], (1, false)));
    flow.worker.settle_one(&delivery, success(&delivery, context.now())).await?;
    assert_eq!(begin(false).await?, [Begun::Before]);
    assert_eq!(begin(true).await?, [Begun::Before]);
    assert!(context.broker.result(&step_id(&link(0))).await?.is_some());
    assert!(!flow.is_ready(0).await?);
    Ok(())
}

/// A job that has begun does not wait any more: whoever takes the event sees whether it is still there.
pub async fn a_job_that_has_begun_waits_no_more(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link_before(0, &[1])], vec![waiting(link(1))]).await?;
    assert_eq!(context.broker.begin_steps(&flow.id, &[step(link(1))], false).await?, [Begun::Done]);
    flow.succeed(0).await?;
    assert_eq!(flow.events().await?, [1]);
    assert_eq!(flow.take(1).await?.record.payload, b"{}");
    Ok(())
}

/// Begun steps are the last of their queue, and wake who waits there.
pub async fn a_step_that_begins_joins_the_end_of_its_queue(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link_before(0, &[1])], vec![waiting(link(1))]).await?;
    let before = context.enqueue_one(job("q1")).await?;
    flow.succeed(0).await?;
    let ids: Vec<_> = flow.worker.fetch(&["q1"], 5).await?.into_iter().map(|job| job.record.id).collect();
    assert_eq!(ids, [before, step_id(&link(1))]);
    Ok(())
}

/// A failed step begins again only if that is said; then its end and its dead job are gone, and the workflow goes on.
pub async fn a_failed_step_begins_again(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link(0)], vec![]).await?;
    flow.die(0).await?;
    let (day, broker) = (seconds(86_400), &context.broker);
    assert!(broker.finish_workflow(&flow.id, &flow_end(flow.id.as_str(), State::Dead, &context), day, day).await?);
    assert_eq!(flow.events().await?, [0]);
    assert_eq!(broker.begin_steps(&flow.id, &[step(link(0))], false).await?, [Begun::Before]);
    context.expect_only_in(&step_id(&link(0)), State::Dead).await?;
    assert_eq!(broker.begin_steps(&flow.id, &[step(link(0))], true).await?, [Begun::Done]);
    context.expect_only_in(&step_id(&link(0)), State::Queued).await?;
    assert_eq!(broker.result(&step_id(&link(0))).await?, None);
    assert_eq!((flow.end(0).await?, flow.failed().await?), (None, (0, false)));
    assert_eq!((flow.view().await?.ended_at, flow.events().await?), (None, vec![REVIEW]));
    assert_eq!(broker.result(&flow_end(flow.id.as_str(), State::Dead, &context).id).await?, None);
    Ok(())
}

/// Of several failed steps each begins again, and the last one resumes the workflow.
pub async fn the_last_failed_step_that_begins_again_resumes(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link(0), link(1)], vec![]).await?;
    flow.die(0).await?;
    flow.die(1).await?;
    assert_eq!((flow.failed().await?, flow.events().await?), ((2, true), vec![0, 1]));
    assert_eq!(context.broker.begin_steps(&flow.id, &[step(link(0))], true).await?, [Begun::Done]);
    assert_eq!((flow.failed().await?, flow.events().await?), ((1, true), vec![]));
    assert_eq!(context.broker.begin_steps(&flow.id, &[step(link(1))], true).await?, [Begun::Done]);
    assert_eq!((flow.failed().await?, flow.events().await?), ((0, false), vec![REVIEW]));
    Ok(())
}

/// A dead job that is retried takes the failure of its step with it.
pub async fn a_retried_job_resumes_its_workflow(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link_before(0, &[1])], vec![waiting(link(1))]).await?;
    flow.die(0).await?;
    assert_eq!(flow.events().await?, [0]);
    assert_eq!(context.broker.retry_dead(&[step_id(&link(0))]).await?, [Retried::Done]);
    assert_eq!((flow.end(0).await?, flow.failed().await?), (None, (0, false)));
    assert_eq!(flow.events().await?, [REVIEW]);
    flow.succeed(0).await?;
    assert!(flow.is_ready(1).await?);
    Ok(())
}

/// A dead job of a revoked workflow is retried by itself.
pub async fn a_retried_job_of_a_revoked_workflow_resumes_nothing(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link(0)], vec![]).await?;
    flow.die(0).await?;
    context.broker.revoke_workflow(&flow.id, "ann").await?;
    assert_eq!(context.broker.begin_steps(&flow.id, &[step(link(0))], true).await?, [Begun::Halted]);
    assert_eq!(context.broker.retry_dead(&[step_id(&link(0))]).await?, [Retried::Done]);
    assert!(flow.is_ready(0).await?);
    assert_eq!((flow.ended(0).await?.map(|end| end.0), flow.failed().await?), (Some('D'), (1, true)));
    Ok(())
}

/// A step whose job cannot be made has failed; whether that halts the workflow is said.
pub async fn a_step_without_a_job_fails(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [], vec![]).await?;
    let (broker, dead) = (&context.broker, StepEnd::new(EndKind::Dead, "{}"));
    broker.fail_step(&flow.id, 0, &dead, Policy::Wait).await?;
    assert_eq!((flow.failed().await?, flow.events().await?), ((1, false), vec![0]));
    broker.fail_step(&flow.id, 0, &dead, Policy::Wait).await?;
    assert_eq!(flow.failed().await?, (1, false));
    let value = StepEnd::new(EndKind::Error, "{\"error\":1}");
    broker.fail_step(&flow.id, 1, &value, Policy::Fail).await?;
    assert_eq!(flow.ended(1).await?, Some(('E', value.value.clone(), true)));
    assert_eq!((flow.failed().await?, flow.events().await?), ((1, false), vec![0, 1]));
    broker.fail_step(&flow.id, 2, &dead, Policy::Fail).await?;
    broker.fail_step(&flow.id, 3, &value, Policy::Fail).await?;
    assert_eq!((flow.failed().await?, flow.events().await?), ((2, true), vec![2]));
    assert_eq!(flow.end(3).await?.map(|end| end.pending), Some(Some(0)));
    // A callback counts for nothing.
    broker.fail_step(&flow.id, 4, &dead, Policy::Callback).await?;
    assert_eq!((flow.ended(4).await?.map(|end| end.0), flow.failed().await?), (Some('D'), (2, true)));
    assert_eq!(flow.events().await?, [] as [u32; 0]);
    Ok(())
}

/// A good end is never replaced, nor does a second one count.
pub async fn a_good_end_stays(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link_counting(0, 1, 2)], vec![]).await?;
    flow.succeed(0).await?;
    context.broker.fail_step(&flow.id, 0, &StepEnd::new(EndKind::Dead, "{}"), Policy::Fail).await?;
    assert_eq!((flow.ended(0).await?, flow.failed().await?), (succeeded("[1]"), (0, false)));
    let mut plain = job("q9");
    plain.record.options.step = Some(Box::new(link_counting(0, 1, 2)));
    context.enqueue_one(plain).await?;
    let second = flow.worker.fetch_one("q9").await?;
    flow.worker.settle_one(&second, success(&second, context.now())).await?;
    assert_eq!((flow.events().await?, context.broker.counted(&flow.id, 1).await?), (vec![], 1));
    Ok(())
}

/// An end without success is replaced by a good one, and is no failure any more.
pub async fn a_good_end_replaces_a_failure(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link_before(0, &[1])], vec![waiting(link(1))]).await?;
    context.broker.fail_step(&flow.id, 0, &StepEnd::new(EndKind::Dead, "{}"), Policy::Wait).await?;
    assert_eq!(flow.failed().await?, (1, false));
    flow.succeed(0).await?;
    assert_eq!((flow.ended(0).await?, flow.failed().await?), (succeeded("[1]"), (0, false)));
    assert!(flow.is_ready(1).await?);
    Ok(())
}

/// A step whose job is revoked or purged while it waits has ended; where a failure is a value, what follows is pending.
pub async fn a_step_that_never_ran_has_ended(context: Context) -> Outcome {
    let value = under(Policy::Continue, link_before(2, &[3]));
    let links = [under(Policy::Wait, link(0)), link(1), value];
    let flow = Flow::begin(&context, links, vec![waiting(link(3))]).await?;
    let revoked = context.broker.revoke(&[step_id(&link(0)), step_id(&link(2))], "ann").await?;
    assert_eq!(revoked, [Revocation::Ended, Revocation::Ended]);
    assert_eq!((flow.failed().await?, flow.events().await?), ((1, false), vec![0, 2]));
    let ends = [flow.ended(0).await?, flow.ended(2).await?].map(|end| end.map(|(kind, _, pending)| (kind, pending)));
    assert_eq!((ends, flow.is_ready(3).await?), ([Some(('R', false)), Some(('E', true))], false));
    context.broker.purge(&queue_name("q1"), 10, "ann").await?;
    assert_eq!((flow.failed().await?, flow.events().await?), ((2, true), vec![1]));
    assert_eq!(flow.ended(1).await?.map(|end| end.0), Some('R'));
    Ok(())
}

/// A step that is tried again, handed back or kept aside has not ended.
pub async fn a_step_that_goes_on_has_not_ended(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link(0)], vec![]).await?;
    flow.settle(0, hand_back).await?;
    flow.settle(0, parking).await?;
    context.broker.release_parked(&[task_name("task")], 1).await?;
    flow.settle(0, |delivery, now| retry(delivery, now, seconds(1))).await?;
    context.advance(seconds(1));
    context.broker.promote_due(1).await?;
    assert_eq!((flow.end(0).await?, flow.failed().await?, flow.events().await?), (None, (0, false), vec![]));
    flow.settle(0, death).await?;
    assert_eq!(flow.failed().await?, (1, true));
    Ok(())
}

/// Ends are read in portions of about a MiB, one at least; without values they all fit.
pub async fn ends_are_read_in_portions(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [], vec![]).await?;
    let end = StepEnd::new(EndKind::Error, "x".repeat(700_000));
    for node in [0, 2, 3] {
        context.broker.fail_step(&flow.id, node, &end, Policy::Wait).await?;
    }
    let (mut read, nodes) = (0, [0, 1, 2, 3]);
    while read < nodes.len() {
        let ends = context.broker.step_ends(&flow.id, &nodes[read..], true).await?;
        assert!((1..=3).contains(&ends.len()), "{} at once", ends.len());
        for (kept, node) in ends.iter().zip(&nodes[read..]) {
            assert_eq!(kept.as_ref().map(|kept| kept.end.clone()), (*node != 1).then(|| end.clone()));
        }
        read += ends.len();
    }
    let ends = context.broker.step_ends(&flow.id, &nodes, false).await?;
    let ends = ends.into_iter().map(|kept| kept.map(|kept| (kept.end.kind, kept.end.value)));
    let bare = || Some((EndKind::Error, String::new()));
    assert_eq!(ends.collect::<Vec<_>>(), [bare(), None, bare(), bare()]);
    Ok(())
}

/// A job that is no step of the workflow is refused, and one that another job could keep out.
pub async fn only_steps_of_the_workflow_begin(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [], vec![]).await?;
    let mut foreign = link(0);
    foreign.workflow = workflow_id("other");
    let (mut plain, mut unique) = (step(link(0)), step(link(0)));
    plain.options.step = None;
    unique.options.unique = "key".parse().ok();
    for job in [step(foreign), plain, unique] {
        let begun = context.broker.begin_steps(&flow.id, &[job], false).await;
        assert!(matches!(begun, Err(BrokerError::Invalid(_))), "{begun:?}");
    }
    assert!(!flow.is_ready(0).await?);
    Ok(())
}
