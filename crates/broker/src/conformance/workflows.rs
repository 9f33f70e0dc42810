//! Cases of workflows as a whole: put, begin, events, list, end, revoke and clean up.

use celeriac_core::canvas::{EndKind, Policy, StepEnd};
use celeriac_core::{JobId, State};

use super::context::{Context, Outcome, given, job, seconds, within};
use super::flow::{
    FLOW, Flow, flow_end, link, link_before, link_counting, new_flow, step, step_id, under, waiting, workflow_id,
};
use super::worker::{parking, success};
use crate::{
    Advance, Advanced, Begun, BrokerError, MAX_STEPS, NewWorkflow, REVIEW, ROOT, Submitted, UNSTARTED_TTL,
    WorkflowMark, WorkflowRevoked, WorkflowView,
};

const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

fn expect_invalid<T: std::fmt::Debug>(answer: &Result<T, BrokerError>) {
    assert!(matches!(answer, Err(BrokerError::Invalid(_))), "{answer:?}");
}

/// A workflow that begins enqueues what waits for nothing, and is kept as it was put.
pub async fn a_workflow_that_begins_enqueues_its_first_steps(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link_before(0, &[1]), link(2)], vec![waiting(link(1))]).await?;
    let mut expected = WorkflowView::new(flow.id.clone(), 3, 9, context.now());
    expected.begun = true;
    assert_eq!(flow.view().await?, expected);
    assert_eq!(context.broker.workflow_spec(&flow.id).await?, Some(new_flow(FLOW).spec));
    for at in [0, 2] {
        let job = context.expect_only_in(&step_id(&link(at)), State::Queued).await?;
        assert_eq!((job.enqueued_at, job.since), (context.now(), context.now()));
    }
    let mut expected = step(link_before(0, &[1]));
    (expected.enqueued_at, expected.since) = (context.now(), context.now());
    assert_eq!(flow.take(0).await?.record, expected);
    assert!(flow.events().await?.is_empty());
    assert!(context.broker.job(&step_id(&link(1))).await?.is_none());
    Ok(())
}

/// Put again, a workflow is left alone; another one of its id is refused.
pub async fn a_workflow_is_put_once(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [], vec![]).await?;
    let more = NewWorkflow { spec: "{}".to_owned(), roots: vec![step(link(0))], ..new_flow(FLOW) };
    context.advance(seconds(1));
    assert_eq!(context.broker.put_workflow(&more).await?, Submitted::Done);
    let other = NewWorkflow { token: "another".to_owned(), ..more };
    assert_eq!(context.broker.put_workflow(&other).await?, Submitted::InUse);
    assert_eq!(context.broker.workflow_spec(&flow.id).await?, Some(new_flow(FLOW).spec));
    assert!(flow.view().await?.made_at < context.now());
    assert!(!flow.is_ready(0).await?);
    Ok(())
}

