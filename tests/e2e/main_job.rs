//! The main job: submit, run, poll.

use mockapi::Config;
use serde_json::{Value, json};

use crate::support::{N_SAMPLE, POLL, TestDir, server, shared_data};

#[test]
fn a_rehearsal_needs_no_key_and_no_network() {
    let dir = TestDir::new();
    let submitted = dir.submit("--models mock/p100,mock/p0");
    let requests = "this means 40 requests:\n  10 to mock/p100, built in\n  10 to mock/p0, built in\n  \
                    20 to grader mock/grader, built in\n";
    assert!(submitted.stdout.contains(requests), "{submitted:?}");
    let ran = dir.run("");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let accuracies: Vec<Value> =
        dir.tasks().iter().map(|task| task["results"]["accuracy"].clone()).collect();
    assert_eq!(accuracies, [json!(1.0), json!(0.0)]);
    let polled = dir.output(POLL, "");
    assert!(polled.stdout.contains("2 completed"), "{}", polled.stdout);
}

#[test]
fn a_completed_task_holds_all_that_a_repeat_needs() {
    let dir = TestDir::new();
    dir.submit("--models mock/p100 --limit 3 --temperature 0.5 --system-message brief");
    assert_eq!(dir.run("").code, Some(0));
    let mut task = dir.task();
    let id = task["task_id"].as_str().expect("id").to_owned();
    assert!(id.starts_with("browsecomp_mock_p100_1"), "{id}");
    for time in ["created_at", "started_at", "completed_at"] {
        assert!(task[time].as_f64().is_some_and(|time| time > 1.7e9), "{time}: {}", task[time]);
        task[time] = json!("TIME");
    }
    for (name, value) in task["usage"]["model"].as_object_mut().expect("object") {
        let expected = if name == "replies" { json!(3) } else { value.clone() };
        assert_eq!(*value, expected);
    }
    assert_eq!(task["usage"]["grader"]["replies"], 3);
    assert_eq!(task["cost"]["model"], json!({"dollars": 0.0, "replies_of_unknown_cost": 0}));
    for part in ["cost", "usage", "session", "runner", "prompts", "dataset", "selection"] {
        assert!(task[part].is_object(), "{part}");
        task.as_object_mut().expect("object").remove(part);
    }
    let expected = json!({
        "format": 1,
        "task_id": id,
        "eval_name": "browsecomp",
        "model_name": "mock/p100",
        "model_config": {
            "model": "mock/p100", "api": "chat", "temperature": 0.5, "system_message": "brief",
        },
        "num_examples": 3,
        "n_repeats": 1,
        "status": "completed",
        "progress": 100.0,
        "results": {"accuracy": 1.0, "n": 3},
        "created_at": "TIME",
        "started_at": "TIME",
        "completed_at": "TIME",
        "error": null,
        "output_files": {"journal": task["output_files"]["journal"]},
        "grader": {"model": "mock/grader", "api": "chat"},
        "counts": {
            "scored": 3, "correct": 3, "incorrect": 0, "not_attempted": 0, "refused": 0,
            "truncated": 0, "model_error": 0, "grader_error": 0,
        },
    });
    assert_eq!(task, expected);
    assert!(
        dir.path("async_results")
            .join(task["output_files"]["journal"].as_str().expect("path"))
            .exists()
    );
}

#[test]
fn every_sample_is_asked_once_in_each_epoch() {
    let server = server(Config::default());
    let dir = TestDir::asking(&server);
    dir.submit("--models m --grader grader --limit all --dataset sample --n-repeats 3");
    assert_eq!(dir.run("").code, Some(0));
    let requests = server.ledger().requests_by_key();
    assert_eq!(requests.len(), N_SAMPLE * 3 * 2);
    assert!(requests.values().all(|n| *n == 1));
    assert_eq!(dir.task()["results"], json!({"accuracy": 1.0, "n": 60}));
}

#[test]
fn the_real_data_set_is_scored_and_asked_only_once() {
    let Some(data) = shared_data("browse_comp_test_set.csv") else {
        return;
    };
    let dir = TestDir::new();
    let data = data.display();
    dir.submit(&format!("--dataset {data} --models mock/p80,mock/p50 --limit all"));
    let ran = dir.run("--concurrent 200");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for (task, expected) in dir.tasks().iter().zip([0.8, 0.5]) {
        assert_eq!(task["counts"]["scored"], 1266);
        let accuracy = task["results"]["accuracy"].as_f64().expect("accuracy");
        assert!((accuracy - expected).abs() < 0.05, "{accuracy}");
    }
    let journals: Vec<Vec<Value>> = dir.tasks().iter().map(|task| dir.journal(task)).collect();
    assert!(journals.iter().all(|journal| journal.len() == 1 + 3 * 1266));
    assert_eq!(dir.run("").code, Some(0));
    for (task, before) in dir.tasks().iter().zip(journals) {
        assert_eq!(dir.journal(task), before, "the second run asks for nothing");
    }
}

#[test]
fn ten_samples_of_the_real_data_set_are_those_the_reference_draws() {
    let Some(data) = shared_data("browse_comp_test_set.csv") else {
        return;
    };
    let dir = TestDir::new();
    dir.submit(&format!("--dataset {} --models mock/p80 --limit 10", data.display()));
    assert_eq!(dir.run("--concurrent 1").code, Some(0));
    let journal = dir.journal(&dir.task());
    let asked: Vec<&str> = journal
        .iter()
        .filter(|record| record["slot"] == "answer")
        .map(|record| record["sample"].as_str().expect("id"))
        .collect();
    let drawn = ["788", "861", "82", "530", "1047", "995", "829", "621", "976", "733"];
    assert_eq!(asked, drawn);
}

#[test]
fn text_of_the_data_set_is_written_nowhere() {
    let server = server(Config::default());
    let dir = TestDir::asking(&server);
    dir.submit("--models m --grader grader --limit all --dataset sample");
    assert_eq!(dir.run("--log-level debug").code, Some(0));
    let question = question(0);
    let start = &question[..40];
    for file in dir.files() {
        let text = std::fs::read(&file).expect("readable");
        let text = String::from_utf8_lossy(&text);
        assert!(!text.contains(start), "{} holds a question", file.display());
    }
}

/// A question of the embedded data set, decrypted.
fn question(row: usize) -> String {
    use evalcore::dataset::{self, Local, cipher};
    let local = Local::Embedded(include_bytes!("../../crates/evalcore/data/browsecomp_sample.csv"));
    let columns = ["problem", "canary"];
    let scan = dataset::scan(&local, &columns).expect("data set");
    let rows = dataset::load(&local, &columns, &[row], &scan).expect("data set");
    cipher::decrypt(&rows[0][0], &rows[0][1]).expect("sealed")
}
