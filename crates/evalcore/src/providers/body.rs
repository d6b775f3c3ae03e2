//! What the bodies of all APIs have in common: writing the request, reading the answer.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::Failure;
use crate::sample::Message;
use crate::task::ModelConfig;

/// A request's body in the making.
#[derive(Debug)]
pub(super) struct Body(Map<String, Value>);

impl Body {
    pub(super) fn new(config: &ModelConfig) -> Self {
        let mut body = Self(Map::new());
        body.set("model", config.model.as_str());
        body
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Sets what was set: a field left out leaves the choice to the server, which for many models
    /// is the only one.
    pub(super) fn set_some<T: Into<Value>>(&mut self, name: &str, value: Option<T>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    pub(super) fn set_tools(&mut self, config: &ModelConfig) {
        if !config.tools.is_empty() {
            self.set("tools", config.tools.clone());
        }
    }

    /// Adds the task's further fields, which win over those that are there, except that `fixed`
    /// ones are refused; and the conversation under `name`.
    pub(super) fn finish(
        mut self,
        config: &ModelConfig,
        fixed: &[&str],
        name: &str,
        turns: &[Turn<'_>],
    ) -> Result<Vec<u8>, Failure> {
        if let Some(name) = fixed.iter().find(|name| config.extra_body.contains_key(**name)) {
            let reason = format!("`{name}` cannot be set in `extra_body`");
            return Err(Failure::Unsendable { reason });
        }
        merge(&mut self.0, &config.extra_body);
        let mut bytes = Vec::with_capacity(4096);
        let mut serializer = serde_json::Serializer::new(&mut bytes);
        let written = serializer.serialize_map(None).and_then(|mut map| {
            self.0.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
            map.serialize_entry(name, turns)?;
            map.end()
        });
        written.expect("maps with keys of text are JSON");
        Ok(bytes)
    }
}

/// One message as the APIs take it. The text is borrowed: prompts are most of what is sent.
#[derive(Debug, Serialize)]
pub(super) struct Turn<'a> {
    role: &'a str,
    content: &'a str,
}

/// The conversation, its system message in the role that the model knows.
pub(super) fn turns<'a>(
    messages: impl IntoIterator<Item = &'a Message>,
    system_role: &'a str,
) -> Vec<Turn<'a>> {
    let role = |message: &Message| match message.role {
        "system" => system_role,
        role => role,
    };
    messages.into_iter().map(|it| Turn { role: role(it), content: &it.content }).collect()
}

/// Objects in both are merged, so that `reasoning.summary` leaves `reasoning.effort` in place.
fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (name, value) in from {
        match (into.get_mut(name), value) {
            (Some(Value::Object(into)), Value::Object(from)) => merge(into, from),
            _ => {
                into.insert(name.clone(), value.clone());
            }
        }
    }
}

/// Reads the body of a success. A body that breaks off never arrived as a whole; in a whole one,
/// halves of characters are replaced, as the rest has been paid for.
pub(super) fn parse(body: &[u8]) -> Result<Value, Failure> {
    let error = match serde_json::from_slice(body) {
        Ok(document) => return Ok(document),
        Err(error) => error,
    };
    if error.is_eof() {
        let reason = format!("the answer breaks off: {error}");
        return Err(Failure::Network { reason, sent: true });
    }
    serde_json::from_str(&without_half_characters(&String::from_utf8_lossy(body)))
        .map_err(|_| unreadable(format!("not JSON: {error}")))
}

/// Replaces escapes of single surrogates, which are no characters, by U+FFFD.
fn without_half_characters(text: &str) -> String {
    let mut sound = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('\\') {
        let (before, escape) = rest.split_at(start);
        sound.push_str(before);
        let unit =
            |escape: &str| u16::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok();
        let length = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xD800..0xDC00), Some(0xDC00..0xE000)) => 12,
            (Some(0xD800..0xE000), _) => {
                sound.push('\u{FFFD}');
                rest = &escape[6..];
                continue;
            }
            // A backslash and what it escapes; `\uXXXX` needs no more care than its first two.
            _ => escape.char_indices().nth(2).map_or(escape.len(), |(end, _)| end),
        };
        sound.push_str(&escape[..length]);
        rest = &escape[length..];
    }
    sound + rest
}

