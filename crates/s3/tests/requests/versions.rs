//! Versions, delete markers and holds, as requests see them.

use http::Method;

use crate::support::Stand;

#[test]
fn versions_are_told_named_and_deleted() {
    let stand = Stand::versioned();
    let first = stand
        .put("/bucket/k", "one")
        .ok()
        .header("x-amz-version-id")
        .to_owned();
    let second = stand
        .put("/bucket/k", "two")
        .ok()
        .header("x-amz-version-id")
        .to_owned();
    assert!(first.len() == 32 && first != second);
    assert_eq!(
        stand.get("/bucket/k").ok().header("x-amz-version-id"),
        second
    );
    assert_eq!(
        stand
            .get(&format!("/bucket/k?versionId={first}"))
            .ok()
            .text(),
        "one"
    );
    let unknown = stand.get("/bucket/k?versionId=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(unknown.error(), (404, "NoSuchVersion"));
    assert_eq!(
        stand.get("/bucket/k?versionId=x").error(),
        (400, "InvalidArgument")
    );

    let deleted = stand.delete("/bucket/k");
    let marker = deleted.header("x-amz-version-id").to_owned();
    assert_eq!(
        (deleted.status, deleted.header("x-amz-delete-marker")),
        (204, "true")
    );
    let gone = stand.get("/bucket/k");
    assert_eq!(gone.error(), (404, "NoSuchKey"));
    assert_eq!(
        (
            gone.header("x-amz-delete-marker"),
            gone.header("x-amz-version-id")
        ),
        ("true", &*marker)
    );
    assert_eq!(gone.one("Key"), "k");
    let named = stand.get(&format!("/bucket/k?versionId={marker}"));
    assert_eq!(named.error(), (405, "MethodNotAllowed"));
    assert_eq!(named.header("allow"), "DELETE");
    let head = stand.head("/bucket/k");
    assert_eq!(
        (head.status, head.text(), head.header("x-amz-delete-marker")),
        (404, "", "true")
    );

    let undone = stand.delete(&format!("/bucket/k?versionId={marker}"));
    assert_eq!(
        (undone.status, undone.header("x-amz-delete-marker")),
        (204, "true")
    );
    assert_eq!(stand.get("/bucket/k").ok().text(), "two");
}

#[test]
fn several_are_deleted_each_for_itself() {
    let stand = Stand::versioned();
    let version = stand
        .put("/bucket/a&b", "one")
        .ok()
        .header("x-amz-version-id")
        .to_owned();
    let object = |key: &str, version: &str| {
        let version = match version {
            "" => String::new(),
            id => format!("<VersionId>{id}</VersionId>"),
        };
        format!("<Object><Key>{key}</Key>{version}</Object>")
    };
    let document = format!(
        "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{}{}{}{}</Delete>",
        object("a&amp;b", ""),
        object("a&amp;b", &version),
        object("none", ""),
        object("c", "nonsense"),
    );
    let call = |headers: &[(&str, &str)]| {
        stand.call(Method::POST, "/bucket?delete", headers, document.clone())
    };
    assert_eq!(call(&[]).error(), (400, "InvalidRequest"));
    let md5 = [("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")];
    assert_eq!(call(&md5).error(), (400, "BadDigest"));
    let digest = [("x-amz-checksum-sha256", sha256(&document))];
    let headers: Vec<(&str, &str)> = digest
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    let told = call(&headers).ok();
    assert_eq!(
        told.text().matches("<Deleted>").count(),
        3,
        "{}",
        told.text()
    );
    assert_eq!(told.text().matches("<DeleteMarkerVersionId>").count(), 2);
    assert!(told.text().contains("<Key>a&amp;b</Key>"));
    assert_eq!(told.text().matches("<Error>").count(), 1);
    assert_eq!(told.one("Code"), "InvalidArgument");
    assert_eq!(stand.get("/bucket/a&b").error(), (404, "NoSuchKey"));
}

fn sha256(document: &str) -> String {
    use base64::Engine as _;
    let digest = objects::ChecksumAlgorithm::Sha256.of(document.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(digest)
}

#[test]
fn what_is_held_stays() {
    let stand = Stand::with(|settings| *settings = objects::BucketSettings::new(true));
    let lock = [
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        (
            "x-amz-object-lock-retain-until-date",
            "2027-01-01T00:00:00Z",
        ),
        ("content-md5", "XUFAKrxLKna5cZ2REBfFkg=="),
    ];
    let unsummed = stand.call(Method::PUT, "/bucket/k", &lock[..2], "hello");
    assert_eq!(unsummed.error(), (400, "InvalidRequest"));
    let put = stand.call(Method::PUT, "/bucket/k", &lock, "hello").ok();
    let path = format!("/bucket/k?versionId={}", put.header("x-amz-version-id"));
    let got = stand.get("/bucket/k").ok();
    assert_eq!(got.header("x-amz-object-lock-mode"), "GOVERNANCE");
    assert_eq!(
        got.header("x-amz-object-lock-retain-until-date"),
        "2027-01-01T00:00:00.000Z"
    );
    let retention = stand.get("/bucket/k?retention").ok();
    assert_eq!(retention.one("RetainUntilDate"), "2027-01-01T00:00:00.000Z");
    assert_eq!(stand.get("/bucket/k?legal-hold").ok().one("Status"), "OFF");
    assert_eq!(stand.delete(&path).error(), (403, "AccessDenied"));
    assert_eq!(stand.delete("/bucket/k").status, 204);

    let hold = "<LegalHold xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>ON</Status>\
                </LegalHold>";
    let digest = sha256(hold);
    let headers = [("x-amz-checksum-sha256", &*digest)];
    let held = path.replace('?', "?legal-hold&");
    stand.call(Method::PUT, &held, &headers, hold).ok();
    let bypass = [("x-amz-bypass-governance-retention", "true")];
    let refused = stand.call(Method::DELETE, &path, &bypass, "");
    assert_eq!(refused.error(), (403, "AccessDenied"));
    let off = hold.replace("ON", "OFF");
    let digest = sha256(&off);
    let headers = [("x-amz-checksum-sha256", &*digest)];
    stand.call(Method::PUT, &held, &headers, off).ok();
    assert_eq!(stand.call(Method::DELETE, &path, &bypass, "").status, 204);
}
