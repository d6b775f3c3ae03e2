use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn wait(admit: Admit) -> Duration {
    match admit {
        Admit::Now(_) => Duration::ZERO,
        Admit::Wait(wait) => wait,
    }
}

fn send(pace: &mut Pace, now: Duration, tokens: u64) -> Ticket {
    match pace.admit(now, tokens) {
        Admit::Now(ticket) => ticket,
        Admit::Wait(wait) => panic!("to wait {wait:?}"),
    }
}

/// How many requests of 10 tokens are admitted at `now`, up to 2000.
fn n_admitted(pace: &mut Pace, now: Duration) -> usize {
    let is_admitted = |_: &usize| matches!(pace.admit(now, 10), Admit::Now(_));
    (0..2000).take_while(is_admitted).count()
}

fn requests(limit: u64, remaining: u64, reset: Duration) -> RateLimits {
    RateLimits {
        limit_requests: Some(limit),
        remaining_requests: Some(remaining),
        reset_requests: Some(reset),
        ..RateLimits::default()
    }
}

#[test]
fn server_that_says_nothing_is_not_paced_once_it_answered() {
    let mut pace = Pace::new(PerMinute::default());
    let first = send(&mut pace, Duration::ZERO, 10);
    assert_eq!(n_admitted(&mut pace, Duration::ZERO), 7);
    assert_eq!(n_admitted(&mut pace, Duration::from_millis(900)), 56);
    pace.observe(&first, &RateLimits::default());
    assert_eq!(n_admitted(&mut pace, SECOND), 2000);
}

#[test]
fn burst_is_learnt_from_the_first_answer() {
    for (burst, expected) in [(600, 598), (50, 48), (2, 0)] {
        let mut pace = Pace::new(PerMinute::default());
        let first = send(&mut pace, Duration::ZERO, 10);
        let reset = Duration::from_millis(100);
        pace.observe(&first, &requests(600, burst - 1, reset));
        // One is left over, for those that overtake.
        assert_eq!(n_admitted(&mut pace, Duration::ZERO), expected);
        let most = n_admitted(&mut pace, 60 * SECOND) as u64;
        assert!((burst - 2..burst).contains(&most), "{most} of {burst}");
    }
}

#[test]
fn requests_in_flight_are_counted_once() {
    let mut pace = Pace::new(PerMinute::default());
    let first = send(&mut pace, Duration::ZERO, 10);
    pace.observe(&first, &requests(600, 100, 50 * SECOND));
    let second = send(&mut pace, SECOND, 10);
    let third = send(&mut pace, 2 * SECOND, 10);
    for _ in 0..40 {
        let _ = send(&mut pace, 3 * SECOND, 10);
    }
    // Somebody else took 58 of the 109, or nearly 59; what we sent since, and what came in since, is not in this word.
    pace.observe(&second, &requests(600, 50, 55 * SECOND));
    assert_eq!(n_admitted(&mut pace, 3 * SECOND), 51 + 20 - 41 - 1);
    // Told again with the next answer, this changes nothing.
    pace.observe(&third, &requests(600, 59, 54 * SECOND));
    assert_eq!(n_admitted(&mut pace, 3 * SECOND), 0);
}

#[test]
fn limits_by_hand_hold_from_the_start_and_the_server_makes_them_no_faster() {
    let by_hand = PerMinute { requests: Some(120), tokens: None };
    let mut pace = Pace::new(by_hand);
    let first = send(&mut pace, Duration::ZERO, 10);
    pace.observe(&first, &requests(6000, 5999, Duration::from_millis(10)));
    assert_eq!(n_admitted(&mut pace, Duration::ZERO), 1);
    assert_eq!(n_admitted(&mut pace, 60 * SECOND), 2);
}

#[test]
fn tokens_reserved_by_hand_come_back_when_they_were_not_used() {
    let by_hand = PerMinute { requests: None, tokens: Some(60_000) };
    let mut pace = Pace::new(by_hand);
    let first = send(&mut pace, Duration::ZERO, 1000);
    assert!(wait(pace.admit(Duration::ZERO, 600)) > SECOND / 2);
    pace.settle(&first, 300);
    assert_eq!(wait(pace.admit(Duration::ZERO, 600)), Duration::ZERO);
    // More than a minute's worth is let through once the bucket is as full as it gets.
    assert!(wait(pace.admit(SECOND, 1_000_000)) <= 60 * SECOND);
}

#[test]
fn nothing_is_sent_before_the_server_wants_it() {
    let mut pace = Pace::new(PerMinute::default());
    let (one, two) = (send(&mut pace, Duration::ZERO, 10), send(&mut pace, Duration::ZERO, 10));
    let limits = RateLimits::default();
    assert!(!pace.refused(SECOND, &one, &limits, Some(20 * SECOND)));
    assert!(!pace.refused(2 * SECOND, &two, &limits, Some(SECOND)));
    assert_eq!(wait(pace.admit(3 * SECOND, 10)), 18 * SECOND);
    assert_eq!(n_admitted(&mut pace, 21 * SECOND), 2000);
}

#[test]
fn refusal_is_explained_by_a_bucket_that_is_short() {
    let mut pace = Pace::new(PerMinute::default());
    let mut refused = |remaining| {
        let ticket = send(&mut pace, Duration::ZERO, 10);
        pace.refused(Duration::ZERO, &ticket, &requests(6000, remaining, SECOND), None)
    };
    assert!(!refused(500));
    assert!(refused(0));
}
