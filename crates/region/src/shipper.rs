//! The sending side of replication to one peer, sans-IO: which part of the log goes next, what
//! is on its way, when to start again. It reads no log and sends nothing itself.
//!
//! The peer owns the cursor: nothing is shipped before it has said where it stands, and nothing
//! about it is kept here across a restart. A connection may lose what was on its way; a new one
//! starts with the peer's cursor again.

use std::collections::VecDeque;

use store::LogPosition;
use types::{ByteSize, Monotonic, Span};

use crate::message::LogId;

/// Bytes on their way to one peer, at most. At least bandwidth × delay: 16 MiB over 220 ms
/// carries 70 MB/s.
pub const WINDOW: ByteSize = ByteSize::mib(16);

/// Unacknowledged for longer than this plus four round trips, everything is sent again.
const PATIENCE: Span = Span::seconds(3);

/// Positions that concern the peer in nothing are reported to it at least every so many, so that
/// its cursor moves and the log can be trimmed.
const SILENT_POSITIONS: u64 = 2_000;

/// ... and at least this long after the last report.
const SILENT_TIME: Span = Span::seconds(1);

/// The state of shipping to one peer.
#[derive(Debug)]
pub struct Shipper {
    log: LogId,
    /// Everything up to here is applied at the peer; `None`: it hasn't said yet.
    acknowledged: Option<LogPosition>,
    /// Everything up to here was looked at.
    read: LogPosition,
    /// Everything up to here was sent, or concerned the peer in nothing and was reported.
    sent: LogPosition,
    in_flight: VecDeque<Flight>,
    flying: ByteSize,
    reported_at: Monotonic,
    /// Grows whenever shipping starts again from somewhere else.
    course: u64,
}

/// Where one reading of the log begins. Reading takes time, and meanwhile shipping may have
/// started again from somewhere else: then what was read is not to be sent, and its end says
/// nothing about what was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// The log is read after this position.
    pub after: LogPosition,
    /// Where the message with what is read begins: from here to `after` nothing concerns the
    /// peer.
    pub from: LogPosition,
    course: u64,
}

#[derive(Debug)]
struct Flight {
    to: LogPosition,
    bytes: ByteSize,
    at: Monotonic,
}

/// What the peer's cursor means for the sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CursorNews {
    /// Go on.
    Continue,
    /// The peer stands where the log doesn't reach: it needs a copy of its tables, and goes on
    /// after `at`.
    Resynchronize {
        /// Its cursor from now on.
        at: LogPosition,
    },
}

impl Shipper {
    /// A shipper of that log which hasn't heard from its peer.
    pub fn new(log: LogId) -> Shipper {
        Shipper {
            log,
            acknowledged: None,
            read: LogPosition(0),
            sent: LogPosition(0),
            in_flight: VecDeque::new(),
            flying: ByteSize(0),
            reported_at: Monotonic(0),
            course: 0,
        }
    }

    /// The connection is new: what was on its way may be lost, so wait for the peer's cursor.
    pub fn reconnected(&mut self) {
        self.start_again(self.sent);
        self.acknowledged = None;
    }

    /// The peer says that it has applied `applied` of `log`. `oldest` is the position before the
    /// first that the log still holds, `head` its newest.
    pub fn cursor(
        &mut self,
        log: Option<LogId>,
        applied: LogPosition,
        rewind: bool,
        oldest: LogPosition,
        head: LogPosition,
    ) -> CursorNews {
        let applied = if log == Some(self.log) {
            applied
        } else {
            LogPosition(0)
        };
        let first_word = self.acknowledged.is_none();
        if applied > head {
            // This database was put back to an older state of the same log: what is written
            // from now on would hide below the peer's cursor.
            return if first_word {
                self.begin_at(head)
            } else {
                CursorNews::Continue
            };
        }
        if first_word || rewind {
            self.start_again(applied);
        }
        self.acknowledged = Some(
            self.acknowledged
                .map_or(applied, |known| known.max(applied)),
        );
        while self
            .in_flight
            .front()
            .is_some_and(|flight| flight.to <= applied)
        {
            let landed = self.in_flight.pop_front().expect("there is a front");
            self.flying = ByteSize(self.flying.0 - landed.bytes.0);
        }
        if applied < oldest && (first_word || rewind) {
            return self.begin_at(oldest);
        }
        CursorNews::Continue
    }

    /// For the peer the log begins anew after `at`.
    fn begin_at(&mut self, at: LogPosition) -> CursorNews {
        self.start_again(at);
        self.acknowledged = Some(self.acknowledged.unwrap_or_default().min(at));
        CursorNews::Resynchronize { at }
    }

    /// Where to read the log from next. `None`: wait — for the peer's cursor, for room, or for
    /// the log to grow past `head`.
    pub fn next(&self, head: LogPosition) -> Option<Reading> {
        let may = self.acknowledged.is_some() && self.flying < WINDOW && self.read < head;
        may.then(|| self.reading())
    }

