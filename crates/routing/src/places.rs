//! The places that geolocation records can be for: continents, countries, and the parts of the
//! United States, as `ListGeoLocations` lists them. Where a client is isn't known here.

use std::sync::LazyLock;

use crate::{Continent, CountryCode, Location, SubdivisionCode};

/// The table of countries; its source line stands at its head.
const COUNTRIES: &str = include_str!("../../../data/countries.csv");

/// The states of the United States and its capital's district. The API's model has parts of no
/// other country ("Route 53 doesn't support any other values for SubdivisionCode").
const STATES: [(&str, &str); 51] = [
    ("AK", "Alaska"),
    ("AL", "Alabama"),
    ("AR", "Arkansas"),
    ("AZ", "Arizona"),
    ("CA", "California"),
    ("CO", "Colorado"),
    ("CT", "Connecticut"),
    ("DC", "District of Columbia"),
    ("DE", "Delaware"),
    ("FL", "Florida"),
    ("GA", "Georgia"),
    ("HI", "Hawaii"),
    ("IA", "Iowa"),
    ("ID", "Idaho"),
    ("IL", "Illinois"),
    ("IN", "Indiana"),
    ("KS", "Kansas"),
    ("KY", "Kentucky"),
    ("LA", "Louisiana"),
    ("MA", "Massachusetts"),
    ("MD", "Maryland"),
    ("ME", "Maine"),
    ("MI", "Michigan"),
    ("MN", "Minnesota"),
    ("MO", "Missouri"),
    ("MS", "Mississippi"),
    ("MT", "Montana"),
    ("NC", "North Carolina"),
    ("ND", "North Dakota"),
    ("NE", "Nebraska"),
    ("NH", "New Hampshire"),
    ("NJ", "New Jersey"),
    ("NM", "New Mexico"),
    ("NV", "Nevada"),
    ("NY", "New York"),
    ("OH", "Ohio"),
    ("OK", "Oklahoma"),
    ("OR", "Oregon"),
    ("PA", "Pennsylvania"),
    ("RI", "Rhode Island"),
    ("SC", "South Carolina"),
    ("SD", "South Dakota"),
    ("TN", "Tennessee"),
    ("TX", "Texas"),
    ("UT", "Utah"),
    ("VA", "Virginia"),
    ("VT", "Vermont"),
    ("WA", "Washington"),
    ("WI", "Wisconsin"),
    ("WV", "West Virginia"),
    ("WY", "Wyoming"),
];

/// A place and its names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// The place.
    pub(crate) location: Location,
    /// Its name; of a part of a country, that of the country.
    pub(crate) name: &'static str,
    /// Its name, if it is a part of a country.
    pub(crate) subdivision: Option<&'static str>,
}

static PLACES: LazyLock<Vec<Place>> = LazyLock::new(|| {
    let mut places = vec![Place {
        location: Location::Default,
        name: "Default",
        subdivision: None,
    }];
    let rows = COUNTRIES.lines().filter(|line| !line.starts_with('#'));
    for (code, name) in rows.filter_map(|row| row.split_once(',')) {
        let Some(country) = CountryCode::new(code) else {
            continue; // the head of the table
        };
        places.push(Place {
            location: Location::Country(country),
            name,
            subdivision: None,
        });
        for (state, state_name) in STATES.iter().filter(|_| code == "US") {
            let state = SubdivisionCode::new(state).expect("the states' codes are two letters");
            places.push(Place {
                location: Location::Subdivision(country, state),
                name,
                subdivision: Some(state_name),
            });
        }
    }
    places.extend(Continent::ALL.map(|continent| Place {
        location: Location::Continent(continent),
        name: continent.name(),
        subdivision: None,
    }));
    places
});

/// Every place in the API's order: the default, countries by code, each followed by its parts,
/// then the continents.
pub(crate) fn all() -> &'static [Place] {
    &PLACES
}

/// The place and its names, if it is one that records can be for.
pub(crate) fn find(location: Location) -> Option<&'static Place> {
    PLACES.iter().find(|place| place.location == location)
}

/// The name of a part of a country, if records can be for it.
pub(crate) fn subdivision(country: CountryCode, part: SubdivisionCode) -> Option<&'static str> {
    find(Location::Subdivision(country, part)).and_then(|place| place.subdivision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_come_first_with_their_parts_and_continents_last() {
        let country = |code| CountryCode::new(code).unwrap();
        let at = |location| {
            all()
                .iter()
                .position(|place| place.location == location)
                .unwrap()
        };
        let us = Location::Country(country("US"));
        let alaska = Location::Subdivision(country("US"), SubdivisionCode::new("AK").unwrap());
        assert_eq!(at(Location::Default), 0);
        assert_eq!(at(alaska), at(us) + 1);
        assert!(at(Location::Country(country("AD"))) < at(us));
        assert_eq!(
            at(Location::Continent(Continent::SouthAmerica)),
            all().len() - 1
        );
        assert_eq!(all().len(), 1 + 249 + 51 + 7);
        assert_eq!(find(us).unwrap().name, "United States");
        let texas = SubdivisionCode::new("TX").unwrap();
        assert_eq!(subdivision(country("US"), texas), Some("Texas"));
        assert_eq!(subdivision(country("DE"), texas), None);
    }
}
