//! Invariant 5 for objects: the real engine and blobs in files run in a child process over the
//! store's layer that drops whatever was not synced, the child is killed amid its writes, and what
//! the layer kept is opened again. Every object whose write was acknowledged is there, whole.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the test compiles the layer, starts the child, and waits"
)]

use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use md5::{Digest, Md5};
use objects::blob::{BlobError, BlobId, Blobs, LocalBlobs, LocalOptions};
use objects::content::{Expected, Ingest, IngestOptions, Orphans, SiteKey, Staged};
use objects::notify::NoWebhooks;
use objects::scrub::NoRepair;
use objects::{
    Bucket, BucketEntry, BucketFacts, BucketId, BucketName, BucketSettings, Cause, Creation,
    Metadata, NewContent, NewObject, ObjectError, Objects, ObjectsConfig, Peers, RoleRefusal,
    Roles, Unreachable, WriteConditions, keys,
};
use store::{Batch, EmbeddedEngine, EmbeddedOptions, Engine, Snapshot, Space};
use types::{
    AccountId, Configuration, ConfigurationEdit, ConfigurationError, ConfigurationView, Deployment,
    Environment, Monotonic, Now, Proposal, Region, Site, SiteId, SiteName, Sleep, Timestamp,
};

const PLACE: &str = "OBJECTS_TEST_PLACE";
const EARLY: &str = "OBJECTS_TEST_EARLY";
const STAGING: &str = "OBJECTS_TEST_STAGING";
const FAILING: &str = "OBJECTS_TEST_FAILING";

/// The machine's time; numbers that no other run draws.
struct Machine {
    start: Instant,
    drawn: AtomicU64,
}

impl Environment for Machine {
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Now {
            wall: Timestamp(wall.as_millis() as u64),
            monotonic: Monotonic(self.start.elapsed().as_micros() as u64),
        }
    }

    fn sleep_until(&self, _: Monotonic) -> Sleep {
        Box::pin(std::future::ready(()))
    }

    fn random(&self) -> u64 {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// Nobody is asked for anything.
struct Nobody;

impl Configuration for Nobody {
    fn view(&self) -> Arc<dyn ConfigurationView> {
        unreachable!("the bucket is given")
    }

    fn propose(&self, _: Vec<ConfigurationEdit>) -> Proposal<'_> {
        Box::pin(std::future::ready(Err(ConfigurationError::Conflict)))
    }
}

impl Roles for Nobody {
    fn assume(&self, role: &str) -> Result<Box<dyn aws::access::Authorizer>, RoleRefusal> {
        Err(RoleRefusal(role.to_owned()))
    }
}

type Asked<'a> =
    Pin<Box<dyn Future<Output = Result<Option<BucketFacts>, Unreachable>> + Send + 'a>>;

