//! The receiving side of replication from one peer, sans-IO: what to do with a stretch of its
//! log. The durable cursor is committed with the changes themselves, by the Region.

use store::LogPosition;

use crate::message::LogId;

/// How far one peer's log is applied here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cursor {
    /// The log; `None`: nothing of any was applied yet.
    pub log: Option<LogId>,
    /// Applied up to here.
    pub applied: LogPosition,
}

/// What to do with a stretch of the peer's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stretch {
    /// Apply it, then stand at its end. (A part may have been applied before: applying a record
    /// twice changes nothing, its version says so.)
    Apply,
    /// All of it was applied before: say so again.
    Duplicate,
    /// Something before it is missing: ask for it.
    Gap,
}

impl Cursor {
    /// What to do with the changes after `from` and up to `to` of `log`.
    pub fn judge(self, log: LogId, from: LogPosition, to: LogPosition) -> Stretch {
        let applied = match self.log {
            Some(known) if known == log => self.applied,
            // Another life of the peer: its log is new, so it is read from its beginning.
            _ => LogPosition(0),
        };
        if from > applied {
            Stretch::Gap
        } else if to <= applied && self.log == Some(log) {
            Stretch::Duplicate
        } else {
            Stretch::Apply
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(applied: u64, from: u64, to: u64) -> Stretch {
        let cursor = Cursor {
            log: Some(LogId(1)),
            applied: LogPosition(applied),
        };
        cursor.judge(LogId(1), LogPosition(from), LogPosition(to))
    }

    #[test]
    fn the_next_stretch_is_applied_an_old_one_is_not_a_later_one_waits() {
        assert_eq!(judge(5, 5, 9), Stretch::Apply);
        assert_eq!(judge(5, 3, 9), Stretch::Apply);
        assert_eq!(judge(5, 3, 5), Stretch::Duplicate);
        assert_eq!(judge(5, 6, 9), Stretch::Gap);
    }

    #[test]
    fn another_life_of_the_peers_log_begins_at_its_beginning() {
        let cursor = Cursor {
            log: Some(LogId(1)),
            applied: LogPosition(500),
        };
        assert_eq!(
            cursor.judge(LogId(2), LogPosition(0), LogPosition(4)),
            Stretch::Apply
        );
        assert_eq!(
            cursor.judge(LogId(2), LogPosition(7), LogPosition(9)),
            Stretch::Gap
        );
        let fresh = Cursor::default();
        assert_eq!(
            fresh.judge(LogId(1), LogPosition(0), LogPosition(0)),
            Stretch::Apply
        );
    }
}
