//! The tasks a worker knows, with what their handlers share.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::sync::Arc;

use celeriac_core::{NameError, QueueName, Task, TaskName};

use crate::blocking::{BlockingHandler, ErasedBlocking};
use crate::command::CommandTask;
use crate::context::Context;
use crate::handler::{Definition, Erased, Handler, Run, Runnable};
use crate::middleware::{Layers, Middleware};
use crate::state::States;

/// What is wrong with a set of tasks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TasksError {
    /// Two handlers have the same task name, or one has as its alias what another is called.
    #[error("task {0:?} is registered twice")]
    Duplicate(String),
    /// A handler asks for a state that was not given.
    #[error("task {task:?} needs State<{state}>, which was not given; add .state(…) to its Tasks")]
    MissingState {
        /// The task.
        task: String,
        /// The type it asks for.
        state: &'static str,
    },
    /// A task has a name, or names a queue, outside the alphabet.
    #[error("task {task:?}: {source}")]
    Name {
        /// The task.
        task: String,
        /// The rule it breaks.
        source: NameError,
    },
    /// A task is told to stop no earlier than it is stopped.
    #[error("task {0:?} has a soft time limit that is not shorter than its time limit")]
    SoftTimeout(String),
    /// There is no task at all.
    #[error("there is no task to run; register one with Tasks::new().task::<…>() or .handle(…)")]
    Empty,
}

/// A task that `#[celeriac::task]` made from a function.
pub trait TaskFn: Task {
    /// Adds its handler.
    #[must_use]
    fn register(tasks: Tasks) -> Tasks;
}

/// The tasks a worker knows. Built like a router: add handlers, merge sets, give the state they share.
///
/// ```
/// use celeriac_worker::{State, Tasks};
/// use celeriac_core::Task;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Greet { name: String }
///
/// impl Task for Greet {
///     const NAME: &'static str = "greet";
///     type Output = String;
/// }
///
/// async fn greet(job: Greet, greeting: State<&'static str>) -> Result<String, std::io::Error> {
///     Ok(format!("{}, {}!", *greeting, job.name))
/// }
///
/// let tasks = Tasks::new().handle(greet).state("Hello");
/// assert!(tasks.check().is_ok());
/// ```
#[derive(Clone, Default)]
pub struct Tasks {
    entries: BTreeMap<String, Entry>,
    duplicates: Vec<String>,
    /// Alias to the name it stands for.
    aliases: BTreeMap<String, String>,
    layers: Layers,
    pub(crate) states: States,
}

/// How a task says that it behaves.
fn definition<T: Task>() -> Definition {
    let options = T::options();
    Definition {
        queue: options.queue.to_owned(),
        retry: options.retry,
        timeout: options.timeout,
        soft_timeout: options.soft_timeout,
        result_ttl: options.result_ttl,
        dead_ttl: options.dead_ttl,
        aliases: options.aliases.iter().map(ToString::to_string).collect(),
    }
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) definition: Definition,
    pub(crate) runnable: Arc<dyn Runnable>,
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.keys()).finish()
    }
}

impl Tasks {
    /// No task yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a task made by `#[celeriac::task]`.
    #[must_use]
    pub fn task<T: TaskFn>(self) -> Self {
        T::register(self)
    }

    /// Adds a handler; the type of its first parameter says which task it runs.
    #[must_use]
    pub fn handle<H, Parameters>(self, handler: H) -> Self
    where
        H: Handler<Parameters>,
        Parameters: 'static,
    {
        let entry = Entry { definition: definition::<H::Task>(), runnable: Arc::new(Erased::new(handler)) };
        self.insert(H::Task::NAME.to_owned(), entry)
    }

    /// Adds a plain function that computes or blocks; it runs on a thread of its own, see [`BlockingHandler`].
    #[must_use]
    pub fn handle_blocking<H, Parameters>(self, handler: H) -> Self
    where
        H: BlockingHandler<Parameters>,
        Parameters: 'static,
    {
        let entry = Entry { definition: definition::<H::Task>(), runnable: Arc::new(ErasedBlocking::new(handler)) };
        self.insert(H::Task::NAME.to_owned(), entry)
    }

