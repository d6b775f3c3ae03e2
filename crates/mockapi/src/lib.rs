//! An OpenAI-compatible server on loopback, for rehearsals, tests and benchmarks.
//!
//! It answers `POST /v1/chat/completions`, `/v1/responses` (in the background, too) and `/v1/messages` (Anthropic's) as
//! the real APIs do, over real HTTP, and can be told to fail in the ways in which real APIs fail. What was asked and what
//! was billed stands in its [`Ledger`].
//!
//! ```
//! let server = mockapi::MockServer::start(mockapi::Config::default())?;
//! assert!(server.base_url().starts_with("http://127.0.0.1:"));
//! assert_eq!(server.ledger().counts().requests, 0);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A request says which sample it belongs to in its `X-Client-Request-Id` (see [`SampleKey`]); an [`Oracle`] knows what
//! is right for it, so that `mock/p80` can answer about 80 % right and `mock/grader` can judge. [`Behaviour::of`] says
//! what each model does, [`Faults`] what goes wrong and how often.
//!
//! Parts: `server` is the thread and the routes, `app` a request's way through it, `deliver` how replies travel. `api`
//! chooses between the wire forms `chat`, `responses` and `messages`. `behaviour`, `answer`, `faults`, `limits` and `key`
//! are pure. `background` and `ledger` are what a server remembers.

mod answer;
mod api;
mod app;
mod background;
mod behaviour;
mod chat;
mod config;
mod deliver;
mod draw;
mod error;
mod faults;
mod key;
mod ledger;
mod limits;
mod messages;
mod record;
mod responses;
mod server;
mod text;
mod usage;

pub use behaviour::{Behaviour, Question, Reply, Stop};
pub use config::{Config, Oracle};
pub use error::{ApiError, Shape};
pub use faults::{Fault, Faults};
pub use key::{KEY_HEADER, SampleKey};
pub use ledger::Ledger;
pub use limits::Limits;
pub use record::{Counts, Fate, Record};
pub use server::MockServer;
pub use usage::{Price, Usage};
