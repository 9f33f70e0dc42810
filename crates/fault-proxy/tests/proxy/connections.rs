//! What happens to whole connections, to one or to all of them.

use celeriac_fault_proxy::{Commands, Fault, FaultProxy, Rule, Way};

use crate::support::{Talk, command, eventually, scene, server};

#[tokio::test]
async fn a_reset_is_a_reset_and_a_cut_is_none() {
    let scene = scene().await;
    let (mut one, mut other) = (scene.client().await, scene.client().await);
    assert_eq!(other.ask(&["PING"]).await, "+PONG\r\n");
    let order = scene.proxy.set(Rule::new(Commands::named("SET"), Fault::Reset));
    one.say(&command(&["SET", "a", "1"])).await;
    assert_eq!(one.rest().await, (String::new(), true));
    assert!(order.happened().await);
    assert_eq!(scene.get("a").await, None);
    assert_eq!(other.ask(&["PING"]).await, "+PONG\r\n", "the others go on");
    scene.proxy.reset();
    assert_eq!(other.rest().await, (String::new(), true));
    let mut cut = scene.client().await;
    assert_eq!(cut.ask(&["PING"]).await, "+PONG\r\n");
    scene.proxy.cut();
    assert_eq!(cut.rest().await, (String::new(), false));
    assert_eq!(scene.client().await.ask(&["PING"]).await, "+PONG\r\n");
}

#[tokio::test]
async fn a_refusing_proxy_cuts_old_and_new_connections_until_it_heals() {
    let scene = scene().await;
    let mut old = scene.client().await;
    assert_eq!(old.ask(&["PING"]).await, "+PONG\r\n");
    scene.proxy.refuse();
    assert_eq!(old.rest().await.0, "");
    assert_eq!(scene.client().await.rest().await.0, "");
    scene.proxy.heal();
    assert_eq!(scene.client().await.ask(&["PING"]).await, "+PONG\r\n");
}

#[tokio::test]
async fn a_half_open_connection_stays_silent_until_it_is_cut_by_healing() {
    let scene = scene().await;
    let (mut silent, mut other) = (scene.client().await, scene.client().await);
    let order = scene.proxy.set(Rule::new(Commands::holding("secret"), Fault::Vanish(Way::Both)));
    silent.say(&[command(&["SET", "secret", "1"]), command(&["SET", "after", "1"])].concat()).await;
    assert!(order.happened().await);
    assert_eq!(other.ask(&["SET", "x", "1"]).await, "+OK\r\n", "the others go on");
    assert_eq!((scene.get("secret").await, scene.get("after").await), (None, None));
    assert!(silent.is_silent());
    scene.proxy.heal();
    assert_eq!(silent.rest().await.0, "");
    assert_eq!(other.ask(&["PING"]).await, "+PONG\r\n", "nothing is missing there");
    assert_eq!(scene.get("secret").await, None);
}

#[tokio::test]
async fn in_a_one_way_partition_commands_arrive_and_answers_do_not() {
    let scene = scene().await;
    let mut old = scene.client().await;
    assert_eq!(old.ask(&["PING"]).await, "+PONG\r\n");
    scene.proxy.vanish(Way::ToClient);
    let mut new = scene.client().await;
    old.say(&command(&["SET", "old", "1"])).await;
    new.say(&command(&["SET", "new", "1"])).await;
    eventually(async || scene.get("old").await.is_some() && scene.get("new").await.is_some()).await;
    assert!(old.is_silent() && new.is_silent());
    scene.proxy.heal();
    assert_eq!((old.rest().await.0, new.rest().await.0), (String::new(), String::new()));
}

