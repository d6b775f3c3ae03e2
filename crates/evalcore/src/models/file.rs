//! `models.toml`: its form, and where in it a mistake is.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use chrono::NaiveDate;
use indexmap::IndexMap;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use toml::Spanned;

use crate::task::{Api, Prices, TokenLimitField};

/// A file of models and servers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    /// The day the prices were noted, `YYYY-MM-DD`, for prices that do not say.
    as_of: Option<Date>,
    /// Servers by name.
    pub servers: IndexMap<String, Server>,
    /// Models by the name that users give.
    pub models: IndexMap<String, Entry>,
}

/// What is known of one kind of server.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Server {
    /// Hosts it is recognised by, `HOST`, `HOST:PORT`, `*.DOMAIN` or `*:PORT`.
    #[serde(rename = "match")]
    pub hosts: Vec<String>,
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<String>,
    #[serde(deserialize_with = "key_variable")]
    pub key_variable: Option<String>,
    pub key_header: Option<String>,
    pub token_limit_field: Option<TokenLimitField>,
    pub system_role: Option<String>,
    /// The APIs it has; empty means any.
    pub apis: Vec<Api>,
}

/// A model's entry. Fields that [`crate::task::ModelConfig`] has as well mean the same.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Entry {
    /// The entry that this one lies over.
    pub like: Option<Spanned<String>>,
    /// The name that requests carry; none means the entry's own.
    pub model: Option<String>,
    pub api: Option<Api>,
    pub server: Option<Spanned<String>>,
    #[serde(deserialize_with = "base_url")]
    pub base_url: Option<String>,
    #[serde(deserialize_with = "key_variable")]
    pub key_variable: Option<String>,
    pub key_header: Option<String>,
    #[serde(deserialize_with = "headers")]
    pub headers: Option<IndexMap<String, String>>,
    #[serde(deserialize_with = "temperature")]
    pub temperature: Option<f64>,
    #[serde(deserialize_with = "positive")]
    pub max_tokens: Option<u32>,
    pub token_limit_field: Option<TokenLimitField>,
    pub system_message: Option<String>,
    pub system_role: Option<String>,
    pub reasoning_effort: Option<String>,
    pub tools: Option<Vec<Value>>,
    pub background: Option<bool>,
    pub service_tier: Option<String>,
    pub extra_body: Option<Map<String, Value>>,
    prices: Option<PriceList>,
    pub max_input_tokens: Option<u64>,
    pub max_output_tokens: Option<u64>,
    /// Whether the model takes a temperature.
    pub sampling: Option<Sampling>,
    /// The model's last day.
    pub shutdown: Option<Date>,
    /// The model to use after that day.
    pub replacement: Option<String>,
    /// What the user should know.
    pub note: Option<String>,
}

/// Whether a model takes a temperature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Sampling {
    Accepted,
    Refused,
    /// Only with the reasoning effort `none`.
    WithoutReasoning,
}

/// As [`Prices`], but strict: a price that is misspelt must not go missing.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceList {
    as_of: Option<Date>,
    #[serde(deserialize_with = "price")]
    input: f64,
    #[serde(default, deserialize_with = "some_price")]
    cached_input: Option<f64>,
    #[serde(default, deserialize_with = "some_price")]
    cache_write: Option<f64>,
    #[serde(deserialize_with = "price")]
    output: f64,
    #[serde(default, deserialize_with = "some_price")]
    batch_input: Option<f64>,
    #[serde(default, deserialize_with = "some_price")]
    batch_output: Option<f64>,
    #[serde(default, deserialize_with = "some_price")]
    long_input: Option<f64>,
    #[serde(default, deserialize_with = "some_price")]
    long_output: Option<f64>,
    #[serde(default, deserialize_with = "some_price")]
    priority_input: Option<f64>,
    #[serde(default, deserialize_with = "some_price")]
    priority_output: Option<f64>,
    #[serde(default, deserialize_with = "some_price")]
    searches: Option<f64>,
}

/// A day, `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Date(pub NaiveDate);

impl File {
    /// Reads `text`; errors name its place in `path`.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self> {
        let mut file: Self = toml::from_str(text).map_err(|error| {
            // The error's own `Display` quotes the line, which may hold a key.
            located(path, text, error.span().map(|span| span.start), error.message())
        })?;
        let as_of = file.as_of;
        for prices in file.models.values_mut().filter_map(|entry| entry.prices.as_mut()) {
            prices.as_of = prices.as_of.or(as_of);
        }
        Ok(file)
    }
}

