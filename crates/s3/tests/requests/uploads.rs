//! Objects are uploaded in parts.

use http::Method;
use objects::lifecycle::{Expiration, Filter, LifecycleConfiguration, LifecycleRule};

use crate::support::{Answer, Stand};

const MIB: usize = 1 << 20;

/// Begins an upload of `/bucket/k`; its id.
fn begin(stand: &Stand, headers: &[(&str, &str)]) -> String {
    let begun = stand
        .call(Method::POST, "/bucket/k?uploads", headers, "")
        .ok();
    begun.one("UploadId").to_owned()
}

fn put_part(
    stand: &Stand,
    id: &str,
    number: u32,
    headers: &[(&str, &str)],
    bytes: Vec<u8>,
) -> Answer {
    let path = format!("/bucket/k?partNumber={number}&uploadId={id}");
    stand.call(Method::PUT, &path, headers, bytes)
}

fn document(parts: &[(u32, &str)]) -> String {
    let parts = parts.iter().map(|(number, etag)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    });
    let parts: String = parts.collect();
    format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
}

fn complete(stand: &Stand, id: &str, headers: &[(&str, &str)], document: &str) -> Answer {
    let path = format!("/bucket/k?uploadId={id}");
    stand.call(Method::POST, &path, headers, document.to_owned())
}

#[test]
fn parts_become_an_object_that_is_read_by_parts() {
    let stand = Stand::versioned();
    let headers = [
        ("content-type", "text/plain"),
        ("x-amz-meta-a", "b"),
        ("x-amz-tagging", "t=1"),
    ];
    let id = begin(&stand, &headers);
    let first = put_part(&stand, &id, 1, &[], vec![b'1'; 5 * MIB]).ok();
    let second = put_part(&stand, &id, 2, &[], b"the end".to_vec()).ok();
    assert_eq!(first.header("x-amz-server-side-encryption"), "AES256");
    let listed = stand.get(&format!("/bucket/k?uploadId={id}")).ok();
    assert_eq!(listed.text().matches("<Part>").count(), 2);
    assert_eq!(listed.one("MaxParts"), "1000");
    assert_eq!(listed.one("Size"), (5 * MIB).to_string());
    let page = stand
        .get(&format!("/bucket/k?uploadId={id}&max-parts=1"))
        .ok();
    assert_eq!(page.one("NextPartNumberMarker"), "1");
    assert_eq!(page.one("IsTruncated"), "true");
    let parts = document(&[(1, first.header("etag")), (2, second.header("etag"))]);
    let completed = complete(&stand, &id, &[], &parts).ok();
    assert!(completed.one("ETag").ends_with("-2\""));
    assert_eq!(completed.one("ChecksumType"), "FULL_OBJECT");
    assert_eq!(completed.one("Key"), "k");
    let version = completed.header("x-amz-version-id");
    assert_eq!(version.len(), 32);
    let again = complete(&stand, &id, &[], &parts).ok();
    assert_eq!(again.header("x-amz-version-id"), version);
    assert_eq!(again.text(), completed.text());
    let got = stand.get("/bucket/k").ok();
    assert_eq!(got.body.len(), 5 * MIB + 7);
    assert!(got.body.ends_with(b"1the end"));
    assert_eq!(got.header("content-type"), "text/plain");
    assert_eq!(got.header("x-amz-meta-a"), "b");
    assert_eq!(got.header("x-amz-tagging-count"), "1");
    let part = stand.get("/bucket/k?partNumber=2");
    assert_eq!((part.status, part.text()), (206, "the end"));
    assert_eq!(part.header("x-amz-mp-parts-count"), "2");
    let gone = stand.get(&format!("/bucket/k?uploadId={id}"));
    assert_eq!(gone.error(), (404, "NoSuchUpload"));
}

