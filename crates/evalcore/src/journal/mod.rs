//! The journal: what has been asked, answered and scored, as JSON Lines that only grow.
//!
//! ```text
//! {"type":"journal","format":1,"task_id":"…","dataset_sha256":"…"}
//! {"type":"reply","sample":"788","epoch":1,"slot":"answer","at":1795416901.5,"text":"…",…}
//! {"type":"sent","sample":"861","epoch":1,"slot":"answer","at":…,"id":"resp_…"}
//! {"type":"failed","sample":"861","epoch":1,"slot":"answer","at":…,"error":"HTTP 400 …"}
//! {"type":"scored","sample":"788","epoch":1,"at":…,"outcome":"correct","value":1.0,…}
//! ```
//!
//! Progress, counts, usage and results are derived from it. A last line that a crash cut short is
//! removed when the journal is opened; a bad line anywhere else is an error with its number.

mod commit;
mod open;
mod record;

pub use self::commit::Committer;
pub use self::open::{Opened, open, records_at};
pub use self::record::{
    FORMAT, FailedRecord, Header, LostRecord, OutcomeName, Record, ReplyRecord, ScoredRecord,
    SentRecord,
};
