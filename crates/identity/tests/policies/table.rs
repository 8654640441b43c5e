//! Reads the tables beside this file and tries every line of them.

use aws::access::PolicyKind;
use identity::policy::{
    Attached, Decision, Effect, Inquiry, KeySource, Layer, Layers, Policy, PrincipalView, Source,
    decide, explain,
};
use types::AccountId;

use crate::keys::Keys;

pub const OTHER: &str = "444455556666";
pub const ALICE: &str = "arn:aws:iam::111122223333:user/alice";
pub const WORKER: &str = "arn:aws:iam::111122223333:role/jobs/worker";
pub const SESSION: &str = "arn:aws:sts::111122223333:assumed-role/worker/s1";

/// The principals that tables know by short names.
pub fn who(name: &str) -> PrincipalView<'static> {
    let account = AccountId::LAB;
    let other = OTHER.parse().unwrap();
    match name {
        "root" => PrincipalView::Root { account },
        "other-root" => PrincipalView::Root { account: other },
        "user" | "alice" => PrincipalView::User {
            account,
            arn: ALICE,
            id: "AIDACKCEVSQ6C2EXAMPLE",
        },
        "carol" => PrincipalView::User {
            account: other,
            arn: "arn:aws:iam::444455556666:user/carol",
            id: "AIDACAROLCAROLCAROL00",
        },
        "session" => PrincipalView::Session {
            account,
            role: WORKER,
            session: SESSION,
            role_id: "AROACKCEVSQ6C2EXAMPLE",
        },
        "linked" => PrincipalView::Session {
            account,
            role: "arn:aws:iam::111122223333:role/aws-service-role/x.amazonaws.com/AWSServiceRole",
            session: "arn:aws:sts::111122223333:assumed-role/AWSServiceRole/s",
            role_id: "AROALINKEDLINKEDLINK0",
        },
        "alike" => PrincipalView::Session {
            account,
            role: "arn:aws:iam::111122223333:role/a:role/aws-service-role/x",
            session: "arn:aws:sts::111122223333:assumed-role/x/s",
            role_id: "AROAALIKEALIKEALIKE00",
        },
        "service" | "s3" => PrincipalView::Service {
            name: "s3.amazonaws.com",
        },
        "ses" => PrincipalView::Service {
            name: "ses.amazonaws.com",
        },
        _ => panic!("there is no {name}"),
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn columns<const N: usize>(line: &str) -> [&str; N] {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    columns.try_into().unwrap_or_else(|_| panic!("{line}"))
}

fn values(text: &str) -> Vec<String> {
    let value = |text: &str| if text == "''" { "" } else { text }.to_owned();
    text.split(" , ").map(value).collect()
}

fn json(values: &[String]) -> String {
    serde_json::to_string(values).unwrap()
}

pub fn parse(kind: PolicyKind, document: &str) -> Policy {
    Policy::parse(kind, document).unwrap_or_else(|error| panic!("{error}\n{document}"))
}

pub fn given(policy: &Policy) -> Attached<'_> {
    Attached {
        source: Source::Given("policy"),
        policy,
    }
}

fn inquiry<'a>(action: &'a str, resource: &'a str, keys: &'a dyn KeySource) -> Inquiry<'a> {
    Inquiry {
        action,
        resource,
        account: AccountId::LAB,
        principal: who("alice"),
        keys,
    }
}

/// What identity policies decide; the explanation must agree with the decision.
fn decided(inquiry: &Inquiry<'_>, policies: &[&Policy]) -> Effect {
    let attached: Vec<Attached<'_>> = policies.iter().map(|policy| given(policy)).collect();
    let layers = Layers {
        identity: &attached,
        ..Layers::default()
    };
    checked(inquiry, &layers).effect
}

/// Decides, and makes sure that the explanation says the same.
pub fn checked<'a>(inquiry: &Inquiry<'a>, layers: &Layers<'a>) -> Decision<'a> {
    let decision = decide(inquiry, layers);
    let explanation = explain(inquiry, layers);
    assert_eq!(explanation.decision, decision);
    let deciding = explanation.statements.iter().filter(|one| one.decided);
    let deciding: Vec<_> = deciding.collect();
    assert_eq!(deciding.len(), usize::from(decision.statement.is_some()));
    for considered in deciding {
        assert!(considered.matched());
        assert_eq!(considered.layer, decision.layer);
    }
    decision
}

