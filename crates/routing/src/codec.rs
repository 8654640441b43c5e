//! The bytes of zones and record groups in the configuration. They begin with a version; those
//! of a newer program are refused, and so is everything that encoding doesn't write.

use bytes::Bytes;
use types::{AccountId, HealthCheckId, Region};

use crate::model::{
    Alias, Content, Continent, CountryCode, FailoverRole, Location, NAME_SERVERS, Policy,
    RecordSet, Selector, SubdivisionCode, Zone,
};
use crate::{Name, RecordKind, ZoneId};

/// The version of the bytes that this code writes.
pub const FORMAT_VERSION: u8 = 1;

/// The version of a zone's bytes that begin with its account. Those of the deployment's first
/// account are written in version 1, which has none.
pub const OWNED_VERSION: u8 = 2;

/// What the bits of a record set's first byte say.
mod flag {
    pub const SELECTOR: u8 = 1;
    pub const ALIAS: u8 = 2;
    pub const HEALTH_CHECK: u8 = 4;
    pub const EVALUATE_TARGET_HEALTH: u8 = 8;
    pub const ALL: u8 = 15;
}

/// Numbers of policies and places. Never reused.
mod tag {
    pub const WEIGHTED: u8 = 1;
    pub const LATENCY: u8 = 2;
    pub const PRIMARY: u8 = 3;
    pub const SECONDARY: u8 = 4;
    pub const MULTIVALUE: u8 = 5;
    pub const ANYWHERE: u8 = 6;
    pub const CONTINENT: u8 = 7;
    pub const COUNTRY: u8 = 8;
    pub const SUBDIVISION: u8 = 9;
}

/// Why a value of the configuration could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Written by a newer version of the program.
    #[error(
        "the value has format version {0}, which this program doesn't understand: \
         start the newer version of the program"
    )]
    Newer(u8),
    /// Not what encoding writes.
    #[error("the value is malformed: {0}")]
    Malformed(&'static str),
}

/// The bytes of a zone.
pub fn encode_zone(zone: &Zone) -> Bytes {
    let mut writer = if zone.account == AccountId::LAB {
        Writer::new()
    } else {
        let mut writer = Writer::of_version(OWNED_VERSION);
        writer.text(&zone.account.to_string());
        writer
    };
    writer.text(zone.id.as_str());
    writer.name(&zone.name);
    writer.u8(u8::from(zone.comment.is_some()));
    if let Some(comment) = &zone.comment {
        writer.text(comment);
    }
    writer.text(&zone.caller_reference);
    for server in &zone.name_servers {
        writer.name(server);
    }
    writer.finish()
}

/// Reads a zone back.
///
/// # Errors
/// When the bytes are not what [`encode_zone`] writes.
pub fn decode_zone(bytes: &[u8]) -> Result<Zone, CodecError> {
    let (version, mut reader) = Reader::up_to(bytes, OWNED_VERSION)?;
    let account = match version {
        OWNED_VERSION => account(reader.text()?)?,
        _ => AccountId::LAB,
    };
    let id = ZoneId::new(reader.text()?).ok_or(CodecError::Malformed("a zone's id"))?;
    let name = reader.name()?;
    let comment = reader.flag()?.then(|| reader.text().map(str::to_owned));
    let comment = comment.transpose()?;
    let caller_reference = reader.text()?.to_owned();
    let mut servers = Vec::with_capacity(NAME_SERVERS);
    for _ in 0..NAME_SERVERS {
        servers.push(reader.name()?);
    }
    let name_servers = servers.try_into().expect("NAME_SERVERS were read");
    reader.finish()?;
    Ok(Zone {
        account,
        id,
        name,
        comment,
        caller_reference,
        name_servers,
    })
}

/// The account that version 2 names: never the one that version 1 is for.
fn account(text: &str) -> Result<AccountId, CodecError> {
    let account = text.parse().ok();
    account
        .filter(|account| *account != AccountId::LAB)
        .ok_or(CodecError::Malformed("an account"))
}

/// The bytes of a record group: sets of one name and kind, which stand in its key.
pub fn encode_group(sets: &[RecordSet]) -> Bytes {
    let mut writer = Writer::new();
    writer.number(sets.len() as u64);
    for set in sets {
        encode_set(&mut writer, set);
    }
    writer.finish()
}

