//! The pitfalls that verifiers of others fell into: the list of all, with the test that holds each,
//! and the tests of those that no other file here is about.

use aws::signature::{Credentials, Target, sign};

use super::*;

const BODY: &[u8] = b"body";

/// What goes wrong, and the file and test that hold it.
const PITFALLS: [(&str, &str, &str); 29] = [
    (
        "the day alone is checked, not the time",
        "rules",
        "at_another_time",
    ),
    (
        "the scope's day is another than the date's",
        "rules",
        "for_another_scope",
    ),
    (
        "dates that can't be parsed pass",
        "rules",
        "with_a_date_that_is_none",
    ),
    (
        "Signature V2 is taken where it isn't S3 that is asked",
        "pitfalls",
        "signature_v2_is_refused",
    ),
    (
        "Signature V2 can be replayed for ever",
        "version2",
        "a_request_is_good_for_a_quarter_of_an_hour",
    ),
    (
        "an `x-amz-` header that wasn't signed is obeyed",
        "rules",
        "every_amazon_header_must_be_signed_and_the_host_too",
    ),
    (
        "a second value of a header is obeyed",
        "rules",
        "headers_whose_second_value_could_be_the_one_that_is_obeyed",
    ),
    (
        "names that begin alike are sorted wrongly",
        "pitfalls",
        "names_that_begin_alike_are_sorted_by_length",
    ),
    (
        "a session's key without its session",
        "vectors",
        "a_session_s_key_needs_its_token",
    ),
    (
        "a session's key without its session",
        "rules",
        "a_session_that_has_ended_is_told_so",
    ),
    (
        "a token beside a key that has none",
        "rules",
        "a_token_given_with_a_key_that_has_none_is_refused",
    ),
    (
        "the declared hash is believed",
        "rules",
        "a_declared_hash_must_be_the_body_s",
    ),
    (
        "unsigned bodies where they aren't allowed",
        "pitfalls",
        "bodies_go_unsigned_for_objects_alone",
    ),
    (
        "unsigned bodies where they aren't allowed",
        "presigned",
        "the_body_goes_unsigned_only_where_that_is_allowed",
    ),
    (
        "chunks where they aren't allowed",
        "chunks",
        "chunks_must_fit_their_request",
    ),
    (
        "a chunk is used before it is verified",
        "chunks",
        "nothing_of_a_chunk_comes_out_before_its_signature_held",
    ),
    (
        "chunks of another upload, or in another order",
        "chunks",
        "chunks_left_out_repeated_exchanged_or_added_are_refused",
    ),
    (
        "trailers that nobody announced",
        "chunks",
        "trailers_are_those_that_were_announced",
    ),
    (
        "comparing takes longer the more is right",
        "pitfalls",
        "signatures_are_compared_in_constant_time",
    ),
    (
        "S3's paths are normalized or encoded twice",
        "pitfalls",
        "paths_of_objects_stay_and_others_are_normalized",
    ),
    (
        "`+` and `%20` in a query",
        "pitfalls",
        "a_plus_in_a_query_is_a_space",
    ),
    (
        "presigned for longer than seven days",
        "presigned",
        "a_presigned_request_is_good_for_its_seconds_and_seven_days_at_most",
    ),
    (
        "the host isn't signed, or isn't the one that was reached",
        "rules",
        "every_amazon_header_must_be_signed_and_the_host_too",
    ),
    (
        "the host isn't signed, or isn't the one that was reached",
        "rules",
        "a_host_that_differs_from_the_uri_s",
    ),
    (
        "replayed to another Region or service",
        "rules",
        "for_another_scope",
    ),
    (
        "replayed to another Region or service",
        "asymmetric",
        "a_region_set_is_for_the_regions_that_it_covers",
    ),
    (
        "one skew for all",
        "pitfalls",
        "clocks_may_be_off_by_15_minutes_for_objects_and_5_elsewhere",
    ),
    (
        "a revoked key lives on in a cache",
        "rules",
        "one_verifier_serves_many_requests_and_still_asks_for_the_key",
    ),
    (
        "a revoked key lives on in a cache",
        "asymmetric",
        "one_verifier_keeps_public_keys_and_still_asks_for_the_secret",
    ),
];

