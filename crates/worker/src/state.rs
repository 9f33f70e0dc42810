//! What an application shares with its handlers, and how handlers ask for it.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use crate::context::Context;

/// A value that the application gave to [`Tasks::state`](crate::Tasks::state), cloned for this attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State<S>(pub S);

impl<S> Deref for State<S> {
    type Target = S;
    fn deref(&self) -> &S {
        &self.0
    }
}

/// The values given to [`Tasks::state`](crate::Tasks::state), by type.
#[derive(Clone, Default)]
pub struct States {
    values: Arc<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl std::fmt::Debug for States {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("States").field("types", &self.values.len()).finish()
    }
}

impl States {
    pub(crate) fn insert<S: Clone + Send + Sync + 'static>(&mut self, value: S) {
        Arc::make_mut(&mut self.values).insert(TypeId::of::<S>(), Arc::new(value));
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        let other = other.values.iter().map(|(id, value)| (*id, Arc::clone(value)));
        Arc::make_mut(&mut self.values).extend(other);
    }

    pub(crate) fn has(&self, needed: &Need) -> bool {
        self.values.contains_key(&needed.id)
    }

    fn get<S: Clone + 'static>(&self) -> Option<S> {
        self.values.get(&TypeId::of::<S>()).and_then(|value| value.downcast_ref::<S>()).cloned()
    }
}

/// A type that a handler needs and the application must have given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    id: TypeId,
    /// The name of the type, for the message that it is missing.
    pub name: &'static str,
}

/// A parameter of a handler that is injected: [`Context`] or [`State`].
pub trait FromContext: Sized + Send {
    /// What must have been given to [`Tasks::state`](crate::Tasks::state), if anything; checked before a worker starts.
    #[must_use]
    fn need() -> Option<Need> {
        None
    }

    /// Makes the parameter; `None` if what it needs is missing.
    fn from_context(context: &Context, states: &States) -> Option<Self>;
}

impl FromContext for Context {
    fn from_context(context: &Context, _states: &States) -> Option<Self> {
        Some(context.clone())
    }
}

impl<S: Clone + Send + Sync + 'static> FromContext for State<S> {
    fn need() -> Option<Need> {
        Some(Need { id: TypeId::of::<S>(), name: type_name::<S>() })
    }

    fn from_context(_context: &Context, states: &States) -> Option<Self> {
        states.get().map(State)
    }
}
