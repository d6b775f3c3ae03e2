//! What answers consist of and what they cost.

use std::ops::AddAssign;

/// Tokens and searches of one answer, or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, the cached ones included.
    pub input_tokens: u64,
    /// Part of the input that came from a cache.
    pub cached_tokens: u64,
    /// Tokens of the answer, the reasoning included.
    pub output_tokens: u64,
    /// Part of the output that was reasoning.
    pub reasoning_tokens: u64,
    /// Web searches.
    pub searches: u64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        self.input_tokens += other.input_tokens;
        self.cached_tokens += other.cached_tokens;
        self.output_tokens += other.output_tokens;
        self.reasoning_tokens += other.reasoning_tokens;
        self.searches += other.searches;
    }
}

/// A model's prices in US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    /// Per million input tokens that came from no cache.
    pub input: f64,
    /// Per million cached input tokens.
    pub cached_input: f64,
    /// Per million output tokens, reasoning or not.
    pub output: f64,
    /// Per thousand web searches.
    pub search: f64,
}

impl Price {
    /// Dollars for `usage`.
    pub fn of(&self, usage: &Usage) -> f64 {
        let fresh = usage.input_tokens.saturating_sub(usage.cached_tokens) as f64 * self.input;
        let cached = usage.cached_tokens as f64 * self.cached_input;
        let output = usage.output_tokens as f64 * self.output;
        (fresh + cached + output) / 1e6 + usage.searches as f64 * self.search / 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_and_reasoning_tokens_are_paid_for_once() {
        let price = Price { input: 2.0, cached_input: 0.5, output: 8.0, search: 10.0 };
        let usage = Usage {
            input_tokens: 1_000_000,
            cached_tokens: 400_000,
            output_tokens: 500_000,
            reasoning_tokens: 300_000,
            searches: 5,
        };
        let expected = 0.6 * 2.0 + 0.4 * 0.5 + 0.5 * 8.0 + 0.05;
        assert!((price.of(&usage) - expected).abs() < 1e-9);
    }
}
