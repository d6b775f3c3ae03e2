//! The request engine: limits, background responses, budgets, lanes that do not disturb each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mockapi::{ApiError, Behaviour, Config, Fate, Faults, Limits, MockServer, Price, Reply};
use serde_json::{Value, json};

use crate::support::{N_SAMPLE, TestDir, server};

/// Writes a models file where `submit` finds it.
fn models(dir: &TestDir, text: &str) {
    std::fs::write(dir.path("models.toml"), text).expect("writable");
}

/// Seconds from the first request to the last one, of those to `model`.
fn span(server: &MockServer, model: &str) -> f64 {
    let records = server.ledger().records();
    let times = || records.iter().filter(|record| record.model == model).map(|record| record.at);
    let (first, last) = (times().min().expect("asked"), times().max().expect("asked"));
    (last - first).as_secs_f64()
}

/// Answers with the right answer, or judges, as the slot of the request asks.
fn both() -> Behaviour {
    Behaviour::Function(Arc::new(|question| {
        let is_grade = question.key.is_some_and(|key| key.slot.starts_with("grade"));
        Reply::text(if is_grade { "correct: yes" } else { "Exact Answer: x\nConfidence: 5%" })
    }))
}

#[test]
fn a_limit_of_600_a_minute_is_used_fully_and_hardly_ever_hit() {
    let limits = Limits {
        requests_per_minute: Some(600.0),
        tokens_per_minute: None,
        burst: Duration::from_secs(60),
    };
    let server = server(Config {
        latency: Duration::from_millis(50),
        limits: Some(limits),
        roles: [("m".to_owned(), both())].into(),
        ..Config::default()
    });
    let dir = TestDir::asking(&server);
    dir.submit("--models m --grader m --dataset sample --limit all --n-repeats 25");
    let ran = dir.run("--concurrent 200");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let records = server.ledger().records();
    let n_refused = records.iter().filter(|record| record.fate == Fate::Sent(429)).count();
    assert!(n_refused * 100 < 3 * records.len(), "{n_refused} of {} refused", records.len());
    // The bucket holds a minute's worth at first; the other 400 come at 10 a second.
    let (span, ideal) = (span(&server, "m"), 40.0);
    assert!(span < 1.1 * ideal, "{span} s");
}

