//! Locks on keys, held from the read of a key's state until the commit of its next one.
//!
//! Striped by a fixed hash of the key: two keys may share a lock, which costs waiting and
//! nothing else. Whoever needs several takes them in one call, in one order, so that no two
//! callers wait for each other. Who comes first is served first, whatever the time: a lock that
//! looks at the clock to be fair (async-lock's does) makes a simulated run depend on the machine.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_channel::oneshot::{Receiver, Sender, channel};

/// Number of locks. With 32 writers at once a key waits for a stranger's commit about once in
/// 500 writes.
const STRIPES: usize = 16 * 1024;

/// The locks of one kind of keys in a Region.
#[derive(Debug)]
pub struct KeyLocks {
    stripes: Vec<Arc<Stripe>>,
}

/// Keys that nobody else may write until this is dropped.
#[derive(Debug)]
#[must_use = "the keys are free again when this is dropped"]
pub struct KeyGuard {
    _held: Vec<Held>,
}

/// One lock: `None` while it is free, else those who wait for it.
#[derive(Debug, Default)]
struct Stripe(Mutex<Option<VecDeque<Sender<Held>>>>);

/// A lock that is held. Dropped, it goes to whoever has waited longest.
#[derive(Debug)]
struct Held {
    /// `None` once it was passed on.
    stripe: Option<Arc<Stripe>>,
}

impl Stripe {
    async fn lock(self: &Arc<Stripe>) -> Held {
        match self.take_or_queue() {
            Ok(held) => held,
            // Given up while it waits, the lock is passed on by whoever finds its place empty;
            // given up when it has it, `Held` is dropped with the channel.
            Err(turn) => turn.await.expect("a lock is dropped by handing it on"),
        }
    }

    fn take_or_queue(self: &Arc<Stripe>) -> Result<Held, Receiver<Held>> {
        let mut waiting = self.waiting();
        let Some(queue) = waiting.as_mut() else {
            *waiting = Some(VecDeque::new());
            return Ok(Held {
                stripe: Some(self.clone()),
            });
        };
        let (sender, receiver) = channel();
        queue.push_back(sender);
        Err(receiver)
    }

    fn waiting(&self) -> MutexGuard<'_, Option<VecDeque<Sender<Held>>>> {
        self.0.lock().expect("nothing panics inside")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(stripe) = self.stripe.take() else {
            return;
        };
        loop {
            let next = {
                let mut waiting = stripe.waiting();
                let next = waiting.as_mut().and_then(VecDeque::pop_front);
                if next.is_none() {
                    *waiting = None;
                }
                next
            };
            let Some(next) = next else { return };
            let held = Held {
                stripe: Some(stripe.clone()),
            };
            match next.send(held) {
                Ok(()) => return,
                // It has given up: the next one's turn. Nothing is to be released by this.
                Err(mut refused) => refused.stripe = None,
            }
        }
    }
}

impl KeyLocks {
    /// All free.
    pub fn new() -> KeyLocks {
        let stripes = (0..STRIPES).map(|_| Arc::default()).collect();
        KeyLocks { stripes }
    }

    /// Waits for that key.
    pub async fn lock(&self, key: &[u8]) -> KeyGuard {
        let guard = self.stripes[stripe(key)].lock().await;
        KeyGuard { _held: vec![guard] }
    }

    /// Waits for all of these keys.
    pub async fn lock_all<'a>(&self, keys: impl IntoIterator<Item = &'a [u8]>) -> KeyGuard {
        let mut wanted: Vec<usize> = keys.into_iter().map(stripe).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut held = Vec::with_capacity(wanted.len());
        for index in wanted {
            held.push(self.stripes[index].lock().await);
        }
        KeyGuard { _held: held }
    }

    /// Returns when every guard that was held at the call has been dropped. A writer of items that
    /// checks the catalogue under its lock therefore can't write to a table that was dropped
    /// before this was called.
    pub async fn barrier(&self) {
        for stripe in &self.stripes {
            drop(stripe.lock().await);
        }
    }
}

impl Default for KeyLocks {
    fn default() -> KeyLocks {
        KeyLocks::new()
    }
}

/// FNV-1a (Fowler, Noll, Vo), folded so that every bit counts.
fn stripe(key: &[u8]) -> usize {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ((hash ^ (hash >> 32)) as usize) % STRIPES
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Waker};

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn an_item_is_locked_until_its_guard_is_dropped() {
        let locks = KeyLocks::new();
        let guard = locks.lock(b"a").now_or_never().expect("it is free");
        assert!(locks.lock(b"a").now_or_never().is_none());
        assert!(locks.lock(b"b").now_or_never().is_some());
        assert!(locks.barrier().now_or_never().is_none());
        drop(guard);
        assert!(locks.lock(b"a").now_or_never().is_some());
        assert!(locks.barrier().now_or_never().is_some());
    }

    #[test]
    fn the_same_item_twice_is_one_lock() {
        let locks = KeyLocks::new();
        let keys: [&[u8]; 3] = [b"a", b"b", b"a"];
        assert!(locks.lock_all(keys).now_or_never().is_some());
    }

    #[test]
    fn who_comes_first_is_served_first_and_who_gives_up_is_passed_over() {
        let locks = KeyLocks::new();
        let mut context = Context::from_waker(Waker::noop());
        let first = locks.lock(b"a").now_or_never().expect("it is free");
        let mut second = Box::pin(locks.lock(b"a"));
        let mut third = Box::pin(locks.lock(b"a"));
        let mut fourth = Box::pin(locks.lock(b"a"));
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert!(third.as_mut().poll(&mut context).is_pending());
        assert!(fourth.as_mut().poll(&mut context).is_pending());
        drop(first);
        assert!(
            locks.lock(b"a").now_or_never().is_none(),
            "nobody barges in"
        );
        assert!(fourth.as_mut().poll(&mut context).is_pending());
        // The second has been given it, and never looks.
        drop(second);
        assert!(fourth.as_mut().poll(&mut context).is_pending());
        assert!(third.as_mut().poll(&mut context).is_ready());
        assert!(fourth.as_mut().poll(&mut context).is_ready());
        assert!(locks.lock(b"a").now_or_never().is_some());
    }

    #[test]
    fn threads_that_fight_for_one_item_each_get_it_alone() {
        let locks = KeyLocks::new();
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (locks, inside) = (&locks, &inside);
                scope.spawn(move || {
                    for round in 0..2_000 {
                        let waiting = locks.lock(b"a");
                        if (thread + round) % 7 == 0 {
                            // Begun, and given up if it isn't its turn.
                            drop(waiting.now_or_never());
                            continue;
                        }
                        let guard = wait_for(waiting);
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                        drop(guard);
                    }
                });
            }
        });
        assert!(locks.barrier().now_or_never().is_some());
    }

    /// Polls until it is done.
    fn wait_for<T>(future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            std::thread::yield_now();
        }
    }
}
