//! DNS packets: what a request says, and how a response is laid out. It knows no zone.
//!
//! After RFC 1035 (messages), 6891 (EDNS), 7871 (client subnet), 8906 (what servers owe bad
//! requests), 9619 (one question).

pub(crate) mod query_name;
pub(crate) mod request;
pub(crate) mod response;

pub(crate) use query_name::QueryName;
pub(crate) use request::{ClientSubnet, Edns};

/// Octets of a message's header (RFC 1035, section 4.1.1).
pub const HEADER: usize = 12;

/// What a response over UDP may have without EDNS (RFC 1035, section 2.3.4).
pub const MIN_UDP: usize = 512;

/// What a response over UDP has at most, whatever the client says it takes: as the service.
pub const MAX_UDP: usize = 4096;

/// What we say that we take over UDP: what passes nearly every network unfragmented (RFC 9715,
/// section 3 recommends about that).
pub const OFFERED_UDP: u16 = 1232;

/// What a message over TCP has at most (RFC 1035, section 4.2.2).
pub const MAX_TCP: usize = 65_535;

/// Class IN (RFC 1035, section 3.2.4).
pub(crate) const CLASS_IN: u16 = 1;

/// Types that are no record of a zone, by their numbers (IANA, Resource Record TYPEs).
pub(crate) mod types {
    /// EDNS (RFC 6891).
    pub(crate) const OPT: u16 = 41;
    /// Delegation signer (RFC 4034): the parent answers for it.
    pub(crate) const DS: u16 = 43;
    /// The first of the types that are questions or notes only (RFC 6895, section 3.1).
    pub(crate) const FIRST_META: u16 = 128;
    /// Incremental transfer (RFC 1995).
    pub(crate) const IXFR: u16 = 251;
    /// Anything (RFC 8482).
    pub(crate) const ANY: u16 = 255;
}

/// How a request was carried out (IANA, DNS RCODEs).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rcode {
    /// Answered, if perhaps with nothing.
    NoError,
    /// The request is malformed.
    FormErr,
    /// The server fails.
    ServFail,
    /// The name doesn't exist.
    NxDomain,
    /// The server has no such operation.
    NotImp,
    /// The server won't.
    Refused,
    /// The request's EDNS version isn't understood (RFC 6891, section 9).
    BadVers,
}

impl Rcode {
    /// Its number; above 15 the upper bits stand in the OPT record.
    pub const fn code(self) -> u16 {
        match self {
            Rcode::NoError => 0,
            Rcode::FormErr => 1,
            Rcode::ServFail => 2,
            Rcode::NxDomain => 3,
            Rcode::NotImp => 4,
            Rcode::Refused => 5,
            Rcode::BadVers => 16,
        }
    }

    /// The code of a header's four bits, of those that are given here.
    pub(crate) const fn from_low(bits: u8) -> Rcode {
        match bits {
            0 => Rcode::NoError,
            1 => Rcode::FormErr,
            3 => Rcode::NxDomain,
            4 => Rcode::NotImp,
            5 => Rcode::Refused,
            _ => Rcode::ServFail,
        }
    }

    /// Its name: `NXDOMAIN`.
    pub const fn name(self) -> &'static str {
        match self {
            Rcode::NoError => "NOERROR",
            Rcode::FormErr => "FORMERR",
            Rcode::ServFail => "SERVFAIL",
            Rcode::NxDomain => "NXDOMAIN",
            Rcode::NotImp => "NOTIMP",
            Rcode::Refused => "REFUSED",
            Rcode::BadVers => "BADVERS",
        }
    }
}
