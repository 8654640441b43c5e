//! Zones and record sets as they are configured: plain values. What of them is allowed together
//! is the API's to judge (`ChangeResourceRecordSets`); what they mean is the decisions' to say.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use types::{AccountId, HealthCheckId, Region};

use crate::Name;

/// A hosted zone's id: `Z` and more of A-Z and 0-9, 32 characters at most.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct ZoneId(String);

/// Characters of a zone's id, at most (`ResourceId` of the API's model).
pub const MAX_ZONE_ID: usize = 32;

impl ZoneId {
    /// The id of that text, without `/hostedzone/`; `None` if it is none.
    pub fn new(text: &str) -> Option<ZoneId> {
        let allowed = |octet: u8| octet.is_ascii_uppercase() || octet.is_ascii_digit();
        let valid = (2..=MAX_ZONE_ID).contains(&text.len())
            && text.starts_with('Z')
            && text.bytes().all(allowed);
        valid.then(|| ZoneId(text.to_owned()))
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A record type that is built. Ordered by name, as `ListResourceRecordSets` orders them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RecordKind {
    /// An IPv4 address (RFC 1035).
    A,
    /// An IPv6 address (RFC 3596).
    Aaaa,
    /// Who may issue certificates (RFC 8659).
    Caa,
    /// The canonical name (RFC 1035).
    Cname,
    /// A mail exchange (RFC 1035).
    Mx,
    /// A name server (RFC 1035).
    Ns,
    /// The name of an address (RFC 1035).
    Ptr,
    /// The zone's start of authority (RFC 1035).
    Soa,
    /// The location of a service (RFC 2782).
    Srv,
    /// Text (RFC 1035).
    Txt,
}

/// The API's record types that are not built yet.
pub const KINDS_NOT_BUILT: &[&str] = &["DS", "HTTPS", "NAPTR", "SPF", "SSHFP", "SVCB", "TLSA"];

/// Why a text names no record type that is built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KindError {
    /// The service has it; this program hasn't yet.
    #[error("records of type {0} are not implemented yet")]
    NotBuilt(String),
    /// The service hasn't got it.
    #[error("'{0}' is no record type")]
    Unknown(String),
}

impl RecordKind {
    /// Every kind, in order.
    pub const ALL: [RecordKind; 10] = [
        RecordKind::A,
        RecordKind::Aaaa,
        RecordKind::Caa,
        RecordKind::Cname,
        RecordKind::Mx,
        RecordKind::Ns,
        RecordKind::Ptr,
        RecordKind::Soa,
        RecordKind::Srv,
        RecordKind::Txt,
    ];

    /// Its number in packets (IANA, Resource Record TYPEs).
    pub const fn code(self) -> u16 {
        match self {
            RecordKind::A => 1,
            RecordKind::Ns => 2,
            RecordKind::Cname => 5,
            RecordKind::Soa => 6,
            RecordKind::Ptr => 12,
            RecordKind::Mx => 15,
            RecordKind::Txt => 16,
            RecordKind::Aaaa => 28,
            RecordKind::Srv => 33,
            RecordKind::Caa => 257,
        }
    }

    /// The kind of that number, if it is built.
    pub fn from_code(code: u16) -> Option<RecordKind> {
        RecordKind::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Its name in the API: `AAAA`.
    pub const fn name(self) -> &'static str {
        match self {
            RecordKind::A => "A",
            RecordKind::Aaaa => "AAAA",
            RecordKind::Caa => "CAA",
            RecordKind::Cname => "CNAME",
            RecordKind::Mx => "MX",
            RecordKind::Ns => "NS",
            RecordKind::Ptr => "PTR",
            RecordKind::Soa => "SOA",
            RecordKind::Srv => "SRV",
            RecordKind::Txt => "TXT",
        }
    }
}

impl FromStr for RecordKind {
    type Err = KindError;

