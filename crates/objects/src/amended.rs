//! What can be amended of a version, each with a stamp of its own; and how two states of one
//! version become one: the later of each, whatever comes first and however often, so that what two
//! Regions amended at once is all there. No compliance is made shorter by it. Pure.

use serde::{Deserialize, Serialize};
use types::{Timestamp, Version};

use crate::{LockMode, ObjectData, Retention};

/// When and where what can be amended of a version was last changed. None: never since it was
/// made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Told")]
pub struct Amended {
    /// Its tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Version>,
    /// Its access control list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acl: Option<Version>,
    /// Its retention.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Version>,
    /// Its legal hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legal_hold: Option<Version>,
}

/// As rows and messages have it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    /// Of the first format: one stamp for all.
    Whole(Version),
    Each {
        #[serde(default)]
        tags: Option<Version>,
        #[serde(default)]
        acl: Option<Version>,
        #[serde(default)]
        retention: Option<Version>,
        #[serde(default)]
        legal_hold: Option<Version>,
    },
}

impl From<Told> for Amended {
    fn from(told: Told) -> Amended {
        match told {
            Told::Whole(at) => Amended {
                tags: Some(at),
                acl: Some(at),
                retention: Some(at),
                legal_hold: Some(at),
            },
            Told::Each {
                tags,
                acl,
                retention,
                legal_hold,
            } => Amended {
                tags,
                acl,
                retention,
                legal_hold,
            },
        }
    }
}

impl Amended {
    /// Nothing was changed.
    pub const NEVER: Amended = Amended {
        tags: None,
        acl: None,
        retention: None,
        legal_hold: None,
    };

    /// Was nothing changed?
    pub fn is_never(&self) -> bool {
        *self == Amended::NEVER
    }

    /// The last of the changes.
    pub fn last(&self) -> Option<Version> {
        self.tags
            .max(self.acl)
            .max(self.retention)
            .max(self.legal_hold)
    }
}

impl ObjectData {
    /// Takes over what another state of the same version, made elsewhere, has later than this one.
    /// False: nothing.
    pub(crate) fn merge(&mut self, other: &ObjectData, now: Timestamp) -> bool {
        let before = self.amended;
        if other.amended.tags > self.amended.tags {
            self.tags.clone_from(&other.tags);
            self.amended.tags = other.amended.tags;
        }
        if other.amended.acl > self.amended.acl {
            self.acl.clone_from(&other.acl);
            self.amended.acl = other.amended.acl;
        }
        if other.amended.legal_hold > self.amended.legal_hold {
            self.legal_hold = other.legal_hold;
            self.amended.legal_hold = other.amended.legal_hold;
        }
        let held = (self.retention.clone(), self.amended.retention);
        let came = (other.retention.clone(), other.amended.retention);
        let (retention, at) = merge_retention(held, came, now);
        let longer = self.retention != retention;
        (self.retention, self.amended.retention) = (retention, at);
        longer || self.amended != before
    }
}

/// A retention and when it was set.
type Set = (Option<Retention>, Option<Version>);

