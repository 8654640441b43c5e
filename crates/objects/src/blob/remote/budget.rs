//! The memory of all uploads together: a share for each part that is gathered or under way. It
//! waits for one for a while, and then refuses.

use std::sync::{Arc, Mutex};

use event_listener::Event;
use futures_util::future::{Either, select};
use types::{Environment, Span};

/// How many parts are in memory at once: 240 MiB.
const PARTS: usize = 48;

/// How long an upload waits for a share.
const WAIT: Span = Span::seconds(20);

/// What is left.
pub(super) struct Budget {
    left: Mutex<usize>,
    returned: Event,
}

/// The memory of one part; given back when it is dropped.
pub(super) struct Share(Arc<Budget>);

impl Budget {
    /// All of it is left.
    pub(super) fn new() -> Budget {
        Budget {
            left: Mutex::new(PARTS),
            returned: Event::new(),
        }
    }

    /// A share; none if none came back for too long.
    pub(super) async fn share(self: &Arc<Self>, environment: &dyn Environment) -> Option<Share> {
        let mut until = None;
        loop {
            // Heard from before it is looked: what comes back in between isn't missed.
            let returned = self.returned.listen();
            if let Some(share) = self.take() {
                return Some(share);
            }
            let now = environment.now().monotonic;
            let until = *until.get_or_insert(now + WAIT);
            let late = environment.sleep_until(until);
            if let Either::Right(_) = select(returned, late).await {
                return self.take();
            }
        }
    }

    fn take(self: &Arc<Self>) -> Option<Share> {
        let mut left = self.left.lock().expect("nothing panics under this lock");
        *left = left.checked_sub(1)?;
        Some(Share(Arc::clone(self)))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut left = self.0.left.lock().expect("nothing panics under this lock");
        *left += 1;
        drop(left);
        self.0.returned.notify(1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use types::Timestamp;

    use super::*;
    use crate::testing::Lab;

    #[test]
    fn what_is_given_back_goes_to_who_waits() {
        let clock = Lab::new(Timestamp(0)).clock;
        let budget = Arc::new(Budget::new());
        let mut shares: Vec<Share> = (0..PARTS).map(|_| budget.take().unwrap()).collect();
        let mut first = Box::pin(budget.share(&*clock));
        let mut second = Box::pin(budget.share(&*clock));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        shares.pop();
        let share = first.as_mut().now_or_never();
        assert!(share.flatten().is_some(), "the first that waits has it");
        // It was dropped, so that there is one again.
        assert!(second.as_mut().now_or_never().flatten().is_some());
    }
}
