//! Updates: what an `UpdateExpression` makes of an item.
//!
//! Every value is computed from the item as it was, and every list index means the list as it
//! was; then all changes are made.

use std::cmp::Reverse;

use crate::value::MAX_LEVELS;
use crate::{
    AttributeType, AttributeValue, Item, Number, NumberError, Path, PathElement, ValueError,
};

use super::projection::project;
use super::update_parser::parse;
use super::{ExpressionError, Substitutions};

/// A parsed `UpdateExpression`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Update {
    pub(super) actions: Vec<Action>,
    pub(super) paths: Vec<Path>,
    pub(super) read: Vec<Path>,
}

/// One change of an update; its path is none of another's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Action {
    pub(super) path: Path,
    pub(super) change: Change,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    Set(Source),
    Remove,
    Add(AttributeValue),
    Delete(AttributeValue),
}

/// Where the value of a `SET` comes from. Its depth is bounded by the parser.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    Path(Path),
    Literal(AttributeValue),
    IfNotExists(Path, Box<Source>),
    ListAppend(Box<Source>, Box<Source>),
    Add(Box<Source>, Box<Source>),
    Subtract(Box<Source>, Box<Source>),
}

/// An update can't be made to this item. `Display` is the service's text, of a
/// `ValidationException`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// A value is taken from an attribute that isn't there.
    #[error("The provided expression refers to an attribute that does not exist in the item")]
    MissingAttribute,
    /// An operand, or the attribute that is changed, is of a type that the operation doesn't take.
    #[error("An operand in the update expression has an incorrect data type")]
    OperandType,
    /// The path leads through something that isn't there, or is no map or list.
    #[error("The document path provided in the update expression is invalid for update")]
    Path,
    /// A sum is out of range.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// A result breaks a rule of the data model.
    #[error(transparent)]
    Value(#[from] ValueError),
}

impl Update {
    /// Parses an update.
    ///
    /// # Errors
    /// When it isn't one; what the text says is the service's.
    pub fn parse(text: &str, substitutions: &mut Substitutions) -> Result<Update, ExpressionError> {
        parse(text, substitutions)
    }

    /// The paths that it changes, in the order of the text.
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// The paths that it reads values from, in the order of the text.
    pub fn read_paths(&self) -> &[Path] {
        &self.read
    }

    /// The parts of an item that stand at the changed paths: of the old item that is
    /// `UPDATED_OLD`, of the new one `UPDATED_NEW`.
    pub fn touched(&self, item: &Item) -> Item {
        project(item, &self.paths)
    }

    /// The item that it makes of an item; an absent one is empty but for its key.
    ///
    /// # Errors
    /// When it can't be made to this item.
    pub fn apply(&self, item: &Item) -> Result<Item, UpdateError> {
        let mut puts = Vec::new();
        let mut removals = Vec::new();
        for Action { path, change } in &self.actions {
            check_parent(path, item)?;
            match outcome(path, change, item)? {
                Outcome::Put(value) => puts.push((path, value)),
                Outcome::Remove if path.get(item).is_some() => removals.push(path),
                Outcome::Remove => {}
            }
        }
        let mut new = item.clone();
        let mut appends = Vec::new();
        for (path, value) in puts {
            if path.elements().len() - 1 + value.levels() > MAX_LEVELS {
                return Err(ValueError::TooDeep.into());
            }
            if matches!(path.last(), PathElement::Index(_)) && path.get(item).is_none() {
                appends.push((path, value));
            } else {
                put(&mut new, path, value, false)?;
            }
        }
        // Beyond the end: in the order of the indexes, after all there is.
        appends.sort_by(|left, right| left.0.cmp(right.0));
        for (path, value) in appends {
            put(&mut new, path, value, true)?;
        }
        // From the end, so that no removal moves what another one means.
        removals.sort_by_key(|path| Reverse(*path));
        for path in removals {
            remove(&mut new, path)?;
        }
        Ok(new)
    }
}

enum Outcome {
    Put(AttributeValue),
    Remove,
}