impl Peers for Nobody {
    fn bucket(&self, _: Region, _: &BucketName) -> Asked<'_> {
        Box::pin(std::future::ready(Err(Unreachable)))
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

fn region() -> Region {
    "us-east-1".parse().unwrap()
}

/// The service over a database and blobs in that directory.
fn open(place: &Path) -> (LocalBlobs, Objects<EmbeddedEngine>) {
    let engine = EmbeddedEngine::open(&place.join("store"), EmbeddedOptions::modest()).unwrap();
    let blobs = LocalBlobs::open(&place.join("blobs"), LocalOptions::modest()).unwrap();
    give_settings(&engine);
    let site = Site {
        id: SiteId(1),
        name: SiteName::Region(region()),
        place: region(),
    };
    let drawn = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let config = ObjectsConfig {
        deployment: Deployment { sites: vec![site] },
        site: SiteId(1),
        region: region(),
        environment: Arc::new(Machine {
            start: Instant::now(),
            drawn: AtomicU64::new(drawn.as_nanos() as u64),
        }),
        configuration: Arc::new(Nobody),
        blobs: Arc::new(blobs.clone()),
        key: SiteKey::new([7; 32]),
        roles: Arc::new(Nobody),
        peers: Arc::new(Nobody),
        webhooks: Arc::new(NoWebhooks),
    };
    let objects = wait(Objects::open(engine, config)).unwrap();
    (blobs, objects)
}

/// The bucket's row of settings, as making a bucket writes it: all are as they are by default.
fn give_settings(engine: &EmbeddedEngine) {
    let row = keys::of_bucket(keys::kind::SETTINGS, bucket().entry.id).freeze();
    let there = wait(engine.snapshot().get(Space::Objects, &row)).unwrap();
    if there.is_none() {
        let mut batch = Batch::new();
        batch.put(Space::Objects, row, &b"\x01{\"settings\":{}}"[..]);
        wait(engine.commit(batch)).unwrap();
    }
}

fn bucket() -> Bucket {
    Bucket {
        name: "a-bucket".parse().unwrap(),
        entry: BucketEntry {
            id: BucketId(5),
            owner: AccountId::LAB,
            region: region(),
            created: Timestamp(0),
            object_lock: false,
        },
        settings: Arc::new(BucketSettings::new(false)),
    }
}

/// The bytes of an object: of each size that there is a way for, and told by its number.
fn bytes_of(id: u64) -> Bytes {
    let length = [100, 16_384, 16_385, 70_000, 300_000][(id % 5) as usize];
    let mut bytes = BytesMut::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&id.wrapping_add(bytes.len() as u64).to_le_bytes());
    }
    bytes.truncate(length);
    bytes.freeze()
}

async fn put(objects: &Objects<EmbeddedEngine>, id: u64) -> Result<(), ObjectError> {
    let options = IngestOptions {
        length: None,
        limit: u64::MAX,
        expected: Expected::default(),
        customer_key: None,
    };
    let mut ingest = Ingest::new(objects.contents(), options);
    ingest.push(bytes_of(id)).await?;
    let new = NewObject {
        owner: AccountId::LAB,
        content: NewContent::Whole(ingest.finish(Vec::new()).await?),
        metadata: Metadata::default(),
        storage_class: "STANDARD".to_owned(),
        tags: Default::default(),
        acl: None,
        retention: None,
        legal_hold: false,
        conditions: WriteConditions::default(),
        how: Creation::Put,
        cause: Cause::Lifecycle,
    };
    let key = format!("key-{id}").parse().unwrap();
    objects.put(&bucket(), &key, new).await.map(|_| ())
}

async fn get(objects: &Objects<EmbeddedEngine>, id: u64) -> Result<Bytes, ObjectError> {
    let (bucket, key) = (bucket(), format!("key-{id}").parse().unwrap());
    let version = objects.find(&bucket, &key, None).await?;
    let size = version.object().unwrap().size;
    let reader = objects.read(bucket.entry.id, &key, &version, 0..size, None);
    let mut reader = reader.await?;
    let mut all = BytesMut::new();
    while let Some(step) = reader.next().await {
        all.extend_from_slice(&step?);
    }
    Ok(all.freeze())
}

