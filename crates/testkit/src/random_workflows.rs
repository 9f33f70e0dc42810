//! Random workflows that compile: of up to 50 steps, nested, with everything that a description can say.
//!
//! Each choice is a byte of the input, and 0 is the smallest: so what proptest shrinks becomes a simpler workflow.

use std::time::Duration;

use celeriac_core::TaskName;
use celeriac_core::canvas::{Canvas, Graph, Step, Takes, WhenDead, Workflow};
use proptest::prelude::*;
use serde_json::value::RawValue;

const STEPS: usize = 50;

/// What a part may take.
#[derive(Clone, Copy, PartialEq)]
enum Given {
    Nothing,
    One,
    /// One that has a name.
    Named,
    /// Several that go by name, already put together.
    Together,
    Several,
}

/// What a part may take, and what it takes if it says nothing.
#[derive(Clone, Copy)]
struct Before {
    given: Given,
    takes: Takes,
}

const NOTHING: Before = Before { given: Given::Nothing, takes: Takes::Nothing };

struct Choices {
    bytes: std::vec::IntoIter<u8>,
    when_dead: WhenDead,
    steps: usize,
    names: usize,
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("what the tests write is JSON")
}

/// A result that depends on the task and all of its arguments, and is short.
#[must_use]
pub fn random_result(task: &TaskName, args: &str) -> Box<RawValue> {
    let hash =
        task.as_str().bytes().chain(args.bytes()).fold(14_695_981_039_346_656_037_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211)
        });
    raw(&format!("{{\"{task}\":{hash}}}"))
}

/// Any workflow that compiles. Its steps have the tasks `t0`, `t1` and so on.
pub fn random_workflows() -> impl Strategy<Value = Workflow> {
    prop::collection::vec(any::<u8>(), 0..250).prop_map(|bytes| {
        let mut choices = Choices { bytes: bytes.into_iter(), when_dead: WhenDead::Fail, steps: 0, names: 0 };
        choices.workflow()
    })
}

impl Choices {
    /// A number below `end`.
    fn pick(&mut self, end: usize) -> usize {
        usize::from(self.bytes.next().unwrap_or(0)) % end
    }

    fn flip(&mut self) -> bool {
        self.pick(2) == 1
    }

    fn workflow(&mut self) -> Workflow {
        self.when_dead = [WhenDead::Fail, WhenDead::Continue, WhenDead::Wait][self.pick(3)];
        let mut root = self.part(NOTHING, 0);
        if self.steps == 0 {
            root = Canvas::from(self.task()).then(root);
        }
        let mut workflow = Workflow::new(root).when_dead(self.when_dead);
        workflow = match self.pick(3) {
            0 => workflow,
            1 => workflow.on_success(Canvas::step("succeeded")),
            _ => workflow.on_success_taking(Takes::List, Canvas::step("succeeded").args(raw("[1]"))),
        };
        if self.when_dead == WhenDead::Continue {
            return workflow;
        }
        match self.pick(3) {
            0 => workflow,
            1 => workflow.on_failure(Canvas::step("failed")),
            _ => workflow.on_failure_taking(Takes::Arguments, Canvas::step("failed")),
        }
    }

    fn part(&mut self, before: Before, depth: usize) -> Canvas {
        let kind = if self.steps >= STEPS || depth > 6 { 0 } else { self.pick(5) };
        let explicit = self.explicit(before.given);
        let taken = explicit.unwrap_or(before.takes);
        let part = match kind {
            0 => self.step(taken),
            _ => {
                let before = inside(before.given, taken);
                match kind {
                    1 => self.chain(before, depth),
                    2 => Canvas::group(self.members(before, depth)),
                    3 => {
                        let members = Canvas::group(self.members(before, depth));
                        let body = self.part(Before { given: Given::One, takes: Takes::Result }, depth + 1);
                        members.join(body)
                    }
                    _ => {
                        self.graph(Before { takes: explicit.map_or(Takes::Nothing, |_| before.takes), ..before }, depth)
                    }
                }
            }
        };
        match explicit {
            Some(takes) => part.takes(takes),
            None => part,
        }
    }

