//! What a file says about itself.

use celeriac_broker::{Checkup, Finding, Grade, Inspector as _, Start, StoreClock};

use crate::support::{enqueue, new_file, new_job, open, raw};

fn finding<'f>(found: &'f Checkup, check: &str) -> &'f Finding {
    found.findings.iter().find(|finding| finding.check == check).unwrap()
}

#[tokio::test]
async fn a_file_says_how_it_is_written_and_where_it_stands() {
    let (_directory, path) = new_file();
    let found = open(&path).await.checkup().await.unwrap();
    assert!(finding(&found, "persistence").detail.contains("loses nothing"), "{found:?}");
    assert!(finding(&found, "writing").detail.contains("ms"), "{found:?}");
    assert_eq!(finding(&found, "integrity").grade, Grade::Good, "{found:?}");
    let checks: Vec<_> = found.findings.iter().map(|finding| finding.check).collect();
    assert_eq!(checks, ["writing", "persistence", "format", "file system", "disk", "integrity"]);
}

#[tokio::test]
async fn memory_is_said_to_be_gone_with_the_process() {
    let url = "sqlite::memory:".parse().unwrap();
    let broker = celeriac_broker::sqlite::SqliteBroker::open(&url, StoreClock::Store).await.unwrap();
    let found = broker.checkup().await.unwrap();
    assert!(finding(&found, "persistence").detail.contains("lost when this process ends"), "{found:?}");
}

#[tokio::test]
async fn a_damaged_file_is_found_out() {
    let (_directory, path) = new_file();
    let broker = open(&path).await;
    enqueue(&broker, (0..200).map(|_| new_job(Start::Now)).collect()).await;
    // The index then stands where another one is: what a lost write leaves.
    let swap = "PRAGMA writable_schema = ON;
        UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'jobs_dead')
        WHERE name = 'jobs_listed';";
    raw(&path).execute_batch(swap).unwrap();
    let found = broker.checkup().await.unwrap();
    assert_eq!(finding(&found, "integrity").grade, Grade::Bad, "{found:?}");
    assert!(finding(&found, "integrity").advice.is_some());
}
