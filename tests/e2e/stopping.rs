//! Stopping and starting again: signals, kills, two runners.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use mockapi::{Config, Faults, MockServer};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{N_SAMPLE, RUN, TestDir, server};

/// A server that takes its time, so that a run can be stopped in the middle.
fn slow_server() -> MockServer {
    server(Config { latency: Duration::from_millis(100), ..Config::default() })
}

fn submitted(server: &MockServer) -> TestDir {
    let dir = TestDir::asking(server);
    dir.submit("--models m --grader grader --dataset sample --limit all");
    dir
}

/// Ends a run that was stopped before, and makes sure that nothing was asked or scored twice.
#[track_caller]
fn finishes(dir: &TestDir, server: &MockServer) {
    let ran = dir.run("");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    scored_once(&dir.journal(&dir.task()));
    assert!(server.ledger().paid_twice().is_empty());
}

#[track_caller]
fn scored_once(journal: &[Value]) {
    let scored: Vec<&str> = journal
        .iter()
        .filter(|record| record["type"] == "scored")
        .map(|record| record["sample"].as_str().expect("id"))
        .collect();
    assert_eq!(scored.len(), N_SAMPLE);
    assert_eq!(scored.iter().collect::<BTreeSet<_>>().len(), N_SAMPLE);
}

#[tokio::test]
async fn the_first_signal_waits_for_what_is_in_flight() {
    for signal in [Signal::INT, Signal::TERM] {
        let server = slow_server();
        let dir = submitted(&server);
        let run = dir.start_run("--concurrent 3");
        server.ledger().wait_for_requests(5).await;
        run.signal(signal);
        let ran = run.finish();
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        assert_eq!(dir.task()["status"], "interrupted");
        let replies =
            dir.journal(&dir.task()).iter().filter(|record| record["type"] == "reply").count();
        assert_eq!(replies as u64, server.ledger().counts().requests, "every request was kept");
        finishes(&dir, &server);
    }
}

#[tokio::test]
async fn the_second_signal_drops_what_is_in_flight() {
    let server = server(Config {
        faults: Faults { hanging: 1.0, ..Faults::default() },
        ..Config::default()
    });
    let dir = submitted(&server);
    let run = dir.start_run("--concurrent 3");
    server.ledger().wait_for_requests(3).await;
    run.signal(Signal::INT);
    dir.wait_for_log("waiting for the requests in flight").await;
    run.signal(Signal::INT);
    let ran = run.finish();
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert_eq!(dir.task()["status"], "interrupted");
    server.change(|config| config.faults = Faults::default());
    finishes(&dir, &server);
}

