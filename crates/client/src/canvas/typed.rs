//! Parts of a workflow that know the type of their result.

use std::fmt;
use std::marker::PhantomData;

use celeriac_core::Task;
use celeriac_core::canvas::{Canvas, Feeds, Step, Takes};
use serde_json::value::to_raw_value;

use crate::error::Invalid;

/// The step of a task, for its own queue.
fn step_of<T: Task>() -> Step {
    Step::new(T::NAME).queue(T::options().queue)
}

/// A step with arguments of its own.
#[expect(clippy::needless_pass_by_value, reason = "a step is made of its task, as a job is")]
pub fn step<T: Task>(task: T) -> Job<T> {
    let args = to_raw_value(&task);
    let step = args.map(|args| step_of::<T>().args(args));
    Job(step.map_err(|error| Invalid::Arguments { task: T::NAME.to_owned(), source: error.into() }), PhantomData)
}

/// A step whose arguments are what the part before it answers.
pub fn next<T: Task>() -> Next<T> {
    Next(step_of::<T>(), PhantomData)
}

/// Parts side by side. The result is the list of theirs, in their order.
pub fn group<O, P: Into<Part<O>>>(parts: impl IntoIterator<Item = P>) -> Part<Vec<O>> {
    let parts: Result<Vec<Canvas>, Invalid> = parts.into_iter().map(|part| part.into().canvas).collect();
    Part::of(parts.map(Canvas::group))
}

/// A step with arguments of its own; see [`step`].
#[must_use = "a step does nothing until its workflow is enqueued"]
pub struct Job<T: Task>(Result<Step, Invalid>, PhantomData<fn() -> T>);

impl<T: Task> Job<T> {
    /// Sets options: `step(task).with(|step| step.retries(3).queue("images"))`.
    pub fn with(self, options: impl FnOnce(Step) -> Step) -> Self {
        Self(self.0.map(options), PhantomData)
    }

    /// Lets a step follow that takes the result; see [`Part::then`].
    pub fn then<N: Follows<T::Output>>(self, next: N) -> Part<N::Output> {
        Part::from(self).then(next)
    }

    /// Lets a part follow that only waits; see [`Part::before`].
    pub fn before<O>(self, part: impl Into<Part<O>>) -> Part<O> {
        Part::from(self).before(part)
    }
}

/// A step whose arguments are what the part before it answers; see [`next`].
#[must_use = "a step does nothing until its workflow is enqueued"]
pub struct Next<T: Task>(Step, PhantomData<fn() -> T>);

impl<T: Task> Next<T> {
    /// Sets options: `next::<Resize>().with(|step| step.retries(3).queue("images"))`.
    pub fn with(self, options: impl FnOnce(Step) -> Step) -> Self {
        Self(options(self.0), PhantomData)
    }

    pub(crate) fn into_step(self) -> Step {
        self.0
    }
}

/// A [`Next`] that can take an `O`.
///
/// Were this a bound `O: Feeds<N>` of the methods, the compiler would take it for a hint that `N` is `O`, and complain about that.
pub trait Follows<O> {
    /// What it answers.
    type Output;

    /// The step, which takes what it can.
    fn into_part(self) -> Canvas;
}

impl<O: Feeds<N>, N: Task> Follows<O> for Next<N> {
    type Output = N::Output;
    fn into_part(self) -> Canvas {
        let takes: Takes = <O as Feeds<N>>::TAKES;
        self.0.takes(takes)
    }
}

/// A part of a workflow whose result is an `O`.
#[must_use = "a part does nothing until its workflow is enqueued"]
pub struct Part<O> {
    canvas: Result<Canvas, Invalid>,
    result: PhantomData<fn() -> O>,
}

impl<O> Part<O> {
    fn of(canvas: Result<Canvas, Invalid>) -> Self {
        Self { canvas, result: PhantomData }
    }

    /// Lets a step follow that takes the result: as all its arguments if that is its own type, else as [`Feeds`] says. After a
    /// [`group`] that makes a chord.
    pub fn then<N: Follows<O>>(self, next: N) -> Part<N::Output> {
        Part::of(self.canvas.map(|canvas| canvas.then(next.into_part())))
    }

