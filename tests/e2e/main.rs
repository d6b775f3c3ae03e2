//! End-to-end tests: the real binaries, in a temporary folder, against a real server on loopback.
#![allow(missing_docs, unreachable_pub, reason = "test code")]

mod bad_input;
mod engine;
mod failures;
mod main_job;
mod poll;
mod stopping;
mod submit;
mod support;
