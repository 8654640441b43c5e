//! Objects are put, got, copied, tagged and deleted.

use http::Method;

use crate::support::Stand;

#[test]
fn an_object_comes_back_with_what_was_put_with_it() {
    let stand = Stand::with(|_| {});
    let headers = [
        ("content-type", "text/plain"),
        ("cache-control", "no-cache"),
        ("content-encoding", "aws-chunked,gzip"),
        ("expires", "never"),
        ("x-amz-meta-color", "blue"),
        ("x-amz-tagging", "a=1&b=2"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-checksum-crc32", "NhCmhg=="),
        ("content-md5", "XUFAKrxLKna5cZ2REBfFkg=="),
    ];
    let put = stand
        .call(Method::PUT, "/bucket/a/b%20c", &headers, "hello")
        .ok();
    let etag = "\"5d41402abc4b2a76b9719d911017c592\"";
    assert_eq!(put.header("etag"), etag);
    assert_eq!(put.header("x-amz-checksum-crc32"), "NhCmhg==");
    assert_eq!(put.header("x-amz-server-side-encryption"), "AES256");
    assert_eq!(put.header("x-amz-request-id"), "REQUEST");
    assert_eq!(put.header("x-amz-version-id"), "");
    for method in [Method::GET, Method::HEAD] {
        let checked = [("x-amz-checksum-mode", "ENABLED")];
        let got = stand
            .call(method.clone(), "/bucket/a/b%20c", &checked, "")
            .ok();
        let body = if method == Method::GET { "hello" } else { "" };
        assert_eq!(got.text(), body);
        for (name, value) in [
            ("content-length", "5"),
            ("content-type", "text/plain"),
            ("cache-control", "no-cache"),
            ("content-encoding", "gzip"),
            ("expires", "never"),
            ("x-amz-meta-color", "blue"),
            ("x-amz-tagging-count", "2"),
            ("x-amz-storage-class", "STANDARD_IA"),
            ("x-amz-checksum-crc32", "NhCmhg=="),
            ("x-amz-checksum-type", "FULL_OBJECT"),
            ("etag", etag),
            ("accept-ranges", "bytes"),
            ("last-modified", "Sat, 28 Nov 2026 17:20:00 GMT"),
        ] {
            assert_eq!(got.header(name), value, "{method} {name}");
        }
    }
}

#[test]
fn a_large_object_is_read_in_ranges() {
    let stand = Stand::with(|_| {});
    let bytes: Vec<u8> = (0..300_000u32).map(|number| (number % 251) as u8).collect();
    stand.put("/bucket/k", bytes.clone()).ok();
    assert_eq!(stand.get("/bucket/k").ok().body, bytes);
    for (range, expected) in [
        ("bytes=0-0", 0..1),
        ("bytes=65530-65545", 65_530..65_546),
        ("bytes=299990-", 299_990..300_000),
        ("bytes=-10", 299_990..300_000),
    ] {
        let got = stand.call(Method::GET, "/bucket/k", &[("range", range)], "");
        assert_eq!(got.status, 206, "{range}");
        assert_eq!(got.body, bytes[expected.clone()]);
        let told = format!("bytes {}-{}/300000", expected.start, expected.end - 1);
        assert_eq!(got.header("content-range"), told);
        let length = (expected.end - expected.start).to_string();
        assert_eq!(got.header("content-length"), length);
        let head = stand.call(Method::HEAD, "/bucket/k", &[("range", range)], "");
        assert_eq!(
            (head.status, head.header("content-length")),
            (206, &*length)
        );
    }
    let past = stand.call(Method::GET, "/bucket/k", &[("range", "bytes=300000-")], "");
    assert_eq!(past.error(), (416, "InvalidRange"));
    assert_eq!(past.one("ActualObjectSize"), "300000");
    let several = [("range", "bytes=0-1,3-4")];
    let whole = stand.call(Method::GET, "/bucket/k", &several, "").ok();
    assert_eq!((whole.status, whole.body.len()), (200, 300_000));
    let first = stand.get("/bucket/k?partNumber=1");
    assert_eq!((first.status, first.body.len()), (206, 300_000));
    let second = stand.get("/bucket/k?partNumber=2");
    assert_eq!(second.error(), (416, "InvalidPartNumber"));
}

#[test]
fn conditions_decide_what_is_read_and_written() {
    let stand = Stand::with(|_| {});
    let etag = stand
        .put("/bucket/k", "hello")
        .ok()
        .header("etag")
        .to_owned();
    let get = |name: &str, value: &str| stand.call(Method::GET, "/bucket/k", &[(name, value)], "");
    assert_eq!(get("if-match", &etag).status, 200);
    let other = get("if-match", "\"other\"");
    assert_eq!(other.error(), (412, "PreconditionFailed"));
    assert_eq!(other.one("Condition"), "If-Match");
    let same = get("if-none-match", &etag);
    assert_eq!(
        (same.status, same.text(), same.header("etag")),
        (304, "", &*etag)
    );
    assert_eq!(
        get("if-modified-since", "Sat, 28 Nov 2026 17:20:00 GMT").status,
        304
    );
    assert_eq!(get("if-modified-since", "yesterday").status, 200);
    let before = "Sat, 28 Nov 2026 17:19:59 GMT";
    assert_eq!(get("if-unmodified-since", before).status, 412);

    let put = |name: &str, value: &str, key: &str| {
        let path = format!("/bucket/{key}");
        stand
            .call(Method::PUT, &path, &[(name, value)], "again")
            .status
    };
    assert_eq!(put("if-none-match", "*", "k"), 412);
    assert_eq!(put("if-none-match", "\"tag\"", "k"), 501);
    assert_eq!(put("if-match", "\"other\"", "k"), 412);
    assert_eq!(put("if-match", "\"other\"", "none"), 404);
    assert_eq!(stand.get("/bucket/k").text(), "hello");
    assert_eq!(put("if-none-match", "*", "new"), 200);
    assert_eq!(put("if-match", &etag, "k"), 200);
    assert_eq!(stand.get("/bucket/k").text(), "again");
}

#[test]
fn an_answer_s_headers_can_be_asked_to_be_others() {
    let stand = Stand::with(|_| {});
    stand.put("/bucket/k", "hello").ok();
    let query = "response-content-type=text%2Fcsv&response-content-disposition=attachment";
    let got = stand.get(&format!("/bucket/k?{query}")).ok();
    assert_eq!(got.header("content-type"), "text/csv");
    assert_eq!(got.header("content-disposition"), "attachment");
    let split = stand.get("/bucket/k?response-content-type=a%0d%0ab:c");
    assert_eq!(split.error(), (400, "InvalidRequest"));
}

#[test]
fn a_customer_s_key_opens_what_it_closed() {
    let stand = Stand::with(|_| {});
    let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let headers = |prefix: &str, key: &str, md5: &str| {
        [("algorithm", "AES256"), ("key", key), ("key-md5", md5)]
            .map(|(end, value)| (format!("x-amz-{prefix}{end}"), value.to_owned()))
    };
    let call = |method: Method, path: &str, given: &[(String, String)], body: &'static str| {
        let given = given.iter();
        let given: Vec<(&str, &str)> = given.map(|(name, value)| (&**name, &**value)).collect();
        stand.call(method, path, &given, body)
    };
    let md5 = "hRasmdxgYDKV3nvbahU1MA==";
    let own = headers("server-side-encryption-customer-", key, md5);
    let put = call(Method::PUT, "/bucket/k", &own, "hello").ok();
    assert_eq!(
        put.header("x-amz-server-side-encryption-customer-key-md5"),
        md5
    );
    assert_eq!(stand.get("/bucket/k").error(), (400, "InvalidRequest"));
    assert_eq!(
        call(Method::GET, "/bucket/k", &own, "").ok().text(),
        "hello"
    );
    let source = headers("copy-source-server-side-encryption-customer-", key, md5);
    let mut copy = source.to_vec();
    copy.push(("x-amz-copy-source".to_owned(), "bucket/k".to_owned()));
    call(Method::PUT, "/bucket/open", &copy, "").ok();
    assert_eq!(stand.get("/bucket/open").ok().text(), "hello");
}

