//! The child server does what the tests that use it rely on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use celeriac_testkit::{RedisOptions, RedisServer, shared_redis};

/// Sends commands and reads until the other side closes.
fn talk(port: u16, commands: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
    stream.write_all(commands.as_bytes()).expect("commands can be sent");
    let mut answer = String::new();
    // A cut connection ends in an error after what came before it.
    drop(stream.read_to_string(&mut answer));
    answer
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
