//! A SQLite store that lives as long as a test.

use celeriac_broker::StoreUrl;
use tempfile::TempDir;

/// The address of a new SQLite file. The directory goes, with the file, when the first value is dropped.
#[must_use]
pub fn temp_sqlite() -> (TempDir, StoreUrl) {
    let directory = TempDir::new().expect("a temporary directory can be made");
    let path = directory.path().join("queue.db");
    let url = format!("sqlite:{}", path.display());
    (directory, url.parse().expect("a path is a valid address"))
}
