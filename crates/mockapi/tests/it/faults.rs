//! Faults and rate limits.

use std::time::Duration;

use mockapi::{ApiError, Config, Fate, Fault, Faults, Limits, Shape};
use serde_json::{Value, json};

use crate::client::Rig;

/// A server on which every request meets `fault`.
fn only(fault: Fault) -> Rig {
    Rig::faulty(Faults { others: vec![(fault, 1.0)], ..Faults::default() })
}

#[tokio::test]
async fn rate_limit_says_how_long_to_wait() {
    let retry_after = Some(Duration::from_millis(1500));
    let rig = Rig::faulty(Faults { rate_limited: 1.0, retry_after, ..Faults::default() });
    let reply = rig.chat("m", "1", "2+2?").send().await.unwrap();
    assert_eq!(reply.status(), 429);
    assert_eq!(
        (&reply.headers()["retry-after-ms"], &reply.headers()["retry-after"]),
        (&"1500".parse().unwrap(), &"2".parse().unwrap())
    );
}

#[tokio::test]
async fn server_heals_while_it_runs() {
    let rig =
        Rig::faulty(Faults { always: Some(ApiError::insufficient_quota()), ..Faults::default() });
    let (status, body) = rig.chat_status("m", "1").await;
    assert_eq!((status, &body["error"]["type"]), (429, &json!("insufficient_quota")));
    rig.server.change(|config| config.faults = Faults::default());
    assert_eq!(rig.chat_status("m", "1").await.0, 200);
}

#[tokio::test]
async fn script_gives_every_call_its_own_first_attempts() {
    let script = vec![
        Some(Fault::Error(ApiError::server_error())),
        None,
        Some(Fault::Error(ApiError::rate_limited(None))),
    ];
    let rig = Rig::faulty(Faults { script, ..Faults::default() });
    for sample in ["1", "2"] {
        for expected in [500, 200, 429, 200] {
            assert_eq!(rig.chat_status("m", sample).await.0, expected);
        }
    }
}

#[tokio::test]
async fn faults_of_one_model_leave_the_others_alone() {
    let down = Faults { server_error: 1.0, ..Faults::default() };
    let rig = Rig::start(Config {
        model_faults: [("down".to_owned(), down)].into(),
        ..Config::default()
    });
    assert_eq!(
        (rig.chat_status("down", "1").await.0, rig.chat_status("up", "1").await.0),
        (500, 200)
    );
}

#[tokio::test]
async fn dropped_body_breaks_off_and_is_billed() {
    let rig = Rig::faulty(Faults { dropped: 1.0, ..Faults::default() });
    let mut reply = rig.chat("m", "1", "2+2?").send().await.unwrap();
    let promised = reply.content_length().unwrap();
    let half = reply.chunk().await.unwrap().expect("the first half");
    assert!(!half.is_empty() && (half.len() as u64) < promised);
    assert!(reply.chunk().await.is_err());
    let record = &rig.server.ledger().records()[0];
    assert_eq!((record.fate, record.billed.is_some()), (Fate::Dropped, true));
}

#[tokio::test]
async fn truncated_json_is_a_complete_reply_and_is_billed() {
    let rig = Rig::faulty(Faults { truncated: 1.0, ..Faults::default() });
    let reply = rig.chat("m", "1", "2+2?").send().await.unwrap();
    let promised = reply.content_length().unwrap();
    let text = reply.text().await.unwrap();
    assert_eq!(text.len() as u64, promised);
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_err());
    assert_eq!(rig.server.ledger().counts().billed, 1);
}

#[tokio::test]
async fn hanging_request_is_in_flight_until_the_client_leaves() {
    let rig = Rig::faulty(Faults { hanging: 1.0, ..Faults::default() });
    let request = tokio::spawn(rig.chat("m", "1", "2+2?").send());
    let ledger = rig.server.ledger();
    ledger.wait_until(|counts| counts.settled == 1).await;
    assert_eq!((ledger.records()[0].fate, ledger.counts().in_flight), (Fate::Hanging, 1));
    request.abort();
    ledger.wait_until(|counts| counts.in_flight == 0).await;
    assert_eq!(ledger.counts().billed, 0);
}

