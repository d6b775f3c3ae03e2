//! What the bodies of all APIs have in common: writing the request, reading the answer.

use serde_json::{Map, Value};

use super::Failure;
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
    /// ones are refused.
    pub(super) fn finish(
        mut self,
        config: &ModelConfig,
        fixed: &[&str],
    ) -> Result<Vec<u8>, Failure> {
        if let Some(name) = fixed
            .iter()
            .find(|name| config.extra_body.contains_key(**name))
        {
            return Err(Failure::Unsendable {
                reason: format!("`{name}` cannot be set in `extra_body`"),
            });
        }
        merge(&mut self.0, &config.extra_body);
        Ok(serde_json::to_vec(&self.0).expect("maps with keys of text are JSON"))
    }
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

/// Reads the body of a success.
pub(super) fn parse(body: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(body).map_err(|error| unreadable(format!("not JSON: {error}")))
}

pub(super) fn unreadable(reason: impl Into<String>) -> Failure {
    Failure::Unreadable {
        reason: reason.into(),
    }
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
        let Value::Object(extra_body) = extra else {
            unreachable!("tests pass objects")
        };
        let config = ModelConfig {
            model: "m".into(),
            extra_body,
            ..ModelConfig::default()
        };
        let mut body = Body::new(&config);
        body.set("reasoning", json!({"effort": "low"}));
        let bytes = body
            .finish(&config, &["model", "stream"])
            .map_err(|failure| failure.to_string())?;
        Ok(serde_json::from_slice(&bytes).expect("JSON"))
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
            Err(format!(
                "request cannot be sent: `{name}` cannot be set in `extra_body`"
            ))
        };
        assert_eq!(finished(json!({"model": "x"})), refused("model"));
        assert_eq!(finished(json!({"stream": false})), refused("stream"));
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
