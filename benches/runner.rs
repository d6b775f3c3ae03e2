//! What a run costs beside the requests themselves, as ratios in one run.
//!
//! `cargo bench --bench runner` compares `run` with a bare loop that sends the same requests with the
//! same client library and does nothing else. The mock server has a process of its own, so that its
//! work counts for neither side. `cargo bench --bench runner -- long` adds the memory of 100,000
//! samples, which takes some minutes.
#![allow(missing_docs)]

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use evalcore::dataset::cipher;
use evalcore::http;
use futures_util::{StreamExt, stream};
use mockapi::{Config, MockServer};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};

const RUN: &str = env!("CARGO_BIN_EXE_run");
const SUBMIT: &str = env!("CARGO_BIN_EXE_submit");
const POLL: &str = env!("CARGO_BIN_EXE_poll");

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", latency_ms] => serve(latency_ms.parse()?),
        ["bare", base_url, n_samples, concurrent] => {
            bare(base_url, n_samples.parse()?, concurrent.parse()?)
        }
        ["measure", folder, ref command @ ..] => measure(folder, command),
        _ => compare(words.contains(&"long")),
    }
}

fn compare(long: bool) -> Result<()> {
    cpu_per_sample()?;
    wall_time()?;
    memory(2_000)?;
    if long {
        memory_growth()?;
    }
    help()
}

/// 2,000 samples of two requests each, latency 0, 50 in flight.
fn cpu_per_sample() -> Result<()> {
    const N: usize = 2_000;
    let server = Server::start(0)?;
    let mut ratios = Vec::new();
    let (mut runs, mut bares) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        let folder = submitted(N, &server.base_url)?;
        let run = child(folder.path(), &[RUN, "--concurrent", "50"])?;
        let this = std::env::current_exe()?.display().to_string();
        let n = N.to_string();
        let bare = child(folder.path(), &[&this, "bare", &server.base_url, &n, "50"])?;
        ratios.push(run.cpu / bare.cpu);
        runs.push(run.cpu / N as f64 * 1e6);
        bares.push(bare.cpu / N as f64 * 1e6);
    }
    println!(
        "CPU per sample:  run {:.0} µs, bare loop {:.0} µs, ratio {:.2} (median of {})",
        median(&mut runs),
        median(&mut bares),
        median(&mut ratios),
        ratios.len()
    );
    Ok(())
}

/// 2,000 samples of two requests each, latency 200 ms, 200 in flight.
fn wall_time() -> Result<()> {
    const N: usize = 2_000;
    let server = Server::start(200)?;
    let folder = submitted(N, &server.base_url)?;
    let run = child(folder.path(), &[RUN, "--concurrent", "200"])?;
    let ideal = 2.0 * N as f64 * 0.2 / 200.0;
    println!(
        "wall time:       run {:.2} s, ideal {ideal:.2} s, ratio {:.2}",
        run.wall,
        run.wall / ideal
    );
    Ok(())
}

fn memory(n_samples: usize) -> Result<(f64, f64)> {
    let server = Server::start(0)?;
    let folder = submitted(n_samples, &server.base_url)?;
    let file = std::fs::metadata(folder.path().join("data.csv"))?.len() as f64 / 1e6;
    let run = child(folder.path(), &[RUN, "--concurrent", "50"])?;
    println!(
        "peak memory:     {:.1} MB for {n_samples} samples, data set {file:.1} MB",
        run.memory
    );
    Ok((run.memory, file))
}

fn memory_growth() -> Result<()> {
    let (small, small_file) = memory(1_000)?;
    let (large, large_file) = memory(100_000)?;
    let ratio = (large - small) / (large_file - small_file);
    println!("memory growth:   {ratio:.2} of the data set's growth");
    Ok(())
}

