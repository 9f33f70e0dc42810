//! What people ask a store: which jobs, which queues, which workers; and the few things they may order.

use async_trait::async_trait;
use celeriac_core::{JobId, QueueName, Timestamp};

use crate::checkup::Checkup;
use crate::error::BrokerError;
use crate::views::{JobFilter, JobView, QueueView, WorkerView};

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

    /// Every queue that was ever used, by name.
    async fn queues(&self) -> Result<Vec<QueueView>, BrokerError>;

    /// The workers that are registered, by incarnation.
    async fn workers(&self) -> Result<Vec<WorkerView>, BrokerError>;

    /// Makes dead jobs ready again, with failures, losses and suspicion forgotten and attempts kept. Answers for each id
    /// whether it was dead. The kept end of the job is removed in the same transaction.
    async fn retry_dead(&self, ids: &[JobId]) -> Result<Vec<bool>, BrokerError>;

    /// Pauses or resumes a queue. Paused, it accepts jobs and hands out none.
    async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError>;

    /// Looks at the store itself: what a crash loses, whether it can be written, how fast it answers, what will fill up.
    ///
    /// What may not be read is a finding, and no error. It takes up to some seconds, writes nothing that stays, and touches no job.
    async fn checkup(&self) -> Result<Checkup, BrokerError>;
}
