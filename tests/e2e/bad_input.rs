//! Bad input gets an error that names the thing and the remedy, and loses nothing.

use std::fs;
use std::path::PathBuf;

use mockapi::Config;
use serde_json::{Value, json};

use crate::support::{Finished, POLL, RUN, SUBMIT, TestDir, server};

/// The command fails with `code`, says all of `expected` on stderr, and panics nowhere.
#[track_caller]
fn check(finished: &Finished, code: i32, expected: &[&str]) {
    assert_eq!(finished.code, Some(code), "{}{}", finished.stdout, finished.stderr);
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    for text in expected {
        assert!(finished.stderr.contains(text), "`{text}` is missing in: {}", finished.stderr);
    }
}

/// `submit` with these arguments fails and leaves no task file.
#[track_caller]
fn check_submit(line: &str, code: i32, expected: &[&str]) {
    let dir = TestDir::new();
    check(&dir.output(SUBMIT, line), code, expected);
    assert!(!dir.path("async_results").exists(), "nothing is written");
}

/// A folder with a rehearsal submitted, and its task file.
fn submitted() -> (TestDir, PathBuf) {
    let dir = TestDir::new();
    dir.submit("--models mock/p80");
    let path = dir.path("async_results/latest_tasks.json").canonicalize().expect("task file");
    (dir, path)
}

/// Changes the only task of a task file.
fn edit(path: &PathBuf, change: impl FnOnce(&mut Value)) {
    let mut document: Value =
        serde_json::from_str(&fs::read_to_string(path).expect("readable")).expect("JSON");
    change(document.as_object_mut().expect("object").values_mut().next().expect("a task"));
    fs::write(path, document.to_string()).expect("writable");
}

#[test]
fn values_that_mean_nothing_are_wrong_usage() {
    check_submit("--limit 0", 2, &["--limit", "0 samples are none"]);
    check_submit("--limit ten", 2, &["--limit", "a number from 1, or `all`"]);
    check_submit("--n-repeats 0", 2, &["--n-repeats"]);
    check_submit("--temperature 3", 2, &["--temperature", "from 0 to 2"]);
    let (dir, _) = submitted();
    check(&dir.run("--concurrent 0"), 2, &["--concurrent"]);
    check(&dir.run("--timeout 0"), 2, &["--timeout", "above 0"]);
    check(&dir.output(POLL, "--watch --interval 0"), 2, &["--interval"]);
}

#[test]
fn unknown_names_are_answered_with_the_nearest_or_where_to_look() {
    check_submit("--eval browscomp", 1, &["unknown eval `browscomp`", "did you mean `browsecomp`"]);
    check_submit(
        "--models mock/best",
        1,
        &["no mock model `mock/best`", "`mock/p0` to `mock/p100`"],
    );
    check_submit("--models mock/p80,", 1, &["model name"]);
    check_submit(
        "--base-url localhost:8000 --models m",
        1,
        &["base URL", "http://localhost:8000/v1"],
    );
}

#[test]
fn a_limit_above_the_number_of_rows_takes_all_and_says_so() {
    let dir = TestDir::new();
    let submitted = dir.submit("--models mock/p80 --limit 1000");
    assert!(submitted.stderr.contains("has 20 rows, not 1000"), "{}", submitted.stderr);
    assert_eq!(dir.task()["num_examples"], 20);
}

#[test]
fn a_data_set_that_cannot_be_read_is_named_with_the_place() {
    let dir = TestDir::new();
    let with = |text: &str| {
        fs::write(dir.path("data.csv"), text).expect("writable");
        dir.output(SUBMIT, "--models mock/p80 --dataset data.csv")
    };
    check(&with(""), 1, &["data.csv"]);
    check(&with("problem,answer,canary\n"), 1, &["data.csv", "no rows"]);
    check(&with("question,answer,canary\na,b,c\n"), 1, &["data.csv", "problem", "question"]);
    check(&with("problem,answer,canary\n!!,!!,c\n"), 1, &["data.csv", "row 0", "problem"]);
    check_submit("--models mock/p80 --dataset gone.csv", 1, &["gone.csv"]);
    check_submit("--models mock/p80 --dataset .", 1, &["folder"]);
    assert!(!dir.path("async_results").exists());
}

