//! The memory that signed chunks of all requests together may take while they are held until their
//! signature is known. Whoever comes when it is taken waits, in the order in which they came: a
//! large chunk isn't overtaken by small ones for ever. It holds no bytes itself.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::Event;

/// So many bytes, for all who share it.
pub(crate) struct ChunkBudget {
    total: u64,
    state: Mutex<State>,
    changed: Event,
}

#[derive(Default)]
struct State {
    taken: u64,
    /// Who waits, in their order.
    waiting: BTreeSet<u64>,
    last: u64,
}

/// Some of a budget, given back when dropped.
pub(crate) struct Share {
    budget: Arc<ChunkBudget>,
    bytes: u64,
}

impl ChunkBudget {
    /// A budget of that many bytes.
    pub(crate) fn new(total: u64) -> Arc<ChunkBudget> {
        Arc::new(ChunkBudget {
            total,
            state: Mutex::default(),
            changed: Event::new(),
        })
    }

    /// Takes that many bytes (all of them at most), as soon as they are free and nobody waits who
    /// came before.
    pub(crate) async fn take(self: &Arc<Self>, bytes: u64) -> Share {
        let bytes = bytes.min(self.total);
        let place = Place::last(self);
        loop {
            let changed = self.changed.listen();
            {
                let mut state = self.state();
                let is_next = state.waiting.first() == Some(&place.number);
                if is_next && self.total - state.taken >= bytes {
                    state.taken += bytes;
                    break;
                }
            }
            changed.await;
        }
        Share {
            budget: self.clone(),
            bytes,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// How much it is.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.state().taken -= self.bytes;
        self.budget.changed.notify(usize::MAX);
    }
}

/// A place in the row of those who wait, left when dropped.
struct Place<'a> {
    budget: &'a ChunkBudget,
    number: u64,
}

impl Place<'_> {
    fn last(budget: &ChunkBudget) -> Place<'_> {
        let mut state = budget.state();
        state.last += 1;
        let number = state.last;
        state.waiting.insert(number);
        Place { budget, number }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.budget.state().waiting.remove(&self.number);
        self.budget.changed.notify(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;

    use futures_util::FutureExt;
    use futures_util::task::{Context, noop_waker_ref};

    use super::*;

    #[test]
    fn a_budget_is_never_exceeded_and_taken_in_order() {
        let mut context = Context::from_waker(noop_waker_ref());
        let budget = ChunkBudget::new(10);
        let first = budget.take(8).now_or_never().unwrap();
        let mut large = pin!(budget.take(9));
        assert!(large.as_mut().poll(&mut context).is_pending());
        // It would fit, and doesn't overtake.
        let mut small = pin!(budget.take(1));
        assert!(small.as_mut().poll(&mut context).is_pending());
        assert_eq!(budget.state().taken, 8);
        drop(first);
        let Poll::Ready(large) = large.as_mut().poll(&mut context) else {
            panic!("it is free");
        };
        let Poll::Ready(small) = small.as_mut().poll(&mut context) else {
            panic!("so is this");
        };
        assert_eq!(
            (large.bytes(), small.bytes(), budget.state().taken),
            (9, 1, 10)
        );
        drop((large, small));
        assert_eq!(budget.state().taken, 0);
        // More than there is, is all there is.
        assert_eq!(budget.take(11).now_or_never().unwrap().bytes(), 10);
    }

    #[test]
    fn who_goes_away_holds_nobody_up() {
        let mut context = Context::from_waker(noop_waker_ref());
        let budget = ChunkBudget::new(10);
        let first = budget.take(10).now_or_never().unwrap();
        {
            let mut gone = pin!(budget.take(5));
            assert!(gone.as_mut().poll(&mut context).is_pending());
        }
        drop(first);
        assert!(budget.take(10).now_or_never().is_some());
    }
}
