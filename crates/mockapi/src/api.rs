//! The APIs that are spoken, and what each gives its own form.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName, header};
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Asked},
    chat,
    error::ApiError,
    responses::{self, State},
};

/// An API: wire forms for the same questions and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Chat,
    Responses,
}

impl Api {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// 400 for one that the API would not take.
    pub(crate) fn read(self, body: &[u8]) -> Result<Asked<'_>, ApiError> {
        match self {
            Api::Chat => chat::read(body),
            Api::Responses => responses::read(body),
        }
    }

    /// Writes an answer.
    pub(crate) fn write(self, answer: &Answer) -> Vec<u8> {
        match self {
            Api::Chat => chat::write(answer),
            Api::Responses => responses::write(answer, State::Done),
        }
    }

    /// Writes what a 200 says when the work failed.
    pub(crate) fn write_failed(self, answer: &Answer, code: &str) -> Vec<u8> {
        match self {
            Api::Chat => {
                let body = json!({"error": {"code": code, "message": "The model failed."}});
                body.to_string().into_bytes()
            }
            Api::Responses => responses::write(answer, State::Failed(code)),
        }
    }

    /// An error as this API has it: its status, and its body in the standard form.
    pub(crate) fn error(self, error: &ApiError) -> (u16, Value) {
        match self {
            Api::Chat | Api::Responses => (error.status, error.openai()),
        }
    }

    /// The key a request was sent with; empty if there is none.
    pub(crate) fn key(self, headers: &HeaderMap) -> Cow<'_, str> {
        let text = |name: HeaderName| {
            headers
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
        };
        match text(header::AUTHORIZATION) {
            Some(Cow::Borrowed(sent)) => {
                Cow::Borrowed(sent.strip_prefix("Bearer ").unwrap_or(sent))
            }
            sent => sent.unwrap_or_default(),
        }
    }
}
