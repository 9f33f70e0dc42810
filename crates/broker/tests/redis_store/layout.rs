//! The table in docs/redis-layout.md says what is in the server.

use celeriac_broker::conformance::{
    death, delayed, firing_at, given, job, job_of, parking, retry, revocation, schedule_entry, seconds, success,
    success_kept, task_name, with_payload,
};
use celeriac_broker::{Fired, NewWorkflow, Note, Revocation, Submitted};
use celeriac_core::canvas::{Limits, compile};
use celeriac_core::{JobId, Outcome, Record, State, WorkflowId};

use crate::support::Scene;

const TABLE: &str = include_str!("../../../../docs/redis-layout.md");

/// A row of the table of keys.
#[derive(Debug)]
struct Row {
    pattern: String,
    kind: String,
    lives: String,
}

fn rows() -> Vec<Row> {
    let rows =
        TABLE.lines().skip_while(|line| !line.starts_with("| key |")).skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let kind = cells[1].replace("sorted set", "zset");
        Row { pattern: cells[0].trim_matches('`').to_owned(), kind, lives: cells[2].to_owned() }
    })
    .collect()
}

impl Row {
    fn fits(&self, key: &str) -> bool {
        let Some((before, rest)) = self.pattern.split_once('<') else { return self.pattern == key };
        let after = rest.split_once('>').map_or("", |(_, after)| after);
        // Besides one name a key has at most a digit, its last character.
        let (after, key) = match (after.strip_suffix("<priority>"), key.strip_suffix(|c: char| c.is_ascii_digit())) {
            (Some(after), Some(key)) => (after, key),
            (Some(_), None) => return false,
            (None, _) => (after, key),
        };
        key.len() > before.len() + after.len() && key.starts_with(before) && key.ends_with(after)
    }
}

/// Compares every key with the table; the rows that were met.
async fn compare(scene: &Scene, met: &mut Vec<String>) {
    let rows = rows();
    for key in scene.keys().await {
        let fitting: Vec<_> = rows.iter().filter(|row| row.fits(&key)).collect();
        assert_eq!(fitting.len(), 1, "{key} fits {fitting:?}");
        let kind: String = scene.ask(redis::cmd("TYPE").arg(scene.key(&key))).await;
        assert_eq!(kind, fitting[0].kind, "{key}");
        let ttl: i64 = scene.ask(redis::cmd("PTTL").arg(scene.key(&key))).await;
        let expires = !["stays", "while used", "while ends are kept"].contains(&fitting[0].lives.as_str());
        assert_eq!(ttl > 0, expires, "{key} has {ttl} ms to live, the table says {}", fitting[0].lives);
        met.push(fitting[0].pattern.clone());
    }
}

/// Lets jobs come into every place there is, looking at the keys in between, and ends them all.
async fn live(scene: &Scene, met: &mut Vec<String>) {
    let (worker, other) = (scene.worker().await.unwrap(), scene.worker().await.unwrap());
    let jobs = vec![job("q"), job("q"), job("q"), job_of("odd", "q"), delayed(seconds(5), "late"), given("mine", "r")];
    scene.enqueue(jobs).await.unwrap();
    let held = worker.fetch(&["q"], 10).await.unwrap();
    compare(scene, met).await;
    let now = scene.now();
    worker.settle_one(&held[0], success(&held[0], now)).await.unwrap();
    worker.settle_one(&held[1], retry(&held[1], now, seconds(1))).await.unwrap();
    worker.settle_one(&held[2], death(&held[2], now)).await.unwrap();
    worker.settle_one(&held[3], parking(&held[3], now)).await.unwrap();
    other.fetch_one("r").await.unwrap();
    // It holds nothing any more, and the heartbeat ends its lease.
    assert!(worker.held().await.unwrap().is_empty());
    scene.condemn(&other).await.unwrap();
    compare(scene, met).await;
    other.drain(scene.now()).await.unwrap();
    assert!(scene.broker.finish_drain(&other.session.incarnation).await.unwrap());
    compare(scene, met).await;
    control(scene, met).await;
    schedules(scene, met).await;
    workflow(scene, met).await;
    let wait = scene.broker.wait_for_work(&worker.session, &[], seconds(30));
    drop(tokio::time::timeout(std::time::Duration::from_millis(10), wait).await);

    assert_eq!(scene.broker.promote_due(10).await.unwrap().count, 2);
    assert_eq!(scene.broker.release_parked(&[task_name("odd")], 10).await.unwrap(), 1);
    assert_eq!(scene.broker.retry_dead(&[held[2].record.id.clone()]).await.unwrap(), [celeriac_broker::Retried::Done]);
    loop {
        let got = worker.fetch_idle(&["q", "late", "r"], 10).await.unwrap().jobs;
        if got.is_empty() {
            break;
        }
        for delivery in got {
            worker.settle_one(&delivery, success_kept(&delivery, scene.now(), seconds(60))).await.unwrap();
        }
    }
    scene.broker.deregister(&worker.session).await.unwrap();
}

