//! An object that is replaced between the judgement of a request and what it does: the caller was
//! judged by what was there, and is given and changes nothing else.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex};

use aws::access::{Authorizer, Denied, PolicyKind, PolicyRefusal, Question};
use http::Method;
use objects::{ObjectOwnership, Versioning, canonical_id};
use s3::Caller;
use types::AccountId;

use crate::buckets::{configure, crc32};
use crate::judge::{nobody, somebody};
use crate::support::{Answer, Stand};

const OTHER: &str = "444455556666";

/// Everyone, as grants name them.
const ALL: &str = "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"";

type Meddling = Box<dyn FnOnce() + Send>;

/// A judge like another; but right after it has allowed so much, something happens.
struct Slow {
    judge: Arc<dyn Authorizer>,
    left: AtomicI32,
    then: Mutex<Option<Meddling>>,
}

/// The same caller, after so many of whose allowances that happens.
fn slow(caller: Caller, allowed: i32, then: impl FnOnce() + Send + 'static) -> Caller {
    let of = |judge| {
        Arc::new(Slow {
            judge,
            left: AtomicI32::new(allowed),
            then: Mutex::new(Some(Box::new(then))),
        })
    };
    match caller {
        Caller::Signed(judge) => Caller::Signed(of(judge)),
        Caller::Anonymous(judge) => Caller::Anonymous(of(judge)),
    }
}

impl Authorizer for Slow {
    fn account(&self) -> AccountId {
        self.judge.account()
    }

    fn arn(&self) -> &str {
        self.judge.arn()
    }

    fn region(&self) -> &str {
        self.judge.region()
    }

    fn authorize(&self, question: &Question<'_>) -> Result<(), Denied> {
        self.judge.authorize(question)?;
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            let then = self.then.lock().unwrap().take();
            then.expect("it happens once")();
        }
        Ok(())
    }

    fn bind_policy(&self, kind: PolicyKind, document: &str) -> Result<String, PolicyRefusal> {
        self.judge.bind_policy(kind, document)
    }

    fn show_policy(&self, document: &str) -> String {
        self.judge.show_policy(document)
    }
}

/// Who may put objects, and do anything with those that have the tag `open=1`.
struct OfTag;

impl Authorizer for OfTag {
    fn account(&self) -> AccountId {
        AccountId::LAB
    }

    fn arn(&self) -> &str {
        "arn:aws:iam::111122223333:user/alice"
    }

    fn region(&self) -> &str {
        "us-east-1"
    }

    fn authorize(&self, question: &Question<'_>) -> Result<(), Denied> {
        let is_open = || {
            let tag = question.values("s3:ExistingObjectTag/open");
            tag.is_some_and(|values| *values == ["1"])
        };
        match question.action == "s3:PutObject" || is_open() {
            true => Ok(()),
            false => Err(Denied {
                message: "it isn't open".to_owned(),
            }),
        }
    }

    fn bind_policy(&self, _: PolicyKind, document: &str) -> Result<String, PolicyRefusal> {
        Ok(document.to_owned())
    }

    fn show_policy(&self, document: &str) -> String {
        document.to_owned()
    }
}

/// Puts that object by the bucket's owner.
fn put(stand: &Stand, headers: &[(&str, &str)], body: &'static str) -> Answer {
    stand.call(Method::PUT, "/bucket/k", headers, body).ok()
}

/// A bucket that keeps versions, with an open object.
fn tagged() -> Arc<Stand> {
    let stand = Arc::new(Stand::versioned());
    put(&stand, &[("x-amz-tagging", "open=1")], "first");
    stand
}

/// What of tags is judged, while that object is put in its place.
fn of_tag(stand: &Arc<Stand>, allowed: i32, headers: &'static [(&str, &str)]) -> Caller {
    let meddler = stand.clone();
    let then = move || drop(put(&meddler, headers, "second"));
    slow(Caller::Signed(Arc::new(OfTag)), allowed, then)
}

/// A request: its method, what follows its path, its headers, its body, and how many questions its
/// judge allows.
type Case<'a> = (Method, &'a str, &'a [(&'a str, &'a str)], &'a str, i32);

#[test]
fn who_may_one_version_is_given_and_changes_no_other() {
    let attributes: &[_] = &[("x-amz-object-attributes", "ETag")];
    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
    let cases: [Case; 8] = [
        (Method::GET, "", &[], "", 1),
        (Method::HEAD, "", &[], "", 1),
        (Method::GET, "?attributes", attributes, "", 2),
        (Method::GET, "?tagging", &[], "", 1),
        (Method::GET, "?acl", &[], "", 1),
        (Method::PUT, "?tagging", &[], tags, 1),
        (Method::DELETE, "?tagging", &[], "", 1),
        (Method::DELETE, "", &[], "", 1),
    ];
    for (method, rest, headers, body, allowed) in cases {
        let what = format!("{method} {rest}");
        let path = format!("/bucket/k{rest}");
        let crc32 = crc32(body.as_bytes());
        let mut headers = headers.to_vec();
        if !body.is_empty() {
            headers.push(("x-amz-checksum-crc32", &crc32));
        }
        let tried =
            |stand: &Stand, caller| stand.call_as(caller, method.clone(), &path, &headers, body);
        let stand = tagged();
        let caller = of_tag(&stand, allowed, &[("x-amz-tagging", "open=0")]);
        let refused = tried(&stand, caller);
        assert_eq!(refused.status, 403, "{what}");
        assert!(!refused.text().contains("second"), "{what}");
        assert_eq!(stand.get("/bucket/k").ok().text(), "second", "{what}");
        let tags = stand.get("/bucket/k?tagging").ok();
        assert_eq!(
            (tags.one("Key"), tags.one("Value")),
            ("open", "0"),
            "{what}"
        );
        // Who may that one too is judged by it, and goes on.
        let stand = tagged();
        let caller = of_tag(&stand, allowed, &[("x-amz-tagging", "open=1")]);
        tried(&stand, caller).ok();
    }
}

