//! Which Regions are near which: by the time a packet takes, one way, as everything else of the
//! deployment reckons it. The lab's factor on delays changes nothing of the order.

use std::sync::LazyLock;

use types::{Region, Span, one_way_delay};

static REGIONS: LazyLock<Vec<Region>> = LazyLock::new(|| Region::all().collect());

/// From each Region, in the table's order, to each.
static DELAYS: LazyLock<Vec<Vec<Span>>> = LazyLock::new(|| {
    let from = |from: &Region| REGIONS.iter().map(|to| one_way_delay(*from, *to)).collect();
    REGIONS.iter().map(from).collect()
});

/// How many Regions the table has.
#[cfg(test)]
pub(crate) fn rows() -> usize {
    REGIONS.len()
}

/// The row of a Region in the table.
pub(crate) fn row_of(region: Region) -> usize {
    let row = REGIONS.binary_search(&region);
    row.expect("Regions are ordered as the table")
}

/// How long a packet takes between two Regions, one way.
pub(crate) fn delay(from: Region, to: Region) -> Span {
    DELAYS[row_of(from)][row_of(to)]
}

/// For each place, in the table's order, the numbers of these Regions, the nearest first; of two
/// that are as near, the first of the table.
pub(crate) fn orders(regions: &[Region]) -> Box<[u8]> {
    let count = u8::try_from(regions.len()).expect("fewer than 256 groups are compiled");
    let rows: Vec<usize> = regions.iter().map(|region| row_of(*region)).collect();
    let mut orders = Vec::with_capacity(REGIONS.len() * regions.len());
    for delays in DELAYS.iter() {
        let mut order: Vec<u8> = (0..count).collect();
        order.sort_by_key(|number| {
            let row = rows[usize::from(*number)];
            (delays[row], row)
        });
        orders.extend(order);
    }
    orders.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_its_own_region_first_if_there_is_one() {
        let named = |name: &str| name.parse::<Region>().expect("it is in the table");
        let regions = ["eu-west-1", "us-east-1", "us-west-2"].map(named);
        let orders = orders(&regions);
        assert_eq!(orders.len(), rows() * 3);
        let order = |place: &str| &orders[row_of(named(place)) * 3..][..3];
        assert_eq!(order("eu-west-1"), [0, 1, 2]);
        assert_eq!(order("us-east-1"), [1, 0, 2]);
        assert_eq!(order("us-west-2"), [2, 1, 0]);
        assert_eq!(order("eu-central-1"), [0, 1, 2]);
        assert_eq!(delay(regions[0], regions[0]), Span::ZERO);
    }
}
