//! Who takes part in a global table: a small replicated map that every member keeps. Per site
//! the entry with the greater stamp wins, so that members agree whatever the order in which
//! they hear of changes. An entry is never removed: `Gone` is what outbids old news of a member
//! that has left. It does no I/O and decides nothing; `membership.rs` does.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::{SiteId, Version};

/// A global table's identity: 128 random bits drawn when its first replica was added. The same
/// in every member Region, and in no other table, whatever its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u128);

/// A global table's members, as far as this Region knows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Which global table.
    pub id: GroupId,
    /// Every site that is or was a member.
    pub members: BTreeMap<SiteId, Member>,
}

/// One site's entry. Ordered by the stamp first: the greater entry wins a merge. (Two entries
/// with one stamp and different contents can't come from a correct site; ordering by all fields
/// makes even those merge to the same everywhere.)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Member {
    /// When this entry was decided, and by which site.
    pub stamp: Version,
    /// Where in its membership the site is.
    pub phase: MemberPhase,
    /// The stamp with which this membership began: it tells a member that left and came back
    /// from the one it was.
    pub joined: Version,
    /// The member whose `UpdateTable` or `DeleteTable` asked for the phase; the one that copies
    /// the existing items to a new replica.
    pub source: SiteId,
    /// Gone without ever having taken part: there was a table of that name already.
    pub refused: bool,
}

/// Where in its membership a site is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum MemberPhase {
    /// Being filled with the existing items.
    Creating,
    /// In service.
    Active,
    /// Takes no more writes; its own last ones are still on their way to the others.
    Deleting,
    /// Not a member.
    Gone,
}

impl Group {
    /// A group of one member, in service.
    pub fn new(id: GroupId, site: SiteId, stamp: Version) -> Group {
        let member = Member {
            stamp,
            phase: MemberPhase::Active,
            joined: stamp,
            source: site,
            refused: false,
        };
        Group {
            id,
            members: BTreeMap::from([(site, member)]),
        }
    }

    /// The entry of that site, gone or not.
    pub fn entry(&self, site: SiteId) -> Option<&Member> {
        self.members.get(&site)
    }

    /// The entry of that site, if it is a member.
    pub fn member(&self, site: SiteId) -> Option<&Member> {
        self.entry(site)
            .filter(|member| member.phase != MemberPhase::Gone)
    }

    /// The members other than `site`.
    pub fn others(&self, site: SiteId) -> impl Iterator<Item = (SiteId, &Member)> {
        self.members
            .iter()
            .map(|(other, member)| (*other, member))
            .filter(move |(other, member)| *other != site && member.phase != MemberPhase::Gone)
    }

    /// Does that site take items?
    pub fn receives(&self, site: SiteId) -> bool {
        self.entry(site)
            .is_some_and(|m| matches!(m.phase, MemberPhase::Creating | MemberPhase::Active))
    }

    /// Is a replica being added or removed?
    pub fn in_progress(&self) -> bool {
        self.members
            .values()
            .any(|m| matches!(m.phase, MemberPhase::Creating | MemberPhase::Deleting))
    }

    /// Is a replica being added or removed at the request of that site?
    pub fn in_progress_by(&self, site: SiteId) -> bool {
        self.others(site).any(|(_, m)| {
            m.source == site && matches!(m.phase, MemberPhase::Creating | MemberPhase::Deleting)
        })
    }

    /// The greatest stamp of that site's entry, for a clock to outbid.
    pub fn stamp(&self, site: SiteId) -> Option<Version> {
        self.entry(site).map(|member| member.stamp)
    }

    /// The site begins to be a member; `source` copies to it.
    pub fn join(&mut self, site: SiteId, source: SiteId, stamp: Version) {
        let member = Member {
            stamp,
            phase: MemberPhase::Creating,
            joined: stamp,
            source,
            refused: false,
        };
        self.set(site, member);
    }

    /// The site's membership goes on in another phase.
    pub fn advance(&mut self, site: SiteId, phase: MemberPhase, source: SiteId, stamp: Version) {
        let Some(before) = self.members.get(&site).copied() else {
            return;
        };
        self.set(
            site,
            Member {
                stamp,
                phase,
                source,
                ..before
            },
        );
    }

    /// The site refuses to be the member its entry makes it. The stamp is made from the entry's,
    /// not from a clock: a replay of the same entry is answered by the same refusal, which can't
    /// outbid a later attempt.
    pub fn refuse(&mut self, site: SiteId) {
        let Some(asked) = self.members.get(&site).copied() else {
            return;
        };
        let stamp = Version {
            time: asked.stamp.time.next(),
            site,
        };
        self.set(
            site,
            Member {
                stamp,
                phase: MemberPhase::Gone,
                refused: true,
                ..asked
            },
        );
    }

    /// Takes every entry of `other` that is greater than ours. Says whether any was. A group of
    /// another identity is not merged.
    pub fn merge(&mut self, other: &Group) -> bool {
        let mut changed = false;
        if other.id == self.id {
            for (site, member) in &other.members {
                changed |= self.set(*site, *member);
            }
        }
        changed
    }

