//! Says how a worker or a beat is, to whoever keeps the process running: over HTTP, or by a file whose time of change goes on.
//!
//! It has a thread and a runtime of its own, so that it answers also when tasks block the worker's: then above all.

mod file;
mod http;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use celeriac_beat::BeatHandle;
use celeriac_core::excerpt;
use celeriac_worker::WorkerHandle;
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

/// The worker and the beat of this process, once they are there.
#[derive(Clone, Default)]
struct Shown(Arc<Both>);

#[derive(Default)]
struct Both {
    worker: OnceLock<WorkerHandle>,
    beat: OnceLock<BeatHandle>,
}

/// How they are together: each as it is worst.
struct Health {
    stuck: Option<String>,
    unready: Option<String>,
}

impl Shown {
    fn worker(&self) -> Option<&WorkerHandle> {
        self.0.worker.get()
    }

    fn beat(&self) -> Option<&BeatHandle> {
        self.0.beat.get()
    }

    /// How they are; `None` while the process still waits for its store: alive, and not ready.
    fn health(&self) -> Option<Health> {
        let worker = self.worker().map(WorkerHandle::health).map(|it| Health { stuck: it.stuck, unready: it.unready });
        let beat = self.beat().map(BeatHandle::health).map(|it| Health { stuck: it.stuck, unready: it.unready });
        match (worker, beat) {
            (Some(worker), Some(beat)) => {
                Some(Health { stuck: worker.stuck.or(beat.stuck), unready: worker.unready.or(beat.unready) })
            }
            (one, other) => one.or(other),
        }
    }

    /// What Prometheus reads.
    async fn metrics(&self) -> String {
        let is_ready = self.health().is_some_and(|health| health.stuck.is_none() && health.unready.is_none());
        let mut text = match self.worker() {
            Some(worker) => worker.metrics_text().await,
            None => format!("celeriac_store_up {}\n", u8::from(is_ready)),
        };
        if let Some(beat) = self.beat() {
            text.push_str(&beat.stats().to_prometheus());
        }
        text
    }
}

/// Tells the health of worker and beat until it is dropped.
pub(crate) struct HealthService {
    shown: Shown,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl HealthService {
    /// Starts to tell it. There need be neither yet.
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
        let _ = self.shown.0.worker.set(worker);
    }

    /// Tells the health of this beat from now on, too.
    pub(crate) fn show_beat(&self, beat: BeatHandle) {
        let _ = self.shown.0.beat.set(beat);
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
