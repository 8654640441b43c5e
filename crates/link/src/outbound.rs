//! What leaves: the queue of each lane, the cutting of envelopes into frames, the serialiser that
//! obeys the rate, and the line on which frames are under way for the time of the delay.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use bytes::{BufMut, Bytes, BytesMut};
use types::{Monotonic, Span};

use crate::envelope::Content;
use crate::frame::{Frame, HEADER, Kind, MAXIMUM_FRAME_PAYLOAD};
use crate::meter::{Charge, Row};
use crate::shape::Random;
use crate::{Class, Shape};

/// How many envelopes a lane's queue holds.
pub const QUEUE_ENVELOPES: usize = 4096;

/// How many bytes of payload a lane's queue holds, unless one envelope alone has more.
pub const QUEUE_BYTES: usize = 16 << 20;

/// How much may wait, due, for a driver that doesn't take it. Little, so that lanes take turns
/// as late as possible.
pub const UNTAKEN_BYTES: usize = 128 << 10;

/// How long a frame may occupy a slow link, so that a heartbeat never waits longer behind one.
const FRAME_TIME: Span = Span::milliseconds(50);

/// The least payload of a frame on a slow link: an envelope's head fits in.
const MINIMUM_FRAME_PAYLOAD: usize = 1000;

/// The length of an envelope's head without the resource's name: lane u8, service u8, records
/// u32, payload length u32, resource length u8.
pub(crate) const HEAD: usize = 11;

/// The waiting envelopes of one lane.
#[derive(Debug, Default)]
pub(crate) struct LaneQueue {
    envelopes: VecDeque<(Content, Row)>,
    bytes: usize,
}

/// An envelope of which a part is on its way.
#[derive(Debug)]
pub(crate) struct Cutting {
    stream: u64,
    sequence: u32,
    head: Bytes,
    payload: Bytes,
    row: Row,
    records: u32,
}

/// A frame ready for the wire, in two pieces that need no joining.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) prefix: Bytes,
    pub(crate) body: Bytes,
    pub(crate) charge: Option<Charge>,
    pub(crate) closes: bool,
}

#[derive(Debug)]
struct Departing {
    serialised: Monotonic,
    at: Monotonic,
    ready: Ready,
}

/// The frames of one connection that are under way, in order.
#[derive(Debug, Default)]
pub(crate) struct Line {
    departing: VecDeque<Departing>,
    bytes: usize,
}

/// Gives frames their turn on a link of limited rate.
#[derive(Debug)]
pub(crate) struct Serialiser {
    rate: Option<NonZeroU64>,
    /// When the frame before this one has left the sender, in nanoseconds: exact at high rates.
    free_at: u128,
    /// Nothing waited when it was last asked: time passed unused is not made up for.
    idle: bool,
}

impl LaneQueue {
    pub(crate) fn has_room(&self, payload: usize) -> bool {
        self.envelopes.is_empty()
            || (self.envelopes.len() < QUEUE_ENVELOPES && self.bytes + payload <= QUEUE_BYTES)
    }

    pub(crate) fn push(&mut self, content: Content, row: Row) {
        self.bytes += content.payload.len();
        self.envelopes.push_back((content, row));
    }

    pub(crate) fn clear(&mut self) {
        *self = LaneQueue::default();
    }

    /// The bytes that the next envelope has on the wire in its first frame, before any limit.
    pub(crate) fn next_length(&self) -> Option<usize> {
        let (content, _) = self.envelopes.front()?;
        Some(HEAD + content.resource.len() + content.payload.len())
    }