#[test]
fn tags_are_told_to_whom_they_let_as_they_are() {
    let stand = tagged();
    let meddler = stand.clone();
    let tags = "<Tagging><TagSet><Tag><Key>open</Key><Value>0</Value></Tag></TagSet></Tagging>";
    let then = move || drop(configure(&meddler, "/bucket/k?tagging", tags).ok());
    let caller = slow(Caller::Signed(Arc::new(OfTag)), 1, then);
    let refused = stand.call_as(caller, Method::GET, "/bucket/k?tagging", &[], "");
    assert_eq!(refused.error(), (403, "AccessDenied"));
}

#[test]
fn of_several_none_is_deleted_that_was_not_judged() {
    let stand = tagged();
    let caller = of_tag(&stand, 1, &[]);
    let body = "<Delete><Object><Key>k</Key></Object></Delete>";
    let crc32 = crc32(body.as_bytes());
    let headers = [("x-amz-checksum-crc32", crc32.as_str())];
    let told = stand.call_as(caller, Method::POST, "/bucket?delete", &headers, body);
    assert_eq!(told.ok().one("Code"), "AccessDenied");
    assert_eq!(stand.get("/bucket/k").ok().text(), "second");
}

#[test]
fn what_was_judged_is_what_is_copied() {
    let copy = [("x-amz-copy-source", "bucket/k")];
    // Allowed: the put of the copy, then the read of its source.
    let stand = tagged();
    let caller = of_tag(&stand, 2, &[]);
    let untagged = [copy[0], ("x-amz-tagging-directive", "REPLACE")];
    let copied = stand.call_as(caller, Method::PUT, "/bucket/l", &untagged, "");
    copied.ok();
    assert_eq!(stand.get("/bucket/l").ok().text(), "first");

    let stand = tagged();
    let first = stand.get("/bucket/k").ok().header("etag").to_owned();
    let begun = stand.call(Method::POST, "/bucket/m?uploads", &[], "").ok();
    let path = format!("/bucket/m?partNumber=1&uploadId={}", begun.one("UploadId"));
    let caller = of_tag(&stand, 2, &[]);
    let copied = stand.call_as(caller, Method::PUT, &path, &copy, "").ok();
    assert_eq!(copied.one("ETag").replace("&quot;", "\""), first);
    assert_eq!(stand.get("/bucket/k").ok().text(), "second");
}

/// A bucket with lists, into which everyone may write.
fn listed() -> Arc<Stand> {
    let stand = Stand::with(|settings| {
        settings.public_access_block = None;
        settings.ownership = Some(ObjectOwnership::ObjectWriter);
        settings.versioning = Versioning::Enabled;
    });
    let write = [("x-amz-grant-write", ALL)];
    stand.call(Method::PUT, "/bucket?acl", &write, "").ok();
    Arc::new(stand)
}

#[test]
fn a_list_grants_its_own_version_alone() {
    for (method, path, headers) in [
        (Method::GET, "/bucket/k", &[][..]),
        (Method::HEAD, "/bucket/k", &[]),
        (Method::GET, "/bucket/k?acl", &[]),
        (
            Method::PUT,
            "/bucket/k?acl",
            &[("x-amz-acl", "public-read")],
        ),
    ] {
        let stand = listed();
        put(&stand, &[("x-amz-grant-full-control", ALL)], "first");
        let meddler = stand.clone();
        let then = move || drop(put(&meddler, &[], "second"));
        let caller = slow(nobody(), 1, then);
        let refused = stand.call_as(caller, method.clone(), path, headers, "");
        assert_eq!(refused.status, 403, "{method} {path}");
        let list = stand.get("/bucket/k?acl").ok();
        assert!(!list.text().contains("AllUsers"), "{method} {path}");
        assert_eq!(stand.get("/bucket/k").ok().text(), "second");
    }
    // Whose own object was judged doesn't read another's.
    let stand = listed();
    let own = somebody(OTHER);
    stand
        .call_as(own, Method::PUT, "/bucket/k", &[], "theirs")
        .ok();
    let meddler = stand.clone();
    let caller = slow(somebody(OTHER), 1, move || {
        drop(put(&meddler, &[], "second"))
    });
    let refused = stand.call_as(caller, Method::GET, "/bucket/k", &[], "");
    assert_eq!(refused.error(), (403, "AccessDenied"));
}

#[test]
fn a_list_says_whose_its_own_version_is() {
    let stand = listed();
    put(&stand, &[], "first");
    let meddler = stand.clone();
    let then = move || {
        let call = |path: &str, headers: &[(&str, &str)]| {
            let caller = somebody(OTHER);
            let answer = meddler.call_as(caller, Method::PUT, path, headers, "");
            answer.ok();
        };
        call("/bucket/k", &[]);
        call("/bucket/k?acl", &[("x-amz-grant-full-control", ALL)]);
    };
    let caller = slow(somebody(&AccountId::LAB.to_string()), 2, then);
    let private = [("x-amz-acl", "private")];
    stand
        .call_as(caller, Method::PUT, "/bucket/k?acl", &private, "")
        .ok();
    let list = stand.call_as(somebody(OTHER), Method::GET, "/bucket/k?acl", &[], "");
    let list = list.ok();
    assert_eq!(list.one("ID"), canonical_id(OTHER.parse().unwrap()));
    assert!(!list.text().contains(&canonical_id(AccountId::LAB)));
    assert!(!list.text().contains("AllUsers"));
}
