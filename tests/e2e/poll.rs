//! `poll` on task files written by hand.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use evalcore::store::lock::Lock;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with `async_results/tasks_20261123_065500.json` in it.
struct Results {
    folder: TempDir,
}

impl Results {
    fn new(tasks: &Value) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir(folder.path().join("async_results")).expect("folder");
        let results = Self { folder };
        results.write(&tasks.to_string());
        results
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("async_results/tasks_20261123_065500.json")
    }

    /// Replaces the task file in one step, as `run` does.
    fn write(&self, text: &str) {
        let temporary = self.folder.path().join("temporary");
        fs::write(&temporary, text).expect("write");
        fs::rename(temporary, self.path()).expect("rename");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_poll"));
        command.args(arguments).current_dir(self.folder.path()).env_clear().env("TZ", "UTC");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn poll(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("poll runs")
    }

    /// What `poll` shows.
    #[track_caller]
    fn shown(&self, arguments: &[&str]) -> String {
        let output = self.poll(arguments);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
        text(&output.stdout)
    }

    /// The error `poll` ends with.
    #[track_caller]
    fn refused(&self, arguments: &[&str], code: i32) -> String {
        let output = self.poll(arguments);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(code), String::new()));
        text(&output.stderr)
    }

    fn names(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path().join("async_results")).expect("list");
        entries.map(|entry| entry.expect("entry").path()).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn task(status: &str) -> Value {
    json!({
        "format": 1, "task_id": "mmlu_m_1", "eval_name": "mmlu", "model_name": "m",
        "status": status, "num_examples": 8, "progress": 50.0,
        "created_at": 1_795_416_890.0, "started_at": 1_795_416_900.0, "completed_at": null,
        "counts": {"scored": 4, "correct": 3, "incorrect": 1},
        "session": {"started_at": 1_795_416_900.0, "updated_at": 1_795_416_920.0, "done_before": 0}
    })
}

fn running() -> Results {
    Results::new(&json!({"mmlu_m_1": task("running")}))
}

fn interrupt(child: &Child) {
    let pid = Pid::from_child(child);
    kill_process(pid, Signal::INT).expect("interrupt");
}

/// Waits for the end of `child`, which is to come by itself.
#[track_caller]
fn exit_code(mut child: Child) -> Option<i32> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("wait") {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("kill");
    panic!("poll did not end");
}

