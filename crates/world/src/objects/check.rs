//! The checks of buckets: they know what the clients were told and what the buckets hold, and share
//! no code with either.

use std::collections::{BTreeMap, BTreeSet};

use objects::{ReplicationStatus, Stamp};
use types::SiteId;

use super::workload::{Attempt, Told};

/// One version that a bucket holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldVersion {
    /// Its key.
    pub key: String,
    /// Its stamp.
    pub stamp: Stamp,
    /// Is it the current one of its key?
    pub is_latest: bool,
    /// Its bytes; `None`: a delete marker.
    pub size: Option<u64>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// How replication stands.
    pub status: Option<ReplicationStatus>,
}

/// What each site's bucket holds, as it lists it.
pub type Held = BTreeMap<SiteId, Vec<HeldVersion>>;

/// Something that must never be, or must no longer be when all is healed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// An acknowledged version isn't in a bucket that it belongs to.
    Missing(SiteId, String),
    /// A bucket has more versions of a key from a site than clients there can have made.
    TooMany(SiteId, String),
    /// A bucket lists a version twice.
    Twice(SiteId, String),
    /// Two sites that replicate to each other list a key's versions differently.
    Diverged(String),
    /// A version is where none that replicates would bring it.
    Stray(SiteId, String),
    /// Not exactly one version of a key is the current one, or it isn't the newest.
    Current(SiteId, String),
    /// A version's status is another than it must be in the end.
    Status(SiteId, String, Option<ReplicationStatus>),
    /// A version's bytes can't be read, or aren't those that were sent.
    Bytes(SiteId, String),
    /// A later version of a key came before an earlier one of the same site.
    OutOfOrder(SiteId, String),
}

/// From where each site's bucket gets versions, and its own.
const SOURCES: [(SiteId, &[SiteId]); 3] = [
    (SiteId(1), &[SiteId(1), SiteId(2)]),
    (SiteId(2), &[SiteId(1), SiteId(2)]),
    (SiteId(3), &[SiteId(1)]),
];

/// What must hold when everything is healed and has arrived.
pub fn check(attempts: &[Attempt], held: &Held) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (site, sources) in SOURCES {
        let listed = held.get(&site).map_or(&[][..], Vec::as_slice);
        faults.extend(acknowledged(attempts, site, sources, listed));
        faults.extend(counts(attempts, site, sources, listed));
        faults.extend(states(site, listed));
    }
    let places = |site| held.get(&site).map(|listed| places(listed));
    if places(SiteId(1)) != places(SiteId(2)) {
        faults.push(Fault::Diverged(format!(
            "{:?} and {:?}",
            places(SiteId(1)),
            places(SiteId(2))
        )));
    }
    faults
}

/// What two sites must have alike of every version.
fn places(listed: &[HeldVersion]) -> Vec<HeldVersion> {
    let all = listed.iter().map(|one| HeldVersion {
        status: None,
        ..one.clone()
    });
    all.collect()
}

fn acknowledged(
    attempts: &[Attempt],
    site: SiteId,
    sources: &[SiteId],
    listed: &[HeldVersion],
) -> Vec<Fault> {
    let there: BTreeSet<String> = listed.iter().map(|one| one.stamp.to_string()).collect();
    let belong = attempts.iter().filter(|one| sources.contains(&one.site));
    let missing = belong.filter_map(|one| match &one.told {
        Told::Done(version) if !there.contains(version) => {
            Some(Fault::Missing(site, format!("{} {version}", one.key)))
        }
        _ => None,
    });
    missing.collect()
}

/// Of each key no more versions than were acknowledged or may have happened.
fn counts(
    attempts: &[Attempt],
    site: SiteId,
    sources: &[SiteId],
    listed: &[HeldVersion],
) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut made: BTreeMap<(&str, SiteId), i64> = BTreeMap::new();
    let may_be = attempts.iter().filter(|one| one.told != Told::Refused);
    for one in may_be {
        *made.entry((&one.key, one.site)).or_default() += 1;
    }
    let mut seen = BTreeSet::new();
    for one in listed {
        let origin = one.stamp.version.site;
        if !seen.insert((&one.key, one.stamp)) {
            faults.push(Fault::Twice(site, one.key.clone()));
        }
        if !sources.contains(&origin) {
            faults.push(Fault::Stray(site, format!("{} {}", one.key, one.stamp)));
        }
        let left = made.entry((&one.key, origin)).or_default();
        *left -= 1;
        if *left < 0 {
            faults.push(Fault::TooMany(site, one.key.clone()));
        }
    }
    faults
}

fn states(site: SiteId, listed: &[HeldVersion]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut newest: BTreeMap<&str, Stamp> = BTreeMap::new();
    for one in listed {
        let known = newest.entry(&one.key).or_insert(one.stamp);
        *known = (*known).max(one.stamp);
    }
    for one in listed {
        if one.is_latest != (newest[one.key.as_str()] == one.stamp) {
            faults.push(Fault::Current(site, one.key.clone()));
        }
        let wanted = match one.stamp.version.site == site {
            true => ReplicationStatus::Completed,
            false => ReplicationStatus::Replica,
        };
        if one.status != Some(wanted) {
            let what = format!("{} {}", one.key, one.stamp);
            faults.push(Fault::Status(site, what, one.status));
        }
    }
    faults
}

/// What must hold at any moment: of what a site has sent, a destination has the earlier versions
/// of a key when it has a later one.
pub fn check_order(held: &Held) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (to, sources) in SOURCES {
        for from in sources.iter().filter(|from| **from != to) {
            let (Some(sent), Some(there)) = (held.get(from), held.get(&to)) else {
                continue;
            };
            let own = |one: &&HeldVersion| one.stamp.version.site == *from;
            let mut last: BTreeMap<&str, Stamp> = BTreeMap::new();
            let mut present = BTreeSet::new();
            for one in there.iter().filter(own) {
                let known = last.entry(&one.key).or_insert(one.stamp);
                *known = (*known).max(one.stamp);
                present.insert((one.key.as_str(), one.stamp));
            }
            for one in sent.iter().filter(own) {
                let key = one.key.as_str();
                let is_earlier = last.get(key).is_some_and(|last| one.stamp < *last);
                if is_earlier && !present.contains(&(key, one.stamp)) {
                    faults.push(Fault::OutOfOrder(to, format!("{key} {}", one.stamp)));
                }
            }
        }
    }
    faults
}
