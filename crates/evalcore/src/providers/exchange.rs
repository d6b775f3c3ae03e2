//! One request over HTTP and the answer as it came.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::{Endpoint, Failure};

/// Largest body of an answer that is read, in bytes.
const MAX_BODY: usize = 64 << 20;

pub(super) async fn post(
    endpoint: &Endpoint,
    path: &str,
    body: Vec<u8>,
    request_id: &str,
) -> Result<(u16, HeaderMap, Vec<u8>), Failure> {
    let mut request = endpoint
        .client
        .post(format!("{}{path}", endpoint.base_url))
        .header("content-type", "application/json")
        .header("x-client-request-id", request_id)
        .body(body);
    if let Some(key) = &endpoint.key {
        request = request.header("authorization", key.bearer()?);
    }
    for (name, value) in [
        ("openai-organization", &endpoint.organization),
        ("openai-project", &endpoint.project),
    ] {
        if let Some(value) = value {
            let value = HeaderValue::from_str(value).map_err(|_| Failure::Unsendable {
                reason: format!("`{name}` holds characters that no header can carry"),
            })?;
            request = request.header(HeaderName::from_static(name), value);
        }
    }
    let mut response = request.send().await.map_err(|error| network(&error))?;
    let status = response.status().as_u16();
    let headers = std::mem::take(response.headers_mut());
    let mut body =
        Vec::with_capacity(response.content_length().unwrap_or(4096).min(1 << 20) as usize);
    while let Some(chunk) = response.chunk().await.map_err(|error| network(&error))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(Failure::Unreadable {
                reason: format!("more than {MAX_BODY} bytes"),
            });
        }
        body.extend_from_slice(&chunk);
    }
    // A gateway may echo what it was sent: no key gets past this line.
    if let Some(key) = &endpoint.key {
        key.scrub(&mut body);
    }
    Ok((status, headers, body))
}

/// The innermost cause says what happened; the outer ones only repeat the URL.
fn network(error: &reqwest::Error) -> Failure {
    if error.is_builder() {
        return Failure::Unsendable {
            reason: error.to_string(),
        };
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let phase = if error.is_connect() { "connect: " } else { "" };
    Failure::Network {
        reason: format!("{phase}{cause}"),
    }
}

pub(super) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// The server's own id of the request; Anthropic's header has the shorter name.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    header(headers, "x-request-id").or_else(|| header(headers, "request-id"))
}
