//! A request's way through the server, whichever API it came by: enter, check, draw a fault, answer, bill, deliver.

use std::{
    collections::HashMap,
    future,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use axum::{http::HeaderMap, response::Response};

use crate::{
    answer::{Answer, Asked},
    api::Api,
    background::{Background, Poll},
    behaviour::{Behaviour, Question},
    config::Config,
    deliver,
    error::ApiError,
    faults::{Fault, Faults},
    key::{KEY_HEADER, SampleKey},
    ledger::{Entry, Ledger},
    limits::{Buckets, Standing},
    record::Fate,
    responses::{self, State},
};

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct App {
    config: RwLock<Arc<Config>>,
    ledger: Ledger,
    background: Background,
    start: Instant,
    /// The rate limits' buckets, by model.
    buckets: Mutex<HashMap<String, Buckets>>,
    /// How often a call has come that has a fault script; calls without a key count as one.
    attempts: Mutex<HashMap<Option<SampleKey>, usize>>,
}

/// A request that gets an answer, if a poor one.
struct Call<'a> {
    api: Api,
    key: Option<SampleKey>,
    asked: Asked<'a>,
    behaviour: Behaviour,
    fault: Option<Fault>,
}

impl App {
    pub(crate) fn new(config: Config) -> App {
        App {
            ledger: Ledger::new(config.log),
            config: RwLock::new(Arc::new(config)),
            background: Background::default(),
            start: Instant::now(),
            buckets: Mutex::default(),
            attempts: Mutex::default(),
        }
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Config)) {
        let mut config = self.config.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut config));
    }

    /// Answers a question, or refuses to.
    pub(crate) async fn answer(&self, api: Api, headers: &HeaderMap, body: &[u8]) -> Response {
        let config = self.config();
        let key = headers.get(KEY_HEADER).and_then(|key| SampleKey::parse(key.to_str().ok()?));
        let asked = api.read(headers, body);
        let model = asked.as_ref().map_or("", |asked| &*asked.model);
        let mut entry = self.ledger.open(model, key.clone());
        let number = entry.number();

        let mut standing = None;
        let allowed = authorize(&config, api, headers).and(asked).and_then(|asked| {
            let behaviour =
                Behaviour::of(&config, &asked.model).map(|behaviour| behaviour.into_owned());
            let behaviour = behaviour.ok_or_else(|| ApiError::model_not_found(&asked.model))?;
            self.take_from_buckets(&config, &asked, &mut standing)?;
            let fault = self.fault(&config, &asked.model, &key, number)?;
            Ok(Call { api, key, asked, behaviour, fault })
        });
        let mut response = match allowed {
            Ok(call) => self.produce(&config, call, entry).await,
            Err(error) => {
                let (status, body) = api.error(&error);
                entry.settle(Fate::Sent(status));
                deliver::error(&ApiError { status, ..error }, body)
            }
        };
        deliver::name(&mut response, api.id_header(), &format!("req_mock{number}"));
        if let Some(standing) = standing {
            standing.write(response.headers_mut());
        }
        response
    }

    /// Answers a call that nothing speaks against any more.
    async fn produce(&self, config: &Config, call: Call<'_>, mut entry: Entry) -> Response {
        let Call { api, key, asked, behaviour, fault } = call;
        if fault == Some(Fault::Hanging) {
            entry.settle(Fate::Hanging);
            return future::pending().await;
        }
        if !config.latency.is_zero() && !asked.background {
            tokio::time::sleep(config.latency).await;
        }
        let number = entry.number();
        let target = key.as_ref().and_then(|key| (config.oracle)(key));
        let unreadable = config.faults_of(&asked.model).grade_is_unreadable(config.seed, number);
        let question =
            Question { key: key.as_ref(), text: &asked.question, target: target.as_deref() };
        let reply = behaviour.reply(&question, unreadable);
        let answer = Answer::new(&asked, reply, number, unix_seconds());
        let failure = match &fault {
            Some(Fault::Failed(code)) => Some(code.clone()),
            _ => None,
        };
        if failure.is_none() {
            // A background response, too: it is worked on whether or not anyone comes back for it.
            entry.bill(&answer.model, answer.usage);
        }
        let body = match &failure {
            _ if answer.background => responses::write(&answer, State::Queued),
            Some(code) => api.write_failed(&answer, code),
            None => api.write(&answer),
        };
        if answer.background {
            self.background.keep(answer, failure);
        }
        entry.settle(match fault {
            Some(Fault::Truncated) => Fate::Truncated,
            Some(Fault::Dropped) => Fate::Dropped,
            Some(Fault::Closed) => Fate::Closed,
            _ => Fate::Sent(200),
        });
        deliver::answer(body, fault.as_ref(), Some(entry))
    }

    /// Answers a poll of the background response `response`.
    pub(crate) async fn poll(&self, poll: Poll, response: &str, headers: &HeaderMap) -> Response {
        let config = self.config();
        let number = self.ledger.poll();
        // Another seed, so that polls do not repeat the fate of the requests with their numbers.
        let fault = config.poll_faults.draw(!config.seed, number);
        let polled = match (authorize(&config, Api::Responses, headers), &fault) {
            (Err(error), _) => Err(error),
            (Ok(()), Some(Fault::Error(error))) => Err(error.clone()),
            (Ok(()), Some(Fault::Hanging)) => return future::pending().await,
            (Ok(()), _) => self
                .background
                .poll(poll, response, &config)
                .ok_or_else(|| ApiError::response_not_found(response)),
        };
        let mut response = match polled {
            Ok(body) => deliver::answer(body, fault.as_ref(), None),
            Err(error) => deliver::error(&error, error.openai()),
        };
        deliver::name(&mut response, Api::Responses.id_header(), &format!("req_mockpoll{number}"));
        response
    }

    fn take_from_buckets(
        &self,
        config: &Config,
        asked: &Asked<'_>,
        standing: &mut Option<Standing>,
    ) -> Result<(), ApiError> {
        let Some(limits) = config.limits_of(&asked.model) else {
            return Ok(());
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let buckets = buckets.entry(asked.model.clone().into_owned()).or_default();
        let (after, taken) = buckets.take(limits, asked.tokens_requested(), self.start.elapsed());
        *standing = Some(after);
        taken
    }

    /// What request `number` meets: the end of the quota, the script's word on this attempt, or else a draw.
    ///
    /// # Errors
    ///
    /// The fault itself, if it is an error reply.
    fn fault(
        &self,
        config: &Config,
        model: &str,
        key: &Option<SampleKey>,
        number: u64,
    ) -> Result<Option<Fault>, ApiError> {
        let faults = config.faults_of(model);
        if faults.quota.is_some_and(|quota| self.ledger.n_billed(model) >= quota) {
            return Err(ApiError::insufficient_quota());
        }
        let scripted = self.scripted(faults, key);
        match scripted.unwrap_or_else(|| faults.draw(config.seed, number)) {
            Some(Fault::Error(error)) => Err(error),
            fault => Ok(fault),
        }
    }

    /// What the script says about this attempt, if it still says anything.
    fn scripted(&self, faults: &Faults, key: &Option<SampleKey>) -> Option<Option<Fault>> {
        if faults.always.is_some() || faults.script.is_empty() {
            return None;
        }
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = attempts.entry(key.clone()).or_insert(0);
        *attempt += 1;
        faults.script.get(*attempt - 1).cloned()
    }
}

/// Checks the API key.
fn authorize(config: &Config, api: Api, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(expected) = &config.api_key else {
        return Ok(());
    };
    let sent = api.key(headers);
    if sent == *expected { Ok(()) } else { Err(ApiError::invalid_api_key(&sent)) }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
