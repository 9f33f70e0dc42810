//! Log lines on their way to standard error: in memory until a thread of their own has written them.
//!
//! Whoever reads a worker's log may stop reading, and the disk under it may be full. A worker that waited for either would stop as well. So
//! whoever logs only leaves a line here, and lines for which there is no room are dropped and counted.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// Bytes that wait at most: some thousand lines.
const MOST_WAITING: usize = 1 << 20;

/// How long the last lines of a process are waited for.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Takes lines and never waits.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogLines(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    /// Lines that were lost and not yet spoken of.
    dropped: u64,
    /// Whether the thread has bytes in its hands.
    is_writing: bool,
}

impl LogLines {
    /// Starts the thread that writes to `target`. It ends with the process.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(crate) fn write_to(&self, target: impl Write + Send + 'static) -> io::Result<()> {
        let shared = Arc::clone(&self.0);
        std::thread::Builder::new().name("celeriac-log".to_owned()).spawn(move || shared.write_to(target))?;
        Ok(())
    }

    /// Waits a moment until all is written; `false` if nobody reads.
    pub(crate) fn wait_until_written(&self) -> bool {
        let deadline = Instant::now() + LAST_LINES;
        let mut pending = self.0.lock();
        while pending.is_writing || !pending.bytes.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            (pending, _) = self.0.changed.wait_timeout(pending, left).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }
}

impl Shared {
    /// A panic while the lock was held cannot leave half a line, so the data is used on.
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut target: impl Write) {
        loop {
            let bytes = self.next();
            let written = target.write_all(&bytes).and_then(|()| target.flush());
            let mut pending = self.lock();
            let dropped = match written {
                // Said in the log itself, behind the lines that were kept.
                Ok(()) => std::mem::take(&mut pending.dropped),
                Err(_) => {
                    pending.dropped += lines(&bytes);
                    0
                }
            };
            drop(pending);
            if dropped > 0 {
                tracing::warn!(lines = dropped, "log lines were dropped: they could not be written in time");
            }
            self.lock().is_writing = false;
            self.changed.notify_all();
        }
    }

    /// Waits for bytes to write.
    fn next(&self) -> Vec<u8> {
        let mut pending = self.lock();
        while pending.bytes.is_empty() {
            pending = self.changed.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
        pending.is_writing = true;
        std::mem::take(&mut pending.bytes)
    }
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

impl Write for LogLines {
    /// Takes whole lines: the log hands over each event in one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut pending = self.0.lock();
        if pending.bytes.len() + line.len() > MOST_WAITING {
            pending.dropped += lines(line);
        } else {
            pending.bytes.extend_from_slice(line);
            self.0.changed.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for LogLines {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// Takes bytes when the test does, and fails when told to.
    struct Reader {
        bytes: SyncSender<Vec<u8>>,
        fails: Receiver<bool>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.fails.recv().unwrap() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.bytes.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log() -> (LogLines, Receiver<Vec<u8>>, SyncSender<bool>) {
        let (lines, (bytes, read), (fail, fails)) = (LogLines::default(), sync_channel(0), sync_channel(9));
        lines.write_to(Reader { bytes, fails }).unwrap();
        (lines, read, fail)
    }

    #[test]
    fn who_logs_does_not_wait_for_who_reads_and_what_has_no_room_is_counted() {
        let (mut lines, read, fail) = log();
        lines.write_all(b"first\n").unwrap();
        // Until the thread has it in its hands; nobody has read it.
        while !lines.0.lock().is_writing {
            std::thread::yield_now();
        }
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        (0..2000).for_each(|_| lines.write_all(&line).unwrap());
        assert_eq!(lines.0.lock().bytes.len(), MOST_WAITING);
        assert_eq!(lines.0.lock().dropped, 2000 - 1024);
        assert!(!lines.wait_until_written(), "nobody reads");
        (0..2).for_each(|_| fail.send(false).unwrap());
        assert_eq!(read.recv().unwrap(), b"first\n");
        assert_eq!(read.recv().unwrap().len(), MOST_WAITING);
        assert!(lines.wait_until_written());
        assert_eq!(lines.0.lock().dropped, 0, "spoken of");
    }

    #[test]
    fn a_line_that_could_not_be_written_is_counted_and_the_next_is_written() {
        let (mut lines, read, fail) = log();
        fail.send(true).unwrap();
        lines.write_all(b"lost\n").unwrap();
        assert!(lines.wait_until_written(), "nothing waits");
        assert_eq!(lines.0.lock().dropped, 1);
        fail.send(false).unwrap();
        lines.write_all(b"kept\n").unwrap();
        assert_eq!(read.recv().unwrap(), b"kept\n");
    }
}
