//! Document paths: where in an item something stands, and what stands there.
//!
//! A path begins with an attribute's name. Names are resolved ones, without `#`.

use std::fmt;

use crate::{AttributeValue, Item};

/// Elements that a path can have (developer guide, "Service quotas": nesting of attributes).
pub const MAX_PATH_ELEMENTS: usize = 32;

/// One step of a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PathElement {
    /// An attribute, or an entry of a map.
    Name(String),
    /// An element of a list, from 0.
    Index(usize),
}

/// A document path. It has at least one element, and the first is a name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Path(Vec<PathElement>);

/// How two paths can't be used together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PathClash {
    /// One is the other or leads through it.
    Overlap,
    /// The same place is a map to one and a list to the other.
    Conflict,
}

impl Path {
    /// The path of a top-level attribute.
    pub fn of_attribute(name: impl Into<String>) -> Path {
        Path(vec![PathElement::Name(name.into())])
    }

    pub(crate) fn push(&mut self, element: PathElement) {
        self.0.push(element);
    }

    /// The steps, the first being the attribute's name.
    pub fn elements(&self) -> &[PathElement] {
        &self.0
    }

    /// The name of the attribute it begins with.
    pub fn attribute(&self) -> &str {
        match &self.0[0] {
            PathElement::Name(name) => name,
            PathElement::Index(_) => unreachable!("a path begins with a name"),
        }
    }

    /// Does it lead into an attribute's value?
    pub fn is_nested(&self) -> bool {
        self.0.len() > 1
    }

    /// What stands there.
    pub fn get<'a>(&self, item: &'a Item) -> Option<&'a AttributeValue> {
        let first = item.get(self.attribute())?;
        self.0[1..].iter().try_fold(first, child)
    }

    /// The value that the last step is taken from, to be changed; `None` for a top-level
    /// attribute's path, and where there is none.
    pub(crate) fn parent_mut<'a>(&self, item: &'a mut Item) -> Option<&'a mut AttributeValue> {
        let (_, to_parent) = self.0.split_last()?;
        let (_, steps) = to_parent.split_first()?;
        let mut value = item.get_mut(self.attribute())?;
        for step in steps {
            value = match (value, step) {
                (AttributeValue::Map(entries), PathElement::Name(name)) => entries.get_mut(name)?,
                (AttributeValue::List(elements), PathElement::Index(index)) => {
                    elements.get_mut(*index)?
                }
                _ => return None,
            };
        }
        Some(value)
    }

    /// The last step.
    pub(crate) fn last(&self) -> &PathElement {
        self.0.last().expect("a path has an element")
    }

    /// Can the two not be used together?
    pub(crate) fn clash(&self, other: &Path) -> Option<PathClash> {
        for pair in self.0.iter().zip(&other.0) {
            match pair {
                (PathElement::Name(_), PathElement::Index(_))
                | (PathElement::Index(_), PathElement::Name(_)) => {
                    return Some(PathClash::Conflict);
                }
                (left, right) if left != right => return None,
                _ => {}
            }
        }
        Some(PathClash::Overlap)
    }
}

/// One step down from a value.
pub(crate) fn child<'a>(
    value: &'a AttributeValue,
    step: &PathElement,
) -> Option<&'a AttributeValue> {
    match (value, step) {
        (AttributeValue::Map(entries), PathElement::Name(name)) => entries.get(name),
        (AttributeValue::List(elements), PathElement::Index(index)) => elements.get(*index),
        _ => None,
    }
}

impl fmt::Display for Path {
    /// As the service's errors print paths: `[a, b, [3]]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (position, element) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            match element {
                PathElement::Name(name) => f.write_str(name)?,
                PathElement::Index(index) => write!(f, "[{index}]")?,
            }
        }
        f.write_str("]")
    }
}
