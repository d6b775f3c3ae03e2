//! `poll`: shows where the tasks of a file stand. It only reads: no runner, no network and no data
//! set is needed, and nothing that `run` writes is touched.

mod terminal;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use chrono::Local;
use clap::Parser;
use evalcore::report::lines;
use evalcore::report::status::Status;
use evalcore::store::{self, lock};
use evalcore::text::printable;

use crate::terminal::Output;

/// The longest `--interval`: a day.
const MAX_INTERVAL: f64 = 86_400.0;

const AFTER_HELP: &str = "\
Examples:
  poll                              the tasks submitted last
  poll --watch --interval 1         the same, once a second, until all have ended
  poll --file results/tasks_1.json  the tasks of another file
  poll --json | jq .summary         for scripts

Exit codes:
  0  the status was shown; with --watch, all tasks have ended or Ctrl-C was pressed
  1  the task file could not be read
  2  wrong usage";

/// Shows where submitted tasks stand: progress, accuracy, errors and remaining time.
///
/// Reads the task file and whether a runner is alive, and writes nothing. A task that is marked as
/// running while its runner is dead is shown as stalled.
#[derive(Debug, Parser)]
#[command(name = "poll", version, after_help = AFTER_HELP)]
struct Arguments {
    /// Task file to show [default: async_results/latest_tasks.json, else the newest tasks_*.json there]
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,

    /// Show it again and again until every task is completed or failed
    #[arg(long)]
    watch: bool,

    /// Time between two looks with --watch, 0.1 or more
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "5",
        value_parser = parse_interval,
        allow_negative_numbers = true,
        requires = "watch"
    )]
    interval: Duration,

    /// Print one JSON document; with --watch, one a line at each look
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match poll(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", printable(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn poll(arguments: &Arguments) -> Result<()> {
    let path = match &arguments.file {
        Some(path) => path.clone(),
        None => store::newest(Path::new(lines::DEFAULT_FOLDER))?,
    };
    if !arguments.watch {
        let status = look(&path)?;
        let text = if arguments.json {
            serde_json::to_string_pretty(&status)? + "\n"
        } else {
            lines::screen(&status, terminal::width(), &Local)
        };
        return terminal::print(&text);
    }
    // One file is watched to its end, also when the link is pointed at another meanwhile.
    let path = if path.is_file() { store::resolve(&path) } else { path };
    if arguments.json { watch_json(&path, arguments) } else { watch(&path, arguments) }
}

/// Prints a compact document a line.
fn watch_json(path: &Path, arguments: &Arguments) -> Result<()> {
    terminal::leave_quietly_on_interrupt(false)?;
    loop {
        let status = look(path)?;
        terminal::print(&(serde_json::to_string(&status)? + "\n"))?;
        if status.all_ended {
            return Ok(());
        }
        thread::sleep(arguments.interval);
    }
}

/// Shows screen after screen, on a terminal one over the other.
fn watch(path: &Path, arguments: &Arguments) -> Result<()> {
    let mut output = Output::new();
    terminal::leave_quietly_on_interrupt(output.is_terminal())?;
    loop {
        let status = look(path)?;
        let footer = match status.waiting_for {
            _ if status.all_ended => Some("all tasks have ended".to_owned()),
            Some(_) => {
                let run = lines::run_command(&status.file);
                Some(format!("no runner: start `{run}`"))
            }
            None => None,
        };
        output.show(&status, footer.as_deref())?;
        if status.all_ended {
            return Ok(());
        }
        thread::sleep(arguments.interval);
    }
}

/// Reads the task file and the lock. Between the two a runner may start or end, which would make a
/// live or finished task look stalled; so what looks stalled is looked at twice.
fn look(path: &Path) -> Result<Status> {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64());
    let look = || {
        let file = store::read(path)?;
        let holder = lock::holder(path)?;
        anyhow::Ok(Status::new(&file, path, holder.as_ref(), now()))
    };
    let status = look()?;
    if status.summary.stale > 0 { look() } else { Ok(status) }
}

fn parse_interval(text: &str) -> Result<Duration> {
    let seconds: f64 = text.parse().context("not a number of seconds")?;
    let is_fit = (0.1..=MAX_INTERVAL).contains(&seconds);
    anyhow::ensure!(is_fit, "not between 0.1 and {MAX_INTERVAL} seconds");
    Ok(Duration::from_secs_f64(seconds))
}

/// Whoever read the output has seen enough (`poll | head -1`), which is no error.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
