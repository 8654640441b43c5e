//! A second evaluator, which the engine is compared with: it works on the JSON as it is, tries
//! everything in every way, and shares no code with the engine. It knows only what the random
//! policies of `equivalence` can have in them.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use serde_json::Value;

/// A request and who makes it.
pub struct Request {
    pub action: String,
    pub resource: String,
    /// The account that owns the resource.
    pub owner: String,
    pub principal: Principal,
    /// By names in lower case.
    pub keys: BTreeMap<String, Vec<String>>,
}

/// Who makes a request: its account ("" of a service) and its names, the account's root first,
/// then what is nearer to it.
pub struct Principal {
    pub kind: Kind,
    pub account: String,
    pub names: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Root,
    User,
    Session,
    Service,
}

/// Documents by layer.
#[derive(Default)]
pub struct Documents {
    pub rcp: Vec<Value>,
    pub scp: Option<Vec<Value>>,
    pub resource: Option<Value>,
    /// The resource's document is a trust policy.
    pub is_trust: bool,
    pub identity: Vec<Value>,
    pub boundary: Option<Value>,
    pub session: Option<Vec<Value>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Allowed,
    Explicit,
    Implicit,
}

/// What the documents say to the request.
pub fn judge(request: &Request, documents: &Documents) -> Answer {
    let Request {
        principal, owner, ..
    } = request;
    let of_person = matches!(principal.kind, Kind::User | Kind::Session);
    let bounded = documents.boundary.is_some();
    let one = |document: &Option<Value>| document.iter().cloned().collect::<Vec<_>>();
    let mut all: Vec<Value> = documents.rcp.clone();
    all.extend(one(&documents.resource));
    if principal.kind != Kind::Service {
        all.extend(documents.scp.clone().unwrap_or_default());
    }
    if of_person {
        all.extend(documents.identity.clone());
        all.extend(one(&documents.boundary));
        all.extend(documents.session.clone().unwrap_or_default());
    }
    let any = |effect: &str, list: &[Value]| {
        let mut statements = list.iter().flat_map(statements);
        statements.any(|one| one["Effect"] == effect && applies(&one, request, bounded))
    };
    if any("Deny", &all) {
        return Answer::Explicit;
    }
    let verdict = |allowed: bool| {
        if allowed {
            Answer::Allowed
        } else {
            Answer::Implicit
        }
    };
    // How near to the principal is the nearest name by which the resource allows it?
    let granting = documents.resource.iter().flat_map(statements);
    let nearest = granting
        .filter(|one| one["Effect"] == "Allow" && applies(one, request, bounded))
        .map(|one| nearness(&one["Principal"], principal).unwrap())
        .max();
    if principal.kind == Kind::Service {
        return verdict(nearest.is_some());
    }
    if documents
        .scp
        .as_ref()
        .is_some_and(|list| !any("Allow", list))
    {
        return Answer::Implicit;
    }
    let boundary = !bounded || any("Allow", &one(&documents.boundary));
    let session = documents
        .session
        .as_ref()
        .is_none_or(|list| any("Allow", list));
    let limits = !of_person || boundary && session;
    let own = principal.kind == Kind::Root || any("Allow", &documents.identity);
    let itself = principal.names.len() - 1;
    if principal.account != *owner {
        return verdict(nearest.is_some() && own && limits);
    }
    if nearest == Some(itself) {
        return Answer::Allowed;
    }
    if documents.is_trust && nearest.is_none() {
        return Answer::Implicit;
    }
    let by_role = principal.kind == Kind::Session && nearest == Some(1);
    verdict((own || by_role) && limits)
}

fn statements(document: &Value) -> Vec<Value> {
    list(&document["Statement"])
        .into_iter()
        .map(|mut statement| {
            // Each knows whether its document has variables.
            let variables = document["Version"] == "2012-10-17";
            statement["variables"] = Value::Bool(variables);
            statement
        })
        .collect()
}

fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

fn texts(value: &Value) -> Vec<String> {
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    list(value).into_iter().map(text).collect()
}

/// By which of its names does a Principal element name the principal?
fn nearness(element: &Value, principal: &Principal) -> Option<usize> {
    let itself = principal.names.len() - 1;
    if element == "*" {
        return Some(itself);
    }
    let mut named = Vec::new();
    for text in texts(&element["AWS"]) {
        if text == "*" {
            named.push(itself);
        }
        let long = format!("arn:aws:iam::{text}:root");
        let names = principal.names.iter();
        let found = names
            .enumerate()
            .filter(|(_, name)| **name == text || **name == long);
        named.extend(found.map(|(index, _)| index));
    }
    for text in texts(&element["Service"]) {
        let names = principal.names.iter();
        let found = names.enumerate().filter(|(_, name)| **name == text);
        named.extend(found.map(|(index, _)| index));
    }
    named.into_iter().max()
}

