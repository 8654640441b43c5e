//! Documents mutated at random, from a seed. Whatever comes: no panic, no acceptance of what is
//! no JSON, a place inside the document, and a policy means the same in every layer.
//!
//! `FUZZ_ROUNDS` sets how many documents are made; `FUZZ_SEED` from where.

use aws::access::PolicyKind;
use identity::policy::{Effect, Inquiry, Layers, MAX_DOCUMENT, Policy, PolicyError, size};
use types::AccountId;

use crate::keys::Keys;
use crate::random::{Random, setting};
use crate::table::{blocks, checked, given, parse, who};

/// Documents that the test command tries.
const ROUNDS: u64 = 12_000;

const KINDS: [PolicyKind; 4] = [
    PolicyKind::Identity,
    PolicyKind::Resource,
    PolicyKind::Trust,
    PolicyKind::Organization,
];

fn corpus() -> Vec<String> {
    let is_question = |line: &&str| line.contains(" -> ");
    let examples = blocks(include_str!("examples.txt")).into_iter();
    let mut documents: Vec<String> = examples
        .map(|(_, lines)| {
            let lines: Vec<&str> = lines
                .into_iter()
                .filter(|line| !is_question(line))
                .collect();
            lines.join("\n")
        })
        .collect();
    let malformed = blocks(include_str!("malformed.txt")).into_iter();
    documents.extend(malformed.map(|(_, lines)| lines[1..].join("\n")));
    documents
}

/// What a policy's grammar is made of.
const PIECES: [&str; 34] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "*",
    "?",
    "${",
    "${aws:username}",
    "${*}",
    "\\u0041",
    "\\ud800",
    "\u{fffe}",
    "é",
    "null",
    "true",
    "1e9",
    "-0.5",
    "\"Effect\":\"Allow\",",
    "\"Effect\":\"Deny\",",
    "\"Action\":\"*\",",
    "\"NotAction\":[],",
    "\"Resource\":\"*\",",
    "\"NotResource\":\"arn:aws:s3:::b\",",
    "\"Principal\":\"*\",",
    "\"NotPrincipal\":{\"AWS\":\"111122223333\"},",
    "\"Condition\":{},",
    "\"StringNotLike\":{\"aws:username\":\"a*\"},",
    "\"ForAllValues:NumericLessThan\":{\"k\":5},",
    "\"Version\":\"2012-10-17\",",
    "arn:aws:iam::111122223333:user/alice",
    " \n\t",
];

