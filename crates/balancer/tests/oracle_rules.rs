//! Rules against an oracle: random rules and requests. The oracle is written from the guide's words
//! without the engine's patterns, and rules that are wrong on purpose must be found out.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::net::{IpAddr, SocketAddr};

use balancer::model::{Action, ActionKind, Condition, FixedResponse, QueryPattern, Rule};
use balancer::{Decision, Head};
use common::{Numbers, balancer, listening, rule, sealer, snapshot, with};

const CASES: usize = 500;
const REQUESTS: usize = 12;

/// What an oracle does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bug {
    None,
    PathsFoldCase,
    HostsTellCase,
    HostsKeepPorts,
    OneCharacterMayBeNone,
    ManyStopAtSlashes,
    ConditionsAreAlternatives,
    ValuesMustAllHold,
    FirstFieldAlone,
    FieldValuesTellCase,
    QueryKeysDoNotCount,
    QueryTellsCase,
    MethodsFoldCase,
    SourcesAreTheForwarded,
    LastPriorityFirst,
    NoConditionMeetsNothing,
    QueryCountsAsPath,
}

const BUGS: [Bug; 16] = [
    Bug::PathsFoldCase,
    Bug::HostsTellCase,
    Bug::HostsKeepPorts,
    Bug::OneCharacterMayBeNone,
    Bug::ManyStopAtSlashes,
    Bug::ConditionsAreAlternatives,
    Bug::ValuesMustAllHold,
    Bug::FirstFieldAlone,
    Bug::FieldValuesTellCase,
    Bug::QueryKeysDoNotCount,
    Bug::QueryTellsCase,
    Bug::MethodsFoldCase,
    Bug::SourcesAreTheForwarded,
    Bug::LastPriorityFirst,
    Bug::NoConditionMeetsNothing,
    Bug::QueryCountsAsPath,
];

/// A request, in pieces.
#[derive(Clone, Debug)]
struct Request {
    method: &'static str,
    host: &'static str,
    path: String,
    query: Option<String>,
    fields: Vec<(&'static str, &'static str)>,
    source: IpAddr,
}

struct Oracle<'a> {
    rules: &'a [Rule],
    bug: Bug,
}

