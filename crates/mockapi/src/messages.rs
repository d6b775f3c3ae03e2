//! The wire form of `POST /messages`, Anthropic's: text only.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Asked},
    behaviour::Stop,
    error::ApiError,
    text::{Message, Text},
};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default)]
    model: Cow<'a, str>,
    #[serde(borrow, default)]
    system: Text<'a>,
    #[serde(borrow, default)]
    messages: Vec<Message<'a>>,
    max_tokens: Option<u64>,
    #[serde(default)]
    stream: bool,
}

/// Reads a request.
///
/// # Errors
///
/// 400 for a body that is not JSON, lacks a model, messages or a limit of tokens, has a message that is neither the
/// user's nor the assistant's, or wants a stream.
pub(crate) fn read(body: &[u8]) -> Result<Asked<'_>, ApiError> {
    let request: Request<'_> =
        serde_json::from_slice(body).map_err(|error| ApiError::unreadable(&error))?;
    if request.model.is_empty() {
        return Err(ApiError::missing("model"));
    }
    if request.messages.is_empty() {
        return Err(ApiError::missing("messages"));
    }
    if request.max_tokens.is_none() {
        return Err(ApiError::missing("max_tokens"));
    }
    if request.messages.iter().any(|message| !["user", "assistant"].contains(&message.role())) {
        return Err(ApiError::unsupported("messages.role"));
    }
    if request.stream {
        return Err(ApiError::unsupported("stream"));
    }
    let prompt_len = Message::len_of(&request.messages) + request.system.0.len();
    Ok(Asked {
        model: request.model,
        question: Message::last_of_user(request.messages),
        prompt_len,
        max_tokens: request.max_tokens,
        n: 1,
        web_search: false,
        background: false,
    })
}

/// Writes an answer. Here, unlike elsewhere, cached tokens are no part of the input tokens.
pub(crate) fn write(answer: &Answer) -> Vec<u8> {
    let Answer { number, ref model, ref reply, usage, .. } = *answer;
    let stop_reason = match reply.stop {
        Stop::Length => "max_tokens",
        Stop::ContentFilter => "refusal",
        Stop::Finished if reply.refusal.is_some() => "refusal",
        Stop::Finished => "end_turn",
    };
    let text = reply.refusal.as_ref().or(reply.text.as_ref());
    let content = text.map(|text| json!({"type": "text", "text": text}));
    let body = json!({
        "id": format!("msg_mock{number}"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": Vec::from_iter(content),
        "stop_reason": stop_reason,
        "stop_sequence": null,
        "usage": {
            "input_tokens": usage.input_tokens.saturating_sub(usage.cached_tokens),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": usage.cached_tokens,
            "output_tokens": usage.output_tokens,
        },
    });
    body.to_string().into_bytes()
}

/// An error's status and body. An overload is 529 here, and an empty purse a 400.
pub(crate) fn error(error: &ApiError) -> (u16, Value) {
    let status = match error.status {
        503 => 529,
        429 if error.kind == "insufficient_quota" => 400,
        status => status,
    };
    (status, error_body(status, &error.message))
}

/// What a 200 says when the work failed.
pub(crate) fn write_failed() -> Vec<u8> {
    error_body(500, "The model failed.").to_string().into_bytes()
}

fn error_body(status: u16, message: &str) -> Value {
    let kind = match status {
        400 | 422 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{behaviour::Reply, usage::Usage};

    const BODY: &str = r#"{"model": "m", "system": [{"type": "text", "text": "add"}], "max_tokens": 64,
        "messages": [{"role": "user", "content": "2+2?"}]}"#;

    fn written(reply: Reply) -> Value {
        let answer = Answer::new(&read(BODY.as_bytes()).unwrap(), reply, 7, 0);
        serde_json::from_slice(&write(&answer)).unwrap()
    }

    #[test]
    fn system_text_counts_as_prompt() {
        let asked = read(BODY.as_bytes()).unwrap();
        assert_eq!((&*asked.question, asked.prompt_len, asked.max_tokens), ("2+2?", 7, Some(64)));
    }

    #[track_caller]
    fn check_refused(body: &str, param: &str) {
        assert_eq!(read(body.as_bytes()).unwrap_err().param.as_deref(), Some(param));
    }

    #[test]
    fn wrong_requests_are_refused() {
        check_refused(r#"{"model": "m", "max_tokens": 9}"#, "messages");
        check_refused(
            r#"{"model": "m", "messages": [{"role": "user", "content": "a"}]}"#,
            "max_tokens",
        );
        let system =
            r#"{"model": "m", "max_tokens": 9, "messages": [{"role": "system", "content": "a"}]}"#;
        check_refused(system, "messages.role");
    }

    #[test]
    fn answer_has_the_form_of_the_api() {
        let usage =
            Usage { input_tokens: 9, cached_tokens: 4, output_tokens: 3, ..Usage::default() };
        let expected = json!({
            "id": "msg_mock7", "type": "message", "role": "assistant", "model": "m",
            "content": [{"type": "text", "text": "4"}],
            "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {
                "input_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4, "output_tokens": 3,
            },
        });
        assert_eq!(written(Reply { usage: Some(usage), ..Reply::text("4") }), expected);
    }

    #[test]
    fn endings_have_their_names() {
        assert_eq!(written(Reply::cut_off("4", Stop::Length))["stop_reason"], "max_tokens");
        assert_eq!(written(Reply::refusal("no"))["stop_reason"], "refusal");
        assert_eq!(written(Reply::empty())["content"], json!([]));
    }

    #[test]
    fn errors_have_the_statuses_and_types_of_this_api() {
        let status_and_type = |api_error| {
            let (status, body) = error(&api_error);
            (status, body["error"]["type"].as_str().unwrap().to_owned())
        };
        assert_eq!(status_and_type(ApiError::overloaded(None)), (529, "overloaded_error".into()));
        assert_eq!(status_and_type(ApiError::rate_limited(None)), (429, "rate_limit_error".into()));
        assert_eq!(
            status_and_type(ApiError::insufficient_quota()),
            (400, "invalid_request_error".into())
        );
        assert_eq!(
            status_and_type(ApiError::invalid_api_key("k")),
            (401, "authentication_error".into())
        );
    }
}
