//! What happens as the jobs of a workflow end.

use celeriac_core::State;
use celeriac_core::canvas::{Changes, End, NodeState, NotRetried, Plan, Progress, Status};

use crate::support::{index, names, plan};

const DEAD: End = End::Dead { attempt: 1 };

/// A workflow and the names of what it says is to be done.
struct Run<'p> {
    plan: &'p Plan,
    progress: Progress<'p>,
}

impl<'p> Run<'p> {
    fn start(plan: &'p Plan) -> (Self, String) {
        let (progress, changes) = Progress::start(plan);
        let run = Self { plan, progress };
        let said = run.said(&changes);
        (run, said)
    }

    fn said(&self, changes: &Changes) -> String {
        let lists = [
            ("ready", &changes.ready),
            ("joined", &changes.joined),
            ("stop", &changes.stop),
            ("given up", &changes.given_up),
            ("resumed", &changes.resumed),
        ];
        let said = lists.into_iter().filter(|(_, list)| !list.is_empty());
        let said = said.map(|(what, list)| format!("{what} {}", names(self.plan, list).join(" ")));
        said.collect::<Vec<_>>().join("; ")
    }

    fn report(&mut self, name: &str, end: End) -> String {
        let changes = self.progress.report(index(self.plan, name), end);
        self.said(&changes)
    }

    fn retry(&mut self, name: &str) -> Result<String, NotRetried> {
        self.progress.retry(index(self.plan, name)).map(|changes| self.said(&changes))
    }
}