/// A workflow that is put in parts begins when it is told to, once; what waits already is left as it is.
pub async fn a_workflow_is_put_in_parts(context: Context) -> Outcome {
    let (broker, id) = (&context.broker, workflow_id(FLOW));
    assert!(!broker.start_workflow(&id).await?);
    let part = NewWorkflow { begins: false, waiting: vec![waiting(link(1))], ..new_flow(FLOW) };
    assert_eq!(broker.put_workflow(&part).await?, Submitted::Done);
    let (mut changed, more) = (waiting(link(1)), waiting(link(2)));
    changed.record.payload = b"[]".to_vec();
    changed.gap = Some(1);
    broker.put_waiting(&id, &[changed.clone(), more]).await?;
    assert_eq!(broker.workflow(&id).await?.map(|view| view.begun), Some(false));
    assert!(broker.start_workflow(&id).await?);
    let events = broker.take_events(10, seconds(30)).await?;
    assert_eq!(events.iter().map(|event| event.node).collect::<Vec<_>>(), [ROOT]);
    broker.finish_event(&events[0]).await?;
    assert!(broker.start_workflow(&id).await?);
    changed.record = step(link(3));
    broker.put_waiting(&id, &[changed]).await?;
    assert!(broker.take_events(10, seconds(30)).await?.is_empty());
    broker.begin_steps(&id, &[step(link_before(0, &[1, 2, 3]))], false).await?;
    let flow = Flow { context: &context, id, worker: context.worker().await? };
    flow.succeed(0).await?;
    assert_eq!((flow.events().await?, flow.take(1).await?.record.payload), (vec![3], br#"{"took":[1]}"#.to_vec()));
    assert!(flow.is_ready(2).await?);
    Ok(())
}

/// Calls are bounded, and a workflow that does not begin has no jobs.
pub async fn calls_about_workflows_are_bounded(context: Context) -> Outcome {
    let (broker, id) = (&context.broker, workflow_id(FLOW));
    let jobs: Vec<_> = (0..=MAX_STEPS as u32).map(|at| step(link(at))).collect();
    let ids: Vec<_> = jobs.iter().map(|job| job.id.clone()).collect();
    let steps: Vec<_> = (1..=MAX_STEPS as u32).map(|at| waiting(link(at))).collect();
    let unbegun = NewWorkflow { begins: false, roots: jobs[..1].to_vec(), ..new_flow(FLOW) };
    expect_invalid(&broker.put_workflow(&unbegun).await);
    let big = NewWorkflow { roots: jobs[..1].to_vec(), waiting: steps, ..new_flow(FLOW) };
    expect_invalid(&broker.put_workflow(&big).await);
    assert_eq!(broker.workflow(&id).await?, None);
    let fits = NewWorkflow { waiting: big.waiting[1..].to_vec(), ..big };
    assert_eq!(broker.put_workflow(&fits).await?, Submitted::Done);
    let many: Vec<_> = (0..=MAX_STEPS as u32).map(|at| waiting(link(at))).collect();
    expect_invalid(&broker.put_waiting(&id, &many).await);
    expect_invalid(&broker.begin_steps(&id, &jobs, false).await);
    let advance = Advance { node: ROOT, from: 0, to: 1, last: true, begin: jobs, counts: Vec::new() };
    expect_invalid(&broker.advance(&id, &advance).await);
    expect_invalid(&broker.step_ends(&id, &(0..=MAX_STEPS as u32).collect::<Vec<_>>(), true).await);
    expect_invalid(&broker.withdraw(&id, &ids).await);
    Ok(())
}

/// The end of an earlier job with the id of a new workflow is forgotten: whoever waits for it waits for the workflow.
pub async fn a_new_workflow_forgets_the_end_of_its_id(context: Context) -> Outcome {
    let id = context.enqueue_one(given(FLOW, "q")).await?;
    let worker = context.worker().await?;
    let delivery = worker.fetch_one("q").await?;
    worker.settle_one(&delivery, success(&delivery, context.now())).await?;
    assert!(context.broker.result(&id).await?.is_some());
    Flow::begin(&context, [], vec![]).await?;
    assert_eq!(context.broker.result(&id).await?, None);
    Ok(())
}

/// An event that was taken comes again after its lease, until it is finished under the newest one.
pub async fn an_event_comes_until_it_is_finished(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link(0)], vec![]).await?;
    flow.die(0).await?;
    let take = async || context.broker.take_events(10, seconds(30)).await;
    let first = take().await?;
    assert_eq!((first[0].node, first[0].until), (0, context.now().after(seconds(30))));
    assert!(take().await?.is_empty());
    context.advance(seconds(30));
    let second = take().await?;
    assert_eq!(second.len(), 1);
    context.broker.finish_event(&first[0]).await?;
    context.advance(seconds(30));
    let third = take().await?;
    assert_eq!(third.len(), 1);
    context.broker.finish_event(&third[0]).await?;
    context.advance(seconds(30));
    assert!(take().await?.is_empty());
    Ok(())
}

/// An event that is left again while it is taken is there at once, and outlives the end of the first.
pub async fn an_event_that_comes_again_is_not_finished(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [], vec![]).await?;
    let fail = async || context.broker.fail_step(&flow.id, 0, &StepEnd::new(EndKind::Dead, "{}"), Policy::Wait).await;
    fail().await?;
    let taken = context.broker.take_events(10, seconds(30)).await?;
    context.advance(seconds(1));
    fail().await?;
    context.broker.finish_event(&taken[0]).await?;
    assert_eq!(flow.events().await?, [0]);
    Ok(())
}

