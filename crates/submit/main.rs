//! `submit`: flags to plan to task file.

mod estimate;
mod list;
mod summary;
mod words;

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use evalcore::models::Registry;
use evalcore::plan::{Wish, plan};
use evalcore::{dataset, store, text};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

/// Write down evaluation tasks: one per eval and model, in a new file that `run` works off.
///
/// Everything is checked before anything is written: names, data set, prompts. Nothing is asked of
/// any model, so `submit` costs nothing and needs no key.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Flags {
    /// Evals to run, separated by commas (see --list-evals)
    #[arg(
        long = "eval",
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "browsecomp"
    )]
    evals: Vec<String>,

    /// Models to ask, separated by commas: a listed name (see --list-models), NAME+search for NAME
    /// with web search, or any name that the server knows
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "gpt-4o,gpt-3.5-turbo"
    )]
    models: Vec<String>,

    /// How many samples to draw from the data set, or `all`
    #[arg(long, value_name = "N", default_value = "10", value_parser = limit, allow_negative_numbers = true)]
    limit: Limit,

    /// Seed of the draw; 0 draws the samples that openai/simple-evals draws
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = seed, allow_negative_numbers = true)]
    seed: u64,

    /// How often each sample is asked (epochs)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000), allow_negative_numbers = true)]
    n_repeats: u32,

    /// Where task files go
    #[arg(long, value_name = "DIR", default_value = "async_results")]
    output_dir: PathBuf,

    /// The data set: a file, a URL, or `sample` for the small embedded one
    /// [default: the eval's own; `sample` if every model is a mock/... model]
    #[arg(long, value_name = "PATH|URL|sample")]
    dataset: Option<String>,

    /// Never touch the network: the data set must be a file or in the cache
    #[arg(long)]
    offline: bool,

    /// Models of your own: names, addresses, keys' variables, prices, settings
    /// [default: models.toml beside --output-dir, if it is there]
    #[arg(long, value_name = "FILE")]
    models_file: Option<PathBuf>,

    /// The model that judges answers [default: gpt-4.1-2025-04-14, temperature 0.5, at most 2048
    /// tokens; mock/grader for mock/... models]
    #[arg(long, value_name = "MODEL")]
    grader: Option<String>,

    /// Where the models are, and the grader too [default: $OPENAI_BASE_URL when `run` starts, else
    /// OpenAI]
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,

    /// Where the grader is, if it is elsewhere
    #[arg(long, value_name = "URL")]
    grader_base_url: Option<String>,

    /// Templates in place of the built-in ones: a folder of template files, or a checkout of
    /// openai/simple-evals
    #[arg(long, value_name = "DIR")]
    prompts: Option<PathBuf>,

    /// Sampling temperature for the models, 0 to 2 [default: what the model's entry says, else not
    /// sent]
    #[arg(long, value_name = "T", value_parser = temperature, allow_negative_numbers = true)]
    temperature: Option<f64>,

    /// Limit on output tokens for the models, reasoning included [default: what the model's entry
    /// says, else not sent]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    max_tokens: Option<u32>,

    /// A system message for the models [default: what the model's entry says, else none]
    #[arg(long, value_name = "TEXT")]
    system_message: Option<String>,

    /// Reasoning effort for the models: none, minimal, low, medium, high, ...; each model takes some
    /// of these [default: what the model's entry says, else not sent]
    #[arg(long, value_name = "EFFORT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reasoning_effort: Option<String>,

    /// Show what this will probably take in requests, tokens and dollars, and write no task
    #[arg(long)]
    estimate: bool,

    /// Show the evals there are, and write nothing
    #[arg(long)]
    list_evals: bool,

    /// Show the models there are, with prices and ends, and write nothing
    #[arg(long)]
    list_models: bool,

    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  submit --models mock/p80,mock/p50            a rehearsal: no key, no network, no cost
  submit --eval browsecomp --models gpt-4o --limit 10 --estimate
  submit --eval browsecomp --models gpt-4o --limit 10
  submit --models llama3.3 --base-url http://localhost:11434/v1 --grader llama3.3

Exit codes: 0 written, 1 error, 2 wrong usage.";

#[derive(Debug, Clone, Copy)]
struct Limit(Option<usize>);

