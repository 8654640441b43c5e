//! One connection of a link: what it owes the peer, what it is cutting and assembling, and its
//! heartbeats. It decides nothing that concerns other connections.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use types::{Monotonic, Span};

use crate::frame::{Decoder, Frame, Kind};
use crate::inbound::{Assembler, Delivery, ProtocolError};
use crate::outbound::{Cutting, Line, Ready};
use crate::{Lane, Session};

/// How often each end sends a heartbeat on each connection.
pub const HEARTBEAT: Span = Span::seconds(1);

/// How many unanswered heartbeats are remembered. Older ones' answers count as life, not as time.
const REMEMBERED_HEARTBEATS: usize = 32;

/// A connection of a link, numbered by it; never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub(crate) u64);

/// How far this end is with ending its data on a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// Envelopes begin here.
    Open,
    /// A newer connection took over; envelopes begun here end here.
    Draining,
    /// `Close` is on its way.
    Announced,
    /// `Close` was handed to the driver.
    Transmitted,
}

/// Frames owed that belong to no envelope. The newest of a kind replaces the one before, so a
/// peer can't make them pile up.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    hello: Option<(u64, bool)>,
    pub(crate) pong: Option<u64>,
    pub(crate) credit: Option<u64>,
    ping: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) session: Session,
    pub(crate) replace_at: Monotonic,
    /// The peer greeted: envelopes can be sent and arrive.
    pub(crate) confirmed: bool,
    pub(crate) decoder: Decoder,
    pub(crate) assembler: Assembler,
    /// Envelopes that wait until an older connection has given all of its own.
    pub(crate) held: VecDeque<Delivery>,
    pub(crate) owed: Owed,
    pub(crate) cutting: [Option<Cutting>; Lane::ALL.len()],
    pub(crate) line: Line,
    pub(crate) ending: Ending,
    /// When it is forgotten, both ends having ended their data.
    pub(crate) forget_at: Option<Monotonic>,
    pub(crate) credit: u64,
    pub(crate) sent: u64,
    pub(crate) streams: u64,
    /// The last sign of life that answers one of ours.
    pub(crate) answered: Monotonic,
    pub(crate) next_heartbeat: Monotonic,
    heartbeats: VecDeque<(u64, Monotonic)>,
    last_heartbeat: u64,
}

impl Connection {
    /// A connection that begins now; it owes its greeting.
    pub(crate) fn new(
        now: Monotonic,
        session: Session,
        replace_at: Monotonic,
        window: u64,
        replaces: bool,
    ) -> Connection {
        let assembler = Assembler::new(session.class(), window);
        let owed = Owed {
            hello: Some((window, replaces)),
            ..Owed::default()
        };
        Connection {
            session,
            replace_at,
            confirmed: false,
            decoder: Decoder::default(),
            assembler,
            held: VecDeque::new(),
            owed,
            cutting: [const { None }; Lane::ALL.len()],
            line: Line::default(),
            ending: Ending::Open,
            forget_at: None,
            credit: 0,
            sent: 0,
            streams: 0,
            answered: now,
            next_heartbeat: now,
            heartbeats: VecDeque::new(),
            last_heartbeat: 0,
        }
    }

    /// Whether envelopes may begin here.
    pub(crate) fn is_usable(&self) -> bool {
        self.confirmed && self.ending == Ending::Open
    }

    /// Whether it may have pieces of envelopes, or their end, to send.
    pub(crate) fn has_data(&self) -> bool {
        self.confirmed && matches!(self.ending, Ending::Open | Ending::Draining)
    }

    /// Whether both ends have sent and received all.
    pub(crate) fn is_done(&self) -> bool {
        self.ending == Ending::Transmitted && self.assembler.closed()
    }

    /// Whether it could still give an envelope that was sent before a newer connection's.
    pub(crate) fn precedes(&self) -> bool {
        self.confirmed && !self.assembler.closed()
    }

    /// Owes a heartbeat now.
    pub(crate) fn beat(&mut self, now: Monotonic) {
        self.last_heartbeat += 1;
        self.owed.ping = Some(self.last_heartbeat);
        self.heartbeats.push_back((self.last_heartbeat, now));
        if self.heartbeats.len() > REMEMBERED_HEARTBEATS {
            self.heartbeats.pop_front();
        }
    }

    /// The peer answered a heartbeat: the round trip, if that heartbeat is remembered.
    pub(crate) fn answer(
        &mut self,
        now: Monotonic,
        number: u64,
    ) -> Result<Option<Span>, ProtocolError> {
        if number == 0 || number > self.last_heartbeat {
            return Err(ProtocolError::Pong);
        }
        self.answered = now;
        let mut round_trip = None;
        while let Some((sent, at)) = self.heartbeats.pop_front_if(|(sent, _)| *sent <= number) {
            if sent == number {
                round_trip = Some(now - at);
            }
        }
        Ok(round_trip)
    }

    /// Forgets when heartbeats left: a cut would be measured as a round trip.
    pub(crate) fn forget_heartbeats(&mut self) {
        self.heartbeats.clear();
    }

    /// Whether a frame is owed that belongs to no envelope.
    pub(crate) fn owes(&self) -> bool {
        let Owed {
            hello,
            pong,
            credit,
            ping,
        } = &self.owed;
        hello.is_some() || pong.is_some() || credit.is_some() || ping.is_some()
    }

    /// The next frame owed. The greeting comes before any other.
    pub(crate) fn pay(&mut self) -> Option<Ready> {
        let owed = &mut self.owed;
        let class = self.session.class();
        let frame = if let Some((window, replaces)) = owed.hello.take() {
            let mut payload = BytesMut::with_capacity(9);
            payload.put_u64(window);
            payload.put_u8(u8::from(replaces));
            Frame::plain(class, Kind::Hello, payload.freeze())
        } else if let Some(number) = owed.pong.take() {
            Frame::plain(class, Kind::Pong, number_payload(number))
        } else if let Some(total) = owed.credit.take() {
            Frame::plain(class, Kind::Credit, number_payload(total))
        } else {
            Frame::plain(class, Kind::Ping, number_payload(owed.ping.take()?))
        };
        Some(Ready::plain(&frame))
    }
}

fn number_payload(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}
