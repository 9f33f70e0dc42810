//! The child server and the proxy do what the tests that use them rely on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use celeriac_testkit::{RedisOptions, RedisServer, SwallowingProxy, shared_redis};

/// Sends commands and reads until the other side closes.
fn talk(port: u16, commands: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
    stream.write_all(commands.as_bytes()).expect("commands can be sent");
    let mut answer = String::new();
    // A cut connection ends in an error after what came before it.
    drop(stream.read_to_string(&mut answer));
    answer
}

async fn talk_through(port: u16, commands: &'static str) -> String {
    tokio::task::spawn_blocking(move || talk(port, commands)).await.expect("talking does not panic")
}

#[test]
fn an_append_only_server_keeps_its_data_through_a_kill() {
    let server = RedisServer::start(&RedisOptions::default().append_only());
    talk(server.port(), "SET a 1\r\nQUIT\r\n");
    server.kill();
    assert!(TcpStream::connect(("127.0.0.1", server.port())).is_err());
    server.restart();
    assert!(talk(server.port(), "GET a\r\nQUIT\r\n").contains("$1\r\n1\r\n"));
}

#[test]
fn a_server_with_a_password_starts_and_asks_for_it() {
    let server = RedisServer::start(&RedisOptions::default().password("sesame"));
    assert!(talk(server.port(), "GET a\r\nQUIT\r\n").starts_with("-NOAUTH"));
    assert!(server.url().expose().contains(":sesame@"));
}

#[test]
fn a_dropped_server_leaves_neither_process_nor_files() {
    let server = RedisServer::start(&RedisOptions::default());
    let info = talk(server.port(), "INFO server\r\nCONFIG GET dir\r\nQUIT\r\n");
    let process = info.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap().to_owned();
    let directory = PathBuf::from(info.lines().rfind(|line| line.starts_with('/')).unwrap());
    assert!(directory.is_dir(), "{}", directory.display());
    drop(server);
    assert!(!directory.exists());
    assert!(!Command::new("kill").args(["-0", &process]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_servers_are_one_with_many_prefixes() {
    let (first, second) = tokio::join!(shared_redis(), shared_redis());
    assert_eq!(first.address(), second.address());
    assert_ne!(first.namespace(), second.namespace());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_was_a_command_carried_out() {
    let server = RedisServer::start(&RedisOptions::default());
    let proxy = SwallowingProxy::start(server.port()).await;
    assert!(talk_through(proxy.port(), "PING\r\nQUIT\r\n").await.contains("+PONG"));
    proxy.lose_answer_to("SET a");
    assert_eq!(talk_through(proxy.port(), "SET a 1\r\n").await, "");
    proxy.lost().await;
    assert!(talk_through(proxy.port(), "GET a\r\nQUIT\r\n").await.contains("$1\r\n1\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_command_was_not_carried_out() {
    let server = RedisServer::start(&RedisOptions::default());
    let proxy = SwallowingProxy::start(server.port()).await;
    proxy.lose_command("SET a");
    assert_eq!(talk_through(proxy.port(), "SET a 1\r\n").await, "");
    proxy.lost().await;
    assert!(talk_through(proxy.port(), "GET a\r\nQUIT\r\n").await.contains("$-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusing_proxy_cuts_old_and_new_connections_until_it_passes() {
    let server = RedisServer::start(&RedisOptions::default());
    let proxy = SwallowingProxy::start(server.port()).await;
    let old = tokio::task::spawn_blocking({
        let port = proxy.port();
        move || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
            stream.write_all(b"PING\r\n").expect("a command can be sent");
            let mut answer = [0; 7];
            stream.read_exact(&mut answer).expect("the answer comes before the cut");
            (stream, answer)
        }
    });
    // The server knowing the connection is not enough: its answer must have come through, or the cut takes it too.
    let (mut old, answer) = old.await.unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
    proxy.refuse();
    let rest = tokio::task::spawn_blocking(move || old.read(&mut [0; 1])).await.unwrap();
    assert!(!matches!(rest, Ok(1..)), "{rest:?}");
    assert_eq!(talk_through(proxy.port(), "PING\r\nQUIT\r\n").await, "");
    proxy.pass();
    assert!(talk_through(proxy.port(), "PING\r\nQUIT\r\n").await.contains("+PONG"));
}
