//! A job that was not sent yet: the name of its task, its arguments and its options.

use std::borrow::Cow;

use celeriac_broker::{IdOrigin, NewJob};
use celeriac_core::{JobId, MAX_PAYLOAD_BYTES, Record, Task, TaskName, UniqueKey};
use serde_json::value::{RawValue, to_raw_value};

use crate::error::{EnqueueError, Invalid};
use crate::settings::{Checked, Settings, setters};

/// A job that was not sent yet, without types: for command lines, files of jobs and gateways.
///
/// Where the task's type is at hand, [`Client::enqueue`](crate::Client::enqueue) is shorter and checks the arguments.
///
/// ```
/// use celeriac_client::Signature;
/// use serde_json::value::RawValue;
///
/// let args = RawValue::from_string(r#"{"path": "a.png"}"#.to_owned())?;
/// let signature = Signature::new("images.resize", args).queue("images").retries(3);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a signature does nothing until it is enqueued"]
pub struct Signature {
    task: Cow<'static, str>,
    args: Box<RawValue>,
    id: Option<String>,
    unique: Option<String>,
    settings: Settings,
}

impl Signature {
    setters!();

    /// A job for the task of this name. Its arguments are JSON: an object by their names, or a list by their places.
    ///
    /// It goes to the queue `default` unless another is named, because only the task's type knows the task's own queue.
    pub fn new(task: impl Into<String>, args: Box<RawValue>) -> Self {
        Self { task: Cow::Owned(task.into()), args, id: None, unique: None, settings: Settings::default() }
    }

    /// Chooses the id of the job. It is refused while a job, or the end of one, has it.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Gives it a unique key: while an unfinished job of the namespace has the key, whatever its task and queue, it is refused.
    pub fn unique(mut self, key: impl Into<String>) -> Self {
        self.unique = Some(key.into());
        self
    }

    /// A job for the task of this type, for its own queue unless another is named.
    ///
    /// # Errors
    /// [`Invalid::Arguments`] if they have no JSON form.
    pub fn of_task<T: Task>(task: &T) -> Result<Self, Invalid> {
        Self::of(task, Settings::default())
    }

    /// The job of a record that was made elsewhere, by a schedule for example, with its options and under its id.
    ///
    /// # Errors
    /// [`Invalid::Arguments`] if its payload is no JSON.
    pub fn of_record(record: Record) -> Result<Self, Invalid> {
        let Record { id, task, queue, priority, mut options, payload, .. } = record;
        let args = serde_json::from_slice(&payload)
            .map_err(|error| Invalid::Arguments { task: task.to_string(), source: error.into() })?;
        let unique = options.unique.take().map(|key| key.to_string());
        let settings = Settings {
            queue: Some(Cow::Owned(queue.to_string())),
            priority: Some(priority.get()),
            options,
            ..Settings::default()
        };
        Ok(Self { task: Cow::Owned(task.to_string()), args, id: Some(id.to_string()), unique, settings })
    }

    /// Checks everything and makes the job, as a store takes it: for those who enqueue it by another way than a client.
    ///
    /// # Errors
    /// [`EnqueueError::Invalid`] and [`EnqueueError::PayloadTooLarge`].
    pub fn into_new_job(self) -> Result<NewJob, EnqueueError> {
        self.into_job(MAX_PAYLOAD_BYTES)
    }

    /// The signature of a typed job.
    pub(crate) fn of<T: Task>(task: &T, mut settings: Settings) -> Result<Self, Invalid> {
        let args = to_raw_value(task)
            .map_err(|error| Invalid::Arguments { task: T::NAME.to_owned(), source: error.into() })?;
        settings.queue.get_or_insert_with(|| Cow::Borrowed(T::options().queue));
        Ok(Self { task: Cow::Borrowed(T::NAME), args, id: None, unique: None, settings })
    }

    /// Checks everything and makes the job.
    pub(crate) fn into_job(self, payload_limit: usize) -> Result<NewJob, EnqueueError> {
        let Checked { queue, start, priority, mut options } = self.settings.check()?;
        options.unique = self.unique.map(UniqueKey::new).transpose().map_err(Invalid::from)?;
        let (id, id_origin) = match self.id {
            Some(id) => (JobId::new(id).map_err(Invalid::from)?, IdOrigin::Given),
            None => (JobId::generate(), IdOrigin::Generated),
        };
        let task = TaskName::new(self.task).map_err(Invalid::from)?;
        let payload = Box::<str>::from(self.args).into_string().into_bytes();
        if payload.len() > payload_limit {
            return Err(EnqueueError::PayloadTooLarge { bytes: payload.len(), limit: payload_limit });
        }
        let mut record = Record::new(id, task, queue, payload);
        (record.priority, record.options) = (priority, options);
        Ok(NewJob { record, start, id_origin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac_core::{Priority, QueueName};

    #[test]
    fn a_job_of_a_record_is_that_record() {
        let (task, queue) = (TaskName::new("t").unwrap(), QueueName::new("q").unwrap());
        let mut record = Record::new(JobId::new("mine").unwrap(), task, queue, br#"{"n": 1.10}"#.to_vec());
        record.priority = Priority::new(9).unwrap();
        (record.options.retries, record.options.expires_ms) = (Some(2), Some(7));
        record.options.unique = Some(UniqueKey::new("k").unwrap());
        record.options.headers.insert("a", "b").unwrap();
        let job = Signature::of_record(record.clone()).unwrap().into_new_job().unwrap();
        assert_eq!((job.record, job.id_origin), (record, IdOrigin::Given));
        let broken = Record::new(JobId::generate(), TaskName::new("t").unwrap(), QueueName::default(), b"{".to_vec());
        assert!(matches!(Signature::of_record(broken), Err(Invalid::Arguments { .. })));
    }
}
