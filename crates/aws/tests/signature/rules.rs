//! Each rule of the verifier, and the code and text a client gets when it is broken.

use aws::ServiceError;
use aws::signature::{Credentials, Target, scope_of, sign};

use super::*;

const BODY: &[u8] = br#"{"TableName":"Orders"}"#;

/// A DynamoDB request that holds, after `change` was made and before it was signed.
fn signed_after(change: impl FnOnce(&mut Parts)) -> Parts {
    signed_for("dynamodb", region(), Rules::JSON, change)
}

fn signed_for(
    service: &str,
    region: Region,
    rules: Rules,
    change: impl FnOnce(&mut Parts),
) -> Parts {
    let headers = [
        ("Host", "127.0.0.1:4566"),
        ("X-Amz-Target", "DynamoDB_20120810.DescribeTable"),
        ("Content-Type", "application/x-amz-json-1.0"),
    ];
    let mut parts = parts("POST", "/", &headers);
    change(&mut parts);
    let secret = secret();
    let credentials = Credentials {
        access_key_id: KEY,
        secret: &secret,
        session_token: None,
    };
    let target = Target {
        service,
        region,
        rules,
    };
    sign(&mut parts, BODY, &credentials, &target, NOW).unwrap();
    parts
}

/// The error of a request that was changed after it was signed.
fn refused(change: impl FnOnce(&mut Parts)) -> SignatureError {
    let mut parts = signed_after(|_| {});
    change(&mut parts);
    verify(&parts, BODY, "dynamodb", Rules::JSON, NOW).unwrap_err()
}

fn set(parts: &mut Parts, name: &'static str, value: &str) {
    parts.headers.insert(name, value.parse().unwrap());
}

fn replace_in_authorization(parts: &mut Parts, from: &str, to: &str) {
    let header = parts.headers["authorization"].to_str().unwrap();
    assert!(header.contains(from), "{header}");
    let changed = header.replacen(from, to, 1);
    set(parts, "authorization", &changed);
}

fn assert_answer(error: SignatureError, code: &str, text: &str) {
    let error = ServiceError::from(error);
    assert_eq!(error.code, code);
    assert_eq!(error.message, text);
    assert_eq!(error.status, 400);
}

#[test]
fn a_signed_request_verifies_and_names_its_scope() {
    let parts = signed_after(|_| {});
    let verified = verify(&parts, BODY, "dynamodb", Rules::JSON, NOW).unwrap();
    assert_eq!(scope_of(&parts), verified.scope);
    let scope = verified.scope.unwrap();
    assert_eq!(scope.region, "us-east-1");
    assert_eq!(scope.service, "dynamodb");
    assert_eq!(scope.date, "20150830");
    assert_eq!(verified.session_token, None);
}

#[test]
fn one_verifier_serves_many_requests_and_still_asks_for_the_key() {
    struct Revocable(std::cell::Cell<bool>);
    impl KeyLookup for Revocable {
        fn secret(&self, _: &str, _: Option<&str>) -> Result<SecretKey, KeyRefusal> {
            self.0.get().then(secret).ok_or(KeyRefusal::Unknown)
        }
    }
    let verifier = Verifier::new();
    let keys = Revocable(std::cell::Cell::new(true));
    let parts = signed_after(|_| {});
    let expected = Expected {
        service: "dynamodb",
        regions: &[region()],
        rules: Rules::JSON,
    };
    for _ in 0..3 {
        verifier
            .verify(&parts, BODY, &expected, NOW, &keys)
            .unwrap();
    }
    keys.0.set(false);
    let error = verifier.verify(&parts, BODY, &expected, NOW, &keys);
    assert_eq!(error, Err(SignatureError::UnknownKey));
}

#[test]
fn without_a_signature() {
    for change in [
        None,
        Some("Bearer abc"),
        Some("AWS AKIDEXAMPLE:abc="),
        Some(""),
    ] {
        let error = refused(|parts| match change {
            None => drop(parts.headers.remove("authorization")),
            Some(text) => set(parts, "authorization", text),
        });
        let code = "MissingAuthenticationTokenException";
        assert_answer(error, code, "Request is missing Authentication Token");
    }
}