    /// The next envelope, ready to be cut.
    pub(crate) fn pop(&mut self, stream: u64) -> Option<Cutting> {
        let (content, row) = self.envelopes.pop_front()?;
        self.bytes -= content.payload.len();
        let mut head = BytesMut::with_capacity(HEAD + content.resource.len());
        head.put_u8(content.lane.number());
        head.put_u8(content.service.0);
        head.put_u32(content.records);
        let length = u32::try_from(content.payload.len()).expect("at most MAXIMUM_PAYLOAD");
        head.put_u32(length);
        let resource = u8::try_from(content.resource.len()).expect("at most MAXIMUM_RESOURCE");
        head.put_u8(resource);
        head.put_slice(content.resource.as_bytes());
        Some(Cutting {
            stream,
            sequence: 0,
            head: head.freeze(),
            payload: content.payload,
            row,
            records: content.records,
        })
    }
}

impl Cutting {
    /// The bytes that are left, before any limit.
    pub(crate) fn left(&self) -> usize {
        self.head.len() + self.payload.len()
    }

    /// The next frame, with at most that much payload, and whether it is the last.
    pub(crate) fn cut(&mut self, class: Class, limit: usize) -> (Ready, bool) {
        let head = std::mem::take(&mut self.head);
        let length = self.payload.len().min(limit.saturating_sub(head.len()));
        let body = self.payload.split_to(length);
        let last = self.payload.is_empty();
        let frame = Frame {
            class,
            kind: Kind::Data,
            last,
            stream: self.stream,
            sequence: self.sequence,
            payload: Bytes::new(),
        };
        self.sequence += 1;
        let mut prefix = BytesMut::with_capacity(HEADER + head.len());
        prefix.put_slice(&frame.header(&head, &body));
        prefix.put_slice(&head);
        let charge = Charge {
            row: self.row,
            payload_bytes: u32::try_from(length).expect("at most a frame"),
            completes: last.then_some(self.records),
        };
        let ready = Ready {
            prefix: prefix.freeze(),
            body,
            charge: Some(charge),
            closes: false,
        };
        (ready, last)
    }
}

impl Ready {
    /// A frame that belongs to no envelope.
    pub(crate) fn plain(frame: &Frame) -> Ready {
        Ready {
            prefix: frame.encode(),
            body: Bytes::new(),
            charge: None,
            closes: frame.kind == Kind::Close,
        }
    }

    pub(crate) fn framed_length(&self) -> usize {
        self.prefix.len() + self.body.len()
    }
}

impl Line {
    /// Puts a frame on its way that was serialised at that time.
    pub(crate) fn push(&mut self, serialised: Monotonic, latency: Span, ready: Ready) {
        let before = self.departing.back().map(|frame| frame.at);
        let at = (serialised + latency).max(before.unwrap_or_default());
        self.bytes += ready.framed_length();
        self.departing.push_back(Departing {
            serialised,
            at,
            ready,
        });
    }

    /// Takes the first frame, if it is due.
    pub(crate) fn pop(&mut self, now: Monotonic) -> Option<Ready> {
        let frame = self.departing.pop_front_if(|frame| frame.at <= now)?;
        self.bytes -= frame.ready.framed_length();
        Some(frame.ready)
    }

    /// Whether so much waits for the driver that no more should be cut.
    pub(crate) fn is_untaken(&self, now: Monotonic) -> bool {
        self.bytes >= UNTAKEN_BYTES && self.next_at().is_some_and(|at| at <= now)
    }

    /// When the first frame is due.
    pub(crate) fn next_at(&self) -> Option<Monotonic> {
        self.departing.front().map(|frame| frame.at)
    }

    /// Gives the frames under way the latency of a new shape. Order is kept.
    pub(crate) fn reshape(&mut self, now: Monotonic, shape: &Shape, random: &mut Random) {
        let mut before = Monotonic::default();
        for frame in &mut self.departing {
            // What a slower rate held back beyond now is on its way from now on.
            frame.serialised = frame.serialised.min(now);
            frame.at = (frame.serialised + shape.latency(random)).max(before);
            before = frame.at;
        }
    }
}

impl Serialiser {
    pub(crate) fn new() -> Serialiser {
        Serialiser {
            rate: None,
            free_at: 0,
            idle: true,
        }
    }

