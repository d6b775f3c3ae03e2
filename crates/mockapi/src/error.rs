//! Errors as the API puts them: a status, headers about waiting, and a JSON body.

use std::time::Duration;

use serde_json::{Value, json};

/// An error reply: `{"error": {"message", "type", "param", "code"}}` under `status`.
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
        }
    }

    /// 400: the request is wrong; `param` names the part that is.
    pub fn bad_request(
        code: Option<&str>,
        param: Option<&str>,
        message: impl Into<String>,
    ) -> ApiError {
        let error = ApiError::new(400, "invalid_request_error", code, message);
        ApiError {
            param: param.map(str::to_owned),
            ..error
        }
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

    /// 400: the mock does not know `param`.
    pub(crate) fn unsupported(param: &str) -> ApiError {
        let message = format!("Unsupported parameter: '{param}'.");
        ApiError::bad_request(Some("unsupported_parameter"), Some(param), message)
    }

    /// 401 that repeats the key it was sent: a client has to keep it out of its logs.
    pub fn invalid_api_key(key: &str) -> ApiError {
        let message = format!("Incorrect API key provided: {key}.");
        ApiError::new(
            401,
            "invalid_request_error",
            Some("invalid_api_key"),
            message,
        )
    }

    /// 404: nobody serves `model`.
    pub fn model_not_found(model: &str) -> ApiError {
        let message = format!("The model `{model}` does not exist");
        ApiError::new(
            404,
            "invalid_request_error",
            Some("model_not_found"),
            message,
        )
    }

    /// 429 that goes away by waiting.
    pub fn rate_limited(retry_after: Option<Duration>) -> ApiError {
        let error = ApiError::new(
            429,
            "requests",
            Some("rate_limit_exceeded"),
            "Rate limit reached: too many requests.",
        );
        ApiError {
            retry_after,
            ..error
        }
    }

    /// 429 that only money makes go away.
    pub fn insufficient_quota() -> ApiError {
        let message = "The quota of this project is used up.";
        ApiError::new(
            429,
            "insufficient_quota",
            Some("insufficient_quota"),
            message,
        )
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

    /// The body, as OpenAI writes it.
    pub(crate) fn body(&self) -> Value {
        let ApiError {
            kind,
            code,
            param,
            message,
            ..
        } = self;
        json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
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
        assert_eq!(ApiError::model_not_found("mock/xyz").body(), expected);
    }
}
