//! Reading a parsed file table by table. Each value knows where it stands; whatever is wrong is
//! noted there and the reading goes on. It knows TOML and variables, and no word of the language.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use types::Span;

use super::problem::{Position, Problem, listed, nearest};
use super::span;

/// A range of bytes of the file.
pub(super) type Place = Range<usize>;

/// What a variable stands for.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Constant {
    /// A text.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// A number with a fraction.
    Decimal(f64),
    /// Yes or no.
    Flag(bool),
}

/// The file, its variables, and what was found to be wrong so far.
pub(super) struct Reader<'t> {
    text: &'t str,
    variables: RefCell<BTreeMap<String, Constant>>,
    used: RefCell<BTreeSet<String>>,
    problems: RefCell<Vec<Problem>>,
}

/// A table of the file.
pub(super) struct Section<'r, 't> {
    pub(super) reader: &'r Reader<'t>,
    /// What it is called in messages: `[lab]`, `a load`.
    what: &'static str,
    entries: &'r DeTable<'t>,
    place: Place,
    asked: RefCell<BTreeSet<&'static str>>,
}

/// A value of the file, or the variable that stands there.
pub(super) struct Value<'r, 't> {
    reader: &'r Reader<'t>,
    pub(super) place: Place,
    key: &'static str,
    content: Content<'r, 't>,
}

enum Content<'r, 't> {
    Constant(Constant),
    List(&'r [Spanned<DeValue<'t>>]),
    Table(&'r DeTable<'t>),
    Other(&'static str),
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Reader<'t> {
        Reader {
            text,
            variables: RefCell::default(),
            used: RefCell::default(),
            problems: RefCell::default(),
        }
    }

    /// Notes a problem.
    pub(super) fn problem(&self, place: &Place, message: impl Display) {
        self.note(Some(place), message.to_string(), None);
    }

    /// Notes a problem and what would be right.
    pub(super) fn problem_help(&self, place: &Place, message: impl Display, help: impl Display) {
        self.note(Some(place), message.to_string(), Some(help.to_string()));
    }

    /// Notes that a word is none of those allowed.
    pub(super) fn unknown<'a>(
        &self,
        place: &Place,
        message: impl Display,
        word: &str,
        allowed: impl IntoIterator<Item = &'a str>,
    ) {
        let allowed: Vec<&str> = allowed.into_iter().collect();
        self.problem_help(place, message, meant(word, &allowed));
    }

    /// Notes a problem that has no place in the file.
    pub(super) fn problem_elsewhere(&self, message: impl Display, help: Option<String>) {
        self.note(None, message.to_string(), help);
    }

    fn note(&self, place: Option<&Place>, message: String, help: Option<String>) {
        self.problems.borrow_mut().push(Problem {
            position: place.map(|place| Position::of(self.text, place)),
            message,
            help,
        });
    }

    /// The line of that place, from 1.
    pub(super) fn line(&self, place: &Place) -> usize {
        Position::of(self.text, place).line
    }

    /// Takes the variables over.
    pub(super) fn define(&self, name: &str, value: Constant) {
        self.variables.borrow_mut().insert(name.to_owned(), value);
    }

    /// The variables as they are now.
    pub(super) fn variables(&self) -> BTreeMap<String, Constant> {
        self.variables.borrow().clone()
    }

    /// Was the variable used?
    pub(super) fn is_used(&self, name: &str) -> bool {
        self.used.borrow().contains(name)
    }

    /// What the variable stands for; notes a problem if there is no such variable.
    pub(super) fn variable(&self, name: &str, place: &Place) -> Option<Constant> {
        self.used.borrow_mut().insert(name.to_owned());
        let variables = self.variables.borrow();
        let found = variables.get(name).cloned();
        if found.is_none() {
            let names: Vec<&str> = variables.keys().map(String::as_str).collect();
            let message = format!("there is no variable `{name}` in [variables]");
            self.unknown(place, message, name, names);
        }
        found
    }

    /// Everything that was noted.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

/// Did you mean…, and what is allowed.
pub(crate) fn meant(word: &str, allowed: &[&str]) -> String {
    let all = match allowed.len() {
        0 => "there are none".to_owned(),
        _ => format!("allowed: {}", listed(allowed.iter().copied())),
    };
    match nearest(word, allowed.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? ({all})"),
        None => all,
    }
}

