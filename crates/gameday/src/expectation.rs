//! Expectations: `rto_s.honours_ttl <= 10`, `rto_s.never_resolves_again == never`. Each holds or
//! doesn't; what can't be measured doesn't hold.

use std::cmp::Ordering;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::metric::Metric;

/// One line of `[expect]`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Expectation {
    /// The line as it is shown, with variables replaced.
    pub text: String,
    /// What is compared.
    pub metric: Metric,
    /// How.
    pub comparison: Comparison,
    /// With what.
    pub bound: Bound,
    /// The line of the file.
    pub line: usize,
}

/// How a measured value is compared with its bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// `<=`
    AtMost,
    /// `<`
    Below,
    /// `>=`
    AtLeast,
    /// `>`
    Above,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

/// A bound.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Bound {
    /// A finite number.
    Number(f64),
    /// It never happens: greater than every number.
    Never,
}

/// What was measured.
#[derive(Clone, PartialEq, Debug)]
pub enum Measured {
    /// A finite number.
    Number(f64),
    /// It never happened: greater than every number.
    Never,
    /// It could not be measured, and why.
    Unknown(&'static str),
}

/// An expectation and what came of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Outcome {
    /// What was expected.
    pub expectation: Expectation,
    /// What was measured.
    pub measured: Measured,
    /// Does it hold?
    pub holds: bool,
}

impl Comparison {
    /// Every comparison, with its sign; the longer signs first.
    pub(crate) const ALL: [(&'static str, Comparison); 6] = [
        ("<=", Comparison::AtMost),
        (">=", Comparison::AtLeast),
        ("==", Comparison::Equal),
        ("!=", Comparison::NotEqual),
        ("<", Comparison::Below),
        (">", Comparison::Above),
    ];

    fn sign(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, comparison)| *comparison == self);
        found
            .map(|(sign, _)| *sign)
            .expect("every comparison is listed")
    }

    fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::AtMost => order.is_le(),
            Comparison::Below => order.is_lt(),
            Comparison::AtLeast => order.is_ge(),
            Comparison::Above => order.is_gt(),
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
        }
    }
}

impl Expectation {
    /// Does it hold of what was measured?
    pub fn judge(&self, measured: Measured) -> Outcome {
        let holds = match (&measured, self.bound) {
            (Measured::Unknown(_), _) => false,
            (Measured::Number(number), Bound::Number(bound)) => {
                self.comparison.holds(number.total_cmp(&bound))
            }
            (Measured::Number(_), Bound::Never) => self.comparison.holds(Ordering::Less),
            (Measured::Never, Bound::Number(_)) => self.comparison.holds(Ordering::Greater),
            (Measured::Never, Bound::Never) => self.comparison.holds(Ordering::Equal),
        };
        let expectation = self.clone();
        Outcome {
            expectation,
            measured,
            holds,
        }
    }
}

impl Measured {
    /// The value with its unit, as a report shows it.
    pub fn show(&self, unit: &str) -> String {
        match self {
            Measured::Never => "never".to_owned(),
            Measured::Unknown(why) => format!("not measured: {why}"),
            Measured::Number(number) => {
                let space = if unit.is_empty() { "" } else { " " };
                format!("{}{space}{unit}", decimal(*number))
            }
        }
    }
}

/// A number with no more places than say something: whole numbers as such, great ones without a
/// fraction, small ones with up to three places.
pub(crate) fn decimal(number: f64) -> String {
    let places = match number.abs() {
        size if size >= 1000.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 10.0 => 2,
        _ => 3,
    };
    let text = format!("{number:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sign())
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Number(number) => write!(f, "{number}"),
            Bound::Never => f.write_str("never"),
        }
    }
}

impl Serialize for Comparison {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.sign())
    }
}

impl Serialize for Bound {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Bound::Number(number) => serializer.serialize_f64(*number),
            Bound::Never => serializer.serialize_str("never"),
        }
    }
}

impl Serialize for Measured {
    /// A number, `"never"`, or null where it could not be measured.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Measured::Number(number) => serializer.serialize_f64(*number),
            Measured::Never => serializer.serialize_str("never"),
            Measured::Unknown(_) => serializer.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::MetricName;

    fn holds(comparison: Comparison, bound: Bound, measured: Measured) -> bool {
        let metric = Metric::bare(MetricName::RtoS);
        let text = String::new();
        let expectation = Expectation {
            text,
            metric,
            comparison,
            bound,
            line: 1,
        };
        expectation.judge(measured).holds
    }

    #[test]
    fn never_is_greater_than_every_number() {
        use Comparison::*;
        let table = [
            (AtMost, Bound::Number(10.0), Measured::Number(10.0), true),
            (Below, Bound::Number(10.0), Measured::Number(10.0), false),
            (AtLeast, Bound::Number(10.0), Measured::Number(9.99), false),
            (Above, Bound::Number(10.0), Measured::Never, true),
            (AtMost, Bound::Number(10.0), Measured::Never, false),
            (Equal, Bound::Number(0.0), Measured::Number(0.0), true),
            (NotEqual, Bound::Number(0.0), Measured::Number(0.0), false),
            (Equal, Bound::Never, Measured::Never, true),
            (Equal, Bound::Never, Measured::Number(1e300), false),
            (NotEqual, Bound::Never, Measured::Number(3.0), true),
            (AtMost, Bound::Never, Measured::Never, true),
            (Below, Bound::Never, Measured::Number(3.0), true),
        ];
        for (comparison, bound, measured, expected) in table {
            let line = format!("{measured:?} {comparison} {bound}");
            assert_eq!(holds(comparison, bound, measured), expected, "{line}");
        }
    }

    #[test]
    fn what_was_not_measured_does_not_hold() {
        for (_, comparison) in Comparison::ALL {
            assert!(!holds(
                comparison,
                Bound::Number(0.0),
                Measured::Unknown("no fault")
            ));
        }
    }

    #[test]
    fn numbers_are_as_long_as_they_say_something() {
        let shown = |number| decimal(number);
        assert_eq!(shown(0.0), "0");
        assert_eq!(shown(0.1234), "0.123");
        assert_eq!(shown(12.3456), "12.35");
        assert_eq!(shown(100.0), "100");
        assert_eq!(shown(99.96), "99.96");
        assert_eq!(shown(1234.5), "1234");
        assert_eq!(Measured::Number(2.5).show("s"), "2.5 s");
        assert_eq!(Measured::Number(99.0).show("%"), "99 %");
    }
}
