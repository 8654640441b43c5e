//! The condition keys that policies are told of requests.

use http::Method;
use s3::Caller;

use crate::buckets::crc32;
use crate::judge::Curious;
use crate::support::Stand;

/// What a judge sees of a key in that request; none: it isn't there.
fn seen(
    stand: &Stand,
    key: &'static str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &'static str,
) -> Option<String> {
    let curious = Curious::about(key);
    let crc32 = crc32(body.as_bytes());
    let mut headers = headers.to_vec();
    if !body.is_empty() {
        headers.push(("x-amz-checksum-crc32", &crc32));
    }
    let caller = Caller::Signed(curious.clone());
    stand.call_as(caller, method, path, &headers, body).ok();
    curious.last()
}

#[test]
fn keys_tell_what_headers_parameters_and_documents_ask_for() {
    let stand = Stand::with(|settings| {
        settings.versioning = objects::Versioning::Enabled;
        settings.object_lock = Some(None);
    });
    let existing = [("x-amz-tagging", "team=blue")];
    stand.call(Method::PUT, "/bucket/k", &existing, "x").ok();
    let tags = "<Tagging><TagSet><Tag><Key>team</Key><Value>red</Value></Tag><Tag><Key>a</Key>\
                <Value>b</Value></Tag></TagSet></Tagging>";
    let hold = "<LegalHold><Status>OFF</Status></LegalHold>";
    let until = "<Retention><Mode>GOVERNANCE</Mode>\
                 <RetainUntilDate>2026-12-08T17:30:00Z</RetainUntilDate></Retention>";
    let get = Method::GET;
    let put = Method::PUT;
    type Case<'a> = (
        &'static str,
        &'a Method,
        &'a str,
        &'a [(&'a str, &'a str)],
        &'static str,
        Option<&'a str>,
    );
    let cases: [Case<'_>; 20] = [
        (
            "s3:prefix",
            &get,
            "/bucket?list-type=2&prefix=a%2F",
            &[],
            "",
            Some("a/"),
        ),
        (
            "S3:Delimiter",
            &get,
            "/bucket?delimiter=/",
            &[],
            "",
            Some("/"),
        ),
        (
            "s3:max-keys",
            &get,
            "/bucket?list-type=2&max-keys=7",
            &[],
            "",
            Some("7"),
        ),
        ("s3:prefix", &get, "/bucket?list-type=2", &[], "", None),
        (
            "s3:ExistingObjectTag/team",
            &get,
            "/bucket/k",
            &[],
            "",
            Some("blue"),
        ),
        (
            "s3:ExistingObjectTag/other",
            &get,
            "/bucket/k",
            &[],
            "",
            None,
        ),
        (
            "s3:RequestObjectTagKeys",
            &put,
            "/bucket/l",
            &existing,
            "x",
            Some("team"),
        ),
        (
            "s3:RequestObjectTagKeys",
            &put,
            "/bucket/k?tagging",
            &[],
            tags,
            Some("team,a"),
        ),
        (
            "s3:RequestObjectTag/team",
            &put,
            "/bucket/k?tagging",
            &[],
            tags,
            Some("red"),
        ),
        (
            "s3:object-lock-legal-hold",
            &put,
            "/bucket/k?legal-hold",
            &[],
            hold,
            Some("OFF"),
        ),
        (
            "s3:object-lock-mode",
            &put,
            "/bucket/k?retention",
            &[],
            until,
            Some("GOVERNANCE"),
        ),
        (
            "s3:object-lock-remaining-retention-days",
            &put,
            "/bucket/k?retention",
            &[],
            until,
            Some("10"),
        ),
        (
            "s3:ResourceAccount",
            &get,
            "/bucket/k",
            &[],
            "",
            Some("111122223333"),
        ),
        (
            "s3:authType",
            &get,
            "/bucket/k",
            &[("authorization", "AWS4-HMAC-SHA256")],
            "",
            Some("REST-HEADER"),
        ),
        (
            "s3:authType",
            &get,
            "/bucket/k?X-Amz-Date=20261128T171000Z",
            &[],
            "",
            Some("REST-QUERY-STRING"),
        ),
        (
            "s3:x-amz-content-sha256",
            &put,
            "/bucket/n?X-Amz-Date=20261128T171000Z",
            &[],
            "x",
            Some("UNSIGNED-PAYLOAD"),
        ),
        (
            "s3:signatureversion",
            &get,
            "/bucket/k",
            &[],
            "",
            Some("AWS4-HMAC-SHA256"),
        ),
        (
            "s3:if-none-match",
            &put,
            "/bucket/m",
            &[("if-none-match", "*")],
            "x",
            Some("*"),
        ),
        (
            "s3:ObjectCreationOperation",
            &put,
            "/bucket/m",
            &[],
            "x",
            Some("true"),
        ),
        ("s3:x-amz-acl", &put, "/bucket/m", &[], "x", None),
    ];
    for (key, method, path, headers, body, expected) in cases {
        let told = seen(&stand, key, method.clone(), path, headers, body);
        assert_eq!(told.as_deref(), expected, "{key} of {method} {path}");
    }
    let path = "/bucket/k?X-Amz-Date=20261128T171000Z";
    let age = seen(&stand, "s3:signatureAge", Method::GET, path, &[], "");
    let age: u64 = age.unwrap().parse().unwrap();
    assert!((600_000..660_000).contains(&age), "{age}");
}

#[test]
fn the_key_of_the_version_is_there_wherever_a_request_names_one() {
    let stand = Stand::versioned();
    let made = stand.put("/bucket/k", "x").ok();
    let id = made.header("x-amz-version-id");
    let key = "s3:VersionId";
    let path = format!("/bucket/k?versionId={id}");
    let told = seen(&stand, key, Method::GET, &path, &[], "");
    assert_eq!(told.as_deref(), Some(id));
    assert_eq!(seen(&stand, key, Method::GET, "/bucket/k", &[], ""), None);
    let source = format!("bucket/k?versionId={id}");
    let headers = [("x-amz-copy-source", source.as_str())];
    let told = seen(&stand, key, Method::PUT, "/bucket/copy", &headers, "");
    assert_eq!(told.as_deref(), Some(id));
    let several = "<Delete><Object><Key>k</Key><VersionId>null</VersionId></Object></Delete>";
    let told = seen(&stand, key, Method::POST, "/bucket?delete", &[], several);
    assert_eq!(told.as_deref(), Some("null"));
}

#[test]
fn a_bucket_is_made_with_what_its_document_asks_for_or_not() {
    let stand = Stand::new();
    let document = "<CreateBucketConfiguration><Tags><Tag><Key>team</Key><Value>blue</Value></Tag>\
                    </Tags></CreateBucketConfiguration>";
    stand.put("/tagged", document).ok();
    assert_eq!(stand.get("/tagged?tagging").ok().one("Value"), "blue");
    let document = "<CreateBucketConfiguration><Colour>blue</Colour></CreateBucketConfiguration>";
    let refused = stand.put("/coloured", document);
    assert_eq!(refused.error(), (400, "MalformedXML"));
    assert_eq!(stand.head("/coloured").status, 404);
}
