//! Envelopes and the steps each takes to the wire: `Plain → Admitted → Sealed`. The steps are
//! types whose fields are private to this crate, so none can be skipped. Nothing here looks into
//! a payload.

use bytes::Bytes;
use types::SiteName;

use crate::{Lane, Session, WrongPeer};

/// The longest payload of an envelope: 8 MiB. Larger things are cut by who sends them.
pub const MAXIMUM_PAYLOAD: usize = 8 << 20;

/// The longest name of a resource, in bytes: DynamoDB's table names, the longest there are, have
/// up to 255.
pub const MAXIMUM_RESOURCE: usize = 255;

/// The service an envelope belongs to, as a tag that `region` gives out. The link meters by it
/// and hands it over, and knows nothing more of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Service(pub u8);

/// What an envelope carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Content {
    pub(crate) lane: Lane,
    pub(crate) service: Service,
    pub(crate) resource: String,
    pub(crate) records: u32,
    pub(crate) payload: Bytes,
}

/// An envelope as its sender writes it. It can't be sent: `Admission::admit` is next.
#[derive(Debug)]
pub struct Plain {
    to: SiteName,
    content: Content,
}

/// An envelope that may cross to its site. It can't be sent: `Session::seal` is next.
#[derive(Debug)]
pub struct Admitted {
    to: SiteName,
    content: Content,
}

/// An envelope that is sealed for the site at the other end of a session: `Link::send` takes it.
#[derive(Debug)]
#[must_use = "a sealed envelope is on no wire until `Link::send` took it"]
pub struct Sealed {
    to: SiteName,
    content: Content,
}

/// The envelope breaks a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEnvelope {
    /// The payload is longer than `MAXIMUM_PAYLOAD`.
    #[error("a payload of {0} bytes; an envelope holds at most {MAXIMUM_PAYLOAD}")]
    Payload(usize),
    /// The resource's name is longer than `MAXIMUM_RESOURCE`.
    #[error("a resource name of {0} bytes; at most {MAXIMUM_RESOURCE} are allowed")]
    Resource(usize),
}

/// A residency rule binds the envelope's resource to Regions that `to` is none of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{resource}' may not cross to {to}: it is bound to its Region")]
pub struct Refused {
    /// The resource that is bound.
    pub resource: String,
    /// Where it was to go.
    pub to: SiteName,
}

/// The step that decides what may cross. It has no rules yet and admits everything: residency
/// rules, and the resources they bind, come with their own issue and are checked here.
#[derive(Debug, Clone)]
pub struct Admission {
    _rules: (),
}

impl Plain {
    /// An envelope to that site, counted as one record.
    ///
    /// # Errors
    /// The payload or the resource's name is too long.
    pub fn new(
        to: SiteName,
        lane: Lane,
        service: Service,
        resource: impl Into<String>,
        payload: Bytes,
    ) -> Result<Plain, InvalidEnvelope> {
        let resource = resource.into();
        if payload.len() > MAXIMUM_PAYLOAD {
            return Err(InvalidEnvelope::Payload(payload.len()));
        }
        if resource.len() > MAXIMUM_RESOURCE {
            return Err(InvalidEnvelope::Resource(resource.len()));
        }
        let content = Content {
            lane,
            service,
            resource,
            records: 1,
            payload,
        };
        Ok(Plain { to, content })
    }

    /// The same, counted as that many records by the meter.
    #[must_use]
    pub fn with_records(mut self, records: u32) -> Plain {
        self.content.records = records;
        self
    }
}

impl Admission {
    /// Admits everything.
    pub fn open() -> Admission {
        Admission { _rules: () }
    }

    /// Lets the envelope pass if no residency rule keeps its resource from that site.
    ///
    /// # Errors
    /// A rule does. (There are none yet.)
    pub fn admit(&self, plain: Plain) -> Result<Admitted, Refused> {
        let Plain { to, content } = plain;
        Ok(Admitted { to, content })
    }
}

impl Admitted {
    /// The lane it travels in.
    pub fn lane(&self) -> Lane {
        self.content.lane
    }
}

impl Session {
    /// Seals an envelope for the site that this session's handshake proved to be at the other
    /// end.
    ///
    /// # Errors
    /// The envelope is for another site.
    pub fn seal(&self, admitted: Admitted) -> Result<Sealed, WrongPeer> {
        let Admitted { to, content } = admitted;
        if to != self.peer() {
            return Err(WrongPeer {
                expected: to,
                found: self.peer(),
            });
        }
        Ok(Sealed { to, content })
    }
}

impl Sealed {
    /// The site it is sealed for.
    pub fn to(&self) -> SiteName {
        self.to
    }

    /// The lane it travels in.
    pub fn lane(&self) -> Lane {
        self.content.lane
    }

    pub(crate) fn into_content(self) -> Content {
        self.content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(resource: &str, payload: usize) -> Result<Plain, InvalidEnvelope> {
        let to = SiteName::Edge(1);
        let payload = Bytes::from(vec![0; payload]);
        Plain::new(to, Lane::Changes, Service(1), resource, payload)
    }

    #[test]
    fn limits_are_kept_to_the_byte() {
        assert!(plain(&"r".repeat(MAXIMUM_RESOURCE), MAXIMUM_PAYLOAD).is_ok());
        assert_eq!(
            plain("r", MAXIMUM_PAYLOAD + 1).err(),
            Some(InvalidEnvelope::Payload(MAXIMUM_PAYLOAD + 1))
        );
        assert_eq!(
            plain(&"r".repeat(MAXIMUM_RESOURCE + 1), 0).err(),
            Some(InvalidEnvelope::Resource(MAXIMUM_RESOURCE + 1))
        );
    }
}
