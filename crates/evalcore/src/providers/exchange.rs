//! One request over HTTP and the answer as it came.

use reqwest::header::{HeaderMap, HeaderName};

use super::{Endpoint, Failure};

/// Largest body of an answer that is read, in bytes.
const MAX_BODY: usize = 64 << 20;

/// An answer as it came, but without the key.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Sends a body of JSON.
pub(super) async fn post(
    endpoint: &Endpoint,
    path: &str,
    headers: HeaderMap,
    body: Vec<u8>,
) -> Result<Answer, Failure> {
    let url = format!("{}{path}", endpoint.base_url);
    let request = endpoint.client.post(url).headers(headers);
    let request = request.header("content-type", "application/json");
    send(endpoint, request.body(body)).await
}

pub(super) async fn get(
    endpoint: &Endpoint,
    path: &str,
    headers: HeaderMap,
) -> Result<Answer, Failure> {
    let url = format!("{}{path}", endpoint.base_url);
    send(endpoint, endpoint.client.get(url).headers(headers)).await
}

async fn send(endpoint: &Endpoint, request: reqwest::RequestBuilder) -> Result<Answer, Failure> {
    let mut response = request.send().await.map_err(|error| network(&error))?;
    let status = response.status().as_u16();
    let headers = std::mem::take(response.headers_mut());
    let mut body =
        Vec::with_capacity(response.content_length().unwrap_or(4096).min(1 << 20) as usize);
    while let Some(chunk) = response.chunk().await.map_err(|error| network(&error))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(Failure::Unreadable { reason: format!("more than {MAX_BODY} bytes") });
        }
        body.extend_from_slice(&chunk);
    }
    let mut answer = Answer { status, headers, body };
    without_key(endpoint, &mut answer);
    Ok(answer)
}

/// A gateway may echo what it was sent: no key gets past this line.
fn without_key(endpoint: &Endpoint, answer: &mut Answer) {
    let Some(key) = &endpoint.key else { return };
    key.scrub(&mut answer.body);
    let echoes: Vec<HeaderName> = answer
        .headers
        .iter()
        .filter(|(_, value)| key.is_in(value.as_bytes()))
        .map(|(name, _)| name.clone())
        .collect();
    for name in echoes {
        answer.headers.remove(name);
    }
}

/// The innermost cause says what happened; the outer ones only repeat the URL.
fn network(error: &reqwest::Error) -> Failure {
    if error.is_builder() {
        return Failure::Unsendable { reason: error.to_string() };
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let phase = if error.is_connect() { "connect: " } else { "" };
    let reason = format!("{phase}{cause}");
    Failure::Network { reason, sent: !error.is_connect() }
}

pub(super) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// The server's own id of the request; Anthropic's header has the shorter name.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = header(headers, "x-request-id").or_else(|| header(headers, "request-id"))?;
    let is_sound = id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic());
    is_sound.then_some(id)
}
