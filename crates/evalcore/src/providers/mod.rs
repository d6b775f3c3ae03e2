//! One file per API, and what they share: the endpoint, the key, the way of one request.
//!
//! A provider knows no eval. It sends one request once; what to do about a [`Failure`] is the
//! engine's to decide.
#![expect(
    clippy::result_large_err,
    reason = "a failure is made once per request, which takes milliseconds at least"
)]

mod body;
mod chat;
mod endpoint;
mod exchange;
mod failure;
mod key;
mod limits;
mod trace;

use std::time::Duration;

use self::endpoint::header_value;
pub use self::endpoint::{Endpoint, KeyHeader, OPENAI_BASE_URL};
use self::exchange::{Answer, post, request_id as id_of};
use self::failure::api_error;
pub use self::failure::{ApiError, Failure};
pub use self::key::ApiKey;
pub use self::limits::RateLimits;
pub use self::trace::{Citation, Trace};
use crate::clock::unix_now;
use crate::sample::{Completion, Message};
use crate::task::{Api, ModelConfig, Tokens};

/// An answer that has been paid for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    /// Text and how it ended.
    pub completion: Completion,
    /// Tokens; none when the server did not say.
    pub usage: Option<Tokens>,
    /// US dollars, where the server says what it bills.
    pub cost: Option<f64>,
    /// The model that answered, as the server names it.
    pub model: Option<String>,
    /// The tier that served it, which may be another than was asked for.
    pub service_tier: Option<String>,
    /// What was searched, opened and cited.
    pub trace: Trace,
    /// The server's own id of the request.
    pub request_id: Option<String>,
    /// The limits that the server states along with it.
    pub limits: RateLimits,
}

/// Sends one request and waits for its answer, at most `timeout`.
///
/// `request_id` goes along as `X-Client-Request-Id`; it is how a provider's support, or a mock
/// server, tells which sample a request belongs to.
///
/// # Errors
///
/// Whatever kept the answer from coming, see [`Failure`].
pub async fn ask(
    endpoint: &Endpoint,
    config: &ModelConfig,
    messages: &[Message],
    request_id: &str,
    timeout: Duration,
) -> Result<Reply, Failure> {
    let exchange = exchange(endpoint, config, messages, request_id);
    match tokio::time::timeout(timeout, exchange).await {
        Ok(result) => result.map_err(|failure| failure.without_prompt(messages)),
        Err(_) => Err(Failure::Timeout(timeout)),
    }
}

async fn exchange(
    endpoint: &Endpoint,
    config: &ModelConfig,
    messages: &[Message],
    request_id: &str,
) -> Result<Reply, Failure> {
    let (path, body) = match config.api {
        Api::Chat => (
            "/chat/completions",
            chat::request(&endpoint.base_url, config, messages)?,
        ),
        Api::Responses | Api::Messages => {
            return Err(Failure::Unsendable {
                reason: "this API is not spoken yet".into(),
            });
        }
    };
    let mut headers = endpoint.headers(config)?;
    headers.insert(
        "x-client-request-id",
        header_value("x-client-request-id", request_id)?,
    );
    let answer = post(endpoint, path, headers, body).await?;
    let Answer {
        status,
        headers,
        body,
    } = &answer;
    if !answer.is_success() {
        return Err(Failure::Status(api_error(*status, headers, body)));
    }
    let mut reply = chat::decode(body)?;
    reply.request_id = id_of(headers);
    reply.limits = RateLimits::read(headers, unix_now());
    Ok(reply)
}
