//! What the caller's judge is asked, and what a denial leaves undone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::stream;
use http::Method;
use http_body_util::{BodyExt, StreamBody};
use s3::Caller;
use types::AccountId;

use crate::judge::{nobody, somebody};
use crate::support::{Somebody, Stand};

fn asked(somebody: &Somebody) -> Vec<String> {
    let asked = somebody.asked().into_iter();
    asked
        .map(|(action, resource)| format!("{action} {resource}"))
        .collect()
}

#[test]
fn every_part_of_a_request_is_asked_about() {
    let stand = Stand::versioned();
    let version = stand
        .put("/bucket/k", "hello")
        .ok()
        .header("x-amz-version-id")
        .to_owned();
    let somebody = Somebody::but_not(&[]);
    let call = |method: Method, path: &str, headers: &[(&str, &str)]| {
        let caller = Caller::Signed(somebody.clone());
        stand.call_as(caller, method, path, headers, "").ok();
        asked(&somebody)
    };
    let on = |action: &str| format!("s3:{action} arn:aws:s3:::bucket/k");
    assert_eq!(call(Method::GET, "/bucket/k", &[]), [on("GetObject")]);
    let named = format!("/bucket/k?versionId={version}");
    assert_eq!(call(Method::GET, &named, &[]), [on("GetObjectVersion")]);
    assert_eq!(call(Method::PUT, "/bucket/k", &[]), [on("PutObject")]);
    let beside = [
        ("x-amz-tagging", "a=1"),
        ("x-amz-acl", "bucket-owner-full-control"),
    ];
    assert_eq!(
        call(Method::PUT, "/bucket/k", &beside),
        [on("PutObject"), on("PutObjectTagging"), on("PutObjectAcl")]
    );
    let copy = [("x-amz-copy-source", "bucket/k")];
    assert_eq!(
        call(Method::PUT, "/bucket/l", &copy),
        [
            "s3:PutObject arn:aws:s3:::bucket/l".to_owned(),
            on("GetObject"),
            on("GetObjectTagging"),
            "s3:PutObjectTagging arn:aws:s3:::bucket/l".to_owned(),
        ]
    );
    let attributes = [("x-amz-object-attributes", "ETag")];
    assert_eq!(
        call(Method::GET, "/bucket/k?attributes", &attributes),
        [on("GetObjectAttributes"), on("GetObject")]
    );
    assert_eq!(call(Method::DELETE, "/bucket/k", &[]), [on("DeleteObject")]);
    assert_eq!(
        call(Method::DELETE, &named, &[]),
        [on("DeleteObjectVersion")]
    );
}

#[test]
fn who_may_not_changes_nothing_and_learns_nothing() {
    let stand = Stand::with(|_| {});
    stand.put("/bucket/k", "hello").ok();
    let refused = |denied: &'static str, method: Method, path: &str, headers: &[(&str, &str)]| {
        let caller = Caller::Signed(Somebody::but_not(&[denied]));
        let refused = stand.call_as(caller, method, path, headers, "other");
        assert_eq!(refused.error(), (403, "AccessDenied"), "{denied} {path}");
    };
    refused("s3:PutObject", Method::PUT, "/bucket/k", &[]);
    refused(
        "s3:PutObjectTagging",
        Method::PUT,
        "/bucket/k",
        &[("x-amz-tagging", "a=1")],
    );
    refused("s3:DeleteObject", Method::DELETE, "/bucket/k", &[]);
    refused("s3:GetObject", Method::GET, "/bucket/k", &[]);
    refused(
        "s3:GetObject",
        Method::PUT,
        "/bucket/l",
        &[("x-amz-copy-source", "bucket/k")],
    );
    // Without the permission to list, what isn't there can't be told from what may not be had.
    refused("s3:ListBucket", Method::GET, "/bucket/none", &[]);
    assert_eq!(stand.get("/bucket/k").ok().text(), "hello");
    assert_eq!(stand.get("/bucket/l").status, 404);
    let owner = [("x-amz-expected-bucket-owner", "444455556666")];
    let other = stand.call(Method::GET, "/bucket/k", &owner, "");
    assert_eq!(other.error(), (403, "AccessDenied"));
}

#[test]
fn nobody_may_replace_an_answer_s_headers() {
    let stand = Stand::with(|_| {});
    stand.put("/bucket/k", "hello").ok();
    let caller = Caller::Anonymous(Arc::new(aws::access::Owner::new(
        types::AccountId::LAB,
        "us-east-1",
    )));
    let path = "/bucket/k?response-content-type=text%2Fhtml";
    let refused = stand.call_as(caller, Method::GET, path, &[], "");
    assert_eq!(refused.error(), (400, "InvalidRequest"));
}

#[test]
fn a_job_is_given_no_role_of_another_account() {
    let stand = Stand::versioned();
    let create = |account: &str| {
        let job = format!(
            "<CreateJobRequest><ConfirmationRequired>false</ConfirmationRequired><Operation>\
             <S3ReplicateObject/></Operation><Report><Enabled>false</Enabled></Report>\
             <ClientRequestToken>t</ClientRequestToken><ManifestGenerator>\
             <S3JobManifestGenerator><SourceBucket>arn:aws:s3:::bucket</SourceBucket>\
             <EnableManifestOutput>false</EnableManifestOutput></S3JobManifestGenerator>\
             </ManifestGenerator><Priority>1</Priority><RoleArn>\
             arn:aws:iam::{account}:role/batch</RoleArn></CreateJobRequest>"
        );
        let own = AccountId::LAB.to_string();
        let headers = [("x-amz-account-id", own.as_str())];
        let answer = stand.call_as(
            somebody(&own),
            Method::POST,
            "/v20180820/jobs",
            &headers,
            job,
        );
        answer.error().1.to_owned()
    };
    assert_eq!(create("444455556666"), "AccessDenied");
    // It gets as far as the bucket, which replicates nothing.
    assert_eq!(create(&AccountId::LAB.to_string()), "InvalidRequest");
}

#[test]
fn who_may_make_no_job_sends_its_document_to_nobody() {
    let stand = Stand::with(|_| {});
    let own = AccountId::LAB.to_string();
    let tried = |caller: Caller, account: &str| {
        let is_read = Arc::new(AtomicBool::new(false));
        let noted = is_read.clone();
        let frames = stream::once(async move {
            noted.store(true, Ordering::Relaxed);
            Ok(http_body::Frame::data(Bytes::from_static(
                b"<CreateJobRequest/>",
            )))
        });
        let body = StreamBody::new(Box::pin(frames)).boxed_unsync();
        let headers = [("x-amz-account-id", account)];
        let answer = stand.call_with(caller, Method::POST, "/v20180820/jobs", &headers, body);
        (answer.error().1.to_owned(), is_read.load(Ordering::Relaxed))
    };
    let denied = || ("AccessDenied".to_owned(), false);
    assert_eq!(tried(nobody(), &own), denied());
    assert_eq!(tried(somebody(&own), "444455556666"), denied());
    let limited = Somebody::but_not(&["s3:CreateJob"]);
    assert_eq!(tried(Caller::Signed(limited), &own), denied());
    let (code, is_read) = tried(somebody(&own), &own);
    assert!(is_read && code != "AccessDenied", "{code}");
}
