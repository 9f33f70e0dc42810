//! Says how a worker is, to whoever keeps the process running: over HTTP, or by a file whose time of change goes on.
//!
//! It has a thread and a runtime of its own, so that it answers also when tasks block the worker's: then above all.

mod file;
mod http;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use celeriac_core::excerpt;
use celeriac_worker::{Health, WorkerHandle};
use tokio::sync::watch;

use crate::cli::exit::{Exit, Failure};

/// Where a worker's health is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HealthTarget {
    /// An address to listen on.
    Http(SocketAddr),
    /// A file to touch.
    File(PathBuf),
}

impl FromStr for HealthTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.replace("localhost:", "127.0.0.1:").parse() {
            return Ok(Self::Http(address));
        }
        if text.contains('/') && !text.ends_with('/') {
            return Ok(Self::File(text.into()));
        }
        Err(format!(
            "{:?} is neither an address as in 127.0.0.1:8080 nor a path with a slash as in ./worker.health",
            excerpt(text)
        ))
    }
}

/// The worker, once there is one.
#[derive(Clone, Default)]
struct Shown(Arc<OnceLock<WorkerHandle>>);

impl Shown {
    fn worker(&self) -> Option<&WorkerHandle> {
        self.0.get()
    }

    /// How the worker is; `None` while the process still waits for its store: alive, and not ready.
    fn health(&self) -> Option<Health> {
        self.worker().map(WorkerHandle::health)
    }
}

/// Tells a worker's health until it is dropped.
pub(crate) struct HealthService {
    shown: Shown,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl HealthService {
    /// Starts to tell it. There need not be a worker yet.
    pub(crate) fn start(target: HealthTarget) -> Result<Self, Failure> {
        let shown = Shown::default();
        let stop = watch::Sender::new(false);
        let (teller, stopped) = (shown.clone(), stop.subscribe());
        let body: Box<dyn FnOnce() + Send> = match target {
            HealthTarget::Http(address) => {
                let listener = listen(address)?;
                Box::new(move || block_on(http::serve(listener, teller, stopped)))
            }
            HealthTarget::File(path) => {
                file::touch(&path).map_err(|error| unusable(&path.display().to_string(), &error))?;
                Box::new(move || block_on(file::keep_touching(path, teller, stopped)))
            }
        };
        let thread = std::thread::Builder::new().name("celeriac-health".to_owned()).spawn(body);
        let thread = thread.map_err(|error| Failure::new(Exit::Failed, format!("no thread for --health: {error}")))?;
        Ok(Self { shown, stop, thread: Some(thread) })
    }

    /// Tells the health of this worker from now on.
    pub(crate) fn show(&self, worker: WorkerHandle) {
        // There is one worker in a process; a second would not be shown.
        let _ = self.shown.0.set(worker);
    }
}

impl Drop for HealthService {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // It ends at once: whoever is being answered is cut off, and the file is removed.
            let _ = thread.join();
        }
    }
}

/// Runs it on a runtime of this thread's own.
fn block_on(body: impl Future<Output = ()>) {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(body),
        Err(error) => tracing::error!(%error, "health cannot be told"),
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address).map_err(|error| unusable(&address.to_string(), &error))?;
    listener.set_nonblocking(true).map_err(|error| unusable(&address.to_string(), &error))?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "health is told on /livez, /readyz and /metrics");
    }
    Ok(listener)
}

fn unusable(target: &str, error: &std::io::Error) -> Failure {
    Failure::usage(format!("--health {target}: {error}"))
}

/// Waits until the service is dropped.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which comes to the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_told_from_a_path() {
        let read = |text: &str| text.parse::<HealthTarget>();
        assert_eq!(read("127.0.0.1:80"), Ok(HealthTarget::Http(([127, 0, 0, 1], 80).into())));
        assert_eq!(read("localhost:80"), read("127.0.0.1:80"));
        assert!(matches!(read("[::]:80"), Ok(HealthTarget::Http(_))));
        assert_eq!(read("/run/a.health"), Ok(HealthTarget::File("/run/a.health".into())));
        assert!(read("8080").is_err() && read("health").is_err() && read("/run/").is_err());
    }

    proptest! {
        #[test]
        fn a_target_is_read_as_it_is_written_or_refused_in_short(text in "(localhost|[0-9.]{7,15}|\\[[0-9a-f:]{2,9}\\]):[0-9]{1,6}|(.|\\n){0,30}", times in 1usize..50) {
            match text.parse() {
                Ok(HealthTarget::Http(address)) => {
                    prop_assert_eq!(address.to_string().parse(), Ok(HealthTarget::Http(address)));
                }
                Ok(HealthTarget::File(path)) => prop_assert_eq!(path.to_str(), Some(text.as_str())),
                Err(_) => {}
            }
            let answer = text.repeat(times).parse::<HealthTarget>();
            prop_assert!(answer.err().is_none_or(|error| error.len() < 1000));
        }
    }
}
