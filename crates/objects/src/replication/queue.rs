//! The tasks for one destination site, as far as memory knows them: which may start, one of a key
//! at a time and in the order in which they were written. It reads and writes nothing: it says
//! which stretch of the outbox to read, and is told what was found there.
//!
//! When memory is full of tasks that wait, the latest of them are put off: forgotten, and their
//! shares of keys with them, so that reading goes on to what others wait for. A share is a 64th of
//! a destination's keys; nothing of one that is put off is taken on before what was forgotten is
//! known again. So order holds, and a bad destination holds up no other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use types::{Monotonic, Span};

use crate::{BucketId, BucketName, ObjectKey};

/// Tasks that memory knows at once, at most; the rest waits in the outbox. Few in tests, so that
/// their seeds come to it.
const MAX_KNOWN: usize = if cfg!(test) { 128 } else { 16 * 1024 };

/// When more are known and none can start, those that wait are put off until no more than this
/// are; and while no more than this are, what was put off comes back. What lies between is for
/// others to pass.
const KEPT: usize = MAX_KNOWN / 2;

/// Of what comes back, tasks of destinations in trouble stay put off while more than this are
/// known: the rest is for destinations that take them.
const KEPT_IN_TROUBLE: usize = KEPT / 2;

/// Shares of a destination's keys.
const SHARES: u64 = 64;

/// After the first failed attempt a task waits so long, then twice as long, ….
const FIRST_DELAY: Span = Span::milliseconds(500);

/// … but no longer than this.
const LONGEST_DELAY: Span = Span::seconds(60);

/// Tasks of one line are carried out one after the other.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Line {
    /// The source bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The destination bucket.
    pub destination: BucketName,
}

/// Keys of a destination that are put off together.
type Share = (BucketName, u8);

/// A stretch of the outbox to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stretch {
    /// After this number …
    pub after: u64,
    /// … and before that one.
    pub before: u64,
    /// What was read before is read again, for what was put off.
    again: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    /// The outbox is read up to here.
    read: u64,
    /// Shares of which nothing new is taken on …
    put_off: BTreeSet<Share>,
    /// … until what lies between here and `read` is known again.
    read_again: u64,
    /// What this reading passed over: shares of destinations in trouble, and the first task of it.
    passed_over: BTreeSet<Share>,
    passed_from: u64,
    /// Destinations of which a task is to be tried again, and how many.
    troubled: BTreeMap<BucketName, usize>,
    /// The number of the next task.
    next: u64,
    /// Numbers that were given out and whose commit hasn't returned.
    uncommitted: BTreeSet<u64>,
    /// Of each line that has a known task: those that wait for its first.
    lines: BTreeMap<Line, VecDeque<u64>>,
    /// The first task of each line.
    heads: BTreeMap<u64, Head>,
    /// Heads that may start.
    ready: BTreeSet<u64>,
    /// Heads that are to be tried again, and when.
    delayed: BTreeSet<(Monotonic, u64)>,
    /// Heads that are under way, and when something was last done about them or heard of them.
    running: BTreeMap<u64, Monotonic>,
    /// Heads that wait for room among those whose contents are sent in pieces.
    aside: BTreeSet<u64>,
    /// How many tasks are known.
    known: usize,
}

#[derive(Debug)]
struct Head {
    line: Line,
    attempts: u32,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Ready,
    Running,
    /// It has ended, and that is being committed.
    Ending,
    Delayed(Monotonic),
    Aside,
}

impl Queue {
    /// A queue whose tasks are numbered from `next`, and of whose outbox nothing is read.
    pub fn new(next: u64) -> Queue {
        Queue {
            read: 0,
            put_off: BTreeSet::new(),
            read_again: 0,
            passed_over: BTreeSet::new(),
            passed_from: 0,
            troubled: BTreeMap::new(),
            next,
            uncommitted: BTreeSet::new(),
            lines: BTreeMap::new(),
            heads: BTreeMap::new(),
            ready: BTreeSet::new(),
            delayed: BTreeSet::new(),
            running: BTreeMap::new(),
            aside: BTreeSet::new(),
            known: 0,
        }
    }

