//! One job to enqueue, checked: from flags, or from a line of a file.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use celeriac_client::Signature;
use celeriac_core::{Headers, JobId, MAX_PAYLOAD_BYTES, Priority, QueueName, TaskName, UniqueKey, parse_duration};
use celeriac_worker::Tasks;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::cli::args::{instant, time_limit};
use crate::cli::output::brief;

/// The most characters of a complaint about JSON. The names of all fields have room in it.
const LONGEST: usize = 300;

/// When a job may first run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// As soon as a worker is free.
    Now,
    /// This long after the store accepted it.
    After(Duration),
    /// At this instant.
    At(SystemTime),
}

/// One job to enqueue. Nothing in it can be refused any more but an id that is in use.
#[derive(Debug)]
pub(crate) struct JobSpec {
    pub(crate) task: TaskName,
    pub(crate) args: Box<RawValue>,
    pub(crate) queue: QueueName,
    pub(crate) start: Start,
    pub(crate) id: Option<JobId>,
    pub(crate) retries: Option<u32>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) priority: Option<u8>,
    pub(crate) unique: Option<UniqueKey>,
    pub(crate) expires: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) headers: Vec<(String, String)>,
}

/// A line of a file of jobs. Each field is read on its own, so that a complaint can name it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'l> {
    #[serde(borrow)]
    task: Option<&'l RawValue>,
    #[serde(borrow)]
    args: Option<&'l RawValue>,
    #[serde(borrow)]
    queue: Option<&'l RawValue>,
    #[serde(borrow)]
    delay: Option<&'l RawValue>,
    #[serde(borrow)]
    at: Option<&'l RawValue>,
    #[serde(borrow)]
    id: Option<&'l RawValue>,
    #[serde(borrow)]
    retries: Option<&'l RawValue>,
    #[serde(borrow)]
    timeout: Option<&'l RawValue>,
    #[serde(borrow)]
    priority: Option<&'l RawValue>,
    #[serde(borrow)]
    unique: Option<&'l RawValue>,
    #[serde(borrow)]
    expires: Option<&'l RawValue>,
    #[serde(borrow)]
    deadline: Option<&'l RawValue>,
    #[serde(borrow)]
    headers: Option<&'l RawValue>,
}

impl JobSpec {
    /// A job of which nothing else is said.
    pub(crate) fn new(task: TaskName, queue: QueueName) -> Self {
        Self {
            task,
            args: RawValue::from_string("{}".to_owned()).expect("an empty object is JSON"),
            queue,
            start: Start::Now,
            id: None,
            retries: None,
            timeout: None,
            priority: None,
            unique: None,
            expires: None,
            deadline: None,
            headers: Vec::new(),
        }
    }

    /// Reads a line of a file of jobs; the error says what is wrong with it.
    pub(crate) fn from_line(line: &str, tasks: &Tasks) -> Result<Self, String> {
        // A list would be read too, as the fields in their order, and nobody means that.
        if !line.trim_start().starts_with('{') {
            return Err("it is no JSON object".to_owned());
        }
        let fields: Line<'_> = serde_json::from_str(line).map_err(|error| complaint(&error))?;
        let task: TaskName = field("task", fields.task)?.ok_or("there is no \"task\"")?;
        let delay = text_field("delay", fields.delay, |text| parse_duration(text).map_err(|error| error.to_string()))?;
        let at = text_field("at", fields.at, instant)?;
        let start = match (delay, at) {
            (Some(_), Some(_)) => return Err("delay and at cannot go together".to_owned()),
            (Some(delay), None) => Start::After(delay),
            (None, Some(at)) => Start::At(at),
            (None, None) => Start::Now,
        };
        Ok(Self {
            args: arguments(fields.args.map_or("{}", RawValue::get))?,
            queue: field("queue", fields.queue)?.unwrap_or_else(|| queue_of(&task, tasks)),
            start,
            id: field("id", fields.id)?,
            retries: field("retries", fields.retries)?,
            timeout: text_field("timeout", fields.timeout, time_limit)?,
            priority: field::<Priority>("priority", fields.priority)?.map(Priority::get),
            unique: field("unique", fields.unique)?,
            expires: text_field("expires", fields.expires, time_limit)?,
            deadline: text_field("deadline", fields.deadline, time_limit)?,
            headers: field::<BTreeMap<String, String>>("headers", fields.headers)?
                .map(checked_headers)
                .transpose()?
                .unwrap_or_default(),
            task,
        })
    }

