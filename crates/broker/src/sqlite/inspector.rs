//! What people ask the SQLite store.

use async_trait::async_trait;
use celeriac_core::{JobId, QueueName, Timestamp};

use super::broker::SqliteBroker;
use super::{checkup, inspect, promote, queues};
use crate::checkup::Checkup;
use crate::error::BrokerError;
use crate::inspector::Inspector;
use crate::views::{JobFilter, JobView, QueueView, WorkerView};

#[async_trait]
impl Inspector for SqliteBroker {
    async fn now(&self) -> Result<Timestamp, BrokerError> {
        self.read(|view| Ok(view.now())).await
    }

    async fn job(&self, id: &JobId) -> Result<Option<JobView>, BrokerError> {
        let id = id.clone();
        self.read(move |view| inspect::job(view, &id)).await
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobView>, BrokerError> {
        let filter = filter.clone();
        self.read(move |view| inspect::jobs(view, &filter)).await
    }

    async fn queues(&self) -> Result<Vec<QueueView>, BrokerError> {
        self.read(inspect::queues).await
    }

    async fn workers(&self) -> Result<Vec<WorkerView>, BrokerError> {
        self.read(inspect::workers).await
    }

    async fn retry_dead(&self, ids: &[JobId]) -> Result<Vec<bool>, BrokerError> {
        let ids = ids.to_vec();
        self.write(move |scope| promote::retry_dead(scope, &ids)).await
    }

    async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError> {
        let queue = queue.clone();
        self.write(move |scope| queues::set_paused(scope, &queue, paused)).await
    }

    async fn checkup(&self) -> Result<Checkup, BrokerError> {
        checkup::check_up(self).await
    }
}
