//! A redis-server for one measurement: a child process on a free loopback port that writes nothing to disk.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use redis::Connection;

/// Between this process and the server stands a shell that ends the server when its input closes, so that none outlives us.
const KEEPER: &str = r#"trap '' INT TERM; redis-server "$@" >/dev/null & echo $!; read -r _; kill -9 $!; wait"#;

const PATIENCE: Duration = Duration::from_secs(20);

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    keeper: Child,
    port: u16,
    _directory: tempfile::TempDir,
}

/// What the server says about itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Seconds of processor time since it started.
    pub(crate) cpu: f64,
    /// Bytes it has in use.
    pub(crate) memory: f64,
}

impl Server {
    pub(crate) fn start() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let path = directory.path().to_str().context("the temporary directory has an odd name")?;
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper", "--bind", "127.0.0.1", "--port", &port.to_string(), "--dir", path])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        let output = keeper.stdout.take().context("it is piped")?;
        BufReader::new(output).read_line(&mut line)?;
        let server = Self { keeper, port, _directory: directory };
        server.wait_for(line.trim())?;
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        let info = self.info("all")?;
        let number = |name: &str| -> Result<f64> { Ok(field(&info, name)?.parse()?) };
        Ok(Usage { cpu: number("used_cpu_user")? + number("used_cpu_sys")?, memory: number("used_memory")? })
    }

    pub(crate) fn version(&self) -> Result<String> {
        Ok(field(&self.info("server")?, "redis_version")?.to_owned())
    }

    fn info(&self, section: &str) -> Result<String> {
        Ok(redis::cmd("INFO").arg(section).query(&mut self.connect()?)?)
    }

    fn connect(&self) -> Result<Connection> {
        Ok(redis::Client::open(self.url())?.get_connection()?)
    }

    /// Waits until the server with this process id answers; another one may have taken the port.
    fn wait_for(&self, process: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.info("server").is_ok_and(|info| field(&info, "process_id").is_ok_and(|id| id == process)) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("redis-server did not start; is it installed?")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }
}

fn field<'i>(info: &'i str, name: &str) -> Result<&'i str> {
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.ok_or_else(|| anyhow!("the server does not tell {name}"))
}
