//! The incoming half of a link: frames taken, envelopes handed over, credit granted.

use bytes::{Buf, Bytes};
use types::{Monotonic, Span};

use crate::connection::Ending;
use crate::frame::{Frame, Kind};
use crate::inbound::{Arrived, Delivery, ProtocolError, Receipt};
use crate::link::Link;
use crate::{Class, CloseReason, ConnectionId};

impl Link {
    /// Takes bytes that arrived on a connection. Bytes of a connection that the link has
    /// forgotten are ignored.
    ///
    /// # Errors
    /// The peer broke the protocol: the link has forgotten the connection, the driver closes it.
    pub fn received(
        &mut self,
        now: Monotonic,
        connection: ConnectionId,
        bytes: &[u8],
    ) -> Result<(), ProtocolError> {
        self.notice(now);
        let outcome = self.take_bytes(now, connection, bytes);
        if let Err(error) = &outcome {
            tracing::warn!(peer = %self.config.peer, %error, "the peer broke the link's protocol");
            self.forget(now, connection);
        }
        self.changed = true;
        self.pump(now);
        outcome
    }

    /// The next envelope that arrived; control before data before bulk, and in each lane in the
    /// order they were sent.
    pub fn next_delivery(&mut self) -> Option<Delivery> {
        self.ready.iter_mut().find_map(|ready| ready.pop_front())
    }

    /// The consumer is done with a delivery: its room is granted to the peer again. Which
    /// connection it came on, and whether that still lives, doesn't matter.
    pub fn consumed(&mut self, now: Monotonic, receipt: Receipt) {
        self.notice(now);
        let unconsumed = &mut self.unconsumed[receipt.class.index()];
        *unconsumed = unconsumed.saturating_sub(receipt.bytes);
        self.grant(receipt.class);
        self.pump(now);
    }

    /// How much of a class's window is free.
    pub(crate) fn free_window(&self, class: Class) -> u64 {
        let window = self.config.windows.of(class);
        window.saturating_sub(self.unconsumed[class.index()])
    }

    fn grant(&mut self, class: Class) {
        let window = self.config.windows.of(class);
        let free = self.free_window(class);
        for connection in self.connections.values_mut() {
            if connection.session.class() == class
                && let Some(total) = connection.assembler.grant(window, free)
            {
                connection.owed.credit = Some(total);
                self.changed = true;
            }
        }
    }

    fn take_bytes(
        &mut self,
        now: Monotonic,
        id: ConnectionId,
        bytes: &[u8],
    ) -> Result<(), ProtocolError> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Ok(());
        };
        self.last_heard = Some(now);
        connection.decoder.push(bytes);
        // A frame may supersede its own connection: look it up each time.
        while let Some(connection) = self.connections.get_mut(&id) {
            let Some(frame) = connection.decoder.next_frame()? else {
                break;
            };
            self.take_frame(now, id, frame)?;
        }
        Ok(())
    }

    fn take_frame(
        &mut self,
        now: Monotonic,
        id: ConnectionId,
        frame: Frame,
    ) -> Result<(), ProtocolError> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Ok(());
        };
        let class = connection.session.class();
        if frame.class != class {
            return Err(ProtocolError::Class {
                expected: class,
                found: frame.class,
            });
        }
        if connection.confirmed == (frame.kind == Kind::Hello) {
            return Err(ProtocolError::Greeting);
        }
        match frame.kind {
            Kind::Hello => self.take_hello(now, id, frame.payload)?,
            Kind::Ping => connection.owed.pong = Some(number(frame.payload)),
            Kind::Pong => {
                let round_trip = connection.answer(now, number(frame.payload))?;
                if class == Class::Control
                    && let Some(sample) = round_trip
                {
                    self.measure(sample);
                }
            }
            Kind::Credit => {
                let total = number(frame.payload);
                if total < connection.credit {
                    return Err(ProtocolError::CreditTakenBack);
                }
                connection.credit = total;
            }
            Kind::Close => {
                connection.assembler.close()?;
                self.release(class);
                self.settle(now, id);
            }
            Kind::Data => {
                let arrived = connection.assembler.take(frame)?;
                if let Some(arrived) = arrived {
                    self.hand_over(id, class, arrived);
                }
                self.grant(class);
            }
        }
        Ok(())
    }

    fn take_hello(
        &mut self,
        now: Monotonic,
        id: ConnectionId,
        mut payload: Bytes,
    ) -> Result<(), ProtocolError> {
        let window = payload.get_u64();
        let replaces = match payload.get_u8() {
            0 => false,
            1 if !self.dials() => true,
            _ => return Err(ProtocolError::Greeting),
        };
        let Some(connection) = self.connections.get_mut(&id) else {
            return Ok(());
        };
        connection.confirmed = true;
        connection.credit = window;
        let class = connection.session.class();
        let older: Vec<_> = self.of_class(class).filter(|older| *older < id).collect();
        for older in older {
            if !self.dials() && !replaces {
                // The dialling end has lost what it had.
                self.close(now, older, CloseReason::Superseded);
            } else if let Some(older) = self.connections.get_mut(&older)
                && older.ending == Ending::Open
            {
                older.ending = Ending::Draining;
            }
        }
        self.dialling[class.index()].succeeded();
        tracing::debug!(peer = %self.config.peer, %class, "link connected");
        Ok(())
    }

    fn hand_over(&mut self, id: ConnectionId, class: Class, arrived: Arrived) {
        let Arrived {
            content,
            framed_bytes,
        } = arrived;
        self.unconsumed[class.index()] += framed_bytes;
        let delivery = Delivery {
            from: self.config.peer,
            lane: content.lane,
            service: content.service,
            resource: content.resource,
            records: content.records,
            payload: content.payload,
            receipt: Receipt {
                class,
                bytes: framed_bytes,
            },
        };
        let mut older = self.connections.range(..id).map(|(_, older)| older);
        let wait = older.any(|older| older.session.class() == class && older.precedes());
        match self.connections.get_mut(&id) {
            Some(connection) if wait => connection.held.push_back(delivery),
            _ => self.ready[class.index()].push_back(delivery),
        }
    }

    /// Hands over what waited for an older connection that has given all.
    pub(crate) fn release(&mut self, class: Class) {
        for connection in self.connections.values_mut() {
            if connection.session.class() != class {
                continue;
            }
            self.ready[class.index()].append(&mut connection.held);
            if connection.precedes() {
                break;
            }
        }
    }

    /// Smooths round trips as RFC 6298 does: seven eighths of the old, one of the new.
    fn measure(&mut self, sample: Span) {
        self.round_trip = Some(match self.round_trip {
            Some(Span(smoothed)) => Span((smoothed.saturating_mul(7).saturating_add(sample.0)) / 8),
            None => sample,
        });
    }
}

fn number(mut payload: Bytes) -> u64 {
    payload.get_u64()
}
