//! The driver under virtual time: three sites, one thread, an engine of maps.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Bound;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use council::{
    Change, CouncilConfig, CouncilDriver, CouncilError, Expected, KEPT_PLACES, MAX_PENDING, Timing,
};
use store::{
    Batch, CommitError, Direction, Engine, Entry, KeyRange, LogPosition, Page, ReadError, Snapshot,
    Space, Write,
};
use types::{
    Deployment, Environment, Monotonic, Now, Region, Site, SiteId, SiteName, Sleep, Span, Timestamp,
};

#[derive(Clone, Default)]
struct Maps {
    council: Arc<Mutex<BTreeMap<Bytes, Bytes>>>,
    failing: Arc<Mutex<Option<CommitError>>>,
}

struct View(BTreeMap<Bytes, Bytes>);

impl Engine for Maps {
    type Snapshot = View;

    fn snapshot(&self) -> View {
        View(self.council.lock().expect("no panic").clone())
    }

    fn commit(
        &self,
        batch: Batch,
    ) -> impl Future<Output = Result<LogPosition, CommitError>> + Send + 'static {
        let failing = self.failing.lock().expect("no panic").clone();
        if failing.is_none() {
            let mut council = self.council.lock().expect("no panic");
            for write in batch.writes {
                match write {
                    Write::Put { key, value, .. } => drop(council.insert(key, value)),
                    Write::Delete { key, .. } => drop(council.remove(&key)),
                }
            }
        }
        std::future::ready(failing.map_or(Ok(LogPosition(0)), Err))
    }

    fn log_head(&self) -> LogPosition {
        LogPosition(0)
    }

    fn log_grown(&self, _: LogPosition) -> impl Future<Output = LogPosition> + Send + 'static {
        std::future::pending()
    }
}

impl Snapshot for View {
    async fn get(&self, _: Space, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        Ok(self.0.get(key).cloned())
    }

    async fn scan(
        &self,
        _: Space,
        range: KeyRange,
        _: Direction,
        limit: usize,
    ) -> Result<Page, ReadError> {
        let bounds: (Bound<Bytes>, Bound<Bytes>) = (range.start, range.end);
        let mut found = self.0.range(bounds).map(|(key, value)| Entry {
            key: key.clone(),
            value: value.clone(),
        });
        let entries = found.by_ref().take(limit).collect();
        let more = found.next().is_some();
        Ok(Page { entries, more })
    }
}

/// Virtual time: it moves only when every task waits.
#[derive(Default)]
struct Clock {
    now: AtomicU64,
    sleepers: Mutex<BTreeMap<(u64, u64), Waker>>,
    next: AtomicU64,
}

struct ClockSleep(Arc<Clock>, u64, u64);

