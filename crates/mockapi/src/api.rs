//! The APIs that are spoken, and what each gives its own form.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName};
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Asked},
    chat,
    error::ApiError,
    messages,
    responses::{self, State},
};

/// An API: wire forms for the same questions and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    Chat,
    Responses,
    Messages,
}

impl Api {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// 400 for one that the API would not take.
    pub(crate) fn read<'a>(
        self,
        headers: &HeaderMap,
        body: &'a [u8],
    ) -> Result<Asked<'a>, ApiError> {
        match self {
            Api::Chat => chat::read(body),
            Api::Responses => responses::read(body),
            Api::Messages if !headers.contains_key("anthropic-version") => {
                Err(ApiError::missing("anthropic-version"))
            }
            Api::Messages => messages::read(body),
        }
    }

    /// Writes an answer.
    pub(crate) fn write(self, answer: &Answer) -> Vec<u8> {
        match self {
            Api::Chat => chat::write(answer),
            Api::Responses => responses::write(answer, State::Done),
            Api::Messages => messages::write(answer),
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
            Api::Messages => messages::write_failed(),
        }
    }

    /// An error as this API has it: its status, and its body in the standard form.
    pub(crate) fn error(self, error: &ApiError) -> (u16, Value) {
        match self {
            Api::Chat | Api::Responses => (error.status, error.openai()),
            Api::Messages => messages::error(error),
        }
    }

    /// The key a request was sent with; empty if there is none.
    pub(crate) fn key(self, headers: &HeaderMap) -> String {
        let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let bearer = |sent: Cow<'_, str>| sent.strip_prefix("Bearer ").unwrap_or(&sent).to_owned();
        match self {
            Api::Messages => text("x-api-key").unwrap_or_default().into_owned(),
            Api::Chat | Api::Responses => text("authorization").map(bearer).unwrap_or_default(),
        }
    }

    /// The header that carries the request's id.
    pub(crate) fn id_header(self) -> HeaderName {
        HeaderName::from_static(match self {
            Api::Messages => "request-id",
            Api::Chat | Api::Responses => "x-request-id",
        })
    }
}