/// The mistake, and where it is.
pub(super) fn located(
    path: &Path,
    text: &str,
    offset: Option<usize>,
    mistake: impl fmt::Display,
) -> anyhow::Error {
    let place = offset.and_then(|offset| text.get(..offset)).map(|before| {
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        format!(" line {line}, column {column}:")
    });
    anyhow!("models file `{}`:{} {mistake}", path.display(), place.unwrap_or_default())
}

impl Entry {
    /// This entry, with `below` where it says nothing.
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            like: self.like.or(below.like),
            model: self.model.or(below.model),
            api: self.api.or(below.api),
            server: self.server.or(below.server),
            base_url: self.base_url.or(below.base_url),
            key_variable: self.key_variable.or(below.key_variable),
            key_header: self.key_header.or(below.key_header),
            headers: self.headers.or(below.headers),
            temperature: self.temperature.or(below.temperature),
            max_tokens: self.max_tokens.or(below.max_tokens),
            token_limit_field: self.token_limit_field.or(below.token_limit_field),
            system_message: self.system_message.or(below.system_message),
            system_role: self.system_role.or(below.system_role),
            reasoning_effort: self.reasoning_effort.or(below.reasoning_effort),
            tools: self.tools.or(below.tools),
            background: self.background.or(below.background),
            service_tier: self.service_tier.or(below.service_tier),
            extra_body: self.extra_body.or(below.extra_body),
            prices: self.prices.or(below.prices),
            max_input_tokens: self.max_input_tokens.or(below.max_input_tokens),
            max_output_tokens: self.max_output_tokens.or(below.max_output_tokens),
            sampling: self.sampling.or(below.sampling),
            shutdown: self.shutdown.or(below.shutdown),
            replacement: self.replacement.or(below.replacement),
            note: self.note.or(below.note),
        }
    }

    /// What is so of the model itself, whatever requests carry.
    pub(super) fn facts(self) -> Self {
        Self {
            api: self.api,
            token_limit_field: self.token_limit_field,
            system_role: self.system_role,
            prices: self.prices,
            max_input_tokens: self.max_input_tokens,
            max_output_tokens: self.max_output_tokens,
            sampling: self.sampling,
            shutdown: self.shutdown,
            replacement: self.replacement,
            ..Self::default()
        }
    }

    /// The same, asked elsewhere: a key must not go to a server it was not meant for.
    pub(super) fn without_endpoint(self) -> Self {
        Self {
            server: None,
            base_url: None,
            key_variable: None,
            key_header: None,
            headers: None,
            ..self
        }
    }

    pub(super) fn prices(&self) -> Option<Prices> {
        let list = self.prices.as_ref()?;
        Some(Prices {
            as_of: list.as_of.map(|day| day.to_string()).unwrap_or_default(),
            input: list.input,
            cached_input: list.cached_input,
            cache_write: list.cache_write,
            output: list.output,
            batch_input: list.batch_input,
            batch_output: list.batch_output,
            long_input: list.long_input,
            long_output: list.long_output,
            priority_input: list.priority_input,
            priority_output: list.priority_output,
            searches: list.searches,
        })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d"))
    }
}

impl Serialize for Date {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        NaiveDate::parse_from_str(&text, "%Y-%m-%d")
            .map(Self)
            .map_err(|_| D::Error::custom("no day: write one such as \"2026-12-31\", in quotes"))
    }
}

fn base_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let url = super::base_url(&text).map_err(|error| D::Error::custom(format!("{error:#}")))?;
    Ok(Some(url))
}

/// A name as shells know it. Errors do not repeat the value: it may be a key.
fn key_variable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if name.starts_with("sk-") {
        return Err(D::Error::custom(
            "`key_variable` holds what looks like a key: put the key into an environment variable \
             and write that variable's name here",
        ));
    }
    match is_name {
        true => Ok(Some(name)),
        false => Err(D::Error::custom(
            "`key_variable` is no name of an environment variable: write one such as \
             \"OPENROUTER_API_KEY\"",
        )),
    }
}

/// Headers are written into task files, so none that carries a key.
fn headers<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<IndexMap<String, String>>, D::Error> {
    let headers = IndexMap::<String, String>::deserialize(deserializer)?;
    for (name, value) in &headers {
        let name = name.to_ascii_lowercase();
        let is_secret = matches!(
            name.as_str(),
            "authorization" | "proxy-authorization" | "cookie" | "api-key" | "x-api-key"
        ) || ["sk-", "Bearer "].iter().any(|start| value.starts_with(start));
        if is_secret {
            return Err(D::Error::custom(format!(
                "header `{name}` would write a key into task files: name the variable that holds \
                 the key in `key_variable`, and a header other than the usual one in `key_header`"
            )));
        }
        if reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_err()
            || reqwest::header::HeaderValue::from_str(value).is_err()
        {
            return Err(D::Error::custom(format!(
                "header `{}` has a name or value that no request can carry",
                name.escape_debug()
            )));
        }
    }
    Ok(Some(headers))
}

