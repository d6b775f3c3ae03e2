//! Where an API is, and who asks.

use super::ApiKey;

/// Where OpenAI's own API is.
pub const OPENAI_BASE_URL: &str = "https://api.openai.com/v1";

/// Where an API is, and who asks.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Base URL without a final slash.
    pub base_url: String,
    /// The key; none for servers that need none.
    pub key: Option<ApiKey>,
    /// `OpenAI-Organization`.
    pub organization: Option<String>,
    /// `OpenAI-Project`.
    pub project: Option<String>,
    /// The connections.
    pub client: reqwest::Client,
}
