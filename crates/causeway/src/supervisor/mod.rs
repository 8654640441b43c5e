//! The supervisor: starts a lab's sites, keeps the leases of its faults, answers the control API
//! and passes everything else on. It holds no data of any site.

mod addresses;
mod app;
mod certificates;
mod compare;
mod databases;
mod dns;
mod door;
mod drains;
mod entry;
mod execute;
mod flows;
mod identity;
mod inject;
mod ledger;
mod links;
mod objects;
mod slot;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws::signature::Scope;
use futures_util::future::join_all;
use link::Shape;
use link::certificate::CertificateAuthority;
use region::DoorSecret;
use runtime::{Guard, SystemEnvironment};
use tokio::sync::{Mutex as AsyncMutex, Notify};
use types::{Environment, Geography, Monotonic, Region, Site, SiteId, SiteName, Span, ZoneLetter};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::faults::FaultTable;
use crate::lab::{Lab, OperatorKey};
use crate::protocol::{AppConfig, Conditions, Secrets};
use addresses::Addresses;
use drains::Drains;
use slot::Slot;

pub use app::AppCommand;
pub use door::{Door, refusal_response};
pub use entry::EntryReport;

/// How long a site may take to stop before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// How often Regions are asked whether they hear a majority.
const MAJORITY_EVERY: Span = Span::milliseconds(500);

/// How long one may take to say so.
const MAJORITY_WAIT: Duration = Duration::from_millis(500);

/// How soon a site that couldn't be brought to what the faults make of it is tried again.
const SETTLE_EVERY: Span = Span::milliseconds(1000);

/// A running lab.
pub struct Supervisor {
    lab: Lab,
    authority: CertificateAuthority,
    environment: Arc<SystemEnvironment>,
    guard: Guard,
    /// What secrets at rest are sealed with.
    operator_key: OperatorKey,
    /// What the front door proves itself by to the sites, anew with every start.
    door: DoorSecret,
    /// The application in every Region.
    app: Option<AppCommand>,
    /// How far the application's entry is, if there is one.
    entry: Mutex<Option<EntryReport>>,
    faults: Mutex<FaultTable>,
    /// What accelerators' static addresses lead to.
    addresses: Addresses,
    /// The edges that are given nothing new. Each query for a name looks at it: it is held for
    /// nothing that takes time.
    drains: Mutex<Drains>,
    /// Held while an edge is drained or brought back, through what a disk may hold up.
    draining: AsyncMutex<()>,
    slots: BTreeMap<SiteName, Arc<Slot>>,
    begun: Monotonic,
    /// Rings when the fault table has changed: the next expiry may be another.
    leased: Notify,
    /// Rings when somebody asked for the end.
    down: Notify,
}

impl Supervisor {
    /// A supervisor that has started nothing yet. `app` is the application that runs in every
    /// Region.
    pub fn new(
        (lab, operator_key): (Lab, OperatorKey),
        environment: Arc<SystemEnvironment>,
        guard: Guard,
        app: Option<AppCommand>,
    ) -> anyhow::Result<Supervisor> {
        let authority = lab.authority()?;
        let mut random = Zeroizing::new([0; 32]);
        runtime::fill_random(&mut *random);
        let door = DoorSecret::new(&random);
        let addresses = Addresses::of(&lab.settings)?;
        let drains = Drains::kept(&lab)?;
        for edge in lab.settings.edges() {
            addresses.drain(edge.id, drains.is_closed(edge.name));
        }
        let sites = &lab.settings.sites;
        let slots = sites
            .iter()
            .map(|site| (site.name, Arc::new(Slot::new(*site))));
        let slots = slots.collect();
        let begun = environment.now().monotonic;
        Ok(Supervisor {
            lab,
            authority,
            environment,
            guard,
            operator_key,
            door,
            app,
            entry: Mutex::default(),
            faults: Mutex::new(FaultTable::default()),
            addresses,
            drains: Mutex::new(drains),
            draining: AsyncMutex::new(()),
            slots,
            begun,
            leased: Notify::new(),
            down: Notify::new(),
        })
    }

    /// Starts all sites at once and waits until each serves.
    pub async fn start(self: &Arc<Self>) -> Result<(), Failure> {
        let starts = self.slots.values().map(|slot| slot.start(self));
        let started: Vec<Result<(), Failure>> = join_all(starts).await;
        started.into_iter().collect()
    }

    /// Ends faults when their leases end. Never ends itself.
    pub async fn keep_leases(self: Arc<Self>) {
        loop {
            let changed = self.leased.notified();
            let next = self.faults().next_expiry();
            match next {
                Some(at) => tokio::select! {
                    () = self.environment.sleep_until(at) => {}
                    () = changed => {}
                },
                None => changed.await,
            }
            let ended = self.faults().expire(self.environment.now().monotonic);
            for lease in &ended {
                tracing::warn!(
                    "fault {} ({}) has ended with its lease",
                    lease.id.0,
                    lease.fault
                );
            }
            if !ended.is_empty() {
                // Beside: a site that is slow to start must hold up no other lease.
                let lab = Arc::clone(&self);
                runtime::spawn(lab.settle());
            }
        }
    }

    /// Ends when somebody has asked for the end over the control API.
    pub async fn asked_down(&self) {
        self.down.notified().await;
    }

    /// Stops all sites, in order if they can.
    pub async fn stop(&self) {
        join_all(self.slots.values().map(|slot| slot.stop(GRACE))).await;
    }