impl Oracle<'_> {
    fn has(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    /// The priority of the rule that decides.
    fn decides(&self, request: &Request) -> Option<u32> {
        let met = self.rules.iter().filter(|rule| self.meets(rule, request));
        let priorities = met.map(|rule| rule.priority);
        match self.has(Bug::LastPriorityFirst) {
            true => priorities.max(),
            false => priorities.min(),
        }
    }

    fn meets(&self, rule: &Rule, request: &Request) -> bool {
        let mut held = rule.conditions.iter().map(|it| self.holds(it, request));
        if rule.conditions.is_empty() {
            return !self.has(Bug::NoConditionMeetsNothing);
        }
        match self.has(Bug::ConditionsAreAlternatives) {
            true => held.any(|held| held),
            false => held.all(|held| held),
        }
    }

    fn holds(&self, condition: &Condition, request: &Request) -> bool {
        match condition {
            Condition::HostHeader(values) => {
                let host = match self.has(Bug::HostsKeepPorts) {
                    true => request.host,
                    false => request.host.split(':').next().unwrap(),
                };
                self.one_of(values, host, !self.has(Bug::HostsTellCase))
            }
            Condition::PathPattern(values) => {
                let mut path = request.path.clone();
                if let Some(query) = &request.query
                    && self.has(Bug::QueryCountsAsPath)
                {
                    path = format!("{path}?{query}");
                }
                self.one_of(values, &path, self.has(Bug::PathsFoldCase))
            }
            Condition::HttpHeader { name, values } => {
                let named = request.fields.iter();
                let mut named = named.filter(|(field, _)| field.eq_ignore_ascii_case(name));
                let folds = !self.has(Bug::FieldValuesTellCase);
                match self.has(Bug::FirstFieldAlone) {
                    true => named
                        .next()
                        .is_some_and(|(_, value)| self.one_of(values, value, folds)),
                    false => named.any(|(_, value)| self.one_of(values, value, folds)),
                }
            }
            Condition::QueryString(values) => self.holds_query(values, request),
            Condition::RequestMethod(methods) => match self.has(Bug::MethodsFoldCase) {
                true => methods
                    .iter()
                    .any(|method| method.eq_ignore_ascii_case(request.method)),
                false => methods.iter().any(|method| method == request.method),
            },
            Condition::SourceIp(blocks) => {
                let forwarded = request
                    .fields
                    .iter()
                    .find(|(name, _)| *name == "x-forwarded-for");
                let address = match (self.has(Bug::SourcesAreTheForwarded), forwarded) {
                    (true, Some((_, value))) => value.parse().unwrap(),
                    _ => request.source,
                };
                let IpAddr::V4(address) = address else {
                    return false;
                };
                blocks.iter().any(|block| {
                    let text = block.to_string();
                    let (first, bits) = text.split_once('/').unwrap();
                    let first: std::net::Ipv4Addr = first.parse().unwrap();
                    let size = 1_u64 << (32 - bits.parse::<u32>().unwrap());
                    let first = u64::from(first.to_bits());
                    (first..first + size).contains(&u64::from(address.to_bits()))
                })
            }
        }
    }

    fn holds_query(&self, values: &[QueryPattern], request: &Request) -> bool {
        let folds = !self.has(Bug::QueryTellsCase);
        let query = request.query.clone().unwrap_or_default();
        let pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
        let holds = |wanted: &QueryPattern| {
            pairs.iter().any(|pair| {
                let (key, value) = match pair.find('=') {
                    Some(at) => (Some(&pair[..at]), &pair[at + 1..]),
                    None => (None, *pair),
                };
                match (&wanted.key, key) {
                    (Some(_), _) if self.has(Bug::QueryKeysDoNotCount) => {
                        self.like(&wanted.value, value, folds)
                    }
                    (None, _) => self.like(&wanted.value, value, folds),
                    (Some(wanted_key), Some(key)) => {
                        self.like(wanted_key, key, folds) && self.like(&wanted.value, value, folds)
                    }
                    (Some(wanted_key), None) => {
                        self.like(wanted_key, value, folds) && self.like(&wanted.value, "", folds)
                    }
                }
            })
        };
        match self.has(Bug::ValuesMustAllHold) {
            true => values.iter().all(holds),
            false => values.iter().any(holds),
        }
    }

    fn one_of(&self, values: &[String], text: &str, folds: bool) -> bool {
        let mut held = values.iter().map(|value| self.like(value, text, folds));
        match self.has(Bug::ValuesMustAllHold) {
            true => held.all(|held| held),
            false => held.any(|held| held),
        }
    }

    /// By a table: does the beginning of the pattern match the beginning of the text?
    fn like(&self, pattern: &str, text: &str, folds: bool) -> bool {
        let fold = |text: &str| match folds {
            true => text.to_lowercase(),
            false => text.to_owned(),
        };
        let (pattern, text) = (fold(pattern).into_bytes(), fold(text).into_bytes());
        let mut row = vec![false; text.len() + 1];
        row[0] = true;
        for wanted in pattern {
            let mut next = vec![false; text.len() + 1];
            for at in 0..=text.len() {
                let before = at.checked_sub(1).map(|before| (row[before], text[before]));
                next[at] = match wanted {
                    b'*' => {
                        let goes_on = before.is_some_and(|(_, byte)| {
                            next[at - 1] && !(byte == b'/' && self.has(Bug::ManyStopAtSlashes))
                        });
                        row[at] || goes_on
                    }
                    b'?' => {
                        before.is_some_and(|(matched, _)| matched)
                            || (row[at] && self.has(Bug::OneCharacterMayBeNone))
                    }
                    byte => before == Some((true, byte)),
                };
            }
            row = next;
        }
        row[text.len()]
    }
}

fn texts(numbers: &Numbers, of: &[&str]) -> Vec<String> {
    let count = 1 + numbers.below(2);
    (0..count).map(|_| (*numbers.one(of)).to_owned()).collect()
}

