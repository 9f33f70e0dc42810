//! Every way a delivery can end, and what becomes of its job.

use super::*;
use crate::{JobId, QueueName, TaskName};
use proptest::prelude::*;

fn record() -> Record {
    Record::new(JobId::generate(), TaskName::new("t").unwrap(), QueueName::default(), b"{}".to_vec())
}

fn rules() -> Rules {
    Rules::new("w1", Timestamp::from_millis(1000))
}

fn failed(error: TaskError) -> Ending {
    Ending::Failed { cause: Cause::Failed, error }
}

#[test]
fn success_ends_the_job_with_its_result() {
    let result = RawValue::from_string("[1]".into()).unwrap();
    let Transition::Finish { outcome, keep, .. } = decide(record(), Ending::Succeeded(result), &rules()) else {
        panic!("not finished");
    };
    assert_eq!((outcome.state, outcome.attempt, keep.as_secs()), (State::Succeeded, 1, 86_400));
    assert_eq!(outcome.result.unwrap().get(), "[1]");
}

#[test]
fn failures_up_to_the_limit_are_retried_and_one_more_is_the_end() {
    let mut record = record();
    record.options.retries = Some(2);
    for failures in 1..=2 {
        let Transition::Retry { record: next, delay } = decide(record.clone(), failed("no".into()), &rules()) else {
            panic!("not retried after failure {failures}");
        };
        assert_eq!((next.failures, next.attempt), (failures, failures));
        assert_eq!(delay.as_secs(), u64::from(failures), "jitter 1 is the whole bound");
        record = next;
    }
    let Transition::DeadLetter { record, outcome, .. } = decide(record.clone(), failed("no".into()), &rules()) else {
        panic!("not dead after the third failure");
    };
    assert_eq!((record.state, record.failures, outcome.error.as_deref()), (State::Dead, 3, Some("no")));
    assert_eq!(record.history.len(), 3);
}

#[test]
fn a_permanent_error_ends_the_job_at_once() {
    let transition = decide(record(), failed(TaskError::permanent("bad card")), &rules());
    assert_eq!(transition.state(), State::Dead);
}

#[test]
fn the_handler_may_choose_the_delay() {
    let error = TaskError::retry_in(Duration::from_secs(90), "busy");
    let Transition::Retry { delay, .. } = decide(record(), failed(error), &rules()) else { panic!("not retried") };
    assert_eq!(delay.as_secs(), 90);
}

#[test]
fn a_snooze_counts_as_no_failure() {
    let error = TaskError::snooze(Duration::from_secs(5));
    let Transition::Retry { record, .. } = decide(record(), failed(error), &rules()) else { panic!("not retried") };
    assert_eq!((record.attempt, record.failures, record.history.len()), (1, 0, 0));
}

#[test]
fn a_lost_job_becomes_a_suspect_without_a_failure() {
    let Transition::Requeue { record } = decide(record(), Ending::Lost, &rules()) else { panic!("not requeued") };
    assert!(record.suspect);
    assert_eq!((record.attempt, record.failures, record.losses), (1, 0, 1));
}

#[test]
fn the_third_loss_is_the_end() {
    let mut record = record();
    record.losses = 2;
    let Transition::DeadLetter { outcome, .. } = decide(record.clone(), Ending::Lost, &rules()) else {
        panic!("not dead")
    };
    assert_eq!(outcome.error.as_deref(), Some("worker lost 3 times"));
}

#[test]
fn a_hand_back_and_a_parking_cost_no_attempt() {
    let Transition::Requeue { record: back } = decide(record(), Ending::HandedBack, &rules()) else { panic!() };
    assert_eq!((back.attempt, back.suspect), (0, false));
    let ending = Ending::NotRunnable { cause: Cause::UnknownTask, error: "no task t".into() };
    let Transition::Park { record: parked } = decide(record(), ending, &rules()) else { panic!() };
    assert_eq!((parked.attempt, parked.state), (0, State::Parked));
}

