//! Places a client can be in, and the lab addresses that put it there.

use std::net::Ipv4Addr;

use crate::Region;

/// Degrees on the globe: latitude −90 to 90, longitude −180 to 180.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Coordinates {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// A place of the lab: the metropolitan area of a Region. A client that binds to one of its
/// addresses *is* there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place(pub Region);

impl Place {
    /// Every place, in the order of the table of Regions.
    pub fn all() -> impl Iterator<Item = Place> {
        Region::all().map(Place)
    }

    /// The third octet of its addresses: its row in the table of Regions, from 1.
    fn octet(self) -> u8 {
        let row = Region::all().position(|region| region == self.0);
        u8::try_from(row.expect("every Region is in its table") + 1).expect("fewer than 255 rows")
    }

    /// Its lab address of that last octet: 127.64.p.`last`.
    pub fn address(self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, 64, self.octet(), last)
    }

    /// The place that holds the address, if it is a place's.
    pub fn of(address: Ipv4Addr) -> Option<Place> {
        let [127, 64, octet, _] = address.octets() else {
            return None;
        };
        Place::all().find(|place| place.octet() == octet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_back_to_its_place() {
        for place in Place::all() {
            assert_eq!(Place::of(place.address(9)), Some(place));
        }
        assert_eq!(Place::of(Ipv4Addr::LOCALHOST), None);
    }
}
