//! The service of one Region: opens its catalogue and carries out operations, JSON in and JSON
//! out. It owns no socket, no clock and no thread; what it must know of the time it asks its
//! environment. A call of `execute` must be polled to its end: a write holds its item's lock
//! until the commit has returned, and dropping it half-way frees the lock too early.

use std::sync::{Arc, Mutex};

use aws::ServiceError;
use aws::access::Authorizer;
use bytes::Bytes;
use store::{Direction, Engine, HybridClock, KeyLocks, KeyRange, ReadError, Snapshot, Space};
use types::{Deployment, Environment, Hlc, Region, SiteId, Timestamp, Version};

use crate::catalogue::CatalogueError;
use crate::global::Global;
use crate::global::refill::last_stamp;
use crate::measure::Statistics;
use crate::{Catalogue, Change, PlantedBug, change};

/// Log records looked through, from the newest back, for the last version that was issued.
const CLOCK_LOOKBACK: usize = 1024;

/// What the service is told when it is opened.
#[derive(Clone)]
pub struct TablesConfig {
    /// The sites there are.
    pub deployment: Deployment,
    /// This Region's site.
    pub site: SiteId,
    /// This Region.
    pub region: Region,
    /// The clocks and the randomness of the place it runs in.
    pub environment: Arc<dyn Environment>,
    /// A bug to have: the simulation's to set, and nobody else's.
    pub planted: Option<PlantedBug>,
}

/// The tables of one Region.
pub struct Tables<E: Engine> {
    pub(crate) engine: E,
    pub(crate) config: TablesConfig,
    pub(crate) clock: Mutex<HybridClock>,
    pub(crate) locks: KeyLocks,
    pub(crate) catalogue: Catalogue,
    pub(crate) global: Global,
    pub(crate) statistics: Mutex<Statistics>,
}

impl<E: Engine> Tables<E> {
    /// Loads what the engine holds.
    pub async fn open(engine: E, config: TablesConfig) -> Result<Self, CatalogueError> {
        let snapshot = engine.snapshot();
        let catalogue = Catalogue::load(&snapshot).await?;
        let stamped = last_stamp(&catalogue, config.site);
        let last = last_issued(&snapshot).await?.max(stamped);
        Ok(Tables {
            clock: Mutex::new(HybridClock::new(config.site, last)),
            locks: KeyLocks::new(),
            catalogue,
            global: Global::load(&snapshot).await?,
            statistics: Mutex::default(),
            engine,
            config,
        })
    }

    /// Carries out an operation (`PutItem`) on a JSON body if the caller may, and returns the JSON
    /// response.
    ///
    /// # Errors
    ///
    /// The service's own, of which the first that applies: the operation is unknown or not built,
    /// the body isn't of its shape, the caller may not, or the request can't be carried out.
    pub async fn execute(
        &self,
        caller: &dyn Authorizer,
        operation: &str,
        body: &[u8],
    ) -> Result<Bytes, ServiceError> {
        Ok(self.dispatch(caller, operation, body).await?)
    }

    /// The tables of this Region.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The version of a write made now over a state of version `seen`.
    pub(crate) fn issue(&self, seen: Option<Version>) -> Version {
        let wall = self.wall();
        let mut clock = self.clock.lock().expect("issuing does not panic");
        clock.issue(wall, seen)
    }

    /// The wall clock, now.
    pub(crate) fn wall(&self) -> Timestamp {
        self.config.environment.now().wall
    }

    /// A random UUID (version 4, RFC 9562).
    pub(crate) fn uuid(&self) -> String {
        let high = self.config.environment.random();
        let low = self.config.environment.random();
        let high = (high & 0xffff_ffff_ffff_0fff) | 0x4000;
        let low = (low & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }
}

/// The newest version the change log knows of, so that a wall clock set back during a restart
/// does not make versions run backwards. (Per item they never do: a write outbids what it saw.)
async fn last_issued<S: Snapshot>(snapshot: &S) -> Result<Hlc, ReadError> {
    let page = snapshot
        .scan(
            Space::Log,
            KeyRange::all(),
            Direction::Backward,
            CLOCK_LOOKBACK,
        )
        .await?;
    let versions = page.entries.iter().filter_map(|entry| {
        let record = entry.value.strip_prefix(&[change::SERVICE_TAG])?;
        match Change::decode(record) {
            Ok(Change::Item { version, .. }) => Some(version.time),
            _ => None,
        }
    });
    Ok(versions.max().unwrap_or_default())
}
