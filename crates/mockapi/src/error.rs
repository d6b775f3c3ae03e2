//! Errors as the API puts them: a status, headers about waiting, and a JSON body.

use std::time::Duration;

use serde_json::{Value, json};

/// An error reply: a body under `status`, and headers about waiting. Under status 200 it is one of those failures that
/// gateways hide in a good reply.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// The body's `type`.
    pub kind: String,
    /// The body's `code`; `None` is null.
    pub code: Option<String>,
    /// The parameter that is wrong; `None` is null.
    pub param: Option<String>,
    /// What a person reads.
    pub message: String,
    /// Sent as `retry-after-ms`, and as `retry-after` in whole seconds rounded up.
    pub retry_after: Option<Duration>,
    /// The body's form.
    pub shape: Shape,
}

/// The form of an error's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// As the API in use puts it.
    #[default]
    Standard,
    /// A list that holds the standard form, as some gateways do.
    List,
    /// The status as a number in `code`, as some gateways and local servers do.
    NumericCode,
    /// `message`, `type` and a numeric `code` with no `error` around them.
    Flat,
    /// A page for people, as proxies send.
    Html,
}

impl ApiError {
    /// An error with a type and a code, and nothing about waiting.
    pub fn new(
        status: u16,
        kind: &str,
        code: Option<&str>,
        message: impl Into<String>,
    ) -> ApiError {
        let code = code.map(str::to_owned);
        ApiError {
            status,
            kind: kind.to_owned(),
            code,
            param: None,
            message: message.into(),
            retry_after: None,
            shape: Shape::Standard,
        }
    }

    /// 400: the request is wrong; `param` names the part that is.
    pub fn bad_request(
        code: Option<&str>,
        param: Option<&str>,
        message: impl Into<String>,
    ) -> ApiError {
        let error = ApiError::new(400, "invalid_request_error", code, message);
        ApiError { param: param.map(str::to_owned), ..error }
    }

    /// 400: the body is not what the API takes.
    pub(crate) fn unreadable(error: &serde_json::Error) -> ApiError {
        ApiError::bad_request(None, None, format!("The body cannot be read: {error}"))
    }

    /// 400: `param` has to be there.
    pub(crate) fn missing(param: &str) -> ApiError {
        let message = format!("Missing required parameter: '{param}'.");
        ApiError::bad_request(Some("missing_required_parameter"), Some(param), message)
    }

    /// 400: this API has no `param`.
    pub(crate) fn unknown(param: &str) -> ApiError {
        let message = format!("Unknown parameter: '{param}'.");
        ApiError::bad_request(Some("unknown_parameter"), Some(param), message)
    }

    /// 400: the mock does not do `param`.
    pub(crate) fn unsupported(param: &str) -> ApiError {
        let message = format!("Unsupported parameter: '{param}'.");
        ApiError::bad_request(Some("unsupported_parameter"), Some(param), message)
    }

    /// 401 that repeats the key it was sent: a client has to keep it out of its logs.
    pub fn invalid_api_key(key: &str) -> ApiError {
        let message = format!("Incorrect API key provided: {key}.");
        ApiError::new(401, "invalid_request_error", Some("invalid_api_key"), message)
    }

    /// 404: nobody serves `model`.
    pub fn model_not_found(model: &str) -> ApiError {
        let message = format!("The model `{model}` does not exist");
        ApiError::new(404, "invalid_request_error", Some("model_not_found"), message)
    }

    /// 404: there is no response `id`, or not any more.
    pub(crate) fn response_not_found(id: &str) -> ApiError {
        let message = format!("Response with id '{id}' not found.");
        ApiError::new(404, "invalid_request_error", None, message)
    }

    /// 429 that goes away by waiting.
    pub fn rate_limited(retry_after: Option<Duration>) -> ApiError {
        let error = ApiError::new(
            429,
            "requests",
            Some("rate_limit_exceeded"),
            "Rate limit reached: too many requests.",
        );
        ApiError { retry_after, ..error }
    }

