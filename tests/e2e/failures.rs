//! What goes wrong on the way to an answer, and what becomes of it.

use std::time::Duration;

use mockapi::{ApiError, Behaviour, Config, Faults, Reply, Stop};
use serde_json::{Value, json};

use crate::support::{POLL, TestDir, server, server_knowing, shared_data};

fn says(model: &str, reply: Reply) -> (String, Behaviour) {
    (model.to_owned(), Behaviour::Says(reply))
}

#[test]
fn a_dead_model_fails_its_task_while_the_other_completes() {
    let error = ApiError::model_not_found("gone");
    let faults = Faults { always: Some(error), ..Faults::default() };
    let server =
        server(Config { model_faults: [("gone".to_owned(), faults)].into(), ..Config::default() });
    let dir = TestDir::asking(&server);
    dir.submit("--models gone,alive --grader grader --dataset sample");
    let ran = dir.run("");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let tasks = dir.tasks();
    assert_eq!(tasks[0]["status"], "failed");
    let error = tasks[0]["error"].as_str().expect("says why");
    assert!(error.starts_with("model `gone`: HTTP 404 `model_not_found`: The model"), "{error}");
    assert_eq!(tasks[1]["status"], "completed");
    assert!(dir.output(POLL, "").stdout.contains("model_not_found"));
}

#[test]
fn a_task_whose_model_came_back_is_finished_by_the_next_run() {
    let quota = Faults { quota: Some(4), ..Faults::default() };
    let server =
        server(Config { model_faults: [("m".to_owned(), quota)].into(), ..Config::default() });
    let dir = TestDir::asking(&server);
    dir.submit("--models m --grader grader --dataset sample");
    assert_eq!(dir.run("--concurrent 1").code, Some(1));
    assert!(dir.task()["error"].as_str().is_some_and(|error| error.contains("insufficient_quota")));
    assert_eq!(dir.task()["counts"]["scored"], 4);
    server.change(|config| config.model_faults.clear());
    assert_eq!(dir.run("").code, Some(0));
    assert_eq!(dir.task()["error"], Value::Null);
    assert!(server.ledger().paid_twice().is_empty());
}

#[test]
fn under_heavy_weather_everything_is_scored_and_nothing_scored_wrong() {
    let Some(data) = shared_data("browse_comp_test_set.csv") else {
        return;
    };
    let faults = Faults {
        rate_limited: 0.20,
        retry_after: Some(Duration::from_millis(20)),
        server_error: 0.10,
        dropped: 0.05,
        truncated: 0.02,
        unreadable_grade: 0.02,
        ..Faults::default()
    };
    let local = evalcore::dataset::Local::File(data.clone());
    let server = server_knowing(&local, Config { faults, seed: 7, ..Config::default() });
    let dir = TestDir::asking(&server);
    dir.submit(&format!("--dataset {} --models m --grader grader --limit 300", data.display()));
    let ran = dir.run("--concurrent 100 --max-retries 40");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(dir.task()["results"], json!({"accuracy": 1.0, "n": 300}));
}

#[test]
fn a_grader_without_a_verdict_is_an_error_and_never_a_no() {
    let roles = [says("dreamer", Reply::text("It might be right."))].into();
    let server = server(Config { roles, ..Config::default() });
    let dir = TestDir::asking(&server);
    dir.submit("--models m --grader dreamer --dataset sample --limit 2");
    assert_eq!(dir.run("").code, Some(1));
    let task = dir.task();
    assert_eq!(task["counts"]["grader_error"], 2);
    assert_eq!((&task["counts"]["scored"], &task["results"]), (&json!(0), &json!({})));
    let answers = server.ledger().records().iter().filter(|record| record.model == "m").count();
    assert_eq!((answers, server.ledger().counts().requests), (2, 2 + 2 * 3));
    // The next run asks the grader again, and nobody else.
    server.change(|config| config.roles.clear());
    server.change(|config| drop(config.roles.insert("dreamer".into(), Behaviour::Grader)));
    assert_eq!(dir.run("").code, Some(0));
    assert_eq!(dir.task()["results"], json!({"accuracy": 1.0, "n": 2}));
    assert!(server.ledger().paid_twice().is_empty());
}

