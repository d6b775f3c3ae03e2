//! A small client.

use mockapi::{Config, Faults, KEY_HEADER, MockServer};
use serde_json::{Value, json};

/// A server and a client that knows it.
pub(crate) struct Rig {
    pub(crate) server: MockServer,
    http: reqwest::Client,
}

impl Rig {
    pub(crate) fn start(config: Config) -> Rig {
        // An error means that another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Rig { server: MockServer::start(config).unwrap(), http: reqwest::Client::new() }
    }

    /// A server that knows samples 0 to 99, whose targets are `target 0` to `target 99`.
    pub(crate) fn knowing(config: Config) -> Rig {
        let targets = (0..100).map(|n| (n.to_string(), format!("target {n}"))).collect();
        Rig::start(Config { oracle: Config::oracle_of(targets), ..config })
    }

    /// A server on which every model has these faults.
    pub(crate) fn faulty(faults: Faults) -> Rig {
        Rig::start(Config { faults, ..Config::default() })
    }

    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(format!("{}{path}", self.server.base_url()))
    }

    pub(crate) fn delete(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.delete(format!("{}{path}", self.server.base_url()))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.http.post(format!("{}{path}", self.server.base_url())).json(body)
    }

    /// One chat request for `sample`.
    pub(crate) fn chat(
        &self,
        model: &str,
        sample: &str,
        question: &str,
    ) -> reqwest::RequestBuilder {
        let body = json!({"model": model, "messages": [{"role": "user", "content": question}]});
        self.post("/chat/completions", &body).header(KEY_HEADER, format!("t/{sample}/1/answer"))
    }

    /// The text of a chat answer.
    pub(crate) async fn say(&self, model: &str, sample: &str, question: &str) -> String {
        let body = json_of(self.chat(model, sample, question)).await;
        body["choices"][0]["message"]["content"].as_str().expect("a text").to_owned()
    }

    /// Status and body of a chat reply.
    pub(crate) async fn chat_status(&self, model: &str, sample: &str) -> (u16, Value) {
        let reply = self.chat(model, sample, "2+2?").send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }
}

pub(crate) async fn json_of(request: reqwest::RequestBuilder) -> Value {
    request.send().await.unwrap().json().await.unwrap()
}