/// The oldest events come first, those of one instant by workflow and node.
pub async fn the_oldest_events_come_first(context: Context) -> Outcome {
    let dead = StepEnd::new(EndKind::Dead, "{}");
    for id in ["b", "a", "c"] {
        context.broker.put_workflow(&new_flow(id)).await?;
    }
    context.broker.fail_step(&workflow_id("c"), 7, &dead, Policy::Wait).await?;
    context.advance(seconds(1));
    for (id, node) in [("b", 1), ("a", 10), ("a", 2)] {
        context.broker.fail_step(&workflow_id(id), node, &dead, Policy::Wait).await?;
    }
    let take = async |max| -> Result<Vec<_>, BrokerError> {
        let taken = context.broker.take_events(max, seconds(30)).await?;
        Ok(taken.into_iter().map(|event| (event.workflow.to_string(), event.node)).collect())
    };
    let expected = [("c", 7), ("a", 2), ("a", 10), ("b", 1)].map(|(id, node)| (id.to_owned(), node));
    assert_eq!(take(3).await?, expected[..3]);
    assert_eq!(take(3).await?, expected[3..]);
    Ok(())
}

/// Whoever looks after condemned workers is told whether events wait.
pub async fn a_look_says_whether_events_wait(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link(0)], vec![]).await?;
    let waits = async || -> Result<_, BrokerError> {
        let (look, condemned) = (context.broker.look(&[], 1).await?, context.broker.condemn_expired(1).await?);
        Ok((look.events_waiting, condemned.events_waiting))
    };
    assert_eq!(waits().await?, (false, false));
    flow.die(0).await?;
    assert_eq!(waits().await?, (true, true));
    context.broker.take_events(1, seconds(5)).await?;
    assert_eq!(waits().await?, (false, false));
    context.advance(seconds(5));
    assert_eq!(waits().await?, (true, true));
    flow.events().await?;
    assert_eq!(waits().await?, (false, false));
    Ok(())
}

/// Workflows are listed in pages, the newest first, those of one instant by id.
pub async fn workflows_are_listed_newest_first(context: Context) -> Outcome {
    for id in ["b", "z", "a"] {
        context.broker.put_workflow(&new_flow(id)).await?;
    }
    context.advance(seconds(1));
    context.broker.put_workflow(&new_flow("m")).await?;
    let mut listed = Vec::new();
    let mut mark = None;
    loop {
        let page = context.broker.workflows(mark.as_ref(), 2).await?;
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        mark = Some(WorkflowMark { made_at: last.made_at, id: last.id.clone() });
        listed.extend(page.into_iter().map(|view| view.id.to_string()));
    }
    assert_eq!(listed, ["m", "z", "b", "a"]);
    assert_eq!(context.broker.workflows(None, 10).await?.len(), 4);
    assert_eq!(context.broker.workflows(None, 0).await?, []);
    assert_eq!(context.stranger.workflows(None, 10).await?, []);
    Ok(())
}

/// The end of a workflow is noted once, and whoever waits for the end of its id is told.
pub async fn a_workflow_ends_once(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [], vec![]).await?;
    let (broker, end) = (&context.broker, flow_end(FLOW, State::Succeeded, &context));
    context.advance(seconds(1));
    let finish = async || broker.finish_workflow(&flow.id, &end, DAY, DAY).await;
    let (waited, finished) = within(async { tokio::join!(broker.wait_result(&end.id), finish()) }).await;
    assert!(finished?);
    assert_eq!(waited?, end);
    assert_eq!(broker.result(&end.id).await?, Some(end.clone()));
    assert_eq!(flow.view().await?.ended_at, Some(context.now()));
    context.advance(seconds(1));
    let other = flow_end(FLOW, State::Dead, &context);
    assert!(!broker.finish_workflow(&flow.id, &other, DAY, DAY).await?);
    assert_eq!(broker.result(&end.id).await?, Some(end));
    assert!(flow.view().await?.ended_at < Some(context.now()));
    Ok(())
}