fn mutate(document: &str, other: &str, random: &mut Random) -> String {
    let mut bytes = document.as_bytes().to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => _ = bytes.remove(at),
            2 => bytes.truncate(at),
            3 => {
                let end = (at + random.below(40)).min(bytes.len());
                let piece: Vec<u8> = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            4 => {
                let end = (at + random.below(20)).min(bytes.len());
                bytes.drain(at..end);
            }
            5 => {
                let from = random.below(other.len());
                let end = (from + random.below(60)).min(other.len());
                bytes.splice(at..at, other.as_bytes()[from..end].iter().copied());
            }
            _ => {
                let piece = random.of(&PIECES).bytes();
                bytes.splice(at..at, piece);
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn check_error(document: &str, error: &PolicyError) {
    let lines: Vec<&str> = document.split('\n').collect();
    let line = error.position.line as usize;
    assert!((1..=lines.len()).contains(&line), "{error}\n{document}");
    let column = error.position.column as usize;
    let longest = lines[line - 1].chars().count() + 1;
    assert!((1..=longest).contains(&column), "{error}\n{document}");
    assert!(error.to_string().contains(&error.position.to_string()));
}

/// Asks a policy in every layer that it can be in.
fn check_policy(document: &str, policy: &Policy) {
    let everything = parse(
        PolicyKind::Identity,
        r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#,
    );
    let keys = Keys::of([
        ("aws:username", &["alice"]),
        ("aws:SecureTransport", &["true"]),
        ("aws:TagKeys", &["a", "b"]),
    ]);
    let (own, all) = ([given(policy)], [given(&everything)]);
    for name in ["alice", "session", "root", "s3", "carol"] {
        for action in ["s3:GetObject", "sts:AssumeRole", "x"] {
            let inquiry = Inquiry {
                action,
                resource: "arn:aws:s3:::b/x",
                account: AccountId::LAB,
                principal: who(name),
                keys: &keys,
            };
            let effect = |layers: Layers<'_>| checked(&inquiry, &layers).effect;
            let layers = Layers::default();
            if policy.names_principals() {
                effect(Layers {
                    resource: Some(own[0]),
                    resource_control: &own,
                    ..layers
                });
                continue;
            }
            let identity = effect(Layers {
                identity: &own,
                ..layers
            });
            if name != "alice" {
                continue;
            }
            let identity_all = Layers {
                identity: &all,
                ..layers
            };
            let others = [
                Layers {
                    boundary: Some(own[0]),
                    ..identity_all
                },
                Layers {
                    session: Some(&own),
                    ..identity_all
                },
                Layers {
                    service_control: Some(&own),
                    ..identity_all
                },
            ];
            for layers in others {
                assert_eq!(effect(layers), identity, "{document}");
            }
        }
    }
}

#[test]
fn no_document_does_harm() {
    let corpus = corpus();
    let seed = setting("FUZZ_SEED", 1);
    let (mut accepted, mut refused) = (0u32, 0u32);
    for round in 0..setting("FUZZ_ROUNDS", ROUNDS) {
        let mut random = Random::new(seed.wrapping_mul(0x1_0000_0000) + round);
        let (document, other) = (random.of(&corpus), random.of(&corpus));
        let document = match random.one_in(16) {
            true => document.clone(),
            false => mutate(document, other, &mut random),
        };
        let is_json = serde_json::from_str::<serde_json::Value>(&document).is_ok();
        assert!(size(&document) <= document.chars().count());
        for kind in KINDS {
            match Policy::parse(kind, &document) {
                Ok(policy) => {
                    assert!(is_json, "{document}");
                    check_policy(&document, &policy);
                    accepted += 1;
                }
                Err(error) => {
                    check_error(&document, &error);
                    refused += 1;
                }
            }
        }
    }
    assert!(
        accepted > 100 && refused > 1000,
        "{accepted} accepted, {refused} refused"
    );
}

/// Documents that are made to take long: each ends at a limit or costs no more than its size.
#[test]
fn documents_that_want_to_take_long_do_not() {
    let statement = |resource: &str| {
        format!(r#"{{"Statement": {{"Effect": "Allow", "Action": "*", "Resource": {resource}}}}}"#)
    };
    let repeated = |piece: &str, count| piece.repeat(count);
    let refused = [
        repeated("[", MAX_DOCUMENT),
        repeated("{\"a\":", MAX_DOCUMENT / 5),
        repeated(" ", MAX_DOCUMENT + 1),
        format!("{{\"Statement\": [{}1]}}", repeated("{},", 10_000)),
        statement(&format!("[{}\"*\"]", repeated("\"*\",", 2_000))),
        format!("{{{}\"a\":1}}", repeated("\"a\":1,", 10_000)),
        format!("\"{}", repeated("\\u0041", 20_000)),
        format!("{{\"Version\": 1{}}}", repeated("0", 100_000)),
    ];
    for document in &refused {
        for kind in KINDS {
            check_error(document, &Policy::parse(kind, document).unwrap_err());
        }
    }
    let resource = format!("arn:aws:s3:::{}", repeated("a", 2_000));
    let patterns = [
        format!("arn:aws:s3:::{}b", repeated("*a", 1_000)),
        format!("arn:aws:s3:::*{}b*", repeated("a", 1_999)),
        format!("arn:aws:s3:::{}b", repeated("?*", 1_000)),
        format!("arn:aws:s3:::{}", repeated("${aws:username}", 2_000)),
    ];
    let keys = Keys::of([("aws:username", &[resource.as_str()])]);
    for pattern in patterns {
        let document = statement(&format!("\"{pattern}\"")).replacen(
            "{\"Statement\"",
            "{\"Version\": \"2012-10-17\", \"Statement\"",
            1,
        );
        let policy = parse(PolicyKind::Identity, &document);
        let inquiry = Inquiry {
            action: "s3:GetObject",
            resource: &resource,
            account: AccountId::LAB,
            principal: who("alice"),
            keys: &keys,
        };
        let own = [given(&policy)];
        let layers = Layers {
            identity: &own,
            ..Layers::default()
        };
        assert_eq!(
            checked(&inquiry, &layers).effect,
            Effect::ImplicitlyDenied,
            "{pattern}"
        );
    }
}
