//! Frames, the unit of the wire: at most 16 KiB, numbered, with a checksum. The codec is strict:
//! what it doesn't know is an error, never skipped, and it buffers no more than one frame beyond
//! what it was given.
//!
//! Layout, big-endian: magic `CA 57`, version, class, kind, flags (bit 0: last), payload length
//! u16, stream u64, sequence u32, CRC-32C u32 of all that and the payload, payload.

use bytes::{Buf, Bytes, BytesMut};

use crate::Class;

/// The longest frame, header included.
pub const MAXIMUM_FRAME: usize = 16 * 1024;

/// The length of a frame's header.
pub const HEADER: usize = 24;

/// The longest payload of a frame.
pub const MAXIMUM_FRAME_PAYLOAD: usize = MAXIMUM_FRAME - HEADER;

/// The version of the frames and of what they carry.
pub const VERSION: u8 = 1;

const MAGIC: [u8; 2] = [0xCA, 0x57];
const FLAG_LAST: u8 = 1;

/// What a frame is. Numbers on the wire are never used again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// The first frame of each end on a connection: its window (u64), and whether the connection
    /// replaces one that lives (u8, 0 or 1).
    Hello = 1,
    /// A piece of an envelope; `stream` is the envelope's number on this connection from 1,
    /// `sequence` the piece's from 0.
    Data = 2,
    /// All bytes of data frames granted on this connection so far (u64).
    Credit = 3,
    /// Asks for a pong with the same number (u64).
    Ping = 4,
    /// Answers a ping.
    Pong = 5,
    /// The sender sends no more data frames on this connection.
    Close = 6,
}

/// A frame without its header's formalities.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// The class of its connection.
    pub class: Class,
    /// What it is.
    pub kind: Kind,
    /// Whether it is its envelope's last.
    pub last: bool,
    /// The envelope's number; 0 unless `Data`.
    pub stream: u64,
    /// The number within the envelope; 0 unless `Data`.
    pub sequence: u32,
    /// What it carries.
    pub payload: Bytes,
}

/// Bytes that are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not the magic number: the peer doesn't speak this protocol, or a length was wrong.
    #[error("no frame begins here")]
    Magic,
    /// A version that this build doesn't know.
    #[error("frame version {0}, where this build speaks {VERSION}")]
    Version(u8),
    /// No such class.
    #[error("class {0} doesn't exist")]
    Class(u8),
    /// No such kind.
    #[error("frame kind {0} doesn't exist")]
    Kind(u8),
    /// Flags, numbers or a length that this kind of frame can't have.
    #[error("a {0:?} frame of impossible form")]
    Form(Kind),
    /// The checksum is wrong.
    #[error("the frame's checksum is wrong")]
    Checksum,
}

/// Takes bytes as they come and gives frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Kind {
    const ALL: [Kind; 6] = [
        Kind::Hello,
        Kind::Data,
        Kind::Credit,
        Kind::Ping,
        Kind::Pong,
        Kind::Close,
    ];

    /// The one payload length of that kind; `Data` has none.
    fn length(self) -> Option<usize> {
        match self {
            Kind::Hello => Some(9),
            Kind::Data => None,
            Kind::Credit | Kind::Ping | Kind::Pong => Some(8),
            Kind::Close => Some(0),
        }
    }
}

impl Frame {
    /// A frame of a kind that belongs to no envelope.
    pub(crate) fn plain(class: Class, kind: Kind, payload: Bytes) -> Frame {
        Frame {
            class,
            kind,
            last: false,
            stream: 0,
            sequence: 0,
            payload,
        }
    }

    /// The frame as it is on the wire.
    pub fn encode(&self) -> Bytes {
        let mut encoded = BytesMut::with_capacity(HEADER + self.payload.len());
        encoded.extend_from_slice(&self.header(&self.payload, &[]));
        encoded.extend_from_slice(&self.payload);
        encoded.freeze()
    }

    /// The header of a frame like this one whose payload is those two pieces, one after the
    /// other. (`self.payload` isn't looked at: pieces are sent without being joined.)
    pub(crate) fn header(&self, first: &[u8], second: &[u8]) -> [u8; HEADER] {
        let length = u16::try_from(first.len() + second.len())
            .expect("a frame's payload is at most MAXIMUM_FRAME_PAYLOAD");
        let mut header = [0; HEADER];
        header[..2].copy_from_slice(&MAGIC);
        header[2] = VERSION;
        header[3] = self.class.number();
        header[4] = self.kind as u8;
        header[5] = if self.last { FLAG_LAST } else { 0 };
        header[6..8].copy_from_slice(&length.to_be_bytes());
        header[8..16].copy_from_slice(&self.stream.to_be_bytes());
        header[16..20].copy_from_slice(&self.sequence.to_be_bytes());
        let crc = crc32c::crc32c(&header[..20]);
        let crc = crc32c::crc32c_append(crc, first);
        let crc = crc32c::crc32c_append(crc, second);
        header[20..].copy_from_slice(&crc.to_be_bytes());
        header
    }

    /// Its length on the wire.
    pub fn framed_length(&self) -> usize {
        HEADER + self.payload.len()
    }
}

