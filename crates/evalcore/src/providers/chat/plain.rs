//! The completion that nearly every answer is, read without building a tree of the document: that
//! takes a quarter of the time. Anything out of the ordinary is left to the lenient reader.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::providers::Reply;
use crate::sample::Completion;
use crate::task::Tokens;

#[derive(Deserialize)]
struct Plain<'a> {
    #[serde(borrow)]
    choices: [Choice<'a>; 1],
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    service_tier: Option<Cow<'a, str>>,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    message: Message<'a>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Cow<'a, str>,
    #[serde(default)]
    refusal: Option<IgnoredAny>,
    #[serde(default)]
    annotations: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    #[serde(default)]
    prompt_tokens_details: Input,
    #[serde(default)]
    completion_tokens_details: Output,
    #[serde(default)]
    reasoning_tokens: Option<IgnoredAny>,
    #[serde(default)]
    cost: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Input {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Output {
    reasoning_tokens: u64,
}

/// The reply in `body`; none for a body that needs more care.
pub(super) fn decode(body: &[u8]) -> Option<Reply> {
    let Plain { choices: [choice], usage, model, service_tier, error } =
        serde_json::from_slice(body).ok()?;
    let Choice { message, finish_reason, error: error_of_choice } = choice;
    let is_special = error.is_some()
        || error_of_choice.is_some()
        || message.refusal.is_some()
        || !message.annotations.is_empty()
        || usage.as_ref().is_some_and(|it| it.cost.is_some() || it.reasoning_tokens.is_some())
        || matches!(finish_reason.as_deref(), Some("error" | "abort"));
    (!is_special).then(|| Reply {
        completion: Completion {
            text: message.content.into_owned(),
            finish_reason: finish_reason.map(Cow::into_owned),
            refusal: None,
        },
        usage: usage.map(tokens),
        model: model.map(Cow::into_owned),
        service_tier: service_tier.map(Cow::into_owned),
        ..Reply::default()
    })
}

fn tokens(usage: Usage) -> Tokens {
    Tokens {
        input_tokens: usage.prompt_tokens,
        cached_tokens: usage.prompt_tokens_details.cached_tokens,
        cache_write_tokens: usage.prompt_tokens_details.cache_write_tokens,
        output_tokens: usage.completion_tokens,
        reasoning_tokens: usage.completion_tokens_details.reasoning_tokens,
        total_tokens: usage.total_tokens,
        searches: 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::read::lenient;
    use super::*;

    fn ordinary() -> Value {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-2024-08-06",
            "choices": [{
                "index": 0, "logprobs": null, "finish_reason": "stop",
                "message": {"role": "assistant", "content": "a \"b\"\nü", "refusal": null, "annotations": []},
            }],
            "usage": {
                "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
                "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            "service_tier": "default", "system_fingerprint": null,
        })
    }

    #[test]
    fn an_ordinary_answer_is_read_as_the_lenient_reader_does() {
        let body = ordinary().to_string();
        let reply = decode(body.as_bytes()).expect("is ordinary");
        assert_eq!(Ok(reply), lenient(body.as_bytes()));
    }

    #[test]
    fn anything_else_is_left_to_the_lenient_reader() {
        let check = |pointer: &str, value: Value| {
            let mut body = ordinary();
            *body.pointer_mut(pointer).expect("is there") = value;
            assert_eq!(decode(body.to_string().as_bytes()), None, "{pointer}");
        };
        check("/choices", json!([]));
        check("/choices/0/message/content", json!(null));
        check("/choices/0/message/content", json!([{"type": "text", "text": "a"}]));
        check("/choices/0/message/refusal", json!("no"));
        check("/choices/0/message/annotations", json!([{"type": "url_citation"}]));
        check("/choices/0/finish_reason", json!("error"));
        check("/usage/prompt_tokens", json!("many"));
        check(
            "/usage",
            json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "cost": 0.1}),
        );
        let mut body = ordinary();
        body["error"] = json!({"message": "busy"});
        assert_eq!(decode(body.to_string().as_bytes()), None);
    }
}
