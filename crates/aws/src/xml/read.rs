//! Reads a request document into a tree of elements, and takes structures and lists out of it.
//!
//! The tree is bounded by the caller's limits before anything is kept. Document types and
//! entities beyond XML's own five are refused, so nothing expands and nothing is fetched.
//! Namespaces are not compared and prefixes are dropped: clients of older versions of an API send
//! other ones. The services hold a request against a schema; here, too, an unknown or repeated
//! element and a missing one are refused, in the words of the services' validator. The order of a
//! structure's elements is not enforced, as clients differ in it and nothing depends on it.

use std::borrow::Cow;
use std::fmt::Write as _;

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;

/// Bytes of an element's name, with its prefix. No service has longer ones.
const MAX_NAME: usize = 256;

/// Characters of an error's text that come from the request.
const MAX_SHOWN: usize = 128;

/// How large a document may be, beside its length in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct XmlLimits {
    /// How deep its elements may be nested.
    pub depth: usize,
    /// How many elements it may have.
    pub elements: usize,
}

/// An element and what is in it: elements or text, never both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Element<'a> {
    /// Its name without prefix.
    pub name: &'a str,
    text: Cow<'a, str>,
    children: Vec<Element<'a>>,
    /// Where its tag ends in the document; unlike any other element's.
    position: usize,
}

/// The members of a structure: each known, each there once at most.
#[derive(Clone, Copy, Debug)]
pub struct Members<'e, 'a> {
    element: &'e Element<'a>,
}

/// Why a document was refused. [`XmlFault::text`] words it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct XmlFault {
    what: What,
    /// Of the element at fault, if one is.
    position: Option<usize>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum What {
    /// It isn't of the schema's form; the validator's words.
    Schema(String),
    /// A value is not what its type allows; the value and the rule.
    Constraint(String, String),
}

/// Reads a whole document.
///
/// # Errors
///
/// It isn't UTF-8, isn't well-formed, has what is refused (see above), or is beyond the limits.
pub fn read(body: &[u8], limits: XmlLimits) -> Result<Element<'_>, XmlFault> {
    let text = std::str::from_utf8(body).map_err(|_| schema(None, "Invalid UTF-8"))?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    let mut tree = Tree::default();
    loop {
        let event = reader.read_event().map_err(unreadable)?;
        let position = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        match event {
            Event::Start(start) => {
                tree.open(name_of(&start, text, position, 1)?, position, limits)?;
            }
            Event::Empty(start) => {
                tree.open(name_of(&start, text, position, 2)?, position, limits)?;
                tree.close()?;
            }
            Event::End(_) => tree.close()?,
            Event::Text(part) => tree.text(part.decode().map_err(unreadable)?)?,
            Event::CData(part) => tree.text(part.decode().map_err(unreadable)?)?,
            Event::GeneralRef(reference) => tree.text(Cow::Owned(resolve(&reference)?.into()))?,
            Event::DocType(_) => return Err(schema(None, "DOCTYPE is disallowed")),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    tree.finish()
}

/// A document on its way.
#[derive(Default)]
struct Tree<'a> {
    open: Vec<Element<'a>>,
    root: Option<Element<'a>>,
    elements: usize,
}

