//! The Lua scripts and how one is called.
//!
//! A script is joined from the helpers it names and its own file in `lua/`. Each has one typed caller in this folder.

use std::sync::LazyLock;

use redis::{Cmd, ErrorKind, RedisResult, Script, ServerErrorKind, ToRedisArgs, Value};

macro_rules! script {
    ($name:ident, $file:literal, [$($lib:literal),*]) => {
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!(
                $(include_str!(concat!("../../lua/lib/", $lib, ".lua")), "\n",)*
                include_str!(concat!("../../lua/", $file, ".lua"))
            ))
        });
    };
}

script!(ENQUEUE, "enqueue", ["clock", "record", "queue", "unique", "ends"]);
script!(REGISTER, "register", ["clock", "guard"]);
script!(RECONCILE, "reconcile", ["clock", "guard", "queue", "held"]);
script!(HEARTBEAT, "heartbeat", ["clock", "guard", "queue", "held"]);
script!(DEREGISTER, "deregister", ["clock", "guard", "queue", "held"]);
script!(FETCH, "fetch", ["clock", "record", "guard", "queue", "held", "ready", "fetch"]);
script!(SHELVE, "shelve", ["clock", "record", "guard", "queue", "held", "ready"]);
script!(
    SETTLE,
    "settle",
    ["clock", "record", "guard", "queue", "held", "ready", "unique", "ends", "workflow", "settle"]
);
script!(
    EXCHANGE,
    "exchange",
    ["clock", "record", "guard", "queue", "held", "ready", "unique", "ends", "workflow", "settle", "fetch"]
);
script!(DUE, "due", ["clock", "queue"]);
script!(PROMOTE, "promote", ["clock", "record", "queue", "ready"]);
script!(RELEASE, "release", ["clock", "record", "queue", "ready"]);
script!(RETRY_DEAD, "retry_dead", ["clock", "record", "queue", "ready", "unique", "workflow"]);
script!(EXPIRED, "expired", ["clock", "guard", "queue"]);
script!(CONDEMN, "condemn", ["clock", "guard"]);
script!(HELD, "held", ["queue", "held"]);
script!(FINISH_DRAIN, "finish_drain", ["queue", "held"]);
script!(STALE, "stale", ["clock"]);
script!(EXPIRE_ENDS, "expire_ends", ["clock", "record", "queue", "ends"]);
script!(BURY, "bury", ["clock"]);
script!(FORGET_WORKER, "forget_worker", ["clock"]);
script!(PAUSE, "pause", ["queue"]);
script!(WAKE, "wake", ["queue"]);
script!(SURVEY, "survey", ["clock", "record", "queue"]);
script!(NOTE, "note", ["clock"]);
script!(REVOKE, "revoke", ["clock", "record", "guard", "queue", "ready", "unique", "ends", "workflow"]);
script!(PURGE, "purge", ["clock", "record", "queue", "ready", "unique", "ends", "workflow"]);
script!(PUT_SCHEDULES, "put_schedules", ["clock", "schedule"]);
script!(REMOVE_SCHEDULES, "remove_schedules", ["clock", "schedule"]);
script!(PAUSE_SCHEDULE, "pause_schedule", ["clock", "schedule"]);
script!(DUE_SCHEDULES, "due_schedules", ["clock", "queue"]);
script!(FIRE, "fire", ["clock", "record", "queue", "ready", "unique", "ends", "schedule"]);
script!(PUT_WORKFLOW, "put_workflow", ["clock", "record", "queue", "ready", "workflow"]);
script!(PUT_WAITING, "put_waiting", []);
script!(START_WORKFLOW, "start_workflow", ["clock", "record", "queue", "ready", "workflow"]);
script!(ADVANCE, "advance", ["clock", "record", "queue", "ready", "workflow"]);
script!(FAIL_STEP, "fail_step", ["clock", "record", "queue", "ready", "workflow"]);
script!(TAKE_EVENTS, "take_events", ["clock"]);
script!(FINISH_EVENT, "finish_event", []);
script!(STEP_ENDS, "step_ends", ["queue"]);
script!(FINISH_WORKFLOW, "finish_workflow", ["clock", "record", "queue", "ready", "ends", "workflow"]);
script!(REVOKE_WORKFLOW, "revoke_workflow", ["clock", "record", "queue", "ready", "workflow"]);
script!(FORGET_WORKFLOWS, "forget_workflows", ["clock"]);
script!(PROBE, "probe", []);
script!(TALLY, "tally", ["clock", "record", "queue", "held"]);

/// The pause after a wait that the server refused.
const REFUSED_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// One call of a script, written straight into the command's buffer.
pub(super) struct Call {
    script: &'static Script,
    command: Cmd,
}

impl Call {
    pub(super) fn new<K: AsRef<str>>(script: &'static Script, keys: &[K]) -> Self {
        let mut command = redis::cmd("EVALSHA");
        command.arg(script.get_hash()).arg(keys.len());
        keys.iter().for_each(|key| {
            command.arg(key.as_ref());
        });
        Self { script, command }
    }

    pub(super) fn arg(&mut self, value: impl ToRedisArgs) -> &mut Self {
        self.command.arg(value);
        self
    }

    /// The command that is sent.
    pub(super) fn command(&self) -> &Cmd {
        &self.command
    }

    /// Runs it right behind a command, in one round trip. The script decides what is answered; a server that does not know it is told.
    pub(super) async fn run_behind(
        &self,
        command: &Cmd,
        connection: &mut impl redis::aio::ConnectionLike,
    ) -> RedisResult<Value> {
        let mut both = redis::Pipeline::with_capacity(2);
        both.add_command(command.clone()).add_command(self.command.clone());
        let mut answers = connection.req_packed_commands(&both, 0, 2).await?.into_iter();
        let first = answers.next().unwrap_or(Value::Nil).extract_error();
        if let Err(error) = &first {
            // The script's answer counts all the same; but who waits in vain must not ask again at once, for ever.
            tracing::warn!(error = error as &dyn std::error::Error, "the wait for work was refused");
            tokio::time::sleep(REFUSED_PAUSE).await;
        }
        match answers.next().unwrap_or(Value::Nil).extract_error() {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => self.run(connection).await,
            // Whatever became of the wait: what the script did must be known.
            Ok(value) => Ok(value),
            Err(error) => Err(first.err().unwrap_or(error)),
        }
    }

    /// Runs it. A server that does not know the script has carried nothing out, so it is loaded and called again.
    pub(super) async fn run(&self, connection: &mut impl redis::aio::ConnectionLike) -> RedisResult<Value> {
        match self.command.query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.script.load_async(connection).await?;
                self.command.query_async(connection).await
            }
            answer => answer,
        }
    }
}