#[test]
fn with_an_incomplete_signature() {
    let code = "IncompleteSignatureException";
    let error = refused(|parts| {
        set(parts, "authorization", "AWS4-HMAC-SHA256 Signature=b");
        parts.headers.remove("x-amz-date");
    });
    let text = "Authorization header requires 'Credential' parameter. Authorization header \
                requires 'SignedHeaders' parameter. Authorization header requires existence of \
                either a 'X-Amz-Date' or a 'Date' header. Authorization=AWS4-HMAC-SHA256 \
                Signature=b";
    assert_answer(error, code, text);

    let error = refused(|parts| set(parts, "authorization", "AWS4-HMAC-SHA256 a=b, Credential"));
    assert_eq!(ServiceError::from(error).code, code);
    let error = refused(|parts| set(parts, "authorization", "AWS4-HMAC-SHA256 Credential"));
    let text = "'Credential' not a valid key=value pair (missing equal-sign) in Authorization \
                header: 'AWS4-HMAC-SHA256 Credential'.";
    assert_answer(error, code, text);

    let error = refused(|parts| replace_in_authorization(parts, "/aws4_request", ""));
    let text = "Credential must have exactly 5 slash-delimited elements, e.g. \
                keyid/date/region/service/term, got 'AKIDEXAMPLE/20150830/us-east-1/dynamodb'";
    assert_answer(error, code, text);

    let error = refused(|parts| replace_in_authorization(parts, "HMAC-SHA256", "HMAC-SHA512"));
    let text = "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA512' (only AWS4-HMAC-SHA256 for now). ";
    assert_answer(error, code, text);
}

#[test]
fn with_parameters_twice_or_unknown() {
    for (from, to) in [
        ("Signature=", "Signature=0, Signature="),
        ("Credential=", "Credential=a/b/c/d/e, Credential="),
        ("Signature=", "Extra=1, Signature="),
    ] {
        let error = refused(|parts| replace_in_authorization(parts, from, to));
        let malformed = matches!(error, SignatureError::MalformedHeader(_));
        assert!(malformed, "{error}");
    }
}

#[test]
fn at_another_time() {
    let parts = signed_after(|_| {});
    let at = |time: u64| verify(&parts, BODY, "dynamodb", Rules::JSON, Timestamp(time));
    let five_minutes = 5 * 60_000;
    at(NOW.0 + five_minutes).unwrap();
    at(NOW.0 - five_minutes).unwrap();
    let code = "InvalidSignatureException";
    assert_answer(
        at(NOW.0 + five_minutes + 1000).unwrap_err(),
        code,
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z \
         (20150830T124101Z - 5 min.)",
    );
    assert_answer(
        at(NOW.0 - five_minutes - 1000).unwrap_err(),
        code,
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z \
         (20150830T123059Z + 5 min.)",
    );
    // A scope of the same day doesn't help: the full date counts.
    assert!(at(NOW.0 + 3_600_000).is_err());
}

#[test]
fn with_a_date_that_is_none() {
    for date in [
        "20150830",
        "2015-08-30T12:36:00Z",
        "Sun, 30 Aug 2015 12:36:00 GMT",
        "",
    ] {
        let error = refused(|parts| set(parts, "x-amz-date", date));
        let text = format!(
            "Date must be in ISO-8601 'basic format'. Got '{date}'. See \
             http://en.wikipedia.org/wiki/ISO_8601"
        );
        assert_answer(error, "IncompleteSignatureException", &text);
    }
}

#[test]
fn with_the_date_header_alone() {
    // The signer always sets X-Amz-Date; without it Date stands in, if it is signed.
    let error = refused(|parts| {
        parts.headers.remove("x-amz-date");
        set(parts, "date", DATE);
    });
    assert_eq!(error, SignatureError::HeaderNotSigned("date".into()));
}

#[test]
fn for_another_scope() {
    let code = "InvalidSignatureException";
    let other: Region = "eu-west-1".parse().unwrap();
    let parts = signed_for("dynamodb", other, Rules::JSON, |_| {});
    let error = verify(&parts, BODY, "dynamodb", Rules::JSON, NOW).unwrap_err();
    assert_answer(
        error,
        code,
        "Credential should be scoped to a valid region, not 'eu-west-1'.",
    );

    let parts = signed_for("sqs", region(), Rules::JSON, |_| {});
    let error = verify(&parts, BODY, "dynamodb", Rules::JSON, NOW).unwrap_err();
    assert_answer(
        error,
        code,
        "Credential should be scoped to correct service: 'dynamodb'.",
    );

    let error = refused(|parts| {
        replace_in_authorization(parts, "20150830/us-east-1/dynamodb/aws4_request", "b/c/d/e");
    });
    let text = "Credential should be scoped to a valid region, not 'c'. Credential should be \
                scoped to correct service: 'dynamodb'. Credential should be scoped with a valid \
                terminator: 'aws4_request', not 'e'. Date in Credential scope does not match \
                YYYYMMDD from ISO-8601 version of date from HTTP: 'b' != '20150830', from \
                '20150830T123600Z'.";
    assert_answer(error, code, text);
}

