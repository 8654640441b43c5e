//! A Region's load balancers: follows its configuration, has its nodes listen as that says, checks
//! the targets, answers what the API asks, and tells every site. It listens on nothing and moves
//! no byte: a [`BalancerCarrier`] does.

mod checking;
mod key;
mod logs;
mod surroundings;
mod telling;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use balancer::health::HealthSettings;
use balancer::model::TargetKey;
use balancer::{CookieSealer, NodePools, NodeView, Snapshot, TargetGroupArn, TargetHealth};
use event_listener::Event;
use health::TargetPolicy;
use identity::OpenedCertificate;
use serde::{Deserialize, Serialize};
use store::Engine;
use types::{
    AvailabilityZone, ConfigurationView, Environment, ProbeOrder, ProbeOutcome, Prober,
    Region as Name, ZoneLetter,
};

pub use surroundings::LocalFacts;

pub(crate) use key::cookie_key;
pub(crate) use surroundings::Around;

use crate::region::Region;
use checking::Checking;

/// The service's signing name.
pub(crate) const SERVICE: &str = "elasticloadbalancing";

/// Faults that a status repeats, at most.
const MAX_FAULTS: usize = 10;

/// What a Region's load balancers are given.
#[derive(Clone)]
pub struct BalancersOptions {
    /// What the addresses of nodes are drawn from; or why there can be none here, in words for
    /// whoever makes a load balancer.
    pub pools: Result<NodePools, String>,
    /// Makes the checks of targets.
    pub prober: Arc<dyn Prober>,
    /// What the deployment sets for all of them.
    pub health: HealthSettings,
    /// What the Region's process knows of what is around.
    pub facts: Arc<dyn LocalFacts>,
}

impl BalancersOptions {
    /// For a Region that has none, in those words.
    pub fn none(why: &str) -> BalancersOptions {
        BalancersOptions {
            pools: Err(why.to_owned()),
            prober: Arc::new(Nobody),
            health: HealthSettings::default(),
            facts: Arc::new(Nobody),
        }
    }
}

/// Nothing is around, and nothing is checked.
struct Nobody;

impl Prober for Nobody {
    fn probe(&self, _: ProbeOrder) -> Pin<Box<dyn Future<Output = ProbeOutcome> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

impl LocalFacts for Nobody {
    fn instances(&self) -> Vec<(String, IpAddr, AvailabilityZone)> {
        Vec::new()
    }

    fn zone_of(&self, _: IpAddr) -> Option<AvailabilityZone> {
        None
    }

    fn has_certificate(&self, _: &str) -> bool {
        false
    }
}

/// What listens for a Region's load balancers and moves bytes.
pub trait BalancerCarrier: Send + Sync + 'static {
    /// From when this returns, requests and flows come in where that snapshot listens in zones
    /// that aren't down, and nowhere else. Says what can't be listened on, a text each.
    fn carry(&self, snapshot: &Snapshot, down: &BTreeSet<ZoneLetter>) -> Vec<String>;
}

/// A Region's load balancers as they are now.
pub struct Balancers {
    region: Name,
    environment: Arc<dyn Environment>,
    snapshot: ArcSwap<Snapshot>,
    sealer: CookieSealer,
    policy: TargetPolicy,
    carrying: Mutex<Carrying>,
    checking: Checking,
    /// Rings when there may be something to tell the other sites.
    news: Event,
}

/// What listens, and as of when.
#[derive(Default)]
struct Carrying {
    carrier: Option<Arc<dyn BalancerCarrier>>,
    down: BTreeSet<ZoneLetter>,
    /// The last revision that is listened for.
    served: u64,
    /// What can't be listened on.
    uncarried: Vec<String>,
}

/// How a Region's load balancers are, for a status.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BalancersStatus {
    /// The revision of the Region's own configuration that is served.
    pub revision: u64,
    /// Load balancers.
    pub balancers: usize,
    /// Addresses and ports that are listened on, those of zones that are down among them.
    pub listeners: usize,
    /// Target groups.
    pub groups: usize,
    /// Targets that pass their checks.
    pub healthy: usize,
    /// Targets of which that isn't so.
    pub others: usize,
    /// What of the configuration can't be served, a text each; the first of them.
    pub faults: Vec<String>,
}

impl Balancers {
    pub(crate) fn new(
        region: Name,
        environment: Arc<dyn Environment>,
        sealer: CookieSealer,
        policy: TargetPolicy,
        options: &BalancersOptions,
        view: &dyn ConfigurationView,
    ) -> Balancers {
        let balancers = Balancers {
            region,
            checking: Checking::new(options.health, options.prober.clone(), policy.clone()),
            environment,
            snapshot: ArcSwap::from_pointee(Snapshot::default()),
            sealer,
            policy,
            carrying: Mutex::default(),
            news: Event::new(),
        };
        balancers.serve(view);
        balancers
    }

    /// What is routed by now, for one decision: cheap, and not to be kept.
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// What is routed by now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Seals and opens clients' cookies.
    pub fn sealer(&self) -> &CookieSealer {
        &self.sealer
    }

