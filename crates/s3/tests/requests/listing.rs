//! Buckets are listed: pages, groups, markers and encodings as clients see them.

use http::Method;

use crate::support::{Answer, Stand};

/// The texts of all elements of that name, in order.
fn all(answer: &Answer, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = answer.text().split(&open).skip(1);
    let inner = parts.map(|part| part.split(&close).next().unwrap().to_owned());
    inner.collect()
}

/// What common prefixes say: their `Prefix`, not the request's.
fn groups(answer: &Answer) -> Vec<String> {
    let groups = all(answer, "CommonPrefixes");
    let inner = groups.iter().map(|group| {
        let text = group.strip_prefix("<Prefix>").unwrap();
        text.strip_suffix("</Prefix>").unwrap().to_owned()
    });
    inner.collect()
}

fn filled() -> Stand {
    let stand = Stand::versioned();
    for key in ["a/1", "a/2", "b", "c/1", "d%20%2B"] {
        stand.put(&format!("/bucket/{key}"), "x").ok();
    }
    stand.put("/bucket/gone", "x").ok();
    stand.delete("/bucket/gone").ok();
    stand
}

#[test]
fn the_second_version_pages_by_tokens() {
    let stand = filled();
    let first = stand
        .get("/bucket?list-type=2&max-keys=3&delimiter=%2F")
        .ok();
    assert_eq!(all(&first, "Key"), ["b"]);
    assert_eq!(groups(&first), ["a/", "c/"]);
    assert_eq!(first.one("IsTruncated"), "true");
    assert_eq!(first.one("KeyCount"), "3");
    assert_eq!(first.one("Name"), "bucket");
    assert!(!first.text().contains("<Owner>"));
    let token = first.one("NextContinuationToken");
    let path =
        format!("/bucket?list-type=2&delimiter=%2F&fetch-owner=true&continuation-token={token}");
    let second = stand.get(&path).ok();
    assert_eq!(all(&second, "Key"), ["d +"]);
    assert_eq!(second.one("IsTruncated"), "false");
    assert_eq!(second.one("ContinuationToken"), token);
    assert_eq!(second.one("ETag"), "\"9dd4e461268c8034f5c8564e155c67a6\"");
    assert_eq!(second.one("Size"), "1");
    assert_eq!(second.one("StorageClass"), "STANDARD");
    assert_eq!(second.one("ChecksumAlgorithm"), "CRC64NVME");
    assert_eq!(second.one("ID").len(), 64);
    let within = stand
        .get("/bucket?list-type=2&delimiter=%2F&start-after=a%2F1")
        .ok();
    assert_eq!(
        groups(&within),
        ["a/", "c/"],
        "a group that goes on is told"
    );
}

#[test]
fn the_first_version_pages_by_markers() {
    let stand = filled();
    let first = stand.get("/bucket?max-keys=1&delimiter=%2F").ok();
    assert_eq!(groups(&first), ["a/"]);
    assert_eq!(first.one("NextMarker"), "a/");
    assert_eq!(first.one("IsTruncated"), "true");
    let second = stand
        .get("/bucket?max-keys=2&delimiter=%2F&marker=a%2F")
        .ok();
    assert_eq!(all(&second, "Key"), ["b"]);
    assert_eq!(groups(&second), ["c/"]);
    let third = stand.get("/bucket?delimiter=%2F&marker=c%2F").ok();
    assert_eq!(all(&third, "Key"), ["d +"]);
    assert_eq!(third.one("IsTruncated"), "false");
    let plain = stand.get("/bucket?max-keys=2&prefix=a%2F").ok();
    assert_eq!(all(&plain, "Key"), ["a/1", "a/2"]);
    assert!(!plain.text().contains("NextMarker"));
    assert!(plain.text().contains("<Owner>"));
}

#[test]
fn keys_are_encoded_if_that_is_asked() {
    let stand = filled();
    let listed = stand
        .get("/bucket?list-type=2&encoding-type=url&start-after=c%2F1&prefix=d")
        .ok();
    assert_eq!(all(&listed, "Key"), ["d%20%2B"]);
    assert_eq!(listed.one("EncodingType"), "url");
    assert_eq!(listed.one("StartAfter"), "c/1");
}

#[test]
fn versions_and_delete_markers_are_listed_with_their_ids() {
    let stand = filled();
    stand.put("/bucket/b", "y").ok();
    let listed = stand.get("/bucket?versions&prefix=b").ok();
    assert_eq!(all(&listed, "IsLatest"), ["true", "false"]);
    let ids = all(&listed, "VersionId");
    let path = format!(
        "/bucket?versions&prefix=b&key-marker=b&version-id-marker={}",
        ids[0]
    );
    let rest = stand.get(&path).ok();
    assert_eq!(all(&rest, "VersionId"), [ids[1].clone()]);
    assert_eq!(all(&rest, "IsLatest"), ["false"]);
    let page = stand.get("/bucket?versions&prefix=b&max-keys=1").ok();
    assert_eq!(page.one("NextKeyMarker"), "b");
    assert_eq!(page.one("NextVersionIdMarker"), ids[0]);
    let gone = stand.get("/bucket?versions&prefix=gone").ok();
    assert_eq!(all(&gone, "DeleteMarker").len(), 1);
    assert_eq!(all(&gone, "Version").len(), 1);
    for (path, error) in [
        ("/bucket?versions&version-id-marker=null", "InvalidArgument"),
        (
            "/bucket?versions&key-marker=b&version-id-marker=x",
            "InvalidArgument",
        ),
        (
            "/bucket?versions&key-marker=b&version-id-marker=",
            "InvalidArgument",
        ),
    ] {
        assert_eq!(stand.get(path).error(), (400, error), "{path}");
    }
}

#[test]
fn what_is_no_number_or_token_is_refused() {
    let stand = filled();
    for path in [
        "/bucket?list-type=2&max-keys=x",
        "/bucket?list-type=2&max-keys=-1",
        "/bucket?list-type=2&continuation-token=x",
        "/bucket?list-type=2&continuation-token=",
        "/bucket?list-type=2&encoding-type=x",
        "/bucket?uploads&max-uploads=-2",
    ] {
        assert_eq!(stand.get(path).error(), (400, "InvalidArgument"), "{path}");
    }
    let none = stand.get("/bucket?list-type=2&max-keys=0").ok();
    assert_eq!(none.one("IsTruncated"), "false");
    assert!(all(&none, "Key").is_empty());
    let many = stand.get("/bucket?list-type=2&max-keys=5000").ok();
    assert_eq!(many.one("MaxKeys"), "1000");
}

#[test]
fn uploads_are_listed_oldest_first() {
    let stand = Stand::with(|_| {});
    for key in ["k", "k", "p/1"] {
        let begun = stand.call(Method::POST, &format!("/bucket/{key}?uploads"), &[], "");
        begun.ok();
    }
    let listed = stand.get("/bucket?uploads&delimiter=%2F").ok();
    assert_eq!(all(&listed, "Key"), ["k", "k"]);
    assert_eq!(groups(&listed), ["p/"]);
    let ids = all(&listed, "UploadId");
    let page = stand.get("/bucket?uploads&max-uploads=1").ok();
    assert_eq!(all(&page, "UploadId"), [ids[0].clone()]);
    let (key, id) = (page.one("NextKeyMarker"), page.one("NextUploadIdMarker"));
    let path = format!("/bucket?uploads&key-marker={key}&upload-id-marker={id}");
    let rest = stand.get(&path).ok();
    assert_eq!(all(&rest, "Key"), ["k", "p/1"]);
    assert_eq!(all(&rest, "UploadId")[0], ids[1]);
}