/// Reads a record group back.
///
/// # Errors
/// When the bytes are not what [`encode_group`] writes.
pub fn decode_group(
    name: &Name,
    kind: RecordKind,
    bytes: &[u8],
) -> Result<Vec<RecordSet>, CodecError> {
    let mut reader = Reader::new(bytes)?;
    let count = reader.count()?;
    let mut sets = Vec::with_capacity(count);
    for _ in 0..count {
        sets.push(decode_set(&mut reader, name, kind)?);
    }
    reader.finish()?;
    Ok(sets)
}

/// How many record sets a group has, without reading them.
///
/// # Errors
/// When the bytes don't begin as [`encode_group`] begins.
pub fn count_group(bytes: &[u8]) -> Result<usize, CodecError> {
    Reader::new(bytes)?.count()
}

fn encode_set(writer: &mut Writer, set: &RecordSet) {
    let mut flags = 0;
    let mut raise = |when: bool, flag: u8| flags |= if when { flag } else { 0 };
    raise(set.selector.is_some(), flag::SELECTOR);
    raise(set.health_check.is_some(), flag::HEALTH_CHECK);
    if let Content::Alias(alias) = &set.content {
        raise(true, flag::ALIAS);
        raise(alias.evaluate_target_health, flag::EVALUATE_TARGET_HEALTH);
    }
    writer.u8(flags);
    if let Some(selector) = &set.selector {
        writer.text(&selector.identifier);
        encode_policy(writer, selector.policy);
    }
    if let Some(check) = &set.health_check {
        writer.text(&check.0);
    }
    match &set.content {
        Content::Alias(alias) => {
            writer.text(alias.zone.as_str());
            writer.name(&alias.target);
        }
        Content::Values { ttl, values } => {
            writer.number(u64::from(*ttl));
            writer.number(values.len() as u64);
            for value in values {
                writer.text(value);
            }
        }
    }
}

fn decode_set(
    reader: &mut Reader<'_>,
    name: &Name,
    kind: RecordKind,
) -> Result<RecordSet, CodecError> {
    let flags = reader.u8()?;
    let raised = |flag: u8| flags & flag != 0;
    let only_of_aliases = raised(flag::EVALUATE_TARGET_HEALTH) && !raised(flag::ALIAS);
    if flags & !flag::ALL != 0 || only_of_aliases {
        return Err(CodecError::Malformed("a record set's flags"));
    }
    let mut selector = None;
    if raised(flag::SELECTOR) {
        selector = Some(Selector {
            identifier: reader.text()?.to_owned(),
            policy: decode_policy(reader)?,
        });
    }
    let mut health_check = None;
    if raised(flag::HEALTH_CHECK) {
        health_check = Some(HealthCheckId(reader.text()?.to_owned()));
    }
    let content = if raised(flag::ALIAS) {
        Content::Alias(Alias {
            zone: ZoneId::new(reader.text()?).ok_or(CodecError::Malformed("a zone's id"))?,
            target: reader.name()?,
            evaluate_target_health: raised(flag::EVALUATE_TARGET_HEALTH),
        })
    } else {
        let ttl = u32::try_from(reader.number()?).map_err(|_| CodecError::Malformed("a TTL"))?;
        let count = reader.count()?;
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            values.push(reader.text()?.to_owned());
        }
        Content::Values { ttl, values }
    };
    Ok(RecordSet {
        name: name.clone(),
        kind,
        selector,
        content,
        health_check,
    })
}

fn encode_policy(writer: &mut Writer, policy: Policy) {
    match policy {
        Policy::Weighted(weight) => writer.u8(tag::WEIGHTED).u8(weight),
        Policy::Latency(region) => writer.u8(tag::LATENCY).text(region.name()),
        Policy::Failover(FailoverRole::Primary) => writer.u8(tag::PRIMARY),
        Policy::Failover(FailoverRole::Secondary) => writer.u8(tag::SECONDARY),
        Policy::Multivalue => writer.u8(tag::MULTIVALUE),
        Policy::Geolocation(Location::Default) => writer.u8(tag::ANYWHERE),
        Policy::Geolocation(Location::Continent(continent)) => {
            writer.u8(tag::CONTINENT).text(continent.code())
        }
        Policy::Geolocation(Location::Country(country)) => {
            writer.u8(tag::COUNTRY).text(country.as_str())
        }
        Policy::Geolocation(Location::Subdivision(country, part)) => writer
            .u8(tag::SUBDIVISION)
            .text(country.as_str())
            .text(part.as_str()),
    };
}

