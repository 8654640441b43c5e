//! Random batches against a model of what they do, written apart from the engine: all of a batch
//! or nothing, in the order of its changes, and every record at fault named.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::support::{Api, chosen, values};

const NAMES: [&str; 3] = ["x.example.com.", "y.example.com.", "z.x.example.com."];

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    A,
    Cname,
    Txt,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Create,
    Delete,
    Upsert,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Policy {
    Weighted(u8),
    Latency(bool),
}

/// A record set: what it is is its key in the model, the rest its value.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Set {
    name: usize,
    kind: Kind,
    chosen: Option<(u8, Policy)>,
    ttl: u32,
    value: u8,
}

type Key = (usize, Kind, Option<u8>);

type Model = BTreeMap<Key, Set>;

impl Set {
    fn key(&self) -> Key {
        (self.name, self.kind, self.chosen.map(|(id, _)| id))
    }

    fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::A => "A",
            Kind::Cname => "CNAME",
            Kind::Txt => "TXT",
        }
    }

    fn document(&self) -> String {
        let (name, kind) = (NAMES[self.name], self.kind_name());
        let value = match self.kind {
            Kind::A => format!("192.0.2.{}", self.value),
            Kind::Cname => format!("v{}.example.net.", self.value),
            Kind::Txt => format!("\"v{}\"", self.value),
        };
        let Some((id, policy)) = self.chosen else {
            return values(name, kind, self.ttl, &[&value]);
        };
        let policy = match policy {
            Policy::Weighted(weight) => format!("<Weight>{weight}</Weight>"),
            Policy::Latency(east) => {
                format!(
                    "<Region>us-{}</Region>",
                    if east { "east-1" } else { "west-2" }
                )
            }
        };
        chosen(name, kind, &format!("id{id}"), &policy, self.ttl, &value)
    }
}

/// Makes one change on the model, or says that it can't be made.
fn make(model: &mut Model, action: Action, set: &Set) -> bool {
    let found = model.get(&set.key());
    if action == Action::Delete {
        let same = found == Some(set);
        if same {
            model.remove(&set.key());
        }
        return same;
    }
    if action == Action::Create && found.is_some() {
        return false;
    }
    let mut others = model.values().filter(|other| other.name == set.name);
    let clash = others
        .clone()
        .any(|other| (other.kind == Kind::Cname) != (set.kind == Kind::Cname));
    let mixed = others.any(|other| {
        if other.kind != set.kind {
            return false;
        }
        match (other.chosen, set.chosen) {
            (None, None) => false,
            (Some((_, Policy::Weighted(_))), Some((_, Policy::Weighted(_)))) => false,
            (Some((one, Policy::Latency(east))), Some((other, Policy::Latency(wanted)))) => {
                one != other && east == wanted
            }
            _ => true,
        }
    });
    if clash || mixed {
        return false;
    }
    model.insert(set.key(), set.clone());
    if matches!(set.chosen, Some((_, Policy::Weighted(_)))) {
        for other in model.values_mut() {
            if (other.name, other.kind) == (set.name, set.kind) {
                other.ttl = set.ttl;
            }
        }
    }
    true
}

fn sets() -> impl Strategy<Value = Set> {
    let kind = prop_oneof![Just(Kind::A), Just(Kind::Cname), Just(Kind::Txt)];
    let policy = prop_oneof![
        (0..2u8).prop_map(Policy::Weighted),
        any::<bool>().prop_map(Policy::Latency)
    ];
    let chosen = proptest::option::of((0..2u8, policy));
    (0..NAMES.len(), kind, chosen, 1..3u32, 0..2u8).prop_map(|(name, kind, chosen, ttl, value)| {
        Set {
            name,
            kind,
            chosen,
            ttl,
            value,
        }
    })
}

fn batches() -> impl Strategy<Value = Vec<Vec<(Action, Set)>>> {
    let action = prop_oneof![
        3 => Just(Action::Create),
        2 => Just(Action::Delete),
        3 => Just(Action::Upsert)
    ];
    prop::collection::vec(prop::collection::vec((action, sets()), 1..4), 1..12)
}

/// What the zone's listing says, in the model's words.
fn listed(api: &Api, zone: &str) -> Vec<String> {
    let page = api.get(&format!("hostedzone/{zone}/rrset")).ok();
    let mut sets: Vec<String> = page
        .all("ResourceRecordSet")
        .into_iter()
        .filter(|set| !set.contains("<Name>example.com.</Name>"))
        .collect();
    sets.sort_unstable();
    sets
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn batches_are_made_whole_or_not_at_all(batches in batches()) {
        let api = Api::new();
        let zone = api.zone("example.com");
        let mut model = Model::new();
        for batch in batches {
            let mut after = model.clone();
            let faulty: Vec<&Set> = batch
                .iter()
                .filter(|(action, set)| !make(&mut after, *action, set))
                .map(|(_, set)| set)
                .collect();
            let changes: Vec<(&str, String)> = batch
                .iter()
                .map(|(action, set)| {
                    let action = match action {
                        Action::Create => "CREATE",
                        Action::Delete => "DELETE",
                        Action::Upsert => "UPSERT",
                    };
                    (action, set.document())
                })
                .collect();
            if faulty.is_empty() {
                let answer = api.batch(&zone, &changes);
                prop_assert_eq!(answer.status, 200, "{} {:?}", answer.text, changes);
                model = after;
            } else {
                let faults = api.faults(&zone, &changes);
                for set in faulty {
                    prop_assert!(faults.contains(NAMES[set.name]), "{} {:?}", faults, set);
                }
            }
            let mut expected: Vec<String> = model.values().map(Set::document).collect();
            expected.sort_unstable();
            prop_assert_eq!(listed(&api, &zone), expected);
        }
    }
}
