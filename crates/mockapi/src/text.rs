//! Text as the APIs take it: a string, null, or a list of parts.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};

/// A message's text; borrows from the request where nothing has to be unescaped. Of parts, those that have a `text`
/// count; other parts (images, files) are passed over.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

/// A message, as all APIs write one.
#[derive(Debug, Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow, default)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Text<'a>,
}

impl<'a> Message<'a> {
    /// A user's message.
    pub(crate) fn of_user(text: Cow<'a, str>) -> Message<'a> {
        Message { role: Cow::Borrowed("user"), content: Text(text) }
    }

    /// Who says it.
    pub(crate) fn role(&self) -> &str {
        &self.role
    }

    /// Bytes of text in all `messages`.
    pub(crate) fn len_of(messages: &[Message<'_>]) -> usize {
        messages.iter().map(|message| message.content.0.len()).sum()
    }

    /// The last user message's text; empty if there is none.
    pub(crate) fn last_of_user(messages: Vec<Message<'a>>) -> Cow<'a, str> {
        let last = messages.into_iter().rfind(|message| message.role == "user");
        last.map(|message| message.content.0).unwrap_or_default()
    }
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, null or a list of parts")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Text<'de>, A::Error> {
        let mut joined = Cow::Borrowed("");
        while let Some(Part { text }) = parts.next_element()? {
            joined += text.0;
        }
        Ok(Text(joined))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Option<&str>) {
        let text = serde_json::from_str::<Text<'_>>(json).ok();
        assert_eq!(text.as_ref().map(|text| &*text.0), expected);
    }

    #[test]
    fn strings_and_parts_are_text() {
        check(r#""2+2?""#, Some("2+2?"));
        check(r#""a\nb""#, Some("a\nb"));
        check("null", Some(""));
        check(
            r#"[{"type":"text","text":"a"},{"type":"image_url","image_url":{}},{"text":"b"}]"#,
            Some("ab"),
        );
        check("7", None);
    }
}
