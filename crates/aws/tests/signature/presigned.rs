//! Presigned URLs: who takes them, for how long, what of the request they cover. (botocore's own
//! are in `vectors.rs`, the published suite's in `suite.rs`.)

use aws::signature::{Credentials, Form, SignError, Target, presign, scope_of};

use super::*;

const WEEK: u64 = 604_800;

fn presigned(service: &str, rules: Rules, id: &str, token: Option<&str>, seconds: u64) -> Parts {
    let mut parts = parts("PUT", "/key?partNumber=1", &[("Host", "b.example")]);
    let secret = secret();
    let credentials = Credentials {
        access_key_id: id,
        secret: &secret,
        session_token: token,
    };
    let target = Target {
        service,
        region: region(),
        rules,
    };
    presign(&mut parts, b"body", seconds, &credentials, &target, NOW).unwrap();
    parts
}

/// The request with another query, and all else as it is.
fn with_query(parts: &Parts, change: impl FnOnce(&str) -> String) -> Parts {
    let uri = change(&parts.uri.to_string());
    let mut parts = parts.clone();
    parts.uri = uri.parse().unwrap();
    parts
}

const TAKERS: [(&str, Rules); 3] = [
    ("s3", Rules::OBJECTS),
    ("sts", Rules::QUERY),
    ("rds", Rules::QUERY),
];

#[test]
fn a_presigned_request_is_good_for_its_seconds_and_seven_days_at_most() {
    for (service, rules) in TAKERS {
        for seconds in [1, 60, WEEK] {
            let parts = presigned(service, rules, KEY, None, seconds);
            let at = |milliseconds: u64| {
                let now = Timestamp(NOW.0 + milliseconds);
                verify(&parts, b"body", service, rules, now)
            };
            let verified = at(0).unwrap();
            assert_eq!(verified.form, Form::Query);
            assert_eq!(scope_of(&parts), verified.scope);
            at(seconds * 1000).unwrap();
            let error = at(seconds * 1000 + 1000).unwrap_err();
            assert!(matches!(error, SignatureError::Expired { .. }), "{error}");
            let longer = with_query(&parts, |uri| {
                uri.replace(
                    &format!("Expires={seconds}"),
                    &format!("Expires={}", seconds + 1),
                )
            });
            let error = verify(&longer, b"body", service, rules, NOW).unwrap_err();
            assert!(matches!(
                error,
                SignatureError::Mismatch | SignatureError::PresignedLifetime
            ));
        }
        let without = presigned(service, rules, KEY, None, 60);
        let without = with_query(&without, |uri| uri.replace("X-Amz-Expires", "Other"));
        let error = verify(&without, b"body", service, rules, NOW).unwrap_err();
        assert_eq!(error, SignatureError::PresignedLifetime);
    }
}

#[test]
fn our_signer_makes_none_that_would_be_refused() {
    let secret = secret();
    let credentials = Credentials {
        access_key_id: KEY,
        secret: &secret,
        session_token: None,
    };
    for (rules, seconds, expected) in [
        (Rules::QUERY, 0, SignError::Lifetime(0)),
        (Rules::QUERY, WEEK + 1, SignError::Lifetime(WEEK + 1)),
        (Rules::JSON, 60, SignError::NotTaken("presigned URL")),
    ] {
        let mut parts = parts("GET", "http://b.example/", &[]);
        let target = Target {
            service: "sts",
            region: region(),
            rules,
        };
        let signed = presign(&mut parts, b"", seconds, &credentials, &target, NOW);
        assert_eq!(signed, Err(expected));
    }
}

#[test]
fn a_session_s_token_is_in_the_query_and_must_be_that_of_the_key() {
    for (service, rules) in TAKERS {
        let parts = presigned(service, rules, SESSION_KEY, Some(SESSION_TOKEN), 60);
        let verified = verify(&parts, b"body", service, rules, NOW).unwrap();
        assert_eq!(verified.session_token.as_deref(), Some(SESSION_TOKEN));
        for (token, expected) in [
            (None, SignatureError::UnknownKey),
            (Some("another"), SignatureError::UnknownKey),
            (Some(EXPIRED_TOKEN), SignatureError::ExpiredToken),
        ] {
            let parts = presigned(service, rules, SESSION_KEY, token, 60);
            let error = verify(&parts, b"body", service, rules, NOW).unwrap_err();
            assert_eq!(error, expected);
        }
        // In a header it is an X-Amz header like others: it must be signed.
        let parts = presigned(service, rules, SESSION_KEY, None, 60);
        let mut moved = parts.clone();
        let token = SESSION_TOKEN.parse().unwrap();
        moved.headers.insert("x-amz-security-token", token);
        let error = verify(&moved, b"body", service, rules, NOW).unwrap_err();
        let name = "x-amz-security-token".into();
        assert_eq!(error, SignatureError::HeaderNotSigned(name));
    }
}

#[test]
fn the_body_goes_unsigned_only_where_that_is_allowed() {
    let parts = presigned("s3", Rules::OBJECTS, KEY, None, 60);
    verify(&parts, b"anything", "s3", Rules::OBJECTS, NOW).unwrap();
    let parts = presigned("sts", Rules::QUERY, KEY, None, 60);
    verify(&parts, b"body", "sts", Rules::QUERY, NOW).unwrap();
    let error = verify(&parts, b"anything", "sts", Rules::QUERY, NOW).unwrap_err();
    assert_eq!(error, SignatureError::Mismatch);
    let unsigned = with_query(&parts, |uri| {
        format!("{uri}&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD")
    });
    assert!(verify(&unsigned, b"anything", "sts", Rules::QUERY, NOW).is_err());
}

#[test]
fn what_a_presigned_request_says_of_its_body_is_believed_once() {
    // Some SDKs put the hash of the body into the query too.
    let hash = "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5";
    let presigned = |hash: &str, header: Option<&str>| {
        let uri = format!("/key?X-Amz-Content-Sha256={hash}");
        let mut headers = vec![("Host", "b.example")];
        headers.extend(header.map(|hash| ("X-Amz-Content-Sha256", hash)));
        let mut parts = parts("PUT", &uri, &headers);
        let secret = secret();
        let credentials = Credentials {
            access_key_id: KEY,
            secret: &secret,
            session_token: None,
        };
        let target = Target {
            service: "s3",
            region: region(),
            rules: Rules::OBJECTS,
        };
        presign(&mut parts, b"", 60, &credentials, &target, NOW).unwrap();
        parts
    };
    let unsigned = presigned("UNSIGNED-PAYLOAD", None);
    verify(&unsigned, b"anything", "s3", Rules::OBJECTS, NOW).unwrap();
    let both = presigned("UNSIGNED-PAYLOAD", Some("UNSIGNED-PAYLOAD"));
    verify(&both, b"anything", "s3", Rules::OBJECTS, NOW).unwrap();
    // The body of which that is the hash must then be sent; our signer signed none.
    let error = verify(&presigned(hash, None), b"body", "s3", Rules::OBJECTS, NOW);
    assert_eq!(error, Err(SignatureError::Mismatch));
    let error = verify(
        &presigned(hash, None),
        b"anything",
        "s3",
        Rules::OBJECTS,
        NOW,
    );
    assert!(matches!(error, Err(SignatureError::ContentHash { .. })));
    let differ = presigned(hash, Some("UNSIGNED-PAYLOAD"));
    let error = verify(&differ, b"body", "s3", Rules::OBJECTS, NOW).unwrap_err();
    assert!(matches!(error, SignatureError::Malformed(_)), "{error}");
}
