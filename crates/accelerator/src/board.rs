//! How each endpoint is by its health check: a state each, read by one load when a flow's endpoint
//! is chosen. A change of state rebuilds nothing. It draws no verdicts; they are set from outside.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use types::HealthCheckId;

use crate::model::HealthState;

/// Checks that a board has room for: more than [`crate::checks::MAX_CHECKS`], so that those of an
/// old snapshot and of its successor fit together.
pub const MAX_SLOTS: usize = 8 * 1024;

/// Where a check's state stands on a board. Stays valid until [`Board::retain`] lets the check go
/// and is called once more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(u16);

impl Slot {
    /// No check: always healthy.
    pub const UNCHECKED: Slot = Slot(0);
}

/// The states of all endpoints, by their checks.
#[derive(Debug)]
pub struct Board {
    states: Box<[AtomicU8]>,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    by_check: BTreeMap<HealthCheckId, Slot>,
    /// Slots from here on were never given away.
    fresh: u16,
    free: Vec<Slot>,
    /// Let go by the last `retain`: choices under way may still read them.
    resting: Vec<Slot>,
}

impl Default for Board {
    fn default() -> Board {
        Board::new()
    }
}

impl Board {
    /// A board on which nothing is known.
    pub fn new() -> Board {
        let states: Box<[AtomicU8]> = (0..MAX_SLOTS).map(|_| AtomicU8::new(0)).collect();
        let unchecked = usize::from(Slot::UNCHECKED.0);
        states[unchecked].store(byte(HealthState::Healthy), Ordering::Relaxed);
        Board {
            states,
            slots: Mutex::new(Slots {
                fresh: Slot::UNCHECKED.0 + 1,
                ..Slots::default()
            }),
        }
    }

    /// The check's slot, given to it now if it had none; [`Slot::UNCHECKED`] if the board is full.
    pub fn slot(&self, check: &HealthCheckId) -> Slot {
        let mut slots = self.slots();
        if let Some(slot) = slots.by_check.get(check) {
            return *slot;
        }
        let slot = match slots.free.pop() {
            Some(slot) => slot,
            None if usize::from(slots.fresh) < MAX_SLOTS => {
                slots.fresh += 1;
                Slot(slots.fresh - 1)
            }
            None => return Slot::UNCHECKED,
        };
        slots.by_check.insert(check.clone(), slot);
        slot
    }

    /// Sets how the check's endpoint is. True if that is news.
    pub fn set(&self, check: &HealthCheckId, state: HealthState) -> bool {
        let slot = self.slot(check);
        if slot == Slot::UNCHECKED {
            return false;
        }
        let place = &self.states[usize::from(slot.0)];
        place.swap(byte(state), Ordering::Relaxed) != byte(state)
    }

    /// How the endpoint of that slot's check is. One load.
    pub fn state(&self, slot: Slot) -> HealthState {
        of_byte(self.states[usize::from(slot.0)].load(Ordering::Relaxed))
    }

    /// How the check's endpoint is; initial, if the board doesn't know the check.
    pub fn state_of(&self, check: &HealthCheckId) -> HealthState {
        let slot = self.slots().by_check.get(check).copied();
        slot.map_or(HealthState::Initial, |slot| self.state(slot))
    }

    /// Lets go of the checks that `keep` doesn't want: what is known of them is forgotten.
    /// Their slots are given away again only after the next call, when no choice reads them.
    pub fn retain(&self, mut keep: impl FnMut(&HealthCheckId) -> bool) {
        let mut slots = self.slots();
        let rested = std::mem::take(&mut slots.resting);
        for slot in &rested {
            let initial = byte(HealthState::Initial);
            self.states[usize::from(slot.0)].store(initial, Ordering::Relaxed);
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

    /// A panic elsewhere while the lock was held leaves plain data: it is still good to use.
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn byte(state: HealthState) -> u8 {
    match state {
        HealthState::Initial => 0,
        HealthState::Healthy => 1,
        HealthState::Unhealthy => 2,
    }
}

fn of_byte(byte: u8) -> HealthState {
    match byte {
        0 => HealthState::Initial,
        1 => HealthState::Healthy,
        _ => HealthState::Unhealthy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(number: usize) -> HealthCheckId {
        HealthCheckId(format!("accelerator/{number}"))
    }

    #[test]
    fn an_endpoint_is_initial_until_something_is_said_of_it() {
        let board = Board::new();
        let (one, two) = (board.slot(&check(1)), board.slot(&check(2)));
        assert_eq!(board.state(one), HealthState::Initial);
        assert_eq!(board.state(Slot::UNCHECKED), HealthState::Healthy);
        assert!(board.set(&check(1), HealthState::Healthy));
        assert!(!board.set(&check(1), HealthState::Healthy));
        assert!(board.set(&check(1), HealthState::Unhealthy));
        assert_eq!(board.state(one), HealthState::Unhealthy);
        assert_eq!(board.state_of(&check(1)), HealthState::Unhealthy);
        assert_eq!(board.state(two), HealthState::Initial);
        assert_eq!(board.state_of(&check(3)), HealthState::Initial);
    }

    #[test]
    fn a_slot_is_given_away_again_after_a_rest_and_initial() {
        let board = Board::new();
        let slot = board.slot(&check(1));
        board.set(&check(1), HealthState::Healthy);
        board.retain(|_| false);
        let read = board.state(slot);
        assert_eq!(read, HealthState::Healthy, "a choice under way reads on");
        assert_ne!(board.slot(&check(2)), slot);
        board.retain(|_| true);
        assert_eq!(board.slot(&check(3)), slot);
        assert_eq!(board.state(slot), HealthState::Initial);
    }

    #[test]
    fn a_full_board_takes_further_endpoints_for_healthy() {
        let board = Board::new();
        for number in 1..MAX_SLOTS {
            assert_ne!(board.slot(&check(number)), Slot::UNCHECKED);
        }
        assert_eq!(board.slot(&check(MAX_SLOTS)), Slot::UNCHECKED);
        assert!(!board.set(&check(MAX_SLOTS), HealthState::Unhealthy));
        assert_eq!(board.state(Slot::UNCHECKED), HealthState::Healthy);
    }
}