/// What a change makes of what stands at its path.
fn outcome(path: &Path, change: &Change, item: &Item) -> Result<Outcome, UpdateError> {
    let current = path.get(item);
    Ok(match change {
        Change::Set(source) => Outcome::Put(source.value(item)?),
        Change::Remove => Outcome::Remove,
        Change::Add(value) => Outcome::Put(match current {
            None => value.clone(),
            Some(current) => sum(current, value)?,
        }),
        Change::Delete(value) => match current {
            None => Outcome::Remove,
            Some(current) => difference(current, value)?.map_or(Outcome::Remove, Outcome::Put),
        },
    })
}

/// `ADD`: the sum of numbers or the union of sets.
fn sum(current: &AttributeValue, value: &AttributeValue) -> Result<AttributeValue, UpdateError> {
    use AttributeValue::{BinarySet, Number, NumberSet, StringSet};
    Ok(match (current, value) {
        (Number(current), Number(value)) => Number(current.checked_add(*value)?),
        (StringSet(current), StringSet(value)) => StringSet(union(current, value)),
        (NumberSet(current), NumberSet(value)) => NumberSet(union(current, value)),
        (BinarySet(current), BinarySet(value)) => BinarySet(union(current, value)),
        _ => return Err(UpdateError::OperandType),
    })
}

/// `DELETE`: a set without the members of another, or nothing where none is left.
fn difference(
    current: &AttributeValue,
    value: &AttributeValue,
) -> Result<Option<AttributeValue>, UpdateError> {
    use AttributeValue::{BinarySet, NumberSet, StringSet};
    Ok(match (current, value) {
        (StringSet(current), StringSet(value)) => without(current, value).map(StringSet),
        (NumberSet(current), NumberSet(value)) => without(current, value).map(NumberSet),
        (BinarySet(current), BinarySet(value)) => without(current, value).map(BinarySet),
        _ => return Err(UpdateError::OperandType),
    })
}

fn union<T: Ord + Clone>(left: &[T], right: &[T]) -> Vec<T> {
    let mut members: Vec<T> = left.iter().chain(right).cloned().collect();
    members.sort_unstable();
    members.dedup();
    members
}

fn without<T: Ord + Clone>(members: &[T], removed: &[T]) -> Option<Vec<T>> {
    let stays = |member: &&T| removed.binary_search(member).is_err();
    let left: Vec<T> = members.iter().filter(stays).cloned().collect();
    (!left.is_empty()).then_some(left)
}

impl Source {
    /// The type that its value has whatever the item is.
    pub(super) fn known_type(&self) -> Option<AttributeType> {
        match self {
            Source::Path(_) | Source::IfNotExists(..) => None,
            Source::Literal(value) => Some(value.attribute_type()),
            Source::ListAppend(..) => Some(AttributeType::List),
            Source::Add(..) | Source::Subtract(..) => Some(AttributeType::Number),
        }
    }

    fn value(&self, item: &Item) -> Result<AttributeValue, UpdateError> {
        match self {
            Source::Path(path) => path.get(item).cloned().ok_or(UpdateError::MissingAttribute),
            Source::Literal(value) => Ok(value.clone()),
            Source::IfNotExists(path, otherwise) => match path.get(item) {
                Some(value) => Ok(value.clone()),
                None => otherwise.value(item),
            },
            Source::ListAppend(first, second) => match (first.value(item)?, second.value(item)?) {
                (AttributeValue::List(mut first), AttributeValue::List(second)) => {
                    first.extend(second);
                    Ok(AttributeValue::List(first))
                }
                _ => Err(UpdateError::OperandType),
            },
            Source::Add(left, right) => {
                let (left, right) = (left.number(item)?, right.number(item)?);
                Ok(AttributeValue::Number(left.checked_add(right)?))
            }
            Source::Subtract(left, right) => {
                let (left, right) = (left.number(item)?, right.number(item)?);
                Ok(AttributeValue::Number(left.checked_sub(right)?))
            }
        }
    }

    fn number(&self, item: &Item) -> Result<Number, UpdateError> {
        match self.value(item)? {
            AttributeValue::Number(number) => Ok(number),
            _ => Err(UpdateError::OperandType),
        }
    }
}

