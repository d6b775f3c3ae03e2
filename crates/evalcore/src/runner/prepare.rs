//! Before the first request: task file, data sets, journals.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};

use super::request::Bill;
use super::samples::Samples;
use super::work::Work;
use crate::dataset::{self, Row, Scan, Source};
use crate::evals;
use crate::journal::{self, Header, Record, ReplyRecord};
use crate::metrics;
use crate::sample::Protocol;
use crate::store::{self, lock::Lock};
use crate::task::{ModelConfig, Task, TaskFile, TaskStatus, TaskUsage};

/// A task file, locked, with all that is left to be done for it.
#[derive(Debug)]
pub struct Prepared {
    pub(super) path: PathBuf,
    pub(super) file: TaskFile,
    pub(super) work: Vec<Work>,
    pub(super) journals: Vec<(PathBuf, File)>,
    pub(super) lock: Lock,
}

impl Prepared {
    /// The task file behind any symlink.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many tasks there are, and how many of these have something left to be done.
    pub fn n_tasks(&self) -> (usize, usize) {
        (self.file.tasks.len(), self.work.len())
    }

    /// Every model that will be asked, graders included.
    pub fn models(&self) -> impl Iterator<Item = &ModelConfig> {
        self.work.iter().flat_map(Work::parties).map(|party| &*party.config)
    }
}

/// Reads the task file at `path`, locks it, and loads what its unfinished tasks need. A task that
/// cannot be taken up (its data set is gone or has changed, say) is marked as failed, and the
/// others go on.
///
/// # Errors
///
/// A task file or journal that cannot be read, or that another runner holds.
pub async fn prepare(path: &Path, cache_dir: &Path) -> Result<Prepared> {
    store::read(path)?;
    let path = store::resolve(path);
    let lock = Lock::take(&path)?;
    // Read again: until the lock was taken, another runner may have been writing.
    let mut file = store::read(&path)?;
    refuse_foreign(&file)?;
    let mut loader = Loader { cache_dir, loaded: HashMap::new() };
    let mut work = Vec::new();
    let mut journals = Vec::new();
    for task in file.tasks.values_mut().filter(|task| !is_done(task)) {
        let journal_path = store::journal_path(&path, &task.task_id);
        match loader.load(task, &journal_path).await {
            Ok(mut loaded) => {
                let file = replay(&mut loaded, task, &journal_path)?;
                task.output_files.insert("journal".into(), relative(&journal_path, &path));
                journals.push((journal_path, file));
                work.push(loaded);
            }
            Err(error) => {
                tracing::error!(task = task.task_id, "{error:#}");
                task.status = TaskStatus::Failed;
                task.error = Some(format!("{error:#}"));
            }
        }
    }
    Ok(Prepared { path, file, work, journals, lock })
}

/// Tasks of the older scripts are left as they are: they do not say what they would run on.
fn refuse_foreign(file: &TaskFile) -> Result<()> {
    if file.tasks.is_empty() {
        bail!("the task file has no tasks: `submit` some");
    }
    let foreign = |task: &&Task| task.format == 0 && !is_done(task);
    if let Some(task) = file.tasks.values().find(foreign) {
        bail!(
            "task `{}` names no data set or prompts, an older tool wrote it: ask for it anew with \
             `submit --eval {} --models {}`",
            task.task_id,
            task.eval_name,
            task.model_name
        );
    }
    Ok(())
}

/// Completed is a task that has an outcome for every sample, whatever its status claims.
fn is_done(task: &Task) -> bool {
    task.status == TaskStatus::Completed
        && (task.format == 0 || task.counts.done() == task.n_total())
}

type Chosen = (Arc<[String]>, Arc<[Row]>);

/// Loads data sets, each selection once.
struct Loader<'a> {
    cache_dir: &'a Path,
    loaded: HashMap<(String, Vec<usize>), Chosen>,
}

