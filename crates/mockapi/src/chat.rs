//! The wire form of `POST /chat/completions`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Asked},
    behaviour::Stop,
    error::ApiError,
    text::Message,
};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default)]
    model: Cow<'a, str>,
    #[serde(borrow, default)]
    messages: Vec<Message<'a>>,
    max_completion_tokens: Option<u64>,
    max_tokens: Option<u64>,
    n: Option<u64>,
    #[serde(default)]
    stream: bool,
}

/// Reads a request.
///
/// # Errors
///
/// 400 for a body that is not JSON, names no model, has no messages, wants a stream, or wants no choice or too many.
pub(crate) fn read(body: &[u8]) -> Result<Asked<'_>, ApiError> {
    let request: Request<'_> =
        serde_json::from_slice(body).map_err(|error| ApiError::unreadable(&error))?;
    if request.model.is_empty() {
        return Err(ApiError::missing("model"));
    }
    if request.messages.is_empty() {
        return Err(ApiError::missing("messages"));
    }
    if request.stream {
        return Err(ApiError::unsupported("stream"));
    }
    let n = request.n.unwrap_or(1);
    if !(1..=128).contains(&n) {
        return Err(ApiError::bad_request(
            Some("invalid_value"),
            Some("n"),
            "'n' has to be 1 to 128.",
        ));
    }
    let prompt_len = Message::len_of(&request.messages);
    Ok(Asked {
        model: request.model,
        question: Message::last_of_user(request.messages),
        prompt_len,
        max_tokens: request.max_completion_tokens.or(request.max_tokens),
        n,
        web_search: false,
        background: false,
    })
}

#[derive(Serialize)]
struct Completion<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice<'a>>,
    usage: Value,
    service_tier: &'static str,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u64,
    message: AssistantMessage<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct AssistantMessage<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<&'a str>,
    annotations: [(); 0],
}

/// Writes an answer.
pub(crate) fn write(answer: &Answer) -> Vec<u8> {
    let Answer { number, created, ref model, ref reply, usage, n, .. } = *answer;
    let finish_reason = match reply.stop {
        Stop::Finished => "stop",
        Stop::Length => "length",
        Stop::ContentFilter => "content_filter",
    };
    let message = || AssistantMessage {
        role: "assistant",
        content: reply.text.as_deref(),
        refusal: reply.refusal.as_deref(),
        annotations: [],
    };
    let completion = Completion {
        id: format!("chatcmpl-mock{number}"),
        object: "chat.completion",
        created,
        model,
        choices: (0..n)
            .map(|index| Choice { index, message: message(), logprobs: None, finish_reason })
            .collect(),
        usage: json!({
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens, "audio_tokens": 0},
        }),
        service_tier: "default",
    };
    serde_json::to_vec(&completion).expect("plain values become JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{behaviour::Reply, usage::Usage};

    #[track_caller]
    fn check_refused(body: &str, param: Option<&str>) {
        let error = read(body.as_bytes()).unwrap_err();
        assert_eq!((error.status, error.param.as_deref()), (400, param));
    }

    #[test]
    fn wrong_requests_are_refused() {
        check_refused("2+2?", None);
        check_refused(r#"{"messages": [{"role": "user", "content": "2+2?"}]}"#, Some("model"));
        check_refused(r#"{"model": "m"}"#, Some("messages"));
        check_refused(r#"{"model": "m", "n": 129, "messages": [{"role": "user"}]}"#, Some("n"));
        check_refused(r#"{"model": "m", "messages": []}"#, Some("messages"));
        check_refused(
            r#"{"model": "m", "messages": [{"role": "user", "content": "a"}], "stream": true}"#,
            Some("stream"),
        );
    }

    #[test]
    fn question_is_the_last_user_message() {
        let body = br#"{"model": "m", "max_tokens": 9, "messages": [
            {"role": "system", "content": "add"}, {"role": "user", "content": "1+1?"},
            {"role": "user", "content": [{"type": "text", "text": "2+2?"}]}, {"role": "assistant", "content": null}]}"#;
        let asked = read(body).unwrap();
        assert_eq!(
            (&*asked.question, asked.prompt_len, asked.max_tokens, asked.n),
            ("2+2?", 11, Some(9), 1)
        );
    }

    #[test]
    fn answer_has_the_form_of_the_api() {
        let usage = Usage {
            input_tokens: 9,
            cached_tokens: 4,
            output_tokens: 3,
            reasoning_tokens: 2,
            ..Usage::default()
        };
        let reply = Reply::cut_off("4", Stop::Length);
        let answer = Answer {
            number: 7,
            created: 1_795_416_900,
            model: "m".into(),
            reply,
            usage,
            n: 1,
            background: false,
        };
        let expected = json!({
            "id": "chatcmpl-mock7", "object": "chat.completion", "created": 1_795_416_900, "model": "m",
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": "4", "refusal": null, "annotations": []},
                "logprobs": null,
                "finish_reason": "length",
            }],
            "usage": {
                "prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12,
                "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0},
            },
            "service_tier": "default",
        });
        assert_eq!(serde_json::from_slice::<Value>(&write(&answer)).unwrap(), expected);
    }

    #[test]
    fn every_wanted_choice_is_given() {
        let reply = Reply::refusal("no");
        let answer = Answer {
            number: 7,
            created: 0,
            model: "m".into(),
            reply,
            usage: Usage::default(),
            n: 3,
            background: false,
        };
        let body: Value = serde_json::from_slice(&write(&answer)).unwrap();
        assert_eq!(body["choices"].as_array().unwrap().len(), 3);
        assert_eq!(body["choices"][2]["message"]["content"], Value::Null);
        assert_eq!(body["choices"][2]["message"]["refusal"], "no");
    }
}
