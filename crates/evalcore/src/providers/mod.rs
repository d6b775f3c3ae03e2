//! One file per API, and what they share: the endpoint, the key, the way of one request.
//!
//! A provider knows no eval. It sends one request once; what to do about a [`Failure`] is the
//! engine's to decide.

mod chat;
mod key;

use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

pub use self::key::ApiKey;
use crate::sample::{Completion, Message};
use crate::task::{Api, ModelConfig, Tokens};

/// Where OpenAI's own API is.
pub const OPENAI_BASE_URL: &str = "https://api.openai.com/v1";

/// Longest error text that is kept, in bytes.
const MAX_ERROR_TEXT: usize = 2_000;

/// Largest body of an answer that is read, in bytes.
const MAX_BODY: usize = 64 << 20;

/// Where an API is, and who asks.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Base URL without a final slash.
    pub base_url: String,
    /// The key; none for servers that need none.
    pub key: Option<ApiKey>,
    /// `OpenAI-Organization`.
    pub organization: Option<String>,
    /// `OpenAI-Project`.
    pub project: Option<String>,
    /// The connections.
    pub client: reqwest::Client,
}

/// An answer that has been paid for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    /// Text and how it ended.
    pub completion: Completion,
    /// Tokens; none when the server did not say.
    pub usage: Option<Tokens>,
    /// The model that answered, as the server names it.
    pub model: Option<String>,
    /// The server's own id of the request.
    pub request_id: Option<String>,
}

/// Why a request brought no answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// The server answered with an error.
    Status(ApiError),
    /// The server answered 200 with a body that is no answer.
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing, or only a part of an answer, came back.
    Network {
        /// The transport's own words.
        reason: String,
    },
    /// No answer within the time for one attempt.
    Timeout(Duration),
    /// The request could not be made: a key or model that no header or body can carry.
    Unsendable {
        /// What is wrong with it.
        reason: String,
    },
}

