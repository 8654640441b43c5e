//! One value of the file, and what it may be: texts, numbers, spans of time, lists, words. What it
//! isn't is noted at its place.

use std::fmt::Display;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use types::Span;

use super::reading::{Constant, Place, Reader, Section};
use super::span;

/// A value of the file, or the variable that stands there.
pub(super) struct Value<'r, 't> {
    pub(super) reader: &'r Reader<'t>,
    pub(super) place: Place,
    key: &'static str,
    pub(super) content: Content<'r, 't>,
}

pub(super) enum Content<'r, 't> {
    /// A constant, a variable's perhaps.
    Constant(Constant),
    /// A list.
    List(&'r [Spanned<DeValue<'t>>]),
    /// A table.
    Table(&'r DeTable<'t>),
    /// What has no use here, and what it is.
    Other(&'static str),
}

impl<'r, 't> Value<'r, 't> {
    pub(super) fn new(
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

pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
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
