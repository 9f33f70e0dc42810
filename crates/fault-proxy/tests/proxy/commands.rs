//! What happens to single commands, their answers, and the messages of subscriptions.

use std::time::{Duration, Instant};

use celeriac_fault_proxy::{Answer, Commands, Fault, Rule, What};

use crate::support::{command, eventually, scene};

#[tokio::test]
async fn what_is_not_meant_passes_as_it_is() {
    let scene = scene().await;
    let mut client = scene.client().await;
    let long = "x".repeat(3 << 20);
    client
        .say(&[command(&["SET", "a", &long]), "PING\r\n".into(), "\r\n".into(), command(&["GET", "a"])].concat())
        .await;
    client.hear(&format!("+OK\r\n+PONG\r\n${}\r\n{long}\r\n", long.len())).await;
    client.say(&command(&["HELLO", "3"])).await;
    client.until("modules\r\n*0\r\n").await;
    client.say(&[command(&["SUBSCRIBE", "c", "d"]), command(&["ECHO", "end"])].concat()).await;
    let heard = client.until("$3\r\nend\r\n").await;
    assert!(heard.ends_with(">3\r\n$9\r\nsubscribe\r\n$1\r\nd\r\n:2\r\n$3\r\nend\r\n"), "{heard}");
    client.say("QUIT\r\n").await;
    assert_eq!(client.rest().await.0, "+OK\r\n");
    assert!(scene.proxy.events().is_empty());
}

#[tokio::test]
async fn a_lost_answer_was_a_command_carried_out_and_a_lost_command_was_not() {
    let scene = scene().await;
    let (mut first, mut second) = (scene.client().await, scene.client().await);
    let lost = scene.proxy.lose_answer_to("kept");
    first.say(&[command(&["ECHO", "before"]), command(&["SET", "kept", "1"]), "PING\r\n".into()].concat()).await;
    assert_eq!(first.rest().await.0, "$6\r\nbefore\r\n", "what comes before it is answered");
    assert!(lost.happened().await);
    assert_eq!(scene.get("kept").await.unwrap(), "1");
    let lost = scene.proxy.lose_command("never");
    second.say(&command(&["SET", "never", "1"])).await;
    assert_eq!(second.rest().await.0, "");
    assert!(lost.happened().await);
    assert_eq!(scene.get("never").await, None);
    assert_eq!(scene.client().await.ask(&["PING"]).await, "+PONG\r\n", "each happens once");
}

#[tokio::test]
async fn an_answer_is_lost_whose_command_was_under_way() {
    let scene = scene().await;
    let mut client = scene.client().await;
    client.say(&[command(&["ECHO", "x"]), command(&["BLPOP", "list", "0"])].concat()).await;
    client.hear("$1\r\nx\r\n").await;
    let lost = scene.proxy.set(Rule::new(Commands::named("blpop"), Fault::CutAnswer { at: 0 }));
    scene.straight().await.ask(&["RPUSH", "list", "token"]).await;
    assert_eq!(client.rest().await.0, "");
    assert!(lost.happened().await);
    assert_eq!(scene.straight().await.ask(&["LLEN", "list"]).await, ":0\r\n");
}

#[tokio::test]
async fn a_command_cut_at_any_byte_is_carried_out_only_if_it_is_whole() {
    let scene = scene().await;
    let length = command(&["INCR", "n"]).len();
    for at in 0..=length + 1 {
        let mut client = scene.client().await;
        let cut = scene.proxy.set(Rule::new(Commands::named("INCR"), Fault::CutCommand { at }));
        client.say(&command(&["INCR", "n"])).await;
        assert_eq!(client.rest().await.0, "");
        assert!(cut.happened().await);
        assert_eq!(scene.get("n").await.is_some(), at >= length, "{at} of {length} bytes");
    }
    assert_eq!(scene.get("n").await.unwrap(), "2");
}

#[tokio::test]
async fn an_answer_cut_at_any_byte_ends_there() {
    let scene = scene().await;
    let answer = "$5\r\nhello\r\n";
    for at in 0..=answer.len() + 1 {
        let mut client = scene.client().await;
        scene.proxy.set(Rule::new(Commands::any(), Fault::CutAnswer { at }));
        client.say(&command(&["ECHO", "hello"])).await;
        assert_eq!(client.rest().await.0, answer[..at.min(answer.len())]);
    }
}

