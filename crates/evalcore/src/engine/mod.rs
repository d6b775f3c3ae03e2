//! How requests are made good: error classes, patience, and a lane per endpoint and model.
//!
//! The decisions are pure: functions ([`classify`], [`backoff`]) and controllers that are told the time ([`Window`],
//! [`Pace`], [`Budget`]). A [`Lane`] carries them out.

mod backoff;
mod bucket;
mod budget;
mod classify;
mod count;
mod lane;
mod pace;
#[cfg(test)]
mod simulated;
mod window;

pub use self::backoff::{Patience, backoff};
pub use self::budget::{Budget, NanoDollars, Reservation};
pub use self::classify::{Class, classify};
pub use self::lane::{Answer, Call, Lane, Unanswered};
pub use self::pace::{Admit, Pace, PerMinute, RateLimits, Ticket};
pub use self::window::{Place, Window, Word};