/// Whoever notes an end may have looked before a retry, or before somebody revoked: then there is nothing to be noted.
pub async fn an_end_is_noted_only_of_a_workflow_that_has_come_to_it(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link(0)], vec![]).await?;
    let finish = async |state| {
        let end = flow_end(FLOW, state, &context);
        context.broker.finish_workflow(&flow.id, &end, DAY, DAY).await
    };
    assert!(!finish(State::Dead).await? && !finish(State::Revoked).await?);
    assert_eq!(flow.view().await?.ended_at, None);
    flow.die(0).await?;
    assert!(!finish(State::Succeeded).await?);
    assert!(finish(State::Dead).await?);
    context.broker.begin_steps(&flow.id, &[step(link(0))], true).await?;
    assert!(!finish(State::Dead).await?);
    assert_eq!(context.broker.result(&flow_end(FLOW, State::Dead, &context).id).await?, None);
    assert!(finish(State::Succeeded).await?);
    Ok(())
}

/// A workflow that has ended is removed after its retention, with its ends and its waiting jobs; its events are not answered.
pub async fn a_clean_up_removes_old_workflows(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link_counting(0, 2, 2)], vec![waiting(link(1))]).await?;
    flow.succeed(0).await?;
    context.broker.fail_step(&flow.id, 5, &StepEnd::new(EndKind::Dead, "{}"), Policy::Wait).await?;
    let end = flow_end(FLOW, State::Succeeded, &context);
    assert!(context.broker.finish_workflow(&flow.id, &end, DAY, seconds(10)).await?);
    context.advance(seconds(9));
    assert_eq!(context.broker.prune(10).await?.workflows, 0);
    context.advance(seconds(1));
    assert_eq!(context.broker.prune(10).await?.workflows, 1);
    assert_eq!(context.broker.prune(10).await?.workflows, 0);
    assert_eq!(context.broker.workflow(&flow.id).await?, None);
    assert_eq!(context.broker.workflow_spec(&flow.id).await?, None);
    assert!(flow.events().await?.is_empty());
    let flow = Flow::begin(&context, [link_counting(3, 2, 2), link_before(4, &[1])], vec![]).await?;
    assert_eq!((flow.end(0).await?, flow.end(5).await?, flow.events().await?), (None, None, vec![]));
    flow.succeed(3).await?;
    assert_eq!(flow.events().await?, [] as [u32; 0]);
    flow.succeed(4).await?;
    assert_eq!(flow.events().await?, [1]);
    Ok(())
}

/// A workflow that was put and never begun is removed after a time, one that has begun is not.
pub async fn a_workflow_that_never_begins_is_removed(context: Context) -> Outcome {
    for (id, begins) in [("left", false), ("runs", true), ("begun", false)] {
        context.broker.put_workflow(&NewWorkflow { begins, ..new_flow(id) }).await?;
    }
    context.broker.start_workflow(&workflow_id("begun")).await?;
    context.advance(UNSTARTED_TTL - seconds(1));
    assert_eq!(context.broker.prune(10).await?.workflows, 0);
    context.advance(seconds(1));
    assert_eq!(context.broker.prune(10).await?.workflows, 1);
    let left: Vec<_> = context.broker.workflows(None, 10).await?.into_iter().map(|view| view.id.to_string()).collect();
    assert_eq!(left, ["runs", "begun"]);
    Ok(())
}

/// A workflow that has ended before it began is kept as long as its end says, and removed then, also if it is told to begin.
pub async fn a_workflow_that_ended_unbegun_is_removed(context: Context) -> Outcome {
    let broker = &context.broker;
    for (id, retention) in [("short", seconds(10)), ("long", UNSTARTED_TTL * 2)] {
        broker.put_workflow(&NewWorkflow { begins: false, ..new_flow(id) }).await?;
        assert_eq!(broker.revoke_workflow(&workflow_id(id), "ann").await?, WorkflowRevoked::Done);
        let end = flow_end(id, State::Revoked, &context);
        assert!(broker.finish_workflow(&workflow_id(id), &end, DAY, retention).await?);
    }
    assert!(broker.start_workflow(&workflow_id("short")).await?);
    context.advance(seconds(10));
    assert_eq!(broker.prune(10).await?.workflows, 1);
    context.advance(UNSTARTED_TTL);
    assert_eq!(broker.prune(10).await?.workflows, 0);
    assert!(broker.workflow(&workflow_id("long")).await?.is_some());
    Ok(())
}

