//! A running redis-server, and what keeps one from starting.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::guardian::Life;
use crate::options::RedisOptions;

/// How many free ports are tried; each may be taken by another process before the server has it.
const ATTEMPTS: usize = 20;

/// What keeps a server from starting, or from being controlled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisServerError {
    /// There is no `redis-server` in the `PATH`.
    #[error(
        "there is no redis-server in the PATH; install version 6.2 or newer with `apt-get install redis-server`, \
         `dnf install redis` or `brew install redis`"
    )]
    NotInstalled,
    /// It ended at once or did not answer.
    #[error("redis-server did not start; its last words: {last_words:?}")]
    NotStarted {
        /// The end of its log.
        last_words: String,
    },
    /// The server was killed and not started again.
    #[error("redis-server does not run")]
    NotRunning,
    /// The system refused a directory, a port or a process.
    #[error("cannot start or control redis-server")]
    System(#[from] io::Error),
}

/// A running redis-server on 127.0.0.1 with its files in a temporary directory. It ends when this is dropped.
#[derive(Debug)]
pub struct RedisServer {
    options: RedisOptions,
    port: u16,
    directory: PathBuf,
    life: Mutex<Option<Life>>,
}

impl RedisServer {
    /// Starts a server and waits until it answers. It blocks the thread for some milliseconds.
    ///
    /// # Errors
    /// [`RedisServerError::NotInstalled`] without a `redis-server`, [`RedisServerError::NotStarted`] if it does not come up.
    pub fn start(options: &RedisOptions) -> Result<Self, RedisServerError> {
        require_redis()?;
        let directory = tempfile::Builder::new().prefix("celeriac-redis-").tempdir()?;
        // The guardian removes it.
        let directory = directory.keep();
        for _ in 0..ATTEMPTS {
            let port = free_port()?;
            if let Some(life) = Life::begin(options, port, &directory)? {
                return Ok(Self { options: options.clone(), port, directory, life: Mutex::new(Some(life)) });
            }
        }
        Err(not_started(&directory))
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of its files. It goes with the server, whatever else was put there, also when this process is killed.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The address, with the password if there is one.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_through(self.port)
    }

    /// The address with another port, for a proxy in front of the server.
    #[must_use]
    pub fn url_through(&self, port: u16) -> String {
        self.options.address(port)
    }

    /// Kills the server; its files stay for [`RedisServer::restart`].
    pub fn kill(&self) {
        if let Some(life) = self.lock().take() {
            life.end_keeping_files();
        }
    }

    /// Starts the server again on the same port and the same files, and waits until it answers.
    ///
    /// # Errors
    /// [`RedisServerError::NotStarted`] if it does not come up.
    pub fn restart(&self) -> Result<(), RedisServerError> {
        self.kill();
        let life = Life::begin(&self.options, self.port, &self.directory)?;
        let life = life.ok_or_else(|| not_started(&self.directory))?;
        *self.lock() = Some(life);
        Ok(())
    }

    /// Stops the process without ending it, as an overloaded machine would: connections stay open and nothing answers.
    ///
    /// # Errors
    /// [`RedisServerError::NotRunning`] after a kill.
    pub fn freeze(&self) -> Result<(), RedisServerError> {
        self.signal("-STOP")
    }

    /// Lets a frozen process go on.
    ///
    /// # Errors
    /// [`RedisServerError::NotRunning`] after a kill.
    pub fn thaw(&self) -> Result<(), RedisServerError> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> Result<(), RedisServerError> {
        let server = self.lock().as_ref().map(Life::server).ok_or(RedisServerError::NotRunning)?;
        let status = Command::new("kill").args([signal, &server.to_string()]).status()?;
        if status.success() { Ok(()) } else { Err(RedisServerError::NotRunning) }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Life>> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        match self.lock().take() {
            Some(life) => life.end(),
            None => drop(std::fs::remove_dir_all(&self.directory)),
        }
    }
}

fn require_redis() -> Result<(), RedisServerError> {
    let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => Err(RedisServerError::NotInstalled),
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn not_started(directory: &Path) -> RedisServerError {
    let log = std::fs::read_to_string(directory.join("redis.log")).unwrap_or_default();
    let last_words = log.lines().rev().take(3).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
    drop(std::fs::remove_dir_all(directory));
    RedisServerError::NotStarted { last_words }
}