/// A statement's effect alone: in an Allow, and in a Deny beside an Allow of everything.
fn in_allow_and_deny(version: &str, elements: &str, inquiry: &Inquiry<'_>) -> [bool; 2] {
    let document = |effect: &str| {
        let statement = format!(r#"{{"Effect": "{effect}", {elements}}}"#);
        let document = format!(r#"{{"Version": "{version}", "Statement": {statement}}}"#);
        parse(PolicyKind::Identity, &document)
    };
    let everything = parse(
        PolicyKind::Identity,
        r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#,
    );
    let allow = decided(inquiry, &[&document("Allow")]);
    assert_ne!(allow, Effect::ExplicitlyDenied);
    let deny = decided(inquiry, &[&everything, &document("Deny")]);
    assert_ne!(deny, Effect::ImplicitlyDenied);
    [allow == Effect::Allowed, deny == Effect::ExplicitlyDenied]
}

/// The keys that every request of the tables has.
fn common() -> Keys {
    Keys::of([
        ("aws:username", &["alice"]),
        ("aws:PrincipalTag/Team", &["blue"]),
        ("k:star", &["*"]),
        ("k:true", &["true"]),
        ("k:several", &["x", "y"]),
        ("k:one", &["x"]),
        ("k:arn", &["arn:aws:sns:us-east-1:111122223333:topic"]),
    ])
}

fn expected(text: &str) -> [bool; 2] {
    match text {
        "holds" | "yes" => [true, true],
        "fails" | "no" => [false, false],
        "allow-fails, deny-holds" | "allow-no, deny-yes" => [false, true],
        _ => panic!("{text}"),
    }
}

#[test]
fn every_condition_operator_holds_when_it_should() {
    let mut faults = Vec::new();
    let mut count = 0;
    for line in lines(include_str!("conditions.txt")) {
        let [operator, own, request, outcome] = columns(line);
        let mut keys = common();
        match request {
            "-" => {}
            "[]" => keys.0.push(("k:key".to_owned(), Vec::new())),
            _ => keys.0.push(("k:key".to_owned(), values(request))),
        }
        let elements = format!(
            r#""Action": "*", "Resource": "*", "Condition": {{"{operator}": {{"K:Key": {}}}}}"#,
            json(&values(own))
        );
        let inquiry = inquiry("s3:GetObject", "*", &keys);
        let found = in_allow_and_deny("2012-10-17", &elements, &inquiry);
        if found != expected(outcome) {
            faults.push(format!("{line}: {found:?}"));
        }
        count += 2;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count >= 500, "{count} cases");
}

#[test]
fn every_action_and_resource_is_matched_when_it_should() {
    let mut faults = Vec::new();
    for line in lines(include_str!("elements.txt")) {
        let [element, asked, outcome] = columns(line);
        let (version, element) = match element.strip_prefix("2008 ") {
            Some(element) => ("2008-10-17", element),
            None => ("2012-10-17", element),
        };
        let (name, own) = element.split_once(' ').unwrap();
        let of_actions = name.ends_with("Action");
        let other = if of_actions { "Resource" } else { "Action" };
        let elements = format!(r#""{name}": {}, "{other}": "*""#, json(&values(own)));
        let keys = common();
        let inquiry = match of_actions {
            true => inquiry(asked, "*", &keys),
            false => inquiry("s3:GetObject", asked, &keys),
        };
        let found = in_allow_and_deny(version, &elements, &inquiry);
        if found != expected(outcome) {
            faults.push(format!("{line}: {found:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_principal_is_named_when_it_should() {
    let everything = parse(
        PolicyKind::Identity,
        r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#,
    );
    let mut faults = Vec::new();
    for line in lines(include_str!("principals.txt")) {
        let [element, name, outcome] = columns(line);
        let (element, value) = element.split_once(' ').unwrap();
        let document = format!(
            r#"{{"Statement": [
                {{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}},
                {{"Effect": "Deny", "{element}": {value}, "Action": "*", "Resource": "*"}}]}}"#
        );
        let policy = parse(PolicyKind::Resource, &document);
        let bounded = name.strip_prefix("bounded ");
        let principal = who(bounded.unwrap_or(name));
        let inquiry = Inquiry {
            principal,
            ..inquiry("s3:GetObject", "*", &())
        };
        let attached = [given(&everything)];
        let layers = Layers {
            resource: Some(given(&policy)),
            identity: &attached,
            boundary: bounded.map(|_| given(&everything)),
            ..Layers::default()
        };
        let named = match checked(&inquiry, &layers).effect {
            Effect::Allowed => false,
            Effect::ExplicitlyDenied => true,
            Effect::ImplicitlyDenied => panic!("{line}"),
        };
        if [named, named] != expected(outcome) {
            faults.push(line.to_owned());
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The resource's policy of a cell of the table of orders.
fn resource_policy(cell: &str, who: &str, action: &str) -> Policy {
    let (kind, cell) = match cell.strip_prefix("trust-") {
        Some(cell) => (PolicyKind::Trust, cell),
        None => (PolicyKind::Resource, cell),
    };
    let one = |cell: &str| resource_statement(cell, kind, who, action);
    let statements: Vec<String> = cell.split('+').map(one).collect();
    parse(
        kind,
        &format!(r#"{{"Statement": [{}]}}"#, statements.join(", ")),
    )
}

/// One statement of it.
fn resource_statement(cell: &str, kind: PolicyKind, who: &str, action: &str) -> String {
    let itself = match who {
        "user" => ALICE,
        _ => SESSION,
    };
    let (effect, principal) = match cell {
        "itself" => ("Allow", format!(r#"{{"AWS": "{itself}"}}"#)),
        "role" => ("Allow", format!(r#"{{"AWS": "{WORKER}"}}"#)),
        "account" => ("Allow", r#"{"AWS": "111122223333"}"#.to_owned()),
        "service" => ("Allow", r#"{"Service": "s3.amazonaws.com"}"#.to_owned()),
        "everybody" | "silent" => ("Allow", r#""*""#.to_owned()),
        "other" => (
            "Allow",
            r#"{"AWS": "arn:aws:iam::111122223333:user/eve"}"#.to_owned(),
        ),
        "deny" => ("Deny", r#""*""#.to_owned()),
        _ => panic!("{cell}"),
    };
    let action = if cell == "silent" {
        "sts:Nothing"
    } else {
        action
    };
    let resource = match kind {
        PolicyKind::Trust => "",
        _ => r#", "Resource": "*""#,
    };
    format!(r#"{{"Effect": "{effect}", "Principal": {principal}, "Action": "{action}"{resource}}}"#)
}

fn layer_policy(cell: &str, kind: PolicyKind, action: &str) -> Option<Policy> {
    let (effect, action) = match cell {
        "-" => return None,
        "silent" => ("Allow", "sts:Nothing"),
        "allow" => ("Allow", action),
        "deny" => ("Deny", action),
        _ => panic!("{cell}"),
    };
    let document = format!(
        r#"{{"Statement": {{"Effect": "{effect}", "Action": "{action}", "Resource": "*"}}}}"#
    );
    Some(parse(kind, &document))
}

#[test]
fn every_order_of_layers_decides_as_documented() {
    let mut faults = Vec::new();
    let mut count = 0;
    for line in lines(include_str!("order.txt")) {
        let [
            name,
            owner,
            rcp,
            scp,
            resource,
            identity,
            boundary,
            session,
            outcome,
        ] = columns(line);
        let is_trust = resource.starts_with("trust-");
        let action = if is_trust {
            "sts:AssumeRole"
        } else {
            "s3:GetObject"
        };
        let policy = |cell, kind| layer_policy(cell, kind, action);
        let resource = Some(resource).filter(|cell| *cell != "-");
        let resource = resource.map(|cell| resource_policy(cell, name, action));
        let rcp = policy(rcp, PolicyKind::Organization);
        let scp = policy(scp, PolicyKind::Organization);
        let [identity, boundary, session] =
            [identity, boundary, session].map(|cell| policy(cell, PolicyKind::Identity));
        let [rcp, scp, resource, identity, boundary, session] =
            [&rcp, &scp, &resource, &identity, &boundary, &session]
                .map(|policy| policy.as_ref().map(given));
        let layers = Layers {
            service_control: scp.as_ref().map(std::slice::from_ref),
            resource_control: rcp.as_slice(),
            resource,
            identity: identity.as_slice(),
            boundary,
            session: session.as_ref().map(std::slice::from_ref),
        };
        let inquiry = Inquiry {
            account: match owner {
                "own" => AccountId::LAB,
                _ => OTHER.parse().unwrap(),
            },
            principal: who(name),
            ..inquiry(action, "*", &())
        };
        let decision = checked(&inquiry, &layers);
        let found = format!(
            "{} {}",
            effect_word(decision.effect),
            layer_word(decision.layer)
        );
        if found != outcome {
            faults.push(format!("{line}: {found}"));
        }
        check_words(&decision);
        count += 1;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count >= 130, "{count} cases");
}

fn effect_word(effect: Effect) -> &'static str {
    match effect {
        Effect::Allowed => "allowed",
        Effect::ExplicitlyDenied => "explicit",
        Effect::ImplicitlyDenied => "implicit",
    }
}

fn layer_word(layer: Layer) -> &'static str {
    match layer {
        Layer::ResourceControl => "rcp",
        Layer::ServiceControl => "scp",
        Layer::Resource => "resource",
        Layer::Trust => "trust",
        Layer::Identity => "identity",
        Layer::Boundary => "boundary",
        Layer::Session => "session",
        Layer::Root => "root",
    }
}

/// The words of IAM User Guide, "Troubleshoot access denied error messages".
fn check_words(decision: &Decision<'_>) {
    let (explicit, implicit) = match decision.layer {
        Layer::ResourceControl => ("a resource control policy", "resource control policy"),
        Layer::ServiceControl => ("a service control policy", "service control policy"),
        Layer::Resource => ("a resource-based policy", "resource-based policy"),
        Layer::Trust => ("the role trust policy", "role trust policy"),
        Layer::Identity => ("an identity-based policy", "identity-based policy"),
        Layer::Boundary => ("a permissions boundary", "permissions boundary"),
        Layer::Session => ("a session policy", "session policy"),
        Layer::Root => ("", ""),
    };
    let action = decision.action;
    let expected = match decision.effect {
        Effect::Allowed => String::new(),
        Effect::ExplicitlyDenied => format!("with an explicit deny in {explicit}"),
        Effect::ImplicitlyDenied => format!("because no {implicit} allows the {action} action"),
    };
    assert_eq!(decision.because(), expected);
}

fn kind(name: &str) -> PolicyKind {
    match name {
        "identity" => PolicyKind::Identity,
        "resource" => PolicyKind::Resource,
        "trust" => PolicyKind::Trust,
        "organization" => PolicyKind::Organization,
        _ => panic!("{name}"),
    }
}

/// The blocks of a table that begin with `== kind`.
pub fn blocks(text: &str) -> Vec<(PolicyKind, Vec<&str>)> {
    let mut blocks: Vec<(PolicyKind, Vec<&str>)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with("# ")) {
        match (line.strip_prefix("== "), blocks.last_mut()) {
            (Some(name), _) => blocks.push((kind(name), Vec::new())),
            (None, Some((_, lines))) => lines.push(line),
            (None, None) => {}
        }
    }
    blocks
}

#[test]
fn every_malformed_policy_is_refused_in_iams_words_and_at_its_place() {
    let mut faults = Vec::new();
    for (kind, lines) in blocks(include_str!("malformed.txt")) {
        let (text, document) = lines.split_first().unwrap();
        let document = document.join("\n");
        let found = match Policy::parse(kind, &document) {
            Ok(_) => "it is accepted".to_owned(),
            Err(error) => error.to_string(),
        };
        if found != *text {
            faults.push(format!("{document}\n  expected {text}\n  found    {found}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_example_decides_as_documented() {
    let mut faults = Vec::new();
    for (kind, lines) in blocks(include_str!("examples.txt")) {
        let is_question = |line: &&str| line.contains(" -> ");
        let document: Vec<&str> = lines.iter().copied().filter(|l| !is_question(l)).collect();
        let policy = parse(kind, &document.join("\n"));
        for line in lines.into_iter().filter(is_question) {
            let found = answer(&policy, line);
            if !line.ends_with(&format!(" -> {found}")) {
                faults.push(format!("{line}: {found}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What a policy alone answers to `who action resource key=value … -> …`.
fn answer(policy: &Policy, line: &str) -> String {
    let (question, _) = line.split_once(" -> ").unwrap();
    let mut words = question.split(' ');
    let mut next = || words.next().unwrap();
    let (principal, action, resource) = (who(next()), next(), next());
    let mut keys = Keys::default();
    for word in words {
        let (name, value) = word.split_once('=').unwrap();
        keys.add(name, value);
    }
    let inquiry = Inquiry {
        principal,
        ..inquiry(action, resource, &keys)
    };
    let attached = [given(policy)];
    let mut layers = Layers::default();
    match policy.kind() {
        PolicyKind::Identity => layers.identity = &attached,
        PolicyKind::Resource | PolicyKind::Trust => layers.resource = Some(attached[0]),
        PolicyKind::Organization => layers.resource_control = &attached,
    }
    let decision = checked(&inquiry, &layers);
    let word = effect_word(decision.effect);
    match decision.statement {
        None => word.to_owned(),
        Some(statement) => {
            let index = statement.index.to_string();
            format!("{word} {}", statement.sid.unwrap_or(&index))
        }
    }
}
