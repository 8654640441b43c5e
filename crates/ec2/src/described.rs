//! A resource as it is described: its members in the shape of the answer, and the attributes that
//! filters look at. Plain values and how they are written; it finds nothing.

use std::collections::BTreeMap;

use aws::xml::XmlWriter;

/// A part of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Node {
    /// A scalar.
    Text(String),
    /// A structure.
    Members(Members),
    /// A list: each in an element `item`.
    Items(Vec<Node>),
}

/// The members of a structure, in the order in which they are written.
pub(crate) type Members = Vec<(&'static str, Node)>;

/// Tags, by their keys.
pub(crate) type Tags = BTreeMap<String, String>;

/// A resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Described {
    /// Its id; what pages go by.
    pub(crate) id: String,
    /// As the answer has it.
    pub(crate) members: Members,
    /// What filters look at beside tags: the filter's name, and the values that match.
    pub(crate) attributes: Vec<(&'static str, Vec<String>)>,
    /// Its tags.
    pub(crate) tags: Tags,
}

impl Described {
    /// One with that id, and nothing else yet.
    pub(crate) fn new(id: impl Into<String>, tags: Tags) -> Described {
        Described {
            id: id.into(),
            members: Members::new(),
            attributes: Vec::new(),
            tags,
        }
    }

    /// With a member that a filter of that name looks at.
    pub(crate) fn filtered(
        mut self,
        member: &'static str,
        filter: &'static str,
        value: impl ToString,
    ) -> Described {
        let value = value.to_string();
        self.attributes.push((filter, vec![value.clone()]));
        self.members.push((member, Node::Text(value)));
        self
    }

    /// With a member that no filter looks at.
    pub(crate) fn with(mut self, member: &'static str, node: impl Into<Node>) -> Described {
        self.members.push((member, node.into()));
        self
    }

    /// With what a filter looks at and no member shows by itself.
    pub(crate) fn attribute(mut self, filter: &'static str, values: Vec<String>) -> Described {
        self.attributes.push((filter, values));
        self
    }

    /// With its tags as a member.
    pub(crate) fn tagged(self) -> Described {
        let tags = tag_set(&self.tags);
        self.with("tagSet", tags)
    }
}

impl Node {
    /// Writes it as an element of that name.
    pub(crate) fn write(&self, writer: &mut XmlWriter, name: &'static str) {
        match self {
            Node::Text(text) => {
                writer.value(name, text);
            }
            Node::Members(members) => {
                writer.open(name);
                write_members(members, writer);
                writer.close();
            }
            Node::Items(items) => {
                writer.open(name);
                for item in items {
                    item.write(writer, "item");
                }
                writer.close();
            }
        }
    }
}

/// Writes members one after the other.
pub(crate) fn write_members(members: &Members, writer: &mut XmlWriter) {
    for (name, node) in members {
        node.write(writer, name);
    }
}

/// Tags as a list of structures.
pub(crate) fn tag_set(tags: &Tags) -> Node {
    let tag = |(key, value): (&String, &String)| {
        Node::Members(vec![("key", text(key)), ("value", text(value))])
    };
    Node::Items(tags.iter().map(tag).collect())
}

/// A scalar.
pub(crate) fn text(value: impl ToString) -> Node {
    Node::Text(value.to_string())
}

impl From<&str> for Node {
    fn from(value: &str) -> Node {
        text(value)
    }
}

impl From<String> for Node {
    fn from(value: String) -> Node {
        Node::Text(value)
    }
}

impl From<bool> for Node {
    fn from(value: bool) -> Node {
        text(value)
    }
}

impl From<Members> for Node {
    fn from(members: Members) -> Node {
        Node::Members(members)
    }
}

impl From<Vec<Node>> for Node {
    fn from(items: Vec<Node>) -> Node {
        Node::Items(items)
    }
}