    /// An empty message is due, so that the peer's cursor keeps up with what doesn't concern it:
    /// it ends where this reading begins.
    pub fn report(&self, now: Monotonic) -> Option<Reading> {
        let silent = self.read.0 - self.sent.0;
        let late = silent > 0 && now - self.reported_at >= SILENT_TIME;
        let due = self.acknowledged.is_some() && (silent >= SILENT_POSITIONS || late);
        due.then(|| self.reading())
    }

    /// A reading that begins where shipping stands now.
    pub(crate) fn reading(&self) -> Reading {
        Reading {
            after: self.read,
            from: self.sent,
            course: self.course,
        }
    }

    /// Does shipping still go on where that reading began?
    pub fn holds(&self, reading: &Reading) -> bool {
        *reading == self.reading()
    }

    /// The log was read up to `to`, and nothing in it concerns the peer. It is no news if
    /// shipping has started again since.
    pub fn read_nothing(&mut self, reading: &Reading, to: LogPosition) {
        if self.holds(reading) {
            self.read = self.read.max(to);
        }
    }

    /// A message from the reading's `from` up to `to` was handed to the link.
    ///
    /// # Panics
    /// If the reading doesn't hold: whoever sends looks first, under the same lock.
    pub fn sent(&mut self, reading: &Reading, now: Monotonic, to: LogPosition, bytes: ByteSize) {
        assert!(self.holds(reading), "what is sent was read on this course");
        self.read = self.read.max(to);
        self.sent = to;
        self.reported_at = now;
        self.flying += bytes;
        self.in_flight.push_back(Flight { to, bytes, at: now });
    }

    /// Everything up to here was sent, and looked at.
    pub fn span(&self) -> (LogPosition, LogPosition) {
        (self.sent, self.read)
    }

    /// Starts again after the last acknowledgement if that is overdue; says whether it did.
    pub fn rewind_if_overdue(&mut self, now: Monotonic, round_trip: Span) -> bool {
        let patience = Span(PATIENCE.0 + 4 * round_trip.0);
        let overdue = self
            .in_flight
            .front()
            .is_some_and(|oldest| now - oldest.at > patience);
        if let (true, Some(acknowledged)) = (overdue, self.acknowledged) {
            self.start_again(acknowledged);
        }
        overdue
    }

    /// Applied at the peer up to here, as far as is known.
    pub fn acknowledged(&self) -> Option<LogPosition> {
        self.acknowledged
    }

