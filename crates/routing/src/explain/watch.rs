//! Watches an answer come about and notes each step.

use types::one_way_delay;

use super::{Considered, ExplainedRecord, Step};
use crate::board::HealthBoard;
use crate::dns::QueryName;
use crate::locate::Whereabouts;
use crate::model::FailoverRole;
use crate::zone::{CompiledZone, Event, Found, Observer, Rule, Set};
use crate::{Name, rdata};

/// What was seen so far.
pub(super) struct Watch<'a> {
    board: &'a HealthBoard,
    whereabouts: Whereabouts,
    rule: Rule,
    pub(super) zone: Option<&'a CompiledZone>,
    pub(super) steps: Vec<Step>,
    pub(super) answer: Vec<ExplainedRecord>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(board: &'a HealthBoard, whereabouts: Whereabouts) -> Watch<'a> {
        Watch {
            board,
            whereabouts,
            rule: Rule::Simple,
            zone: None,
            steps: Vec::new(),
            answer: Vec::new(),
        }
    }

    fn considered(&self, zone: &CompiledZone, entry: u32, healthy: bool) -> Considered {
        let details = zone.details(entry).cloned().unwrap_or_default();
        let check = details.check.map(|check| {
            let healthy = self.board.is_healthy(zone.check_of(entry));
            (check, healthy)
        });
        let key = zone.key_of(entry);
        let by = match self.rule {
            Rule::Simple | Rule::Multivalue => None,
            Rule::Weighted => Some(format!("weight {key}")),
            Rule::Latency(_) => details.region.map(|region| region.to_string()),
            Rule::Geolocation => details.location.map(|location| location.to_string()),
            Rule::Failover if key == FailoverRole::Primary as u32 => Some("PRIMARY".to_owned()),
            Rule::Failover => Some("SECONDARY".to_owned()),
        };
        let delay = self.whereabouts.anchor.zip(details.region);
        Considered {
            identifier: details.identifier.map(String::from),
            by,
            round_trip_ms: delay.map(|(from, to)| one_way_delay(from, to).as_milliseconds() * 2.0),
            check,
            alias: details.alias,
            evaluates_target: zone.evaluates_target(entry),
            healthy,
        }
    }

    fn step(&mut self, zone: &CompiledZone, event: Event) -> Step {
        match event {
            Event::Group(number) => {
                let group = zone.group(number);
                self.rule = group.rule;
                Step::Group {
                    name: zone.group_name(number),
                    kind: group.kind,
                    policy: policy(group.rule),
                }
            }
            Event::Considered(entry, healthy) => {
                Step::Considered(self.considered(zone, entry, healthy))
            }
            Event::LastResort => Step::LastResort,
            Event::ZeroWeights => Step::ZeroWeights,
            Event::Chosen(entry) => {
                let details = zone.details(entry).cloned().unwrap_or_default();
                Step::Chosen {
                    identifier: details.identifier.map(String::from),
                    alias: details.alias,
                }
            }
            Event::NoMatch => Step::NoMatch,
            Event::DeadEnd => Step::DeadEnd,
        }
    }
}

impl<'a> Observer<'a> for Watch<'a> {
    fn see(&mut self, event: Event) {
        if let Some(zone) = self.zone {
            let step = self.step(zone, event);
            self.steps.push(step);
        }
    }

    fn zone(&mut self, zone: Option<&'a CompiledZone>) {
        self.zone = zone;
    }

    fn found(&mut self, name: &QueryName, found: Found) {
        let found = match found {
            Found::Exact(_) => "name",
            Found::Wildcard(_) => "wildcard",
            Found::Delegated(..) => "delegation",
            Found::Nothing => "nothing",
        };
        if let Ok(name) = Name::from_wire(name.wire()) {
            self.steps.push(Step::Lookup { name, found });
        }
    }

    fn answered(&mut self, name: &QueryName, set: Set, ttl: u32) {
        let (Some(zone), Ok(name)) = (self.zone, Name::from_wire(name.wire())) else {
            return;
        };
        for (kind, data) in zone.data_of(set) {
            self.answer.push(ExplainedRecord {
                name: name.clone(),
                ttl,
                kind,
                value: rdata::print(kind, &data),
            });
        }
    }
}

fn policy(rule: Rule) -> &'static str {
    match rule {
        Rule::Simple => "simple",
        Rule::Weighted => "weighted",
        Rule::Latency(_) => "latency",
        Rule::Failover => "failover",
        Rule::Geolocation => "geolocation",
        Rule::Multivalue => "multivalue",
    }
}
