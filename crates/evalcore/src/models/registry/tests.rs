use chrono::NaiveDate;
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
        registry.config(name).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        if let Some(like) = &entry.like {
            assert!(registry.built_in.models.contains_key(like.get_ref()), "{name}");
        }
        if let Some(server) = &entry.server {
            assert!(registry.server(server.get_ref()).is_some(), "{name}");
        }
        let entry = registry.find(name).expect("listed").entry();
        assert_eq!(entry.shutdown.is_some(), entry.replacement.is_some(), "{name}");
        if let Some(replacement) = &entry.replacement {
            let next = registry.built_in_entry(replacement).expect("replacement is listed");
            assert!(next.shutdown.is_none(), "{name}: {replacement} ends, too");
        }
        if let Some(prices) = entry.prices() {
            assert!(prices.input > 0.0 && prices.output > prices.input, "{name}");
            assert!(prices.cached_input.is_none_or(|price| price < prices.input), "{name}");
            assert!(prices.batch_input.is_none_or(|price| price < prices.input), "{name}");
            assert!(prices.batch_output.is_none_or(|price| price < prices.output), "{name}");
            assert!(prices.long_input.is_none_or(|price| price > prices.input), "{name}");
            assert!(prices.priority_input.is_none_or(|price| price > prices.input), "{name}");
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
    check(&registry, "gpt-4o-mini", chat("gpt-4o-mini-2024-07-18", 0.5, 2048));
    check(&registry, "gpt-4.1-temp-1", chat("gpt-4.1-2025-04-14", 1.0, 2048));
    check(&registry, "gpt-4o-2024-08-06-temp-1", chat("gpt-4o-2024-08-06", 1.0, 2048));
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
    let start: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
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
    check(&registry, "llama3.3", json!({"model": "llama3.3", "api": "chat"}));
    check(&registry, "mock/p80", json!({"model": "mock/p80", "api": "chat"}));
}

#[test]
fn a_dated_snapshot_has_its_aliass_prices_but_not_its_settings() {
    let registry = Registry::embedded();
    check(&registry, "gpt-4.1-2025-04-14", json!({"model": "gpt-4.1-2025-04-14", "api": "chat"}));
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
    for name in ["mock/p101", "mock/", "mock/p", "mock/gpt-4o", "mock/p1+search", "", "a b"] {
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
    assert_eq!(registry.config("o3_high").expect("listed"), embedded("o3_high"));
}

#[track_caller]
fn check_mistake(text: &str, expected: &str) {
    let error = with(text).expect_err("has a mistake");
    let error = format!("{error:#}");
    assert!(error.contains(expected), "{error}");
}

#[test]
fn what_a_file_refers_to_must_be_there() {
    check_mistake("[models.a]\nserver = \"vlm\"\n", "line 2, column 10: no server `vlm`");
    check_mistake("[models.a]\nlike = \"nobody\"\n", "line 2, column 8: no model `nobody`");
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
    Settings { base_url: Some(url.to_owned()), ..Settings::default() }
}

#[test]
fn servers_are_recognised_by_their_address() {
    let registry = Registry::embedded();
    let config = |name: &str, url: &str| registry.config_with(name, &at(url)).expect("a fine name");
    let azure = config("my-deployment", "https://me.openai.azure.com/openai/v1/");
    assert_eq!(azure.key_header.as_deref(), Some("api-key"));
    assert_eq!(azure.key_variable.as_deref(), Some("AZURE_OPENAI_API_KEY"));
    assert_eq!(azure.base_url.as_deref(), Some("https://me.openai.azure.com/openai/v1"));
    let router = config("a/b", "https://openrouter.ai/api/v1");
    assert_eq!(router.key_variable.as_deref(), Some("OPENROUTER_API_KEY"));
    let ollama = config("gpt-5.4", "http://10.0.0.3:11434/v1");
    assert_eq!(ollama.token_limit_field, Some(TokenLimitField::MaxTokens));
    assert_eq!(ollama.system_role.as_deref(), Some("system"));
    let gemini = config("gpt-5.4", "https://generativelanguage.googleapis.com/v1beta/openai");
    assert_eq!(gemini.api, Api::Chat);
    for url in ["http://localhost:8000/v1", "https://openrouter.ai.evil.com/v1"] {
        let other = config("gpt-4o", url);
        assert_eq!((other.key_variable, other.token_limit_field), (None, None), "{url}");
    }
}

#[test]
fn an_entrys_key_does_not_go_to_another_address() {
    let text = "[models.a]\nbase_url = \"https://a.example/v1\"\nkey_variable = \"A_KEY\"\n\
            headers = { X-Team = \"t\" }\n[models.b]\nkey_variable = \"B_KEY\"\n";
    let registry = with(text).expect("a fine file");
    let config = |name: &str, url: &str| registry.config_with(name, &at(url)).expect("a fine name");
    assert_eq!(config("a", "https://a.example/v1/").key_variable.as_deref(), Some("A_KEY"));
    let elsewhere = config("a", "https://b.example/v1");
    assert_eq!((elsewhere.key_variable, elsewhere.headers.len()), (None, 0));
    assert_eq!(config("b", "https://b.example/v1").key_variable.as_deref(), Some("B_KEY"));
    assert_eq!(config("claude-sonnet-5", "http://localhost:1/v1").key_variable, None);
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
    assert_eq!((config.temperature, config.max_tokens), (Some(1.5), Some(7)));
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
    assert_eq!((default.temperature, default.max_tokens), (Some(0.5), Some(2048)));
    assert_eq!(default.prices.map(|prices| prices.input), Some(2.0));
    let same = grader(Some("gpt-4.1-2025-04-14"), "gpt-4o");
    assert_eq!((same.temperature, same.max_tokens), (None, None));
    assert_eq!(grader(Some("gpt-4o"), "mock/p80").temperature, Some(0.5));
    assert_eq!(grader(None, "mock/p80").model, "mock/grader");
    let text = "[models.\"gpt-4.1-2025-04-14\"]\ntemperature = 0\n";
    let own = with(text).expect("a fine file").grader(None, "gpt-4o", None);
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
    let snapshot = "model `gpt-5-2025-08-07` ended on 2026-12-11: its successor is `gpt-6.1-sol`";
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
    assert!(warnings[0].contains("system message of 718 bytes"), "{warnings:?}");
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
    check("gpt-5.4", json!({"temperature": 0.0, "reasoning_effort": "none"}), &[]);
    let search = "model `gpt-5+search` cannot search with the reasoning effort `minimal`";
    check("gpt-5+search", json!({"reasoning_effort": "minimal"}), &[search]);
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
