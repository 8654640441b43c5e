//! Flow logs of accelerators at an edge: what its flows' threads record is gathered in files, which
//! are handed to a Region that writes them into their bucket. An edge has no bucket, and waits for
//! nobody but with bounded memory: what can't be kept is counted, and said in the next file. Lines
//! are lost with the process, but for one that drains before its end: it hands over what it has.

mod figures;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use accelerator::Snapshot;
use accelerator::flow_log::{ClosedLog, Direction, FlowLogBook, FlowLogPlace, FlowLogRecord};
use accelerator::model::AcceleratorId;
use bytes::Bytes;
use runtime::{FlowLimits, FlowOptions, FlowRecord, Moved, SystemEnvironment};
use steering::{LogOutcome, LogRequest, LogWanted, MAX_LOG_FILE, Steering};
use store::EmbeddedEngine;
use types::{Environment, Monotonic, Now, Region, SiteName, Span, Timestamp};

use super::Task;
use super::flows::protocol_of;
use super::gzip::gzip;

/// How long a file's first record waits at most, unless the operator says otherwise (the guide: log
/// files are written every five minutes).
const INTERVAL: Span = Span::seconds(300);

/// How long a window of a flow is at most (the guide: up to one minute).
const WINDOW: Span = Span::seconds(60);

/// Between looks at what waits.
const LOOK: Span = Span::seconds(1);

/// Records that wait to be written down, of all flows; more are skipped. They take 8 MiB.
const MAX_PENDING: usize = 32 * 1024;

/// Bytes of files that wait for a Region; with more, the oldest are lost.
const MAX_WAITING: usize = 16 * 1024 * 1024;

/// How long the open windows of flows whose logs were disabled may take to be told: flows are swept
/// every 5 s at the least, and looks are a second apart.
const LAST_WORDS: Span = Span::seconds(10);

/// Between looks whether all is delivered.
const FINISHING: Span = Span::milliseconds(100);

/// Buckets of which it is kept what is wrong with them.
const MAX_TROUBLES: usize = 64;

/// An edge's flow logs.
pub(super) struct FlowLogs {
    edge: SiteName,
    environment: Arc<SystemEnvironment>,
    steering: Arc<Steering<EmbeddedEngine>>,
    pending: Mutex<Pending>,
    files: Mutex<Files>,
}

/// What the flows' threads have said.
#[derive(Default)]
struct Pending {
    records: Vec<(FlowRecord, Region, Timestamp)>,
    /// What there was no room for, by whose it is: records, from when to when.
    skipped: BTreeMap<Owner, (u64, Timestamp, Timestamp)>,
}

/// A static address, and [which accelerator](owner_of) had it when a flow came there.
type Owner = (IpAddr, u64);

/// A static address, and where flows are logged that come there.
type Logged<'a> = (IpAddr, &'a Arc<FlowLogPlace>);

fn logged(snapshot: &Snapshot) -> impl Iterator<Item = Logged<'_>> {
    let addresses = snapshot.logged_addresses();
    addresses.filter_map(|address| Some((address, snapshot.flow_log_at(address)?)))
}

/// What is told of an accelerator in the records of its flows.
pub(super) fn owner_of(accelerator: &AcceleratorId) -> u64 {
    let mut hasher = DefaultHasher::new();
    accelerator.hash(&mut hasher);
    hasher.finish()
}

/// What is gathered, and what has become of it.
struct Files {
    book: FlowLogBook,
    /// Where flows are logged, or were until just now: as it was seen last, and when.
    places: BTreeMap<Owner, (Arc<FlowLogPlace>, Monotonic)>,
    waiting: VecDeque<Arc<Waiting>>,
    waiting_bytes: usize,
    written: u64,
    delivered: u64,
    lost: u64,
    /// What is wrong, by bucket; of [`MAX_TROUBLES`] at most.
    troubles: BTreeMap<String, &'static str>,
}

/// A file that waits for a Region.
struct Waiting {
    log: ClosedLog,
    key: String,
    file: Bytes,
}

/// How flows are carried where logs are delivered every so many milliseconds: a lab shares its
/// machine with all of its sites and the application.
pub(super) fn options(interval: Option<u64>) -> FlowOptions {
    FlowOptions {
        threads: 1,
        limits: FlowLimits {
            window: interval_of(interval).min(WINDOW).into(),
            ..FlowLimits::USUAL
        },
    }
}

