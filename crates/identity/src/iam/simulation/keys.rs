//! The condition keys of a simulation: what the request gives, and what is known of the simulated
//! principal, which a call would have too. What the request gives wins.

use std::borrow::Cow;
use std::collections::BTreeMap;

use types::AccountId;

use crate::iam::IamError;
use crate::iam::parameters::{self, check_length, constraint};
use crate::iam::request::IamRequest;
use crate::policy::{KeySource, Values};

/// The types of keys (API reference, `ContextKeyTypeEnum`).
const TYPES: [&str; 12] = [
    "string",
    "stringList",
    "numeric",
    "numericList",
    "boolean",
    "booleanList",
    "ip",
    "ipList",
    "binary",
    "binaryList",
    "date",
    "dateList",
];

/// Keys by their names in lower case; of two of one name the first counts.
#[derive(Default)]
pub(crate) struct Keys(BTreeMap<String, Key>);

struct Key {
    values: Vec<String>,
    is_list: bool,
}

impl Keys {
    /// The keys that `ContextEntries` gives.
    ///
    /// # Errors
    ///
    /// One of them isn't as the API has it.
    pub(crate) fn given(request: &IamRequest<'_>) -> Result<Keys, IamError> {
        let mut keys = Keys::default();
        let entries = request.members().structures("ContextEntries")?;
        for (index, entry) in entries.iter().enumerate() {
            let at = |part: &str| format!("contextEntries.{}.member.{part}", index + 1);
            let required = |name: &'static str| {
                let missing = || {
                    let part = parameters::lower_first(name);
                    constraint(&at(&part), None, "Member must not be null")
                };
                entry.value(name).ok_or_else(missing)
            };
            let name = required("ContextKeyName")?;
            check_length(&at("contextKeyName"), name, 5, 256)?;
            let kind = required("ContextKeyType")?;
            if !TYPES.contains(&kind) {
                let types = TYPES.join(", ");
                let rule = format!("Member must satisfy enum value set: [{types}]");
                return Err(constraint(&at("contextKeyType"), Some(kind), &rule));
            }
            let values = entry.values("ContextKeyValues")?;
            let is_list = kind.ends_with("List");
            if !is_list && values.len() != 1 {
                return Err(IamError::InvalidInput(format!(
                    "The context key {name} of type {kind} must have one value."
                )));
            }
            keys.0.entry(name.to_ascii_lowercase()).or_insert(Key {
                values: values.into_iter().map(str::to_owned).collect(),
                is_list,
            });
        }
        Ok(keys)
    }

    /// Has a key as well, if there is none of that name.
    pub(crate) fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.entry(name.to_ascii_lowercase()).or_insert(Key {
            values: vec![value.into()],
            is_list: false,
        });
    }

    /// Is there a value for that key, whatever is asked for?
    pub(crate) fn has(&self, name: &str) -> bool {
        let key = self.0.get(&name.to_ascii_lowercase());
        key.is_some_and(|key| !key.values.is_empty()) || is_owner(name)
    }
}

/// The account that owns the resource is always known.
fn is_owner(name: &str) -> bool {
    name.eq_ignore_ascii_case("aws:ResourceAccount")
}

/// The keys, and whose the resource is.
pub(crate) struct KeysOf<'a> {
    /// The keys of all evaluations.
    pub(crate) keys: &'a Keys,
    /// The account that owns the resource of this one.
    pub(crate) owner: AccountId,
}

impl KeySource for KeysOf<'_> {
    fn get(&self, name: &str) -> Option<Values<'_>> {
        match self.keys.0.get(&name.to_ascii_lowercase()) {
            Some(key) if key.is_list => Some(Values::Many(Cow::Borrowed(&key.values))),
            Some(key) => key
                .values
                .first()
                .map(|value| Values::One(Cow::Borrowed(value))),
            None if is_owner(name) => Some(Values::One(Cow::Owned(self.owner.to_string()))),
            None => None,
        }
    }
}