/// The later retention of two; but compliance stands until it is over, unless the later is the
/// same for longer. Over is what was over when the later was set, so that every Region decides
/// alike; and here it must be over too, should the other's clock be ahead.
fn merge_retention(held: Set, came: Set, now: Timestamp) -> Set {
    let Some(set) = came.1 else {
        return held;
    };
    let (earlier, later) = match came.1 > held.1 {
        true => (held, came),
        false => (came, held),
    };
    let set = later.1.unwrap_or(set).time.wall();
    let stands = earlier.0.as_ref().is_some_and(|earlier| {
        let longer = later.0.as_ref().is_some_and(|later| {
            later.mode == LockMode::Compliance && later.until >= earlier.until
        });
        earlier.mode == LockMode::Compliance && !earlier.is_over(set.min(now)) && !longer
    });
    match stands {
        true => (earlier.0, later.1),
        false => later,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::{Hlc, SiteId};

    use super::*;
    use crate::testing::object_data;

    /// Long after everything that is set here.
    const NOW: Timestamp = Timestamp(1_000);

    fn at(millis: u64, site: u16) -> Option<Version> {
        Some(Version {
            time: Hlc::at(Timestamp(millis)),
            site: SiteId(site),
        })
    }

    fn held(mode: LockMode, until: u64) -> Option<Retention> {
        Some(Retention {
            mode,
            until: Timestamp(until),
        })
    }

    #[test]
    fn what_two_amend_at_once_is_all_there() {
        let (mut one, mut two) = (object_data(), object_data());
        one.legal_hold = true;
        one.amended.legal_hold = at(10, 1);
        two.retention = held(LockMode::Compliance, 3_000);
        two.amended.retention = at(11, 2);
        two.tags = [("a".to_owned(), "b".to_owned())].into();
        two.amended.tags = at(12, 2);
        let (first, second) = (one.clone(), two.clone());
        assert!(one.merge(&second, NOW));
        assert!(two.merge(&first, NOW));
        assert_eq!(one, two);
        assert!(one.legal_hold && one.retention.is_some() && one.tags.len() == 1);
        assert!(!one.merge(&second, NOW) && !two.merge(&first, NOW));
    }

    #[test]
    fn compliance_is_never_made_shorter() {
        use LockMode::{Compliance, Governance};
        let merged = |here: Set, there: Set| {
            let both = merge_retention(here.clone(), there.clone(), NOW);
            assert_eq!(both, merge_retention(there, here, NOW));
            both.0
        };
        let long = || held(Compliance, 3_000);
        assert_eq!(merged((long(), at(1, 1)), (None, at(2, 2))), long());
        let shorter = held(Compliance, 2_000);
        assert_eq!(merged((long(), at(1, 1)), (shorter, at(2, 2))), long());
        let loose = held(Governance, 9_000);
        assert_eq!(merged((long(), at(1, 1)), (loose, at(2, 2))), long());
        let longer = held(Compliance, 4_000);
        let set = (longer.clone(), at(2, 2));
        assert_eq!(merged((long(), at(1, 1)), set), longer);
        // Once it is over it may be ended; here it must be over, too.
        let over = held(Compliance, 500);
        assert_eq!(merged((over.clone(), at(1, 1)), (None, at(500, 2))), None);
        assert_eq!(merged((over.clone(), at(1, 1)), (None, at(499, 2))), over);
        assert_eq!(merged((long(), at(1, 1)), (None, at(3_000, 2))), long());
        let governed = held(Governance, 3_000);
        assert_eq!(merged((governed, at(1, 1)), (None, at(2, 2))), None);
    }

    #[test]
    fn what_was_never_set_is_not_told_as_if_it_was() {
        let default = held(LockMode::Compliance, 3_000);
        let mut here = object_data();
        let mut there = object_data();
        there.retention = default.clone();
        there.amended.tags = at(5, 2);
        assert!(here.merge(&there, NOW));
        assert_eq!(here.retention, None);
    }

    #[test]
    fn rows_of_the_first_format_are_read() {
        let row = r#"{"time":65536,"site":3}"#;
        let one = at(1, 3);
        let all = Amended {
            tags: one,
            acl: one,
            retention: one,
            legal_hold: one,
        };
        assert_eq!(serde_json::from_str::<Amended>(row).unwrap(), all);
        let tags = Amended {
            tags: one,
            ..Amended::NEVER
        };
        let golden = r#"{"tags":{"time":65536,"site":3}}"#;
        assert_eq!(serde_json::to_string(&tags).unwrap(), golden);
        assert_eq!(serde_json::from_str::<Amended>(golden).unwrap(), tags);
        assert!(serde_json::from_str::<Amended>("7").is_err());
    }

    fn any_set() -> impl Strategy<Value = Set> {
        let retention = prop_oneof![
            Just(None),
            (prop::bool::ANY, 0..8_u64).prop_map(|(strict, until)| {
                let mode = match strict {
                    true => LockMode::Compliance,
                    false => LockMode::Governance,
                };
                held(mode, until * 10)
            }),
        ];
        (retention, 0..7_u64, 1..3_u16).prop_map(|(set, millis, site)| (set, at(millis * 10, site)))
    }

    proptest! {
        #[test]
        fn retentions_converge_in_any_order(sets in prop::collection::vec(any_set(), 1..5)) {
            // One stamp is of one change.
            let mut sets = sets;
            sets.sort_by_key(|set| set.1);
            sets.dedup_by_key(|set| set.1);
            let merge = |sets: &[Set]| {
                let first = sets[0].clone();
                sets[1..].iter().fold(first, |held, set| merge_retention(held, set.clone(), NOW))
            };
            let forth = merge(&sets);
            let mut back = sets.clone();
            back.reverse();
            prop_assert_eq!(&forth, &merge(&back));
            let turned = sets.len() / 2;
            sets.rotate_left(turned);
            prop_assert_eq!(&forth, &merge(&sets));
            // A state that was merged elsewhere changes nothing more.
            prop_assert_eq!(&forth, &merge_retention(forth.clone(), merge(&sets[..1]), NOW));
        }
    }
}