    /// The job as the client takes it.
    pub(crate) fn signature(self) -> Signature {
        let mut signature = Signature::new(self.task, self.args).queue(self.queue);
        signature = match self.start {
            Start::Now => signature,
            Start::After(delay) => signature.delay(delay),
            Start::At(instant) => signature.at(instant),
        };
        if let Some(id) = self.id {
            signature = signature.id(id);
        }
        if let Some(retries) = self.retries {
            signature = signature.retries(retries);
        }
        if let Some(timeout) = self.timeout {
            signature = signature.timeout(timeout);
        }
        if let Some(priority) = self.priority {
            signature = signature.priority(priority);
        }
        if let Some(unique) = self.unique {
            signature = signature.unique(unique);
        }
        if let Some(expires) = self.expires {
            signature = signature.expires(expires);
        }
        if let Some(deadline) = self.deadline {
            signature = signature.deadline(deadline);
        }
        for (name, value) in self.headers {
            signature = signature.header(name, value);
        }
        signature
    }
}

/// Headers that a store will take.
fn checked_headers(headers: BTreeMap<String, String>) -> Result<Vec<(String, String)>, String> {
    let mut checked = Headers::default();
    for (name, value) in &headers {
        checked.insert(name, value).map_err(|error| format!("headers: {error}"))?;
    }
    Ok(headers.into_iter().collect())
}

/// The queue that the task itself names.
pub(crate) fn queue_of(task: &TaskName, tasks: &Tasks) -> QueueName {
    tasks.queue_of(task.as_str()).and_then(|queue| QueueName::new(queue).ok()).unwrap_or_default()
}

/// Arguments as JSON of an acceptable size.
pub(crate) fn arguments(text: &str) -> Result<Box<RawValue>, String> {
    let text = text.trim();
    if text.len() > MAX_PAYLOAD_BYTES {
        return Err(format!("the arguments have {} bytes; at most {MAX_PAYLOAD_BYTES} are allowed", text.len()));
    }
    RawValue::from_string(text.to_owned()).map_err(|error| format!("the arguments are no JSON: {}", complaint(&error)))
}

fn field<T: DeserializeOwned>(name: &str, value: Option<&RawValue>) -> Result<Option<T>, String> {
    let read =
        |value: &RawValue| serde_json::from_str(value.get()).map_err(|error| format!("{name}: {}", plain(&error)));
    value.map(read).transpose()
}

fn text_field<T>(
    name: &str,
    value: Option<&RawValue>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    let text: Option<String> = field(name, value)?;
    text.map(|text| read(&text).map_err(|error| format!("{name}: {error}"))).transpose()
}

/// What a JSON error says, with the column: the input is one line.
fn complaint(error: &serde_json::Error) -> String {
    let text = plain(error);
    if error.is_data() || error.column() == 0 {
        return text;
    }
    match error.line() {
        0 | 1 => format!("{text} at column {}", error.column()),
        line => format!("{text} at line {line} column {}", error.column()),
    }
}

