//! Do the replicas of each global table agree, judged by what their Regions told? Replicas that
//! differ are at fault only if both are made of the same changes: each Region had applied the
//! other's log up to where it ended, and as much of every third one's. Else something may still
//! be on its way, and nothing can be said.

use std::collections::{BTreeMap, BTreeSet};

use region::{Replica, Replicas};
use serde::Serialize;
use types::Region;

/// What a comparison came to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// All replicas hold the same.
    Agree,
    /// Not all could be compared, or what differs may still be on its way.
    NotComparable,
    /// Replicas differ though they are made of the same changes.
    Differ,
}

/// One global table, compared.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Compared {
    /// Its name.
    pub table: String,
    /// Its identity.
    pub group: String,
    /// What it came to.
    pub state: Agreement,
    /// Why they don't agree, or couldn't be compared.
    pub reasons: Vec<String>,
    /// The replicas that answered.
    pub replicas: Vec<Held>,
}

/// What one replica holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Held {
    /// Its Region.
    pub region: Region,
    /// Items.
    pub items: u64,
    /// Tombstones.
    pub tombstones: u64,
    /// The digest of its states.
    pub digest: String,
}

/// Compares the replicas of each global table. `silent`: the Regions that didn't answer, and why.
pub fn compare(heard: &[Replicas], silent: &BTreeMap<Region, String>) -> Vec<Compared> {
    let replicas = heard.iter().flat_map(|region| &region.replicas);
    let groups: BTreeMap<(&str, &str), ()> = replicas
        .map(|replica| ((replica.table.as_str(), replica.group.as_str()), ()))
        .collect();
    let groups = groups.into_keys();
    groups
        .map(|(table, group)| compare_group(table, group, heard, silent))
        .collect()
}

fn compare_group(
    table: &str,
    group: &str,
    heard: &[Replicas],
    silent: &BTreeMap<Region, String>,
) -> Compared {
    let mut judgement = Judgement::default();
    let holders: Vec<(&Replicas, &Replica)> = heard
        .iter()
        .filter_map(|region| Some((region, find(region, group)?)))
        .collect();
    for (region, replica) in &holders {
        if !replica.active {
            judgement.doubt(format!("{} is receiving its first copy", region.region));
        }
    }
    let active: Vec<_> = holders
        .iter()
        .filter(|(_, replica)| replica.active)
        .collect();
    let members: BTreeSet<Region> = active
        .iter()
        .flat_map(|(_, replica)| replica.others.iter().copied())
        .collect();
    for member in members {
        if let Some(cause) = silent.get(&member) {
            judgement.doubt(format!("{member} did not answer: {cause}"));
        }
        let without = heard.iter().find(|region| region.region == member);
        let without = without.filter(|region| find(region, group).is_none());
        let witness = active
            .iter()
            .find(|(_, replica)| replica.others.contains(&member));
        if let (Some(without), Some((witness, replica))) = (without, witness) {
            let words = format!("{member} has no replica, though {} says so", witness.region);
            judgement.difference(
                words,
                obstacles((*witness, Some(*replica)), (without, None)),
            );
        }
    }
    for (index, one) in active.iter().enumerate() {
        for other in &active[index + 1..] {
            if content(one.1) != content(other.1) {
                let words = format!("{} and {} differ", one.0.region, other.0.region);
                let between = obstacles((one.0, Some(one.1)), (other.0, Some(other.1)));
                judgement.difference(words, between);
            }
        }
    }
    let replicas = holders.iter().map(|(region, replica)| Held {
        region: region.region,
        items: replica.items,
        tombstones: replica.tombstones,
        digest: replica.digest.clone(),
    });
    Compared {
        table: table.to_owned(),
        group: group.to_owned(),
        state: judgement.state(),
        reasons: judgement.reasons,
        replicas: replicas.collect(),
    }
}

#[derive(Default)]
struct Judgement {
    differs: bool,
    reasons: Vec<String>,
}

impl Judgement {
    fn doubt(&mut self, reason: String) {
        self.reasons.push(reason);
    }

    /// Something differs; a fault unless there are reasons for it to.
    fn difference(&mut self, words: String, obstacles: Vec<String>) {
        if obstacles.is_empty() {
            self.differs = true;
            self.doubt(words);
        } else {
            let because = obstacles.join(", ");
            self.doubt(format!("{words}; not comparable yet: {because}"));
        }
    }

    fn state(&self) -> Agreement {
        match (self.differs, self.reasons.is_empty()) {
            (true, _) => Agreement::Differ,
            (false, true) => Agreement::Agree,
            (false, false) => Agreement::NotComparable,
        }
    }
}

fn find<'a>(region: &'a Replicas, group: &str) -> Option<&'a Replica> {
    region
        .replicas
        .iter()
        .find(|replica| replica.group == group)
}

fn content(replica: &Replica) -> (u64, u64, &str) {
    (replica.items, replica.tombstones, &replica.digest)
}

/// Why two replicas (or a replica and the lack of one) need not be equal. None: they must be.
fn obstacles(
    one: (&Replicas, Option<&Replica>),
    other: (&Replicas, Option<&Replica>),
) -> Vec<String> {
    let mut obstacles = one_way(one, other.0);
    obstacles.extend(one_way(other, one.0));
    for applied in &one.0.applied {
        let theirs = other.0.applied.iter().find(|a| a.of == applied.of);
        if let Some(theirs) = theirs
            && (&applied.log, applied.position) != (&theirs.log, theirs.position)
        {
            let difference = applied.position.abs_diff(theirs.position);
            let third = applied.of;
            obstacles.push(format!("they stand {difference} changes of {third} apart"));
        }
    }
    obstacles
}

