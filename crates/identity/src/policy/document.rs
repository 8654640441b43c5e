//! From JSON to the statements of a policy: which elements there are, which of them a kind of
//! policy must and can't have, and how many of each. What it lets through is compiled whole; the
//! first fault refuses the document.

use std::collections::BTreeSet;

use aws::access::PolicyKind;

use super::condition::{Condition, Given, Operator};
use super::elements::{check_action, check_resource, complete};
use super::error::{Fault, Flaw, Locator};
use super::json::{self, Member, Node, Value};
use super::pattern::{Pattern, Reading};
use super::principal::Principals;
use super::statement::{Actions, Resources, Statement, service_bit};

/// A document has at most so many bytes (IAM API Reference: `policyDocumentType`). Quotas of
/// IAM, which count less, are kept where policies are stored.
pub const MAX_DOCUMENT: usize = 131_072;

/// A policy has at most so many statements.
pub const MAX_STATEMENTS: usize = 1_000;

/// An element has at most so many values.
pub const MAX_VALUES: usize = 2_000;

/// The statements of a document, in their order.
pub(super) fn read(kind: PolicyKind, document: &str) -> Result<Vec<Statement>, Flaw> {
    if document.len() > MAX_DOCUMENT {
        return Err(Flaw::syntax(0, "the document is longer than 131072 bytes"));
    }
    let root = json::read(document)?;
    let Value::Object(members) = &root.value else {
        return Err(Flaw::syntax(root.start, "an object is expected"));
    };
    let mut variables = false;
    let mut raw = None;
    for member in members {
        match member.name.as_str() {
            "Version" => variables = read_version(&member.value)?,
            "Id" => drop(text(&member.value)?),
            "Statement" => raw = Some(read_statements(&member.value)?),
            _ => return Err(Flaw::syntax(member.at, "no such element of a policy")),
        }
    }
    let raw = raw.ok_or_else(|| Flaw::syntax(root.start, "a Statement is expected"))?;
    check_kind(kind, &raw)?;
    compile(kind, raw, variables, document)
}

/// Whether that version has variables.
fn read_version(node: &Node) -> Result<bool, Flaw> {
    match text(node)? {
        "2012-10-17" => Ok(true),
        "2008-10-17" => Ok(false),
        _ => Err(Flaw::syntax(
            node.start,
            "2012-10-17 or 2008-10-17 is expected",
        )),
    }
}

/// A statement's elements.
struct Raw<'a> {
    node: &'a Node,
    sid: Option<&'a Member>,
    effect: &'a Node,
    principal: Option<(&'a Member, bool)>,
    action: Option<(&'a Member, bool)>,
    resource: Option<(&'a Member, bool)>,
    condition: Option<&'a Node>,
}

fn read_statements(node: &Node) -> Result<Vec<Raw<'_>>, Flaw> {
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if items.is_empty() {
        return Err(Flaw::syntax(node.start, "a statement is expected"));
    }
    if let Some(excess) = items.get(MAX_STATEMENTS) {
        return Err(Flaw::syntax(excess.start, "more than 1000 statements"));
    }
    items.iter().map(read_statement).collect()
}

fn read_statement(node: &Node) -> Result<Raw<'_>, Flaw> {
    let Value::Object(members) = &node.value else {
        return Err(Flaw::syntax(node.start, "a statement is an object"));
    };
    let (mut sid, mut effect, mut condition) = (None, None, None);
    let (mut principal, mut action, mut resource) = (None, None, None);
    for member in members {
        let place = match member.name.as_str() {
            "Sid" => {
                text(&member.value)?;
                sid = Some(member);
                continue;
            }
            "Effect" => {
                let known = ["allow", "deny"].contains(&&*text(&member.value)?.to_lowercase());
                if !known {
                    return Err(Flaw::syntax(
                        member.value.start,
                        "Allow or Deny is expected",
                    ));
                }
                effect = Some(&member.value);
                continue;
            }
            "Condition" => {
                condition = Some(&member.value);
                continue;
            }
            "Principal" | "NotPrincipal" => &mut principal,
            "Action" | "NotAction" => {
                texts(&member.value)?;
                &mut action
            }
            "Resource" | "NotResource" => {
                texts(&member.value)?;
                &mut resource
            }
            _ => return Err(Flaw::syntax(member.at, "no such element of a statement")),
        };
        if place.is_some() {
            return Err(Flaw::syntax(member.at, "an element and its opposite"));
        }
        *place = Some((member, member.name.starts_with("Not")));
    }
    if let Some(condition) = condition {
        check_conditions(condition)?;
    }
    Ok(Raw {
        node,
        sid,
        effect: effect.ok_or_else(|| Flaw::syntax(node.start, "an Effect is expected"))?,
        principal,
        action,
        resource,
        condition,
    })
}