#[tokio::test]
async fn closed_connection_brings_no_reply_and_is_billed() {
    let rig = only(Fault::Closed);
    assert!(rig.chat("m", "1", "2+2?").send().await.is_err());
    let record = &rig.server.ledger().records()[0];
    assert_eq!((record.fate, record.billed.is_some()), (Fate::Closed, true));
}

#[tokio::test]
async fn dripping_body_comes_whole_and_in_pieces() {
    let rig = only(Fault::Dripping(Duration::from_millis(1)));
    let mut reply = rig.chat("m", "1", "2+2?").send().await.unwrap();
    let first = reply.chunk().await.unwrap().unwrap();
    let mut body = first.to_vec();
    while let Some(chunk) = reply.chunk().await.unwrap() {
        body.extend_from_slice(&chunk);
    }
    assert!(first.len() < body.len());
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["model"], "m");
}

#[tokio::test]
async fn dripping_body_is_in_flight() {
    let rig = only(Fault::Dripping(Duration::from_secs(3600)));
    let reply = rig.chat("m", "1", "2+2?").send().await.unwrap();
    let ledger = rig.server.ledger();
    assert_eq!(ledger.counts().in_flight, 1);
    drop(reply);
    ledger.wait_until(|counts| counts.in_flight == 0).await;
}

#[tokio::test]
async fn failure_can_hide_in_a_200_and_is_not_billed() {
    for fault in [Fault::Error(ApiError::inside_200()), Fault::Failed("server_error".into())] {
        let rig = only(fault);
        let (status, body) = rig.chat_status("m", "1").await;
        assert_eq!(status, 200);
        assert!(body["error"]["message"].is_string() && body.get("choices").is_none());
        assert_eq!(rig.server.ledger().counts().billed, 0);
    }
}

#[tokio::test]
async fn proxy_error_is_a_page() {
    let rig = only(Fault::Error(ApiError::bad_gateway()));
    let reply = rig.chat("m", "1", "2+2?").send().await.unwrap();
    assert_eq!(
        (reply.status().as_u16(), &reply.headers()["content-type"]),
        (502, &"text/html".parse().unwrap())
    );
    assert!(reply.text().await.unwrap().starts_with("<html>"));
}

#[tokio::test]
async fn error_body_may_be_a_list() {
    let rig = only(Fault::Error(ApiError::overloaded(None).shaped(Shape::List)));
    let (status, body) = rig.chat_status("m", "1").await;
    assert_eq!((status, &body[0]["error"]["code"]), (503, &json!("server_is_overloaded")));
}

#[tokio::test]
async fn quota_ends_after_so_many_answers() {
    let rig = Rig::faulty(Faults { quota: Some(2), ..Faults::default() });
    for expected in [200, 200, 429, 429] {
        assert_eq!(rig.chat_status("m", "1").await.0, expected);
    }
    assert_eq!(rig.chat_status("other", "1").await.0, 200);
}

#[tokio::test]
async fn rate_limit_stands_in_headers_and_refuses_what_is_too_much() {
    let limits =
        Limits { requests_per_minute: Some(0.5), burst: Duration::ZERO, ..Limits::default() };
    let rig = Rig::start(Config { limits: Some(limits), ..Config::default() });
    let first = rig.chat("m", "1", "2+2?").send().await.unwrap();
    assert_eq!(
        (first.status().as_u16(), &first.headers()["x-ratelimit-reset-requests"]),
        (200, &"2m0s".parse().unwrap())
    );
    let second = rig.chat("m", "1", "2+2?").send().await.unwrap();
    assert_eq!(second.status(), 429);
    let wait: u64 = second.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=120).contains(&wait), "{wait}");
    let other = rig.chat("other", "1", "2+2?").send().await.unwrap();
    assert_eq!(other.status(), 200);
}
