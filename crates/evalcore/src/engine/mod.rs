//! How requests are made good: error classes, patience, and a lane per endpoint and model.
//!
//! The decisions are pure and know no clock: [`classify`] says what a failure means, [`Tries`] whether
//! and when to try again, [`Window`] how many requests may be in flight, [`Pace`] when the next may be
//! sent, [`Budget`] whether it can be paid. A [`Lane`] carries them out.

mod backoff;
mod bucket;
mod budget;
mod call;
mod classify;
mod count;
mod fetch;
mod lane;
mod pace;
mod purse;
#[cfg(test)]
mod simulated;
mod tries;
mod window;

pub use self::backoff::backoff;
pub use self::budget::{Budget, NanoDollars, Reservation};
pub use self::call::{Answer, Call, Called, Errand, Place, Shared, Unanswered};
pub use self::classify::{Class, classify};
pub use self::lane::Lane;
pub use self::pace::{Admit, Pace, PerMinute};
pub use self::purse::{Purse, Reserved, Unaccounted};
pub use self::tries::{Patience, Tries};
pub use self::window::{Window, Word};
