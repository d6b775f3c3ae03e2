//! `run`: flags, environment, signals and log, around the runner.

mod endpoints;
mod exit;
mod log;
mod progress;
mod signals;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use evalcore::engine::{Patience, PerMinute};
use evalcore::report::lines::screen;
use evalcore::report::status::Status;
use evalcore::runner::{self, Settings, Stop};
use evalcore::task::RunnerRecord;
use evalcore::{dataset, store, text};
use indicatif::MultiProgress;
use tokio::sync::watch;

use crate::endpoints::Endpoints;

/// Work off the tasks that `submit` wrote down: ask models, grade answers, keep a journal.
///
/// Answers are on disk before they count. Stopped at any moment and started again, `run` asks only
/// for what is left. SIGINT or SIGTERM: nothing new is sent, requests in flight are waited for; a
/// second one drops these too. Under nohup it lives on when the terminal goes.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Flags {
    /// The task file [default: async_results/latest_tasks.json, else the newest in async_results]
    #[arg(long, value_name = "FILE")]
    tasks: Option<PathBuf>,

    /// Requests in flight at most, all tasks together
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    concurrent: u32,

    /// The log, appended to
    #[arg(long, value_name = "FILE", default_value = "async_runner.log")]
    log_file: PathBuf,

    /// How much to log
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = ["error", "warn", "info", "debug"])]
    log_level: String,

    /// Longest time for one attempt at a request
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    timeout: Duration,

    /// How often a request is tried again when it failed in a way that may pass
    #[arg(long, value_name = "N", default_value_t = 10)]
    max_retries: u32,

    /// How long one request is tried again; a longer wait that the server asks for ends it at once
    #[arg(long, value_name = "SECONDS", default_value = "1800", value_parser = seconds)]
    retry_for: Duration,

    /// Requests per minute to each model at most [default: as the server allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rpm: Option<u64>,

    /// Tokens per minute to each model at most, requested output included [default: as the server
    /// allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    tpm: Option<u64>,

    /// US dollars that the tasks of the file may cost in all, earlier runs included: nothing is sent
    /// that could cross it
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    budget: Option<f64>,

    /// Cancel the background responses that providers still work on, and do nothing else
    #[arg(long)]
    cancel_remote: bool,

    /// How long the first signal waits for requests in flight [default: until they are answered]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    grace: Option<Duration>,
}

const EXAMPLES: &str = "\
Examples:
  run                               the latest task file, 5 requests at a time
  nohup run --concurrent 10 &       in the background; watch it with: poll --watch
  run --tasks async_results/tasks_20261123_065500.json

Environment: OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_ORG_ID, OPENAI_PROJECT_ID.

Exit codes: 0 all tasks completed; 1 some failed, or an error; 2 wrong usage;
3 stopped before the end, start it again to go on.";

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .filter(|seconds| *seconds > 0.0 && *seconds < 1e9)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "give a number of seconds above 0".into())
}

fn dollars(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|dollars| *dollars > 0.0 && f64::is_finite(*dollars))
        .ok_or_else(|| "give a number of US dollars above 0".into())
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    match start(&flags) {
        Ok(code) => code.into(),
        Err(error) => {
            // The log has it too, unless it was the log that could not be opened.
            tracing::error!("{error:#}");
            if !tracing::dispatcher::has_been_set() {
                let error = format!("{error:#}");
                let _ = writeln!(std::io::stderr(), "error: {}", text::printable(&error));
            }
            ExitCode::FAILURE
        }
    }
}

fn start(flags: &Flags) -> Result<exit::Code> {
    let bars = MultiProgress::new();
    log::start(&flags.log_file, &flags.log_level, bars.clone())?;
    // One thread: the work is waiting, and what little there is to compute stays in one cache.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work(flags, bars))
}

async fn work(flags: &Flags, bars: MultiProgress) -> Result<exit::Code> {
    let stop = Stop::default();
    signals::listen(stop.clone(), flags.grace)?;
    raise_file_limit(flags.concurrent)?;
    let tasks = match &flags.tasks {
        Some(path) => path.clone(),
        None => store::newest(Path::new("async_results"))?,
    };
    let cache_dir = dataset::default_cache_dir()?;
    let prepared = tokio::select! {
        prepared = runner::prepare(&tasks, &cache_dir) => prepared?,
        () = stop.drain.cancelled() => return Ok(exit::Code::Interrupted),
    };
    let path = prepared.path().to_owned();
    let (n_tasks, n_left) = prepared.n_tasks();
    tracing::info!(
        "{}: tasks: {n_tasks}, with something left to do: {n_left}; pid {}, {} requests at a time",
        path.display(),
        std::process::id(),
        flags.concurrent
    );
    let endpoints = Endpoints::new(&prepared)?;
    if flags.cancel_remote {
        let n_cancelled = runner::cancel_remote(prepared, |model| endpoints.find(model)).await?;
        tracing::info!("background responses cancelled: {n_cancelled}");
        return Ok(exit::Code::Completed);
    }
    let settings = Settings {
        concurrent: flags.concurrent as usize,
        patience: Patience {
            timeout: flags.timeout,
            max_retries: flags.max_retries,
            retry_for: flags.retry_for,
        },
        per_minute: PerMinute { requests: flags.rpm, tokens: flags.tpm },
        budget: flags.budget,
        runner: RunnerRecord {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: option_env!("ASYNC_EVALS_REVISION").map(str::to_owned),
        },
    };
    let (progress, watched) = watch::channel(Vec::new());
    let shown = tokio::spawn(progress::show(watched, bars));
    let file =
        runner::run(prepared, &settings, |model| endpoints.find(model), &stop, progress).await?;
    shown.await.context("progress display")?;
    let status = Status::new(&file, &path, None, evalcore::clock::unix_now());
    log::print(&flags.log_file, &screen(&status, summary_width(), &chrono::Local));
    let code = exit::Code::of(&file);
    tracing::info!("{}", code.reason());
    Ok(code)
}

/// Columns of the summary: those of the terminal, if there is one.
fn summary_width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|width| *width > 0).unwrap_or(80)
}

/// Each request in flight holds a connection, and many systems allow 1,024 open files at first.
fn raise_file_limit(concurrent: u32) -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let needed = u64::from(concurrent) + 100;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raised = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    let limit = Rlimit { current: Some(raised), maximum: limit.maximum };
    setrlimit(Resource::Nofile, limit).context("raise the limit on open files")?;
    if raised < needed {
        tracing::warn!(
            "this system allows {raised} open files: fewer requests than --concurrent {concurrent} may fit"
        );
    }
    Ok(())
}
