//! Bad input: nothing is stored of what isn't what it says, nothing is overlooked, and what is
//! damaged is never served.

use http::Method;

use crate::support::Stand;

#[test]
fn wrong_digests_and_lengths_leave_nothing() {
    let stand = Stand::with(|_| {});
    let large = "x".repeat(100_000);
    for body in ["hello", &*large] {
        for (headers, error) in [
            (
                vec![("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")],
                (400, "BadDigest"),
            ),
            (vec![("content-md5", "hello")], (400, "InvalidDigest")),
            (
                vec![("x-amz-checksum-crc32", "AAAAAA==")],
                (400, "BadDigest"),
            ),
            (
                vec![("x-amz-checksum-crc32", "AAAA")],
                (400, "InvalidRequest"),
            ),
            (
                vec![("x-amz-checksum-xxhash3", "AAAAAAAAAAA=")],
                (501, "NotImplemented"),
            ),
            (vec![("content-length", "200000")], (400, "IncompleteBody")),
            (vec![("content-length", "2")], (400, "IncompleteBody")),
            (
                vec![("content-length", "6000000000")],
                (400, "EntityTooLarge"),
            ),
            (
                vec![("transfer-encoding", "chunked")],
                (411, "MissingContentLength"),
            ),
        ] {
            let refused = stand.call(Method::PUT, "/bucket/k", &headers, body.to_owned());
            assert_eq!(refused.error(), error, "{headers:?}");
        }
    }
    assert_eq!(stand.get("/bucket/k").error(), (404, "NoSuchKey"));
    assert_eq!(stand.blobs.all(), []);
}

