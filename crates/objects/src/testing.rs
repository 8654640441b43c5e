//! One Region's objects in memory, for tests: a clock that the test sets, a configuration that
//! decides at once, blobs that lose what isn't synced.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use aws::access::Authorizer;
use bytes::Bytes;
use futures_util::FutureExt;
use store::{Engine, MemoryEngine};
use types::{
    AccountId, Configuration, ConfigurationEdit, ConfigurationError, ConfigurationExpected,
    ConfigurationView, Deployment, Environment, Monotonic, Now, Proposal, Region, Site, SiteId,
    SiteName, Sleep, Timestamp,
};

use crate::blob::MemoryBlobs;
use crate::content::{Expected, Ingest, IngestOptions, SiteKey};
use crate::notify::{Origin, Posting, TargetArn, Webhooks};
use crate::service::Asked;
use crate::{
    Amended, Bucket, BucketFacts, BucketName, BucketSettings, Cause, Content, Creation,
    DeleteOptions, Encryption, Extent, Metadata, NewBucket, NewContent, NewObject, ObjectData,
    ObjectError, ObjectVersion, Objects, ObjectsConfig, Peers, RoleRefusal, Roles, Unreachable,
    VersionId, Versioning, WriteConditions,
};

/// What of a Region outlives its process, and where it runs.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) site: SiteId,
    pub(crate) clock: Arc<Clock>,
    pub(crate) configuration: Arc<Decided>,
    pub(crate) blobs: Arc<MemoryBlobs>,
}

/// A Region.
pub(crate) struct Lab<E: Engine = MemoryEngine> {
    pub(crate) objects: Objects<E>,
    pub(crate) blobs: Arc<MemoryBlobs>,
    pub(crate) clock: Arc<Clock>,
}

/// A clock that stands still unless it is set; random numbers that count.
pub(crate) struct Clock {
    wall: AtomicU64,
    drawn: AtomicU64,
}

#[derive(Clone, Default)]
struct View {
    revision: u64,
    entries: BTreeMap<String, (u64, Bytes)>,
}

/// A configuration in memory.
#[derive(Default)]
pub(crate) struct Decided {
    view: Mutex<View>,
    /// What is seen of it until somebody proposes, as at a site that lags.
    seen: Mutex<Option<View>>,
    /// What a proposal is answered with, if it isn't decided.
    refusal: Mutex<Option<ConfigurationError>>,
}

/// Nobody's.
struct Nobody;

/// What a step in memory comes to, which is done at once.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("memory answers at once")
}

impl Lab {
    /// An empty Region at that time.
    pub(crate) fn new(wall: Timestamp) -> Lab {
        Lab::over(MemoryEngine::new(), wall)
    }
}

impl<E: Engine> Lab<E> {
    /// A Region at that time, of what that engine holds.
    pub(crate) fn over(engine: E, wall: Timestamp) -> Lab<E> {
        let place = Place::new(1, wall, Arc::default());
        Lab {
            objects: place.open(engine),
            blobs: place.blobs,
            clock: place.clock,
        }
    }

    /// A bucket.
    pub(crate) fn bucket(&self, name: &str, versioning: Versioning) -> Bucket {
        now(self.objects.create_bucket(new_bucket(name, versioning))).unwrap()
    }

    /// An object of those bytes.
    pub(crate) fn put(&self, bucket: &Bucket, key: &str, bytes: &[u8]) -> Arc<ObjectVersion> {
        let options = IngestOptions {
            length: None,
            limit: u64::MAX,
            expected: Expected::default(),
            customer_key: None,
        };
        let mut ingest = Ingest::new(self.objects.contents(), options);
        now(ingest.push(Bytes::copy_from_slice(bytes))).unwrap();
        let ingested = now(ingest.finish(Vec::new())).unwrap();
        let new = NewObject {
            owner: AccountId::LAB,
            content: NewContent::Whole(ingested),
            metadata: Metadata::default(),
            storage_class: "STANDARD".to_owned(),
            tags: BTreeMap::new(),
            acl: None,
            retention: None,
            legal_hold: false,
            conditions: WriteConditions::default(),
            how: Creation::Put,
            cause: cause(),
        };
        now(self.objects.put(bucket, &key.parse().unwrap(), new)).unwrap()
    }

    /// Deletes the object of that key, or a version of it.
    pub(crate) fn delete(&self, bucket: &Bucket, key: &str, id: Option<VersionId>) {
        let options = DeleteOptions {
            owner: AccountId::LAB,
            bypass_governance: false,
            if_match: None,
            cause: cause(),
        };
        let key = key.parse().unwrap();
        now(self.objects.delete(bucket, &key, id, &options)).unwrap();
    }
}

/// A bucket to be made.
pub(crate) fn new_bucket(name: &str, versioning: Versioning) -> NewBucket {
    NewBucket {
        name: name.parse().unwrap(),
        owner: AccountId::LAB,
        settings: BucketSettings {
            versioning,
            ..BucketSettings::new(false)
        },
    }
}

/// The Regions of all labs: site 1 is `us-east-1`.
const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-northeast-1"];

impl Place {
    /// The place of that site, at that time.
    pub(crate) fn new(site: u16, wall: Timestamp, configuration: Arc<Decided>) -> Place {
        let clock = Clock {
            wall: AtomicU64::new(wall.0),
            drawn: AtomicU64::new((u64::from(site) << 32) | 1),
        };
        Place {
            site: SiteId(site),
            clock: Arc::new(clock),
            configuration,
            blobs: Arc::new(MemoryBlobs::new()),
        }
    }

