//! The pool behind people's questions: many short calls from web apps and the command line, apart from the jobs' own connection.

use std::sync::OnceLock;
use std::time::Duration;

use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime, TimeoutType};
use redis::{Cmd, Pipeline, RedisError, Value};

use super::errors;
use super::foreign;
use super::link::{self, Target};
use super::replies::Reply;
use super::script::Call;
use crate::error::BrokerError;

/// Connections at most; a question is answered within milliseconds, so few serve many.
const SIZE: usize = 8;
/// How long a question may wait for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// A pool that is made with the first question.
#[derive(Debug)]
pub(super) struct ReadPool {
    target: Target,
    pool: OnceLock<Pool>,
}

impl ReadPool {
    pub(super) fn new(target: &Target) -> Self {
        Self { target: target.clone(), pool: OnceLock::new() }
    }

    /// Runs a command and answers its value.
    pub(super) async fn command(&self, command: &Cmd) -> Result<Value, BrokerError> {
        let mut connection = self.connection().await?;
        let answer = command.query_async(&mut connection).await;
        self.judge(answer, connection, [command]).await
    }

    /// Runs commands in one round trip and answers their values.
    pub(super) async fn pipeline(&self, pipeline: &Pipeline) -> Result<Vec<Value>, BrokerError> {
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.connection().await?;
        let answer = link::query_all(pipeline, &mut connection).await;
        self.judge(answer, connection, pipeline.cmd_iter()).await
    }

    /// Runs a script.
    pub(super) async fn call(&self, call: &Call) -> Result<Reply, BrokerError> {
        let mut connection = self.connection().await?;
        let answer = call.run(&mut connection).await;
        Reply::new(self.judge(answer, connection, [call.command()]).await?)
    }

    fn pool(&self) -> Result<&Pool, BrokerError> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let store = &self.target.store;
        let unusable = |error: &dyn std::fmt::Display| BrokerError::Invalid(format!("{store} cannot be used: {error}"));
        let manager = Manager::new_with_config(self.target.info(), link::config()).map_err(|error| unusable(&error))?;
        let builder = Pool::builder(manager).max_size(SIZE).runtime(Runtime::Tokio1);
        let timeouts = builder.wait_timeout(Some(PATIENCE)).recycle_timeout(Some(PATIENCE));
        let pool = timeouts.build().map_err(|error| unusable(&error))?;
        Ok(self.pool.get_or_init(|| pool))
    }

    async fn connection(&self) -> Result<Connection, BrokerError> {
        let store = self.target.store.to_string();
        self.pool()?.get().await.map_err(|error| match error {
            PoolError::Backend(error) => errors::of_connecting(&store, error),
            PoolError::Timeout(TimeoutType::Wait) => {
                BrokerError::Unreachable { store, source: "all connections for questions are in use".into() }
            }
            other => BrokerError::Unreachable { store, source: Box::new(other) },
        })
    }

    async fn judge<T>(
        &self,
        answer: Result<T, RedisError>,
        mut connection: Connection,
        commands: impl IntoIterator<Item = &Cmd>,
    ) -> Result<T, BrokerError> {
        let error = match answer {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let failure = errors::of_command(&self.target.store, error);
        if failure.leave {
            // The pool would hand it out again: its own check, a PING, passes on a demoted primary too.
            drop(Connection::take(connection));
            return Err(failure.error);
        }
        foreign::named(Err(failure.error), commands, &mut connection).await
    }
}