#[test]
fn offline_a_data_set_that_is_not_in_the_cache_is_told_where_to_put_it() {
    let dir = TestDir::new();
    let line = "--models gpt-4o --offline";
    let refused = dir.output(SUBMIT, line);
    check(&refused, 1, &["browse_comp_test_set.csv", "cache"]);
    let place = refused.stderr.split('`').find(|part| part.contains("cache/")).expect("a path");
    fs::create_dir_all(PathBuf::from(place).parent().expect("folder")).expect("writable");
    fs::write(place, "problem,answer,canary\nYQ==,YQ==,c\n").expect("writable");
    check(&dir.output(SUBMIT, line), 1, &["7b24471cd5b3eb2a", "SHA-256"]);
}

#[test]
fn an_output_folder_that_cannot_be_made_is_named() {
    let dir = TestDir::new();
    fs::write(dir.path("file"), "").expect("writable");
    check(&dir.output(SUBMIT, "--models mock/p80 --output-dir file/x"), 1, &["file/x"]);
    check(&dir.output(SUBMIT, "--models mock/p80 --output-dir file"), 1, &["file"]);
    let (dir, _) = submitted();
    check(&dir.run("--log-file async_results"), 1, &["async_results", "--log-file"]);
}

#[test]
fn model_names_become_safe_file_names() {
    let dir = TestDir::new();
    dir.submit("--models ../../x,org/model:free --dataset sample");
    for task in dir.tasks() {
        let id = task["task_id"].as_str().expect("id");
        let is_safe = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        assert!(id.chars().all(is_safe) && !id.contains(".."), "{id}");
    }
    let names: Vec<Value> = dir.tasks().iter().map(|task| task["model_name"].clone()).collect();
    assert_eq!(names, ["../../x", "org/model:free"]);
}

#[test]
fn a_missing_task_file_is_answered_with_submit() {
    let dir = TestDir::new();
    for program in [RUN, POLL] {
        check(&dir.output(program, ""), 1, &["async_results", "submit"]);
    }
    fs::create_dir(dir.path("async_results")).expect("writable");
    check(&dir.output(POLL, ""), 1, &["async_results", "submit"]);
    std::os::unix::fs::symlink("gone.json", dir.path("async_results/latest_tasks.json"))
        .expect("writable");
    check(
        &dir.run("--tasks async_results/latest_tasks.json"),
        1,
        &["latest_tasks.json", "gone.json"],
    );
    dir.submit("--models mock/p80");
    assert_eq!(dir.run("").code, Some(0), "submit mends the link");
}

#[test]
fn a_task_file_that_makes_no_sense_is_left_alone() {
    let (dir, path) = submitted();
    let sound = fs::read_to_string(&path).expect("readable");
    let refused = |change: &dyn Fn(&mut Value), expected: &[&str]| {
        fs::write(&path, &sound).expect("writable");
        edit(&path, change);
        let before = fs::read(&path).expect("readable");
        for program in [RUN, POLL] {
            check(&dir.output(program, ""), 1, expected);
        }
        assert_eq!(fs::read(&path).expect("readable"), before);
    };
    refused(&|task| task["format"] = json!(99), &["newer version"]);
    refused(&|task| task["status"] = json!("sleeping"), &["status", "sleeping", "pending"]);
    refused(&|task| task["n_repeats"] = json!(0), &["n_repeats"]);
    refused(&|task| task["progress"] = json!(500), &["progress"]);
    fs::write(&path, "{\"a\": ").expect("writable");
    check(&dir.run(""), 1, &["line 1", "column"]);
}

#[test]
fn a_task_that_was_edited_fails_and_asks_for_nothing() {
    let (dir, path) = submitted();
    let sound = fs::read_to_string(&path).expect("readable");
    let fails = |change: &dyn Fn(&mut Value), expected: &[&str]| {
        fs::write(&path, &sound).expect("writable");
        edit(&path, change);
        check(&dir.run(""), 1, expected);
        let task = dir.task();
        assert_eq!(task["status"], "failed");
        assert!(task["error"].as_str().is_some_and(|error| error.contains(expected[0])), "{task}");
    };
    fails(&|task| task["selection"]["seed"] = json!(1), &["`selection` was edited"]);
    fails(&|task| task["prompts"]["templates"]["browsecomp_query"] = json!("x"), &["prompts"]);
    fails(&|task| task["eval_name"] = json!("gone"), &["unknown eval `gone`"]);
    fails(&|task| task["dataset"]["sha256"] = json!("0".repeat(64)), &["0000", "6e84e574b083"]);
    fails(&|task| drop(task.as_object_mut().expect("object").remove("dataset")), &["older tool"]);
}

