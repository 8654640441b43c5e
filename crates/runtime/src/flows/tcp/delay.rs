//! A direction of a TCP flow whose bytes arrive later: a lab's geography. What is read waits in
//! memory until its time has come, the end as well; no thread waits with it. A connection that
//! breaks, breaks at once.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::store::Store;
use super::way::{Broken, Side};

/// How soon a direction looks again whether there is room for more under way in its thread.
const RETRY: Duration = Duration::from_millis(10);

/// Both directions of a flow.
pub(super) struct Lines {
    pub(super) delay: Duration,
    pub(super) up: Line,
    pub(super) down: Line,
}

/// One direction.
pub(super) struct Line {
    chunks: VecDeque<Chunk>,
    under_way: usize,
    /// The end was read, and arrives then.
    end: Option<Instant>,
    done: bool,
    /// Until then it waits for room in its thread.
    retry: Option<Instant>,
    /// Bytes written.
    pub(super) moved: u64,
}

/// When a direction must be looked at again, whatever happens before.
pub(super) type Looks = [Option<Instant>; 2];

/// What was read at once.
struct Chunk {
    due: Instant,
    bytes: Box<[u8]>,
    written: usize,
}

/// What a thread may have under way.
pub(super) struct Room {
    pub(super) flow: usize,
    pub(super) thread: usize,
    pub(super) under_way: usize,
}

impl Lines {
    pub(super) fn new(delay: Duration) -> Lines {
        Lines {
            delay,
            up: Line::new(),
            down: Line::new(),
        }
    }

    /// Gives up what is under way.
    pub(super) fn abandon(&mut self, room: &mut Room) {
        self.up.abandon(room);
        self.down.abandon(room);
    }
}

impl Line {
    fn new() -> Line {
        Line {
            chunks: VecDeque::new(),
            under_way: 0,
            end: None,
            done: false,
            retry: None,
            moved: 0,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    pub(super) fn abandon(&mut self, room: &mut Room) {
        room.under_way -= self.under_way;
        self.under_way = 0;
        self.chunks.clear();
        self.done = true;
    }

    /// Writes what has arrived and reads what there is.
    pub(super) fn pump(
        &mut self,
        (from, to): (&mut Side, &mut Side),
        (now, delay): (Instant, Duration),
        (room, store): (&mut Room, &mut Store),
    ) -> Result<Looks, Broken> {
        if self.done {
            return Ok([None; 2]);
        }
        self.deliver(to, now, room)?;
        let (mut due, mut retry) = (None, None);
        while from.is_readable() && self.end.is_none() {
            if self.under_way >= room.flow {
                // What is delivered next makes room.
                break;
            }
            if room.under_way >= room.thread {
                if self.retry.is_none_or(|retry| retry <= now) {
                    retry = Some(now + RETRY);
                    self.retry = retry;
                }
                break;
            }
            let Some(count) = from.read(store.scratch())? else {
                break;
            };
            due = Some(now + delay);
            if count == 0 {
                from.is_silent();
                self.end = due;
                break;
            }
            self.under_way += count;
            room.under_way += count;
            self.chunks.push_back(Chunk {
                due: now + delay,
                bytes: store.scratch()[..count].into(),
                written: 0,
            });
        }
        Ok([due, retry])
    }

    fn deliver(&mut self, to: &mut Side, now: Instant, room: &mut Room) -> Result<(), Broken> {
        while let Some(chunk) = self.chunks.front_mut() {
            if chunk.due > now || !to.is_writable() {
                return Ok(());
            }
            let written = to.write(&chunk.bytes[chunk.written..])?;
            chunk.written += written;
            self.moved += written as u64;
            self.under_way -= written;
            room.under_way -= written;
            if chunk.written == chunk.bytes.len() {
                self.chunks.pop_front();
            }
        }
        if self.end.is_some_and(|end| end <= now) {
            to.finish();
            self.done = true;
        }
        Ok(())
    }
}
