//! Cases of [`Workflows::advance`](crate::Workflows::advance), and of many that begin or end together.

use celeriac_core::canvas::{Counts, EndKind, Policy, StepEnd};

use super::context::{Context, Outcome, given};
use super::flow::{FLOW, Flow, link, link_counting, new_flow, queue_of, step, step_id, succeeded, waiting};
use super::worker::{settlement, success};
use crate::{Advance, Advanced, Begun, NewWorkflow, ROOT, Settled};

/// A part of the followers of a node, without any yet.
fn advance(node: u32, from: u32, to: u32) -> Advance {
    Advance { node, from, to, last: false, begin: Vec::new(), counts: Vec::new() }
}

/// Followers are dealt with in parts, each part once; with the last nothing is pending.
pub async fn followers_are_dealt_with_in_parts(context: Context) -> Outcome {
    let mut many = link(0);
    many.many = true;
    let flow = Flow::begin(&context, [many], vec![waiting(link(1))]).await?;
    flow.succeed(0).await?;
    assert_eq!(flow.events().await?, [0]);
    let broker = &context.broker;
    let part = Advance { begin: vec![step(link(1))], counts: vec![Counts(2, 2)], ..advance(0, 0, 2) };
    assert_eq!(broker.advance(&flow.id, &part).await?, Advanced::Done);
    assert_eq!(broker.advance(&flow.id, &part).await?, Advanced::Moved(2));
    assert!(flow.is_ready(1).await?);
    assert_eq!(flow.events().await?, [] as [u32; 0]);
    assert_eq!(flow.end(0).await?.map(|end| end.pending), Some(Some(2)));
    assert_eq!(broker.advance(&flow.id, &Advance { last: true, ..advance(0, 3, 4) }).await?, Advanced::Moved(2));
    let last = Advance { counts: vec![Counts(2, 2)], last: true, ..advance(0, 2, 3) };
    assert_eq!(broker.advance(&flow.id, &last).await?, Advanced::Done);
    let kept = flow.end(0).await?.map(|end| end.pending);
    assert_eq!((kept, flow.events().await?), (Some(None), vec![2]));
    assert_eq!(broker.counted(&flow.id, 2).await?, 2);
    assert_eq!(broker.advance(&flow.id, &last).await?, Advanced::Moved(3));
    Ok(())
}

/// A node without a job has ended with the last part of its followers; the beginning of a workflow is no node.
pub async fn the_last_part_ends_a_join(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [], vec![]).await?;
    let broker = &context.broker;
    assert_eq!(broker.advance(&flow.id, &Advance { last: true, ..advance(4, 0, 1) }).await?, Advanced::Done);
    assert_eq!(flow.ended(4).await?, succeeded(""));
    let roots = Advance { begin: vec![step(link(0))], last: true, ..advance(ROOT, 0, 1) };
    assert_eq!(broker.advance(&flow.id, &roots).await?, Advanced::Done);
    assert_eq!(broker.advance(&flow.id, &roots).await?, Advanced::Moved(1));
    assert_eq!((flow.end(ROOT).await?, flow.is_ready(0).await?), (None, true));
    Ok(())
}

/// Nobody deals with followers in a workflow that is halted, and each part waits for a resumption.
pub async fn no_follower_is_dealt_with_while_halted(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [link(0), link(1)], vec![]).await?;
    flow.die(0).await?;
    flow.succeed(1).await?;
    let part = Advance { begin: vec![step(link(2))], last: true, ..advance(1, 0, 1) };
    assert_eq!(context.broker.advance(&flow.id, &part).await?, Advanced::Halted);
    assert_eq!(flow.end(1).await?.map(|end| end.pending), Some(Some(0)));
    context.broker.retry_dead(&[step_id(&link(0))]).await?;
    assert_eq!(context.broker.advance(&flow.id, &part).await?, Advanced::Done);
    assert!(flow.is_ready(2).await?);
    Ok(())
}