#[test]
fn a_job_that_is_passed_on_waits_a_moment_and_pays_no_attempt() {
    let Transition::Retry { record: next, delay } = decide(record(), Ending::PassedOn, &rules()) else { panic!() };
    assert_eq!((next.attempt, next.failures, delay), (0, 0, Duration::from_secs(1)));
}

#[test]
fn a_result_that_is_kept_for_ever_ends_with_the_last_instant() {
    let mut rules = rules();
    rules.result_ttl = Duration::MAX;
    let result = RawValue::from_string("1".into()).unwrap();
    let Transition::Finish { keep, .. } = decide(record(), Ending::Succeeded(result), &rules) else { panic!() };
    assert_eq!(rules.now.after(keep), Timestamp::MAX);
}

#[test]
fn an_expired_job_ends_without_an_attempt_and_a_revoked_one_counts_the_one_it_began() {
    for (ending, state, attempt) in [(Ending::Expired, State::Expired, 0), (Ending::Revoked, State::Revoked, 1)] {
        let mut record = record();
        record.options.unique = UniqueKey::new("key").ok();
        let Transition::Finish { outcome, unique, .. } = decide(record, ending, &rules()) else { panic!("{state}") };
        assert_eq!((outcome.state, outcome.attempt), (state, attempt));
        assert_eq!(unique, UniqueKey::new("key").ok());
    }
}

#[test]
fn no_attempt_is_planned_beyond_the_deadline() {
    let mut record = record();
    record.options.deadline_ms = Some(1500);
    let soon = TaskError::retry_in(Duration::from_millis(499), "busy");
    assert_eq!(decide(record.clone(), failed(soon), &rules()).state(), State::Retry);
    for late in [TaskError::retry_in(Duration::from_millis(500), "busy"), TaskError::snooze(Duration::from_secs(9))] {
        let transition = decide(record.clone(), failed(late), &rules());
        let Transition::DeadLetter { outcome, .. } = transition else { panic!("{transition:?}") };
        assert!(outcome.error.unwrap().contains("deadline"));
    }
    let running = Ending::Failed { cause: Cause::DeadlineExceeded, error: TaskError::retry("over") };
    assert_eq!(decide(record.clone(), running, &rules()).state(), State::Dead);
    record.options.deadline_ms = Some(1000);
    assert_eq!(decide(record, Ending::Lost, &rules()).state(), State::Dead);
}

fn endings() -> impl Strategy<Value = Ending> {
    prop_oneof![
        Just(0u8).prop_map(|_| Ending::Succeeded(RawValue::from_string("null".into()).unwrap())),
        Just(0u8).prop_map(|_| failed(TaskError::retry("e"))),
        Just(0u8).prop_map(|_| failed(TaskError::permanent("e"))),
        Just(0u8).prop_map(|_| failed(TaskError::snooze(Duration::ZERO))),
        Just(0u8).prop_map(|_| Ending::Lost),
        Just(0u8).prop_map(|_| Ending::HandedBack),
        Just(0u8).prop_map(|_| Ending::PassedOn),
        Just(0u8).prop_map(|_| Ending::Expired),
        Just(0u8).prop_map(|_| Ending::Revoked),
        Just(0u8).prop_map(|_| Ending::NotRunnable { cause: Cause::Undecodable, error: "e".into() }),
    ]
}

proptest! {
    #[test]
    fn every_decision_is_an_edge_of_the_state_table(ending in endings(), failures in 0u32..40, losses in 0u32..5) {
        let mut record = record();
        (record.failures, record.losses) = (failures, losses);
        prop_assert!(State::Running.may_become(decide(record.clone(), ending, &rules()).state()));
    }

    #[test]
    fn counters_never_go_back(ending in endings(), failures in 0u32..40, losses in 0u32..5) {
        let mut before = record();
        (before.failures, before.losses) = (failures, losses);
        let after = match decide(before.clone(), ending, &rules()) {
            Transition::Retry { record, .. } | Transition::Requeue { record } | Transition::Park { record }
            | Transition::DeadLetter { record, .. } => record,
            Transition::Finish { .. } => return Ok(()),
        };
        prop_assert!(after.failures >= before.failures && after.losses >= before.losses);
        prop_assert!(after.attempt >= before.attempt);
    }
}