fn interval_of(milliseconds: Option<u64>) -> Span {
    milliseconds.map_or(INTERVAL, Span::milliseconds)
}

impl FlowLogs {
    /// Those of that edge, delivered every so many milliseconds if that is said.
    pub(super) fn new(
        edge: SiteName,
        interval: Option<u64>,
        environment: Arc<SystemEnvironment>,
        steering: Arc<Steering<EmbeddedEngine>>,
    ) -> FlowLogs {
        FlowLogs {
            edge,
            environment,
            steering,
            pending: Mutex::default(),
            files: Mutex::new(Files {
                book: FlowLogBook::new(edge, interval_of(interval)),
                places: BTreeMap::new(),
                waiting: VecDeque::new(),
                waiting_bytes: 0,
                written: 0,
                delivered: 0,
                lost: 0,
                troubles: BTreeMap::new(),
            }),
        }
    }

    /// A window of a flow to an endpoint of that Region has ended. Called on the flows' threads.
    pub(super) fn add(&self, record: &FlowRecord, region: Region) {
        let end = self.environment.now().wall;
        lock(&self.pending).add(record, region, end);
    }

    /// What goes on in them, until the process ends.
    pub(super) fn tasks(self: &Arc<Self>) -> Vec<(&'static str, Task<'static, ()>)> {
        let (gathering, handing) = (Arc::clone(self), Arc::clone(self));
        vec![
            ("flow logs", Box::pin(gathering.gather())),
            ("delivery of flow logs", Box::pin(handing.hand_over())),
        ]
    }

    /// Writes down what was recorded, and closes what is due.
    async fn gather(self: Arc<Self>) {
        loop {
            let now = self.environment.now();
            self.write_down(now);
            self.look_after(now);
            self.environment.sleep_until(now.monotonic + LOOK).await;
        }
    }

    fn look_after(&self, now: Now) {
        let snapshot = self.steering.accelerators().snapshot();
        let mut files = lock(&self.files);
        files.look_at(logged(&snapshot), now.monotonic);
        files.book.forget(|place| {
            let mut logged = logged(&snapshot);
            logged.any(|(_, known)| **known == *place)
        });
        let due = files.book.due(now);
        files.close(due, now, || self.environment.random());
        if files.book.is_empty() && files.waiting.is_empty() {
            files.troubles.clear();
        }
    }

    fn write_down(&self, now: Now) {
        let Pending { records, skipped } = std::mem::take(&mut *lock(&self.pending));
        if records.is_empty() && skipped.is_empty() {
            return;
        }
        let snapshot = self.steering.accelerators().snapshot();
        let mut files = lock(&self.files);
        files.look_at(logged(&snapshot), now.monotonic);
        for (record, region, end) in &records {
            files.add(record, *region, *end, now);
        }
        for (owner, (count, from, to)) in skipped {
            if let Some(place) = files.place(owner) {
                files.lost += count;
                files.book.skip(&place, count, (from, to), now);
            }
        }
    }

    /// Hands over all that was recorded, for so long at most; this process will end. Gives how many
    /// files are left that no Region took.
    pub(super) async fn finish(&self, longest: Span) -> usize {
        let now = self.environment.now();
        self.write_down(now);
        {
            let mut files = lock(&self.files);
            let all = files.book.all(now);
            files.close(all, now, || self.environment.random());
        }
        let until = now.monotonic + longest;
        loop {
            let left = lock(&self.files).waiting.len();
            let now = self.environment.now().monotonic;
            if left == 0 || now >= until {
                return left;
            }
            self.environment.sleep_until(now + FINISHING).await;
        }
    }

    /// Hands over what waits, the oldest first; what is of a bucket that can't be reached now
    /// doesn't hold up others.
    async fn hand_over(self: Arc<Self>) {
        loop {
            let waiting: Vec<Arc<Waiting>> = lock(&self.files).waiting.iter().cloned().collect();
            let mut unreached = BTreeSet::new();
            for file in &waiting {
                let bucket = file.log.place.bucket.as_str();
                // What was too much meanwhile is lost, and told so.
                let waits = lock(&self.files).place_of(file).is_some();
                if waits && !unreached.contains(bucket) && !self.hand(file).await {
                    unreached.insert(bucket);
                }
            }
            let now = self.environment.now().monotonic;
            self.environment.sleep_until(now + LOOK).await;
        }
    }