    /// May anything be sent to that address? Asked of every target that is chosen: it may have been
    /// registered under other rules.
    pub fn allows(&self, target: IpAddr) -> bool {
        self.policy.contains(target)
    }

    /// Has requests and flows carried by that carrier, from this revision on.
    pub fn carry(&self, carrier: Arc<dyn BalancerCarrier>) {
        let mut carrying = lock(&self.carrying);
        carrying.carrier = Some(carrier);
        self.carry_out(&mut carrying);
    }

    /// Nothing serves in those zones from when this returns, and everything in the others.
    pub fn set_down(&self, down: &BTreeSet<ZoneLetter>) {
        let mut carrying = lock(&self.carrying);
        if carrying.down != *down {
            carrying.down.clone_from(down);
            self.carry_out(&mut carrying);
        }
        drop(carrying);
        self.news.notify(usize::MAX);
    }

    /// Does that zone serve?
    pub(crate) fn is_up(&self, zone: ZoneLetter) -> bool {
        !lock(&self.carrying).down.contains(&zone)
    }

    /// Is there something that can't be listened on, or not with what it should be?
    pub fn has_uncarried(&self) -> bool {
        !lock(&self.carrying).uncarried.is_empty()
    }

    /// Has what is listened on looked at again: a certificate may be another one, and what was in
    /// the way of a listener may have gone.
    pub fn carry_again(&self) {
        self.carry_out(&mut lock(&self.carrying));
    }

    fn carry_out(&self, carrying: &mut Carrying) {
        let snapshot = self.snapshot();
        if let Some(carrier) = carrying.carrier.clone() {
            let uncarried = carrier.carry(&snapshot, &carrying.down);
            let known = &carrying.uncarried;
            for fault in uncarried.iter().filter(|fault| !known.contains(fault)) {
                tracing::warn!(fault, "a load balancer isn't listened for as it should be");
            }
            carrying.uncarried = uncarried;
        }
        carrying.served = snapshot.served_through();
    }

    /// Serves that configuration from when this returns.
    fn serve(&self, view: &dyn ConfigurationView) {
        let mut carrying = lock(&self.carrying);
        let before = self.snapshot();
        let snapshot = Snapshot::compile(view, Some(&before));
        let known = before.faults();
        let news = snapshot.faults().iter().filter(|it| !known.contains(it));
        for fault in news {
            tracing::warn!(
                fault,
                "a part of the load balancers' configuration isn't served"
            );
        }
        self.snapshot.store(Arc::new(snapshot));
        self.carry_out(&mut carrying);
        drop(carrying);
        self.checking.configure(&self.snapshot());
        self.news.notify(usize::MAX);
    }

    /// How they are.
    pub fn status(&self) -> BalancersStatus {
        let snapshot = self.snapshot();
        let carrying = lock(&self.carrying);
        let faults = snapshot.faults().iter().chain(&carrying.uncarried);
        let members = snapshot.groups().flat_map(|group| group.members());
        let (healthy, others): (Vec<_>, Vec<_>) = members.partition(|it| it.live.is_healthy());
        BalancersStatus {
            revision: carrying.served,
            balancers: snapshot.balancers().count(),
            listeners: snapshot.listeners().count(),
            groups: snapshot.groups().count(),
            healthy: healthy.len(),
            others: others.len(),
            faults: faults.take(MAX_FAULTS).cloned().collect(),
        }
    }
}

/// What the API asks of the nodes.
pub(crate) struct Nodes(pub(crate) Arc<Balancers>);

impl NodeView for Nodes {
    fn serves(&self, revision: u64) -> bool {
        lock(&self.0.carrying).served >= revision
    }

    fn target_health(&self, group: &TargetGroupArn, target: &TargetKey) -> TargetHealth {
        let now = self.0.environment.now().wall;
        self.0.load().target_health(group, target, now)
    }
}

impl<E: Engine> Region<E> {
    /// Its load balancers.
    pub fn balancers(&self) -> &Arc<Balancers> {
        &self.own.balancers
    }

    /// The certificate of that ARN that was uploaded to IAM, with its key; as this Region knows it
    /// now.
    pub fn uploaded_certificate(&self, arn: &str) -> Option<OpenedCertificate> {
        self.directory.server_certificate(arn)
    }

    /// Serves every change of the Region's configuration.
    pub(crate) async fn follow_balancers(self: Arc<Self>) {
        let mut revision = self.own.balancers.load().revision();
        loop {
            let view = self.own.regional.after(revision).await;
            revision = view.revision();
            self.own.balancers.serve(&*view);
        }
    }

    /// Checks targets, until the process ends.
    pub(crate) async fn check_targets(self: Arc<Self>) {
        let balancers = &self.own.balancers;
        balancers
            .checking
            .run(&*balancers.environment, &balancers.news)
            .await;
    }
}

/// A panic elsewhere while the lock was held leaves plain data: it is still good to use.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
