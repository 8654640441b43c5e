//! Slow start: the share of requests that a target takes grows with the time since it became
//! healthy, up to its full share (`slow_start.duration_seconds`).

use types::{Monotonic, Span};

use crate::algorithm::FULL;

/// The weight of a target that began its slow start then: at least 1, so that a share of any size
/// is possible, and [`FULL`] when `duration` is over.
pub fn weight(began: Monotonic, duration: Span, now: Monotonic) -> u32 {
    let elapsed = now - began;
    if elapsed >= duration {
        return FULL;
    }
    let share = u128::from(elapsed.0) * u128::from(FULL) / u128::from(duration.0);
    u32::try_from(share).unwrap_or(FULL).clamp(1, FULL)
}

/// Is a target that began then still in slow start?
pub fn lasts(began: Monotonic, duration: Span, now: Monotonic) -> bool {
    now - began < duration
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_evenly() {
        let began = Monotonic(5_000_000);
        let duration = Span::seconds(30);
        let at = |seconds| weight(began, duration, began + Span::seconds(seconds));
        assert_eq!(
            [at(0), at(3), at(15), at(30), at(99)],
            [1, 100, 500, FULL, FULL]
        );
        assert_eq!(weight(began, Span::ZERO, began), FULL);
        assert_eq!(weight(began, duration, Monotonic(0)), 1);
        assert!(lasts(began, duration, began) && !lasts(began, duration, began + duration));
    }
}