#[test]
fn by_an_unknown_key_or_a_wrong_secret() {
    let error = refused(|parts| replace_in_authorization(parts, KEY, "AKIDOTHER"));
    let text = "The security token included in the request is invalid.";
    assert_answer(error, "UnrecognizedClientException", text);

    let mut parts = parts("POST", "http://127.0.0.1:4566/", &[]);
    let secret = SecretKey::new("another secret".to_owned());
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
    let error = verify(&parts, BODY, "dynamodb", Rules::JSON, NOW).unwrap_err();
    let text = "The request signature we calculated does not match the signature you provided. \
                Check your AWS Secret Access Key and signing method. Consult the service \
                documentation for details.";
    assert_answer(error, "InvalidSignatureException", text);
}

#[test]
fn a_token_given_with_a_key_that_has_none_is_refused() {
    let parts = signed_after(|parts| set(parts, "x-amz-security-token", "anything"));
    let error = verify(&parts, BODY, "dynamodb", Rules::JSON, NOW).unwrap_err();
    assert_eq!(error, SignatureError::UnknownKey);
}

#[test]
fn a_session_that_has_ended_is_told_so() {
    let mut parts = parts("POST", "http://127.0.0.1:4566/", &[]);
    let secret = secret();
    let credentials = Credentials {
        access_key_id: SESSION_KEY,
        secret: &secret,
        session_token: Some(EXPIRED_TOKEN),
    };
    let target = Target {
        service: "dynamodb",
        region: region(),
        rules: Rules::JSON,
    };
    sign(&mut parts, BODY, &credentials, &target, NOW).unwrap();
    let error = verify(&parts, BODY, "dynamodb", Rules::JSON, NOW).unwrap_err();
    let text = "The security token included in the request is expired";
    let in_xml = error.in_xml();
    assert_eq!((in_xml.code, in_xml.status), ("ExpiredToken", 403));
    assert_answer(error, "ExpiredTokenException", text);
}

#[test]
fn every_amazon_header_must_be_signed_and_the_host_too() {
    let error = refused(|parts| set(parts, "x-amz-meta-note", "added on the way"));
    assert_eq!(
        error,
        SignatureError::HeaderNotSigned("x-amz-meta-note".into())
    );
    let error = refused(|parts| replace_in_authorization(parts, ";x-amz-target,", ","));
    assert_eq!(
        error,
        SignatureError::HeaderNotSigned("x-amz-target".into())
    );
    let error = refused(|parts| replace_in_authorization(parts, ";host;", ";"));
    assert_eq!(error, SignatureError::HostNotSigned);
    // Headers that proxies add are none of ours.
    let mut parts = signed_after(|_| {});
    set(&mut parts, "x-forwarded-for", "192.0.2.1");
    set(&mut parts, "x-amzn-trace-id", "Root=1");
    verify(&parts, BODY, "dynamodb", Rules::JSON, NOW).unwrap();
}

#[test]
fn signed_header_lists_that_could_be_read_in_two_ways() {
    for (from, to) in [
        ("host;x-amz-date", "x-amz-date;host"),
        ("host;", "host;host;"),
        ("content-type;", "Content-Type;"),
        ("SignedHeaders=", "SignedHeaders=;"),
        ("host;", "host;missing;"),
    ] {
        let error = refused(|parts| replace_in_authorization(parts, from, to));
        assert!(
            matches!(error, SignatureError::Malformed(_)),
            "{to}: {error}"
        );
    }
}

#[test]
fn headers_whose_second_value_could_be_the_one_that_is_obeyed() {
    for name in [
        "authorization",
        "host",
        "x-amz-date",
        "x-amz-target",
        "content-type",
    ] {
        let error = refused(|parts| {
            let value = parts.headers[name].clone();
            parts.headers.append(name, value);
        });
        assert!(
            matches!(error, SignatureError::Malformed(_)),
            "{name}: {error}"
        );
    }
}