fn text(node: &Node) -> Result<&str, Flaw> {
    match &node.value {
        Value::Text(text) => Ok(text),
        _ => Err(Flaw::syntax(node.start, "a text is expected")),
    }
}

/// One value or several.
fn items(node: &Node) -> Result<&[Node], Flaw> {
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    match items.get(MAX_VALUES) {
        Some(excess) => Err(Flaw::syntax(excess.start, "more than 2000 values")),
        None => Ok(items),
    }
}

fn texts(node: &Node) -> Result<Vec<(&str, usize)>, Flaw> {
    let items = items(node)?.iter();
    items.map(|item| Ok((text(item)?, item.start))).collect()
}

fn members(node: &Node) -> Result<&[Member], Flaw> {
    match &node.value {
        Value::Object(members) => Ok(members),
        _ => Err(Flaw::syntax(node.start, "an object is expected")),
    }
}

/// The grammar of a Condition: operators of keys of values.
fn check_conditions(node: &Node) -> Result<(), Flaw> {
    for operator in members(node)? {
        if Operator::parse(&operator.name).is_none() {
            return Err(Flaw::syntax(operator.at, "no such condition operator"));
        }
        for key in members(&operator.value)? {
            if key.name.is_empty() {
                return Err(Flaw::syntax(key.at, "a condition key is expected"));
            }
            given(&key.value)?;
        }
    }
    Ok(())
}

/// The values of a condition key. Quotation marks are optional for numbers and booleans (IAM
/// User Guide, "Grammar of the IAM JSON policy language").
fn given(node: &Node) -> Result<Vec<Given>, Flaw> {
    let read = |item: &Node| {
        let text = match &item.value {
            Value::Text(text) | Value::Number(text) => text.clone(),
            Value::Bool(value) => value.to_string(),
            _ => return Err(Flaw::syntax(item.start, "a condition's value is expected")),
        };
        let at = item.start;
        Ok(Given { text, at })
    };
    items(node)?.iter().map(read).collect()
}

