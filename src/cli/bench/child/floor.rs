//! The roles that do as little as can be done with the same bytes: what any queue must cost on this machine.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::control::Control;
use crate::cli::bench::protocol::{Begun, Order, Report};
use crate::cli::exit::{Exit, Failure};

/// How many jobs one round trip, one write or one group of tasks carries: as many as the largest batch of a queue.
const CHUNK: u64 = 500;

/// Spawns an empty task for each job.
pub(super) async fn spawn(order: &Order, control: &Control) -> Result<Report, Failure> {
    control.ready().await?;
    let begun = Begun::now();
    for chunk in chunks(order.jobs) {
        let tasks: Vec<_> = (0..chunk).map(|_| tokio::spawn(async {})).collect();
        for task in tasks {
            task.await.map_err(|error| failed("an empty task", &error))?;
        }
    }
    Ok(Report { span: begun.until_now(), ..Report::default() })
}

/// Writes and syncs the bytes of each chunk of jobs.
pub(super) async fn sync(order: &Order, path: &Path, control: &Control) -> Result<Report, Failure> {
    let mut file = File::create(path).map_err(|error| failed("making a file", &error))?;
    let job = vec![b'x'; order.payload];
    control.ready().await?;
    let begun = Begun::now();
    for chunk in chunks(order.jobs) {
        let bytes = job.repeat(usize::try_from(chunk).unwrap_or(usize::MAX));
        write_and_sync(&mut file, &bytes)?;
    }
    Ok(Report { span: begun.until_now(), ..Report::default() })
}

fn write_and_sync(file: &mut File, bytes: &[u8]) -> Result<(), Failure> {
    let written = file.write_all(bytes).and_then(|()| file.sync_data());
    written.map_err(|error| failed("writing and syncing", &error))
}

/// Pushes the bytes of each job to a list, one command for each, in pipelines.
#[cfg(feature = "redis")]
pub(super) async fn push(order: &Order, control: &Control) -> Result<Report, Failure> {
    let connection = connect(order).await?;
    let key = key(order)?;
    let job = vec![b'x'; order.payload];
    // Made once: the floor is what the server and the wire take.
    let mut full = redis::pipe();
    for _ in 0..CHUNK {
        full.rpush(&key, &job).ignore();
    }
    control.ready().await?;
    let begun = Begun::now();
    let all: Vec<u64> = chunks(order.jobs).collect();
    let send = async |first: usize| {
        let mut connection = connection.clone();
        for chunk in all.iter().skip(first).step_by(2) {
            let mut rest = redis::pipe();
            let pipe = if *chunk == CHUNK {
                &full
            } else {
                for _ in 0..*chunk {
                    rest.rpush(&key, &job).ignore();
                }
                &rest
            };
            pipe.query_async::<()>(&mut connection).await?;
        }
        Ok::<(), redis::RedisError>(())
    };
    // Two pipelines under way, so that the server need not wait for this process.
    tokio::try_join!(send(0), send(1)).map_err(|error| failed("RPUSH", &error))?;
    Ok(Report { span: begun.until_now(), ..Report::default() })
}

/// Pops them again, a chunk with each command.
#[cfg(feature = "redis")]
pub(super) async fn pop(order: &Order, control: &Control) -> Result<Report, Failure> {
    let connection = connect(order).await?;
    let key = key(order)?;
    control.ready().await?;
    let begun = Begun::now();
    let receive = async || {
        let mut connection = connection.clone();
        let mut popped = 0;
        loop {
            let command = redis::cmd("LPOP").arg(&key).arg(CHUNK).to_owned();
            let jobs: Option<Vec<Vec<u8>>> = command.query_async(&mut connection).await?;
            match jobs {
                Some(jobs) => popped += jobs.len() as u64,
                None => return Ok::<u64, redis::RedisError>(popped),
            }
        }
    };
    let (one, two) = tokio::try_join!(receive(), receive()).map_err(|error| failed("LPOP", &error))?;
    if one + two != order.jobs {
        return Err(Failure::new(Exit::Failed, format!("LPOP brought {} of {} jobs", one + two, order.jobs)));
    }
    Ok(Report { span: begun.until_now(), ..Report::default() })
}

#[cfg(feature = "redis")]
fn key(order: &Order) -> Result<String, Failure> {
    let url: celeriac_broker::StoreUrl =
        order.store.parse().map_err(|error| Failure::usage(format!("the store: {error}")))?;
    Ok(format!("{{{}}}:floor", url.namespace()))
}

#[cfg(feature = "redis")]
async fn connect(order: &Order) -> Result<redis::aio::MultiplexedConnection, Failure> {
    let url = order.store.parse().map_err(|error| Failure::usage(format!("the store: {error}")))?;
    crate::cli::bench::redis_probe::connect(&url).await
}

/// Where there is no Redis there is nothing to push to.
#[cfg(not(feature = "redis"))]
pub(super) async fn push(_: &Order, _: &Control) -> Result<Report, Failure> {
    Err(Failure::usage("this build leaves Redis out"))
}

#[cfg(not(feature = "redis"))]
pub(super) async fn pop(_: &Order, _: &Control) -> Result<Report, Failure> {
    Err(Failure::usage("this build leaves Redis out"))
}

/// The shortest question a store answers.
pub(super) enum Question {
    /// PING, on a connection of its own.
    #[cfg(feature = "redis")]
    Ping(redis::aio::MultiplexedConnection),
    /// The bytes of one job, written and synced.
    Sync(File, Vec<u8>),
}

impl Question {
    pub(super) async fn open(order: &Order, file: Option<PathBuf>) -> Result<Self, Failure> {
        match file {
            Some(path) => {
                let file = File::create(path).map_err(|error| failed("making a file", &error))?;
                Ok(Self::Sync(file, vec![b'x'; order.payload]))
            }
            #[cfg(feature = "redis")]
            None => Ok(Self::Ping(connect(order).await?)),
            #[cfg(not(feature = "redis"))]
            None => Err(Failure::usage("this build leaves Redis out")),
        }
    }

    pub(super) async fn ask(&mut self) -> Result<(), Failure> {
        match self {
            #[cfg(feature = "redis")]
            Self::Ping(connection) => {
                let answer = redis::cmd("PING").query_async::<()>(connection).await;
                answer.map_err(|error| failed("PING", &error))
            }
            Self::Sync(file, bytes) => write_and_sync(file, bytes),
        }
    }
}

/// The sizes of the chunks of so many jobs.
fn chunks(jobs: u64) -> impl Iterator<Item = u64> {
    (0..jobs.div_ceil(CHUNK)).map(move |chunk| CHUNK.min(jobs - chunk * CHUNK))
}

fn failed(what: &str, error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{what} failed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::chunks;

    #[test]
    fn chunks_hold_every_job() {
        assert_eq!(chunks(1200).collect::<Vec<_>>(), [500, 500, 200]);
        assert_eq!(chunks(500).collect::<Vec<_>>(), [500]);
        assert_eq!(chunks(0).count(), 0);
    }
}