/// An error as the API states it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// `error.message`, or the body's text where it has no such field; bounded, without keys.
    pub message: String,
    /// `error.type`.
    pub kind: Option<String>,
    /// `error.code`, numbers written out.
    pub code: Option<String>,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
    /// The header `x-should-retry`.
    pub should_retry: Option<bool>,
    /// The server's own id of the request.
    pub request_id: Option<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(error) => write!(f, "{error}"),
            Self::Unreadable { reason } => write!(f, "unreadable answer: {reason}"),
            Self::Network { reason } => write!(f, "network: {reason}"),
            Self::Timeout(limit) => write!(f, "no answer within {} s", limit.as_secs_f64()),
            Self::Unsendable { reason } => write!(f, "request cannot be sent: {reason}"),
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        if let Some(code) = self.code.as_deref().or(self.kind.as_deref()) {
            write!(f, " `{code}`")?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

impl Failure {
    /// The same without what the server repeats of the prompt: errors are shown and logged, and a
    /// data set's text has no business there.
    fn without_prompt(mut self, messages: &[Message]) -> Self {
        if let Self::Status(ApiError { message, .. }) = &mut self
            && let Some(start) = echo(message, messages)
        {
            message.truncate(start);
            message.push_str("[the prompt, as the server repeats it, is left out]");
        }
        self
    }
}

/// Where `text` begins to repeat a stretch of a message, if it does.
fn echo(text: &str, messages: &[Message]) -> Option<usize> {
    const STRETCH: usize = 24;
    let finders: Vec<_> = text
        .as_bytes()
        .windows(STRETCH)
        .map(memchr::memmem::Finder::new)
        .collect();
    let start = finders.iter().position(|finder| {
        messages
            .iter()
            .any(|message| finder.find(message.content.as_bytes()).is_some())
    })?;
    Some(text.floor_char_boundary(start))
}

/// Sends one request and waits for its answer, at most `timeout`.
///
/// `request_id` goes along as `X-Client-Request-Id`; it is how a provider's support, or a mock
/// server, tells which sample a request belongs to.
///
/// # Errors
///
/// Whatever kept the answer from coming, see [`Failure`].
pub async fn ask(
    endpoint: &Endpoint,
    config: &ModelConfig,
    messages: &[Message],
    request_id: &str,
    timeout: Duration,
) -> Result<Reply, Failure> {
    let exchange = exchange(endpoint, config, messages, request_id);
    match tokio::time::timeout(timeout, exchange).await {
        Ok(result) => result.map_err(|failure| failure.without_prompt(messages)),
        Err(_) => Err(Failure::Timeout(timeout)),
    }
}

async fn exchange(
    endpoint: &Endpoint,
    config: &ModelConfig,
    messages: &[Message],
    request_id: &str,
) -> Result<Reply, Failure> {
    let (path, body) = match config.api {
        Api::Chat => (
            "/chat/completions",
            chat::request(&endpoint.base_url, config, messages),
        ),
        Api::Responses | Api::Messages => {
            return Err(Failure::Unsendable {
                reason: "this API is not there yet".into(),
            });
        }
    };
    let (status, headers, body) = post(endpoint, path, body, request_id).await?;
    if status != 200 {
        return Err(Failure::Status(api_error(status, &headers, &body)));
    }
    let mut reply = match config.api {
        Api::Chat => chat::decode(&body)?,
        Api::Responses | Api::Messages => unreachable!("refused above"),
    };
    reply.request_id = header(&headers, "x-request-id");
    Ok(reply)
}

async fn post(
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

/// Reads an error body leniently: `{"error": {…}}`, a list of one such, a flat object, or text.
fn api_error(status: u16, headers: &HeaderMap, body: &[u8]) -> ApiError {
    let document = serde_json::from_slice(body).unwrap_or(Value::Null);
    let error = error_fields(status, document.get(0).unwrap_or(&document));
    let has_words = !error.message.is_empty();
    ApiError {
        message: if has_words {
            error.message
        } else {
            bounded(String::from_utf8_lossy(body).trim())
        },
        retry_after: retry_after(headers),
        should_retry: match header(headers, "x-should-retry").as_deref() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        },
        request_id: header(headers, "x-request-id"),
        ..error
    }
}

/// The error that gateways put into a 200, if there is one in this object. A numeric code is the
/// status that the answer should have had.
fn error_in_body(document: &Value) -> Option<Failure> {
    document.get("error").filter(|error| !error.is_null())?;
    let mut error = error_fields(200, document);
    if let Some(status @ 400..=599) = error.code.as_deref().and_then(|code| code.parse().ok()) {
        error.status = status;
    }
    Some(Failure::Status(error))
}

fn error_fields(status: u16, document: &Value) -> ApiError {
    let fields = document.get("error").unwrap_or(document);
    let text = |name: &str| match fields.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let message = text("message").or_else(|| text("detail"));
    ApiError {
        status,
        message: bounded(message.as_deref().or(fields.as_str()).unwrap_or_default()),
        kind: text("type"),
        code: text("code"),
        ..ApiError::default()
    }
}

fn bounded(text: &str) -> String {
    match text.len() > MAX_ERROR_TEXT {
        true => format!("{}…", &text[..text.floor_char_boundary(MAX_ERROR_TEXT)]),
        false => text.to_owned(),
    }
}

/// `retry-after-ms` in milliseconds, else `retry-after` in seconds or as an HTTP date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |text: String, unit: f64| {
        let seconds = text.trim().parse::<f64>().ok()? * unit;
        Duration::try_from_secs_f64(seconds).ok()
    };
    header(headers, "retry-after-ms")
        .and_then(|text| seconds(text, 0.001))
        .or_else(|| {
            let text = header(headers, "retry-after")?;
            seconds(text.clone(), 1.0).or_else(|| {
                let date = chrono::DateTime::parse_from_rfc2822(text.trim()).ok()?;
                (date.with_timezone(&chrono::Utc) - chrono::Utc::now())
                    .to_std()
                    .ok()
            })
        })
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_error(body: &str, message: &str, kind: Option<&str>, code: Option<&str>) {
        let error = api_error(400, &HeaderMap::new(), body.as_bytes());
        assert_eq!(
            (
                error.message.as_str(),
                error.kind.as_deref(),
                error.code.as_deref()
            ),
            (message, kind, code)
        );
    }

    #[test]
    fn error_bodies_of_every_form_are_read() {
        check_error(
            r#"{"error":{"message":"no","type":"invalid_request_error","param":null,"code":"x"}}"#,
            "no",
            Some("invalid_request_error"),
            Some("x"),
        );
        check_error(
            r#"[{"error":{"message":"no","code":503}}]"#,
            "no",
            None,
            Some("503"),
        );
        check_error(
            r#"{"object":"error","message":"no","code":400}"#,
            "no",
            None,
            Some("400"),
        );
        check_error(r#"{"detail":"no"}"#, "no", None, None);
        check_error(r#"{"error":"no"}"#, "no", None, None);
        check_error(
            "<html>Bad gateway</html>\n",
            "<html>Bad gateway</html>",
            None,
            None,
        );
        check_error("", "", None, None);
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        let error = api_error(500, &HeaderMap::new(), "é".repeat(5_000).as_bytes());
        assert!(error.message.len() <= MAX_ERROR_TEXT + '…'.len_utf8());
    }

    #[test]
    fn an_error_that_repeats_the_prompt_is_cut_there() {
        let messages = [Message {
            role: "user",
            content: "Which river did the painter cross?".into(),
        }];
        let check = |message: &str, expected: &str| {
            let error = ApiError {
                message: message.into(),
                ..ApiError::default()
            };
            let Failure::Status(error) = Failure::Status(error).without_prompt(&messages) else {
                unreachable!("stays what it is")
            };
            assert_eq!(error.message, expected);
        };
        check("no such model", "no such model");
        check(
            "bad input: 'Which river did the painter cross?' is too long",
            "bad input: '[the prompt, as the server repeats it, is left out]",
        );
    }

    #[track_caller]
    fn check_wait(headers: &[(&'static str, &str)], expected: Option<f64>) {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).expect("valid"),
                )
            })
            .collect();
        assert_eq!(
            retry_after(&headers).map(|wait| wait.as_secs_f64()),
            expected
        );
    }

    #[test]
    fn the_wait_is_read_from_milliseconds_before_seconds() {
        check_wait(
            &[("retry-after-ms", "250"), ("retry-after", "9")],
            Some(0.25),
        );
        check_wait(&[("retry-after", "2")], Some(2.0));
        check_wait(&[("retry-after", "1.5")], Some(1.5));
        check_wait(&[("retry-after", "-1")], None);
        check_wait(&[("retry-after", "soon")], None);
        check_wait(&[("retry-after", "NaN")], None);
        check_wait(&[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")], None);
        check_wait(&[], None);
    }

    #[test]
    fn a_date_is_a_wait_until_then() {
        let date = (chrono::Utc::now() + chrono::Duration::seconds(100)).to_rfc2822();
        let headers = [(
            HeaderName::from_static("retry-after"),
            HeaderValue::from_str(&date).expect("valid"),
        )];
        let wait = retry_after(&headers.into_iter().collect()).expect("a wait");
        assert!((95.0..=100.0).contains(&wait.as_secs_f64()), "{wait:?}");
    }
}