#[test]
fn a_chain_goes_on_step_by_step_and_then_has_succeeded() {
    let plan = plan(r#"{"chain": [{"task": "a"}, {"task": "b"}], "on_success": {"task": "s"}}"#);
    let (mut run, said) = Run::start(&plan);
    assert_eq!(said, "ready chain/0");
    assert_eq!(run.report("chain/0", End::Succeeded), "ready chain/1");
    assert_eq!(run.progress.status(), Status::Running);
    assert_eq!(run.report("chain/1", End::Succeeded), "ready on_success");
    assert_eq!(run.progress.status(), Status::Succeeded);
    assert_eq!(run.report("on_success", DEAD), "");
    assert_eq!(run.progress.status(), Status::Succeeded);
}

#[test]
fn the_body_is_ready_once_when_the_last_member_has_ended_however_often_that_is_told() {
    let plan = plan(r#"{"chord": [{"task": "a"}, {"task": "a"}], "body": {"task": "b"}}"#);
    let (mut run, _) = Run::start(&plan);
    for _ in 0..3 {
        assert_eq!(run.report("chord/0", End::Succeeded), "");
    }
    assert_eq!(run.report("chord/1", End::Succeeded), "ready chord/body");
    for name in ["chord/0", "chord/1"] {
        assert_eq!(run.report(name, End::Succeeded), "");
    }
}

#[test]
fn joins_end_by_themselves_and_the_empty_ones_at_once() {
    let chain =
        plan(r#"{"chain": [{"group": []}, {"group": [{"group": []}, {"group": [{"task": "a"}]}]}, {"task": "b"}]}"#);
    let (mut run, said) = Run::start(&chain);
    assert_eq!(said, "ready chain/1/1/0; joined chain/0 chain/1/0");
    assert_eq!(run.report("chain/1/1/0", End::Succeeded), "ready chain/2; joined chain/1/1");
}

#[test]
fn what_never_began_cannot_have_ended() {
    let plan = plan(r#"{"chain": [{"task": "a"}, {"group": [{"task": "b"}]}], "on_failure": {"task": "f"}}"#);
    let (mut run, _) = Run::start(&plan);
    for name in ["chain/1/0", "chain/1", "on_failure"] {
        assert_eq!(run.report(name, End::Succeeded), "");
    }
    assert!(run.progress.report(99, End::Succeeded).is_empty());
    assert_eq!(run.report("chain/0", End::Succeeded), "ready chain/1/0");
}

#[test]
fn a_death_fails_the_workflow_and_revokes_what_has_not_begun() {
    let plan = plan(
        r#"{"chain": [{"group": [{"task": "a"}, {"task": "a"}, {"task": "a"}]}, {"task": "b"}], "on_failure": {"task": "f"}}"#,
    );
    let (mut run, _) = Run::start(&plan);
    assert_eq!(run.report("chain/0/0", End::Succeeded), "");
    assert_eq!(run.report("chain/0/1", DEAD), "ready on_failure; stop chain/0/2; given up chain/1");
    assert_eq!(run.progress.status(), Status::Failed);
    assert_eq!(run.report("chain/0/1", DEAD), "");
    // It had begun, so nobody could stop it; nothing follows.
    assert_eq!(run.report("chain/0/2", End::Succeeded), "");
    assert_eq!((run.progress.status(), run.progress.open()), (Status::Failed, 0));
}

#[test]
fn a_retry_of_the_dead_step_resumes_what_was_given_up_and_stopped() {
    let plan =
        plan(r#"{"chain": [{"group": [{"task": "a"}, {"task": "a"}, {"task": "a"}]}, {"task": "b"}, {"task": "c"}]}"#);
    let (mut run, _) = Run::start(&plan);
    assert_eq!(run.report("chain/0/1", DEAD), "stop chain/0/0 chain/0/2; given up chain/1 chain/2");
    assert_eq!(run.report("chain/0/0", End::Revoked), "");
    assert_eq!(run.retry("chain/0/1").as_deref(), Ok("ready chain/0/1 chain/0/0; resumed chain/1 chain/2"));
    assert_eq!(run.progress.status(), Status::Running);
    assert_eq!(run.report("chain/0/1", DEAD), "", "the same death, told again");
    // The order to stop it went out before the retry; it is made anew.
    assert_eq!(run.report("chain/0/2", End::Revoked), "ready chain/0/2");
    for name in ["chain/0/0", "chain/0/1"] {
        assert_eq!(run.report(name, End::Succeeded), "");
    }
    assert_eq!(run.report("chain/0/2", End::Succeeded), "ready chain/1");
    assert_eq!(run.retry("chain/0/0"), Err(NotRetried::NotDead));
}

#[test]
fn nothing_is_resumed_before_the_last_dead_step_is_retried() {
    let plan = plan(r#"{"chain": [{"group": [{"task": "a"}, {"task": "a"}]}, {"task": "b"}]}"#);
    let (mut run, _) = Run::start(&plan);
    assert_eq!(run.report("chain/0/0", DEAD), "stop chain/0/1; given up chain/1");
    assert_eq!(run.report("chain/0/1", End::Expired), "");
    assert_eq!(run.retry("chain/0/0").as_deref(), Ok("ready chain/0/0"));
    assert_eq!(run.progress.status(), Status::Failed);
    assert_eq!(run.report("chain/0/0", End::Succeeded), "");
    assert_eq!(run.retry("chain/0/1").as_deref(), Ok("ready chain/0/1; resumed chain/1"));
    assert_eq!(run.report("chain/0/1", End::Succeeded), "ready chain/1");
}

#[test]
fn a_second_death_counts_and_calls_no_second_handler() {
    let plan = plan(r#"{"task": "a", "on_failure": {"task": "f"}}"#);
    let (mut run, _) = Run::start(&plan);
    assert_eq!(run.report("step", DEAD), "ready on_failure");
    assert_eq!(run.retry("step").as_deref(), Ok("ready step"));
    assert_eq!(run.report("step", End::Dead { attempt: 2 }), "");
    assert_eq!(run.progress.status(), Status::Failed);
}

#[test]
fn a_success_after_a_death_mends_the_workflow_even_if_nobody_told_of_the_retry() {
    let plan = plan(r#"{"chain": [{"task": "a"}, {"task": "b"}]}"#);
    let (mut run, _) = Run::start(&plan);
    assert_eq!(run.report("chain/0", DEAD), "given up chain/1");
    assert_eq!(run.report("chain/0", End::Succeeded), "ready chain/1");
    assert_eq!(run.progress.status(), Status::Running);
}

#[test]
fn a_step_that_somebody_revoked_or_that_expired_fails_the_workflow() {
    for end in [End::Revoked, End::Expired] {
        let plan = plan(r#"{"chain": [{"task": "a"}, {"task": "b"}]}"#);
        let (mut run, _) = Run::start(&plan);
        assert_eq!(run.report("chain/0", end), "given up chain/1");
        assert_eq!(run.progress.status(), Status::Failed);
        assert_eq!(run.report("chain/0", End::Succeeded), "", "an end is final");
        assert_eq!(run.retry("chain/0").as_deref(), Ok("ready chain/0; resumed chain/1"));
        assert_eq!(run.report("chain/0", DEAD), "given up chain/1");
    }
}

#[test]
fn under_wait_only_what_is_behind_the_dead_step_waits() {
    let plan = plan(
        r#"{"group": [{"chain": [{"task": "a"}, {"task": "b"}]}, {"chain": [{"task": "c"}, {"task": "d"}]}],
            "when_dead": "wait", "on_failure": {"task": "f"}}"#,
    );
    let (mut run, _) = Run::start(&plan);
    assert_eq!(run.report("group/0/0", DEAD), "ready on_failure");
    assert_eq!(run.progress.status(), Status::Running);
    assert_eq!(run.report("group/1/0", End::Succeeded), "ready group/1/1");
    assert_eq!(run.report("group/1/1", End::Succeeded), "");
    assert_eq!(run.progress.status(), Status::Waiting);
    assert_eq!(names(&plan, &run.progress.bad().collect::<Vec<_>>()), ["group/0/0"]);
    assert_eq!(run.retry("group/0/0").as_deref(), Ok("ready group/0/0"));
    assert_eq!(run.report("group/0/0", End::Succeeded), "ready group/0/1");
    assert_eq!(run.report("group/0/1", End::Succeeded), "joined group");
    assert_eq!(run.progress.status(), Status::Succeeded);
}

#[test]
fn under_continue_the_workflow_goes_on_and_cannot_go_back() {
    let plan =
        plan(r#"{"chain": [{"group": [{"task": "a"}, {"task": "a"}]}, {"task": "b"}], "when_dead": "continue"}"#);
    let (mut run, _) = Run::start(&plan);
    assert_eq!(run.report("chain/0/0", DEAD), "");
    for end in [End::Succeeded, End::Dead { attempt: 2 }, DEAD, End::Expired] {
        assert_eq!(run.report("chain/0/0", end), "");
    }
    assert_eq!(run.retry("chain/0/0"), Err(NotRetried::TooLate));
    assert_eq!(run.report("chain/0/1", End::Expired), "ready chain/1");
    assert_eq!(run.report("chain/1", End::Revoked), "");
    assert_eq!(run.progress.status(), Status::Succeeded);
}

#[test]
fn a_revoked_workflow_ends_and_stays_so() {
    let plan =
        plan(r#"{"chain": [{"task": "a"}, {"task": "b"}], "on_failure": {"task": "f"}, "on_success": {"task": "s"}}"#);
    let (mut run, _) = Run::start(&plan);
    let changes = run.progress.revoke();
    assert_eq!(run.said(&changes), "stop chain/0; given up chain/1 on_success");
    assert!(run.progress.revoke().is_empty());
    assert_eq!(run.report("chain/0", DEAD), "", "no failure handler");
    assert_eq!(run.retry("chain/0"), Err(NotRetried::TooLate));
    assert_eq!(run.progress.status(), Status::Revoked);
}

#[test]
fn under_continue_too_a_revoked_workflow_has_not_succeeded() {
    let plan = plan(r#"{"task": "a", "when_dead": "continue"}"#);
    let (mut run, _) = Run::start(&plan);
    let _ = run.progress.revoke();
    assert_eq!(run.report("step", End::Revoked), "");
    assert_eq!((run.progress.status(), run.progress.state(0)), (Status::Revoked, Some(NodeState::Stopped)));
}

#[test]
fn a_workflow_that_has_succeeded_cannot_be_revoked() {
    let plan = plan(r#"{"task": "a"}"#);
    let (mut run, _) = Run::start(&plan);
    let _ = run.report("step", End::Succeeded);
    assert!(run.progress.revoke().is_empty());
    assert_eq!(run.progress.status(), Status::Succeeded);
}

#[test]
fn a_callback_that_died_can_be_retried() {
    let plan = plan(r#"{"task": "a", "on_success": {"task": "s"}, "when_dead": "continue"}"#);
    let (mut run, _) = Run::start(&plan);
    assert_eq!(run.report("step", End::Succeeded), "ready on_success");
    let _ = run.report("on_success", DEAD);
    assert_eq!(run.retry("on_success").as_deref(), Ok("ready on_success"));
}

#[test]
fn an_end_is_a_terminal_state() {
    let ends = State::ALL.map(|state| End::of(state, 3));
    let expected = [Some(End::Succeeded), Some(End::Dead { attempt: 3 }), Some(End::Revoked), Some(End::Expired)];
    assert_eq!(ends.into_iter().filter(Option::is_some).collect::<Vec<_>>(), expected);
}