impl Future for ClockSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0.now.load(Ordering::Relaxed) >= self.1 {
            return Poll::Ready(());
        }
        let mut sleepers = self.0.sleepers.lock().expect("no panic");
        sleepers.insert((self.1, self.2), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for ClockSleep {
    fn drop(&mut self) {
        self.0
            .sleepers
            .lock()
            .expect("no panic")
            .remove(&(self.1, self.2));
    }
}

struct World(Arc<Clock>);

impl Environment for World {
    fn now(&self) -> Now {
        Now {
            wall: Timestamp(0),
            monotonic: Monotonic(self.0.now.load(Ordering::Relaxed)),
        }
    }

    fn sleep_until(&self, at: Monotonic) -> Sleep {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        Box::pin(ClockSleep(self.0.clone(), at.0, number))
    }

    fn random(&self) -> u64 {
        0
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    flag: Arc<Flag>,
    polls: u64,
}

struct Executor {
    clock: Arc<Clock>,
    tasks: Vec<Task>,
}

impl Executor {
    fn spawn(&mut self, future: impl Future<Output = ()> + 'static) {
        self.tasks.push(Task {
            future: Box::pin(future),
            flag: Arc::new(Flag(AtomicBool::new(true))),
            polls: 0,
        });
    }

    fn run(&mut self, span: Span) {
        let end = self.clock.now.load(Ordering::Relaxed) + span.0;
        loop {
            while self.poll_woken() {}
            let mut sleepers = self.clock.sleepers.lock().expect("no panic");
            let Some(at) = sleepers
                .first_key_value()
                .map(|(key, _)| key.0)
                .filter(|at| *at <= end)
            else {
                break;
            };
            self.clock.now.store(at, Ordering::Relaxed);
            let later = sleepers.split_off(&(at + 1, 0));
            let due = std::mem::replace(&mut *sleepers, later);
            drop(sleepers);
            due.into_values().for_each(Waker::wake);
        }
        self.clock.now.store(end, Ordering::Relaxed);
    }

    fn poll_woken(&mut self) -> bool {
        let mut any = false;
        let mut at = 0;
        while at < self.tasks.len() {
            let task = &mut self.tasks[at];
            if task.flag.0.swap(false, Ordering::Relaxed) {
                any = true;
                task.polls += 1;
                let waker = Waker::from(task.flag.clone());
                let mut context = Context::from_waker(&waker);
                if task.future.as_mut().poll(&mut context).is_ready() {
                    drop(self.tasks.remove(at));
                    continue;
                }
            }
            at += 1;
        }
        any
    }

    /// Runs a future to its end and returns what it gave.
    fn finish<T: 'static>(&mut self, future: impl Future<Output = T> + 'static) -> T {
        let slot = Arc::new(Mutex::new(None));
        let filled = slot.clone();
        self.spawn(async move { *filled.lock().expect("no panic") = Some(future.await) });
        for _ in 0..200 {
            self.run(Span::milliseconds(100));
            if let Some(value) = slot.lock().expect("no panic").take() {
                return value;
            }
        }
        panic!("it never ended");
    }
}

type Drivers = Arc<Mutex<BTreeMap<SiteId, Arc<CouncilDriver<Maps>>>>>;

struct Lab {
    executor: Executor,
    drivers: Drivers,
    engines: Vec<Maps>,
    stopped: Arc<Mutex<Vec<CouncilError>>>,
}

fn lab(regions: usize) -> Lab {
    let sites = Region::all()
        .take(regions)
        .zip(1..)
        .map(|(place, id)| Site {
            id: SiteId(id),
            name: SiteName::Region(place),
            place,
        })
        .collect();
    let deployment = Deployment { sites };
    let clock = Arc::new(Clock::default());
    let mut executor = Executor {
        clock: clock.clone(),
        tasks: Vec::new(),
    };
    let drivers = Drivers::default();
    let stopped = Arc::new(Mutex::new(Vec::new()));
    let mut engines = Vec::new();
    for site in &deployment.sites {
        let config = CouncilConfig {
            site: site.id,
            deployment: deployment.clone(),
            timing: Timing::for_round_trip(Span::ZERO),
        };
        let engine = Maps::default();
        engines.push(engine.clone());
        let environment = Arc::new(World(clock.clone()));
        let driver = executor
            .finish(CouncilDriver::open(engine, config, environment))
            .expect("a seat");
        drivers
            .lock()
            .expect("no panic")
            .insert(site.id, driver.clone());
        let (from, peers, stopped) = (site.id, drivers.clone(), stopped.clone());
        executor.spawn(async move {
            let outgoing = move |to: SiteId, bytes: Bytes| {
                let peer = peers.lock().expect("no panic").get(&to).cloned();
                if let Some(peer) = peer {
                    peer.receive(from, bytes);
                }
            };
            let error = driver
                .run(outgoing)
                .await
                .expect_err("it runs until it fails");
            stopped.lock().expect("no panic").push(error);
        });
    }
    Lab {
        executor,
        drivers,
        engines,
        stopped,
    }
}

impl Lab {
    fn driver(&self, site: u16) -> Arc<CouncilDriver<Maps>> {
        self.drivers.lock().expect("no panic")[&SiteId(site)].clone()
    }

    fn propose(&mut self, site: u16, change: Change) -> Result<u64, CouncilError> {
        let driver = self.driver(site);
        self.executor
            .finish(async move { driver.propose(change).await })
    }

    /// A site that has elected who leads, and is told of it by another.
    fn follower(&mut self) -> u16 {
        self.executor.run(Span::seconds(3));
        let leader = self.driver(1).status().leader.expect("a leader");
        leader.0 % 3 + 1
    }

    /// Has nobody hear that site, and it nobody.
    fn cut_off(&mut self, site: u16) -> BTreeMap<SiteId, Arc<CouncilDriver<Maps>>> {
        let mut drivers = self.drivers.lock().expect("no panic");
        let all = drivers.clone();
        drivers.retain(|id, _| *id == SiteId(site));
        all
    }

    /// Starts that many futures at once, and gives where their results come to stand.
    fn start<T: 'static, F: Future<Output = T> + 'static>(
        &mut self,
        count: usize,
        future: impl Fn(usize) -> F,
    ) -> Arc<Mutex<Vec<T>>> {
        let results = Arc::new(Mutex::new(Vec::new()));
        for number in 0..count {
            let (future, results) = (future(number), results.clone());
            self.executor.spawn(async move {
                let result = future.await;
                results.lock().expect("no panic").push(result);
            });
        }
        results
    }
}

#[test]
fn a_change_proposed_anywhere_is_seen_everywhere() {
    let mut lab = lab(3);
    lab.executor.run(Span::seconds(3));
    for site in 1..=3 {
        let key = format!("test/{site}");
        let put = Change::new().put(key.clone(), Expected::Absent, "x");
        let revision = lab.propose(site, put.clone()).expect("decided");
        let here = lab.driver(site).settings();
        assert_eq!(
            here.get(&key).map(|setting| setting.revision),
            Some(revision)
        );
        let watcher = lab.driver(site % 3 + 1);
        let seen = lab
            .executor
            .finish(async move { watcher.settings_after(revision - 1).await });
        assert!(seen.get(&key).is_some());
        assert!(matches!(
            lab.propose(site, put),
            Err(CouncilError::Refused(_))
        ));
    }
}

#[test]
fn an_idle_site_wakes_no_more_than_twenty_times_a_second() {
    let mut lab = lab(3);
    lab.executor.run(Span::seconds(10));
    let before: Vec<u64> = lab.executor.tasks.iter().map(|task| task.polls).collect();
    lab.executor.run(Span::seconds(60));
    for (task, before) in lab.executor.tasks.iter().zip(before) {
        let wakes = (task.polls - before) / 60;
        assert!(wakes <= 20, "{wakes} wake-ups a second");
    }
}

#[test]
fn a_failed_engine_stops_the_council_and_tells_who_waits() {
    let mut lab = lab(1);
    lab.executor.run(Span::seconds(3));
    let failed = CommitError::Failed("broken".to_owned());
    *lab.engines[0].failing.lock().expect("no panic") = Some(failed.clone());
    let put = || Change::new().put("test/x", Expected::Any, "x");
    assert_eq!(lab.propose(1, put()), Err(CouncilError::Stopped));
    assert_eq!(lab.propose(1, put()), Err(CouncilError::Stopped));
    assert_eq!(
        *lab.stopped.lock().expect("no panic"),
        vec![CouncilError::Commit(failed)]
    );
}

#[test]
fn a_full_disk_is_waited_out() {
    let mut lab = lab(1);
    lab.executor.run(Span::seconds(3));
    *lab.engines[0].failing.lock().expect("no panic") = Some(CommitError::DiskFull);
    let driver = lab.driver(1);
    let result = Arc::new(Mutex::new(None));
    let slot = result.clone();
    lab.executor.spawn(async move {
        let put = Change::new().put("test/x", Expected::Any, "x");
        *slot.lock().expect("no panic") = Some(driver.propose(put).await);
    });
    lab.executor.run(Span::seconds(2));
    assert_eq!(*result.lock().expect("no panic"), None);
    *lab.engines[0].failing.lock().expect("no panic") = None;
    lab.executor.run(Span::seconds(3));
    assert!(matches!(*result.lock().expect("no panic"), Some(Ok(_))));
}

#[test]
fn without_a_majority_a_change_is_refused_at_once() {
    let mut lab = lab(3);
    lab.executor.run(Span::seconds(3));
    lab.drivers
        .lock()
        .expect("no panic")
        .retain(|site, _| *site == SiteId(1));
    lab.executor.run(Span::seconds(20));
    let put = Change::new().put("test/x", Expected::Any, "x");
    assert_eq!(lab.propose(1, put), Err(CouncilError::NoMajority));
    assert!(!lab.driver(1).status().majority);
}

#[test]
fn whoever_asks_has_what_was_decided_before() {
    let mut lab = lab(3);
    let follower = lab.follower();
    let here = lab.driver(follower);
    let leader = here.status().leader.expect("a leader").0;
    let deaf = lab
        .drivers
        .lock()
        .expect("no panic")
        .remove(&SiteId(follower));
    let put = Change::new().put("test/x", Expected::Absent, "x");
    lab.propose(leader, put).expect("two of three decide");
    let ask = |_| {
        let here = here.clone();
        async move {
            here.catch_up().await.expect("a majority");
            here.settings().get("test/x").is_some()
        }
    };
    let asked = lab.start(1, ask);
    lab.executor.run(Span::milliseconds(10));
    assert!(here.settings().get("test/x").is_none());
    assert!(asked.lock().expect("no panic").is_empty());
    let mut drivers = lab.drivers.lock().expect("no panic");
    drivers.extend(deaf.map(|driver| (SiteId(follower), driver)));
    drop(drivers);
    lab.executor.run(Span::seconds(3));
    assert_eq!(*asked.lock().expect("no panic"), [true]);
}

#[test]
fn whoever_asks_at_once_is_answered_by_two_questions_that_change_nothing() {
    let mut lab = lab(3);
    let follower = lab.follower();
    let before = lab.driver(follower).status();
    let here = lab.driver(follower);
    let ask = |_| {
        let here = here.clone();
        async move { here.catch_up().await }
    };
    let all = lab.cut_off(follower);
    // Its question is on its way, so it can't answer those who come later.
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(lab.start(10, ask));
        lab.executor.run(Span::milliseconds(1));
    }
    *lab.drivers.lock().expect("no panic") = all;
    lab.executor.run(Span::seconds(3));
    let answers: Vec<_> = answers
        .iter()
        .flat_map(|some| some.lock().expect("no panic").clone())
        .collect();
    assert_eq!(answers, vec![Ok(()); 200]);
    let after = lab.driver(follower).status();
    assert_eq!(after.applied - before.applied, 2);
    assert_eq!(after.revision, before.revision);
}

