//! The lanes of a run, one per address, API, key and model.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;

use super::Settings;
use crate::engine::{Lane, PerMinute};
use crate::models;
use crate::providers::Endpoint;
use crate::task::{Api, ModelConfig};

/// What makes two models one lane.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Address {
    base_url: String,
    api: Api,
    key_variable: Option<String>,
    model: String,
}

/// Lanes, and the address of each.
pub(super) struct Lanes {
    lanes: Vec<(Arc<Lane>, String)>,
    numbers: HashMap<Address, usize>,
    max: u32,
    per_minute: PerMinute,
}

impl Lanes {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            lanes: Vec::new(),
            numbers: HashMap::new(),
            max: u32::try_from(settings.concurrent).unwrap_or(u32::MAX),
            per_minute: settings.per_minute,
        }
    }

    /// The number of this model's lane.
    pub(super) fn find(
        &mut self,
        config: &ModelConfig,
        endpoint: impl Fn(&ModelConfig) -> Result<Endpoint>,
    ) -> Result<usize> {
        let endpoint = endpoint(config)?;
        let address = Address {
            base_url: endpoint.base_url.clone(),
            api: config.api,
            key_variable: config.key_variable.clone(),
            model: config.model.clone(),
        };
        let (max, per_minute) = (self.max, self.per_minute);
        Ok(*self.numbers.entry(address).or_insert_with(|| {
            let base_url = endpoint.base_url.clone();
            let lane = Lane::new(endpoint, config.model.clone(), max, per_minute);
            self.lanes.push((Arc::new(lane), base_url));
            self.lanes.len() - 1
        }))
    }

    /// Notes where a task's model is asked, so that a later run asks in the same place.
    pub(super) fn pin(&self, config: &mut ModelConfig, lane: usize) {
        if !models::is_mock(&config.model) {
            config.base_url.get_or_insert_with(|| self.lanes[lane].1.clone());
        }
    }

    pub(super) fn into_vec(self) -> Vec<Arc<Lane>> {
        self.lanes.into_iter().map(|(lane, _)| lane).collect()
    }
}