    /// 429 that only money makes go away.
    pub fn insufficient_quota() -> ApiError {
        let message = "The quota of this project is used up.";
        ApiError::new(429, "insufficient_quota", Some("insufficient_quota"), message)
    }

    /// 500.
    pub fn server_error() -> ApiError {
        ApiError::new(
            500,
            "server_error",
            None,
            "The server failed while it worked on the request.",
        )
    }

    /// 502 with a page of a proxy in place of JSON.
    pub fn bad_gateway() -> ApiError {
        let error = ApiError::new(502, "server_error", None, "Bad Gateway");
        ApiError { shape: Shape::Html, ..error }
    }

    /// 503: too much to do; 529 in the Messages API.
    pub fn overloaded(retry_after: Option<Duration>) -> ApiError {
        let message = "The server has too much to do just now.";
        let error =
            ApiError::new(503, "service_unavailable_error", Some("server_is_overloaded"), message);
        ApiError { retry_after, ..error }
    }

    /// A failure inside a 200.
    pub fn inside_200() -> ApiError {
        ApiError { status: 200, ..ApiError::server_error() }
    }

    /// The same error with a body of the form `shape`.
    pub fn shaped(self, shape: Shape) -> ApiError {
        ApiError { shape, ..self }
    }

    /// 429 of the bucket `kind`, which has enough again after `wait`.
    pub(crate) fn limited_by(kind: &str, wait: Duration) -> ApiError {
        let message = format!("Rate limit of {kind} per minute reached.");
        let error = ApiError::new(429, kind, Some("rate_limit_exceeded"), message);
        ApiError { retry_after: Some(wait), ..error }
    }

    /// 429 that no waiting helps: one request wants more tokens than a minute has.
    pub(crate) fn too_large(tokens: f64, limit: f64) -> ApiError {
        let message = format!(
            "Request too large for the limit of {limit} tokens per minute: {tokens} requested."
        );
        ApiError::new(429, "tokens", Some("rate_limit_exceeded"), message)
    }

    /// The body, as the OpenAI APIs write it.
    pub(crate) fn openai(&self) -> Value {
        let ApiError { kind, code, param, message, .. } = self;
        json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
    }

    /// Body and content type, given the body in the standard form.
    pub(crate) fn body(&self, standard: Value) -> (String, &'static str) {
        let ApiError { status, kind, message, .. } = self;
        let json = match self.shape {
            Shape::Standard => standard,
            Shape::List => json!([standard]),
            Shape::NumericCode => {
                json!({"error": {"message": message, "type": kind, "code": status}})
            }
            Shape::Flat => {
                json!({"object": "error", "message": message, "type": kind, "code": status})
            }
            Shape::Html => {
                let page = format!(
                    "<html><head><title>{status}</title></head><body><h1>{message}</h1></body></html>"
                );
                return (page, "text/html");
            }
        };
        (json.to_string(), "application/json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_has_the_four_fields_of_the_api() {
        let expected = json!({"error": {
            "message": "The model `mock/xyz` does not exist",
            "type": "invalid_request_error",
            "param": null,
            "code": "model_not_found",
        }});
        assert_eq!(ApiError::model_not_found("mock/xyz").openai(), expected);
    }

    #[track_caller]
    fn check(shape: Shape, expected: &str, content_type: &str) {
        let error = ApiError::new(502, "a", None, "b").shaped(shape);
        assert_eq!(error.body(json!({})), (expected.to_owned(), content_type));
    }

    #[test]
    fn bodies_come_in_the_forms_of_other_servers() {
        check(Shape::Standard, "{}", "application/json");
        check(Shape::List, "[{}]", "application/json");
        let numeric = r#"{"error":{"message":"b","type":"a","code":502}}"#;
        check(Shape::NumericCode, numeric, "application/json");
        let flat = r#"{"object":"error","message":"b","type":"a","code":502}"#;
        check(Shape::Flat, flat, "application/json");
        let page = "<html><head><title>502</title></head><body><h1>b</h1></body></html>";
        check(Shape::Html, page, "text/html");
    }
}