#[tokio::test]
async fn background_responses_in_flight_survive_a_kill_and_are_paid_for_once() {
    let server = server(Config { background: Duration::MAX, ..Config::default() });
    let dir = TestDir::asking(&server);
    models(&dir, "[models.deep]\napi = \"responses\"\nbackground = true\n");
    dir.submit("--models deep --grader grader --dataset sample --limit all");
    let run = dir.start_run("--concurrent 20");
    server.ledger().wait_until(|counts| counts.billed >= N_SAMPLE as u64).await;
    let task = dir.task();
    let journal = dir.journal_path(&task);
    let n_sent = || {
        let text = std::fs::read_to_string(&journal).unwrap_or_default();
        text.lines().filter(|line| line.contains("\"type\":\"sent\"")).count()
    };
    while n_sent() < N_SAMPLE {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    run.kill();
    server.change(|config| config.background = Duration::ZERO);
    let ran = dir.run("");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(dir.task()["results"], json!({"accuracy": 1.0, "n": N_SAMPLE}));
    assert!(server.ledger().paid_twice().is_empty());
}

#[tokio::test]
async fn the_second_signal_leaves_background_responses_where_they_are() {
    let server = server(Config { background: Duration::MAX, ..Config::default() });
    let dir = TestDir::asking(&server);
    models(&dir, "[models.deep]\napi = \"responses\"\nbackground = true\n");
    dir.submit("--models deep --grader grader --dataset sample --limit 3");
    let run = dir.start_run("");
    server.ledger().wait_until(|counts| counts.polls >= 3).await;
    run.signal(rustix::process::Signal::INT);
    dir.wait_for_log("waiting for the requests in flight").await;
    run.signal(rustix::process::Signal::INT);
    assert_eq!(run.finish().code, Some(3));
    let cancelled = dir.run("--cancel-remote");
    assert!(cancelled.stderr.contains("background responses cancelled: 3"), "{cancelled:?}");
    server.change(|config| config.background = Duration::ZERO);
    assert_eq!(dir.run("").code, Some(0));
    assert_eq!(dir.task()["counts"]["correct"], 3);
}

#[tokio::test]
async fn a_background_response_that_the_provider_forgot_is_asked_for_anew() {
    let server = server(Config { retention: Duration::ZERO, ..Config::default() });
    let dir = TestDir::asking(&server);
    models(&dir, "[models.deep]\napi = \"responses\"\nbackground = true\n");
    dir.submit("--models deep --grader grader --dataset sample --limit 1");
    let run = dir.start_run("");
    server.ledger().wait_until(|counts| counts.polls >= 1).await;
    server.change(|config| config.retention = Duration::MAX);
    assert_eq!(run.finish().code, Some(0));
    let types: BTreeSet<String> =
        dir.journal(&dir.task()).iter().map(|record| record["type"].to_string()).collect();
    assert!(types.contains("\"lost\""), "{types:?}");
}

#[test]
fn a_budget_is_never_crossed() {
    let n_runs =
        std::env::var("ASYNC_EVALS_BUDGET_RUNS").map_or(100, |n| n.parse().expect("a number"));
    let mut n_stopped = 0;
    for seed in 0..n_runs {
        let mut random = fastrand::Rng::with_seed(seed);
        let prices: BTreeMap<String, Price> = ["m", "grader"]
            .map(|model| {
                let mut price = |most: f64| (random.f64() * most * 1000.0).round() / 1000.0;
                let input = price(50.0);
                let price = Price { input, cached_input: input, output: price(200.0), search: 0.0 };
                (model.to_owned(), price)
            })
            .into();
        let length =
            move |key: &str| fastrand::Rng::with_seed(seed ^ key.len() as u64).usize(1..3000);
        let says = move |verdict: &'static str| {
            Behaviour::Function(Arc::new(move |question| {
                let key = question.key.map(ToString::to_string).unwrap_or_default();
                Reply::text(format!("{verdict}\n{}", "word ".repeat(length(&key))))
            }))
        };
        let server = server(Config {
            roles: [
                ("m".to_owned(), says("Exact Answer: x")),
                ("grader".to_owned(), says("correct: yes")),
            ]
            .into(),
            faults: Faults { server_error: 0.05, dropped: 0.05, ..Faults::default() },
            seed,
            ..Config::default()
        });
        let dir = TestDir::asking(&server);
        let entry = |model: &str| {
            let Price { input, output, .. } = prices[model];
            format!(
                "[models.{model}]\nmax_tokens = {}\nprices = {{ input = {input}, output = {output} }}\n",
                if model == "m" { 800 } else { 400 }
            )
        };
        models(&dir, &format!("as_of = \"2026-11-23\"\n{}{}", entry("m"), entry("grader")));
        dir.submit("--models m --grader grader --dataset sample --limit all --n-repeats 3");
        let budget = 0.05 + random.f64() * 5.0;
        let ran = dir.run(&format!("--concurrent 50 --budget {budget:.4}"));
        assert!(matches!(ran.code, Some(0 | 1 | 3)), "{}", ran.stderr);
        n_stopped += u32::from(ran.code == Some(3));
        let billed = server.ledger().cost(&prices).expect("both have prices");
        assert!(billed <= budget, "seed {seed}: billed {billed}, budget {budget}");
        let told = &dir.task()["cost"];
        let told = told["model"]["dollars"].as_f64().unwrap()
            + told["grader"]["dollars"].as_f64().unwrap();
        assert!(told <= billed + 1e-9, "seed {seed}: told {told}, billed {billed}");
    }
    assert!(n_stopped > 0, "no run was stopped by its budget");
}

#[test]
fn a_run_that_its_budget_stopped_goes_on_with_a_larger_one() {
    let server = server(Config::default());
    let dir = TestDir::asking(&server);
    let entry = |name: &str| {
        format!("[models.{name}]\nmax_tokens = 100\nprices = {{ input = 1, output = 1000 }}\n")
    };
    models(&dir, &format!("as_of = \"2026-11-23\"\n{}{}", entry("m"), entry("grader")));
    dir.submit("--models m --grader grader --dataset sample --limit all");
    let ran = dir.run("--budget 0.5");
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let error = dir.task()["error"].as_str().expect("says why").to_owned();
    assert!(error.contains("the budget of $0.50") && error.contains("larger --budget"), "{error}");
    assert_eq!(dir.run("--budget 50").code, Some(0));
    assert!(server.ledger().paid_twice().is_empty());
}