    /// Hands a file to the nearest Region that can do something with it; false if none can now.
    async fn hand(&self, file: &Arc<Waiting>) -> bool {
        let place = &file.log.place;
        let mut cause = None;
        let mut is_known_nowhere = false;
        for region in self.steering.log_takers() {
            let request = LogRequest {
                account: place.account,
                bucket: place.bucket.clone(),
                wanted: LogWanted::Put {
                    key: file.key.clone(),
                    file: file.file.clone(),
                },
            };
            let refusal = match self.steering.ask_log(region, false, request).await {
                Some(LogOutcome::Done) => None,
                Some(LogOutcome::NoBucket) => {
                    // It may know less than the next one.
                    is_known_nowhere = true;
                    continue;
                }
                Some(LogOutcome::Denied) => {
                    Some("its policy does not let delivery.logs.amazonaws.com write")
                }
                Some(LogOutcome::Unreachable) => {
                    cause = Some("its Region is not reached");
                    continue;
                }
                Some(LogOutcome::Failed) => {
                    cause = Some("its Region could not write");
                    continue;
                }
                None => {
                    cause = Some("a Region did not answer");
                    continue;
                }
            };
            let now = self.environment.now();
            lock(&self.files).settle(file, refusal, now);
            return true;
        }
        let mut files = lock(&self.files);
        if is_known_nowhere && cause.is_none() {
            let refusal = Some("there is no such bucket");
            files.settle(file, refusal, self.environment.now());
            return true;
        }
        let cause = cause.unwrap_or("no Region is reached");
        files.note(&place.bucket, cause);
        false
    }
}

impl Pending {
    fn add(&mut self, record: &FlowRecord, region: Region, end: Timestamp) {
        if self.records.len() < MAX_PENDING {
            self.records.push((*record, region, end));
            return;
        }
        let start = start_of(record, end);
        let count = lines_of(record, region, end).len() as u64;
        // There are no more than accelerators had whose flows are here.
        let skipped = self.skipped.entry(owner(record));
        let (records, from, to) = skipped.or_insert((0, start, end));
        *records += count;
        (*from, *to) = ((*from).min(start), (*to).max(end));
    }
}

impl Files {
    /// Notes where flows are logged now, and forgets where they were.
    fn look_at<'a>(&mut self, logged: impl Iterator<Item = Logged<'a>>, now: Monotonic) {
        for (address, place) in logged {
            let owner = (address.to_canonical(), owner_of(&place.accelerator));
            self.places.insert(owner, (Arc::clone(place), now));
        }
        self.places.retain(|_, (_, seen)| *seen + LAST_WORDS > now);
    }

    /// Where the flows are logged, or were just now, that came to that address while that
    /// accelerator had it.
    fn place(&self, (address, accelerator): Owner) -> Option<Arc<FlowLogPlace>> {
        let found = self.places.get(&(address.to_canonical(), accelerator));
        found.map(|(place, _)| Arc::clone(place))
    }

    /// Writes a window down: nothing, if the accelerator that the flow came to is gone or isn't
    /// logged any more, whoever has its address now.
    fn add(&mut self, record: &FlowRecord, region: Region, end: Timestamp, now: Now) {
        let Some(place) = self.place(owner(record)) else {
            return;
        };
        let lines = lines_of(record, region, end);
        match self.book.add(&place, &lines, now) {
            true => self.written += lines.len() as u64,
            false => self.lost += lines.len() as u64,
        }
    }

    /// Has these files wait for a Region; of what waits then, the oldest go while it is too much.
    fn close(&mut self, logs: Vec<ClosedLog>, now: Now, mut random: impl FnMut() -> u64) {
        for log in logs {
            let file = Bytes::from(gzip(log.text.as_bytes()));
            debug_assert!(file.len() <= MAX_LOG_FILE, "a full file is smaller");
            self.waiting_bytes += file.len();
            self.waiting.push_back(Arc::new(Waiting {
                key: log.key(random()),
                log: log.without_text(),
                file,
            }));
        }
        while self.waiting_bytes > MAX_WAITING
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.waiting_bytes -= oldest.file.len();
            self.lose(&oldest, now);
        }
    }

    /// Where among those that wait a file is.
    fn place_of(&self, file: &Arc<Waiting>) -> Option<usize> {
        self.waiting.iter().position(|it| Arc::ptr_eq(it, file))
    }

    fn note(&mut self, bucket: &str, why: &'static str) {
        if self.troubles.len() < MAX_TROUBLES || self.troubles.contains_key(bucket) {
            self.troubles.insert(bucket.to_owned(), why);
        }
    }

    /// What is wrong with buckets: of one, and with how many more something is.
    fn trouble(&self) -> Option<String> {
        let (bucket, why) = self.troubles.first_key_value()?;
        let more = match self.troubles.len() {
            1 => String::new(),
            all => format!(" (and {} more buckets)", all - 1),
        };
        Some(format!("bucket {bucket}: {why}{more}"))
    }

    /// A file is done with: delivered, or refused for that reason. One that went meanwhile is
    /// counted already.
    fn settle(&mut self, file: &Arc<Waiting>, refusal: Option<&'static str>, now: Now) {
        let Some(place) = self.place_of(file) else {
            return;
        };
        self.waiting.remove(place);
        self.waiting_bytes -= file.file.len();
        let bucket = &file.log.place.bucket;
        match refusal {
            None => {
                self.delivered += 1;
                self.troubles.remove(bucket);
            }
            Some(why) => {
                self.note(bucket, why);
                tracing::warn!(bucket, why, "a flow log is lost");
                self.lose(file, now);
            }
        }
    }

    fn lose(&mut self, file: &Waiting, now: Now) {
        self.lost += self.book.lose(&file.log, now);
    }
}