    /// Nothing is on its way any more, and shipping goes on after `at`.
    fn start_again(&mut self, at: LogPosition) {
        self.in_flight.clear();
        self.flying = ByteSize(0);
        self.read = at;
        self.sent = at;
        self.course += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogId = LogId(1);
    const HEAD: LogPosition = LogPosition(5_000);

    fn at(milliseconds: u64) -> Monotonic {
        Monotonic(milliseconds * 1000)
    }

    /// After which position the log is read next.
    fn after(shipper: &Shipper, head: LogPosition) -> Option<LogPosition> {
        shipper.next(head).map(|reading| reading.after)
    }

    fn sent(shipper: &mut Shipper, now: Monotonic, to: LogPosition, bytes: ByteSize) {
        let reading = shipper.reading();
        shipper.sent(&reading, now, to, bytes);
    }

    #[test]
    fn nothing_is_shipped_before_the_peer_has_said_where_it_stands() {
        let mut shipper = Shipper::new(LOG);
        assert_eq!(shipper.next(LogPosition(9)), None);
        shipper.cursor(Some(LOG), LogPosition(4), false, LogPosition(0), HEAD);
        assert_eq!(after(&shipper, LogPosition(9)), Some(LogPosition(4)));
        assert_eq!(shipper.next(LogPosition(4)), None);
    }

    #[test]
    fn a_reconnection_starts_from_the_peers_cursor() {
        let mut shipper = Shipper::new(LOG);
        shipper.cursor(Some(LOG), LogPosition(0), false, LogPosition(0), HEAD);
        sent(&mut shipper, at(0), LogPosition(5), ByteSize(10));
        shipper.reconnected();
        assert_eq!(shipper.next(LogPosition(9)), None);
        shipper.cursor(Some(LOG), LogPosition(3), false, LogPosition(0), HEAD);
        assert_eq!(after(&shipper, LogPosition(9)), Some(LogPosition(3)));
    }

    #[test]
    fn the_window_bounds_what_is_on_its_way() {
        let mut shipper = Shipper::new(LOG);
        shipper.cursor(Some(LOG), LogPosition(0), false, LogPosition(0), HEAD);
        sent(&mut shipper, at(0), LogPosition(5), WINDOW);
        assert_eq!(shipper.next(LogPosition(9)), None);
        shipper.cursor(Some(LOG), LogPosition(5), false, LogPosition(0), HEAD);
        assert_eq!(after(&shipper, LogPosition(9)), Some(LogPosition(5)));
    }

    #[test]
    fn another_life_of_the_log_starts_at_its_beginning() {
        let mut shipper = Shipper::new(LOG);
        shipper.cursor(
            Some(LogId(99)),
            LogPosition(1000),
            false,
            LogPosition(0),
            HEAD,
        );
        assert_eq!(after(&shipper, LogPosition(9)), Some(LogPosition(0)));
    }

    #[test]
    fn a_peer_behind_the_trimmed_log_needs_a_copy() {
        let mut shipper = Shipper::new(LOG);
        let news = shipper.cursor(None, LogPosition(0), false, LogPosition(50), HEAD);
        assert_eq!(
            news,
            CursorNews::Resynchronize {
                at: LogPosition(50)
            }
        );
        assert_eq!(after(&shipper, LogPosition(60)), Some(LogPosition(50)));
    }

    #[test]
    fn a_log_put_back_to_an_older_state_begins_anew_for_a_peer_that_was_further() {
        let mut shipper = Shipper::new(LOG);
        let head = LogPosition(70);
        let news = shipper.cursor(Some(LOG), LogPosition(90), false, LogPosition(0), head);
        assert_eq!(news, CursorNews::Resynchronize { at: head });
        assert_eq!(after(&shipper, LogPosition(71)), Some(head));
        let again = shipper.cursor(Some(LOG), LogPosition(90), false, LogPosition(0), head);
        assert_eq!(again, CursorNews::Continue);
    }

    #[test]
    fn an_overdue_acknowledgement_sends_everything_again() {
        let mut shipper = Shipper::new(LOG);
        shipper.cursor(Some(LOG), LogPosition(2), false, LogPosition(0), HEAD);
        sent(&mut shipper, at(0), LogPosition(5), ByteSize(10));
        assert!(!shipper.rewind_if_overdue(at(3_100), Span::milliseconds(100)));
        assert!(shipper.rewind_if_overdue(at(3_500), Span::milliseconds(100)));
        assert_eq!(after(&shipper, LogPosition(5)), Some(LogPosition(2)));
    }

    #[test]
    fn what_does_not_concern_the_peer_is_reported_now_and_then() {
        let mut shipper = Shipper::new(LOG);
        shipper.cursor(Some(LOG), LogPosition(0), false, LogPosition(0), HEAD);
        let passed = |shipper: &mut Shipper, to| {
            let reading = shipper.reading();
            shipper.read_nothing(&reading, to);
        };
        sent(&mut shipper, at(10), LogPosition(1), ByteSize(1));
        passed(&mut shipper, LogPosition(100));
        assert_eq!(shipper.report(at(20)), None);
        passed(&mut shipper, LogPosition(101));
        let report = shipper.report(at(1_020)).unwrap();
        assert_eq!(
            (report.from, report.after),
            (LogPosition(1), LogPosition(101))
        );
        assert_eq!(shipper.span(), (LogPosition(1), LogPosition(101)));
        sent(&mut shipper, at(1_020), LogPosition(101), ByteSize(1));
        passed(&mut shipper, LogPosition(3000));
        assert!(shipper.report(at(1_021)).is_some());
    }

    #[test]
    fn what_was_read_before_shipping_started_again_is_not_sent() {
        let mut shipper = Shipper::new(LOG);
        let cursor = |shipper: &mut Shipper, applied: u64, rewind| {
            shipper.cursor(
                Some(LOG),
                LogPosition(applied),
                rewind,
                LogPosition(0),
                HEAD,
            )
        };
        cursor(&mut shipper, 0, false);
        sent(&mut shipper, at(0), LogPosition(50), ByteSize(10));
        let reading = shipper.next(HEAD).unwrap();
        assert!(shipper.holds(&reading));
        // Meanwhile 11 to 50 were lost with the connection.
        shipper.reconnected();
        assert!(!shipper.holds(&reading));
        cursor(&mut shipper, 10, false);
        assert!(!shipper.holds(&reading), "it began after 50");
        shipper.read_nothing(&reading, LogPosition(60));
        assert_eq!(after(&shipper, HEAD), Some(LogPosition(10)));
        // The same if the new course begins where the old one stood.
        let reading = shipper.next(HEAD).unwrap();
        cursor(&mut shipper, 10, true);
        assert!(!shipper.holds(&reading));
        let reading = shipper.next(HEAD).unwrap();
        sent(&mut shipper, at(0), LogPosition(20), ByteSize(10));
        assert!(shipper.rewind_if_overdue(at(60_000), Span::ZERO));
        assert!(!shipper.holds(&reading));
    }
}
