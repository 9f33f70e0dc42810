//! What people ask a store: which jobs, which queues, which workers; and the few things they may order.

use async_trait::async_trait;
#[cfg(doc)]
use celeriac_core::State;
use celeriac_core::{JobId, Notes, QueueName, Timestamp};

use crate::checkup::Checkup;
use crate::control::{Purged, Retried, Revocation};
use crate::error::BrokerError;
use crate::views::{JobFilter, JobPage, JobView, PageMark, QueueView, WorkerView};

/// The operator's side of a store. Nothing here is on a job's way, so it may cost a few milliseconds.
///
/// Every method fails with [`BrokerError::Unreachable`] or [`BrokerError::InDoubt`] when the store is away.
#[async_trait]
pub trait Inspector: Send + Sync {
    /// Now, by the store's clock.
    async fn now(&self) -> Result<Timestamp, BrokerError>;

    /// One job: its record, or its end as long as that is kept; `None` if the store knows neither.
    async fn job(&self, id: &JobId) -> Result<Option<JobView>, BrokerError>;

    /// Jobs that have a record: waiting, running, parked and dead ones; newest `since` first within a state.
    /// It reads at most a bounded number of records, so with many jobs a narrow filter may miss some.
    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobView>, BrokerError>;

    /// A page of the jobs in one state, [`State::Queued`] unless the filter names another: at most `filter.limit` of those that fit it,
    /// after `mark` if there is one. Scheduled and retry are one list.
    ///
    /// A page may be short, or empty, and not the last: a call looks at a bounded number of jobs. Dead ones come newest first, waiting
    /// ones in the order in which their turn comes. Jobs that move meanwhile may be missed or shown twice.
    async fn page(&self, filter: &JobFilter, mark: Option<&PageMark>) -> Result<JobPage, BrokerError>;

    /// What a job has told so far: how far it is, and its log.
    async fn notes(&self, id: &JobId) -> Result<Notes, BrokerError>;

    /// Every queue that was ever used, by name.
    async fn queues(&self) -> Result<Vec<QueueView>, BrokerError>;

    /// The workers that are registered, by incarnation.
    async fn workers(&self) -> Result<Vec<WorkerView>, BrokerError>;

    /// Makes dead jobs ready again, with failures, losses and suspicion forgotten and attempts kept. The kept end of the job is removed,
    /// and its unique key taken again, in the same transaction. One answer for each id.
    async fn retry_dead(&self, ids: &[JobId]) -> Result<Vec<Retried>, BrokerError>;

    /// Removes dead jobs; their ends stay readable as long as they are kept. Answers for each id whether it was dead.
    async fn delete_dead(&self, ids: &[JobId]) -> Result<Vec<bool>, BrokerError>;

    /// Revokes jobs, at most [`crate::MAX_BATCH_JOBS`], in the name of `by`: those that wait end at once, the workers of those that run are
    /// told. One answer for each id.
    ///
    /// A crash after it leaves them revoked: a running one is not run again, whatever becomes of its worker. The id of a job that
    /// waited in a queue may stay in use until the queue has moved on.
    async fn revoke(&self, ids: &[JobId], by: &str) -> Result<Vec<Revocation>, BrokerError>;

    /// Ends at most `max` ready jobs of a queue as revoked, in the name of `by`. Jobs that run, or wait for their time, stay.
    async fn purge(&self, queue: &QueueName, max: usize, by: &str) -> Result<Purged, BrokerError>;

    /// Pauses or resumes a queue. Paused, it accepts jobs and hands out none.
    async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError>;

    /// Looks at the store itself: what a crash loses, whether it can be written, how fast it answers, what will fill up.
    ///
    /// What may not be read is a finding, and no error. It takes up to some seconds, writes nothing that stays, and touches no job.
    async fn checkup(&self) -> Result<Checkup, BrokerError>;
}