#[tokio::test]
async fn grace_ends_the_wait_for_what_is_in_flight() {
    let server = server(Config {
        faults: Faults { hanging: 1.0, ..Faults::default() },
        ..Config::default()
    });
    let dir = submitted(&server);
    let run = dir.start_run("--grace 0.1");
    server.ledger().wait_for_requests(5).await;
    run.signal(Signal::TERM);
    assert_eq!(run.finish().code, Some(3));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_requests_that_wait_to_be_sent_again() {
    let faults = Faults {
        rate_limited: 1.0,
        retry_after: Some(Duration::from_secs(3600)),
        ..Faults::default()
    };
    let server = server(Config { faults, ..Config::default() });
    let dir = submitted(&server);
    let run = dir.start_run("");
    server.ledger().wait_for_requests(1).await;
    run.signal(Signal::INT);
    assert_eq!(run.finish().code, Some(3));
}

#[tokio::test]
async fn hangup_is_a_signal_like_others_but_not_under_nohup() {
    let server = slow_server();
    let dir = submitted(&server);
    let run = dir.start_run("--concurrent 2");
    server.ledger().wait_for_requests(3).await;
    run.signal(Signal::HUP);
    assert_eq!(run.finish().code, Some(3));

    let nohup =
        dir.command("nohup", &format!("{RUN} --concurrent 2")).stdout(Stdio::null()).spawn();
    let mut nohup = nohup.expect("nohup is there");
    let before = server.ledger().counts().requests;
    server.ledger().wait_for_requests(before + 2).await;
    let pid = rustix::process::Pid::from_child(&nohup);
    rustix::process::kill_process(pid, Signal::HUP).expect("is there");
    let status = nohup.wait().expect("waits");
    assert_eq!((status.code(), status.signal()), (Some(0), None));
    scored_once(&dir.journal(&dir.task()));
}

#[tokio::test]
async fn kill_9_loses_no_more_than_what_was_in_flight() {
    const CONCURRENT: u64 = 4;
    const KILLS: u64 = 20;
    let server = server(Config { latency: Duration::from_millis(5), ..Config::default() });
    let dir = TestDir::asking(&server);
    dir.submit("--models m --grader grader --dataset sample --limit all --n-repeats 10");
    let n_calls = 2 * 10 * N_SAMPLE as u64;
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..KILLS {
        let run = dir.start_run(&format!("--concurrent {CONCURRENT}"));
        let before = server.ledger().counts().requests;
        server.ledger().wait_for_requests(before + random.u64(1..n_calls / KILLS)).await;
        run.kill();
    }
    let ran = dir.run("--concurrent 4");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let journal = dir.journal(&dir.task());
    let mut scored = BTreeSet::new();
    for record in journal.iter().filter(|record| record["type"] == "scored") {
        let key = (record["sample"].to_string(), record["epoch"].as_u64());
        assert!(scored.insert(key), "{record} is scored twice");
    }
    assert_eq!(scored.len(), 10 * N_SAMPLE);
    let extra = server.ledger().counts().requests - n_calls;
    assert!(extra <= KILLS * CONCURRENT, "{extra} requests too many");
}

#[tokio::test]
async fn a_second_runner_is_told_who_the_first_one_is() {
    let server = slow_server();
    let dir = submitted(&server);
    let first = dir.start_run("");
    server.ledger().wait_for_requests(1).await;
    let second = dir.run("");
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains(&format!("pid {}", first.pid())), "{}", second.stderr);
    assert_eq!(first.finish().code, Some(0));
}

#[tokio::test]
async fn a_terminal_that_closes_drains_the_run_and_loses_nothing() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let server = server(Config { latency: Duration::from_millis(300), ..Config::default() });
    let dir = submitted(&server);
    let terminal =
        openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("a terminal");
    let name = ptsname(&terminal, Vec::new()).expect("a name").into_string().expect("UTF-8");
    let side = || std::fs::File::options().read(true).write(true).open(&name).expect("opens");
    // The run leads a session of its own on that terminal, as in a window.
    let mut run = dir.command("setsid", &format!("--ctty {RUN} --concurrent 3"));
    let mut run = run.stdin(side()).stdout(side()).stderr(side()).spawn().expect("setsid is there");
    server.ledger().wait_for_requests(3).await;
    drop(terminal);
    let status = run.wait().expect("waits");
    assert_eq!((status.code(), status.signal()), (Some(3), None));
    let journal = dir.journal(&dir.task());
    let n_replies = journal.iter().filter(|record| record["type"] == "reply").count();
    assert_eq!(n_replies as u64, server.ledger().counts().requests, "every request was kept");
    finishes(&dir, &server);
}

#[test]
fn a_log_that_the_shell_redirects_into_is_neither_doubled_nor_overwritten() {
    let dir = TestDir::new();
    dir.submit("--models mock/p80");
    let log = || std::fs::File::create(dir.path("async_runner.log")).expect("writable");
    let output = log();
    let mut run = dir.command(RUN, "");
    run.stdout(output.try_clone().expect("a handle")).stderr(output);
    assert!(run.status().expect("starts").success());
    let log = std::fs::read_to_string(dir.path("async_runner.log")).expect("readable");
    let first = log.lines().next().expect("a line");
    assert!(first.contains("tasks: 1, with something left to do: 1"), "{log}");
    assert_eq!(
        log.matches("all tasks are completed").count(),
        2,
        "the log's line and the summary's"
    );
    assert!(log.contains("accuracy"), "{log}");
}
