//! Writes a response document. It escapes every text, so none can break the document; what it is
//! given to write it doesn't judge.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};

use bytes::Bytes;

/// A document on its way: elements are opened, filled and closed in the order of their writing.
#[derive(Debug)]
pub struct XmlWriter {
    text: String,
    open: Vec<Cow<'static, str>>,
}

impl XmlWriter {
    /// A document whose root has that name and that namespace.
    pub fn document(root: impl Into<Cow<'static, str>>, namespace: &str) -> XmlWriter {
        let root = root.into();
        let mut text = String::with_capacity(1024);
        text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = write!(text, "<{root} xmlns=\"{namespace}\">");
        XmlWriter {
            text,
            open: vec![root],
        }
    }

    /// A document whose root has that name and no namespace, as S3's errors have it.
    pub fn bare(root: impl Into<Cow<'static, str>>) -> XmlWriter {
        let root = root.into();
        let mut text = String::with_capacity(512);
        text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = write!(text, "<{root}>");
        XmlWriter {
            text,
            open: vec![root],
        }
    }

    /// Text inside the element that was opened last.
    pub fn text(&mut self, value: impl Display) -> &mut Self {
        let _ = write!(Escaping(&mut self.text), "{value}");
        self
    }

    /// Begins an element; what is written next is inside, until it is closed.
    pub fn open(&mut self, name: impl Into<Cow<'static, str>>) -> &mut Self {
        let name = name.into();
        let _ = write!(self.text, "<{name}>");
        self.open.push(name);
        self
    }

    /// Ends the element that was opened last.
    pub fn close(&mut self) -> &mut Self {
        if let Some(name) = self.open.pop() {
            let _ = write!(self.text, "</{name}>");
        }
        self
    }

    /// An element that holds that value as text.
    pub fn value(&mut self, name: &'static str, value: impl Display) -> &mut Self {
        let _ = write!(self.text, "<{name}>");
        let _ = write!(Escaping(&mut self.text), "{value}");
        let _ = write!(self.text, "</{name}>");
        self
    }

    /// The same, if there is a value.
    pub fn optional(&mut self, name: &'static str, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            self.value(name, value);
        }
        self
    }

    /// Ends what is open, and with it the document.
    pub fn finish(mut self) -> Bytes {
        while !self.open.is_empty() {
            self.close();
        }
        Bytes::from(self.text)
    }
}

/// Can a document have this character in its texts? Others become spaces where they are written:
/// what XML 1.0 can't have in any form (production 2), and control characters that it discourages.
pub fn is_text(character: char) -> bool {
    match character {
        '\r' | '\n' | '\t' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        other => !other.is_control(),
    }
}

/// As the text of an element.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let _ = Escaping(&mut escaped).write_str(text);
    escaped
}

/// Takes text and writes it so that a reader of XML gets the same text back.
struct Escaping<'a>(&'a mut String);

impl std::fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                // A reader would take it for the end of a line, and give "\n".
                '\r' => self.0.push_str("&#13;"),
                other if is_text(other) => self.0.push(other),
                _ => self.0.push(' '),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{XmlLimits, read};

    #[test]
    fn a_document_is_written_and_no_text_breaks_it() {
        let mut writer = XmlWriter::document("Answer", "urn:x");
        writer
            .open("Zone")
            .value("Name", "a&<b>\r\n\u{1}\"'")
            .value("Count", 3);
        writer.optional("None", None::<&str>).close().open("Open");
        let document = writer.finish();
        assert_eq!(
            document,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Answer xmlns=\"urn:x\"><Zone>\
             <Name>a&amp;&lt;b&gt;&#13;\n \"'</Name><Count>3</Count></Zone><Open></Open></Answer>"
        );
        let limits = XmlLimits {
            depth: 3,
            elements: 9,
        };
        let root = read(&document, limits).unwrap();
        let members = root.members(&["Zone", "Open"]).unwrap();
        let zone = members.optional("Zone").unwrap();
        let zone = zone.members(&["Name", "Count"]).unwrap();
        let name = zone.optional("Name").unwrap();
        assert_eq!(name.text(), Ok("a&<b>\r\n \"'"));
    }
}