#[test]
fn whoever_asks_without_a_majority_is_told_so_at_once() {
    let mut lab = lab(3);
    let follower = lab.follower();
    let here = lab.driver(follower);
    let ask = |_| {
        let here = here.clone();
        async move { here.catch_up().await }
    };
    drop(lab.cut_off(follower));
    let first = lab.start(1, ask);
    lab.executor.run(Span::milliseconds(10));
    while here.status().majority {
        assert!(first.lock().expect("no panic").is_empty());
        lab.executor.run(Span::milliseconds(10));
    }
    // Another's question is under way still.
    assert!(first.lock().expect("no panic").is_empty());
    let later = lab.start(9, ask);
    lab.executor.run(Span::ZERO);
    let alone = vec![Err(CouncilError::NoMajority); 9];
    assert_eq!(*later.lock().expect("no panic"), alone);
}

#[test]
fn a_flood_of_changes_leaves_places_for_what_must_not_wait() {
    let mut lab = lab(3);
    let follower = lab.follower();
    let here = lab.driver(follower);
    let put = |number: usize| Change::new().put(format!("test/{number}"), Expected::Any, "x");
    let propose = |number| {
        let here = here.clone();
        async move { here.propose(put(number)).await }
    };
    let propose_first = |number| {
        let here = here.clone();
        async move { here.propose_first(put(number)).await }
    };
    let all = lab.cut_off(follower);
    let refused = |results: &Arc<Mutex<Vec<Result<u64, CouncilError>>>>| {
        let results = results.lock().expect("no panic");
        let many = |it: &&Result<u64, _>| **it == Err(CouncilError::TooManyProposals);
        assert!(results.iter().all(|it| many(&it)), "nothing is decided");
        results.len()
    };
    // As many as come before the council looks, and then some more.
    let flood = lab.start(2 * MAX_PENDING, propose);
    let first = lab.start(1, propose_first);
    lab.executor.run(Span::milliseconds(10));
    assert_eq!(refused(&flood), MAX_PENDING + KEPT_PLACES);
    let more = lab.start(9, propose);
    let others = lab.start(KEPT_PLACES, propose_first);
    lab.executor.run(Span::milliseconds(10));
    assert_eq!(
        [&more, &first, &others].map(refused),
        [9, 0, 1],
        "one was taken before"
    );
    *lab.drivers.lock().expect("no panic") = all;
    lab.executor.run(Span::seconds(3));
    assert!(first.lock().expect("no panic")[0].is_ok());
    let others = others.lock().expect("no panic");
    let made = others.iter().filter(|it| it.is_ok()).count();
    assert_eq!(made, KEPT_PLACES - 1);
}
