//! Anything at all, thrown at the parsers: it is refused or it is what was signed; nothing panics.
//! Each test tries some hundred inputs; `PROPTEST_CASES=1000000 cargo test -p aws --release --test
//! signature fuzz` tries that many.

use aws::signature::{
    Credentials, Payload, Placement, SigningOptions, Target, scope_of, sign, sign_with,
};
use http::{HeaderName, HeaderValue, Method, Uri};
use proptest::prelude::*;

use super::*;

const BODY: &[u8] = b"{}";

fn credentials(secret: &SecretKey) -> Credentials<'_> {
    Credentials {
        access_key_id: KEY,
        secret,
        session_token: None,
    }
}

fn target(rules: Rules) -> Target<'static> {
    Target {
        service: "service",
        region: region(),
        rules,
    }
}

/// Rules that take everything, with either reading of paths.
fn rules(verbatim: bool) -> Rules {
    let rules = if verbatim {
        Rules::OBJECTS
    } else {
        Rules::QUERY
    };
    Rules {
        asymmetric: true,
        ..rules
    }
}

fn request() -> Parts {
    let mut parts = parts("POST", "/", &[("Host", "127.0.0.1:4566")]);
    sign(
        &mut parts,
        BODY,
        &credentials(&secret()),
        &target(rules(false)),
        NOW,
    )
    .unwrap();
    parts
}

fn holds(parts: &Parts, rules: Rules) -> bool {
    verify(parts, BODY, "service", rules, NOW).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_can_be_signed_verifies_in_every_form(
        method in "[A-Z]{1,8}",
        path in "(/([!-~]|%[0-9A-F]{2}){0,8}){1,4}",
        query in "(([!-~]|%[0-9A-F]{2}){0,30}){0,2}",
        headers in proptest::collection::vec(("[a-z][a-z0-9-]{0,12}", "[ -~\t]{0,20}"), 0..6),
        verbatim in any::<bool>(),
        presigned in any::<bool>(),
        asymmetric in any::<bool>(),
    ) {
        let rules = rules(verbatim);
        let Ok(uri) = Uri::try_from(format!("{path}?{query}")) else {
            return Ok(());
        };
        let mut parts = parts("GET", "/", &[("host", "example.com")]);
        parts.method = Method::from_bytes(method.as_bytes()).unwrap();
        parts.uri = uri;
        for (name, value) in &headers {
            // What the signer sets itself, or what must be there once, isn't ours to send.
            let taken = ["host", "date", "content-type", "authorization"].contains(&name.as_str());
            if !taken && !name.starts_with("x-amz-") {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                parts.headers.append(name, HeaderValue::from_str(value).unwrap());
            }
        }
        let placement = if presigned {
            Placement::Query { seconds: 60 }
        } else {
            Placement::Header
        };
        let options = SigningOptions { placement, region_set: asymmetric.then_some("us-*") };
        let payload = if presigned && verbatim { Payload::Unsigned } else { Payload::Body(BODY) };
        let credentials = secret();
        let credentials = self::credentials(&credentials);
        let target = target(rules);
        // Escapes that are none have no canonical form.
        if sign_with(&mut parts, payload, &options, &credentials, &target, NOW).is_ok() {
            prop_assert!(holds(&parts, rules), "{}", parts.uri);
            prop_assert_eq!(scope_of(&parts).unwrap().access_key_id, KEY);
        }
    }

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
        for verbatim in [true, false] {
            prop_assert!(!holds(&parts, rules(verbatim)));
        }
    }

    #[test]
    fn what_looks_like_a_signature_is_refused(
        parameters in proptest::collection::vec(
            "(AWS4-(HMAC|ECDSA-P256)-SHA256 )?(Credential|SignedHeaders|Signature)?=?\
             [a-z0-9;/*]{0,40}[, ]{0,2}",
            0..5,
        ),
        date in "[0-9TZ]{0,18}",
        name in "X-Amz-(Algorithm|Credential|Date|Expires|Signature|SignedHeaders|Region-Set)",
        value in "[A-Za-z0-9%/+*,-]{0,30}",
    ) {
        let mut parts = request();
        parts.headers.insert("authorization", parameters.concat().parse().unwrap());
        parts.headers.insert("x-amz-date", date.parse().unwrap());
        let _ = scope_of(&parts);
        prop_assert!(!holds(&parts, rules(false)));
        parts.headers.remove("authorization");
        for algorithm in ["AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"] {
            let query = format!("X-Amz-Algorithm={algorithm}&{name}={value}");
            if let Ok(uri) = Uri::try_from(format!("/?{query}")) {
                parts.uri = uri;
            }
            let _ = scope_of(&parts);
            prop_assert!(!holds(&parts, rules(true)));
        }
    }

    #[test]
    fn a_body_of_rubbish_brings_no_more_than_it_said(
        form in 0..chunks::FORMS.len(),
        pieces in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40),
                "[0-9a-f]{1,4}(;chunk-signature=[0-9a-f*]{0,70})?\r\n".prop_map(String::into_bytes),
                "(x-amz-checksum-crc32c|x-amz-meta-b|x-amz-trailer-signature):[ -~]{0,20}\r\n"
                    .prop_map(String::into_bytes),
                Just(b"7\r\npayload\r\n0\r\n".to_vec()),
                Just(b"\r\n".to_vec()),
            ],
            0..8,
        ),
    ) {
        let form = chunks::FORMS[form];
        let (parts, _) = chunks::upload(form, &[b"payload"]);
        let verifier = chunks::verify_head(&parts, NOW, &Keys).unwrap();
        let body = pieces.concat();
        let (payload, _) = chunks::decode(verifier, &body, 7);
        prop_assert!(payload.len() <= 7);
        prop_assert!(form.signed.is_none() || payload.is_empty());
    }

    #[test]
    fn an_upload_is_the_same_however_it_is_cut(
        form in 0..chunks::FORMS.len(),
        last in proptest::collection::vec(any::<u8>(), 0..300),
        first in any::<bool>(),
        cuts in proptest::collection::vec(1..400usize, 1..40),
    ) {
        let big = [b'x'; 8192];
        let mut sent: Vec<&[u8]> = Vec::new();
        if first {
            sent.push(&big);
        }
        sent.push(&last);
        let (parts, body) = chunks::upload(chunks::FORMS[form], &sent);
        let mut verifier = chunks::verify_head(&parts, NOW, &Keys).unwrap();
        let mut payload = Vec::new();
        let mut rest = &body[..];
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at(rest.len().min(*cut));
            verifier.push(piece, &mut payload).unwrap();
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(payload, sent.concat());
        prop_assert!(verifier.finish().is_ok());
    }
}
