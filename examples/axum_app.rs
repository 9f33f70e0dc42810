//! A service on axum: requests enqueue and ask how far it is, and a worker runs in the same process.
//!
//! Run it with `cargo run --example axum_app`, then
//! `curl -X POST -H 'content-type: application/json' -d '{"text": "one two"}' localhost:3000/jobs` and `curl localhost:3000/jobs/ID`.
//! Environment: `CELERIAC_BROKER` is the store, `ADDRESS` where to listen, and with `WORKER=off` other processes do the work.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use celeriac::{Client, Context, JobId, TaskError, Tasks, Worker};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Also what is posted: the arguments of the job are the body of the request.
#[celeriac::task("words.count", retries = 3, timeout = "1m")]
async fn count_words(text: String, context: Context) -> Result<usize, TaskError> {
    for (done, _) in (1..).zip(text.split_whitespace()) {
        context.progress(done, None, "counting");
        // The pause stands for work.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(text.split_whitespace().count())
}

type Refusal = (StatusCode, String);

fn unavailable(error: impl std::fmt::Display) -> Refusal {
    (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

/// An answer of 202 is a promise: the job is stored.
async fn submit(
    State(client): State<Client>,
    Json(job): Json<count_words>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let job = client.enqueue(job).await.map_err(unavailable)?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "id": job.id() }))))
}

async fn show(State(client): State<Client>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let id = JobId::new(id).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    let job = client.handle::<count_words>(id);
    let Some(view) = job.status().await.map_err(unavailable)? else {
        return Err((StatusCode::NOT_FOUND, format!("there is no job {}", job.id())));
    };
    let progress = job.notes().await.map_err(unavailable)?.progress;
    Ok(Json(json!({ "state": view.state, "progress": progress, "result": view.result, "error": view.error })))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let setting = |name: &str, default: &str| std::env::var(name).unwrap_or(default.to_owned());
    let client = Client::connect(&setting("CELERIAC_BROKER", "sqlite:axum_app.db")).await?;
    let router = Router::new().route("/jobs", post(submit)).route("/jobs/{id}", get(show)).with_state(client.clone());
    let listener = tokio::net::TcpListener::bind(setting("ADDRESS", "127.0.0.1:3000")).await?;
    println!("listening on {}", listener.local_addr()?);
    let shutdown = CancellationToken::new();
    let server = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let (mut terminate, told) = (signal(SignalKind::terminate())?, shutdown.clone());
    tokio::spawn(async move {
        tokio::select! { _ = tokio::signal::ctrl_c() => {}, _ = terminate.recv() => {} }
        told.cancel();
    });
    if setting("WORKER", "on") == "off" {
        return Ok(server.await?);
    }
    // Both are told at once, and each finishes what it has begun. If they are killed, others have the jobs five seconds later.
    let worker = Worker::builder(client, Tasks::new().task::<count_words>()).lease(Duration::from_secs(5)).build()?;
    let (served, worked) = tokio::join!(server.into_future(), worker.run_until(shutdown.cancelled_owned()));
    served?;
    println!("{} jobs done", worked?.succeeded);
    Ok(())
}
