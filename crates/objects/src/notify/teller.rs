//! Delivery: every target's queue is told in order, one message at a time, at least once. A target
//! that doesn't take one is tried again, ever more rarely; what is too old, or refused too often,
//! is given up: said by name in the log, and counted. One target never holds up another.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use store::{Batch, Direction, Engine, Entry, KeyRange, Snapshot, Space};
use types::{Environment, Hlc, Monotonic, Span, Version};

use super::queue::{self, Told};
use super::record::test_message;
use super::{NotificationConfiguration, Origin, PostError, TargetArn, Webhooks};
use crate::{Bucket, ObjectError, Objects, Stamp};

/// Records in a message at most.
const MOST_RECORDS: usize = 100;

/// Bytes after which a message is full; one record more may follow.
const FULL: usize = 256 * 1024;

/// How often to look for new events.
const REST: Span = Span::milliseconds(200);

/// How often to read a queue from its beginning. In between it is read from shortly before what
/// was told last: rows that were told are gone, but passing their places costs time.
const WHOLE: Span = Span::seconds(60);

/// How much later than an event of greater stamp another may be committed and still be found
/// without reading the whole queue, in milliseconds.
const LATE: u64 = 10_000;

/// The first wait after a message wasn't taken; it doubles each time.
const FIRST_WAIT: Span = Span::seconds(1);

/// Doublings of the wait at most: 64 s.
const MOST_DOUBLINGS: u32 = 6;

/// How old an event becomes before it is given up, in milliseconds: a day.
const OLDEST: u64 = 24 * 60 * 60 * 1000;

/// How often a target may answer an event alone with a status that refuses it.
const MOST_REFUSALS: u32 = 20;

/// What came of the events for one target since the Region started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EventFigures {
    /// Events that it took.
    pub told: u64,
    /// Events that were given up.
    pub lost: u64,
    /// Attempts in a row that failed.
    pub failing: u32,
}

/// Tells the events of a Region.
pub struct EventTeller<E: Engine> {
    engine: E,
    environment: Arc<dyn Environment>,
    webhooks: Arc<dyn Webhooks>,
    figures: Mutex<BTreeMap<TargetArn, EventFigures>>,
}

/// Where a target's queue stands.
struct Queue {
    /// Where to read from.
    from: Bytes,
    /// When to read the whole of it.
    whole_at: Monotonic,
    /// When to look at it.
    due: Monotonic,
    /// Attempts in a row that failed.
    attempts: u32,
    /// Is it being told?
    busy: bool,
}

/// What came of one attempt.
enum Outcome {
    /// There was nothing to tell.
    Nothing,
    /// Told, up to that event.
    Told(Stamp),
    /// Given up, up to that event.
    Lost(Stamp),
    /// Not taken, or the Region's own storage failed.
    Failed,
}

/// A part of a queue that is told in one message.
struct Message {
    rows: Vec<Bytes>,
    body: Bytes,
    last: Stamp,
}

impl<E: Engine> EventTeller<E> {
    /// A teller of the events of that Region.
    pub fn new(objects: &Objects<E>) -> EventTeller<E> {
        let config = objects.config();
        EventTeller::over(
            objects.engine.clone(),
            config.environment.clone(),
            config.webhooks.clone(),
        )
    }

    fn over(
        engine: E,
        environment: Arc<dyn Environment>,
        webhooks: Arc<dyn Webhooks>,
    ) -> EventTeller<E> {
        EventTeller {
            engine,
            environment,
            webhooks,
            figures: Mutex::default(),
        }
    }

    /// What came of the events, by target.
    pub fn figures(&self) -> BTreeMap<TargetArn, EventFigures> {
        let figures = self.figures.lock().expect("counting does not panic");
        figures.clone()
    }