/// Schedules come, occur and go.
async fn schedules(scene: &Scene, met: &mut Vec<String>) {
    let entry = schedule_entry("s", "every 1m");
    let name = entry.name.clone();
    scene.broker.put_schedules(&[entry]).await.unwrap();
    compare(scene, met).await;
    let view = scene.broker.schedule(&name).await.unwrap().unwrap();
    scene.advance(seconds(1));
    assert_eq!(scene.broker.fire(&[firing_at(&view, scene.now())]).await.unwrap(), [Fired::Done]);
    compare(scene, met).await;
    scene.broker.pause_schedule(&name, true).await.unwrap();
    compare(scene, met).await;
    assert_eq!(scene.broker.remove_schedules(&[name], None).await.unwrap(), [true]);
}

/// A chain of two runs from end to end, and is forgotten.
async fn workflow(scene: &Scene, met: &mut Vec<String>) {
    let worker = scene.worker().await.unwrap();
    let spec = r#"{"chain": [{"task": "one", "queue": "w"}, {"task": "two", "queue": "w"}]}"#;
    let id = WorkflowId::new("chain").unwrap();
    let plan = compile(&spec.parse().unwrap(), &id, &Limits::default()).unwrap();
    let node = |index| plan.node(index).unwrap();
    let new = NewWorkflow {
        id: id.clone(),
        fresh: false,
        token: "token".into(),
        spec: spec.into(),
        version: 1,
        nodes: 2,
        waiting: vec![node(1).waiting().unwrap()],
        roots: vec![node(0).record(b"{}".to_vec()).unwrap()],
        begins: true,
    };
    assert_eq!(scene.broker.put_workflow(&new).await.unwrap(), Submitted::Done);
    compare(scene, met).await;
    for step in ["chain:chain/0", "chain:chain/1"] {
        let delivery = worker.fetch_one("w").await.unwrap();
        assert_eq!(delivery.record.id.as_str(), step);
        worker.settle_one(&delivery, success_kept(&delivery, scene.now(), seconds(60))).await.unwrap();
    }
    compare(scene, met).await;
    let events = scene.broker.take_events(10, seconds(30)).await.unwrap();
    assert_eq!(events.iter().map(|event| event.node).collect::<Vec<_>>(), [1]);
    scene.broker.finish_event(&events[0]).await.unwrap();
    let end = Outcome::of_waiting(&new.roots[0], State::Succeeded, "test", "", scene.now());
    assert!(scene.broker.finish_workflow(&id, &end, seconds(60), seconds(1)).await.unwrap());
    compare(scene, met).await;
    scene.advance(seconds(1));
    assert_eq!(scene.broker.prune(10).await.unwrap().workflows, 1);
    scene.broker.deregister(&worker.session).await.unwrap();
}

/// What people order: unique keys, priorities, revocations of what waits and of what runs.
async fn control(scene: &Scene, met: &mut Vec<String>) {
    let worker = scene.worker().await.unwrap();
    let mut special = [job("c"), job("c"), delayed(seconds(60), "c"), job_of("shelf", "c")];
    for (number, job) in special.iter_mut().enumerate() {
        job.record.priority = celeriac_core::Priority::new(9 - number as u8).unwrap();
        job.record.options.unique = celeriac_core::UniqueKey::new(format!("key-{number}")).ok();
    }
    let ids = scene.enqueue(special).await.unwrap();
    let running = worker.fetch_one("c").await.unwrap();
    compare(scene, met).await;
    let note =
        Note { id: ids[0].clone(), fence: running.lease.fence, progress: None, lines: vec!["a line".to_owned()] };
    scene.broker.note(&worker.session, &[note]).await.unwrap();
    scene.broker.revoke(&ids, "test").await.unwrap();
    compare(scene, met).await;
    scene.broker.heartbeat(&worker.session).await.unwrap();
    worker.settle_one(&running, revocation(&running, scene.now())).await.unwrap();
    assert!(worker.fetch(&["c"], 10).await.unwrap().is_empty());
    // Nobody waited for the order. It goes by itself, and here by hand: the test does not wait for that.
    let _: () = scene.ask(redis::cmd("DEL").arg(scene.key(&format!("orders:{}", worker.session.incarnation)))).await;
    scene.broker.deregister(&worker.session).await.unwrap();
}