fn applies(statement: &Value, request: &Request, bounded: bool) -> bool {
    let principal = &request.principal;
    let allows = statement["Effect"] == "Allow";
    let variables = statement["variables"] == true;
    if !statement["Principal"].is_null() && nearness(&statement["Principal"], principal).is_none() {
        return false;
    }
    let excepted = &statement["NotPrincipal"];
    if !excepted.is_null() {
        let alone = |name: &String| Principal {
            kind: principal.kind,
            account: String::new(),
            names: vec![name.clone()],
        };
        let each = principal.names.iter();
        let all = each
            .clone()
            .all(|name| nearness(excepted, &alone(name)).is_some());
        let of_person = matches!(principal.kind, Kind::User | Kind::Session);
        if all && !(of_person && bounded) {
            return false;
        }
    }
    let action = request.action.to_lowercase();
    let is_action = |text: &String| matches(&fill(&text.to_lowercase(), None), &action);
    let actions = texts(&statement["Action"]);
    if !actions.is_empty() && !actions.iter().any(is_action) {
        return false;
    }
    if texts(&statement["NotAction"]).iter().any(is_action) {
        return false;
    }
    let keys = variables.then_some(&request.keys);
    let is_resource = |text: &String| {
        // What an ARN lacks may be anything.
        let lacks = match text.as_str() {
            "*" => 0,
            text => 5_usize.saturating_sub(text.matches(':').count()),
        };
        let whole = format!("{text}{}", ":*".repeat(lacks));
        matches(&fill(&whole, keys), &request.resource)
    };
    let resources = texts(&statement["Resource"]);
    if !resources.is_empty() && !resources.iter().any(is_resource) {
        return false;
    }
    let others = texts(&statement["NotResource"]);
    let unknown = others.iter().any(|text| fill(text, keys).is_none());
    if others.iter().any(is_resource) || unknown && allows {
        return false;
    }
    let Some(conditions) = statement["Condition"].as_object() else {
        return true;
    };
    conditions.iter().all(|(operator, keys)| {
        let mut keys = keys.as_object().unwrap().iter();
        keys.all(|(key, own)| holds(operator, key, &texts(own), request, allows, variables))
    })
}

/// A character, or a wildcard.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Plain(char),
    Any,
    One,
}

/// A pattern with its variables filled in; `None` if one has no value. Without keys there are no
/// variables.
fn fill(text: &str, keys: Option<&BTreeMap<String, Vec<String>>>) -> Option<Vec<Mark>> {
    let mut marks = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let (Some(keys), true) = (keys, rest.starts_with("${")) {
            let end = rest.find('}').unwrap();
            let inside = &rest[2..end];
            rest = &rest[end + 1..];
            let (name, default) = match inside.split_once(", ") {
                Some((name, quoted)) => (name, Some(quoted.trim_matches('\'').to_owned())),
                None => (inside, None),
            };
            let value = match keys.get(&name.to_lowercase()).map(Vec::as_slice) {
                _ if ["*", "?", "$"].contains(&inside) => inside.to_owned(),
                Some([one]) => one.clone(),
                Some([_, ..]) => return None,
                _ => default?,
            };
            marks.extend(value.chars().map(Mark::Plain));
            continue;
        }
        marks.push(match first {
            '*' => Mark::Any,
            '?' => Mark::One,
            other => Mark::Plain(other),
        });
        rest = &rest[first.len_utf8()..];
    }
    Some(marks)
}

/// Tried in every way, by a table of which beginnings match which.
fn matches(pattern: &Option<Vec<Mark>>, text: &str) -> bool {
    let Some(pattern) = pattern else {
        return false;
    };
    let text: Vec<char> = text.chars().collect();
    let mut table = vec![vec![false; text.len() + 1]; pattern.len() + 1];
    table[0][0] = true;
    for (i, mark) in pattern.iter().enumerate() {
        for j in 0..=text.len() {
            table[i + 1][j] = match mark {
                Mark::Any => (0..=j).any(|from| table[i][from]),
                Mark::One => j > 0 && table[i][j - 1],
                Mark::Plain(character) => j > 0 && table[i][j - 1] && text[j - 1] == *character,
            };
        }
    }
    table[pattern.len()][text.len()]
}

