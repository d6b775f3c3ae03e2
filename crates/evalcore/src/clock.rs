//! The wall clock, as files record it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in Unix seconds with a fraction.
pub fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}
