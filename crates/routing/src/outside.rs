//! Names that other services have made: an accelerator's. They stand in a zone of their service's
//! own, which no account has, and aliases of every zone may lead to them. The site says which there
//! are; nothing here knows what they are the names of.

use std::collections::BTreeMap;
use std::net::IpAddr;

use types::{AccountId, HealthCheckId};

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
    /// Its addresses, of both families: whoever asks for the name gets all of a family, whoever
    /// asks for an alias of it gets one.
    pub addresses: Vec<IpAddr>,
    /// What says whether anything is healthy behind it, on the board: for aliases that evaluate
    /// their target's health.
    pub check: HealthCheckId,
}

impl OutsideName {
    /// Its addresses of that kind.
    pub(crate) fn of_kind(&self, kind: RecordKind) -> impl Iterator<Item = IpAddr> + '_ {
        let addresses = self.addresses.iter().copied();
        addresses.filter(move |address| match kind {
            RecordKind::A => address.is_ipv4(),
            RecordKind::Aaaa => address.is_ipv6(),
            _ => false,
        })
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
                let values: Vec<String> = stands.of_kind(kind).map(|ip| ip.to_string()).collect();
                if values.is_empty() {
                    continue;
                }
                let set = RecordSet {
                    name: name.clone(),
                    kind,
                    selector: None,
                    content: Content::Values {
                        ttl: self.ttl,
                        values,
                    },
                    health_check: None,
                };
                groups.push((name.clone(), kind, vec![set]));
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