/// What a kind of policy must and can't have.
fn check_kind(kind: PolicyKind, statements: &[Raw<'_>]) -> Result<(), Flaw> {
    for raw in statements {
        match (kind, raw.principal) {
            (PolicyKind::Identity, Some((member, _))) => {
                return Err(Flaw::new(Fault::ProhibitedPrincipal, member.at));
            }
            (PolicyKind::Resource | PolicyKind::Trust, None) => {
                return Err(Flaw::new(Fault::Missing("Principal"), raw.node.start));
            }
            (PolicyKind::Trust, Some((member, true))) => {
                return Err(Flaw::new(Fault::Prohibited("NotPrincipal"), member.at));
            }
            _ => {}
        }
        if let (PolicyKind::Trust, Some((member, negated))) = (kind, raw.resource) {
            let name = if negated { "NotResource" } else { "Resource" };
            return Err(Flaw::new(Fault::Prohibited(name), member.at));
        }
    }
    match kind {
        PolicyKind::Organization => check_control_policy(statements),
        _ => Ok(()),
    }
}

/// A service control policy has no principals. A resource control policy has `*` as principal
/// and denies (AWS Organizations User Guide, "RCP syntax"); but for the one that allows all.
fn check_control_policy(statements: &[Raw<'_>]) -> Result<(), Flaw> {
    let of_resources = statements.iter().any(|raw| raw.principal.is_some());
    if !of_resources {
        return Ok(());
    }
    let is_star = |element: Option<(&Member, bool)>| {
        element.is_some_and(|(member, negated)| {
            !negated && texts(&member.value).is_ok_and(|texts| matches!(texts[..], [("*", _)]))
        })
    };
    for raw in statements {
        let full_access = is_star(raw.action) && is_star(raw.resource) && raw.condition.is_none();
        let may = text(raw.effect)? == "Deny" || full_access;
        let not_action = raw.action.is_some_and(|(_, negated)| negated);
        if !(may && is_star(raw.principal)) || not_action {
            return Err(Flaw::new(Fault::ControlPolicy, raw.node.start));
        }
    }
    Ok(())
}

/// Compiles the statements; what IAM looks at first is looked at first.
fn compile(
    kind: PolicyKind,
    raw: Vec<Raw<'_>>,
    variables: bool,
    document: &str,
) -> Result<Vec<Statement>, Flaw> {
    let mut conditions = Vec::with_capacity(raw.len());
    for statement in &raw {
        let effect = text(statement.effect)?;
        if !["Allow", "Deny"].contains(&effect) {
            let detail = "Allow or Deny is expected";
            return Err(Flaw::legacy(statement.effect.start, detail));
        }
        conditions.push(compile_conditions(statement.condition, variables)?);
    }
    check_sids(kind, &raw)?;
    for statement in &raw {
        elements(statement.action, statement.node, Fault::NoActions)?;
    }
    let mut resources = Vec::with_capacity(raw.len());
    for statement in &raw {
        resources.push(compile_resources(kind, statement, variables)?);
    }
    let mut locator = Locator::new(document);
    let compiled = raw.iter().zip(conditions).zip(resources);
    let compiled = compiled.map(|((raw, conditions), resources)| {
        let extent = (
            locator.position(raw.node.start),
            locator.position(raw.node.end),
        );
        let principals = raw
            .principal
            .map(|(member, negated)| Principals::read(&member.value, negated));
        let statement = Statement {
            sid: sid(raw).map(|(sid, _)| sid.into()),
            allows: text(raw.effect)? == "Allow",
            principals: principals.transpose()?,
            actions: compile_actions(kind, raw)?,
            resources,
            conditions,
            extent,
        };
        let principals = statement.principals.as_ref();
        if statement.allows && principals.is_some_and(|principals| principals.negated) {
            return Err(Flaw::new(Fault::AllowNotPrincipal, raw.node.start));
        }
        Ok(statement)
    });
    compiled.collect()
}

/// The values of an element that must be there and not empty.
fn elements<'a>(
    element: Option<(&'a Member, bool)>,
    statement: &Node,
    missing: Fault,
) -> Result<Vec<(&'a str, usize)>, Flaw> {
    let Some((member, _)) = element else {
        return Err(Flaw::new(missing, statement.start));
    };
    let values = texts(&member.value)?;
    match values.is_empty() {
        true => Err(Flaw::new(missing, member.value.start)),
        false => Ok(values),
    }
}

fn sid<'a>(raw: &Raw<'a>) -> Option<(&'a str, usize)> {
    let member = raw.sid?;
    match &member.value.value {
        Value::Text(sid) if !sid.is_empty() => Some((sid, member.value.start)),
        _ => None,
    }
}

/// Other services than IAM allow more characters in a Sid.
fn check_sids(kind: PolicyKind, statements: &[Raw<'_>]) -> Result<(), Flaw> {
    let mut known = BTreeSet::new();
    for (sid, at) in statements.iter().filter_map(sid) {
        let plain = sid.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if kind != PolicyKind::Resource && !plain {
            return Err(Flaw::new(Fault::SidCharacters, at));
        }
        if !known.insert(sid) {
            return Err(Flaw::new(Fault::RepeatedSid, at));
        }
    }
    Ok(())
}

fn compile_conditions(node: Option<&Node>, variables: bool) -> Result<Box<[Condition]>, Flaw> {
    let mut conditions = Vec::new();
    for member in node.map_or(Ok(&[][..]), members)? {
        let operator = Operator::parse(&member.name)
            .ok_or_else(|| Flaw::syntax(member.at, "no such condition operator"))?;
        for key in members(&member.value)? {
            let values = given(&key.value)?;
            conditions.push(Condition::new(operator, &key.name, &values, variables)?);
        }
    }
    Ok(conditions.into())
}

fn compile_resources(
    kind: PolicyKind,
    raw: &Raw<'_>,
    variables: bool,
) -> Result<Option<Resources>, Flaw> {
    if kind == PolicyKind::Trust {
        return Ok(None);
    }
    let values = elements(raw.resource, raw.node, Fault::NoResources)?;
    let reading = Reading {
        wildcards: true,
        variables,
    };
    let patterns = values.into_iter().map(|(text, at)| {
        check_resource(kind, text, at, variables)?;
        Pattern::new(&complete(text), at, reading)
    });
    let patterns: Result<_, Flaw> = patterns.collect();
    let negated = raw.resource.is_some_and(|(_, negated)| negated);
    patterns.map(|patterns| Some(Resources { negated, patterns }))
}

fn compile_actions(kind: PolicyKind, raw: &Raw<'_>) -> Result<Actions, Flaw> {
    let negated = raw.action.is_some_and(|(_, negated)| negated);
    let reading = Reading {
        wildcards: true,
        variables: false,
    };
    let mut services = 0;
    let mut patterns = Vec::new();
    for (text, at) in elements(raw.action, raw.node, Fault::NoActions)? {
        check_action(text, at)?;
        let lower = text.to_ascii_lowercase();
        if kind == PolicyKind::Trust && (negated || !lower.starts_with("sts:")) {
            return Err(Flaw::new(Fault::NotAssumeRole, at));
        }
        services |= service_bit(&lower);
        patterns.push(Pattern::new(&lower, at, reading)?);
    }
    Ok(Actions::new(patterns, services, negated))
}