impl<'r, 't> Section<'r, 't> {
    pub(super) fn new(
        reader: &'r Reader<'t>,
        what: &'static str,
        entries: &'r DeTable<'t>,
        place: Place,
    ) -> Section<'r, 't> {
        let asked = RefCell::default();
        Section {
            reader,
            what,
            entries,
            place,
            asked,
        }
    }

    /// Where it begins: its header, or the file's first byte.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Its keys with their places, as they stand in the file.
    pub(super) fn keys(&self) -> Vec<(&'r str, Place)> {
        let keys = self.entries.keys();
        let mut keys: Vec<_> = keys
            .map(|key| (key.get_ref().as_ref(), key.span()))
            .collect();
        keys.sort_by_key(|(_, place)| place.start);
        keys
    }

    /// The value of that key, if it is there. A text that is `$` and a name is that variable.
    pub(super) fn get(&self, key: &'static str) -> Option<Value<'r, 't>> {
        self.asked.borrow_mut().insert(key);
        let value = self.entries.get(key)?;
        Value::new(self.reader, key, value)
    }

    /// Is the key there? (Its value may still be none.)
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Where the key stands, or the section if it isn't there.
    pub(super) fn place_of(&self, key: &str) -> Place {
        let keys = self.entries.get_key_value(key);
        keys.map_or(self.place.clone(), |(key, _)| key.span())
    }

    /// The value of that key; it is a problem if it isn't there.
    pub(super) fn required(&self, key: &'static str, example: &str) -> Option<Value<'r, 't>> {
        if !self.has(key) {
            self.asked.borrow_mut().insert(key);
            let message = format!("{} needs `{key}`", self.what);
            self.reader
                .problem_help(&self.place, message, format!("write {example}"));
        }
        self.get(key)
    }

    /// The tables of `[[key]]`, at most so many.
    pub(super) fn sections(
        &self,
        key: &'static str,
        what: &'static str,
        most: usize,
    ) -> Vec<Section<'r, 't>> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let Content::List(list) = value.content else {
            let message = format!("`{key}` is a list of tables");
            let help = format!("write each {what} under a line [[{key}]]");
            self.reader.problem_help(&value.place, message, help);
            return Vec::new();
        };
        if list.len() > most {
            let message = format!(
                "there are {} [[{key}]]; at most {most} are allowed",
                list.len()
            );
            self.reader.problem(&list[most].span(), message);
        }
        let mut sections = Vec::new();
        for item in list.iter().take(most) {
            match item.get_ref() {
                DeValue::Table(table) => {
                    sections.push(Section::new(self.reader, what, table, item.span()));
                }
                other => {
                    let message = format!("{what} is a table, not {}", kind(other));
                    self.reader.problem(&item.span(), message);
                }
            }
        }
        sections
    }

    /// The table of `[key]`.
    pub(super) fn section(&self, key: &'static str, what: &'static str) -> Option<Self> {
        let value = self.get(key)?;
        let Content::Table(table) = value.content else {
            let message = format!("`{key}` is a table");
            self.reader.problem_help(
                &value.place,
                message,
                format!("write its words under [{key}]"),
            );
            return None;
        };
        Some(Section::new(self.reader, what, table, value.place))
    }

    /// The value of any key, with its place.
    pub(super) fn entry(&self, key: &str) -> Option<(Place, &'r DeValue<'t>)> {
        let value = self.entries.get(key)?;
        Some((value.span(), value.get_ref()))
    }

    /// Notes every key that nobody asked for.
    pub(super) fn check_unknown(&self) {
        let asked = self.asked.borrow();
        for (key, place) in self.keys() {
            if !asked.contains(key) {
                let message = format!("{} knows no word `{key}`", self.what);
                self.reader
                    .unknown(&place, message, key, asked.iter().copied());
            }
        }
    }
}

impl<'r, 't> Value<'r, 't> {
    fn new(
        reader: &'r Reader<'t>,
        key: &'static str,
        value: &'r Spanned<DeValue<'t>>,
    ) -> Option<Value<'r, 't>> {
        let place = value.span();
        let content = match value.get_ref() {
            DeValue::String(text) => match variable_name(text) {
                Some(name) => Content::Constant(reader.variable(name, &place)?),
                None => Content::Constant(Constant::Text(text.as_ref().to_owned())),
            },
            DeValue::Array(list) => Content::List(list),
            DeValue::Table(table) => Content::Table(table),
            other => match constant(other) {
                Some(constant) => Content::Constant(constant),
                None => Content::Other(kind(other)),
            },
        };
        Some(Value {
            reader,
            place,
            key,
            content,
        })
    }

