//! From a model's name to its [`ModelConfig`].
//!
//! Three layers, the upper before the lower: what the user set for this submission
//! ([`Settings`]), the user's own file, the embedded one. Between the last two lies what is known
//! of the server: a model that needs one form of a field at its maker's is offered in another form
//! elsewhere.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::{Value, json};

use super::cost::WEB_SEARCH;
use super::file::{self, Entry, File, Server, located};
use super::server::{host_of, matches};
use super::{GRADER, base_url, check_mock, check_name, grader_name, is_mock};
use crate::task::{Api, ModelConfig, Prices};

/// The models that are known without a file of one's own.
const EMBEDDED: &str = include_str!("models.toml");

/// Ending of a name that means: with web search.
const SEARCH: &str = "+search";

/// Models by name.
#[derive(Debug, Clone)]
pub struct Registry {
    built_in: File,
    user: File,
    path: Option<PathBuf>,
}

/// What the user set for this submission, over whatever a model's entry says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Where it is asked.
    pub base_url: Option<String>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Limit on output tokens.
    pub max_tokens: Option<u32>,
    /// System message.
    pub system_message: Option<String>,
    /// Reasoning effort.
    pub reasoning_effort: Option<String>,
}

/// A model as lists show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listing {
    /// The name that users give.
    pub name: String,
    /// The name that requests carry.
    pub model: String,
    /// The API it is asked through.
    pub api: Api,
    /// Where it is asked, unless that is the run's own default.
    pub base_url: Option<String>,
    /// What its tokens cost, if that is known.
    pub prices: Option<Prices>,
    /// Its last day, `YYYY-MM-DD`, if that is known.
    pub shutdown: Option<String>,
    /// The model to use after that day.
    pub replacement: Option<String>,
    /// Whether the user's file has a say in it.
    pub is_own: bool,
}

/// What is known of a name.
pub(super) struct Found {
    /// The name that requests carry.
    pub(super) model: String,
    pub(super) user: Entry,
    pub(super) built_in: Entry,
}

impl Registry {
    /// The models that are known without a file of one's own.
    pub fn embedded() -> Self {
        Self {
            built_in: File::parse(EMBEDDED, Path::new("built in"))
                .expect("the embedded file is read by a test"),
            user: File::default(),
            path: None,
        }
    }

    /// The same, with the file at `path` over it: its entries add and override, field by field.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or something in it is not what it should be; the error names line
    /// and column.
    pub fn with_file(path: &Path) -> Result<Self> {
        let (text, user) = file::read(path)?;
        let registry = Self { user, path: Some(path.to_owned()), ..Self::embedded() };
        for (name, entry) in &registry.user.models {
            registry.check_entry(name, entry, &text, path)?;
        }
        Ok(registry)
    }

    /// What single lines of a user's file cannot show.
    fn check_entry(&self, name: &str, entry: &Entry, text: &str, path: &Path) -> Result<()> {
        let server = entry.server.as_ref();
        if let Some(server) = server
            && self.server(server.get_ref()).is_none()
        {
            let servers = self.user.servers.keys().chain(self.built_in.servers.keys());
            let known: Vec<_> = servers.map(|name| format!("`{name}`")).collect();
            let (named, known) = (server.get_ref(), known.join(", "));
            let mistake = format!("no server `{named}`: there are {known}");
            return Err(located(path, text, Some(server.span().start), mistake));
        }
        if let Some(like) = &entry.like {
            let at = Some(like.span().start);
            let like = like.get_ref();
            if !self.user.models.contains_key(like) && !self.built_in.models.contains_key(like) {
                let mistake = format!("no model `{like}` to be like");
                return Err(located(path, text, at, mistake));
            }
            if self.layers(name).is_none() {
                return Err(located(path, text, at, format!("`{name}` is like itself")));
            }
        }
        let at = server.map(|server| server.span().start);
        if is_mock(name) {
            let mistake = format!("`{name}` is built in and cannot be another");
            return Err(located(path, text, at, mistake));
        }
        match self.config(name) {
            Ok(_) => Ok(()),
            Err(mistake) => Err(located(path, text, at, format!("{mistake:#}"))),
        }
    }

    /// What requests to the model named `name` carry.
    ///
    /// # Errors
    ///
    /// A name that no request can carry, or a mock model that does not exist.
    pub fn config(&self, name: &str) -> Result<ModelConfig> {
        self.config_with(name, &Settings::default())
    }

