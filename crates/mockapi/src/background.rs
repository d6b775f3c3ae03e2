//! Responses that live on in the server: a clock decides how far they are, whoever asks, and whether anyone does.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    answer::Answer,
    config::Config,
    responses::{self, State},
};

/// All background responses, by id.
#[derive(Debug, Default)]
pub(crate) struct Background(Mutex<HashMap<String, Stored>>);

#[derive(Debug)]
struct Stored {
    answer: Answer,
    /// The code of the error it ends in.
    failure: Option<String>,
    since: Instant,
    cancelled: bool,
}

/// What a client does with a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Poll {
    /// Looks at it.
    Read,
    /// Gives it up, unless it has ended.
    Cancel,
    /// Removes it.
    Delete,
}

impl Background {
    /// Takes in a response; it ends in `failure`, if there is one.
    pub(crate) fn keep(&self, answer: Answer, failure: Option<String>) {
        let stored = Stored { failure, since: Instant::now(), cancelled: false, answer };
        self.stored().insert(responses::id(stored.answer.number), stored);
    }

    /// The reply to `poll`; `None` when the response is not known, or not any more.
    pub(crate) fn poll(&self, poll: Poll, id: &str, config: &Config) -> Option<Vec<u8>> {
        let mut all = self.stored();
        let age = all.get(id)?.since.elapsed();
        if age >= config.retention {
            all.remove(id);
            return None;
        }
        if poll == Poll::Delete {
            all.remove(id);
            return Some(
                json!({"id": id, "object": "response", "deleted": true}).to_string().into_bytes(),
            );
        }
        let stored = all.get_mut(id)?;
        let ended = age >= config.background;
        stored.cancelled |= poll == Poll::Cancel && !ended;
        Some(responses::write(&stored.answer, stored.state(age, config.background)))
    }

    fn stored(&self) -> MutexGuard<'_, HashMap<String, Stored>> {
        self.0.lock().expect("no holder of the responses panics")
    }
}

impl Stored {
    /// Queued for the first quarter of `duration`, in progress for the rest.
    fn state(&self, age: Duration, duration: Duration) -> State<'_> {
        match &self.failure {
            _ if self.cancelled => State::Cancelled,
            _ if age < duration / 4 => State::Queued,
            _ if age < duration => State::InProgress,
            Some(code) => State::Failed(code),
            None => State::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{behaviour::Reply, responses::read};

    const ID: &str = "resp_mock7";

    fn kept(failure: Option<&str>) -> Background {
        let background = Background::default();
        let asked = read(br#"{"model": "m", "input": "2+2?"}"#).unwrap();
        background.keep(Answer::new(&asked, Reply::text("4"), 7, 0), failure.map(str::to_owned));
        background
    }

    fn status(background: &Background, poll: Poll, duration: Duration) -> Option<String> {
        let config = Config { background: duration, ..Config::default() };
        let body: serde_json::Value =
            serde_json::from_slice(&background.poll(poll, ID, &config)?).unwrap();
        Some(body["status"].as_str().unwrap_or("none").to_owned())
    }

    #[test]
    fn state_follows_the_age() {
        let (mut stored, minute) =
            (kept(None).0.into_inner().unwrap().remove(ID).unwrap(), Duration::from_secs(60));
        let at = |stored: &Stored, seconds| {
            format!("{:?}", stored.state(Duration::from_secs(seconds), minute))
        };
        assert_eq!(
            [0, 14, 15, 59, 60].map(|age| at(&stored, age)),
            ["Queued", "Queued", "InProgress", "InProgress", "Done"]
        );
        stored.failure = Some("server_error".into());
        assert_eq!(
            [59, 60].map(|age| at(&stored, age)),
            ["InProgress", "Failed(\"server_error\")"]
        );
        stored.cancelled = true;
        assert_eq!(at(&stored, 60), "Cancelled");
    }

    #[test]
    fn cancelling_ends_the_work_and_twice_is_harmless() {
        let background = kept(None);
        for _ in 0..2 {
            assert_eq!(
                status(&background, Poll::Cancel, Duration::MAX).as_deref(),
                Some("cancelled")
            );
        }
        assert_eq!(status(&background, Poll::Read, Duration::ZERO).as_deref(), Some("cancelled"));
    }

    #[test]
    fn completed_response_cannot_be_cancelled() {
        let background = kept(None);
        assert_eq!(status(&background, Poll::Cancel, Duration::ZERO).as_deref(), Some("completed"));
        assert_eq!(status(&background, Poll::Read, Duration::ZERO).as_deref(), Some("completed"));
    }

    #[test]
    fn deleted_and_expired_responses_are_gone() {
        let background = kept(None);
        assert!(status(&background, Poll::Delete, Duration::ZERO).is_some());
        assert_eq!(status(&background, Poll::Read, Duration::ZERO), None);
        let (background, expired) =
            (kept(None), Config { retention: Duration::ZERO, ..Config::default() });
        assert_eq!(background.poll(Poll::Read, ID, &expired), None);
    }
}