    fn kind(&self) -> &'static str {
        match &self.content {
            Content::Constant(Constant::Text(_)) => "a text",
            Content::Constant(Constant::Whole(_)) => "a whole number",
            Content::Constant(Constant::Decimal(_)) => "a number with a fraction",
            Content::Constant(Constant::Flag(_)) => "true or false",
            Content::List(_) => "a list",
            Content::Table(_) => "a table",
            Content::Other(kind) => kind,
        }
    }

    fn is_no(&self, wanted: impl Display) {
        let message = format!("`{}` is {wanted}, not {}", self.key, self.kind());
        self.reader.problem(&self.place, message);
    }

    /// Notes a problem with this value.
    pub(super) fn problem(&self, message: impl Display, help: impl Display) {
        self.reader.problem_help(&self.place, message, help);
    }

    /// Is it a table?
    pub(super) fn is_table(&self) -> bool {
        matches!(self.content, Content::Table(_))
    }

    /// The text.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Constant(Constant::Text(text)) => Some(text),
            _ => {
                self.is_no("a text in quotes");
                None
            }
        }
    }

    /// A text of 1 to so many characters, none of which controls a terminal.
    pub(super) fn line(&self, most: usize) -> Option<String> {
        let text = self.text()?;
        let length = text.chars().count();
        if length == 0 || length > most {
            let message = format!("`{}` has 1 to {most} characters, not {length}", self.key);
            self.reader.problem(&self.place, message);
            return None;
        }
        if text.chars().any(|c| c.is_control() && c != '\n') {
            let message = format!("`{}` has a control character", self.key);
            self.reader.problem(&self.place, message);
            return None;
        }
        Some(text.to_owned())
    }

    /// Yes or no.
    pub(super) fn flag(&self) -> Option<bool> {
        match self.content {
            Content::Constant(Constant::Flag(flag)) => Some(flag),
            _ => {
                self.is_no("true or false, without quotes");
                None
            }
        }
    }

    /// A whole number of that range.
    pub(super) fn whole(&self, (least, most): (i64, i64)) -> Option<i64> {
        let range = format!("a whole number from {least} to {most}");
        match self.content {
            Content::Constant(Constant::Whole(number)) if (least..=most).contains(&number) => {
                Some(number)
            }
            Content::Constant(Constant::Whole(number)) => {
                let message = format!("`{}` is {range}, not {number}", self.key);
                self.reader.problem(&self.place, message);
                None
            }
            _ => {
                self.is_no(range);
                None
            }
        }
    }

    /// A number of that range, with or without a fraction.
    pub(super) fn decimal(&self, (least, most): (f64, f64)) -> Option<f64> {
        let range = format!("a number from {least} to {most}");
        let number = match self.content {
            Content::Constant(Constant::Whole(number)) => number as f64,
            Content::Constant(Constant::Decimal(number)) => number,
            _ => {
                self.is_no(range);
                return None;
            }
        };
        if (least..=most).contains(&number) {
            return Some(number);
        }
        let message = format!("`{}` is {range}, not {number}", self.key);
        self.reader.problem(&self.place, message);
        None
    }

    /// A span of time in microseconds, below zero where it has a minus: `"20s"`, `"$outage"`,
    /// `"$warm_up + 5s"`.
    fn microseconds(&self) -> Option<i64> {
        let text = match &self.content {
            Content::Constant(Constant::Text(text)) => text,
            Content::Constant(Constant::Whole(number)) => {
                let message = format!("`{}` is a span of time, and {number} has no unit", self.key);
                let help = format!("write \"{number}s\" or \"{number}ms\"");
                self.reader.problem_help(&self.place, message, help);
                return None;
            }
            _ => {
                self.is_no("a span of time in quotes, such as \"20s\"");
                return None;
            }
        };
        let mut total: i64 = 0;
        for term in text.split('+') {
            total = total.saturating_add(self.term(term.trim())?);
        }
        Some(total)
    }

    fn term(&self, term: &str) -> Option<i64> {
        let text = match variable_name(term) {
            None => term.to_owned(),
            Some(name) => match self.reader.variable(name, &self.place)? {
                Constant::Text(text) => text,
                other => {
                    let message = format!("`${name}` is no span of time: it is {}", show(&other));
                    self.reader
                        .problem_help(&self.place, message, "give it a unit: \"20s\"");
                    return None;
                }
            },
        };
        match span::parse(&text) {
            Ok(microseconds) => Some(microseconds),
            Err(wrong) => {
                self.reader.problem_help(&self.place, wrong, span::HELP);
                None
            }
        }
    }

    /// A span of time of that range.
    pub(super) fn span(&self, (least, most): (Span, Span)) -> Option<Span> {
        let microseconds = self.microseconds()?;
        let span = u64::try_from(microseconds).ok().map(Span);
        if let Some(span) = span.filter(|span| (least..=most).contains(span)) {
            return Some(span);
        }
        let (least, most) = (span::show(least), span::show(most));
        let message = format!("`{}` is a span from {least} to {most}", self.key);
        self.reader.problem(&self.place, message);
        None
    }

    /// A span of time, or one with a minus, in milliseconds; at most `most` either way, not zero.
    pub(super) fn offset(&self, most: Span) -> Option<i64> {
        let milliseconds = self.microseconds()? / 1000;
        let bound = i64::try_from(most.0 / 1000).unwrap_or(i64::MAX);
        if milliseconds != 0 && milliseconds.abs() <= bound {
            return Some(milliseconds);
        }
        let most = span::show(most);
        let message = format!(
            "`{}` is a span up to {most} ahead or behind, not zero",
            self.key
        );
        self.reader.problem_help(
            &self.place,
            message,
            "write \"2s\" for ahead, \"-2s\" for behind",
        );
        None
    }

    /// The items of a list, at least one, at most so many.
    pub(super) fn list(&self, most: usize) -> Option<Vec<Value<'r, 't>>> {
        let Content::List(list) = self.content else {
            self.is_no("a list in [brackets]");
            return None;
        };
        if list.is_empty() || list.len() > most {
            let message = format!("`{}` has 1 to {most} items, not {}", self.key, list.len());
            self.reader.problem(&self.place, message);
            return None;
        }
        let values: Vec<_> = list
            .iter()
            .filter_map(|item| Value::new(self.reader, self.key, item))
            .collect();
        (values.len() == list.len()).then_some(values)
    }

    /// One of those words.
    pub(super) fn choice<T: Clone>(&self, choices: &[(&str, T)]) -> Option<T> {
        let word = self.text()?;
        let found = choices.iter().find(|(name, _)| *name == word);
        if found.is_none() {
            let message = format!("`{}` can't be `{word}`", self.key);
            let allowed = choices.iter().map(|(name, _)| *name);
            self.reader.unknown(&self.place, message, word, allowed);
        }
        found.map(|(_, value)| value.clone())
    }

    /// The table.
    pub(super) fn section(&self, what: &'static str) -> Option<Section<'r, 't>> {
        match self.content {
            Content::Table(table) => {
                Some(Section::new(self.reader, what, table, self.place.clone()))
            }
            _ => {
                self.is_no("a table in {braces}");
                None
            }
        }
    }

    /// A constant as the file has it: no variable stands for another.
    pub(super) fn plain(value: &DeValue<'_>) -> Option<Constant> {
        constant(value)
    }
}

/// The name in `$name`.
pub(super) fn variable_name(text: &str) -> Option<&str> {
    let name = text.strip_prefix('$')?;
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!name.is_empty() && name.bytes().all(is_part)).then_some(name)
}

fn constant(value: &DeValue<'_>) -> Option<Constant> {
    match value {
        DeValue::String(text) => Some(Constant::Text(text.as_ref().to_owned())),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            i64::from_str_radix(&digits, number.radix())
                .ok()
                .map(Constant::Whole)
        }
        DeValue::Float(number) => {
            let number: f64 = number.as_str().replace('_', "").parse().ok()?;
            number.is_finite().then_some(Constant::Decimal(number))
        }
        DeValue::Boolean(flag) => Some(Constant::Flag(*flag)),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number out of range",
        DeValue::Float(_) => "no finite number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A constant as it is written.
pub(super) fn show(constant: &Constant) -> String {
    match constant {
        Constant::Text(text) => text.clone(),
        Constant::Whole(number) => number.to_string(),
        Constant::Decimal(number) => number.to_string(),
        Constant::Flag(flag) => flag.to_string(),
    }
}
