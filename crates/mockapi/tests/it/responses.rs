//! Responses: at once, in the background, and read back later.

use std::time::Duration;

use mockapi::{ApiError, Behaviour, Config, Fault, Faults, KEY_HEADER, Price, Reply, Usage};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::client::{Rig, json_of};

/// One request for sample 7.
fn ask(rig: &Rig, background: bool) -> RequestBuilder {
    let body = json!({"model": "mock/p100", "input": "2+2?", "background": background, "tools": [{"type": "web_search"}]});
    rig.post("/responses", &body).header(KEY_HEADER, "t/7/1/answer")
}

/// Starts a background response and gives its path.
async fn start(rig: &Rig) -> String {
    let body = json_of(ask(rig, true)).await;
    assert_eq!(body["status"], "queued");
    format!("/responses/{}", body["id"].as_str().unwrap())
}

async fn status_at(rig: &Rig, path: &str) -> Value {
    json_of(rig.get(path)).await["status"].clone()
}

fn last_text(body: &Value) -> &str {
    let message = body["output"].as_array().unwrap().last().unwrap();
    message["content"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn response_is_answered_at_once() {
    let rig = Rig::knowing(Config::default());
    let body = json_of(ask(&rig, false)).await;
    assert_eq!(body["status"], "completed");
    assert!(last_text(&body).contains("Exact Answer: target 7"));
    assert_eq!(rig.server.ledger().usage_by_model()["mock/p100"].searches, 1);
}

#[tokio::test]
async fn background_response_waits_for_its_client() {
    let rig = Rig::knowing(Config { background: Duration::MAX, ..Config::default() });
    let path = start(&rig).await;
    assert_eq!(status_at(&rig, &path).await, "queued");
    rig.server.change(|config| config.background = Duration::ZERO);
    let body = json_of(rig.get(&path)).await;
    assert_eq!(body["status"], "completed");
    assert!(last_text(&body).contains("Exact Answer: target 7"));
    let counts = rig.server.ledger().counts();
    assert_eq!((counts.requests, counts.billed, counts.polls), (1, 1, 2));
}

#[tokio::test]
async fn background_response_can_be_cancelled_and_deleted() {
    let rig = Rig::start(Config { background: Duration::MAX, ..Config::default() });
    let path = start(&rig).await;
    let cancelled = json_of(rig.post(&format!("{path}/cancel"), &json!({}))).await;
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(json_of(rig.delete(&path)).await["deleted"], true);
    assert_eq!(rig.get(&path).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn expired_response_is_404_in_the_form_of_the_api() {
    let rig = Rig::start(Config { retention: Duration::ZERO, ..Config::default() });
    let path = start(&rig).await;
    let reply = rig.get(&path).send().await.unwrap();
    assert_eq!(reply.status(), 404);
    assert_eq!(reply.json::<Value>().await.unwrap()["error"]["type"], "invalid_request_error");
}

#[tokio::test]
async fn background_response_may_end_in_a_failure_and_is_not_billed() {
    let others = vec![(Fault::Failed("server_error".into()), 1.0)];
    let rig = Rig::faulty(Faults { others, ..Faults::default() });
    let body = json_of(rig.get(&start(&rig).await)).await;
    assert_eq!(
        (&body["status"], &body["error"]["code"]),
        (&json!("failed"), &json!("server_error"))
    );
    assert_eq!(rig.server.ledger().counts().billed, 0);
}

#[tokio::test]
async fn polls_have_faults_of_their_own() {
    let poll_faults = Faults { always: Some(ApiError::overloaded(None)), ..Faults::default() };
    let rig = Rig::start(Config { poll_faults, ..Config::default() });
    let path = start(&rig).await;
    assert_eq!(rig.get(&path).send().await.unwrap().status(), 503);
    rig.server.change(|config| config.poll_faults = Faults::default());
    assert_eq!(status_at(&rig, &path).await, "completed");
}

#[tokio::test]
async fn answer_asked_for_twice_is_paid_for_twice() {
    let usage = Usage { input_tokens: 1000, output_tokens: 500, searches: 2, ..Usage::default() };
    let says = Behaviour::Says(Reply { usage: Some(usage), ..Reply::text("4") });
    let rig =
        Rig::start(Config { roles: [("mock/p100".to_owned(), says)].into(), ..Config::default() });
    for _ in 0..2 {
        json_of(ask(&rig, false)).await;
    }
    let ledger = rig.server.ledger();
    assert_eq!(ledger.paid_twice().iter().map(|key| &*key.sample).collect::<Vec<_>>(), ["7"]);
    let price = Price { input: 1.0, cached_input: 0.5, output: 10.0, search: 10.0 };
    let dollars = ledger.cost(&[("mock/p100".to_owned(), price)].into()).unwrap();
    assert!((dollars - 2.0 * (0.001 + 0.005 + 0.02)).abs() < 1e-9, "{dollars}");
}
