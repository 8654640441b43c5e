//! Where everybody who watches a game day notes what they saw, with its time from the start of
//! the load. It judges nothing and keeps no more than the limits of a scenario allow.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gameday::{EventKind, Look, Observations, Scan};
use runtime::SystemEnvironment;
use types::{Environment, Monotonic, Region, Span};

/// The notes of one game day.
pub struct Recorder {
    /// When the load starts.
    pub start: Monotonic,
    /// The clock.
    pub environment: Arc<SystemEnvironment>,
    observations: Mutex<Observations>,
    healed: Mutex<Option<Span>>,
}

impl Recorder {
    /// Notes beside those that there are already.
    pub fn new(
        start: Monotonic,
        environment: &Arc<SystemEnvironment>,
        observations: Observations,
    ) -> Recorder {
        Recorder {
            start,
            environment: Arc::clone(environment),
            observations: Mutex::new(observations),
            healed: Mutex::default(),
        }
    }

    /// How long ago the load has started; zero before.
    pub fn elapsed(&self) -> Span {
        self.environment.now().monotonic - self.start
    }

    /// Ends at that time from the start of the load.
    pub async fn wait_until(&self, at: Span) {
        self.environment.sleep_until(self.start + at).await;
    }

    /// Ends after that span.
    pub async fn wait(&self, span: Span) {
        let now = self.environment.now().monotonic;
        self.environment.sleep_until(now + span).await;
    }

    /// Notes an event.
    pub fn event(&self, at: Span, kind: EventKind) {
        self.notes().event(at, kind);
    }

    /// Notes an answer of the DNS, unless it is the same as the one before it.
    pub fn answer(&self, at: Span, look: &Look, regions: Vec<Region>) {
        self.notes().answer(at, look, regions);
    }

    /// Notes what the Regions held while the fault lasted.
    pub fn scan(&self, scan: Scan) {
        self.notes().scan = Some(scan);
    }

    /// Notes that a fault has ended: what waited behind it is on its way now.
    pub fn healed(&self, at: Span) {
        *self.healed.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// When a fault has ended last.
    pub fn last_heal(&self) -> Option<Span> {
        *self.healed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many events there are, and those after the first `from`.
    pub fn events_from(&self, from: usize) -> Vec<gameday::Event> {
        let notes = self.notes();
        notes.events.get(from..).unwrap_or_default().to_vec()
    }

    /// Everything, events in the order of their times.
    pub fn finish(self) -> Observations {
        let notes = self.observations.into_inner();
        let mut notes = notes.unwrap_or_else(PoisonError::into_inner);
        notes.events.sort_by_key(|event| event.at);
        notes
    }

    fn notes(&self) -> MutexGuard<'_, Observations> {
        self.observations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