fn decode_policy(reader: &mut Reader<'_>) -> Result<Policy, CodecError> {
    Ok(match reader.u8()? {
        tag::WEIGHTED => Policy::Weighted(reader.u8()?),
        tag::LATENCY => {
            let region: Result<Region, _> = reader.text()?.parse();
            Policy::Latency(region.map_err(|_| CodecError::Malformed("a Region"))?)
        }
        tag::PRIMARY => Policy::Failover(FailoverRole::Primary),
        tag::SECONDARY => Policy::Failover(FailoverRole::Secondary),
        tag::MULTIVALUE => Policy::Multivalue,
        tag::ANYWHERE => Policy::Geolocation(Location::Default),
        tag::CONTINENT => {
            let continent = Continent::from_code(reader.text()?);
            let continent = continent.ok_or(CodecError::Malformed("a continent"))?;
            Policy::Geolocation(Location::Continent(continent))
        }
        tag::COUNTRY => Policy::Geolocation(Location::Country(country(reader)?)),
        tag::SUBDIVISION => {
            let country = country(reader)?;
            let part = SubdivisionCode::new(reader.text()?);
            let part = part.ok_or(CodecError::Malformed("a subdivision"))?;
            Policy::Geolocation(Location::Subdivision(country, part))
        }
        _ => return Err(CodecError::Malformed("a policy")),
    })
}

fn country(reader: &mut Reader<'_>) -> Result<CountryCode, CodecError> {
    CountryCode::new(reader.text()?).ok_or(CodecError::Malformed("a country"))
}

