//! How many requests a lane keeps in flight: a window that finds the most that the server takes at once.
//!
//! On a refusal (429) the window narrows by a fifth, at most once per cooldown and only on the word of a request that
//! was sent since it last narrowed: whatever was under way before says nothing about the new width. How long the
//! server asks to wait does not matter here; that is for the pace.
//!
//! A *round* is as many answers as the window is wide, to requests sent since its width last changed. It is *clean*
//! when none of them was a refusal, and *in use* when the window was full at some time. After a clean round in use the
//! window widens, as CUBIC does (<https://www.rfc-editor.org/rfc/rfc9438>), around what it remembers:
//!
//! - The *ceiling* is how many requests were in flight, itself included, when one was refused. Below it each round
//!   closes half of the gap to one less.
//! - One below the ceiling the window rests for 8 rounds, then tries the ceiling itself. Each time that this fails it
//!   rests twice as long, up to 256 rounds.
//! - When the ceiling is answered it is forgotten, and the window widens by 1, 2, 4, … up to the most there can be.
//!
//! So against a server that takes `limit` requests at once: a width that was refused is not tried again before 8 clean
//! rounds right below it, and once the window is at `limit` or below no two rounds in a row go above it. From
//! `limit + 1` a fifth less is never down to 1 unless `limit` is 1. All counts are whole, so nothing drifts.

use std::time::Duration;

/// The window narrows at most once in this time.
const COOLDOWN: Duration = Duration::from_secs(1);

/// Clean rounds below a ceiling before it is tried, at first and at most.
const REST: (u32, u32) = (8, 256);

/// How wide one lane's window is, and how much of it is taken.
#[derive(Debug)]
pub struct Window {
    max: u32,
    width: u32,
    in_flight: u32,
    /// Counts changes of `width`.
    era: u32,
    /// The era that the last narrowing began, and when.
    narrowed: Option<(u32, Duration)>,
    /// Clean answers in this round.
    clean: u32,
    /// Whether the window was full in this round.
    in_use: bool,
    ceiling: Option<u32>,
    /// Clean rounds since the window came up to its ceiling, and how many it takes to try it.
    rested: u32,
    rest: u32,
    /// By how much the next clean round widens a window without a ceiling.
    step: u32,
}

/// A request's place in the window; goes back to [`Window::leave`].
#[derive(Debug)]
#[must_use = "a place that is not given back is taken for ever"]
pub struct Place {
    era: u32,
    in_flight: u32,
}

/// What became of a request, as far as the window cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The server took it, whatever it made of it.
    Taken,
    /// The server had too many: 429.
    Refused,
    /// No answer, or one that says nothing about load.
    Nothing,
}

impl Window {
    /// A window `width` wide that never gets wider than `max`, both at least 1.
    pub fn new(width: u32, max: u32) -> Self {
        Self {
            max: max.max(1),
            width: width.clamp(1, max.max(1)),
            in_flight: 0,
            era: 0,
            narrowed: None,
            clean: 0,
            in_use: false,
            ceiling: None,
            rested: 0,
            rest: REST.0,
            step: 1,
        }
    }

    /// How many requests may be in flight just now.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Whether one more request may be sent.
    pub fn has_room(&self) -> bool {
        self.in_flight < self.width
    }

    /// A place for a request that is sent now; none while the window is full.
    pub fn enter(&mut self) -> Option<Place> {
        self.has_room().then(|| {
            self.in_flight += 1;
            Place { era: self.era, in_flight: self.in_flight }
        })
    }

    /// Gives a place back at `now`, with what became of its request.
    pub fn leave(&mut self, now: Duration, place: Place, word: Word) {
        self.in_flight -= 1;
        match word {
            Word::Nothing => {}
            Word::Refused => self.refused(now, &place),
            Word::Taken if place.era == self.era => {
                self.clean += 1;
                self.in_use |= place.in_flight >= self.width;
                if self.clean >= self.width {
                    self.end_round();
                }
            }
            Word::Taken => {}
        }
    }

    fn refused(&mut self, now: Duration, place: &Place) {
        self.start_round();
        let is_news = self
            .narrowed
            .is_none_or(|(era, at)| place.era >= era && now.saturating_sub(at) >= COOLDOWN);
        if is_news {
            let failed_again = self.ceiling.is_some_and(|ceiling| self.width >= ceiling);
            self.rest = if failed_again { (2 * self.rest).min(REST.1) } else { REST.0 };
            self.rested = 0;
            self.step = 1;
            self.ceiling = Some(self.width);
            self.set_width((self.width * 4 / 5).max(1));
            self.narrowed = Some((self.era, now));
        }
        // A refusal at a width that is still allowed was not for want of room.
        if place.in_flight > self.width {
            self.ceiling = self.ceiling.map(|ceiling| ceiling.min(place.in_flight));
        }
    }