#[test]
fn a_copy_takes_over_or_replaces() {
    let stand = Stand::with(|_| {});
    let headers = [
        ("content-type", "text/plain"),
        ("x-amz-tagging", "a=1"),
        ("x-amz-meta-m", "v"),
    ];
    stand
        .call(Method::PUT, "/bucket/from", &headers, "hello")
        .ok();
    let source = ("x-amz-copy-source", "/bucket/from");
    let copied = stand.call(Method::PUT, "/bucket/to", &[source], "").ok();
    assert!(
        copied
            .one("ETag")
            .contains("5d41402abc4b2a76b9719d911017c592")
    );
    assert_eq!(copied.one("LastModified"), "2026-11-28T17:20:00.000Z");
    let got = stand.get("/bucket/to").ok();
    assert_eq!(
        (got.text(), got.header("content-type")),
        ("hello", "text/plain")
    );
    assert_eq!(
        (
            got.header("x-amz-meta-m"),
            got.header("x-amz-tagging-count")
        ),
        ("v", "1")
    );
    let replaced = [
        source,
        ("x-amz-metadata-directive", "REPLACE"),
        ("x-amz-tagging-directive", "REPLACE"),
        ("x-amz-meta-n", "w"),
    ];
    stand.call(Method::PUT, "/bucket/to", &replaced, "").ok();
    let got = stand.get("/bucket/to").ok();
    assert_eq!(got.header("content-type"), "binary/octet-stream");
    assert_eq!(
        (got.header("x-amz-meta-m"), got.header("x-amz-meta-n")),
        ("", "w")
    );
    assert_eq!(got.header("x-amz-tagging-count"), "");

    let onto_itself = [("x-amz-copy-source", "bucket/to")];
    let refused = stand.call(Method::PUT, "/bucket/to", &onto_itself, "");
    assert_eq!(refused.error(), (400, "InvalidRequest"));
    for (from, error) in [
        ("bucket/none", (404, "NoSuchKey")),
        ("nobucket/k", (404, "NoSuchBucket")),
        ("bucket", (400, "InvalidArgument")),
    ] {
        let refused = stand.call(Method::PUT, "/bucket/x", &[("x-amz-copy-source", from)], "");
        assert_eq!(refused.error(), error, "{from}");
    }
    let unless = [source, ("x-amz-copy-source-if-none-match", "*")];
    assert_eq!(
        stand.call(Method::PUT, "/bucket/x", &unless, "").status,
        412
    );
}

