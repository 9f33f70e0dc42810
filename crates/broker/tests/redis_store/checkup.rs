//! What a server says about itself: to whom it may, and without a trace.

use celeriac_broker::{Finding, Grade, Inspector as _, StoreClock, StoreUrl, redis::RedisBroker};
use celeriac_testkit::RedisOptions;

use crate::support::{Scene, raw, start};

fn finding<'f>(findings: &'f [Finding], check: &str) -> &'f Finding {
    findings.iter().find(|finding| finding.check == check).unwrap()
}

#[tokio::test]
async fn a_checkup_leaves_no_key_behind() {
    let scene = Scene::shared().await;
    let findings = scene.store.checkup().await.unwrap().findings;
    assert_eq!(finding(&findings, "permissions").grade, Grade::Good, "{findings:?}");
    assert!(scene.keys().await.is_empty());
}

#[tokio::test]
async fn what_a_crash_loses_and_a_full_memory_does_is_read_from_the_server() {
    let options = RedisOptions::default().option("--maxmemory", "200mb").option("--maxmemory-policy", "allkeys-lru");
    let (scene, _server) = Scene::alone(&options.option("--save", "3600 1")).await;
    let findings = scene.store.checkup().await.unwrap().findings;
    assert!(finding(&findings, "persistence").detail.contains("(save 3600 1)"), "{findings:?}");
    assert_eq!(finding(&findings, "eviction").grade, Grade::Bad);
    assert!(finding(&findings, "memory").detail.contains("maxmemory"), "{findings:?}");
}

#[tokio::test]
async fn a_user_who_may_not_ask_is_told_so_and_one_who_may_not_write_fails() {
    let server = start(&RedisOptions::default()).await;
    let mut raw = raw(&server.url()).await;
    let mut judge = async |name: &str, rules: &[&str]| {
        let rules = [&["on", ">word", "~{celeriac}:*", "&{celeriac}:*"], rules].concat();
        let _: () = redis::cmd("ACL").arg("SETUSER").arg(name).arg(&rules).query_async(&mut raw).await.unwrap();
        let url: StoreUrl = format!("redis://{name}:word@127.0.0.1:{}", server.port()).parse().unwrap();
        let broker = RedisBroker::connect(&url, StoreClock::Store).await.unwrap();
        broker.checkup().await.unwrap()
    };
    let blind = judge("blind", &["+@all", "-@admin", "-info"]).await;
    assert_eq!(blind.worst(), Grade::Doubtful, "{blind:?}");
    assert!(finding(&blind.findings, "server").detail.contains("could not read INFO"), "{blind:?}");
    let mute = judge("mute", &["+@all", "-publish", "-blpop"]).await;
    let found = finding(&mute.findings, "permissions");
    assert_eq!(found.grade, Grade::Bad);
    assert!(found.detail.contains("refuses PUBLISH BLPOP"), "{found:?}");
    let late = judge("late", &["+@all", "-xadd", "-xread", "-xrevrange", "-xlen", "-zmscore"]).await;
    let found = finding(&late.findings, "permissions");
    assert!(found.detail.contains("refuses ZMSCORE XADD XLEN XREVRANGE XREAD"), "{found:?}");
    let bound = judge("bound", &["+@all", "-evalsha"]).await;
    assert!(finding(&bound.findings, "permissions").detail.contains("no script can be run"), "{bound:?}");
}

#[tokio::test]
async fn a_full_server_is_bad() {
    let (scene, _server) = Scene::alone(&RedisOptions::default()).await;
    let _: () = scene.ask(redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1000")).await;
    let found = scene.store.checkup().await.unwrap();
    let memory = finding(&found.findings, "memory");
    assert_eq!((memory.grade, memory.detail.contains("new jobs are refused now")), (Grade::Bad, true), "{memory:?}");
}

#[tokio::test]
async fn a_replica_is_found_out() {
    let (scene, _server) = Scene::alone(&RedisOptions::default()).await;
    let _: () = scene.ask(redis::cmd("REPLICAOF").arg("127.0.0.1").arg("1")).await;
    let found = scene.store.checkup().await.unwrap();
    assert_eq!(finding(&found.findings, "role").grade, Grade::Bad, "{found:?}");
}
