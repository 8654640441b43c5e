//! The tasks for one destination site, as far as memory knows them: which may start, one of a key
//! at a time and in the order in which they were written. It reads and writes nothing: it says
//! which stretch of the outbox to read, and is told what was found there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use types::{Monotonic, Span};

use crate::{BucketId, BucketName, ObjectKey};

/// Tasks that memory knows at once, at most; the rest waits in the outbox.
const MAX_KNOWN: usize = 16 * 1024;

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

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    /// The outbox is read up to here.
    read: u64,
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

    /// The stretch of the outbox that is to be read next: after the first, before the second.
    /// None: there is nothing that isn't read, or enough is known. The snapshot to read it from is
    /// to be taken after this.
    pub fn unread(&self) -> Option<(u64, u64)> {
        let before = self.uncommitted.first().copied().unwrap_or(self.next);
        let more = self.read + 1 < before && self.known < MAX_KNOWN;
        more.then_some((self.read, before))
    }

    /// A task that was found in the outbox.
    pub fn found(&mut self, number: u64, line: Line) {
        if number <= self.read {
            return;
        }
        self.read = number;
        self.known += 1;
        if let Some(waiting) = self.lines.get_mut(&line) {
            waiting.push_back(number);
            return;
        }
        self.lines.insert(line.clone(), VecDeque::new());
        self.lead(number, line);
    }

    /// The outbox holds nothing more before that number.
    pub fn read_to(&mut self, before: u64) {
        self.read = self.read.max(before.saturating_sub(1));
    }

    /// Reads the outbox from its beginning again, if nothing is known: a row whose commit was
    /// given up half-way may have come late.
    pub fn read_anew(&mut self) {
        if self.known == 0 {
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
        self.known == 0
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
                self.delayed.remove(&(at, number));
            }
            State::Aside => {
                self.aside.remove(&number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Monotonic = Monotonic(0);

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

    #[test]
    fn nothing_is_read_past_a_commit_that_has_not_returned() {
        let mut queue = Queue::new(10);
        assert_eq!(queue.unread(), Some((0, 10)));
        queue.read_to(10);
        assert_eq!(queue.unread(), None);
        assert_eq!(numbered(&mut queue, 3), [10, 11, 12]);
        queue.committed(10);
        queue.committed(12);
        assert_eq!(queue.unread(), Some((9, 11)));
        queue.found(10, line("a"));
        queue.read_to(11);
        assert_eq!(queue.unread(), None);
        queue.committed(11);
        assert_eq!(queue.unread(), Some((10, 13)));
    }

    #[test]
    fn tasks_of_one_key_go_one_after_the_other_and_others_pass_them() {
        let mut queue = Queue::new(1);
        for number in numbered(&mut queue, 3) {
            queue.committed(number);
        }
        queue.found(1, line("a"));
        queue.found(2, line("a"));
        queue.found(3, line("b"));
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
        assert_eq!(queue.unread(), Some((0, 4)));
    }

    #[test]
    fn a_new_link_starts_everything_again_in_order() {
        let mut queue = Queue::new(1);
        numbered(&mut queue, 3);
        queue.found(1, line("a"));
        queue.found(2, line("a"));
        queue.found(3, line("b"));
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
        numbered(&mut queue, 2);
        queue.found(1, line("a"));
        queue.found(2, line("b"));
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
        numbered(&mut queue, 1);
        queue.found(1, line("a"));
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
}
