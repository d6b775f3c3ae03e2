//! The real binaries in a temporary folder.

mod poll;
