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

/// What a client holds of the name's answer.
#[derive(Clone, Debug)]
pub struct Answers {
    belief: Belief,
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
    pub fn new(belief: Belief) -> Answers {
        Answers { belief, held: None }
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
        let until = match self.belief {
            Belief::Ttl => Some(now + lifetime),
            Belief::For(span) => Some(now + span),
            Belief::Always => None,
        };
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

    /// The seconds, of 0 to 100, in which a client that got an answer of 5 s at 10 doesn't ask.
    fn quiet(belief: Belief) -> (u64, u64) {
        let mut answers = Answers::new(belief);
        assert_eq!(answers.address(at(0)), None);
        answers.take(at(10), &[FIRST, SECOND], Span::seconds(5));
        let quiet = (10..100).filter(|second| answers.address(at(*second)) == Some(FIRST));
        let quiet: Vec<u64> = quiet.collect();
        match (quiet.first(), quiet.last()) {
            (Some(first), Some(last)) => (*first, *last),
            _ => (0, 0),
        }
    }

    #[test]
    fn each_kind_of_client_believes_for_its_own_time() {
        assert_eq!(quiet(Belief::Ttl), (10, 14));
        assert_eq!(quiet(Belief::For(Span::seconds(60))), (10, 69));
        assert_eq!(quiet(Belief::Always), (10, 99));
    }

    #[test]
    fn an_empty_answer_is_not_held_and_takes_nothing_away() {
        let mut answers = Answers::new(Belief::Always);
        assert_eq!(answers.take(at(0), &[], Span::seconds(5)), None);
        assert_eq!(answers.address(at(1)), None);
        assert_eq!(answers.take(at(2), &[SECOND], Span::ZERO), Some(SECOND));
        assert_eq!(answers.take(at(3), &[], Span::ZERO), None);
        assert_eq!(answers.address(at(4)), Some(SECOND));
    }
}
