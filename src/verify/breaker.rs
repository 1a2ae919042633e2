//! When to stop asking a provider that fails, and when to ask again. A pure state machine: time
//! comes in with every call.
//!
//! Closed: everyone asks. Open: nobody does. Half open: one asks, and the answer decides. A provider
//! that cannot answer is left alone instead of being given a thousand more requests, and requests do
//! not wait for an answer that will not come.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// So many failures ...
const FAILURES: usize = 10;
/// ... within this time open the breaker.
const WINDOW: Duration = Duration::from_secs(10);
/// The first pause. It doubles with every failed probe ...
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// ... up to this: a provider that is back is used again within two seconds, and until then it is
/// asked less than once in a second.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Longest pause that the provider itself may ask for (`Retry-After`).
const LONGEST_REQUESTED_PAUSE: Duration = Duration::from_secs(30);
/// A probe that has not ended after this time never will.
const LOST_PROBE: Duration = Duration::from_secs(30);

/// Guards one provider.
#[derive(Debug, Default)]
pub struct Breaker {
    state: State,
    /// When the last failures were, while closed; at most [`FAILURES`].
    failures: VecDeque<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Closed,
    Open {
        until: Instant,
        pause: Duration,
    },
    HalfOpen {
        since: Instant,
        pause: Duration,
    },
}

/// The provider is left alone for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsOpen;

impl Breaker {
    /// May the provider be asked now? Whoever may must report how it went.
    pub fn admit(&mut self, now: Instant) -> Result<(), IsOpen> {
        match self.state {
            State::Closed => Ok(()),
            State::Open { until, pause } if now >= until => {
                self.state = State::HalfOpen { since: now, pause };
                Ok(())
            }
            State::HalfOpen { since, pause } if now >= since + LOST_PROBE => {
                self.state = State::HalfOpen { since: now, pause };
                Ok(())
            }
            State::Open { .. } | State::HalfOpen { .. } => Err(IsOpen),
        }
    }

    /// The provider has answered, whatever it said of the token. Late answers of requests that began
    /// before the breaker opened count too: the provider works.
    pub fn answered(&mut self) {
        if !matches!(self.state, State::Closed) {
            *self = Self::default();
        }
    }

    /// The provider has failed, and may have said when to come back.
    pub fn failed(&mut self, now: Instant, retry_after: Option<Duration>) {
        match (self.state, retry_after) {
            (_, Some(requested)) => {
                let pause = requested.clamp(SHORTEST_PAUSE, LONGEST_REQUESTED_PAUSE);
                self.open(now + pause, SHORTEST_PAUSE);
            }
            (State::HalfOpen { pause, .. }, None) => {
                let pause = (pause * 2).min(LONGEST_PAUSE);
                self.open(now + pause, pause);
            }
            // Requests that began before it opened.
            (State::Open { .. }, None) => {}
            (State::Closed, None) => {
                if self.failures.len() == FAILURES {
                    self.failures.pop_front();
                }
                self.failures.push_back(now);
                let oldest = self.failures.front().copied().unwrap_or(now);
                let all_recent = now.saturating_duration_since(oldest) < WINDOW;
                if self.failures.len() == FAILURES && all_recent {
                    self.open(now + SHORTEST_PAUSE, SHORTEST_PAUSE);
                }
            }
        }
    }

