//! A key that cannot be printed.

use std::fmt;

use memchr::memmem;
use reqwest::header::HeaderValue;

use super::Failure;

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

    /// The `Authorization` header.
    pub(super) fn bearer(&self) -> Result<HeaderValue, Failure> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0)).map_err(|_| {
            Failure::Unsendable {
                reason: "the key holds characters no header can carry".into(),
            }
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Overwrites every occurrence of the key in `text` with asterisks.
    pub(super) fn scrub(&self, text: &mut [u8]) {
        while let Some(start) = memmem::find(text, self.0.as_bytes()) {
            text[start..start + self.0.len()].fill(b'*');
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

    #[test]
    fn a_key_shows_itself_as_asterisks() {
        let key = ApiKey::new(" sk-secret\n").expect("not empty");
        assert_eq!(format!("{key:?}"), "***");
        assert_eq!(ApiKey::new(" "), None);
    }

    #[test]
    fn every_occurrence_of_the_key_is_overwritten() {
        let key = ApiKey::new("sk-1").expect("not empty");
        let mut text = b"sk-1 and sk-1sk-12".to_vec();
        key.scrub(&mut text);
        assert_eq!(text, b"**** and ********2");
    }
}
