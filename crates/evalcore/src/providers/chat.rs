//! Chat Completions: `POST /chat/completions`, as OpenAI and compatible servers speak it.
//!
//! An answer that was paid for must not fail on a field nobody needs, so every field but the text
//! is optional and every enumeration is open.

use serde::Serialize;
use serde_json::Value;

use super::endpoint::is_openai;
use super::failure::error_in_body;
use super::{Failure, Reply};
use crate::sample::{Completion, Message};
use crate::task::{ModelConfig, Tokens};

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    messages: &'a [Message],
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
}

/// The body of a request. Sampling fields are there only when they were set: many models refuse
/// any value but their own default.
pub(super) fn request(base_url: &str, config: &ModelConfig, messages: &[Message]) -> Vec<u8> {
    // OpenAI's newer models refuse `max_tokens`; other servers often know nothing else.
    let is_openai = is_openai(base_url);
    let request = Request {
        model: &config.model,
        messages,
        temperature: config.temperature,
        max_completion_tokens: config.max_tokens.filter(|_| is_openai),
        max_tokens: config.max_tokens.filter(|_| !is_openai),
    };
    serde_json::to_vec(&request).expect("strings and finite numbers are JSON")
}

/// Reads the body of a 200.
pub(super) fn decode(body: &[u8]) -> Result<Reply, Failure> {
    let document: Value = serde_json::from_slice(body).map_err(|error| Failure::Unreadable {
        reason: format!("not JSON: {error}"),
    })?;
    if let Some(error) = error_in_body(&document) {
        return Err(error);
    }
    let choice = &document["choices"][0];
    if !choice.is_object() {
        return Err(Failure::Unreadable {
            reason: "no `choices`".into(),
        });
    }
    if let Some(error) = error_in_body(choice) {
        return Err(error);
    }
    let message = &choice["message"];
    let finish_reason = text(&choice["finish_reason"]);
    if finish_reason.as_deref() == Some("error") {
        return Err(Failure::Unreadable {
            reason: "`finish_reason` is `error`".into(),
        });
    }
    Ok(Reply {
        completion: Completion {
            text: content(&message["content"]),
            finish_reason,
            refusal: text(&message["refusal"]),
        },
        usage: usage(&document["usage"]),
        model: text(&document["model"]),
        ..Reply::default()
    })
}

/// A string, or a list of parts whose texts are joined.
fn content(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn usage(value: &Value) -> Option<Tokens> {
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let (input, output) = (
        value["prompt_tokens"].as_u64()?,
        value["completion_tokens"].as_u64()?,
    );
    Some(Tokens {
        input_tokens: input,
        cached_tokens: count(&value["prompt_tokens_details"]["cached_tokens"]),
        cache_write_tokens: count(&value["prompt_tokens_details"]["cache_write_tokens"]),
        output_tokens: output,
        reasoning_tokens: count(&value["completion_tokens_details"]["reasoning_tokens"]),
        total_tokens: value["total_tokens"].as_u64().unwrap_or(input + output),
        searches: 0,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::providers::OPENAI_BASE_URL;

    fn sent(base_url: &str, config: &ModelConfig) -> Value {
        let messages = [Message {
            role: "user",
            content: "2+2?".into(),
        }];
        serde_json::from_slice(&request(base_url, config, &messages)).expect("JSON")
    }

    #[test]
    fn nothing_is_sent_that_was_not_set() {
        let config = ModelConfig {
            model: "o3".into(),
            ..ModelConfig::default()
        };
        assert_eq!(
            sent(OPENAI_BASE_URL, &config),
            json!({"model": "o3", "messages": [{"role": "user", "content": "2+2?"}]})
        );
    }

    #[test]
    fn the_token_limit_has_the_name_the_server_knows() {
        let config = ModelConfig {
            max_tokens: Some(9),
            ..ModelConfig::default()
        };
        assert_eq!(sent(OPENAI_BASE_URL, &config)["max_completion_tokens"], 9);
        assert_eq!(sent("http://localhost:8000/v1", &config)["max_tokens"], 9);
    }

    #[track_caller]
    fn check(body: Value, expected: Result<Reply, &str>) {
        let decoded = decode(body.to_string().as_bytes());
        assert_eq!(
            decoded.map_err(|failure| failure.to_string()),
            expected.map_err(str::to_owned)
        );
    }

    fn reply(text: &str) -> Reply {
        Reply {
            completion: Completion {
                text: text.into(),
                ..Completion::default()
            },
            ..Reply::default()
        }
    }

    #[test]
    fn an_answer_needs_nothing_but_its_text() {
        check(
            json!({"choices": [{"message": {"content": "4"}}]}),
            Ok(reply("4")),
        );
    }

    #[test]
    fn fields_of_unknown_kinds_and_values_fail_no_answer() {
        check(
            json!({
                "id": 7, "object": {}, "new": [1], "usage": {"prompt_tokens": "many"},
                "choices": [{"index": "a", "finish_reason": 3, "message": {"content": "4", "x": {}}}],
            }),
            Ok(reply("4")),
        );
    }

    #[test]
    fn usage_is_read_with_its_details() {
        let body = json!({
            "model": "gpt-4o-2024-08-06",
            "choices": [{"finish_reason": "length", "message": {"content": null}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 3}},
        });
        let reply = decode(body.to_string().as_bytes()).expect("an answer");
        assert!(reply.completion.is_truncated());
        assert_eq!(reply.model.as_deref(), Some("gpt-4o-2024-08-06"));
        let usage = reply.usage.expect("usage");
        assert_eq!((usage.input_tokens, usage.cached_tokens), (10, 4));
        assert_eq!(
            (
                usage.output_tokens,
                usage.reasoning_tokens,
                usage.total_tokens
            ),
            (5, 3, 15)
        );
    }

    #[test]
    fn a_list_of_parts_is_one_text() {
        let parts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        check(
            json!({"choices": [{"message": {"content": parts}}]}),
            Ok(reply("ab")),
        );
    }

    #[test]
    fn an_error_inside_a_200_is_an_error() {
        check(
            json!({"error": {"message": "busy", "code": 502}}),
            Err("HTTP 502 `502`: busy"),
        );
        check(
            json!({"choices": [{"error": {"message": "m", "code": "x"}}]}),
            Err("HTTP 200 `x`: m"),
        );
    }

    #[test]
    fn a_body_without_an_answer_is_unreadable() {
        check(
            json!({"choices": []}),
            Err("unreadable answer: no `choices`"),
        );
        check(json!([]), Err("unreadable answer: no `choices`"));
        let failure = decode(b"{\"choices\": [{\"mess")
            .expect_err("cut off")
            .to_string();
        assert!(
            failure.starts_with("unreadable answer: not JSON: EOF"),
            "{failure}"
        );
    }
}
