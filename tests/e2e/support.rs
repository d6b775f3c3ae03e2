//! A folder to run the real binaries in, and a mock server to run them against.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use evalcore::dataset::{self, Local, cipher};
use mockapi::{Config, MockServer};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

pub const SUBMIT: &str = env!("CARGO_BIN_EXE_submit");
pub const RUN: &str = env!("CARGO_BIN_EXE_run");
pub const POLL: &str = env!("CARGO_BIN_EXE_poll");

/// Rows of the embedded sample data set.
pub const N_SAMPLE: usize = 20;

/// A temporary folder, and commands that run in it with nothing of this machine's environment.
pub struct TestDir {
    dir: TempDir,
    environment: BTreeMap<String, String>,
}

impl TestDir {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let home = dir.path().display().to_string();
        let environment = [("HOME", home.clone()), ("XDG_CACHE_HOME", home + "/cache")];
        let environment =
            environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { dir, environment }
    }

    /// A folder whose commands ask `server` unless a task says otherwise.
    pub fn asking(server: &MockServer) -> Self {
        Self::new().with("OPENAI_BASE_URL", &server.base_url()).with("OPENAI_API_KEY", "sk-test")
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `line` is the arguments, split at blanks.
    pub fn command(&self, program: &str, line: &str) -> Command {
        let mut command = Command::new(program);
        command
            .args(line.split_whitespace())
            .current_dir(self.dir.path())
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn output(&self, program: &str, line: &str) -> Finished {
        Finished::of(self.command(program, line).output().expect("the program starts"))
    }

    #[track_caller]
    pub fn submit(&self, line: &str) -> Finished {
        let finished = self.output(SUBMIT, line);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        finished
    }

    pub fn run(&self, line: &str) -> Finished {
        self.output(RUN, line)
    }

    /// Starts a run that goes on by itself.
    pub fn start_run(&self, line: &str) -> Running {
        let mut command = self.command(RUN, line);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(Some(command.spawn().expect("the program starts")))
    }

    /// The latest task file.
    pub fn tasks(&self) -> Vec<Value> {
        let path = self.path("async_results/latest_tasks.json");
        let text = std::fs::read_to_string(path).expect("task file");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        document.as_object().expect("object").values().cloned().collect()
    }

    /// The only task of the latest task file.
    #[track_caller]
    pub fn task(&self) -> Value {
        let mut tasks = self.tasks();
        assert_eq!(tasks.len(), 1);
        tasks.remove(0)
    }

    /// The journal of a task of the latest task file.
    pub fn journal_path(&self, task: &Value) -> PathBuf {
        let latest = self.path("async_results/latest_tasks.json");
        let task_file = latest.canonicalize().expect("points to a task file");
        let name = task["task_id"].as_str().expect("task id");
        task_file.with_extension("").join(name).with_extension("jsonl")
    }

    /// The records of a task's journal, the header first.
    pub fn journal(&self, task: &Value) -> Vec<Value> {
        let text = std::fs::read_to_string(self.journal_path(task)).expect("journal");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Waits until the log holds `text`.
    pub async fn wait_for_log(&self, text: &str) {
        let path = self.path("async_runner.log");
        while !std::fs::read_to_string(&path).is_ok_and(|log| log.contains(text)) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Every file below the folder.
    pub fn files(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).expect("readable") {
                let path = entry.expect("entry").path();
                match path.is_dir() {
                    true => walk(&path, files),
                    false => files.push(path),
                }
            }
        }
        let mut files = Vec::new();
        walk(self.dir.path(), &mut files);
        files
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// None when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

/// A run in the background; killed when dropped.
pub struct Running(Option<Child>);

impl Running {
    pub fn pid(&self) -> u32 {
        self.0.as_ref().expect("not waited for").id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid() as i32).expect("a process has a positive id");
        kill_process(pid, signal).expect("the process is there");
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Finished {
        let child = self.0.take().expect("waited for once");
        Finished::of(child.wait_with_output().expect("waits"))
    }

    /// `kill -9`.
    pub fn kill(self) {
        self.signal(Signal::KILL);
        self.finish();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A server that knows the embedded sample data set.
pub fn server(config: Config) -> MockServer {
    let sample = include_bytes!("../../crates/evalcore/data/browsecomp_sample.csv");
    server_knowing(&Local::Embedded(sample), config)
}

/// A server that knows a data set in BrowseComp's form.
pub fn server_knowing(local: &Local, config: Config) -> MockServer {
    let columns = ["answer", "canary"];
    let scan = dataset::scan(local, &columns).expect("data set");
    let all: Vec<usize> = (0..scan.n_rows).collect();
    let rows = dataset::load(local, &columns, &all, &scan).expect("data set");
    let targets = rows
        .iter()
        .enumerate()
        .map(|(id, row)| (id.to_string(), cipher::decrypt(&row[0], &row[1]).expect("sealed")))
        .collect();
    MockServer::start(Config { oracle: Config::oracle_of(targets), ..config }).expect("server")
}

/// A file of the shared data folder beside the checkout. None where there is no such folder, which
/// is said, and is an error in CI.
pub fn shared_data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "`{}` is missing", path.display());
    eprintln!("skipped: `{}` is not here", path.display());
    None
}
