//! Where an address is, by an MMDB file of the operator's. Two layouts are understood: MaxMind's
//! (`country.iso_code`, `subdivisions`, `continent.code`, `location`) and the flat one that
//! has `country_code` alone. The file's bytes are given; nothing is read from disk here.

use std::net::IpAddr;

use maxminddb::{LookupResult, PathElement, Reader};
use types::{Coordinates, Region};

use super::geography;
use crate::{Continent, CountryCode, SubdivisionCode};

/// A database of addresses.
pub(super) struct Database {
    reader: Reader<Vec<u8>>,
    flat: bool,
}

/// A file that isn't a database which is understood.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It is no MMDB file, or a damaged one.
    #[error("not an MMDB file, or a damaged one: {0}")]
    Malformed(String),
    /// Its records say no country in a layout that is understood.
    #[error("its records have neither 'country_code' nor 'country.iso_code'")]
    Layout,
}

/// What a database says of an address.
pub(super) struct Entry {
    pub(super) country: Option<CountryCode>,
    pub(super) subdivision: Option<SubdivisionCode>,
    pub(super) continent: Option<Continent>,
    pub(super) anchor: Option<Region>,
    pub(super) prefix: u8,
}

const COUNTRY_CODE: &[PathElement<'static>] = &[PathElement::Key("country_code")];
const COUNTRY: &[PathElement<'static>] =
    &[PathElement::Key("country"), PathElement::Key("iso_code")];
const REGISTERED: &[PathElement<'static>] = &[
    PathElement::Key("registered_country"),
    PathElement::Key("iso_code"),
];
const SUBDIVISION: &[PathElement<'static>] = &[
    PathElement::Key("subdivisions"),
    PathElement::Index(0),
    PathElement::Key("iso_code"),
];
const CONTINENT: &[PathElement<'static>] =
    &[PathElement::Key("continent"), PathElement::Key("code")];
const LATITUDE: &[PathElement<'static>] =
    &[PathElement::Key("location"), PathElement::Key("latitude")];
const LONGITUDE: &[PathElement<'static>] =
    &[PathElement::Key("location"), PathElement::Key("longitude")];

/// Networks that are looked at to learn a database's layout, at most.
const SAMPLES: usize = 64;

impl Database {
    pub(super) fn new(bytes: Vec<u8>) -> Result<Database, DatabaseError> {
        let malformed =
            |error: maxminddb::MaxMindDbError| DatabaseError::Malformed(error.to_string());
        let reader = Reader::from_source(bytes).map_err(malformed)?;
        let mut flat = None;
        let samples = reader.networks(Default::default()).map_err(malformed)?;
        for sample in samples.take(SAMPLES) {
            let sample = sample.map_err(malformed)?;
            flat = if text(&sample, COUNTRY_CODE).is_some() {
                Some(true)
            } else if text(&sample, COUNTRY)
                .or(text(&sample, REGISTERED))
                .is_some()
            {
                Some(false)
            } else {
                continue;
            };
            break;
        }
        let flat = flat.ok_or(DatabaseError::Layout)?;
        Ok(Database { reader, flat })
    }

    /// What it says of an address, if anything. A record that can't be read says nothing.
    pub(super) fn look_up(&self, address: IpAddr) -> Option<Entry> {
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return None;
        }
        let found = self.reader.lookup(address).ok()?;
        if !found.has_data() {
            return None;
        }
        let longest = if address.is_ipv4() { 32 } else { 128 };
        // Above its part for IPv4 a database of IPv6 tells networks of IPv6.
        let prefix = found.network().ok()?.prefix().min(longest);
        if self.flat {
            let country = text(&found, COUNTRY_CODE).and_then(CountryCode::new);
            let known = geography::country(country?);
            return Some(Entry {
                country,
                subdivision: None,
                continent: known.map(|country| country.continent),
                anchor: known.map(|country| country.anchor),
                prefix,
            });
        }
        let country = text(&found, COUNTRY).or_else(|| text(&found, REGISTERED));
        let country = country.and_then(CountryCode::new);
        let known = country.and_then(geography::country);
        let subdivision = text(&found, SUBDIVISION).and_then(SubdivisionCode::new);
        let continent = text(&found, CONTINENT).and_then(Continent::from_code);
        let at = number(&found, LATITUDE).zip(number(&found, LONGITUDE));
        let at = at.map(|(latitude, longitude)| Coordinates {
            latitude,
            longitude,
        });
        let state = country.zip(subdivision).and_then(geography::state_anchor);
        Some(Entry {
            country,
            subdivision,
            continent: continent.or(known.map(|country| country.continent)),
            anchor: at
                .map(geography::nearest)
                .or(state)
                .or(known.map(|country| country.anchor)),
            prefix,
        })
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database")
            .field("type", &self.reader.metadata().database_type)
            .field("flat", &self.flat)
            .finish()
    }
}

fn text<'a>(found: &LookupResult<'a, Vec<u8>>, path: &[PathElement<'_>]) -> Option<&'a str> {
    found.decode_path(path).ok().flatten()
}

fn number(found: &LookupResult<'_, Vec<u8>>, path: &[PathElement<'_>]) -> Option<f64> {
    let number: Option<f64> = found.decode_path(path).ok().flatten();
    number.filter(|number| number.is_finite())
}
