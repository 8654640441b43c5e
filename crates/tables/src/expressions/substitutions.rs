//! A request's `ExpressionAttributeNames` and `ExpressionAttributeValues`: what they stand for,
//! and which of them its expressions used.

use std::collections::{BTreeMap, BTreeSet};

use crate::value::check_name;
use crate::{AttributeValue, Parsed, ValueError, item_size};

/// The greatest length of a key, its `#` or `:` included (developer guide, "Service quotas").
pub const MAX_SUBSTITUTION_KEY: usize = 255;
/// The greatest size of all names and values together (developer guide, "Service quotas").
pub const MAX_SUBSTITUTIONS_SIZE: usize = 2 * 1024 * 1024;

/// The names and values of one request, shared by its expressions.
#[derive(Clone, Debug, Default)]
pub struct Substitutions {
    names: BTreeMap<String, String>,
    values: BTreeMap<String, AttributeValue>,
    used_names: BTreeSet<String>,
    used_values: BTreeSet<String>,
}

/// Why names or values are refused. `Display` is the service's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubstitutionError {
    /// An empty map.
    #[error("{0} must not be empty")]
    Empty(&'static str),
    /// A key that isn't `#` or `:` and letters, digits and underscores.
    #[error("{parameter} contains invalid key: Syntax error; key: \"{key}\"")]
    Key {
        /// `ExpressionAttributeNames` or `ExpressionAttributeValues`.
        parameter: &'static str,
        /// The key.
        key: String,
    },
    /// A key longer than [`MAX_SUBSTITUTION_KEY`].
    #[error(
        "{parameter} contains invalid key: The expression attribute map contains a key that is \
         too long; key size: {size}"
    )]
    KeyTooLong {
        /// `ExpressionAttributeNames` or `ExpressionAttributeValues`.
        parameter: &'static str,
        /// The key's length in bytes.
        size: usize,
    },
    /// A value that breaks a rule of the data model.
    #[error("{parameter} contains invalid value: {error} for key {key}")]
    Value {
        /// `ExpressionAttributeNames` or `ExpressionAttributeValues`.
        parameter: &'static str,
        /// The key.
        key: String,
        /// The rule.
        error: ValueError,
    },
    /// All together are greater than [`MAX_SUBSTITUTIONS_SIZE`].
    #[error(
        "Expression size has exceeded the maximum allowed size; size of ExpressionAttributeNames \
         and ExpressionAttributeValues: {0}"
    )]
    TooLarge(usize),
    /// Keys that no expression used.
    #[error("Value provided in {parameter} unused in expressions: keys: {{{keys}}}")]
    Unused {
        /// `ExpressionAttributeNames` or `ExpressionAttributeValues`.
        parameter: &'static str,
        /// The keys, in order.
        keys: String,
    },
}

const NAMES: &str = "ExpressionAttributeNames";
const VALUES: &str = "ExpressionAttributeValues";

impl Substitutions {
    /// Checks a request's names and values.
    ///
    /// # Errors
    /// When a map is empty, a key is malformed or too long, a value breaks a rule, or all
    /// together are too large.
    pub fn new(
        names: Option<BTreeMap<String, String>>,
        values: Option<BTreeMap<String, Parsed<AttributeValue>>>,
    ) -> Result<Substitutions, SubstitutionError> {
        if names.as_ref().is_some_and(BTreeMap::is_empty) {
            return Err(SubstitutionError::Empty(NAMES));
        }
        if values.as_ref().is_some_and(BTreeMap::is_empty) {
            return Err(SubstitutionError::Empty(VALUES));
        }
        let (names, parsed) = (names.unwrap_or_default(), values.unwrap_or_default());
        names
            .keys()
            .try_for_each(|key| check_key(NAMES, '#', key))?;
        parsed
            .keys()
            .try_for_each(|key| check_key(VALUES, ':', key))?;
        for (key, name) in &names {
            check_name(name).map_err(|error| invalid(NAMES, key.clone(), error))?;
        }
        let mut values = BTreeMap::new();
        for (key, Parsed(value)) in parsed {
            match value {
                Ok(value) => values.insert(key, value),
                Err(error) => return Err(invalid(VALUES, key, error)),
            };
        }
        let of_names: usize = names.iter().map(|(key, name)| key.len() + name.len()).sum();
        let size = of_names + item_size(&values);
        if size > MAX_SUBSTITUTIONS_SIZE {
            return Err(SubstitutionError::TooLarge(size));
        }
        Ok(Substitutions {
            names,
            values,
            ..Substitutions::default()
        })
    }

