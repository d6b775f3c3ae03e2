//! Where models are asked, from the task, the environment, and for mock models our own server.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::env;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use evalcore::providers::{ApiKey, Endpoint, OPENAI_BASE_URL};
use evalcore::runner::Prepared;
use evalcore::task::ModelConfig;
use evalcore::{http, models};
use mockapi::{Config, MockServer};

/// Base URL to endpoint, for all models of a run.
pub(crate) struct Endpoints {
    by_url: BTreeMap<String, Endpoint>,
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
        let needs_mock =
            |model: &ModelConfig| model.base_url.is_none() && models::is_mock(&model.model);
        let mock = match prepared.models().any(needs_mock) {
            true => Some(start_mock(prepared)?),
            false => None,
        };
        let mut endpoints = Self {
            by_url: BTreeMap::new(),
            default_url,
            mock,
        };
        for model in prepared.models() {
            let url = endpoints.url(model);
            if let Entry::Vacant(vacant) = endpoints.by_url.entry(url.clone()) {
                let is_mock = needs_mock(model);
                vacant.insert(endpoint(&url, is_mock)?);
                if !is_mock {
                    tracing::info!("asking at {url}");
                }
            }
        }
        Ok(endpoints)
    }

    /// Where this model is asked.
    pub(crate) fn find(&self, model: &ModelConfig) -> Result<Endpoint> {
        let url = self.url(model);
        self.by_url
            .get(&url)
            .cloned()
            .ok_or_else(|| anyhow!("no endpoint for `{url}`"))
    }

    fn url(&self, model: &ModelConfig) -> String {
        match (&model.base_url, &self.mock) {
            (Some(url), _) => url.clone(),
            (None, Some(mock)) if models::is_mock(&model.model) => mock.base_url(),
            (None, _) => self.default_url.clone(),
        }
    }
}

fn endpoint(url: &str, is_mock: bool) -> Result<Endpoint> {
    let key = match is_mock {
        true => None,
        false => variable("OPENAI_API_KEY")?.as_deref().and_then(ApiKey::new),
    };
    if key.is_none() && url == OPENAI_BASE_URL {
        bail!(
            "no API key: set OPENAI_API_KEY, or rehearse with `mock/...` models, which need none"
        );
    }
    Ok(Endpoint {
        base_url: url.to_owned(),
        key,
        organization: variable("OPENAI_ORG_ID")?,
        project: variable("OPENAI_PROJECT_ID")?,
        client: http::client(url)?,
    })
}

fn start_mock(prepared: &Prepared) -> Result<MockServer> {
    let truth = prepared.truth();
    let config = Config {
        log: false,
        oracle: Arc::new(move |key| truth(&key.task, &key.sample)),
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