impl<'a> Tree<'a> {
    fn open(&mut self, name: &'a str, position: usize, limits: XmlLimits) -> Result<(), XmlFault> {
        self.elements += 1;
        if self.open.len() >= limits.depth || self.elements > limits.elements {
            return Err(schema(None, "The document is too large"));
        }
        if self.root.is_some() {
            return Err(schema(
                None,
                "The markup in the document following the root element must be well-formed.",
            ));
        }
        self.open.push(Element {
            name,
            text: Cow::Borrowed(""),
            children: Vec::new(),
            position,
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), XmlFault> {
        let Some(element) = self.open.pop() else {
            return Err(schema(None, "An element ends that never began"));
        };
        if !element.children.is_empty() && !element.text.trim().is_empty() {
            let message = format!(
                "cvc-complex-type.2.3: Element '{}' cannot have character [children], because \
                 the type's content type is element-only.",
                element.name
            );
            return Err(schema(Some(element.position), message));
        }
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, part: Cow<'a, str>) -> Result<(), XmlFault> {
        if !part.chars().all(is_legal) {
            return Err(schema(None, "An invalid XML character was found"));
        }
        match self.open.last_mut() {
            Some(element) if element.text.is_empty() => element.text = part,
            Some(element) => element.text.to_mut().push_str(&part),
            None if part.trim().is_empty() => {}
            None => {
                return Err(schema(
                    None,
                    "Content is not allowed outside the root element.",
                ));
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Element<'a>, XmlFault> {
        match self.root {
            Some(root) if self.open.is_empty() => Ok(root),
            _ => Err(schema(None, "Premature end of file.")),
        }
    }
}

/// Its local name, as it stands in the document: the tag ends at `end`, with `close` bytes after
/// its content.
fn name_of<'a>(
    start: &BytesStart<'_>,
    document: &'a str,
    end: usize,
    close: usize,
) -> Result<&'a str, XmlFault> {
    let begin = end.checked_sub(close + start.len());
    let name = begin.and_then(|begin| document.get(begin..begin + start.name().0.len()));
    match name {
        Some(name) if name.len() > MAX_NAME => Err(schema(None, "A name is too long")),
        Some(name) if name.as_bytes() == start.name().0 => {
            Ok(name.split_once(':').map_or(name, |(_, local)| local))
        }
        _ => Err(schema(None, "A name is not readable")),
    }
}

/// One of the five entities, or a character by its number.
fn resolve(reference: &BytesRef<'_>) -> Result<char, XmlFault> {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        return Ok(character);
    }
    match &**reference {
        b"amp" => Ok('&'),
        b"lt" => Ok('<'),
        b"gt" => Ok('>'),
        b"quot" => Ok('"'),
        b"apos" => Ok('\''),
        other => Err(schema(
            None,
            format!(
                "The entity \"{}\" was referenced, but not declared.",
                shorten(&String::from_utf8_lossy(other))
            ),
        )),
    }
}

/// XML 1.0, production 2.
fn is_legal(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        || character > '\u{ffff}'
}

fn unreadable(error: impl std::fmt::Display) -> XmlFault {
    schema(None, shorten(&error.to_string()))
}

fn schema(position: Option<usize>, message: impl Into<String>) -> XmlFault {
    XmlFault {
        what: What::Schema(message.into()),
        position,
    }
}

impl<'a> Element<'a> {
    /// The elements in it, whatever their names.
    pub fn children(&self) -> &[Element<'a>] {
        &self.children
    }

    /// The first element in it of that name, whatever else is there: for whoever only looks.
    pub fn child(&self, name: &str) -> Option<&Element<'a>> {
        self.children.iter().find(|child| child.name == name)
    }

    /// As a structure whose members are of those names.
    ///
    /// # Errors
    ///
    /// It has another element, or one twice.
    pub fn members<'e>(&'e self, known: &[&str]) -> Result<Members<'e, 'a>, XmlFault> {
        for (index, child) in self.children.iter().enumerate() {
            let earlier = &self.children[..index.min(known.len())];
            let repeated = earlier.iter().any(|other| other.name == child.name);
            if repeated || !known.contains(&child.name) {
                let message = format!(
                    "cvc-complex-type.2.4.a: Invalid content was found starting with element \
                     '{}'. One of '{{{}}}' is expected.",
                    child.name,
                    known.join(", ")
                );
                return Err(schema(Some(child.position), message));
            }
        }
        if self.children.is_empty() {
            self.no_text()?;
        }
        Ok(Members { element: self })
    }

    /// As a list whose items are elements of that name.
    ///
    /// # Errors
    ///
    /// It has an element of another name, or text.
    pub fn items<'e>(&'e self, name: &str) -> Result<&'e [Element<'a>], XmlFault> {
        if let Some(other) = self.children.iter().find(|child| child.name != name) {
            let message = format!(
                "cvc-complex-type.2.4.a: Invalid content was found starting with element '{}'. \
                 One of '{{{name}}}' is expected.",
                other.name
            );
            return Err(schema(Some(other.position), message));
        }
        if self.children.is_empty() {
            self.no_text()?;
        }
        Ok(&self.children)
    }

    /// As text, just as it stands.
    ///
    /// # Errors
    ///
    /// There are elements in it.
    pub fn text(&self) -> Result<&str, XmlFault> {
        if self.children.is_empty() {
            return Ok(&self.text);
        }
        let message = format!(
            "cvc-type.3.1.2: Element '{}' is a simple type, so it must have no element \
             information item [children].",
            self.name
        );
        Err(schema(Some(self.position), message))
    }

    /// As a whole number from `least` to `most`.
    ///
    /// # Errors
    ///
    /// It is none, or out of that range.
    pub fn integer(&self, least: i64, most: i64) -> Result<i64, XmlFault> {
        let text = self.text()?.trim();
        let digits = text.strip_prefix('+').unwrap_or(text);
        let Ok(number) = digits.parse::<i64>() else {
            return Err(self.no_value_of("integer"));
        };
        if number < least {
            return Err(self.constraint(format!(
                "Member must have value greater than or equal to {least}"
            )));
        }
        if number > most {
            return Err(self.constraint(format!(
                "Member must have value less than or equal to {most}"
            )));
        }
        Ok(number)
    }

    /// As `true` or `false` (or `1` or `0`, as XML Schema has it).
    ///
    /// # Errors
    ///
    /// It is neither.
    pub fn boolean(&self) -> Result<bool, XmlFault> {
        match self.text()?.trim() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(self.no_value_of("boolean")),
        }
    }

    /// As text of `least` to `most` characters.
    ///
    /// # Errors
    ///
    /// It is shorter or longer.
    pub fn bounded(&self, least: usize, most: usize) -> Result<&str, XmlFault> {
        let text = self.text()?;
        let length = text.chars().count();
        if length < least {
            return Err(self.constraint(format!(
                "Member must have length greater than or equal to {least}"
            )));
        }
        if length > most {
            return Err(self.constraint(format!(
                "Member must have length less than or equal to {most}"
            )));
        }
        Ok(text)
    }

    /// The fault that its value isn't one of those, in the validator's words.
    pub fn not_among(&self, values: &[&str]) -> XmlFault {
        let message = format!(
            "cvc-enumeration-valid: Value '{}' is not facet-valid with respect to enumeration \
             '[{}]'. It must be a value from the enumeration.",
            shorten(&self.text),
            values.join(", ")
        );
        schema(Some(self.position), message)
    }

    /// The fault that its value breaks that rule.
    pub fn constraint(&self, rule: impl Into<String>) -> XmlFault {
        XmlFault {
            what: What::Constraint(shorten(&self.text), rule.into()),
            position: Some(self.position),
        }
    }

    fn no_value_of(&self, kind: &str) -> XmlFault {
        let message = format!(
            "cvc-datatype-valid.1.2.1: '{}' is not a valid value for '{kind}'.",
            shorten(&self.text)
        );
        schema(Some(self.position), message)
    }

    fn no_text(&self) -> Result<(), XmlFault> {
        if self.text.trim().is_empty() {
            return Ok(());
        }
        let message = format!(
            "cvc-complex-type.2.3: Element '{}' cannot have character [children], because the \
             type's content type is element-only.",
            self.name
        );
        Err(schema(Some(self.position), message))
    }

    /// The elements from this one's child down to the one at that position, each with its number
    /// among its siblings, from 1, if it is an item of a list.
    fn path_to(&self, position: usize, path: &mut Vec<(String, Option<usize>)>) -> bool {
        for (index, child) in self.children.iter().enumerate() {
            let several = self
                .children
                .iter()
                .filter(|c| c.name == child.name)
                .count()
                > 1
                || self.name == format!("{}s", child.name);
            path.push((child.name.to_owned(), several.then_some(index + 1)));
            if child.position == position || child.path_to(position, path) {
                return true;
            }
            path.pop();
        }
        false
    }
}