    /// Puts code around every attempt of the worker, see [`Middleware`]. The first that is added is the outermost.
    #[must_use]
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.layers.add(middleware);
        self
    }

    /// Adds a task that runs a command.
    #[must_use]
    pub fn command(self, command: CommandTask) -> Self {
        let name = command.name().to_owned();
        let definition = command.definition();
        self.insert(name, Entry { definition, runnable: Arc::new(command) })
    }

    /// Gives every handler of this set that asks for `State<S>` a clone of `value`.
    #[must_use]
    pub fn state<S: Clone + Send + Sync + 'static>(mut self, value: S) -> Self {
        self.states.insert(value);
        self
    }

    /// Adds the tasks and states of another set.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.duplicates.extend(other.duplicates);
        self.states.merge(&other.states);
        self.layers.merge(other.layers);
        other.entries.into_iter().fold(self, |tasks, (name, entry)| tasks.insert(name, entry))
    }

    /// The names of the tasks, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// All names by which a job may ask for one of the tasks: theirs and their aliases, sorted.
    pub fn known_names(&self) -> impl Iterator<Item = &str> {
        let mut names: Vec<_> = self.entries.keys().chain(self.aliases.keys()).map(String::as_str).collect();
        names.sort_unstable();
        names.into_iter()
    }

    /// The queue that a task's jobs go to, if the task is known by that name.
    #[must_use]
    pub fn queue_of(&self, task: &str) -> Option<&str> {
        self.entry(task).map(|entry| entry.definition.queue.as_str())
    }

    /// Whether there is no task.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Checks names, duplicates, limits and states, as a worker does before it starts.
    ///
    /// # Errors
    /// The first [`TasksError`].
    pub fn check(&self) -> Result<(), TasksError> {
        if let Some(name) = self.duplicates.first() {
            return Err(TasksError::Duplicate(name.clone()));
        }
        if self.entries.is_empty() {
            return Err(TasksError::Empty);
        }
        self.entries.iter().try_for_each(|(name, entry)| self.check_entry(name, entry))
    }

    fn check_entry(&self, name: &str, entry: &Entry) -> Result<(), TasksError> {
        let named = |source| TasksError::Name { task: name.to_owned(), source };
        TaskName::new(name).map_err(named)?;
        for alias in &entry.definition.aliases {
            TaskName::new(alias).map_err(named)?;
        }
        if let (Some(soft), Some(hard)) = (entry.definition.soft_timeout, entry.definition.timeout)
            && soft >= hard
        {
            return Err(TasksError::SoftTimeout(name.to_owned()));
        }
        QueueName::new(entry.definition.queue.as_str()).map_err(named)?;
        match entry.runnable.needs().iter().find(|need| !self.states.has(need)) {
            Some(missing) => Err(TasksError::MissingState { task: name.to_owned(), state: missing.name }),
            None => Ok(()),
        }
    }

    pub(crate) fn find(&self, task: &TaskName) -> Option<&Entry> {
        self.entry(task.as_str())
    }

    fn entry(&self, task: &str) -> Option<&Entry> {
        self.entries.get(task).or_else(|| self.entries.get(self.aliases.get(task)?))
    }

    /// An attempt inside the middleware.
    pub(crate) fn wrap(&self, context: Context, run: Run) -> Run {
        self.layers.wrap(context, run)
    }

    /// `default` and every queue that a task names.
    pub(crate) fn queues(&self) -> Vec<QueueName> {
        let mut queues = vec![QueueName::default()];
        let named = self.entries.values().filter_map(|entry| QueueName::new(entry.definition.queue.as_str()).ok());
        queues.extend(named);
        queues.sort();
        queues.dedup();
        queues
    }

    /// Whether every task runs a command or blocks a thread.
    pub(crate) fn only_heavy(&self) -> bool {
        self.entries.values().all(|entry| entry.runnable.is_heavy())
    }

    fn insert(mut self, name: String, entry: Entry) -> Self {
        for alias in &entry.definition.aliases {
            let taken = self.aliases.insert(alias.clone(), name.clone()).is_some();
            if taken || self.entries.contains_key(alias) || *alias == name {
                self.duplicates.push(alias.clone());
            }
        }
        if self.aliases.contains_key(&name) {
            self.duplicates.push(name.clone());
        }
        match self.entries.entry(name) {
            btree_map::Entry::Occupied(taken) => self.duplicates.push(taken.key().clone()),
            btree_map::Entry::Vacant(free) => {
                free.insert(entry);
            }
        }
        self
    }
}
