//! From a model's name to what its requests carry, and what they cost.
//!
//! `models.toml` holds what is known of models and servers; a user's file of the same form lies over
//! it ([`Registry`]). A name that neither lists goes through to the server as it is, except `mock/…`, which
//! names the built-in mock server's models. [`cost`](mod@cost) is the arithmetic.

pub mod cost;
mod file;
mod registry;
mod server;
mod warnings;

use anyhow::{Result, anyhow, bail};

pub use self::registry::{Listing, Registry, Settings};

/// Asked for verdicts unless told otherwise: the reference's grader.
const GRADER: &str = "gpt-4.1-2025-04-14";

/// The mock server's grader.
const MOCK_GRADER: &str = "mock/grader";

/// Whether the built-in mock server answers for this model.
pub fn is_mock(model: &str) -> bool {
    model.starts_with("mock/")
}

/// A name that a request can carry.
fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > 256 || name.chars().any(|c| c.is_control() || c == ' ') {
        bail!("model name `{}` is empty, too long or holds blanks", name.escape_debug());
    }
    Ok(())
}

fn check_mock(name: &str) -> Result<()> {
    let percent = name.strip_prefix("mock/p").and_then(|percent| percent.parse::<u8>().ok());
    if name != MOCK_GRADER && percent.is_none_or(|percent| percent > 100) {
        bail!("no mock model `{name}`: there are `mock/p0` to `mock/p100` and `mock/grader`");
    }
    Ok(())
}

/// The name of the grader of a task whose model is named `model`: the one that was named, or the
/// default; mock models have a mock grader by default.
pub fn grader_name<'a>(named: Option<&'a str>, model: &str) -> &'a str {
    match named {
        Some(name) => name,
        None if is_mock(model) => MOCK_GRADER,
        None => GRADER,
    }
}

/// A base URL as it is recorded: `http` or `https`, without a final slash.
///
/// # Errors
///
/// Not such a URL, or one with a password, which would end up in the task file.
pub fn base_url(text: &str) -> Result<String> {
    let remedy = "give one such as `http://localhost:8000/v1`";
    let text = text.trim();
    // What is not sound may hold a secret, and is not repeated.
    let url = reqwest::Url::parse(text).map_err(|error| anyhow!("base URL: {error}: {remedy}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        bail!("base URL: not an http address: {remedy}");
    }
    if !url.username().is_empty() || url.password().is_some() {
        bail!("a base URL must not hold a user name or password: give the key in OPENAI_API_KEY");
    }
    if url.query().is_some() || url.fragment().is_some() {
        bail!("a base URL has no `?` or `#` part: {remedy}");
    }
    let text = text.trim_end_matches('/');
    for path in ["/chat/completions", "/responses", "/messages"] {
        if let Some(base_url) = text.strip_suffix(path) {
            bail!("`{path}` is added to a base URL by itself: give `{base_url}`");
        }
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_url(text: &str, expected: Result<&str, &str>) {
        match (base_url(text), expected) {
            (Ok(url), Ok(expected)) => assert_eq!(url, expected),
            (Err(error), Err(expected)) => {
                let error = format!("{error:#}");
                assert!(error.contains(expected), "{error}");
            }
            (found, _) => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn a_base_url_is_kept_without_its_final_slash() {
        check_url("http://localhost:8000/v1/", Ok("http://localhost:8000/v1"));
        check_url("https://openrouter.ai/api/v1", Ok("https://openrouter.ai/api/v1"));
    }

    #[test]
    fn what_is_no_base_url_is_refused_with_an_example() {
        check_url("localhost:8000/v1", Err("give one such as"));
        check_url("ftp://x/v1", Err("not an http address"));
        check_url("http://x/v1?key=1", Err("`?` or `#`"));
        check_url("", Err("give one such as"));
        check_url("http://x/v1/chat/completions", Err("give `http://x/v1`"));
    }

    #[test]
    fn a_password_in_a_base_url_is_refused_without_repeating_it() {
        let error = base_url("https://me:hunter2@x/v1").expect_err("has a password").to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
