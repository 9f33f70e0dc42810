//! Ten thousand schedules: what a start, a tick and a process cost. `cargo test --release -p celeriac-beat --test beat -- --ignored --nocapture`
//! prints the figures.
#![expect(clippy::print_stdout, reason = "the figures are for who asks for them")]

use std::time::{Duration, Instant};

use celeriac_beat::register;
use celeriac_broker::{Operation, Owner};
use celeriac_core::ScheduleName;

use crate::support::{Scene, hourly, manual};

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse().unwrap_or_default()
}

/// A tick, from the look to the last answer, when one of `count` schedules is due.
async fn measure(scene: &Scene, store: &str, count: usize) {
    let owner = Owner::App(ScheduleName::new("app").unwrap());
    let far = |number: usize| {
        hourly(&format!("far-{number}")).starts_at(std::time::SystemTime::now() + Duration::from_secs(1 << 30))
    };
    let mut entries: Vec<_> = (1..count).map(|number| far(number).into_entry(owner.clone()).unwrap()).collect();
    entries.push(hourly("near").into_entry(owner.clone()).unwrap());
    let faulty = std::sync::Arc::new(celeriac_broker::FaultyBroker::new(scene.broker.sibling().await.unwrap()));
    let began = Instant::now();
    register(faulty.as_ref(), &owner, &entries).await.unwrap();
    let registered = began.elapsed();
    let before = resident();
    let beat =
        celeriac_beat::Beat::builder(std::sync::Arc::clone(&faulty) as std::sync::Arc<dyn celeriac_broker::Broker>)
            .build()
            .unwrap();
    let handle = beat.handle();
    let began = Instant::now();
    let running = tokio::spawn(beat.run());
    scene.until_dealt_with_near().await;
    let started = began.elapsed();
    let (mut ticks, looks) = (Vec::new(), faulty.calls(Operation::DueSchedules));
    for tick in 1..=20 {
        let began = Instant::now();
        scene.advance(Duration::from_secs(3600)).await;
        while scene.view("near").await.fired < tick {
            tokio::task::yield_now().await;
        }
        ticks.push(began.elapsed());
    }
    ticks.sort();
    println!(
        "{store}, {count} schedules: registered in {registered:?}, first tick {started:?}, a tick with one due {:?} (median), \
         {} looks for 20 ticks, {} KiB more than before",
        ticks[10],
        faulty.calls(Operation::DueSchedules) - looks,
        resident().saturating_sub(before)
    );
    handle.stop();
    running.await.unwrap().unwrap();
}

impl Scene {
    async fn until_dealt_with_near(&self) {
        // Everything is due once, to find out when it is.
        while !self.broker.due_schedules(1).await.unwrap().due.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures, and takes a while"]
async fn ten_thousand_schedules() {
    for count in [100, 10_000] {
        measure(&Scene::sqlite(manual()).await, "SQLite", count).await;
        measure(&Scene::redis(manual()).await, "Redis", count).await;
    }
}
