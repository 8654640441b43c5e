//! Random policies and requests, from seeds: the engine and the oracle must say the same. A few
//! engines with a bug planted show that a difference would be found.

use std::collections::BTreeMap;

use aws::access::PolicyKind;
use identity::policy::{
    Attached, Effect, Inquiry, KeySource, Layers, Policy, PrincipalView, Values,
};
use serde_json::{Map, Value, json};
use types::AccountId;

use crate::keys::Keys;
use crate::oracle::{self, Answer, Documents, Kind, Request};
use crate::random::{Random, setting};
use crate::table::{ALICE, OTHER, SESSION, WORKER, checked, given, parse};

/// Requests that the test command tries.
const ROUNDS: u64 = 6_000;

/// Within so many the planted bugs must be found.
const ROUNDS_TO_FIND: u64 = 6_000;

const OWN: &str = "111122223333";

/// What an engine might get wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bug {
    None,
    /// Boundaries are forgotten.
    NoBoundary,
    /// A session's policies are forgotten.
    NoSession,
    /// A key that isn't there is an empty text.
    MissingIsEmpty,
    /// Resources are compared without regard to case.
    AnyCase,
    /// Whoever owns the resource, it is taken for the principal's account.
    OwnAccount,
    /// The first Allow ends the search for a Deny.
    LastDenyForgotten,
}

/// Keys whose missing ones are empty texts.
struct Filled<'a>(&'a Keys);

impl KeySource for Filled<'_> {
    fn get(&self, name: &str) -> Option<Values<'_>> {
        let missing = || Values::One("".into());
        Some(self.0.get(name).unwrap_or_else(missing))
    }
}

#[test]
fn the_engine_decides_as_the_oracle_does() {
    let rounds = setting("FUZZ_ROUNDS", ROUNDS);
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for round in 0..rounds {
        let (ours, theirs, told) = one_round(seed(round), Bug::None);
        assert_eq!(ours, theirs, "round {round}: {told}");
        *counts.entry(format!("{ours:?}")).or_default() += 1;
    }
    // Every answer comes up often enough to mean something.
    let rare = u32::try_from(rounds / 20).unwrap();
    assert!(
        counts.len() == 3 && counts.values().all(|count| *count >= rare),
        "{counts:?}"
    );
}

#[test]
fn the_oracle_finds_planted_bugs() {
    for bug in [
        Bug::NoBoundary,
        Bug::NoSession,
        Bug::MissingIsEmpty,
        Bug::AnyCase,
        Bug::OwnAccount,
        Bug::LastDenyForgotten,
    ] {
        let mut rounds = 0..ROUNDS_TO_FIND;
        let found = rounds.any(|round| {
            let (ours, theirs, _) = one_round(seed(round), bug);
            ours != theirs
        });
        assert!(found, "{bug:?} wasn't found");
    }
}

fn seed(round: u64) -> u64 {
    setting("FUZZ_SEED", 1).wrapping_mul(0x1_0000_0000) + round
}

fn one_round(seed: u64, bug: Bug) -> (Answer, Answer, String) {
    let mut random = Random::new(seed);
    let (request, principal) = request(&mut random);
    let documents = documents(&mut random);
    let theirs = oracle::judge(&request, &documents);
    let ours = engine(&request, principal, &documents, bug);
    let told = format!(
        "{} {} of {} by {:?} {principal:?} keys {:?}\nrcp {:?}\nscp {:?}\nresource {:?}\nidentity {:?}\n\
         boundary {:?}\nsession {:?}",
        request.action,
        request.resource,
        request.owner,
        request.principal.kind,
        request.keys,
        documents.rcp,
        documents.scp,
        documents.resource,
        documents.identity,
        documents.boundary,
        documents.session
    );
    (ours, theirs, told)
}

