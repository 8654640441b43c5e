//! Attributes of load balancers, listeners and target groups: which there are of which kind, what
//! each may be, what it is when nobody set it, and those that were set read by what they mean.
//!
//! Names, defaults and ranges are those of the API's model (`LoadBalancerAttribute`,
//! `ListenerAttribute`, `TargetGroupAttribute`). One whose effect isn't built keeps its default:
//! another value is refused by name, so that none is ever shown and not obeyed.

mod balancer;
mod group;
mod listener;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use balancer::table as table_of_balancers;
pub use balancer::{DesyncMitigationMode, ForwardedForMode};
pub(crate) use group::table as table_of_groups;
pub use group::{Algorithm, MinimumHealthy, Stickiness};
pub(crate) use listener::table as table_of_listeners;

/// Attributes that were set: names and values.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes(pub BTreeMap<String, String>);

/// What an attribute may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Values {
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A number in this range, both ends included.
    Number(u32, u32),
    /// Zero, or a number in this range.
    ZeroOr(u32, u32),
    /// `off`, or a number in this range.
    OffOr(u32, u32),
    /// A text of so many bytes at most.
    Text(usize),
    /// Its default alone: another is in the API and not built.
    Default,
}

/// An attribute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Attribute {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it is when nobody set it.
    pub(crate) default: &'static str,
    /// What it may be.
    pub(crate) values: Values,
}

/// Why an attribute isn't set.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum AttributeFault {
    /// The value is none that it may have.
    #[error("'{value}' is not a valid value for '{name}'")]
    Value { name: String, value: String },
    /// It means something that isn't built.
    #[error("The value '{value}' of the attribute '{name}'")]
    NotBuilt { name: String, value: String },
}

const fn attribute(name: &'static str, default: &'static str, values: Values) -> Attribute {
    Attribute {
        name,
        default,
        values,
    }
}

impl Attribute {
    /// May it be that?
    pub(crate) fn check(&self, value: &str) -> Result<(), AttributeFault> {
        let number = |least: u32, most: u32| {
            let plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let number = plain.then(|| value.parse::<u32>().ok()).flatten();
            number.is_some_and(|number| (least..=most).contains(&number))
        };
        let fits = match self.values {
            Values::Flag => matches!(value, "true" | "false"),
            Values::Words(words) => words.contains(&value),
            Values::Number(least, most) => number(least, most),
            Values::ZeroOr(least, most) => value == "0" || number(least, most),
            Values::OffOr(least, most) => value == "off" || number(least, most),
            Values::Text(longest) => value.len() <= longest && !value.chars().any(char::is_control),
            Values::Default if value != self.default => {
                return Err(AttributeFault::NotBuilt {
                    name: self.name.to_owned(),
                    value: shown(value),
                });
            }
            Values::Default => true,
        };
        let fault = || AttributeFault::Value {
            name: self.name.to_owned(),
            value: shown(value),
        };
        fits.then_some(()).ok_or_else(fault)
    }
}

/// As much of a refused value as a refusal repeats.
fn shown(value: &str) -> String {
    value.chars().take(128).collect()
}

impl Attributes {
    /// What was set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// What it is: what was set, or else its default.
    fn value<'a>(&'a self, table: &[Attribute], name: &str) -> &'a str {
        let default = || {
            let row = table.iter().find(|row| row.name == name);
            row.map_or("", |row| row.default)
        };
        self.get(name).unwrap_or_else(default)
    }

    /// All of a table, with what each is.
    pub(crate) fn all<'a>(
        &'a self,
        table: &'a [Attribute],
    ) -> impl Iterator<Item = (&'static str, &'a str)> {
        table
            .iter()
            .map(|row| (row.name, self.get(row.name).unwrap_or(row.default)))
    }
}

/// The number that a stored value says. All values were checked when they were set; one that a
/// broken row has counts as zero, which switches off whatever the attribute is about.
fn number(value: &str) -> u32 {
    value.parse().unwrap_or(0)
}

/// A least number of healthy targets, as a count or a percentage; `off` is none.
fn least(value: &str) -> Option<u32> {
    value.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_they_may_be() {
        use Values::{Default, Flag, Number, OffOr, Text, Words, ZeroOr};
        for (values, good, bad) in [
            (Flag, &["true", "false"][..], &["", "TRUE", "1", "yes"][..]),
            (Words(&["a", "b"]), &["a", "b"], &["", "c", "A"]),
            (
                Number(1, 4000),
                &["1", "4000"],
                &["", "0", "4001", "-1", "+1", "1.0", "9999999999"],
            ),
            (
                ZeroOr(30, 900),
                &["0", "30", "900"],
                &["29", "901", "00", "off"],
            ),
            (OffOr(1, 100), &["off", "1", "100"], &["0", "101", "Off"]),
            (Text(3), &["", "abc"], &["abcd", "a\n"]),
            (Default, &["d"], &["", "e"]),
        ] {
            let row = attribute("n", "d", values);
            for value in good {
                assert_eq!(row.check(value), Ok(()), "{values:?} {value}");
            }
            for value in bad {
                assert!(row.check(value).is_err(), "{values:?} {value}");
            }
        }
    }

    #[test]
    fn every_default_is_one_that_it_may_be() {
        for row in balancer::tables()
            .concat()
            .iter()
            .chain(&group::tables().concat())
        {
            assert_eq!(row.check(row.default), Ok(()), "{}", row.name);
        }
    }
}
