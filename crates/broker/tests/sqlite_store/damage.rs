//! Rows that somebody has changed by hand.

use celeriac_broker::{Broker as _, BrokerError, FetchRequest, Inspector as _, Revocation, Start};
use celeriac_core::State;

use crate::support::{enqueue, everything, new_file, new_job, open, raw, register, task};

#[tokio::test]
async fn a_row_that_cannot_be_read_is_parked_as_it_is_and_stops_nobody() {
    let (_directory, path) = new_file();
    let broker = open(&path).await;
    let ids = enqueue(&broker, vec![new_job(Start::Now), new_job(Start::Now)]).await;
    raw(&path).execute("UPDATE jobs SET options = '{broken' WHERE id = ?1", [ids[0].as_str()]).unwrap();
    let session = register(&broker).await;

    let fetched = broker.fetch(&session, &everything()).await.unwrap();

    assert_eq!(fetched.unreadable, ids[..1]);
    assert_eq!(fetched.jobs.iter().map(|job| &job.record.id).collect::<Vec<_>>(), [&ids[1]]);
    let columns = "SELECT state || ' ' || options FROM jobs WHERE id = ?1";
    let row: String = raw(&path).query_row(columns, [ids[0].as_str()], |row| row.get(0)).unwrap();
    assert_eq!(row, "parked {broken");
    assert!(matches!(broker.job(&ids[0]).await, Err(BrokerError::Corrupt { .. })));
}

#[tokio::test]
async fn a_row_that_cannot_be_read_can_be_revoked() {
    let (_directory, path) = new_file();
    let broker = open(&path).await;
    let ids = enqueue(&broker, (0..3).map(|_| new_job(Start::Now)).collect()).await;
    let session = register(&broker).await;
    let held = broker.fetch(&session, &FetchRequest { max_jobs: 1, ..everything() }).await.unwrap();
    raw(&path).execute("UPDATE jobs SET options = 'null'", []).unwrap();
    let dead = "UPDATE jobs SET state = 'dead' WHERE id = ?1";
    raw(&path).execute(dead, [ids[2].as_str()]).unwrap();
    assert_eq!(held.jobs[0].record.id, ids[0]);
    let revoked = broker.revoke(&ids, "ann").await.unwrap();
    assert_eq!(revoked, [Revocation::Told, Revocation::Ended, Revocation::TooLate]);
    assert!(broker.job(&ids[1]).await.unwrap().is_none());
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_not_released_before_it_is_mended() {
    let (_directory, path) = new_file();
    let broker = open(&path).await;
    let ids = enqueue(&broker, vec![new_job(Start::Now)]).await;
    raw(&path).execute("UPDATE jobs SET options = 'null'", []).unwrap();
    let session = register(&broker).await;
    broker.fetch(&session, &everything()).await.unwrap();
    assert_eq!(broker.release_parked(&[task()], 10).await.unwrap(), 0);

    raw(&path).execute("UPDATE jobs SET options = NULL", []).unwrap();

    assert_eq!(broker.release_parked(&["another".parse().unwrap()], 10).await.unwrap(), 1);
    let problems = "SELECT count(*) FROM jobs WHERE problem IS NOT NULL";
    assert_eq!(raw(&path).query_row(problems, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    assert_eq!(broker.job(&ids[0]).await.unwrap().map(|job| job.state), Some(State::Queued));
}

#[tokio::test]
async fn a_damaged_row_of_a_condemned_worker_does_not_stop_its_drain() {
    let (_directory, path) = new_file();
    let broker = open(&path).await;
    enqueue(&broker, vec![new_job(Start::Now)]).await;
    let session = register(&broker).await;
    broker.fetch(&session, &everything()).await.unwrap();
    raw(&path).execute("UPDATE jobs SET task = 'no name!'", []).unwrap();
    raw(&path).execute("UPDATE leases SET boot = 'another'", []).unwrap();
    broker.condemn_expired(10).await.unwrap();

    assert_eq!(broker.held_by(&session.incarnation, 10).await.unwrap(), []);

    assert!(broker.finish_drain(&session.incarnation).await.unwrap());
}

#[tokio::test]
async fn arguments_are_text_for_whoever_opens_the_file() {
    let (_directory, path) = new_file();
    let broker = open(&path).await;
    let mut jobs = vec![new_job(Start::Now), new_job(Start::Now)];
    jobs[1].record.payload = vec![0xff, 0];
    enqueue(&broker, jobs.clone()).await;

    let connection = raw(&path);
    let mut types = connection.prepare("SELECT typeof(payload) FROM jobs ORDER BY seq").unwrap();
    let types: Vec<String> = types.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();

    assert_eq!(types, ["text", "blob"]);
    let fetched = broker.fetch(&register(&broker).await, &everything()).await.unwrap();
    assert_eq!(fetched.jobs[1].record.payload, jobs[1].record.payload);
}
