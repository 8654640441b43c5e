//! Which of a Region's zones are down, as the supervisor last said: what serves in a zone asks
//! here, and is woken when that changes. It brings nothing down itself.

use std::collections::BTreeSet;

use tokio::sync::watch;
use types::ZoneLetter;

/// The zones of this process's Region.
pub(super) struct Zones(watch::Sender<BTreeSet<ZoneLetter>>);

impl Zones {
    /// The Region's zones, of which those are down.
    pub(super) fn new(down: BTreeSet<ZoneLetter>) -> Zones {
        Zones(watch::Sender::new(down))
    }

    /// From now on those are down, and no others.
    pub(super) fn set_down(&self, down: &BTreeSet<ZoneLetter>) {
        self.0.send_if_modified(|known| {
            let changes = known != down;
            if changes {
                known.clone_from(down);
            }
            changes
        });
    }

    /// Which are down.
    pub(super) fn down(&self) -> BTreeSet<ZoneLetter> {
        self.0.borrow().clone()
    }

    /// Is that one up?
    pub(super) fn is_up(&self, zone: ZoneLetter) -> bool {
        !self.0.borrow().contains(&zone)
    }

    /// Which are down, now and whenever that changes.
    pub(super) fn subscribe(&self) -> watch::Receiver<BTreeSet<ZoneLetter>> {
        self.0.subscribe()
    }
}
