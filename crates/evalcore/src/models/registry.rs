//! From a model's name to its [`ModelConfig`].
//!
//! Three layers, the upper before the lower: what the user set for this submission
//! ([`Settings`]), the user's own file, the embedded one. Between the last two lies what is known
//! of the server: a model that needs one form of a field at its maker's is offered in another form
//! elsewhere.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chrono::NaiveDate;
use serde::Serialize;
use serde_json::{Value, json};

use super::cost::WEB_SEARCH;
use super::file::{self, Entry, File, Sampling, Server, located};
use super::{GRADER, base_url, check_mock, check_name, grader_name, is_mock};
use crate::task::{Api, ModelConfig, Prices};

/// The models that are known without a file of one's own.
const EMBEDDED: &str = include_str!("models.toml");

/// Ending of a name that means: with web search.
const SEARCH: &str = "+search";

/// Where models are asked whose ends the embedded file knows.
const MAKERS: [&str; 3] = [
    "api.openai.com",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
];

/// Days before a model's end that a user should know of it.
const SHUTDOWN_NOTICE: i64 = 30;

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
struct Found {
    /// The name that requests carry.
    model: String,
    user: Entry,
    built_in: Entry,
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
        let registry = Self {
            user,
            path: Some(path.to_owned()),
            ..Self::embedded()
        };
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
        let Found {
            model,
            mut user,
            mut built_in,
        } = self.find(name)?;
        let named = user.server.as_ref().or(built_in.server.as_ref());
        let mut server = named.and_then(|named| self.server(named.get_ref()));
        let own_url = user.base_url.as_ref().or(built_in.base_url.as_ref());
        let own_url = own_url
            .or(server.and_then(|server| server.base_url.as_ref()))
            .cloned();
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
        let token_limit_field = user
            .token_limit_field
            .or(server.token_limit_field)
            .or(built_in.token_limit_field);
        let system_role = user
            .system_role
            .take()
            .or_else(|| server.system_role.clone());
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
        let settings = Settings {
            base_url: base_url.map(str::to_owned),
            ..Settings::default()
        };
        let name = grader_name(named, model);
        let mut config = self.config_with(name, &settings).context("grader")?;
        if named.is_none() && name == GRADER {
            config.temperature.get_or_insert(0.5);
            config.max_tokens.get_or_insert(2048);
        }
        Ok(config)
    }

    /// What the user should know before asking the model named `name` with `config`, on the day
    /// `today`: that it ended or ends soon, and what its server will refuse.
    pub fn warnings(&self, name: &str, config: &ModelConfig, today: NaiveDate) -> Vec<String> {
        let Ok(found) = self.find(name) else {
            return Vec::new();
        };
        let entry = found.entry();
        let mut warnings = Vec::new();
        warnings.extend(end(name, &found, config.base_url.as_deref(), today));
        let effort = config.reasoning_effort.as_deref();
        let refuses = match entry.sampling.unwrap_or(Sampling::Accepted) {
            Sampling::Accepted => None,
            Sampling::Refused => Some("any temperature but 1"),
            Sampling::WithoutReasoning if effort == Some("none") => None,
            Sampling::WithoutReasoning => {
                Some("a temperature unless the reasoning effort is `none`")
            }
        };
        if let (Some(what), Some(temperature)) = (refuses, config.temperature)
            && temperature != 1.0
        {
            warnings.push(format!(
                "model `{name}` refuses {what}: requests with temperature {temperature} will fail"
            ));
        }
        let searches = config
            .tools
            .iter()
            .any(|tool| kind(tool).starts_with("web_search"));
        if searches && effort == Some("minimal") {
            warnings.push(format!(
                "model `{name}` cannot search with the reasoning effort `minimal`"
            ));
        }
        if config.background && config.api != Api::Responses {
            warnings.push(format!(
                "model `{name}`: only Responses has a background mode"
            ));
        }
        let server = config
            .base_url
            .as_deref()
            .and_then(|url| self.recognise(url));
        if let Some(server) = server
            && !server.apis.is_empty()
            && !server.apis.contains(&config.api)
        {
            let api = api_name(config.api);
            warnings.push(format!(
                "model `{name}`: its server is not known to have {api}"
            ));
        }
        warnings.extend(entry.note.map(|note| format!("model `{name}`: {note}")));
        warnings
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

    fn find(&self, name: &str) -> Result<Found> {
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
        Ok(Found {
            model: name.to_owned(),
            user,
            built_in,
        })
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
            None => (
                Entry::default(),
                self.built_in_entry(name).unwrap_or_default(),
            ),
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
        let layers = self
            .layers(model)
            .or_else(|| self.layers(without_date(model)?));
        let (user, built_in) = layers.unwrap_or_default();
        (user.facts(), built_in.facts())
    }

    fn server(&self, name: &str) -> Option<&Server> {
        let own = self.user.servers.get(name);
        own.or_else(|| self.built_in.servers.get(name))
    }

    /// The server whose host, and port if it names one, is this URL's.
    fn recognise(&self, url: &str) -> Option<&Server> {
        let (host, port) = host_of(url)?;
        let servers = self
            .user
            .servers
            .values()
            .chain(self.built_in.servers.values());
        servers.into_iter().find(|server| {
            server
                .hosts
                .iter()
                .any(|pattern| matches(pattern, &host, port))
        })
    }
}

