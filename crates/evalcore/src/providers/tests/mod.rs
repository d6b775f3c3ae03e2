//! Requests over a real connection, and what is made of their answers.

mod table;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::*;

const KEY: &str = "sk-123456789";
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that answers one request with `status`, `headers` and `body`, and the request it got.
fn serve(status: u16, headers: &'static str, body: &'static str) -> (Endpoint, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base_url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !is_whole(&request) {
            let n_read = stream.read(&mut buffer).expect("a request");
            assert!(n_read > 0, "the request ends early");
            request.extend_from_slice(&buffer[..n_read]);
        }
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n");
        stream.write_all(format!("{head}{body}").as_bytes()).expect("sent");
        String::from_utf8(request).expect("text")
    });
    let endpoint = Endpoint {
        client: crate::http::client(&base_url).expect("a client"),
        base_url,
        key: ApiKey::new(KEY),
        key_header: KeyHeader::Bearer,
        organization: None,
        project: None,
    };
    (endpoint, server)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().expect("a length"))
}

fn responses(background: bool) -> ModelConfig {
    ModelConfig {
        model: "m".into(),
        api: Api::Responses,
        background,
        tools: vec![json!({"type": "web_search"})],
        headers: [("x-team".to_owned(), "evals".to_owned())].into_iter().collect(),
        ..ModelConfig::default()
    }
}

fn question() -> [Message; 1] {
    [Message { role: "user", content: "Which river did the painter cross?".into() }]
}

#[tokio::test]
async fn a_background_request_is_pending_as_soon_as_it_is_taken() {
    let (endpoint, server) = serve(200, "", r#"{"id": "resp_1", "status": "queued"}"#);
    let asked = ask(&endpoint, &responses(true), &question(), "t/0/1/answer", PATIENCE).await;
    let id = "resp_1".into();
    assert_eq!(asked, Ok(Asked::Pending { id }));
    let request = server.join().expect("a request");
    assert!(request.starts_with("POST /v1/responses HTTP/1.1\r\n"), "{request}");
    for part in [
        "authorization: Bearer sk-123456789\r\n",
        "content-type: application/json\r\n",
        "x-client-request-id: t/0/1/answer\r\n",
        "x-team: evals\r\n",
        r#""background":true,"store":true,"#,
    ] {
        assert!(request.contains(part), "{part} in {request}");
    }
}

#[tokio::test]
async fn a_response_is_fetched_with_its_sources() {
    let body = r#"{"status": "completed", "output": []}"#;
    let (endpoint, server) = serve(200, "x-request-id: req_1\r\n", body);
    let asked = retrieve(&endpoint, &responses(true), "resp_1=", PATIENCE).await;
    let Ok(Asked::Reply(reply)) = asked else { panic!("a reply") };
    assert_eq!(reply.request_id.as_deref(), Some("req_1"));
    let request = server.join().expect("a request");
    let line = "GET /v1/responses/resp_1%3D?include[]=web_search_call.action.sources HTTP/1.1\r\n";
    assert!(request.starts_with(line), "{request}");
    assert!(request.contains("x-team: evals\r\n"), "{request}");
}

#[tokio::test]
async fn what_has_ended_or_gone_is_as_good_as_cancelled() {
    for status in [200, 400, 404, 409] {
        let (endpoint, server) = serve(status, "", "{}");
        let cancelled = cancel(&endpoint, &responses(true), "resp_1", PATIENCE).await;
        assert_eq!(cancelled, Ok(()), "{status}");
        let request = server.join().expect("a request");
        assert!(request.starts_with("POST /v1/responses/resp_1/cancel "), "{request}");
    }
    let (endpoint, _server) = serve(401, "", "{}");
    let cancelled = cancel(&endpoint, &responses(true), "resp_1", PATIENCE).await;
    assert!(cancelled.is_err());
}

#[tokio::test]
async fn neither_key_nor_question_comes_back_with_an_error() {
    let (endpoint, _server) = serve(
        400,
        "x-request-id: for-sk-123456789\r\n",
        r#"{"error": {"message": "sk-123456789 asks: Which river did the painter cross?"}}"#,
    );
    let asked = ask(&endpoint, &responses(false), &question(), "r", PATIENCE).await;
    let Err(Failure::Status(error)) = asked else { panic!("an error") };
    let expected = "************ asks: [the prompt, as the server repeats it, is left out]";
    assert_eq!((error.message.as_str(), error.request_id), (expected, None));
}

#[test]
fn answers_and_errors_carry_what_their_headers_say() {
    let headers: HeaderMap = [
        ("request-id", "req_1"),
        ("x-ratelimit-remaining-tokens", "7"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ]
    .into_iter()
    .map(|(name, value)| {
        let value = HeaderValue::from_static(value);
        (HeaderName::from_static(name), value)
    })
    .collect();
    let limits = RateLimits {
        remaining_tokens: Some(7),
        reset_tokens: Some(Duration::from_secs(360)),
        ..RateLimits::default()
    };
    let decoded = |status, body: Value| {
        let answer =
            Answer { status, headers: headers.clone(), body: body.to_string().into_bytes() };
        decode(Api::Chat, &answer)
    };
    let Ok(Asked::Reply(reply)) = decoded(200, json!({"choices": [{"message": {"content": "4"}}]}))
    else {
        panic!("a reply")
    };
    assert_eq!((reply.request_id.as_deref(), reply.limits), (Some("req_1"), limits));
    for status in [200, 500] {
        let Err(Failure::Status(error)) = decoded(status, json!({"error": {"message": "m"}}))
        else {
            panic!("an error")
        };
        assert_eq!((error.request_id.as_deref(), error.limits), (Some("req_1"), limits));
    }
}

#[test]
fn settings_that_no_request_can_carry_are_found_beforehand() {
    let found = |config: ModelConfig| check(&config).err().map(|failure| failure.to_string());
    assert_eq!(found(ModelConfig::default()), None);
    let background = |api| ModelConfig { api, background: true, ..ModelConfig::default() };
    assert_eq!(found(background(Api::Responses)), None);
    let expected = "request cannot be sent: only the API `responses` has a background mode";
    assert_eq!(found(background(Api::Messages)).as_deref(), Some(expected));
    let headers = ModelConfig {
        headers: [("Authorization".to_owned(), "x".to_owned())].into_iter().collect(),
        ..ModelConfig::default()
    };
    assert!(found(headers).is_some());
}