impl Decoder {
    /// Takes bytes. Call `next` until it gives none before taking more.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// What was pushed is no frame. The connection is lost: nothing says where a next one begins.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(header) = self.buffer.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let header = *header;
        let (mut frame, length) = parse(&header)?;
        if self.buffer.len() < HEADER + length {
            return Ok(None);
        }
        let crc = crc32c::crc32c(&header[..20]);
        let crc = crc32c::crc32c_append(crc, &self.buffer[HEADER..HEADER + length]);
        if header[20..] != crc.to_be_bytes() {
            return Err(FrameError::Checksum);
        }
        self.buffer.advance(HEADER);
        frame.payload = self.buffer.split_to(length).freeze();
        Ok(Some(frame))
    }
}

/// The frame of that header, still without payload, and the payload's length.
fn parse(header: &[u8; HEADER]) -> Result<(Frame, usize), FrameError> {
    if header[..2] != MAGIC {
        return Err(FrameError::Magic);
    }
    if header[2] != VERSION {
        return Err(FrameError::Version(header[2]));
    }
    let class = Class::from_number(header[3]).ok_or(FrameError::Class(header[3]))?;
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| *kind as u8 == header[4])
        .ok_or(FrameError::Kind(header[4]))?;
    let mut rest = &header[5..20];
    let flags = rest.get_u8();
    let length = usize::from(rest.get_u16());
    let stream = rest.get_u64();
    let sequence = rest.get_u32();
    let fits = match kind.length() {
        Some(exactly) => flags == 0 && stream == 0 && sequence == 0 && length == exactly,
        None => flags <= FLAG_LAST && stream > 0 && length <= MAXIMUM_FRAME_PAYLOAD,
    };
    if !fits {
        return Err(FrameError::Form(kind));
    }
    let frame = Frame {
        class,
        kind,
        last: flags == FLAG_LAST,
        stream,
        sequence,
        payload: Bytes::new(),
    };
    Ok((frame, length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn data(payload: &'static [u8]) -> Frame {
        Frame {
            class: Class::Data,
            kind: Kind::Data,
            last: true,
            stream: 0x0102_0304_0506_0708,
            sequence: 9,
            payload: Bytes::from_static(payload),
        }
    }

    #[test]
    fn golden_bytes() {
        let golden = [
            0xCA, 0x57, 1, 2, 2, 1, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9, 0x10, 0x7C, 0x46,
            0x79, b'h', b'i',
        ];
        assert_eq!(data(b"hi").encode()[..], golden);
        let ping = Frame::plain(
            Class::Control,
            Kind::Ping,
            Bytes::copy_from_slice(&7u64.to_be_bytes()),
        );
        let golden = [
            0xCA, 0x57, 1, 1, 4, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77, 0x8C, 0x16,
            0x35, 0, 0, 0, 0, 0, 0, 0, 7,
        ];
        assert_eq!(ping.encode()[..], golden);
    }

    #[test]
    fn each_field_is_checked() {
        let refuse = |at: usize, byte: u8| {
            let mut bytes = data(b"hi").encode().to_vec();
            bytes[at] = byte;
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            decoder.next_frame().expect_err("a byte was changed")
        };
        assert_eq!(refuse(0, 0), FrameError::Magic);
        assert_eq!(refuse(2, 2), FrameError::Version(2));
        assert_eq!(refuse(3, 0), FrameError::Class(0));
        assert_eq!(refuse(4, 7), FrameError::Kind(7));
        assert_eq!(refuse(4, 6), FrameError::Form(Kind::Close));
        assert_eq!(refuse(5, 2), FrameError::Form(Kind::Data));
        assert_eq!(refuse(6, 0xFF), FrameError::Form(Kind::Data));
        assert_eq!(refuse(19, 8), FrameError::Checksum);
        assert_eq!(refuse(25, b'o'), FrameError::Checksum);
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_its_bytes_come() {
        let mut bytes = data(b"").encode().to_vec();
        let length = u16::try_from(MAXIMUM_FRAME_PAYLOAD + 1).expect("fits");
        bytes[6..8].copy_from_slice(&length.to_be_bytes());
        let mut decoder = Decoder::default();
        decoder.push(&bytes);
        assert_eq!(decoder.next_frame(), Err(FrameError::Form(Kind::Data)));
    }

    fn any_frame() -> impl Strategy<Value = Frame> {
        let payload = proptest::collection::vec(any::<u8>(), 0..200);
        (0..3usize, any::<bool>(), 1u64.., any::<u32>(), payload).prop_map(
            |(class, last, stream, sequence, payload)| Frame {
                class: Class::ALL[class],
                kind: Kind::Data,
                last,
                stream,
                sequence,
                payload: payload.into(),
            },
        )
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting_of_their_bytes(
            frames in proptest::collection::vec(any_frame(), 0..8),
            piece in 1usize..100,
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
            let mut decoder = Decoder::default();
            let mut decoded = Vec::new();
            for piece in bytes.chunks(piece) {
                decoder.push(piece);
                while let Some(frame) = decoder.next_frame().expect("whole frames") {
                    decoded.push(frame);
                }
            }
            prop_assert_eq!(decoded, frames);
        }

        #[test]
        fn a_changed_byte_is_never_taken_for_another_frame(
            frame in any_frame(),
            at in any::<prop::sample::Index>(),
            change in 1u8..,
        ) {
            let mut bytes = frame.encode().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            // A longer length waits for bytes; everything else is refused at once.
            prop_assert!(!matches!(decoder.next_frame(), Ok(Some(_))));
        }

        #[test]
        fn rubbish_is_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.next_frame() {}
        }
    }
}