    /// The number of a task whose row is about to be committed. Until [`Queue::committed`] is told
    /// of it, the outbox isn't read past it, so that it can't be missed.
    pub fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        self.uncommitted.insert(number);
        number
    }

    /// The commit of that number's row has returned, one way or the other.
    pub fn committed(&mut self, number: u64) {
        self.uncommitted.remove(&number);
    }

    /// The stretch of the outbox that is to be read next, where no task may start. None: there is
    /// nothing that isn't read, or enough is known. The snapshot to read it from is to be taken
    /// after this.
    pub fn unread(&mut self) -> Option<Stretch> {
        let before = self.uncommitted.first().copied().unwrap_or(self.next);
        if self.read + 1 < before {
            if self.known >= MAX_KNOWN {
                self.put_off_waiting();
            }
            return (self.known < MAX_KNOWN).then_some(Stretch {
                after: self.read,
                before,
                again: false,
            });
        }
        let mut shares = self.put_off.iter();
        let others = shares.any(|(destination, _)| !self.troubled.contains_key(destination));
        if others && self.known >= KEPT {
            self.put_off_waiting();
        }
        let room = match others {
            true => KEPT,
            false => KEPT_IN_TROUBLE,
        };
        (!self.put_off.is_empty() && self.known < room).then_some(Stretch {
            after: self.read_again,
            before: self.read + 1,
            again: true,
        })
    }

    /// A task that was found in a stretch; false: enough is known, and the rest of it is to be
    /// read another time.
    pub fn found(&mut self, stretch: &Stretch, number: u64, line: Line) -> bool {
        let most = if stretch.again { KEPT } else { MAX_KNOWN };
        if self.known >= most {
            return false;
        }
        let waits = self.put_off.contains(&share_of(&line));
        if stretch.again {
            self.read_again = number;
            if waits && !self.passes_over(number, &line) && !self.knows(number, &line) {
                self.take_on(number, line);
            }
        } else if number > self.read {
            self.read = number;
            if !waits {
                self.take_on(number, line);
            }
        }
        true
    }

    /// A stretch was read to its end.
    pub fn read_through(&mut self, stretch: &Stretch) {
        match stretch.again {
            // All that was put off is known again, but for what was passed over.
            true => {
                self.put_off = std::mem::take(&mut self.passed_over);
                self.read_again = self.passed_from;
            }
            false => self.read = self.read.max(stretch.before.saturating_sub(1)),
        }
    }

    /// Reads the outbox from its beginning again, if nothing is known: a row whose commit was
    /// given up half-way may have come late.
    pub fn read_anew(&mut self) {
        if self.is_idle() {
            self.read = 0;
        }
    }

    /// The next task that may start; it has started then.
    pub fn start(&mut self, now: Monotonic) -> Option<u64> {
        while let Some((at, number)) = self.delayed.first().copied()
            && at <= now
        {
            self.set(number, State::Ready, now);
        }
        let number = *self.ready.first()?;
        self.set(number, State::Running, now);
        Some(number)
    }

    /// When the next delayed task may start.
    pub fn wakes_at(&self) -> Option<Monotonic> {
        self.delayed.first().map(|(at, _)| *at)
    }

    /// How many tasks are under way.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// A task that was started waits for room.
    pub fn set_aside(&mut self, number: u64) {
        self.set(number, State::Aside, Monotonic(0));
    }

    /// There is room: the first that waits for it may start.
    pub fn take_back(&mut self) {
        if let Some(number) = self.aside.first().copied() {
            self.set(number, State::Ready, Monotonic(0));
        }
    }

    /// Something was done about a task that is under way, or heard of it.
    pub fn heard(&mut self, number: u64, now: Monotonic) {
        if let Some(heard) = self.running.get_mut(&number) {
            *heard = now;
        }
    }

    /// Tasks under way of which nothing was heard since then.
    pub fn silent(&self, since: Monotonic) -> Vec<u64> {
        let silent = self.running.iter().filter(|(_, heard)| **heard < since);
        silent.map(|(number, _)| *number).collect()
    }

    /// A task has ended, and that is about to be committed: true for who says it first.
    pub fn end(&mut self, number: u64) -> bool {
        let state = self.heads.get(&number).map(|head| head.state);
        let first = state.is_some_and(|state| state != State::Ending);
        if first {
            self.set(number, State::Ending, Monotonic(0));
        }
        first
    }

    /// A task is done with, its row gone: the next of its line may start.
    pub fn finished(&mut self, number: u64) {
        self.unset(number);
        let Some(head) = self.heads.remove(&number) else {
            return;
        };
        self.known -= 1;
        let waiting = self.lines.get_mut(&head.line);
        match waiting.and_then(VecDeque::pop_front) {
            Some(next) => self.lead(next, head.line),
            None => {
                self.lines.remove(&head.line);
            }
        }
    }

    /// A task is to be tried again, later and later.
    pub fn again(&mut self, number: u64, now: Monotonic) {
        let Some(head) = self.heads.get_mut(&number) else {
            return;
        };
        if !matches!(head.state, State::Running | State::Ending) {
            return;
        }
        let doubled = FIRST_DELAY.0 << head.attempts.min(16);
        head.attempts += 1;
        let at = now + Span(doubled.min(LONGEST_DELAY.0));
        self.set(number, State::Delayed(at), now);
    }

    /// The link is new: everything that was under way or waited starts again at once.
    pub fn restart(&mut self) {
        let heads = self.heads.iter_mut();
        let again = heads.filter(|(_, head)| head.state != State::Ending);
        let numbers: Vec<u64> = again
            .map(|(number, head)| {
                head.attempts = 0;
                *number
            })
            .collect();
        for number in numbers {
            self.set(number, State::Ready, Monotonic(0));
        }
    }

    /// Is nothing known that isn't done?
    pub fn is_idle(&self) -> bool {
        self.known == 0 && self.put_off.is_empty()
    }

    /// Is a task left where it is, for others' sake? With it everything later of its share.
    fn passes_over(&mut self, number: u64, line: &Line) -> bool {
        let share = share_of(line);
        if self.passed_over.contains(&share) {
            return true;
        }
        let is_full = self.known >= KEPT_IN_TROUBLE;
        if !is_full || !self.troubled.contains_key(&line.destination) {
            return false;
        }
        if self.passed_over.is_empty() {
            self.passed_from = number.saturating_sub(1);
        }
        self.passed_over.insert(share);
        true
    }

    fn knows(&self, number: u64, line: &Line) -> bool {
        let waiting = self.lines.get(line);
        self.heads.contains_key(&number)
            || waiting.is_some_and(|waiting| waiting.binary_search(&number).is_ok())
    }

    fn take_on(&mut self, number: u64, line: Line) {
        self.known += 1;
        if let Some(waiting) = self.lines.get_mut(&line) {
            // One that has ended since it was read comes late, and is found gone.
            let place = waiting.partition_point(|known| *known < number);
            waiting.insert(place, number);
            return;
        }
        self.lines.insert(line.clone(), VecDeque::new());
        self.lead(number, line);
    }

    /// Forgets tasks that can't start now, those of destinations in trouble before others', the
    /// latest first: of each line a beginning is left, of the oldest lines all.
    fn put_off_waiting(&mut self) {
        let waits = |head: &Head| matches!(head.state, State::Delayed(_) | State::Aside);
        let heads = self.heads.iter().filter(|(_, head)| waits(head));
        let heads = heads.map(|(number, head)| (*number, head.line.clone()));
        let waiting = self.lines.iter().flat_map(|(line, waiting)| {
            let numbers = waiting.iter();
            numbers.map(|number| (*number, line.clone()))
        });
        let mut waiting: Vec<(u64, Line)> = heads.chain(waiting).collect();
        let is_fine = |line: &Line| !self.troubled.contains_key(&line.destination);
        waiting.sort_by_cached_key(|(number, line)| (is_fine(line), std::cmp::Reverse(*number)));
        // A reading that is under way begins anew with what it passed over.
        if !self.passed_over.is_empty() {
            self.read_again = self.read_again.min(self.passed_from);
            self.passed_over.clear();
        }
        for (number, line) in waiting {
            let most = match self.troubled.contains_key(&line.destination) {
                true => KEPT_IN_TROUBLE,
                false => KEPT,
            };
            if self.known <= most {
                continue;
            }
            let Some(behind) = self.lines.get_mut(&line) else {
                continue;
            };
            match behind.back() {
                Some(last) if *last == number => {
                    behind.pop_back();
                }
                // Its turn is over before theirs.
                Some(_) => continue,
                None => {
                    self.unset(number);
                    self.heads.remove(&number);
                    self.lines.remove(&line);
                }
            }
            self.known -= 1;
            let before = number.saturating_sub(1);
            self.read_again = match self.put_off.is_empty() {
                true => before,
                false => self.read_again.min(before),
            };
            self.put_off.insert(share_of(&line));
        }
    }

    fn lead(&mut self, number: u64, line: Line) {
        let head = Head {
            line,
            attempts: 0,
            state: State::Ready,
        };
        self.heads.insert(number, head);
        self.ready.insert(number);
    }

    fn set(&mut self, number: u64, state: State, now: Monotonic) {
        self.unset(number);
        let Some(head) = self.heads.get_mut(&number) else {
            return;
        };
        head.state = state;
        match state {
            State::Ready => {
                self.ready.insert(number);
            }
            State::Running => {
                self.running.insert(number, now);
            }
            State::Ending => {}
            State::Delayed(at) => {
                self.delayed.insert((at, number));
                let count = self.troubled.entry(head.line.destination.clone());
                *count.or_default() += 1;
            }
            State::Aside => {
                self.aside.insert(number);
            }
        }
    }

    /// Takes a head from where its state keeps it.
    fn unset(&mut self, number: u64) {
        let Some(head) = self.heads.get(&number) else {
            return;
        };
        match head.state {
            State::Ready => {
                self.ready.remove(&number);
            }
            State::Running => {
                self.running.remove(&number);
            }
            State::Ending => {}
            State::Delayed(at) => {
                if self.delayed.remove(&(at, number))
                    && let Some(count) = self.troubled.get_mut(&head.line.destination)
                {
                    *count -= 1;
                    if *count == 0 {
                        self.troubled.remove(&head.line.destination);
                    }
                }
            }
            State::Aside => {
                self.aside.remove(&number);
            }
        }
    }
}