/// Writes a value: its version, then fields.
#[derive(Debug)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new() -> Writer {
        Writer::of_version(FORMAT_VERSION)
    }

    pub(crate) fn of_version(version: u8) -> Writer {
        Writer(vec![version])
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Writer {
        self.0.push(value);
        self
    }

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    pub(crate) fn number(&mut self, mut value: u64) -> &mut Writer {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.u8((value & 0x7f) as u8)
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Writer {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    pub(crate) fn name(&mut self, name: &Name) -> &mut Writer {
        self.number(name.wire().len() as u64);
        self.0.extend_from_slice(name.wire());
        self
    }

    pub(crate) fn finish(self) -> Bytes {
        Bytes::from(self.0)
    }
}

/// Reads what a [`Writer`] wrote.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

const SHORT: CodecError = CodecError::Malformed("it ends too early");

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Reader<'a>, CodecError> {
        Ok(Reader::up_to(bytes, FORMAT_VERSION)?.1)
    }

    /// Reads bytes of any version up to that one, which it returns too.
    fn up_to(bytes: &'a [u8], newest: u8) -> Result<(u8, Reader<'a>), CodecError> {
        match bytes.split_first() {
            None => Err(SHORT),
            Some((0, _)) => Err(CodecError::Malformed("its version")),
            Some((&version, rest)) if version <= newest => Ok((version, Reader(rest))),
            Some((&version, _)) => Err(CodecError::Newer(version)),
        }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, CodecError> {
        let (&value, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        Ok(value)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, CodecError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(CodecError::Malformed("a flag")),
        }
    }

    pub(crate) fn number(&mut self) -> Result<u64, CodecError> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part || (byte == 0 && shift > 0) {
                return Err(CodecError::Malformed("a number"));
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(CodecError::Malformed("a number"))
    }

    /// A number of things that follow, each of at least a byte.
    pub(crate) fn count(&mut self) -> Result<usize, CodecError> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count > self.0.len() {
            return Err(SHORT);
        }
        Ok(count)
    }

    fn bytes(&mut self) -> Result<&'a [u8], CodecError> {
        let count = self.count()?;
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, CodecError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| CodecError::Malformed("a text"))
    }

    pub(crate) fn name(&mut self) -> Result<Name, CodecError> {
        let wire = self.bytes()?;
        let name = Name::from_wire(wire).map_err(|_| CodecError::Malformed("a name"))?;
        if name.wire() != wire {
            return Err(CodecError::Malformed("a name in capitals"));
        }
        Ok(name)
    }

    pub(crate) fn finish(self) -> Result<(), CodecError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(CodecError::Malformed("bytes follow its end"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn zone() -> Zone {
        let server = |number: u32| name(&format!("ns-{number}.awsdns-00.com"));
        Zone {
            account: AccountId::LAB,
            id: ZoneId::new("Z1").unwrap(),
            name: name("a.b"),
            comment: Some("hi".to_owned()),
            caller_reference: "r".to_owned(),
            name_servers: [server(1), server(2), server(3), server(4)],
        }
    }

    fn set(policy: Option<Policy>, content: Content) -> RecordSet {
        RecordSet {
            name: name("x.a.b"),
            kind: RecordKind::A,
            selector: policy.map(|policy| Selector {
                identifier: "one".to_owned(),
                policy,
            }),
            content,
            health_check: Some(HealthCheckId("h".to_owned())),
        }
    }

    fn sets() -> Vec<RecordSet> {
        let values = || Content::Values {
            ttl: 300,
            values: vec!["192.0.2.1".to_owned()],
        };
        let alias = Content::Alias(Alias {
            zone: ZoneId::new("Z1").unwrap(),
            target: name("y.a.b"),
            evaluate_target_health: true,
        });
        let country = CountryCode::new("US").unwrap();
        let part = SubdivisionCode::new("CA").unwrap();
        let mut sets: Vec<RecordSet> = [
            Policy::Weighted(7),
            Policy::Latency("eu-west-1".parse().unwrap()),
            Policy::Failover(FailoverRole::Primary),
            Policy::Failover(FailoverRole::Secondary),
            Policy::Multivalue,
            Policy::Geolocation(Location::Default),
            Policy::Geolocation(Location::Continent(Continent::Europe)),
            Policy::Geolocation(Location::Country(country)),
            Policy::Geolocation(Location::Subdivision(country, part)),
        ]
        .into_iter()
        .map(|policy| set(Some(policy), values()))
        .collect();
        sets.push(set(None, alias));
        sets
    }

    #[test]
    fn zones_and_groups_read_back() {
        assert_eq!(decode_zone(&encode_zone(&zone())), Ok(zone()));
        let bytes = encode_group(&sets());
        assert_eq!(
            decode_group(&name("x.a.b"), RecordKind::A, &bytes),
            Ok(sets())
        );
    }

    #[test]
    fn golden_bytes_of_a_group() {
        let all = sets();
        let two = [all[0].clone(), all[9].clone()];
        let golden = b"\x01\x02\
            \x05\x03one\x01\x07\x01h\xac\x02\x01\x09192.0.2.1\
            \x0e\x01h\x02Z1\x07\x01y\x01a\x01b\x00";
        assert_eq!(encode_group(&two).as_ref(), golden);
        assert_eq!(count_group(golden), Ok(two.len()));
    }

    #[test]
    fn golden_bytes_of_a_zone() {
        let mut golden = b"\x01\x02Z1\x05\x01a\x01b\x00\x01\x02hi\x01r".to_vec();
        for number in b'1'..=b'4' {
            golden.extend(b"\x14\x04ns-");
            golden.push(number);
            golden.extend(b"\x09awsdns-00\x03com\x00");
        }
        assert_eq!(encode_zone(&zone()).as_ref(), golden);
        // Another account's begins with it, in version 2.
        let owned = Zone {
            account: "444455556666".parse().unwrap(),
            ..zone()
        };
        let golden = [b"\x02\x0c444455556666", &golden[1..]].concat();
        assert_eq!(encode_zone(&owned).as_ref(), golden);
        assert_eq!(decode_zone(&golden), Ok(owned));
        let first = [b"\x02\x0c111122223333", &encode_zone(&zone())[1..]].concat();
        assert_eq!(
            decode_zone(&first),
            Err(CodecError::Malformed("an account"))
        );
        assert_eq!(decode_zone(b"\x03"), Err(CodecError::Newer(3)));
    }

    #[test]
    fn every_cut_and_every_extension_is_refused() {
        let group = encode_group(&sets()).to_vec();
        let zone = encode_zone(&zone()).to_vec();
        let read_group = |bytes: &[u8]| decode_group(&name("x.a.b"), RecordKind::A, bytes).err();
        for length in 0..group.len() {
            assert!(read_group(&group[..length]).is_some(), "cut to {length}");
        }
        for length in 0..zone.len() {
            assert!(decode_zone(&zone[..length]).is_err(), "cut to {length}");
        }
        assert!(read_group(&[group.as_slice(), &[0]].concat()).is_some());
        assert!(decode_zone(&[zone.as_slice(), &[0]].concat()).is_err());
        assert_eq!(read_group(&[2, 0]), Some(CodecError::Newer(2)));
    }

    #[test]
    fn flipped_bytes_never_panic() {
        let group = encode_group(&sets()).to_vec();
        for at in 0..group.len() {
            for flip in 1..=255u8 {
                let mut bytes = group.clone();
                bytes[at] ^= flip;
                let _ = decode_group(&name("x.a.b"), RecordKind::A, &bytes);
            }
        }
    }
}
