//! A key that cannot be printed.

use std::fmt;

use memchr::memmem;
use reqwest::header::HeaderValue;

use super::Failure;

/// Shorter keys are placeholders for servers that take any (`x`, `EMPTY`): no secrets, but words
/// that answers hold as well.
const SHORTEST_SECRET: usize = 8;

/// An API key. It shows itself as `***` and can be scrubbed from what servers send back.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Takes the key as the environment has it; blanks around it are dropped. None if nothing but
    /// asterisks is left.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.trim_matches('*').is_empty()).then(|| Self(text.to_owned()))
    }

    /// A header's value: the key after `scheme`.
    pub(super) fn header(&self, scheme: &str) -> Result<HeaderValue, Failure> {
        let mut value = HeaderValue::from_str(&format!("{scheme}{}", self.0)).map_err(|_| {
            Failure::Unsendable { reason: "the key holds characters no header can carry".into() }
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Whether `text` repeats the key.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        self.find(text).is_some()
    }

    /// Overwrites every occurrence of the key in `text` with asterisks.
    pub(super) fn scrub(&self, text: &mut [u8]) {
        let mut from = 0;
        while let Some(found) = self.find(&text[from..]) {
            let end = from + found + self.0.len();
            text[from + found..end].fill(b'*');
            from = end;
        }
    }

    fn find(&self, text: &[u8]) -> Option<usize> {
        match self.0.len() < SHORTEST_SECRET {
            true => None,
            false => memmem::find(text, self.0.as_bytes()),
        }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubbed(key: &str, text: &str) -> String {
        let key = ApiKey::new(key).expect("not empty");
        let mut text = text.as_bytes().to_vec();
        key.scrub(&mut text);
        String::from_utf8(text).expect("UTF-8")
    }

    #[test]
    fn a_key_shows_itself_as_asterisks() {
        let key = ApiKey::new(" sk-secret\n").expect("not empty");
        assert_eq!(format!("{key:?}"), "***");
        assert_eq!(ApiKey::new(" "), None);
    }

    #[test]
    fn every_occurrence_of_the_key_is_overwritten() {
        assert_eq!(
            scrubbed("sk-45678", "sk-45678 and sk-45678sk-456789"),
            "******** and ****************9"
        );
    }

    #[test]
    fn a_placeholder_leaves_answers_as_they_are() {
        assert_eq!(scrubbed("EMPTY", "the set is EMPTY"), "the set is EMPTY");
    }
}
