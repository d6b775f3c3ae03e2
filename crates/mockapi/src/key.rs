//! Which call of which sample a request belongs to, as its `X-Client-Request-Id` says.

use std::fmt;

/// The header that carries a [`SampleKey`].
pub const KEY_HEADER: &str = "x-client-request-id";

/// One call in the life of one sample.
///
/// Written `{task}/{sample}/{epoch}/{slot}`. The parts are percent-encoded, so that only the separators are slashes; a
/// task whose slashes are left as they are is read all the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleKey {
    /// The task's id.
    pub task: String,
    /// The sample's id, decoded.
    pub sample: String,
    /// The pass over the dataset, counted from 1.
    pub epoch: u32,
    /// The call: `answer`, or `grade.1`, `grade.2`, …
    pub slot: String,
}

impl SampleKey {
    /// Reads a header's text; `None` when it has another form, as with clients that send ids of their own.
    pub fn parse(text: &str) -> Option<SampleKey> {
        let mut parts = text.rsplitn(4, '/');
        let slot = parts.next().filter(|slot| !slot.is_empty())?.to_owned();
        let epoch = parts.next()?.parse().ok()?;
        let sample = decode(parts.next()?);
        let task = decode(parts.next()?);
        Some(SampleKey { task, sample, epoch, slot })
    }
}

impl fmt::Display for SampleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", encode(&self.task), encode(&self.sample), self.epoch, self.slot)
    }
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encoded = |byte| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(encoded).collect()
}

/// Undoes percent-encoding; a percent sign without two hex digits after it stands for itself.
fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1).and_then(hex), bytes.get(at + 2).and_then(hex)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high << 4 | low);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex(digit: &u8) -> Option<u8> {
    char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, &str, u32, &str)>) {
        let key = SampleKey::parse(text);
        let parts = key.as_ref().map(|key| (&*key.task, &*key.sample, key.epoch, &*key.slot));
        assert_eq!(parts, expected);
    }

    #[test]
    fn header_names_task_sample_epoch_and_slot() {
        check(
            "addition_gpt-4o_1795416900/7/2/grade.1",
            Some(("addition_gpt-4o_1795416900", "7", 2, "grade.1")),
        );
        check("t/a%2Fb%20%C3%BC/1/answer", Some(("t", "a/b ü", 1, "answer")));
        check("t/100%/1/answer", Some(("t", "100%", 1, "answer")));
        check("addition_mock/p80_1/7/1/answer", Some(("addition_mock/p80_1", "7", 1, "answer")));
    }

    #[test]
    fn foreign_ids_name_no_sample() {
        check("0b1f9a3e-1c1d-4f7e-9d5f-6a9a37f1a001", None);
        check("t/7/first/answer", None);
        check("7/1/answer", None);
        check("t/7/1/", None);
    }

    #[test]
    fn written_key_reads_back() {
        let key = SampleKey {
            task: "a/b".into(),
            sample: "ü %2F/".into(),
            epoch: 3,
            slot: "answer".into(),
        };
        assert_eq!(SampleKey::parse(&key.to_string()), Some(key));
    }
}
