//! From what the user asks for to tasks: everything is resolved and checked before anything is
//! written.

mod warnings;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chrono::NaiveDate;

use crate::clock::unix_now;
use crate::dataset::{self, Source};
use crate::estimate::{Estimate, estimate};
use crate::evals::{self, Eval, Scorer};
use crate::models::{self, Registry, Settings};
use crate::prompts::Prompts;
use crate::sample::{Role, Sample};
use crate::store;
use crate::task::{DatasetRecord, FORMAT, ModelConfig, Selection, Task, TaskFile, TaskStatus};

/// What the user asks for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Names of evals.
    pub evals: Vec<String>,
    /// Names of models.
    pub models: Vec<String>,
    /// Samples per eval; none for all.
    pub limit: Option<usize>,
    /// Seed of the draw.
    pub seed: u64,
    /// Epochs, at least 1.
    pub n_repeats: u32,
    /// `sample`, a path or a URL; none for the eval's own.
    pub dataset: Option<String>,
    /// Never touch the network.
    pub offline: bool,
    /// The grader's name; none for the default.
    pub grader: Option<String>,
    /// Where models are asked.
    pub base_url: Option<String>,
    /// Where the grader is asked, if elsewhere.
    pub grader_base_url: Option<String>,
    /// Templates in place of the built-in ones.
    pub prompts: Option<PathBuf>,
    /// Sampling temperature for models.
    pub temperature: Option<f64>,
    /// Limit on output tokens for models.
    pub max_tokens: Option<u32>,
    /// System message for models.
    pub system_message: Option<String>,
    /// Reasoning effort for models.
    pub reasoning_effort: Option<String>,
    /// Whether to estimate what the tasks will take.
    pub estimate: bool,
}

/// Tasks ready to be written.
#[derive(Debug)]
pub struct Plan {
    /// The tasks.
    pub file: TaskFile,
    /// What the user should know about them.
    pub warnings: Vec<String>,
    /// What each will take, in their order; empty unless it was wished for.
    pub estimates: Vec<Estimate>,
}

/// Requests of one kind that a plan means.
#[derive(Debug, PartialEq, Eq)]
pub struct Requests<'a> {
    /// How many, if nothing has to be asked twice.
    pub n: u64,
    /// Model or grader.
    pub role: Role,
    /// The name that the user gave the model; a grader's as requests carry it.
    pub name: &'a str,
    /// The name that requests carry.
    pub model: &'a str,
    /// Where it is asked; none for the run's own default.
    pub base_url: Option<&'a str>,
}

impl Plan {
    /// Requests that `task` means if nothing has to be asked twice: to the model, to the grader.
    pub fn n_requests(task: &Task) -> (u64, u64) {
        (task.n_total(), if task.grader.is_some() { task.n_total() } else { 0 })
    }

    /// Who is asked how often, and where: models first, then graders, each in the order of the tasks.
    pub fn requests(&self) -> Vec<Requests<'_>> {
        let tasks = self.file.tasks.values();
        let models = tasks.clone().map(|task| {
            let (n, _) = Self::n_requests(task);
            requests(n, Role::Model, &task.model_name, &task.model_config)
        });
        let graders = tasks.filter_map(|task| {
            let config = task.grader.as_ref()?;
            let (_, n) = Self::n_requests(task);
            Some(requests(n, Role::Grader, &config.model, config))
        });
        let mut all: Vec<Requests<'_>> = Vec::new();
        for requests in models.chain(graders) {
            let same =
                all.iter_mut().find(|other| Requests { n: requests.n, ..**other } == requests);
            match same {
                Some(same) => same.n += requests.n,
                None => all.push(requests),
            }
        }
        all
    }
}

fn requests<'a>(n: u64, role: Role, name: &'a str, config: &'a ModelConfig) -> Requests<'a> {
    Requests { n, role, name, model: &config.model, base_url: config.base_url.as_deref() }
}

/// A model under test, and who judges it.
struct Pair {
    name: String,
    model: ModelConfig,
    grader: ModelConfig,
}

