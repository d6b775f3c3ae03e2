//! Where an API is, who asks, and the headers that say so.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::{ApiKey, Failure};
use crate::task::{Api, ModelConfig};

/// Where OpenAI's own API is.
pub const OPENAI_BASE_URL: &str = "https://api.openai.com/v1";

/// The version of Anthropic's API that is spoken; it has been the only one since 2023.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// Headers that are made from the key or the request, never taken from a task.
const RESERVED: &[&str] = &[
    "api-key",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "x-api-key",
    "x-client-request-id",
];

/// Where an API is, and who asks.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Base URL without a final slash.
    pub base_url: String,
    /// The key; none for servers that need none.
    pub key: Option<ApiKey>,
    /// The header that carries the key, see [`KeyHeader::of`].
    pub key_header: KeyHeader,
    /// `OpenAI-Organization`.
    pub organization: Option<String>,
    /// `OpenAI-Project`.
    pub project: Option<String>,
    /// The connections.
    pub client: reqwest::Client,
}

/// The header that carries the key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum KeyHeader {
    /// `Authorization: Bearer KEY`, which nearly every server takes.
    #[default]
    Bearer,
    /// `api-key: KEY`, Azure's.
    ApiKey,
    /// `x-api-key: KEY`, Anthropic's.
    XApiKey,
}

impl KeyHeader {
    /// The header of this name; none if no key can be sent in it.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "authorization" => Some(Self::Bearer),
            "api-key" => Some(Self::ApiKey),
            "x-api-key" => Some(Self::XApiKey),
            _ => None,
        }
    }

    /// The header that the server at `base_url` expects for `api`.
    pub fn of(api: Api, base_url: &str) -> Self {
        match api {
            // It speaks Anthropic's API, but has keys of its own.
            Api::Messages if is_openrouter(base_url) => Self::Bearer,
            Api::Messages => Self::XApiKey,
            Api::Chat | Api::Responses if is_host(base_url, "azure.com") => Self::ApiKey,
            Api::Chat | Api::Responses => Self::Bearer,
        }
    }
}

impl Endpoint {
    /// The headers of every request to this endpoint.
    pub(super) fn headers(&self, config: &ModelConfig) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        if config.api == Api::Messages {
            let version = HeaderValue::from_static(ANTHROPIC_VERSION);
            headers.insert("anthropic-version", version);
        } else {
            for (name, text) in
                [("openai-organization", &self.organization), ("openai-project", &self.project)]
            {
                if let Some(text) = text {
                    headers.insert(name, header_value(name, text)?);
                }
            }
        }
        headers.extend(extra_headers(config)?);
        if let Some(key) = &self.key {
            let (name, scheme) = match self.key_header {
                KeyHeader::Bearer => ("authorization", "Bearer "),
                KeyHeader::ApiKey => ("api-key", ""),
                KeyHeader::XApiKey => ("x-api-key", ""),
            };
            headers.insert(name, key.header(scheme)?);
        }
        Ok(headers)
    }
}

