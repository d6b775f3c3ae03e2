//! What a user should know of a model before it is asked.

use chrono::NaiveDate;

use super::file::Sampling;
use super::registry::{Found, Registry, kind};
use super::server::host_of;
use crate::task::{Api, ModelConfig};

/// Where models are asked whose ends the embedded file knows.
const MAKERS: [&str; 3] =
    ["api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com"];

/// Days before a model's end that a user should know of it.
const SHUTDOWN_NOTICE: i64 = 30;

impl Registry {
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
        let searches = config.tools.iter().any(|tool| kind(tool).starts_with("web_search"));
        if searches && effort == Some("minimal") {
            warnings
                .push(format!("model `{name}` cannot search with the reasoning effort `minimal`"));
        }
        if config.background && config.api != Api::Responses {
            warnings.push(format!("model `{name}`: only Responses has a background mode"));
        }
        let server = config.base_url.as_deref().and_then(|url| self.recognise(url));
        if let Some(server) = server
            && !server.apis.is_empty()
            && !server.apis.contains(&config.api)
        {
            let api = api_name(config.api);
            warnings.push(format!("model `{name}`: its server is not known to have {api}"));
        }
        warnings.extend(entry.note.map(|note| format!("model `{name}`: {note}")));
        warnings
    }
}

/// That the model has ended, or ends soon. Its end is its maker's: other servers may have it longer,
/// unless the user's file says when it ends there.
fn end(name: &str, found: &Found, base_url: Option<&str>, today: NaiveDate) -> Option<String> {
    let is_makers = base_url.is_none_or(|url| {
        host_of(url).is_some_and(|(host, _)| MAKERS.iter().any(|maker| host.ends_with(maker)))
    });
    let entry = found.entry();
    let day = entry.shutdown.filter(|_| is_makers || found.user.shutdown.is_some())?;
    let left = day.0.signed_duration_since(today).num_days();
    let ends = match left {
        ..0 => "ended",
        0..=SHUTDOWN_NOTICE => "ends",
        _ => return None,
    };
    let instead = entry.replacement.map(|next| format!(": its successor is `{next}`"));
    Some(format!("model `{name}` {ends} on {day}{}", instead.unwrap_or_default()))
}

fn api_name(api: Api) -> &'static str {
    match api {
        Api::Chat => "Chat Completions",
        Api::Responses => "Responses",
        Api::Messages => "Messages",
    }
}