#[test]
fn tags_are_put_got_and_deleted() {
    let stand = Stand::with(|_| {});
    stand.put("/bucket/k", "hello").ok();
    let tags = "<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet><Tag><Key>a b\
                </Key><Value>&amp;c</Value></Tag></TagSet></Tagging>";
    stand
        .put("/bucket/k?tagging", tags.replace("&amp;", "x-"))
        .ok();
    let got = stand.get("/bucket/k?tagging").ok();
    assert_eq!((got.one("Key"), got.one("Value")), ("a b", "x-c"));
    assert_eq!(
        stand.put("/bucket/k?tagging", tags).error(),
        (400, "InvalidTag")
    );
    assert_eq!(stand.delete("/bucket/k?tagging").status, 204);
    assert!(!stand.get("/bucket/k?tagging").ok().text().contains("<Key>"));
    let empty = stand.put("/bucket/k?tagging", "");
    assert_eq!(empty.error(), (400, "MissingRequestBodyError"));
    for bad in [
        "<Tagging>",
        "<!DOCTYPE a><Tagging/>",
        "<Tagging><![CDATA[a]]></Tagging>",
    ] {
        let refused = stand.put("/bucket/k?tagging", bad);
        assert_eq!(refused.error(), (400, "MalformedXML"), "{bad}");
    }
}

#[test]
fn attributes_are_told_without_the_bytes() {
    let stand = Stand::with(|_| {});
    stand.put("/bucket/k", "hello").ok();
    let asked = [(
        "x-amz-object-attributes",
        "ETag,ObjectSize,Checksum,StorageClass,ObjectParts",
    )];
    let told = stand
        .call(Method::GET, "/bucket/k?attributes", &asked, "")
        .ok();
    assert_eq!(told.one("ETag"), "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(
        (told.one("ObjectSize"), told.one("StorageClass")),
        ("5", "STANDARD")
    );
    assert_eq!(told.one("ChecksumType"), "FULL_OBJECT");
    assert!(!told.text().contains("ObjectParts"));
    let asked = [("x-amz-object-attributes", "Size")];
    let refused = stand.call(Method::GET, "/bucket/k?attributes", &asked, "");
    assert_eq!(refused.error(), (400, "InvalidArgument"));
}

#[test]
fn hosts_name_buckets_too() {
    let stand = Stand::with(|_| {});
    stand.put("/bucket/a/b", "hello").ok();
    let host = [("host", "bucket.s3.us-east-1.localhost:4566")];
    let got = stand.call(Method::GET, "/a/b", &host, "").ok();
    assert_eq!(got.text(), "hello");
}