#[test]
fn refusals_and_cut_answers_are_counted_apart_from_scores() {
    let roles = [
        says("shy", Reply::refusal("I would rather not.")),
        says("filtered", Reply::cut_off("", Stop::ContentFilter)),
        says("windy", Reply::cut_off("Explanation: well", Stop::Length)),
    ];
    let server = server(Config { roles: roles.into(), ..Config::default() });
    let dir = TestDir::asking(&server);
    dir.submit("--models shy,filtered,windy --grader grader --dataset sample --limit 2");
    assert_eq!(dir.run("").code, Some(0));
    let counts: Vec<Value> = dir
        .tasks()
        .iter()
        .map(|task| {
            let counts = &task["counts"];
            json!([counts["scored"], counts["refused"], counts["truncated"], task["results"]])
        })
        .collect();
    assert_eq!(counts, [json!([0, 2, 0, {}]), json!([0, 2, 0, {}]), json!([0, 0, 2, {}])]);
    assert_eq!(server.ledger().counts().requests, 6, "no grader is paid for these");
}

#[test]
fn a_request_that_can_never_succeed_fails_its_sample_alone() {
    let error = ApiError::bad_request(Some("context_length_exceeded"), None, "too long");
    let script = vec![Some(mockapi::Fault::Error(error))];
    let faults = Faults { script, ..Faults::default() };
    let server =
        server(Config { model_faults: [("m".to_owned(), faults)].into(), ..Config::default() });
    let dir = TestDir::asking(&server);
    dir.submit("--models m --grader grader --dataset sample --limit 3");
    assert_eq!(dir.run("").code, Some(1));
    let task = dir.task();
    assert_eq!((&task["counts"]["model_error"], &task["status"]), (&json!(3), &json!("failed")));
    let error = task["error"].as_str().expect("says why");
    assert!(error.contains("3 of 3 samples have no outcome"), "{error}");
    assert!(error.contains("context_length_exceeded"), "{error}");
    // Attempts are counted per call, so the next run meets no fault.
    assert_eq!(dir.run("").code, Some(0));
    assert_eq!(dir.task()["counts"]["model_error"], 0);
}

#[test]
fn a_model_that_never_answers_is_given_up_within_its_patience() {
    let faults = Faults { hanging: 1.0, ..Faults::default() };
    let server = server(Config { faults, ..Config::default() });
    let dir = TestDir::asking(&server);
    dir.submit("--models m --grader grader --dataset sample --limit 2");
    assert_eq!(dir.run("--timeout 0.2 --max-retries 1").code, Some(1));
    let error = dir.task()["error"].as_str().expect("says why").to_owned();
    assert!(error.contains("after 2 attempts: no answer within 0.2 s"), "{error}");
}

#[test]
fn the_key_appears_nowhere() {
    const KEY: &str = "sk-proj-extremely-secret-0123456789";
    let server = server(Config { api_key: Some("another".into()), ..Config::default() });
    let dir = TestDir::asking(&server).with("OPENAI_API_KEY", KEY);
    dir.submit("--models m --grader grader --dataset sample");
    let ran = dir.run("--log-level debug");
    assert_eq!(ran.code, Some(1));
    let error = dir.task()["error"].as_str().expect("says why").to_owned();
    assert!(error.contains("401") && error.contains("****"), "{error}");
    let polled = dir.output(POLL, "--json");
    for text in [&ran.stdout, &ran.stderr, &polled.stdout, &polled.stderr] {
        assert!(!text.contains(KEY), "{text}");
    }
    for file in dir.files() {
        let text = String::from_utf8_lossy(&std::fs::read(&file).expect("readable")).into_owned();
        assert!(!text.contains(KEY), "{} holds the key", file.display());
    }
}
