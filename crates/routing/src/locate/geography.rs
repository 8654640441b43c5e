//! The tables behind places: Regions with their countries, the countries and states of
//! geolocation records, and how long a packet takes from one Region to another.

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use types::{Coordinates, Place, Region, Span, one_way_delay};

use crate::{Continent, CountryCode, SubdivisionCode};

/// Countries and states of the Regions; its source line stands at its head.
const PLACES: &str = include_str!("../../../../data/region-places.csv");

/// Countries; its source line stands at its head.
const COUNTRIES: &str = include_str!("../../../../data/country-places.csv");

/// States of the United States; its source line stands at its head.
const STATES: &str = include_str!("../../../../data/us-state-places.csv");

/// Where a country is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CountryPlace {
    /// Its code.
    code: CountryCode,
    /// Its continent.
    pub(super) continent: Continent,
    /// The Region nearest to where its people live.
    pub(super) anchor: Region,
}

/// Where a state of the United States is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct StatePlace {
    /// Its code.
    code: SubdivisionCode,
    /// The Region nearest to where its people live.
    pub(super) anchor: Region,
}

/// The country that has states here.
const COUNTRY_WITH_STATES: &str = "US";

/// Bits of an address that tell a place of the lab: 127.64.p.x.
pub(super) const PLACE_PREFIX: u8 = 24;

/// Where a Region stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RegionPlace {
    pub(crate) country: CountryCode,
    pub(crate) subdivision: Option<SubdivisionCode>,
    pub(crate) continent: Continent,
}

/// By the third octet of the lab's addresses, which says the place.
static BY_OCTET: LazyLock<[Option<Place>; 256]> = LazyLock::new(|| {
    std::array::from_fn(|octet| Place::of(Ipv4Addr::new(127, 64, octet as u8, 1)))
});

static REGIONS: LazyLock<Vec<Region>> = LazyLock::new(|| Region::all().collect());

static REGION_PLACES: LazyLock<Vec<RegionPlace>> = LazyLock::new(|| {
    let mut rows: Vec<Option<RegionPlace>> = vec![None; REGIONS.len()];
    for line in lines(PLACES) {
        let cells: Vec<&str> = line.split(',').collect();
        let [region, country, subdivision, continent] = cells[..] else {
            panic!("the shipped table of places has four columns");
        };
        let region = region.parse().expect("the table names Regions");
        rows[row_of_region(region)] = Some(RegionPlace {
            country: CountryCode::new(country).expect("the table holds countries' codes"),
            subdivision: SubdivisionCode::new(subdivision),
            continent: Continent::from_code(continent).expect("the table holds continents"),
        });
    }
    let rows = rows
        .into_iter()
        .map(|row| row.expect("the table names every Region"));
    rows.collect()
});

/// The directions of the Regions from the Earth's centre.
static DIRECTIONS: LazyLock<Vec<[f64; 3]>> = LazyLock::new(|| {
    let regions = REGIONS.iter().map(|region| direction(region.coordinates()));
    regions.collect()
});

static COUNTRY_ROWS: LazyLock<Vec<CountryPlace>> = LazyLock::new(|| {
    let country = |line: &'static str| {
        let cells: Vec<&str> = line.split(',').collect();
        let [code, continent, latitude, longitude] = cells[..] else {
            panic!("the shipped table of countries has four columns");
        };
        CountryPlace {
            code: CountryCode::new(code).expect("the table holds countries' codes"),
            continent: Continent::from_code(continent).expect("the table holds continents"),
            anchor: nearest(coordinates(latitude, longitude)),
        }
    };
    lines(COUNTRIES).map(country).collect()
});

static STATE_ROWS: LazyLock<Vec<StatePlace>> = LazyLock::new(|| {
    let state = |line: &'static str| {
        let cells: Vec<&str> = line.split(',').collect();
        let [code, latitude, longitude] = cells[..] else {
            panic!("the shipped table of states has three columns");
        };
        StatePlace {
            code: SubdivisionCode::new(code).expect("the table holds states' codes"),
            anchor: nearest(coordinates(latitude, longitude)),
        }
    };
    lines(STATES).map(state).collect()
});

fn coordinates(latitude: &str, longitude: &str) -> Coordinates {
    let degrees = |text: &str| text.parse().expect("the shipped tables hold numbers");
    Coordinates {
        latitude: degrees(latitude),
        longitude: degrees(longitude),
    }
}

