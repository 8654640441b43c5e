//! Flows of network load balancers, apart by zone: a zone that dies breaks its own off and leaves
//! the others alone. A zone without such a listener has no thread.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use balancer::{Listening, Transport};
use runtime::{FlowCounts, FlowLimits, FlowListener, FlowOptions, FlowProtocol, Flows, Steer};
use types::ZoneLetter;

/// How flows of network load balancers are carried; idle times are theirs (Network Load Balancers
/// User Guide, "Connection idle timeout": 350 s of TCP, 120 s of UDP).
const FLOWS: FlowOptions = FlowOptions {
    threads: 1,
    limits: FlowLimits {
        tcp_idle: Duration::from_secs(350),
        udp_idle: Duration::from_secs(120),
        ..FlowLimits::USUAL
    },
};

/// A Region's flows.
pub(super) struct ZoneFlows {
    steer: Arc<dyn Steer>,
    running: Mutex<BTreeMap<ZoneLetter, Flows>>,
}

impl ZoneFlows {
    /// None yet; each will go where that says.
    pub(super) fn new(steer: Arc<dyn Steer>) -> ZoneFlows {
        ZoneFlows {
            steer,
            running: Mutex::default(),
        }
    }

    /// Listens on those and nothing else; flows that came to a zone that is down are broken off.
    /// Says what can't be listened on.
    pub(super) fn listen(
        &self,
        wanted: &BTreeMap<ZoneLetter, BTreeSet<FlowListener>>,
        down: &BTreeSet<ZoneLetter>,
    ) -> Vec<String> {
        let mut running = self.running();
        running.retain(|zone, _| !down.contains(zone));
        let mut faults = Vec::new();
        let nothing = BTreeSet::new();
        for zone in ZoneLetter::ALL {
            let listeners = wanted.get(&zone).unwrap_or(&nothing);
            let flows = match running.entry(zone) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(_) if listeners.is_empty() => continue,
                Entry::Vacant(place) => match Flows::start(FLOWS, self.steer.clone()) {
                    Ok(flows) => place.insert(flows),
                    Err(cause) => {
                        faults.push(format!("zone {zone}: {cause}"));
                        continue;
                    }
                },
            };
            let failed = flows.listen(listeners);
            faults.extend(failed.iter().map(ToString::to_string));
        }
        faults
    }

    /// What has been counted there, if it is listened on.
    pub(super) fn counts(&self, place: &Listening) -> Option<FlowCounts> {
        let protocol = match place.transport {
            Transport::Tcp => FlowProtocol::Tcp,
            Transport::Udp => FlowProtocol::Udp,
        };
        let address = place.address;
        let listener = FlowListener { address, protocol };
        let running = self.running();
        let states = running.get(&place.zone.letter)?.listeners();
        let mut states = states.iter();
        let found = states.find(|state| state.listener == listener);
        found.map(|state| state.counts)
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<ZoneLetter, Flows>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
