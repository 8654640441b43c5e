//! Virtual time: it stands still while tasks run and jumps to the next thing that is due.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use types::{Environment, Monotonic, Now, Sleep, Timestamp};

use crate::random::Random;

/// The wall time at which every world begins: 2026-01-01T00:00:00Z.
const BEGINNING: Timestamp = Timestamp(1_767_225_600_000);

/// The world's one clock and all waits on it.
#[derive(Clone, Default)]
pub struct VirtualTime {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    now: Monotonic,
    next_wait: u64,
    waits: BTreeMap<(Monotonic, u64), Waker>,
}

impl VirtualTime {
    /// The time.
    pub fn now(&self) -> Monotonic {
        self.inner.lock().expect("nothing panics inside").now
    }

    /// When the next wait ends.
    pub fn next_wait(&self) -> Option<Monotonic> {
        let inner = self.inner.lock().expect("nothing panics inside");
        inner.waits.first_key_value().map(|((at, _), _)| *at)
    }

    /// Goes on to `to` (never back) and wakes whoever waited for it or for less.
    pub fn advance(&self, to: Monotonic) {
        let mut due = Vec::new();
        {
            let mut inner = self.inner.lock().expect("nothing panics inside");
            inner.now = inner.now.max(to);
            while let Some(entry) = inner.waits.first_entry() {
                if entry.key().0 > to {
                    break;
                }
                due.push(entry.remove());
            }
        }
        for waker in due {
            waker.wake();
        }
    }

    fn sleep_until(&self, at: Monotonic) -> Sleep {
        let inner = self.inner.clone();
        let mut registered = None;
        Box::pin(poll_fn(move |context| {
            let mut inner = inner.lock().expect("nothing panics inside");
            if inner.now >= at {
                return Poll::Ready(());
            }
            let number = *registered.get_or_insert_with(|| {
                inner.next_wait += 1;
                inner.next_wait
            });
            inner.waits.insert((at, number), context.waker().clone());
            Poll::Pending
        }))
    }
}

/// One site's view of the world: the common time, a wall clock that may be off, its own chance.
pub struct SiteEnvironment {
    time: VirtualTime,
    /// Milliseconds by which this site's wall clock is ahead (or behind, if negative).
    skew: Arc<Mutex<i64>>,
    random: Mutex<Random>,
}

impl SiteEnvironment {
    /// A site's environment; `skew` is shared with who sets it.
    pub fn new(time: VirtualTime, skew: Arc<Mutex<i64>>, random: Random) -> SiteEnvironment {
        SiteEnvironment {
            time,
            skew,
            random: Mutex::new(random),
        }
    }
}

impl Environment for SiteEnvironment {
    fn now(&self) -> Now {
        let monotonic = self.time.now();
        let skew = *self.skew.lock().expect("nothing panics inside");
        let wall = (BEGINNING.0 + monotonic.0 / 1000).saturating_add_signed(skew);
        Now {
            wall: Timestamp(wall),
            monotonic,
        }
    }

    fn sleep_until(&self, at: Monotonic) -> Sleep {
        self.time.sleep_until(at)
    }

    fn random(&self) -> u64 {
        self.random.lock().expect("nothing panics inside").bits()
    }
}
