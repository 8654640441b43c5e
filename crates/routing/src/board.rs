//! Which health checks are healthy now: a bit each, read at query time by one load. A check that
//! nothing is known of is healthy. It draws no verdicts; they are set from outside.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use types::HealthCheckId;

/// Checks that a board has room for. Far more than a deployment's configuration can hold; a
/// check beyond it counts as healthy.
pub const MAX_CHECKS: usize = 16 * 1024;

const WORDS: usize = MAX_CHECKS / 64;

/// Where a check's bit stands on a board. Stays valid until [`HealthBoard::retain`] lets the
/// check go and is called once more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(u16);

impl Slot {
    /// No check: always healthy.
    pub const ALWAYS_HEALTHY: Slot = Slot(0);
}

/// The bits of all checks.
#[derive(Debug)]
pub struct HealthBoard {
    /// A set bit says unhealthy.
    unhealthy: Box<[AtomicU64]>,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    by_check: BTreeMap<HealthCheckId, Slot>,
    /// Slots from here on were never given away.
    fresh: u16,
    free: Vec<Slot>,
    /// Let go by the last `retain`: answers under way may still read them.
    resting: Vec<Slot>,
}

impl Default for HealthBoard {
    fn default() -> HealthBoard {
        HealthBoard::new()
    }
}

impl HealthBoard {
    /// A board on which everything is healthy.
    pub fn new() -> HealthBoard {
        HealthBoard {
            unhealthy: (0..WORDS).map(|_| AtomicU64::new(0)).collect(),
            slots: Mutex::new(Slots {
                fresh: Slot::ALWAYS_HEALTHY.0 + 1,
                ..Slots::default()
            }),
        }
    }

    /// The check's slot, given to it now if it had none.
    pub fn slot(&self, check: &HealthCheckId) -> Slot {
        let mut slots = self.slots();
        if let Some(slot) = slots.by_check.get(check) {
            return *slot;
        }
        let slot = match slots.free.pop() {
            Some(slot) => slot,
            None if usize::from(slots.fresh) < MAX_CHECKS => {
                slots.fresh += 1;
                Slot(slots.fresh - 1)
            }
            None => return Slot::ALWAYS_HEALTHY,
        };
        slots.by_check.insert(check.clone(), slot);
        slot
    }

    /// Sets whether the check is healthy. True if that is news.
    pub fn set(&self, check: &HealthCheckId, healthy: bool) -> bool {
        let slot = self.slot(check);
        if slot == Slot::ALWAYS_HEALTHY {
            return false;
        }
        let (word, bit) = place(slot);
        let before = if healthy {
            self.unhealthy[word].fetch_and(!bit, Ordering::Relaxed)
        } else {
            self.unhealthy[word].fetch_or(bit, Ordering::Relaxed)
        };
        (before & bit == 0) != healthy
    }

    /// Is the check of that slot healthy? One load.
    pub fn is_healthy(&self, slot: Slot) -> bool {
        let (word, bit) = place(slot);
        self.unhealthy[word].load(Ordering::Relaxed) & bit == 0
    }

    /// Lets go of the checks that `keep` doesn't want: what is known of them is forgotten.
    /// Their slots are given away again only after the next call, when no answer reads them.
    pub fn retain(&self, mut keep: impl FnMut(&HealthCheckId) -> bool) {
        let mut slots = self.slots();
        let rested = std::mem::take(&mut slots.resting);
        for slot in &rested {
            let (word, bit) = place(*slot);
            self.unhealthy[word].fetch_and(!bit, Ordering::Relaxed);
        }
        slots.free.extend(rested);
        let mut gone = Vec::new();
        slots.by_check.retain(|check, slot| {
            let kept = keep(check);
            if !kept {
                gone.push(*slot);
            }
            kept
        });
        slots.resting = gone;
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn place(slot: Slot) -> (usize, u64) {
    (usize::from(slot.0) / 64, 1 << (slot.0 % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(number: usize) -> HealthCheckId {
        HealthCheckId(format!("check-{number}"))
    }

    #[test]
    fn a_check_is_healthy_until_it_is_said_not_to_be() {
        let board = HealthBoard::new();
        let (one, two) = (board.slot(&check(1)), board.slot(&check(2)));
        assert!(board.is_healthy(one) && board.is_healthy(Slot::ALWAYS_HEALTHY));
        assert!(!board.set(&check(1), true));
        assert!(board.set(&check(1), false));
        assert!(!board.set(&check(1), false));
        assert!(!board.is_healthy(one) && board.is_healthy(two));
        assert_eq!(board.slot(&check(1)), one);
    }

    #[test]
    fn a_slot_is_given_away_again_after_a_rest_and_healthy() {
        let board = HealthBoard::new();
        let slot = board.slot(&check(1));
        board.set(&check(1), false);
        board.retain(|_| false);
        assert!(
            !board.is_healthy(slot),
            "an answer under way still reads what was"
        );
        assert_ne!(board.slot(&check(2)), slot);
        board.retain(|_| true);
        assert_eq!(board.slot(&check(3)), slot);
        assert!(board.is_healthy(slot));
    }

    #[test]
    fn a_full_board_takes_further_checks_for_healthy() {
        let board = HealthBoard::new();
        for number in 1..MAX_CHECKS {
            assert_ne!(board.slot(&check(number)), Slot::ALWAYS_HEALTHY);
        }
        assert_eq!(board.slot(&check(MAX_CHECKS)), Slot::ALWAYS_HEALTHY);
        assert!(!board.set(&check(MAX_CHECKS), false));
        assert!(board.is_healthy(Slot::ALWAYS_HEALTHY));
    }
}