/// What the last step of a path is taken from must be there, and a map or list as the step says.
fn check_parent(path: &Path, item: &Item) -> Result<(), UpdateError> {
    let (last, to_parent) = path.elements().split_last().ok_or(UpdateError::Path)?;
    if to_parent.is_empty() {
        return Ok(());
    }
    let mut parent = item.get(path.attribute());
    for step in &to_parent[1..] {
        parent = parent.and_then(|value| crate::path::child(value, step));
    }
    match (parent, last) {
        (Some(AttributeValue::Map(_)), PathElement::Name(_))
        | (Some(AttributeValue::List(_)), PathElement::Index(_)) => Ok(()),
        _ => Err(UpdateError::Path),
    }
}

/// Puts a value at a path whose parent was checked; what isn't an element of the list is appended.
fn put(
    item: &mut Item,
    path: &Path,
    value: AttributeValue,
    append: bool,
) -> Result<(), UpdateError> {
    if !path.is_nested() {
        item.insert(path.attribute().to_owned(), value);
        return Ok(());
    }
    match (path.parent_mut(item), path.last()) {
        (Some(AttributeValue::Map(entries)), PathElement::Name(name)) => {
            entries.insert(name.clone(), value);
        }
        (Some(AttributeValue::List(elements)), PathElement::Index(index)) => {
            match elements.get_mut(*index) {
                Some(element) if !append => *element = value,
                _ => elements.push(value),
            }
        }
        _ => return Err(UpdateError::Path),
    }
    Ok(())
}

