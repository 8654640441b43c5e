//! What arrives: pieces put together into envelopes, and the credit that bounds them. Each lane
//! has at most one envelope under way on a connection, so memory is bounded by the window plus
//! one envelope per lane.

use bytes::{Buf, Bytes};
use types::SiteName;

use crate::envelope::{Content, MAXIMUM_PAYLOAD, Service};
use crate::frame::{Frame, FrameError, Kind};
use crate::outbound::HEAD;
use crate::{Class, Lane};

/// An envelope that arrived.
#[derive(Debug)]
pub struct Delivery {
    /// The site that sent it, as its certificate proved.
    pub from: SiteName,
    /// The lane.
    pub lane: Lane,
    /// The service.
    pub service: Service,
    /// The resource.
    pub resource: String,
    /// How many records it says it holds.
    pub records: u32,
    /// The payload.
    pub payload: Bytes,
    /// Hand it to `Link::consumed` when done.
    pub receipt: Receipt,
}

/// Stands for the room that a delivery takes in its window.
#[derive(Debug)]
#[must_use = "unless it is given to `Link::consumed`, the peer's credit shrinks for ever"]
pub struct Receipt {
    pub(crate) class: Class,
    pub(crate) bytes: u64,
}

/// How the peer broke the protocol. The connection is lost; nothing else is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Bytes that are no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame of another class than its connection's.
    #[error("a frame of class {found} on the {expected} connection")]
    Class {
        /// The connection's.
        expected: Class,
        /// The frame's.
        found: Class,
    },
    /// The greeting is missing, repeated or malformed.
    #[error("the connection doesn't begin with one greeting")]
    Greeting,
    /// Less credit than was given before.
    #[error("credit was taken back")]
    CreditTakenBack,
    /// More data than credit.
    #[error("more data than the credit given")]
    CreditExceeded,
    /// Data after `Close`, or `Close` within an envelope or twice.
    #[error("data and the end of data are out of order")]
    Closed,
    /// Pieces that don't follow each other.
    #[error("the pieces of an envelope are out of order")]
    Order,
    /// An envelope's head that can't be read, names no lane of the class, or breaks a limit.
    #[error("the head of an envelope is malformed")]
    Head,
    /// The pieces don't add up to the length that the head says.
    #[error("an envelope's length isn't what its head says")]
    Length,
    /// A pong to no ping.
    #[error("an answer to a heartbeat that was not sent")]
    Pong,
}

/// An envelope that is complete, and the bytes it took on the wire.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) content: Content,
    pub(crate) framed_bytes: u64,
}

#[derive(Debug)]
struct Assembling {
    stream: u64,
    next_sequence: u32,
    content: Content,
    length: usize,
    payload: Vec<u8>,
    framed_bytes: u64,
}

/// Puts the pieces of one connection together.
#[derive(Debug)]
pub(crate) struct Assembler {
    class: Class,
    lanes: [Option<Assembling>; Lane::ALL.len()],
    last_stream: u64,
    granted: u64,
    received: u64,
    closed: bool,
}

impl Assembler {
    /// For a connection on which that much was granted with the greeting.
    pub(crate) fn new(class: Class, granted: u64) -> Assembler {
        Assembler {
            class,
            lanes: [const { None }; Lane::ALL.len()],
            last_stream: 0,
            granted,
            received: 0,
            closed: false,
        }
    }

    /// The credit to announce when that much of a window is free, if it is worth a frame.
    ///
    /// Pieces of incomplete envelopes are granted again at once: only whole envelopes wait for a
    /// consumer, so a window smaller than an envelope can't lock up.
    pub(crate) fn grant(&mut self, window: u64, free: u64) -> Option<u64> {
        let target = self.received.saturating_add(free);
        let worth = target.saturating_sub(self.granted) >= window / 8;
        if !worth || self.closed {
            return None;
        }
        self.granted = target;
        Some(target)
    }

    /// Whether the peer said that it sends no more data.
    pub(crate) fn closed(&self) -> bool {
        self.closed
    }

