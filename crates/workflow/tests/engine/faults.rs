//! Commands and answers that are lost, workflows that cannot be read, conductors that vanish.

use std::time::Duration;

use celeriac_broker::{Fault, NewWorkflow, Operation, WorkflowRevoked};
use celeriac_core::canvas::{Canvas, Graph, Takes, WhenDead, Workflow};
use celeriac_core::{Ending, State};
use celeriac_testkit::random_result;
use celeriac_workflow::{retry, revoke, submit};

use crate::stage::{Answer, Stage, expected, ok, on_each_store, raw, w};

/// More than the lease of an event.
const LATER: Duration = Duration::from_secs(31);

impl Stage {
    /// Runs everything, though conductors fail: somebody else does it later.
    async fn run_through(&mut self, mut handler: impl FnMut(&celeriac_core::TaskName, &str) -> Answer) {
        let mut is_over = false;
        while !is_over {
            while self.conductor.conduct(7).await.is_ok_and(|taken| taken > 0) {}
            self.run_quietly(&mut handler).await;
            self.advance(LATER);
            is_over = self.conductor.conduct(7).await.is_ok_and(|taken| taken == 0) && self.nothing_waits().await;
        }
    }

    async fn nothing_waits(&self) -> bool {
        self.broker.queues().await.unwrap().iter().all(|queue| queue.ready == 0)
    }

    async fn run_quietly(&mut self, handler: &mut impl FnMut(&celeriac_core::TaskName, &str) -> Answer) {
        let jobs = self.fetch(3).await;
        let mut ends = Vec::new();
        for delivery in jobs {
            let args = String::from_utf8(delivery.record.payload.clone()).unwrap();
            self.ran.push((crate::stage::step(&delivery), args.clone()));
            let answer = handler(&delivery.record.task, &args);
            ends.push((delivery, answer.map_or_else(crate::stage::died, Ending::Succeeded)));
        }
        self.settle(ends).await;
    }
}

/// A workflow whose conductors use every call, if one of its steps dies first.
fn workflow() -> Workflow {
    let empty = Canvas::group([] as [Canvas; 0]);
    let members = Canvas::group((0..25).map(|at| Canvas::step(if at == 3 { "bad" } else { "good" })));
    let waiting = Canvas::step("waits").then(Canvas::step("for.one"));
    let graph = Graph::new()
        .part("empty", empty)
        .part("members", members.then(Canvas::group((0..25).map(|_| Canvas::step("next")))))
        .part("waiting", waiting)
        .part_after("end", ["empty", "members", "waiting"], Canvas::step("end").takes(Takes::List));
    Workflow::new(graph).on_success(Canvas::step("done")).on_failure(Canvas::step("alarm"))
}

/// Lets the first, second or third call of an operation fail while the workflow fails, is retried, and succeeds.
async fn survives(stage: &mut Stage, operation: Operation, nth: u64, fault: Fault) {
    stage.faulty.fail_nth(operation, nth, fault);
    let workflow = workflow();
    let plan = submit(stage.broker.as_ref(), &workflow, &w(), |_| None).await.unwrap();
    let answer = |task: &celeriac_core::TaskName, args: &str| -> Answer { Ok(random_result(task, args)) };
    stage
        .run_through(|task, args| if task.as_str() == "bad" { Err("no".to_owned()) } else { answer(task, args) })
        .await;
    assert_eq!(stage.end().await.0, State::Dead, "{operation:?} {nth} {fault:?}");
    assert_eq!(retry(stage.broker.as_ref(), &w(), None).await.unwrap(), 1);
    stage.run_through(answer).await;
    let (state, result, _) = stage.end().await;
    let expected = expected(&workflow, answer);
    assert_eq!((state, result.as_deref()), (State::Succeeded, expected.result(&plan)), "{operation:?} {nth} {fault:?}");
    stage.faulty.heal();
    stage.assert_like(&expected, &plan).await;
    let times = stage.times();
    assert!(times.iter().all(|(step, times)| *times == 1 + usize::from(*step == "members/0/3")), "{times:?}");
    assert_eq!(times.len(), plan.steps() + 2, "all steps and both callbacks");
    assert!(stage.faulty.calls(operation) >= nth, "{operation:?} is called {nth} times");
}

