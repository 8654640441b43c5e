//! Where a client is: by the lab's places, by databases that the operator names, or nowhere
//! known. Time decides what is near, by the round-trip matrix; distance only helps to find the
//! Region a place on the globe is anchored at.

mod database;
mod geography;

use std::net::IpAddr;

use types::{Place, Region};

use crate::{Continent, CountryCode, Location, SubdivisionCode};

use database::Database;
pub use database::DatabaseError;
use geography::row_of_region;
pub(crate) use geography::{anchor_rows, latency};

/// Bits before an IPv4 address within IPv6's (RFC 4291, section 2.5.5.2).
const MAPPED_PREFIX: u8 = 96;

/// Tells where clients are.
#[derive(Debug)]
pub struct Locator {
    /// Where who can't be placed is taken to be, for latency alone.
    own: Option<Region>,
    databases: Vec<Database>,
}

/// Where a client was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// At a place of the lab, by its address.
    Place(Place),
    /// By a database.
    Database,
    /// Nowhere: no place and no database knows the address.
    Unknown,
}

/// Where a client is, as far as is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Whereabouts {
    /// How it was found.
    pub found: Found,
    /// The Region from which its latencies are reckoned.
    pub anchor: Option<Region>,
    /// Its country.
    pub country: Option<CountryCode>,
    /// Its part of the country.
    pub subdivision: Option<SubdivisionCode>,
    /// Its continent.
    pub continent: Option<Continent>,
    /// How many bits of its address this holds for.
    pub prefix: u8,
    row: u8,
}

impl Whereabouts {
    /// What the client's place is called, from the most exact to the default.
    pub fn locations(&self) -> [Option<Location>; 4] {
        let subdivision = self.country.zip(self.subdivision);
        [
            subdivision.map(|(country, part)| Location::Subdivision(country, part)),
            self.country.map(Location::Country),
            self.continent.map(Location::Continent),
            Some(Location::Default),
        ]
    }

    /// The row of its anchor in the table of Regions.
    pub(crate) fn anchor_row(&self) -> usize {
        usize::from(self.row)
    }
}

impl Locator {
    /// A locator at `own`'s place: who can't be placed is next door to it, as a client of the
    /// lab without a place's address is.
    pub fn new(own: Option<Region>) -> Locator {
        Locator {
            own,
            databases: Vec::new(),
        }
    }

    /// And with a database, an MMDB file's bytes. Of several the first that knows an address
    /// is believed.
    ///
    /// # Errors
    /// When the bytes are no database whose layout is understood.
    pub fn with_database(mut self, bytes: Vec<u8>) -> Result<Locator, DatabaseError> {
        self.databases.push(Database::new(bytes)?);
        Ok(self)
    }

    /// Where that address is. An IPv4 address within IPv6's is where the IPv4 address is.
    pub fn locate(&self, address: IpAddr) -> Whereabouts {
        let canonical = address.to_canonical();
        let mut whereabouts = self.located(canonical);
        if address.is_ipv6() && canonical.is_ipv4() {
            whereabouts.prefix += MAPPED_PREFIX;
        }
        whereabouts
    }

    fn located(&self, address: IpAddr) -> Whereabouts {
        if let IpAddr::V4(v4) = address
            && let Some(place) = geography::place_of(v4)
        {
            return at_place(place);
        }
        let known = self
            .databases
            .iter()
            .find_map(|database| database.look_up(address));
        if let Some(known) = known {
            return anchored(Whereabouts {
                found: Found::Database,
                anchor: known.anchor.or(self.own),
                country: known.country,
                subdivision: known.subdivision,
                continent: known.continent,
                prefix: known.prefix,
                row: 0,
            });
        }
        anchored(Whereabouts {
            found: Found::Unknown,
            anchor: self.own,
            country: None,
            subdivision: None,
            continent: None,
            prefix: match address {
                IpAddr::V4(_) => 32,
                IpAddr::V6(_) => 128,
            },
            row: 0,
        })
    }
}

fn at_place(place: Place) -> Whereabouts {
    let known = geography::place(place.0);
    anchored(Whereabouts {
        found: Found::Place(place),
        anchor: Some(place.0),
        country: Some(known.country),
        subdivision: known.subdivision,
        continent: Some(known.continent),
        prefix: geography::PLACE_PREFIX,
        row: 0,
    })
}

fn anchored(mut whereabouts: Whereabouts) -> Whereabouts {
    let row = whereabouts.anchor.map_or(0, row_of_region);
    whereabouts.row = row as u8; // fewer than 256 Regions
    whereabouts
}

/// The client of a question: located when a decision first asks.
pub(crate) struct Client<'a> {
    locator: &'a Locator,
    pub(crate) address: IpAddr,
    located: Option<Whereabouts>,
}

impl<'a> Client<'a> {
    pub(crate) fn new(locator: &'a Locator, address: IpAddr) -> Client<'a> {
        Client {
            locator,
            address,
            located: None,
        }
    }

    /// Where it is.
    pub(crate) fn whereabouts(&mut self) -> &Whereabouts {
        let (locator, address) = (self.locator, self.address);
        self.located.get_or_insert_with(|| locator.locate(address))
    }

    /// Where it is, if a decision has asked.
    pub(crate) fn asked(&self) -> Option<&Whereabouts> {
        self.located.as_ref()
    }
}