impl<'e, 'a> Members<'e, 'a> {
    /// The member of that name, if it is there.
    pub fn optional(&self, name: &str) -> Option<&'e Element<'a>> {
        self.element
            .children
            .iter()
            .find(|child| child.name == name)
    }

    /// The member of that name. `namespace` is the service's, for the words of the error.
    ///
    /// # Errors
    ///
    /// It is missing.
    pub fn required(&self, name: &str, namespace: &str) -> Result<&'e Element<'a>, XmlFault> {
        self.optional(name).ok_or_else(|| {
            let message = format!(
                "cvc-complex-type.2.4.b: The content of element '{}' is not complete. One of \
                 '{{\"{namespace}\":{name}}}' is expected.",
                self.element.name
            );
            schema(Some(self.element.position), message)
        })
    }
}

impl XmlFault {
    /// In the words of the services. `root` is the document, if it could be read: it tells where
    /// in it the fault is.
    pub fn text(&self, root: Option<&Element<'_>>) -> String {
        let mut path = Vec::new();
        if let (Some(root), Some(position)) = (root, self.position) {
            root.path_to(position, &mut path);
        }
        match &self.what {
            What::Schema(message) => {
                let mut text = format!("Invalid XML ; {message}");
                if !path.is_empty() {
                    text.push_str(" (at ");
                    for (step, (name, number)) in path.iter().enumerate() {
                        let slash = if step == 0 { "" } else { "/" };
                        let _ = write!(text, "{slash}{name}");
                        if let Some(number) = number {
                            let _ = write!(text, "[{number}]");
                        }
                    }
                    text.push(')');
                }
                text
            }
            What::Constraint(value, rule) => {
                let mut at = String::new();
                for (step, (name, number)) in path.iter().enumerate() {
                    let dot = if step == 0 { "" } else { "." };
                    let _ = match number {
                        Some(number) => write!(at, "{dot}{number}.member"),
                        None => write!(at, "{dot}{}", lower_first(name)),
                    };
                }
                format!(
                    "1 validation error detected: Value '{value}' at '{at}' failed to satisfy \
                     constraint: {rule}"
                )
            }
        }
    }
}

fn lower_first(name: &str) -> String {
    let mut characters = name.chars();
    match characters.next() {
        Some(first) => first.to_ascii_lowercase().to_string() + characters.as_str(),
        None => String::new(),
    }
}

