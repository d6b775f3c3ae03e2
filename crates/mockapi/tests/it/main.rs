//! The server as its clients see it, over HTTP.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod chat;
mod client;
mod faults;
mod messages;
mod responses;