/// Not a test of its own: what the child runs until it is killed.
#[test]
fn child() {
    let early = std::env::var_os(EARLY);
    let Some(place) = early.clone().or(std::env::var_os(PLACE)) else {
        return;
    };
    let (blobs, objects) = open(Path::new(&place));
    let next = AtomicU64::new(0);
    println!("open");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    if early.is_some() {
                        let mut writer = wait(blobs.create(BlobId(u128::from(id)))).unwrap();
                        wait(writer.write(bytes_of(id))).unwrap();
                    } else {
                        wait(put(&objects, id)).unwrap();
                    }
                    let line = format!("acknowledged {id}\n");
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

#[test]
fn invariant_5_acknowledged_objects_survive_a_power_cut() {
    for life in [100, 350, 700] {
        let cut = PowerCut::new();
        let acknowledged = numbers(cut.run("child", PLACE, Duration::from_millis(life)));
        let (_, objects) = open(&cut.survivor());
        for id in &acknowledged {
            let found = wait(get(&objects, *id));
            assert!(found == Ok(bytes_of(*id)), "object {id} after {life} ms");
        }
        // What was on its way is whole, or an orphan: nothing is half visible.
        let scrubbed = wait(objects.scrub_once(None, &NoRepair)).unwrap();
        assert_eq!(scrubbed.damaged, 0);
        assert!(scrubbed.versions >= acknowledged.len() as u64);
        let mut orphans = Orphans::default();
        let collected = wait(objects.collect_orphans(&mut orphans)).unwrap();
        assert!(collected.left <= 8, "at most one a writer: {collected:?}");
    }
}

/// Not a test of its own: what the child of the test below runs until it is killed. It begins
/// transfers, puts a part of each on disk, and goes on with it.
#[test]
fn staging_child() {
    let Some(place) = std::env::var_os(STAGING) else {
        return;
    };
    let (_, objects) = open(Path::new(&place));
    println!("open");
    let mut under_way = Vec::new();
    for id in (4..).step_by(5) {
        let mut ingest = Ingest::new(objects.contents(), transfer());
        let bytes = bytes_of(id);
        wait(ingest.push(bytes.slice(..200_000))).unwrap();
        let staged = wait(ingest.stage()).unwrap();
        assert_eq!(staged.length, 3 * 65_536);
        println!(
            "acknowledged {id} {}",
            serde_json::to_string(&staged).unwrap()
        );
        wait(ingest.push(bytes.slice(200_000..))).unwrap();
        under_way.push(ingest);
    }
}

fn transfer() -> IngestOptions {
    IngestOptions {
        length: Some(300_000),
        limit: u64::MAX,
        expected: Expected::default(),
        customer_key: None,
    }
}

#[test]
fn what_was_staged_of_transfers_survives_a_power_cut_and_is_gone_on_with() {
    let cut = PowerCut::new();
    let staged = cut.run("staging_child", STAGING, Duration::from_millis(200));
    let (_, objects) = open(&cut.survivor());
    for line in staged {
        let (id, staged) = line.split_once(' ').unwrap();
        let staged: Staged = serde_json::from_str(staged).unwrap();
        let bytes = bytes_of(id.parse().unwrap());
        let ingested = wait(async {
            let mut ingest = Ingest::resume(objects.contents(), &staged, transfer()).await?;
            ingest.push(bytes.slice(staged.length as usize..)).await?;
            ingest.finish(Vec::new()).await
        });
        assert_eq!(ingested.unwrap().md5, <[u8; 16]>::from(Md5::digest(&bytes)));
    }
}

/// The twin of the tests above: what is acknowledged before its sync must be lost, or the layer
/// drops nothing and the test above proves nothing.
#[test]
fn what_is_acknowledged_before_its_sync_is_lost_in_a_power_cut() {
    let cut = PowerCut::new();
    let acknowledged = numbers(cut.run("child", EARLY, Duration::from_millis(200)));
    let (blobs, _) = open(&cut.survivor());
    let there = wait(blobs.list(None, usize::MAX)).unwrap();
    let is_lost = |id: &&u64| !there.contains(&BlobId(u128::from(**id)));
    assert!(acknowledged.iter().filter(is_lost).count() > 0);
}

/// The rest of the test below, in the child over a disk whose syncs fail.
#[test]
fn failing_child() {
    let Some(place) = std::env::var_os(FAILING) else {
        return;
    };
    let blobs = LocalBlobs::open(Path::new(&place), LocalOptions::modest()).unwrap();
    let write = |id| {
        wait(async {
            let mut writer = blobs.create(BlobId(id)).await?;
            writer.write(Bytes::from("some bytes")).await?;
            writer.finish().await
        })
    };
    let is_failure = |written| matches!(written, Err(BlobError::Failed(_)));
    let failed = (1..100).find(|id| is_failure(write(*id))).unwrap();
    // Nothing is tried again: what the disk has of it is unknown.
    assert!((100..110).all(|id| is_failure(write(id))));
    assert!(blobs.failure().is_some());
    for id in 1..failed {
        assert_eq!(wait(blobs.read(BlobId(id), 0, 99)).unwrap(), "some bytes");
    }
    println!("stopped at blob {failed}");
}

#[test]
fn after_a_failed_sync_no_bytes_are_taken_and_reads_go_on() {
    let cut = PowerCut::new();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "failing_child", "--nocapture"])
        .env(FAILING, cut.path("run/blobs"))
        .envs(cut.environment())
        .env("POWER_CUT_FAILING_SYNC", "5")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("stopped at blob 5"), "{said}");
}