async fn a_lost_command_or_answer_of_any_operation_is_made_up_for(mut stage: Stage) {
    use Operation as O;
    let operations = [
        (O::PutWorkflow, 1),
        (O::PutWaiting, 1),
        (O::StartWorkflow, 1),
        (O::BeginSteps, 2),
        (O::Advance, 3),
        (O::TakeEvents, 3),
        (O::FinishEvent, 3),
        (O::StepEnds, 3),
        (O::Counted, 2),
        (O::Workflow, 3),
        (O::WorkflowSpec, 1),
        (O::FinishWorkflow, 2),
        (O::Withdraw, 1),
        (O::RetryDead, 1),
        (O::Now, 1),
    ];
    for (operation, most) in operations {
        for nth in 1..=most {
            for fault in [Fault::CommandLost, Fault::AnswerLost] {
                survives(&mut stage, operation, nth, fault).await;
                stage = stage.fresh().await;
            }
        }
    }
}

async fn a_lost_answer_when_a_step_cannot_begin_is_made_up_for(mut stage: Stage) {
    for fault in [Fault::CommandLost, Fault::AnswerLost] {
        stage.faulty.fail_next(Operation::FailStep, fault);
        let members = (0..3).map(|_| Canvas::step("large"));
        let chord = Canvas::group(members).join(Canvas::step("body"));
        stage.submit(&Workflow::new(chord).when_dead(WhenDead::Continue)).await;
        let large = format!("\"{}\"", "x".repeat(500_000));
        stage.run_through(|_, _| ok(&large)).await;
        assert_eq!(stage.end().await.0, State::Succeeded);
        assert!(stage.faulty.calls(Operation::FailStep) >= 1);
        stage = stage.fresh().await;
    }
}

async fn a_lost_answer_to_a_revocation_is_made_up_for(mut stage: Stage) {
    for operation in [Operation::RevokeWorkflow, Operation::Revoke, Operation::FinishWorkflow] {
        for fault in [Fault::CommandLost, Fault::AnswerLost] {
            stage.submit(&workflow()).await;
            stage.conduct().await;
            stage.faulty.fail_next(operation, fault);
            assert_eq!(revoke(stage.broker.as_ref(), &w(), "ann").await.unwrap(), WorkflowRevoked::Done);
            assert_eq!(stage.end().await.0, State::Revoked);
            assert!(stage.fetch(100).await.is_empty());
            stage = stage.fresh().await;
        }
    }
}

async fn an_event_whose_conductor_vanished_is_taken_again_after_its_lease(mut stage: Stage) {
    stage.submit(&Workflow::new(Canvas::group(["a", "b"].map(Canvas::step)).join(Canvas::step("c")))).await;
    let jobs = stage.fetch(10).await;
    stage.settle(jobs.into_iter().map(|job| (job, Ending::Succeeded(raw("1")))).collect()).await;
    assert_eq!(stage.broker.take_events(10, Duration::from_secs(30)).await.unwrap().len(), 1);
    stage.run_all().await;
    assert_eq!(stage.ran, []);
    stage.advance(LATER);
    stage.run_all().await;
    assert_eq!(stage.given("chord/body"), "[[1,1]]");
}

async fn a_workflow_that_cannot_be_read_stops_no_other(mut stage: Stage) {
    let newer = NewWorkflow {
        fresh: false,
        id: "newer".parse().unwrap(),
        token: "t".to_owned(),
        spec: "{}".to_owned(),
        version: 2,
        nodes: 1,
        waiting: Vec::new(),
        roots: Vec::new(),
        begins: false,
    };
    let damaged = NewWorkflow { id: "damaged".parse().unwrap(), version: 1, ..newer.clone() };
    for workflow in [&newer, &damaged] {
        stage.broker.put_workflow(workflow).await.unwrap();
        assert!(stage.broker.start_workflow(&workflow.id).await.unwrap());
    }
    stage.submit(&workflow()).await;
    stage.run_all().await;
    assert_eq!(stage.end().await.0, State::Succeeded);
    assert_eq!(stage.conductor.conduct(10).await.unwrap(), 0, "they are not tried again at once");
    stage.advance(LATER);
    assert_eq!(stage.conductor.conduct(10).await.unwrap(), 2);
    let error = celeriac_workflow::sight(stage.broker.as_ref(), &newer.id).await.unwrap_err();
    let text = "a workflow in the store cannot be read: newer has version 2, and this program carries out version 1";
    assert_eq!(error.to_string(), text);
}

on_each_store!(
    a_lost_command_or_answer_of_any_operation_is_made_up_for,
    a_lost_answer_when_a_step_cannot_begin_is_made_up_for,
    a_lost_answer_to_a_revocation_is_made_up_for,
    an_event_whose_conductor_vanished_is_taken_again_after_its_lease,
    a_workflow_that_cannot_be_read_stops_no_other,
);