/// The headers that the task asks for.
pub(super) fn extra_headers(config: &ModelConfig) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for (name, text) in &config.headers {
        let name: HeaderName = name.parse().map_err(|_| Failure::Unsendable {
            reason: format!("`{name}` is no name of a header"),
        })?;
        if RESERVED.contains(&name.as_str()) {
            return Err(Failure::Unsendable {
                reason: format!("header `{name}` cannot be set by a task"),
            });
        }
        let value = header_value(name.as_str(), text)?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// The value itself is not repeated in errors.
pub(super) fn header_value(name: &str, text: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(text).map_err(|_| Failure::Unsendable {
        reason: format!("`{name}` holds characters that no header can carry"),
    })
}

/// OpenAI's own API, or Azure's copy of it: both want `max_completion_tokens`.
pub(super) fn is_openai(base_url: &str) -> bool {
    is_host(base_url, "openai.com") || is_host(base_url, "openai.azure.com")
}

pub(super) fn is_openrouter(base_url: &str) -> bool {
    is_host(base_url, "openrouter.ai")
}

/// Whether the URL's host is `domain` or lies under it.
fn is_host(url: &str, domain: &str) -> bool {
    let url = Url::parse(url).ok();
    url.as_ref()
        .and_then(Url::host_str)
        .and_then(|host| host.strip_suffix(domain))
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_goes_where_the_server_looks_for_it() {
        let check = |api, url, expected| assert_eq!(KeyHeader::of(api, url), expected, "{url}");
        check(Api::Chat, OPENAI_BASE_URL, KeyHeader::Bearer);
        check(Api::Responses, "https://eu.api.openai.com/v1", KeyHeader::Bearer);
        check(Api::Chat, "http://localhost:8000/v1", KeyHeader::Bearer);
        check(Api::Chat, "https://me.openai.azure.com/openai/v1", KeyHeader::ApiKey);
        check(Api::Responses, "https://me.services.ai.azure.com/openai/v1", KeyHeader::ApiKey);
        check(Api::Chat, "https://azure.com.example.org/v1", KeyHeader::Bearer);
        check(Api::Chat, "https://example.org/azure.com/v1", KeyHeader::Bearer);
        check(Api::Chat, "https://notazure.com/v1", KeyHeader::Bearer);
        check(Api::Chat, "https://api.anthropic.com/v1", KeyHeader::Bearer);
        check(Api::Messages, "https://api.anthropic.com/v1", KeyHeader::XApiKey);
        check(Api::Messages, "https://openrouter.ai/api/v1", KeyHeader::Bearer);
        check(Api::Messages, "http://localhost:4000", KeyHeader::XApiKey);
    }

    fn endpoint(key_header: KeyHeader) -> Endpoint {
        Endpoint {
            base_url: "http://localhost".into(),
            key: ApiKey::new("sk-123456789"),
            key_header,
            organization: Some("org-1".into()),
            project: None,
            client: crate::http::client("http://localhost").expect("a client"),
        }
    }

    fn config(api: Api, headers: &[(&str, &str)]) -> ModelConfig {
        let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        ModelConfig { api, headers: headers.collect(), ..ModelConfig::default() }
    }

    #[track_caller]
    fn check(key_header: KeyHeader, config: &ModelConfig, expected: &[(&str, &str)]) {
        let headers = endpoint(key_header).headers(config).expect("headers");
        let mut sent: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().expect("text")))
            .collect();
        sent.sort_unstable();
        assert_eq!(sent, expected);
    }

    #[test]
    fn each_api_gets_its_own_headers() {
        check(
            KeyHeader::Bearer,
            &config(Api::Chat, &[("X-Title", "eval"), ("HTTP-Referer", "me")]),
            &[
                ("authorization", "Bearer sk-123456789"),
                ("http-referer", "me"),
                ("openai-organization", "org-1"),
                ("x-title", "eval"),
            ],
        );
        check(
            KeyHeader::ApiKey,
            &config(Api::Chat, &[]),
            &[("api-key", "sk-123456789"), ("openai-organization", "org-1")],
        );
        check(
            KeyHeader::XApiKey,
            &config(Api::Messages, &[("anthropic-beta", "b1")]),
            &[
                ("anthropic-beta", "b1"),
                ("anthropic-version", ANTHROPIC_VERSION),
                ("x-api-key", "sk-123456789"),
            ],
        );
    }

    #[test]
    fn a_task_cannot_take_over_the_key_or_break_the_request() {
        let check = |name: &str, value: &str, expected: &str| {
            let config = config(Api::Chat, &[(name, value)]);
            let failure = endpoint(KeyHeader::Bearer).headers(&config).expect_err("refused");
            assert_eq!(failure.to_string(), format!("request cannot be sent: {expected}"));
        };
        check("Authorization", "Bearer x", "header `authorization` cannot be set by a task");
        check("Content-Type", "text/plain", "header `content-type` cannot be set by a task");
        check("a b", "x", "`a b` is no name of a header");
        check("x-a", "a\r\nb: c", "`x-a` holds characters that no header can carry");
    }

    #[test]
    fn the_key_is_marked_as_secret() {
        let headers = endpoint(KeyHeader::XApiKey).headers(&config(Api::Messages, &[]));
        let shown = format!("{:?}", headers.expect("headers"));
        assert!(!shown.contains("sk-123456789"), "{shown}");
    }
}
