//! What is wrong with a scenario: where, what, and what would be right. Many at once, so that
//! nobody corrects a file one run at a time.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

use crate::limits;

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problem {
    /// Where, unless it is no place of the file (a variable set on the command line).
    pub position: Option<Position>,
    /// What is wrong: one sentence without a full stop.
    pub message: String,
    /// What would be right, where that is known.
    pub help: Option<String>,
}

/// A place in the file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// How many characters of that line it is about, at least 1.
    pub length: usize,
    /// The line's text.
    pub text: String,
}

/// Everything that is wrong with one scenario, in the order of the file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problems {
    /// The file, as its reader named it.
    pub file: String,
    /// The first `limits::PROBLEMS` of them.
    pub list: Vec<Problem>,
    /// How many there are beside.
    pub more: usize,
}

impl Position {
    /// The place of that range of bytes of the text.
    pub(crate) fn of(text: &str, span: &Range<usize>) -> Position {
        let mut start = span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = text[line_start..].split('\n').next().unwrap_or_default();
        let line = line.trim_end_matches('\r');
        let before = text[line_start..start].chars().count();
        let mut end = span
            .end
            .clamp(start, line_start + line.len().max(start - line_start));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Position {
            line: text[..start].matches('\n').count() + 1,
            column: before + 1,
            length: text[start..end].chars().count().max(1),
            text: line.to_owned(),
        }
    }
}

impl Problems {
    /// Those, sorted by place, and so many further ones; `None` if there are none.
    pub(crate) fn of(file: &str, mut list: Vec<Problem>, further: usize) -> Option<Problems> {
        if list.is_empty() {
            return None;
        }
        list.sort_by_key(|problem| {
            let position = problem.position.as_ref();
            position.map_or((0, 0), |position| (position.line, position.column))
        });
        list.dedup();
        let more = list.len().saturating_sub(limits::PROBLEMS) + further;
        list.truncate(limits::PROBLEMS);
        let file = file.to_owned();
        Some(Problems { file, list, more })
    }
}

/// Longer lines are not shown: nobody can find the place in them.
const SHOWN_LINE: usize = 160;

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.list {
            match &problem.position {
                None => writeln!(f, "{}: {}", self.file, problem.message)?,
                Some(position) => {
                    let Position { line, column, .. } = position;
                    writeln!(f, "{}:{line}:{column}: {}", self.file, problem.message)?;
                    show(f, position)?;
                }
            }
            if let Some(help) = &problem.help {
                writeln!(f, "       = {help}")?;
            }
        }
        match self.more {
            0 => Ok(()),
            more => writeln!(f, "{}: and {more} more problems", self.file),
        }
    }
}

impl std::error::Error for Problems {}

/// The line with a mark under the place.
fn show(f: &mut fmt::Formatter<'_>, position: &Position) -> fmt::Result {
    if position.text.chars().count() > SHOWN_LINE || position.text.chars().any(is_unprintable) {
        return Ok(());
    }
    let before: String = (position.text.chars().take(position.column - 1))
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    let mark = "^".repeat(position.length);
    writeln!(f, " {:>4} | {}", position.line, position.text)?;
    writeln!(f, "      | {before}{mark}")
}

fn is_unprintable(c: char) -> bool {
    c.is_control() && c != '\t'
}

/// The word among those that was probably meant: few letters away.
pub(crate) fn nearest<'a>(
    word: &str,
    allowed: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // What is compared is bounded: nobody mistypes a word of hundreds of letters.
    if word.chars().count() > 64 {
        return None;
    }
    let limit = (word.chars().count() / 3).max(1);
    let lower = word.to_lowercase();
    let near = allowed.into_iter().filter_map(|candidate| {
        let candidate_lower = candidate.to_lowercase();
        // The beginning of a word is probably the word.
        let is_beginning = lower.len() >= 3 && candidate_lower.starts_with(&lower);
        let distance = match is_beginning {
            true => 1,
            false => distance(&lower, &candidate_lower),
        };
        (distance <= limit).then_some((distance, candidate))
    });
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, taken out, replaced or swapped with their neighbour to make
/// one word of the other (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().collect();
    let other: Vec<char> = other.chars().collect();
    let mut older = vec![0; other.len() + 1];
    let mut old: Vec<usize> = (0..=other.len()).collect();
    for i in 0..one.len() {
        let mut new = vec![i + 1; other.len() + 1];
        for j in 0..other.len() {
            let replaced = old[j] + usize::from(one[i] != other[j]);
            new[j + 1] = replaced.min(old[j + 1] + 1).min(new[j] + 1);
            let swapped = i > 0 && j > 0 && one[i] == other[j - 1] && one[i - 1] == other[j];
            if swapped {
                new[j + 1] = new[j + 1].min(older[j - 1] + 1);
            }
        }
        older = old;
        old = new;
    }
    old[other.len()]
}

/// `a, b and c`, for messages.
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    match words.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_characters() {
        let text = "a = 1\nb = \"é\" # x\n";
        let at = text.find('#').unwrap();
        let position = Position::of(text, &(at..at + 3));
        assert_eq!((position.line, position.column, position.length), (2, 9, 3));
        assert_eq!(position.text, "b = \"é\" # x");
        let end = Position::of(text, &(text.len()..text.len()));
        assert_eq!((end.line, end.column, end.length), (3, 1, 1));
        let across = Position::of(text, &(0..text.len()));
        assert_eq!((across.line, across.column, across.length), (1, 1, 5));
    }

    #[test]
    fn the_nearest_word_is_a_few_letters_away() {
        let words = ["kill", "pause", "heal", "change_records"];
        assert_eq!(nearest("kil", words), Some("kill"));
        assert_eq!(nearest("puase", words), Some("pause"));
        assert_eq!(nearest("change-record", words), Some("change_records"));
        assert_eq!(nearest("explode", words), None);
        assert_eq!(nearest("", words), None);
        assert_eq!(nearest(&"k".repeat(1000), words), None);
    }

    #[test]
    fn words_are_listed() {
        assert_eq!(listed([]), "none");
        assert_eq!(listed(["a"]), "a");
        assert_eq!(listed(["a", "b", "c"]), "a, b and c");
    }
}
