//! Random workflows of up to 50 steps whose results say what their arguments were.

use celeriac::canvas::{Canvas, Graph, Step, Takes, WhenDead, Workflow};
use proptest::prelude::*;
use serde_json::value::to_raw_value;

const STEPS: usize = 50;
const DEPTH: usize = 5;

/// Each choice is a byte, and 0 is the smallest.
struct Choices {
    bytes: std::vec::IntoIter<u8>,
    steps: usize,
}

/// Any workflow of the tasks `mix`, `flaky` and `fatal`.
pub(crate) fn workflows() -> impl Strategy<Value = Workflow> {
    prop::collection::vec(any::<u8>(), 20..200).prop_map(|bytes| Choices { bytes: bytes.into_iter(), steps: 0 }.all())
}

impl Choices {
    fn pick(&mut self, end: usize) -> usize {
        usize::from(self.bytes.next().unwrap_or(0)) % end
    }

    fn all(mut self) -> Workflow {
        let when_dead = [WhenDead::Fail, WhenDead::Continue, WhenDead::Wait][self.pick(3)];
        let mut root = self.part(0);
        if self.steps == 0 {
            root = Canvas::from(self.step()).then(root);
        }
        let workflow = Workflow::new(root).when_dead(when_dead);
        let workflow = if self.pick(2) == 0 { workflow } else { workflow.on_success(Step::new("mix")) };
        if when_dead == WhenDead::Continue || self.pick(2) == 0 {
            return workflow;
        }
        workflow.on_failure(Step::new("mix"))
    }

    fn part(&mut self, depth: usize) -> Canvas {
        match if self.steps >= STEPS || depth >= DEPTH { 0 } else { self.pick(6) } {
            1 | 2 => {
                let length = 1 + self.pick(4);
                Canvas::chain((0..length).map(|_| self.part(depth + 1)).collect::<Vec<_>>())
            }
            3 => Canvas::group(self.members(depth)),
            4 => Canvas::group(self.members(depth)).join(self.part(depth + 1)),
            5 => self.graph(depth),
            _ => self.step().into(),
        }
    }

    fn members(&mut self, depth: usize) -> Vec<Canvas> {
        (0..self.pick(6)).map(|_| self.part(depth + 1)).collect()
    }

    fn graph(&mut self, depth: usize) -> Canvas {
        let mut names: Vec<String> = Vec::new();
        let mut graph = Graph::new();
        for index in 0..=self.pick(5) {
            let deps: Vec<String> = names.iter().filter(|_| self.pick(2) == 1).cloned().collect();
            let takes = if deps.is_empty() { Takes::Nothing } else { Takes::List };
            let name = format!("n{index}");
            graph = graph.part_after(name.clone(), deps, self.part(depth + 1).takes(takes));
            names.push(name);
        }
        graph.into()
    }

    fn step(&mut self) -> Step {
        self.steps += 1;
        let step = match self.pick(10) {
            8 => Step::new("flaky"),
            9 => Step::new("fatal"),
            _ => Step::new("mix"),
        };
        let args = [None, Some(Vec::new()), Some(vec![self.steps])][self.pick(3)].clone();
        let step = if self.pick(3) == 0 { step.queue("other") } else { step };
        match args {
            Some(args) => step.args(to_raw_value(&args).unwrap()),
            None => step,
        }
    }
}