/// The beginning of it: an error doesn't repeat a whole request.
fn shorten(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: XmlLimits = XmlLimits {
        depth: 8,
        elements: 100,
    };

    fn fault(document: &str) -> String {
        read(document.as_bytes(), LIMITS).unwrap_err().text(None)
    }

    #[test]
    fn a_document_becomes_a_tree() {
        let document = "<?xml version=\"1.0\"?><!-- hello --><n:Batch xmlns:n=\"urn:x\">\n \
             <Comment>a &lt;b&gt; &#x41;<![CDATA[ & c]]></Comment><Changes><Change/> \
             <Change></Change></Changes></n:Batch>\n";
        let root = read(document.as_bytes(), LIMITS).unwrap();
        assert_eq!(root.name, "Batch");
        let members = root.members(&["Changes", "Comment"]).unwrap();
        let comment = members.required("Comment", "urn:x").unwrap();
        assert_eq!(comment.text(), Ok("a <b> A & c"));
        let changes = members.required("Changes", "urn:x").unwrap();
        assert_eq!(changes.items("Change").unwrap().len(), 2);
        assert_eq!(members.optional("Other"), None);
    }

    #[test]
    fn what_is_not_well_formed_or_could_expand_is_refused() {
        for document in [
            "",
            "text",
            "<A>",
            "<A></B>",
            "</A>",
            "<A/><B/>",
            "<A/>text",
            "<A>&unknown;</A>",
            "<A>&#0;</A>",
            "<A>\u{1}</A>",
            "<A>text<B/></A>",
            "<!DOCTYPE A [<!ENTITY e \"ee\">]><A>&e;</A>",
        ] {
            assert!(fault(document).starts_with("Invalid XML ; "), "{document}");
        }
        assert!(read(b"<A>\xff</A>", LIMITS).is_err());
        assert!(fault("<!DOCTYPE A><A/>").contains("DOCTYPE"));
    }

    #[test]
    fn a_document_is_bounded_in_depth_and_in_elements() {
        let nested = |depth: usize| "<A>".repeat(depth) + &"</A>".repeat(depth);
        assert!(read(nested(8).as_bytes(), LIMITS).is_ok());
        assert!(read(nested(9).as_bytes(), LIMITS).is_err());
        let flat = |elements: usize| format!("<A>{}</A>", "<B/>".repeat(elements - 1));
        assert!(read(flat(100).as_bytes(), LIMITS).is_ok());
        assert!(read(flat(101).as_bytes(), LIMITS).is_err());
    }

    #[test]
    fn faults_name_the_element_and_its_place() {
        let document = "<R><Batch><Changes><Change><TTL>1</TTL></Change><Change><TTL>-1</TTL>\
             <Odd/></Change></Changes></Batch></R>";
        let root = read(document.as_bytes(), LIMITS).unwrap();
        let batch = root.members(&["Batch"]).unwrap().optional("Batch").unwrap();
        let changes = batch.members(&["Changes"]).unwrap();
        let change = &changes
            .optional("Changes")
            .unwrap()
            .items("Change")
            .unwrap()[1];
        assert_eq!(
            change.members(&["TTL"]).unwrap_err().text(Some(&root)),
            "Invalid XML ; cvc-complex-type.2.4.a: Invalid content was found starting with \
             element 'Odd'. One of '{TTL}' is expected. (at Batch/Changes/Change[2]/Odd)"
        );
        let members = change.members(&["TTL", "Odd", "Value"]).unwrap();
        assert_eq!(
            members
                .required("Value", "urn:x")
                .unwrap_err()
                .text(Some(&root)),
            "Invalid XML ; cvc-complex-type.2.4.b: The content of element 'Change' is not \
             complete. One of '{\"urn:x\":Value}' is expected. (at Batch/Changes/Change[2])"
        );
        let ttl = members.optional("TTL").unwrap();
        assert_eq!(
            ttl.integer(0, 9).unwrap_err().text(Some(&root)),
            "1 validation error detected: Value '-1' at 'batch.changes.2.member.tTL' failed to \
             satisfy constraint: Member must have value greater than or equal to 0"
        );
        assert_eq!(ttl.integer(-1, 9), Ok(-1));
        assert!(ttl.boolean().is_err());
        assert!(ttl.bounded(3, 4).is_err());
        let fault = ttl.not_among(&["A", "B"]).text(None);
        assert!(fault.contains("Value '-1' is not facet-valid"), "{fault}");
    }

    #[test]
    fn an_element_twice_is_refused() {
        let root = read(b"<R><A/><A/></R>", LIMITS).unwrap();
        assert!(root.members(&["A"]).is_err());
        assert!(root.members(&["A", "B"]).is_err());
    }
}