/// What has begun or ended before its turn is not begun again when its turn comes, also in a workflow whose id is new.
pub async fn what_began_before_its_turn_begins_once(context: Context) -> Outcome {
    let flow = Flow::put(&context, NewWorkflow { fresh: true, ..new_flow(FLOW) }).await?;
    let broker = &context.broker;
    let early = [step(link(2)), step(link(3))];
    assert_eq!(broker.begin_steps(&flow.id, &early, false).await?, [Begun::Done, Begun::Done]);
    flow.succeed(3).await?;
    broker.fail_step(&flow.id, 4, &StepEnd::new(EndKind::Dead, "{}"), Policy::Wait).await?;
    let begin = [1, 2, 3, 4, 5].map(|node| step(link(node))).to_vec();
    let roots = Advance { begin, last: true, ..advance(ROOT, 0, 5) };
    assert_eq!(broker.advance(&flow.id, &roots).await?, Advanced::Done);
    let mut ready = Vec::new();
    for node in 1..=5 {
        ready.push(flow.is_ready(node).await?);
    }
    assert_eq!(ready, [true, true, false, false, true]);
    assert_eq!((flow.ended(3).await?, flow.ended(4).await?.map(|end| end.0)), (succeeded("[1]"), Some('D')));
    Ok(())
}

/// Where the id of a workflow was used before, jobs and ends may be found under the ids of its steps: an end goes when its step begins, and a job
/// stays in place of its step.
pub async fn what_an_id_has_left_behind_is_seen(context: Context) -> Outcome {
    let flow = Flow::begin(&context, [], vec![]).await?;
    let ids = [1, 2, 3].map(|node| step_id(&link(node)));
    context.enqueue([given(ids[0].as_str(), queue_of(1).as_str()), given(ids[1].as_str(), "other")]).await?;
    flow.succeed(1).await?;
    assert!(context.broker.result(&ids[0]).await?.is_some());
    let begin = [1, 2, 3].map(|node| step(link(node))).to_vec();
    let roots = Advance { begin, last: true, ..advance(ROOT, 0, 3) };
    assert_eq!(context.broker.advance(&flow.id, &roots).await?, Advanced::Done);
    assert_eq!(context.broker.result(&ids[0]).await?, None);
    let mut ready = Vec::new();
    for node in 1..=3 {
        ready.push(flow.is_ready(node).await?);
    }
    assert_eq!(ready, [true, false, true]);
    assert_eq!(context.queue("other").await?.ready, 1);
    Ok(())
}

/// Of members that end in one call each counts once, whatever was noted of it before.
pub async fn members_that_end_together_count_once_each(context: Context) -> Outcome {
    let roots = [0, 1, 2, 3].map(|node| step(link_counting(node, 9, 4))).to_vec();
    let flow = Flow::put(&context, NewWorkflow { roots, fresh: true, ..new_flow(FLOW) }).await?;
    let dead = StepEnd::new(EndKind::Dead, "{}");
    context.broker.fail_step(&flow.id, 1, &dead, Policy::Wait).await?;
    assert_eq!((flow.failed().await?, flow.events().await?), ((1, false), vec![1]));
    let mut ends = Vec::new();
    for node in [2, 0, 1] {
        let delivery = flow.take(node).await?;
        ends.push(settlement(&delivery, success(&delivery, context.now())));
    }
    assert_eq!(flow.worker.settle(&ends).await?, [Settled::Done; 3]);
    assert_eq!(flow.worker.settle(&ends).await?, [Settled::NotHeld; 3]);
    assert_eq!((context.broker.counted(&flow.id, 9).await?, flow.failed().await?), (3, (0, false)));
    assert_eq!(flow.events().await?, [] as [u32; 0]);
    flow.succeed(3).await?;
    assert_eq!((context.broker.counted(&flow.id, 9).await?, flow.events().await?), (4, vec![9]));
    for node in 0..4 {
        assert_eq!(flow.ended(node).await?, succeeded("[1]"));
    }
    Ok(())
}