/// One key of one operator.
fn holds(
    operator: &str,
    key: &str,
    own: &[String],
    request: &Request,
    allows: bool,
    variables: bool,
) -> bool {
    let (set, rest) = match operator.split_once(':') {
        Some((set, rest)) => (set, rest),
        None => ("", operator),
    };
    let base = rest.strip_suffix("IfExists").unwrap_or(rest);
    let found = request.keys.get(&key.to_lowercase());
    let values: Vec<String> = found.cloned().unwrap_or_default();
    let no_text = values.iter().all(String::is_empty);
    if base == "Null" {
        return own.iter().any(|own| (own == "true") == no_text);
    }
    let negated = base.contains("Not");
    if values.is_empty() {
        return rest != base || set == "ForAllValues" || set.is_empty() && negated;
    }
    let keys = variables.then_some(&request.keys);
    let textual = ["String", "Arn", "Bool"]
        .iter()
        .any(|start| base.starts_with(start));
    let unknown = textual && own.iter().any(|own| fill(own, keys).is_none());
    let passes = |value: &String| {
        let matched = own.iter().any(|own| compare(base, own, value, keys));
        match negated {
            false => matched,
            true => !(matched || unknown && allows),
        }
    };
    match set {
        "ForAllValues" => no_text || values.iter().all(passes),
        "ForAnyValue" => !no_text && values.iter().any(passes),
        _ if allows => values.iter().all(passes),
        _ => values.iter().any(passes),
    }
}

/// Does the request's value stand to the policy's as the operator (without its Not) says?
fn compare(
    base: &str,
    own: &str,
    value: &str,
    keys: Option<&BTreeMap<String, Vec<String>>>,
) -> bool {
    let plain = |marks: Vec<Mark>| -> String {
        let character = |mark: Mark| match mark {
            Mark::Plain(character) => character,
            Mark::Any => '*',
            Mark::One => '?',
        };
        marks.into_iter().map(character).collect()
    };
    let filled = fill(own, keys).map(plain);
    let (kind, order) = match base {
        _ if base.starts_with("Numeric") => ("Numeric", &base[7..]),
        _ if base.starts_with("Date") => ("Date", &base[4..]),
        other => (other, ""),
    };
    let ordered = |own: f64, value: f64| match order {
        "Equals" | "NotEquals" => value == own,
        "LessThan" => value < own,
        "LessThanEquals" => value <= own,
        "GreaterThan" => value > own,
        _ => value >= own,
    };
    match kind {
        "Numeric" => value
            .parse()
            .is_ok_and(|value| ordered(own.parse().unwrap(), value)),
        "Date" => seconds(value).is_some_and(|value| ordered(seconds(own).unwrap(), value)),
        "StringEquals" | "StringNotEquals" => filled.as_deref() == Some(value),
        "StringEqualsIgnoreCase" | "StringNotEqualsIgnoreCase" => {
            filled.map(|own| own.to_lowercase()) == Some(value.to_lowercase())
        }
        "StringLike" | "StringNotLike" => matches(&fill(own, keys), value),
        "Bool" => {
            let is_bool = ["true", "false"].contains(&value.to_lowercase().as_str());
            is_bool && filled.map(|own| own.to_lowercase()) == Some(value.to_lowercase())
        }
        "BinaryEquals" => own == value,
        "IpAddress" | "NotIpAddress" => within(own, value),
        _ => arn(&fill(own, keys), value),
    }
}

/// Only dates at midnight and seconds since 1970.
fn seconds(text: &str) -> Option<f64> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let day = text.strip_suffix("T00:00:00Z").unwrap_or(text);
    let days = ["2020-01-01", "2020-01-02", "2021-01-01"]
        .iter()
        .position(|one| *one == day)?;
    Some([18_262.0, 18_263.0, 18_628.0][days] * 86_400.0)
}

/// Every address as 128 bits, compared bit by bit.
fn within(own: &str, value: &str) -> bool {
    let bits = |text: &str| -> Option<(Vec<bool>, usize)> {
        let (text, skip) = match text.contains(':') {
            true => (text.to_owned(), 0),
            false => (format!("::ffff:{text}"), 96),
        };
        let address: Ipv6Addr = text.parse().ok()?;
        let bytes = address.octets().into_iter();
        let bits = bytes.flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1));
        Some((bits.collect(), skip))
    };
    let (address, prefix) = own.split_once('/').unwrap_or((own, "128"));
    let ((own, skip), Some((value, _))) = (bits(address).unwrap(), bits(value)) else {
        return false;
    };
    let prefix: usize = prefix.parse().unwrap();
    let first = (prefix + skip).min(128);
    own[..first] == value[..first] && (skip == 96) == value[..96].ends_with(&[true; 16])
}

/// Six parts, each matched for itself.
fn arn(pattern: &Option<Vec<Mark>>, value: &str) -> bool {
    let Some(pattern) = pattern else {
        return false;
    };
    if *pattern == [Mark::Any] {
        return true;
    }
    let mut parts: Vec<Vec<Mark>> = vec![Vec::new()];
    for mark in pattern {
        match mark {
            Mark::Plain(':') if parts.len() < 6 => parts.push(Vec::new()),
            mark => parts.last_mut().unwrap().push(*mark),
        }
    }
    let values: Vec<&str> = value.splitn(6, ':').collect();
    let mut pairs = parts.into_iter().zip(&values);
    values.len() == 6 && pairs.len() == 6 && pairs.all(|(part, value)| matches(&Some(part), value))
}
