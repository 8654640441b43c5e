//! What others may: by a bucket's policy and by access control lists, less what the public access
//! block takes; and what browsers of other origins are told.

use http::Method;
use objects::{BucketSettings, ObjectOwnership, canonical_id};
use s3::Caller;
use types::AccountId;

use crate::buckets::configure;
use crate::judge::{nobody, somebody};
use crate::support::Stand;

const OTHER: &str = "444455556666";

/// A bucket that lists and public policies are looked at in.
fn open(settings: &mut BucketSettings) {
    settings.public_access_block = None;
    settings.ownership = Some(ObjectOwnership::ObjectWriter);
}

fn get(stand: &Stand, caller: Caller, path: &str) -> u16 {
    stand.call_as(caller, Method::GET, path, &[], "").status
}

const READERS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*",
    "Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}]}"#;

#[test]
fn a_policy_lets_everyone_in_unless_it_is_blocked() {
    let stand = Stand::with(|_| {});
    stand.put("/bucket/k", "hello").ok();
    assert_eq!(get(&stand, nobody(), "/bucket/k"), 403);
    let blocked = stand.put("/bucket?policy", READERS);
    assert_eq!(blocked.error(), (403, "AccessDenied"));
    assert!(blocked.text().contains("BlockPublicPolicy setting"));
    let none = stand.get("/bucket?policy");
    assert_eq!(none.error(), (404, "NoSuchBucketPolicy"));
    stand.delete("/bucket?publicAccessBlock").ok();
    stand.put("/bucket?policy", READERS).ok();
    assert_eq!(stand.get("/bucket?policy").ok().text(), READERS);
    let status = stand.get("/bucket?policyStatus").ok();
    assert_eq!(status.one("IsPublic").to_ascii_lowercase(), "true");
    assert_eq!(get(&stand, nobody(), "/bucket/k"), 200);
    assert_eq!(get(&stand, somebody(OTHER), "/bucket/k"), 200);
    assert_eq!(get(&stand, nobody(), "/bucket?location"), 403);

    let restricted = "<PublicAccessBlockConfiguration>\
                      <RestrictPublicBuckets>true</RestrictPublicBuckets>\
                      </PublicAccessBlockConfiguration>";
    configure(&stand, "/bucket?publicAccessBlock", restricted).ok();
    assert_eq!(get(&stand, nobody(), "/bucket/k"), 403);
    assert_eq!(get(&stand, somebody(OTHER), "/bucket/k"), 403);
    stand.get("/bucket/k").ok();
    stand.delete("/bucket?policy").ok();
    assert_eq!(stand.get("/bucket?policy").error().0, 404);
}

#[test]
fn a_policy_is_the_owner_s_to_set_and_about_its_bucket() {
    let stand = Stand::with(open);
    let of_all = READERS.replace("s3:GetObject", "s3:*");
    let of_all = of_all.replace(
        r#""arn:aws:s3:::bucket/*""#,
        r#"["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"]"#,
    );
    stand.put("/bucket?policy", of_all).ok();
    let other = somebody(OTHER);
    let refused = stand.call_as(other, Method::GET, "/bucket?policy", &[], "");
    assert_eq!(refused.error(), (405, "MethodNotAllowed"));
    for (document, message) in [
        ("nothing", "This policy contains invalid Json"),
        (
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*",
                "Action":"s3:GetObject","Resource":"arn:aws:s3:::other/*"}]}"#,
            "Policy has invalid resource",
        ),
    ] {
        let refused = stand.put("/bucket?policy", document);
        assert_eq!(refused.error(), (400, "MalformedPolicy"));
        assert_eq!(refused.one("Message"), message);
    }
    // The owner's root is never locked out of the policy itself.
    let deny = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*",
        "Action":"s3:*","Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"]}]}"#;
    stand.put("/bucket?policy", deny).ok();
    let alice = || somebody("111122223333");
    assert_eq!(get(&stand, alice(), "/bucket?policy"), 403);
    stand.delete("/bucket?policy").ok();
    assert_eq!(get(&stand, alice(), "/bucket?location"), 200);
}

#[test]
fn nobody_writes_where_everyone_may_but_begins_no_upload_in_parts() {
    let stand = Stand::with(open);
    let public = [("x-amz-acl", "public-read-write")];
    let listed = stand.call(Method::PUT, "/bucket?acl", &public, "");
    listed.ok();
    let put = stand.call_as(nobody(), Method::PUT, "/bucket/k", &[], "theirs");
    put.ok();
    let begun = stand.call_as(nobody(), Method::POST, "/bucket/k?uploads", &[], "");
    assert_eq!(begun.error(), (403, "AccessDenied"));
    assert_eq!(
        begun.one("Message"),
        "Anonymous users cannot initiate multipart uploads.  Please authenticate."
    );
    let other = stand.call_as(somebody(OTHER), Method::POST, "/bucket/k?uploads", &[], "");
    other.ok();
    // Nor does anybody make a replica by a header.
    let replica = [("x-amz-source-replication-status", "REPLICA")];
    let made = stand.call(Method::PUT, "/bucket/r", &replica, "x");
    assert_eq!(made.error(), (501, "NotImplemented"));
    assert!(made.text().contains("x-amz-source-replication-status"));
    assert_eq!(stand.get("/bucket/r").error().0, 404);
}

