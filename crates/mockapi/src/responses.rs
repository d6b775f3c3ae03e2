//! The wire form of `POST /responses`, and of what is read back of a response later.

mod read;
mod write;

pub(crate) use read::read;
pub(crate) use write::{State, id, write};