    /// The peer says that it sends no more data.
    pub(crate) fn close(&mut self) -> Result<(), ProtocolError> {
        if self.closed || self.lanes.iter().any(Option::is_some) {
            return Err(ProtocolError::Closed);
        }
        self.closed = true;
        Ok(())
    }

    /// Takes a data frame; gives the envelope that it completes.
    pub(crate) fn take(&mut self, frame: Frame) -> Result<Option<Arrived>, ProtocolError> {
        debug_assert_eq!(frame.kind, Kind::Data);
        if self.closed {
            return Err(ProtocolError::Closed);
        }
        let framed_bytes = frame.framed_length() as u64;
        self.received = self.received.saturating_add(framed_bytes);
        if self.received > self.granted {
            return Err(ProtocolError::CreditExceeded);
        }
        let (last, mut payload) = (frame.last, frame.payload.clone());
        let lane = if frame.sequence == 0 {
            self.begin(frame.stream, &mut payload)?
        } else {
            self.resume(&frame)?
        };
        let slot = &mut self.lanes[lane.index()];
        let assembling = slot.as_mut().ok_or(ProtocolError::Order)?;
        assembling.framed_bytes += framed_bytes;
        assembling.payload.extend_from_slice(&payload);
        let missing = assembling.length.checked_sub(assembling.payload.len());
        match (last, missing) {
            (true, Some(0)) => {}
            (false, Some(1..)) => return Ok(None),
            _ => return Err(ProtocolError::Length),
        }
        Ok(slot.take().map(|done| Arrived {
            content: Content {
                payload: done.payload.into(),
                ..done.content
            },
            framed_bytes: done.framed_bytes,
        }))
    }

    fn begin(&mut self, stream: u64, payload: &mut Bytes) -> Result<Lane, ProtocolError> {
        if stream != self.last_stream + 1 {
            return Err(ProtocolError::Order);
        }
        self.last_stream = stream;
        let (content, length) = read_head(payload)?;
        let lane = content.lane;
        if lane.class() != self.class {
            return Err(ProtocolError::Head);
        }
        let slot = &mut self.lanes[lane.index()];
        if slot.is_some() {
            return Err(ProtocolError::Order);
        }
        *slot = Some(Assembling {
            stream,
            next_sequence: 1,
            content,
            length,
            // Not the length the peer claims: memory follows the bytes that came.
            payload: Vec::with_capacity(payload.len()),
            framed_bytes: 0,
        });
        Ok(lane)
    }

    fn resume(&mut self, frame: &Frame) -> Result<Lane, ProtocolError> {
        let assembling = self
            .lanes
            .iter_mut()
            .flatten()
            .find(|assembling| assembling.stream == frame.stream)
            .ok_or(ProtocolError::Order)?;
        if assembling.next_sequence != frame.sequence {
            return Err(ProtocolError::Order);
        }
        if frame.payload.is_empty() {
            return Err(ProtocolError::Length);
        }
        assembling.next_sequence = frame.sequence.checked_add(1).ok_or(ProtocolError::Order)?;
        Ok(assembling.content.lane)
    }
}

/// Reads the head at the beginning of an envelope's first piece; also its payload's length.
fn read_head(bytes: &mut Bytes) -> Result<(Content, usize), ProtocolError> {
    if bytes.len() < HEAD {
        return Err(ProtocolError::Head);
    }
    let lane = Lane::from_number(bytes.get_u8()).ok_or(ProtocolError::Head)?;
    let service = Service(bytes.get_u8());
    let records = bytes.get_u32();
    let length = usize::try_from(bytes.get_u32()).map_err(|_| ProtocolError::Head)?;
    let resource = usize::from(bytes.get_u8());
    if length > MAXIMUM_PAYLOAD || bytes.len() < resource {
        return Err(ProtocolError::Head);
    }
    let resource = bytes.split_to(resource);
    let resource = std::str::from_utf8(&resource).map_err(|_| ProtocolError::Head)?;
    let content = Content {
        lane,
        service,
        resource: resource.to_owned(),
        records,
        payload: Bytes::new(),
    };
    Ok((content, length))
}
