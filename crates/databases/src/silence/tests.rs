//! What is known of a lease by who watches it.

use super::*;
use crate::lease::{self, LEASE};

/// A configuration with the leases of some Regions: the revision that wrote each, and its number.
struct Leases(Vec<(Region, u64, u64)>);

impl ConfigurationView for Leases {
    fn revision(&self) -> u64 {
        self.0
            .iter()
            .map(|(_, revision, _)| *revision)
            .max()
            .unwrap_or_default()
    }

    fn get(&self, key: &str) -> Option<(u64, Bytes)> {
        let mut found = None;
        self.visit(key, &mut |_, revision, value| {
            found = Some((revision, value.clone()))
        });
        found
    }

    fn visit(&self, prefix: &str, visitor: &mut dyn FnMut(&str, u64, &Bytes)) {
        for (region, revision, number) in &self.0 {
            let edit = lease::edit(*region, *number, 1);
            if edit.key.starts_with(prefix) {
                let value = edit.value.unwrap();
                visitor(&edit.key, *revision, &value);
            }
        }
    }
}

fn virginia() -> Region {
    "us-east-1".parse().unwrap()
}

fn at(milliseconds: u64) -> Monotonic {
    Monotonic(milliseconds * 1000)
}

#[test]
fn a_lease_is_as_old_as_the_first_seeing_of_its_present_row() {
    let mut seen = LeasesSeen::new();
    assert_eq!(seen.of(virginia()), None);
    seen.look(&Leases(vec![(virginia(), 5, 50)]), at(1000));
    seen.look(&Leases(vec![(virginia(), 5, 50)]), at(2000));
    assert_eq!(seen.of(virginia()).unwrap().at, at(1000));
    seen.look(&Leases(vec![(virginia(), 6, 60)]), at(3000));
    assert_eq!(seen.of(virginia()).unwrap().at, at(3000));
    // Who looks at an older configuration learns nothing.
    seen.look(&Leases(vec![(virginia(), 5, 50)]), at(4000));
    let row = LeaseRow::of(&Leases(vec![(virginia(), 6, 60)]), virginia());
    assert_eq!(
        seen.of(virginia()).map(|it| (&it.row, it.at)),
        row.as_ref().map(|row| (row, at(3000)))
    );
    // A council that was recovered may give a revision twice.
    seen.look(&Leases(vec![(virginia(), 6, 61)]), at(5000));
    assert_eq!(seen.of(virginia()).unwrap().at, at(5000));
}

#[test]
fn a_takeover_waits_from_the_last_renewal_that_the_move_knows_and_never_from_an_older_one() {
    let moving = MoveSeen {
        number: 3,
        at: at(9000),
    };
    let mut leases = LeasesSeen::new();
    let old = Leases(vec![(virginia(), 5, 50)]);
    leases.look(&old, at(1000));
    let (old, seen) = (
        LeaseRow::of(&old, virginia()),
        leases.of(virginia()).cloned(),
    );
    let due = |row: Option<&LeaseRow>| takeover_due(moving, row, seen.as_ref());
    assert_eq!(due(old.as_ref()), at(1000) + TAKEOVER_WAIT);
    // The row that stands with the move is one that wasn't seen before.
    let new = LeaseRow::of(&Leases(vec![(virginia(), 7, 70)]), virginia());
    assert_eq!(due(new.as_ref()), at(9000) + TAKEOVER_WAIT);
    assert_eq!(due(None), at(9000) + TAKEOVER_WAIT);
    assert_eq!(
        takeover_due(moving, old.as_ref(), None),
        at(9000) + TAKEOVER_WAIT
    );
    // One that came after the move makes nobody wait longer than the move does.
    leases.look(&Leases(vec![(virginia(), 7, 70)]), at(9500));
    let due = takeover_due(moving, new.as_ref(), leases.of(virginia()));
    assert_eq!(due, at(9000) + TAKEOVER_WAIT);
    assert!(TAKEOVER_WAIT > LEASE);
}