fn help() -> Result<()> {
    for program in [SUBMIT, RUN, POLL] {
        let mut times = Vec::new();
        for _ in 0..20 {
            let started = Instant::now();
            Command::new(program).arg("--help").stdout(Stdio::null()).status()?;
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        let name = Path::new(program).file_name().unwrap_or_default().display();
        println!("--help:          {name} {:.1} ms", median(&mut times));
    }
    Ok(())
}

/// A folder with a data set in BrowseComp's form and a task on it.
fn submitted(n_samples: usize, base_url: &str) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    let mut file = BufWriter::new(File::create(folder.path().join("data.csv"))?);
    writeln!(file, "problem,answer,problem_topic,canary")?;
    let canary = "BENCHMARK OF THE RUNNER ".repeat(5);
    for number in 0..n_samples {
        let problem = format!("Question {number}: {}", "which of these is it? ".repeat(24));
        let (problem, answer) =
            (cipher::encrypt(&problem, &canary), cipher::encrypt(&number.to_string(), &canary));
        writeln!(file, "{problem},{answer},Other,{canary}")?;
    }
    file.into_inner()?.sync_all()?;
    let status = Command::new(SUBMIT)
        .args(["--dataset", "data.csv", "--models", "m", "--grader", "grader", "--limit", "all"])
        .args(["--base-url", base_url])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    ensure!(status.success(), "submit failed");
    Ok(folder)
}

/// What a command took.
struct Cost {
    /// Seconds of user and system time.
    cpu: f64,
    /// Seconds.
    wall: f64,
    /// Peak resident memory in MB.
    memory: f64,
}

/// Runs a command under a process of its own, so that its figures are its own.
fn child(folder: &Path, command: &[&str]) -> Result<Cost> {
    let output = Command::new(std::env::current_exe()?)
        .args(["measure", &folder.display().to_string()])
        .args(command)
        .stderr(Stdio::inherit())
        .output()?;
    let cost: Value = serde_json::from_slice(&output.stdout).context("figures of a run")?;
    let figure = |name: &str| cost[name].as_f64().context("a figure");
    Ok(Cost { cpu: figure("cpu")?, wall: figure("wall")?, memory: figure("memory")? })
}

fn measure(folder: &str, command: &[&str]) -> Result<()> {
    let started = Instant::now();
    let status = Command::new(command[0])
        .args(&command[1..])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    ensure!(status.success(), "`{}` failed", command.join(" "));
    let wall = started.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
    println!("{}", json!({"cpu": cpu, "wall": wall, "memory": usage.max_rss() as f64 / 1e3}));
    Ok(())
}

/// The baseline: two requests per sample, one after the other, with bodies like those of a run.
fn bare(base_url: &str, n_samples: usize, concurrent: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = http::client(base_url)?;
        let url = format!("{base_url}/chat/completions");
        let answers = stream::iter(0..n_samples).map(|number| {
            let (client, url) = (client.clone(), url.clone());
            async move {
                for (model, size) in [("m", 30), ("grader", 90)] {
                    let text = format!("{number} {}", "which of these is it? ".repeat(size));
                    let body =
                        json!({"model": model, "messages": [{"role": "user", "content": text}]});
                    let answer: Value = client.post(&url).json(&body).send().await?.json().await?;
                    ensure!(answer["choices"][0]["message"]["content"].is_string());
                }
                Ok(())
            }
        });
        let mut answers = answers.buffer_unordered(concurrent);
        while let Some(answer) = answers.next().await {
            answer?;
        }
        Ok(())
    })
}

/// A mock server in a process of its own.
struct Server {
    child: Child,
    base_url: String,
}

impl Server {
    fn start(latency_ms: u64) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", &latency_ms.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut base_url = String::new();
        let stdout = child.stdout.take().context("the server's output")?;
        BufReader::new(stdout).read_line(&mut base_url)?;
        Ok(Self { child, base_url: base_url.trim().to_owned() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until its standard input ends.
fn serve(latency_ms: u64) -> Result<()> {
    let latency = Duration::from_millis(latency_ms);
    let server = MockServer::start(Config { latency, log: false, ..Config::default() })?;
    println!("{}", server.base_url());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
