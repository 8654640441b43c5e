//! Objects that browsers upload with forms: what of a form is in the object, what is answered, and
//! what its policy refuses. (Whose a form is, is verified elsewhere.)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use s3::Caller;

use crate::judge::nobody;
use crate::support::{Answer, Stand};

/// A policy with those conditions beside the bucket, good for a minute.
fn policy(conditions: &str) -> String {
    let document = format!(
        r#"{{"expiration": "2026-11-28T17:21:00Z",
            "conditions": [{{"bucket": "bucket"}}{conditions}]}}"#
    );
    STANDARD.encode(document)
}

fn post(stand: &Stand, fields: &[(&str, &str)], file: &str) -> Answer {
    let caller = Caller::Signed(stand.caller.clone());
    stand.post(&caller, "/bucket", fields, file)
}

#[test]
fn a_form_makes_an_object() {
    let stand = Stand::with(|_| {});
    let policy = policy(
        r#", ["starts-with", "$key", "u/"], {"acl": "bucket-owner-full-control"},
            ["starts-with", "$content-type", ""], {"x-amz-meta-a": "b"}, ["eq", "$tagging", "T"],
            {"success_action_status": "201"}, ["content-length-range", 1, 9]"#,
    );
    let tags = "<Tagging><TagSet><Tag><Key>k +</Key><Value>v</Value></Tag></TagSet></Tagging>";
    let policy = STANDARD.decode(policy).unwrap();
    let policy = String::from_utf8(policy)
        .unwrap()
        .replace("\"T\"", &format!("{tags:?}"));
    let policy = STANDARD.encode(policy);
    let fields = [
        ("Key", "u/${filename} +"),
        ("acl", "bucket-owner-full-control"),
        ("Content-Type", "text/x"),
        ("x-amz-meta-a", "b"),
        ("tagging", tags),
        ("success_action_status", "201"),
        ("policy", policy.as_str()),
        ("x-ignore-it", "1"),
    ];
    let made = post(&stand, &fields, "the file").ok();
    assert_eq!(made.status, 201);
    assert_eq!(
        (made.one("Bucket"), made.one("Key")),
        ("bucket", "u/f.txt +")
    );
    assert_eq!(
        made.one("Location"),
        "http://127.0.0.1:4566/bucket/u%2Ff.txt%20%2B"
    );
    let got = stand.get("/bucket/u/f.txt%20+").ok();
    assert_eq!(
        (got.text(), got.header("content-type")),
        ("the file", "text/x")
    );
    assert_eq!(
        (
            got.header("x-amz-meta-a"),
            got.header("x-amz-tagging-count")
        ),
        ("b", "1")
    );
    assert_eq!(got.header("etag"), made.header("etag"));
    // As long as the policy says, to the byte.
    assert_eq!(post(&stand, &fields, "123456789").ok().status, 201);
    for (file, code) in [("", "EntityTooSmall"), ("1234567890", "EntityTooLarge")] {
        assert_eq!(post(&stand, &fields, file).error(), (400, code));
    }
    assert_eq!(stand.get("/bucket/u/f.txt%20+").ok().text(), "123456789");
    let other = [&fields[1..], &[("key", "v/f")]].concat();
    let refused = post(&stand, &other, "x");
    assert_eq!(refused.error(), (403, "AccessDenied"));
    assert!(refused.one("Message").contains("Policy Condition failed"));
}

#[test]
fn what_is_answered_is_the_form_s_choice() {
    let stand = Stand::with(|_| {});
    let policy = policy(
        r#", ["eq", "$key", "k"], ["starts-with", "$success_action_redirect", "http"],
            ["starts-with", "$success_action_status", ""]"#,
    );
    let with = |name: &str, value: &str| {
        post(
            &stand,
            &[("key", "k"), ("policy", policy.as_str()), (name, value)],
            "x",
        )
    };
    let plain = with("success_action_redirect", "http:");
    assert_eq!((plain.status, plain.body.len()), (204, 0));
    assert_eq!(plain.header("location"), "http://127.0.0.1:4566/bucket/k");
    let away = with("success_action_redirect", "http://app.test/done?x=1");
    assert_eq!(away.status, 303);
    assert_eq!(
        away.header("location"),
        "http://app.test/done?x=1&bucket=bucket&key=k&etag=%229dd4e461268c8034f5c8564e155c67a6%22"
    );
}

#[test]
fn what_a_form_can_t_be_is_refused() {
    let stand = Stand::with(|_| {});
    stand.put("/bucket/there", "there").ok();
    let open =
        policy(r#", ["starts-with", "$key", ""], ["starts-with", "$x-amz-copy-source", ""]"#);
    let open = ("policy", open.as_str());
    assert_eq!(post(&stand, &[open], "x").error(), (400, "InvalidArgument"));
    let copy = [("key", "k"), open, ("x-amz-copy-source", "/bucket/there")];
    assert_eq!(post(&stand, &copy, "x").error(), (400, "InvalidArgument"));
    let bad = [("key", "k"), ("policy", "e30=")];
    assert_eq!(
        post(&stand, &bad, "x").error(),
        (400, "InvalidPolicyDocument")
    );
    let caller = Caller::Signed(stand.caller.clone());
    let nowhere = stand.post(&caller, "/nowhere", &[("key", "k")], "x");
    assert_eq!(nowhere.error(), (404, "NoSuchBucket"));
    let onto = stand.post(&caller, "/bucket/k", &[("key", "k")], "x");
    assert_eq!(onto.error(), (405, "MethodNotAllowed"));
    let unsigned = stand.post(&nobody(), "/bucket", &[("key", "k")], "x");
    assert_eq!(unsigned.error(), (403, "AccessDenied"));
    assert_eq!(stand.get("/bucket/k").error().0, 404);
}