    fn from_str(text: &str) -> Result<RecordKind, KindError> {
        if let Some(kind) = RecordKind::ALL.into_iter().find(|kind| kind.name() == text) {
            return Ok(kind);
        }
        Err(if KINDS_NOT_BUILT.contains(&text) {
            KindError::NotBuilt(text.to_owned())
        } else {
            KindError::Unknown(text.to_owned())
        })
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for RecordKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A continent, by the service's code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Continent {
    /// AF.
    Africa,
    /// AN.
    Antarctica,
    /// AS.
    Asia,
    /// EU.
    Europe,
    /// NA.
    NorthAmerica,
    /// OC.
    Oceania,
    /// SA.
    SouthAmerica,
}

impl Continent {
    /// Every continent, in the order of their codes.
    pub const ALL: [Continent; 7] = [
        Continent::Africa,
        Continent::Antarctica,
        Continent::Asia,
        Continent::Europe,
        Continent::NorthAmerica,
        Continent::Oceania,
        Continent::SouthAmerica,
    ];

    /// Its code: `EU`.
    pub const fn code(self) -> &'static str {
        match self {
            Continent::Africa => "AF",
            Continent::Antarctica => "AN",
            Continent::Asia => "AS",
            Continent::Europe => "EU",
            Continent::NorthAmerica => "NA",
            Continent::Oceania => "OC",
            Continent::SouthAmerica => "SA",
        }
    }

    /// The continent of that code.
    pub fn from_code(code: &str) -> Option<Continent> {
        Continent::ALL
            .into_iter()
            .find(|continent| continent.code() == code)
    }

    /// Its name as `ListGeoLocations` words it.
    pub const fn name(self) -> &'static str {
        match self {
            Continent::Africa => "Africa",
            Continent::Antarctica => "Antarctica",
            Continent::Asia => "Asia",
            Continent::Europe => "Europe",
            Continent::NorthAmerica => "North America",
            Continent::Oceania => "Oceania",
            Continent::SouthAmerica => "South America",
        }
    }
}

impl fmt::Display for Continent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

/// A country's code: two letters (ISO 3166-1 alpha-2), in capitals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CountryCode([u8; 2]);

impl CountryCode {
    /// The code of that text; `None` if it isn't two capital letters.
    pub fn new(text: &str) -> Option<CountryCode> {
        let code: [u8; 2] = text.as_bytes().try_into().ok()?;
        code.iter()
            .all(u8::is_ascii_uppercase)
            .then_some(CountryCode(code))
    }

    /// The code's text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("two capital letters")
    }
}

/// The code of a part of a country: one to three letters or digits (ISO 3166-2), in capitals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubdivisionCode {
    text: [u8; 3],
    length: u8,
}

impl SubdivisionCode {
    /// The code of that text; `None` if it isn't one to three capital letters or digits.
    pub fn new(text: &str) -> Option<SubdivisionCode> {
        let allowed = |octet: u8| octet.is_ascii_uppercase() || octet.is_ascii_digit();
        if !(1..=3).contains(&text.len()) || !text.bytes().all(allowed) {
            return None;
        }
        let mut code = [0; 3];
        code[..text.len()].copy_from_slice(text.as_bytes());
        let length = u8::try_from(text.len()).expect("at most three");
        Some(SubdivisionCode { text: code, length })
    }

    /// The code's text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.length)]).expect("letters and digits")
    }
}

macro_rules! text_of_code {
    ($code:ty) => {
        impl fmt::Display for $code {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $code {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

text_of_code!(CountryCode);
text_of_code!(SubdivisionCode);

/// What a geolocation record is for. Ordered from the widest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Location {
    /// Whoever no other record is for (`CountryCode` `*`).
    Default,
    /// A continent.
    Continent(Continent),
    /// A country.
    Country(CountryCode),
    /// A part of a country.
    Subdivision(CountryCode, SubdivisionCode),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Default => f.pad("default"),
            Location::Continent(continent) => f.pad(continent.name()),
            Location::Country(country) => f.pad(country.as_str()),
            Location::Subdivision(country, part) => f.pad(&format!("{country}-{part}")),
        }
    }
}

/// Which of a failover pair a record is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FailoverRole {
    /// Answers while it is healthy.
    Primary,
    /// Answers when the primary is not.
    Secondary,
}

impl fmt::Display for FailoverRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            FailoverRole::Primary => "PRIMARY",
            FailoverRole::Secondary => "SECONDARY",
        })
    }
}

/// How a record set is chosen among those of its name and kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// In proportion to its weight, 0 to 255.
    Weighted(u8),
    /// For the clients to whom that Region is nearest in time.
    Latency(Region),
    /// As the primary or the secondary.
    Failover(FailoverRole),
    /// For the clients in that place.
    Geolocation(Location),
    /// With up to seven others, at random.
    Multivalue,
}

