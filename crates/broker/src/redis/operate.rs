//! What operators order: retry dead jobs, pause and resume queues.

use std::collections::HashMap;

use celeriac_core::{JobId, QueueName};

use super::places::Places;
use super::promote::{RECORDS_READ, add_queues};
use super::script::{self, Call};
use super::store::RedisBroker;
use crate::error::BrokerError;

/// Ids handled in one script: few enough that all their records are read, whatever their size.
const CHUNK: usize = RECORDS_READ;

impl RedisBroker {
    pub(super) async fn retry_jobs(&self, ids: &[JobId]) -> Result<Vec<bool>, BrokerError> {
        let mut answers = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(CHUNK) {
            answers.extend(self.retry_some(chunk).await?);
        }
        Ok(answers)
    }

    async fn retry_some(&self, ids: &[JobId]) -> Result<Vec<bool>, BrokerError> {
        let keys = &self.keys;
        let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let mut queues = Places::new();
        let found: HashMap<JobId, usize> =
            self.records(&texts).await?.into_iter().map(|record| (record.id, queues.of(&record.queue))).collect();
        let known: Vec<&JobId> = ids.iter().filter(|id| found.contains_key(id)).collect();
        if known.is_empty() {
            return Ok(vec![false; ids.len()]);
        }
        let mut list = vec![keys.dead(), keys.jobs(), keys.counts(), keys.ends()];
        list.extend(queues.names().iter().flat_map(|queue| keys.lists(queue)));
        let mut call = Call::new(&script::RETRY_DEAD, &list);
        call.arg(self.now_override());
        add_queues(&mut call, &queues);
        for id in known {
            call.arg(found[id]).arg(id.as_str());
        }
        let letters: String = self.commands.call(&call).await?.take()?;
        let mut letters = letters.bytes();
        Ok(ids.iter().map(|id| found.contains_key(id) && letters.next() == Some(b'D')).collect())
    }

    pub(super) async fn pause(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError> {
        let mut call = Call::new(&script::PAUSE, &[self.keys.queues(), self.keys.wake(queue)]);
        call.arg(queue.as_str()).arg(u8::from(paused));
        self.commands.call(&call).await.map(|_| ())
    }
}