fn engine(
    request: &Request,
    principal: PrincipalView<'_>,
    documents: &Documents,
    bug: Bug,
) -> Answer {
    let compile = |kind, documents: &[Value]| -> Vec<Policy> {
        let mut documents = documents.to_vec();
        if bug == Bug::LastDenyForgotten {
            documents.iter_mut().for_each(forget_last_deny);
        }
        let documents = documents.iter();
        documents
            .map(|document| parse(kind, &document.to_string()))
            .collect()
    };
    let several = |kind, documents: &Option<Vec<Value>>| {
        documents.as_ref().map(|documents| compile(kind, documents))
    };
    let one =
        |kind, document: &Option<Value>| compile(kind, document.as_slice()).into_iter().next();
    let of_resource = match documents.is_trust {
        true => PolicyKind::Trust,
        false => PolicyKind::Resource,
    };
    let rcp = compile(PolicyKind::Organization, &documents.rcp);
    let scp = several(PolicyKind::Organization, &documents.scp);
    let resource = one(of_resource, &documents.resource);
    let identity = compile(PolicyKind::Identity, &documents.identity);
    let boundary = one(PolicyKind::Identity, &documents.boundary);
    let session = several(PolicyKind::Identity, &documents.session);
    let (rcp, identity) = (attach(&rcp), attach(&identity));
    let (scp, session) = (scp.as_deref().map(attach), session.as_deref().map(attach));
    let layers = Layers {
        service_control: scp.as_deref(),
        resource_control: &rcp,
        resource: resource.as_ref().map(given),
        identity: &identity,
        boundary: boundary
            .as_ref()
            .map(given)
            .filter(|_| bug != Bug::NoBoundary),
        session: session.as_deref().filter(|_| bug != Bug::NoSession),
    };
    let keys = Keys(request.keys.clone().into_iter().collect());
    let filled = Filled(&keys);
    let lower = request.resource.to_lowercase();
    let owner = match bug {
        Bug::OwnAccount => principal.account().unwrap_or(AccountId::LAB),
        _ => request.owner.parse().unwrap(),
    };
    let inquiry = Inquiry {
        action: &request.action,
        resource: if bug == Bug::AnyCase {
            &lower
        } else {
            &request.resource
        },
        account: owner,
        principal,
        keys: if bug == Bug::MissingIsEmpty {
            &filled
        } else {
            &keys
        },
    };
    match checked(&inquiry, &layers).effect {
        Effect::Allowed => Answer::Allowed,
        Effect::ExplicitlyDenied => Answer::Explicit,
        Effect::ImplicitlyDenied => Answer::Implicit,
    }
}

fn attach(policies: &[Policy]) -> Vec<Attached<'_>> {
    policies.iter().map(given).collect()
}

fn forget_last_deny(document: &mut Value) {
    let statements = document["Statement"].as_array_mut().unwrap();
    if statements.len() > 1 && statements.last().is_some_and(|one| one["Effect"] == "Deny") {
        statements.pop();
    }
}

fn request(random: &mut Random) -> (Request, PrincipalView<'static>) {
    let account = AccountId::LAB;
    let root = format!("arn:aws:iam::{OWN}:root");
    let service = "s3.amazonaws.com";
    let (kind, view, names) = match random.below(8) {
        0 => (Kind::Root, PrincipalView::Root { account }, vec![root]),
        1 => {
            let name = service.to_owned();
            (
                Kind::Service,
                PrincipalView::Service { name: service },
                vec![name],
            )
        }
        2..=4 => {
            let view = PrincipalView::User {
                account,
                arn: ALICE,
                id: "",
            };
            (Kind::User, view, vec![root, ALICE.to_owned()])
        }
        _ => {
            let view = PrincipalView::Session {
                account,
                role: WORKER,
                session: SESSION,
                role_id: "",
            };
            let names = vec![root, WORKER.to_owned(), SESSION.to_owned()];
            (Kind::Session, view, names)
        }
    };
    let own = if kind == Kind::Service { "" } else { OWN };
    let mut keys = BTreeMap::new();
    for (key, values) in KEYS {
        if random.one_in(4) {
            continue;
        }
        let count = if random.one_in(4) { random.below(3) } else { 1 };
        let values = (0..count)
            .map(|_| (*random.of(values)).to_owned())
            .collect();
        keys.insert(key.to_owned(), values);
    }
    let request = Request {
        action: (*random.of(&["s3:GetObject", "s3:PutObject", "iam:GetUser"])).to_owned(),
        resource: (*random.of(&RESOURCES)).to_owned(),
        owner: (*random.of(&[OWN, OWN, OTHER])).to_owned(),
        principal: oracle::Principal {
            kind,
            account: own.to_owned(),
            names,
        },
        keys,
    };
    (request, view)
}

