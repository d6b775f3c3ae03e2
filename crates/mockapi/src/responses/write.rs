//! What a client gets, at once or later.

use serde_json::{Value, json};

use crate::{answer::Answer, behaviour::Stop};

/// How far the work on a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State<'a> {
    /// Waiting to be worked on.
    Queued,
    /// Being worked on.
    InProgress,
    /// Done: completed, or incomplete if the answer was cut off.
    Done,
    /// Ended in an error with this code.
    Failed(&'a str),
    /// Given up because the client said so.
    Cancelled,
}

/// The id of the response to request `number`.
pub(crate) fn id(number: u64) -> String {
    format!("resp_mock{number}")
}

/// Writes a response. Output and usage are there only when the work is done.
pub(crate) fn write(answer: &Answer, state: State<'_>) -> Vec<u8> {
    let incomplete = match answer.reply.stop {
        Stop::Finished => None,
        Stop::Length => Some("max_output_tokens"),
        Stop::ContentFilter => Some("content_filter"),
    };
    let status = match state {
        State::Queued => "queued",
        State::InProgress => "in_progress",
        State::Done if incomplete.is_some() => "incomplete",
        State::Done => "completed",
        State::Failed(_) => "failed",
        State::Cancelled => "cancelled",
    };
    let done = state == State::Done;
    let error = match state {
        State::Failed(code) => json!({"code": code, "message": "The model failed."}),
        _ => Value::Null,
    };
    let body = json!({
        "id": id(answer.number),
        "object": "response",
        "created_at": answer.created,
        "status": status,
        "background": answer.background,
        "error": error,
        "incomplete_details": incomplete.filter(|_| done).map(|reason| json!({"reason": reason})),
        "model": answer.model,
        "output": if done { output(answer) } else { Vec::new() },
        "service_tier": "default",
        "store": true,
        "usage": done.then(|| usage(answer)),
    });
    body.to_string().into_bytes()
}

/// Reasoning, then searches, then opened pages, then the message, if there is any.
fn output(answer: &Answer) -> Vec<Value> {
    let Answer { number, ref reply, .. } = *answer;
    let mut items =
        vec![json!({"id": format!("rs_mock{number}"), "type": "reasoning", "summary": []})];
    let searches = reply.queries.iter().map(|query| json!({"type": "search", "queries": [query]}));
    let opened = reply.opened.iter().map(|url| json!({"type": "open_page", "url": url}));
    for (index, action) in searches.chain(opened).enumerate() {
        let id = format!("ws_mock{number}_{index}");
        items.push(
            json!({"id": id, "type": "web_search_call", "status": "completed", "action": action}),
        );
    }
    let content = match (&reply.refusal, &reply.text) {
        (Some(refusal), _) => json!({"type": "refusal", "refusal": refusal}),
        (None, Some(text)) => json!({
            "type": "output_text", "text": text, "annotations": citations(text, &reply.opened), "logprobs": [],
        }),
        (None, None) => return items,
    };
    let status = if reply.stop == Stop::Finished { "completed" } else { "incomplete" };
    let id = format!("msg_mock{number}");
    items.push(json!({"id": id, "type": "message", "role": "assistant", "status": status, "content": [content]}));
    items
}

/// Every opened page is cited for the first line; indices count characters.
fn citations(text: &str, opened: &[String]) -> Vec<Value> {
    let end = text.lines().next().map_or(0, |line| line.chars().count());
    let citation = |url| json!({"type": "url_citation", "url": url, "title": "A page", "start_index": 0, "end_index": end});
    opened.iter().map(citation).collect()
}

fn usage(answer: &Answer) -> Value {
    let usage = answer.usage;
    json!({
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{behaviour::Reply, responses::read};

    const BODY: &str = r#"{"model": "m", "input": "2+2?", "tools": [{"type": "web_search"}]}"#;

    fn written(reply: Reply, state: State<'_>) -> Value {
        let answer = Answer::new(&read(BODY.as_bytes()).unwrap(), reply, 7, 0);
        serde_json::from_slice(&write(&answer, state)).unwrap()
    }

    #[test]
    fn searches_and_pages_come_before_the_message() {
        let reply =
            Reply { opened: vec!["https://a.example/".into()], ..Reply::text("Größe\nmore") };
        let body = written(Reply { queries: vec!["a".into(), "b".into()], ..reply }, State::Done);
        let kinds = body["output"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["type"].clone())
            .collect::<Vec<_>>();
        assert_eq!(
            kinds,
            ["reasoning", "web_search_call", "web_search_call", "web_search_call", "message"]
        );
        assert_eq!(body["output"][2]["action"], json!({"type": "search", "queries": ["b"]}));
        assert_eq!(
            body["output"][3]["action"],
            json!({"type": "open_page", "url": "https://a.example/"})
        );
        let citation = &body["output"][4]["content"][0]["annotations"][0];
        assert_eq!(
            (&citation["url"], &citation["end_index"]),
            (&json!("https://a.example/"), &json!(5))
        );
    }

    #[test]
    fn unfinished_response_has_no_output_and_no_usage() {
        let body = written(Reply::text("4"), State::Queued);
        assert_eq!(
            (&body["status"], &body["output"], &body["usage"]),
            (&json!("queued"), &json!([]), &Value::Null)
        );
    }

    #[test]
    fn cut_off_answer_is_incomplete() {
        let body = written(Reply::cut_off("4", Stop::ContentFilter), State::Done);
        assert_eq!(
            (&body["status"], &body["incomplete_details"]["reason"]),
            (&json!("incomplete"), &json!("content_filter"))
        );
        assert_eq!(body["output"].as_array().unwrap().last().unwrap()["content"][0]["text"], "4");
    }

    #[test]
    fn refusal_is_a_part_of_its_own_kind_and_nothing_is_no_message() {
        let body = written(Reply::refusal("no"), State::Done);
        let message = body["output"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(message["content"], json!([{"type": "refusal", "refusal": "no"}]));
        let body = written(Reply::empty(), State::Done);
        assert!(body["output"].as_array().unwrap().iter().all(|item| item["type"] != "message"));
    }

    #[test]
    fn failed_response_names_the_error() {
        let body = written(Reply::text("4"), State::Failed("server_error"));
        assert_eq!(
            (&body["status"], &body["error"]["code"]),
            (&json!("failed"), &json!("server_error"))
        );
    }
}
