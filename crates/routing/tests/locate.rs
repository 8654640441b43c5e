//! Where clients are: places of the lab, and databases in both layouts, written here.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::net::IpAddr;

use common::database::mmdb;
use routing::{DatabaseError, Found, Locator};
use types::Place;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_lab_address_is_its_place() {
    let locator = Locator::new(Some("us-west-2".parse().unwrap()));
    let place = Place("eu-west-1".parse().unwrap());
    let found = locator.locate(place.address(77).into());
    assert_eq!(found.found, Found::Place(place));
    assert_eq!(found.anchor.unwrap().name(), "eu-west-1");
    assert_eq!(found.country.unwrap().as_str(), "IE");
    assert_eq!(found.continent.unwrap().code(), "EU");
    assert_eq!(found.prefix, 24);
    let mapped = locator.locate(place.address(77).to_ipv6_mapped().into());
    assert_eq!(
        (mapped.found, mapped.anchor, mapped.prefix),
        (found.found, found.anchor, 120)
    );
}

#[test]
fn who_is_nowhere_is_next_door_and_in_no_country() {
    let locator = Locator::new(Some("us-west-2".parse().unwrap()));
    for text in [
        "127.0.0.1",
        "127.64.0.1",
        "127.64.255.1",
        "192.0.2.1",
        "2001:db8::1",
    ] {
        let found = locator.locate(address(text));
        assert_eq!(found.found, Found::Unknown, "{text}");
        assert_eq!(found.anchor.unwrap().name(), "us-west-2");
        assert_eq!((found.country, found.continent), (None, None));
    }
}

#[test]
fn a_flat_database_says_the_country() {
    let bytes = mmdb(4, &[("192.0.2.0/25", &[("country_code", "PT")])]);
    let locator = Locator::new(None).with_database(bytes).unwrap();
    let found = locator.locate(address("192.0.2.77"));
    assert_eq!(found.found, Found::Database);
    assert_eq!(found.country.unwrap().as_str(), "PT");
    assert_eq!(found.continent.unwrap().code(), "EU");
    assert_eq!(found.anchor.unwrap().name(), "eu-south-2");
    assert_eq!(found.prefix, 25);
    assert_eq!(locator.locate(address("192.0.2.200")).found, Found::Unknown);
    assert_eq!(locator.locate(address("2001:db8::1")).found, Found::Unknown);
}

#[test]
fn a_database_in_maxmind_s_layout_says_more() {
    let bytes = mmdb(
        6,
        &[
            (
                "2001:db8::/32",
                &[
                    ("country.iso_code", "US"),
                    ("continent.code", "NA"),
                    ("subdivisions.0.iso_code", "CA"),
                ],
            ),
            (
                "2001:db9::/48",
                &[
                    ("country.iso_code", "AU"),
                    ("continent.code", "OC"),
                    ("location.latitude", "-31.9"),
                    ("location.longitude", "115.9"),
                ],
            ),
        ],
    );
    let locator = Locator::new(None).with_database(bytes).unwrap();
    let found = locator.locate(address("2001:db8:1::1"));
    assert_eq!(found.subdivision.unwrap().as_str(), "CA");
    assert_eq!(found.anchor.unwrap().name(), "us-west-1");
    assert_eq!(found.prefix, 32);
    let found = locator.locate(address("2001:db9::1"));
    // Perth: Jakarta's Region is nearer than Sydney's and Melbourne's.
    assert_eq!(found.anchor.unwrap().name(), "ap-southeast-4");
    assert_eq!(found.country.unwrap().as_str(), "AU");
}

#[test]
fn the_first_database_that_knows_an_address_is_believed() {
    let one = mmdb(4, &[("192.0.2.0/24", &[("country_code", "DE")])]);
    let two = mmdb(4, &[("192.0.0.0/16", &[("country_code", "FR")])]);
    let locator = Locator::new(None).with_database(one).unwrap();
    let locator = locator.with_database(two).unwrap();
    assert_eq!(
        locator
            .locate(address("192.0.2.1"))
            .country
            .unwrap()
            .as_str(),
        "DE"
    );
    assert_eq!(
        locator
            .locate(address("192.0.3.1"))
            .country
            .unwrap()
            .as_str(),
        "FR"
    );
}

#[test]
fn what_is_no_database_is_refused() {
    let refused = |bytes| Locator::new(None).with_database(bytes).unwrap_err();
    assert!(matches!(
        refused(b"no database".to_vec()),
        DatabaseError::Malformed(_)
    ));
    let other = mmdb(4, &[("192.0.2.0/24", &[("asn", "64496")])]);
    assert!(matches!(refused(other), DatabaseError::Layout));
    let good = mmdb(4, &[("192.0.2.0/24", &[("country_code", "DE")])]);
    for length in 0..good.len() {
        if let Ok(locator) = Locator::new(None).with_database(good[..length].to_vec()) {
            locator.locate(address("192.0.2.1"));
        }
    }
}
