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
        }
    }

    /// The connection is new: what was on its way may be lost, so wait for the peer's cursor.
    pub fn reconnected(&mut self) {
        self.forget_flights();
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
            self.forget_flights();
            self.read = applied;
            self.sent = applied;
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
        self.forget_flights();
        self.acknowledged = Some(self.acknowledged.unwrap_or_default().min(at));
        self.read = at;
        self.sent = at;
        CursorNews::Resynchronize { at }
    }

    /// Where to read the log from next: after this position. `None`: wait — for the peer's
    /// cursor, for room, or for the log to grow past `head`.
    pub fn next(&self, head: LogPosition) -> Option<LogPosition> {
        let may = self.acknowledged.is_some() && self.flying < WINDOW && self.read < head;
        may.then_some(self.read)
    }

    /// The log was read up to `to`, and nothing in it concerns the peer. Says whether to report
    /// that anyway (as a message without records).
    pub fn read_nothing(&mut self, now: Monotonic, to: LogPosition) -> bool {
        self.read = self.read.max(to);
        self.report_due(now)
    }

    /// Is an empty message due, so that the peer's cursor keeps up with what doesn't concern it?
    pub fn report_due(&self, now: Monotonic) -> bool {
        let silent = self.read.0 - self.sent.0;
        silent >= SILENT_POSITIONS || (silent > 0 && now - self.reported_at >= SILENT_TIME)
    }

    /// Where the next message begins (`from`), and up to where the log was looked at.
    pub fn span(&self) -> (LogPosition, LogPosition) {
        (self.sent, self.read)
    }

    /// A message up to `to` was handed to the link.
    pub fn sent(&mut self, now: Monotonic, to: LogPosition, bytes: ByteSize) {
        self.read = self.read.max(to);
        self.sent = to;
        self.reported_at = now;
        self.flying += bytes;
        self.in_flight.push_back(Flight { to, bytes, at: now });
    }

    /// Starts again after the last acknowledgement if that is overdue; says whether it did.
    pub fn rewind_if_overdue(&mut self, now: Monotonic, round_trip: Span) -> bool {
        let patience = Span(PATIENCE.0 + 4 * round_trip.0);
        let overdue = self
            .in_flight
            .front()
            .is_some_and(|oldest| now - oldest.at > patience);
        if let (true, Some(acknowledged)) = (overdue, self.acknowledged) {
            self.forget_flights();
            self.read = acknowledged;
            self.sent = acknowledged;
        }
        overdue
    }

    /// Applied at the peer up to here, as far as is known.
    pub fn acknowledged(&self) -> Option<LogPosition> {
        self.acknowledged
    }

    fn forget_flights(&mut self) {
        self.in_flight.clear();
        self.flying = ByteSize(0);
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

    #[test]
    fn nothing_is_shipped_before_the_peer_has_said_where_it_stands() {
        let mut shipper = Shipper::new(LOG);
        assert_eq!(shipper.next(LogPosition(9)), None);
        shipper.cursor(Some(LOG), LogPosition(4), false, LogPosition(0), HEAD);
        assert_eq!(shipper.next(LogPosition(9)), Some(LogPosition(4)));
        assert_eq!(shipper.next(LogPosition(4)), None);
    }

    #[test]
    fn a_reconnection_starts_from_the_peers_cursor() {
        let mut shipper = Shipper::new(LOG);
        shipper.cursor(Some(LOG), LogPosition(0), false, LogPosition(0), HEAD);
        shipper.sent(at(0), LogPosition(5), ByteSize(10));
        shipper.reconnected();
        assert_eq!(shipper.next(LogPosition(9)), None);
        shipper.cursor(Some(LOG), LogPosition(3), false, LogPosition(0), HEAD);
        assert_eq!(shipper.next(LogPosition(9)), Some(LogPosition(3)));
    }

    #[test]
    fn the_window_bounds_what_is_on_its_way() {
        let mut shipper = Shipper::new(LOG);
        shipper.cursor(Some(LOG), LogPosition(0), false, LogPosition(0), HEAD);
        shipper.sent(at(0), LogPosition(5), WINDOW);
        assert_eq!(shipper.next(LogPosition(9)), None);
        shipper.cursor(Some(LOG), LogPosition(5), false, LogPosition(0), HEAD);
        assert_eq!(shipper.next(LogPosition(9)), Some(LogPosition(5)));
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
        assert_eq!(shipper.next(LogPosition(9)), Some(LogPosition(0)));
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
        assert_eq!(shipper.next(LogPosition(60)), Some(LogPosition(50)));
    }

    #[test]
    fn a_log_put_back_to_an_older_state_begins_anew_for_a_peer_that_was_further() {
        let mut shipper = Shipper::new(LOG);
        let head = LogPosition(70);
        let news = shipper.cursor(Some(LOG), LogPosition(90), false, LogPosition(0), head);
        assert_eq!(news, CursorNews::Resynchronize { at: head });
        assert_eq!(shipper.next(LogPosition(71)), Some(head));
        let again = shipper.cursor(Some(LOG), LogPosition(90), false, LogPosition(0), head);
        assert_eq!(again, CursorNews::Continue);
    }

    #[test]
    fn an_overdue_acknowledgement_sends_everything_again() {
        let mut shipper = Shipper::new(LOG);
        shipper.cursor(Some(LOG), LogPosition(2), false, LogPosition(0), HEAD);
        shipper.sent(at(0), LogPosition(5), ByteSize(10));
        assert!(!shipper.rewind_if_overdue(at(3_100), Span::milliseconds(100)));
        assert!(shipper.rewind_if_overdue(at(3_500), Span::milliseconds(100)));
        assert_eq!(shipper.next(LogPosition(5)), Some(LogPosition(2)));
    }

    #[test]
    fn what_does_not_concern_the_peer_is_reported_now_and_then() {
        let mut shipper = Shipper::new(LOG);
        shipper.cursor(Some(LOG), LogPosition(0), false, LogPosition(0), HEAD);
        shipper.sent(at(10), LogPosition(1), ByteSize(1));
        assert!(!shipper.read_nothing(at(20), LogPosition(100)));
        assert!(shipper.read_nothing(at(1_020), LogPosition(101)));
        assert_eq!(shipper.span(), (LogPosition(1), LogPosition(101)));
        shipper.sent(at(1_020), LogPosition(101), ByteSize(1));
        assert!(shipper.read_nothing(at(1_021), LogPosition(3000)));
    }
}