    pub(crate) fn set_rate(&mut self, now: Monotonic, rate: Option<NonZeroU64>) {
        self.rate = rate;
        self.free_at = self.free_at.min(nanoseconds(now));
        self.idle = true;
    }

    /// The longest payload of a frame, so that none occupies a slow link for long.
    pub(crate) fn frame_payload(&self) -> usize {
        let Some(rate) = self.rate else {
            return MAXIMUM_FRAME_PAYLOAD;
        };
        let bytes = rate.get() / (1_000_000 / FRAME_TIME.0);
        usize::try_from(bytes)
            .unwrap_or(usize::MAX)
            .clamp(MINIMUM_FRAME_PAYLOAD, MAXIMUM_FRAME_PAYLOAD)
    }

    /// When the next frame can be serialised.
    pub(crate) fn free_at(&self) -> Monotonic {
        let free_at = u64::try_from(self.free_at.div_ceil(1000)).unwrap_or(u64::MAX);
        match self.rate {
            Some(_) => Monotonic(free_at),
            None => Monotonic::default(),
        }
    }

    /// Nothing waits.
    pub(crate) fn rest(&mut self) {
        self.idle = true;
    }

    /// Something waits, but the frame before it has not left: they will follow without a gap,
    /// however late that is noticed.
    pub(crate) fn wait(&mut self) {
        self.idle = false;
    }

    /// Serialises a frame of that length; gives the time when that is done.
    pub(crate) fn serialise(&mut self, now: Monotonic, length: usize) -> Monotonic {
        let Some(rate) = self.rate else {
            return now;
        };
        if std::mem::take(&mut self.idle) {
            self.free_at = self.free_at.max(nanoseconds(now));
        }
        let time = (length as u128 * 1_000_000_000).div_ceil(u128::from(rate.get()));
        self.free_at += time;
        self.free_at()
    }
}

fn nanoseconds(time: Monotonic) -> u128 {
    u128::from(time.0) * 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Meter;
    use crate::{Lane, Service};

    #[test]
    fn golden_head_of_an_envelope() {
        let mut queue = LaneQueue::default();
        let content = Content {
            lane: Lane::Changes,
            service: Service(1),
            resource: "Orders".to_owned(),
            records: 258,
            payload: Bytes::from_static(b"body"),
        };
        let row = Meter::default().row(Lane::Changes, Service(1), "Orders");
        queue.push(content, row);
        assert_eq!(queue.next_length(), Some(21));
        let mut cutting = queue.pop(1).expect("pushed");
        assert_eq!(cutting.left(), 21);
        let (first, last) = cutting.cut(Class::Data, 19);
        let head = [3, 1, 0, 0, 1, 2, 0, 0, 0, 4, 6];
        assert_eq!(first.prefix[HEADER..HEADER + HEAD], head);
        assert_eq!(&first.prefix[HEADER + HEAD..], b"Orders");
        assert_eq!((&first.body[..], last), (&b"bo"[..], false));
        let (second, last) = cutting.cut(Class::Data, 19);
        assert_eq!((&second.body[..], last), (&b"dy"[..], true));
        assert_eq!(second.prefix.len(), HEADER);
        assert_eq!(second.charge.and_then(|charge| charge.completes), Some(258));
        assert!(queue.pop(2).is_none() && queue.has_room(QUEUE_BYTES + 1));
    }

    #[test]
    fn unused_rate_isnt_saved_up_and_a_late_driver_loses_none() {
        let mut serialiser = Serialiser::new();
        serialiser.set_rate(Monotonic(0), NonZeroU64::new(1_000_000));
        assert_eq!(serialiser.serialise(Monotonic(0), 100), Monotonic(100));
        // Something waited, and the driver came 40 µs late: no gap.
        serialiser.wait();
        assert_eq!(serialiser.serialise(Monotonic(140), 100), Monotonic(200));
        // Nothing waited: the time until the next frame is gone.
        serialiser.rest();
        assert_eq!(serialiser.serialise(Monotonic(900), 100), Monotonic(1000));
    }
}
