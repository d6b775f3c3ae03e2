//! Chat Completions: `POST /chat/completions`, as OpenAI and compatible servers speak it.

mod plain;
mod read;

use serde_json::json;

pub(super) use self::read::decode;
use super::Failure;
use super::body::{Body, turns};
use super::endpoint::{is_openai, is_openrouter};
use crate::sample::Message;
use crate::task::{ModelConfig, TokenLimitField};

/// The body of a request. Sampling fields are there only when they were set: many models refuse
/// any value but their own default.
pub(super) fn request(
    base_url: &str,
    config: &ModelConfig,
    messages: &[Message],
) -> Result<Vec<u8>, Failure> {
    let system_role = config.system_role.as_deref().unwrap_or("system");
    let mut body = Body::new(config);
    body.set_some("temperature", config.temperature);
    if let Some(limit) = config.max_tokens {
        body.set(token_limit_name(base_url, config), limit);
    }
    if let Some(effort) = config.reasoning_effort.as_deref() {
        match is_openrouter(base_url) {
            true => body.set("reasoning", json!({"effort": effort})),
            false => body.set("reasoning_effort", effort),
        }
    }
    body.set_some("service_tier", config.service_tier.as_deref());
    body.set_tools(config);
    body.finish(config, &["model", "messages", "stream"], "messages", &turns(messages, system_role))
}

fn token_limit_name(base_url: &str, config: &ModelConfig) -> &'static str {
    match config.token_limit_field {
        Some(TokenLimitField::MaxCompletionTokens) => "max_completion_tokens",
        Some(TokenLimitField::MaxTokens) => "max_tokens",
        // OpenAI's newer models refuse `max_tokens`; other servers often know nothing else.
        None if is_openai(base_url) => "max_completion_tokens",
        None => "max_tokens",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::providers::OPENAI_BASE_URL;

    const VLLM: &str = "http://localhost:8000/v1";

    fn sent(base_url: &str, config: &ModelConfig) -> Value {
        let message = |role, content: &str| Message { role, content: content.into() };
        let messages = [message("system", "Be brief."), message("user", "2+2?")];
        let messages = match &config.system_message {
            Some(_) => &messages[..],
            None => &messages[1..],
        };
        let body = request(base_url, config, messages).expect("a body");
        serde_json::from_slice(&body).expect("JSON")
    }

    #[test]
    fn nothing_is_sent_that_was_not_set() {
        let config = ModelConfig { model: "o3".into(), ..ModelConfig::default() };
        assert_eq!(
            sent(OPENAI_BASE_URL, &config),
            json!({"model": "o3", "messages": [{"role": "user", "content": "2+2?"}]})
        );
    }

    #[test]
    fn the_token_limit_has_the_name_the_server_knows() {
        let config = ModelConfig { max_tokens: Some(9), ..ModelConfig::default() };
        let check = |field, base_url, name: &str| {
            let config = ModelConfig { token_limit_field: field, ..config.clone() };
            let body = sent(base_url, &config);
            assert_eq!(body[name], 9, "{body}");
            assert_eq!(body.as_object().map(|it| it.len()), Some(3), "{body}");
        };
        check(None, OPENAI_BASE_URL, "max_completion_tokens");
        check(None, "https://eu.api.openai.com/v1", "max_completion_tokens");
        check(None, "https://me.openai.azure.com/openai/v1", "max_completion_tokens");
        check(None, VLLM, "max_tokens");
        check(Some(TokenLimitField::MaxTokens), OPENAI_BASE_URL, "max_tokens");
        check(Some(TokenLimitField::MaxCompletionTokens), VLLM, "max_completion_tokens");
    }

    #[test]
    fn everything_that_was_set_is_sent() {
        let config = ModelConfig {
            model: "m".into(),
            temperature: Some(0.5),
            system_message: Some("Be brief.".into()),
            system_role: Some("developer".into()),
            reasoning_effort: Some("low".into()),
            service_tier: Some("flex".into()),
            tools: vec![json!({"type": "x"})],
            extra_body: json!({"seed": 7}).as_object().expect("an object").clone(),
            ..ModelConfig::default()
        };
        let mut expected = json!({
            "model": "m",
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": "2+2?"},
            ],
            "temperature": 0.5, "reasoning_effort": "low", "service_tier": "flex",
            "tools": [{"type": "x"}], "seed": 7,
        });
        assert_eq!(sent(VLLM, &config), expected);
        let fields = expected.as_object_mut().expect("an object");
        fields.remove("reasoning_effort");
        fields.insert("reasoning".into(), json!({"effort": "low"}));
        assert_eq!(sent("https://openrouter.ai/api/v1", &config), expected);
    }

    #[test]
    fn the_system_message_keeps_its_role_unless_told_otherwise() {
        let config =
            ModelConfig { system_message: Some("Be brief.".into()), ..ModelConfig::default() };
        assert_eq!(sent(VLLM, &config)["messages"][0]["role"], "system");
    }
}