/// Resolves and checks everything. `today` decides which models have ended; `download` is told of
/// bytes so far and in all while a data set is downloaded.
///
/// # Errors
///
/// Anything that would keep a task from being run: an unknown eval, a data set that cannot be had
/// or read, a row that is not what it should be, a template with unknown variables.
pub async fn plan(
    wish: &Wish,
    registry: &Registry,
    cache_dir: &Path,
    today: NaiveDate,
    mut download: impl FnMut(u64, Option<u64>),
) -> Result<Plan> {
    let mut warnings = Vec::new();
    let eval_names = unique(&wish.evals, "eval", &mut warnings);
    let model_names = unique(&wish.models, "model", &mut warnings);
    if eval_names.is_empty() || model_names.is_empty() {
        bail!("nothing to submit: name at least one eval and one model");
    }
    let evals = eval_names.into_iter().map(evals::find).collect::<Result<Vec<_>>>()?;
    let pairs = model_names
        .into_iter()
        .map(|name| pair(name, wish, registry))
        .collect::<Result<Vec<_>>>()?;
    warnings.extend(warnings::warnings(&pairs, wish, registry, today));
    if let Some(dir) = &wish.prompts {
        let specs = evals::EVALS.iter().flat_map(|eval| eval.templates);
        let known: Vec<_> = specs.map(|spec| spec.name).collect();
        Prompts::check_names(dir, &known)?;
    }
    let mut file = TaskFile::default();
    let mut estimates = Vec::new();
    for eval in evals {
        let prompts = Prompts::load(eval.templates, wish.prompts.as_deref())?;
        prompts.compile(eval.templates)?;
        let (dataset, selection, samples) =
            choose(eval, wish, cache_dir, &mut download, &mut warnings).await?;
        for Pair { name, model, grader } in &pairs {
            let created_at = unix_now();
            let task_id = task_id(&file, eval, name, created_at);
            let Scorer::Model { .. } = eval.scorer;
            let task = Task {
                format: FORMAT,
                task_id: task_id.clone(),
                eval_name: eval.name.to_owned(),
                model_name: name.clone(),
                model_config: model.clone(),
                num_examples: Some(samples.len()),
                n_repeats: wish.n_repeats,
                status: TaskStatus::Pending,
                created_at: Some(created_at),
                dataset: Some(dataset.clone()),
                selection: Some(selection.clone()),
                prompts: Some(prompts.clone()),
                grader: Some(grader.clone()),
                ..Task::default()
            };
            if wish.estimate {
                estimates.push(estimate(&task, &samples)?);
            }
            file.tasks.insert(task_id, task);
        }
    }
    Ok(Plan { file, warnings, estimates })
}

/// The names in order, each once.
fn unique<'a>(names: &'a [String], what: &str, warnings: &mut Vec<String>) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    let mut unique = Vec::new();
    for name in names.iter().map(|name| name.trim()) {
        match seen.insert(name) {
            true => unique.push(name),
            false => warnings.push(format!("{what} `{name}` is named twice and submitted once")),
        }
    }
    unique
}

fn pair(name: &str, wish: &Wish, registry: &Registry) -> Result<Pair> {
    let settings = Settings {
        base_url: wish.base_url.clone(),
        temperature: wish.temperature,
        max_tokens: wish.max_tokens,
        system_message: wish.system_message.clone(),
        reasoning_effort: wish.reasoning_effort.clone(),
    };
    let grader_url = wish.grader_base_url.as_deref().or(wish.base_url.as_deref());
    Ok(Pair {
        name: name.to_owned(),
        model: registry.config_with(name, &settings)?,
        grader: registry.grader(wish.grader.as_deref(), name, grader_url)?,
    })
}

/// Finds the data set, draws the samples, and makes sure that each can be read.
async fn choose(
    eval: &Eval,
    wish: &Wish,
    cache_dir: &Path,
    download: impl FnMut(u64, Option<u64>),
    warnings: &mut Vec<String>,
) -> Result<(DatasetRecord, Selection, Vec<Sample>)> {
    let rehearsal = wish.models.iter().all(|model| models::is_mock(model.trim()));
    let source = match wish.dataset.as_deref() {
        Some(text) => text.parse::<Source>()?,
        None if rehearsal && eval.dataset.embedded.is_some() => Source::Sample,
        None => eval.dataset.url.parse()?,
    };
    let named = || format!("data set `{source}` for `{}`", eval.name);
    let local = dataset::locate(&source, &eval.dataset, cache_dir, wish.offline, download).await?;
    let columns = eval.dataset.columns;
    let scan = dataset::scan(&local, columns)?;
    if let Some(published) = eval.dataset.sha256
        && source != Source::Sample
        && scan.sha256 != published
    {
        warnings.push(format!(
            "{} is not the published file: scores will not compare with published ones",
            named()
        ));
    }
    let limit = wish.limit.map(|limit| {
        if limit > scan.n_rows {
            warnings.push(format!(
                "{} has {} rows, not {limit}: all of them are taken",
                named(),
                scan.n_rows
            ));
        }
        limit.min(scan.n_rows)
    });
    let chosen = dataset::select(scan.n_rows, limit, wish.seed);
    let rows = dataset::load(&local, columns, &chosen, &scan)?;
    let samples = chosen.iter().zip(&rows);
    let samples = samples
        .map(|(number, row)| (eval.sample)(&number.to_string(), row).with_context(named))
        .collect::<Result<Vec<_>>>()?;
    let dataset = DatasetRecord {
        name: eval.dataset.name.to_owned(),
        source: source.to_string(),
        sha256: scan.sha256,
        rows: scan.n_rows,
    };
    let selection = Selection { limit, seed: wish.seed, sha256: dataset::ids_sha256(&chosen) };
    Ok((dataset, selection, samples))
}

/// `{eval}_{model}_{unix seconds}`, safe as a file name, and not yet in `file`.
fn task_id(file: &TaskFile, eval: &Eval, model: &str, created_at: f64) -> String {
    let seconds = created_at as u64;
    let stem = store::file_name(&format!("{}_{}", eval.name, model));
    let first = format!("{stem}_{seconds}");
    std::iter::once(first.clone())
        .chain((2..).map(|number| format!("{first}_{number}")))
        .find(|id| !file.tasks.contains_key(id))
        .expect("one of endlessly many is free")
}
