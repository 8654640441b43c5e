//! How a site of a world is opened: the production code on a simulated disk, with the bug that the
//! world is planted with. It runs no task.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use council::largest_round_trip;
use edge::{Edge, EdgeConfig};
use link::Port;
use objects::blob::MemoryBlobs;
use objects::notify::NoWebhooks;
use region::{
    BalancersOptions, DatabasesOptions, ObjectsOptions, Region, RegionConfig, RegionSecrets,
};
use routing::Locator;
use steering::{Steering, SteeringOptions};
use store::MemoryEngine;
use types::{AccountId, Deployment, Environment, Geography, SiteId, Span};

use crate::endpoints::Endpoints;
use crate::slow::SlowEngine;
use crate::world::PlantedBug;

/// What a site is opened with.
pub(crate) struct Opening {
    pub(crate) engine: MemoryEngine,
    pub(crate) blobs: MemoryBlobs,
    pub(crate) slow: Arc<AtomicBool>,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) ports: BTreeMap<SiteId, Arc<Port>>,
    pub(crate) deployment: Deployment,
    pub(crate) site: SiteId,
    pub(crate) secrets: RegionSecrets,
    pub(crate) planted: Option<PlantedBug>,
    pub(crate) endpoints: Arc<Endpoints>,
    pub(crate) probes: Option<Span>,
}

/// The tasks of a site, the Region if it is one, and what steers there.
pub(crate) type Opened = (
    Vec<region::Task>,
    Option<Arc<Region<SlowEngine>>>,
    Arc<Steering<SlowEngine>>,
);

impl Opening {
    /// Opens it as a Region.
    pub(crate) fn region(&mut self) -> Opened {
        let config = RegionConfig {
            largest_round_trip: largest_round_trip(&self.deployment, Geography { scale: 1.0 }),
            deployment: self.deployment.clone(),
            site: self.site,
            account: AccountId::LAB,
            accelerator_pools: Err("a simulated world has no addresses".to_owned()),
            balancers: BalancersOptions::none("a simulated world has no addresses"),
            databases: DatabasesOptions::none("a simulated world has no servers"),
            objects: ObjectsOptions {
                blobs: Arc::new(self.blobs.clone()),
                webhooks: Arc::new(NoWebhooks),
            },
            planted: match self.planted {
                Some(PlantedBug::CursorNotAtomic) => Some(region::PlantedBug::CursorNotAtomic),
                Some(PlantedBug::StaleReadingSent) => Some(region::PlantedBug::StaleReadingSent),
                _ => None,
            },
            planted_in_tables: match self.planted {
                Some(PlantedBug::TieBreakDropped) => Some(tables::PlantedBug::TieBreakDropped),
                Some(PlantedBug::ConflictByTimestamp) => {
                    Some(tables::PlantedBug::ConflictByTimestamp)
                }
                _ => None,
            },
        };
        let opening = Region::open(
            self.slow_engine(),
            config,
            self.steering(),
            self.environment.clone(),
            self.secrets.clone(),
            self.ports.clone(),
        );
        let region = finish(&self.engine, opening).expect("a Region opens on its own disk");
        let steering = region.steering().clone();
        (region.tasks(), Some(region), steering)
    }

    fn slow_engine(&self) -> SlowEngine {
        let (engine, environment) = (self.engine.clone(), self.environment.clone());
        SlowEngine::new(engine, environment, self.slow.clone())
    }

    /// Opens it as an edge.
    pub(crate) fn edge(&mut self) -> Opened {
        let config = EdgeConfig {
            largest_round_trip: largest_round_trip(&self.deployment, Geography { scale: 1.0 }),
            deployment: self.deployment.clone(),
            site: self.site,
            steering: self.steering(),
        };
        let opening = Edge::open(
            self.slow_engine(),
            config,
            self.environment.clone(),
            self.ports.clone(),
        );
        let edge = finish(&self.engine, opening).expect("an edge opens on its own disk");
        (edge.tasks(), None, edge.steering().clone())
    }

    fn steering(&self) -> SteeringOptions {
        SteeringOptions {
            health: health::Settings::new(self.probes).expect("an interval within bounds"),
            targets: health::TargetPolicy::lab(),
            locator: Locator::new(None),
            addresses: BTreeMap::new(),
            prober: Arc::new(self.endpoints.seen_from(self.site)),
        }
    }
}

/// Runs a site's opening to its end at one moment: its commits are synced at once.
fn finish<T>(engine: &MemoryEngine, opening: impl Future<Output = T>) -> T {
    let mut opening = Box::pin(opening);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(opened) = opening.as_mut().poll(&mut context) {
            return opened;
        }
        assert!(
            engine.sync() > 0,
            "opening waits for nothing but its own commits"
        );
    }
}