pub(super) fn unreadable(reason: impl Into<String>) -> Failure {
    Failure::Unreadable { reason: reason.into() }
}

pub(super) fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A number of tokens; 0 when the server does not say.
pub(super) fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// US dollars as the server bills them, which OpenRouter says.
pub(super) fn cost(usage: &Value) -> Option<f64> {
    usage["cost"].as_f64().filter(|cost| *cost >= 0.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn finished(extra: Value) -> Result<Value, String> {
        let Value::Object(extra_body) = extra else { unreachable!("tests pass objects") };
        let config = ModelConfig { model: "m".into(), extra_body, ..ModelConfig::default() };
        let mut body = Body::new(&config);
        body.set("reasoning", json!({"effort": "low"}));
        let bytes = body
            .finish(&config, &["model", "stream"], "messages", &[])
            .map_err(|failure| failure.to_string())?;
        let mut body: Value = serde_json::from_slice(&bytes).expect("JSON");
        let turns = body.as_object_mut().expect("an object").remove("messages");
        assert_eq!(turns, Some(json!([])));
        Ok(body)
    }

    #[test]
    fn further_fields_win_and_objects_are_merged() {
        assert_eq!(
            finished(json!({"seed": 7, "reasoning": {"summary": "auto"}})),
            Ok(json!({"model": "m", "reasoning": {"effort": "low", "summary": "auto"}, "seed": 7}))
        );
        assert_eq!(
            finished(json!({"reasoning": {"effort": "high"}})),
            Ok(json!({"model": "m", "reasoning": {"effort": "high"}}))
        );
        assert_eq!(
            finished(json!({"reasoning": null})),
            Ok(json!({"model": "m", "reasoning": null}))
        );
    }

    #[test]
    fn what_the_request_stands_on_cannot_be_replaced() {
        let refused = |name: &str| {
            Err(format!("request cannot be sent: `{name}` cannot be set in `extra_body`"))
        };
        assert_eq!(finished(json!({"model": "x"})), refused("model"));
        assert_eq!(finished(json!({"stream": false})), refused("stream"));
    }

    #[test]
    fn half_a_character_costs_no_answer() {
        let check = |body: &[u8], expected: &str| {
            assert_eq!(parse(body).expect("readable")["a"], expected);
        };
        check(br#"{"a": "x\ud83d y"}"#, "x\u{FFFD} y");
        check(br#"{"a": "\ude00\ud83d\ude00\ud83d"}"#, "\u{FFFD}😀\u{FFFD}");
        check(br#"{"a": "\\ud83d \ud83d"}"#, "\\ud83d \u{FFFD}");
        check(b"{\"a\": \"x\xff\"}", "x\u{FFFD}");
    }

    #[test]
    fn a_body_that_breaks_off_has_not_arrived() {
        let failure = parse(br#"{"a": "x"#).expect_err("is cut off");
        assert!(matches!(failure, Failure::Network { sent: true, .. }), "{failure}");
        let failure = parse(b"<html>").expect_err("is no JSON");
        assert!(matches!(failure, Failure::Unreadable { .. }), "{failure}");
    }

    #[test]
    fn a_cost_is_a_number_that_can_be_one() {
        assert_eq!(cost(&json!({"cost": 0.002})), Some(0.002));
        assert_eq!(cost(&json!({"cost": 0})), Some(0.0));
        assert_eq!(cost(&json!({"cost": -1})), None);
        assert_eq!(cost(&json!({"cost": "1"})), None);
        assert_eq!(cost(&json!(null)), None);
    }
}
