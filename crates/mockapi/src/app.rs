//! A request's way through the server, whichever API it came by: enter, check, draw a fault, answer, bill, deliver.

use std::{
    collections::HashMap,
    future,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    http::{HeaderMap, header},
    response::Response,
};

use crate::{
    answer::{Answer, Asked},
    behaviour::Behaviour,
    chat,
    config::Config,
    deliver,
    error::ApiError,
    faults::{Fault, Faults},
    key::{KEY_HEADER, SampleKey},
    ledger::{Fate, Ledger},
};

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct App {
    config: RwLock<Arc<Config>>,
    ledger: Ledger,
    /// How often a call has come that has a fault script; calls without a key count as one.
    attempts: Mutex<HashMap<Option<SampleKey>, usize>>,
}

impl App {
    pub(crate) fn new(config: Config) -> App {
        let ledger = Ledger::new(config.log);
        App {
            config: RwLock::new(Arc::new(config)),
            ledger,
            attempts: Mutex::default(),
        }
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        self.config
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Config)) {
        let mut config = self.config.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut config));
    }

    /// Answers a chat completion.
    pub(crate) async fn answer(&self, headers: &HeaderMap, body: &[u8]) -> Response {
        let config = self.config();
        let key = headers
            .get(KEY_HEADER)
            .and_then(|key| SampleKey::parse(key.to_str().ok()?));
        let asked = chat::read(body);
        let model = asked.as_ref().map_or("", |asked| &*asked.model);
        let mut entry = self.ledger.open(model, key.clone());
        let number = entry.number();

        let allowed = admit(&config, headers, asked)
            .and_then(|asked| Ok((behaviour(&config, &asked)?, asked)));
        let fault = match &allowed {
            Ok((_, asked)) => self.fault(&config, config.faults_of(&asked.model), &key, number),
            Err(error) => Some(Fault::Error(error.clone())),
        };
        if let Some(Fault::Error(error)) = &fault {
            entry.settle(Fate::Sent(error.status));
            return deliver::error(error, number);
        }
        if fault == Some(Fault::Hanging) {
            entry.settle(Fate::Hanging);
            return future::pending().await;
        }
        let (behaviour, asked) = allowed.expect("an error is a fault");

        if !config.latency.is_zero() {
            tokio::time::sleep(config.latency).await;
        }
        let target = key.as_ref().and_then(|key| (config.oracle)(key));
        let unreadable = config
            .faults_of(&asked.model)
            .grade_is_unreadable(config.seed, number);
        let reply = behaviour.reply(key.as_ref(), &asked.question, target.as_deref(), unreadable);
        let answer = Answer::new(&asked, reply, number, unix_seconds());
        entry.bill(&answer.model, answer.usage);
        let body = chat::write(&answer);
        match fault {
            Some(Fault::Truncated) => {
                entry.settle(Fate::Truncated);
                deliver::truncated(body, number)
            }
            Some(Fault::Dropped) => {
                entry.settle(Fate::Dropped);
                deliver::dropped(body, number)
            }
            _ => {
                entry.settle(Fate::Sent(200));
                deliver::whole(body, number)
            }
        }
    }

    /// What this attempt meets: the script's word on it, or else a draw.
    fn fault(
        &self,
        config: &Config,
        faults: &Faults,
        key: &Option<SampleKey>,
        number: u64,
    ) -> Option<Fault> {
        if faults.always.is_none() && !faults.script.is_empty() {
            let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
            let attempt = attempts.entry(key.clone()).or_insert(0);
            *attempt += 1;
            if let Some(scripted) = faults.script.get(*attempt - 1) {
                return scripted.clone();
            }
        }
        faults.draw(config.seed, number)
    }
}

/// Checks the API key, then whether the request could be read.
fn admit<'a>(
    config: &Config,
    headers: &HeaderMap,
    asked: Result<Asked<'a>, ApiError>,
) -> Result<Asked<'a>, ApiError> {
    if let Some(expected) = &config.api_key {
        let sent = headers
            .get(header::AUTHORIZATION)
            .map(|value| String::from_utf8_lossy(value.as_bytes()));
        let sent = sent.unwrap_or_default();
        let key = sent.strip_prefix("Bearer ").unwrap_or(&sent);
        if key != expected {
            return Err(ApiError::invalid_api_key(key));
        }
    }
    asked
}

fn behaviour(config: &Config, asked: &Asked<'_>) -> Result<Behaviour, ApiError> {
    let behaviour = Behaviour::of(config, &asked.model);
    Ok(behaviour
        .ok_or_else(|| ApiError::model_not_found(&asked.model))?
        .into_owned())
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