/// Removes what stands at a path, which is something.
fn remove(item: &mut Item, path: &Path) -> Result<(), UpdateError> {
    if !path.is_nested() {
        item.remove(path.attribute());
        return Ok(());
    }
    match (path.parent_mut(item), path.last()) {
        (Some(AttributeValue::Map(entries)), PathElement::Name(name)) => {
            entries.remove(name);
        }
        (Some(AttributeValue::List(elements)), PathElement::Index(index)) => {
            elements.remove(*index);
        }
        _ => return Err(UpdateError::Path),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{item, substitutions};
    use super::*;

    fn before() -> Item {
        item(
            r#"{"n":{"N":"5"},"s":{"S":"x"},"ss":{"SS":["a","b"]},"ns":{"NS":["1","2"]},
            "bs":{"BS":["AA=="]},"l":{"L":[{"N":"0"},{"N":"1"},{"N":"2"}]},
            "m":{"M":{"k":{"S":"v"},"l":{"L":[{"S":"i"}]}}},"big":{"N":"9e125"}}"#,
        )
    }

    fn parsed(text: &str) -> Update {
        let mut substitutions = substitutions(
            r##"{"#n":"n"}"##,
            r#"{":one":{"N":"1"},":s":{"S":"new"},":l":{"L":[{"N":"9"}]},":ss":{"SS":["b","c"]},
            ":ab":{"SS":["a","b"]},":ns":{"NS":["2.0","3"]},":bs":{"BS":["AQ=="]},
            ":big":{"N":"9e125"},":m":{"M":{}},":two":{"N":"2"}}"#,
        );
        Update::parse(text, &mut substitutions).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn change(text: &str) -> Result<Item, UpdateError> {
        parsed(text).apply(&before())
    }

    /// What the update leaves at the attribute, as JSON.
    fn result(text: &str, attribute: &str) -> String {
        let item = change(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        item.get(attribute).map_or_else(
            || "-".to_owned(),
            |value| serde_json::to_string(value).unwrap(),
        )
    }

    #[test]
    fn every_section_and_function() {
        for (text, attribute, expected) in [
            ("SET a = :s", "a", r#"{"S":"new"}"#),
            ("SET a = s", "a", r#"{"S":"x"}"#),
            ("SET a = #n + :one", "a", r#"{"N":"6"}"#),
            ("SET a = (n - :one)", "a", r#"{"N":"4"}"#),
            ("SET a = (n) - (:one)", "a", r#"{"N":"4"}"#),
            ("SET a = :one - n", "a", r#"{"N":"-4"}"#),
            ("SET a = if_not_exists(n, :one)", "a", r#"{"N":"5"}"#),
            ("SET a = if_not_exists(zz, :one)", "a", r#"{"N":"1"}"#),
            ("SET a = if_not_exists(zz, :one) + n", "a", r#"{"N":"6"}"#),
            (
                "SET a = if_not_exists(zz, if_not_exists(yy, s))",
                "a",
                r#"{"S":"x"}"#,
            ),
            (
                "SET a = list_append(m.l, :l)",
                "a",
                r#"{"L":[{"S":"i"},{"N":"9"}]}"#,
            ),
            (
                "SET a = list_append(if_not_exists(zz, :l), m.l)",
                "a",
                r#"{"L":[{"N":"9"},{"S":"i"}]}"#,
            ),
            (
                "SET m.k = :s",
                "m",
                r#"{"M":{"k":{"S":"new"},"l":{"L":[{"S":"i"}]}}}"#,
            ),
            (
                "SET m.z = :one",
                "m",
                r#"{"M":{"k":{"S":"v"},"l":{"L":[{"S":"i"}]},"z":{"N":"1"}}}"#,
            ),
            (
                "SET l[1] = :s",
                "l",
                r#"{"L":[{"N":"0"},{"S":"new"},{"N":"2"}]}"#,
            ),
            (
                "SET l[9] = :s",
                "l",
                r#"{"L":[{"N":"0"},{"N":"1"},{"N":"2"},{"S":"new"}]}"#,
            ),
            (
                "SET l[9] = :s, l[3] = :one, l[4] = :two",
                "l",
                r#"{"L":[{"N":"0"},{"N":"1"},{"N":"2"},{"N":"1"},{"N":"2"},{"S":"new"}]}"#,
            ),
            (
                "SET l[0] = l[2], l[2] = l[0]",
                "l",
                r#"{"L":[{"N":"2"},{"N":"1"},{"N":"0"}]}"#,
            ),
            ("SET n = s, s = n", "n", r#"{"S":"x"}"#),
            ("SET n = s, s = n", "s", r#"{"N":"5"}"#),
            ("REMOVE n", "n", "-"),
            ("REMOVE absent", "absent", "-"),
            ("REMOVE l[0], l[2]", "l", r#"{"L":[{"N":"1"}]}"#),
            (
                "REMOVE l[7]",
                "l",
                r#"{"L":[{"N":"0"},{"N":"1"},{"N":"2"}]}"#,
            ),
            (
                "REMOVE l[0] SET l[1] = :s",
                "l",
                r#"{"L":[{"S":"new"},{"N":"2"}]}"#,
            ),
            (
                "REMOVE l[3] SET l[9] = :s",
                "l",
                r#"{"L":[{"N":"0"},{"N":"1"},{"N":"2"},{"S":"new"}]}"#,
            ),
            ("REMOVE l[0], l[1], l[2]", "l", r#"{"L":[]}"#),
            ("REMOVE m.k, m.l[0]", "m", r#"{"M":{"l":{"L":[]}}}"#),
            ("ADD n :one", "n", r#"{"N":"6"}"#),
            ("ADD zz :one", "zz", r#"{"N":"1"}"#),
            ("ADD ss :ss", "ss", r#"{"SS":["a","b","c"]}"#),
            ("ADD ns :ns", "ns", r#"{"NS":["1","2","3"]}"#),
            ("ADD bs :bs", "bs", r#"{"BS":["AA==","AQ=="]}"#),
            ("ADD zz :ss", "zz", r#"{"SS":["b","c"]}"#),
            (
                "ADD m.z :one",
                "m",
                r#"{"M":{"k":{"S":"v"},"l":{"L":[{"S":"i"}]},"z":{"N":"1"}}}"#,
            ),
            (
                "ADD l[0] :one",
                "l",
                r#"{"L":[{"N":"1"},{"N":"1"},{"N":"2"}]}"#,
            ),
            ("DELETE ss :ss", "ss", r#"{"SS":["a"]}"#),
            ("DELETE ss :ab", "ss", "-"),
            ("DELETE ns :ns", "ns", r#"{"NS":["1"]}"#),
            ("DELETE zz :ss", "zz", "-"),
            ("set a = :s remove n add zz :one delete ss :ab", "ss", "-"),
            ("ADD zz :one SET a = zz2", "a", "error"),
        ] {
            if expected == "error" {
                assert_eq!(change(text), Err(UpdateError::MissingAttribute), "{text}");
            } else {
                assert_eq!(result(text, attribute), expected, "{text}");
            }
        }
    }

    #[test]
    fn values_come_from_the_item_as_it_was() {
        assert_eq!(
            change("SET a = :one, b = a"),
            Err(UpdateError::MissingAttribute)
        );
        assert_eq!(result("SET b = n ADD n :one", "b"), r#"{"N":"5"}"#);
        assert_eq!(result("REMOVE n SET b = n", "b"), r#"{"N":"5"}"#);
    }

    #[test]
    fn refuses_with_the_services_texts() {
        for (text, message) in [
            (
                "SET a = zz",
                "The provided expression refers to an attribute that does not exist in the item",
            ),
            (
                "SET a = zz + :one",
                "The provided expression refers to an attribute that does not exist in the item",
            ),
            (
                "SET a = list_append(zz, :l)",
                "The provided expression refers to an attribute that does not exist in the item",
            ),
            (
                "SET a = s + :one",
                "An operand in the update expression has an incorrect data type",
            ),
            (
                "SET a = list_append(s, :l)",
                "An operand in the update expression has an incorrect data type",
            ),
            (
                "ADD s :one",
                "An operand in the update expression has an incorrect data type",
            ),
            (
                "ADD ss :one",
                "An operand in the update expression has an incorrect data type",
            ),
            (
                "ADD ss :ns",
                "An operand in the update expression has an incorrect data type",
            ),
            (
                "DELETE n :ss",
                "An operand in the update expression has an incorrect data type",
            ),
            (
                "DELETE ns :ss",
                "An operand in the update expression has an incorrect data type",
            ),
            (
                "SET zz.a = :s",
                "The document path provided in the update expression is invalid for update",
            ),
            (
                "SET s.a = :s",
                "The document path provided in the update expression is invalid for update",
            ),
            (
                "SET m[0] = :s",
                "The document path provided in the update expression is invalid for update",
            ),
            (
                "SET l.a = :s",
                "The document path provided in the update expression is invalid for update",
            ),
            (
                "SET l[9].a = :s",
                "The document path provided in the update expression is invalid for update",
            ),
            (
                "REMOVE zz.a",
                "The document path provided in the update expression is invalid for update",
            ),
            (
                "REMOVE zz[0]",
                "The document path provided in the update expression is invalid for update",
            ),
            (
                "ADD zz.a :one",
                "The document path provided in the update expression is invalid for update",
            ),
            (
                "SET a = big + :big",
                "Number overflow. Attempting to store a number with magnitude larger than supported range",
            ),
            (
                "ADD big :big",
                "Number overflow. Attempting to store a number with magnitude larger than supported range",
            ),
        ] {
            assert_eq!(change(text).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn depth_is_limited() {
        let mut deep = AttributeValue::Map(Item::new());
        for _ in 0..31 {
            deep = AttributeValue::Map(Item::from([("a".to_owned(), deep)]));
        }
        assert_eq!(deep.levels(), 32);
        let item = Item::from([
            ("deep".to_owned(), deep),
            ("m".to_owned(), AttributeValue::Map(Item::new())),
        ]);
        assert!(parsed("SET b = deep").apply(&item).is_ok());
        assert_eq!(
            parsed("SET m.b = deep").apply(&item),
            Err(UpdateError::Value(ValueError::TooDeep))
        );
    }

    #[test]
    fn touched_parts_of_old_and_new() {
        let update = parsed("SET l[1] = :s, m.z = :one REMOVE n");
        let (old, new) = (before(), update.apply(&before()).unwrap());
        assert_eq!(
            update.touched(&old),
            item(r#"{"l":{"L":[{"N":"1"}]},"n":{"N":"5"}}"#)
        );
        assert_eq!(
            update.touched(&new),
            item(r#"{"l":{"L":[{"S":"new"}]},"m":{"M":{"z":{"N":"1"}}}}"#)
        );
        let read: Vec<String> = parsed("SET a = n + m.k")
            .read_paths()
            .iter()
            .map(Path::to_string)
            .collect();
        assert_eq!(read, ["[n]", "[m, k]"]);
    }
}
