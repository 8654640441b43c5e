//! Rules of a listener: in the order of their priorities, the first all of whose conditions a
//! request meets says what becomes of it; the listener's default actions say it of the rest. What
//! is done is `action`'s; nothing is decided here by health or by who came before.

mod condition;
mod query;

pub(crate) use condition::Condition;

use std::net::SocketAddr;

use crate::headers::HeaderFields;
use crate::model::RuleId;

/// The head of a request, as far as rules look at it.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// The method, as the client wrote it.
    pub method: &'a str,
    /// The Host field or `:authority`, its port included if the client sent one; empty if there is
    /// none.
    pub host: &'a str,
    /// The path from `/` on, as the client wrote it, without the query.
    pub path: &'a str,
    /// What follows the first `?`.
    pub query: Option<&'a str>,
    /// The header fields.
    pub headers: &'a dyn HeaderFields,
    /// Who connected: the last hop, not what `X-Forwarded-For` says.
    pub source: SocketAddr,
}

impl<'a> Head<'a> {
    /// A head with that target in origin form (`/path?query`).
    pub fn new(
        method: &'a str,
        host: &'a str,
        target: &'a str,
        headers: &'a dyn HeaderFields,
        source: SocketAddr,
    ) -> Head<'a> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        Head {
            method,
            host,
            path,
            query,
            headers,
            source,
        }
    }

    /// The host without its port and without a dot at its end.
    pub fn host_name(&self) -> &'a str {
        let name = match self.host.rsplit_once(':') {
            // The colons of an IPv6 address stand in brackets.
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => self.host,
        };
        name.strip_suffix('.').unwrap_or(name)
    }
}

/// A rule: its conditions, and what it leads to.
#[derive(Clone, Debug)]
pub(crate) struct Rule<A> {
    /// 1 to 50,000: the lower the earlier.
    pub(crate) priority: u32,
    /// What it is known by.
    pub(crate) id: RuleId,
    /// All must be met. None: every request meets them.
    pub(crate) conditions: Vec<Condition>,
    /// What becomes of the request.
    pub(crate) action: A,
}

/// A listener's rules in the order of their priorities.
#[derive(Clone, Debug)]
pub(crate) struct Rules<A>(Vec<Rule<A>>);

impl<A> Rules<A> {
    /// These rules. Of two of one priority, which the service doesn't allow, the first given is the
    /// first.
    pub(crate) fn new(mut rules: Vec<Rule<A>>) -> Rules<A> {
        rules.sort_by_key(|rule| rule.priority);
        Rules(rules)
    }

    /// The first rule that the request meets; none: the default action applies.
    pub(crate) fn first(&self, head: &Head<'_>) -> Option<&Rule<A>> {
        let met = |rule: &&Rule<A>| rule.conditions.iter().all(|condition| condition.met(head));
        self.0.iter().find(met)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::NoFields;

    #[test]
    fn a_host_is_known_without_its_port() {
        let source = SocketAddr::from(([127, 0, 0, 1], 1));
        let cases = [
            ("a.example", "a.example"),
            ("a.example:80", "a.example"),
            ("a.example.", "a.example"),
            ("a.example.:8080", "a.example"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("a:b", "a:b"),
            ("", ""),
        ];
        for (host, name) in cases {
            let head = Head::new("GET", host, "/", &NoFields, source);
            assert_eq!(head.host_name(), name);
        }
    }

    #[test]
    fn a_target_is_cut_at_its_first_question_mark() {
        let source = SocketAddr::from(([127, 0, 0, 1], 1));
        let head = Head::new("GET", "a", "/x?y?z", &NoFields, source);
        assert_eq!((head.path, head.query), ("/x", Some("y?z")));
        let head = Head::new("GET", "a", "/x", &NoFields, source);
        assert_eq!((head.path, head.query), ("/x", None));
    }
}
