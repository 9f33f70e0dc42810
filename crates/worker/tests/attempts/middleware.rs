//! What wraps attempts.

use std::sync::{Arc, Mutex};

use celeriac_core::{State as JobState, TaskError};
use celeriac_worker::{AttemptFuture, Context, Middleware, Next, Tasks};

use crate::support::{Answer, AtWork, Probe, end, enqueue, probes, store};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, word: &str) {
        self.0.lock().unwrap().push(word.to_owned());
    }
}

/// A middleware of its own type.
struct Named(&'static str, Log);

impl Middleware for Named {
    fn call(&self, context: Context, next: Next) -> AttemptFuture {
        let (name, log) = (self.0, self.1.clone());
        Box::pin(async move {
            log.add(&format!("{name} begins {}", context.task()));
            let answer = next.run().await;
            log.add(&format!("{name} ends"));
            answer
        })
    }
}

#[tokio::test]
async fn middleware_wraps_every_attempt_in_the_order_given() {
    let (store, log) = (store().await, Log::default());
    let ids = enqueue(&store, probes(1)).await;
    let handled = log.clone();
    let handler = move |_: Probe| {
        let log = handled.clone();
        async move {
            log.add("handler");
            Answer::Ok(1)
        }
    };
    let inner = Tasks::new().middleware(Named("inner", log.clone()));
    let tasks = Tasks::new().handle(handler).middleware(Named("outer", log.clone())).merge(inner);
    let worker = AtWork::start(&store, tasks, |worker| worker);
    end(&store, &ids[0]).await;
    worker.stop().await;
    let wanted = ["outer begins probe", "inner begins probe", "handler", "inner ends", "outer ends"];
    assert_eq!(*log.0.lock().unwrap(), wanted);
}

#[tokio::test]
async fn a_closure_may_answer_in_the_handlers_place() {
    let store = store().await;
    let ids = enqueue(&store, probes(1)).await;
    let guard = |_: Context, next: Next| async move {
        drop(next);
        Err(TaskError::permanent("not on a Sunday"))
    };
    let tasks = Tasks::new().handle_blocking(|_: Probe| -> Answer { Ok(1) }).middleware(guard);
    let worker = AtWork::start(&store, tasks, |worker| worker);
    let refused = end(&store, &ids[0]).await;
    assert_eq!((refused.state, refused.error.as_deref()), (JobState::Dead, Some("not on a Sunday")));
    worker.stop().await;
}

#[tokio::test]
async fn a_panic_in_a_middleware_fails_the_attempt() {
    struct Rash;
    impl Middleware for Rash {
        fn call(&self, _: Context, _: Next) -> AttemptFuture {
            panic!("too rash")
        }
    }
    let store = store().await;
    let ids = enqueue(&store, probes(1)).await;
    let tasks = Tasks::new().handle(|_: Probe| async { Answer::Ok(1) }).middleware(Rash);
    let worker = AtWork::start(&store, tasks, |worker| worker);
    assert_eq!(end(&store, &ids[0]).await.error.as_deref(), Some("panicked: too rash"));
    worker.stop().await;
}
