//! How a reply travels: whole, or broken in one of the ways in which replies break.

use std::{fmt, io, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use futures_util::{Stream, StreamExt, stream};
use serde_json::Value;

use crate::{error::ApiError, faults::Fault, ledger::Entry};

/// Bytes of a dripping body that come at a time.
const DRIP_LEN: usize = 16;

/// A 200 with `body`, broken as `fault` says. `entry` stays open while the body drips.
pub(crate) fn answer(mut body: Vec<u8>, fault: Option<&Fault>, entry: Option<Entry>) -> Response {
    let promised = body.len();
    let stream = match fault {
        Some(Fault::Dropped) => {
            body.truncate(promised / 2);
            broken(body).left_stream()
        }
        Some(Fault::Closed) => broken(Vec::new()).left_stream(),
        Some(Fault::Dripping(pause)) => dripping(body, *pause, entry).right_stream(),
        Some(Fault::Truncated) => {
            body.truncate(promised / 2);
            return response(StatusCode::OK, Body::from(body), "application/json");
        }
        Some(Fault::Error(_) | Fault::Hanging | Fault::Failed(_)) | None => {
            return response(StatusCode::OK, Body::from(body), "application/json");
        }
    };
    let mut response = response(StatusCode::OK, Body::from_stream(stream), "application/json");
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(promised));
    response
}

/// Says which request this is the reply to.
pub(crate) fn name(response: &mut Response, header: HeaderName, id: &str) {
    response.headers_mut().insert(header, value(id));
}

/// A complete error reply; `standard` is its body in the form of the API in use.
pub(crate) fn error(error: &ApiError, standard: Value) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (body, content_type) = error.body(standard);
    let mut response = response(status, Body::from(body), content_type);
    if let Some(wait) = error.retry_after {
        let millis = wait.as_millis();
        let headers = response.headers_mut();
        headers.insert("retry-after-ms", value(millis));
        headers.insert(header::RETRY_AFTER, value(millis.div_ceil(1000)));
    }
    response
}

/// `start`, and then the connection breaks; without a start, nothing is sent at all.
fn broken(start: Vec<u8>) -> impl Stream<Item = io::Result<Bytes>> {
    let flush = !start.is_empty();
    let start = stream::iter(flush.then(|| Ok(Bytes::from(start))));
    let end = stream::once(async move {
        if flush {
            // Pending once, so that the start is on its way before the connection goes.
            tokio::task::yield_now().await;
        }
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    start.chain(end)
}

/// All of `body`, a little at a time.
fn dripping(
    body: Vec<u8>,
    pause: Duration,
    entry: Option<Entry>,
) -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold((Bytes::from(body), entry), move |(mut rest, entry)| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let drip = rest.split_to(DRIP_LEN.min(rest.len()));
        Some((Ok(drip), (rest, entry)))
    })
}

fn response(status: StatusCode, body: Body, content_type: &'static str) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn value(text: impl fmt::Display) -> HeaderValue {
    HeaderValue::from_str(&text.to_string()).expect("numbers and plain ASCII")
}