    /// A round was clean: widens the window if it was in use.
    fn end_round(&mut self) {
        let in_use = self.in_use;
        self.start_round();
        if !in_use || self.width == self.max {
            return;
        }
        match self.ceiling {
            Some(ceiling) if self.width + 1 < ceiling => {
                self.set_width(self.width + (ceiling - self.width) / 2);
            }
            Some(ceiling) if self.width < ceiling => {
                self.rested += 1;
                if self.rested >= self.rest {
                    self.rested = 0;
                    self.set_width(ceiling);
                }
            }
            _ => {
                if self.ceiling.take().is_some() {
                    self.rest = REST.0;
                }
                self.set_width(self.width.saturating_add(self.step).min(self.max));
                self.step = self.step.saturating_mul(2);
            }
        }
    }

    fn set_width(&mut self, width: u32) {
        if width != self.width {
            self.width = width;
            self.era += 1;
            self.start_round();
        }
    }

    fn start_round(&mut self) {
        self.clean = 0;
        self.in_use = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Widths of `n` rounds a second apart, with more to ask than there is room for, against a server that takes
    /// `limit` requests at once.
    fn rounds(window: &mut Window, limit: u32, n: u64) -> Vec<u32> {
        let round = |second| {
            let width = window.width();
            let places: Vec<Place> = std::iter::from_fn(|| window.enter()).collect();
            assert_eq!(places.len(), width as usize);
            for (i, place) in (1..).zip(places) {
                let word = if i > limit { Word::Refused } else { Word::Taken };
                window.leave(Duration::from_secs(second), place, word);
            }
            width
        };
        (0..n).map(round).collect()
    }

    fn enter(window: &mut Window, n: u32) -> Vec<Place> {
        (0..n).map(|_| window.enter().unwrap()).collect()
    }

    #[test]
    fn many_refusals_at_once_narrow_by_a_fifth_once() {
        let mut window = Window::new(100, 100);
        let (old, new) = (enter(&mut window, 60), enter(&mut window, 40));
        for place in new {
            window.leave(Duration::ZERO, place, Word::Refused);
        }
        assert_eq!(window.width(), 80);
        // Those sent before it narrowed are no news, however late they come.
        for place in old {
            window.leave(Duration::from_secs(60), place, Word::Refused);
        }
        assert_eq!(window.width(), 80);
        for (seconds, width) in [(60, 64), (60, 64), (61, 51)] {
            let place = window.enter().unwrap();
            window.leave(Duration::from_secs(seconds), place, Word::Refused);
            assert_eq!(window.width(), width);
        }
    }

    #[test]
    fn window_that_is_not_in_use_does_not_widen() {
        let mut window = Window::new(10, 100);
        for _ in 0..1000 {
            let place = window.enter().unwrap();
            window.leave(Duration::ZERO, place, Word::Taken);
        }
        assert_eq!(window.width(), 10);
        for word in [Word::Nothing, Word::Taken] {
            for place in enter(&mut window, 10) {
                window.leave(Duration::ZERO, place, word);
            }
        }
        assert_eq!(window.width(), 11);
    }

    #[test]
    fn window_is_never_wider_than_the_most_nor_narrower_than_one() {
        let mut window = Window::new(500, 40);
        assert_eq!(rounds(&mut window, u32::MAX, 50), [40; 50]);
        let widths = rounds(&mut Window::new(1, 40), u32::MAX, 9);
        assert_eq!(widths, [1, 2, 4, 8, 16, 32, 40, 40, 40]);
        assert_eq!(rounds(&mut Window::new(0, 0), 0, 20), [1; 20]);
    }

    #[test]
    fn a_limit_that_is_lifted_is_noticed() {
        let mut window = Window::new(100, 100);
        rounds(&mut window, 50, 200);
        let widths = rounds(&mut window, u32::MAX, 300);
        assert_eq!(widths.last(), Some(&100));
    }

    proptest! {
        #[test]
        fn window_comes_to_the_limit_and_stays(limit in 1..400_u32, max in 1..500_u32) {
            let widths = rounds(&mut Window::new(max, max), limit, 600);
            let limit = limit.min(max);
            let below = widths.iter().position(|width| *width <= limit).unwrap();
            let widths = &widths[below..];
            prop_assert!(below <= 31, "{below} rounds to narrow");

            // Never two rounds in a row above the limit, and at least 8 at or below it before it is tried again.
            let above: Vec<usize> = (0..widths.len()).filter(|i| widths[*i] > limit).collect();
            prop_assert!(above.windows(2).all(|pair| pair[1] - pair[0] > 8), "{above:?}");
            // Only ever one above, and ever more seldom.
            prop_assert!(widths.iter().all(|width| *width <= limit + 1));
            prop_assert!(above.len() <= 8, "{above:?}");

            // Down by a fifth, so never to one; and within a tenth nearly all of the time.
            prop_assert!(widths.iter().all(|width| *width > 1 || limit == 1));
            let tolerance = (limit / 10).max(1);
            let near = |width: &&u32| width.abs_diff(limit) <= tolerance;
            let settled = &widths[10..];
            let n_near = settled.iter().filter(near).count();
            prop_assert!(n_near * 20 >= settled.len() * 19, "{n_near} of {} near", settled.len());
        }
    }
}