/// Whose a record is.
fn owner(record: &FlowRecord) -> Owner {
    (record.flow.to.ip(), record.target.owner)
}

/// When the window began that ended then.
fn start_of(record: &FlowRecord, end: Timestamp) -> Timestamp {
    let milliseconds = u64::try_from(record.window.as_millis()).unwrap_or(u64::MAX);
    Timestamp(end.0.saturating_sub(milliseconds))
}

/// The records of a window: one a direction.
fn lines_of(record: &FlowRecord, region: Region, end: Timestamp) -> [FlowLogRecord; 2] {
    let line = |direction, Moved { packets, bytes }| FlowLogRecord {
        client: record.flow.from,
        accelerator: record.flow.to,
        endpoint: record.target.endpoint,
        protocol: protocol_of(record.flow.protocol),
        packets,
        bytes,
        start: start_of(record, end),
        end,
        source: record.source,
        preserves_client: record.target.proxy_header,
        region,
        direction,
    };
    [
        line(Direction::Ingress, record.to_endpoint),
        line(Direction::Egress, record.to_client),
    ]
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use runtime::{FlowKey, FlowProtocol, Target};
    use types::AccountId;

    fn now(seconds: u64) -> Now {
        Now {
            wall: Timestamp(1_600_000_000_000 + seconds * 1000),
            monotonic: Monotonic(seconds * 1_000_000),
        }
    }

    fn record() -> FlowRecord {
        FlowRecord {
            flow: FlowKey {
                to: "127.80.0.1:443".parse().unwrap(),
                from: "127.64.1.9:40000".parse().unwrap(),
                protocol: FlowProtocol::Udp,
            },
            target: Target {
                endpoint: "127.1.1.1:8443".parse().unwrap(),
                delay: None,
                proxy_header: false,
                token: 0,
                owner: owner_of(&accelerator(1)),
            },
            source: None,
            window: Duration::from_secs(60),
            to_endpoint: Moved {
                packets: 1,
                bytes: 10,
            },
            to_client: Moved {
                packets: 2,
                bytes: 20,
            },
        }
    }

    fn files() -> Files {
        Files {
            book: FlowLogBook::new("edge-1".parse().unwrap(), Span::seconds(300)),
            places: BTreeMap::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            written: 0,
            delivered: 0,
            lost: 0,
            troubles: BTreeMap::new(),
        }
    }

    fn region() -> Region {
        "us-east-1".parse().unwrap()
    }

    fn accelerator(number: u8) -> AcceleratorId {
        AcceleratorId(format!("0000000{number}-1111-2222-3333-444444444444"))
    }

    fn place_of(accelerator: AcceleratorId, bucket: &str) -> Arc<FlowLogPlace> {
        Arc::new(FlowLogPlace {
            account: AccountId::LAB,
            accelerator,
            bucket: bucket.to_owned(),
            prefix: "p".to_owned(),
        })
    }

    #[test]
    fn records_go_to_whose_flow_it_was_and_never_to_who_has_its_address_next() {
        let mut files = files();
        let address = record().flow.to.ip();
        let places = [1, 2].map(|n| place_of(accelerator(n), &format!("logs-{n}")));
        let see = |files: &mut Files, number: usize, seconds| {
            let seen = std::iter::once((address, &places[number - 1]));
            files.look_at(seen, now(seconds).monotonic);
        };
        see(&mut files, 2, 99);
        files.add(&record(), region(), now(99).wall, now(99));
        assert_eq!(files.written, 0, "the first was never logged");
        see(&mut files, 1, 100);
        files.add(&record(), region(), now(100).wall, now(100));
        assert_eq!(files.written, 2);
        // Another has the address by now; the first one's last windows come within a moment.
        see(&mut files, 2, 109);
        files.add(&record(), region(), now(109).wall, now(109));
        assert_eq!(files.written, 4);
        see(&mut files, 2, 110);
        files.add(&record(), region(), now(110).wall, now(110));
        assert_eq!(files.written, 4, "its last words are over");
        let closed = files.book.all(now(111));
        let buckets: Vec<_> = closed.iter().map(|log| log.place.bucket.as_str()).collect();
        assert_eq!(buckets, ["logs-1"]);
        assert!(files.book.is_empty());
    }

    #[test]
    fn a_window_is_never_longer_than_the_time_between_files() {
        let window = |interval| options(interval).limits.window;
        assert_eq!(window(None), Duration::from_secs(60));
        assert_eq!(window(Some(90_000)), Duration::from_secs(60));
        assert_eq!(window(Some(2_000)), Duration::from_secs(2));
    }

    #[test]
    fn a_window_is_a_record_a_direction() {
        let end = now(100).wall;
        let [ingress, egress] = lines_of(&record(), region(), end);
        assert_eq!((ingress.start, ingress.end), (now(40).wall, end));
        assert_eq!((ingress.packets, ingress.bytes), (1, 10));
        assert_eq!((egress.packets, egress.bytes), (2, 20));
        assert_eq!(ingress.direction, Direction::Ingress);
        assert_eq!(egress.direction, Direction::Egress);
    }

    #[test]
    fn what_is_recorded_faster_than_it_is_written_down_is_skipped_and_counted() {
        let mut pending = Pending::default();
        for _ in 0..MAX_PENDING + 3 {
            pending.add(&record(), region(), now(100).wall);
        }
        pending.add(&record(), region(), now(130).wall);
        assert_eq!(pending.records.len(), MAX_PENDING);
        let skipped: Vec<_> = pending.skipped.into_values().collect();
        assert_eq!(skipped, [(8, now(40).wall, now(130).wall)]);
    }

    #[test]
    fn with_no_region_for_long_the_oldest_files_are_lost_and_counted() {
        let mut files = files();
        let place = place_of(accelerator(1), "logs");
        let lines = lines_of(&record(), region(), now(60).wall);
        let mut added = 0;
        for hour in 0..30 {
            let now = now(hour * 3600);
            for _ in 0..4000 {
                assert!(files.book.add(&place, &lines, now));
                added += 2;
            }
            let due = files.book.due(now);
            files.close(due, now, || hour);
            assert!(files.waiting_bytes <= MAX_WAITING);
        }
        // What came after the last full file is in one that is still open.
        let due = files.book.due(now(31 * 3600));
        files.close(due, now(31 * 3600), || 30);
        let held: u64 = files.waiting.iter().map(|file| file.log.records()).sum();
        assert!(files.lost > 0 && held > 0);
        assert_eq!(files.lost + held, added);
        let oldest = files.waiting.front().unwrap().key.clone();
        assert!(oldest.ends_with(".log.gz") && !oldest.contains("/2020/09/13/"));

        // What is delivered is out of the way, and counted once.
        let first = files.waiting.front().cloned().unwrap();
        let lost = files.lost;
        files.settle(&first, None, now(200_000));
        files.settle(&first, None, now(200_000));
        assert_eq!((files.delivered, files.lost), (1, lost));
        // What a bucket refuses is lost, and said to be.
        let second = files.waiting.front().cloned().unwrap();
        files.settle(&second, Some("there is no such bucket"), now(200_000));
        assert_eq!(files.lost, lost + second.log.records());
        let trouble = files.trouble().unwrap();
        assert_eq!(trouble, "bucket logs: there is no such bucket");
        let due = files.book.due(now(210_000));
        files.close(due, now(210_000), || 0);
        let last = files.waiting.back().unwrap();
        let text = String::from_utf8_lossy(&last.file);
        assert!(text.contains(" - SKIPDATA - "), "{text}");
    }
}
