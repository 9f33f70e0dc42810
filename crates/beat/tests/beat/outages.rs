//! No beat for three hours: each policy does what it says, whoever comes first.

use std::time::Duration;

use celeriac_beat::{CatchUp, Overlap};
use celeriac_broker::StoreClock;

use crate::support::{Scene, hourly, manual};

const HOUR: Duration = Duration::from_secs(3600);

fn ids(name: &str, hours: &[u32]) -> Vec<String> {
    hours.iter().map(|hour| format!("{name}:20261126T{hour:02}0000Z")).collect()
}

/// The hours that were enqueued of 01:00, 02:00, 03:00 when a beat comes at 03:30, and how many were missed.
async fn after_three_hours(scene: &Scene, catch_up: CatchUp, expected: &[u32], missed: u64) {
    scene.put(hourly("s").catch_up(catch_up)).await;
    scene.advance(3 * HOUR).await;
    let (one, other) = (scene.beat(Vec::new()).await, scene.beat(Vec::new()).await);
    let view = scene.until_dealt_with("s").await;
    assert_eq!(scene.ids().await, ids("s", expected));
    assert_eq!((view.fired, view.missed), (expected.len() as u64, missed));
    one.stop();
    other.stop();
}

macro_rules! policies {
    ($store:ident) => {
        mod $store {
            use super::*;

            #[tokio::test(flavor = "multi_thread")]
            async fn skip_drops_what_was_missed() {
                after_three_hours(&Scene::$store(manual()).await, CatchUp::Skip, &[], 3).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn latest_enqueues_one() {
                after_three_hours(&Scene::$store(manual()).await, CatchUp::Latest, &[3], 2).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn all_enqueues_each() {
                after_three_hours(&Scene::$store(manual()).await, CatchUp::All(10), &[1, 2, 3], 0).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn all_enqueues_as_many_as_it_may() {
                after_three_hours(&Scene::$store(manual()).await, CatchUp::All(2), &[2, 3], 1).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn five_beats_enqueue_each_occurrence_once() {
                five_beats(&Scene::$store(manual()).await).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_run_that_goes_on_is_not_overlapped() {
                overlap(&Scene::$store(manual()).await).await;
            }
        }
    };
}

policies!(sqlite);
policies!(redis);

async fn five_beats(scene: &Scene) {
    let mut beats = Vec::new();
    for _ in 0..5 {
        beats.push(scene.beat(vec![hourly("s")]).await);
    }
    scene.until_dealt_with_all(1).await;
    for hour in 1..=20 {
        scene.advance(HOUR).await;
        assert_eq!(scene.until_dealt_with("s").await.fired, hour);
    }
    assert_eq!(scene.ids().await, ids("s", &(1..=20).collect::<Vec<_>>()));
    // Each is counted by the beat that was first.
    let fired: u64 = beats.iter().map(|beat| beat.stats().fired).sum();
    assert_eq!(fired, 20);
    beats.iter().for_each(celeriac_beat::BeatHandle::stop);
}

/// Nobody runs the jobs, so the first one never ends.
async fn overlap(scene: &Scene) {
    let beat = scene.beat(vec![hourly("s").overlap(Overlap::Skip).keep_late()]).await;
    scene.until_dealt_with_all(1).await;
    for _ in 0..3 {
        scene.advance(HOUR).await;
        scene.until_dealt_with("s").await;
    }
    let view = scene.view("s").await;
    assert_eq!((scene.ids().await, view.fired, view.skipped), (ids("s", &[1]), 1, 2));
    assert_eq!((beat.stats().fired, beat.stats().skipped), (1, 2));
    beat.stop();
}

/// A weekly job fires although nobody lives for a week: the store remembers where it stands.
#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_survives_every_process() {
    let scene = Scene::sqlite(manual()).await;
    let weekly = || celeriac_beat::Periodic::new("weekly", "0 3 * * MON", crate::support::job());
    for day in 0..7 {
        let beat = scene.beat(vec![weekly()]).await;
        scene.until_dealt_with_all(1).await;
        scene.advance(24 * HOUR).await;
        let view = scene.until_dealt_with("weekly").await;
        // The store's first day is a Thursday.
        assert_eq!(view.fired, u64::from(day >= 4), "day {day}");
        beat.stop();
    }
    assert_eq!(scene.ids().await, ["weekly:20261130T030000Z"]);
    let again = celeriac_broker::sqlite::SqliteBroker::open(&scene.url, StoreClock::Store).await.unwrap();
    let view = celeriac_broker::Schedules::schedules(&again, None, 10).await.unwrap();
    assert_eq!(view.len(), 1);
}
