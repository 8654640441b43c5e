//! Reads JSON (RFC 8259) into a tree whose parts know where they stand, so that a policy's fault
//! can be shown. It refuses what nests too deep, repeated names in an object, and anything after
//! the value. It knows no policy.

use super::error::Flaw;

/// Nested values, at most: a policy's condition values are at depth 6.
pub(super) const MAX_DEPTH: usize = 8;

/// A value and where it stands: bytes of the document.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// As written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Object(Vec<Member>),
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) at: usize,
    pub(super) value: Node,
}

/// The one value of a document.
pub(super) fn read(document: &str) -> Result<Node, Flaw> {
    let mut reader = Reader {
        document,
        bytes: document.as_bytes(),
        at: 0,
    };
    let node = reader.value(0)?;
    reader.skip_space();
    match reader.at == document.len() {
        true => Ok(node),
        false => Err(Flaw::syntax(reader.at, "the document ends before this")),
    }
}

struct Reader<'a> {
    document: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn fault<T>(&self, detail: &str) -> Result<T, Flaw> {
        Err(Flaw::syntax(self.at, detail))
    }

    fn value(&mut self, depth: usize) -> Result<Node, Flaw> {
        self.skip_space();
        let start = self.at;
        if depth >= MAX_DEPTH {
            return self.fault("nested too deep");
        }
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Value::Text(self.text()?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            _ => return self.fault("a value is expected"),
        };
        Ok(Node {
            value,
            start,
            end: self.at,
        })
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Flaw> {
        if !self.document[self.at..].starts_with(word) {
            return self.fault("a value is expected");
        }
        self.at += word.len();
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Flaw> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::List(items));
                }
                _ => return self.fault("',' or ']' is expected"),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Flaw> {
        self.at += 1;
        let mut members: Vec<Member> = Vec::new();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_space();
            let at = self.at;
            if self.peek() != Some(b'"') {
                return self.fault("a name in quotation marks is expected");
            }
            let name = self.text()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return self.fault("':' is expected");
            }
            self.at += 1;
            let value = self.value(depth + 1)?;
            members.push(Member { name, at, value });
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    refuse_repeated(&members)?;
                    return Ok(Value::Object(members));
                }
                _ => return self.fault("',' or '}' is expected"),
            }
        }
    }

    fn number(&mut self) -> Result<String, Flaw> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let whole = self.digits()?;
        if whole > 1 && self.bytes[self.at - whole] == b'0' {
            self.at -= whole;
            return self.fault("a number without leading zeros is expected");
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(self.document[start..self.at].to_owned())
    }

    /// Passes over digits, one at least; how many.
    fn digits(&mut self) -> Result<usize, Flaw> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        match self.at - start {
            0 => self.fault("a digit is expected"),
            count => Ok(count),
        }
    }

    fn text(&mut self) -> Result<String, Flaw> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let plain = self.bytes[self.at..]
                .iter()
                .take_while(|byte| **byte >= 0x20 && **byte != b'"' && **byte != b'\\')
                .count();
            text.push_str(&self.document[self.at..self.at + plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escaped()?),
                Some(_) => return self.fault("a control character must be escaped"),
                None => return self.fault("a closing quotation mark is expected"),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, Flaw> {
        let start = self.at;
        self.at += 1;
        let character = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode(start);
            }
            _ => return Err(Flaw::syntax(start, "no such escape")),
        };
        self.at += 1;
        Ok(character)
    }

    /// What stands after `\u`: one unit, or two that are a surrogate pair.
    fn unicode(&mut self, start: usize) -> Result<char, Flaw> {
        let lone = || Flaw::syntax(start, "half a surrogate pair");
        let first = self.unit(start)?;
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first).ok_or_else(lone);
        }
        if first >= 0xdc00 || !self.bytes[self.at..].starts_with(b"\\u") {
            return Err(lone());
        }
        self.at += 2;
        let second = self.unit(start)?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(lone());
        }
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or_else(lone)
    }

    fn unit(&mut self, start: usize) -> Result<u32, Flaw> {
        let digits = self.bytes.get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let text = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let unit = text.and_then(|text| u32::from_str_radix(text, 16).ok());
        self.at += 4;
        unit.ok_or_else(|| Flaw::syntax(start, "four hexadecimal digits are expected"))
    }
}

/// IAM User Guide, "Grammar of the IAM JSON policy language": an element can't have a key twice.
fn refuse_repeated(members: &[Member]) -> Result<(), Flaw> {
    let mut sorted: Vec<&Member> = members.iter().collect();
    sorted.sort_by(|a, b| (&a.name, a.at).cmp(&(&b.name, b.at)));
    let repeated = sorted
        .windows(2)
        .filter(|pair| pair[0].name == pair[1].name)
        .map(|pair| pair[1].at)
        .min();
    match repeated {
        Some(at) => Err(Flaw::syntax(at, "the name stands here a second time")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As serde_json has it; numbers as their text, since ours keeps it.
    fn plain(node: &Node) -> serde_json::Value {
        match &node.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(text) => serde_json::from_str(text).unwrap(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(plain).collect(),
            Value::Object(members) => members
                .iter()
                .map(|member| (member.name.clone(), plain(&member.value)))
                .collect(),
        }
    }

    #[test]
    fn it_reads_what_serde_json_reads_and_refuses_what_that_refuses() {
        let texts = [
            r#"{}"#,
            r#" { "a" : [ 1 , -0.5e+3 , true , null , "x\u00e9\ud83d\ude00\n\"\\\/" ] } "#,
            r#"[]"#,
            r#""é""#,
            "0",
            "1e5",
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\"}",
            "{a:1}",
            "01",
            "-",
            "1.",
            "1e",
            "\"\u{1}\"",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\udc00\"",
            "\"\\u12\"",
            "\"",
            "tru",
            "nulll",
            "{} {}",
            "'a'",
            "\u{feff}{}",
        ];
        for text in texts {
            let theirs = serde_json::from_str::<serde_json::Value>(text).ok();
            let ours = read(text).ok().as_ref().map(plain);
            assert_eq!(ours, theirs, "{text}");
        }
    }

    #[test]
    fn depth_and_repeated_names_are_refused_where_they_stand() {
        let deep = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert!(read(&deep).is_ok());
        let deeper = "[".repeat(100_000);
        assert_eq!(read(&deeper).unwrap_err().at, MAX_DEPTH);
        let repeated = r#"{"a":1,"b":2,"a":3}"#;
        assert_eq!(read(repeated).unwrap_err().at, 13);
    }
}
