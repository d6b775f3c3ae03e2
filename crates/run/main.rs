//! `run`: flags, environment, signals and log, around the runner.

mod endpoints;
mod exit;
mod log;
mod progress;
mod signals;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use evalcore::dataset;
use evalcore::engine::Patience;
use evalcore::report::lines::screen;
use evalcore::report::status::Status;
use evalcore::runner::{self, Settings, Stop};
use evalcore::task::RunnerRecord;
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
    /// The task file
    #[arg(
        long,
        value_name = "FILE",
        default_value = "async_results/latest_tasks.json"
    )]
    tasks: PathBuf,

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

    /// How long the first signal waits for requests in flight [default: until they are answered]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    grace: Option<Duration>,
}

/// Columns of the summary at the end.
const SUMMARY_WIDTH: usize = 80;

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
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "give a number of seconds above 0".into())
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    match start(&flags) {
        Ok(code) => code.into(),
        Err(error) => {
            // The log has it too, unless it was the log that could not be opened.
            tracing::error!("{error:#}");
            if !tracing::dispatcher::has_been_set() {
                let _ = writeln!(std::io::stderr(), "error: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn start(flags: &Flags) -> Result<exit::Code> {
    let bars = MultiProgress::new();
    log::start(&flags.log_file, &flags.log_level, bars.clone())?;
    // One thread: the work is waiting, and what little there is to compute stays in one cache.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work(flags, bars))
}

async fn work(flags: &Flags, bars: MultiProgress) -> Result<exit::Code> {
    let stop = Stop::default();
    signals::listen(stop.clone(), flags.grace)?;
    raise_file_limit(flags.concurrent)?;
    let prepared = runner::prepare(&flags.tasks, &dataset::default_cache_dir()?).await?;
    let path = prepared.path().to_owned();
    let (n_tasks, n_left) = prepared.n_tasks();
    tracing::info!(
        "{}: {n_tasks} tasks, {n_left} with something left to do; pid {}, {} requests at a time",
        path.display(),
        std::process::id(),
        flags.concurrent
    );
    let endpoints = Endpoints::new(&prepared)?;
    let settings = Settings {
        concurrent: flags.concurrent as usize,
        patience: Patience {
            timeout: flags.timeout,
            max_retries: flags.max_retries,
        },
        runner: RunnerRecord {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: option_env!("ASYNC_EVALS_REVISION").map(str::to_owned),
        },
    };
    let (progress, watched) = watch::channel(Vec::new());
    let shown = tokio::spawn(progress::show(watched, bars));
    let file = runner::run(
        prepared,
        &settings,
        |model| endpoints.find(model),
        &stop,
        progress,
    )
    .await?;
    shown.await.context("progress display")?;
    let status = Status::new(&file, &path, None, evalcore::clock::unix_now());
    let _ = std::io::stdout().write_all(screen(&status, SUMMARY_WIDTH, &chrono::Local).as_bytes());
    let code = exit::Code::of(&file);
    tracing::info!("{}", code.reason());
    Ok(code)
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
    let limit = Rlimit {
        current: Some(raised),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, limit).context("raise the limit on open files")?;
    if raised < needed {
        tracing::warn!(
            "this system allows {raised} open files: fewer requests than --concurrent {concurrent} may fit"
        );
    }
    Ok(())
}
