//! Somebody turns the wall clock, or the machine starts again.

use celeriac_broker::{Broker as _, Inspector as _};

use crate::support::{enqueue_one, everything, new_file, open, raw, register, succeed};

const DAY: i64 = 24 * 3600 * 1000;

#[tokio::test]
async fn a_step_of_the_clock_condemns_nobody() {
    let (_directory, path) = new_file();
    let broker = open(&path).await;
    enqueue_one(&broker).await;
    let session = register(&broker).await;
    let fetched = broker.fetch(&session, &everything()).await.unwrap();

    // The store shows no time before one it has shown, so this is what a step by a day looks like.
    raw(&path).execute("UPDATE meta SET clock = clock + ?1", [DAY]).unwrap();
    assert!(broker.now().await.unwrap() > fetched.now.after(std::time::Duration::from_secs(23 * 3600)));

    let condemned = broker.condemn_expired(10).await.unwrap();
    assert_eq!(condemned.incarnations, []);
    assert!(condemned.next_expiry.is_some_and(|end| end > condemned.now));
    assert_eq!(broker.heartbeat(&session).await.unwrap().held.len(), 1);
    succeed(&broker, &session, &fetched.jobs[0]).await;
}

#[tokio::test]
async fn whoever_held_jobs_before_the_machine_started_again_is_dead_at_once() {
    let (_directory, path) = new_file();
    let broker = open(&path).await;
    enqueue_one(&broker).await;
    let session = register(&broker).await;
    broker.fetch(&session, &everything()).await.unwrap();

    let sql = "UPDATE leases SET boot = 'another'";
    assert_eq!(raw(&path).execute(sql, []).unwrap(), 1);

    assert_eq!(broker.condemn_expired(10).await.unwrap().incarnations, [session.incarnation]);
}

#[tokio::test]
async fn the_stores_clock_does_not_go_back_with_the_wall_clock() {
    let (_directory, path) = new_file();
    let broker = open(&path).await;
    let before = broker.now().await.unwrap();
    raw(&path).execute("UPDATE meta SET clock = ?1", [before.as_millis() as i64 + DAY]).unwrap();

    enqueue_one(&broker).await;

    let clock: i64 = raw(&path).query_row("SELECT clock FROM meta", [], |row| row.get(0)).unwrap();
    assert_eq!(clock, before.as_millis() as i64 + DAY);
}
