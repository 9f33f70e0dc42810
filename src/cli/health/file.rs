//! A file whose time of change goes on as long as the process does its work, for machines where nothing asks over HTTP.

use std::fs::{File, FileTimes, remove_file};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::cli::health::{Shown, stopped};

/// How often the file is touched. Whoever looks should allow a few of these.
const EVERY: Duration = Duration::from_secs(5);

/// Makes the file if it is not there, and sets its time of change to now.
pub(super) fn touch(path: &Path) -> io::Result<()> {
    let file = File::options().create(true).append(true).open(path)?;
    file.set_times(FileTimes::new().set_modified(SystemTime::now()))
}

/// Touches the file until it is told to stop, and removes it then.
pub(super) async fn keep_touching(path: PathBuf, shown: Shown, mut stop: watch::Receiver<bool>) {
    loop {
        let stuck = shown.health().and_then(|health| health.stuck);
        match stuck {
            Some(reason) => {
                tracing::error!(reason, "this process does its work no more; its health file is left to age");
            }
            None => {
                if let Err(error) = touch(&path) {
                    tracing::warn!(%error, path = %path.display(), "the health file cannot be touched");
                }
            }
        }
        tokio::select! {
            () = stopped(&mut stop) => break,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    // Somebody may have removed it already.
    let _ = remove_file(&path);
}