/// Where the country of that code is.
pub(super) fn country(code: CountryCode) -> Option<CountryPlace> {
    let row = COUNTRY_ROWS.binary_search_by_key(&code, |country| country.code);
    Some(COUNTRY_ROWS[row.ok()?])
}

/// The Region nearest to a country's state, if that is known.
pub(super) fn state_anchor((country, part): (CountryCode, SubdivisionCode)) -> Option<Region> {
    if country.as_str() != COUNTRY_WITH_STATES {
        return None;
    }
    let row = STATE_ROWS.binary_search_by_key(&part, |state| state.code);
    Some(STATE_ROWS[row.ok()?].anchor)
}

/// The Region nearest to a place on the globe, by great circle.
pub(super) fn nearest(at: Coordinates) -> Region {
    let from = direction(at);
    let closeness = |to: &[f64; 3]| from[0] * to[0] + from[1] * to[1] + from[2] * to[2];
    let mut best = (0, f64::NEG_INFINITY);
    for (row, to) in DIRECTIONS.iter().enumerate() {
        let close = closeness(to);
        if close > best.1 {
            best = (row, close);
        }
    }
    REGIONS[best.0]
}

/// A place's direction from the Earth's centre, of length 1.
fn direction(at: Coordinates) -> [f64; 3] {
    let (latitude, longitude) = (at.latitude.to_radians(), at.longitude.to_radians());
    let (up, out) = latitude.sin_cos();
    let (east, forward) = longitude.sin_cos();
    [out * forward, out * east, up]
}

/// The rows of a shipped table, without comments and its header.
pub(super) fn lines(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.starts_with('#')).skip(1)
}

/// The place of the lab that holds the address.
pub(super) fn place_of(address: Ipv4Addr) -> Option<Place> {
    match address.octets() {
        [127, 64, octet, _] => BY_OCTET[usize::from(octet)],
        _ => None,
    }
}

/// Where a Region stands.
pub(crate) fn place(region: Region) -> RegionPlace {
    REGION_PLACES[row_of_region(region)]
}

/// How many Regions the table has.
pub(crate) fn anchor_rows() -> usize {
    REGIONS.len()
}

/// The row of a Region in the table.
pub(crate) fn row_of_region(region: Region) -> usize {
    let row = REGIONS.binary_search(&region);
    row.expect("Regions are ordered as the table")
}

/// How long a packet takes from the Region of that row to a Region, one way.
pub(crate) fn latency(row: usize, region: Region) -> Span {
    one_way_delay(REGIONS[row], region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_and_a_state_are_anchored_at_the_nearest_region() {
        let anchor = |code| {
            country(CountryCode::new(code).unwrap())
                .unwrap()
                .anchor
                .name()
        };
        assert_eq!(anchor("PT"), "eu-south-2");
        assert_eq!(anchor("NZ"), "ap-southeast-6");
        assert_eq!(anchor("UY"), "sa-east-1");
        let us = CountryCode::new("US").unwrap();
        let anchor = |code| state_anchor((us, SubdivisionCode::new(code).unwrap()));
        assert_eq!(anchor("CA").unwrap().name(), "us-west-1");
        assert_eq!(anchor("XX"), None);
    }

    #[test]
    fn every_region_has_a_place_and_its_row() {
        for region in Region::all() {
            assert_eq!(REGIONS[row_of_region(region)], region);
            assert_eq!(nearest(region.coordinates()), region);
            let known = place(region);
            let is_state = known.country.as_str() == "US";
            assert_eq!(known.subdivision.is_some(), is_state, "{region}");
        }
        assert!(COUNTRY_ROWS.is_sorted_by_key(|country| country.code));
        assert!(STATE_ROWS.is_sorted_by_key(|state| state.code));
        assert_eq!((COUNTRY_ROWS.len(), STATE_ROWS.len()), (250, 51));
        let frankfurt = "eu-central-1".parse().unwrap();
        assert_eq!(place(frankfurt).country.as_str(), "DE");
        let address = Place(frankfurt).address(9);
        assert_eq!(place_of(address), Some(Place(frankfurt)));
        assert_eq!(place_of(Ipv4Addr::new(127, 0, 0, 1)), None);
    }
}