#[test]
fn what_can_t_be_completed_is_refused() {
    let stand = Stand::with(|_| {});
    let id = begin(&stand, &[]);
    let etag = put_part(&stand, &id, 1, &[], b"1".to_vec()).ok();
    let etag = etag.header("etag").to_owned();
    put_part(&stand, &id, 2, &[], b"2".to_vec()).ok();
    let code = |parts: &[(u32, &str)]| {
        let refused = complete(&stand, &id, &[], &document(parts));
        refused.error().1.to_owned()
    };
    assert_eq!(code(&[]), "MalformedXML");
    assert_eq!(code(&[(2, &etag)]), "InvalidPart");
    assert_eq!(code(&[(1, &etag), (1, &etag)]), "InvalidPartOrder");
    assert_eq!(code(&[(3, &etag)]), "InvalidPart");
    assert_eq!(code(&[(0, &etag)]), "InvalidArgument");
    let second = "\"c81e728d9d4c2f636f067f89cc14862c\"";
    assert_eq!(code(&[(1, &etag), (2, second)]), "EntityTooSmall");
    let none = [("if-match", "\"x\"")];
    let refused = complete(&stand, &id, &none, &document(&[(1, &etag)]));
    assert_eq!(refused.error().0, 404);
    let size = [("x-amz-mp-object-size", "9")];
    let refused = complete(&stand, &id, &size, &document(&[(1, &etag)]));
    assert_eq!(refused.error(), (400, "InvalidRequest"));
    for path in [
        format!("/bucket/k?partNumber=0&uploadId={id}"),
        format!("/bucket/k?partNumber=10001&uploadId={id}"),
        format!("/bucket/k?partNumber=x&uploadId={id}"),
    ] {
        assert_eq!(stand.put(&path, "x").error(), (400, "InvalidArgument"));
    }
    let strange = stand.put("/bucket/k?partNumber=1&uploadId=strange", "x");
    assert_eq!(strange.error(), (404, "NoSuchUpload"));
    let other = format!("/bucket/other?partNumber=1&uploadId={id}");
    assert_eq!(stand.put(&other, "x").error(), (404, "NoSuchUpload"));
    assert_eq!(
        stand
            .delete(&format!("/bucket/k?uploadId={id}"))
            .ok()
            .status,
        204
    );
    let again = stand.delete(&format!("/bucket/k?uploadId={id}"));
    assert_eq!(again.error(), (404, "NoSuchUpload"));
    assert_eq!(stand.get("/bucket/k").error(), (404, "NoSuchKey"));
}

#[test]
fn checksums_of_parts_are_verified_and_told() {
    let stand = Stand::with(|_| {});
    let asked = [("x-amz-checksum-algorithm", "SHA256")];
    let begun = stand
        .call(Method::POST, "/bucket/k?uploads", &asked, "")
        .ok();
    assert_eq!(begun.header("x-amz-checksum-algorithm"), "SHA256");
    assert_eq!(begun.header("x-amz-checksum-type"), "COMPOSITE");
    let id = begun.one("UploadId").to_owned();
    // Of "hello", computed with Python's hashlib.
    let sum = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    let given = [("x-amz-checksum-sha256", sum)];
    let put = put_part(&stand, &id, 1, &given, b"hello".to_vec()).ok();
    assert_eq!(put.header("x-amz-checksum-sha256"), sum);
    let wrong = put_part(&stand, &id, 1, &given, b"hellO".to_vec());
    assert_eq!(wrong.error(), (400, "BadDigest"));
    let other = [("x-amz-checksum-crc32", "NhCmhg==")];
    let other = put_part(&stand, &id, 1, &other, b"hello".to_vec());
    assert_eq!(other.error(), (400, "InvalidRequest"));
    let etag = put.header("etag");
    let bare = complete(&stand, &id, &[], &document(&[(1, etag)]));
    assert_eq!(bare.error(), (400, "InvalidRequest"));
    let parts = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag>\
         <ChecksumSHA256>{sum}</ChecksumSHA256></Part></CompleteMultipartUpload>"
    );
    let completed = complete(&stand, &id, &[], &parts).ok();
    assert_eq!(completed.one("ChecksumType"), "COMPOSITE");
    // SHA-256 of that sum's bytes, and how many.
    assert_eq!(
        completed.one("ChecksumSHA256"),
        "lZXJ35AHUUjrBoYDZd8zWEt1v/eCpRDGzUiDpBmDPVA=-1".to_owned()
    );
    let full = [
        ("x-amz-checksum-algorithm", "SHA1"),
        ("x-amz-checksum-type", "FULL_OBJECT"),
    ];
    let refused = stand.call(Method::POST, "/bucket/k?uploads", &full, "");
    assert_eq!(refused.error(), (400, "InvalidRequest"));
}

