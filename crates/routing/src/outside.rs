//! Names that other services have made: an accelerator's, a load balancer's. They stand in a zone
//! of their service's own, which no account has, and aliases of every zone may lead to them. The
//! site says which there are; nothing here knows what they are the names of.

use std::collections::BTreeMap;
use std::net::IpAddr;

use types::{AccountId, HealthCheckId};

use crate::model::{Policy, Selector};
use crate::{Content, Name, RecordKind, RecordSet, Zone, ZoneId};

/// The kinds of records that such a name may have.
pub(crate) const KINDS: [RecordKind; 2] = [RecordKind::A, RecordKind::Aaaa];

/// The servers that such a zone names, in the service's own pattern: the first of each domain.
const SERVERS: [&str; crate::model::NAME_SERVERS] = [
    "ns-0.awsdns-00.com",
    "ns-512.awsdns-00.net",
    "ns-1024.awsdns-00.org",
    "ns-1536.awsdns-00.co.uk",
];

/// The names of other services, by the ids of their zones.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OutsideNames(pub BTreeMap<ZoneId, OutsideZone>);

/// A zone of another service: every account names it by the same id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutsideZone {
    /// Its apex.
    pub name: Name,
    /// How long its records may be kept, in seconds.
    pub ttl: u32,
    /// What stands in it.
    pub names: BTreeMap<Name, OutsideName>,
}

/// What such a name stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutsideName {
    /// Its addresses, of both families.
    pub addresses: Vec<OutsideAddress>,
    /// Which of a family are answered.
    pub answer: OutsideAnswer,
}

/// An address of such a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutsideAddress {
    /// It.
    pub address: IpAddr,
    /// What says on the board whether it is healthy: for aliases that evaluate their target's
    /// health, which is that of any address of the name.
    pub check: HealthCheckId,
}

/// Which addresses of a name are answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutsideAnswer {
    /// Whoever asks for the name gets all, whoever asks for an alias of it gets one: an
    /// accelerator's.
    One,
    /// Either gets those that are healthy, eight at most; all, if none is: a load balancer's.
    AllHealthy,
}

impl OutsideName {
    /// Its addresses of that kind.
    pub(crate) fn of_kind(&self, kind: RecordKind) -> impl Iterator<Item = &OutsideAddress> + '_ {
        let addresses = self.addresses.iter();
        addresses.filter(move |stands| match kind {
            RecordKind::A => stands.address.is_ipv4(),
            RecordKind::Aaaa => stands.address.is_ipv6(),
            _ => false,
        })
    }

    /// The record sets that answer for it by itself.
    fn sets(&self, name: &Name, kind: RecordKind, ttl: u32) -> Vec<RecordSet> {
        let set = |values, selector, health_check| RecordSet {
            name: name.clone(),
            kind,
            selector,
            content: Content::Values { ttl, values },
            health_check,
        };
        let addresses = self.of_kind(kind);
        match self.answer {
            OutsideAnswer::One => {
                let values: Vec<String> = addresses.map(|it| it.address.to_string()).collect();
                match values.is_empty() {
                    true => Vec::new(),
                    false => vec![set(values, None, None)],
                }
            }
            OutsideAnswer::AllHealthy => {
                let sets = addresses.map(|it| {
                    let selector = Selector {
                        identifier: it.address.to_string(),
                        policy: Policy::Multivalue,
                    };
                    let values = vec![it.address.to_string()];
                    set(values, Some(selector), Some(it.check.clone()))
                });
                sets.collect()
            }
        }
    }
}

impl OutsideNames {
    /// Is it the id of another service's zone?
    pub(crate) fn is_zone(&self, zone: &ZoneId) -> bool {
        self.0.contains_key(zone)
    }

    /// Does that name lie within another service's zone?
    pub(crate) fn has(&self, name: &Name) -> bool {
        self.0.values().any(|zone| name.is_within(&zone.name))
    }

    /// What stands in that zone by that name; with how long it may be kept.
    pub(crate) fn find(&self, zone: &ZoneId, name: &Name) -> Option<(u32, &OutsideName)> {
        let zone = self.0.get(zone)?;
        Some((zone.ttl, zone.names.get(name)?))
    }

    /// The zones with their records, of which each is compiled as an account's is.
    pub(crate) fn zones(&self) -> impl Iterator<Item = (Zone, Groups)> + '_ {
        self.0
            .iter()
            .map(|(id, zone)| (written(id, zone), zone.groups()))
    }
}

type Groups = Vec<(Name, RecordKind, Vec<RecordSet>)>;

impl OutsideZone {
    fn groups(&self) -> Groups {
        let mut groups = Vec::new();
        for (name, stands) in &self.names {
            for kind in KINDS {
                let sets = stands.sets(name, kind, self.ttl);
                if !sets.is_empty() {
                    groups.push((name.clone(), kind, sets));
                }
            }
        }
        groups
    }
}

/// The zone as one of the configuration is written down.
fn written(id: &ZoneId, zone: &OutsideZone) -> Zone {
    Zone {
        account: AccountId::LAB,
        id: id.clone(),
        name: zone.name.clone(),
        comment: None,
        caller_reference: String::new(),
        name_servers: SERVERS.map(|name| Name::parse(name).expect("each is a name")),
    }
}
