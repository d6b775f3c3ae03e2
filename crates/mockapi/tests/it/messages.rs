//! Anthropic's Messages API.

use mockapi::{ApiError, Config, Faults, KEY_HEADER};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::client::{Rig, json_of};

/// One request for sample 7, without the header for the version.
fn unversioned(rig: &Rig) -> RequestBuilder {
    let messages = json!([{"role": "user", "content": "2+2?"}]);
    let body = json!({"model": "claude", "max_tokens": 1000, "messages": messages});
    rig.post("/messages", &body).header(KEY_HEADER, "t/7/1/answer")
}

fn ask(rig: &Rig) -> RequestBuilder {
    unversioned(rig).header("anthropic-version", "2023-06-01")
}

#[tokio::test]
async fn message_is_answered_in_text_blocks() {
    let rig = Rig::knowing(Config::default());
    let reply = ask(&rig).send().await.unwrap();
    assert_eq!(reply.headers()["request-id"], "req_mock1");
    let body: Value = reply.json().await.unwrap();
    assert_eq!(body["stop_reason"], "end_turn");
    assert!(body["content"][0]["text"].as_str().unwrap().contains("Exact Answer: target 7"));
}

#[tokio::test]
async fn version_has_to_be_named() {
    let rig = Rig::start(Config::default());
    let body = json_of(unversioned(&rig)).await;
    assert_eq!(
        (&body["type"], &body["error"]["type"]),
        (&json!("error"), &json!("invalid_request_error"))
    );
}

#[tokio::test]
async fn key_comes_in_a_header_of_its_own() {
    let rig = Rig::start(Config { api_key: Some("sk-right".into()), ..Config::default() });
    assert_eq!(ask(&rig).bearer_auth("sk-right").send().await.unwrap().status(), 401);
    assert_eq!(ask(&rig).header("x-api-key", "sk-right").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn overload_is_529() {
    let always = Some(ApiError::overloaded(None));
    let rig = Rig::faulty(Faults { always, ..Faults::default() });
    let reply = ask(&rig).send().await.unwrap();
    assert_eq!(reply.status(), 529);
    assert_eq!(reply.json::<Value>().await.unwrap()["error"]["type"], "overloaded_error");
}
