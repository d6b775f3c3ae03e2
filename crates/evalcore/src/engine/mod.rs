//! How requests are made good: error classes, patience, and a lane per endpoint and model.
//!
//! The decisions are pure functions ([`classify`], [`backoff`]); a [`Lane`] carries them out.

mod backoff;
mod classify;
mod lane;

pub use self::backoff::{Patience, backoff};
pub use self::classify::{Class, classify};
pub use self::lane::{Answer, Call, Called, Errand, Lane, Shared, Unanswered};
