//! The child that enqueues: at a steady pace, whatever it is told, until it is told to end.

use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::{Revocation, StoreUrl};
use celeriac_client::{Client, EnqueueError, UnknownBatch};
use celeriac_core::JobId;
use fastrand::Rng;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::cli::exit::{Exit, Failure};
use crate::cli::torture::events::{Event, Pen, Revoked};
use crate::cli::torture::jobs::Draft;
use crate::cli::torture::order::Order;

/// How many jobs may be under way: a store that is away must not fill the memory of the producer.
const MOST_IN_FLIGHT: usize = 500;

/// How long one enqueue goes on trying.
const ENQUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a batch whose fate is unknown is sent again.
const RESENDS: usize = 10;

/// How long whoever waits for an end is willing to.
const MOST_WAIT: Duration = Duration::from_secs(60);

pub(super) async fn run(order: Order, rate: u32) -> Result<(), Failure> {
    let pen = Arc::new(Pen::open(&order.writes, &order.name).map_err(|error| super::broken(&error))?);
    let mut ended =
        signal(SignalKind::terminate()).map_err(|error| Failure::new(Exit::Failed, format!("no signals: {error}")))?;
    let url: StoreUrl = order.store.parse().map_err(|error| Failure::usage(format!("the store: {error}")))?;
    let producing = async {
        let client = Client::builder(super::reach(&url).await).enqueue_timeout(ENQUEUE_TIMEOUT).build();
        let client = client.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        produce(&client, &pen, &order, rate).await
    };
    tokio::select! {
        produced = producing => produced,
        _ = ended.recv() => Ok(()),
    }
}

async fn produce(client: &Client, pen: &Arc<Pen>, order: &Order, rate: u32) -> Result<(), Failure> {
    let mut chance = Rng::with_seed(order.seed);
    let mut pace = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut lives = JoinSet::new();
    for number in 0_u64.. {
        pace.tick().await;
        while lives.len() >= MOST_IN_FLIGHT || lives.try_join_next().is_some() {
            if lives.len() >= MOST_IN_FLIGHT {
                lives.join_next().await;
            }
        }
        let draft = Draft::next(&mut chance, order.poison);
        let (client, pen, id) = (client.clone(), Arc::clone(pen), format!("{}-{number}", order.name));
        lives.spawn(async move { live(&client, &pen, &id, draft).await });
    }
    Ok(())
}

/// Enqueues one job and does with it what its draft says. What cannot be written down ends it.
async fn live(client: &Client, pen: &Pen, id: &str, draft: Draft) -> std::io::Result<()> {
    pen.write(
        id,
        Event::Asked {
            queue: draft.queue.to_owned(),
            delay: u64::try_from(draft.delay.as_millis()).unwrap_or(u64::MAX),
            expires: draft.expires.is_some(),
            unique: draft.unique.clone(),
            act: draft.task.act,
        },
    )?;
    let (revoke_after, awaited) = (draft.revoke_after, draft.awaited);
    let accepted = enqueue(client, id, draft).await;
    pen.write(id, accepted.clone())?;
    if accepted != Event::Accepted {
        return Ok(());
    }
    let Ok(job) = JobId::new(id) else { return Ok(()) };
    if let Some(after) = revoke_after {
        tokio::time::sleep(after).await;
        pen.write(id, Event::Revoking)?;
        let answer = match client.broker().revoke(std::slice::from_ref(&job), "torture").await.as_deref() {
            Ok([Revocation::Ended]) => Revoked::Ended,
            Ok([Revocation::Told]) => Revoked::Told,
            Ok(_) => Revoked::TooLate,
            Err(_) => Revoked::InDoubt,
        };
        pen.write(id, Event::Revoked { answer })?;
    }
    if awaited && let Ok(Ok(end)) = tokio::time::timeout(MOST_WAIT, client.broker().wait_result(&job)).await {
        pen.write(id, Event::Told { state: end.state, attempt: end.attempt })?;
    }
    Ok(())
}

async fn enqueue(client: &Client, id: &str, draft: Draft) -> Event {
    let mut enqueue = client.enqueue(draft.task).id(id).queue(draft.queue).priority(draft.priority);
    if !draft.delay.is_zero() {
        enqueue = enqueue.delay(draft.delay);
    }
    if let Some(key) = draft.unique {
        enqueue = enqueue.unique(key);
    }
    if let Some(expires) = draft.expires {
        enqueue = enqueue.expires(expires);
    }
    if let Some(retries) = draft.retries {
        enqueue = enqueue.retries(retries);
    }
    match enqueue.await {
        Ok(_) => Event::Accepted,
        Err(error) => resend(client, error).await,
    }
}

/// Sends what is in doubt again until its fate is known.
async fn resend(client: &Client, mut error: EnqueueError) -> Event {
    for _ in 0..RESENDS {
        let batch: UnknownBatch = match error {
            EnqueueError::Unknown { batch, .. } => batch,
            EnqueueError::Forgotten => return Event::InDoubt,
            _ => return Event::Refused,
        };
        match client.resend(batch).await {
            Ok(answers) if answers.iter().all(|(_, answer)| *answer == celeriac_broker::Acceptance::Accepted) => {
                return Event::Accepted;
            }
            // It was refused for its key or its id, then or now; an id is used by one job alone, so that means its key.
            Ok(_) => return Event::InDoubt,
            Err(again) => error = again,
        }
    }
    Event::InDoubt
}
