//! The service of one Region: what it is opened with, its buckets, and what its parts share. It
//! owns no socket, no clock and no thread. What must be polled to its end says so.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};

use aws::access::Authorizer;
use bytes::Bytes;
use store::{Engine, HybridClock, KeyLocks};
use types::{Configuration, Deployment, Environment, Region, SiteId, Timestamp, Version};

use crate::blob::Blobs;
use crate::content::{Contents, SiteKey};
use crate::lifecycle::LifecycleTrouble;
use crate::notify::Webhooks;
use crate::replication::Replication;
use crate::{BucketId, BucketName, BucketSettings, ObjectKey, Stamp, Versioning};

/// What the service is told when it is opened.
#[derive(Clone)]
pub struct ObjectsConfig {
    /// The sites there are.
    pub deployment: Deployment,
    /// This Region's site.
    pub site: SiteId,
    /// This Region.
    pub region: Region,
    /// The clocks and the randomness of the place it runs in.
    pub environment: Arc<dyn Environment>,
    /// Where buckets' names are.
    pub configuration: Arc<dyn Configuration>,
    /// Where bytes of larger objects are.
    pub blobs: Arc<dyn Blobs>,
    /// Encrypts what is stored.
    pub key: SiteKey,
    /// Whom replication acts as.
    pub roles: Arc<dyn Roles>,
    /// The other Regions, to be asked.
    pub peers: Arc<dyn Peers>,
    /// Where events may go.
    pub webhooks: Arc<dyn Webhooks>,
}

/// The roles that replication acts as.
pub trait Roles: Send + Sync + 'static {
    /// Assumes a role for `s3.amazonaws.com`, as it is now: the judge of what the role may.
    ///
    /// # Errors
    /// It doesn't exist or doesn't trust S3: `AssumeRoleNotPermitted`.
    fn assume(&self, role: &str) -> Result<Box<dyn Authorizer>, RoleRefusal>;

    /// The same for `batchoperations.s3.amazonaws.com`: as whom batch jobs act.
    ///
    /// # Errors
    /// As [`Roles::assume`].
    fn assume_for_jobs(&self, role: &str) -> Result<Box<dyn Authorizer>, RoleRefusal> {
        self.assume(role)
    }
}

/// The role can't be assumed, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the role can't be assumed: {0}")]
pub struct RoleRefusal(pub String);

/// Another Region's answer, on its way.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, Unreachable>> + Send + 'a>>;

/// The other Regions, to be asked.
pub trait Peers: Send + Sync + 'static {
    /// What that Region knows of a bucket of its own; `None`: it has no such bucket.
    fn bucket(&self, region: Region, name: &BucketName) -> Asked<'_, Option<BucketFacts>>;
}

/// What a Region tells others of a bucket of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BucketFacts {
    /// Which bucket of that name.
    pub id: BucketId,
    /// Are versions kept?
    pub versioning: Versioning,
    /// Is object lock enabled?
    pub object_lock: bool,
    /// Does its requester pay?
    pub requester_pays: bool,
}

/// The Region can't be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the Region can't be reached")]
pub struct Unreachable;

/// The objects of one Region.
pub struct Objects<E: Engine> {
    pub(crate) engine: E,
    pub(crate) config: ObjectsConfig,
    pub(crate) clock: Mutex<HybridClock>,
    /// One a key of an object, held from the read of its versions until the commit.
    pub(crate) locks: KeyLocks,
    /// One a bucket, held while its settings are changed. Not those of keys: who holds a key may
    /// have to wait for this.
    pub(crate) settings_locks: KeyLocks,
    /// The settings of this Region's buckets; of one that isn't here they are those of a new one.
    pub(crate) settings: RwLock<BTreeMap<BucketId, KeptSettings>>,
    /// The hybrid time that the database has on record as issued, in milliseconds of wall time.
    pub(crate) clock_kept: AtomicU64,
    /// Held from the making of a batch's announcements until the batch is on its way, so that
    /// announcements are numbered in the order in which they are committed.
    pub(crate) announcing: Mutex<()>,
    /// Where bytes go and come from.
    pub(crate) contents: Contents,
    /// What is to be told to other buckets.
    pub(crate) replication: Replication,
    /// What went wrong with lifecycle rules in the last pass, by bucket.
    pub(crate) lifecycle_troubles: Mutex<BTreeMap<BucketName, LifecycleTrouble>>,
}

/// A bucket's settings in memory, with the row that they were read from or written to: what a
/// commit that relies on them demands.
#[derive(Clone)]
pub(crate) struct KeptSettings {
    pub(crate) settings: Arc<BucketSettings>,
    pub(crate) row: Option<Bytes>,
    /// The bucket is being deleted, and nothing is written to it, since that revision of the
    /// global configuration.
    pub(crate) closing: Option<u64>,
}

impl<E: Engine> Objects<E> {
    /// What it was opened with.
    pub fn config(&self) -> &ObjectsConfig {
        &self.config
    }

    /// The stamp of a version made now after those up to `seen`: greater than them, and than all
    /// that this Region has made.
    pub(crate) fn issue(&self, seen: Option<Version>) -> Stamp {
        let wall = self.wall();
        let mut clock = self.clock.lock().expect("issuing does not panic");
        Stamp {
            version: clock.issue(wall, seen),
            random: self.config.environment.random(),
        }
    }

    /// The wall clock, now.
    pub(crate) fn wall(&self) -> Timestamp {
        self.config.environment.now().wall
    }

    /// What a key's lock is taken by.
    pub(crate) fn lock_key(bucket: BucketId, key: &ObjectKey) -> Vec<u8> {
        crate::keys::of_key(0, bucket, key).to_vec()
    }
}
