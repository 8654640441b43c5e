//! How long a packet takes between two places: half the measured round trip where the shipped
//! matrix has it, a distance model where it has not.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::{Coordinates, Region, Span};

/// Round trips in milliseconds, measured; its source line stands at its head.
const MATRIX: &str = include_str!("../../../data/region-rtt-ms-2020-06-05.csv");

/// Kilometres of great circle per millisecond of one-way delay. Light in fibre covers about 200;
/// routes are longer than the great circle. 115.2 is the median over the shipped matrix of
/// distance / (round trip / 2), recomputed by `the_distance_model_is_the_matrix_median`.
const KILOMETRES_PER_MILLISECOND: f64 = 115.2;

/// Mean radius of the Earth, IUGG.
const EARTH_RADIUS_KILOMETRES: f64 = 6371.0;

static ROUND_TRIPS: LazyLock<BTreeMap<(Region, Region), u64>> = LazyLock::new(|| {
    let mut lines = MATRIX.lines().filter(|line| !line.starts_with('#'));
    let header = lines.next().expect("the shipped matrix has a header");
    let columns: Vec<Region> = header.split(',').skip(1).map(known).collect();
    let mut pairs = BTreeMap::new();
    for line in lines {
        let mut cells = line.split(',');
        let from = known(cells.next().expect("every row names its Region"));
        for (to, cell) in columns.iter().zip(cells) {
            let milliseconds = cell.parse().expect("the shipped matrix holds numbers");
            pairs.insert((from, *to), milliseconds);
        }
    }
    pairs
});

fn known(name: &str) -> Region {
    name.parse().expect("the matrix names Regions of the table")
}

/// A geography: the real one times a factor. `scale` 0 puts everything next door.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Geography {
    /// What every delay is multiplied by, 0 or more.
    pub scale: f64,
}

impl Geography {
    /// The one-way delay between two places under this geography.
    pub fn one_way_delay(self, from: Region, to: Region) -> Span {
        Span((one_way_delay(from, to).0 as f64 * self.scale) as u64)
    }
}

/// The one-way delay between two places: half the measured round trip, or by distance.
pub fn one_way_delay(from: Region, to: Region) -> Span {
    if from == to {
        return Span::ZERO;
    }
    match ROUND_TRIPS.get(&(from, to)) {
        Some(milliseconds) => Span(milliseconds * 500),
        None => {
            let kilometres = distance(from.coordinates(), to.coordinates());
            Span((kilometres / KILOMETRES_PER_MILLISECOND * 1000.0) as u64)
        }
    }
}

/// Great-circle distance in kilometres (haversine formula).
fn distance(from: Coordinates, to: Coordinates) -> f64 {
    let half_chord = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
    let across = from.latitude.to_radians().cos() * to.latitude.to_radians().cos();
    let h =
        half_chord(from.latitude, to.latitude) + across * half_chord(from.longitude, to.longitude);
    2.0 * EARTH_RADIUS_KILOMETRES * h.sqrt().asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measured_pairs_are_half_the_round_trip() {
        let delay = one_way_delay(known("af-south-1"), known("us-east-1"));
        assert_eq!(delay, Span::milliseconds(108));
        assert_eq!(
            one_way_delay(known("us-east-1"), known("us-east-1")),
            Span::ZERO
        );
    }

    #[test]
    fn a_pair_without_measurement_has_a_plausible_delay() {
        let delay = one_way_delay(known("ap-southeast-6"), known("eu-west-1")).as_milliseconds();
        assert!((100.0..250.0).contains(&delay), "{delay}");
    }

    #[test]
    fn the_distance_model_is_the_matrix_median() {
        let mut speeds: Vec<f64> = ROUND_TRIPS
            .iter()
            .filter(|(pair, milliseconds)| pair.0 != pair.1 && **milliseconds > 0)
            .map(|(pair, milliseconds)| {
                let kilometres = distance(pair.0.coordinates(), pair.1.coordinates());
                kilometres / (*milliseconds as f64 / 2.0)
            })
            .collect();
        speeds.sort_by(f64::total_cmp);
        let median = speeds[speeds.len() / 2];
        assert!(
            (median - KILOMETRES_PER_MILLISECOND).abs() < 0.5,
            "median is {median}"
        );
    }
}