    fn explicit(&mut self, given: Given) -> Option<Takes> {
        let mut may = vec![None, Some(Takes::Nothing)];
        if given != Given::Nothing {
            may.push(Some(Takes::List));
        }
        if matches!(given, Given::Named | Given::Together | Given::Several) {
            may.push(Some(Takes::Results));
        }
        if matches!(given, Given::One | Given::Named | Given::Together) {
            may.push(Some(Takes::Result));
            if self.when_dead != WhenDead::Continue {
                may.push(Some(Takes::Arguments));
            }
        }
        let choice = self.pick(2 * may.len());
        may.get(choice).copied().flatten()
    }

    fn task(&mut self) -> Step {
        self.steps += 1;
        Canvas::step(format!("t{}", self.steps - 1))
    }

    fn step(&mut self, takes: Takes) -> Canvas {
        let args: &[&str] = match takes {
            Takes::Nothing => &["{}", "[1]", "{\"x\": [null]}", "5", "\"]\""],
            Takes::Result | Takes::List => &["[]", "[1, {\"a\": \"]\"}]", "{ }"],
            Takes::Results => &["{}", "{\"x\": 1, \"\\\"\": \"}\"}", "[ ]"],
            _ => &["{}"],
        };
        let args = args.get(self.pick(args.len() + 1));
        let mut step = self.task();
        if let Some(args) = args {
            step = step.args(raw(args));
        }
        if self.pick(8) == 7 {
            step = step.queue("q").priority(9).retries(0).header("h", "\"v\"").header("a", "é");
            let time = |choices: &mut Self| Duration::from_millis(1 + choices.pick(255) as u64 * 7_777);
            step = step.timeout(time(self)).expires(time(self)).deadline(time(self)).result_ttl(Duration::ZERO);
        }
        step.into()
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("n{}", self.names)
    }

    fn chain(&mut self, mut before: Before, depth: usize) -> Canvas {
        let mut parts = Vec::new();
        let length = 1 + self.pick(4);
        for index in 0..length {
            let mut part = self.part(before, depth + 1);
            before = Before { given: Given::One, takes: Takes::Result };
            if self.flip() {
                part = part.named(self.name());
                before.given = Given::Named;
            }
            if index + 1 < length && self.pick(4) == 3 {
                part = part.feeds_nothing();
                before = NOTHING;
            }
            parts.push(part);
        }
        Canvas::chain(parts)
    }

    fn members(&mut self, before: Before, depth: usize) -> Vec<Canvas> {
        let count = self.pick(5);
        let mut members = Vec::new();
        for _ in 0..count {
            let part = self.part(before, depth + 1);
            members.push(if self.pick(4) == 3 { part.named(self.name()) } else { part });
        }
        members
    }

    fn graph(&mut self, before: Before, depth: usize) -> Canvas {
        let mut parts: Vec<(String, Vec<String>, Canvas)> = Vec::new();
        for _ in 0..=self.pick(5) {
            let earlier: Vec<String> = parts.iter().map(|part| part.0.clone()).collect();
            let deps: Vec<String> = earlier.into_iter().filter(|_| self.flip()).collect();
            let given = match deps.len() {
                0 => before,
                1 => Before { given: Given::Named, takes: Takes::Nothing },
                _ => Before { given: Given::Several, takes: Takes::Nothing },
            };
            let part = self.part(given, depth + 1);
            parts.push((self.name(), deps, part));
        }
        // The order in which they are written does not matter.
        let turn = self.pick(parts.len());
        parts.rotate_left(turn);
        parts.into_iter().fold(Graph::new(), |graph, (name, deps, part)| graph.part_after(name, deps, part)).into()
    }
}

/// What is given to those that begin first in a part.
fn inside(given: Given, taken: Takes) -> Before {
    match (given, taken) {
        (Given::Several, Takes::Nothing) => NOTHING,
        (Given::Several, Takes::List) => Before { given: Given::One, takes: Takes::Result },
        (Given::Several, takes) => Before { given: Given::Together, takes },
        (given, takes) => Before { given, takes },
    }
}