/// What a JSON error says without its place. It repeats what it read, so it is cut.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    brief(text.rsplit_once(" at line ").map_or(&text, |(what, _)| what), LONGEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use celeriac_worker::CommandTask;

    fn spec(line: &str) -> Result<JobSpec, String> {
        let tasks = Tasks::new().command(CommandTask::new("resize", "x", Vec::new()).queue("images"));
        JobSpec::from_line(line, &tasks)
    }

    #[test]
    fn a_line_needs_no_more_than_a_task() {
        let job = spec(r#"{"task": "resize"}"#).unwrap();
        assert_eq!((job.args.get(), job.queue.as_str(), job.start), ("{}", "images", Start::Now));
        assert_eq!(spec(r#"{"task": "other"}"#).unwrap().queue.as_str(), "default");
    }

    #[test]
    fn a_line_may_say_all_that_flags_say() {
        let line = r#"{"task":"t","args":[1],"queue":"q","delay":"2s","id":"j","retries":0,"timeout":"1m","priority":9,
            "unique":"k","expires":"1h","deadline":"2h","headers":{"a":"b"}}"#;
        let job = spec(line).unwrap();
        assert_eq!((job.args.get(), job.queue.as_str()), ("[1]", "q"));
        assert_eq!(job.start, Start::After(Duration::from_secs(2)));
        assert_eq!(job.id, "j".parse().ok());
        assert_eq!((job.retries, job.timeout), (Some(0), Some(Duration::from_secs(60))));
        assert_eq!((job.priority, job.unique), (Some(9), UniqueKey::new("k").ok()));
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        assert_eq!((job.expires, job.deadline), (hours(1), hours(2)));
        assert_eq!(job.headers, [("a".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn a_bad_line_says_which_field_is_wrong() {
        for (line, expected) in [
            ("{", "EOF while parsing"),
            ("[\"t\"]", "it is no JSON object"),
            ("{}", "there is no \"task\""),
            (r#"{"task": 1}"#, "task: invalid type: integer `1`"),
            (r#"{"task": "a b"}"#, "task: task name \"a b\" holds ' '"),
            (r#"{"task": "t", "quue": "q"}"#, "unknown field `quue`, expected one of `task`"),
            (r#"{"task": "t", "task": "u"}"#, "duplicate field `task`"),
            (r#"{"task": "t", "delay": 10}"#, "delay: invalid type: integer `10`, expected a string"),
            (r#"{"task": "t", "delay": "10"}"#, "delay: \"10\" is no duration"),
            (r#"{"task": "t", "delay": "1s", "at": "2030-01-01T00:00:00Z"}"#, "delay and at cannot go together"),
            (r#"{"task": "t", "at": "tomorrow"}"#, "at: \"tomorrow\" is no instant"),
            (r#"{"task": "t", "retries": -1}"#, "retries: invalid value"),
            (r#"{"task": "t", "timeout": "0s"}"#, "timeout: a time limit must be longer than zero"),
            (r#"{"task": "t", "id": ""}"#, "id: job id is empty"),
            (r#"{"task": "t", "priority": 10}"#, "priority: priority 10 is outside 0 to 9"),
            (r#"{"task": "t", "unique": "a b"}"#, "unique: unique key \"a b\" holds ' '"),
            (r#"{"task": "t", "headers": {"a b": "c"}}"#, "headers: header name \"a b\""),
            (r#"{"task": "t"} x"#, "trailing characters at column 15"),
        ] {
            let said = spec(line).unwrap_err();
            assert!(said.contains(expected), "{line}: {said}");
            assert!(!said.contains("line 1"), "{said}");
        }
    }

    #[test]
    fn arguments_must_be_json_of_an_acceptable_size() {
        assert_eq!(arguments(" {\"a\": 1}\n").unwrap().get(), "{\"a\": 1}");
        assert!(arguments("{a: 1}").unwrap_err().contains("at column 2"));
        assert!(arguments("").is_err());
        let large = format!("\"{}\"", "x".repeat(MAX_PAYLOAD_BYTES));
        assert!(arguments(&large).unwrap_err().contains("at most 1048576"));
    }

    /// A value of a field, as JSON: one that fits some field, or any.
    fn values() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9]{1,20}|null|\\[\\]|\\{\\}|true|-1|1e400|\"[0-9]{1,3}(ms|s|m|h|d)\"|\"[a-z]{1,9}\"|\\{\"[a-z]{0,3}\":\"[a-z]{0,3}\"\\}",
            ("(.|\\n){0,9}", 0usize..200).prop_map(|(text, times)| serde_json::to_string(&text.repeat(times)).unwrap()),
        ]
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused_in_short(
            fields in prop::collection::vec(("task|args|queue|delay|at|id|retries|timeout|priority|unique|expires|deadline|headers|[a-z]{0,3}", values()), 0..4),
            rest in "|\\PC{0,9}",
        ) {
            let fields: Vec<String> = fields.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            let line = format!("{{\"task\":\"t\",{}}}{rest}", fields.join(","));
            for line in [line.as_str(), &line.replace(",}", "}"), &rest] {
                match spec(line) {
                    // Nothing of it can be refused any more.
                    Ok(job) => drop(job.signature()),
                    Err(said) => prop_assert!(said.len() < 1500 && !said.contains('\n'), "{}", said),
                }
            }
        }

        #[test]
        fn a_name_of_a_field_may_be_long(name in "[a-z]{9}", times in 1usize..1000) {
            let said = spec(&format!("{{\"{}\": 1}}", name.repeat(times))).unwrap_err();
            prop_assert!(said.contains(&name) && said.len() < 1500, "{}", said);
        }
    }
}