    /// Tells events for as long as it is polled.
    pub async fn run(&self) {
        let mut queues: BTreeMap<TargetArn, Queue> = BTreeMap::new();
        let mut attempts: FuturesUnordered<BoxFuture<'_, (TargetArn, Outcome)>> =
            FuturesUnordered::new();
        loop {
            if let Err(error) = self.discover(&mut queues).await {
                tracing::error!(%error, "events can't be read");
            }
            let now = self.environment.now().monotonic;
            for (target, queue) in &mut queues {
                if queue.busy || queue.due > now {
                    continue;
                }
                queue.busy = true;
                if queue.whole_at <= now {
                    queue.whole_at = now + WHOLE;
                    queue.from = queue::of_target(target).freeze();
                }
                let (target, from, tried) = (target.clone(), queue.from.clone(), queue.attempts);
                attempts.push(Box::pin(async move {
                    let outcome = self.attempt(&target, from, tried).await;
                    (target, outcome)
                }));
            }
            let rest = self.environment.sleep_until(now + REST);
            if let Either::Left((Some((target, outcome)), _)) = select(attempts.next(), rest).await
                && let Some(queue) = queues.get_mut(&target)
            {
                self.note(&target, queue, &outcome);
            } else if attempts.is_empty() {
                // An empty set is done at once: the rest is to be waited for all the same.
                self.environment.sleep_until(now + REST).await;
            }
        }
    }

    /// Finds targets with events that aren't known yet, by looking between those that are.
    async fn discover(
        &self,
        queues: &mut BTreeMap<TargetArn, Queue>,
    ) -> Result<(), store::ReadError> {
        let snapshot = self.engine.snapshot();
        let end = KeyRange::prefix(&queue::all()).end;
        let mut start = Bound::Included(Bytes::copy_from_slice(&queue::all()));
        let known: Vec<TargetArn> = queues.keys().cloned().collect();
        for stop in known.iter().map(Some).chain([None]) {
            let gap_end = match stop {
                Some(target) => Bound::Excluded(queue::of_target(target).freeze()),
                None => end.clone(),
            };
            let mut gap = start.clone();
            while let Some(found) = first_target(&snapshot, gap, gap_end.clone()).await? {
                gap = after(&found);
                queues.insert(found.clone(), Queue::new(&found));
            }
            if let Some(target) = stop {
                start = after(target);
            }
        }
        Ok(())
    }

    /// Tells the next message of a queue.
    async fn attempt(&self, target: &TargetArn, from: Bytes, tried: u32) -> Outcome {
        let message = match self.next_message(target, from, tried).await {
            Ok(Some(message)) => message,
            Ok(None) => return Outcome::Nothing,
            Err(error) => {
                tracing::error!(%target, %error, "events can't be read");
                return Outcome::Failed;
            }
        };
        if !self.webhooks.allows(target) {
            return self
                .give_up(target, message, "the target is not allowed")
                .await;
        }
        match self.webhooks.post(target, message.body.clone()).await {
            Ok(()) => {
                let (told, last) = (message.rows.len() as u64, message.last);
                self.count(target, |figures| figures.told += told);
                match self.remove(message.rows).await {
                    true => Outcome::Told(last),
                    false => Outcome::Failed,
                }
            }
            Err(error) => {
                let age = self.environment.now().wall.0;
                let age = age.saturating_sub(message.last.last_modified().0);
                let refused = matches!(error, PostError::Refused(_)) && tried >= MOST_REFUSALS;
                if age > OLDEST || refused {
                    return self.give_up(target, message, &error.to_string()).await;
                }
                tracing::warn!(%target, %error, tried, "events were not taken");
                Outcome::Failed
            }
        }
    }

    /// The next message of a queue: many records of one that takes them, one of one that doesn't,
    /// so that what it can't take is found.
    async fn next_message(
        &self,
        target: &TargetArn,
        from: Bytes,
        tried: u32,
    ) -> Result<Option<Message>, store::ReadError> {
        let range = KeyRange {
            start: Bound::Included(from),
            end: KeyRange::prefix(&queue::of_target(target)).end,
        };
        let limit = match tried {
            0 => MOST_RECORDS,
            _ => 1,
        };
        let snapshot = self.engine.snapshot();
        let page = snapshot.scan(Space::Objects, range, Direction::Forward, limit);
        Ok(compose(page.await?.entries))
    }

    async fn give_up(&self, target: &TargetArn, message: Message, reason: &str) -> Outcome {
        let body = String::from_utf8_lossy(&message.body);
        let lost = message.rows.len() as u64;
        tracing::warn!(%target, reason, lost, %body, "events are given up");
        self.count(target, |figures| figures.lost += lost);
        match self.remove(message.rows).await {
            true => Outcome::Lost(message.last),
            false => Outcome::Failed,
        }
    }

    async fn remove(&self, rows: Vec<Bytes>) -> bool {
        let mut batch = Batch::new();
        for row in rows {
            batch.delete(Space::Objects, row);
        }
        let committed = self.engine.commit(batch).await;
        if let Err(error) = &committed {
            tracing::error!(%error, "events that were told can't be removed and are told again");
        }
        committed.is_ok()
    }

