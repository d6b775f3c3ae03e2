//! Working tasks off: steps in, replies out, journal, shutdown.
//!
//! [`prepare`] reads task file, data sets and journals; [`run`] does what is left. The loop, in
//! `dispatch`, owns all state; requests run as tasks of their own and hand back values. The runner knows no eval and no
//! provider by name.

mod cancel;
mod dispatch;
mod lanes;
mod prepare;
mod records;
mod request;
mod samples;
mod work;

use std::sync::Arc;

use anyhow::{Result, bail};
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

pub use self::cancel::cancel_remote;
use self::dispatch::Runner;
use self::lanes::Lanes;
pub use self::prepare::{Prepared, prepare};
use self::work::Work;
use crate::engine::{Patience, PerMinute, Purse, Shared};
use crate::journal::Committer;
use crate::models::cost;
use crate::providers::Endpoint;
use crate::store;
use crate::task::{Counts, ModelConfig, RunnerRecord, Task, TaskFile, TaskStatus};

/// How a run is to be done.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Requests in flight at most, all tasks together.
    pub concurrent: usize,
    /// How much one request may take.
    pub patience: Patience,
    /// Limits that each lane keeps, whatever the server says.
    pub per_minute: PerMinute,
    /// US dollars that the tasks of the file may cost in all, earlier runs included.
    pub budget: Option<f64>,
    /// The program, for the record.
    pub runner: RunnerRecord,
}

/// Two ways to stop a run from outside.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Start nothing new, wait for what is in flight.
    pub drain: CancellationToken,
    /// Drop what is in flight as well.
    pub abort: CancellationToken,
}

/// Where one task stands, for progress displays.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The task.
    pub task_id: String,
    /// Its model, as the user named it.
    pub model_name: String,
    /// Its state.
    pub status: TaskStatus,
    /// Samples by outcome.
    pub counts: Counts,
    /// How many outcomes a completed task has.
    pub n_total: u64,
    /// What its requests wait for, when there has been no news for a while.
    pub waiting: Option<String>,
}

/// Works off what is left of `prepared` and gives the task file as it is on disk in the end.
///
/// `endpoint` says where a model is asked, and with which key. `progress` is told about all tasks
/// several times a second.
///
/// # Errors
///
/// A journal or task file that cannot be written. Failures of single requests and models end in
/// the tasks' status instead.
pub async fn run(
    prepared: Prepared,
    settings: &Settings,
    endpoint: impl Fn(&ModelConfig) -> Result<Endpoint>,
    stop: &Stop,
    progress: watch::Sender<Vec<Progress>>,
) -> Result<TaskFile> {
    let Prepared { path, mut file, work, journals, lock: _lock } = prepared;
    let purse = purse(settings.budget, &file, &work)?;
    let mut lanes = Lanes::new(settings);
    let mut works = Vec::with_capacity(work.len());
    for mut work in work {
        work.model.lane = lanes.find(&work.model.config, &endpoint)?;
        if let Some(grader) = &mut work.grader {
            grader.lane = lanes.find(&grader.config, &endpoint)?;
        }
        let task = task_of(&mut file, &work.task_id);
        lanes.pin(&mut task.model_config, work.model.lane);
        if let (Some(config), Some(grader)) = (&mut task.grader, &work.grader) {
            lanes.pin(config, grader.lane);
        }
        work.begin(task, &settings.runner);
        works.push(work);
    }
    store::replace(&path, &file)?;
    let lanes = lanes.into_vec();
    let shared = Shared {
        permits: Arc::new(Semaphore::new(settings.concurrent)),
        freed: Arc::new(Notify::new()),
        patience: settings.patience,
        purse,
        stop: stop.drain.child_token(),
    };
    let journal = Committer::start(journals);
    let mut runner = Runner::new(lanes, works, journal, shared, settings, stop.abort.clone());
    let worked = runner.work(&mut file, &path, &progress).await;
    // The journals are closed before the task file says what they hold.
    drop(runner);
    for task in file.tasks.values_mut().filter(|task| task.status == TaskStatus::Running) {
        task.status = TaskStatus::Interrupted;
        task.error = worked.as_ref().err().map(|error| format!("{error:#}"));
    }
    let saved = store::replace(&path, &file);
    worked?;
    saved?;
    Ok(file)
}

/// The budget that is left, if there is one.
fn purse(budget: Option<f64>, file: &TaskFile, works: &[Work]) -> Result<Option<Arc<Purse>>> {
    let Some(budget) = budget else {
        return Ok(None);
    };
    for party in works.iter().flat_map(Work::parties) {
        if cost::of_request(&party.config, &[]).is_none() {
            bail!(
                "nobody can say what a request to `{}` may cost at most, so no budget can be kept: \
                 give its prices and `max_output_tokens` in models.toml and `submit` again, or `run` \
                 without --budget",
                party.config.model
            );
        }
    }
    let running = |id: &str| works.iter().find(|work| work.task_id == id);
    let costs = file.tasks.iter().map(|(id, task)| running(id).map_or(task.cost, |it| it.cost));
    let (spent, n_unknown) = costs.fold((0.0, 0), |(spent, n_unknown), cost| {
        (spent + cost.dollars() + cost.unaccounted, n_unknown + cost.n_unknown())
    });
    if n_unknown > 0 {
        bail!(
            "{n_unknown} replies of earlier runs are of unknown cost, so no budget can be kept: `run` \
             without --budget"
        );
    }
    tracing::info!("budget ${budget:.2}, of which ${spent:.4} is spent");
    Ok(Some(Arc::new(Purse::new(budget, spent))))
}

fn task_of<'a>(file: &'a mut TaskFile, task_id: &str) -> &'a mut Task {
    file.tasks.get_mut(task_id).expect("work is made from the file's tasks")
}
