//! Reading a parsed file table by table. Whatever is wrong is noted where it stands, and the
//! reading goes on. It knows TOML and variables, and no word of the language.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::problem::{Position, Problem, listed, nearest};
use super::value::{Content, Value, kind};
use crate::limits;

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
    further: Cell<usize>,
    spoilt: RefCell<BTreeSet<Part>>,
}

/// The parts of a scenario that others refer to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Part {
    /// `[variables]`
    Variables,
    /// `[lab]`
    Lab,
    /// `[[table]]`
    Tables,
    /// `[[zone]]`
    Zones,
    /// `[[health_check]]`
    HealthChecks,
    /// `[[accelerator]]`
    Accelerators,
    /// `[[record]]`
    Records,
    /// `[[load]]`
    Loads,
    /// `[[step]]`
    Steps,
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

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Reader<'t> {
        Reader {
            text,
            variables: RefCell::default(),
            used: RefCell::default(),
            problems: RefCell::default(),
            further: Cell::default(),
            spoilt: RefCell::default(),
        }
    }

    /// Reads a part. If anything in it is wrong, what refers to it is not called wrong for that:
    /// one slip is one problem.
    pub(super) fn part<T>(&self, part: Part, read: impl FnOnce() -> T) -> T {
        let before = self.count();
        let read = read();
        if self.count() > before {
            self.spoil(part);
        }
        read
    }

    /// Notes that a part is not known whole.
    pub(super) fn spoil(&self, part: Part) {
        self.spoilt.borrow_mut().insert(part);
    }

    /// Is the part not known whole?
    pub(super) fn is_spoilt(&self, part: Part) -> bool {
        self.spoilt.borrow().contains(&part)
    }

    /// How many problems there are so far.
    pub(super) fn count(&self) -> usize {
        self.problems.borrow().len() + self.further.get()
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
        if self.problems.borrow().len() >= limits::NOTED_PROBLEMS {
            // Looking up a place costs a walk through the file.
            self.further.set(self.further.get() + 1);
            return;
        }
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
        if found.is_none() && !self.is_spoilt(Part::Variables) {
            let names: Vec<&str> = variables.keys().map(String::as_str).collect();
            let message = format!("there is no variable `{name}` in [variables]");
            self.unknown(place, message, name, names);
        }
        found
    }

    /// Everything that was noted, and how many more there are.
    pub(super) fn into_problems(self) -> (Vec<Problem>, usize) {
        (self.problems.into_inner(), self.further.get())
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
