//! Schedules on a server that is full, damaged, used by others or out of reach, and what a tick costs it.

use std::collections::BTreeMap;

use celeriac_broker::conformance::{firing_at, job, schedule_entry, seconds};
use celeriac_broker::redis::RedisBroker;
use celeriac_broker::{Broker, Fired, Firing, Put, Refusal, ScheduleEntry, ScheduleView, Schedules as _, StoreClock};
use celeriac_core::{Overlap, ScheduleName};
use celeriac_testkit::{FaultProxy, RedisOptions};

use crate::support::{Scene, empty, expect_refused, fill};

fn name(text: &str) -> ScheduleName {
    ScheduleName::new(text).unwrap()
}

fn names(views: &[ScheduleView]) -> Vec<&str> {
    views.iter().map(|view| view.name.as_str()).collect()
}

/// The same schedule, saying something else.
fn changed(text: &str) -> ScheduleEntry {
    let mut entry = schedule_entry(text, "every 1m");
    entry.schedule.overlap = Overlap::Skip;
    entry
}

/// Puts schedules, and lets a second go by.
async fn put(scene: &Scene, texts: &[&str]) {
    let entries: Vec<_> = texts.iter().map(|text| schedule_entry(text, "every 1m")).collect();
    assert_eq!(scene.broker.put_schedules(&entries).await.unwrap(), vec![Put::Added; texts.len()]);
    scene.advance(seconds(1));
}

async fn firing(scene: &Scene, text: &str) -> Firing {
    firing_at(&scene.broker.schedule(&name(text)).await.unwrap().unwrap(), scene.now())
}

async fn fire(broker: &dyn Broker, firing: &Firing) -> Fired {
    broker.fire(std::slice::from_ref(firing)).await.unwrap()[0]
}

/// Every key with its bytes.
async fn everything(scene: &Scene) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for key in scene.keys().await {
        let bytes = scene.ask(redis::cmd("DUMP").arg(scene.key(&key))).await;
        all.insert(key, bytes);
    }
    all
}

#[tokio::test]
async fn a_full_server_refuses_schedules_and_occurrences_and_lets_people_stop_them() {
    let (scene, _server) = Scene::alone(&RedisOptions::default()).await;
    put(&scene, &["a", "b", "c"]).await;
    let mut nothing = firing(&scene, "b").await;
    nothing.jobs.clear();
    let (order, stale) = (firing(&scene, "a").await, Firing { revision: 9, ..firing(&scene, "a").await });
    fill(&scene).await;
    let before = everything(&scene).await;

    expect_refused(&scene.broker.put_schedules(&[schedule_entry("d", "every 1m")]).await, Refusal::Full);
    expect_refused(&scene.broker.put_schedules(&[changed("a")]).await, Refusal::Full);
    expect_refused(&scene.broker.fire(&[stale.clone(), order.clone()]).await, Refusal::Full);
    expect_refused(&scene.broker.fire(&[nothing]).await, Refusal::Full);
    assert_eq!(scene.broker.put_schedules(&[schedule_entry("a", "every 1m")]).await.unwrap(), [Put::Unchanged]);
    assert_eq!(fire(&*scene.broker, &stale).await, Fired::Moved);
    assert_eq!(scene.broker.due_schedules(10).await.unwrap().due.len(), 3);
    assert_eq!(everything(&scene).await, before);

    for paused in [true, false] {
        let mark = scene.broker.due_schedules(10).await.unwrap().mark;
        assert!(scene.broker.pause_schedule(&name("b"), paused).await.unwrap());
        assert_eq!(scene.broker.schedule(&name("b")).await.unwrap().unwrap().paused, paused);
        assert_ne!(scene.broker.due_schedules(10).await.unwrap().mark, mark, "beats are told");
    }
    let gone = scene.broker.remove_schedules(&[name("d"), name("c")], None).await.unwrap();
    assert_eq!(gone, [false, true]);

    empty(&scene).await;
    assert_eq!(fire(&*scene.broker, &order).await, Fired::Done);
    assert_eq!(names(&scene.broker.schedules(None, 10).await.unwrap()), ["a", "b"]);
    assert_eq!(scene.queue("q").await.unwrap().ready, 1);
}

