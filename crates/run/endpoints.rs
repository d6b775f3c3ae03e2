//! Where models are asked, from the task, the environment, and for mock models our own server.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::env;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use evalcore::providers::{ApiKey, Endpoint, KeyHeader, OPENAI_BASE_URL};
use evalcore::runner::Prepared;
use evalcore::task::{Api, ModelConfig};
use evalcore::{http, models};
use mockapi::{Config, MockServer};

/// The variable that holds the key of models that name no other.
const KEY: &str = "OPENAI_API_KEY";

/// What makes two models ask at one endpoint.
#[derive(PartialEq, Eq, Hash)]
struct Address {
    url: String,
    api: Api,
    key_variable: Option<String>,
    key_header: Option<String>,
}

/// The endpoints of all models of a run.
pub(crate) struct Endpoints {
    endpoints: HashMap<Address, Endpoint>,
    default_url: String,
    /// Answers `mock/...` models while it lives.
    mock: Option<MockServer>,
}

impl Endpoints {
    /// Builds what `prepared` needs, and no more: a rehearsal needs neither key nor certificates.
    pub(crate) fn new(prepared: &Prepared) -> Result<Self> {
        let default_url = match variable("OPENAI_BASE_URL")? {
            Some(url) => models::base_url(&url).context("environment variable OPENAI_BASE_URL")?,
            None => OPENAI_BASE_URL.to_owned(),
        };
        let mock = match prepared.models().any(needs_mock) {
            true => Some(start_mock()?),
            false => None,
        };
        let mut endpoints = Self { endpoints: HashMap::new(), default_url, mock };
        for model in prepared.models() {
            let address = endpoints.address(model);
            let Entry::Vacant(vacant) = endpoints.endpoints.entry(address) else {
                continue;
            };
            let built = endpoint(vacant.key(), model)?;
            let endpoint = vacant.insert(built);
            if !needs_mock(model) {
                let key = if endpoint.key.is_some() { "with" } else { "without" };
                tracing::info!("asking `{}` at {} {key} a key", model.model, endpoint.base_url);
            }
        }
        Ok(endpoints)
    }

    /// Where this model is asked.
    pub(crate) fn find(&self, model: &ModelConfig) -> Result<Endpoint> {
        let address = self.address(model);
        let endpoint = self.endpoints.get(&address).cloned();
        endpoint.ok_or_else(|| anyhow!("no endpoint for `{}`", address.url))
    }

    fn address(&self, model: &ModelConfig) -> Address {
        let url = match (&model.base_url, &self.mock) {
            (Some(url), _) => url.clone(),
            (None, Some(mock)) if needs_mock(model) => mock.base_url(),
            (None, _) => self.default_url.clone(),
        };
        Address {
            url,
            api: model.api,
            key_variable: model.key_variable.clone(),
            key_header: model.key_header.clone(),
        }
    }
}

fn needs_mock(model: &ModelConfig) -> bool {
    model.base_url.is_none() && models::is_mock(&model.model)
}

fn endpoint(address: &Address, model: &ModelConfig) -> Result<Endpoint> {
    let Address { url, api, key_variable, key_header } = address;
    let name = key_variable.as_deref().unwrap_or(KEY);
    let key = match needs_mock(model) {
        true => None,
        false => variable(name)?.as_deref().and_then(ApiKey::new),
    };
    let is_needed = key_variable.is_some() || url == OPENAI_BASE_URL;
    if key.is_none() && is_needed && !needs_mock(model) {
        bail!(
            "no API key for `{}` at {url}: set {name}, or rehearse with `mock/...` models, which need none",
            model.model
        );
    }
    let key_header = match key_header {
        None => KeyHeader::of(*api, url),
        Some(header) => KeyHeader::named(header)
            .ok_or_else(|| anyhow!("`key_header`: no key can be sent as `{header}`"))?,
    };
    Ok(Endpoint {
        base_url: url.clone(),
        key,
        key_header,
        organization: variable("OPENAI_ORG_ID")?,
        project: variable("OPENAI_PROJECT_ID")?,
        client: http::client(url)?,
    })
}

/// What is right is known by name only, so that no answer of a protected data set gets into files.
fn start_mock() -> Result<MockServer> {
    let config = Config {
        log: false,
        oracle: Arc::new(|key| Some(format!("the right answer to sample {}", key.sample))),
        ..Config::default()
    };
    MockServer::start(config).context("start the mock server")
}

/// A variable of the environment; none if it is unset or empty. Its value is not repeated in errors.
fn variable(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.trim().is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => bail!("environment variable {name} is not UTF-8"),
    }
}
