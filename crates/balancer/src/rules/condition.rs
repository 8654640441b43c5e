//! One condition of a rule: what of a request it looks at, and what it must find there. A
//! condition is met if one of its values is; one without values is never met.

use super::{Head, query};
use crate::cidr::Cidr;
use crate::model;
use crate::pattern::Pattern;

/// A condition, ready to be compared with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Condition {
    /// `host-header`: the host without its port, whatever its case.
    Host(Vec<Pattern>),
    /// `path-pattern`: the path, case told apart, without the query.
    Path(Vec<Pattern>),
    /// `http-header`: any field of that name (in lower case), whatever the case of its value.
    Header(String, Vec<Pattern>),
    /// `http-request-method`: exactly the method.
    Method(Vec<String>),
    /// `query-string`: any pair of the query, whatever its case; or, without a key, any value. A
    /// pair without `=` is a value where no key is asked for, and a key with an empty value where
    /// one is.
    Query(Vec<(Option<Pattern>, Pattern)>),
    /// `source-ip`: who connected.
    Source(Vec<Cidr>),
}

impl From<&model::Condition> for Condition {
    fn from(condition: &model::Condition) -> Condition {
        let folded = |values: &[String]| values.iter().map(|text| Pattern::folded(text)).collect();
        match condition {
            model::Condition::HostHeader(values) => Condition::Host(folded(values)),
            model::Condition::PathPattern(values) => {
                Condition::Path(values.iter().map(|text| Pattern::exact(text)).collect())
            }
            model::Condition::HttpHeader { name, values } => {
                Condition::Header(name.to_ascii_lowercase(), folded(values))
            }
            model::Condition::QueryString(values) => {
                let key = |key: &Option<String>| key.as_deref().map(Pattern::folded);
                let pair =
                    |pair: &model::QueryPattern| (key(&pair.key), Pattern::folded(&pair.value));
                Condition::Query(values.iter().map(pair).collect())
            }
            model::Condition::RequestMethod(methods) => Condition::Method(methods.clone()),
            model::Condition::SourceIp(blocks) => Condition::Source(blocks.clone()),
        }
    }
}

impl Condition {
    /// Does the request meet it?
    pub(crate) fn met(&self, head: &Head<'_>) -> bool {
        match self {
            Condition::Host(patterns) => any(patterns, head.host_name().as_bytes()),
            Condition::Path(patterns) => any(patterns, head.path.as_bytes()),
            Condition::Header(name, patterns) => {
                head.headers.any(name, &mut |value| any(patterns, value))
            }
            Condition::Method(methods) => methods.iter().any(|method| method == head.method),
            Condition::Query(wanted) => {
                let mut pairs = query::pairs(head.query.unwrap_or_default());
                pairs.any(|pair| wanted.iter().any(|wanted| meets(wanted, pair)))
            }
            Condition::Source(blocks) => {
                let address = head.source.ip();
                blocks.iter().any(|block| block.contains(address))
            }
        }
    }
}

fn any(patterns: &[Pattern], text: &[u8]) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

/// Where a key is asked for, a pair without `=` is a key with an empty value.
fn meets((key, value): &(Option<Pattern>, Pattern), (known, found): (Option<&str>, &str)) -> bool {
    match (key, known) {
        (None, _) => value.matches(found.as_bytes()),
        (Some(key), Some(known)) => {
            key.matches(known.as_bytes()) && value.matches(found.as_bytes())
        }
        (Some(key), None) => key.matches(found.as_bytes()) && value.matches(b""),
    }
}
