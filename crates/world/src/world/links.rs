//! A world's links: the ports at both ends of each, and the wires between those of sites that are
//! up. It decides no fault.

use std::collections::BTreeMap;
use std::sync::Arc;

use link::{Link, LinkConfig, Port, Shape, Windows};
use types::{SiteId, Span};

use super::{State, World};
use crate::wires::Wire;

/// Bytes a peer may have under way in each class.
const WINDOW: usize = 4 << 20;

impl World {
    /// The other ends notice that a site is gone: its kernel resets what it had open.
    pub(super) fn unplug(&mut self, site: SiteId) {
        let now = self.now();
        for (pair, wire) in &mut self.wires {
            if pair.0 == site || pair.1 == site {
                wire.break_all(now);
            }
        }
        self.wires
            .retain(|pair, _| pair.0 != site && pair.1 != site);
    }

    /// New ports toward a starting site at both ends of each of its links: a dead process keeps
    /// no link state, and a living peer's notices that the connection ended.
    pub(super) fn plug(&mut self, site: SiteId) {
        for other in self.sites() {
            if other == site {
                continue;
            }
            let ours = self.port(site, other);
            self.ports.insert((site, other), ours.clone());
            let Some(theirs) = self.ports.get(&(other, site)).cloned() else {
                continue;
            };
            if matches!(self.places[&other].state, State::Up { .. }) {
                let pair = (site.min(other), site.max(other));
                let ends = if site < other {
                    [ours, theirs]
                } else {
                    [theirs, ours]
                };
                let random = self.random.split();
                self.wires.insert(pair, Wire::new(ends, random));
            }
        }
    }

    pub(super) fn port(&mut self, from: SiteId, to: SiteId) -> Arc<Port> {
        let name = |site| {
            self.deployment
                .site(site)
                .expect("a site of this deployment")
                .name
        };
        let config = LinkConfig {
            local: name(from),
            peer: name(to),
            windows: Windows {
                control: WINDOW,
                data: WINDOW,
                bulk: WINDOW,
            },
            maximum_age: Span::seconds(20),
            seed: self.random.bits(),
        };
        let now = self.now();
        let mut link = Link::new(now, config);
        let mut shape = Shape::delayed(self.geographic(from, to));
        if self.cuts.contains(&(from, to)) {
            shape = shape.with_cut(link::Cut::Blackhole);
        }
        link.set_shape(now, shape);
        Arc::new(Port::new(name(to), link))
    }

    pub(super) fn ports_of(&self, site: SiteId) -> BTreeMap<SiteId, Arc<Port>> {
        let ours = self.ports.iter().filter(|((from, _), _)| *from == site);
        ours.map(|((_, to), port)| (*to, port.clone())).collect()
    }
}