#[test]
fn a_host_that_differs_from_the_uri_s() {
    let error = refused(|parts| parts.uri = "http://other.example/".parse().unwrap());
    assert!(matches!(error, SignatureError::Malformed(_)), "{error}");
    // Only in the URI, as in HTTP/2, is well.
    let mut parts = signed_after(|_| {});
    parts.headers.remove("host");
    parts.uri = "http://127.0.0.1:4566/".parse().unwrap();
    verify(&parts, BODY, "dynamodb", Rules::JSON, NOW).unwrap();
}

#[test]
fn a_declared_hash_must_be_the_body_s() {
    for declared in [
        "UNSIGNED-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "00",
    ] {
        let parts = signed_after(|parts| set(parts, "x-amz-content-sha256", declared));
        let error = verify(&parts, BODY, "dynamodb", Rules::JSON, NOW).unwrap_err();
        assert!(is_content_hash(&error), "{error}");
    }
    let parts = signed_for("s3", region(), Rules::OBJECTS, |_| {});
    verify(&parts, BODY, "s3", Rules::OBJECTS, NOW).unwrap();
    let error = verify(&parts, b"another", "s3", Rules::OBJECTS, NOW).unwrap_err();
    assert!(is_content_hash(&error), "{error}");
    let parts = signed_for("s3", region(), Rules::JSON, |_| {});
    let error = verify(&parts, BODY, "s3", Rules::OBJECTS, NOW).unwrap_err();
    assert_eq!(error, SignatureError::ContentHashMissing);
    let name = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    let parts = signed_for("s3", region(), Rules::JSON, |parts| {
        set(parts, "x-amz-content-sha256", name);
    });
    let error = verify(&parts, BODY, "s3", Rules::OBJECTS, NOW).unwrap_err();
    assert_eq!(error, SignatureError::StreamingPayload(name));
    let parts = signed_for("s3", region(), Rules::JSON, |parts| {
        set(parts, "x-amz-content-sha256", "00");
    });
    let error = verify(&parts, BODY, "s3", Rules::OBJECTS, NOW).unwrap_err();
    assert_eq!(error, SignatureError::ContentHashForm("00".into()));
}

fn is_content_hash(error: &SignatureError) -> bool {
    matches!(error, SignatureError::ContentHash { .. })
}

#[test]
fn header_and_query_at_once() {
    let error = refused(|parts| {
        parts.uri = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256".parse().unwrap();
    });
    assert_eq!(error, SignatureError::BothForms);
}

#[test]
fn presigned_queries_that_lack_or_repeat_something() {
    let (_, host, uri, _) = vectors::PRESIGNED[0];
    let request = |uri: &str| {
        let parts = parts("GET", uri, &[("Host", host)]);
        verify(&parts, b"", "s3", Rules::OBJECTS, NOW).unwrap_err()
    };
    let text = "AWS query-string parameters must include 'X-Amz-Date'. Re-examine the \
                query-string parameters.";
    let error = request(&uri.replace("X-Amz-Date=", "Other="));
    assert_answer(error, "IncompleteSignatureException", text);
    let error = request(&format!("{uri}&X-Amz-Signature=00"));
    let malformed = matches!(error, SignatureError::MalformedQuery(_));
    assert!(malformed, "{error}");
    for lifetime in [
        "0",
        "604801",
        "-1",
        "+60",
        "1e3",
        "",
        "99999999999999999999",
    ] {
        let error = request(&uri.replace("=86400", &format!("={lifetime}")));
        assert_eq!(error, SignatureError::PresignedLifetime, "{lifetime}");
    }
}

#[test]
fn what_claims_no_scope() {
    let parts = signed_after(|_| {});
    for header in [
        "",
        "Bearer x",
        "AWS4-HMAC-SHA256 Credential=a/b/c/d",
        "AWS4-HMAC-SHA256",
    ] {
        let mut parts = parts.clone();
        set(&mut parts, "authorization", header);
        assert_eq!(scope_of(&parts), None, "{header}");
    }
    let (_, _, uri, _) = vectors::PRESIGNED[0];
    let presigned = super::parts("GET", uri, &[]);
    let scope = scope_of(&presigned).unwrap();
    assert_eq!(
        (scope.region.as_str(), scope.service.as_str()),
        ("us-east-1", "s3")
    );
}
