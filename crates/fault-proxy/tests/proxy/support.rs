//! A server behind a proxy, and a client that speaks in bytes.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use celeriac_fault_proxy::FaultProxy;
use celeriac_local_redis::{RedisOptions, RedisServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an awaited answer may take before the test fails. Far above what is normal: machines are noisy.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn server() -> Arc<RedisServer> {
    let started = tokio::task::spawn_blocking(|| RedisServer::start(&RedisOptions::default())).await;
    Arc::new(started.unwrap().unwrap())
}

pub(crate) struct Scene {
    pub(crate) server: Arc<RedisServer>,
    pub(crate) proxy: FaultProxy,
}

pub(crate) async fn scene() -> Scene {
    let server = server().await;
    let proxy = FaultProxy::start(server.port()).await.unwrap();
    Scene { server, proxy }
}

impl Scene {
    /// A client behind the proxy.
    pub(crate) async fn client(&self) -> Talk {
        Talk::to(self.proxy.port()).await
    }

    /// A client that is not.
    pub(crate) async fn straight(&self) -> Talk {
        Talk::to(self.server.port()).await
    }

    /// The value of a key, by a client of its own.
    pub(crate) async fn get(&self, key: &str) -> Option<String> {
        let mut straight = self.straight().await;
        let answer = straight.ask(&["GET", key]).await;
        let (length, value) = answer.split_once("\r\n").unwrap();
        (length != "$-1").then(|| value.trim_end().to_owned())
    }
}

/// Asks until the answer is yes.
pub(crate) async fn eventually(mut condition: impl AsyncFnMut() -> bool) {
    let asking = async { while !condition().await {} };
    timeout(PATIENCE, asking).await.unwrap();
}

/// A command as a client's library sends it.
pub(crate) fn command(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{}", words.len(), words.concat())
}

/// A connection, in bytes.
pub(crate) struct Talk {
    stream: TcpStream,
}

impl Talk {
    pub(crate) async fn to(port: u16) -> Self {
        Self { stream: TcpStream::connect(("127.0.0.1", port)).await.unwrap() }
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Sends a command and reads an answer of one line, or of one line and a text.
    pub(crate) async fn ask(&mut self, words: &[&str]) -> String {
        self.say(&command(words)).await;
        let line = self.line().await;
        match line.strip_prefix('$').and_then(|length| length.trim_end().parse::<usize>().ok()) {
            Some(length) => line + &self.read(length + 2).await,
            None => line,
        }
    }

    pub(crate) async fn line(&mut self) -> String {
        self.until("\r\n").await
    }

    /// Reads this many bytes.
    pub(crate) async fn read(&mut self, bytes: usize) -> String {
        let mut buffer = vec![0; bytes];
        timeout(PATIENCE, self.stream.read_exact(&mut buffer)).await.unwrap().unwrap();
        String::from_utf8(buffer).unwrap()
    }

    /// Reads until this text has come, and answers all that came.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut heard = String::new();
        while !heard.ends_with(end) {
            heard += &self.read(1).await;
        }
        heard
    }

    /// Expects this text to come next.
    pub(crate) async fn hear(&mut self, text: &str) {
        assert_eq!(self.read(text.len()).await, text);
    }

    /// Reads until the other side closes; what came, and whether it ended with a reset.
    pub(crate) async fn rest(&mut self) -> (String, bool) {
        let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
        let reset = loop {
            match timeout(PATIENCE, self.stream.read(&mut buffer)).await.unwrap() {
                Ok(0) => break false,
                Ok(read) => text.extend_from_slice(&buffer[..read]),
                Err(error) => break error.kind() == ErrorKind::ConnectionReset,
            }
        };
        (String::from_utf8(text).unwrap(), reset)
    }

    /// Whether nothing has come so far and the connection is open. Ask after something that would have made it come.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self.stream.try_read(&mut [0; 1]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}
