//! The outgoing half of a link: which frame is next, and when it leaves. Control comes first,
//! data and bulk take turns, and within a class the lanes do.

use bytes::{Bytes, BytesMut};
use types::Monotonic;

use crate::connection::{Connection, Ending};
use crate::frame::{Frame, HEADER, Kind};
use crate::link::Link;
use crate::outbound::Ready;
use crate::{Class, ConnectionId, Lane};

/// The most that `Link::transmit` gives at once.
pub const BATCH: usize = 64 << 10;

/// What a connection would send next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    Owed,
    Piece(Lane),
    Close,
}

impl Link {
    /// Bytes that are due on that connection now, at most `BATCH` and a frame. Call it until it
    /// gives `None`, again at `next_wake`, and again when a full socket took some: what is not
    /// fetched stays.
    pub fn transmit(&mut self, now: Monotonic, connection: ConnectionId) -> Option<Bytes> {
        self.notice(now);
        self.pump(now);
        if self.shape.cut.is_some() {
            return None;
        }
        let found = self.connections.get_mut(&connection)?;
        let mut batch = BytesMut::new();
        while batch.len() < BATCH {
            let Some(ready) = found.line.pop(now) else {
                break;
            };
            self.meter.count(ready.framed_length(), ready.charge);
            batch.extend_from_slice(&ready.prefix);
            batch.extend_from_slice(&ready.body);
            if ready.closes {
                found.ending = Ending::Transmitted;
            }
        }
        if !batch.is_empty() {
            self.settle(now, connection);
            self.changed = true;
            self.pump(now);
        }
        (!batch.is_empty()).then(|| batch.freeze())
    }

    /// Puts every frame on its way whose turn has come. Costs nothing unless something changed or
    /// the serialiser has become free for a frame that waits.
    pub(crate) fn pump(&mut self, now: Monotonic) {
        let due = self.waiting && self.serialiser.free_at() <= now;
        if self.shape.cut.is_some() || !(self.changed || due) {
            return;
        }
        self.changed = false;
        self.waiting = false;
        while let Some((id, next)) = self.next_frame(now) {
            if self.serialiser.free_at() > now {
                self.serialiser.wait();
                self.waiting = true;
                return;
            }
            let Some(ready) = self.cut_frame(id, next) else {
                break;
            };
            let serialised = self.serialiser.serialise(now, ready.framed_length());
            let latency = self.shape.latency(&mut self.random);
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.line.push(serialised, latency, ready);
            }
        }
        self.serialiser.rest();
    }

    /// When the next frame can be put on its way, if one waits for the serialiser alone.
    pub(crate) fn pump_at(&self) -> Option<Monotonic> {
        (self.waiting && self.shape.cut.is_none()).then(|| self.serialiser.free_at())
    }

    /// The connection whose turn it is, and what it sends.
    fn next_frame(&self, now: Monotonic) -> Option<(ConnectionId, Next)> {
        for (id, connection) in &self.connections {
            if connection.owes() && !connection.line.is_untaken(now) {
                return Some((*id, Next::Owed));
            }
        }
        let classes = match self.last_class {
            Class::Data => [Class::Control, Class::Bulk, Class::Data],
            Class::Control | Class::Bulk => [Class::Control, Class::Data, Class::Bulk],
        };
        for class in classes {
            for (id, connection) in &self.connections {
                if connection.session.class() == class
                    && connection.has_data()
                    && !connection.line.is_untaken(now)
                    && let Some(next) = self.next_piece(connection)
                {
                    return Some((*id, next));
                }
            }
        }
        None
    }

    /// What a connection's data is next, in the order of the lanes' turns.
    fn next_piece(&self, connection: &Connection) -> Option<Next> {
        let class = connection.session.class();
        let lanes = class.lanes();
        let last = self.last_lane[class.index()];
        let turn = lanes.iter().position(|lane| *lane == last).unwrap_or(0) + 1;
        for place in turn..turn + lanes.len() {
            let lane = lanes[place % lanes.len()];
            let left = match &connection.cutting[lane.index()] {
                Some(cutting) => Some(cutting.left()),
                None if connection.ending == Ending::Open => {
                    self.queues[lane.index()].next_length()
                }
                None => None,
            };
            // Without credit for the lane whose turn it is all wait, else it might wait for ever.
            if let Some(left) = left {
                let length = HEADER + left.min(self.serialiser.frame_payload());
                let credit = connection.credit.saturating_sub(connection.sent);
                return (credit >= length as u64).then_some(Next::Piece(lane));
            }
        }
        (connection.ending == Ending::Draining).then_some(Next::Close)
    }

    fn cut_frame(&mut self, id: ConnectionId, next: Next) -> Option<Ready> {
        let connection = self.connections.get_mut(&id)?;
        let class = connection.session.class();
        match next {
            Next::Owed => connection.pay(),
            Next::Close => {
                connection.ending = Ending::Announced;
                Some(Ready::plain(&Frame::plain(
                    class,
                    Kind::Close,
                    Bytes::new(),
                )))
            }
            Next::Piece(lane) => {
                let slot = &mut connection.cutting[lane.index()];
                let mut cutting = match slot.take() {
                    Some(cutting) => cutting,
                    None => {
                        connection.streams += 1;
                        self.queues[lane.index()].pop(connection.streams)?
                    }
                };
                let (ready, last) = cutting.cut(class, self.serialiser.frame_payload());
                if !last {
                    *slot = Some(cutting);
                }
                connection.sent += ready.framed_length() as u64;
                self.last_lane[class.index()] = lane;
                if class != Class::Control {
                    self.last_class = class;
                }
                Some(ready)
            }
        }
    }
}