#[test]
fn a_part_is_copied_from_an_object() {
    let stand = Stand::versioned();
    stand.put("/bucket/source", "0123456789").ok();
    let id = begin(&stand, &[]);
    let path = format!("/bucket/k?partNumber=1&uploadId={id}");
    let copy = |headers: &[(&str, &str)]| stand.call(Method::PUT, &path, headers, "");
    let range = [
        ("x-amz-copy-source", "/bucket/source"),
        ("x-amz-copy-source-range", "bytes=2-4"),
    ];
    let copied = copy(&range).ok();
    assert_eq!(copied.header("x-amz-copy-source-version-id").len(), 32);
    let etag = copied.one("ETag").to_owned();
    complete(&stand, &id, &[], &document(&[(1, &etag)])).ok();
    assert_eq!(stand.get("/bucket/k").ok().text(), "234");
    let id = begin(&stand, &[]);
    let path = format!("/bucket/k?partNumber=1&uploadId={id}");
    for (name, value, error) in [
        (
            "x-amz-copy-source-range",
            "bytes=5-10",
            (400, "InvalidArgument"),
        ),
        (
            "x-amz-copy-source-range",
            "bytes=5-",
            (400, "InvalidArgument"),
        ),
        (
            "x-amz-copy-source-if-match",
            "\"other\"",
            (412, "PreconditionFailed"),
        ),
    ] {
        let headers = [("x-amz-copy-source", "/bucket/source"), (name, value)];
        let refused = stand.call(Method::PUT, &path, &headers, "");
        assert_eq!(refused.error(), error, "{value}");
    }
    let missing = [("x-amz-copy-source", "/bucket/missing")];
    let refused = stand.call(Method::PUT, &path, &missing, "");
    assert_eq!(refused.error(), (404, "NoSuchKey"));
}

#[test]
fn a_customer_s_key_goes_with_every_part() {
    let stand = Stand::with(|_| {});
    // 32 bytes of zero, and their MD5.
    let key = [
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        (
            "x-amz-server-side-encryption-customer-key",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ),
        (
            "x-amz-server-side-encryption-customer-key-md5",
            "cLyPS3KoaSFGi/joRB3OUQ==",
        ),
    ];
    let id = begin(&stand, &key);
    let bare = put_part(&stand, &id, 1, &[], b"x".to_vec());
    assert_eq!(bare.error(), (400, "InvalidRequest"));
    let put = put_part(&stand, &id, 1, &key, b"secret".to_vec()).ok();
    let parts = document(&[(1, put.header("etag"))]);
    let completed = complete(&stand, &id, &[], &parts).ok();
    let md5 = "x-amz-server-side-encryption-customer-key-md5";
    assert_eq!(completed.header(md5), key[2].1);
    assert_eq!(stand.get("/bucket/k").error().0, 400);
    let got = stand.call(Method::GET, "/bucket/k", &key, "").ok();
    assert_eq!(got.text(), "secret");
    let id = begin(&stand, &[]);
    let unasked = put_part(&stand, &id, 1, &key, b"x".to_vec());
    assert_eq!(unasked.error(), (400, "InvalidRequest"));
}

#[test]
fn lifecycle_tells_when_it_expires_an_object_and_aborts_an_upload() {
    let stand = Stand::with(|settings| {
        let rule = |id: &str| LifecycleRule {
            id: id.to_owned(),
            enabled: true,
            filter: Some(Filter::default()),
            ..LifecycleRule::default()
        };
        let expires = LifecycleRule {
            expiration: Some(Expiration {
                days: Some(3),
                ..Expiration::default()
            }),
            ..rule("in 3 days")
        };
        let aborts = LifecycleRule {
            abort_after_days: Some(1),
            ..rule("aborts")
        };
        settings.lifecycle = Some(LifecycleConfiguration {
            rules: vec![expires, aborts],
        });
    });
    let told = "expiry-date=\"Wed, 02 Dec 2026 00:00:00 GMT\", rule-id=\"in%203%20days\"";
    assert_eq!(
        stand.put("/bucket/k", "x").ok().header("x-amz-expiration"),
        told
    );
    assert_eq!(
        stand.head("/bucket/k").ok().header("x-amz-expiration"),
        told
    );
    let begun = stand.call(Method::POST, "/bucket/k?uploads", &[], "").ok();
    let at = "Mon, 30 Nov 2026 00:00:00 GMT";
    assert_eq!(begun.header("x-amz-abort-date"), at);
    assert_eq!(begun.header("x-amz-abort-rule-id"), "aborts");
}