impl Found {
    fn entry(&self) -> Entry {
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

/// That the model has ended, or ends soon. Its end is its maker's: other servers may have it longer,
/// unless the user's file says when it ends there.
fn end(name: &str, found: &Found, base_url: Option<&str>, today: NaiveDate) -> Option<String> {
    let is_makers = base_url.is_none_or(|url| {
        host_of(url).is_some_and(|(host, _)| MAKERS.iter().any(|maker| host.ends_with(maker)))
    });
    let entry = found.entry();
    let day = entry
        .shutdown
        .filter(|_| is_makers || found.user.shutdown.is_some())?;
    let left = day.0.signed_duration_since(today).num_days();
    let ends = match left {
        ..0 => "ended",
        0..=SHUTDOWN_NOTICE => "ends",
        _ => return None,
    };
    let instead = entry
        .replacement
        .map(|next| format!(": its successor is `{next}`"));
    Some(format!(
        "model `{name}` {ends} on {day}{}",
        instead.unwrap_or_default()
    ))
}

/// `model` without the date of its snapshot: `-2024-08-06`, `-20250219` or `-0613`.
fn without_date(model: &str) -> Option<&str> {
    let ends = [("-dddd-dd-dd", 11), ("-dddddddd", 9), ("-dddd", 5)];
    ends.iter().find_map(|(form, length)| {
        let (name, date) = model.split_at_checked(model.len().checked_sub(*length)?)?;
        let fits = date
            .chars()
            .zip(form.chars())
            .all(|(found, form)| match form {
                'd' => found.is_ascii_digit(),
                _ => found == form,
            });
        (fits && !name.is_empty()).then_some(name)
    })
}

/// Host and port of a URL.
fn host_of(url: &str) -> Option<(String, Option<u16>)> {
    let url = reqwest::Url::parse(url).ok()?;
    Some((url.host_str()?.to_owned(), url.port_or_known_default()))
}

/// Whether `HOST`, `HOST:PORT`, `*.DOMAIN` or `*:PORT` is this host and port.
fn matches(pattern: &str, host: &str, port: Option<u16>) -> bool {
    let (pattern_host, pattern_port) = match pattern.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (pattern, None),
    };
    let is_host = match pattern_host.strip_prefix('*') {
        Some(domain) => host.ends_with(domain),
        None => host == pattern_host,
    };
    is_host && pattern_port.is_none_or(|wanted| port.is_some_and(|port| wanted == port.to_string()))
}

fn kind(tool: &Value) -> &str {
    tool["type"].as_str().unwrap_or_default()
}

/// The newer of the two tools, in any of its versions.
fn is_web_search(tool: &Value) -> bool {
    kind(tool).starts_with("web_search") && !kind(tool).starts_with("web_search_preview")
}

fn api_name(api: Api) -> &'static str {
    match api {
        Api::Chat => "Chat Completions",
        Api::Responses => "Responses",
        Api::Messages => "Messages",
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::task::TokenLimitField;

    fn with(text: &str) -> Result<Registry> {
        let file = tempfile::NamedTempFile::new().expect("create file");
        std::fs::write(file.path(), text).expect("write file");
        Registry::with_file(file.path())
    }

    /// `expected` is what is recorded of `name`, without what is only known of the model.
    #[track_caller]
    fn check(registry: &Registry, name: &str, expected: Value) {
        let config = registry.config(name).expect("a fine name");
        let mut found = serde_json::to_value(config).expect("serializes");
        let fields = found.as_object_mut().expect("an object");
        for fact in ["prices", "max_input_tokens", "max_output_tokens"] {
            fields.remove(fact);
        }
        assert_eq!(found, expected, "{name}");
    }

    fn embedded(name: &str) -> ModelConfig {
        Registry::embedded().config(name).expect("a fine name")
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    #[test]
    fn every_embedded_entry_holds_together() {
        let registry = Registry::embedded();
        for (name, entry) in &registry.built_in.models {
            registry
                .config(name)
                .unwrap_or_else(|error| panic!("{name}: {error:#}"));
            if let Some(like) = &entry.like {
                assert!(
                    registry.built_in.models.contains_key(like.get_ref()),
                    "{name}"
                );
            }
            if let Some(server) = &entry.server {
                assert!(registry.server(server.get_ref()).is_some(), "{name}");
            }
            let entry = registry.find(name).expect("listed").entry();
            assert_eq!(
                entry.shutdown.is_some(),
                entry.replacement.is_some(),
                "{name}"
            );
            if let Some(replacement) = &entry.replacement {
                let next = registry
                    .built_in_entry(replacement)
                    .expect("replacement is listed");
                assert!(next.shutdown.is_none(), "{name}: {replacement} ends, too");
            }
            if let Some(prices) = entry.prices() {
                assert!(prices.input > 0.0 && prices.output > prices.input, "{name}");
                assert!(
                    prices.cached_input.is_none_or(|price| price < prices.input),
                    "{name}"
                );
                assert!(
                    prices.batch_input.is_none_or(|price| price < prices.input),
                    "{name}"
                );
                assert!(
                    prices
                        .batch_output
                        .is_none_or(|price| price < prices.output),
                    "{name}"
                );
                assert!(
                    prices.long_input.is_none_or(|price| price > prices.input),
                    "{name}"
                );
                assert!(
                    prices
                        .priority_input
                        .is_none_or(|price| price > prices.input),
                    "{name}"
                );
                assert_eq!(prices.as_of, "2026-11-23", "{name}");
                assert!(entry.max_input_tokens > Some(0), "{name}");
                assert!(entry.max_output_tokens > Some(0), "{name}");
            }
        }
        for (name, server) in &registry.built_in.servers {
            assert!(!server.apis.is_empty(), "{name}");
            assert!(server.base_url.is_some() || name == "azure", "{name}");
        }
    }

    #[test]
    fn names_of_the_reference_carry_what_it_sends() {
        let registry = Registry::embedded();
        let chat = |model: &str, temperature: f64, max_tokens: u32| {
            json!({"model": model, "api": "chat", "temperature": temperature, "max_tokens": max_tokens,
                "system_message": "You are a helpful assistant."})
        };
        check(&registry, "gpt-4o", chat("gpt-4o", 0.5, 2048));
        check(
            &registry,
            "gpt-4o-mini",
            chat("gpt-4o-mini-2024-07-18", 0.5, 2048),
        );
        check(
            &registry,
            "gpt-4.1-temp-1",
            chat("gpt-4.1-2025-04-14", 1.0, 2048),
        );
        check(
            &registry,
            "gpt-4o-2024-08-06-temp-1",
            chat("gpt-4o-2024-08-06", 1.0, 2048),
        );
        check(&registry, "gpt-3.5-turbo", chat("gpt-3.5-turbo", 0.5, 1024));
        check(
            &registry,
            "o3_high",
            json!({"model": "o3-2025-04-16", "api": "responses", "system_role": "developer",
                "reasoning_effort": "high"}),
        );
        check(
            &registry,
            "o1",
            json!({"model": "o1", "api": "chat", "token_limit_field": "max_completion_tokens",
                "system_role": "developer"}),
        );
        check(
            &registry,
            "claude-3-opus-20240229_empty",
            json!({"model": "claude-3-opus-20240229", "api": "messages",
                "base_url": "https://api.anthropic.com/v1", "key_variable": "ANTHROPIC_API_KEY",
                "temperature": 0.0, "max_tokens": 4096}),
        );
    }

    #[test]
    fn the_system_message_is_the_references() {
        let text = embedded("gpt-4o").system_message.expect("has one");
        let hash = Sha256::digest(text.as_bytes());
        let start: String = hash
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!((text.len(), start.as_str()), (28, "75357d68"));
    }

    #[test]
    fn other_models_carry_nothing_that_was_not_set() {
        let registry = Registry::embedded();
        check(
            &registry,
            "gpt-6-sol",
            json!({"model": "gpt-6-sol", "api": "responses", "system_role": "developer"}),
        );
        check(
            &registry,
            "llama3.3",
            json!({"model": "llama3.3", "api": "chat"}),
        );
        check(
            &registry,
            "mock/p80",
            json!({"model": "mock/p80", "api": "chat"}),
        );
    }

    #[test]
    fn a_dated_snapshot_has_its_aliass_prices_but_not_its_settings() {
        let registry = Registry::embedded();
        check(
            &registry,
            "gpt-4.1-2025-04-14",
            json!({"model": "gpt-4.1-2025-04-14", "api": "chat"}),
        );
        let prices = |name: &str| embedded(name).prices.map(|prices| prices.output);
        assert_eq!(prices("gpt-4.1-2025-04-14"), Some(8.0));
        assert_eq!(prices("gpt-6-sol-2026-10-01"), Some(10.0));
        assert_eq!(prices("gpt-4-0125"), Some(60.0));
        assert_eq!(prices("gpt-4o-2024-05-13"), Some(15.0)); // listed on its own
        assert_eq!(prices("gpt-4o-audio"), None);
        assert_eq!(prices("ft:gpt-4o-2024-08-06:me"), None);
        assert_eq!(embedded("o3-2025-04-16").api, Api::Responses);
    }

    #[test]
    fn search_is_a_tool_over_responses_at_its_own_price() {
        let registry = Registry::embedded();
        check(
            &registry,
            "gpt-5.4+search",
            json!({"model": "gpt-5.4", "api": "responses", "system_role": "developer",
                "tools": [{"type": "web_search"}]}),
        );
        let searches = |name: &str| embedded(name).prices.and_then(|prices| prices.searches);
        assert_eq!(searches("gpt-4.1"), Some(25.0));
        assert_eq!(searches("gpt-4.1+search"), Some(10.0));
        assert_eq!(embedded("gpt-4.1+search").api, Api::Responses);
        assert!(registry.config("claude-sonnet-5+search").is_err());
        assert_eq!(embedded("x+search").model, "x");
        let deep = embedded("o3-deep-research");
        assert!(deep.background);
        assert_eq!(deep.tools, [json!({"type": "web_search_preview"})]);
    }

    #[test]
    fn mock_models_that_do_not_exist_are_refused() {
        let registry = Registry::embedded();
        for name in [
            "mock/p101",
            "mock/",
            "mock/p",
            "mock/gpt-4o",
            "mock/p1+search",
            "",
            "a b",
        ] {
            assert!(registry.config(name).is_err(), "{name}");
        }
        for name in ["mock/p0", "mock/p100", "mock/grader"] {
            assert!(registry.config(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_file_of_ones_own_adds_and_overrides_field_by_field() {
        let registry = with(
            r#"
            [models.gpt-4o]
            temperature = 0
            [models.mine]
            like = "gpt-4o"
            max_tokens = 99
            service_tier = "flex"
            extra_body = { top_p = 0.9, nested = { a = [1, "x"] } }
            [models."qwen3:8b"]
            server = "ollama"
            prices = { as_of = "2026-01-01", input = 0, output = 0.0 }
            [models.fast]
            model = "gpt-6-sol"
            headers = { "X-Team" = "evals" }
            "#,
        )
        .expect("a fine file");
        let message = "You are a helpful assistant.";
        check(
            &registry,
            "gpt-4o",
            json!({"model": "gpt-4o", "api": "chat", "temperature": 0.0, "max_tokens": 2048,
                "system_message": message}),
        );
        check(
            &registry,
            "mine",
            json!({"model": "gpt-4o", "api": "chat", "temperature": 0.0, "max_tokens": 99,
                "system_message": message, "service_tier": "flex",
                "extra_body": {"top_p": 0.9, "nested": {"a": [1, "x"]}}}),
        );
        check(
            &registry,
            "qwen3:8b",
            json!({"model": "qwen3:8b", "api": "chat", "base_url": "http://localhost:11434/v1",
                "token_limit_field": "max_tokens", "system_role": "system"}),
        );
        check(
            &registry,
            "fast",
            json!({"model": "gpt-6-sol", "api": "responses", "system_role": "developer",
                "headers": {"X-Team": "evals"}}),
        );
        let output = |name: &str| {
            let config = registry.config(name).expect("listed");
            config.prices.map(|prices| prices.output)
        };
        assert_eq!(output("qwen3:8b"), Some(0.0));
        assert_eq!(output("fast"), Some(10.0));
        assert_eq!(
            registry.config("o3_high").expect("listed"),
            embedded("o3_high")
        );
    }

    #[track_caller]
    fn check_mistake(text: &str, expected: &str) {
        let error = with(text).expect_err("has a mistake");
        let error = format!("{error:#}");
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_a_file_refers_to_must_be_there() {
        check_mistake(
            "[models.a]\nserver = \"vlm\"\n",
            "line 2, column 10: no server `vlm`",
        );
        check_mistake(
            "[models.a]\nlike = \"nobody\"\n",
            "line 2, column 8: no model `nobody`",
        );
        let circle = "[models.a]\nlike = \"b\"\n[models.b]\nlike = \"a\"\n";
        check_mistake(circle, "line 2, column 8: `a` is like itself");
        check_mistake("[models.a]\nlike = \"a\"\n", "`a` is like itself");
        check_mistake("[models.\"mock/p80\"]\n", "`mock/p80` is built in");
        check_mistake("[models.\"a b\"]\n", "model name `a b`");
        check_mistake(
            "[models.a]
server = \"azure\"
",
            "line 2, column 10: model `a`: server `azure` has no address",
        );
    }

    fn at(url: &str) -> Settings {
        Settings {
            base_url: Some(url.to_owned()),
            ..Settings::default()
        }
    }

    #[test]
    fn servers_are_recognised_by_their_address() {
        let registry = Registry::embedded();
        let config =
            |name: &str, url: &str| registry.config_with(name, &at(url)).expect("a fine name");
        let azure = config("my-deployment", "https://me.openai.azure.com/openai/v1/");
        assert_eq!(azure.key_header.as_deref(), Some("api-key"));
        assert_eq!(azure.key_variable.as_deref(), Some("AZURE_OPENAI_API_KEY"));
        assert_eq!(
            azure.base_url.as_deref(),
            Some("https://me.openai.azure.com/openai/v1")
        );
        let router = config("a/b", "https://openrouter.ai/api/v1");
        assert_eq!(router.key_variable.as_deref(), Some("OPENROUTER_API_KEY"));
        let ollama = config("gpt-5.4", "http://10.0.0.3:11434/v1");
        assert_eq!(ollama.token_limit_field, Some(TokenLimitField::MaxTokens));
        assert_eq!(ollama.system_role.as_deref(), Some("system"));
        let gemini = config(
            "gpt-5.4",
            "https://generativelanguage.googleapis.com/v1beta/openai",
        );
        assert_eq!(gemini.api, Api::Chat);
        for url in [
            "http://localhost:8000/v1",
            "https://openrouter.ai.evil.com/v1",
        ] {
            let other = config("gpt-4o", url);
            assert_eq!(
                (other.key_variable, other.token_limit_field),
                (None, None),
                "{url}"
            );
        }
    }

    #[test]
    fn an_entrys_key_does_not_go_to_another_address() {
        let text = "[models.a]\nbase_url = \"https://a.example/v1\"\nkey_variable = \"A_KEY\"\n\
            headers = { X-Team = \"t\" }\n[models.b]\nkey_variable = \"B_KEY\"\n";
        let registry = with(text).expect("a fine file");
        let config =
            |name: &str, url: &str| registry.config_with(name, &at(url)).expect("a fine name");
        assert_eq!(
            config("a", "https://a.example/v1/").key_variable.as_deref(),
            Some("A_KEY")
        );
        let elsewhere = config("a", "https://b.example/v1");
        assert_eq!((elsewhere.key_variable, elsewhere.headers.len()), (None, 0));
        assert_eq!(
            config("b", "https://b.example/v1").key_variable.as_deref(),
            Some("B_KEY")
        );
        assert_eq!(
            config("claude-sonnet-5", "http://localhost:1/v1").key_variable,
            None
        );
    }

    #[test]
    fn what_the_user_sets_now_comes_before_any_file() {
        let registry = with("[models.gpt-4o]\ntemperature = 0\n").expect("a fine file");
        let settings = Settings {
            temperature: Some(1.5),
            max_tokens: Some(7),
            system_message: Some("Be brief.".into()),
            reasoning_effort: Some("low".into()),
            ..Settings::default()
        };
        let config = registry.config_with("gpt-4o", &settings).expect("listed");
        assert_eq!(
            (config.temperature, config.max_tokens),
            (Some(1.5), Some(7))
        );
        assert_eq!(config.system_message.as_deref(), Some("Be brief."));
        assert_eq!(config.reasoning_effort.as_deref(), Some("low"));
    }

    #[test]
    fn only_the_default_grader_has_settings_of_its_own() {
        let registry = Registry::embedded();
        let grader = |named: Option<&str>, model: &str| {
            registry.grader(named, model, None).expect("a fine name")
        };
        let default = grader(None, "gpt-4o");
        assert_eq!(
            (default.temperature, default.max_tokens),
            (Some(0.5), Some(2048))
        );
        assert_eq!(default.prices.map(|prices| prices.input), Some(2.0));
        let same = grader(Some("gpt-4.1-2025-04-14"), "gpt-4o");
        assert_eq!((same.temperature, same.max_tokens), (None, None));
        assert_eq!(grader(Some("gpt-4o"), "mock/p80").temperature, Some(0.5));
        assert_eq!(grader(None, "mock/p80").model, "mock/grader");
        let text = "[models.\"gpt-4.1-2025-04-14\"]\ntemperature = 0\n";
        let own = with(text)
            .expect("a fine file")
            .grader(None, "gpt-4o", None);
        let own = own.expect("a fine name");
        assert_eq!((own.temperature, own.max_tokens), (Some(0.0), Some(2048)));
    }

    /// `settings` as in a task file, laid over what `name` carries.
    #[track_caller]
    fn check_warnings(name: &str, settings: Value, today: &str, expected: &[&str]) {
        let registry = Registry::embedded();
        let config = registry.config(name).expect("a fine name");
        let mut config = serde_json::to_value(config).expect("serializes");
        for (field, value) in settings.as_object().expect("an object") {
            config[field] = value.clone();
        }
        let config = serde_json::from_value(config).expect("a config");
        assert_eq!(registry.warnings(name, &config, day(today)), expected);
    }

    #[test]
    fn a_model_that_ends_within_a_month_or_has_ended_is_announced() {
        let check = |name: &str, today: &str, expected: &[&str]| {
            check_warnings(name, json!({}), today, expected);
        };
        check("o3_high", "2026-11-10", &[]);
        let soon = "model `o3_high` ends on 2026-12-11: its successor is `gpt-6.1-sol`";
        check("o3_high", "2026-11-11", &[soon]);
        check("o3_high", "2026-12-11", &[soon]);
        let ended = "model `o3_high` ended on 2026-12-11: its successor is `gpt-6.1-sol`";
        check("o3_high", "2026-12-12", &[ended]);
        let snapshot =
            "model `gpt-5-2025-08-07` ended on 2026-12-11: its successor is `gpt-6.1-sol`";
        check("gpt-5-2025-08-07", "2027-01-01", &[snapshot]);
        check("llama3.3", "2030-01-01", &[]);
        check("mock/p80", "2030-01-01", &[]);
    }

    #[test]
    fn other_servers_may_serve_a_model_longer() {
        let elsewhere = json!({"base_url": "http://localhost:9000/v1"});
        check_warnings("o3", elsewhere, "2027-01-01", &[]);
    }

    #[test]
    fn an_end_in_ones_own_file_counts_wherever_the_model_is() {
        let text = "[models.a]\nbase_url = \"http://a.example/v1\"\nshutdown = \"2026-12-31\"\n";
        let registry = with(text).expect("a fine file");
        let config = registry.config("a").expect("listed");
        let warnings = registry.warnings("a", &config, day("2027-01-01"));
        assert_eq!(warnings, ["model `a` ended on 2026-12-31"]);
    }

    #[test]
    fn what_is_missing_for_the_references_numbers_is_announced() {
        let registry = Registry::embedded();
        let name = "claude-3-7-sonnet-20250219";
        let config = registry.config(name).expect("listed");
        let warnings = registry.warnings(name, &config, day("2025-12-01"));
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings[0].contains("system message of 718 bytes"),
            "{warnings:?}"
        );
    }

    #[test]
    fn what_the_server_will_refuse_is_announced() {
        let check = |name: &str, settings: Value, expected: &[&str]| {
            check_warnings(name, settings, "2026-10-01", expected);
        };
        let refused =
            "model `gpt-5` refuses any temperature but 1: requests with temperature 0.5 will fail";
        check("gpt-5", json!({"temperature": 0.5}), &[refused]);
        check("gpt-5", json!({"temperature": 1.0}), &[]);
        let refused = "model `gpt-5.4` refuses a temperature unless the reasoning effort is `none`: \
            requests with temperature 0 will fail";
        check("gpt-5.4", json!({"temperature": 0.0}), &[refused]);
        check(
            "gpt-5.4",
            json!({"temperature": 0.0, "reasoning_effort": "none"}),
            &[],
        );
        let search = "model `gpt-5+search` cannot search with the reasoning effort `minimal`";
        check(
            "gpt-5+search",
            json!({"reasoning_effort": "minimal"}),
            &[search],
        );
        let background = "model `gpt-4o`: only Responses has a background mode";
        check("gpt-4o", json!({"background": true}), &[background]);
        let gemini = json!({"api": "responses"});
        let api = "model `gemini-3.5-flash`: its server is not known to have Responses";
        check("gemini-3.5-flash", gemini, &[api]);
    }

    #[test]
    fn a_list_has_every_model_with_what_it_costs_and_when_it_ends() {
        let registry = with("[models.zeta]\nlike = \"o3\"\n[models.o1]\nmax_tokens = 9\n");
        let list = registry.expect("a fine file").list();
        let find = |name: &str| list.iter().find(|listing| listing.name == name);
        let o3 = find("o3_low").expect("listed");
        assert_eq!((o3.model.as_str(), o3.is_own), ("o3-2025-04-16", false));
        assert_eq!(o3.shutdown.as_deref(), Some("2026-12-11"));
        assert_eq!(o3.prices.as_ref().map(|prices| prices.output), Some(8.0));
        assert!(find("o1").expect("listed").is_own);
        assert_eq!(list.last(), find("zeta"));
        assert_eq!(find("zeta").expect("listed").model, "o3-2025-04-16");
    }
}
