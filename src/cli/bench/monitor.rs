//! Counts the commands that clients send to a server, as MONITOR shows them. Those of scripts are left out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::place::Place;
use crate::cli::exit::{Exit, Failure};

/// Begins the words of a PING that marks a place in the stream and is not counted.
const MARK: &str = "celeriac-bench-mark-";

/// How long the stream may take to show a mark.
const PATIENCE: Duration = Duration::from_secs(60);

/// An open stream of a server of our own, without password.
pub(super) struct Monitor {
    marks: UnboundedReceiver<(String, u64)>,
    next: AtomicU64,
    reader: JoinHandle<()>,
}

impl Monitor {
    pub(super) async fn open(port: u16) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::new(Exit::Failed, format!("MONITOR: {error}"));
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(failed)?;
        stream.write_all(b"MONITOR\r\n").await.map_err(failed)?;
        let mut stream = BufReader::new(stream);
        let mut answer = String::new();
        stream.read_line(&mut answer).await.map_err(failed)?;
        if answer.trim() != "+OK" {
            return Err(Failure::new(Exit::Failed, format!("MONITOR was refused: {}", answer.trim())));
        }
        let (sender, marks) = unbounded_channel();
        Ok(Self { marks, next: AtomicU64::new(0), reader: tokio::spawn(count(stream, sender)) })
    }

    /// How many commands clients have sent up to now.
    pub(super) async fn count(&mut self, place: &Place) -> Result<u64, Failure> {
        let mark = format!("{MARK}{}", self.next.fetch_add(1, Ordering::Relaxed));
        place.mark(&mark).await?;
        let seen = async {
            while let Some((seen, count)) = self.marks.recv().await {
                if seen == mark {
                    return Some(count);
                }
            }
            None
        };
        let seen = tokio::time::timeout(PATIENCE, seen).await.ok().flatten();
        seen.ok_or_else(|| Failure::new(Exit::Failed, "MONITOR broke off"))
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn count(mut stream: BufReader<TcpStream>, marks: UnboundedSender<(String, u64)>) {
    let (mut line, mut commands) = (Vec::new(), 0);
    while stream.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
        match Line::of(&line) {
            Line::OfClient => commands += 1,
            Line::OfScript => {}
            Line::Mark(mark) => drop(marks.send((mark, commands))),
        }
        line.clear();
    }
}

/// One line of the stream, as in `+1700000000.000001 [0 127.0.0.1:5555] "PING"`.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    OfClient,
    OfScript,
    Mark(String),
}

impl Line {
    fn of(line: &[u8]) -> Self {
        let end = line.iter().position(|byte| *byte == b']').unwrap_or(0);
        if line[..end].ends_with(b" lua") {
            return Self::OfScript;
        }
        let words = std::str::from_utf8(&line[end..]).unwrap_or_default();
        match words.trim_end().rsplit('"').nth(1) {
            Some(word) if words.starts_with("] \"PING\"") && word.starts_with(MARK) => Self::Mark(word.to_owned()),
            _ => Self::OfClient,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_marks_are_told_from_clients() {
        assert_eq!(Line::of(b"+17.01 [0 127.0.0.1:5] \"EVALSHA\" \"x\"\r\n"), Line::OfClient);
        assert_eq!(Line::of(b"+17.01 [0 127.0.0.1:5] \"PING\"\r\n"), Line::OfClient);
        assert_eq!(Line::of(b"+17.01 [0 lua] \"PING\" \"celeriac-bench-mark-1\"\r\n"), Line::OfScript);
        let mark = Line::Mark("celeriac-bench-mark-1".into());
        assert_eq!(Line::of(b"+17.01 [0 127.0.0.1:5] \"PING\" \"celeriac-bench-mark-1\"\r\n"), mark);
    }
}
