//! A redis-server of the test's own: a child process on a free loopback port with its files in a temporary directory.
//!
//! Between test and server stands a guardian, a shell that waits for the end of its standard input. The pipe closes
//! when the test drops the server, and also when the test process is killed or keeps the server in a static, so no server
//! outlives the tests that started it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use celeriac_broker::StoreUrl;

/// Starts the server, tells its process id, and ends it when told to or when nobody is left to tell.
/// `$1` is the directory; the rest are the server's arguments. A line on standard input keeps the directory.
const GUARDIAN: &str = r#"
trap '' INT TERM
directory=$1; shift
redis-server "$@" >"$directory/redis.log" 2>&1 &
server=$!
echo "$server"
read -r keep
kill -9 "$server"
wait "$server"
[ -n "$keep" ] || rm -rf -- "$directory"
"#;

/// How long a server may take to answer; far more than it needs, because it only guards against waiting for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    append_only: bool,
    password: Option<String>,
    arguments: Vec<String>,
}

impl RedisOptions {
    /// Writes every command to disk before it is answered, so that [`RedisServer::kill`] loses nothing.
    #[must_use]
    pub fn append_only(mut self) -> Self {
        self.append_only = true;
        self
    }

    /// Asks for a password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Adds an option of `redis-server`, as in `("--maxmemory", "5mb")`.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    fn command_line(&self, port: u16, directory: &Path) -> Vec<String> {
        let mut line: Vec<String> = ["--bind", "127.0.0.1", "--save", "", "--daemonize", "no"].map(String::from).into();
        line.extend(["--port".into(), port.to_string(), "--dir".into(), directory.display().to_string()]);
        if self.append_only {
            line.extend(["--appendonly", "yes", "--appendfsync", "always"].map(String::from));
        }
        if let Some(password) = &self.password {
            line.extend(["--requirepass".to_owned(), password.clone()]);
        }
        line.extend(self.arguments.iter().cloned());
        line
    }
}

/// A running redis-server. It ends when this is dropped.
#[derive(Debug)]
pub struct RedisServer {
    options: RedisOptions,
    port: u16,
    directory: PathBuf,
    life: Mutex<Option<Life>>,
}

/// One process of the server, between start and kill.
#[derive(Debug)]
struct Life {
    guardian: Child,
    server: u32,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    /// If `redis-server` is not installed or does not start.
    #[must_use]
    pub fn start(options: &RedisOptions) -> Self {
        require_redis();
        let directory = tempfile::Builder::new().prefix("celeriac-redis-").tempdir().expect("a temporary directory");
        // The guardian removes it.
        let directory = directory.keep();
        for _ in 0..20 {
            let port = free_port();
            if let Some(life) = Life::begin(options, port, &directory) {
                return Self { options: options.clone(), port, directory, life: Mutex::new(Some(life)) };
            }
        }
        panic!("redis-server did not start, see {}", directory.join("redis.log").display());
    }

    /// The port it listens on, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address, with the password if there is one, and the default namespace.
    #[must_use]
    pub fn url(&self) -> StoreUrl {
        self.address(self.port).parse().expect("a valid address")
    }

    /// The address with a namespace of its own.
    #[must_use]
    pub fn url_with_prefix(&self, prefix: &str) -> StoreUrl {
        self.url_through(self.port, prefix)
    }

    /// The address with another port, for a proxy in front of the server, and a namespace.
    #[must_use]
    pub fn url_through(&self, port: u16, prefix: &str) -> StoreUrl {
        format!("{}?prefix={prefix}", self.address(port)).parse().expect("a valid address")
    }

    /// Kills the server; its files stay for [`RedisServer::restart`].
    pub fn kill(&self) {
        if let Some(life) = self.lock().take() {
            life.end_keeping_files();
        }
    }

    /// Starts the server again on the same port and the same files, and waits until it answers.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&self) {
        self.kill();
        let life = Life::begin(&self.options, self.port, &self.directory);
        assert!(life.is_some(), "redis-server did not start again, see {}/redis.log", self.directory.display());
        *self.lock() = life;
    }

    /// Stops the process without ending it, as an overloaded machine would: connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let server = self.lock().as_ref().map(|life| life.server).expect("the server runs");
        let status = Command::new("kill").args([signal, &server.to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {signal} {server} works");
    }

    fn address(&self, port: u16) -> String {
        let credentials = self.options.password.as_ref().map(|word| format!(":{word}@")).unwrap_or_default();
        format!("redis://{credentials}127.0.0.1:{port}")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Life>> {
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

impl Life {
    /// `None` if the server did not come up on this port, because another process took it first.
    fn begin(options: &RedisOptions, port: u16, directory: &Path) -> Option<Self> {
        let mut guardian = Command::new("sh")
            .args(["-c", GUARDIAN, "guardian"])
            .arg(directory)
            .args(options.command_line(port, directory))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell is installed");
        let mut line = String::new();
        let output = guardian.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("the guardian tells the server's process id");
        let server = line.trim().parse().expect("a process id");
        let life = Self { guardian, server };
        if life.comes_up(options, port, directory) {
            return Some(life);
        }
        life.end_keeping_files();
        None
    }

    /// Waits until a server with our process id answers; another one may have taken the port.
    fn comes_up(&self, options: &RedisOptions, port: u16, directory: &Path) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let auth = options.password.as_ref().map(|word| format!("AUTH {word}\r\n")).unwrap_or_default();
        let question = format!("{auth}PING\r\nINFO server\r\nQUIT\r\n");
        let own = format!("process_id:{}\r\n", self.server);
        while Instant::now() < deadline {
            let answer = ask(port, &question).unwrap_or_default();
            if answer.contains("+PONG") && answer.contains(&own) {
                return true;
            }
            let log = std::fs::read_to_string(directory.join("redis.log")).unwrap_or_default();
            if log.contains("Failed listening") || log.contains("FATAL CONFIG") {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// Closes the pipe: the guardian ends the server and removes its files.
    fn end(mut self) {
        drop(self.guardian.stdin.take());
        drop(self.guardian.wait());
    }

    fn end_keeping_files(mut self) {
        if let Some(stdin) = &mut self.guardian.stdin {
            drop(stdin.write_all(b"keep\n"));
        }
        self.end();
    }
}

fn require_redis() {
    let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
    assert!(
        found.is_ok_and(|status| status.success()),
        "these tests need redis-server 6.2 or newer in the PATH; \
         install it with `apt-get install redis-server`, `dnf install redis` or `brew install redis`"
    );
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

fn ask(port: u16, question: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(question.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
