//! What is remembered of a cluster's head for when it is dead: where its log ended whenever it said
//! so, in the moments before it was last heard. By that it is judged which readers followed it to
//! the end. A reader that is connected may be hours behind, and one that hangs says nothing.

use std::collections::VecDeque;

use types::{Monotonic, Span};

use crate::model::Lsn;

/// A reader that lacks what its head had on its disk so long before it was last heard didn't follow
/// it any more: a look at a busy machine takes as long.
const LATE: Span = Span::seconds(5);

/// Where the head was heard more rarely than that, its last answer but one counts if it is no
/// older.
const RARE: Span = Span::seconds(15);

/// Where a head's log ended lately.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Life {
    /// When it said so, and what; the oldest first, none longer before the newest than [`LATE`], or
    /// one alone than [`RARE`].
    said: VecDeque<(Monotonic, Lsn)>,
}

impl Life {
    /// It answered at that time that its log ends there on its disk; `None`: that it is a standby,
    /// and what it wrote before is nobody's measure any more.
    pub fn answered(&mut self, at: Monotonic, end: Option<Lsn>) {
        let Some(end) = end else {
            return self.said.clear();
        };
        let last = self.said.back().copied();
        self.said.retain(|(before, _)| *before + LATE >= at);
        if self.said.is_empty() {
            let rare = last.filter(|(before, _)| *before + RARE >= at);
            self.said.extend(rare);
        }
        self.said.push_back((at, end));
    }

    /// Did whoever has its log up to there follow it to the end? Of one that was never heard nobody
    /// can tell, so nobody did.
    pub fn is_followed_by(&self, received: Lsn) -> bool {
        let oldest = self.said.front();
        oldest.is_some_and(|(_, end)| received >= *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lacks_what_a_head_had_five_seconds_before_its_end_did_not_follow_it() {
        let at = |seconds: u64| Monotonic(seconds * 1_000_000);
        let mut life = Life::default();
        assert!(!life.is_followed_by(Lsn(u64::MAX)), "nobody heard it");
        for second in 0..60 {
            life.answered(at(second), Some(Lsn(100 * second)));
        }
        assert!(!life.is_followed_by(Lsn(5399)));
        assert!(life.is_followed_by(Lsn(5400)));
        life.answered(at(69), Some(Lsn(6900)));
        assert!(life.is_followed_by(Lsn(5900)), "the machine was busy");
        assert!(!life.is_followed_by(Lsn(5899)));
        life.answered(at(70), Some(Lsn(7000)));
        assert!(!life.is_followed_by(Lsn(5900)));
        life.answered(at(3600), Some(Lsn(9000)));
        assert!(
            !life.is_followed_by(Lsn(8999)),
            "it hung, and was heard again"
        );
        assert!(life.is_followed_by(Lsn(9000)));
        life.answered(at(3601), None);
        assert!(!life.is_followed_by(Lsn(u64::MAX)), "it followed another");
    }
}
