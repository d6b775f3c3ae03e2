//! Chat completions, and what the ledger makes of them.

use std::time::Duration;

use mockapi::{Behaviour, Config, Counts, Fate, Faults, MockServer, Reply};
use serde_json::json;

use crate::client::{Rig, json_of};

#[tokio::test]
async fn solver_answers_and_grader_judges() {
    let rig = Rig::knowing(Config::default());
    let right = rig.say("mock/p100", "7", "2+2?").await;
    assert!(right.contains("\nExact Answer: target 7\n"), "{right}");
    let wrong = rig.say("mock/p0", "7", "2+2?").await;
    for (answer, verdict) in [(right, "correct: yes"), (wrong, "correct: no")] {
        let grade =
            rig.say("mock/grader", "7", &format!("Judge this.\n[response]: {answer}")).await;
        assert!(grade.contains(verdict), "{grade}");
    }
}

#[tokio::test]
async fn reply_carries_usage_and_a_request_id() {
    let rig = Rig::start(Config::default());
    let reply = rig.chat("m", "1", "2+2?").send().await.unwrap();
    assert_eq!(reply.headers()["x-request-id"], "req_mock1");
    let body: serde_json::Value = reply.json().await.unwrap();
    assert_eq!(
        (&body["object"], &body["usage"]["prompt_tokens"]),
        (&json!("chat.completion"), &json!(1))
    );
}

#[tokio::test]
async fn ledger_tells_samples_apart() {
    let rig = Rig::start(Config::default());
    for sample in ["1", "2", "1"] {
        rig.say("m", sample, "2+2?").await;
    }
    let by_sample = rig.server.ledger().billed_by_key();
    assert_eq!(
        by_sample.iter().map(|(key, n)| (&*key.sample, *n)).collect::<Vec<_>>(),
        [("1", 2), ("2", 1)]
    );
}

#[tokio::test]
async fn unknown_mock_model_and_unknown_path_are_404() {
    let rig = Rig::start(Config::default());
    let (status, body) = rig.chat_status("mock/xyz", "1").await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("model_not_found")));
    assert_eq!(rig.get("/nowhere").send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn wrong_request_is_400_and_not_billed() {
    let rig = Rig::start(Config::default());
    let reply = rig.post("/chat/completions", &json!({"model": "m"})).send().await.unwrap();
    assert_eq!(reply.status(), 400);
    assert_eq!(rig.server.ledger().counts().billed, 0);
    assert_eq!(rig.server.ledger().records()[0].fate, Fate::Sent(400));
}

#[tokio::test]
async fn wrong_key_is_401_and_echoed() {
    let rig = Rig::start(Config { api_key: Some("sk-right".into()), ..Config::default() });
    let reply = rig.chat("m", "1", "2+2?").bearer_auth("sk-wrong").send().await.unwrap();
    assert_eq!(reply.status(), 401);
    assert!(reply.text().await.unwrap().contains("sk-wrong"));
    assert_eq!(
        rig.chat("m", "1", "2+2?").bearer_auth("sk-right").send().await.unwrap().status(),
        200
    );
}

#[tokio::test]
async fn client_that_leaves_before_the_answer_is_not_billed() {
    let rig = Rig::start(Config { latency: Duration::from_secs(3600), ..Config::default() });
    let request = tokio::spawn(rig.chat("m", "1", "2+2?").send());
    let ledger = rig.server.ledger();
    ledger.wait_for_requests(1).await;
    request.abort();
    ledger.wait_until(|counts| counts.in_flight == 0).await;
    let record = &ledger.records()[0];
    assert_eq!((record.fate, record.billed), (Fate::Abandoned, None));
}

#[tokio::test]
async fn peak_counts_requests_at_the_same_time() {
    let rig = Rig::faulty(Faults { hanging: 1.0, ..Faults::default() });
    let requests =
        (0..5).map(|_| tokio::spawn(rig.chat("m", "1", "2+2?").send())).collect::<Vec<_>>();
    let ledger = rig.server.ledger();
    ledger.wait_for_requests(5).await;
    requests.iter().for_each(tokio::task::JoinHandle::abort);
    ledger.wait_until(|counts| counts.in_flight == 0).await;
    let counts =
        Counts { requests: 5, settled: 5, billed: 0, in_flight: 0, peak_in_flight: 5, polls: 0 };
    assert_eq!(ledger.counts(), counts);
}

#[tokio::test]
async fn canned_refusal_is_passed_on() {
    let says = Behaviour::Says(Reply::refusal("I cannot help with that."));
    let rig = Rig::start(Config { roles: [("m".to_owned(), says)].into(), ..Config::default() });
    let message = &json_of(rig.chat("m", "1", "2+2?")).await["choices"][0]["message"];
    assert_eq!(
        (&message["content"], &message["refusal"]),
        (&json!(null), &json!("I cannot help with that."))
    );
}

#[tokio::test]
async fn models_are_listed() {
    let roles = [("m".to_owned(), Behaviour::Grader)].into();
    let rig = Rig::start(Config { roles, ..Config::default() });
    let body = json_of(rig.get("/models")).await;
    let ids = body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect::<Vec<_>>();
    assert_eq!(ids, ["mock/grader", "mock/p50", "mock/p80", "mock/p100", "m"]);
}

#[tokio::test]
async fn port_is_free_again_after_a_drop() {
    let server = MockServer::start(Config::default()).unwrap();
    let port =
        server.base_url().trim_end_matches("/v1").rsplit(':').next().unwrap().parse().unwrap();
    assert!(MockServer::start(Config { port, ..Config::default() }).is_err());
    drop(server);
    assert!(MockServer::start(Config { port, ..Config::default() }).is_ok());
}