/// The files of these tests.
const SOURCES: [(&str, &str); 7] = [
    ("asymmetric", include_str!("asymmetric.rs")),
    ("chunks", include_str!("chunks.rs")),
    ("pitfalls", include_str!("pitfalls.rs")),
    ("presigned", include_str!("presigned.rs")),
    ("rules", include_str!("rules.rs")),
    ("vectors", include_str!("vectors.rs")),
    ("version2", include_str!("version2.rs")),
];

#[test]
fn every_pitfall_has_its_test() {
    for (pitfall, file, test) in PITFALLS {
        let (_, source) = SOURCES.iter().find(|(name, _)| *name == file).unwrap();
        let line = format!("#[test]\nfn {test}() {{");
        assert!(source.contains(&line), "{pitfall}: {file}::{test}");
    }
}

fn signed(service: &str, rules: Rules, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut all = vec![("Host", "127.0.0.1:4566")];
    all.extend(headers);
    let mut parts = parts("PUT", uri, &all);
    let secret = secret();
    let credentials = Credentials {
        access_key_id: KEY,
        secret: &secret,
        session_token: None,
    };
    let target = Target {
        service,
        region: region(),
        rules,
    };
    sign(&mut parts, BODY, &credentials, &target, NOW).unwrap();
    parts
}

#[test]
fn signature_v2_is_refused() {
    let mut header = signed("s3", Rules::OBJECTS, "/key", &[]);
    let v2 = "AWS AKIDEXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=";
    header.headers.insert("authorization", v2.parse().unwrap());
    let error = verify(&header, BODY, "s3", Rules::OBJECTS, NOW).unwrap_err();
    assert_eq!(error, SignatureError::Scheme);
    let uri =
        "/key?AWSAccessKeyId=AKIDEXAMPLE&Expires=1440938200&Signature=vjSAMPLENmGa%2ByT272Y%3D";
    let query = parts("GET", uri, &[("Host", "b.example")]);
    let error = verify(&query, b"", "s3", Rules::OBJECTS, NOW).unwrap_err();
    assert_eq!(error, SignatureError::MissingToken);
}

#[test]
fn names_that_begin_alike_are_sorted_by_length() {
    let names = [
        "x-amz-meta-a",
        "x-amz-meta-a-b",
        "x-amz-meta-ab",
        "x-amz-meta-abc",
    ];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let headers: Vec<(&str, &str)> = order.iter().map(|&index| (names[index], "1")).collect();
        let parts = signed("s3", Rules::OBJECTS, "/", &headers);
        let header = parts.headers["authorization"].to_str().unwrap();
        assert!(header.contains(&names.join(";")), "{header}");
        verify(&parts, BODY, "s3", Rules::OBJECTS, NOW).unwrap();
    }
    let mut parts = signed(
        "s3",
        Rules::OBJECTS,
        "/",
        &[(names[0], "1"), (names[2], "1")],
    );
    let header = parts.headers["authorization"].to_str().unwrap();
    let sorted = "x-amz-meta-a;x-amz-meta-ab";
    assert!(header.contains(sorted));
    let header = header.replace(sorted, "x-amz-meta-ab;x-amz-meta-a");
    parts
        .headers
        .insert("authorization", header.parse().unwrap());
    let error = verify(&parts, BODY, "s3", Rules::OBJECTS, NOW).unwrap_err();
    assert!(matches!(error, SignatureError::Malformed(_)), "{error}");
}