#[test]
fn a_dead_runner_is_shown_as_such() {
    let results = running();
    let expected = "\
async_results/tasks_20261123_065500.json
runner: none (the last one died; start `run` again to go on)
1 task: stalled

mmlu  m  stalled
  [##########----------]   50%  4/8  accuracy 75.0 % (n=4)
  started 2026-11-23 06:55:00, stopped after 20s
";
    // The day is left out on that very day.
    let shown = results.shown(&[]);
    assert_eq!(shown.replace("started 06", "started 2026-11-23 06"), expected);
}

#[test]
fn a_live_runner_is_named_and_nothing_is_written() {
    let results = running();
    assert_eq!(results.names(), [results.path()]);
    results.shown(&[]);
    assert_eq!(results.names(), [results.path()]);
    let lock = Lock::take(&results.path()).expect("lock");
    let shown = results.shown(&[]);
    let runner = format!("runner: pid {} on ", std::process::id());
    assert!(shown.contains(&runner) && shown.contains("mmlu  m  running\n"), "{shown}");
    drop(lock);
    assert!(results.shown(&[]).contains("stalled"));
}

#[test]
fn files_of_the_older_scripts_are_shown() {
    let results = Results::new(&json!({"simpleqa_gpt-4_1": {
        "task_id": "simpleqa_gpt-4_1", "eval_name": "simpleqa", "model_name": "gpt-4",
        "model_config": {"model": "gpt-4"}, "num_examples": 10, "n_repeats": 1,
        "status": "cancelled", "progress": 40, "results": null, "created_at": 1.5,
        "started_at": null, "completed_at": null, "error": "stopped", "output_files": null
    }}));
    let expected = "\
async_results/tasks_20261123_065500.json
runner: none (start `run` to go on)
1 task: interrupted

simpleqa  gpt-4  interrupted
  [########------------]   40%  10 samples
  submitted 1970-01-01 00:00:01
  error: stopped
";
    assert_eq!(results.shown(&[]), expected);
}

#[test]
fn the_latest_link_goes_before_newer_names() {
    let results = running();
    let folder = results.folder.path().join("async_results");
    fs::write(folder.join("tasks_20991123_065500.json"), "{}").expect("write");
    assert!(results.shown(&[]).starts_with("async_results/tasks_20991123_065500.json\n"));
    symlink("tasks_20261123_065500.json", folder.join("latest_tasks.json")).expect("link");
    assert!(results.shown(&[]).starts_with("async_results/tasks_20261123_065500.json\n"));
}

#[test]
fn json_is_one_document() {
    let results = running();
    let status: Value = serde_json::from_str(&results.shown(&["--json"])).expect("JSON");
    assert_eq!(status["file"], "async_results/tasks_20261123_065500.json");
    assert_eq!(status["waiting_for"], "runner");
    assert_eq!(status["tasks"][0]["accuracy"], json!({"value": 0.75, "n": 4}));
}

#[test]
fn a_file_elsewhere_is_named_in_the_command_to_start() {
    let results = running();
    let folder = results.folder.path().join("out");
    fs::create_dir(&folder).expect("folder");
    fs::rename(results.path(), folder.join("tasks_x.json")).expect("rename");
    let shown = results.shown(&["--file", "out/tasks_x.json"]);
    let expected = "none (the last one died; start `run --tasks out/tasks_x.json` again";
    assert!(shown.contains(expected), "{shown}");
    let mut command = results.command(&["--watch", "--file", "out/tasks_x.json"]);
    let mut child = command.spawn().expect("poll runs");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let footer = "no runner: start `run --tasks out/tasks_x.json`";
    assert!(lines.map(|line| line.expect("UTF-8")).any(|line| line == footer));
    child.kill().expect("kill");
    child.wait().expect("wait");
}

#[test]
fn errors_are_one_line_with_a_remedy() {
    let results = running();
    let error = |arguments: &[&str]| results.refused(arguments, 1);
    assert_eq!(
        error(&["--file", "none.json"]),
        "error: read task file `none.json`: no such file: `submit` writes one\n"
    );
    assert_eq!(
        error(&["--file", "async_results"]),
        "error: read task file `async_results`: it is a folder: name a task file in it\n"
    );
    results.write(r#"{"a": {"eval_name": "x", "status": "#);
    assert_eq!(
        error(&[]),
        "error: read task file `async_results/tasks_20261123_065500.json`: \
         not JSON: EOF while parsing a value at line 1 column 35: mend it, or `submit` again\n"
    );
    results.write("{\"\\u001b[2J\\na\": {\"n_repeats\": 0}}");
    assert_eq!(
        error(&["--watch"]),
        "error: read task file `async_results/tasks_20261123_065500.json`: \
         task ` a`: field `n_repeats` is 0, not 1 or more: edited by hand? set it right\n"
    );
    fs::remove_file(results.path()).expect("remove");
    assert_eq!(error(&[]), "error: no task file in `async_results`: start with `submit`\n");
    fs::remove_dir(results.folder.path().join("async_results")).expect("remove");
    assert_eq!(error(&[]), "error: no folder `async_results`: start with `submit`\n");
}

#[test]
fn intervals_that_make_no_sense_are_wrong_usage() {
    let results = running();
    for interval in ["0", "0.05", "-1", "nan", "inf", "1e9"] {
        let error = results.refused(&["--watch", "--interval", interval], 2);
        assert!(error.contains("not between 0.1 and 86400 seconds"), "{error}");
    }
    let error = results.refused(&["--watch", "--interval", "soon"], 2);
    assert!(error.contains("not a number of seconds"), "{error}");
    results.refused(&["--interval", "1"], 2);
}

#[test]
fn help_tells_flags_examples_and_exit_codes() {
    let help = running().shown(&["--help"]);
    for part in
        ["--file <PATH>", "--watch", "--interval <SECONDS>", "--json", "Examples:", "Exit codes:"]
    {
        assert!(help.contains(part), "{part}: {help}");
    }
}

#[test]
fn a_watch_goes_on_until_all_tasks_have_ended() {
    let results = running();
    let mut command = results.command(&["--watch", "--interval", "0.1"]);
    let mut child = command.spawn().expect("poll runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = || lines.next().expect("line").expect("UTF-8");
    // Nobody runs it, which is said, and no reason to leave.
    while next() != "no runner: start `run`" {}
    assert_eq!(next(), "");
    assert_eq!(next(), "async_results/tasks_20261123_065500.json");
    let mut ended = task("completed");
    ended["completed_at"] = json!(1_795_416_960.0);
    results.write(&json!({"mmlu_m_1": ended}).to_string());
    let rest: Vec<String> = lines.map(|line| line.expect("UTF-8")).collect();
    assert_eq!(rest.last().map(String::as_str), Some("all tasks have ended"));
    assert!(!rest.concat().contains('\u{1b}'));
    assert_eq!(exit_code(child), Some(0));
}

#[test]
fn a_watch_in_json_is_a_document_a_line() {
    let results = Results::new(&json!({"mmlu_m_1": task("failed")}));
    let shown = results.shown(&["--watch", "--json"]);
    assert_eq!(shown.lines().count(), 1);
    let status: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&status["all_ended"], &status["summary"]["failed"]), (&json!(true), &json!(1)));
}

#[test]
fn an_interrupt_leaves_a_watch_quietly() {
    for json in [false, true] {
        let results = running();
        let arguments = ["--watch", "--interval", "60", "--json"];
        let mut command = results.command(&arguments[..if json { 4 } else { 3 }]);
        let mut child = command.spawn().expect("poll runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        stdout.read_line(&mut String::new()).expect("first line");
        interrupt(&child);
        let mut stderr = child.stderr.take().expect("piped");
        assert_eq!(exit_code(child), Some(0));
        let mut error = String::new();
        stderr.read_to_string(&mut error).expect("UTF-8");
        assert_eq!(error, "");
    }
}

#[test]
fn a_pipe_closed_early_is_no_error() {
    for arguments in [&["--watch", "--interval", "0.1"][..], &["--json"], &[]] {
        let results = running();
        let mut child = results.command(arguments).spawn().expect("poll runs");
        drop(child.stdout.take());
        let mut stderr = child.stderr.take().expect("piped");
        assert_eq!(exit_code(child), Some(0));
        let mut error = String::new();
        stderr.read_to_string(&mut error).expect("UTF-8");
        assert_eq!(error, "");
    }
}

#[test]
fn a_link_is_watched_to_the_end_of_what_it_led_to() {
    let results = running();
    let link = results.folder.path().join("link.json");
    symlink(results.path(), &link).expect("link");
    let mut command = results.command(&["--watch", "--json", "--file", "link.json"]);
    let mut child = command.args(["--interval", "0.1"]).spawn().expect("poll runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    lines.next().expect("line").expect("UTF-8");
    fs::remove_file(&link).expect("remove");
    symlink(Path::new("elsewhere.json"), &link).expect("link");
    results.write(&json!({"mmlu_m_1": task("completed")}).to_string());
    lines.by_ref().for_each(drop);
    assert_eq!(exit_code(child), Some(0));
}