#[test]
fn lists_grant_where_they_are_enabled() {
    let stand = Stand::with(open);
    let call = |caller: Caller, method, path: &str, headers: &[(&str, &str)]| {
        stand.call_as(caller, method, path, headers, "x")
    };
    let read = [("x-amz-acl", "public-read")];
    stand.call(Method::PUT, "/bucket/open", &read, "hello").ok();
    stand.put("/bucket/closed", "hello").ok();
    assert_eq!(get(&stand, nobody(), "/bucket/open"), 200);
    assert_eq!(get(&stand, nobody(), "/bucket/closed"), 403);
    assert_eq!(get(&stand, somebody(OTHER), "/bucket/closed"), 403);
    let list = stand.get("/bucket/open?acl").ok();
    assert!(list.text().contains("global/AllUsers"));
    assert!(list.text().contains(&canonical_id(AccountId::LAB)));

    // Somebody else may write by the bucket's list, and owns what he wrote.
    let id = canonical_id(OTHER.parse().unwrap());
    let write = format!("id=\"{id}\"");
    let grant = [("x-amz-grant-write", write.as_str())];
    stand.call(Method::PUT, "/bucket?acl", &grant, "").ok();
    assert_eq!(
        call(nobody(), Method::PUT, "/bucket/theirs", &[]).status,
        403
    );
    call(somebody(OTHER), Method::PUT, "/bucket/theirs", &[]).ok();
    assert_eq!(get(&stand, somebody(OTHER), "/bucket/theirs"), 200);
    let alice = || somebody("111122223333");
    assert_eq!(get(&stand, alice(), "/bucket/theirs"), 403);
    let full = [("x-amz-acl", "bucket-owner-full-control")];
    let path = "/bucket/theirs?acl";
    let given = stand.call_as(somebody(OTHER), Method::PUT, path, &full, "");
    given.ok();
    assert_eq!(get(&stand, alice(), "/bucket/theirs"), 200);

    let enforce = "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership>\
                   </Rule></OwnershipControls>";
    let refused = configure(&stand, "/bucket?ownershipControls", enforce);
    let code = "InvalidBucketAclWithObjectOwnership";
    assert_eq!(refused.error(), (400, code));
    let private = [("x-amz-acl", "private")];
    stand.call(Method::PUT, "/bucket?acl", &private, "").ok();
    configure(&stand, "/bucket?ownershipControls", enforce).ok();
    assert_eq!(get(&stand, nobody(), "/bucket/open"), 403);
    stand.get("/bucket/theirs").ok();
    let disabled = (400, "AccessControlListNotSupported");
    let refused = stand.call(Method::PUT, "/bucket/k", &read, "");
    assert_eq!(refused.error(), disabled);
    let refused = stand.call(Method::PUT, "/bucket?acl", &private, "");
    assert_eq!(refused.error(), disabled);
    stand.call(Method::PUT, "/bucket/k", &full, "").ok();
}

#[test]
fn lists_are_refused_for_what_they_are_not() {
    let stand = Stand::with(open);
    let put = |headers: &[(&str, &str)], body: &'static str| {
        let refused = stand.call(Method::PUT, "/bucket?acl", headers, body);
        refused.error().1.to_owned()
    };
    assert_eq!(put(&[], ""), "MissingSecurityHeader");
    assert_eq!(put(&[("x-amz-acl", "mine")], ""), "InvalidArgument");
    let mail = [("x-amz-grant-read", "emailAddress=\"a@example.com\"")];
    assert_eq!(put(&mail, ""), "UnresolvableGrantByEmailAddress");
    let blocks = "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls>\
                  </PublicAccessBlockConfiguration>";
    configure(&stand, "/bucket?publicAccessBlock", blocks).ok();
    let public = [("x-amz-acl", "public-read")];
    assert_eq!(put(&public, ""), "AccessDenied");
}

#[test]
fn other_origins_are_told_what_the_rules_say() {
    let stand = Stand::with(|_| {});
    stand.put("/bucket/k", "hello").ok();
    let ask = |path: &str, headers: &[(&str, &str)]| {
        stand.call_as(nobody(), Method::OPTIONS, path, headers, "")
    };
    let origin = [
        ("origin", "http://a"),
        ("access-control-request-method", "PUT"),
    ];
    assert_eq!(ask("/bucket/k", &[]).error(), (400, "BadRequest"));
    let refused = ask("/bucket/k", &origin);
    assert_eq!(refused.error(), (403, "AccessForbidden"));
    assert_eq!(refused.one("ResourceType"), "BUCKET");
    assert_eq!(
        ask("/none/k", &origin).one("Message"),
        "CORSResponse: Bucket not found"
    );
    let rules = "<CORSConfiguration><CORSRule><AllowedMethod>PUT</AllowedMethod>\
                 <AllowedMethod>GET</AllowedMethod><AllowedOrigin>http://*</AllowedOrigin>\
                 <ExposeHeader>ETag</ExposeHeader></CORSRule></CORSConfiguration>";
    configure(&stand, "/bucket?cors", rules).ok();
    let told = ask("/bucket/k", &origin).ok();
    assert_eq!(told.header("access-control-allow-origin"), "http://a");
    assert_eq!(told.header("access-control-allow-methods"), "PUT, GET");
    let from = |origin: &str, path: &str| stand.call(Method::GET, path, &[("origin", origin)], "");
    let shared = from("http://a", "/bucket/k").ok();
    assert_eq!(shared.header("access-control-allow-origin"), "http://a");
    assert_eq!(shared.header("access-control-expose-headers"), "ETag");
    // Also where the answer is that there is nothing.
    let none = from("http://a", "/bucket/none");
    assert_eq!(
        (none.status, none.header("access-control-allow-origin")),
        (404, "http://a")
    );
    let other = from("ftp://a", "/bucket/k").ok();
    assert_eq!(other.header("access-control-allow-origin"), "");
    let refused = ask("/bucket/k", &[("origin", "ftp://a"), origin[1]]);
    assert_eq!(refused.one("ResourceType"), "OBJECT");
    assert_eq!(refused.one("Method"), "PUT");
}
