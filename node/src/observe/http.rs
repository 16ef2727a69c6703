//! Plain HTTP for a scraper and for probes: `/metrics`, `/livez`, `/readyz`. One request a connection,
//! few connections at once, and each has to be quick; nothing that is served here changes anything.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway::limits::{OBSERVE_CONNECTIONS_MAX, OBSERVE_HEAD_MILLIS_MAX};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::{Observed, metrics, probes};

/// Answers until the task is dropped.
pub async fn serve(listener: TcpListener, observed: Arc<Observed>) {
    let places = Arc::new(Semaphore::new(OBSERVE_CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection to the observation address could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let observed = Arc::clone(&observed);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let observed = Arc::clone(&observed);
                async move { Ok::<_, Infallible>(answer(&observed, &request)) }
            });
            let head = Duration::from_millis(OBSERVE_HEAD_MILLIS_MAX);
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(head)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // Whoever reads slowly or hangs up has its answer or not; the next one asks anew.
            let _ = tokio::time::timeout(2 * head, connection).await;
            drop(place);
        });
    }
}

fn answer<B>(observed: &Observed, request: &Request<B>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "GET");
        refused.headers_mut().insert(ALLOW, http::HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        "/metrics" => {
            let body = metrics::render(observed);
            response(StatusCode::OK, metrics::CONTENT_TYPE, body.into())
        }
        "/livez" => probe(&probes::livez(observed)),
        "/readyz" => probe(&probes::readyz(observed)),
        _ => text(StatusCode::NOT_FOUND, "/metrics /livez /readyz"),
    }
}

fn probe(answer: &probes::Answer) -> Response<Full<Bytes>> {
    let status = if answer.well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    response(status, "application/json", format!("{}\n", answer.body).into())
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", format!("{text}\n").into())
}

fn response(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}
