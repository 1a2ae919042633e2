//! When to fetch a key set again. Pure: told the time and the dice, it answers with a moment.

use std::time::Duration;

use tokio::time::Instant;

/// Refresh interval when the provider does not say.
const DEFAULT_INTERVAL: Duration = Duration::from_mins(5);
/// What a provider may ask for with `Cache-Control: max-age`.
const SHORTEST_INTERVAL: Duration = Duration::from_mins(1);
const LONGEST_INTERVAL: Duration = Duration::from_hours(1);
/// Back-off after failures: 1 s, doubled, up to this.
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);
/// The same while there are no keys at all: every request of the provider waits for them.
const LONGEST_BACKOFF_WITHOUT_KEYS: Duration = Duration::from_secs(2);
/// What a provider may ask for with `Retry-After`.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(5);
/// Failures in a row after which the discovery document is read again.
const FAILURES_UNTIL_REDISCOVERY: u32 = 5;

/// The state that decides the next fetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    failures: u32,
}

impl Schedule {
    /// The next fetch after one that worked: the provider's wish within bounds, ±10 % so that
    /// replicas spread. `dice` is in `0.0..1.0`.
    pub fn after_success(&mut self, now: Instant, max_age: Option<Duration>, dice: f64) -> Instant {
        self.failures = 0;
        let interval = max_age.map_or(DEFAULT_INTERVAL, |wish| {
            wish.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL)
        });
        now + interval.mul_f64(0.9 + 0.2 * dice)
    }

    /// The next fetch after one that did not: exponential, between half and all of the step, so
    /// that neither replicas synchronise nor a dead provider is hammered.
    pub fn after_failure(&mut self, now: Instant, failure: Failure, dice: f64) -> Instant {
        self.failures = self.failures.saturating_add(1);
        let longest = if failure.have_keys {
            LONGEST_BACKOFF
        } else {
            LONGEST_BACKOFF_WITHOUT_KEYS
        };
        let step = Duration::from_secs(1 << (self.failures - 1).min(6)).min(longest);
        let wait = step.mul_f64(0.5 + 0.5 * dice);
        let asked = failure
            .retry_after
            .map_or(Duration::ZERO, |wish| wish.min(LONGEST_RETRY_AFTER));
        now + wait.max(asked)
    }

    /// Whether the address of the keys may have moved.
    pub fn wants_rediscovery(&self) -> bool {
        self.failures >= FAILURES_UNTIL_REDISCOVERY
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// What the schedule needs to know of a failed fetch.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// Whether older keys are still in use.
    pub have_keys: bool,
    /// The provider's `Retry-After`.
    pub retry_after: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be made by reading the clock"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    const WITH_KEYS: Failure = Failure {
        have_keys: true,
        retry_after: None,
    };

    #[test]
    fn the_provider_may_choose_the_interval_within_bounds() {
        let now = start();
        let next = |max_age| Schedule::default().after_success(now, max_age, 0.5) - now;
        assert_eq!(next(None), Duration::from_mins(5));
        assert_eq!(next(Some(Duration::ZERO)), Duration::from_mins(1));
        assert_eq!(next(Some(Duration::from_mins(7))), Duration::from_mins(7));
        assert_eq!(
            next(Some(Duration::from_hours(24))),
            Duration::from_hours(1)
        );
    }

    #[test]
    fn a_dead_provider_is_asked_at_most_70_times_in_half_an_hour() {
        let begin = start();
        let (mut now, mut schedule, mut attempts) = (begin, Schedule::default(), 0);
        while now < begin + Duration::from_mins(30) {
            now = schedule.after_failure(now, WITH_KEYS, 0.0);
            attempts += 1;
        }
        assert!(
            attempts <= 70,
            "{attempts} attempts with the most impatient dice"
        );
    }

    #[test]
    fn a_provider_that_was_down_at_the_start_is_found_within_two_seconds_of_its_return() {
        let now = start();
        let mut schedule = Schedule::default();
        for _ in 0..100 {
            let next = schedule.after_failure(
                now,
                Failure {
                    have_keys: false,
                    retry_after: None,
                },
                0.999,
            );
            assert!(next - now <= Duration::from_secs(2));
        }
    }

    #[test]
    fn failures_are_counted_until_one_fetch_works() {
        let now = start();
        let mut schedule = Schedule::default();
        for count in 1..=5 {
            assert!(!schedule.wants_rediscovery());
            schedule.after_failure(now, WITH_KEYS, 0.5);
            assert_eq!(schedule.failures(), count);
        }
        assert!(schedule.wants_rediscovery());
        schedule.after_success(now, None, 0.5);
        assert_eq!(schedule.failures(), 0);
    }

    #[test]
    fn retry_after_is_honoured_up_to_five_minutes() {
        let now = start();
        let next = |seconds| {
            let retry_after = Some(Duration::from_secs(seconds));
            Schedule::default().after_failure(
                now,
                Failure {
                    have_keys: true,
                    retry_after,
                },
                0.0,
            ) - now
        };
        assert_eq!(next(30), Duration::from_secs(30));
        assert_eq!(next(1_000_000), Duration::from_mins(5));
    }

    proptest! {
        #[test]
        fn every_wait_is_positive_and_bounded(outcomes in proptest::collection::vec((any::<bool>(), 0.0..1.0f64), 1..200)) {
            let now = start();
            let mut schedule = Schedule::default();
            for (worked, dice) in outcomes {
                let next = if worked { schedule.after_success(now, None, dice) } else { schedule.after_failure(now, WITH_KEYS, dice) };
                prop_assert!(next > now && next - now <= Duration::from_mins(66));
            }
        }
    }
}
