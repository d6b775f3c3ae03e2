//! What a model did on the way to its answer: so that leaks of the data set can be looked for.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest list that is kept: more than a model makes, less than a broken server can.
const MAX_ENTRIES: usize = 1_000;

/// Searches of one reply, each list in order and without repetition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trace {
    /// What was searched for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queries: Vec<String>,
    /// URLs that searches found, where the server names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// URLs of pages that were opened or searched in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub opened: Vec<String>,
    /// Pages that the text refers to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub citations: Vec<Citation>,
}

/// A page that a text refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Citation {
    /// Its address.
    pub url: String,
    /// Its title, where the server names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

impl Trace {
    /// Nothing was searched, opened or cited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn add_query(&mut self, query: &Value) {
        add(&mut self.queries, query.as_str().map(str::to_owned));
    }

    pub(super) fn add_source(&mut self, url: &Value) {
        add(&mut self.sources, url.as_str().map(str::to_owned));
    }

    pub(super) fn add_opened(&mut self, url: &Value) {
        add(&mut self.opened, url.as_str().map(str::to_owned));
    }

    /// Adds those annotations that cite a page: flat ones, and Chat's, which are nested.
    pub(super) fn add_citations(&mut self, annotations: &Value) {
        for annotation in annotations.as_array().into_iter().flatten() {
            let fields = annotation.get("url_citation").unwrap_or(annotation);
            let citation = fields["url"].as_str().map(|url| Citation {
                url: url.to_owned(),
                title: fields["title"].as_str().map(str::to_owned),
            });
            add(&mut self.citations, citation);
        }
    }
}

fn add<T: PartialEq>(list: &mut Vec<T>, entry: Option<T>) {
    if let Some(entry) = entry
        && list.len() < MAX_ENTRIES
        && !list.contains(&entry)
    {
        list.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_text_and_what_is_there_is_not_added() {
        let mut trace = Trace::default();
        for query in [json!("a"), json!(null), json!("b"), json!(7), json!("a")] {
            trace.add_query(&query);
        }
        assert_eq!(trace.queries, ["a", "b"]);
        assert_eq!(serde_json::to_string(&trace).expect("JSON"), r#"{"queries":["a","b"]}"#);
    }

    #[test]
    fn citations_are_read_flat_and_nested() {
        let mut trace = Trace::default();
        trace.add_citations(&json!([
            {"type": "url_citation", "url": "u1", "title": "t", "start_index": 0, "end_index": 3},
            {"type": "url_citation", "url_citation": {"url": "u2"}},
            {"type": "file_citation", "file_id": "f"},
            "new",
        ]));
        trace.add_citations(&json!({"new": 1}));
        let urls: Vec<_> = trace.citations.iter().map(|it| it.url.as_str()).collect();
        assert_eq!(urls, ["u1", "u2"]);
        assert_eq!(trace.citations[0].title.as_deref(), Some("t"));
    }

    #[test]
    fn a_list_has_an_end() {
        let mut trace = Trace::default();
        for number in 0..2 * MAX_ENTRIES {
            trace.add_source(&json!(format!("u{number}")));
        }
        assert_eq!(trace.sources.len(), MAX_ENTRIES);
    }
}
