//! A worker's session: register, reconcile, heartbeat, deregister.

use std::time::Duration;

use celeriac_core::{Fence, Generation};

use super::replies::Status;
use super::replies::job_id;
use super::script::{self, Call};
use super::store::RedisBroker;
use crate::error::BrokerError;
use crate::worker_session::{Pulse, Reconciled, Registration, Session, StoreLife};

/// How long a registration lasts after its last renewal, unless the lease is longer than a third of it.
const REGISTRATION_TTL: Duration = Duration::from_secs(180);

fn registration_ttl(lease: Duration) -> u64 {
    millis(REGISTRATION_TTL.max(lease.saturating_mul(3)))
}

/// Whole milliseconds, as scripts take them.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn joined<T: AsRef<str>>(names: &[T]) -> String {
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(",")
}

impl RedisBroker {
    pub(super) async fn register_worker(&self, worker: &Registration) -> Result<Session, BrokerError> {
        let (keys, incarnation) = (&self.keys, &worker.incarnation);
        let list = [keys.worker(incarnation), keys.workers(), keys.leases(), keys.lost(), keys.meta()];
        let mut call = Call::new(&script::REGISTER, &list);
        call.arg(self.now_override()).arg(incarnation.as_str()).arg(registration_ttl(worker.lease));
        call.arg(&[("host", worker.host.as_str()), ("version", &worker.version)]);
        call.arg("pid").arg(worker.pid).arg("lease").arg(millis(worker.lease));
        call.arg("queues").arg(joined(&worker.queues)).arg("tasks").arg(joined(&worker.tasks));
        let mut reply = self.commands.call(&call).await?;
        if reply.status() == Status::Again {
            let text = format!("the incarnation {incarnation} was registered before; generate another one");
            return Err(BrokerError::Invalid(text));
        }
        let store = StoreLife::from_stored(reply.take::<String>()?);
        Ok(Session { incarnation: incarnation.clone(), generation: Generation::new(1), lease: worker.lease, store })
    }

    pub(super) async fn open_generation(&self, session: &Session) -> Result<Reconciled, BrokerError> {
        let (keys, incarnation) = (&self.keys, &session.incarnation);
        let list = [keys.worker(incarnation), keys.running(incarnation), keys.leases()];
        let mut call = Call::new(&script::RECONCILE, &list);
        call.arg(self.now_override());
        let mut reply = self.commands.call(&call).await?.in_session()?;
        let generation = Generation::new(reply.take()?);
        Ok(Reconciled { session: Session { generation, ..session.clone() }, held: reply.held()? })
    }

    pub(super) async fn renew(&self, session: &Session) -> Result<Pulse, BrokerError> {
        let (keys, incarnation) = (&self.keys, &session.incarnation);
        let mut list = vec![keys.worker(incarnation), keys.running(incarnation), keys.leases(), keys.workers()];
        list.extend([keys.meta(), keys.scheduled(), keys.revoked()]);
        let mut call = Call::new(&script::HEARTBEAT, &list);
        call.arg(self.now_override()).arg(incarnation.as_str());
        call.arg(registration_ttl(session.lease)).arg(millis(session.lease));
        let mut reply = self.commands.call(&call).await?.in_session()?;
        Ok(Pulse {
            now: reply.instant()?,
            newest_fence: Fence::new(reply.take()?),
            next_due: reply.maybe_instant()?,
            held: reply.held()?,
            revoked: reply.take::<Vec<String>>()?.iter().map(|id| job_id(id)).collect::<Result<_, _>>()?,
        })
    }

    /// Waits for the token that an order leaves, on a connection of its own: commands queue up behind a wait.
    pub(super) async fn wait_for_token(&self, session: &Session, timeout: Duration) -> Result<(), BrokerError> {
        let mut command = redis::cmd("BLPOP");
        command.arg(self.keys.orders(&session.incarnation)).arg(format!("{:.3}", timeout.as_secs_f64().max(0.01)));
        self.orders.waiting(&command, timeout).await.map(|_| ())
    }

    pub(super) async fn end_registration(&self, session: &Session) -> Result<(), BrokerError> {
        let (keys, incarnation) = (&self.keys, &session.incarnation);
        let mut list = vec![keys.worker(incarnation), keys.running(incarnation), keys.leases(), keys.workers()];
        list.push(keys.control(incarnation));
        let mut call = Call::new(&script::DEREGISTER, &list);
        call.arg(self.now_override()).arg(incarnation.as_str()).arg(session.generation.get());
        self.commands.call(&call).await?.in_session().map(|_| ())
    }
}