/// The share that a line's tasks are of (by FNV-1a of the key).
fn share_of(line: &Line) -> Share {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let bytes = line.key.as_str().bytes();
    let hash = bytes.fold(OFFSET, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    });
    (line.destination.clone(), (hash % SHARES) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Monotonic = Monotonic(0);

    fn front(queue: &mut Queue) -> Option<(u64, u64)> {
        let stretch = queue.unread();
        stretch.map(|stretch| (stretch.after, stretch.before))
    }

    fn find(queue: &mut Queue, number: u64, line: Line) {
        let stretch = queue.unread().expect("it isn't read");
        assert!(queue.found(&stretch, number, line));
    }

    fn read_through(queue: &mut Queue) {
        let stretch = queue.unread().expect("it isn't read");
        queue.read_through(&stretch);
    }

    fn line(key: &str) -> Line {
        Line {
            bucket: BucketId(1),
            key: key.parse().unwrap(),
            destination: "replicas".parse().unwrap(),
        }
    }

    fn numbered(queue: &mut Queue, count: usize) -> Vec<u64> {
        (0..count).map(|_| queue.number()).collect()
    }

    fn committed(queue: &mut Queue, count: usize) {
        for number in numbered(queue, count) {
            queue.committed(number);
        }
    }

    #[test]
    fn nothing_is_read_past_a_commit_that_has_not_returned() {
        let mut queue = Queue::new(10);
        assert_eq!(front(&mut queue), Some((0, 10)));
        read_through(&mut queue);
        assert_eq!(queue.unread(), None);
        assert_eq!(numbered(&mut queue, 3), [10, 11, 12]);
        queue.committed(10);
        queue.committed(12);
        assert_eq!(front(&mut queue), Some((9, 11)));
        find(&mut queue, 10, line("a"));
        assert_eq!(queue.unread(), None);
        queue.committed(11);
        assert_eq!(front(&mut queue), Some((10, 13)));
    }

    #[test]
    fn tasks_of_one_key_go_one_after_the_other_and_others_pass_them() {
        let mut queue = Queue::new(1);
        committed(&mut queue, 3);
        find(&mut queue, 1, line("a"));
        find(&mut queue, 2, line("a"));
        find(&mut queue, 3, line("b"));
        assert_eq!(queue.start(NOW), Some(1));
        assert_eq!(queue.start(NOW), Some(3));
        assert_eq!(queue.start(NOW), None);
        queue.again(1, NOW);
        assert_eq!(queue.start(NOW), None);
        assert_eq!(queue.wakes_at(), Some(NOW + FIRST_DELAY));
        assert_eq!(queue.start(NOW + FIRST_DELAY), Some(1));
        queue.finished(1);
        assert_eq!(queue.start(NOW), Some(2));
        queue.finished(2);
        queue.finished(3);
        assert_eq!((queue.known, queue.lines.len()), (0, 0));
        queue.read_anew();
        assert_eq!(front(&mut queue), Some((0, 4)));
    }

    #[test]
    fn a_new_link_starts_everything_again_in_order() {
        let mut queue = Queue::new(1);
        committed(&mut queue, 3);
        find(&mut queue, 1, line("a"));
        find(&mut queue, 2, line("a"));
        find(&mut queue, 3, line("b"));
        queue.start(NOW);
        queue.start(NOW);
        queue.again(3, NOW);
        queue.restart();
        assert_eq!(queue.start(NOW), Some(1));
        assert_eq!(queue.start(NOW), Some(3));
        assert_eq!(queue.start(NOW), None);
    }

    #[test]
    fn a_task_ends_once_and_the_silent_are_found() {
        let mut queue = Queue::new(1);
        committed(&mut queue, 2);
        find(&mut queue, 1, line("a"));
        find(&mut queue, 2, line("b"));
        assert_eq!(queue.start(NOW), Some(1));
        assert_eq!(queue.start(NOW), Some(2));
        queue.set_aside(2);
        assert_eq!((queue.start(NOW), queue.running()), (None, 1));
        queue.take_back();
        assert_eq!(queue.start(Monotonic(5)), Some(2));
        assert_eq!(queue.silent(Monotonic(5)), [1]);
        queue.heard(1, Monotonic(9));
        assert_eq!(queue.silent(Monotonic(9)), [2]);
        assert!(queue.end(1));
        assert!(!queue.end(1));
        queue.restart();
        assert_eq!(queue.start(NOW), Some(2));
        assert_eq!(queue.start(NOW), None);
        queue.again(1, NOW);
        assert!(queue.wakes_at().is_some());
    }

    #[test]
    fn delays_double_up_to_a_minute() {
        let mut queue = Queue::new(1);
        committed(&mut queue, 1);
        find(&mut queue, 1, line("a"));
        let mut now = NOW;
        let mut delays = Vec::new();
        for _ in 0..10 {
            assert_eq!(queue.start(now), Some(1));
            queue.again(1, now);
            let at = queue.wakes_at().unwrap();
            delays.push(at - now);
            now = at;
        }
        assert_eq!(
            delays[..3],
            [FIRST_DELAY, Span::seconds(1), Span::seconds(2)]
        );
        assert_eq!(delays[9], LONGEST_DELAY);
    }

    /// An outbox, and the queue that reads it as `send` does.
    struct Outbox {
        rows: BTreeMap<u64, Line>,
        queue: Queue,
    }

    impl Outbox {
        fn new() -> Outbox {
            Outbox {
                rows: BTreeMap::new(),
                queue: Queue::new(1),
            }
        }

        fn announce(&mut self, key: &str, destination: &str) -> u64 {
            let number = self.queue.number();
            let line = Line {
                destination: destination.parse().unwrap(),
                ..line(key)
            };
            self.rows.insert(number, line);
            self.queue.committed(number);
            number
        }

        /// The next task that may start, of those that there are.
        fn start(&mut self, now: Monotonic) -> Option<u64> {
            loop {
                if let Some(number) = self.queue.start(now) {
                    if self.rows.contains_key(&number) {
                        return Some(number);
                    }
                    self.queue.finished(number);
                    continue;
                }
                let stretch = self.queue.unread()?;
                let mut whole = true;
                let rows = self.rows.range(stretch.after + 1..stretch.before);
                for (number, line) in rows {
                    whole = self.queue.found(&stretch, *number, line.clone());
                    if !whole {
                        break;
                    }
                }
                if whole {
                    self.queue.read_through(&stretch);
                }
            }
        }

        fn finish(&mut self, number: u64) {
            self.rows.remove(&number);
            self.queue.finished(number);
        }
    }

    #[test]
    fn others_pass_a_destination_that_takes_nothing_whatever_waits_for_it() {
        let mut outbox = Outbox::new();
        let mut now = NOW;
        for number in 0..10 * MAX_KNOWN {
            outbox.announce(&format!("bad-{number}"), "stuck");
        }
        for round in 0..40 {
            let good = outbox.announce(&format!("good-{round}"), "replicas");
            let mut passed = false;
            while let Some(number) = outbox.start(now) {
                assert!(outbox.queue.known <= MAX_KNOWN);
                match number == good {
                    true => {
                        passed = true;
                        outbox.finish(number);
                    }
                    false => outbox.queue.again(number, now),
                }
            }
            assert!(passed, "round {round}");
            now = now + Span::seconds(7);
        }
        // It takes what comes again: everything arrives.
        for _ in 0..10 * MAX_KNOWN {
            now = now + LONGEST_DELAY;
            while let Some(number) = outbox.start(now) {
                outbox.finish(number);
            }
        }
        assert!(outbox.rows.is_empty() && outbox.queue.is_idle());
    }

    #[test]
    fn what_waits_behind_a_task_under_way_comes_back_before_what_a_bad_destination_refuses() {
        let mut outbox = Outbox::new();
        let mut now = NOW;
        let mut under_way = Vec::new();
        for number in 0..MAX_KNOWN - 20 {
            outbox.announce(&format!("bad-{number}"), "stuck");
        }
        // Two of each good key: the second waits behind the first, which takes its time.
        let good: Vec<u64> = (0..20)
            .map(|key| outbox.announce(&format!("good-{}", key / 2), "replicas"))
            .collect();
        for number in 0..10 * MAX_KNOWN {
            outbox.announce(&format!("worse-{number}"), "stuck");
        }
        for round in 0..200 {
            while let Some(number) = outbox.start(now) {
                assert!(outbox.queue.known <= MAX_KNOWN);
                match good.contains(&number) {
                    true => under_way.push(number),
                    false => outbox.queue.again(number, now),
                }
            }
            // The link comes and goes: all is tried at once.
            if round % 50 == 10 {
                outbox.queue.restart();
                under_way.clear();
                continue;
            }
            if round % 3 == 0 && !under_way.is_empty() {
                outbox.finish(under_way.remove(0));
            }
            outbox.announce(&format!("bad-again-{round}"), "stuck");
            now = now + Span::seconds(7);
        }
        let left = good
            .iter()
            .filter(|number| outbox.rows.contains_key(number));
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn tasks_of_a_line_start_in_order_whatever_is_put_off() {
        for seed in 0..60_u64 {
            let mut state = seed;
            let mut below = |bound: u64| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % bound
            };
            let mut outbox = Outbox::new();
            let mut now = NOW;
            let mut last: BTreeMap<Line, u64> = BTreeMap::new();
            let mut under_way = Vec::new();
            for step in 0..3_000 {
                if step < 1_500 && below(2) == 0 {
                    let to = ["stuck", "slow", "replicas"][below(3) as usize];
                    outbox.announce(&format!("k{}", below(9)), to);
                }
                if let Some(number) = outbox.start(now) {
                    let line = outbox.rows[&number].clone();
                    let before = last.insert(line.clone(), number);
                    assert!(before.is_none_or(|before| before <= number), "seed {seed}");
                    let first = outbox.rows.iter().find(|(_, other)| **other == line);
                    assert_eq!(first.map(|(number, _)| *number), Some(number));
                    under_way.push(number);
                }
                if !under_way.is_empty() && below(3) > 0 {
                    let number = under_way.swap_remove(below(under_way.len() as u64) as usize);
                    let bad = outbox.rows[&number].destination.as_str() == "stuck";
                    match below(4) {
                        _ if bad && step < 2_000 => outbox.queue.again(number, now),
                        0 => outbox.queue.again(number, now),
                        1 if step < 2_000 => outbox.queue.set_aside(number),
                        _ => outbox.finish(number),
                    }
                }
                if below(5) == 0 {
                    outbox.queue.take_back();
                }
                now = now + Span::milliseconds(below(2_000));
            }
            for _ in 0..3_000 {
                now = now + LONGEST_DELAY;
                outbox.queue.take_back();
                while let Some(number) = outbox.start(now) {
                    outbox.finish(number);
                }
                for number in under_way.drain(..) {
                    outbox.finish(number);
                }
                if outbox.rows.is_empty() {
                    break;
                }
            }
            assert!(outbox.rows.is_empty(), "seed {seed}: {:?}", outbox.queue);
        }
    }
}
