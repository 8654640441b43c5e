//! Flow logs of accelerators at an edge: what its flows' threads record is gathered in files, which
//! are handed to a Region that writes them into their bucket. An edge has no bucket, and waits for
//! nobody but with bounded memory: what can't be kept is counted, and said in the next file. Lines
//! are lost with the process.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use accelerator::flow_log::{ClosedLog, Direction, FlowLogBook, FlowLogRecord};
use bytes::Bytes;
use runtime::{FlowLimits, FlowOptions, FlowRecord, Moved, SystemEnvironment};
use serde_json::{Value, json};
use steering::{LogOutcome, LogRequest, LogWanted, MAX_LOG_FILE, Steering};
use store::EmbeddedEngine;
use types::{Environment, Now, Region, SiteName, Span, Timestamp};

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
    /// What there was no room for, by the static address: records, from when to when.
    skipped: BTreeMap<IpAddr, (u64, Timestamp, Timestamp)>,
}

/// What is gathered, and what has become of it.
struct Files {
    book: FlowLogBook,
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
        files.book.forget(|place| {
            let mut logged = snapshot.logged_addresses();
            logged.any(|it| {
                snapshot
                    .flow_log_at(it)
                    .is_some_and(|known| **known == *place)
            })
        });
        files.close(now, || self.environment.random());
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
        for (record, region, end) in &records {
            // Of an accelerator that is gone, or isn't logged any more, nothing is told.
            if let Some(place) = snapshot.flow_log_at(record.flow.to.ip()) {
                let lines = lines_of(record, *region, *end);
                match files.book.add(place, &lines, now) {
                    true => files.written += lines.len() as u64,
                    false => files.lost += lines.len() as u64,
                }
            }
        }
        for (address, (count, from, to)) in skipped {
            if let Some(place) = snapshot.flow_log_at(address) {
                files.lost += count;
                files.book.skip(place, count, (from, to), now);
            }
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

    /// What a status and `causeway flows` say of them.
    pub(super) fn counts(&self) -> Value {
        let files = lock(&self.files);
        json!({
            "records": files.written,
            "delivered_files": files.delivered,
            "waiting_files": files.waiting.len(),
            "waiting_bytes": files.waiting_bytes,
            "lost_records": files.lost,
            "trouble": files.trouble(),
        })
    }

    /// What is wrong with them, if anything is.
    pub(super) fn trouble(&self) -> Option<String> {
        let files = lock(&self.files);
        let (lost, waiting) = (files.lost, files.waiting.len());
        let why = files.trouble()?;
        Some(format!(
            "flow logs of accelerators: {lost} records are lost, {waiting} files wait: {why}"
        ))
    }

    /// Their figures as Prometheus reads them.
    pub(super) fn metrics(&self) -> String {
        let files = lock(&self.files);
        let families = [
            (
                "causeway_accelerator_flow_log_records_total",
                "counter",
                "Records of flow logs that were written down.",
                files.written,
            ),
            (
                "causeway_accelerator_flow_log_lost_records_total",
                "counter",
                "Records of flow logs that were lost.",
                files.lost,
            ),
            (
                "causeway_accelerator_flow_log_files_total",
                "counter",
                "Files of flow logs that a Region has written.",
                files.delivered,
            ),
            (
                "causeway_accelerator_flow_log_waiting_bytes",
                "gauge",
                "Bytes of files of flow logs that wait for a Region.",
                files.waiting_bytes as u64,
            ),
        ];
        let edge = self.edge;
        let lines = families.map(|(name, kind, help, value)| {
            format!(
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{{edge=\"{edge}\"}} {value}\n"
            )
        });
        lines.concat()
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
        // There are no more addresses than accelerators have.
        let skipped = self.skipped.entry(record.flow.to.ip());
        let (records, from, to) = skipped.or_insert((0, start, end));
        *records += count;
        (*from, *to) = ((*from).min(start), (*to).max(end));
    }
}

impl Files {
    /// Closes the files that are due; of what waits then, the oldest go while it is too much.
    fn close(&mut self, now: Now, mut random: impl FnMut() -> u64) {
        for log in self.book.due(now) {
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
    use accelerator::flow_log::FlowLogPlace;
    use accelerator::model::AcceleratorId;
    use runtime::{FlowKey, FlowProtocol, Target};
    use types::{AccountId, Monotonic};

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
        let place = Arc::new(FlowLogPlace {
            account: AccountId::LAB,
            accelerator: AcceleratorId("a".to_owned()),
            bucket: "logs".to_owned(),
            prefix: "p".to_owned(),
        });
        let lines = lines_of(&record(), region(), now(60).wall);
        let mut added = 0;
        for hour in 0..30 {
            let now = now(hour * 3600);
            for _ in 0..4000 {
                assert!(files.book.add(&place, &lines, now));
                added += 2;
            }
            files.close(now, || hour);
            assert!(files.waiting_bytes <= MAX_WAITING);
        }
        // What came after the last full file is in one that is still open.
        files.close(now(31 * 3600), || 30);
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
        files.close(now(210_000), || 0);
        let last = files.waiting.back().unwrap();
        let text = String::from_utf8_lossy(&last.file);
        assert!(text.contains(" - SKIPDATA - "), "{text}");
    }
}
