//! What servers answer, and what is made of it: one row for each thing that is known to happen.

mod hosted;
mod local;
mod openai;

use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::engine::{Class, classify};
use crate::providers::exchange::Answer;
use crate::providers::{Asked, decode};
use crate::task::Api;

/// What is to be made of an answer.
#[derive(Debug, PartialEq)]
enum Expected {
    Text(&'static str),
    Truncated(&'static str),
    Refused,
    Pending,
    /// With backoff.
    Retry,
    /// After so many seconds.
    RetryIn(f64),
    GiveUp,
    Stop,
}

/// `server` names the server, and its API where that is not Chat: `OpenAI responses`.
#[track_caller]
fn check(
    server: &str,
    status: u16,
    headers: &[(&'static str, &str)],
    body: impl Into<Body>,
    expected: Expected,
) {
    let api = match server.split_once(' ') {
        None => Api::Chat,
        Some((_, "responses")) => Api::Responses,
        Some((_, "messages")) => Api::Messages,
        Some(_) => panic!("no API: `{server}`"),
    };
    let headers = headers.iter().map(|(name, value)| {
        let value = HeaderValue::from_str(value).expect("valid");
        (HeaderName::from_static(name), value)
    });
    let Body(body) = body.into();
    let answer = Answer { status, headers: headers.collect(), body };
    let found = match decode(api, &answer) {
        Ok(Asked::Pending { .. }) => Expected::Pending,
        Ok(Asked::Reply(reply)) if reply.completion.is_refused() => Expected::Refused,
        Ok(Asked::Reply(reply)) => {
            let text = reply.completion.text.clone().leak();
            match reply.completion.is_truncated() {
                true => Expected::Truncated(text),
                false => Expected::Text(text),
            }
        }
        Err(failure) => match classify(&failure) {
            Class::Retry(None) => Expected::Retry,
            Class::Retry(Some(wait)) => Expected::RetryIn(wait.as_secs_f64()),
            Class::GiveUp => Expected::GiveUp,
            Class::StopLane => Expected::Stop,
        },
    };
    assert_eq!(found, expected, "{server}");
}

struct Body(Vec<u8>);

impl From<Value> for Body {
    fn from(document: Value) -> Self {
        Self(document.to_string().into_bytes())
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// An error as OpenAI writes it.
fn error(kind: &str, code: &str, message: &str) -> Value {
    let code = Some(code).filter(|code| !code.is_empty());
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}