    /// The same, with what the user set for this submission.
    ///
    /// # Errors
    ///
    /// As [`Registry::config`], and for a base URL that is none.
    pub fn config_with(&self, name: &str, settings: &Settings) -> Result<ModelConfig> {
        let Found { model, mut user, mut built_in } = self.find(name)?;
        let named = user.server.as_ref().or(built_in.server.as_ref());
        let mut server = named.and_then(|named| self.server(named.get_ref()));
        let own_url = user.base_url.as_ref().or(built_in.base_url.as_ref());
        let own_url = own_url.or(server.and_then(|server| server.base_url.as_ref())).cloned();
        let url = match settings.base_url.as_deref().map(base_url).transpose()? {
            Some(url) if own_url.as_ref().is_some_and(|own| *own != url) => {
                (user, built_in) = (user.without_endpoint(), built_in.without_endpoint());
                server = None;
                Some(url)
            }
            url => url.or(own_url),
        };
        if let (None, Some(named)) = (&url, user.server.as_ref().or(built_in.server.as_ref())) {
            let named = named.get_ref();
            bail!("model `{name}`: server `{named}` has no address of its own: give `base_url`");
        }
        let server = server.or(url.as_deref().and_then(|url| self.recognise(url)));
        let unknown = Server::default();
        let server = server.unwrap_or(&unknown);
        let usual_api = built_in.api.unwrap_or_default();
        let api = user.api.unwrap_or(match server.apis.as_slice() {
            [] => usual_api,
            apis if apis.contains(&usual_api) => usual_api,
            [first, ..] => *first,
        });
        let token_limit_field =
            user.token_limit_field.or(server.token_limit_field).or(built_in.token_limit_field);
        let system_role = user.system_role.take().or_else(|| server.system_role.clone());
        let has_own_prices = user.prices().is_some();
        let entry = user.over(built_in);
        let tools = entry.tools.clone().unwrap_or_default();
        let mut prices = entry.prices();
        if let Some(prices) = &mut prices
            && !has_own_prices
            && tools.iter().any(is_web_search)
        {
            prices.searches = Some(WEB_SEARCH); // the list's price is the preview tool's
        }
        Ok(ModelConfig {
            model,
            api,
            base_url: url,
            key_variable: entry.key_variable.or_else(|| server.key_variable.clone()),
            key_header: entry.key_header.or_else(|| server.key_header.clone()),
            headers: entry.headers.unwrap_or_default(),
            temperature: settings.temperature.or(entry.temperature),
            max_tokens: settings.max_tokens.or(entry.max_tokens),
            token_limit_field,
            system_message: settings.system_message.clone().or(entry.system_message),
            system_role: system_role.or(entry.system_role),
            reasoning_effort: settings.reasoning_effort.clone().or(entry.reasoning_effort),
            tools,
            background: entry.background.unwrap_or_default(),
            service_tier: entry.service_tier,
            extra_body: entry.extra_body.unwrap_or_default(),
            max_input_tokens: entry.max_input_tokens,
            max_output_tokens: entry.max_output_tokens,
            prices,
            ..ModelConfig::default()
        })
    }

    /// The grader of a task whose model is named `model`: the one that was named, as its entry says;
    /// or the default one, with the reference's settings. Mock models have a mock grader by default.
    ///
    /// # Errors
    ///
    /// As [`Registry::config_with`].
    pub fn grader(
        &self,
        named: Option<&str>,
        model: &str,
        base_url: Option<&str>,
    ) -> Result<ModelConfig> {
        let settings = Settings { base_url: base_url.map(str::to_owned), ..Settings::default() };
        let name = grader_name(named, model);
        let mut config = self.config_with(name, &settings).context("grader")?;
        if named.is_none() && name == GRADER {
            config.temperature.get_or_insert(0.5);
            config.max_tokens.get_or_insert(2048);
        }
        Ok(config)
    }

    /// Every listed model: the embedded ones, then the user's own, each in its file's order.
    pub fn list(&self) -> Vec<Listing> {
        let own = self.user.models.keys();
        let own = own.filter(|name| !self.built_in.models.contains_key(*name));
        let names = self.built_in.models.keys().chain(own);
        names
            .filter_map(|name| {
                let config = self.config(name).ok()?;
                let entry = self.find(name).ok()?.entry();
                Some(Listing {
                    name: name.clone(),
                    model: config.model,
                    api: config.api,
                    base_url: config.base_url,
                    prices: config.prices,
                    shutdown: entry.shutdown.map(|day| day.to_string()),
                    replacement: entry.replacement,
                    is_own: self.user.models.contains_key(name),
                })
            })
            .collect()
    }

