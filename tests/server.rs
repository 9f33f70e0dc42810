//! A worker beside an axum server in one process: requests enqueue, the worker answers, and both stop in order.
#![expect(clippy::unwrap_used, reason = "a step that fails ends its test, in helpers too")]

use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use celeriac::{Client, TaskError, Tasks, Worker, task};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

#[task("double")]
async fn double(number: u64) -> Result<u64, TaskError> {
    Ok(number * 2)
}

async fn submit(State(client): State<Client>, Path(number): Path<u64>) -> Json<u64> {
    let job = client.enqueue(double { number }).await.unwrap();
    Json(job.result().await.unwrap())
}

/// Posts to a path and returns the whole answer.
async fn request(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_runs_beside_a_server_and_both_stop_in_order() {
    let client = Client::connect("sqlite::memory:").await.unwrap();
    let router = Router::new().route("/double/{number}", post(submit)).with_state(client.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let worker = Worker::builder(client, Tasks::new().task::<double>()).build().unwrap();
    let serve = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let app = async { tokio::join!(serve, worker.run_until(shutdown.clone().cancelled_owned())) };

    let visit = async {
        let answer = request(address, "/double/21").await;
        shutdown.cancel();
        answer
    };
    let ((served, worked), answer) = tokio::join!(app, visit);

    served.unwrap();
    assert_eq!(worked.unwrap().succeeded, 1);
    assert!(answer.ends_with("42"), "{answer}");
}