/// The last line may be torn by the kill.
fn numbers(lines: Vec<String>) -> Vec<u64> {
    lines.iter().flat_map(|line| line.parse()).collect()
}

struct PowerCut {
    directory: tempfile::TempDir,
}

impl PowerCut {
    fn new() -> PowerCut {
        let directory = tempfile::tempdir().unwrap();
        for name in ["run", "shadow/files", "shadow/directories"] {
            std::fs::create_dir_all(directory.path().join(name)).unwrap();
        }
        let cut = PowerCut { directory };
        let source = "../store/tests/power_cut/drop_unsynced.c";
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(cut.path("layer.so"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(source))
            .args(["-ldl", "-lpthread"])
            .status();
        assert!(compiled.unwrap().success(), "a C compiler is needed");
        cut
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("LD_PRELOAD", self.path("layer.so")),
            ("POWER_CUT_ROOT", self.path("run")),
            ("POWER_CUT_SHADOW", self.path("shadow")),
        ]
    }

    /// Runs that child so long, kills it, and returns what it had acknowledged. It is told its
    /// place by the variable.
    fn run(&self, child: &str, variable: &str, life: Duration) -> Vec<String> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", child, "--nocapture", "--test-threads=1"])
            .env(variable, self.path("run"))
            .envs(self.environment())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let opened = lines.by_ref().any(|line| line.unwrap().ends_with("open"));
        assert!(opened, "the child opened its place");
        let deadline = Instant::now() + life;
        let mut acknowledged = Vec::new();
        let mut killed = false;
        for line in lines {
            let Ok(line) = line else { break };
            if let Some(said) = line.strip_prefix("acknowledged ") {
                acknowledged.push(said.to_owned());
            }
            if !killed && Instant::now() >= deadline && acknowledged.len() > 5 {
                child.kill().unwrap();
                killed = true;
            }
        }
        let status = child.wait().unwrap();
        let ended = killed && !status.success();
        assert!(ended, "it was killed, it didn't end: {status}");
        acknowledged
    }

    /// The directory as the power cut leaves it.
    fn survivor(&self) -> PathBuf {
        let survivor = self.path("survivor");
        let root = self.path("run").metadata().unwrap().ino();
        self.rebuild(&root.to_string(), &survivor);
        survivor
    }

    fn rebuild(&self, inode: &str, into: &Path) {
        std::fs::create_dir(into).unwrap();
        let names = self.path("shadow/directories").join(inode);
        // Never synced: its names are lost.
        let names = std::fs::read_to_string(names).unwrap_or_default();
        for line in names.lines() {
            let [id, kind, name] = *line.splitn(3, ' ').collect::<Vec<_>>() else {
                panic!("a line of the layer: {line:?}");
            };
            let content = self.path("shadow/files").join(id);
            let target = into.join(name);
            if kind == "d" {
                let (inode, _) = id.split_once('.').unwrap();
                self.rebuild(inode, &target);
            } else if content.exists() {
                std::fs::copy(content, target).unwrap();
            } else {
                std::fs::write(target, []).unwrap();
            }
        }
    }
}
