//! Conditions of rules, read from requests.

use aws::query::Members;

use crate::error::BalancerError;
use crate::limits::{MAX_CONDITION_VALUE, MAX_CONDITION_VALUES, MAX_HEADER_NAME, MAX_WILDCARDS};
use crate::model::{Cidr, Condition, QueryPattern};
use crate::request::{length, required, shown};

/// The conditions that a list of them is.
pub(crate) fn read(list: &[Members<'_>]) -> Result<Vec<Condition>, BalancerError> {
    if list.is_empty() {
        return Err(BalancerError::invalid("A condition must be specified"));
    }
    let conditions = list.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    let count = |is: fn(&Condition) -> bool| conditions.iter().filter(|it| is(it)).count();
    for (name, times) in [
        (
            "host-header",
            count(|it| matches!(it, Condition::HostHeader(_))),
        ),
        (
            "path-pattern",
            count(|it| matches!(it, Condition::PathPattern(_))),
        ),
        (
            "http-request-method",
            count(|it| matches!(it, Condition::RequestMethod(_))),
        ),
        (
            "source-ip",
            count(|it| matches!(it, Condition::SourceIp(_))),
        ),
    ] {
        if times > 1 {
            let text = format!("Rules cannot have more than one condition of field '{name}'");
            return Err(BalancerError::invalid(text));
        }
    }
    let values: usize = conditions.iter().map(value_count).sum();
    if values > MAX_CONDITION_VALUES {
        let text = format!("Rules cannot have more than '{MAX_CONDITION_VALUES}' condition values");
        return Err(BalancerError::invalid(text));
    }
    let wildcards: usize = conditions.iter().map(wildcard_count).sum();
    if wildcards > MAX_WILDCARDS {
        let text = format!("Rules cannot have more than '{MAX_WILDCARDS}' wildcards ('*' and '?')");
        return Err(BalancerError::invalid(text));
    }
    Ok(conditions)
}

fn value_count(condition: &Condition) -> usize {
    match condition {
        Condition::HostHeader(values)
        | Condition::PathPattern(values)
        | Condition::HttpHeader { values, .. }
        | Condition::RequestMethod(values) => values.len(),
        Condition::QueryString(patterns) => patterns.len(),
        Condition::SourceIp(blocks) => blocks.len(),
    }
}

fn wildcard_count(condition: &Condition) -> usize {
    match condition {
        Condition::HostHeader(values)
        | Condition::PathPattern(values)
        | Condition::HttpHeader { values, .. } => values.iter().map(|text| wildcards(text)).sum(),
        Condition::QueryString(patterns) => {
            let of = |pattern: &QueryPattern| {
                wildcards(&pattern.value) + pattern.key.as_deref().map_or(0, wildcards)
            };
            patterns.iter().map(of).sum()
        }
        Condition::RequestMethod(_) | Condition::SourceIp(_) => 0,
    }
}

/// The wildcards of a pattern; after a `\` they are themselves.
fn wildcards(pattern: &str) -> usize {
    let mut escaped = false;
    let mut count = 0;
    for character in pattern.chars() {
        if !escaped && matches!(character, '*' | '?') {
            count += 1;
        }
        escaped = character == '\\' && !escaped;
    }
    count
}

fn one(condition: &Members<'_>) -> Result<Condition, BalancerError> {
    let field = required(condition, "Field")?;
    if !condition.values("RegexValues")?.is_empty() {
        return Err(BalancerError::not_built("RegexValues of a condition"));
    }
    match field {
        "host-header" => {
            let values = values(condition, field, "HostHeaderConfig", true)?;
            values.iter().try_for_each(|value| check_host(value))?;
            Ok(Condition::HostHeader(values))
        }
        "path-pattern" => {
            let values = values(condition, field, "PathPatternConfig", true)?;
            values.iter().try_for_each(|value| check_path(value))?;
            Ok(Condition::PathPattern(values))
        }
        "http-header" => header(condition, field),
        "http-request-method" => {
            let values = values(condition, field, "HttpRequestMethodConfig", false)?;
            values.iter().try_for_each(|value| check_method(value))?;
            Ok(Condition::RequestMethod(values))
        }
        "source-ip" => {
            let values = values(condition, field, "SourceIpConfig", false)?;
            let blocks = values.iter().map(|value| block(value));
            Ok(Condition::SourceIp(blocks.collect::<Result<Vec<_>, _>>()?))
        }
        "query-string" => query(condition),
        other => Err(BalancerError::invalid(format!(
            "Condition field '{}' must be one of '[path-pattern, host-header, http-header, \
             http-request-method, query-string, source-ip]'",
            shown(other)
        ))),
    }
}

/// The values of a condition, from the structure that its field has, or, of two fields, from
/// `Values`.
fn values(
    condition: &Members<'_>,
    field: &str,
    config: &str,
    has_plain: bool,
) -> Result<Vec<String>, BalancerError> {
    let mut found = match condition.structure(config) {
        Some(config) if !config.values("RegexValues")?.is_empty() => {
            return Err(BalancerError::not_built("RegexValues of a condition"));
        }
        Some(config) => config.values("Values")?,
        None => Vec::new(),
    };
    if found.is_empty() && has_plain {
        found = condition.values("Values")?;
    }
    if found.is_empty() {
        let text = format!("A condition value must be specified for field '{field}'");
        return Err(BalancerError::invalid(text));
    }
    for value in &found {
        check_length(value)?;
    }
    Ok(found.into_iter().map(str::to_owned).collect())
}

fn check_length(value: &str) -> Result<(), BalancerError> {
    if value.is_empty() {
        return Err(BalancerError::invalid("A condition value cannot be empty"));
    }
    let count = value.chars().count();
    if count > MAX_CONDITION_VALUE {
        return Err(BalancerError::invalid(format!(
            "The condition value '{}' cannot be longer than '{MAX_CONDITION_VALUE}' characters",
            shown(value)
        )));
    }
    Ok(())
}

fn refuse(value: &str) -> BalancerError {
    BalancerError::invalid(format!(
        "The condition value '{}' contains a character that is not valid",
        shown(value)
    ))
}

/// A host's pattern: what host names are made of, and wildcards.
fn check_host(value: &str) -> Result<(), BalancerError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:*?".contains(&byte);
    let fits = value.bytes().all(allowed);
    fits.then_some(()).ok_or_else(|| refuse(value))
}