impl Loader<'_> {
    async fn load(&mut self, task: &Task, journal: &Path) -> Result<Work> {
        let n_replies = task.usage.model.replies + task.usage.grader.replies;
        if n_replies > 0 && !journal.exists() {
            bail!(
                "journal `{}` is missing, but {n_replies} replies have been paid for: restore it, or `submit` anew",
                journal.display(),
            );
        }
        let (Some(prompts), Some(_)) = (&task.prompts, &task.dataset) else {
            bail!("names no data set or prompts, an older tool wrote it: `submit` it anew");
        };
        let eval = evals::find(&task.eval_name)?;
        if task.grader.is_none() {
            bail!("names no grader, but `{}` needs one: `submit` it anew", eval.name);
        }
        let protocol = Protocol {
            eval,
            prompts: prompts.compile(eval.templates)?,
            system_message: task.model_config.system_message.clone(),
            grader_system_message: task.grader.as_ref().and_then(|it| it.system_message.clone()),
        };
        let chosen = self.rows(task, eval).await?;
        let n_total = chosen.0.len() * task.n_repeats as usize;
        Ok(Work::new(task, protocol, chosen, Samples::new(journal.to_owned(), n_total)))
    }

    async fn rows(&mut self, task: &Task, eval: &evals::Eval) -> Result<Chosen> {
        let (Some(record), Some(selection)) = (&task.dataset, &task.selection) else {
            bail!("names no data set or selection, an older tool wrote it: `submit` it anew");
        };
        let numbers = dataset::select(record.rows, selection.limit, selection.seed);
        if dataset::ids_sha256(&numbers) != selection.sha256
            || task.num_examples != Some(numbers.len())
        {
            bail!("`selection` was edited: it does not choose the samples that were submitted");
        }
        let key = (record.source.clone() + &record.sha256, numbers);
        if let Some(chosen) = self.loaded.get(&key) {
            return Ok(chosen.clone());
        }
        let source: Source = record.source.parse()?;
        let quiet = |_, _| {};
        let local = dataset::locate(&source, &eval.dataset, self.cache_dir, false, quiet).await?;
        let expected = Scan { sha256: record.sha256.clone(), n_rows: record.rows };
        let rows = dataset::load(&local, eval.dataset.columns, &key.1, &expected)?;
        let ids: Vec<String> = key.1.iter().map(usize::to_string).collect();
        let chosen = (Arc::from(ids), Arc::from(rows));
        self.loaded.insert(key, Chosen::clone(&chosen));
        Ok(chosen)
    }
}

/// A file as the task file names it: relative to the folder of the task file.
fn relative(file: &Path, task_file: &Path) -> String {
    let folder = task_file.parent().unwrap_or(Path::new(""));
    file.strip_prefix(folder).unwrap_or(file).display().to_string()
}

/// Opens the task's journal and brings `work` to where the journal ends.
fn replay(work: &mut Work, task: &Task, path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("create folder `{}`", folder.display()))?;
    }
    let header = Header {
        format: journal::FORMAT,
        task_id: task.task_id.clone(),
        dataset_sha256: task.dataset.as_ref().map(|it| it.sha256.clone()).unwrap_or_default(),
    };
    let ids = Arc::clone(&work.ids);
    let numbers: HashMap<&str, usize> =
        ids.iter().enumerate().map(|(number, id)| (id.as_str(), number)).collect();
    let number_of = |sample: &str, epoch: u32| {
        let number = numbers.get(sample).filter(|_| (1..=task.n_repeats).contains(&epoch));
        let number = number.ok_or_else(|| {
            anyhow!("sample `{sample}`, epoch {epoch}, is not one of this task's")
        })?;
        Ok::<usize, anyhow::Error>((epoch as usize - 1) * numbers.len() + number)
    };
    let opened = journal::open(path, &header, |record, offset| {
        match record {
            Record::Reply(reply) => {
                let ReplyRecord { slot, usage, cost, ref service_tier, .. } = reply;
                let bill = Bill::new(work.config_of(slot), usage, cost, service_tier.as_deref());
                work.count_bill(slot.role(), bill);
                work.samples.saw(number_of(&reply.sample, reply.epoch)?, offset);
            }
            Record::Sent(sent) => {
                work.samples.saw(number_of(&sent.sample, sent.epoch)?, offset);
            }
            Record::Lost(lost) => {
                work.samples.saw(number_of(&lost.sample, lost.epoch)?, offset);
            }
            Record::Failed(failed) => {
                work.samples.saw(number_of(&failed.sample, failed.epoch)?, offset);
            }
            Record::Scored(scored) => {
                let number = number_of(&scored.sample, scored.epoch)?;
                if work.samples.saw_outcome(number) {
                    metrics::count(&mut work.counts, scored.outcome);
                }
            }
            Record::Journal(_) => bail!("a second header"),
        }
        Ok(())
    })?;
    if opened.n_cut > 0 {
        tracing::warn!(
            "journal `{}`: its last line was cut short by a crash; {} bytes removed, that request is asked again",
            path.display(),
            opened.n_cut
        );
    }
    check_whole(work, task).with_context(|| format!("journal `{}`", path.display()))?;
    Ok(opened.file)
}

/// What the task file says was on disk before it said so, so a journal that holds less has lost it
/// to something else than a crash.
fn check_whole(work: &Work, task: &Task) -> Result<()> {
    let replies = |usage: &TaskUsage| usage.model.replies + usage.grader.replies;
    let (held, told) = (replies(&work.usage), replies(&task.usage));
    if held < told {
        bail!(
            "holds {held} replies, but {told} have been paid for: restore it, or, to pay again for what is \
             missing, take `usage` out of the task"
        );
    }
    Ok(())
}
