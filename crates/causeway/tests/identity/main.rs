//! Who may call a real lab: keys and sessions made in one Region and used in others, a key that is
//! revoked, a Region that is cut off, restarts, and that no secret is ever written in the open.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test starts processes, opens sockets and waits"
)]

mod caller;
#[path = "../support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use aws::signature::Rules;
use caller::{Caller, element};
use serde_json::{Value, json};
use support::{Lab, eventually};

const VIRGINIA: &str = "us-east-1";
const IRELAND: &str = "eu-west-1";
const SINGAPORE: &str = "ap-southeast-1";

/// How long a change may take from one Region to another: far more than any delay of the lab's
/// geography, since the machine may be busy.
const ARRIVAL: Duration = Duration::from_secs(15);

const ALLOW_TABLES: &str = r#"{"Version": "2012-10-17", "Statement":
    {"Sid": "Tables", "Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}}"#;

const ALLOW_ALL: &str = r#"{"Version": "2012-10-17", "Statement":
    {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;

fn three_regions(more: &[&str]) -> Lab {
    let regions = ["--regions", "us-east-1,eu-west-1,ap-southeast-1"];
    Lab::start(&[&regions[..], &["--edges", "0"], more].concat())
}

/// Makes a user with that policy, and a key of it.
fn user(root: &Caller, name: &str, policy: &str) -> Caller {
    root.must("iam", "CreateUser", &[("UserName", name)]);
    let parameters = [
        ("UserName", name),
        ("PolicyName", "own"),
        ("PolicyDocument", policy),
    ];
    root.must("iam", "PutUserPolicy", &parameters);
    let made = root.must("iam", "CreateAccessKey", &[("UserName", name)]);
    root.with(
        element(&made, "AccessKeyId"),
        element(&made, "SecretAccessKey"),
    )
}

fn within(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    eventually(what, || {
        assert!(begin.elapsed() < ARRIVAL, "still not so: {what}");
        holds()
    });
}

fn table(name: &str) -> Value {
    json!({
        "TableName": name, "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    })
}

const UNKNOWN: &str = "UnrecognizedClientException";

#[test]
fn a_key_works_in_every_region_until_it_is_revoked_in_all_and_never_for_the_control_api() {
    let lab = three_regions(&[]);
    let root = Caller::operator(&lab, VIRGINIA);
    let alice = user(&root, "alice", ALLOW_ALL);
    let regions = [(VIRGINIA, 1), (IRELAND, 2), (SINGAPORE, 3)];
    let everywhere = regions.map(|(region, number)| alice.at(region, number, &lab));
    for caller in &everywhere {
        within("the key has arrived", || caller.lists_tables().is_ok());
        // The service's scope names the Region that is called, whoever signs.
        let elsewhere = caller.of("sa-east-1");
        assert_eq!(
            elsewhere.lists_tables(),
            Err("InvalidSignatureException".to_owned())
        );
        let (status, text) = elsewhere.form("sts", "GetCallerIdentity", &[]);
        assert_eq!(status, 200, "{text}");
        let arn = "arn:aws:iam::111122223333:user/alice";
        assert_eq!(element(&text, "Arn"), arn);
        // One that the deployment has is to be asked itself.
        let another = match caller.region {
            VIRGINIA => IRELAND,
            _ => VIRGINIA,
        };
        let (status, text) = caller.of(another).form("sts", "GetCallerIdentity", &[]);
        assert_eq!(status, 403, "{text}");
    }
    // An administrator of the account is not the operator.
    let command = br#"{"command":"faults"}"#;
    let command = std::str::from_utf8(command).unwrap();
    let control = |caller: &Caller| {
        let rules = Rules::JSON;
        caller.send("causeway", rules, &[], "/control/v1", command)
    };
    assert_eq!(control(&root).0, 200);
    let (status, text) = control(&alice);
    assert!(status == 400 && text.contains("refuses"), "{text}");

    let listed = lab.json(&["identity", "list"]);
    assert_eq!(listed["users"][0]["keys"][0]["id"], alice.id);
    assert_eq!(listed["users"][0]["keys"][0]["state"], "active");
    let revoked = lab.json(&["identity", "revoke", &alice.id]);
    let told = revoked["regions"].as_array().unwrap();
    assert!(
        told.iter().all(|region| region["refuses"] == true),
        "{revoked}"
    );
    for caller in &everywhere {
        assert_eq!(caller.lists_tables(), Err(UNKNOWN.to_owned()));
    }
    let again = lab.causeway(&["identity", "revoke", &alice.id]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    // A Region that is down would take the key again from its start on.
    let bob = user(&root, "bob", ALLOW_ALL);
    lab.must(&["fault", "kill", SINGAPORE]);
    let revoked = lab.causeway(&["identity", "revoke", &bob.id]);
    assert_eq!(revoked.status.code(), Some(1), "{revoked:?}");
    let said = String::from_utf8(revoked.stdout).unwrap();
    let words = "is accepted until the Region has heard the others (it is killed)";
    assert!(
        said.contains(words) && said.contains("aws:TokenIssueTime"),
        "{said}"
    );
    // Its name in a scope is its own for STS as for DynamoDB: no other Region answers for it.
    for service in ["sts", "dynamodb"] {
        assert_eq!(answer_for(&root, SINGAPORE, service), None, "{service}");
        assert!(
            answer_for(&root, "sa-east-1", service).is_some(),
            "{service}"
        );
    }
}

/// What the front door's first bytes are for a request with that scope; none if it is reset.
fn answer_for(caller: &Caller, region: &str, service: &str) -> Option<Vec<u8>> {
    let mut connection = TcpStream::connect(caller.server).unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: lab\r\ncontent-length: 0\r\nauthorization: \
         AWS4-HMAC-SHA256 Credential=AKIA/20260101/{region}/{service}/aws4_request, \
         SignedHeaders=host, Signature=0\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).unwrap();
    let mut answer = vec![0; 64];
    let read = connection.read(&mut answer).unwrap_or(0);
    answer.truncate(read);
    (read > 0).then_some(answer)
}

/// The state of a Region's identity, as `status` has it.
fn state(lab: &Lab, region: &str) -> Value {
    let status = lab.json(&["status"]);
    let sites = status["sites"].as_array().unwrap();
    let site = sites.iter().find(|site| site["site"] == region);
    site.unwrap()["detail"]["identity"].clone()
}

#[test]
fn a_region_that_is_cut_off_judges_by_its_last_state_and_says_how_old_it_is() {
    let lab = three_regions(&["--delay-scale", "0"]);
    let root = Caller::operator(&lab, VIRGINIA).at(VIRGINIA, 1, &lab);
    let alice = user(&root, "alice", ALLOW_ALL);
    let in_ireland = |caller: &Caller| caller.at(IRELAND, 2, &lab);
    within("the key has arrived", || {
        in_ireland(&alice).lists_tables().is_ok()
    });
    for other in [VIRGINIA, SINGAPORE] {
        lab.must(&["fault", "cut", IRELAND, other, "--reset"]);
    }
    eventually("it hears no majority", || {
        state(&lab, IRELAND)["age_milliseconds"].is_u64()
    });
    let text = lab.causeway(&["status"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.contains("eu-west-1: identity: last state of "),
        "{text}"
    );
    assert!(text.contains("no majority heard"), "{text}");
    // What it knew goes on to hold there; what came since, it can't know.
    assert_eq!(in_ireland(&alice).lists_tables(), Ok(()));
    let bob = user(&root, "bob", ALLOW_ALL);
    assert_eq!(bob.lists_tables(), Ok(()));
    assert_eq!(in_ireland(&bob).lists_tables(), Err(UNKNOWN.to_owned()));
    let (status, text) = in_ireland(&root).form("iam", "CreateUser", &[("UserName", "carol")]);
    assert_eq!(
        (status, element(&text, "Code")),
        (400, "Throttling"),
        "{text}"
    );
    // A session needs no majority: it is stored nowhere.
    let (status, text) = in_ireland(&alice).form("sts", "GetSessionToken", &[]);
    assert_eq!(status, 200, "{text}");
    let session = in_ireland(&alice).in_session(&text);
    assert_eq!(session.lists_tables(), Ok(()));
    let revoked = lab.causeway(&["identity", "revoke", &bob.id]);
    assert_eq!(
        revoked.status.code(),
        Some(1),
        "one is cut off: {revoked:?}"
    );
    lab.must(&["fault", "heal"]);
    let carol = user(&root, "carol", ALLOW_ALL);
    within("the key has arrived", || {
        in_ireland(&carol).lists_tables().is_ok()
    });
    assert_eq!(in_ireland(&bob).lists_tables(), Err(UNKNOWN.to_owned()));
    eventually("it is current again", || {
        state(&lab, IRELAND)["age_milliseconds"].is_null()
    });
}

/// Files under that directory whose bytes hold one of the secrets.
fn files_with(directory: &Path, secrets: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, secrets));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for (number, secret) in secrets.iter().enumerate() {
            let mut windows = bytes.windows(secret.len());
            if windows.any(|window| window == secret.as_bytes()) {
                found.push(format!("secret {number} in {}", path.display()));
            }
        }
    }
    found
}

#[test]
fn sessions_and_keys_survive_restarts_and_no_secret_stands_in_a_file_or_log() {
    let mut lab = three_regions(&["--delay-scale", "0"]);
    let root = Caller::operator(&lab, VIRGINIA);
    let made = lab.json(&["identity", "create-account", "444455556666"]);
    let other = root.with(
        made["access_key_id"].as_str().unwrap(),
        made["secret_access_key"].as_str().unwrap(),
    );
    let assume = r#"{"Version": "2012-10-17", "Statement":
        {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}"#;
    let alice = user(&root, "alice", assume);
    let trust = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111122223333:user/alice"}, "Action": "sts:AssumeRole"}}"#;
    let role = [("RoleName", "writer"), ("AssumeRolePolicyDocument", trust)];
    root.must("iam", "CreateRole", &role);
    let policy = [
        ("RoleName", "writer"),
        ("PolicyName", "tables"),
        ("PolicyDocument", ALLOW_TABLES),
    ];
    root.must("iam", "PutRolePolicy", &policy);
    let arn = "arn:aws:iam::111122223333:role/writer";
    let session = [("RoleArn", arn), ("RoleSessionName", "night")];
    let session = alice.in_session(&alice.must("sts", "AssumeRole", &session));
    // Made in Virginia, used in Ireland: no Region had to be told of the session.
    let writer = session.of(IRELAND);
    within("the role has arrived", || {
        writer.dynamodb("CreateTable", &table("Orders")).is_ok()
    });
    assert_eq!(
        alice.of(IRELAND).lists_tables(),
        Err("AccessDeniedException".to_owned())
    );
    let put = json!({"TableName": "Orders", "Item": {"id": {"S": "1"}}});
    writer.dynamodb("PutItem", &put).unwrap();
    // An account sees its own.
    let tables = other.of(IRELAND).dynamodb("ListTables", &json!({}));
    assert_eq!(tables.unwrap()["TableNames"], json!([]));

    lab.down();
    lab.up();
    let get = json!({"TableName": "Orders", "Key": {"id": {"S": "1"}}, "ConsistentRead": true});
    let item = writer.dynamodb("GetItem", &get).unwrap();
    assert_eq!(item["Item"]["id"]["S"], "1");
    assert_eq!(other.lists_tables(), Ok(()));
    let (status, text) = alice.form("sts", "GetCallerIdentity", &[]);
    assert_eq!(status, 200, "{text}");

    let operator_key = std::fs::read_to_string(lab.data().with_extension("key"));
    let text = |secret: &aws::signature::SecretKey| secret.expose().to_owned();
    let secrets = [
        text(&root.secret),
        text(&alice.secret),
        text(&other.secret),
        text(&session.secret),
        session.token.clone().unwrap(),
        operator_key.unwrap().trim().to_owned(),
    ];
    assert_eq!(files_with(&lab.data(), &secrets), Vec::<String>::new());
    let said = lab.said();
    assert!(secrets.iter().all(|secret| !said.contains(secret)));
}

#[test]
fn a_request_is_judged_by_its_client_s_address_whatever_the_client_says() {
    let lab = Lab::start(&["--regions", VIRGINIA, "--edges", "0"]);
    let root = Caller::operator(&lab, VIRGINIA);
    let policy = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
        "Action": "dynamodb:ListTables", "Resource": "*", "Condition": {
            "IpAddress": {"aws:SourceIp": "127.64.3.0/24"},
            "Bool": {"aws:SecureTransport": "false"}}}}"#;
    let alice = user(&root, "alice", policy);
    let in_place = Caller {
        from: "127.64.3.7".parse().unwrap(),
        ..alice.clone()
    };
    assert_eq!(in_place.lists_tables(), Ok(()));
    let denied = Err("AccessDeniedException".to_owned());
    assert_eq!(alice.lists_tables(), denied);
    let forged = format!("{} http 127.64.3.7", "0".repeat(64));
    for caller in [&alice, &alice.at(VIRGINIA, 1, &lab)] {
        // Signed, it is no longer what was signed once the door has replaced it.
        let headers = [("x-forwarded-for", "127.64.3.7")];
        let told = caller.dynamodb_with("ListTables", &json!({}), &headers);
        assert_eq!(told.map(drop), denied, "{}", caller.server);
        let headers = [("x-causeway-client", forged.as_str())];
        let told = caller.dynamodb_with("ListTables", &json!({}), &headers);
        assert!(told.is_err(), "{}", caller.server);
    }
    // At the Region's own address the connection's peer is the client.
    assert_eq!(in_place.at(VIRGINIA, 1, &lab).lists_tables(), Ok(()));

    // The operator is told the same, and why.
    let explain = |words: &[&str]| {
        let asked = ["identity", "explain", "dynamodb:ListTables", "*", "--as"];
        let output = lab.causeway(&[&asked[..], words].concat());
        let said = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), said)
    };
    let (code, said) = explain(&["alice", "--context", "aws:SourceIp=127.64.3.7"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("statement 0: applies, and decides"), "{said}");
    let (code, said) = explain(&["user/alice", "--json"]);
    assert_eq!(code, Some(1), "{said}");
    let told: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(told["allowed"], false);
    let identity = told["layers"].as_array().unwrap().iter();
    let mut identity = identity.filter(|layer| layer["layer"] == "identity");
    let statement = &identity.next().unwrap()["statements"][0];
    let why = statement["mismatch"].as_str().unwrap();
    assert!(why.contains("IpAddress of aws:SourceIp"), "{why}");
    let (code, said) = explain(&["user/nobody"]);
    assert_eq!((code, said.as_str()), (Some(2), ""));
}