const RESOURCES: [&str; 6] = [
    "*",
    "arn:aws:s3:::b/alice/x",
    "arn:aws:s3:::b/A*",
    "arn:aws:s3:::B",
    "arn:aws:sqs:us-east-1:111122223333:q:alice",
    "arn:aws:s3:::b/é",
];

/// Keys in lower case and the values that requests and policies have for them.
const KEYS: [(&str, &[&str]); 7] = [
    ("aws:username", &["alice", "Alice", "bob", "*", ""]),
    ("k:number", &["1", "2.0", "2", "-3", "x"]),
    (
        "k:date",
        &[
            "2020-01-01",
            "2020-01-02T00:00:00Z",
            "1577836800",
            "2021-01-01",
        ],
    ),
    ("k:bool", &["true", "false", "TRUE", "x"]),
    (
        "k:address",
        &[
            "192.0.2.1",
            "192.0.2.200",
            "2001:db8::1",
            "::ffff:192.0.2.1",
        ],
    ),
    (
        "k:arn",
        &[
            "arn:aws:s3:::b",
            "arn:aws:iam::111122223333:user/alice",
            "arn:aws:s3",
            "x",
        ],
    ),
    ("k:binary", &["QUJD", "REVG"]),
];

const ACTIONS: [&str; 8] = [
    "*",
    "s3:*",
    "S3:getobject",
    "s3:?et*",
    "iam:Get*",
    "s3:PutObject",
    "*:GetUser",
    "s3:*ect",
];

const PATTERNS: [&str; 13] = [
    "*",
    "arn:aws:s3:::b/*",
    "arn:aws:s3:::b",
    "arn:aws:s3:::b/${aws:username}/*",
    "arn:aws:s3:::b/${aws:none}",
    "arn:aws:s3:::b/${aws:none, 'alice'}/?",
    "arn:aws:s3:::b/A${*}",
    "arn:aws:s3:::?",
    "arn:aws:sqs:*:*:q:${aws:UserName}",
    "arn:aws:s3:::b/?",
    "arn:aws:s3:*",
    "arn:aws:s3",
    "arn:aws:sqs:us-east-?",
];

fn documents(random: &mut Random) -> Documents {
    let has_resource = random.one_in(2);
    let is_trust = has_resource && random.one_in(3);
    let of_resource = if is_trust { Of::Trust } else { Of::Resource };
    let optional = |random: &mut Random, of: Of, share: usize| {
        random.one_in(share).then(|| document(random, of))
    };
    let several = |random: &mut Random, of: Of| -> Vec<Value> {
        (0..random.below(3)).map(|_| document(random, of)).collect()
    };
    Documents {
        rcp: match random.one_in(6) {
            true => vec![document(random, Of::ResourceControl)],
            false => Vec::new(),
        },
        scp: random.one_in(4).then(|| several(random, Of::Identity)),
        resource: has_resource.then(|| document(random, of_resource)),
        is_trust,
        identity: several(random, Of::Identity),
        boundary: optional(random, Of::Identity, 3),
        session: random.one_in(3).then(|| several(random, Of::Identity)),
    }
}

/// What a document is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Identity,
    Resource,
    Trust,
    ResourceControl,
}

fn document(random: &mut Random, of: Of) -> Value {
    let count = 1 + random.below(3);
    let statements: Vec<Value> = (0..count).map(|_| statement(random, of)).collect();
    let version = if random.one_in(5) {
        "2008-10-17"
    } else {
        "2012-10-17"
    };
    json!({"Version": version, "Statement": statements})
}

fn some(random: &mut Random, choices: &[&str]) -> Value {
    match random.one_in(3) {
        true => json!([random.of(choices), random.of(choices)]),
        false => json!(random.of(choices)),
    }
}

