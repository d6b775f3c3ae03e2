//! How requests are made good: error classes, patience, and a lane per endpoint and model.
//!
//! The decisions are pure functions ([`classify`], [`backoff`]) and a [`Budget`]; a [`Lane`] carries them out.

mod backoff;
mod budget;
mod classify;
mod lane;

pub use self::backoff::{Patience, backoff};
pub use self::budget::{Budget, NanoDollars, Reservation};
pub use self::classify::{Class, classify};
pub use self::lane::{Answer, Call, Lane, Unanswered};
