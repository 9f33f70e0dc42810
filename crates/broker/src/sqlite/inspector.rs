//! What people ask the SQLite store.

use async_trait::async_trait;
use celeriac_core::{JobId, Notes, QueueName, Timestamp};

use super::broker::SqliteBroker;
use super::{checkup, control, inspect, notes, page, queues};
use crate::checkup::Checkup;
use crate::control::{Purged, Retried, Revocation};
use crate::error::BrokerError;
use crate::inspector::Inspector;
use crate::views::{JobFilter, JobPage, JobView, PageMark, QueueView, WorkerView};

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

    async fn page(&self, filter: &JobFilter, mark: Option<&PageMark>) -> Result<JobPage, BrokerError> {
        let (filter, mark) = (filter.clone(), mark.cloned());
        self.read(move |view| page::page(view, &filter, mark.as_ref())).await
    }

    async fn notes(&self, id: &JobId) -> Result<Notes, BrokerError> {
        let id = id.clone();
        self.read(move |view| notes::read(view, &id)).await
    }

    async fn queues(&self) -> Result<Vec<QueueView>, BrokerError> {
        self.read(inspect::queues).await
    }

    async fn workers(&self) -> Result<Vec<WorkerView>, BrokerError> {
        self.read(inspect::workers).await
    }

    async fn retry_dead(&self, ids: &[JobId]) -> Result<Vec<Retried>, BrokerError> {
        let ids = ids.to_vec();
        self.write(move |scope| control::retry_dead(scope, &ids)).await
    }

    async fn delete_dead(&self, ids: &[JobId]) -> Result<Vec<bool>, BrokerError> {
        let ids = ids.to_vec();
        self.write(move |scope| control::delete_dead(scope, &ids)).await
    }

    async fn revoke(&self, ids: &[JobId], by: &str) -> Result<Vec<Revocation>, BrokerError> {
        let (ids, by) = (ids.to_vec(), by.to_owned());
        self.write(move |scope| control::revoke(scope, &ids, &by)).await
    }

    async fn purge(&self, queue: &QueueName, max: usize, by: &str) -> Result<Purged, BrokerError> {
        let (queue, by) = (queue.clone(), by.to_owned());
        self.write(move |scope| control::purge(scope, &queue, max, &by)).await
    }

    async fn set_paused(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError> {
        let queue = queue.clone();
        self.write(move |scope| queues::set_paused(scope, &queue, paused)).await
    }

    async fn checkup(&self) -> Result<Checkup, BrokerError> {
        checkup::check_up(self).await
    }
}
