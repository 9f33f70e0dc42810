//! Plans, carried out on connections at work.

use std::time::Duration;

use celeriac_fault_proxy::{Kind, Plan, What};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::scene;

/// Sends one command after the other and connects again when the connection ends or falls silent, as long as it is awaited.
async fn work(port: u16) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    loop {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
        loop {
            let sent = stream.write_all(b"EVALSHA nothing 1 key\r\nPING\r\n").await;
            let answer = timeout(Duration::from_millis(20), stream.read(&mut [0; 256])).await;
            if sent.is_err() || !matches!(answer, Ok(Ok(1..))) {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_does_what_it_says_and_leaves_nothing_behind() {
    let scene = scene().await;
    let millis = Duration::from_millis;
    for kind in Kind::ALL {
        let plan =
            Plan::from_seed(5).only(&[kind]).faults(3).pauses(millis(1)..=millis(5)).lasting(millis(30)..=millis(60));
        let before = scene.proxy.events().len();
        tokio::select! {
            () = scene.proxy.run_plan(&plan) => {}
            () = work(scene.proxy.port()) => {}
        }
        let done = &scene.proxy.events()[before..];
        // Nobody subscribes here.
        assert!(kind == Kind::LostPush || !done.is_empty(), "{kind:?}");
        assert!(done.windows(2).all(|two| two[0].at <= two[1].at));
        assert_eq!(scene.client().await.ask(&["PING"]).await, "+PONG\r\n", "after {kind:?}");
    }
}

#[tokio::test]
async fn a_plan_that_is_dropped_ends_what_it_had_begun() {
    let scene = scene().await;
    let hour = Duration::from_secs(3600);
    for kind in [Kind::Refuse, Kind::HalfOpen, Kind::Partition, Kind::Answer] {
        let plan = Plan::from_seed(1).only(&[kind]).pauses(Duration::ZERO..=Duration::ZERO).lasting(hour..=hour);
        drop(timeout(Duration::from_millis(20), scene.proxy.run_plan(&plan)).await);
        assert_eq!(scene.client().await.ask(&["PING"]).await, "+PONG\r\n", "after {kind:?}");
    }
    assert_eq!(scene.proxy.events().last().unwrap().what, What::Heal);
}
