//! From a question to the records of its response: RFC 1034, section 4.3.2, with Route 53's
//! choices in place of plain lookups.

use crate::RecordKind;
use crate::board::HealthBoard;
use crate::dns::query_name::extend_hash;
use crate::dns::request::Query;
use crate::dns::response::{MAX_POINTER, Response, Section};
use crate::dns::{HEADER, QueryName, Rcode, types};
use crate::locate::Client;
use crate::name::MAX_NAME;
use crate::random::SmallRandom;
use crate::snapshot::{InZone, Snapshot};
use crate::zone::{
    Choice, Choosing, CompiledZone, FIXED, Found, MAX_STEPS, Observer, Placement, Silent, Targets,
};

/// Canonical names that are followed for one question, at most.
pub(crate) const MAX_CNAMES: usize = 8;

/// What a resolution comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Outcome {
    pub(crate) rcode: Rcode,
    /// The zone's own word, no referral.
    pub(crate) authoritative: bool,
}

const ANSWERED: Outcome = Outcome {
    rcode: Rcode::NoError,
    authoritative: true,
};

/// A resolution under way.
pub(crate) struct Resolving<'a, 'b, 'c, O: Observer<'a>> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) board: &'a HealthBoard,
    pub(crate) client: &'b mut Client<'a>,
    pub(crate) random: &'b mut SmallRandom,
    pub(crate) observer: &'b mut O,
    pub(crate) response: Response<'c>,
}

/// A name that is looked up, and where the packet has it.
struct Sought<'a, 'b> {
    name: &'b QueryName,
    /// Where its first label stands in the packet.
    position: usize,
    zone: InZone<'a>,
    /// The pointer to the zone's name.
    apex: u16,
}

impl Sought<'_, '_> {
    /// The pointer to the name from that label on.
    fn pointer(&self, label: usize) -> u16 {
        if label == self.zone.apex {
            self.apex
        } else {
            pointer(self.position + self.name.start(label))
        }
    }

    fn placement(&self, section: Section, owner: u16) -> Placement {
        Placement {
            section,
            owner,
            apex: self.apex,
            ttl: None,
        }
    }
}

/// A pointer to that place (RFC 1035, section 4.1.4).
fn pointer(position: usize) -> u16 {
    debug_assert!(position <= MAX_POINTER);
    0xc000 | (position & MAX_POINTER) as u16
}

/// How the next name is come by.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives on the stack, for a moment"
)]
enum Next {
    /// The question is settled.
    Done(Outcome),
    /// A canonical name was answered: it is looked up in turn, standing at that place.
    Follow(QueryName, usize),
}

