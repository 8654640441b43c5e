//! Projections: the parts of an item that a read asks for.
//!
//! Elements of a list that are left out leave no gap.

use std::collections::BTreeMap;

use crate::path::child;
use crate::{AttributeValue, Item, Path, PathElement};

use super::parser::Parser;
use super::{ExpressionError, ExpressionKind, Substitutions};

/// A parsed `ProjectionExpression`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Projection {
    paths: Vec<Path>,
}

impl Projection {
    /// Parses a projection.
    ///
    /// # Errors
    /// When it isn't one; what the text says is the service's.
    pub fn parse(
        text: &str,
        substitutions: &mut Substitutions,
    ) -> Result<Projection, ExpressionError> {
        let mut parser = Parser::new(ExpressionKind::Projection, text, substitutions)?;
        let mut paths = Vec::new();
        loop {
            paths.push(parser.path(no_keyword)?);
            if !parser.take_symbol(",") {
                break;
            }
        }
        parser.check_clashes(&paths);
        parser.finish()?;
        Ok(Projection { paths })
    }

    /// The projection on whole attributes, as `AttributesToGet` asks for.
    pub fn of_attributes(names: impl IntoIterator<Item = String>) -> Projection {
        Projection {
            paths: names.into_iter().map(Path::of_attribute).collect(),
        }
    }

    /// The paths, in the order of the text.
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// The parts of an item that it asks for and that are there.
    pub fn apply(&self, item: &Item) -> Item {
        project(item, &self.paths)
    }
}

/// A projection has no keywords: every word is a name, most of them reserved.
fn no_keyword(_: &str) -> bool {
    false
}

/// The parts of an item that stand at paths of which none leads through another.
pub(super) fn project(item: &Item, paths: &[Path]) -> Item {
    let mut tree = Tree::default();
    for path in paths {
        tree.insert(path.elements());
    }
    let mut parts = Item::new();
    for (element, below) in &tree.0 {
        if let PathElement::Name(name) = element
            && let Some(part) = item.get(name).and_then(|value| below.part(value))
        {
            parts.insert(name.clone(), part);
        }
    }
    parts
}

/// Paths with common beginnings merged. Without children it is a path's end.
#[derive(Default)]
struct Tree<'a>(BTreeMap<&'a PathElement, Tree<'a>>);

impl<'a> Tree<'a> {
    fn insert(&mut self, elements: &'a [PathElement]) {
        let mut tree = self;
        for element in elements {
            tree = tree.0.entry(element).or_default();
        }
    }

    /// What of a value the paths reach; nothing where they reach nothing.
    fn part(&self, value: &AttributeValue) -> Option<AttributeValue> {
        if self.0.is_empty() {
            return Some(value.clone());
        }
        let parts = self.0.iter().filter_map(|(element, below)| {
            let part = below.part(child(value, element)?)?;
            Some((*element, part))
        });
        match value {
            AttributeValue::Map(_) => {
                let mut entries = BTreeMap::new();
                for (element, part) in parts {
                    if let PathElement::Name(name) = element {
                        entries.insert(name.clone(), part);
                    }
                }
                (!entries.is_empty()).then_some(AttributeValue::Map(entries))
            }
            AttributeValue::List(_) => {
                let elements: Vec<AttributeValue> = parts.map(|(_, part)| part).collect();
                (!elements.is_empty()).then_some(AttributeValue::List(elements))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{item, substitutions};
    use super::*;

    fn parse(text: &str) -> Result<Projection, String> {
        let mut substitutions = substitutions(r##"{"#n":"name","#a":"a"}"##, "{}");
        Projection::parse(text, &mut substitutions).map_err(|error| error.to_string())
    }

    #[test]
    fn takes_the_parts_asked_for() {
        let whole = item(
            r#"{"a":{"S":"x"},"name":{"N":"1"},"m":{"M":{"p":{"S":"1"},"q":{"M":{"r":{"S":"2"}}}}},
            "l":{"L":[{"S":"0"},{"S":"1"},{"M":{"k":{"S":"2"}}}]}}"#,
        );
        for (text, expected) in [
            ("a", r#"{"a":{"S":"x"}}"#),
            ("#n, #a", r#"{"a":{"S":"x"},"name":{"N":"1"}}"#),
            ("absent", "{}"),
            ("m.p", r#"{"m":{"M":{"p":{"S":"1"}}}}"#),
            (
                "m.q.r, m.p",
                r#"{"m":{"M":{"p":{"S":"1"},"q":{"M":{"r":{"S":"2"}}}}}}"#,
            ),
            ("m.absent", "{}"),
            ("a.b", "{}"),
            (
                "l[2], l[0]",
                r#"{"l":{"L":[{"S":"0"},{"M":{"k":{"S":"2"}}}]}}"#,
            ),
            ("l[2].k", r#"{"l":{"L":[{"M":{"k":{"S":"2"}}}]}}"#),
            ("l[7]", "{}"),
            ("m[0]", "{}"),
        ] {
            let projection = parse(text).unwrap();
            assert_eq!(projection.apply(&whole), item(expected), "{text}");
        }
    }

    #[test]
    fn refuses_with_the_services_texts() {
        for (text, message) in [
            ("", "The expression can not be empty;"),
            ("a,", "Syntax error; token: \"<EOF>\", near: \",\""),
            ("a b", "Syntax error; token: \"b\", near: \"a b\""),
            ("l[a]", "Syntax error; token: \"a\", near: \"[a]\""),
            ("l[].b", "Syntax error; token: \"]\", near: \"[].\""),
            (":v", "Syntax error; token: \":v\", near: \":v\""),
            (
                "name",
                "Attribute name is a reserved keyword; reserved keyword: name",
            ),
            (
                "list[0].b",
                "Attribute name is a reserved keyword; reserved keyword: list",
            ),
            (
                "#x",
                "An expression attribute name used in the document path is not defined; attribute name: #x",
            ),
            (
                "a, b, #a",
                "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a]",
            ),
            (
                "m.p[1], m",
                "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [m, p, [1]], path two: [m]",
            ),
            (
                "m.p, m[1]",
                "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [m, p], path two: [m, [1]]",
            ),
        ] {
            let expected = format!("Invalid ProjectionExpression: {message}");
            assert_eq!(parse(text).unwrap_err(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "[ab#n.,0-9\\[\\] ]{0,40}") {
            let _ = parse(&text);
        }
    }
}
