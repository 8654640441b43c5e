//! No single byte of what was signed can change unnoticed, and rubbish is refused, not fatal.

use aws::signature::{Credentials, Target, scope_of, sign};
use http::{HeaderValue, Method, Uri};
use proptest::prelude::*;

use super::*;

const BODY: &[u8] = br#"{"TableName":"Orders","Key":{"id":{"S":"42"}}}"#;
const URI: &str = "/orders/42?first=1&second=two%20words";

fn request() -> Parts {
    let headers = [
        ("Host", "127.0.0.1:4566"),
        ("X-Amz-Target", "DynamoDB_20120810.GetItem"),
        ("Content-Type", "application/x-amz-json-1.0"),
        ("X-Amz-Meta-Note", "some words here"),
    ];
    let mut parts = parts("POST", URI, &headers);
    let secret = secret();
    let credentials = Credentials {
        access_key_id: KEY,
        secret: &secret,
        session_token: None,
    };
    let target = Target {
        service: "dynamodb",
        region: region(),
        rules: Rules::JSON,
    };
    sign(&mut parts, BODY, &credentials, &target, NOW).unwrap();
    parts
}

fn holds(parts: &Parts, body: &[u8]) -> bool {
    verify(parts, body, "dynamodb", Rules::JSON, NOW).is_ok()
}

/// Texts that differ from `bytes` in one byte: each bit flipped, and each character that has a
/// meaning in some part of a request.
fn mutations(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let meaningful = *b" \t,;:=&%/?#+.0aA";
    (0..bytes.len()).flat_map(move |position| {
        let byte = bytes[position];
        let flipped = (0..8).map(move |bit| byte ^ (1 << bit));
        let others = flipped
            .chain(meaningful)
            .filter(move |other| *other != byte);
        others.map(move |other| {
            let mut mutated = bytes.to_vec();
            mutated[position] = other;
            mutated
        })
    })
}

#[test]
fn any_changed_byte_of_a_signed_request_is_noticed() {
    let original = request();
    assert!(holds(&original, BODY));
    let mut tried = 0;
    for body in mutations(BODY) {
        assert!(!holds(&original, &body));
    }
    for method in mutations(b"POST") {
        if let Ok(method) = Method::from_bytes(&method) {
            let mut parts = original.clone();
            parts.method = method;
            assert!(!holds(&parts, BODY));
        }
    }
    for uri in mutations(URI.as_bytes()) {
        // An unencoded space or its other spelling would be the same query; neither is made by
        // changing one byte of this one. A `#` makes the rest a fragment, which isn't sent.
        if let Ok(uri) = Uri::try_from(uri) {
            let mut parts = original.clone();
            parts.uri = uri;
            assert!(!holds(&parts, BODY), "{}", parts.uri);
            tried += 1;
        }
    }
    let names: Vec<_> = original.headers.keys().cloned().collect();
    assert_eq!(names.len(), 6);
    for name in names {
        let value = original.headers[&name].as_bytes();
        for mutated in mutations(value) {
            // A tab for a space folds to the same value, by the algorithm's own rule; and after
            // a comma of the Authorization header any white space, or none, is the same too.
            let printed = String::from_utf8_lossy(&mutated).replace('\t', " ");
            if printed.as_bytes() == value {
                continue;
            }
            if let Ok(mutated) = HeaderValue::from_bytes(&mutated) {
                let mut parts = original.clone();
                parts.headers.insert(&name, mutated);
                let same = name == "authorization" && printed.contains(",,");
                assert!(same || !holds(&parts, BODY), "{name}: {printed}");
                tried += 1;
            }
        }
    }
    assert!(tried > 5_000, "{tried}");
}

#[test]
fn any_changed_byte_of_a_presigned_request_is_noticed() {
    for (service, host, uri, _) in vectors::PRESIGNED {
        let rules = if service == "s3" {
            Rules::OBJECTS
        } else {
            Rules::QUERY
        };
        let original = parts("GET", uri, &[("Host", host)]);
        for mutated in mutations(uri.as_bytes()) {
            let Ok(mutated) = Uri::try_from(mutated) else {
                continue;
            };
            let mut parts = original.clone();
            parts.uri = mutated;
            // Two spellings of one escape are one request: `%2f` for `%2F`.
            let spelled_otherwise = spelled(&parts.uri) == spelled(&original.uri);
            let held = verify(&parts, b"", service, rules, NOW).is_ok();
            assert!(!held || spelled_otherwise, "{}", parts.uri);
        }
    }
}

/// The URI with its escapes in capitals.
fn spelled(uri: &Uri) -> String {
    let mut digits = 0;
    let capital = |character: char| {
        let in_escape = digits > 0;
        digits = if character == '%' {
            2
        } else {
            digits.max(1) - 1
        };
        if in_escape {
            character.to_ascii_uppercase()
        } else {
            character
        }
    };
    uri.to_string().chars().map(capital).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rubbish_is_refused(
        header in proptest::collection::vec(any::<u8>(), 0..200),
        query in "[ -~]{0,100}",
    ) {
        let mut parts = request();
        parts.headers.remove("authorization");
        if let Ok(value) = HeaderValue::from_bytes(&header) {
            parts.headers.insert("authorization", value);
        }
        if let Ok(uri) = Uri::try_from(format!("/?{query}")) {
            parts.uri = uri;
        }
        let _ = scope_of(&parts);
        prop_assert!(!holds(&parts, BODY));
    }

    #[test]
    fn what_looks_like_a_signature_is_refused(
        parameters in proptest::collection::vec(
            "(AWS4-HMAC-SHA256 )?(Credential|SignedHeaders|Signature)?=?[a-z0-9;/]{0,40}[, ]{0,2}",
            0..5,
        ),
        date in "[0-9TZ]{0,18}",
        name in "X-Amz-(Algorithm|Credential|Date|Expires|Signature|SignedHeaders)",
        value in "[A-Za-z0-9%/+-]{0,30}",
    ) {
        let mut parts = request();
        parts.headers.insert("authorization", parameters.concat().parse().unwrap());
        parts.headers.insert("x-amz-date", date.parse().unwrap());
        let _ = scope_of(&parts);
        prop_assert!(!holds(&parts, BODY));
        parts.headers.remove("authorization");
        let query = format!("X-Amz-Algorithm=AWS4-HMAC-SHA256&{name}={value}");
        if let Ok(uri) = Uri::try_from(format!("/?{query}")) {
            parts.uri = uri;
        }
        let _ = scope_of(&parts);
        prop_assert!(verify(&parts, BODY, "dynamodb", Rules::QUERY, NOW).is_err());
    }
}
