//! The places of connections that have not begun a session yet, and who gives his up when they run
//! short: who has sent nothing makes room for who comes, and everybody has less time while most
//! places are taken. It reads nothing; whether a client is silent its connection says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use super::EndpointLimits;

/// The places of one endpoint.
pub(super) struct Starting {
    places: Arc<Semaphore>,
    limits: EndpointLimits,
    silent: Mutex<Silent>,
}

/// Those of whom nothing has been heard, oldest first.
#[derive(Default)]
struct Silent {
    last: u64,
    since: BTreeMap<u64, (Instant, Asked)>,
}

/// Dropping the first asks a connection to make room; that the second is dropped says that it
/// did, or doesn't.
struct Asked(oneshot::Sender<()>, oneshot::Receiver<()>);

/// A connection's place until its session begins.
pub(super) struct Place {
    // In this order: it is free before the others hear so.
    _permit: OwnedSemaphorePermit,
    silence: Option<Silence>,
    number: u64,
    starting: Arc<Starting>,
}

/// A connection's own ends of [`Asked`].
struct Silence {
    asked: oneshot::Receiver<()>,
    _answer: oneshot::Sender<()>,
}

impl Starting {
    pub(super) fn new(limits: EndpointLimits) -> Arc<Starting> {
        Arc::new(Starting {
            places: Arc::new(Semaphore::new(limits.starting)),
            limits,
            silent: Mutex::default(),
        })
    }

    /// A place for a connection that has come. If there is none the one that has been silent for
    /// longest makes room, once that is [`EndpointLimits::silence`]; else one that is free is
    /// waited for. To be called by one at a time.
    pub(super) async fn place(self: &Arc<Starting>) -> Place {
        let permit = loop {
            let places = Arc::clone(&self.places);
            let oldest = self.silent().since.first_key_value().map(|it| it.1.0);
            let Some(oldest) = oldest else {
                break places.acquire_owned().await;
            };
            tokio::select! {
                biased;
                permit = places.acquire_owned() => break permit,
                () = sleep_until(oldest + self.limits.silence) => {
                    self.displace(Instant::now()).await;
                }
            }
        };
        let (asking, asked) = oneshot::channel();
        let (answer, answered) = oneshot::channel();
        let mut silent = self.silent();
        silent.last += 1;
        let number = silent.last;
        let row = (Instant::now(), Asked(asking, answered));
        silent.since.insert(number, row);
        drop(silent);
        Place {
            _permit: permit.expect("nobody closes it"),
            silence: Some(Silence {
                asked,
                _answer: answer,
            }),
            number,
            starting: Arc::clone(self),
        }
    }

    /// Asks the one that has been silent for longest to make room, if that is long enough by then,
    /// and hears what it does.
    async fn displace(&self, now: Instant) {
        // Whoever was waited for may have spoken meanwhile, and the next have come just now.
        let Some(Asked(asking, answered)) = self.silent().due(now, self.limits.silence) else {
            return;
        };
        drop(asking);
        // Nothing is ever sent: it is dropped.
        answered.await.ok();
    }

    fn is_crowded(&self) -> bool {
        self.places.available_permits() * 2 < self.limits.starting
    }

    fn silent(&self) -> MutexGuard<'_, Silent> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Silent {
    /// The one of whom nothing has been heard for longest, if that is so long by then; it is none
    /// of them any more.
    fn due(&mut self, now: Instant, silence: Duration) -> Option<Asked> {
        let oldest = self.since.first_entry()?;
        let is_due = oldest.get().0 + silence <= now;
        is_due.then(|| oldest.remove().1)
    }
}

impl Place {
    /// Until the client, who has sent nothing as yet, is to make room for another.
    pub(super) async fn asked(&mut self) {
        match &mut self.silence {
            // Nothing is ever sent: it is dropped.
            Some(silence) => {
                (&mut silence.asked).await.ok();
            }
            None => std::future::pending().await,
        }
    }

    /// Where it is one of the places.
    pub(super) fn starting(&self) -> Arc<Starting> {
        Arc::clone(&self.starting)
    }

    /// The client has sent something: it makes room for nobody from now on.
    pub(super) fn speaks(&mut self) {
        self.starting.silent().since.remove(&self.number);
        self.silence = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.starting.silent().since.remove(&self.number);
    }
}

/// Until a connection that comes now has had all the time that it is given to begin.
pub(super) async fn patience(starting: Arc<Starting>) {
    let (crowded, whole) = (starting.limits.crowded, starting.limits.startup);
    let mut left = whole;
    while left > Duration::ZERO {
        let span = left.min(crowded);
        sleep(span).await;
        left -= span;
        if starting.is_crowded() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const SILENCE: Duration = Duration::from_millis(250);

    const LIMITS: EndpointLimits = EndpointLimits {
        starting: 2,
        silence: SILENCE,
        ..EndpointLimits::STANDARD
    };

    fn is_over(future: impl Future) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(future).poll(&mut context).is_ready()
    }

    /// A speaks just before it would make room for another; B came a moment before.
    #[tokio::test]
    async fn nobody_makes_room_before_he_has_been_silent_for_long() {
        let starting = Starting::new(LIMITS);
        let mut a = starting.place().await;
        sleep(Duration::from_millis(2)).await;
        let mut b = starting.place().await;
        let since = |place: &Place| starting.silent().since[&place.number].0;
        let (first, second) = (since(&a), since(&b));
        assert!(first < second);
        a.speaks();
        assert!(is_over(starting.displace(first + SILENCE)));
        assert!(!is_over(b.asked()), "it has only just come");
        // It has been silent for as long by then.
        let mut displacing = pin!(starting.displace(second + SILENCE));
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(displacing.as_mut().poll(&mut context), Poll::Pending);
        b.asked().await;
        b.speaks();
        displacing.await;
        assert!(!is_over(a.asked()));
    }
}
