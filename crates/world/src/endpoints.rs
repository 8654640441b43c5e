//! What checkers and flows connect to in a world: addresses that accept or refuse, some of them
//! hidden from single sites. Nobody answers but as it is set; nothing is so at first.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use types::{ProbeOrder, ProbeOutcome, Prober, SiteId};

/// The addresses of a world.
#[derive(Default)]
pub struct Endpoints(Mutex<State>);

#[derive(Default)]
struct State {
    up: BTreeSet<IpAddr>,
    hidden: BTreeSet<(SiteId, IpAddr)>,
}

/// The addresses as a site's checker sees them.
pub(crate) struct SeenFrom {
    site: SiteId,
    endpoints: Arc<Endpoints>,
}

impl Endpoints {
    /// The address accepts connections from now on, or refuses them.
    pub fn set(&self, address: IpAddr, up: bool) {
        let mut state = self.state();
        match up {
            true => state.up.insert(address),
            false => state.up.remove(&address),
        };
    }

    /// The site's checker can't reach that address from now on, or can again; clients can.
    pub fn hide(&self, site: SiteId, address: IpAddr, hidden: bool) {
        let mut state = self.state();
        match hidden {
            true => state.hidden.insert((site, address)),
            false => state.hidden.remove(&(site, address)),
        };
    }

    /// Every site's checker can reach everything.
    pub fn show_all(&self) {
        self.state().hidden.clear();
    }

    /// Does a client's connection to that address succeed?
    pub fn is_up(&self, address: IpAddr) -> bool {
        self.state().up.contains(&address)
    }

    /// As that site's checker sees them.
    pub(crate) fn seen_from(self: &Arc<Self>, site: SiteId) -> SeenFrom {
        SeenFrom {
            site,
            endpoints: self.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics inside")
    }
}

impl Prober for SeenFrom {
    fn probe(&self, order: ProbeOrder) -> Pin<Box<dyn Future<Output = ProbeOutcome> + Send + '_>> {
        let address = order.endpoint.ip();
        let state = self.endpoints.state();
        let seen = state.up.contains(&address) && !state.hidden.contains(&(self.site, address));
        let outcome = match seen {
            true => ProbeOutcome::Connected,
            false => ProbeOutcome::Refused,
        };
        Box::pin(async move { outcome })
    }
}
