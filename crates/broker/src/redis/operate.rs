//! What operators order of dead jobs and of queues: retry, delete, pause, resume.

use std::collections::HashMap;

use celeriac_core::canvas::{Policy, StepLink};
use celeriac_core::{JobId, QueueName, Record, WorkflowId};

use super::places::Places;
use super::promote::RECORDS_READ;
use super::replies::{job_id, read};
use super::script::{self, Call};
use super::settle::unique_of;
use super::store::RedisBroker;
use crate::control::Retried;
use crate::error::BrokerError;

/// Ids handled in one script: few enough that all their records are read, whatever their size.
const CHUNK: usize = RECORDS_READ;

impl RedisBroker {
    pub(super) async fn retry_jobs(&self, ids: &[JobId]) -> Result<Vec<Retried>, BrokerError> {
        let mut answers = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(CHUNK) {
            answers.extend(self.retry_some(chunk).await?);
        }
        Ok(answers)
    }

    async fn retry_some(&self, ids: &[JobId]) -> Result<Vec<Retried>, BrokerError> {
        let keys = &self.keys;
        let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let mut queues = Places::new();
        let found: HashMap<JobId, Record> =
            self.records(&texts).await?.into_iter().map(|record| (record.id.clone(), record)).collect();
        let known: Vec<&Record> = ids.iter().filter_map(|id| found.get(id)).collect();
        if known.is_empty() {
            return Ok(vec![Retried::NotDead; ids.len()]);
        }
        known.iter().for_each(|record| {
            queues.of(&record.queue);
        });
        let mut list = vec![keys.dead(), keys.jobs(), keys.counts(), keys.ends(), keys.burials()];
        list.extend([keys.unique(), keys.queues(), keys.workflow_events(), keys.workflow_untils()]);
        list.extend(queues.names().iter().flat_map(|queue| keys.lists(queue)));
        let mut workflows = Places::new();
        known.iter().filter_map(|record| record.options.step.as_ref()).for_each(|step| {
            workflows.of(&step.workflow);
        });
        list.extend(workflows.names().iter().map(|workflow| keys.workflow(workflow)));
        let mut call = Call::new(&script::RETRY_DEAD, &list);
        call.arg(self.now_override()).arg(queues.len()).arg(workflows.len());
        call.arg(queues.names().iter().map(QueueName::as_str).collect::<Vec<_>>());
        call.arg(workflows.names().iter().map(WorkflowId::as_str).collect::<Vec<_>>());
        for record in known {
            call.arg(queues.place(&record.queue)).arg(record.id.as_str()).arg(unique_of(record));
            match record.options.step.as_deref() {
                Some(StepLink { workflow, at, policy, .. }) => {
                    call.arg(workflows.place(workflow)).arg(*at).arg(u8::from(*policy == Policy::Callback));
                }
                None => drop(call.arg(0).arg(0).arg(0)),
            }
        }
        let answers: Vec<String> = self.commands.call(&call).await?.take()?;
        let mut answers = answers.iter();
        let answer = |id| if found.contains_key(id) { answers.next().map(String::as_str) } else { None };
        ids.iter().map(answer).map(retried).collect()
    }

    pub(super) async fn delete_jobs(&self, ids: &[JobId]) -> Result<Vec<bool>, BrokerError> {
        let mut answers = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(CHUNK) {
            let mut command = redis::cmd("HMGET");
            command.arg(self.keys.jobs()).arg(chunk.iter().map(JobId::as_str).collect::<Vec<_>>());
            let found: Vec<Option<Vec<u8>>> = read(self.commands.command(&command).await?)?;
            let texts = chunk.iter().map(ToString::to_string);
            let dead: Vec<_> = texts.zip(found.into_iter().map(Option::unwrap_or_default)).collect();
            answers.extend(self.bury(&dead, false).await?);
        }
        Ok(answers)
    }

    pub(super) async fn pause(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError> {
        let mut call = Call::new(&script::PAUSE, &[self.keys.queues(), self.keys.wake(queue)]);
        call.arg(queue.as_str()).arg(u8::from(paused));
        self.commands.call(&call).await.map(|_| ())
    }
}

fn retried(answer: Option<&str>) -> Result<Retried, BrokerError> {
    Ok(match answer {
        Some("D") => Retried::Done,
        Some(answer) if answer.starts_with('U') => Retried::UniqueInUse { holder: job_id(&answer[1..])? },
        _ => Retried::NotDead,
    })
}
