//! The fetcher's calls in flight: at most two exchanges, or one wait.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use celeriac_broker::{Broker, BrokerError, Exchanged, FetchRequest, Fetched, Session, Settled, Settlement};
use tokio::time::{Sleep, sleep, sleep_until};

/// The most exchanges in flight: one that the store works on, and one that this process does.
const MOST: usize = 2;

/// A call that takes longer will not end: every store gives up sooner, a locked SQLite file after 15 s.
const LONGEST_CALL: Duration = Duration::from_secs(30);

/// A call, as it was asked.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) session: Session,
    pub(crate) request: FetchRequest,
    /// The ends that it takes along.
    pub(crate) settlements: Vec<Settlement>,
    pub(crate) asked: Instant,
}

impl Call {
    /// A call that is asked now.
    pub(crate) fn new(session: Session, request: FetchRequest) -> Self {
        Self { session, request, settlements: Vec::new(), asked: Instant::now() }
    }

    /// Takes ends along.
    pub(crate) fn with(mut self, settlements: Vec<Settlement>) -> Self {
        self.settlements = settlements;
        self
    }
}

type Outcome = Result<(Vec<Settled>, Fetched), BrokerError>;

/// A call and what became of it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) call: Call,
    pub(crate) result: Outcome,
    /// It was a wait: when the store carried it out is not known.
    pub(crate) waited: bool,
}

struct InFlight {
    call: Arc<Call>,
    future: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    waits: bool,
    /// When a wait that was told to end is given up.
    give_up: Option<Pin<Box<Sleep>>>,
}

/// What is in flight.
#[derive(Default)]
pub(crate) struct Calls {
    in_flight: Vec<InFlight>,
}

impl Calls {
    /// Asks for an exchange, or a fetch if it takes nothing along.
    pub(crate) fn exchange(&mut self, broker: Arc<dyn Broker>, call: Call) {
        self.add(call, false, |call| async move {
            let exchange = broker.exchange(&call.session, &call.settlements, &call.request);
            exchange.await.map(|Exchanged { settled, fetched }| (settled, fetched))
        });
    }

    /// Asks for what will be there.
    pub(crate) fn wait(&mut self, broker: Arc<dyn Broker>, call: Call, time: Duration) {
        self.add(call, true, move |call| async move {
            let fetched = broker.fetch_when_ready(&call.session, &call.request, time).await?;
            Ok((Vec::new(), fetched))
        });
    }

    /// Asks for what will be there, and others did not want.
    pub(crate) fn wait_and_let_others_first(
        &mut self,
        broker: Arc<dyn Broker>,
        call: Call,
        time: Duration,
        head_start: Duration,
    ) {
        self.add(call, true, move |call| async move {
            // Redis wakes one worker, the one that has waited longest, and SQLite lets all look: so the others get in front of it first, and
            // then, if all were woken, may fetch first.
            sleep(head_start).await;
            broker.wait_for_work(&call.session, &call.request.queues, time).await?;
            sleep(head_start).await;
            Ok((Vec::new(), broker.fetch(&call.session, &call.request).await?))
        });
    }

    fn add<F>(&mut self, call: Call, waits: bool, ask: impl FnOnce(Arc<Call>) -> F)
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let call = Arc::new(call);
        let future = Box::pin(ask(Arc::clone(&call)));
        self.in_flight.push(InFlight { call, future, waits, give_up: None });
    }

    /// The next answer; never, if nothing is in flight. Dropping it loses none.
    pub(crate) async fn next(&mut self) -> Answer {
        poll_fn(|context| {
            for at in 0..self.in_flight.len() {
                let flight = &mut self.in_flight[at];
                let mut result = flight.future.as_mut().poll(context);
                if result.is_pending()
                    && let Some(give_up) = &mut flight.give_up
                    && give_up.as_mut().poll(context).is_ready()
                {
                    let source = "a wait for work that was told to end did not".into();
                    result = Poll::Ready(Err(BrokerError::InDoubt { store: "the store".to_owned(), source }));
                }
                if let Poll::Ready(result) = result {
                    let InFlight { call, future, waits, .. } = self.in_flight.swap_remove(at);
                    // The other owner of the call.
                    drop(future);
                    if let Some(call) = Arc::into_inner(call) {
                        return Poll::Ready(Answer { call, result, waited: waits });
                    }
                }
            }
            Poll::Pending
        })
        .await
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// How many jobs they may bring.
    pub(crate) fn asked(&self) -> usize {
        self.in_flight.iter().map(|flight| flight.call.request.max_jobs).sum()
    }

    /// Whether another exchange may go beside what is in flight. One that may bring a suspect goes alone, as the suspect does.
    pub(crate) fn may_have_company(&self) -> bool {
        self.in_flight.len() < MOST && self.in_flight.iter().all(|flight| !flight.call.request.holds_nothing)
    }

    /// How long the oldest call is in flight that should have ended long ago; a wait of `wait` has that longer.
    pub(crate) fn overdue(&self, wait: Duration) -> Option<Duration> {
        let late = |flight: &InFlight| {
            let limit = if flight.waits { wait + LONGEST_CALL } else { LONGEST_CALL };
            Some(flight.call.asked.elapsed()).filter(|age| *age > limit)
        };
        self.in_flight.iter().filter_map(late).max()
    }

    /// Whether a wait is in flight.
    pub(crate) fn waits(&self) -> bool {
        self.in_flight.iter().any(|flight| flight.waits)
    }

    /// Whether a wait is in flight that may bring no suspect, and was not told to end.
    pub(crate) fn waits_as_busy(&self) -> bool {
        let busy = |flight: &InFlight| flight.waits && !flight.call.request.holds_nothing && flight.give_up.is_none();
        self.in_flight.iter().any(busy)
    }

    /// The session of a wait that was not told to end.
    pub(crate) fn session_of_wait(&self) -> Option<Session> {
        let wait = self.in_flight.iter().find(|flight| flight.waits && flight.give_up.is_none());
        wait.map(|flight| flight.call.session.clone())
    }

    /// Gives up the wait in flight if it has not ended by then.
    pub(crate) fn end_wait_by(&mut self, deadline: Instant) {
        for flight in self.in_flight.iter_mut().filter(|flight| flight.waits) {
            flight.give_up = Some(Box::pin(sleep_until(deadline.into())));
        }
    }

    /// Drops everything in flight; answers the ends of which nobody knows whether they were settled.
    pub(crate) fn abandon(&mut self) -> Vec<Vec<Settlement>> {
        let in_flight = std::mem::take(&mut self.in_flight);
        let calls = in_flight.into_iter().filter_map(|InFlight { call, future, .. }| {
            drop(future);
            Arc::into_inner(call)
        });
        calls.map(|call| call.settlements).collect()
    }
}
