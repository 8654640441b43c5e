//! The council as the Regions see it: one order of changes, heard late, and refused to whoever is
//! cut off from the majority.

use std::sync::{Arc, Mutex};

use types::{
    Configuration, ConfigurationEdit, ConfigurationError, ConfigurationExpected, ConfigurationView,
    Proposal,
};

use crate::support::View;

/// All that was decided, by revision.
#[derive(Default)]
pub struct Council {
    views: Mutex<Vec<Arc<View>>>,
}

impl Council {
    pub fn new() -> Arc<Council> {
        let council = Council::default();
        council.views.lock().unwrap().push(Arc::default());
        Arc::new(council)
    }

    pub fn latest(&self) -> Arc<View> {
        self.views.lock().unwrap().last().unwrap().clone()
    }

    fn at(&self, revision: u64) -> Arc<View> {
        self.views.lock().unwrap()[usize::try_from(revision).unwrap()].clone()
    }

    fn decide(&self, edits: Vec<ConfigurationEdit>) -> Result<Arc<View>, ConfigurationError> {
        let mut views = self.views.lock().unwrap();
        let mut view = View::clone(views.last().unwrap());
        for edit in &edits {
            let found = view.entries.get(&edit.key).map(|(revision, _)| *revision);
            let holds = match edit.expected {
                ConfigurationExpected::Any => true,
                ConfigurationExpected::Absent => found.is_none(),
                ConfigurationExpected::Revision(revision) => found == Some(revision),
            };
            if !holds {
                return Err(ConfigurationError::Conflict);
            }
        }
        view.revision += 1;
        for edit in edits {
            match edit.value {
                Some(value) => view.entries.insert(edit.key, (view.revision, value)),
                None => view.entries.remove(&edit.key),
            };
        }
        let view = Arc::new(view);
        views.push(view.clone());
        Ok(view)
    }
}

/// A Region's seat.
pub struct Seat {
    council: Arc<Council>,
    seen: Mutex<Arc<View>>,
    hears: Mutex<bool>,
}

impl Seat {
    pub fn new(council: &Arc<Council>) -> Arc<Seat> {
        Arc::new(Seat {
            council: council.clone(),
            seen: Mutex::new(council.latest()),
            hears: Mutex::new(true),
        })
    }

    pub fn set_hears(&self, hears: bool) {
        *self.hears.lock().unwrap() = hears;
    }

    pub fn hears(&self) -> bool {
        *self.hears.lock().unwrap()
    }

    /// Hears of the latest changes, or of all but some.
    pub fn catch_up(&self, behind: u64) {
        if !self.hears() {
            return;
        }
        let latest = self.council.latest().revision.saturating_sub(behind);
        let mut seen = self.seen.lock().unwrap();
        if latest > seen.revision {
            *seen = self.council.at(latest);
        }
    }

    /// The process starts anew, and knows only what it had kept.
    pub fn fall_back(&self, by: u64) {
        let mut seen = self.seen.lock().unwrap();
        *seen = self.council.at(seen.revision.saturating_sub(by));
    }
}

impl Configuration for Seat {
    fn view(&self) -> Arc<dyn ConfigurationView> {
        self.seen.lock().unwrap().clone()
    }

    fn propose(&self, edits: Vec<ConfigurationEdit>) -> Proposal<'_> {
        Box::pin(async move {
            if !self.hears() {
                return Err(ConfigurationError::NoMajority);
            }
            let made = self.council.decide(edits);
            // A conflict is told by who has decided since, so that is heard too.
            *self.seen.lock().unwrap() = self.council.latest();
            made.map(|view| view.revision)
        })
    }
}
