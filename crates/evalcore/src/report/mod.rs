//! Views of finished and unfinished work.
//!
//! [`status`] draws what is known out of a task file as plain values, which are the JSON view;
//! [`lines`] puts them into words for a terminal. Both are pure: the caller reads the file, the
//! lock and the clock.

pub mod lines;
mod spent;
pub mod status;
mod table;
mod words;