    /// Brings every site to what the faults in force make of it, and tries again until all are:
    /// what is over must not last because a site didn't answer just then. One that doesn't run is
    /// told when it starts.
    async fn settle(self: Arc<Self>) {
        let mut is_first = true;
        while !self.reconcile_all(is_first).await {
            is_first = false;
            let now = self.environment.now().monotonic;
            self.environment.sleep_until(now + SETTLE_EVERY).await;
        }
        if !is_first {
            tracing::info!("all sites are as the faults in force make them");
        }
    }

    /// Brings every site to what the faults in force make of it; false if one isn't.
    async fn reconcile_all(self: &Arc<Self>, is_first: bool) -> bool {
        let all = self.slots.values().map(|slot| slot.reconcile(self));
        let mut is_settled = true;
        for (slot, done) in self.slots.values().zip(join_all(all).await) {
            let Err(failure) = done else {
                continue;
            };
            is_settled = false;
            let name = slot.site.name;
            match is_first {
                true => tracing::warn!("{name}: {failure}: trying again until it holds"),
                false => tracing::debug!("{name}: {failure}"),
            }
        }
        is_settled
    }

    fn faults(&self) -> MutexGuard<'_, FaultTable> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What geography and faults amount to for that site now.
    fn conditions(&self, site: Site) -> Conditions {
        let geography = Geography {
            scale: self.lab.settings.delay_scale,
        };
        let faults = self.faults();
        let others = self.lab.settings.sites.iter();
        let shapes = others.filter(|peer| peer.id != site.id).map(|peer| {
            let base = Shape::delayed(geography.one_way_delay(site.place, peer.place));
            (peer.name, faults.shape(site.name, peer.name, base))
        });
        Conditions {
            shapes: shapes.collect(),
            clock_offset_milliseconds: faults.clock_offset(site.name),
            zones_down: match site.name.region() {
                Some(region) => faults.zones_down(region),
                None => BTreeSet::new(),
            },
        }
    }

    /// What a Region is to know of its application; none of an edge, or without one.
    fn app_front(&self, site: &Site) -> Option<AppConfig> {
        let app = self.app.as_ref().filter(|_| site.name.region().is_some())?;
        let instance = |letter: &ZoneLetter| {
            let address = self.lab.instance_address(site.id, *letter);
            (*letter, address)
        };
        Some(AppConfig {
            address: self.lab.app_address(site.id),
            instances: app.zones.iter().map(instance).collect(),
        })
    }

    /// What a Region needs to open, and no file of its holds.
    fn secrets(&self) -> Secrets {
        Secrets {
            operator_key: self.operator_key.expose().to_owned(),
            root_key: ::identity::write_credentials(&self.lab.root_key).to_string(),
            door: self.door.expose().to_owned(),
        }
    }

    fn slot(&self, site: SiteName) -> Result<&Arc<Slot>, Failure> {
        self.slots.get(&site).ok_or_else(|| {
            let names: Vec<String> = self.slots.keys().map(SiteName::to_string).collect();
            let has = format!("it has {}", names.join(", "));
            Failure::wrong_use(format!("this lab has no site {site}")).then(has)
        })
    }

    /// The Region's site, if it is of this lab.
    fn region(&self, region: Region) -> Option<SiteId> {
        let slot = self.slots.get(&SiteName::Region(region))?;
        Some(slot.site.id)
    }

    /// The Region's site, if it is of this lab and serves.
    fn living_region(&self, region: Region) -> Option<SiteId> {
        let slot = self.slots.get(&SiteName::Region(region))?;
        slot.is_serving().then_some(slot.site.id)
    }

    /// The first Region that serves of those that the scope covers.
    fn living_region_of(&self, scope: &Scope) -> Option<SiteId> {
        let regions = self.lab.settings.sites.iter();
        let mut regions = regions.filter_map(|site| site.name.region());
        regions.find_map(|region| {
            let is_covered = scope.covers(region);
            is_covered.then(|| self.living_region(region)).flatten()
        })
    }

    /// The Regions that serve, in their order.
    fn living_regions(&self) -> Vec<SiteId> {
        let sites = self.lab.settings.sites.iter();
        let living = sites.filter_map(|site| self.living_region(site.name.region()?));
        living.collect()
    }

    /// A Region for requests that any may take: the first that serves and can have global settings
    /// changed; where none can, the first that serves.
    fn any_living_region(&self) -> Option<SiteId> {
        let sites = self.lab.settings.sites.iter();
        let regions = sites.filter(|site| site.name.region().is_some());
        let slots = regions.map(|site| (site.id, &self.slots[&site.name]));
        let serving: Vec<_> = slots.filter(|(_, slot)| slot.is_serving()).collect();
        let deciding = serving.iter().find(|(_, slot)| slot.has_majority());
        deciding.or(serving.first()).map(|(site, _)| *site)
    }

    /// Asks every Region now and then whether it hears a majority. Never ends itself.
    pub async fn keep_majorities(self: Arc<Self>) {
        loop {
            let regions = self.slots.values();
            let regions = regions.filter(|slot| slot.site.name.region().is_some());
            join_all(regions.map(|slot| slot.ask_majority(MAJORITY_WAIT))).await;
            let now = self.environment.now().monotonic;
            self.environment.sleep_until(now + MAJORITY_EVERY).await;
        }
    }
}
