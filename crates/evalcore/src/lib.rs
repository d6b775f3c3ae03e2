//! Task model, journal, request engine and scoring behind `submit`, `run` and `poll`.
//!
//! The library takes plain values and returns plain values or errors: it parses no flags, reads no
//! environment but the cache folder's, installs no signal handler and prints nothing.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod clock;
pub mod dataset;
pub mod engine;
pub mod estimate;
pub mod evals;
pub mod http;
pub mod journal;
pub mod metrics;
pub mod models;
pub mod plan;
pub mod prompts;
pub mod providers;
pub mod random;
pub mod report;
pub mod runner;
pub mod sample;
pub mod store;
pub mod task;
pub mod text;