    /// Lets a part follow that only waits for this one and has arguments of its own.
    pub fn before<P>(self, part: impl Into<Part<P>>) -> Part<P> {
        let next = part.into().canvas;
        Part::of(self.canvas.and_then(|canvas| Ok(canvas.feeds_nothing().then(next?))))
    }

    /// Names it; see [`Canvas::named`].
    pub fn named(self, name: impl Into<String>) -> Self {
        Self::of(self.canvas.map(|canvas| canvas.named(name)))
    }

    /// The part without its type, to be put together with others or made a workflow.
    ///
    /// # Errors
    /// [`Invalid::Arguments`] if the arguments of a step have no JSON form.
    pub fn into_canvas(self) -> Result<Canvas, Invalid> {
        self.canvas
    }
}

impl<T: Task> From<Job<T>> for Part<T::Output> {
    fn from(job: Job<T>) -> Self {
        Self::of(job.0.map(Canvas::from))
    }
}

impl<T: Task> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Job").field(&self.0).finish()
    }
}

impl<T: Task> fmt::Debug for Next<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Next").field(&self.0).finish()
    }
}

impl<O> fmt::Debug for Part<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("canvas", &self.canvas).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use celeriac_core::TaskOptions;
    use celeriac_core::canvas::{Limits, Workflow, compile};
    use serde::{Deserialize, Serialize};

    use super::*;

    macro_rules! task {
        ($name:ident($argument:ty) -> $output:ty) => {
            #[derive(Serialize, Deserialize)]
            struct $name {
                value: $argument,
            }
            impl Task for $name {
                const NAME: &'static str = stringify!($name);
                type Output = $output;
                fn options() -> TaskOptions {
                    TaskOptions::new().queue("own")
                }
            }
        };
    }

    task!(List(String) -> Resize);
    task!(Resize(u32) -> String);
    task!(Publish(Vec<String>) -> ());
    task!(Odd(BTreeMap<Vec<u8>, u8>) -> ());

    impl Feeds<Publish> for Vec<String> {
        const TAKES: Takes = Takes::Result;
    }

    fn json<O>(part: Part<O>) -> String {
        let workflow = Workflow::new(part.into_canvas().unwrap());
        compile(&workflow, &"w".parse().unwrap(), &Limits::default()).unwrap();
        workflow.to_json()
    }

    #[test]
    fn a_result_of_the_next_type_is_all_its_arguments() {
        let chain = step(List { value: "x".into() }).then(next::<Resize>().with(|step| step.queue("images")));
        let expected = r#"{"chain":[{"task":"List","args":{"value":"x"},"queue":"own"},{"task":"Resize","queue":"images","takes":"arguments"}]}"#;
        assert_eq!(json(chain), expected);
    }

    #[test]
    fn a_group_and_the_step_behind_it_fit_if_one_line_says_so() {
        let sizes = group([200, 800].map(|value| step(Resize { value }).with(|step| step.retries(1)))).named("sizes");
        let expected = r#"{"chain":[{"name":"sizes","group":[{"task":"Resize","args":{"value":200},"queue":"own","retries":1},{"task":"Resize","args":{"value":800},"queue":"own","retries":1}]},{"task":"Publish","queue":"own","takes":"result"}]}"#;
        assert_eq!(json(sizes.then(next::<Publish>())), expected);
    }

    #[test]
    fn what_only_waits_has_arguments_of_its_own() {
        let part =
            step(Publish { value: Vec::new() }).before(step(Resize { value: 1 })).before(step(Resize { value: 2 }));
        let expected = r#"{"chain":[{"task":"Publish","args":{"value":[]},"queue":"own","feeds":false},{"task":"Resize","args":{"value":1},"queue":"own"}]}"#;
        assert!(json(step(Publish { value: Vec::new() }).before(step(Resize { value: 1 }))).starts_with(expected));
        assert!(json(part).contains(r#""feeds":false},{"task":"Resize","args":{"value":2}"#));
    }

    #[test]
    fn arguments_without_a_json_form_are_refused_at_the_end() {
        let odd = || step(Odd { value: BTreeMap::from([(vec![1], 1)]) });
        for part in [Part::from(odd()), group([odd()]).before(odd()), step(Resize { value: 1 }).before(odd())] {
            assert!(matches!(part.into_canvas(), Err(Invalid::Arguments { task, .. }) if task == "Odd"));
        }
    }
}
