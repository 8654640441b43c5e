//! What an edge's flows are told with: the number of their endpoint, and the Region of the endpoint
//! group by which they came there. It counts nothing.

use types::Region;

/// What a token has of the endpoint's number; above it stands the Region's.
const NUMBER: u32 = 0xffff;

/// Endpoints that can be told apart.
pub(super) const MAX_NUMBERS: usize = NUMBER as usize + 1;

/// The token of flows to the endpoint of that number, less than [`MAX_NUMBERS`], in that Region.
pub(super) fn token(number: u32, region: Region) -> u32 {
    let place = Region::all().position(|known| known == region);
    let place = place.and_then(|place| u32::try_from(place).ok());
    let place = place.expect("a Region is one of all, of which there are few");
    number | place << NUMBER.count_ones()
}

/// The endpoint's number in a token.
pub(super) fn number_of(token: u32) -> usize {
    (token & NUMBER) as usize
}

/// The Region in a token; none: nobody made it.
pub(super) fn region_of(token: u32) -> Option<Region> {
    Region::all().nth((token >> NUMBER.count_ones()) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_an_endpoint_and_its_region() {
        for region in Region::all() {
            for number in [0, NUMBER] {
                let token = token(number, region);
                assert_eq!(number_of(token), number as usize);
                assert_eq!(region_of(token), Some(region));
            }
        }
        assert_eq!(region_of(u32::MAX), None);
    }
}
