//! OpenAI's Responses: `POST /responses`, and `GET /responses/{id}` in background mode.

mod read;
mod searches;

use serde_json::{Value, json};

pub(super) use self::read::decode;
use super::Failure;
use super::body::{Body, turns, unreadable};
use crate::sample::Message;
use crate::task::ModelConfig;

/// Names the URLs that searches found, which are left out unless asked for.
const SOURCES: &str = "web_search_call.action.sources";

/// Longest id of a response, in bytes. OpenAI's have 55; gateways wrap them in their own.
const MAX_ID: usize = 1_024;

/// The body of a request.
///
/// A system message goes as an item of the role `developer`, as the reference samplers send it.
///
/// `store` is always there. In background mode it must be `true`: without it some projects drop
/// an answer ten minutes after it is ready. Otherwise it is `false`, against the API's own default
/// of keeping every answer for 30 days, because nobody would fetch it again and benchmarks should
/// not lie about in more places than they must; Chat keeps nothing either. `extra_body` can say
/// otherwise.
pub(super) fn request(config: &ModelConfig, messages: &[Message]) -> Result<Vec<u8>, Failure> {
    let system_role = config.system_role.as_deref().unwrap_or("developer");
    let mut body = Body::new(config);
    body.set_some("temperature", config.temperature);
    body.set_some("max_output_tokens", config.max_tokens);
    if let Some(effort) = &config.reasoning_effort {
        body.set("reasoning", json!({"effort": effort}));
    }
    body.set_tools(config);
    if names_sources(config) {
        body.set("include", json!([SOURCES]));
    }
    body.set_some("service_tier", config.service_tier.as_deref());
    if config.background {
        body.set("background", true);
    }
    body.set("store", config.background);
    let fixed = ["model", "input", "stream", "background"];
    body.finish(config, &fixed, "input", &turns(messages, system_role))
}

/// Path of a background response. What was included in the request is left out here unless it is
/// named again.
pub(super) fn retrieve_path(config: &ModelConfig, id: &str) -> Result<String, Failure> {
    let query = match names_sources(config) {
        true => format!("?include[]={SOURCES}"),
        false => String::new(),
    };
    Ok(format!("/responses/{}{query}", segment(id)?))
}

/// Path that gives up a background response.
pub(super) fn cancel_path(id: &str) -> Result<String, Failure> {
    Ok(format!("/responses/{}/cancel", segment(id)?))
}

/// The older tool, `web_search_preview`, knows no sources.
fn names_sources(config: &ModelConfig) -> bool {
    config
        .tools
        .iter()
        .filter_map(|tool| tool["type"].as_str())
        .any(|kind| kind.starts_with("web_search") && !kind.starts_with("web_search_preview"))
}

/// An id as a part of a path, from which it cannot break out.
fn segment(id: &str) -> Result<String, Failure> {
    let is_sound = (1..=MAX_ID).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_graphic())
        && !matches!(id, "." | "..");
    if !is_sound {
        return Err(unreadable("the response's id is none"));
    }
    Ok(id
        .chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => c.to_string(),
            _ => format!("%{:02X}", u32::from(c)),
        })
        .collect())
}

/// The response's id, if it can stand in a path.
fn id(document: &Value) -> Result<String, Failure> {
    let id = document["id"].as_str().unwrap_or_default();
    segment(id).map(|_| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(config: &ModelConfig) -> Value {
        let message = |role, content: &str| Message { role, content: content.into() };
        let messages = [message("system", "Be brief."), message("user", "2+2?")];
        let body = request(config, &messages).expect("a body");
        serde_json::from_slice(&body).expect("JSON")
    }

    fn with_tool(kind: &str) -> ModelConfig {
        ModelConfig { tools: vec![json!({"type": kind})], ..ModelConfig::default() }
    }

    #[test]
    fn nothing_is_sent_that_was_not_set_but_that_nothing_be_stored() {
        let config = ModelConfig { model: "o3".into(), ..ModelConfig::default() };
        let input = json!([
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "2+2?"},
        ]);
        assert_eq!(sent(&config), json!({"model": "o3", "input": input, "store": false}));
    }

    #[test]
    fn everything_that_was_set_is_sent() {
        let tool = json!({"type": "web_search", "search_context_size": "low"});
        let config = ModelConfig {
            model: "o3".into(),
            temperature: Some(1.0),
            max_tokens: Some(99),
            system_role: Some("system".into()),
            reasoning_effort: Some("high".into()),
            service_tier: Some("flex".into()),
            tools: vec![tool.clone()],
            background: true,
            extra_body: json!({"max_tool_calls": 3, "reasoning": {"summary": "auto"}})
                .as_object()
                .expect("an object")
                .clone(),
            ..ModelConfig::default()
        };
        assert_eq!(
            sent(&config),
            json!({
                "model": "o3",
                "input": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "2+2?"},
                ],
                "temperature": 1.0, "max_output_tokens": 99,
                "reasoning": {"effort": "high", "summary": "auto"},
                "tools": [tool], "include": [SOURCES], "service_tier": "flex",
                "background": true, "store": true, "max_tool_calls": 3,
            })
        );
    }

    #[test]
    fn sources_are_asked_for_where_they_are_known() {
        assert_eq!(sent(&with_tool("web_search"))["include"], json!([SOURCES]));
        assert_eq!(sent(&with_tool("web_search_2025_08_26"))["include"], json!([SOURCES]));
        assert_eq!(sent(&with_tool("web_search_preview"))["include"], Value::Null);
        assert_eq!(sent(&with_tool("code_interpreter"))["include"], Value::Null);
    }

    #[test]
    fn what_is_included_is_named_again_when_it_is_fetched() {
        let check = |config: &ModelConfig, expected: &str| {
            assert_eq!(retrieve_path(config, "resp_1"), Ok(format!("/responses/resp_1{expected}")));
        };
        check(&ModelConfig::default(), "");
        check(&with_tool("web_search"), "?include[]=web_search_call.action.sources");
    }

    #[test]
    fn an_id_cannot_leave_its_place_in_the_path() {
        let check = |id: &str, expected: Option<&str>| {
            assert_eq!(
                cancel_path(id).ok(),
                expected.map(|segment| format!("/responses/{segment}/cancel"))
            );
        };
        check("resp_0a-Z", Some("resp_0a-Z"));
        check("resp_bGl0=", Some("resp_bGl0%3D"));
        check("../files/f?x#y%", Some("..%2Ffiles%2Ff%3Fx%23y%25"));
        check("", None);
        check(".", None);
        check("..", None);
        check("a b", None);
        check("é", None);
        check("a\r\n", None);
        check(&"a".repeat(MAX_ID + 1), None);
    }
}
