//! What a client knows of a name, and for how long it believes it: the difference between clients
//! that follow a failover and clients that don't. Pure: told the time and the answers.

use std::net::Ipv4Addr;

use types::{Monotonic, Span};

/// For how long a client believes an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Belief {
    /// For its TTL.
    Ttl,
    /// For that long, whatever its TTL.
    For(Span),
    /// For ever.
    Always,
}

/// The share of its time for which a client believes its first answer, which it doesn't have
/// fresh: so the clients of a load, which begin together, don't all ask again at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Phase {
    /// So many ...
    pub part: u64,
    /// ... of so many parts; at least one.
    pub of: u64,
}

/// What a client holds of the name's answer.
#[derive(Clone, Debug)]
pub struct Answers {
    belief: Belief,
    /// Until the first answer.
    phase: Option<Phase>,
    held: Option<Held>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    address: Ipv4Addr,
    /// Without it, for ever.
    until: Option<Monotonic>,
}

impl Answers {
    /// A client that has asked for nothing yet.
    pub fn new(belief: Belief, phase: Phase) -> Answers {
        Answers {
            belief,
            phase: Some(phase),
            held: None,
        }
    }

    /// A client that asks for nothing: it knows where to go.
    pub fn fixed(address: Ipv4Addr) -> Answers {
        let until = None;
        Answers {
            belief: Belief::Always,
            phase: None,
            held: Some(Held { address, until }),
        }
    }

    /// The address to go to, unless the name has to be asked for.
    pub fn address(&self, now: Monotonic) -> Option<Ipv4Addr> {
        let held = self.held?;
        held.until
            .is_none_or(|until| now < until)
            .then_some(held.address)
    }

    /// Takes an answer: the first address, as resolvers and their users do. An answer without any
    /// changes nothing and isn't held.
    pub fn take(
        &mut self,
        now: Monotonic,
        addresses: &[Ipv4Addr],
        lifetime: Span,
    ) -> Option<Ipv4Addr> {
        let address = *addresses.first()?;
        let span = match self.belief {
            Belief::Ttl => Some(lifetime),
            Belief::For(span) => Some(span),
            Belief::Always => None,
        };
        let phase = self.phase.take().unwrap_or(Phase { part: 1, of: 1 });
        let until = span.map(|span| now + Span(span.0 / phase.of * phase.part));
        self.held = Some(Held { address, until });
        Some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Ipv4Addr = Ipv4Addr::new(127, 1, 1, 1);
    const SECOND: Ipv4Addr = Ipv4Addr::new(127, 1, 2, 1);

    fn at(seconds: u64) -> Monotonic {
        Monotonic(0) + Span::seconds(seconds)
    }

    const WHOLE: Phase = Phase { part: 1, of: 1 };

    /// Until which second a client that gets an answer of 8 s at 10, and at each end again, does
    /// not ask, three times over.
    fn ends(belief: Belief, phase: Phase) -> Vec<u64> {
        let mut answers = Answers::new(belief, phase);
        assert_eq!(answers.address(at(0)), None);
        let mut ends = Vec::new();
        let mut from = 10;
        while ends.len() < 3 {
            answers.take(at(from), &[FIRST, SECOND], Span::seconds(8));
            let quiet = (from..1_000).take_while(|to| answers.address(at(*to)) == Some(FIRST));
            from = quiet.last().unwrap_or(from) + 1;
            ends.push(from);
        }
        ends
    }

    #[test]
    fn each_kind_of_client_believes_for_its_own_time() {
        assert_eq!(ends(Belief::Ttl, WHOLE), [18, 26, 34]);
        assert_eq!(ends(Belief::For(Span::seconds(60)), WHOLE), [70, 130, 190]);
        assert_eq!(ends(Belief::Always, WHOLE), [1_000, 1_001, 1_002]);
    }

    #[test]
    fn whoever_knows_where_to_go_never_asks() {
        let answers = Answers::fixed(SECOND);
        for seconds in [0, 1, 100_000] {
            assert_eq!(answers.address(at(seconds)), Some(SECOND));
        }
    }

    #[test]
    fn a_first_answer_is_not_fresh_and_later_ones_are() {
        let phase = Phase { part: 3, of: 8 };
        assert_eq!(ends(Belief::Ttl, phase), [13, 21, 29]);
        assert_eq!(ends(Belief::Always, phase)[0], 1_000);
    }

    #[test]
    fn an_empty_answer_is_not_held_and_takes_nothing_away() {
        let mut answers = Answers::new(Belief::Always, WHOLE);
        assert_eq!(answers.take(at(0), &[], Span::seconds(5)), None);
        assert_eq!(answers.address(at(1)), None);
        assert_eq!(answers.take(at(2), &[SECOND], Span::ZERO), Some(SECOND));
        assert_eq!(answers.take(at(3), &[], Span::ZERO), None);
        assert_eq!(answers.address(at(4)), Some(SECOND));
    }
}