    /// Opens what that engine holds, and the blobs.
    pub(crate) fn open<E: Engine>(&self, engine: E) -> Objects<E> {
        let regions = REGIONS.map(|name| name.parse::<Region>().unwrap());
        let sites = (1..).zip(regions).map(|(id, region)| Site {
            id: SiteId(id),
            name: SiteName::Region(region),
            place: region,
        });
        let config = ObjectsConfig {
            deployment: Deployment {
                sites: sites.collect(),
            },
            site: self.site,
            region: regions[usize::from(self.site.0) - 1],
            environment: self.clock.clone(),
            configuration: self.configuration.clone(),
            blobs: self.blobs.clone(),
            key: SiteKey::new([7; 32]),
            roles: Arc::new(Nobody),
            peers: Arc::new(Nobody),
            webhooks: Arc::new(Nobody),
        };
        now(Objects::open(engine, config)).unwrap()
    }
}

impl Clock {
    pub(crate) fn set(&self, wall: Timestamp) {
        self.wall.store(wall.0, Ordering::Relaxed);
    }
}

impl Environment for Clock {
    fn now(&self) -> Now {
        Now {
            wall: Timestamp(self.wall.load(Ordering::Relaxed)),
            monotonic: Monotonic(0),
        }
    }

    fn sleep_until(&self, _: Monotonic) -> Sleep {
        Box::pin(std::future::pending())
    }

    fn random(&self) -> u64 {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl ConfigurationView for View {
    fn revision(&self) -> u64 {
        self.revision
    }

    fn get(&self, key: &str) -> Option<(u64, Bytes)> {
        self.entries.get(key).cloned()
    }

    fn visit(&self, prefix: &str, visitor: &mut dyn FnMut(&str, u64, &Bytes)) {
        let entries = self.entries.range(prefix.to_owned()..);
        for (key, (revision, value)) in entries.take_while(|(key, _)| key.starts_with(prefix)) {
            visitor(key, *revision, value);
        }
    }
}

impl Configuration for Decided {
    fn view(&self) -> Arc<dyn ConfigurationView> {
        let seen = self.seen.lock().unwrap().clone();
        Arc::new(seen.unwrap_or_else(|| self.view.lock().unwrap().clone()))
    }

    fn propose(&self, edits: Vec<ConfigurationEdit>) -> Proposal<'_> {
        Box::pin(std::future::ready(self.decide(edits)))
    }
}

impl Decided {
    /// From now on proposals are answered so, undecided.
    pub(crate) fn refuse(&self, refusal: Option<ConfigurationError>) {
        *self.refusal.lock().unwrap() = refusal;
    }

    /// What an edit by somebody else changes isn't seen before the next proposal.
    pub(crate) fn lag(&self, edit: impl FnOnce()) {
        let before = self.view.lock().unwrap().clone();
        edit();
        *self.seen.lock().unwrap() = Some(before);
    }

    fn decide(&self, edits: Vec<ConfigurationEdit>) -> Result<u64, ConfigurationError> {
        if let Some(refusal) = *self.refusal.lock().unwrap() {
            return Err(refusal);
        }
        *self.seen.lock().unwrap() = None;
        let mut view = self.view.lock().unwrap();
        let holds = edits.iter().all(|edit| {
            let found = view.entries.get(&edit.key).map(|(revision, _)| *revision);
            match edit.expected {
                ConfigurationExpected::Any => true,
                ConfigurationExpected::Absent => found.is_none(),
                ConfigurationExpected::Revision(revision) => found == Some(revision),
            }
        });
        if !holds {
            return Err(ConfigurationError::Conflict);
        }
        view.revision += 1;
        let revision = view.revision;
        for edit in edits {
            match edit.value {
                Some(value) => view.entries.insert(edit.key, (revision, value)),
                None => view.entries.remove(&edit.key),
            };
        }
        Ok(revision)
    }
}

impl Roles for Nobody {
    fn assume(&self, role: &str) -> Result<Box<dyn Authorizer>, RoleRefusal> {
        Err(RoleRefusal(role.to_owned()))
    }
}

impl Peers for Nobody {
    fn bucket(&self, _: Region, _: &BucketName) -> Asked<'_, Option<BucketFacts>> {
        Box::pin(std::future::ready(Err(Unreachable)))
    }
}

impl Webhooks for Nobody {
    fn allows(&self, _: &TargetArn) -> bool {
        false
    }

    fn post<'a>(&'a self, _: &'a TargetArn, _: Bytes) -> Posting<'a> {
        Box::pin(std::future::pending())
    }
}

/// An object of no bytes that nobody amended.
pub(crate) fn object_data() -> ObjectData {
    ObjectData {
        size: 0,
        etag: String::new(),
        checksum: None,
        content: Content::Whole(Extent {
            number: 1,
            size: 0,
            etag: String::new(),
            checksum: None,
            blob: 0,
            inline: true,
            sealed_key: Bytes::new(),
        }),
        encryption: Encryption::Site,
        metadata: Metadata::default(),
        storage_class: "STANDARD".to_owned(),
        tags: BTreeMap::new(),
        acl: None,
        retention: None,
        legal_hold: false,
        amended: Amended::NEVER,
    }
}

/// A request of somebody's.
pub(crate) fn cause() -> Cause {
    Cause::Request(Origin {
        principal: "arn:aws:iam::111122223333:root".to_owned(),
        source_address: "127.0.0.1".to_owned(),
        request_id: "R".to_owned(),
        host_id: "H".to_owned(),
    })
}

/// The code of a refusal.
pub(crate) fn code<T>(result: Result<T, ObjectError>) -> &'static str {
    match result {
        Ok(_) => panic!("it was to be refused"),
        Err(error) => error.code().0,
    }
}
