//! What a relay remembers: packets under way with the moment each arrives, and the queries that a
//! server hasn't answered. Both are bounded. No sockets here, and the time is passed in.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

/// Packets under way, by the moment of their arrival; those of one moment in the order of their
/// leaving.
pub(super) struct Flight<T> {
    packets: BTreeMap<(Instant, u64), (T, Vec<u8>)>,
    bytes: usize,
    limit: usize,
    left: u64,
}

impl<T> Flight<T> {
    /// With nothing under way, and room for so many bytes.
    pub(super) fn new(limit: usize) -> Flight<T> {
        Flight {
            packets: BTreeMap::new(),
            bytes: 0,
            limit,
            left: 0,
        }
    }

    /// A packet leaves and arrives at that moment; it is dropped if too much is under way.
    pub(super) fn leave(&mut self, arrival: Instant, to: T, packet: Vec<u8>) {
        if self.bytes + packet.len() > self.limit {
            return;
        }
        self.bytes += packet.len();
        self.left += 1;
        self.packets.insert((arrival, self.left), (to, packet));
    }

    /// When the next one arrives.
    pub(super) fn next(&self) -> Option<Instant> {
        let (arrival, _) = self.packets.first_key_value()?.0;
        Some(*arrival)
    }

    /// The next one, if it has arrived by now.
    pub(super) fn arrived(&mut self, now: Instant) -> Option<(T, Vec<u8>)> {
        let first = self.packets.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        let (to, packet) = first.remove();
        self.bytes -= packet.len();
        Some((to, packet))
    }
}

/// A client's query, sent on under an identifier of the relay's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Asked {
    /// Who asked.
    pub(super) client: SocketAddr,
    /// The identifier that the client gave it.
    pub(super) identifier: [u8; 2],
    /// How long the reply is under way to the client.
    pub(super) delay: Duration,
}

/// The queries that one server hasn't answered, by the identifiers that the relay gave them.
#[derive(Default)]
pub(super) struct Unanswered {
    asked: BTreeMap<u16, (Asked, u64)>,
    /// The identifiers given, oldest first, each with the moment at which it is over and its turn.
    order: VecDeque<(Instant, u16, u64)>,
    turn: u64,
}

impl Unanswered {
    /// Gives a query an identifier. What is older than the last `limit`, answered ones included,
    /// and what was asked longer than `wait` ago is forgotten.
    pub(super) fn ask(&mut self, now: Instant, asked: Asked, limit: usize, wait: Duration) -> u16 {
        self.forget(now, limit.clamp(1, 65_535));
        // Identifiers are given in turn: the next one's last holder is the oldest there can be.
        self.turn += 1;
        let identifier = self.turn as u16;
        self.asked.insert(identifier, (asked, self.turn));
        self.order.push_back((now + wait, identifier, self.turn));
        identifier
    }

    /// The query that a server's reply with this identifier answers; none if there is none any
    /// more. Forgets those whose time is over as well: nobody else may ask for long.
    pub(super) fn answered(&mut self, now: Instant, identifier: u16) -> Option<Asked> {
        self.forget(now, usize::MAX);
        self.asked.remove(&identifier).map(|(asked, _)| asked)
    }

    /// Forgets the oldest for as long as `limit` are remembered, their time is over or they are
    /// answered.
    fn forget(&mut self, now: Instant, limit: usize) {
        while let Some((over, identifier, turn)) = self.order.front().copied() {
            let is_over = now > over;
            let holder = self.asked.get(&identifier);
            let is_answered = holder.is_none_or(|(_, given)| *given != turn);
            // Answered ones behind one that waits take room as well: one silent query must not
            // let them pile up.
            if !is_over && !is_answered && self.order.len() < limit {
                break;
            }
            self.order.pop_front();
            if !is_answered {
                self.asked.remove(&identifier);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(port: u16) -> Asked {
        Asked {
            client: SocketAddr::from(([127, 0, 0, 1], port)),
            identifier: [1, 2],
            delay: Duration::ZERO,
        }
    }

    #[test]
    fn packets_arrive_in_order_and_when_they_are_due() {
        let start = Instant::now();
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut flight = Flight::new(100);
        flight.leave(after(9), 'c', vec![3]);
        flight.leave(after(5), 'a', vec![1]);
        flight.leave(after(5), 'b', vec![2]);
        assert_eq!(flight.next(), Some(after(5)));
        assert_eq!(flight.arrived(after(4)), None);
        assert_eq!(flight.arrived(after(5)), Some(('a', vec![1])));
        assert_eq!(flight.arrived(after(5)), Some(('b', vec![2])));
        assert_eq!(flight.arrived(after(8)), None);
        assert_eq!(flight.arrived(after(20)), Some(('c', vec![3])));
        assert_eq!(flight.next(), None);
    }

    #[test]
    fn what_is_under_way_is_bounded_and_makes_room_when_it_arrives() {
        let now = Instant::now();
        let mut flight = Flight::new(10);
        for number in 0..4 {
            flight.leave(now, number, vec![0; 4]);
        }
        assert_eq!(flight.arrived(now).map(|(number, _)| number), Some(0));
        flight.leave(now, 9, vec![0; 4]);
        let rest: Vec<i32> = std::iter::from_fn(|| flight.arrived(now))
            .map(|(number, _)| number)
            .collect();
        assert_eq!(rest, [1, 9]);
    }

    #[test]
    fn a_query_is_answered_once_and_forgotten_in_time() {
        let (now, wait) = (Instant::now(), Duration::from_secs(5));
        let mut unanswered = Unanswered::default();
        let first = unanswered.ask(now, asked(1), 10, wait);
        let second = unanswered.ask(now, asked(2), 10, wait);
        assert_eq!(unanswered.answered(now, second), Some(asked(2)));
        assert_eq!(unanswered.answered(now, second), None);
        let later = now + wait + Duration::from_millis(1);
        assert_eq!(unanswered.answered(later, first), None);
        let third = unanswered.ask(later, asked(3), 10, wait);
        assert_eq!(unanswered.answered(later, third), Some(asked(3)));
    }

    #[test]
    fn a_query_that_is_never_answered_lets_nothing_pile_up() {
        let (now, wait) = (Instant::now(), Duration::from_secs(5));
        let mut unanswered = Unanswered::default();
        unanswered.ask(now, asked(0), 100, wait);
        for round in 0..200_000_u32 {
            let port = asked(round as u16);
            let identifier = unanswered.ask(now, port, 100, wait);
            assert_eq!(unanswered.answered(now, identifier), Some(port));
            assert!(unanswered.asked.len() <= 100 && unanswered.order.len() <= 100);
        }
    }

    #[test]
    fn however_many_ask_the_oldest_make_room() {
        let (now, wait) = (Instant::now(), Duration::from_secs(5));
        let mut unanswered = Unanswered::default();
        let mut given = Vec::new();
        for round in 0..200_000_u32 {
            given.push((
                unanswered.ask(now, asked(round as u16), 100, wait),
                round as u16,
            ));
            assert!(unanswered.asked.len() <= 100 && unanswered.order.len() <= 100);
        }
        for (identifier, port) in given.split_off(199_900) {
            assert_eq!(unanswered.answered(now, identifier), Some(asked(port)));
        }
        assert!(unanswered.asked.is_empty());
    }
}