/// A clean-up removes only so many workflows at once.
pub async fn a_clean_up_of_workflows_is_bounded(context: Context) -> Outcome {
    for (id, begins) in [("a", true), ("b", true), ("c", false)] {
        context.broker.put_workflow(&NewWorkflow { begins, ..new_flow(id) }).await?;
        let end = flow_end(id, State::Succeeded, &context);
        if begins {
            context.broker.finish_workflow(&workflow_id(id), &end, DAY, seconds(1)).await?;
        }
    }
    context.advance(UNSTARTED_TTL);
    assert_eq!(context.broker.prune(2).await?.workflows, 2);
    assert_eq!(context.broker.prune(2).await?.workflows, 1);
    assert_eq!(context.broker.prune(2).await?.workflows, 0);
    Ok(())
}

/// Of a revoked workflow nothing begins any more, callbacks included; it is revoked once.
pub async fn a_revoked_workflow_begins_nothing(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link_before(0, &[1])], vec![waiting(link(1))]).await?;
    let broker = &context.broker;
    assert_eq!(broker.revoke_workflow(&flow.id, "ann").await?, WorkflowRevoked::Done);
    assert_eq!(broker.revoke_workflow(&flow.id, "bob").await?, WorkflowRevoked::TooLate);
    let view = flow.view().await?;
    assert_eq!((view.revoked_by.as_deref(), view.halted, view.failures), (Some("ann"), true, 0));
    assert_eq!(flow.events().await?, [REVIEW]);
    flow.succeed(0).await?;
    let jobs = [step(link(2)), step(under(Policy::Callback, link(3)))];
    assert_eq!(broker.begin_steps(&flow.id, &jobs, false).await?, [Begun::Halted, Begun::Halted]);
    assert_eq!(broker.begin_steps(&flow.id, &jobs, true).await?, [Begun::Halted, Begun::Halted]);
    assert_eq!((flow.is_ready(1).await?, flow.events().await?), (false, vec![]));
    Ok(())
}

/// A workflow that has succeeded is not revoked any more.
pub async fn a_workflow_that_has_succeeded_is_not_revoked(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [], vec![]).await?;
    let end = flow_end(FLOW, State::Succeeded, &context);
    context.broker.finish_workflow(&flow.id, &end, DAY, DAY).await?;
    assert_eq!(context.broker.revoke_workflow(&flow.id, "ann").await?, WorkflowRevoked::TooLate);
    let view = flow.view().await?;
    assert_eq!((view.revoked_by, view.halted, view.ended_at), (None, false, Some(context.now())));
    assert!(flow.events().await?.is_empty());
    Ok(())
}

/// A workflow that has failed can be revoked, and then it ends once more. The retention of its first end is over.
pub async fn a_failed_workflow_that_is_revoked_ends_anew(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link(0)], vec![]).await?;
    flow.die(0).await?;
    let (broker, dead) = (&context.broker, flow_end(FLOW, State::Dead, &context));
    assert!(broker.finish_workflow(&flow.id, &dead, DAY, seconds(10)).await?);
    assert_eq!(broker.revoke_workflow(&flow.id, "ann").await?, WorkflowRevoked::Done);
    assert_eq!((flow.view().await?.ended_at, broker.result(&dead.id).await?), (None, None));
    context.advance(seconds(60));
    assert_eq!(broker.prune(10).await?.workflows, 0);
    let revoked = flow_end(FLOW, State::Revoked, &context);
    assert!(broker.finish_workflow(&flow.id, &revoked, DAY, DAY).await?);
    assert_eq!(broker.result(&dead.id).await?.map(|end| end.state), Some(State::Revoked));
    Ok(())
}