#[tokio::test]
async fn a_key_of_another_program_is_named_and_nothing_is_written() {
    const OWN: [&str; 4] = ["schedules", "schedules:state", "schedules:due", "schedules:changes"];
    const FIRED: [&str; 7] = ["jobs", "queues", "ends", "unique", "q:q:ready", "q:q:suspects", "wake:q"];
    let scene = Scene::shared().await;
    put(&scene, &["a"]).await;
    scene.enqueue([job("q")]).await.unwrap();
    let order = firing(&scene, "a").await;
    let mark = scene.broker.due_schedules(10).await.unwrap().mark;
    for used in OWN.into_iter().chain(FIRED) {
        let (key, aside) = (scene.key(used), scene.key("aside"));
        let existed: i64 = scene.ask(redis::cmd("EXISTS").arg(&key)).await;
        if existed == 1 {
            let _: () = scene.ask(redis::cmd("RENAME").arg(&key).arg(&aside)).await;
        }
        let _: () = scene.ask(redis::cmd("SET").arg(&key).arg("foreign")).await;
        let before = everything(&scene).await;
        let mut refused = Vec::new();
        if OWN.contains(&used) {
            refused.push(scene.broker.put_schedules(&[changed("a")]).await.unwrap_err());
            refused.push(scene.broker.remove_schedules(&[name("a")], None).await.unwrap_err());
            refused.push(scene.broker.pause_schedule(&name("a"), true).await.unwrap_err());
        }
        if !["schedules", "schedules:changes"].contains(&used) {
            refused.push(scene.broker.fire(std::slice::from_ref(&order)).await.unwrap_err());
        }
        match used {
            "schedules" | "schedules:state" | "schedules:due" => {
                refused.push(scene.broker.due_schedules(10).await.unwrap_err());
                refused.push(scene.broker.schedule(&name("a")).await.unwrap_err());
            }
            "schedules:changes" => {
                refused.push(scene.broker.due_schedules(10).await.unwrap_err());
                refused.push(scene.broker.wait_for_schedules(&mark, seconds(600)).await.unwrap_err());
            }
            _ => {}
        }
        for error in refused {
            let text = error.to_string();
            expect_refused(&Err::<(), _>(error), Refusal::Foreign);
            assert!(text.contains(&format!("the key {key} is a string and must be a ")), "{text}");
        }
        assert_eq!(everything(&scene).await, before, "with another {used}");
        let _: () = scene.ask(redis::cmd("DEL").arg(&key)).await;
        if existed == 1 {
            let _: () = scene.ask(redis::cmd("RENAME").arg(&aside).arg(&key)).await;
        }
    }
    assert_eq!(fire(&*scene.broker, &order).await, Fired::Done);
}

#[tokio::test]
async fn a_call_whose_answer_was_lost_is_carried_out_once() {
    let (scene, server) = Scene::alone(&RedisOptions::default()).await;
    let proxy = FaultProxy::start(server.port()).await.unwrap();
    let url = server.url_through(proxy.port(), scene.url.namespace().as_str());
    let far = RedisBroker::connect(&url, StoreClock::manual(scene.now())).await.unwrap();
    // These load the scripts.
    put(&scene, &["first"]).await;
    fire(&*scene.broker, &firing(&scene, "first").await).await;

    proxy.lose_answer_to("EVALSHA");
    assert!(far.put_schedules(&[schedule_entry("s", "every 1m")]).await.unwrap_err().is_in_doubt());
    scene.advance(seconds(1));
    let order = firing(&scene, "s").await;
    assert_eq!(far.put_schedules(&[schedule_entry("s", "every 1m")]).await.unwrap(), [Put::Unchanged]);
    assert_eq!(order, firing(&scene, "s").await, "the second call has changed nothing");

    proxy.lose_answer_to("EVALSHA");
    assert!(far.fire(std::slice::from_ref(&order)).await.unwrap_err().is_in_doubt());
    assert_eq!(fire(&far, &order).await, Fired::Moved);
    assert_eq!((far.schedule(&name("s")).await.unwrap().unwrap().fired, scene.queue("q").await.unwrap().ready), (1, 2));
}

