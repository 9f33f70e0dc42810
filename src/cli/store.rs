//! The store behind the command line: opened with a bound, asked with a bound, named in every failure.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use celeriac_broker::{Broker, BrokerError, StoreKind, StoreUrl};
use celeriac_client::Client;

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::note;

/// How long a store may take to let us in. Whoever types a command shall know within 5 s that it is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// How long one question may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an enqueue goes on trying when the store goes away in between.
const ENQUEUE_TIMEOUT: Duration = Duration::from_secs(10);

/// An open store.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) broker: Arc<dyn Broker>,
    /// The address without its password.
    name: String,
}

impl Store {
    /// Opens a store to look into it. SQLite makes a file that is not there, and somebody in the wrong directory should know.
    pub(crate) async fn open(url: &StoreUrl) -> Result<Self, Failure> {
        let is_new =
            url.kind() == StoreKind::Sqlite && url.address() != ":memory:" && !Path::new(url.address()).exists();
        let store = Self::open_or_make(url).await?;
        if is_new {
            note(&format!("note: there was no {url} here; it is new and empty"));
        }
        Ok(store)
    }

    /// Opens a store, and makes it if it is a file that is not there.
    pub(crate) async fn open_or_make(url: &StoreUrl) -> Result<Self, Failure> {
        let name = url.to_string();
        match connect(url).await {
            Ok(broker) => Ok(Self { broker, name }),
            Err(error) => {
                let failure = Failure::store(&name, &error);
                // Whatever it says: a store that cannot be opened is out of reach.
                Err(if failure.exit == Exit::Failed { failure.exiting(Exit::Unreachable) } else { failure })
            }
        }
    }

    /// Waits for an answer, but not for ever.
    pub(crate) async fn ask<T>(&self, question: impl Future<Output = Result<T, BrokerError>>) -> Result<T, Failure> {
        match tokio::time::timeout(ANSWER_TIMEOUT, question).await {
            Ok(answer) => answer.map_err(|error| self.failure(&error)),
            Err(_) => {
                let seconds = ANSWER_TIMEOUT.as_secs();
                Err(Failure::new(Exit::Unreachable, format!("{self} gave no answer within {seconds} s")))
            }
        }
    }

    /// What this store said.
    pub(crate) fn failure(&self, error: &BrokerError) -> Failure {
        Failure::store(&self.name, error)
    }

    /// A producer for this store.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Client::builder(Arc::clone(&self.broker))
            .enqueue_timeout(ENQUEUE_TIMEOUT)
            .build()
            .map_err(|error| Failure::new(Exit::Failed, error.to_string()))
    }
}

impl Display for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// Connects within [`CONNECT_TIMEOUT`].
pub(crate) async fn connect(url: &StoreUrl) -> Result<Arc<dyn Broker>, BrokerError> {
    match tokio::time::timeout(CONNECT_TIMEOUT, celeriac_broker::connect(url)).await {
        Ok(connected) => connected,
        Err(_) => Err(BrokerError::Unreachable {
            store: url.to_string(),
            source: format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()).into(),
        }),
    }
}
