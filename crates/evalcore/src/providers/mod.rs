//! One file per API, and what they share: the endpoint, the key, the way of one request.
//!
//! A provider knows no eval. It sends one request once; what to do about a [`Failure`] is the
//! engine's to decide.
//!
//! `chat`, `responses` and `messages` are pure: settings and messages to a request's body,
//! an answer's body to a [`Reply`]. An answer that was paid for must not fail on a field nobody
//! needs, so every field but the text is optional and every enumeration is open.
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
mod messages;
mod responses;
#[cfg(test)]
mod tests;
mod trace;

use std::time::Duration;

use reqwest::header::HeaderMap;

pub use self::endpoint::{Endpoint, KeyHeader, OPENAI_BASE_URL};
use self::endpoint::{extra_headers, header_value};
use self::exchange::{Answer, get, post, request_id};
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

/// What came of asking.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are replies, and there are few at a time"
)]
pub enum Asked {
    /// The answer.
    Reply(Reply),
    /// It is being worked on: [`retrieve`] has it later.
    Pending {
        /// The provider's id of the response.
        id: String,
    },
}

/// Sends one request and waits for its answer, at most `timeout`; in background mode, for word
/// that it has been taken.
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
) -> Result<Asked, Failure> {
    within(timeout, async {
        let (path, body) = request(&endpoint.base_url, config, messages)?;
        let name = "x-client-request-id";
        let mut headers = endpoint.headers(config)?;
        headers.insert(name, header_value(name, request_id)?);
        decode(config.api, &post(endpoint, path, headers, body).await?)
    })
    .await
    .map_err(|failure| failure.without_prompt(messages))
}

/// Asks once how far the background response `id` has come, and takes at most `timeout` for it.
///
/// # Errors
///
/// Whatever kept an answer from coming. Here a 404 says nothing about the model: the provider no
/// longer has the response, and the question has to be asked again. So it has where
/// [`ApiError::has_ended`]; after any other failure that passes, the response can be fetched again.
pub async fn retrieve(
    endpoint: &Endpoint,
    config: &ModelConfig,
    id: &str,
    timeout: Duration,
) -> Result<Asked, Failure> {
    within(timeout, async {
        let path = responses::retrieve_path(config, id)?;
        let answer = get(endpoint, &path, endpoint.headers(config)?).await?;
        decode(Api::Responses, &answer)
    })
    .await
}

/// Gives up the background response `id`. One that has ended, or that the provider no longer has,
/// is as good as given up.
///
/// # Errors
///
/// Whatever kept the request from being answered.
pub async fn cancel(
    endpoint: &Endpoint,
    config: &ModelConfig,
    id: &str,
    timeout: Duration,
) -> Result<(), Failure> {
    within(timeout, async {
        let path = responses::cancel_path(id)?;
        let answer = post(endpoint, &path, endpoint.headers(config)?, Vec::new()).await?;
        match answer.status {
            // 400: it has ended.
            400 | 404 | 409 => Ok(()),
            _ if answer.is_success() => Ok(()),
            _ => Err(refused(&answer)),
        }
    })
    .await
}

/// Whether requests can be made from these settings at all, so that it is known before the first
/// one is due.
///
/// # Errors
///
/// [`Failure::Unsendable`], with what is wrong.
pub fn check(config: &ModelConfig) -> Result<(), Failure> {
    let base_url = config.base_url.as_deref().unwrap_or(OPENAI_BASE_URL);
    extra_headers(config)?;
    request(base_url, config, &[])?;
    Ok(())
}

async fn within<T>(
    timeout: Duration,
    exchange: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(timeout, exchange).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Timeout(timeout)),
    }
}

/// Path and body of a request.
fn request(
    base_url: &str,
    config: &ModelConfig,
    messages: &[Message],
) -> Result<(&'static str, Vec<u8>), Failure> {
    if config.background && config.api != Api::Responses {
        return Err(Failure::Unsendable {
            reason: "only the API `responses` has a background mode".into(),
        });
    }
    Ok(match config.api {
        Api::Chat => ("/chat/completions", chat::request(base_url, config, messages)?),
        Api::Responses => ("/responses", responses::request(config, messages)?),
        Api::Messages => ("/messages", messages::request(config, messages)?),
    })
}

/// Reads an answer with all that its headers say.
fn decode(api: Api, answer: &Answer) -> Result<Asked, Failure> {
    let Answer { headers, body, .. } = answer;
    if !answer.is_success() {
        return Err(refused(answer));
    }
    let asked = match api {
        Api::Chat => chat::decode(body).map(Asked::Reply),
        Api::Responses => responses::decode(body),
        Api::Messages => messages::decode(body).map(Asked::Reply),
    };
    match asked {
        Ok(Asked::Reply(reply)) => Ok(Asked::Reply(reply.with_headers(headers))),
        Err(Failure::Status(error)) => Err(Failure::Status(error.with_headers(headers))),
        other => other,
    }
}

fn refused(answer: &Answer) -> Failure {
    Failure::Status(api_error(answer.status, &answer.headers, &answer.body))
}

impl Reply {
    /// Adds what the headers say.
    fn with_headers(self, headers: &HeaderMap) -> Self {
        Self {
            request_id: request_id(headers),
            limits: RateLimits::read(headers, unix_now()),
            ..self
        }
    }
}
