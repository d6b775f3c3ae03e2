//! How many tokens a server counts for each that we estimate.

/// Answers in one measurement, at least.
const ANSWERS: u32 = 16;

/// How much larger a measurement is to be than what is not sure about it.
const SURE: f64 = 16.0;

/// Measured from what the server's bucket lost between answers. Where others
/// draw on the same bucket, what they take counts as ours, and makes room for them.
#[derive(Debug)]
pub(super) struct Count {
    factor: f64,
    answers: u32,
    /// Of the requests in this measurement.
    estimated: f64,
    counted: f64,
    unsure: f64,
    /// Of all requests.
    drawn: Drawn,
    /// Of all requests up to the last one that was heard of; none before the first.
    heard: Option<Drawn>,
}

/// Tokens that all requests up to one of them drew: as estimated, and by the factor of their time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Drawn {
    estimated: f64,
    counted: f64,
}

impl Count {
    /// Until it is measured the estimate is believed.
    pub(super) fn new() -> Self {
        Self {
            factor: 1.0,
            answers: 0,
            estimated: 0.0,
            counted: 0.0,
            unsure: 0.0,
            drawn: Drawn::default(),
            heard: None,
        }
    }

    /// What the server will probably count for `tokens`.
    pub(super) fn of(&self, tokens: u64) -> f64 {
        tokens as f64 * self.factor
    }

    /// A request of `tokens` is sent.
    pub(super) fn draw(&mut self, tokens: u64) -> Drawn {
        self.drawn.estimated += tokens as f64;
        self.drawn.counted += self.of(tokens);
        self.drawn
    }

    /// The server had `missing` tokens less than expected after the requests `up_to` this one, which was sent when its
    /// bucket was known already; give or take what was `unsure`. The first such answer only sets the mark: what it corrects is how we got to know it.
    pub(super) fn hear(&mut self, up_to: Drawn, missing: f64, unsure: f64) {
        let Some(heard) = self.heard else {
            self.heard = Some(up_to);
            return;
        };
        self.estimated += up_to.estimated - heard.estimated;
        self.counted += up_to.counted - heard.counted + missing;
        self.heard = Some(up_to);
        self.unsure = self.unsure.max(unsure);
        self.answers += 1;
        if self.answers < ANSWERS || self.estimated < SURE * self.unsure {
            return;
        }
        if self.estimated > 0.0 {
            let measured = self.counted / self.estimated;
            let measured = measured.clamp(self.factor / 2.0, self.factor * 2.0);
            self.factor = measured.clamp(0.1, 10.0);
        }
        (self.answers, self.unsure) = (0, 0.0);
        (self.estimated, self.counted) = (0.0, 0.0);
    }

    /// The server took nothing for a request of `tokens`, and its bucket will show that.
    pub(super) fn refused(&mut self, tokens: u64) {
        if self.heard.is_some() {
            self.estimated -= tokens as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The factor after `n` requests of 100 tokens, for which the server counts `each`.
    fn factor(n: u32, each: f64) -> f64 {
        let mut count = Count::new();
        count.hear(Drawn::default(), 0.0, 0.0);
        for _ in 0..n {
            let expected = count.of(100);
            let drawn = count.draw(100);
            count.hear(drawn, each - expected, 0.0);
        }
        count.of(100) / 100.0
    }

    #[test]
    fn estimate_is_believed_until_measured() {
        assert_eq!(factor(15, 150.0), 1.0);
        assert_eq!(factor(16, 150.0), 1.5);
    }

    #[test]
    fn factor_comes_to_what_the_server_counts_and_no_measurement_is_trusted_far() {
        assert!((factor(160, 120.0) - 1.2).abs() < 0.01);
        assert!((factor(160, 80.0) - 0.8).abs() < 0.01);
        assert_eq!(factor(16, 100_000.0), 2.0);
        assert_eq!(factor(16_000, 100_000.0), 10.0);
    }

    #[test]
    fn requests_that_were_refused_do_not_count() {
        let mut count = Count::new();
        count.hear(Drawn::default(), 0.0, 0.0);
        for i in 0..32 {
            let drawn = count.draw(100);
            if i % 2 == 0 {
                count.refused(100);
            }
            // The answer after a refusal shows that nothing was taken.
            count.hear(drawn, if i % 2 == 0 { 0.0 } else { -100.0 }, 0.0);
        }
        assert_eq!(count.of(100), 100.0);
    }
}