#[test]
fn with_a_budget_an_unknown_price_is_refused_before_anything_is_asked() {
    let server = server(Config::default());
    let dir = TestDir::asking(&server);
    dir.submit("--models nobody-knows --grader grader --dataset sample");
    let ran = dir.run("--budget 5");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("`nobody-knows`") && ran.stderr.contains("models.toml"), "{ran:?}");
    assert_eq!(server.ledger().counts().requests, 0);
}

#[test]
fn a_healthy_model_is_as_fast_beside_sick_ones_as_alone() {
    let model_faults: BTreeMap<String, Faults> = [
        ("hangs".to_owned(), Faults { hanging: 1.0, ..Faults::default() }),
        (
            "busy".to_owned(),
            Faults {
                always: Some(ApiError::rate_limited(Some(Duration::from_secs(1)))),
                ..Faults::default()
            },
        ),
        (
            "dead".to_owned(),
            Faults { always: Some(ApiError::invalid_api_key("sk-test")), ..Faults::default() },
        ),
    ]
    .into();
    let time = |models: &str| {
        let server = server(Config {
            latency: Duration::from_millis(500),
            model_faults: model_faults.clone(),
            ..Config::default()
        });
        let dir = TestDir::asking(&server);
        dir.submit(&format!("--models {models} --grader grader --dataset sample --limit all"));
        let ran = dir.run("--concurrent 200 --timeout 2 --max-retries 1 --retry-for 4");
        let tasks = dir.tasks();
        let healthy = tasks.iter().find(|task| task["model_name"] == "healthy").expect("is there");
        assert_eq!(healthy["status"], "completed", "{}", ran.stderr);
        let seconds = |name: &str| healthy[name].as_f64().expect("a time");
        (seconds("completed_at") - seconds("started_at"), ran.code, tasks)
    };
    let (alone, code, _) = time("healthy");
    assert_eq!(code, Some(0));
    let (beside, code, tasks) = time("hangs,busy,dead,healthy");
    assert_eq!(code, Some(1));
    assert!(beside < 1.1 * alone, "alone {alone} s, beside sick ones {beside} s");
    for (model, expected) in
        [("hangs", "no answer within 2 s"), ("busy", "429"), ("dead", "invalid_api_key")]
    {
        let task = tasks.iter().find(|task| task["model_name"] == model).expect("is there");
        let error = task["error"].as_str().expect("says why");
        assert!(task["status"] == "failed" && error.contains(expected), "{model}: {error}");
    }
}

#[test]
fn under_all_faults_at_once_nothing_is_scored_wrong_and_nothing_journaled_asked_again() {
    let faults = Faults {
        rate_limited: 0.1,
        retry_after: Some(Duration::from_millis(20)),
        server_error: 0.1,
        dropped: 0.05,
        truncated: 0.05,
        hanging: 0.03,
        others: vec![
            (mockapi::Fault::Closed, 0.05),
            (mockapi::Fault::Error(ApiError::bad_gateway()), 0.03),
            (mockapi::Fault::Error(ApiError::inside_200()), 0.03),
            (mockapi::Fault::Error(ApiError::overloaded(None)), 0.03),
        ],
        unreadable_grade: 0.1,
        ..Faults::default()
    };
    let server = server(Config { faults, seed: 3, ..Config::default() });
    let dir = TestDir::asking(&server);
    dir.submit("--models m --grader grader --dataset sample --limit all --n-repeats 5");
    let ran = dir.run("--concurrent 40 --timeout 1 --max-retries 12");
    assert!(matches!(ran.code, Some(0 | 1)), "{}", ran.stderr);
    let task = dir.task();
    let count = |name: &str| task["counts"][name].as_u64().expect("a number");
    assert_eq!(count("incorrect"), 0, "no error became a wrong answer");
    let n_total = 5 * N_SAMPLE as u64;
    assert_eq!(count("correct") + count("model_error") + count("grader_error"), n_total);
    assert!(count("correct") > n_total * 9 / 10, "{task}");
    // After the reply that was journaled nothing is asked for under the same key.
    let records = server.ledger().records();
    for record in dir.journal(&task).iter().filter(|record| record["type"] == "reply") {
        let is_same = |other: &&mockapi::Record| {
            other.key.as_ref().is_some_and(|key| {
                json!([key.sample, key.epoch, key.slot])
                    == json!([record["sample"], record["epoch"], record["slot"]])
            })
        };
        let last = records.iter().rfind(is_same).expect("was asked for");
        assert_eq!(last.fate, Fate::Sent(200), "{record}");
    }
}

