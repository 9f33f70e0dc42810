//! Files that are no store: a clear error, and not one byte changed.

use celeriac_broker::{BrokerError, Refusal};

use crate::support::{new_file, open, raw, try_open};

#[tokio::test]
async fn a_missing_directory_is_named() {
    let (directory, _) = new_file();
    let error = try_open(&directory.path().join("nowhere/queue.db")).await.unwrap_err();
    let BrokerError::Unreachable { source, .. } = error else { panic!("{error:?}") };
    assert!(source.to_string().contains("nowhere does not exist"), "{source}");
}

#[tokio::test]
async fn a_directory_is_no_store() {
    let (directory, _) = new_file();
    let error = try_open(directory.path()).await.unwrap_err();
    let BrokerError::Unreachable { source, .. } = error else { panic!("{error:?}") };
    assert!(source.to_string().contains("is a directory"), "{source}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let (_directory, path) = new_file();
    let text = "a letter to a friend, long enough to be no header of anything. ".repeat(20);
    std::fs::write(&path, &text).unwrap();
    let error = try_open(&path).await.unwrap_err();
    assert!(matches!(error, BrokerError::Refused { reason: Refusal::Foreign, .. }), "{error:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_database_of_something_else_is_refused_and_left_alone() {
    let (_directory, path) = new_file();
    raw(&path).execute_batch("CREATE TABLE jobs (id)").unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = try_open(&path).await.unwrap_err();
    assert!(matches!(error, BrokerError::Refused { reason: Refusal::Foreign, .. }), "{error:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_newer_format_is_refused_by_its_number() {
    let (_directory, path) = new_file();
    drop(open(&path).await);
    raw(&path).pragma_update(None, "user_version", 2).unwrap();
    let error = try_open(&path).await.unwrap_err();
    assert!(matches!(error, BrokerError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("format 2, this version reads format 1"), "{error}");
}

#[tokio::test]
async fn tables_that_were_removed_under_the_store_are_a_refusal() {
    let (_directory, path) = new_file();
    let broker = open(&path).await;
    raw(&path).execute_batch("DROP TABLE results").unwrap();
    let error = celeriac_broker::Broker::result(&broker, &celeriac_core::JobId::generate()).await.unwrap_err();
    assert!(matches!(error, BrokerError::Refused { reason: Refusal::Foreign, .. }), "{error:?}");
}