#[tokio::test]
async fn answers_in_the_servers_place_come_in_their_turn() {
    let scene = scene().await;
    let mut client = scene.client().await;
    for (answer, code) in [
        (Answer::ReadOnly, "READONLY"),
        (Answer::Loading, "LOADING"),
        (Answer::OutOfMemory, "OOM"),
        (Answer::Moved, "MOVED"),
        (Answer::ClusterDown, "CLUSTERDOWN"),
        (Answer::Busy, "BUSY"),
        (Answer::NoScript, "NOSCRIPT"),
        (Answer::MasterDown, "MASTERDOWN"),
        (Answer::Error("ERR of mine".into()), "ERR"),
    ] {
        let order = scene.proxy.set(Rule::new(Commands::named("SET"), Fault::Answer(answer)).times(2));
        let commands = [command(&["BLPOP", "l", "0"]), command(&["SET", "a", "1"]), "SET a 2\r\nPING\r\n".into()];
        client.say(&commands.concat()).await;
        assert!(order.happened().await);
        scene.straight().await.ask(&["RPUSH", "l", "x"]).await;
        client.hear("*2\r\n$1\r\nl\r\n$1\r\nx\r\n").await;
        for _ in 0..2 {
            let line = client.line().await;
            assert!(line.starts_with(&format!("-{code} ")), "{line}");
        }
        client.hear("+PONG\r\n").await;
        assert_eq!(order.times(), 2);
    }
    assert_eq!(scene.get("a").await, None);
    assert_eq!(client.ask(&["SET", "a", "3"]).await, "+OK\r\n");
}

#[tokio::test]
async fn a_rule_for_all_commands_lets_handshakes_pass_and_stands_until_it_is_lifted() {
    let scene = scene().await;
    let order = scene.proxy.set(Rule::new(Commands::any(), Fault::Answer(Answer::Loading)).always());
    let mut client = scene.client().await;
    assert_eq!(client.ask(&["CLIENT", "SETNAME", "me"]).await, "+OK\r\n");
    for _ in 0..3 {
        assert!(client.ask(&["GET", "a"]).await.starts_with("-LOADING "));
    }
    assert_eq!(order.times(), 3);
    let noted = |what: &What| matches!(what, What::Fault(Fault::Answer(Answer::Loading)));
    let events = scene.proxy.events();
    assert_eq!(events.iter().filter(|event| noted(&event.what)).count(), 1, "noted once: {events:?}");
    assert_eq!(events[0].to_string(), "connection 1: answered LOADING (GET)");
    order.lift();
    assert_eq!(client.ask(&["GET", "a"]).await, "$-1\r\n");
}

#[tokio::test]
async fn an_order_that_was_lifted_is_not_waited_for() {
    let scene = scene().await;
    let (lifted, healed) = (scene.proxy.lose_answer_to("x"), scene.proxy.lose_command("y"));
    lifted.lift();
    assert!(!lifted.happened().await);
    scene.proxy.heal();
    assert!(!healed.happened().await);
    assert_eq!(scene.client().await.ask(&["SET", "x", "y"]).await, "+OK\r\n");
}

#[tokio::test]
async fn what_is_late_is_late_together_each_way() {
    let scene = scene().await;
    let mut client = scene.client().await;
    let (command_delay, answer_delay) = (Duration::from_millis(150), Duration::from_millis(100));
    let delay = Fault::Delay { command: command_delay, answer: answer_delay };
    let order = scene.proxy.set(Rule::new(Commands::named("INCR"), delay).always());
    let began = Instant::now();
    client.say(&command(&["INCR", "n"]).repeat(200)).await;
    eventually(async || scene.get("n").await.is_some()).await;
    assert!(began.elapsed() >= command_delay);
    client.hear(":1\r\n").await;
    assert!(began.elapsed() >= command_delay + answer_delay);
    client.until(":200\r\n").await;
    assert!(began.elapsed() < 200 * command_delay, "they wait side by side");
    assert_eq!(order.times(), 200);
}

#[tokio::test]
async fn messages_are_lost_in_both_protocols_and_answers_are_not() {
    let scene = scene().await;
    for (hello, mark) in [("2", '*'), ("3", '>')] {
        let mut client = scene.client().await;
        client.say(&command(&["HELLO", hello])).await;
        client.until("modules\r\n*0\r\n").await;
        client.say(&command(&["SUBSCRIBE", "lost", "kept"])).await;
        client.until(":2\r\n").await;
        let order = scene.proxy.set(Rule::new(Commands::holding("lost"), Fault::LosePush));
        let mut straight = scene.straight().await;
        assert_eq!(straight.ask(&["PUBLISH", "lost", "1"]).await, ":1\r\n");
        assert!(order.happened().await);
        for channel in ["kept", "lost"] {
            straight.ask(&["PUBLISH", channel, "2"]).await;
            let message = format!("{mark}3\r\n$7\r\nmessage\r\n$4\r\n{channel}\r\n$1\r\n2\r\n");
            client.hear(&message).await;
        }
    }
}