#[tokio::test]
async fn the_server_does_not_see_the_end_of_a_client_behind_a_partition() {
    let scene = scene().await;
    let mut client = scene.client().await;
    client.say(&command(&["BLPOP", "list", "0"])).await;
    let mut straight = scene.straight().await;
    eventually(async || straight.ask(&["INFO", "clients"]).await.contains("blocked_clients:1")).await;
    scene.proxy.vanish(Way::ToServer);
    drop(client);
    // Each round lets the proxy, on the same thread, see what has happened.
    for _ in 0..50 {
        straight.ask(&["PING"]).await;
    }
    // The token is popped for a client that is not there any more: the price of a half-open connection.
    straight.ask(&["RPUSH", "list", "token"]).await;
    eventually(async || straight.ask(&["LLEN", "list"]).await == ":0\r\n").await;
    scene.proxy.heal();
    eventually(async || straight.ask(&["INFO", "clients"]).await.contains("connected_clients:1\r\n")).await;
}

#[tokio::test]
async fn what_was_held_back_arrives_even_of_a_client_that_has_gone() {
    let scene = scene().await;
    let (mut stays, mut leaves) = (scene.client().await, scene.client().await);
    assert_eq!(leaves.ask(&["PING"]).await, "+PONG\r\n");
    scene.proxy.hold(Way::Both);
    stays.say(&command(&["INCR", "n"])).await;
    leaves.say(&command(&["SET", "late", "1"])).await;
    drop(leaves);
    assert_eq!((scene.get("n").await, scene.get("late").await), (None, None));
    assert!(stays.is_silent());
    scene.proxy.heal();
    stays.hear(":1\r\n").await;
    eventually(async || scene.get("late").await.is_some()).await;
    assert_eq!(stays.ask(&["INCR", "n"]).await, ":2\r\n", "the connection goes on");
}

#[tokio::test]
async fn one_connection_is_held_back_from_a_command_on() {
    let scene = scene().await;
    let (mut held, mut other) = (scene.client().await, scene.client().await);
    let order = scene.proxy.set(Rule::new(Commands::named("INCR"), Fault::Hold(Way::ToServer)));
    held.say(&command(&["INCR", "n"])).await;
    assert!(order.happened().await);
    assert_eq!(other.ask(&["INCR", "n"]).await, ":1\r\n");
    assert!(held.is_silent());
    scene.proxy.heal();
    held.hear(":2\r\n").await;
}

#[tokio::test]
async fn new_connections_lead_to_the_server_that_was_switched_to() {
    let scene = scene().await;
    let second = server().await;
    let mut old = scene.client().await;
    assert_eq!(old.ask(&["SET", "first", "1"]).await, "+OK\r\n");
    scene.proxy.switch_to(second.port());
    assert_eq!(scene.client().await.ask(&["GET", "first"]).await, "$-1\r\n");
    assert_eq!(old.ask(&["GET", "first"]).await, "$1\r\n1\r\n", "the old connection stays");
    scene.proxy.cut();
    assert_eq!(old.rest().await.0, "");
}

#[tokio::test]
async fn a_server_that_is_away_is_a_closed_connection_and_back_it_is_used() {
    let scene = scene().await;
    let mut old = scene.client().await;
    assert_eq!(old.ask(&["PING"]).await, "+PONG\r\n");
    scene.server.kill();
    assert_eq!(old.rest().await.0, "");
    assert_eq!(scene.client().await.rest().await.0, "");
    scene.server.restart().unwrap();
    assert_eq!(scene.client().await.ask(&["PING"]).await, "+PONG\r\n");
}

#[tokio::test]
async fn a_connection_that_speaks_something_else_is_cut() {
    let scene = scene().await;
    let mut client = scene.client().await;
    client.say("*1\r\nnonsense\r\n").await;
    assert_eq!(client.rest().await.0, "");
}

#[tokio::test]
async fn a_dropped_proxy_leaves_no_connection() {
    let server = server().await;
    let proxy = FaultProxy::start(server.port()).await.unwrap();
    let mut client = Talk::to(proxy.port()).await;
    assert_eq!(client.ask(&["PING"]).await, "+PONG\r\n");
    drop(proxy);
    assert_eq!(client.rest().await.0, "");
}