#[test]
fn searches_of_a_model_are_kept_in_the_journal_and_counted() {
    let reply = Reply {
        queries: vec!["first".into(), "second".into()],
        opened: vec!["https://example.org/".into()],
        ..Reply::text("Exact Answer: x\nConfidence: 5%")
    };
    let roles = [("m".to_owned(), Behaviour::Says(reply))].into();
    let server = server(Config { roles, ..Config::default() });
    let dir = TestDir::asking(&server);
    let tools = "tools = [{ type = \"web_search\" }]";
    models(&dir, &format!("[models.m]\napi = \"responses\"\n{tools}\n"));
    dir.submit("--models m --grader grader --dataset sample --limit 2");
    assert_eq!(dir.run("").code, Some(0));
    let task = dir.task();
    assert_eq!(task["usage"]["model"]["searches"], 4);
    let journal = dir.journal(&task);
    let answer: &Value = journal.iter().find(|it| it["slot"] == "answer").expect("answered");
    assert_eq!(answer["trace"]["queries"], json!(["first", "second"]));
    assert_eq!(answer["trace"]["opened"], json!(["https://example.org/"]));
}

#[test]
fn requests_that_wait_for_money_and_for_their_turn_do_not_wait_for_each_other() {
    let server = server(Config::default());
    let dir = TestDir::asking(&server);
    let entry = |name: &str| {
        format!("[models.{name}]\nmax_tokens = 1000\nprices = {{ input = 0, output = 1000 }}\n")
    };
    models(
        &dir,
        &format!("as_of = \"2026-11-23\"\n{}{}{}", entry("a"), entry("b"), entry("grader")),
    );
    dir.submit("--models a,b --grader grader --dataset sample --limit 4");
    // The worst case of one request is a dollar: only one fits at a time.
    let ran = dir.run("--concurrent 1 --rpm 300 --budget 1.9");
    assert!(matches!(ran.code, Some(0 | 3)), "{}", ran.stderr);
}

#[test]
fn an_outage_of_seconds_costs_no_sample() {
    let outage = mockapi::Fault::Error(ApiError::overloaded(None));
    let faults = Faults { script: vec![Some(outage); 6], ..Faults::default() };
    let model_faults = [("m".to_owned(), faults)].into();
    let server = server(Config { model_faults, ..Config::default() });
    let dir = TestDir::asking(&server);
    dir.submit("--models m --grader grader --dataset sample --limit 2");
    let ran = dir.run("");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn what_broke_off_unanswered_counts_against_the_budget_of_later_runs() {
    let faults = Faults { others: vec![(mockapi::Fault::Closed, 1.0)], ..Faults::default() };
    let server = server(Config { faults, ..Config::default() });
    let dir = TestDir::asking(&server);
    let entry = |name: &str| {
        format!("[models.{name}]\nmax_tokens = 1000\nprices = {{ input = 0, output = 1000 }}\n")
    };
    models(&dir, &format!("as_of = \"2026-11-23\"\n{}{}", entry("m"), entry("grader")));
    dir.submit("--models m --grader grader --dataset sample --limit 1");
    // Each request may have cost a dollar; three fit.
    let line = "--budget 3.5 --max-retries 1";
    assert_eq!(dir.run(line).code, Some(1));
    assert_eq!(dir.task()["cost"]["unaccounted"], 2.0);
    let ran = dir.run(line);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert_eq!(server.ledger().counts().requests, 3);
}
