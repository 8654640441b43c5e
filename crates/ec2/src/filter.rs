//! The filters of a description: `Filter.1.Name`, `Filter.1.Value.1`. Filters are joined by AND,
//! values of one by OR; a value may have `*` and `?`, and `\` before a character that is meant as
//! itself (EC2 API Reference, "Filter"). It knows no resource.

use aws::query::Members;

use crate::described::Described;
use crate::error::Ec2Error;
use crate::limits;

/// A filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Filter {
    name: String,
    values: Vec<String>,
}

/// The filters of a request. `known` are the names that it may have beside those of tags.
///
/// # Errors
///
/// There are too many, one isn't whole, or one has another name.
pub(crate) fn filters(members: &Members<'_>, known: &[&str]) -> Result<Vec<Filter>, Ec2Error> {
    let given = members.numbered_structures("Filter")?;
    if given.len() > limits::FILTERS {
        return Err(Ec2Error::Invalid(
            "The request has too many filters".to_owned(),
        ));
    }
    let (mut filters, mut count) = (Vec::new(), 0);
    for filter in given {
        let name = filter
            .value("Name")
            .ok_or(Ec2Error::Missing("Filter.Name"))?;
        let values = filter.numbered("Value")?;
        count += values.len();
        if count > limits::FILTER_VALUES {
            let most = limits::FILTER_VALUES;
            let words = format!("The maximum number of filter values is {most}");
            return Err(Ec2Error::Limit {
                code: "FilterLimitExceeded",
                message: words,
            });
        }
        let is_tag = name == "tag-key" || name.starts_with("tag:");
        if !is_tag && !known.contains(&name) {
            let words = format!("The filter '{}' is invalid", shown(name));
            return Err(Ec2Error::Invalid(words));
        }
        filters.push(Filter {
            name: name.to_owned(),
            values: values.into_iter().map(str::to_owned).collect(),
        });
    }
    Ok(filters)
}

/// As much of what was sent as an error repeats.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(128).collect()
}

/// Does every filter let it through?
pub(crate) fn passes(filters: &[Filter], resource: &Described) -> bool {
    filters.iter().all(|filter| filter.passes(resource))
}

impl Filter {
    fn passes(&self, resource: &Described) -> bool {
        let matches = |value: &String| self.values.iter().any(|wanted| is_like(wanted, value));
        if self.name == "tag-key" {
            return resource.tags.keys().any(matches);
        }
        if let Some(key) = self.name.strip_prefix("tag:") {
            return resource.tags.get(key).is_some_and(matches);
        }
        let attributes = resource.attributes.iter();
        let mut named = attributes.filter(|(name, _)| *name == self.name);
        named.any(|(_, values)| values.iter().any(matches))
    }
}

/// A character of a pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Itself(char),
    One,
    Any,
}

/// Is the text like the pattern? In time proportional to the product of their lengths.
fn is_like(pattern: &str, text: &str) -> bool {
    let pieces = pieces(pattern);
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut place) = (0, 0);
    // Where the last `*` stands, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    while place < text.len() {
        match pieces.get(at) {
            Some(Piece::Itself(wanted)) if *wanted == text[place] => {
                (at, place) = (at + 1, place + 1);
            }
            Some(Piece::One) => (at, place) = (at + 1, place + 1),
            Some(Piece::Any) => {
                star = Some((at, place));
                at += 1;
            }
            _ => match star {
                Some((from, taken)) => {
                    star = Some((from, taken + 1));
                    (at, place) = (from + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pieces[at..].iter().all(|piece| *piece == Piece::Any)
}

fn pieces(pattern: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        pieces.push(match character {
            '*' => Piece::Any,
            '?' => Piece::One,
            '\\' => Piece::Itself(characters.next().unwrap_or('\\')),
            other => Piece::Itself(other),
        });
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws::query::Form;

    #[test]
    fn patterns_match_as_documented() {
        for (pattern, text, like) in [
            ("a", "a", true),
            ("a", "A", false),
            ("a*c", "abbbc", true),
            ("a*c", "abbb", false),
            ("*", "", true),
            ("", "", true),
            ("?", "", false),
            ("a?c", "abc", true),
            ("a\\*c", "a*c", true),
            ("a\\*c", "abc", false),
            ("*ab*ab", "xabyabab", true),
            ("a\\", "a\\", true),
        ] {
            assert_eq!(is_like(pattern, text), like, "{pattern} {text}");
        }
        // A pattern of many stars costs no more than the product of both.
        let hard = "*a".repeat(200);
        assert!(!is_like(&hard, &"b".repeat(5_000)));
    }

    fn parsed(text: &str) -> Result<Vec<Filter>, Ec2Error> {
        let form = Form::parse(text.as_bytes()).expect("it is a form");
        filters(&form.members(), &["vpc-id"])
    }

    #[test]
    fn filters_are_joined_by_and_and_their_values_by_or() {
        let of = |text: &str| parsed(text).expect("they are filters");
        let tags = [("team".to_owned(), "blue".to_owned())].into();
        let vpc = Described::new("vpc-1", tags).filtered("vpcId", "vpc-id", "vpc-1");
        let one = of("Filter.1.Name=vpc-id&Filter.1.Value.1=x&Filter.1.Value.2=vpc-*");
        assert!(passes(&one, &vpc));
        let both = "Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1&Filter.2.Name=tag:team\
                    &Filter.2.Value.1=";
        assert!(passes(&of(&format!("{both}blue")), &vpc));
        assert!(!passes(&of(&format!("{both}red")), &vpc));
        assert!(passes(
            &of("Filter.1.Name=tag-key&Filter.1.Value.1=team"),
            &vpc
        ));
        assert!(!passes(&of("Filter.1.Name=vpc-id"), &vpc));
        assert!(passes(&[], &vpc));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let code = |text: &str| {
            let refused = parsed(text).expect_err("it is none");
            aws::ServiceError::from(refused).code
        };
        assert_eq!(
            code("Filter.1.Name=x&Filter.1.Value.1=y"),
            "InvalidParameterValue"
        );
        assert_eq!(code("Filter.1.Value.1=y"), "MissingParameter");
        let many: Vec<String> = (1..=201)
            .map(|number| format!("Filter.1.Value.{number}=y"))
            .collect();
        let many = format!("Filter.1.Name=vpc-id&{}", many.join("&"));
        assert_eq!(code(&many), "FilterLimitExceeded");
    }
}