    fn set(&mut self, site: SiteId, member: Member) -> bool {
        match self.members.get_mut(&site) {
            Some(held) if *held >= member => false,
            Some(held) => {
                *held = member;
                true
            }
            None => {
                self.members.insert(site, member);
                true
            }
        }
    }
}

impl MemberPhase {
    /// `ReplicaStatus` as the API shows it; a site that is gone is not shown.
    pub fn status(self) -> Option<&'static str> {
        match self {
            MemberPhase::Creating => Some("CREATING"),
            MemberPhase::Active => Some("ACTIVE"),
            MemberPhase::Deleting => Some("DELETING"),
            MemberPhase::Gone => None,
        }
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupId({self})")
    }
}

impl Serialize for GroupId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GroupId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        if digits.len() != 32 {
            return Err(serde::de::Error::custom("a group's identity has 32 digits"));
        }
        let number = u128::from_str_radix(&digits, 16).map_err(serde::de::Error::custom)?;
        Ok(GroupId(number))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::Hlc;

    use super::*;

    fn version(time: u64, site: u16) -> Version {
        Version {
            time: Hlc(time),
            site: SiteId(site),
        }
    }

    prop_compose! {
        fn members()(entries in prop::collection::btree_map(0u16..4, (0u64..6, 0u16..3, 0u8..4, 0u64..3), 0..4))
            -> BTreeMap<SiteId, Member>
        {
            entries.into_iter().map(|(site, (time, by, phase, joined))| {
                let phase = match phase {
                    0 => MemberPhase::Creating,
                    1 => MemberPhase::Active,
                    2 => MemberPhase::Deleting,
                    _ => MemberPhase::Gone,
                };
                let member = Member {
                    stamp: version(time, by),
                    phase,
                    joined: version(joined, by),
                    source: SiteId(by),
                    refused: false,
                };
                (SiteId(site), member)
            }).collect()
        }
    }

    fn group(members: BTreeMap<SiteId, Member>) -> Group {
        Group {
            id: GroupId(7),
            members,
        }
    }

    fn merged(a: &Group, b: &Group) -> Group {
        let mut merged = a.clone();
        merged.merge(b);
        merged
    }

    proptest! {
        #[test]
        fn merging_is_commutative_associative_and_idempotent(
            a in members(), b in members(), c in members()
        ) {
            let (a, b, c) = (group(a), group(b), group(c));
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&a, &a), a.clone());
            let mut again = merged(&a, &b);
            prop_assert!(!again.merge(&b));
            prop_assert!(!again.merge(&a));
        }
    }

    #[test]
    fn another_groups_members_are_not_merged() {
        let mut ours = group(BTreeMap::new());
        let theirs = Group::new(GroupId(8), SiteId(1), version(1, 1));
        assert!(!ours.merge(&theirs));
        assert!(ours.members.is_empty());
    }

    #[test]
    fn a_refusal_replayed_does_not_outbid_a_later_attempt() {
        let (source, site) = (SiteId(1), SiteId(2));
        let mut first = Group::new(GroupId(7), source, version(1, 1));
        first.join(site, source, version(5, 1));
        let mut refused = first.clone();
        refused.refuse(site);
        assert!(merged(&first, &refused).member(site).is_none());
        let mut second = merged(&first, &refused);
        second.join(site, source, version(9, 1));
        let mut replayed = first;
        replayed.refuse(site);
        assert!(merged(&second, &replayed).receives(site));
    }

    #[test]
    fn a_site_that_came_back_is_not_the_member_it_was() {
        let mut group = Group::new(GroupId(7), SiteId(1), version(1, 1));
        let site = SiteId(2);
        group.join(site, SiteId(1), version(2, 1));
        group.advance(site, MemberPhase::Active, SiteId(1), version(3, 2));
        let old = group.clone();
        assert_eq!(group.entry(site).map(|m| m.joined), Some(version(2, 1)));
        group.advance(site, MemberPhase::Deleting, SiteId(1), version(4, 1));
        assert!(!group.receives(site) && group.in_progress_by(SiteId(1)));
        group.advance(site, MemberPhase::Gone, SiteId(1), version(5, 2));
        group.join(site, SiteId(1), version(6, 1));
        group.merge(&old);
        assert_eq!(group.entry(site).map(|m| m.joined), Some(version(6, 1)));
    }

    #[test]
    fn a_group_has_this_json() {
        let group = Group::new(GroupId(0xab), SiteId(1), version(5, 1));
        let json = concat!(
            r#"{"id":"000000000000000000000000000000ab","members":{"1":"#,
            r#"{"stamp":{"time":5,"site":1},"phase":"Active","joined":{"time":5,"site":1},"#,
            r#""source":1,"refused":false}}}"#
        );
        assert_eq!(serde_json::to_string(&group).unwrap(), json);
        assert_eq!(serde_json::from_str::<Group>(json).unwrap(), group);
        assert!(serde_json::from_str::<GroupId>(r#""ab""#).is_err());
    }
}
