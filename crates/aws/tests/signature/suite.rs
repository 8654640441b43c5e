//! The suite that AWS publishes for Signature V4 and V4A, whole: each request of it in each form
//! (header and query) is verified, and, where signatures are reproducible, made again by our own
//! signer. The requests are in `suite.json`; paths with a space, which no HTTP request can have,
//! are escaped there and judged as they would have been.

use aws::signature::{
    Credentials, PathRule, Payload, PayloadRule, Placement, SigningOptions, Target, sign, sign_with,
};
use serde::Deserialize;

use super::*;

const SUITE: &str = include_str!("suite.json");

#[derive(Deserialize)]
struct Case {
    name: String,
    form: String,
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
    body: String,
    /// The path isn't normalized.
    #[serde(default)]
    verbatim: bool,
    token: Option<String>,
    /// The token was added after the request was signed.
    #[serde(default)]
    token_unsigned: bool,
}

/// The suite's services take everything.
const RULES: Rules = Rules {
    asymmetric: true,
    ..Rules::QUERY
};

struct SuiteKeys(Option<String>);

impl KeyLookup for SuiteKeys {
    fn secret(&self, id: &str, token: Option<&str>) -> Result<SecretKey, KeyRefusal> {
        let known = id == KEY && token == self.0.as_deref();
        known.then(secret).ok_or(KeyRefusal::Unknown)
    }
}

fn cases(form: &str) -> Vec<Case> {
    let cases: Vec<Case> = serde_json::from_str(SUITE).unwrap();
    let cases: Vec<Case> = cases.into_iter().filter(|case| case.form == form).collect();
    assert_eq!(cases.len(), 38);
    cases
}

fn rules(case: &Case) -> Rules {
    Rules {
        path: match case.verbatim {
            true => PathRule::Verbatim,
            false => PathRule::Normalized,
        },
        ..RULES
    }
}

fn request(case: &Case) -> Parts {
    let headers = case.headers.iter();
    let headers: Vec<(&str, &str)> = headers.map(|(n, v)| (n.as_str(), v.as_str())).collect();
    parts(&case.method, &case.uri, &headers)
}

fn check(form: &str) {
    for case in cases(form) {
        let parts = request(&case);
        let expected = Expected {
            service: "service",
            regions: &[region()],
            rules: rules(&case),
        };
        let keys = SuiteKeys(case.token.clone());
        let body = case.body.as_bytes();
        let verifier = Verifier::new();
        let verified = verifier.verify(&parts, body, &expected, NOW, &keys);
        if case.token_unsigned {
            // Ours must be stricter than the suite: every X-Amz header is signed, or refused.
            match parts.headers.contains_key("x-amz-security-token") {
                true => assert_eq!(
                    verified.unwrap_err(),
                    SignatureError::HeaderNotSigned("x-amz-security-token".into())
                ),
                false => assert_eq!(verified.unwrap_err(), SignatureError::Mismatch),
            }
            continue;
        }
        let verified = verified.unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(verified.signed, Some(NOW));
        assert_eq!(verified.access_key_id, KEY);
        let other = Expected {
            service: "service",
            regions: &["eu-west-1".parse().unwrap()],
            rules: rules(&case),
        };
        let error = verifier.verify(&parts, body, &other, NOW, &keys);
        assert!(matches!(error, Err(SignatureError::Scope(_))));
    }
}

#[test]
fn the_published_suite_of_v4_in_headers() {
    check("v4_header");
}

#[test]
fn the_published_suite_of_v4_in_queries() {
    check("v4_query");
}

#[test]
fn the_published_suite_of_v4a_in_headers() {
    check("v4a_header");
}

#[test]
fn the_published_suite_of_v4a_in_queries() {
    check("v4a_query");
}

#[test]
fn our_signer_signs_the_suite_as_published() {
    for case in cases("v4_header") {
        if case.token_unsigned {
            continue;
        }
        let mut parts = request(&case);
        let published = parts.headers.remove("authorization").unwrap();
        let secret = secret();
        let credentials = Credentials {
            access_key_id: KEY,
            secret: &secret,
            session_token: case.token.as_deref(),
        };
        let target = Target {
            service: "service",
            region: region(),
            rules: rules(&case),
        };
        // Length is none of the headers that our signer signs; nor was it one of the suite's.
        let signs_length = published.to_str().unwrap().contains("content-length");
        sign(&mut parts, case.body.as_bytes(), &credentials, &target, NOW).unwrap();
        if !signs_length {
            assert_eq!(parts.headers["authorization"], published, "{}", case.name);
        }
    }
}

#[test]
fn our_signer_s_other_forms_verify_for_all_requests_of_the_suite() {
    let placements = [Placement::Header, Placement::Query { seconds: 3600 }];
    for case in cases("v4_header") {
        for placement in placements {
            for region_set in [None, Some("eu-*,us-east-1")] {
                let mut parts = request(&case);
                for name in ["authorization", "x-amz-date", "x-amz-security-token"] {
                    parts.headers.remove(name);
                }
                let secret = secret();
                let credentials = Credentials {
                    access_key_id: KEY,
                    secret: &secret,
                    session_token: case.token.as_deref(),
                };
                let target = Target {
                    service: "service",
                    region: region(),
                    rules: rules(&case),
                };
                let options = SigningOptions {
                    placement,
                    region_set,
                };
                let payload = Payload::Body(case.body.as_bytes());
                assert_eq!(target.rules.payload, PayloadRule::Body);
                sign_with(&mut parts, payload, &options, &credentials, &target, NOW).unwrap();
                let expected = Expected {
                    service: "service",
                    regions: &[region()],
                    rules: rules(&case),
                };
                let keys = SuiteKeys(case.token.clone());
                let body = case.body.as_bytes();
                let verified = Verifier::new().verify(&parts, body, &expected, NOW, &keys);
                verified.unwrap_or_else(|error| panic!("{}: {error}", case.name));
            }
        }
    }
}
