//! Condition keys for tests: any number of values of any names.

use std::borrow::Cow;

use identity::policy::{KeySource, Values};

/// Names with their values. One value given once is one; a name given twice has several.
#[derive(Clone, Debug, Default)]
pub struct Keys(pub Vec<(String, Vec<String>)>);

impl Keys {
    pub fn of<const N: usize>(keys: [(&str, &[&str]); N]) -> Keys {
        let keys = keys.map(|(name, values)| {
            let values = values.iter().map(|value| (*value).to_owned());
            (name.to_owned(), values.collect())
        });
        Keys(keys.into())
    }

    pub fn add(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(value.to_owned()),
            None => self.0.push((name.to_owned(), vec![value.to_owned()])),
        }
    }
}

impl KeySource for Keys {
    fn get(&self, name: &str) -> Option<Values<'_>> {
        let found = self
            .0
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, values)| match values.as_slice() {
            [one] => Values::One(Cow::Borrowed(one)),
            several => Values::Many(Cow::Borrowed(several)),
        })
    }
}