/// What may be on its way from one Region to another.
fn one_way(from: (&Replicas, Option<&Replica>), to: &Replicas) -> Vec<String> {
    let mut obstacles = Vec::new();
    let (from, replica) = from;
    let applied = to.applied.iter().find(|applied| applied.of == from.region);
    let position = applied
        .filter(|applied| applied.log.as_ref() == Some(&from.log))
        .map_or(0, |applied| applied.position);
    if position != from.head {
        let backlog = from.head.abs_diff(position);
        let trouble = applied.and_then(|applied| applied.trouble.as_ref());
        let trouble = trouble.map_or(String::new(), |trouble| format!(" ({trouble})"));
        obstacles.push(format!(
            "backlog {backlog} from {} to {}{trouble}",
            from.region, to.region
        ));
    }
    let needs_copy = from
        .applied
        .iter()
        .any(|a| a.of == to.region && a.needs_copy);
    let copying = replica.is_some_and(|replica| replica.copying_to.contains(&to.region));
    if needs_copy || copying {
        obstacles.push(format!("{} is copying items to {}", from.region, to.region));
    }
    obstacles
}

#[cfg(test)]
mod tests {
    use region::Applied;

    use super::*;

    const GROUP: &str = "00000000000000000000000000000001";

    fn name(index: usize) -> Region {
        let names = ["us-east-1", "eu-west-1", "ap-southeast-1"];
        names[index].parse().unwrap()
    }

    /// Regions at rest: each with a log of 10 that the others have applied, and equal replicas.
    fn at_rest() -> Vec<Replicas> {
        let region = |index: usize| Replicas {
            region: name(index),
            log: format!("{index:016x}"),
            head: 10,
            applied: (0..3)
                .filter(|other| *other != index)
                .map(|other| Applied {
                    of: name(other),
                    log: Some(format!("{other:016x}")),
                    position: 10,
                    trouble: None,
                    needs_copy: false,
                })
                .collect(),
            replicas: vec![Replica {
                group: GROUP.to_owned(),
                table: "Orders".to_owned(),
                active: true,
                others: (0..3).filter(|o| *o != index).map(name).collect(),
                copying_to: Vec::new(),
                items: 3,
                tombstones: 1,
                digest: "d".to_owned(),
            }],
        };
        (0..3).map(region).collect()
    }

    fn judge(heard: &[Replicas]) -> Compared {
        let [compared] = compare(heard, &BTreeMap::new()).try_into().unwrap();
        compared
    }

    #[test]
    fn equal_replicas_agree_whatever_is_on_its_way() {
        let mut heard = at_rest();
        let compared = judge(&heard);
        assert_eq!(
            (compared.state, compared.replicas.len()),
            (Agreement::Agree, 3)
        );
        heard[0].head = 99;
        assert_eq!(judge(&heard).state, Agreement::Agree);
        assert_eq!(compare(&[], &BTreeMap::new()), []);
    }

    #[test]
    fn replicas_made_of_the_same_changes_must_be_equal() {
        for change in [
            |replica: &mut Replica| replica.digest = "e".to_owned(),
            |replica: &mut Replica| replica.items = 4,
            |replica: &mut Replica| replica.tombstones = 0,
        ] {
            let mut heard = at_rest();
            change(&mut heard[1].replicas[0]);
            let compared = judge(&heard);
            assert_eq!(compared.state, Agreement::Differ);
            assert_eq!(compared.reasons.len(), 2, "{:?}", compared.reasons);
        }
        let mut heard = at_rest();
        heard[2].replicas.clear();
        let compared = judge(&heard);
        assert_eq!(compared.state, Agreement::Differ, "{:?}", compared.reasons);
        assert!(compared.reasons[0].contains("ap-southeast-1 has no replica"));
    }

    #[test]
    fn a_difference_that_may_be_on_its_way_is_no_fault() {
        let obstacles: [fn(&mut Vec<Replicas>); 5] = [
            |heard| heard[1].head = 12,
            |heard| heard[0].applied[0].log = None,
            |heard| heard[0].applied[1].position = 9,
            |heard| heard[0].applied[0].needs_copy = true,
            |heard| heard[1].replicas[0].copying_to = vec![name(0)],
        ];
        for obstacle in obstacles {
            let mut heard = at_rest();
            // Two Regions only, so that nobody else's difference decides.
            heard[2].replicas.clear();
            for region in &mut heard[..2] {
                region.replicas[0].others.retain(|other| *other != name(2));
            }
            heard[1].replicas[0].digest = "e".to_owned();
            assert_eq!(judge(&heard).state, Agreement::Differ);
            obstacle(&mut heard);
            let compared = judge(&heard);
            assert_eq!(compared.state, Agreement::NotComparable);
            assert!(compared.reasons[0].contains("not comparable yet"));
        }
    }

    #[test]
    fn who_is_silent_or_being_filled_is_said_and_the_rest_compared() {
        let mut heard = at_rest();
        heard[2].replicas[0].active = false;
        heard[2].replicas[0].digest = "e".to_owned();
        for region in &mut heard[..2] {
            region.replicas[0].others.retain(|other| *other != name(2));
        }
        assert_eq!(judge(&heard).state, Agreement::NotComparable);
        let mut heard = at_rest();
        heard.pop();
        let silent = BTreeMap::from([(name(2), "killed".to_owned())]);
        let compared = compare(&heard, &silent).pop().unwrap();
        assert_eq!(compared.state, Agreement::NotComparable);
        assert_eq!(compared.reasons, ["ap-southeast-1 did not answer: killed"]);
        heard[1].replicas[0].digest = "e".to_owned();
        let compared = compare(&heard, &silent).pop().unwrap();
        assert_eq!(compared.state, Agreement::Differ);
    }
}