/// Jobs of a halted workflow that have not begun can be taken back as if they had never been enqueued; no others.
pub async fn waiting_jobs_of_a_halted_workflow_are_withdrawn(context: Context) -> Outcome {
    let callback = under(Policy::Callback, link(5));
    let links = [link(0), link(1), link(2), link(3), link(4), callback];
    let flow = Flow::begin(&context, links, vec![]).await?;
    let foreign = new_flow("other");
    context.broker.put_workflow(&foreign).await?;
    let plain = context.enqueue_one(job("q")).await?;
    let mut ids: Vec<JobId> = (0..7).map(|at| step_id(&link(at))).collect();
    ids.push(plain);
    assert_eq!(context.broker.withdraw(&flow.id, &ids).await?, None);
    flow.settle(2, parking).await?;
    flow.settle(3, |delivery, now| super::worker::retry(delivery, now, seconds(9))).await?;
    let running = flow.take(4).await?;
    flow.die(0).await?;
    assert_eq!(context.broker.withdraw(&foreign.id, &ids).await?, None);
    context.broker.revoke_workflow(&foreign.id, "ann").await?;
    assert_eq!(context.broker.withdraw(&foreign.id, &ids).await?, Some(0));
    assert_eq!(context.broker.withdraw(&flow.id, &ids).await?, Some(3));
    assert_eq!(context.broker.withdraw(&flow.id, &ids).await?, Some(0));
    let mut left: Vec<_> = context.jobs().await?.into_iter().map(|job| job.state).collect();
    left.sort();
    let mut expected = [State::Queued, State::Queued, State::Running, State::Dead];
    expected.sort();
    assert_eq!(left, expected);
    for at in 1..=3 {
        assert_eq!((flow.end(at).await?, context.broker.result(&step_id(&link(at))).await?), (None, None));
        assert!(context.broker.job(&step_id(&link(at))).await?.is_none());
    }
    flow.worker.settle_one(&running, success(&running, context.now())).await?;
    assert_eq!((context.queue("q3").await?.scheduled, context.queue("q2").await?.parked), (0, 0));
    Ok(())
}

/// A step that is withdrawn can begin again once its workflow goes on.
pub async fn a_withdrawn_step_can_begin(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link(0), link(1)], vec![]).await?;
    flow.die(0).await?;
    assert_eq!(context.broker.withdraw(&flow.id, &[step_id(&link(1))]).await?, Some(1));
    context.broker.retry_dead(&[step_id(&link(0))]).await?;
    assert_eq!(context.broker.begin_steps(&flow.id, &[step(link(1))], false).await?, [Begun::Done]);
    context.expect_only_in(&step_id(&link(1)), State::Queued).await?;
    Ok(())
}

/// What is said of a workflow that nobody knows has no effect; that of another namespace is one.
pub async fn nothing_is_done_for_an_unknown_workflow(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link(0)], vec![]).await?;
    let (broker, id) = (&context.stranger, &flow.id);
    broker.put_waiting(id, &[waiting(link(1))]).await?;
    assert!(!broker.start_workflow(id).await?);
    assert_eq!(broker.begin_steps(id, &[step(link(0))], true).await?, [Begun::Unknown]);
    let advance = Advance { node: ROOT, from: 0, to: 1, last: true, begin: vec![step(link(1))], counts: vec![] };
    assert_eq!(broker.advance(id, &advance).await?, Advanced::Unknown);
    broker.fail_step(id, 0, &StepEnd::new(EndKind::Dead, "{}"), Policy::Fail).await?;
    assert!(!broker.finish_workflow(id, &flow_end(FLOW, State::Dead, &context), DAY, DAY).await?);
    assert_eq!(broker.revoke_workflow(id, "ann").await?, WorkflowRevoked::Unknown);
    assert_eq!(broker.withdraw(id, &[step_id(&link(0))]).await?, None);
    assert_eq!((broker.workflow(id).await?, broker.workflow_spec(id).await?), (None, None));
    assert_eq!(broker.step_ends(id, &[0, 1], true).await?, [None, None]);
    assert!(broker.take_events(10, seconds(30)).await?.is_empty());
    assert!(broker.queues().await?.is_empty());
    assert_eq!((flow.failed().await?, flow.is_ready(0).await?), ((0, false), true));
    Ok(())
}

/// A job whose workflow is gone ends like any other.
pub async fn a_step_outlives_its_workflow(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link_before(0, &[1]), link(2)], vec![waiting(link(1))]).await?;
    let end = flow_end(FLOW, State::Succeeded, &context);
    context.broker.finish_workflow(&flow.id, &end, DAY, seconds(0)).await?;
    assert_eq!(context.broker.prune(10).await?.workflows, 1);
    flow.succeed(0).await?;
    flow.die(2).await?;
    let state = |end: Option<celeriac_core::Outcome>| end.map(|end| end.state);
    assert_eq!(state(context.broker.result(&step_id(&link(0))).await?), Some(State::Succeeded));
    assert_eq!(context.broker.retry_dead(&[step_id(&link(2))]).await?, [crate::Retried::Done]);
    assert!(!flow.is_ready(1).await?);
    assert!(context.broker.take_events(10, seconds(30)).await?.is_empty());
    Ok(())
}