    fn note(&self, target: &TargetArn, queue: &mut Queue, outcome: &Outcome) {
        let now = self.environment.now();
        queue.busy = false;
        match outcome {
            Outcome::Nothing => queue.due = now.monotonic + REST,
            Outcome::Told(last) | Outcome::Lost(last) => {
                queue.attempts = 0;
                queue.due = now.monotonic;
                let late = Hlc(now.wall.0.saturating_sub(LATE) << 16);
                queue.from = from(
                    target,
                    last.version.min(Version {
                        time: late,
                        ..last.version
                    }),
                );
            }
            Outcome::Failed => {
                let doublings = queue.attempts.min(MOST_DOUBLINGS);
                queue.due = now.monotonic + Span(FIRST_WAIT.0 << doublings);
                queue.attempts = queue.attempts.saturating_add(1);
            }
        }
        let failing = queue.attempts;
        self.count(target, |figures| figures.failing = failing);
    }

    fn count(&self, target: &TargetArn, change: impl FnOnce(&mut EventFigures)) {
        let mut figures = self.figures.lock().expect("counting does not panic");
        change(figures.entry(target.clone()).or_default());
    }
}

impl Queue {
    fn new(target: &TargetArn) -> Queue {
        Queue {
            from: queue::of_target(target).freeze(),
            whole_at: Monotonic(0),
            due: Monotonic(0),
            attempts: 0,
            busy: false,
        }
    }
}

impl<E: Engine> Objects<E> {
    /// Sends the message with which S3 tries the targets of a configuration that was set: into
    /// the queue of each, as events go.
    ///
    /// # Errors
    ///
    /// When storage fails.
    pub async fn tell_test(
        &self,
        bucket: &Bucket,
        configuration: &NotificationConfiguration,
        origin: &Origin,
    ) -> Result<(), ObjectError> {
        let message = test_message(bucket, self.wall(), origin);
        let mut batch = Batch::new();
        for rule in &configuration.rules {
            queue::put_message(&mut batch, &rule.target, self.issue(None), &message);
        }
        if !batch.writes.is_empty() {
            self.engine.commit(batch).await?;
        }
        Ok(())
    }
}

/// The first target with events within those bounds.
async fn first_target<S: Snapshot>(
    snapshot: &S,
    start: Bound<Bytes>,
    end: Bound<Bytes>,
) -> Result<Option<TargetArn>, store::ReadError> {
    let range = KeyRange { start, end };
    let page = snapshot.scan(Space::Objects, range, Direction::Forward, 1);
    let Some(entry) = page.await?.entries.into_iter().next() else {
        return Ok(None);
    };
    match queue::split(&entry.key) {
        Some((target, _)) => Ok(Some(target)),
        None => Err(store::ReadError::Corrupt("the key of an event".to_owned())),
    }
}

/// Where what follows a target's queue begins.
fn after(target: &TargetArn) -> Bound<Bytes> {
    match KeyRange::prefix(&queue::of_target(target)).end {
        Bound::Excluded(end) => Bound::Included(end),
        other => other,
    }
}

/// The place of that version's events in a queue.
fn from(target: &TargetArn, version: Version) -> Bytes {
    let mut key = queue::of_target(target);
    key.extend_from_slice(&Stamp { version, random: 0 }.to_bytes());
    key.freeze()
}

