//! Requests made of pieces at random, from seeds: none panics, each is answered by a document or by
//! what it asked for, and none that is refused changes an object.

use http::Method;

use crate::support::Stand;

/// A generator that is the same everywhere (SplitMix64).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[(self.next() % all.len() as u64) as usize]
    }
}

const METHODS: [&str; 7] = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"];

const PATHS: [&str; 9] = [
    "/",
    "/bucket",
    "/bucket/",
    "/bucket/k",
    "/bucket/%00",
    "/bucket/%ff",
    "/b",
    "//",
    "/nobucket/k",
];

const PARAMETERS: [&str; 34] = [
    "acl",
    "tagging",
    "versionId=null",
    "versionId=",
    "versionId=%00",
    "partNumber=0",
    "partNumber=1",
    "uploadId=a",
    "uploads",
    "delete",
    "list-type=2",
    "list-type=3",
    "max-keys=-1",
    "max-keys=9999999999",
    "prefix=%F0%9F%98%80",
    "delimiter=/",
    "replication",
    "lifecycle",
    "cors",
    "policy",
    "versioning",
    "location",
    "object-lock",
    "retention",
    "legal-hold",
    "attributes",
    "bogus",
    "x-id=PutObject",
    "X-Amz-Signature=0",
    "x-amz-acl=private",
    "x-amz-copy-source=bucket/k",
    "encoding-type=url",
    "response-content-type=a",
    "continuation-token=%%",
];

const HEADERS: [(&str, &str); 24] = [
    ("range", "bytes=1-"),
    ("range", "bytes=18446744073709551615-"),
    ("if-match", "\""),
    ("if-none-match", "*"),
    ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ("content-md5", "\u{7f}"),
    ("x-amz-copy-source", "bucket/k?versionId=null"),
    ("x-amz-copy-source", "%"),
    ("x-amz-copy-source-range", "bytes=5-1"),
    ("x-amz-tagging", "a=b&a"),
    ("x-amz-acl", "public-read"),
    ("x-amz-grant-read", "uri="),
    ("x-amz-object-lock-mode", "GOVERNANCE"),
    (
        "x-amz-object-lock-retain-until-date",
        "9999-12-31T23:59:59.999999999Z",
    ),
    ("x-amz-object-lock-legal-hold", "MAYBE"),
    ("x-amz-checksum-crc32", "AAAAAA=="),
    ("x-amz-trailer", "x-amz-checksum-crc32"),
    ("x-amz-sdk-checksum-algorithm", "CRC32"),
    ("x-amz-server-side-encryption-customer-key", "a"),
    ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
    ("x-amz-object-attributes", "ETag,Bogus"),
    ("x-amz-expected-bucket-owner", "1"),
    ("content-type", "multipart/form-data; boundary=a"),
    ("host", "bucket.s3.localhost"),
];

const BODIES: [&str; 8] = [
    "",
    "hello",
    "<",
    "<Delete><Object><Key>k</Key></Object></Delete>",
    "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
    "<VersioningConfiguration><Status>Sometimes</Status></VersioningConfiguration>",
    "{\"Version\":1}",
    "<!DOCTYPE a [<!ENTITY b \"c\">]><Tagging>&b;</Tagging>",
];

#[test]
fn no_request_breaks_it() {
    for seed in 0..40 {
        let mut draws = Draws(seed);
        let stand = Stand::versioned();
        stand.put("/bucket/k", "hello").ok();
        for _ in 0..100 {
            one(&stand, &mut draws, seed);
        }
    }
}

fn one(stand: &Stand, draws: &mut Draws, seed: u64) {
    let method: Method = draws.of(&METHODS).parse().unwrap();
    let parameters: Vec<&str> = (0..draws.next() % 3)
        .map(|_| draws.of(&PARAMETERS))
        .collect();
    let path = format!("{}?{}", draws.of(&PATHS), parameters.join("&"));
    let mut headers: Vec<(&str, &str)> = Vec::new();
    for _ in 0..draws.next() % 3 {
        let (name, value) = HEADERS[(draws.next() % HEADERS.len() as u64) as usize];
        // A header that can't be sent never comes here.
        if !value.contains('\u{7f}') && headers.iter().all(|(given, _)| *given != name) {
            headers.push((name, value));
        }
    }
    let body = draws.of(&BODIES);
    let answer = stand.call(method.clone(), &path, &headers, body);
    let told = format!("seed {seed}: {method} {path} {headers:?} {body:?}: {answer:?}");
    assert!((200..600).contains(&answer.status), "{told}");
    assert_ne!(answer.status, 500, "{told}");
    assert_eq!(answer.header("x-amz-request-id"), "REQUEST", "{told}");
    if method == Method::HEAD {
        assert!(answer.body.is_empty(), "{told}");
    } else if answer.status >= 400 {
        let (_, code) = answer.error();
        assert!(
            !code.is_empty() && !answer.one("Message").is_empty(),
            "{told}"
        );
        assert_eq!(answer.header("content-type"), "application/xml", "{told}");
    }
}