    /// Whether somebody who asked now might be refused.
    pub fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed)
    }

    fn open(&mut self, until: Instant, pause: Duration) {
        self.failures.clear();
        self.state = State::Open { until, pause };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be made by reading the clock"
    )]
    fn moment() -> Instant {
        Instant::now()
    }

    fn after(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    fn opened(start: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES {
            assert_eq!(breaker.admit(start), Ok(()));
            breaker.failed(start, None);
        }
        breaker
    }

    #[test]
    fn ten_failures_within_ten_seconds_open_it_and_nine_do_not() {
        let start = moment();
        let mut breaker = Breaker::default();
        for _ in 1..FAILURES {
            breaker.failed(start, None);
            assert_eq!(breaker.admit(start), Ok(()));
        }
        breaker.failed(start, None);
        assert_eq!(breaker.admit(start), Err(IsOpen));
        assert!(breaker.is_open());
    }

    #[test]
    fn ten_failures_in_ten_whole_seconds_do_not_open_it() {
        let start = moment();
        for (last, is_open) in [(9.9, true), (10.0, false)] {
            let mut breaker = Breaker::default();
            for _ in 1..FAILURES {
                breaker.failed(start, None);
            }
            breaker.failed(after(start, last), None);
            assert_eq!(breaker.is_open(), is_open, "the last after {last} s");
        }
    }

    #[test]
    fn failures_that_are_far_apart_do_not_open_it() {
        let start = moment();
        let mut breaker = Breaker::default();
        for second in 0..100 {
            breaker.failed(after(start, 1.2 * f64::from(second)), None);
            assert!(!breaker.is_open(), "after {second} failures");
        }
    }

    #[test]
    fn after_a_pause_one_asks_and_a_good_answer_closes_it() {
        let start = moment();
        let mut breaker = opened(start);
        assert_eq!(breaker.admit(after(start, 0.9)), Err(IsOpen));
        assert_eq!(breaker.admit(after(start, 1.0)), Ok(()));
        assert_eq!(breaker.admit(after(start, 1.0)), Err(IsOpen), "only one");
        breaker.answered();
        assert_eq!(breaker.admit(after(start, 1.0)), Ok(()));
        assert_eq!(breaker.admit(after(start, 1.0)), Ok(()));
    }

    #[test]
    fn a_failed_probe_opens_it_again_for_two_seconds_at_most() {
        let start = moment();
        let mut breaker = opened(start);
        let mut now = after(start, 1.0);
        for _ in 0..5 {
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.failed(now, None);
            assert_eq!(
                breaker.admit(now + Duration::from_millis(1900)),
                Err(IsOpen)
            );
            now += Duration::from_secs(2);
        }
    }

    #[test]
    fn retry_after_is_honoured_at_once_and_up_to_thirty_seconds() {
        let start = moment();
        let mut breaker = Breaker::default();
        breaker.failed(start, Some(Duration::from_secs(5)));
        assert_eq!(breaker.admit(after(start, 4.9)), Err(IsOpen));
        assert_eq!(breaker.admit(after(start, 5.0)), Ok(()));
        breaker.failed(after(start, 5.0), Some(Duration::from_hours(1)));
        assert_eq!(breaker.admit(after(start, 34.9)), Err(IsOpen));
        assert_eq!(breaker.admit(after(start, 35.0)), Ok(()));
    }

    #[test]
    fn a_probe_that_never_reports_does_not_keep_it_open_for_ever() {
        let start = moment();
        let mut breaker = opened(start);
        assert_eq!(breaker.admit(after(start, 1.0)), Ok(()));
        assert_eq!(breaker.admit(after(start, 30.9)), Err(IsOpen));
        assert_eq!(breaker.admit(after(start, 31.0)), Ok(()));
    }

    proptest! {
        /// Whatever happens: while the provider fails it is asked about once in a second, and once
        /// it is well again it is asked within two seconds.
        #[test]
        fn it_protects_and_it_recovers(steps in proptest::collection::vec((0u64..400, any::<bool>()), 1..400)) {
            let start = moment();
            let mut breaker = opened(start);
            let (mut now, mut asked) = (start, 0u32);
            for (wait, _) in &steps {
                now += Duration::from_millis(*wait);
                if breaker.admit(now).is_ok() {
                    asked += 1;
                    breaker.failed(now, None);
                }
            }
            prop_assert!(f64::from(asked) <= (now - start).as_secs_f64() + 1.0);
            now += LONGEST_PAUSE;
            prop_assert_eq!(breaker.admit(now), Ok(()));
            breaker.answered();
            prop_assert!(!breaker.is_open());
        }
    }
}