fn statement(random: &mut Random, of: Of) -> Value {
    let mut statement = Map::new();
    let denies = of == Of::ResourceControl || random.one_in(5);
    let effect = if denies { "Deny" } else { "Allow" };
    statement.insert("Effect".to_owned(), json!(effect));
    let opposite = |random: &mut Random, name: &str, may: bool| match may && random.one_in(5) {
        true => format!("Not{name}"),
        false => name.to_owned(),
    };
    match of {
        Of::Trust => {
            statement.insert("Action".to_owned(), json!("sts:*"));
        }
        _ => {
            let name = opposite(random, "Action", of != Of::ResourceControl);
            statement.insert(name, some(random, &ACTIONS));
            let name = opposite(random, "Resource", true);
            statement.insert(name, some(random, &PATTERNS));
        }
    }
    match of {
        Of::Identity => {}
        Of::ResourceControl => {
            statement.insert("Principal".to_owned(), json!("*"));
        }
        Of::Resource | Of::Trust => {
            let name = opposite(random, "Principal", denies && of == Of::Resource);
            statement.insert(name, principal(random));
        }
    }
    // A Deny that applies to everything would leave nothing to see.
    let conditions = if denies {
        1 + random.below(2)
    } else {
        random.below(3)
    };
    let conditions: Map<String, Value> = (0..conditions).map(|_| condition(random)).collect();
    if !conditions.is_empty() {
        statement.insert("Condition".to_owned(), Value::Object(conditions));
    }
    Value::Object(statement)
}

fn principal(random: &mut Random) -> Value {
    let root = format!("arn:aws:iam::{OWN}:root");
    match random.below(9) {
        0 => json!("*"),
        1 => json!({"AWS": OWN}),
        2 => json!({"AWS": ALICE}),
        3 => json!({"AWS": WORKER}),
        4 => json!({"AWS": SESSION}),
        5 => json!({"Service": "s3.amazonaws.com"}),
        6 => json!({"AWS": [ALICE, root], "Service": ["ec2.amazonaws.com"]}),
        7 => json!({"AWS": [SESSION, WORKER, root]}),
        _ => json!({"AWS": [OTHER, "arn:aws:iam::444455556666:user/carol"]}),
    }
}

/// Families of operators, the key that each is about, and what policies have as values.
const FAMILIES: [(&[&str], &str, &[&str]); 7] = [
    (
        &[
            "StringEquals",
            "StringNotEquals",
            "StringEqualsIgnoreCase",
            "StringNotEqualsIgnoreCase",
            "StringLike",
            "StringNotLike",
        ],
        "aws:UserName",
        &[
            "alice",
            "ALICE",
            "a*",
            "?ob",
            "${aws:username}",
            "${aws:none}",
            "${*}",
            "",
            "*",
        ],
    ),
    (
        &[
            "NumericEquals",
            "NumericNotEquals",
            "NumericLessThan",
            "NumericLessThanEquals",
            "NumericGreaterThan",
            "NumericGreaterThanEquals",
        ],
        "k:number",
        &["1", "2", "-3.0"],
    ),
    (
        &[
            "DateEquals",
            "DateNotEquals",
            "DateLessThan",
            "DateLessThanEquals",
            "DateGreaterThan",
            "DateGreaterThanEquals",
        ],
        "k:date",
        &["2020-01-01T00:00:00Z", "2020-01-02", "1577836800"],
    ),
    (&["Bool"], "k:bool", &["true", "false"]),
    (
        &["IpAddress", "NotIpAddress"],
        "k:address",
        &[
            "192.0.2.0/25",
            "192.0.2.200",
            "2001:db8::/32",
            "0.0.0.0/0",
            "::/0",
        ],
    ),
    (
        &["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"],
        "k:arn",
        &[
            "arn:aws:s3:::*",
            "arn:*:*::*:user/${aws:username}",
            "*",
            "arn:aws:*",
            "arn:aws:s3:::${aws:none}",
        ],
    ),
    (&["BinaryEquals"], "k:binary", &["QUJD", "REVG"]),
];

fn condition(random: &mut Random) -> (String, Value) {
    if random.one_in(12) {
        let key = random.of(&KEYS).0;
        return (
            "Null".to_owned(),
            json!({key: some(random, &["true", "false"])}),
        );
    }
    let (operators, key, values) = random.of(&FAMILIES);
    let set = random.of(&["", "", "ForAllValues:", "ForAnyValue:"]);
    let end = random.of(&["", "", "IfExists"]);
    let operator = format!("{set}{}{end}", random.of(operators));
    // Every operator but those of texts refuses what it can't read.
    (operator, json!({*key: some(random, values)}))
}
