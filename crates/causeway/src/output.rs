//! What commands print: aligned tables for people, JSON for programs. Nothing else of the binary
//! writes to stdout, and failures are told nowhere else.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::Failure;

/// A table with a row of headings.
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with those headings.
    pub fn new(headings: impl Into<Vec<&'static str>>) -> Table {
        Table {
            headings: headings.into(),
            rows: Vec::new(),
        }
    }

    /// A table of JSON objects: for each column its heading and the member that fills it.
    pub fn of_rows(columns: &[(&'static str, &str)], rows: &[Value]) -> Table {
        let headings: Vec<&'static str> = columns.iter().map(|(heading, _)| *heading).collect();
        let mut table = Table::new(headings);
        for row in rows {
            let cells = columns.iter().map(|(_, member)| cell(row.get(*member)));
            table.row(cells);
        }
        table
    }

    /// Adds a row of as many cells as there are headings.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| printable(&cell)).collect();
        assert_eq!(cells.len(), self.headings.len(), "a cell for each heading");
        self.rows.push(cells);
    }
}

impl std::fmt::Display for Table {
    /// Each column as wide as its widest cell; columns of numbers aligned to the right.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = 0..self.headings.len();
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0).max(self.headings[column].len())
        };
        let widths: Vec<usize> = columns.clone().map(width).collect();
        let numeric: Vec<bool> = columns
            .map(|column| self.rows.iter().all(|row| is_number(&row[column])))
            .collect();
        let headings: Vec<String> = self.headings.iter().map(|text| text.to_string()).collect();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let cells = row.iter().zip(&widths).zip(&numeric);
            let cells = cells.map(|((cell, width), numeric)| match numeric {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A number, perhaps with a unit after a space; or a dash where there is none.
fn is_number(cell: &str) -> bool {
    let number = match cell.split_once(' ') {
        Some((number, unit)) if unit.bytes().all(|byte| byte.is_ascii_alphabetic()) => number,
        Some(_) => return false,
        None => cell,
    };
    let is_ours = |c: char| c.is_ascii_digit() || "+-.".contains(c);
    number == "-" || (number.chars().all(is_ours) && number.parse::<f64>().is_ok())
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Prints text. A reader that went away (`| head`) is no failure.
pub fn print(text: impl std::fmt::Display) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match write!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::did_not_hold(format!("can't print: {cause}")))
        }
        _ => Ok(()),
    }
}

/// Prints a file as it is. A reader that went away is no failure.
pub fn copy(file: &Path) -> Result<(), Failure> {
    let copied = File::open(file).and_then(|mut from| {
        let mut stdout = io::stdout().lock();
        io::copy(&mut from, &mut stdout).and_then(|_| stdout.flush())
    });
    match copied {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
            let text = format!("can't print {}: {cause}", file.display());
            Err(Failure::did_not_hold(text))
        }
        _ => Ok(()),
    }
}

/// Prints a value as JSON, indented, with a newline.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::did_not_hold)?;
    print(text + "\n")
}

/// Tells of a failure on stderr: a sentence, or with `--json` one object on one line.
pub fn print_failure(failure: &Failure, as_json: bool) {
    let text = match as_json {
        true => json!({
            "code": failure.code,
            "exit_code": failure.code as u8,
            "message": failure.message,
            "next": failure.next,
        })
        .to_string(),
        false => {
            let text = failure.to_string();
            let lines: Vec<String> = text.split('\n').map(printable).collect();
            format!("causeway: {}", lines.join("\n"))
        }
    };
    note(text);
}

/// Tells something beside the result, on stderr. If that is closed there is nobody to tell.
pub fn note(text: impl std::fmt::Display) {
    writeln!(io::stderr(), "{text}").ok();
}

/// A word as a POSIX shell takes it.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Without what would break a line or command the terminal: values of users' items are printed.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("/srv/lab-1"), "/srv/lab-1");
        assert_eq!(quoted("Ann's lab"), r"'Ann'\''s lab'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn what_users_wrote_commands_no_terminal() {
        let mut table = Table::new(["KEY"]);
        table.row(["id=\u{1b}[2J\nnew \u{e9}".to_owned()]);
        assert_eq!(table.to_string(), "KEY\nid=\\u{1b}[2J\\nnew \u{e9}\n");
    }

    #[test]
    fn columns_are_aligned_and_numbers_to_the_right() {
        let columns = [("SITE", "site"), ("RECORDS", "records"), ("STATE", "state")];
        let rows = [
            json!({"site": "us-east-1", "records": 7, "state": "running"}),
            json!({"site": "eu", "records": 12345, "state": null}),
        ];
        let table = Table::of_rows(&columns, &rows).to_string();
        let expected = "\
SITE       RECORDS  STATE
us-east-1        7  running
eu           12345  -
";
        assert_eq!(table, expected);
    }
}
