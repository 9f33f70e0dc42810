//! Three pages: `/livez` and `/readyz` for probes, `/metrics` for Prometheus.

use std::convert::Infallible;
use std::net::TcpListener;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::cli::health::{Shown, stopped};

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pause after a connection could not be accepted, as when no more files may be open.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Serves until it is told to stop.
pub(super) async fn serve(listener: TcpListener, shown: Shown, mut stop: watch::Receiver<bool>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "health cannot be told");
            return;
        }
    };
    loop {
        tokio::select! {
            () = stopped(&mut stop) => return,
            accepted = listener.accept() => match accepted {
                // The task ends with its one request, its patience, or this runtime.
                Ok((stream, _)) => drop(tokio::spawn(answer(stream, shown.clone()))),
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be accepted");
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
            },
        }
    }
}

async fn answer(stream: TcpStream, shown: Shown) {
    let service = service_fn(|request: Request<Incoming>| {
        let shown = shown.clone();
        async move { Ok::<_, Infallible>(page(request.method(), request.uri().path(), &shown).await) }
    });
    let mut connection = http1::Builder::new();
    connection.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a request for health failed");
    }
}

async fn page(method: &Method, path: &str, shown: &Shown) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET is answered here\n".to_owned());
    }
    match path {
        "/livez" => probe(shown.health().and_then(|health| health.stuck)),
        "/readyz" => probe(match shown.health() {
            Some(health) => health.stuck.or(health.unready),
            None => Some("the process waits for its store".to_owned()),
        }),
        "/metrics" => response(StatusCode::OK, PROMETHEUS, shown.metrics().await),
        _ => response(StatusCode::NOT_FOUND, TEXT, "there are /livez, /readyz and /metrics\n".to_owned()),
    }
}

fn probe(trouble: Option<String>) -> Response<Full<Bytes>> {
    match trouble {
        None => response(StatusCode::OK, TEXT, "ok\n".to_owned()),
        Some(trouble) => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{trouble}\n")),
    }
}

fn response(status: StatusCode, kind: HeaderValue, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
