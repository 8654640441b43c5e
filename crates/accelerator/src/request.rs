//! Reading requests: JSON into an operation's input, and the constraints that the API's model
//! puts on members, failed in the words of AWS's validator. The first that fails is said.

use std::fmt::Display;
use std::str::FromStr;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::arn::Arn;
use crate::error::AcceleratorError;
use crate::limits::{DEFAULT_RESULTS, MAX_RESOURCE_ARN, MAX_RESULTS, MAX_STRING};

/// Characters of a bad value that an error repeats.
const MAX_SHOWN: usize = 128;

/// Reads a body.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AcceleratorError> {
    aws::json::read(body).map_err(|error| {
        if error.classify() != serde_json::error::Category::Data {
            return AcceleratorError::Serialization(String::new());
        }
        let text = error.to_string();
        let position = format!(" at line {} column {}", error.line(), error.column());
        let text = text.strip_suffix(&position).unwrap_or(&text);
        AcceleratorError::Serialization(text.to_owned())
    })
}

/// Writes a response.
pub(crate) fn respond(response: &Value) -> Bytes {
    Bytes::from(response.to_string())
}

/// The response of an operation that answers nothing.
pub(crate) fn nothing() -> Bytes {
    Bytes::new()
}

/// A member that must be there.
pub(crate) fn required<T>(at: &str, value: Option<T>) -> Result<T, AcceleratorError> {
    value.ok_or_else(|| {
        AcceleratorError::invalid(format!(
            "1 validation error detected: Value null at '{at}' failed to satisfy constraint: \
             Member must not be null"
        ))
    })
}

/// A text must have so many characters.
pub(crate) fn length(
    at: &str,
    text: &str,
    least: usize,
    most: usize,
) -> Result<(), AcceleratorError> {
    count(at, text, text.chars().count(), least, most)
}

/// A text or a list, which is shown so, must have so many characters or members.
pub(crate) fn count(
    at: &str,
    shown: impl Display,
    count: usize,
    least: usize,
    most: usize,
) -> Result<(), AcceleratorError> {
    if count < least {
        let rule = format!("Member must have length greater than or equal to {least}");
        return Err(failed(at, shown, &rule));
    }
    if count > most {
        let rule = format!("Member must have length less than or equal to {most}");
        return Err(failed(at, shown, &rule));
    }
    Ok(())
}

/// A number must be in this range.
pub(crate) fn number<T>(at: &str, value: i64, least: i64, most: i64) -> Result<T, AcceleratorError>
where
    T: TryFrom<i64>,
{
    if value < least {
        let rule = format!("Member must have value greater than or equal to {least}");
        return Err(failed(at, value, &rule));
    }
    let rule = || format!("Member must have value less than or equal to {most}");
    if value > most {
        return Err(failed(at, value, &rule()));
    }
    T::try_from(value).map_err(|_| failed(at, value, &rule()))
}

/// A text must be one of these words: what stands beside it.
pub(crate) fn one_of<T: Copy>(
    at: &str,
    text: &str,
    words: &[(&str, T)],
) -> Result<T, AcceleratorError> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, meant)| *meant).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let words = words.join(", ");
        let rule = format!("Member must satisfy enum value set: [{words}]");
        failed(at, text, &rule)
    })
}

/// Any rule, by AWS's words for it, that a value fails.
pub(crate) fn failed(at: &str, value: impl Display, rule: &str) -> AcceleratorError {
    let shown: String = value.to_string().chars().take(MAX_SHOWN).collect();
    AcceleratorError::invalid(format!(
        "1 validation error detected: Value '{shown}' at '{at}' failed to satisfy constraint: \
         {rule}"
    ))
}

/// An ARN that must be there, of the kind that is asked for.
pub(crate) fn arn<T: FromStr>(at: &str, text: Option<&String>) -> Result<T, AcceleratorError> {
    bounded_arn(at, text, MAX_STRING)
}

/// The ARN in operations on tags.
pub(crate) fn resource_arn(text: Option<&String>) -> Result<Arn, AcceleratorError> {
    bounded_arn("resourceArn", text, MAX_RESOURCE_ARN)
}

fn bounded_arn<T: FromStr>(
    at: &str,
    text: Option<&String>,
    most: usize,
) -> Result<T, AcceleratorError> {
    let text = required(at, text)?;
    length(at, text, 1, most)?;
    text.parse().map_err(|_| {
        let shown: String = text.chars().take(MAX_SHOWN).collect();
        AcceleratorError::invalid(format!("The value '{shown}' at '{at}' is not a valid ARN."))
    })
}

/// The token that makes a request do one thing however often it comes. SDKs make one up.
pub(crate) fn token(token: Option<String>) -> Result<String, AcceleratorError> {
    let token = required("idempotencyToken", token)?;
    length("idempotencyToken", &token, 1, MAX_STRING)?;
    Ok(token)
}

/// What is said of a token that came before with something else.
pub(crate) fn other_request() -> AcceleratorError {
    AcceleratorError::invalid(
        "The idempotency token was used before, for a request with other parameters.",
    )
}

/// `MaxResults` and `NextToken` of a listing.
pub(crate) struct Paging {
    pub(crate) max_results: Option<i64>,
    pub(crate) next_token: Option<String>,
}

/// One page of a listing, and the token of the next.
pub(crate) struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl<T> Page<T> {
    /// The response: under that name what is shown of each.
    pub(crate) fn respond(self, name: &str, shape: impl FnMut(T) -> Value) -> Bytes {
        let items: Vec<Value> = self.items.into_iter().map(shape).collect();
        let mut members = Map::new();
        members.insert(name.to_owned(), items.into());
        if let Some(next) = self.next {
            members.insert("NextToken".to_owned(), next.into());
        }
        respond(&Value::Object(members))
    }
}

impl Paging {
    /// The page that is asked for, of items that are ordered by their ids. A token is the id of
    /// the last item of the page before, so that pages stay whole whatever is made or deleted
    /// between them.
    pub(crate) fn page<T>(
        &self,
        items: Vec<T>,
        id: impl Fn(&T) -> &str,
    ) -> Result<Page<T>, AcceleratorError> {
        let most = self.max_results.unwrap_or(DEFAULT_RESULTS);
        let most: usize = number("maxResults", most, 1, MAX_RESULTS)?;
        let start = match &self.next_token {
            Some(token) if is_token(token) => {
                items.partition_point(|item| id(item) <= token.as_str())
            }
            Some(_) => return Err(AcceleratorError::NextToken),
            None => 0,
        };
        let more = items.len().saturating_sub(start) > most;
        let items: Vec<T> = items.into_iter().skip(start).take(most).collect();
        let last = items.last().filter(|_| more);
        let next = last.map(|item| id(item).to_owned());
        Ok(Page { items, next })
    }
}

/// Could a listing have given it?
fn is_token(token: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    (1..=36).contains(&token.len()) && token.bytes().all(allowed)
}
