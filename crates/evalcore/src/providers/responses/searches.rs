//! Calls of the web search tool.

use serde_json::Value;

use crate::providers::Trace;

/// Adds all calls among `items` to the trace, and gives the number of those that are billed.
pub(super) fn searches(items: &[Value], trace: &mut Trace) -> u64 {
    let calls = items.iter().filter(|item| item["type"] == "web_search_call");
    calls.map(|item| u64::from(search(item, trace))).sum()
}

/// Adds a call of the search tool to the trace; whether it is billed: only searches are, opening
/// a page or looking into it is not.
fn search(item: &Value, trace: &mut Trace) -> bool {
    let action = &item["action"];
    match action["queries"].as_array().filter(|it| !it.is_empty()) {
        Some(queries) => queries.iter().for_each(|query| trace.add_query(query)),
        None => trace.add_query(&action["query"]),
    }
    for source in action["sources"].as_array().into_iter().flatten() {
        trace.add_source(&source["url"]);
    }
    trace.add_opened(&action["url"]);
    let is_search = action.is_null() || action["type"] == "search";
    let is_done = matches!(item["status"].as_str(), None | Some("completed"));
    is_search && is_done
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn searches_leave_a_trace_and_some_are_billed() {
        let call = |status: &str, action: Value| json!({"type": "web_search_call", "status": status, "action": action});
        let items = [
            call(
                "completed",
                json!({"type": "search", "query": "old", "queries": ["q1", "q2"],
                "sources": [{"type": "url", "url": "s1"}, {"type": "api", "name": "n"}]}),
            ),
            json!({"type": "web_search_call",
                "action": {"type": "search", "query": "q3", "queries": []}}),
            json!({"type": "web_search_call", "status": "completed"}),
            call("failed", json!({"type": "search", "query": "q4"})),
            call("completed", json!({"type": "open_page", "url": "u1"})),
            call("completed", json!({"type": "open_page", "url": null})),
            call("completed", json!({"type": "find_in_page", "url": "u2", "pattern": "p"})),
            call("dreaming", json!({"type": "swim"})),
            json!({"type": "message", "action": {"type": "search", "query": "q5"}}),
        ];
        let mut trace = Trace::default();
        assert_eq!(searches(&items, &mut trace), 3);
        let expected = Trace {
            queries: ["q1", "q2", "q3", "q4"].map(str::to_owned).to_vec(),
            sources: vec!["s1".into()],
            opened: vec!["u1".into(), "u2".into()],
            ..Trace::default()
        };
        assert_eq!(trace, expected);
    }
}