#[test]
fn bodies_go_unsigned_for_objects_alone() {
    for rules in [Rules::JSON, Rules::QUERY, Rules::REST] {
        let unsigned = [("x-amz-content-sha256", "UNSIGNED-PAYLOAD")];
        let parts = signed("service", rules, "/", &unsigned);
        let error = verify(&parts, BODY, "service", rules, NOW).unwrap_err();
        assert!(
            matches!(error, SignatureError::ContentHash { .. }),
            "{error}"
        );
    }
}

/// No test can measure it reliably; this one holds the words of the source.
#[test]
fn signatures_are_compared_in_constant_time() {
    let key = include_str!("../../src/signature/key.rs");
    assert!(key.contains("expected.as_bytes().ct_eq(signature.as_bytes())"));
    assert!(key.contains("self.0.as_bytes().ct_eq(other.0.as_bytes())"));
    for source in [
        key,
        include_str!("../../src/signature/verify.rs"),
        include_str!("../../src/signature/chunks.rs"),
        include_str!("../../src/signature/payload.rs"),
        include_str!("../../src/signature/version2.rs"),
    ] {
        for compared in [
            "signature ==",
            "signature !=",
            "== signature",
            "!= signature",
        ] {
            assert!(!source.contains(compared), "{compared}");
        }
    }
}

#[test]
fn paths_of_objects_stay_and_others_are_normalized() {
    for (rules, uri, same, different) in [
        (Rules::OBJECTS, "/a//b/../c", "/a//b/../c", "/a/c"),
        (Rules::OBJECTS, "/a%20b", "/a%20b", "/a%2520b"),
        (Rules::OBJECTS, "/a%2Fb", "/a/b", "/a%252Fb"),
        (Rules::QUERY, "/a//b/../c", "/a/c", "/a/b/c"),
        (Rules::QUERY, "/a%2Fb", "/a%2Fb", "/a/b"),
    ] {
        let parts = signed("service", rules, uri, &[]);
        let mut at = parts.clone();
        at.uri = same.parse().unwrap();
        verify(&at, BODY, "service", rules, NOW).unwrap();
        at.uri = different.parse().unwrap();
        let error = verify(&at, BODY, "service", rules, NOW).unwrap_err();
        assert_eq!(error, SignatureError::Mismatch, "{uri} {different}");
    }
}

#[test]
fn a_plus_in_a_query_is_a_space() {
    for (signed_for, sent, held) in [
        ("/?a=b%20c", "/?a=b+c", true),
        ("/?a=b+c", "/?a=b%20c", true),
        ("/?a=b%2Bc", "/?a=b%2Bc", true),
        ("/?a=b%2Bc", "/?a=b+c", false),
        ("/?a=b%20c", "/?a=b%2Bc", false),
    ] {
        for rules in [Rules::QUERY, Rules::OBJECTS] {
            let mut parts = signed("service", rules, signed_for, &[]);
            parts.uri = sent.parse().unwrap();
            let verified = verify(&parts, BODY, "service", rules, NOW);
            assert_eq!(verified.is_ok(), held, "{signed_for} {sent}");
        }
    }
}

#[test]
fn clocks_may_be_off_by_15_minutes_for_objects_and_5_elsewhere() {
    for (rules, minutes) in [
        (Rules::OBJECTS, 15),
        (Rules::JSON, 5),
        (Rules::QUERY, 5),
        (Rules::REST, 5),
    ] {
        let parts = signed("service", rules, "/", &[]);
        let at = |now: u64| verify(&parts, BODY, "service", rules, Timestamp(now));
        let skew = minutes * 60_000;
        assert!(at(NOW.0 + skew).is_ok());
        assert!(at(NOW.0 - skew).is_ok());
        let late = at(NOW.0 + skew + 1000).unwrap_err();
        assert!(matches!(late, SignatureError::Expired { .. }));
        let early = at(NOW.0 - skew - 1000).unwrap_err();
        assert!(matches!(early, SignatureError::NotYetCurrent { .. }));
    }
}