/// The message that the first of these rows make. A row of a form that isn't known is an error of
/// a newer version's and is told as it is, for its target to judge.
fn compose(entries: Vec<Entry>) -> Option<Message> {
    let mut message = Message {
        rows: Vec::new(),
        body: Bytes::new(),
        last: queue::split(&entries.first()?.key)?.1,
    };
    let mut body = Vec::new();
    for entry in entries {
        let Some((_, stamp)) = queue::split(&entry.key) else {
            break;
        };
        let record = match queue::told(&entry.value) {
            Some(Told::Record(record)) => record,
            other if message.rows.is_empty() => {
                message.rows.push(entry.key);
                message.body = match other {
                    Some(Told::Message(whole)) => whole,
                    _ => entry.value,
                };
                return Some(message);
            }
            _ => break,
        };
        body.extend_from_slice(match message.rows.is_empty() {
            true => b"{\"Records\":[",
            false => b",",
        });
        body.extend_from_slice(&record);
        message.rows.push(entry.key);
        message.last = stamp;
        if body.len() >= FULL {
            break;
        }
    }
    body.extend_from_slice(b"]}");
    message.body = Bytes::from(body);
    (!message.rows.is_empty()).then_some(message)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::pin::pin;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::{Context, Waker};

    use futures_util::FutureExt;
    use store::MemoryEngine;
    use types::{Now, Sleep, Timestamp};

    use super::*;
    use crate::notify::queue::put_event;
    use crate::notify::queue::tests::{bucket, stamp};
    use crate::notify::tests::rule;
    use crate::notify::{EventKind, Happened, NotificationRule, Posting};

    /// A clock that is moved by who waits for it.
    #[derive(Default)]
    struct Clock(Arc<AtomicU64>);

    impl Environment for Clock {
        fn now(&self) -> Now {
            let microseconds = self.0.load(Ordering::Relaxed);
            Now {
                wall: Timestamp(stamp(0).last_modified().0 + microseconds / 1000),
                monotonic: Monotonic(microseconds),
            }
        }

        fn sleep_until(&self, at: Monotonic) -> Sleep {
            let clock = self.0.clone();
            let mut polled = false;
            Box::pin(std::future::poll_fn(move |_| {
                if std::mem::replace(&mut polled, true) {
                    clock.fetch_max(at.0, Ordering::Relaxed);
                    return std::task::Poll::Ready(());
                }
                std::task::Poll::Pending
            }))
        }

        fn random(&self) -> u64 {
            7
        }
    }

    /// Webhooks that take what they are told to, and keep what they took.
    #[derive(Default)]
    struct Hooks {
        answers: Mutex<BTreeMap<String, Vec<PostError>>>,
        took: Mutex<Vec<(String, String)>>,
        forbidden: Option<&'static str>,
    }

    impl Webhooks for Hooks {
        fn allows(&self, target: &TargetArn) -> bool {
            self.forbidden != Some(target.name())
        }

        fn post<'a>(&'a self, target: &'a TargetArn, body: Bytes) -> Posting<'a> {
            let mut answers = self.answers.lock().unwrap();
            let answers = answers.entry(target.name().to_owned()).or_default();
            let result = answers.pop().map_or(Ok(()), Err);
            if result.is_ok() {
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let records = body["Records"].as_array().cloned().unwrap_or_default();
                for record in records {
                    let key = record["s3"]["object"]["key"].as_str().unwrap().to_owned();
                    self.took
                        .lock()
                        .unwrap()
                        .push((target.name().to_owned(), key));
                }
            }
            Box::pin(std::future::ready(result))
        }
    }

    struct Lab {
        engine: MemoryEngine,
        clock: Arc<AtomicU64>,
        hooks: Arc<Hooks>,
        teller: EventTeller<MemoryEngine>,
    }

    impl Lab {
        fn new(hooks: Hooks) -> Lab {
            let engine = MemoryEngine::new();
            let clock = Clock::default();
            let (shared, hooks) = (clock.0.clone(), Arc::new(hooks));
            Lab {
                teller: EventTeller::over(engine.clone(), Arc::new(clock), hooks.clone()),
                engine,
                clock: shared,
                hooks,
            }
        }

        fn happen(&self, rules: &[NotificationRule], key: &str, time: u64) {
            let key = key.parse().unwrap();
            let mut batch = Batch::new();
            let happened = Happened {
                kind: EventKind::CreatedPut,
                key: &key,
                version: None,
                object: None,
                origin: None,
                stamp: stamp(time),
                replication: None,
            };
            put_event(&mut batch, &bucket(rules.to_vec()), &happened);
            let committed = self.engine.commit(batch).now_or_never().unwrap();
            committed.unwrap();
        }

        fn rows(&self) -> usize {
            let range = KeyRange::prefix(&queue::all());
            let snapshot = self.engine.snapshot();
            let page = snapshot.scan(Space::Objects, range, Direction::Forward, 1000);
            page.now_or_never().unwrap().unwrap().entries.len()
        }

        /// Tells until nothing is left, or the clock has moved by that many seconds.
        fn tell(&self, seconds: u64) {
            let end = self.clock.load(Ordering::Relaxed) + seconds * 1_000_000;
            let mut run = pin!(self.teller.run());
            let mut context = Context::from_waker(Waker::noop());
            while self.rows() > 0 && self.clock.load(Ordering::Relaxed) < end {
                assert!(run.as_mut().poll(&mut context).is_pending());
            }
        }

        fn took(&self, target: &str) -> Vec<String> {
            let took = self.hooks.took.lock().unwrap();
            let of_target = took.iter().filter(|(name, _)| name == target);
            of_target.map(|(_, key)| key.clone()).collect()
        }
    }

    fn rules() -> Vec<NotificationRule> {
        let mut logs = rule("logs", &["s3:ObjectCreated:*"], ("", ".log"));
        logs.target = "arn:aws:sns:us-east-1:111122223333:logs".parse().unwrap();
        vec![rule("orders", &["s3:ObjectCreated:*"], ("", ".txt")), logs]
    }

    #[test]
    fn events_are_told_in_order_and_once_a_target_takes_them_gone() {
        let lab = Lab::new(Hooks::default());
        let keys: Vec<String> = (0..250).map(|number| format!("{number}.txt")).collect();
        for (time, key) in (1..).zip(&keys) {
            lab.happen(&rules(), key, time);
        }
        lab.tell(1);
        assert_eq!(lab.took("orders"), keys);
        lab.happen(&rules(), "later.txt", 1000);
        // One whose stamp is a little older than what was told already.
        lab.happen(&rules(), "late.txt", 7);
        lab.tell(1);
        assert_eq!(lab.took("orders")[250..], ["late.txt", "later.txt"]);
        assert_eq!(lab.rows(), 0);
        let figures = lab.teller.figures();
        assert_eq!(figures.values().map(|one| one.told).sum::<u64>(), 252);
    }

    #[test]
    fn a_target_that_is_away_is_tried_again_and_holds_up_no_other() {
        let hooks = Hooks::default();
        let away = PostError::Unreachable("refused".to_owned());
        let answers = vec![away; 4];
        hooks
            .answers
            .lock()
            .unwrap()
            .insert("orders".to_owned(), answers);
        let lab = Lab::new(hooks);
        for time in 1..4 {
            lab.happen(&rules(), &format!("{time}.txt"), time);
            lab.happen(&rules(), &format!("{time}.log"), time);
        }
        lab.tell(2);
        assert_eq!(lab.took("logs"), ["1.log", "2.log", "3.log"]);
        assert_eq!(lab.took("orders"), [""; 0]);
        let failing = lab.teller.figures();
        assert!(failing.values().any(|figures| figures.failing > 0));
        lab.tell(60);
        assert_eq!(lab.took("orders"), ["1.txt", "2.txt", "3.txt"]);
    }

    #[test]
    fn what_is_refused_for_good_or_too_old_is_given_up_and_counted() {
        let hooks = Hooks::default();
        let answers = vec![PostError::Refused(400); MOST_REFUSALS as usize + 1];
        hooks
            .answers
            .lock()
            .unwrap()
            .insert("orders".to_owned(), answers);
        let lab = Lab::new(hooks);
        lab.happen(&rules(), "poison.txt", 1);
        lab.happen(&rules(), "good.txt", 2);
        lab.tell(30 * 60);
        assert_eq!(lab.took("orders"), ["good.txt"]);
        let figures = lab.teller.figures();
        let lost: Vec<u64> = figures.values().map(|figures| figures.lost).collect();
        assert_eq!(lost, [1]);

        let away = PostError::Unreachable("refused".to_owned());
        let answers = vec![away; 10_000];
        let answers = BTreeMap::from([("orders".to_owned(), answers)]);
        *lab.hooks.answers.lock().unwrap() = answers;
        lab.happen(&rules(), "old.txt", 3);
        lab.tell(60);
        assert_eq!(lab.rows(), 1);
        let almost_a_day = (24 * 60 - 2) * 60 * 1_000_000;
        lab.clock.fetch_max(almost_a_day, Ordering::Relaxed);
        lab.tell(10 * 60);
        assert_eq!(lab.rows(), 0);
        assert_eq!(lab.took("orders"), ["good.txt"]);
    }

    #[test]
    fn a_target_that_is_no_longer_allowed_is_told_nothing() {
        let lab = Lab::new(Hooks {
            forbidden: Some("orders"),
            ..Hooks::default()
        });
        lab.happen(&rules(), "a.txt", 1);
        lab.happen(&rules(), "a.log", 1);
        lab.tell(1);
        assert_eq!((lab.took("orders").len(), lab.took("logs").len()), (0, 1));
        assert_eq!(lab.rows(), 0);
    }
}
