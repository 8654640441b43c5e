//! Accelerators' static addresses in a lab: they are held here, since on one machine only one
//! process can have an address, and the edges stand behind them. A connection goes to the edge that
//! is nearest to its client and alive, as the Internet's routes would lead it. It carries no bytes.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use anyhow::Context;
use runtime::{Anycast, AnycastMember};
use serde_json::{Value, json};
use types::{Geography, Region, Site, SiteId};

use super::Supervisor;
use super::dns::place_of;
use crate::lab::Settings;

/// What is said of a holder that says nothing.
pub(super) const UNHEARD: &str = "whoever holds the static addresses doesn't answer";

/// The holder of the addresses, of a lab that has edges.
pub(super) struct Addresses(Option<Anycast>);

impl Addresses {
    /// Holds what those of the lab's sites ask for that are edges.
    pub(super) fn of(settings: &Settings) -> anyhow::Result<Addresses> {
        if !settings.has_edges() {
            return Ok(Addresses(None));
        }
        let edges = settings.sites.clone();
        let anycast = Anycast::start(move |client, number| distance(&edges, client, number));
        let anycast = anycast.context("can't hold static addresses")?;
        Ok(Addresses(Some(anycast)))
    }

    /// What that site is handed at its start: an edge, what it stands behind the addresses by.
    pub(super) fn attach(&self, site: Site) -> anyhow::Result<Vec<OwnedFd>> {
        match &self.0 {
            Some(anycast) if site.name.region().is_none() => {
                let ends = anycast.attach(u32::from(site.id.0));
                let ends = ends.context("can't hand static addresses on")?;
                Ok(ends.into_descriptors())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// That edge is given nothing new from when this returns, whether or not it runs; or is again.
    pub(super) fn drain(&self, edge: SiteId, is_drained: bool) {
        if let Some(anycast) = &self.0 {
            anycast.drain(u32::from(edge.0), is_drained);
        }
    }

    /// How those are that stand behind the addresses; none if their holder doesn't say, of which
    /// nothing is to be concluded.
    pub(super) fn members(&self) -> Option<Vec<AnycastMember>> {
        match &self.0 {
            Some(anycast) => anycast.state().map(|state| state.members),
            None => Some(Vec::new()),
        }
    }

    /// That site's process is gone.
    pub(super) fn detach(&self, site: Site) {
        if let Some(anycast) = &self.0
            && site.name.region().is_none()
        {
            anycast.detach(u32::from(site.id.0));
        }
    }
}

/// How far an edge is from a client: no way at all from one that is in no place. The nearest is so
/// by geography, also where delays are switched off.
fn distance(sites: &[Site], client: SocketAddr, number: u32) -> u64 {
    let edge = sites.iter().find(|site| u32::from(site.id.0) == number);
    let far = |place: Region, edge: &Site| {
        let geography = Geography { scale: 1.0 };
        geography.one_way_delay(place, edge.place).0
    };
    let place = place_of(client.ip());
    place.zip(edge).map_or(0, |(place, edge)| far(place, edge))
}

impl Supervisor {
    /// What is held, and what became of what came there.
    pub(super) fn addresses_state(&self) -> Value {
        let Some(anycast) = &self.addresses.0 else {
            return Value::Null;
        };
        let Some(state) = anycast.state() else {
            return json!({ "failure": UNHEARD });
        };
        let edges = state.members.iter().map(|member| {
            let AnycastMember {
                number,
                silent,
                draining,
                leaving: _,
                listeners,
                handed,
                taken_back,
                datagrams,
            } = *member;
            let id = u16::try_from(number).unwrap_or_default();
            let site = self.lab.settings.sites.iter();
            let site = site.clone().find(|site| site.id == SiteId(id));
            json!({
                "edge": site.map(|site| site.name),
                "silent": silent,
                "draining": draining,
                "listeners": listeners,
                "handed": handed,
                "taken_back": taken_back,
                "datagrams": datagrams,
            })
        });
        json!({
            "listeners": state.listeners,
            "waiting": state.waiting,
            "unserved": state.unserved,
            "dropped_datagrams": state.dropped,
            "edges": edges.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::SiteName;

    #[test]
    fn the_nearest_edge_is_so_by_geography_and_all_are_next_door_to_who_is_in_no_place() {
        let edge = |number: u16, place: &str| Site {
            id: SiteId(number),
            name: SiteName::Edge(number),
            place: place.parse().unwrap(),
        };
        let edges = [edge(4, "us-east-1"), edge(5, "eu-west-1")];
        let far = |client: &str, number| distance(&edges, client.parse().unwrap(), number);
        let virginia = "127.64.1.1:999";
        assert_eq!(far(virginia, 4), 0);
        assert!(far(virginia, 5) > 10_000);
        assert!(far("127.64.9.1:999", 4) > far("127.64.9.1:999", 5));
        assert_eq!((far("127.0.0.1:999", 4), far("[::1]:999", 5)), (0, 0));
    }
}
