//! The faulty store fails as planned, and passes everything else. It passes the conformance suite while nothing is planned.

use std::sync::Arc;

use celeriac_broker::conformance::{Context, Fixture, job};
use celeriac_broker::{
    Batch, BatchAnswer, Broker as _, BrokerError, Fault, FaultyBroker, Inspector as _, Operation, Refusal, StoreClock,
};
use celeriac_core::Timestamp;
use celeriac_testkit::ModelBroker;

async fn make_store() -> Fixture {
    let clock = StoreClock::manual(Timestamp::from_millis(1_764_000_000_000));
    let broker = Arc::new(FaultyBroker::new(Arc::new(ModelBroker::new(clock.clone()))));
    let stranger = Arc::new(ModelBroker::new(clock.clone()));
    Fixture { broker, stranger, clock, guard: Box::new(()) }
}

celeriac_broker::conformance_suite!(make_store);

/// A faulty store in front of a context's store, and a batch for it.
async fn faulty() -> (Context, FaultyBroker, Batch) {
    let context = Context::new(make_store().await);
    let broker = FaultyBroker::new(Arc::clone(&context.broker));
    let batch = Batch { lane: context.lane(), number: 1, jobs: vec![job("q")] };
    (context, broker, batch)
}

async fn ready(context: &Context) -> u64 {
    context.queue("q").await.expect("the model answers").ready
}

#[tokio::test]
async fn an_unreachable_store_was_sent_nothing() {
    let (context, broker, batch) = faulty().await;
    broker.fail_next(Operation::Enqueue, Fault::Unreachable);
    assert!(matches!(broker.enqueue(&batch).await, Err(BrokerError::Unreachable { .. })));
    assert_eq!(ready(&context).await, 0);
    assert!(matches!(broker.enqueue(&batch).await, Ok(BatchAnswer::Applied(_))));
}

#[tokio::test]
async fn a_refusal_carries_its_reason_and_changes_nothing() {
    let (context, broker, batch) = faulty().await;
    broker.fail_next(Operation::Enqueue, Fault::Refused(Refusal::Full));
    let answer = broker.enqueue(&batch).await;
    assert!(matches!(answer, Err(BrokerError::Refused { reason: Refusal::Full, .. })), "{answer:?}");
    assert_eq!(ready(&context).await, 0);
}

#[tokio::test]
async fn a_lost_answer_and_a_lost_command_look_alike() {
    for (fault, expected) in [(Fault::AnswerLost, 1), (Fault::CommandLost, 0)] {
        let (context, broker, batch) = faulty().await;
        broker.fail_next(Operation::Enqueue, fault);
        assert!(broker.enqueue(&batch).await.is_err_and(|error| error.is_in_doubt()));
        assert_eq!(ready(&context).await, expected);
        assert!(broker.enqueue(&batch).await.is_ok());
        assert_eq!(ready(&context).await, 1);
    }
}

#[tokio::test]
async fn only_the_planned_call_of_the_planned_operation_fails() {
    let (_context, broker, _) = faulty().await;
    broker.fail_nth(Operation::Queues, 2, Fault::Unreachable);
    let mut answers = Vec::new();
    for _ in 0..3 {
        assert!(broker.now().await.is_ok());
        answers.push(broker.queues().await.is_ok());
    }
    assert_eq!(answers, [true, false, true]);
    assert_eq!((broker.calls(Operation::Queues), broker.calls(Operation::Fetch)), (3, 0));
}

#[tokio::test]
async fn a_call_is_counted_from_the_time_of_planning() {
    let (_context, broker, _) = faulty().await;
    assert!(broker.now().await.is_ok());
    broker.fail_next(Operation::Now, Fault::SessionLost);
    assert!(matches!(broker.now().await, Err(BrokerError::SessionLost)));
}

#[tokio::test]
async fn an_outage_lasts_until_it_is_healed_and_siblings_share_it() {
    let (_context, broker, _) = faulty().await;
    let sibling = broker.sibling().await.unwrap();
    broker.fail_all(Fault::Unreachable);
    assert!(broker.now().await.is_err() && sibling.now().await.is_err() && sibling.workers().await.is_err());
    broker.heal();
    assert!(broker.now().await.is_ok() && sibling.now().await.is_ok());
    assert_eq!(broker.calls(Operation::Now), 4);
}
