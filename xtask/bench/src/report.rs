//! The results: printed, written between their marks in docs/benchmarks.md, and as JSON.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::machine;

/// What one scenario found.
#[derive(Default)]
pub struct Section {
    lines: Vec<String>,
    values: Map<String, Value>,
}

/// Gathers the sections of a run.
pub struct Report {
    file: PathBuf,
    machine: String,
    values: Map<String, Value>,
}

impl Section {
    /// A paragraph.
    pub fn text(&mut self, text: &str) {
        self.lines.extend([text.to_owned(), String::new()]);
    }

    /// A table.
    pub fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        self.lines.push(format!("| {} |", head.join(" | ")));
        let rule: Vec<&str> = (0..head.len())
            .map(|column| if column == 0 { "---" } else { "--:" })
            .collect();
        self.lines.push(format!("| {} |", rule.join(" | ")));
        for row in rows {
            self.lines.push(format!("| {} |", row.join(" | ")));
        }
        self.lines.push(String::new());
    }

    /// A value for the JSON.
    pub fn value(&mut self, name: &str, value: Value) {
        self.values.insert(name.to_owned(), value);
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut text = self.lines.join("\n");
        text.push('\n');
        text
    }
}

impl Report {
    /// For the checkout with this root.
    pub fn new(root: &Path) -> Report {
        Report {
            file: root.join("docs/benchmarks.md"),
            machine: machine::description(root),
            values: Map::new(),
        }
    }

    /// Adds a scenario's section; `written`: also into docs/benchmarks.md, in place of what
    /// stood there.
    pub fn add(&mut self, name: &str, section: Section, written: bool) -> Result<()> {
        if written {
            let text = fs::read_to_string(&self.file)
                .with_context(|| format!("can't read {}", self.file.display()))?;
            let body = format!("{}\n\n{}", self.machine, section.markdown());
            fs::write(&self.file, replaced(&text, name, &body)?)?;
        }
        let machine = Value::from(self.machine.as_str());
        let section = json!({"machine": machine, "results": section.values});
        self.values.insert(name.to_owned(), section);
        Ok(())
    }

    /// Writes all values, if a file is named.
    pub fn write_json(self, file: Option<&Path>) -> Result<()> {
        let Some(file) = file else {
            return Ok(());
        };
        let text = serde_json::to_string_pretty(&Value::Object(self.values))?;
        fs::write(file, text + "\n").with_context(|| format!("can't write {}", file.display()))
    }
}

/// The text with another body between the marks of that name.
fn replaced(text: &str, name: &str, body: &str) -> Result<String> {
    let (begin, end) = (
        format!("<!-- {name}: begin -->\n"),
        format!("<!-- {name}: end -->"),
    );
    let parts = text
        .split_once(&begin)
        .and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let Some((before, after)) = parts else {
        bail!("docs/benchmarks.md has no marks for the results of {name}");
    };
    Ok(format!("{before}{begin}{}\n{end}{after}", body.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_replaces_only_what_stands_between_its_marks() {
        let text =
            "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n<!-- y: begin -->\n<!-- y: end -->\n";
        let once = replaced(text, "x", "new\n\n").unwrap();
        assert_eq!(once, text.replace("old", "new"));
        let twice = replaced(&once, "x", "newer").unwrap();
        assert_eq!(twice, text.replace("old", "newer"));
        assert!(replaced(text, "z", "new").is_err());
    }

    #[test]
    fn every_scenario_has_its_marks_in_the_document() {
        let text = include_str!("../../../docs/benchmarks.md");
        for (name, _) in crate::scenarios::ALL {
            assert!(replaced(text, name, "").is_ok(), "{name}");
        }
    }
}
