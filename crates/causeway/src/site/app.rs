//! The Region's one address for the user's application, 127.1.n.1: each connection is carried to an
//! instance in a zone that lives, to the next one where one refuses. It looks into nothing and
//! checks no health; that is a load balancer's.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use runtime::{
    FlowEvent, FlowKey, FlowLimits, FlowListener, FlowOptions, FlowProtocol, Flows, Steer, Target,
    Tried,
};
use types::ZoneLetter;

use super::zones::Zones;
use crate::failure::{Cause, Failure};
use crate::protocol::AppConfig;

/// How flows are carried: a lab shares its machine with all of its sites and the application.
const OPTIONS: FlowOptions = FlowOptions {
    threads: 1,
    limits: FlowLimits::USUAL,
};

/// The address, as long as this is held.
pub(super) struct AppAddress(Flows);

impl AppAddress {
    /// Listens there, if the Region has an application.
    pub(super) fn open(
        config: Option<&AppConfig>,
        zones: &Arc<Zones>,
    ) -> Result<Option<AppAddress>, Failure> {
        let Some(config) = config else {
            return Ok(None);
        };
        let steer = Instances {
            instances: config.instances.clone(),
            zones: Arc::clone(zones),
            next: AtomicUsize::new(0),
        };
        let flows = Flows::start(OPTIONS, Arc::new(steer)).map_err(Failure::wrong_use)?;
        let listener = FlowListener {
            address: config.address,
            protocol: FlowProtocol::Tcp,
        };
        let failed = flows.listen(&[listener].into());
        match failed.first() {
            None => Ok(Some(AppAddress(flows))),
            Some(cause) => Err(Failure::wrong_use(cause).because(Cause::PortTaken)),
        }
    }

    /// Connections that are open.
    pub(super) fn open_connections(&self) -> u64 {
        let listeners = self.0.listeners();
        listeners.iter().map(|state| state.counts.live()).sum()
    }
}

/// The instances, in turn.
struct Instances {
    instances: BTreeMap<ZoneLetter, SocketAddr>,
    zones: Arc<Zones>,
    next: AtomicUsize,
}

impl Instances {
    /// Of those that live and weren't tried, the one whose turn it is.
    fn choose(&self, tried: &Tried) -> Option<SocketAddr> {
        let living = self.instances.iter();
        let living = living.filter(|(zone, at)| self.zones.is_up(**zone) && !tried.contains(**at));
        let living: Vec<SocketAddr> = living.map(|(_, at)| *at).collect();
        let turn = match tried.count() {
            0 => self.next.fetch_add(1, Ordering::Relaxed),
            _ => self.next.load(Ordering::Relaxed),
        };
        living.get(turn.checked_rem(living.len())?).copied()
    }
}

impl Steer for Instances {
    fn steer(&self, _flow: &FlowKey, tried: &Tried) -> Option<Target> {
        Some(Target {
            endpoint: self.choose(tried)?,
            delay: None,
            proxy_header: false,
            token: 0,
        })
    }

    fn note(&self, _token: u32, _event: FlowEvent) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_take_turns_and_those_in_dead_zones_are_left_out() {
        let at = |last: u8| SocketAddr::from(([127, 1, 1, last], 8080));
        let instances = Instances {
            instances: [(ZoneLetter::A, at(11)), (ZoneLetter::B, at(12))].into(),
            zones: Arc::new(Zones::new([].into())),
            next: AtomicUsize::new(0),
        };
        let none = Tried::default();
        let mut first = [instances.choose(&none), instances.choose(&none)];
        first.sort();
        assert_eq!(first, [Some(at(11)), Some(at(12))]);

        let mut tried = Tried::default();
        tried.add(at(11), 0);
        assert_eq!(instances.choose(&tried), Some(at(12)));
        tried.add(at(12), 0);
        assert_eq!(instances.choose(&tried), None);

        instances.zones.set_down(&[ZoneLetter::A].into());
        for _ in 0..4 {
            assert_eq!(instances.choose(&none), Some(at(12)));
        }
        instances
            .zones
            .set_down(&[ZoneLetter::A, ZoneLetter::B].into());
        assert_eq!(instances.choose(&none), None);
    }
}