/// A path's pattern: the characters that the model names for it.
fn check_path(value: &str) -> Result<(), BalancerError> {
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"_-.$/~\"'@:+&()!,;=%*?\\".contains(&byte);
    let fits = value.bytes().all(allowed);
    fits.then_some(()).ok_or_else(|| refuse(value))
}

/// A method, of letters A to Z, hyphens and underscores.
fn check_method(value: &str) -> Result<(), BalancerError> {
    length("Values", value, 1, MAX_HEADER_NAME)?;
    let allowed = |byte: u8| byte.is_ascii_uppercase() || b"-_".contains(&byte);
    let fits = value.bytes().all(allowed);
    fits.then_some(()).ok_or_else(|| refuse(value))
}

fn block(value: &str) -> Result<Cidr, BalancerError> {
    value.parse().map_err(|_| {
        let text = format!(
            "The condition value '{}' must be in CIDR format",
            shown(value)
        );
        BalancerError::invalid(text)
    })
}

fn header(condition: &Members<'_>, field: &str) -> Result<Condition, BalancerError> {
    let values = values(condition, field, "HttpHeaderConfig", false)?;
    let config = condition.structure("HttpHeaderConfig");
    let name = config
        .and_then(|config| config.value("HttpHeaderName"))
        .unwrap_or("");
    length("HttpHeaderName", name, 1, MAX_HEADER_NAME)?;
    // A token of RFC 9110, section 5.6.2.
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.bytes().all(token) {
        let text = format!(
            "The header name '{}' contains a character that is not valid",
            shown(name)
        );
        return Err(BalancerError::invalid(text));
    }
    if name.eq_ignore_ascii_case("host") {
        let text = "The host header can't be the subject of an http-header condition: use a \
                    host-header condition";
        return Err(BalancerError::invalid(text));
    }
    let is_text = |value: &String| !value.chars().any(char::is_control);
    if let Some(value) = values.iter().find(|value| !is_text(value)) {
        return Err(refuse(value));
    }
    Ok(Condition::HttpHeader {
        name: name.to_owned(),
        values,
    })
}

fn query(condition: &Members<'_>) -> Result<Condition, BalancerError> {
    let config = condition.structure("QueryStringConfig");
    let pairs = match &config {
        Some(config) => config.structures("Values")?,
        None => Vec::new(),
    };
    if pairs.is_empty() {
        let text = "A condition value must be specified for field 'query-string'";
        return Err(BalancerError::invalid(text));
    }
    let mut patterns = Vec::new();
    for pair in &pairs {
        let key = pair.value("Key").filter(|key| !key.is_empty());
        let value = required(pair, "Value")?;
        for text in key.into_iter().chain([value]) {
            check_length(text)?;
            if text.chars().any(char::is_control) {
                return Err(refuse(text));
            }
        }
        patterns.push(QueryPattern {
            key: key.map(str::to_owned),
            value: value.to_owned(),
        });
    }
    Ok(Condition::QueryString(patterns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_counted_unless_they_are_escaped() {
        for (pattern, count) in [("", 0), ("a*b?", 2), ("a\\*b", 0), ("\\\\*", 1), ("**", 2)] {
            assert_eq!(wildcards(pattern), count, "{pattern}");
        }
    }
}
