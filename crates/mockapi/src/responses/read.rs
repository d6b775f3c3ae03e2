//! What a client sends.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, SeqAccess, Visitor},
};

use crate::{
    answer::Asked,
    error::ApiError,
    text::{Message, Text},
};

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    input: Option<Input<'a>>,
    #[serde(borrow, default)]
    instructions: Text<'a>,
    max_output_tokens: Option<u64>,
    #[serde(borrow, default)]
    tools: Vec<Tool<'a>>,
    #[serde(default)]
    background: bool,
    #[serde(default)]
    stream: bool,
    #[serde(flatten)]
    foreign: Foreign,
}

#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
}

/// Fields of chat completions, which are easily sent here by mistake.
#[derive(Deserialize)]
struct Foreign {
    messages: Option<IgnoredAny>,
    max_tokens: Option<IgnoredAny>,
    max_completion_tokens: Option<IgnoredAny>,
    reasoning_effort: Option<IgnoredAny>,
    response_format: Option<IgnoredAny>,
    seed: Option<IgnoredAny>,
    n: Option<IgnoredAny>,
    stop: Option<IgnoredAny>,
}

/// A string, which is a user message, or a list of messages.
struct Input<'a>(Vec<Message<'a>>);

/// Reads a request.
///
/// # Errors
///
/// 400 for a body that is not JSON, names no model, has no input, wants a stream or fewer than 16 tokens, or has fields
/// of chat completions.
pub(crate) fn read(body: &[u8]) -> Result<Asked<'_>, ApiError> {
    let request: Request<'_> =
        serde_json::from_slice(body).map_err(|error| ApiError::unreadable(&error))?;
    if request.model.is_empty() {
        return Err(ApiError::missing("model"));
    }
    if let Some(param) = request.foreign.first() {
        return Err(ApiError::unknown(param));
    }
    if request.stream {
        return Err(ApiError::unsupported("stream"));
    }
    if request.max_output_tokens.is_some_and(|tokens| tokens < 16) {
        let message = "'max_output_tokens' has to be at least 16.";
        return Err(ApiError::bad_request(
            Some("integer_below_min_value"),
            Some("max_output_tokens"),
            message,
        ));
    }
    let Some(Input(messages)) = request.input.filter(|Input(messages)| !messages.is_empty()) else {
        return Err(ApiError::missing("input"));
    };
    let prompt_len = Message::len_of(&messages) + request.instructions.0.len();
    Ok(Asked {
        model: request.model,
        question: Message::last_of_user(messages),
        prompt_len,
        max_tokens: request.max_output_tokens,
        n: 1,
        web_search: request.tools.iter().any(|tool| tool.kind.starts_with("web_search")),
        background: request.background,
    })
}

impl Foreign {
    /// The first that was sent.
    fn first(&self) -> Option<&'static str> {
        let sent = [
            ("messages", &self.messages),
            ("max_tokens", &self.max_tokens),
            ("max_completion_tokens", &self.max_completion_tokens),
            ("reasoning_effort", &self.reasoning_effort),
            ("response_format", &self.response_format),
            ("seed", &self.seed),
            ("n", &self.n),
            ("stop", &self.stop),
        ];
        sent.into_iter().find(|(_, value)| value.is_some()).map(|(name, _)| name)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Input<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InputVisitor)
    }
}

struct InputVisitor;

impl<'de> Visitor<'de> for InputVisitor {
    type Value = Input<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of messages")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Input<'de>, E> {
        Ok(Input(vec![Message::of_user(Cow::Borrowed(text))]))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Input<'de>, E> {
        Ok(Input(vec![Message::of_user(Cow::Owned(text.to_owned()))]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Input<'de>, A::Error> {
        let mut messages = Vec::new();
        while let Some(message) = items.next_element()? {
            messages.push(message);
        }
        Ok(Input(messages))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_a_string_or_messages() {
        const BODY: &str = r#"{"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": "2+2?"}]}],
        "instructions": "add", "tools": [{"type": "web_search_preview"}], "background": true, "max_output_tokens": 64}"#;
        let asked = read(BODY.as_bytes()).unwrap();
        assert_eq!((&*asked.question, asked.prompt_len, asked.max_tokens), ("2+2?", 7, Some(64)));
        assert!(asked.web_search && asked.background);
        let asked = read(br#"{"model": "m", "input": "2+2?"}"#).unwrap();
        assert_eq!((&*asked.question, asked.web_search, asked.background), ("2+2?", false, false));
    }

    #[track_caller]
    fn check_refused(body: &str, param: &str) {
        assert_eq!(read(body.as_bytes()).unwrap_err().param.as_deref(), Some(param));
    }

    #[test]
    fn wrong_requests_are_refused() {
        check_refused(r#"{"model": "m"}"#, "input");
        check_refused(r#"{"model": "m", "input": []}"#, "input");
        check_refused(r#"{"input": "2+2?"}"#, "model");
        check_refused(r#"{"model": "m", "input": "2+2?", "max_tokens": 100}"#, "max_tokens");
        check_refused(
            r#"{"model": "m", "input": "2+2?", "max_output_tokens": 15}"#,
            "max_output_tokens",
        );
    }
}
