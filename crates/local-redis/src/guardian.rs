//! One life of a server, and the guardian that ends it.
//!
//! Between us and the server stands a shell that waits for the end of its standard input. The pipe closes when the
//! life is ended, and also when this process is killed or keeps the server in a static, so no server outlives those who
//! started it.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::options::RedisOptions;

/// Starts the server, tells its process id, and ends it when told to or when nobody is left to tell.
/// `$1` is the directory; the rest are the server's arguments. A line on standard input keeps the directory.
const GUARDIAN: &str = r#"
trap '' HUP INT QUIT TERM
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

/// One process of the server, between start and kill.
#[derive(Debug)]
pub(crate) struct Life {
    guardian: Child,
    server: u32,
}

impl Life {
    /// `None` if the server did not come up on this port, because another process took it first.
    pub(crate) fn begin(options: &RedisOptions, port: u16, directory: &Path) -> io::Result<Option<Self>> {
        let mut guardian = Command::new("sh")
            .args(["-c", GUARDIAN, "guardian"])
            .arg(directory)
            .args(options.command_line(port, directory))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = guardian.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let Ok(server) = line.trim().parse() else {
            return Err(io::Error::other("the shell that watches over redis-server did not tell its process id"));
        };
        let life = Self { guardian, server };
        if life.comes_up(options, port, directory) {
            return Ok(Some(life));
        }
        life.end_keeping_files();
        Ok(None)
    }

    /// The process id of the server.
    pub(crate) fn server(&self) -> u32 {
        self.server
    }

    /// Waits until a server with our process id answers; another one may have taken the port.
    fn comes_up(&self, options: &RedisOptions, port: u16, directory: &Path) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let question = format!("{}PING\r\nINFO server\r\nQUIT\r\n", options.greeting());
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
    pub(crate) fn end(mut self) {
        drop(self.guardian.stdin.take());
        drop(self.guardian.wait());
    }

    pub(crate) fn end_keeping_files(mut self) {
        if let Some(stdin) = &mut self.guardian.stdin {
            drop(stdin.write_all(b"keep\n"));
        }
        self.end();
    }
}

fn ask(port: u16, question: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(question.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
