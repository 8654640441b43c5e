//! The tables behind places: Regions with their countries, and how long a packet takes from
//! one to another.

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use types::{Place, Region, Span, one_way_delay};

use crate::{Continent, CountryCode, SubdivisionCode};

/// Countries and states of the Regions; its source line stands at its head.
const PLACES: &str = include_str!("../../../../data/region-places.csv");

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
    for line in super::geography::lines(PLACES) {
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

/// The Region of a row.
pub(crate) fn region_of_row(row: usize) -> Region {
    REGIONS[row]
}

/// How long a packet takes from the Region of that row to a Region, one way.
pub(crate) fn latency(row: usize, region: Region) -> Span {
    one_way_delay(REGIONS[row], region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_has_a_place_and_its_row() {
        for region in Region::all() {
            assert_eq!(region_of_row(row_of_region(region)), region);
            let known = place(region);
            let is_state = known.country.as_str() == "US";
            assert_eq!(known.subdivision.is_some(), is_state, "{region}");
        }
        let frankfurt = "eu-central-1".parse().unwrap();
        assert_eq!(place(frankfurt).country.as_str(), "DE");
        let address = Place(frankfurt).address(9);
        assert_eq!(place_of(address), Some(Place(frankfurt)));
        assert_eq!(place_of(Ipv4Addr::new(127, 0, 0, 1)), None);
    }
}