#[tokio::test]
async fn every_key_is_in_the_table_and_goes_when_it_says() {
    let scene = Scene::shared().await;
    let mut met = Vec::new();
    live(&scene, &mut met).await;
    compare(&scene, &mut met).await;

    // Bytes that are no record, among the ready ones.
    let _: () = scene.ask(redis::cmd("HSET").arg(scene.key("jobs")).arg("odd").arg("no record")).await;
    let _: () = scene.ask(redis::cmd("RPUSH").arg(scene.key("q:q:ready")).arg("odd")).await;
    // A token of this kind is popped at once; this one stands for it.
    let _: () = scene.ask(redis::cmd("LPUSH").arg(scene.key("ctl:w~1")).arg("1")).await;
    let _: () = scene.ask(redis::cmd("EXPIRE").arg(scene.key("ctl:w~1")).arg(3600)).await;
    scene.worker().await.unwrap().fetch_busy(&["q"], 1).await.unwrap();
    compare(&scene, &mut met).await;
    let unmet: Vec<_> = rows().into_iter().map(|row| row.pattern).filter(|pattern| !met.contains(pattern)).collect();
    assert!(unmet.is_empty(), "no key like {unmet:?} was ever there");
}

#[tokio::test]
async fn what_is_used_up_leaves_nothing_behind() {
    let scene = Scene::shared().await;
    live(&scene, &mut Vec::new()).await;
    let rows = rows();
    let lives = |key: &str| rows.iter().find(|row| row.fits(key)).map(|row| row.lives.clone());
    let left: Vec<_> =
        scene.keys().await.into_iter().filter(|key| lives(key).as_deref() == Some("while used")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn ends_whose_time_is_over_leave_nothing_behind() {
    let scene = Scene::shared().await;
    live(&scene, &mut Vec::new()).await;
    // One of those that ended is retried, and ends again later: its first note must not take the second end along.
    let ids = scene.enqueue((0..20).map(|_| job("q"))).await.unwrap();
    let worker = scene.worker().await.unwrap();
    for delivery in worker.fetch(&["q"], 20).await.unwrap() {
        worker.settle_one(&delivery, death(&delivery, scene.now())).await.unwrap();
    }
    scene.advance(seconds(1));
    assert_eq!(scene.broker.retry_dead(&ids).await.unwrap(), vec![celeriac_broker::Retried::Done; 20]);
    for delivery in worker.fetch(&["q"], 20).await.unwrap() {
        worker.settle_one(&delivery, success_kept(&delivery, scene.now(), seconds(86_401))).await.unwrap();
    }
    let pruned = async || scene.broker.prune(7).await.unwrap().results;
    scene.advance(seconds(86_401 - 1));
    while pruned().await > 0 {}
    assert!(scene.broker.result(&ids[0]).await.unwrap().is_some());
    scene.advance(seconds(3600));
    assert!(scene.broker.result(&ids[0]).await.unwrap().is_none());
    while pruned().await > 0 {}
    let kept: Vec<_> = scene.keys().await.into_iter().filter(|key| key.starts_with("end") || key == "keeps").collect();
    assert!(kept.is_empty(), "{kept:?}");
}

#[tokio::test]
async fn a_live_running_hash_is_a_hash_table() {
    let scene = Scene::shared().await;
    let worker = scene.worker().await.unwrap();
    scene.enqueue([job("q"), job("q")]).await.unwrap();
    let running = scene.key(&format!("running:{}", worker.session.incarnation));
    for _ in 0..2 {
        worker.fetch_one("q").await.unwrap();
        let encoding: String = scene.ask(redis::cmd("OBJECT").arg("ENCODING").arg(&running)).await;
        assert_eq!(encoding, "hashtable");
    }
}

#[tokio::test]
async fn undecodable_records_are_kept_aside_with_their_bytes() {
    let scene = Scene::shared().await;
    let ids = scene.enqueue([job("q"), job("q"), delayed(seconds(1), "q"), job("q")]).await.unwrap();
    let jobs = scene.key("jobs");
    // A format of the future; a name that no version allows; no record at all.
    for (id, at, byte) in [(&ids[0], 12, b'9'), (&ids[1], 22, b'\n'), (&ids[2], 12, b'9')] {
        let mut bytes: Vec<u8> = scene.ask(redis::cmd("HGET").arg(&jobs).arg(id.as_str())).await;
        bytes[at] = byte;
        let _: () = scene.ask(redis::cmd("HSET").arg(&jobs).arg(id.as_str()).arg(&bytes)).await;
    }
    let before: Vec<Vec<u8>> =
        scene.ask(redis::cmd("HMGET").arg(&jobs).arg(ids[0].as_str()).arg(ids[1].as_str())).await;
    let worker = scene.worker().await.unwrap();
    let fetched = worker.fetch_busy(&["q"], 10).await.unwrap();
    assert_eq!((fetched.jobs.len(), fetched.unreadable.len()), (1, 2));
    assert_eq!(worker.held().await.unwrap().len(), 1);
    scene.advance(seconds(1));
    assert_eq!(scene.broker.promote_due(10).await.unwrap().count, 0);
    let after: Vec<Vec<u8>> = scene.ask(redis::cmd("HMGET").arg(&jobs).arg(ids[0].as_str()).arg(ids[1].as_str())).await;
    assert_eq!(before, after);
    let aside: u64 = scene.ask(redis::cmd("ZCARD").arg(scene.key("unreadable"))).await;
    let queue = scene.queue("q").await.unwrap();
    assert_eq!((aside, queue.parked, queue.scheduled, queue.running), (3, 3, 0, 1));
    assert!(scene.broker.job(&ids[0]).await.unwrap_err().to_string().contains(ids[0].as_str()));
}

/// What cannot be read can be revoked, and what can be read again runs when a worker comes.
#[tokio::test]
async fn records_that_were_kept_aside_can_be_revoked_and_released() {
    let scene = Scene::shared().await;
    let ids = scene.enqueue([job("q"), job("q"), job("q"), job("q")]).await.unwrap();
    let jobs = scene.key("jobs");
    let set_version = async |id: &JobId, version: u8| {
        let mut bytes: Vec<u8> = scene.ask(redis::cmd("HGET").arg(&jobs).arg(id.as_str())).await;
        bytes[12] = version;
        let _: () = scene.ask(redis::cmd("HSET").arg(&jobs).arg(id.as_str()).arg(&bytes)).await;
    };
    for id in &ids {
        set_version(id, b'9').await;
    }
    let early = scene.broker.revoke(&ids[..1], "ann").await.unwrap_err().to_string();
    assert!(early.contains(ids[0].as_str()) && early.contains("revoke it again"), "{early}");
    let worker = scene.worker().await.unwrap();
    assert_eq!(worker.fetch_busy(&["q"], 10).await.unwrap().unreadable.len(), 4);
    set_version(&ids[2], b'1').await;
    set_version(&ids[3], b'1').await;

    assert_eq!(scene.broker.revoke(&[ids[0].clone(), ids[2].clone()], "ann").await.unwrap(), [Revocation::Ended; 2]);
    assert_eq!(scene.broker.release_parked(&[task_name("any")], 10).await.unwrap(), 1);

    let queue = scene.queue("q").await.unwrap();
    assert_eq!((queue.ready, queue.parked), (1, 1));
    assert_eq!(worker.fetch_one("q").await.unwrap().record.id, ids[3]);
    let counts: Vec<String> = scene.ask(redis::cmd("HKEYS").arg(scene.key("counts"))).await;
    let left: Vec<_> = counts.iter().filter(|field| field.starts_with("shelved:")).collect();
    assert_eq!(left, [&format!("shelved:{}", ids[1])]);
}

/// What stands for a revoked job in the middle of a list holds none of its arguments.
#[tokio::test]
async fn a_revoked_job_keeps_no_memory() {
    let scene = Scene::shared().await;
    let mut large = with_payload(vec![b'1'; 100_000], "images");
    large.record.options.retries = Some(3);
    let id = scene.enqueue_one(large).await.unwrap();
    let revoked = scene.broker.revoke(std::slice::from_ref(&id), "ann").await.unwrap();
    assert_eq!(revoked, [Revocation::Ended]);
    let bytes: Vec<u8> = scene.ask(redis::cmd("HGET").arg(scene.key("jobs")).arg(id.as_str())).await;
    assert!((22..100).contains(&bytes.len()), "{} bytes", bytes.len());
    let stub = Record::decode(id, bytes).unwrap();
    assert_eq!((stub.queue.as_str(), stub.state, stub.payload.len()), ("images", State::Revoked, 0));
}