#[tokio::test]
async fn what_somebody_wrote_by_hand_stops_no_other_schedule() {
    let scene = Scene::shared().await;
    let begun = scene.now();
    put(&scene, &["a", "b", "c", "d"]).await;
    let (values, states, due) = (scene.key("schedules"), scene.key("schedules:state"), scene.key("schedules:due"));
    let value: String = scene.ask(redis::cmd("HGET").arg(&values).arg("a")).await;
    // Names that no call could bring, an entry of nothing at all, and one that is written in another way.
    for odd in ["no name!".as_bytes(), b"\xff\xfe", &[b'n'; 161]] {
        let _: () = scene.ask(redis::cmd("HSET").arg(&values).arg(odd).arg(&value)).await;
        let _: () = scene.ask(redis::cmd("ZADD").arg(&due).arg(0).arg(odd)).await;
    }
    let _: () = scene.ask(redis::cmd("ZADD").arg(&due).arg(0).arg("gone")).await;
    let newer = value.replace("\"task\"", "\"duty\"");
    let _: () = scene.ask(redis::cmd("HSET").arg(&values).arg("b").arg(newer)).await;
    let _: () = scene.ask(redis::cmd("HSET").arg(&values).arg("c").arg(b"\n\n{\"\xff")).await;
    let _: () = scene.ask(redis::cmd("HSET").arg(&states).arg("d").arg("3 0 much 0")).await;
    let readable = |views: &[ScheduleView]| views.iter().map(|view| view.schedule.is_ok()).collect::<Vec<_>>();

    let listed = scene.broker.schedules(None, 10).await.unwrap();
    assert_eq!((names(&listed), readable(&listed)), (vec!["a", "b", "c", "d"], vec![true, false, false, false]));
    assert_eq!(names(&scene.broker.schedules(Some(&name("b")), 1).await.unwrap()), ["c"]);
    let one = scene.broker.due_schedules(1).await.unwrap();
    assert_eq!((names(&one.due), one.next), (vec!["a"], Some(begun)));
    let all = scene.broker.due_schedules(10).await.unwrap();
    assert_eq!((names(&all.due), all.next), (vec!["a", "b", "c", "d"], None));
    assert_eq!(fire(&*scene.broker, &firing_at(&all.due[0], scene.now())).await, Fired::Done);
    let next = scene.broker.due_schedules(3).await.unwrap().next;
    assert_eq!(next, Some(scene.now().after(seconds(60))), "the first that is not due");

    // What people can do about it.
    let answers = scene.broker.put_schedules(&[changed("b"), changed("c")]).await.unwrap();
    assert_eq!(answers, [Put::Changed, Put::Changed]);
    for paused in [true, false] {
        assert!(scene.broker.pause_schedule(&name("d"), paused).await.unwrap());
    }
    assert_eq!(readable(&scene.broker.schedules(None, 10).await.unwrap()), [true; 4]);
    scene.advance(seconds(1));
    for text in ["b", "c", "d"] {
        assert_eq!(fire(&*scene.broker, &firing(&scene, text).await).await, Fired::Done);
    }
}

/// How often the server carries out each command when one of so many schedules is due.
async fn commands_of_a_tick(count: usize) -> BTreeMap<String, String> {
    let (scene, _server) = Scene::alone(&RedisOptions::default()).await;
    let entries: Vec<_> = (0..count).map(|number| schedule_entry(&format!("s-{number}"), "every 1m")).collect();
    for some in entries.chunks(100) {
        scene.broker.put_schedules(some).await.unwrap();
        scene.advance(seconds(1));
        let due = scene.broker.due_schedules(100).await.unwrap().due;
        let next = Some(scene.now().after(seconds(3600)));
        let firings: Vec<_> = due.iter().map(|view| Firing { next, ..firing_at(view, scene.now()) }).collect();
        assert_eq!(scene.broker.fire(&firings).await.unwrap(), vec![Fired::Done; some.len()]);
    }
    scene.broker.put_schedules(&[changed("s-7")]).await.unwrap();
    let _: () = scene.ask(redis::cmd("CONFIG").arg("RESETSTAT")).await;
    scene.advance(seconds(1));
    let due = scene.broker.due_schedules(500).await.unwrap();
    assert_eq!(names(&due.due), ["s-7"]);
    assert_eq!(fire(&*scene.broker, &firing_at(&due.due[0], scene.now())).await, Fired::Done);
    let info: String = scene.ask(redis::cmd("INFO").arg("commandstats")).await;
    let calls = info.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(":calls="));
    calls.map(|(command, rest)| (command.to_owned(), rest.split(',').next().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn a_tick_touches_only_what_is_due() {
    let few = commands_of_a_tick(10).await;
    assert_eq!(few["evalsha"], "2", "{few:?}");
    assert_eq!(commands_of_a_tick(1000).await, few);
}
