//! Write forwarding: sessions of a standby whose writes are carried out by the writer of its global
//! cluster, in another Region. A standby's server can't forward, so its endpoint reads what passes,
//! statement by statement, and sends what only the writer can do to the writer's own endpoint, over
//! the link. There it is a session of the same user like any other.

mod cancels;
mod customs;
mod decide;
mod failure;
mod frames;
mod hear;
mod names;
mod scram;
mod session;
mod settings;
mod statement;
mod terms;
mod unit;
mod waiting;
mod wire;
mod writer;

use std::future::Future;
use std::pin::Pin;

use link::StreamEnd;
use tokio::sync::OwnedSemaphorePermit;
use zeroize::Zeroizing;

use super::Away;
use super::startup::{LENGTH, MAX_PACKET};

pub(super) use cancels::Cancels;
pub(super) use session::{Ends, relay};
pub use terms::{Consistency, ForwardingTerms};

/// A user's verifier, in time, or why there is none.
pub type VerifierAnswer<'a> =
    Pin<Box<dyn Future<Output = Result<Zeroizing<String>, String>> + Send + 'a>>;

/// A stream to the endpoint of a writer.
#[derive(Debug)]
pub struct ForwardedStream {
    /// This end of it.
    pub end: StreamEnd,
    /// Its place among those that may be open, if they are counted.
    pub place: Option<OwnedSemaphorePermit>,
}

/// Says where an endpoint's writes go.
pub trait WriteForwarding: Send + Sync + 'static {
    /// By what writes are forwarded now; `None`: they aren't, and go to the session's own server.
    /// Asked for each statement that may be one; must not block.
    fn terms(&self) -> Option<ForwardingTerms>;

    /// Is it still that one who writes ([`ForwardingTerms::writer`]), as far as is known here?
    /// Asked before each piece of what it answers is passed on, since that may have been long on
    /// its way; must not block. Whether anything is still forwarded to it doesn't matter.
    fn is_writer(&self, writer: &str) -> bool;

    /// A stream to the endpoint of the writer, as it is now.
    ///
    /// # Errors
    /// There is no way there: what the client is told.
    fn open(&self) -> Result<ForwardedStream, Away>;

    /// A stream there for a request to cancel, which is there for seconds: it needs no place.
    ///
    /// # Errors
    /// There is no way there.
    fn open_to_cancel(&self) -> Result<ForwardedStream, Away>;

    /// The SCRAM-SHA-256 verifier that the session's own server keeps of that user. Its waiting is
    /// bounded.
    fn verifier<'a>(&'a self, user: &'a str) -> VerifierAnswer<'a>;
}

/// The startup packet of a session that begins in that mode unless it says otherwise, so that SHOW
/// and RESET tell the truth; the same, if it says so itself or has no room for more.
pub(super) fn with_mode(packet: &[u8], mode: Consistency) -> Vec<u8> {
    let says = packet
        .windows(terms::MODE.len())
        .any(|part| part.eq_ignore_ascii_case(terms::MODE.as_bytes()));
    let parameter = [terms::MODE, "\0", mode.name(), "\0\0"].concat();
    let has_room = packet.len() + parameter.len() <= MAX_PACKET;
    let Some((0, parameters)) = packet.split_last().filter(|_| has_room && !says) else {
        return packet.to_vec();
    };
    let mut packet = [parameters, parameter.as_bytes()].concat();
    let length = u32::try_from(packet.len()).expect("it is shorter than the longest");
    packet[..LENGTH].copy_from_slice(&length.to_be_bytes());
    packet
}

/// The user that a startup packet names, which was judged before: the last one counts.
fn user_of(packet: &[u8]) -> Option<String> {
    let mut rest = packet.get(LENGTH + 4..)?;
    let mut user = None;
    while let Some((name, behind)) = frames::text(rest).filter(|(name, _)| !name.is_empty()) {
        let (value, next) = frames::text(behind)?;
        if name == b"user" {
            user = Some(str::from_utf8(value).ok()?.to_owned());
        }
        rest = next;
    }
    user
}

#[cfg(test)]
mod tests {
    use super::super::startup::{body_length, judge};
    use super::*;

    fn packet(parameters: &[u8]) -> Vec<u8> {
        let length = u32::try_from(8 + parameters.len()).unwrap();
        [&length.to_be_bytes(), &[0, 3, 0, 0], parameters].concat()
    }

    #[test]
    fn a_session_is_told_its_mode_unless_it_says_it() {
        let plain = packet(b"user\0clerk\0database\0shop\0\0");
        let told = with_mode(&plain, Consistency::Eventual);
        let expected =
            b"user\0clerk\0database\0shop\0apg_write_forward.consistency_mode\0EVENTUAL\0\0";
        assert_eq!(told, packet(expected));
        assert!(judge(&told[LENGTH..]).is_ok());
        assert_eq!(user_of(&told).as_deref(), Some("clerk"));
        assert_eq!(with_mode(&told, Consistency::Off), told);
        let long = [
            b"user\0x\0options\0",
            &vec![b'x'; MAX_PACKET - 20][..],
            b"\0\0",
        ]
        .concat();
        let long = packet(&long);
        assert_eq!(with_mode(&long, Consistency::Off), long);
        let length = [told[0], told[1], told[2], told[3]];
        assert_eq!(body_length(length), Some(told.len() - LENGTH));
    }
}
