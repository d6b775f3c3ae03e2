//! How a reply travels: whole, or broken in one of the ways in which replies break.

use std::io;

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use futures_util::{StreamExt, stream};

use crate::error::ApiError;

/// A complete 200.
pub(crate) fn whole(body: Vec<u8>, number: u64) -> Response {
    response(StatusCode::OK, Body::from(body), number)
}

/// A complete 200 with the first half of `body`.
pub(crate) fn truncated(mut body: Vec<u8>, number: u64) -> Response {
    body.truncate(body.len() / 2);
    whole(body, number)
}

/// A 200 that promises all of `body`, sends the first half, and breaks the connection.
pub(crate) fn dropped(mut body: Vec<u8>, number: u64) -> Response {
    let promised = HeaderValue::from(body.len());
    body.truncate(body.len() / 2);
    let half = stream::once(async { Ok(Bytes::from(body)) });
    let end = stream::once(async {
        // Pending once, so that the half is on its way before the connection goes.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    let mut response = response(StatusCode::OK, Body::from_stream(half.chain(end)), number);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, promised);
    response
}

/// A complete error reply.
pub(crate) fn error(error: &ApiError, number: u64) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = response(status, Body::from(error.body().to_string()), number);
    if let Some(wait) = error.retry_after {
        let millis = wait.as_millis();
        let headers = response.headers_mut();
        headers.insert("retry-after-ms", value(millis));
        headers.insert(header::RETRY_AFTER, value(millis.div_ceil(1000)));
    }
    response
}

fn response(status: StatusCode, body: Body, number: u64) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert("x-request-id", value(format_args!("req_mock{number}")));
    response
}

fn value(text: impl std::fmt::Display) -> HeaderValue {
    HeaderValue::from_str(&text.to_string()).expect("numbers and plain ASCII")
}
