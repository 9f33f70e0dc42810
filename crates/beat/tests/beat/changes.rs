//! What happens when schedules are changed, by hand or by a start of their application, and when the store is away.

use std::sync::Arc;
use std::time::Duration;

use celeriac_beat::{Beat, BeatError, Periodic};
use celeriac_broker::{Broker as _, Fault, FaultyBroker, Operation, Owner, StoreClock};
use celeriac_core::ScheduleName;

use crate::support::{Scene, hourly, job, manual, within};

fn names(views: &[celeriac_broker::ScheduleView]) -> Vec<String> {
    views.iter().map(|view| view.name.to_string()).collect()
}

/// On the store's own clock, with nothing due for an hour: a beat that waits hears of the change at once.
async fn a_change_acts_at_once(scene: Scene) {
    let beat = scene.beat(vec![hourly("hourly")]).await;
    within(async {
        while scene.broker.schedules(None, 10).await.unwrap().iter().all(|view| view.next <= Some(view.last)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    scene.put(Periodic::new("often", "every 1s", job())).await;
    within(async {
        while scene.view("often").await.fired < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    beat.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_acts_at_once_on_sqlite() {
    a_change_acts_at_once(Scene::sqlite(StoreClock::Store).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_acts_at_once_on_redis() {
    a_change_acts_at_once(Scene::redis(StoreClock::Store).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_brings_its_own_schedules_up_to_date_and_touches_no_others() {
    let scene = Scene::sqlite(manual()).await;
    scene.put(hourly("by-hand")).await;
    let other = hourly("other-app").into_entry(Owner::App(ScheduleName::new("other").unwrap())).unwrap();
    scene.broker.put_schedules(&[other]).await.unwrap();
    let first = scene.beat(vec![hourly("a"), hourly("b"), hourly("by-hand").zone("Europe/Berlin")]).await;
    scene.until_dealt_with_all(4).await;
    first.stop();
    let before = scene.view("by-hand").await;
    assert_eq!((before.owner.clone(), before.revision), (Owner::Hand, 1), "what people keep is left to them");

    let second = scene.beat(vec![hourly("b").jitter(Duration::from_secs(1)), hourly("c")]).await;
    scene.until_dealt_with_all(4).await;
    within(async {
        while names(&scene.broker.schedules(None, 10).await.unwrap()) != ["b", "by-hand", "c", "other-app"] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(scene.view("b").await.revision, 2);
    second.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_refused_before_the_store_is_asked() {
    let scene = Scene::sqlite(manual()).await;
    let build = |own: Vec<Periodic>| Beat::builder(Arc::clone(&scene.broker)).owner("app").schedules(own).build();
    let twice = build(vec![hourly("s"), hourly("s")]).unwrap_err();
    assert_eq!(twice.to_string(), "two schedules are named \"s\"");
    let bad = build(vec![hourly("good"), Periodic::new("bad", "61 * * * *", job())]).unwrap_err().to_string();
    assert!(bad.starts_with("schedule \"bad\": minute: 61 is above 59"), "{bad}");
    let orphan = Beat::builder(Arc::clone(&scene.broker)).schedule(hourly("s")).build().unwrap_err();
    assert!(matches!(orphan, BeatError::NoOwner), "{orphan}");
    assert_eq!(scene.broker.schedules(None, 10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beat_outlives_a_store_that_is_away() {
    let scene = Scene::sqlite(manual()).await;
    let faulty = Arc::new(FaultyBroker::new(Arc::clone(&scene.broker)));
    faulty.fail_all(Fault::Unreachable);
    let beat =
        Beat::builder(Arc::clone(&faulty) as Arc<dyn celeriac_broker::Broker>).owner("app").schedule(hourly("s"));
    let beat = beat.build().unwrap();
    let handle = beat.handle();
    let running = tokio::spawn(beat.run());
    within(async {
        while faulty.calls(Operation::PutSchedules) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    // The answer to a firing is lost later: the jobs are enqueued, once.
    faulty.heal();
    within(async {
        while scene
            .broker
            .schedule(&ScheduleName::new("s").unwrap())
            .await
            .unwrap()
            .is_none_or(|view| view.next <= Some(view.last))
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    faulty.fail_next(Operation::Fire, Fault::AnswerLost);
    scene.advance(Duration::from_secs(3600)).await;
    scene.until_dealt_with("s").await;
    assert_eq!(scene.ids().await, ["s:20261126T010000Z"]);
    assert_eq!(scene.broker.queues().await.unwrap()[0].ready, 1);
    assert!(handle.stats().errors >= 2, "{:?}", handle.stats());
    handle.stop();
    within(running).await.unwrap().unwrap();
    assert!(!faulty.describe().is_empty());
}
