//! What a server knows and how it misbehaves, as plain values.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use crate::{behaviour::Behaviour, faults::Faults, key::SampleKey, limits::Limits};

/// What is right: the target of the sample a key names, or `None` for a sample it does not know.
pub type Oracle = Arc<dyn Fn(&SampleKey) -> Option<String> + Send + Sync>;

/// The settings of a [`MockServer`](crate::MockServer). The default is a healthy server that answers at once, takes any
/// API key and knows no sample.
#[derive(Clone)]
pub struct Config {
    /// TCP port on 127.0.0.1; 0 takes any that is free. Read once, at the start.
    pub port: u16,
    /// Whether the ledger keeps a record of every request, or counters only. Read once, at the start.
    pub log: bool,
    /// The key that requests must carry; `None` takes any, or none.
    pub api_key: Option<String>,
    /// From a request's arrival to its answer. Errors come at once.
    pub latency: Duration,
    /// From a background response's start to its end. Read at every poll, so that a test can hold one and let it go.
    pub background: Duration,
    /// From a background response's start until it is forgotten. Read at every poll.
    pub retention: Duration,
    /// Faults of polls: of reading, cancelling and deleting background responses.
    pub poll_faults: Faults,
    /// Decides, together with a request's number, which faults it meets.
    pub seed: u64,
    /// What is right.
    pub oracle: Oracle,
    /// Faults of all models but those in `model_faults`.
    pub faults: Faults,
    /// Faults of single models, by name.
    pub model_faults: BTreeMap<String, Faults>,
    /// Rate limits of every model for itself, but for those in `model_limits`; `None` is no limit.
    pub limits: Option<Limits>,
    /// Rate limits of single models, by name.
    pub model_limits: BTreeMap<String, Limits>,
    /// What single models do, by name; [`Behaviour::of`] says what the others do.
    pub roles: BTreeMap<String, Behaviour>,
}

impl Config {
    /// An oracle that knows the samples in `targets`, by sample id, whatever their task.
    pub fn oracle_of(targets: BTreeMap<String, String>) -> Oracle {
        Arc::new(move |key| targets.get(&key.sample).cloned())
    }

    /// The faults of `model`.
    pub(crate) fn faults_of(&self, model: &str) -> &Faults {
        self.model_faults.get(model).unwrap_or(&self.faults)
    }

    /// The rate limits of `model`.
    pub(crate) fn limits_of(&self, model: &str) -> Option<&Limits> {
        self.model_limits.get(model).or(self.limits.as_ref())
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            port: 0,
            log: true,
            api_key: None,
            latency: Duration::ZERO,
            background: Duration::ZERO,
            retention: Duration::MAX,
            poll_faults: Faults::default(),
            seed: 0,
            oracle: Arc::new(|_| None),
            faults: Faults::default(),
            model_faults: BTreeMap::new(),
            limits: None,
            model_limits: BTreeMap::new(),
            roles: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("port", &self.port)
            .field("latency", &self.latency)
            .finish_non_exhaustive()
    }
}