#[test]
fn a_body_in_chunks_is_decoded_and_its_trailer_holds() {
    let stand = Stand::with(|_| {});
    let chunked =
        |trailer: &str| format!("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:{trailer}\r\n\r\n");
    let headers = [
        ("content-encoding", "aws-chunked"),
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("x-amz-decoded-content-length", "5"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
        ("x-amz-sdk-checksum-algorithm", "CRC32"),
    ];
    let put = |body: String| stand.call(Method::PUT, "/bucket/k", &headers, body);
    assert_eq!(put(chunked("NhCmhw==")).error(), (400, "BadDigest"));
    assert_eq!(put("5\r\nhell".to_owned()).error(), (400, "IncompleteBody"));
    assert_eq!(stand.get("/bucket/k").status, 404);
    let done = put(chunked("NhCmhg==")).ok();
    assert_eq!(done.header("x-amz-checksum-crc32"), "NhCmhg==");
    let got = stand.get("/bucket/k").ok();
    assert_eq!((got.text(), got.header("content-encoding")), ("hello", ""));
}

#[test]
fn what_no_operation_has_is_refused_by_name() {
    let stand = Stand::with(|_| {});
    stand.put("/bucket/k", "hello").ok();
    for (method, path, what) in [
        (Method::PUT, "/bucket/k?annotation=foo", "'annotation'"),
        (Method::GET, "/bucket/k?annotations", "'annotations'"),
        (Method::GET, "/bucket/k?bogus", "'bogus'"),
        (Method::DELETE, "/bucket?bogus", "'bogus'"),
        (Method::GET, "/bucket/k?torrent", "'GetObjectTorrent'"),
    ] {
        let refused = stand.call(method, path, &[], "other");
        assert_eq!(refused.error(), (501, "NotImplemented"), "{path}");
        assert!(refused.one("Message").contains(what), "{}", refused.text());
    }
    let bare = stand.call(Method::POST, "/bucket", &[], "other");
    assert_eq!(bare.error(), (412, "PreconditionFailed"));
    assert!(
        bare.text().contains("multipart/form-data"),
        "{}",
        bare.text()
    );
    let kms = [("x-amz-server-side-encryption", "aws:kms")];
    assert_eq!(
        stand.call(Method::PUT, "/bucket/k", &kms, "other").status,
        501
    );
    assert_eq!(stand.get("/bucket/k").ok().text(), "hello");
    let patch = stand.call(Method::PATCH, "/bucket/k", &[], "");
    assert_eq!(patch.error(), (405, "MethodNotAllowed"));
}

#[test]
fn keys_may_have_every_character_and_paths_no_tricks() {
    let stand = Stand::with(|_| {});
    for key in [
        "..%2f..%2fetc%2fpasswd",
        "a//b",
        "./a/../b",
        "%00",
        "%F0%9F%98%80",
        "a+b",
        "%25",
    ] {
        let path = format!("/bucket/{key}");
        stand.put(&path, key.to_owned()).ok();
    }
    for key in [
        "..%2f..%2fetc%2fpasswd",
        "a//b",
        "./a/../b",
        "%00",
        "%F0%9F%98%80",
        "a+b",
        "%25",
    ] {
        assert_eq!(stand.get(&format!("/bucket/{key}")).ok().text(), key);
    }
    assert_eq!(stand.put("/bucket/%ff", "x").error(), (400, "InvalidURI"));
    let long = format!("/bucket/{}", "k".repeat(1025));
    assert_eq!(stand.put(&long, "x").error(), (400, "KeyTooLongError"));
    assert_eq!(
        stand.put("/Bucket/k", "x").error(),
        (400, "InvalidBucketName")
    );
    let missing = stand.get("/nobucket/k");
    assert_eq!(missing.error(), (404, "NoSuchBucket"));
    assert_eq!(missing.one("BucketName"), "nobucket");
}

#[test]
fn damaged_bytes_are_never_served() {
    let stand = Stand::with(|_| {});
    stand.put("/bucket/k", "x".repeat(2_000_000)).ok();
    let (blob, _) = stand.blobs.all()[0];
    assert!(stand.blobs.flip(blob, 1_950_000));
    let got = stand.get("/bucket/k");
    assert!(
        got.status == 200
            && got.body.len() < 2_000_000
            && got.body.iter().all(|byte| *byte == b'x')
    );
    assert_eq!(
        stand
            .call(Method::GET, "/bucket/k", &[("range", "bytes=0-9")], "")
            .ok()
            .body
            .len(),
        10
    );
}

#[test]
fn damage_at_the_start_is_an_error_with_its_name() {
    let stand = Stand::with(|_| {});
    stand.put("/bucket/k", "x".repeat(200_000)).ok();
    let (blob, _) = stand.blobs.all()[0];
    assert!(stand.blobs.flip(blob, 100));
    assert_eq!(stand.get("/bucket/k").error(), (500, "InternalError"));
}

#[test]
fn a_full_disk_refuses_and_leaves_nothing() {
    let stand = Stand::with(|_| {});
    stand.blobs.set_full(true);
    let refused = stand.put("/bucket/k", "x".repeat(200_000));
    assert_eq!(refused.error(), (503, "ServiceUnavailable"));
    // That it is the disk is the operator's to know.
    assert_eq!(
        refused.one("Message"),
        "Service is unable to handle request."
    );
    stand.blobs.set_full(false);
    assert_eq!(stand.get("/bucket/k").status, 404);
    stand.put("/bucket/k", "x".repeat(200_000)).ok();
}

#[test]
fn a_full_database_refuses_what_adds_to_it_and_goes_on_with_the_rest() {
    let stand = Stand::with(|_| {});
    stand.put("/bucket/k", "kept").ok();
    stand.put("/bucket/goes", "x").ok();
    stand.engine.fail_with_full_disk(true);
    for (method, path, body) in [
        (Method::PUT, "/bucket/k", "small".to_owned()),
        (Method::PUT, "/bucket/l", "x".repeat(200_000)),
        (Method::POST, "/bucket/l?uploads", String::new()),
        (Method::PUT, "/another-bucket", String::new()),
    ] {
        let refused = stand.call(method, path, &[], body);
        assert_eq!(refused.error(), (503, "ServiceUnavailable"), "{path}");
        assert_eq!(
            refused.one("Message"),
            "Service is unable to handle request."
        );
    }
    assert_eq!(stand.get("/bucket/k").ok().text(), "kept");
    stand.engine.fail_with_full_disk(false);
    assert_eq!(stand.get("/bucket/l").status, 404);
    stand.put("/bucket/k", "small").ok();
}

#[test]
fn a_bucket_of_another_region_is_pointed_to() {
    let stand = Stand::new();
    stand.elsewhere("bucket", "eu-west-1");
    for path in ["/bucket?versioning", "/bucket/k", "/bucket/k?tagging"] {
        let moved = stand.get(path);
        assert_eq!(moved.error(), (301, "PermanentRedirect"), "{path}");
        assert_eq!(moved.header("x-amz-bucket-region"), "eu-west-1");
        assert_eq!(moved.one("Endpoint"), "bucket.s3.eu-west-1.amazonaws.com");
        assert_eq!(moved.one("Bucket"), "bucket");
        let head = stand.head(path.split('?').next().unwrap());
        assert_eq!((head.status, head.text()), (301, ""));
        assert_eq!(head.header("x-amz-bucket-region"), "eu-west-1");
    }
    assert_eq!(stand.put("/bucket/k", "hello").status, 301);
    let copy = [("x-amz-copy-source", "bucket/k")];
    let stand = Stand::with(|_| {});
    stand.elsewhere("other-bucket", "eu-west-1");
    let from = [("x-amz-copy-source", "other-bucket/k")];
    let refused = stand.call(Method::PUT, "/bucket/k", &from, "");
    assert_eq!(refused.error(), (501, "NotImplemented"));
    assert_eq!(stand.call(Method::PUT, "/bucket/l", &copy, "").status, 404);
}

#[test]
fn nothing_is_an_object_too() {
    let stand = Stand::with(|_| {});
    stand.put("/bucket/k", "").ok();
    let got = stand.get("/bucket/k").ok();
    assert_eq!((got.text(), got.header("content-length")), ("", "0"));
    let range = stand.call(Method::GET, "/bucket/k", &[("range", "bytes=0-")], "");
    assert_eq!(range.error(), (416, "InvalidRange"));
}
