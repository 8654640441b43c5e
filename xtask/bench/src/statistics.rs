//! Medians, spreads and percentiles.

use std::fmt;

/// The middle of some measurements and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
}

impl Spread {
    /// Of these measurements; zeros if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (Some(least), Some(greatest)) = (values.first(), values.last()) else {
            return Spread {
                median: 0.0,
                least: 0.0,
                greatest: 0.0,
            };
        };
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Spread {
            median,
            least: *least,
            greatest: *greatest,
        }
    }
}

/// `1,234 (1,100 to 1,300)`.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spread {
            median,
            least,
            greatest,
        } = self;
        let [median, least, greatest] = [median, least, greatest].map(|value| number(*value));
        write!(f, "{median} ({least} to {greatest})")
    }
}

/// A number with three digits that count, and commas between thousands.
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 99.95 => return thousands(value.round()),
        size if size >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 {
        format!("-{text}")
    } else {
        text
    }
}

/// The value that a share (0 to 1) of the sorted values doesn't exceed.
pub fn percentile(sorted: &[u32], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    let index = rank.clamp(1, sorted.len().max(1)) - 1;
    sorted.get(index).copied().map_or(0.0, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]).median, 2.0);
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(Spread::of([]).median, 0.0);
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let values: Vec<u32> = (1..=100).collect();
        assert_eq!(percentile(&values, 0.5), 50.0);
        assert_eq!(percentile(&values, 0.99), 99.0);
        assert_eq!(percentile(&values, 1.0), 100.0);
        assert_eq!(percentile(&[7], 0.01), 7.0);
        assert_eq!(percentile(&[], 0.5), 0.0);
    }

    #[test]
    fn numbers_read_easily() {
        let written = [1234567.8, 100.4, 99.96, 12.34, 1.234, 0.0, -4321.0].map(number);
        let expected = ["1,234,568", "100", "100", "12.3", "1.23", "0.00", "-4,321"];
        assert_eq!(written, expected);
    }
}
