//! A job that was not sent yet: the name of its task, its arguments and its options.

use std::borrow::Cow;

use celeriac_broker::{IdOrigin, NewJob};
use celeriac_core::{JobId, MAX_PAYLOAD_BYTES, QueueName, Record, Task, TaskName};
use serde_json::value::{RawValue, to_raw_value};

use crate::error::{EnqueueError, Invalid};
use crate::settings::{Settings, setters};

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
    settings: Settings,
}

impl Signature {
    setters!();

    /// A job for the task of this name. Its arguments are JSON: an object by their names, or a list by their places.
    ///
    /// It goes to the queue `default` unless another is named, because only the task's type knows the task's own queue.
    pub fn new(task: impl Into<String>, args: Box<RawValue>) -> Self {
        Self { task: Cow::Owned(task.into()), args, id: None, settings: Settings::default() }
    }

    /// Chooses the id of the job. It is refused while a job, or the end of one, has it.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The signature of a typed job.
    pub(crate) fn of<T: Task>(task: &T, mut settings: Settings) -> Result<Self, Invalid> {
        let args = to_raw_value(task)
            .map_err(|error| Invalid::Arguments { task: T::NAME.to_owned(), source: error.into() })?;
        settings.queue.get_or_insert_with(|| Cow::Borrowed(T::options().queue));
        Ok(Self { task: Cow::Borrowed(T::NAME), args, id: None, settings })
    }

    /// Checks everything and makes the job.
    pub(crate) fn into_job(self) -> Result<NewJob, EnqueueError> {
        let Settings { queue, start, options } = self.settings;
        if options.timeout_ms == Some(0) {
            return Err(Invalid::Option { option: "timeout", rule: "longer than zero" }.into());
        }
        let (id, id_origin) = match self.id {
            Some(id) => (JobId::new(id).map_err(Invalid::from)?, IdOrigin::Given),
            None => (JobId::generate(), IdOrigin::Generated),
        };
        let task = TaskName::new(self.task).map_err(Invalid::from)?;
        let queue = queue.map_or_else(|| Ok(QueueName::default()), QueueName::new).map_err(Invalid::from)?;
        let payload = Box::<str>::from(self.args).into_string().into_bytes();
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(EnqueueError::PayloadTooLarge { bytes: payload.len(), limit: MAX_PAYLOAD_BYTES });
        }
        let mut record = Record::new(id, task, queue, payload);
        record.options = options;
        Ok(NewJob { record, start, id_origin })
    }
}
