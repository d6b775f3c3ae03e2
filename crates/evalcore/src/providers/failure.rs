//! Why a request brought no answer, read leniently from whatever a server says.

use std::fmt;
use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::exchange::{header, request_id};
use super::limits::{RateLimits, retry_after};
use crate::clock::unix_now;
use crate::sample::Message;
use crate::text::printable;

/// Longest error text that is kept, in bytes.
const MAX_ERROR_TEXT: usize = 2_000;

/// Longest type or code of an error that is kept, in bytes.
const MAX_ERROR_NAME: usize = 100;

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
        /// Whether the request may have reached the server, and so may be billed.
        sent: bool,
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
    /// The limits that the server states along with it.
    pub limits: RateLimits,
    /// The error is how a response ended, not how a request for it did: to fetch that response
    /// again brings the same, only to ask again may bring an answer.
    pub has_ended: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(error) => write!(f, "{error}"),
            Self::Unreadable { reason } => write!(f, "unreadable answer: {reason}"),
            Self::Network { reason, .. } => write!(f, "network: {reason}"),
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
    pub(crate) fn without_prompt(mut self, messages: &[Message]) -> Self {
        if let Self::Status(ApiError { message, kind, code, .. }) = &mut self {
            for text in [Some(message), kind.as_mut(), code.as_mut()].into_iter().flatten() {
                if let Some(start) = echo(text, messages) {
                    text.truncate(start);
                    text.push_str("[the prompt, as the server repeats it, is left out]");
                }
            }
        }
        self
    }
}

/// Where `text` begins to repeat a stretch of a message, if it does.
fn echo(text: &str, messages: &[Message]) -> Option<usize> {
    const STRETCH: usize = 24;
    // Servers repeat the beginning of what they do not like; more would take too long to search.
    const SEARCHED: usize = 1 << 16;
    let finders: Vec<_> =
        text.as_bytes().windows(STRETCH).map(memchr::memmem::Finder::new).collect();
    let start = finders.iter().position(|finder| {
        messages
            .iter()
            .map(|message| message.content.as_bytes())
            .any(|text| finder.find(&text[..text.len().min(SEARCHED)]).is_some())
    })?;
    Some(text.floor_char_boundary(start))
}

/// Reads an error body leniently: `{"error": {…}}`, a list of one such, a flat object, or text.
pub(super) fn api_error(status: u16, headers: &HeaderMap, body: &[u8]) -> ApiError {
    let document = serde_json::from_slice(body).unwrap_or(Value::Null);
    let mut error = error_fields(status, document.get(0).unwrap_or(&document));
    if error.message.is_empty() {
        error.message = bounded(String::from_utf8_lossy(body).trim(), MAX_ERROR_TEXT);
    }
    error.with_headers(headers)
}

impl ApiError {
    /// Adds what the headers say.
    pub(super) fn with_headers(self, headers: &HeaderMap) -> Self {
        Self {
            retry_after: retry_after(headers),
            should_retry: match header(headers, "x-should-retry").as_deref() {
                Some("true") => Some(true),
                Some("false") => Some(false),
                _ => None,
            },
            request_id: request_id(headers),
            limits: RateLimits::read(headers, unix_now()),
            ..self
        }
    }
}

/// The error that gateways put into a 200, if there is one in this object. A numeric code is the
/// status that the answer should have had.
pub(super) fn error_in_body(document: &Value) -> Option<Failure> {
    let is_error = |error: &&Value| match error {
        Value::Object(fields) => !fields.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Null | Value::Bool(false) => false,
        _ => true,
    };
    document.get("error").filter(is_error)?;
    let mut error = error_fields(200, document);
    if let Some(status @ 400..=599) = error.code.as_deref().and_then(|code| code.parse().ok()) {
        error.status = status;
    }
    Some(Failure::Status(error))
}

fn error_fields(status: u16, document: &Value) -> ApiError {
    let fields = document.get("error").unwrap_or(document);
    let text = |name: &str| match fields.get(name) {
        Some(Value::String(text)) => Some(bounded(text, MAX_ERROR_NAME)),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let long = |name: &str| fields.get(name)?.as_str();
    let message = long("message").or_else(|| long("detail"));
    ApiError {
        status,
        message: bounded(message.or(fields.as_str()).unwrap_or_default(), MAX_ERROR_TEXT),
        // Google's word for it stands in `status`.
        kind: text("type").or_else(|| text("status").filter(|_| fields["status"].is_string())),
        code: text("code"),
        ..ApiError::default()
    }
}

/// At most `max` bytes of a text that a server wrote, fit to be shown and logged.
fn bounded(text: &str, max: usize) -> String {
    let cut = &text[..text.floor_char_boundary(max)];
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("{}{dots}", printable(cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_error(body: &str, message: &str, kind: Option<&str>, code: Option<&str>) {
        let error = api_error(400, &HeaderMap::new(), body.as_bytes());
        assert_eq!(
            (error.message.as_str(), error.kind.as_deref(), error.code.as_deref()),
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
        check_error(r#"[{"error":{"message":"no","code":503}}]"#, "no", None, Some("503"));
        check_error(r#"{"object":"error","message":"no","code":400}"#, "no", None, Some("400"));
        check_error(r#"{"detail":"no"}"#, "no", None, None);
        check_error(r#"{"error":"no"}"#, "no", None, None);
        check_error("<html>Bad gateway</html>\n", "<html>Bad gateway</html>", None, None);
        check_error("", "", None, None);
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        let error = api_error(500, &HeaderMap::new(), "é".repeat(5_000).as_bytes());
        assert!(error.message.len() <= MAX_ERROR_TEXT + '…'.len_utf8());
    }

    #[test]
    fn an_error_that_repeats_the_prompt_is_cut_there() {
        let messages =
            [Message { role: "user", content: "Which river did the painter cross?".into() }];
        let check = |message: &str, expected: &str| {
            let error = ApiError { message: message.into(), ..ApiError::default() };
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
}
