//! What a user should know of models, graders and where they are, before paying for them.

use std::net::IpAddr;

use chrono::NaiveDate;
use indexmap::IndexSet;
use reqwest::Url;

use super::{Pair, Wish};
use crate::models::{self, Registry};

/// What is to be known, each told once.
pub(super) fn warnings(
    pairs: &[Pair],
    wish: &Wish,
    registry: &Registry,
    today: NaiveDate,
) -> IndexSet<String> {
    let models = pairs.iter().flat_map(|pair| registry.warnings(&pair.name, &pair.model, today));
    let graders = pairs.iter().flat_map(|pair| {
        let name = models::grader_name(wish.grader.as_deref(), &pair.name);
        let warnings = registry.warnings(name, &pair.grader, today);
        warnings.into_iter().map(|warning| format!("grader: {warning}"))
    });
    let here = pairs.iter().flat_map(|pair| {
        let configs = [&pair.model, &pair.grader];
        let urls = configs.map(|config| config.base_url.as_deref());
        let in_clear = urls.into_iter().flatten().filter_map(in_clear);
        in_clear
            .chain(mock_verdicts(pair))
            .chain(misplaced_grader(pair, wish))
            .chain(toy(pair, wish))
    });
    models.chain(graders).chain(here).collect()
}

/// A real model whose scores mean little.
fn mock_verdicts(pair: &Pair) -> Option<String> {
    let is_mocked = models::is_mock(&pair.grader.model) && !models::is_mock(&pair.model.model);
    is_mocked.then(|| {
        format!(
            "model `{}` is judged by `{}`, which only compares texts: its scores are for rehearsals, \
             name another with `--grader`",
            pair.name, pair.grader.model
        )
    })
}

/// The default grader where it probably is not.
fn misplaced_grader(pair: &Pair, wish: &Wish) -> Option<String> {
    let grader = &pair.grader;
    if wish.grader.is_some() || models::is_mock(&grader.model) {
        return None;
    }
    let url = grader.base_url.as_deref()?;
    let host = Url::parse(url).ok()?.host_str()?.to_owned();
    (host != "openai.com" && !host.ends_with(".openai.com")).then(|| {
        format!(
            "the default grader `{}` is OpenAI's and will probably not be found at {url}: name one that is \
             there with `--grader`, or where it is with `--grader-base-url https://api.openai.com/v1`",
            grader.model
        )
    })
}

/// A key that anybody on the way can read.
fn in_clear(base_url: &str) -> Option<String> {
    let url = Url::parse(base_url).ok()?;
    (url.scheme() == "http" && !is_loopback(url.host_str()?)).then(|| {
        format!("{base_url} is not encrypted: keys and questions go there in clear, use https if you can")
    })
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.');
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A real model on made-up questions.
fn toy(pair: &Pair, wish: &Wish) -> Option<String> {
    let is_sample = wish.dataset.as_deref() == Some("sample");
    (is_sample && !models::is_mock(&pair.name)).then(|| {
        format!(
            "model `{}` is asked the embedded sample's toy questions: its score says nothing of the eval",
            pair.name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_clear(url: &str, is_warned: bool) {
        assert_eq!(in_clear(url).is_some(), is_warned, "{url}");
    }

    #[test]
    fn only_http_beyond_this_machine_is_in_clear() {
        check_clear("http://10.0.0.5:8000/v1", true);
        check_clear("http://gpu.example/v1", true);
        check_clear("http://localhost.example/v1", true);
        check_clear("https://gpu.example/v1", false);
        check_clear("http://localhost:8000/v1", false);
        check_clear("http://127.0.0.2/v1", false);
        check_clear("http://[::1]:8000/v1", false);
    }
}