#[test]
fn a_data_set_that_changed_since_submission_is_refused_with_both_hashes() {
    let dir = TestDir::new();
    let sample = include_str!("../../crates/evalcore/data/browsecomp_sample.csv");
    fs::write(dir.path("data.csv"), sample).expect("writable");
    dir.submit("--models mock/p80 --dataset data.csv");
    let longer = format!("{sample}{}\n", sample.lines().last().expect("a row"));
    fs::write(dir.path("data.csv"), longer).expect("writable");
    check(&dir.run(""), 1, &["changed since submission", "6e84e574b083"]);
}

#[test]
fn a_torn_journal_is_repaired_and_only_its_tail_asked_again() {
    let server = server(Config::default());
    let dir = TestDir::asking(&server);
    dir.submit("--models m --grader grader --dataset sample --limit 4");
    assert_eq!(dir.run("").code, Some(0));
    let journal = dir.journal_path(&dir.task());
    let whole = fs::read_to_string(&journal).expect("readable");
    fs::write(&journal, &whole[..whole.len() - 10]).expect("writable");
    edit(&dir.path("async_results/latest_tasks.json"), |task| task["status"] = json!("running"));
    let ran = dir.run("");
    check(&ran, 0, &["cut short by a crash"]);
    assert_eq!(dir.task()["counts"]["scored"], 4);
    assert_eq!(server.ledger().counts().requests, 8, "only the score was lost, no answer");
}

#[test]
fn a_broken_journal_stops_the_run_with_the_lines_number() {
    let (dir, path) = submitted();
    assert_eq!(dir.run("").code, Some(0));
    edit(&path, |task| task["status"] = json!("interrupted"));
    let journal = dir.journal_path(&dir.task());
    let sound = fs::read_to_string(&journal).expect("readable");
    let mut lines: Vec<&str> = sound.lines().collect();
    lines[3] = "{\"type\": \"reply\", oops";
    fs::write(&journal, lines.join("\n") + "\n").expect("writable");
    check(&dir.run(""), 1, &["line 4"]);
    fs::write(&journal, sound.replacen("browsecomp_mock", "other_mock", 1)).expect("writable");
    check(&dir.run(""), 1, &["line 1", "belongs to task `other_mock"]);
    fs::remove_file(&journal).expect("is there");
    check(&dir.run(""), 1, &["is missing", "have been paid for"]);
}

#[test]
fn without_a_key_the_run_says_so_before_it_asks() {
    let dir = TestDir::new();
    dir.submit("--models gpt-4o --dataset sample");
    check(&dir.run(""), 1, &["OPENAI_API_KEY"]);
    assert_eq!(dir.task()["status"], "pending");
}

#[test]
fn an_unreachable_server_ends_in_a_failed_task() {
    let dir = TestDir::new().with("OPENAI_BASE_URL", "http://127.0.0.1:9/v1");
    dir.submit("--models m --grader grader --dataset sample --limit 2");
    check(&dir.run("--max-retries 1"), 1, &["connect"]);
    let task = dir.task();
    assert_eq!((&task["status"], &task["counts"]["model_error"]), (&json!("failed"), &json!(2)));
}

#[test]
fn a_file_of_the_python_scripts_is_not_run_but_told_what_to_do() {
    let dir = TestDir::new();
    fs::create_dir(dir.path("async_results")).expect("writable");
    let document = json!({"browsecomp_gpt-4o_1": {
        "task_id": "browsecomp_gpt-4o_1", "eval_name": "browsecomp", "model_name": "gpt-4o",
        "model_config": {"model": "gpt-4o"}, "num_examples": 10, "n_repeats": 1,
        "status": "cancelled", "progress": 0, "results": null, "created_at": 1.7e9,
        "started_at": null, "completed_at": null, "error": null, "output_files": null,
    }});
    fs::write(dir.path("async_results/tasks_20250101_000000.json"), document.to_string())
        .expect("writable");
    check(
        &dir.run("--tasks async_results/tasks_20250101_000000.json"),
        1,
        &["an older tool wrote it", "submit"],
    );
}
