//! One connection that is opened when it is needed, shared by all callers, and left when it is no good any more.
//!
//! redis-rs keeps a connection to a demoted primary for ever, and answers from a broken one with errors only. So
//! this module decides after each error whether the next call opens another. The runtime that opens a connection drives it.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisError, Value};
use tokio::sync::Mutex;

use super::errors;
use super::foreign;
use super::replies::Reply;
use super::script::Call;
use crate::error::BrokerError;
use crate::store_url::StoreUrl;

/// How long the first connection may take to open: who begins wants to know soon that nobody is there.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a command may take that does not wait for anything, and later connections to open: that takes an answer of the server too, and
/// one that is slow must be let back in.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// When a silent connection is probed, and how long sent bytes may stay unacknowledged: half-open connections end by it.
const SILENCE: Duration = Duration::from_secs(20);

/// Where connections lead.
#[derive(Debug, Clone)]
pub(super) struct Target {
    client: Client,
    /// The store in words, without its password.
    pub(super) store: Arc<str>,
}

impl Target {
    pub(super) fn new(url: &StoreUrl) -> Result<Self, BrokerError> {
        if url.address().starts_with("rediss://") && !cfg!(feature = "tls") {
            let message = format!("{url} needs TLS, which this build leaves out; build with the feature `tls`");
            return Err(BrokerError::Invalid(message));
        }
        let store: Arc<str> = url.to_string().into();
        let invalid = |error: RedisError| BrokerError::Invalid(format!("{store} cannot be used: {error}"));
        let info = url.address().into_connection_info().map_err(invalid)?;
        let client = Client::open(info.set_tcp_settings(tcp())).map_err(invalid)?;
        Ok(Self { client, store })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn info(&self) -> ConnectionInfo {
        self.client.get_connection_info().clone()
    }
}

fn tcp() -> TcpSettings {
    let keepalive = TcpKeepalive::new().with_time(SILENCE).with_interval(SILENCE / 4);
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(SILENCE);
    settings
}

/// The timeouts of commands; redis-rs would give up after half a second.
pub(super) fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(RESPONSE_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
}

/// Sends commands in one round trip. Of those that the server refuses the first answers for all: redis-rs would hide its code in a list.
pub(super) async fn query_all(
    pipeline: &Pipeline,
    connection: &mut impl redis::aio::ConnectionLike,
) -> Result<Vec<Value>, RedisError> {
    let answers = connection.req_packed_commands(pipeline, 0, pipeline.len()).await?;
    answers.into_iter().map(Value::extract_error).collect()
}

#[derive(Debug, Default)]
struct State {
    open: Option<MultiplexedConnection>,
    /// Counts the connections, so that a caller leaves the one that failed and not its successor.
    number: u64,
    /// Counts failed attempts, and keeps the newest error, for callers that queued up behind the attempt.
    failures: u64,
    failure: Option<BrokerError>,
}

/// A connection that is opened when it is needed.
#[derive(Debug)]
pub(super) struct Link {
    target: Target,
    state: Mutex<State>,
    failures_seen: std::sync::atomic::AtomicU64,
}

impl Link {
    pub(super) fn new(target: &Target) -> Self {
        Self { target: target.clone(), state: Mutex::default(), failures_seen: 0.into() }
    }

    /// Opens the connection, unless it is open.
    pub(super) async fn open(&self) -> Result<(), BrokerError> {
        self.connection().await.map(|_| ())
    }

    /// Runs a command and answers its value.
    pub(super) async fn command(&self, command: &Cmd) -> Result<Value, BrokerError> {
        let (mut connection, number) = self.connection().await?;
        let answer = command.query_async(&mut connection).await;
        foreign::named(self.judge(answer, number).await, [command], &mut connection).await
    }

    /// Runs commands in one round trip and answers their values.
    pub(super) async fn pipeline(&self, pipeline: &Pipeline) -> Result<Vec<Value>, BrokerError> {
        let (mut connection, number) = self.connection().await?;
        let answer = query_all(pipeline, &mut connection).await;
        foreign::named(self.judge(answer, number).await, pipeline.cmd_iter(), &mut connection).await
    }

    /// Runs a command that the server answers after `wait` at the latest. Dropping it closes the connection: the next wait would stand
    /// behind this one.
    pub(super) async fn waiting(&self, command: &Cmd, wait: Duration) -> Result<Value, BrokerError> {
        let (mut connection, number) = self.connection().await?;
        connection.set_response_timeout(wait + RESPONSE_TIMEOUT);
        let mut abandoned = Abandoned { link: Some(self), number };
        let answer = command.query_async(&mut connection).await;
        abandoned.link = None;
        foreign::named(self.judge(answer, number).await, [command], &mut connection).await
    }

    /// Runs a command that the server answers after `wait` at the latest, and right behind it, in the same round trip, a script.
    ///
    /// Dropping it closes the connection, so that the server gives up the wait and does not run the script any more.
    pub(super) async fn waiting_call(&self, command: &Cmd, wait: Duration, call: &Call) -> Result<Reply, BrokerError> {
        let (mut connection, number) = self.connection().await?;
        connection.set_response_timeout(wait + RESPONSE_TIMEOUT);
        let mut abandoned = Abandoned { link: Some(self), number };
        let answers = call.run_behind(command, &mut connection).await;
        abandoned.link = None;
        Reply::new(foreign::named(self.judge(answers, number).await, [call.command()], &mut connection).await?)
    }

    /// Runs a script.
    pub(super) async fn call(&self, call: &Call) -> Result<Reply, BrokerError> {
        let (mut connection, number) = self.connection().await?;
        let answer = call.run(&mut connection).await;
        Reply::new(foreign::named(self.judge(answer, number).await, [call.command()], &mut connection).await?)
    }

    /// Leaves a connection, if it is still the one in use.
    fn leave(state: &mut State, number: u64) {
        if state.number == number {
            state.open = None;
        }
    }

    async fn connection(&self) -> Result<(MultiplexedConnection, u64), BrokerError> {
        use std::sync::atomic::Ordering::SeqCst;
        let seen = self.failures_seen.load(SeqCst);
        let mut state = self.state.lock().await;
        if let Some(open) = &state.open {
            return Ok((open.clone(), state.number));
        }
        // An attempt failed while this caller waited for its end: that answers this call too.
        if state.failures != seen
            && let Some(failure) = &state.failure
        {
            return Err(errors::copy(failure));
        }
        match self.target.client.get_multiplexed_async_connection_with_config(&config()).await {
            Ok(open) => {
                state.number += 1;
                state.open = Some(open.clone());
                Ok((open, state.number))
            }
            Err(error) => {
                let error = errors::of_connecting(&self.target.store, error);
                state.failures += 1;
                state.failure = Some(errors::copy(&error));
                self.failures_seen.store(state.failures, SeqCst);
                Err(error)
            }
        }
    }

    async fn judge<T>(&self, answer: Result<T, RedisError>, number: u64) -> Result<T, BrokerError> {
        match answer {
            Ok(value) => Ok(value),
            Err(error) => {
                let failure = errors::of_command(&self.target.store, error);
                if failure.leave {
                    let mut state = self.state.lock().await;
                    Self::leave(&mut state, number);
                }
                Err(failure.error)
            }
        }
    }
}

/// Closes the connection of a call that nobody awaits any more.
struct Abandoned<'l> {
    link: Option<&'l Link>,
    number: u64,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        // The lock is held by nobody for longer than a look, but for who opens a connection: then this one is left already.
        if let Some(link) = self.link
            && let Ok(mut state) = link.state.try_lock()
        {
            Link::leave(&mut state, self.number);
        }
    }
}
