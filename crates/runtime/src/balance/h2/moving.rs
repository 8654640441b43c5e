//! What is under way on a client's connection of HTTP/2, and when something of each request or its
//! answer moved last. Silence is measured, not how long a request takes: an upload may take hours.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Instant;

/// How long a client may take to say that it has seen that its connection is to end.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// When something of a request or its answer moved last.
#[derive(Clone)]
pub(super) struct Moved(Rc<Cell<Instant>>);

impl Moved {
    /// Something moves now.
    pub(super) fn note(&self) {
        self.0.set(Instant::now());
    }

    /// When it will have been silent for so long, if nothing moves.
    pub(super) fn end(&self, idle: Duration) -> Instant {
        self.0.get() + idle
    }

    /// What that comes to, or nothing if nothing moved for so long.
    pub(super) async fn unless_silent<T>(
        &self,
        idle: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = work.as_mut() => return Some(done),
                () = tokio::time::sleep_until(self.end(idle)) => {
                    if self.end(idle) <= Instant::now() {
                        return None;
                    }
                }
            }
        }
    }
}

/// The requests of a connection that are under way.
pub(super) struct Streams {
    under_way: RefCell<BTreeMap<u64, Moved>>,
    next: Cell<u64>,
    /// When the last one began or ended.
    used: Cell<Instant>,
    /// Is the connection ended for a client that takes nothing?
    given_up: Cell<bool>,
}

impl Streams {
    pub(super) fn new() -> Rc<Streams> {
        Rc::new(Streams {
            under_way: RefCell::default(),
            next: Cell::new(0),
            used: Cell::new(Instant::now()),
            given_up: Cell::new(false),
        })
    }

    /// One more.
    pub(super) fn begin(self: &Rc<Self>) -> Active {
        let (number, now) = (self.next.get(), Instant::now());
        let moved = Moved(Rc::new(Cell::new(now)));
        self.next.set(number + 1);
        self.used.set(now);
        self.under_way.borrow_mut().insert(number, moved.clone());
        Active {
            streams: Rc::clone(self),
            number,
            moved,
        }
    }

    /// When the connection is to end: in order, or (`ending`: since when it does) at once. None
    /// while the requests under way are waited for.
    pub(super) fn due(
        &self,
        aged: Instant,
        ending: Option<Instant>,
        idle: Duration,
    ) -> Option<Instant> {
        let silent = self.used.get() + idle;
        match (self.under_way.borrow().is_empty(), ending) {
            (true, None) => Some(silent.min(aged)),
            (true, Some(since)) => Some(silent.max(since + idle.min(LOOK))),
            (false, None) => Some(aged),
            (false, Some(_)) => None,
        }
    }

    /// Has nothing of some request moved for longer than its target could be silent? Then the
    /// client takes nothing of the answer, which nobody else looks at.
    pub(super) fn is_stuck(&self, idle: Duration) -> bool {
        let now = Instant::now();
        let under_way = self.under_way.borrow();
        under_way.values().any(|moved| moved.end(2 * idle) <= now)
    }

    /// The connection ends because of that: so does all that is under way, also what began a
    /// moment later.
    pub(super) fn give_up(&self) {
        self.given_up.set(true);
    }
}

/// A request that is under way as long as this is there.
pub(super) struct Active {
    streams: Rc<Streams>,
    number: u64,
    pub(super) moved: Moved,
}

impl Active {
    /// Is its connection ended for a client that takes nothing?
    pub(super) fn is_given_up(&self) -> bool {
        self.streams.given_up.get()
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.streams.under_way.borrow_mut().remove(&self.number);
        self.streams.used.set(Instant::now());
    }
}

/// A request's body on its way to a target.
pub(super) struct Sending {
    /// None if there is no body.
    incoming: Option<Incoming>,
    pub(super) moved: Moved,
}

impl Sending {
    pub(super) fn new(incoming: Incoming, moved: Moved) -> Sending {
        Sending {
            incoming: Some(incoming),
            moved,
        }
    }

    /// No body.
    pub(super) fn empty(moved: Moved) -> Sending {
        Sending {
            incoming: None,
            moved,
        }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let Some(incoming) = &mut this.incoming else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(incoming).poll_frame(context);
        if polled.is_ready() {
            this.moved.note();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let incoming = self.incoming.as_ref();
        incoming.map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_due_was_not_done_before() {
        let streams = Streams::new();
        let now = Instant::now();
        let later = now + 10 * IDLE;
        assert_eq!(streams.due(now, None, IDLE), Some(now));
        assert!(streams.due(later, None, IDLE) < Some(later));
        // An old connection that ends is left alone until its client has had time to say so ...
        assert!(streams.due(now, Some(now), IDLE) >= Some(now + LOOK));
        // ... and as long as a request is under way, whatever its age.
        let active = streams.begin();
        assert_eq!(streams.due(now, None, IDLE), Some(now));
        assert_eq!(streams.due(now, Some(now), IDLE), None);
        drop(active);
        assert!(streams.due(now, Some(now), IDLE).is_some());
    }

    #[test]
    fn a_request_of_which_nothing_moves_holds_its_connection_up() {
        let streams = Streams::new();
        let (_other, active) = (streams.begin(), streams.begin());
        assert!(!streams.is_stuck(IDLE));
        active.moved.0.set(Instant::now() - 2 * IDLE);
        assert!(streams.is_stuck(IDLE));
        active.moved.note();
        assert!(!streams.is_stuck(IDLE));
    }
}
