//! x

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod dataset;
pub mod http;
pub mod prompts;
pub mod random;