    /// The user's file, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub(super) fn find(&self, name: &str) -> Result<Found> {
        check_name(name)?;
        if is_mock(name) {
            check_mock(name)?;
        } else if let Some((user, built_in)) = self.layers(name) {
            let model = user.model.clone().or_else(|| built_in.model.clone());
            let model = model.unwrap_or_else(|| name.to_owned());
            let (user_facts, facts) = self.facts(&model);
            return Ok(Found {
                model,
                user: user.over(user_facts),
                built_in: built_in.over(facts),
            });
        } else if let Some(plain) = name.strip_suffix(SEARCH) {
            return self.find(plain)?.searching(name);
        }
        let (user, built_in) = self.facts(name);
        Ok(Found { model: name.to_owned(), user, built_in })
    }

    /// What the two files say of a listed name, its `model` always set; none also for a name that is
    /// like itself.
    fn layers(&self, name: &str) -> Option<(Entry, Entry)> {
        self.layers_within(name, self.user.models.len())
    }

    fn layers_within(&self, name: &str, depth: usize) -> Option<(Entry, Entry)> {
        let Some(entry) = self.user.models.get(name) else {
            return Some((Entry::default(), self.built_in_entry(name)?));
        };
        let (below, built_in) = match entry.like.as_ref().map(|like| like.get_ref()) {
            Some(like) => self.layers_within(like, depth.checked_sub(1)?)?,
            None => (Entry::default(), self.built_in_entry(name).unwrap_or_default()),
        };
        let mut user = entry.clone().over(below);
        if user.model.is_none() && built_in.model.is_none() {
            user.model = Some(name.to_owned());
        }
        Some((user, built_in))
    }

    /// An embedded entry, lying over embedded entries only: who changes `o3` does not change `o3_high`.
    fn built_in_entry(&self, name: &str) -> Option<Entry> {
        let mut entry = self.built_in.models.get(name)?.clone();
        if let Some(like) = entry.like.take() {
            entry = entry.over(self.built_in_entry(like.get_ref())?);
        }
        entry.model.get_or_insert_with(|| name.to_owned());
        Some(entry)
    }

    /// What is so of the model that requests call `model`, or of the one that it is a dated snapshot
    /// of.
    fn facts(&self, model: &str) -> (Entry, Entry) {
        let layers = self.layers(model).or_else(|| self.layers(without_date(model)?));
        let (user, built_in) = layers.unwrap_or_default();
        (user.facts(), built_in.facts())
    }

    fn server(&self, name: &str) -> Option<&Server> {
        let own = self.user.servers.get(name);
        own.or_else(|| self.built_in.servers.get(name))
    }

    /// The server whose host, and port if it names one, is this URL's.
    pub(super) fn recognise(&self, url: &str) -> Option<&Server> {
        let (host, port) = host_of(url)?;
        let servers = self.user.servers.values().chain(self.built_in.servers.values());
        servers
            .into_iter()
            .find(|server| server.hosts.iter().any(|pattern| matches(pattern, &host, port)))
    }
}

impl Found {
    pub(super) fn entry(&self) -> Entry {
        self.user.clone().over(self.built_in.clone())
    }

    /// The same with web search.
    fn searching(mut self, name: &str) -> Result<Self> {
        let entry = self.entry();
        if entry.api == Some(Api::Messages) {
            bail!("model `{name}`: web search is offered over Responses only");
        }
        let mut tools = entry.tools.unwrap_or_default();
        tools.push(json!({"type": "web_search"}));
        self.user.tools = Some(tools);
        self.user.api = Some(Api::Responses);
        Ok(self)
    }
}

/// `model` without the date of its snapshot: `-2024-08-06`, `-20250219` or `-0613`.
fn without_date(model: &str) -> Option<&str> {
    let ends = [("-dddd-dd-dd", 11), ("-dddddddd", 9), ("-dddd", 5)];
    ends.iter().find_map(|(form, length)| {
        let (name, date) = model.split_at_checked(model.len().checked_sub(*length)?)?;
        let fits = date.chars().zip(form.chars()).all(|(found, form)| match form {
            'd' => found.is_ascii_digit(),
            _ => found == form,
        });
        (fits && !name.is_empty()).then_some(name)
    })
}

pub(super) fn kind(tool: &Value) -> &str {
    tool["type"].as_str().unwrap_or_default()
}

/// The newer of the two tools, in any of its versions.
fn is_web_search(tool: &Value) -> bool {
    kind(tool).starts_with("web_search") && !kind(tool).starts_with("web_search_preview")
}

#[cfg(test)]
mod tests;