    /// Checks that every name and value was used. Called when all expressions are parsed.
    ///
    /// # Errors
    /// When one was not: names first.
    pub fn finish(&self) -> Result<(), SubstitutionError> {
        check_used(NAMES, &self.names, &self.used_names)?;
        check_used(VALUES, &self.values, &self.used_values)
    }

    /// What `#name` stands for.
    pub(super) fn name(&mut self, key: &str) -> Option<String> {
        let name = self.names.get(key)?.clone();
        self.used_names.insert(key.to_owned());
        Some(name)
    }

    /// What `:value` stands for.
    pub(super) fn value(&mut self, key: &str) -> Option<AttributeValue> {
        let value = self.values.get(key)?.clone();
        self.used_values.insert(key.to_owned());
        Some(value)
    }
}

fn check_key(parameter: &'static str, mark: char, key: &str) -> Result<(), SubstitutionError> {
    let well_formed = key.strip_prefix(mark).is_some_and(|rest| {
        !rest.is_empty()
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    if !well_formed {
        return Err(SubstitutionError::Key {
            parameter,
            key: key.to_owned(),
        });
    }
    if key.len() > MAX_SUBSTITUTION_KEY {
        return Err(SubstitutionError::KeyTooLong {
            parameter,
            size: key.len(),
        });
    }
    Ok(())
}

fn check_used<V>(
    parameter: &'static str,
    given: &BTreeMap<String, V>,
    used: &BTreeSet<String>,
) -> Result<(), SubstitutionError> {
    let unused: Vec<&str> = given
        .keys()
        .filter(|key| !used.contains(*key))
        .map(String::as_str)
        .collect();
    if unused.is_empty() {
        return Ok(());
    }
    Err(SubstitutionError::Unused {
        parameter,
        keys: unused.join(", "),
    })
}

fn invalid(parameter: &'static str, key: String, error: ValueError) -> SubstitutionError {
    SubstitutionError::Value {
        parameter,
        key,
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(body: &str) -> Result<Substitutions, String> {
        #[derive(serde::Deserialize)]
        struct Body {
            names: Option<BTreeMap<String, String>>,
            values: Option<BTreeMap<String, Parsed<AttributeValue>>>,
        }
        let body: Body = serde_json::from_str(body).unwrap();
        Substitutions::new(body.names, body.values).map_err(|error| error.to_string())
    }

    #[test]
    fn refuses_with_the_services_texts() {
        for (body, message) in [
            (
                r#"{"names":{}}"#,
                "ExpressionAttributeNames must not be empty",
            ),
            (
                r#"{"values":{}}"#,
                "ExpressionAttributeValues must not be empty",
            ),
            (
                r#"{"names":{"n":"a"}}"#,
                r#"ExpressionAttributeNames contains invalid key: Syntax error; key: "n""#,
            ),
            (
                r##"{"names":{"#":"a"}}"##,
                r##"ExpressionAttributeNames contains invalid key: Syntax error; key: "#""##,
            ),
            (
                r#"{"values":{":a-b":{"S":"a"}}}"#,
                r#"ExpressionAttributeValues contains invalid key: Syntax error; key: ":a-b""#,
            ),
            (
                r##"{"names":{"#n":""}}"##,
                "ExpressionAttributeNames contains invalid value: Empty attribute name for key #n",
            ),
            (
                r#"{"values":{":v":{}}}"#,
                "ExpressionAttributeValues contains invalid value: Supplied AttributeValue is \
                 empty, must contain exactly one of the supported datatypes for key :v",
            ),
        ] {
            assert_eq!(make(body).unwrap_err(), message, "{body}");
        }
        let long = format!(r##"{{"names":{{"#{}":"a"}}}}"##, "n".repeat(255));
        assert!(make(&long).unwrap_err().contains("too long"));
        let large = format!(r#"{{"values":{{":v":{{"S":"{}"}}}}}}"#, "x".repeat(3 << 20));
        assert!(make(&large).unwrap_err().contains("maximum allowed size"));
    }

    #[test]
    fn reports_what_was_not_used() {
        let body = r##"{"names":{"#b":"b","#a":"a"},"values":{":v":{"S":"x"},":w":{"S":"y"}}}"##;
        let mut substitutions = make(body).unwrap();
        assert_eq!(
            substitutions.finish().unwrap_err().to_string(),
            "Value provided in ExpressionAttributeNames unused in expressions: keys: {#a, #b}"
        );
        substitutions.name("#a").unwrap();
        substitutions.name("#b").unwrap();
        substitutions.value(":w").unwrap();
        assert_eq!(
            substitutions.finish().unwrap_err().to_string(),
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:v}"
        );
        substitutions.value(":v").unwrap();
        assert_eq!(substitutions.finish(), Ok(()));
    }
}