fn limit(text: &str) -> Result<Limit, String> {
    match (text, text.parse()) {
        ("all", _) => Ok(Limit(None)),
        (_, Ok(0)) => Err("0 samples are none: give a number from 1, or `all`".into()),
        (_, Ok(limit)) => Ok(Limit(Some(limit))),
        _ => Err("give a number from 1, or `all`".into()),
    }
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("give a whole number from 0 to {}", u64::MAX))
}

fn temperature(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|temperature| (0.0..=2.0).contains(temperature))
        .ok_or_else(|| "give a number from 0 to 2".into())
}

fn main() -> ExitCode {
    match submit(Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = format!("{error:#}");
            let _ = writeln!(std::io::stderr(), "error: {}", text::printable(&error));
            ExitCode::FAILURE
        }
    }
}

fn submit(flags: Flags) -> Result<()> {
    if flags.list_evals {
        return write(&list::evals(flags.json));
    }
    let registry = registry(flags.models_file.as_deref(), &flags.output_dir)?;
    if flags.list_models {
        return write(&list::models(&registry, flags.json));
    }
    let wish = Wish {
        evals: flags.evals,
        models: flags.models,
        limit: flags.limit.0,
        seed: flags.seed,
        n_repeats: flags.n_repeats,
        dataset: flags.dataset,
        offline: flags.offline,
        grader: flags.grader,
        base_url: flags.base_url,
        grader_base_url: flags.grader_base_url,
        prompts: flags.prompts,
        temperature: flags.temperature,
        max_tokens: flags.max_tokens,
        system_message: flags.system_message,
        reasoning_effort: flags.reasoning_effort,
        estimate: flags.estimate,
    };
    let cache_dir = dataset::default_cache_dir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bar = download_bar();
    let now = chrono::Local::now().naive_local();
    let on_download = |n_bytes, n_total| {
        if let Some(n_total) = n_total {
            bar.set_length(n_total);
        }
        bar.set_position(n_bytes);
    };
    let planned = plan(&wish, &registry, &cache_dir, now.date(), on_download);
    let plan = runtime.block_on(planned)?;
    bar.finish_and_clear();
    for warning in &plan.warnings {
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
    if flags.estimate {
        return match flags.json {
            true => write_json(&estimate::json(&plan)),
            false => write(&estimate::text(&plan)),
        };
    }
    let created = store::create(&flags.output_dir, &plan.file, now)?;
    if let Some(warning) = &created.warning {
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
    let next = next_command(&flags.output_dir, &created.path, created.warning.is_none());
    match flags.json {
        true => write_json(&summary::json(&plan, &created.path, &next)),
        false => write(&summary::text(&plan, &created.path, &next)),
    }
}

/// The models there are: with the file that was named, or the one beside `output_dir`.
fn registry(models_file: Option<&Path>, output_dir: &Path) -> Result<Registry> {
    if let Some(path) = models_file {
        return Registry::with_file(path);
    }
    let path = output_dir.parent().unwrap_or(output_dir).join("models.toml");
    match path.is_file() {
        true => Registry::with_file(&path),
        false => Ok(Registry::embedded()),
    }
}

/// Shown on terminals only; indicatif stays silent elsewhere.
fn download_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("downloading data set {bytes}/{total_bytes} {bar:30}");
    ProgressBar::new(0).with_style(style.expect("template is valid"))
}

/// The command to type next, spelt as this program was called.
fn next_command(output_dir: &Path, task_file: &Path, is_latest: bool) -> String {
    let this = std::env::args().next().unwrap_or_default();
    let run = match Path::new(&this).parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => folder.join("run").display().to_string(),
        None => "run".to_owned(),
    };
    match (output_dir == Path::new("async_results"), is_latest) {
        (true, true) => run,
        (false, true) => {
            format!("{run} --tasks {}", output_dir.join("latest_tasks.json").display())
        }
        (_, false) => format!("{run} --tasks {}", task_file.display()),
    }
}

fn write_json(document: &Value) -> Result<()> {
    write(&format!("{document:#}\n"))
}

/// A reader that has gone away is no error.
fn write(text: &str) -> Result<()> {
    match stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("write to standard output"),
    }
}