impl<'a, O: Observer<'a>> Resolving<'a, '_, '_, O> {
    /// Answers the question.
    pub(crate) fn resolve(&mut self, query: &Query) -> Outcome {
        // For DS the parent answers, if it is here (RFC 4035, section 3.1.4.1).
        let parent = match query.kind {
            types::DS => self.snapshot.zone_for(&query.name, true),
            _ => None,
        };
        let found = parent.or_else(|| self.snapshot.zone_for(&query.name, false));
        self.observer.zone(found.map(|found| found.zone));
        let Some(zone) = found else {
            return Outcome {
                rcode: Rcode::Refused,
                authoritative: false,
            };
        };
        let sought = Sought {
            name: &query.name,
            position: HEADER,
            zone,
            apex: pointer(HEADER + query.name.start(zone.apex)),
        };
        let (mut name, mut position) = match self.step(&sought, query.kind, 0) {
            Next::Done(outcome) => return outcome,
            Next::Follow(name, position) => (name, position),
        };
        let apex = sought.apex;
        let mut seen = [0; MAX_CNAMES + 1];
        seen[0] = hash(&query.name);
        for followed in 1..=MAX_CNAMES {
            let hash = hash(&name);
            let here = self.snapshot.zone_for(&name, false);
            let here = here.filter(|here| std::ptr::eq(here.zone, zone.zone));
            // What lies elsewhere its own zone answers; a circle has no end.
            let Some(zone) = here.filter(|_| !seen[..followed].contains(&hash)) else {
                break;
            };
            seen[followed] = hash;
            let sought = Sought {
                name: &name,
                position,
                zone,
                apex,
            };
            match self.step(&sought, query.kind, followed) {
                Next::Done(outcome) => return outcome,
                Next::Follow(next, at) => (name, position) = (next, at),
            }
        }
        self.name_servers(zone.zone, apex);
        ANSWERED
    }

    /// Looks a name up and answers what it finds. `followed` names came before it.
    fn step(&mut self, sought: &Sought<'a, '_>, kind: u16, followed: usize) -> Next {
        let InZone { zone, apex, hash } = sought.zone;
        let found = zone.lookup(sought.name, apex, hash, kind == types::DS);
        self.observer.found(sought.name, found);
        let node = match found {
            Found::Exact(node) | Found::Wildcard(node) => node,
            Found::Delegated(node, label) => {
                self.refer(sought, node, label);
                return Next::Done(Outcome {
                    rcode: Rcode::NoError,
                    authoritative: followed > 0,
                });
            }
            Found::Nothing => {
                self.deny(sought);
                return Next::Done(Outcome {
                    rcode: Rcode::NxDomain,
                    authoritative: true,
                });
            }
        };
        let asked = match kind {
            // One set of those there are (RFC 8482, section 4.1).
            types::ANY => zone.first_group(node),
            _ => zone.group_of(node, kind),
        };
        if let Some(group) = asked {
            self.answer(sought, group);
            return Next::Done(ANSWERED);
        }
        let canonical = zone.group_of(node, RecordKind::Cname.code());
        match canonical.map(|group| self.choose(zone, group)) {
            None | Some(Choice::Nothing | Choice::Several(_, 0)) => {
                self.deny(sought);
                Next::Done(ANSWERED)
            }
            Some(Choice::One(set) | Choice::Several([set, ..], _)) => self.follow(sought, set),
        }
    }

    fn choose(&mut self, zone: &'a CompiledZone, group: u32) -> Choice {
        Choosing {
            zone,
            board: self.board,
            client: self.client,
            random: self.random,
            observer: self.observer,
            steps: MAX_STEPS,
        }
        .choose(group)
    }

    /// A choice that is no part of the answer itself.
    fn choose_unseen(&mut self, zone: &'a CompiledZone, group: u32) -> Choice {
        Choosing {
            zone,
            board: self.board,
            client: self.client,
            random: self.random,
            observer: &mut Silent,
            steps: MAX_STEPS,
        }
        .choose(group)
    }

    /// The records of a group, or that there are none.
    fn answer(&mut self, sought: &Sought<'a, '_>, group: u32) {
        let zone = sought.zone.zone;
        let mut targets = Targets::default();
        let mut placement = sought.placement(Section::Answer, sought.pointer(0));
        let before = self.response.position();
        let written = match self.choose(zone, group) {
            Choice::Nothing => return self.deny(sought),
            Choice::One(set) => {
                let set = zone.set(set);
                self.observer.answered(sought.name, set, zone.ttl(set));
                zone.write(
                    &mut self.response,
                    &placement,
                    set,
                    self.random,
                    &mut targets,
                )
            }
            Choice::Several(sets, count) => {
                // Records answered together have one time to live (RFC 2181, section 5.2).
                let sets = sets[..count].iter().map(|set| zone.set(*set));
                let ttl = sets.clone().map(|set| zone.ttl(set)).min().unwrap_or(0);
                placement.ttl = Some(ttl);
                sets.into_iter().all(|set| {
                    self.observer.answered(sought.name, set, ttl);
                    zone.write(
                        &mut self.response,
                        &placement,
                        set,
                        self.random,
                        &mut targets,
                    )
                })
            }
        };
        if !written {
            return self.response.truncate();
        }
        if self.response.position() == before {
            return self.deny(sought);
        }
        let apex_servers = sought.zone.apex == 0 && zone.group(group).kind == RecordKind::Ns;
        if !apex_servers {
            self.name_servers(zone, sought.apex);
        }
        self.addresses(zone, sought.apex, &targets, None);
    }

    /// A canonical name, and on to it.
    fn follow(&mut self, sought: &Sought<'a, '_>, set: u32) -> Next {
        let zone = sought.zone.zone;
        let set = zone.set(set);
        let position = self.response.position() + FIXED;
        let placement = sought.placement(Section::Answer, sought.pointer(0));
        self.observer.answered(sought.name, set, zone.ttl(set));
        let mut targets = Targets::default();
        if !zone.write(
            &mut self.response,
            &placement,
            set,
            self.random,
            &mut targets,
        ) {
            self.response.truncate();
            return Next::Done(ANSWERED);
        }
        let mut wire = [0; MAX_NAME];
        match zone
            .canonical_name(set, &mut wire)
            .and_then(QueryName::read)
        {
            Some((name, _)) => Next::Follow(name, position),
            None => Next::Done(ANSWERED),
        }
    }

    /// That there is nothing: the zone's SOA record in the authority section (RFC 2308).
    fn deny(&mut self, sought: &Sought<'a, '_>) {
        let zone = sought.zone.zone;
        let placement = sought.placement(Section::Authority, sought.apex);
        let mut targets = Targets::default();
        let set = zone.negative();
        if !zone.write(
            &mut self.response,
            &placement,
            set,
            self.random,
            &mut targets,
        ) {
            self.response.truncate();
        }
    }

    /// Who answers for what lies at that node and below: its name servers, and the addresses of
    /// those whose names only they could tell, without which the response is incomplete
    /// (RFC 9471).
    fn refer(&mut self, sought: &Sought<'a, '_>, node: u32, label: usize) {
        let zone = sought.zone.zone;
        let placement = sought.placement(Section::Authority, sought.pointer(label));
        let mut targets = Targets::default();
        let group = zone.group_of(node, RecordKind::Ns.code());
        let Some(Choice::One(set)) = group.map(|group| self.choose_unseen(zone, group)) else {
            return;
        };
        let set = zone.set(set);
        if zone.write(
            &mut self.response,
            &placement,
            set,
            self.random,
            &mut targets,
        ) {
            self.addresses(zone, sought.apex, &targets, Some(node));
        } else {
            self.response.truncate();
        }
    }

    /// The zone's name servers, if there is room.
    fn name_servers(&mut self, zone: &'a CompiledZone, apex: u16) {
        let Some(set) = zone.name_servers() else {
            return;
        };
        let mark = self.response.mark();
        let placement = Placement {
            section: Section::Authority,
            owner: apex,
            apex,
            ttl: None,
        };
        let mut targets = Targets::default();
        if zone.write(
            &mut self.response,
            &placement,
            set,
            self.random,
            &mut targets,
        ) {
            self.addresses(zone, apex, &targets, None);
        } else {
            self.response.back_to(mark);
        }
    }

    /// The addresses of targets, as far as there is room. With `cut`, those of targets at or
    /// below that node must be there.
    fn addresses(
        &mut self,
        zone: &'a CompiledZone,
        apex: u16,
        targets: &Targets,
        cut: Option<u32>,
    ) {
        for (node, position) in targets.iter() {
            if usize::from(position) > MAX_POINTER {
                continue;
            }
            for kind in [RecordKind::A, RecordKind::Aaaa] {
                let group = zone.group_of(node, kind.code());
                let choice = group.map(|group| self.choose_unseen(zone, group));
                let Some(Choice::One(set)) = choice else {
                    continue;
                };
                let set = zone.set(set);
                let placement = Placement {
                    section: Section::Additional,
                    owner: pointer(usize::from(position)),
                    apex,
                    ttl: None,
                };
                let mark = self.response.mark();
                let mut none = Targets::default();
                let response = &mut self.response;
                if !zone.write(response, &placement, set, self.random, &mut none) {
                    self.response.back_to(mark);
                    if cut.is_some_and(|cut| zone.lies_within(node, cut)) {
                        self.response.incomplete();
                    }
                }
            }
        }
    }
}

/// The hash of a whole name.
fn hash(name: &QueryName) -> u64 {
    let labels = (0..name.labels()).rev();
    labels.fold(crate::dns::query_name::ROOT_HASH, |hash, label| {
        extend_hash(hash, name.label(label))
    })
}