/// What sets a record set apart from others of its name and kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selector {
    /// `SetIdentifier`: 1 to 128 characters.
    pub identifier: String,
    /// How it is chosen.
    pub policy: Policy,
}

/// A record set that answers as another of its zone does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alias {
    /// The zone the target lies in (`HostedZoneId`): the alias's own, or another service's.
    pub zone: ZoneId,
    /// The target's name (`DNSName`); its kind is the alias's.
    pub target: Name,
    /// The alias counts as unhealthy while no record of the target is healthy.
    pub evaluate_target_health: bool,
}

/// What a record set answers with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// Values of its own.
    Values {
        /// How long a resolver may keep them, in seconds: 0 to 2,147,483,647.
        ttl: u32,
        /// The values as they were given; each satisfies [`crate::rdata::parse`].
        values: Vec<String>,
    },
    /// What the target answers with.
    Alias(Alias),
}

/// A record set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordSet {
    /// Its name.
    pub name: Name,
    /// Its kind.
    pub kind: RecordKind,
    /// What sets it apart; `None`: it is the only one of its name and kind (simple routing).
    pub selector: Option<Selector>,
    /// What it answers with.
    pub content: Content,
    /// The health check that it depends on.
    pub health_check: Option<HealthCheckId>,
}

impl RecordSet {
    /// Its `SetIdentifier`, if it has one.
    pub fn identifier(&self) -> Option<&str> {
        self.selector
            .as_ref()
            .map(|selector| selector.identifier.as_str())
    }
}

/// Name servers of a zone.
pub const NAME_SERVERS: usize = 4;

/// A public hosted zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Zone {
    /// The account that owns it.
    pub account: AccountId,
    /// Its id.
    pub id: ZoneId,
    /// Its apex.
    pub name: Name,
    /// What its owner says of it, at most 256 characters.
    pub comment: Option<String>,
    /// What its creator called the request, 1 to 128 characters.
    pub caller_reference: String,
    /// The servers it was given.
    pub name_servers: [Name; NAME_SERVERS],
}

/// How long the NS records of a new zone may be kept, in seconds (as the service).
pub const NS_TTL: u32 = 172_800;

/// How long the SOA record of a new zone may be kept, in seconds (as the service).
pub const SOA_TTL: u32 = 900;

/// The NS and SOA records that a new zone begins with, as the service words them.
pub fn apex_records(zone: &Zone) -> [RecordSet; 2] {
    let set = |kind, ttl, values| RecordSet {
        name: zone.name.clone(),
        kind,
        selector: None,
        content: Content::Values { ttl, values },
        health_check: None,
    };
    let servers = zone.name_servers.iter().map(Name::to_string).collect();
    let first = &zone.name_servers[0];
    let soa = format!("{first} awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400");
    [
        set(RecordKind::Ns, NS_TTL, servers),
        set(RecordKind::Soa, SOA_TTL, vec![soa]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_stand_in_the_order_of_their_names() {
        for pair in RecordKind::ALL.windows(2) {
            assert!(pair[0].name() < pair[1].name() && pair[0] < pair[1]);
        }
        for kind in RecordKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(RecordKind::from_code(kind.code()), Some(kind));
        }
        let not_built = "NAPTR".parse::<RecordKind>();
        assert_eq!(not_built, Err(KindError::NotBuilt("NAPTR".to_owned())));
    }

    #[test]
    fn codes_are_checked() {
        assert_eq!(CountryCode::new("DE").unwrap().as_str(), "DE");
        assert_eq!(SubdivisionCode::new("CA").unwrap().as_str(), "CA");
        for bad in ["", "d", "de", "DEU", "*", "D*"] {
            assert_eq!(CountryCode::new(bad), None, "{bad}");
        }
        assert_eq!(SubdivisionCode::new("ABCD"), None);
        assert_eq!(ZoneId::new("Z0AB").unwrap().as_str(), "Z0AB");
        for bad in ["", "Z", "A1", "Zab", "/hostedzone/Z1", &"Z".repeat(33)] {
            assert_eq!(ZoneId::new(bad), None, "{bad}");
        }
        for continent in Continent::ALL {
            assert_eq!(Continent::from_code(continent.code()), Some(continent));
        }
    }
}