fn condition(numbers: &Numbers) -> Condition {
    match numbers.below(6) {
        0 => Condition::HostHeader(texts(
            numbers,
            &["a.example", "*.Example", "?.example", "b*", "A.EXAMPLE"],
        )),
        1 => Condition::PathPattern(texts(
            numbers,
            &["/a", "/a*", "/?", "/a/*/c", "*c", "/A", "/a/?", "/a?"],
        )),
        2 => Condition::HttpHeader {
            name: (*numbers.one(&["X-Kind", "x-other"])).to_owned(),
            values: texts(numbers, &["one", "T*", "*o*", "?ne"]),
        },
        3 => {
            let pair = |_| QueryPattern {
                key: numbers
                    .one(&[None, Some("k"), Some("K*"), Some("?")])
                    .map(str::to_owned),
                value: (*numbers.one(&["v", "V*", "*", "k", "?"])).to_owned(),
            };
            Condition::QueryString((0..1 + numbers.below(2)).map(pair).collect())
        }
        4 => Condition::RequestMethod(texts(numbers, &["GET", "POST", "PUT"])),
        _ => {
            let block = |text: &String| text.parse().unwrap();
            let blocks = texts(numbers, &["127.64.1.0/24", "10.0.0.0/8", "127.64.1.7/32"]);
            Condition::SourceIp(blocks.iter().map(block).collect())
        }
    }
}

fn request(numbers: &Numbers) -> Request {
    let fields = [
        ("X-KIND", "One"),
        ("x-kind", "two"),
        ("x-other", "three"),
        ("x-forwarded-for", "10.0.0.1"),
    ];
    let mut chosen = Vec::new();
    for _ in 0..numbers.below(4) {
        chosen.push(*numbers.one(&fields));
    }
    Request {
        method: numbers.one::<&str>(&["GET", "POST", "get", "PUT"]),
        host: numbers.one::<&str>(&["a.example", "A.Example:80", "b.example", "bb", "b:8080", ""]),
        path: (*numbers.one(&["/", "/a", "/A", "/a/b", "/a/b/c", "/a/c", "/b", "/ab"])).to_owned(),
        query: numbers
            .one(&[
                None,
                Some("k=v"),
                Some("K=V&b"),
                Some("k"),
                Some("v=k&&k=x"),
                Some(""),
            ])
            .map(str::to_owned),
        fields: chosen,
        source: numbers
            .one(&["127.64.1.7", "127.64.1.8", "127.64.2.1", "10.1.1.1"])
            .parse()
            .unwrap(),
    }
}

fn action(body: &str) -> Action {
    Action {
        order: None,
        kind: ActionKind::FixedResponse(FixedResponse {
            status: 200,
            content_type: None,
            body: Some(body.to_owned()),
        }),
    }
}

fn rules(numbers: &Numbers) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for _ in 0..1 + numbers.below(4) {
        let priority = 1 + numbers.below(50) as u32;
        if rules.iter().any(|rule| rule.priority == priority) {
            continue;
        }
        // One without conditions can't be made, but could stand there.
        let count = numbers.below(12).min(2 + numbers.below(2));
        let conditions = (0..count).map(|_| condition(numbers)).collect();
        rules.push(rule(priority, conditions, action(&priority.to_string())));
    }
    rules
}

#[test]
fn rules_decide_as_the_oracle_does_and_oracles_that_are_wrong_are_found_out() {
    let numbers = Numbers::new(0x0b_a1a2_ce00_0001);
    let (sealer, random) = (sealer(), || 0);
    let mut found = [0; BUGS.len()];
    for case in 0..CASES {
        let rules = rules(&numbers);
        let row = balancer("a", action("default"), rules.clone());
        let snapshot = snapshot(&[row], &[]);
        let listening = listening(&snapshot, 'a');
        for _ in 0..REQUESTS {
            let request = request(&numbers);
            let head = Head {
                method: request.method,
                host: request.host,
                path: &request.path,
                query: request.query.as_deref(),
                headers: &request.fields,
                source: SocketAddr::new(request.source, 4000),
            };
            let routed = listening.route(&head, &with(&sealer, &random, 1));
            let expected = Oracle {
                rules: &rules,
                bug: Bug::None,
            };
            let expected = expected.decides(&request);
            assert_eq!(
                routed.priority, expected,
                "case {case}: {request:?} of {rules:?}"
            );
            let Decision::Fixed(answer) = routed.decision else {
                panic!("case {case}");
            };
            let body = expected.map_or("default".to_owned(), |priority| priority.to_string());
            assert_eq!(answer.body, Some(body));
            for (number, bug) in BUGS.into_iter().enumerate() {
                let wrong = Oracle { rules: &rules, bug };
                found[number] += usize::from(wrong.decides(&request) != expected);
            }
        }
    }
    for (bug, found) in BUGS.iter().zip(found) {
        assert!(found > 0, "{bug:?} isn't found out in {CASES} cases");
    }
}
