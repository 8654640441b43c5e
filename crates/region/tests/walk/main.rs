//! Every operation of every service, through the front door of a Region: none runs without a caller
//! who is verified and allowed. The rows come from the services' own tables, so that a new one is
//! walked too.

mod lab;
mod operator;
mod policies;
mod requests;

use lab::{Answer, Key, Lab, Signed};
use requests::{Ask, Place};

/// Operations that need no permission, by AWS's own word (STS API Reference): who adds one to a
/// table must add it here.
const ANYONE: [&str; 2] = ["sts:GetCallerIdentity", "sts:GetSessionToken"];

/// AWS doesn't say why nobody but those may whom the role trusts.
const UNEXPLAINED: &str = "sts:AssumeRole";

const ALLOW: &str = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;
const DENY: &str = r#"{"Effect":"Deny","Action":"*","Resource":"*"}"#;

fn policy(statements: &[&str]) -> String {
    let statements = statements.join(",");
    format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)
}

/// Asks for every row and gives each answer to `judge`.
fn walk(lab: &Lab, asks: &[Ask], signed: &Signed<'_>, judge: impl Fn(&Ask, &Answer)) {
    for ask in asks {
        let answer = lab.send(ask, signed);
        judge(ask, &answer);
    }
}

/// Walks through every row, and holds that nothing came of it.
fn walk_in_vain(lab: &Lab, asks: &[Ask], signed: &Signed<'_>, judge: impl Fn(&Ask, &Answer)) {
    let before = lab.state();
    walk(lab, asks, signed, |ask, answer| {
        judge(ask, answer);
        assert_eq!(lab.state(), before, "{} changed something", ask.action);
    });
}

/// Is refused with one of these codes, whatever is asked for.
fn refused(codes: &'static [&'static str]) -> impl Fn(&Ask, &Answer) {
    move |ask, answer| {
        assert!(answer.status >= 400, "{}: {answer:?}", ask.action);
        let code = answer.code();
        assert!(codes.contains(&code.as_str()), "{}: {answer:?}", ask.action);
    }
}

#[test]
fn no_operation_runs_without_a_verified_and_allowed_caller() {
    let lab = Lab::new();
    let place = Place::prepare(&lab);
    let asks = requests::every_row(&place);
    assert!(asks.len() > 300, "{} rows", asks.len());

    let nobody = lab.user("nobody", None);
    let denied = lab.user("denied", Some(&policy(&[ALLOW, DENY])));
    let inactive = lab.user("inactive", Some(&policy(&[ALLOW])));
    lab.deactivate("inactive", &inactive);
    let allowed = lab.user("allowed", Some(&policy(&[ALLOW])));
    lab.settle();

    let unsigned = refused(&[
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
    ]);
    walk_in_vain(&lab, &asks, &Signed::Nobody, unsigned);
    let tampered = refused(&["SignatureDoesNotMatch", "InvalidSignatureException"]);
    let wrong = Key {
        secret: nobody.secret.chars().rev().collect(),
        ..allowed.clone()
    };
    walk_in_vain(&lab, &asks, &Signed::By(&wrong), tampered);
    let unknown = || refused(&["InvalidClientTokenId", "UnrecognizedClientException"]);
    let stranger = Key {
        id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        ..allowed.clone()
    };
    walk_in_vain(&lab, &asks, &Signed::By(&stranger), unknown());
    walk_in_vain(&lab, &asks, &Signed::By(&inactive), unknown());

    for (caller, because) in [
        (&nobody, "because no "),
        (&denied, "with an explicit deny in an identity-based policy"),
    ] {
        walk_in_vain(&lab, &asks, &Signed::By(caller), |ask, answer| {
            judged(ask, answer, because);
        });
    }
    walk(&lab, &asks, &Signed::By(&allowed), |ask, answer| {
        if ask.built {
            let code = answer.code();
            assert!(!code.contains("AccessDenied"), "{}: {answer:?}", ask.action);
            assert!(answer.status < 500, "{}: {answer:?}", ask.action);
        }
    });
}

/// A verified caller whom no policy allows it: refused for that reason, or told it isn't built.
fn judged(ask: &Ask, answer: &Answer, because: &str) {
    if !ask.built {
        let told = answer.code().contains("NotImplemented");
        assert!(told, "{}: {answer:?}", ask.action);
        return;
    }
    if ANYONE.contains(&ask.action.as_str()) {
        assert_eq!(answer.status, 200, "{}: {answer:?}", ask.action);
        return;
    }
    let code = answer.code();
    let is_denial = matches!(code.as_str(), "AccessDenied" | "AccessDeniedException");
    assert!(is_denial, "{}: {answer:?}", ask.action);
    let told = answer.message();
    let expected = format!("is not authorized to perform: {}", ask.action);
    assert!(told.contains(&expected), "{}: {told}", ask.action);
    let explained = ask.action == UNEXPLAINED || told.contains(because);
    assert!(explained, "{}: {told}", ask.action);
}

#[test]
fn what_a_user_may_changes_with_its_policies_and_keys() {
    let lab = Lab::new();
    let place = Place::prepare(&lab);
    let asks = requests::every_row(&place);
    let list = asks.iter().find(|ask| ask.action == "dynamodb:ListTables");
    let list = list.expect("there is such a row");
    let code = |key: &Key| lab.send(list, &Signed::By(key)).code();
    let key = lab.user("alice", None);
    assert_eq!(code(&key), "AccessDeniedException");
    lab.allow("alice", &policy(&[ALLOW]));
    assert_eq!(code(&key), "");
    lab.allow("alice", &policy(&[ALLOW, DENY]));
    assert_eq!(code(&key), "AccessDeniedException");
    lab.deactivate("alice", &key);
    assert_eq!(code(&key), "UnrecognizedClientException");
}