fn temperature<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let temperature = f64::deserialize(deserializer)?;
    match (0.0..=2.0).contains(&temperature) {
        true => Ok(Some(temperature)),
        false => Err(D::Error::custom(format!("temperature {temperature} is not from 0 to 2"))),
    }
}

fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    match u32::deserialize(deserializer)? {
        0 => Err(D::Error::custom("0 tokens are none: leave the limit out, or raise it")),
        number => Ok(Some(number)),
    }
}

fn price<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let price = f64::deserialize(deserializer)?;
    match price.is_finite() && price >= 0.0 {
        true => Ok(price),
        false => Err(D::Error::custom(format!("{price} is no price"))),
    }
}

fn some_price<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    price(deserializer).map(Some)
}

/// Reads the file at `path`.
///
/// # Errors
///
/// It cannot be read, or is not what it should be; the error names line and column.
pub(super) fn read(path: &Path) -> Result<(String, File)> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("read models file `{}`", path.display()))?;
    let file = File::parse(&text, path)?;
    Ok((text, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_mistake(text: &str, expected: &str) {
        let error = File::parse(text, Path::new("m.toml")).expect_err("has a mistake");
        let error = format!("{error:#}");
        assert!(error.starts_with(&format!("models file `m.toml`: {expected}")), "{error}");
        assert!(!error.contains("sk-"), "{error}");
    }

    #[test]
    fn a_mistake_is_named_with_line_and_column() {
        check_mistake(
            "[models.a]\ntemprature = 1\n",
            "line 2, column 1: unknown field `temprature`",
        );
        check_mistake("[models.a]\n\nmax_tokens = \"9\"\n", "line 3, column 14: invalid type");
        check_mistake("[models.a]\nmodel = 'é' x\n", "line 2, column 13: ");
        check_mistake("[models.a]\napi = \"soap\"\n", "line 2, column 7: unknown variant `soap`");
        check_mistake("[modles.a]\n", "line 1, column 2: unknown field `modles`");
        check_mistake(
            "[models.a]\nprices = { input = 1, ouput = 2 }\n",
            "line 2, column 23: unknown field `ouput`",
        );
        check_mistake("[models.a]\nprices = { input = 1 }\n", "line 2, column 10: missing field");
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        let model = |line: &str| format!("[models.a]\n{line}\n");
        check_mistake(&model("temperature = 2.5"), "line 2, column 15: temperature 2.5 is not");
        check_mistake(&model("max_tokens = 0"), "line 2, column 14: 0 tokens");
        check_mistake(&model("max_tokens = -1"), "line 2, column 14: ");
        check_mistake(&model("shutdown = \"soon\""), "line 2, column 12: no day");
        check_mistake(&model("base_url = \"host\""), "line 2, column 12: base URL: relative URL");
        check_mistake(
            &model("prices = { input = -1, output = 2 }"),
            "line 2, column 20: -1 is no price",
        );
        check_mistake(&model("headers = { \"a b\" = \"1\" }"), "line 2, column 11: header `a b`");
    }

    #[test]
    fn keys_are_refused_and_not_repeated() {
        let model = |line: &str| format!("[models.a]\n{line}\n");
        let looks_like = "line 2, column 16: `key_variable` holds what looks like a key";
        check_mistake(&model("key_variable = \"sk-123\""), looks_like);
        check_mistake(
            &model("key_variable = \"AIza sk-123\""),
            "line 2, column 16: `key_variable` is no name",
        );
        check_mistake(&model("api_key = \"sk-123\""), "line 2, column 1: unknown field `api_key`");
        for header in ["Authorization", "x-api-key", "Api-Key", "X-Other"] {
            let headers = format!("headers = {{ {header} = \"sk-123\" }}");
            check_mistake(&model(&headers), "line 2, column 11: header `");
        }
    }

    #[test]
    fn prices_have_the_day_of_the_file_unless_they_say() {
        let text = "as_of = \"2026-01-02\"\n[models.a]\nprices = { input = 1, output = 2.5 }\n\
            [models.b]\nprices = { as_of = \"2025-01-02\", input = 0, output = 0 }\n";
        let file = File::parse(text, Path::new("m.toml")).expect("no mistake");
        let prices = |name: &str| file.models[name].prices().expect("has prices");
        assert_eq!((prices("a").as_of.as_str(), prices("a").output), ("2026-01-02", 2.5));
        assert_eq!((prices("b").as_of.as_str(), prices("b").output), ("2025-01-02", 0.0));
    }
}
