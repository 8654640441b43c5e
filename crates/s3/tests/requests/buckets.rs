//! Operations on buckets: made, told of, configured, and what they refuse.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;

use crate::judge::somebody;
use crate::support::{Answer, Stand};

/// The CRC-32 (ISO-HDLC) of bytes, in base64.
pub fn crc32(bytes: &[u8]) -> String {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = match crc & 1 {
                1 => (crc >> 1) ^ 0xedb8_8320,
                _ => crc >> 1,
            };
        }
    }
    STANDARD.encode((!crc).to_be_bytes())
}

/// Puts a document.
pub fn configure(stand: &Stand, path: &str, document: &str) -> Answer {
    let crc32 = crc32(document.as_bytes());
    let headers = [("x-amz-checksum-crc32", crc32.as_str())];
    stand.call(Method::PUT, path, &headers, document.to_owned())
}

#[test]
fn a_bucket_is_made_told_of_listed_and_deleted() {
    let stand = Stand::new();
    let made = stand.put("/orders", "").ok();
    assert_eq!(made.header("location"), "/orders");
    // In this Region its owner may make it again.
    stand.put("/orders", "").ok();
    let head = stand.head("/orders").ok();
    assert_eq!(head.header("x-amz-bucket-region"), "us-east-1");
    assert_eq!(stand.head("/none").status, 404);
    let location = stand.get("/orders?location").ok();
    assert!(
        location.text().contains("<LocationConstraint"),
        "{location:?}"
    );
    assert!(!location.text().contains("us-east-1"));
    for name in ["a-bucket", "b-bucket"] {
        stand.put(&format!("/{name}"), "").ok();
    }
    let page = stand.get("/?max-buckets=2").ok();
    assert_eq!(page.text().matches("<Name>").count(), 2);
    assert_eq!(page.one("Name"), "a-bucket");
    let token = page.one("ContinuationToken");
    let rest = stand.get(&format!("/?continuation-token={token}")).ok();
    assert_eq!(rest.one("Name"), "orders");
    assert!(!rest.text().contains("<ContinuationToken>"));
    let prefixed = stand.get("/?prefix=b-").ok();
    assert_eq!(prefixed.text().matches("<Name>").count(), 1);
    assert_eq!(
        stand.get("/?max-buckets=0").error(),
        (400, "InvalidArgument")
    );

    stand.put("/orders/k", "x").ok();
    assert_eq!(stand.delete("/orders").error(), (409, "BucketNotEmpty"));
    stand.delete("/orders/k").ok();
    assert_eq!(stand.delete("/orders").ok().status, 204);
    assert_eq!(stand.delete("/orders").error(), (404, "NoSuchBucket"));
}

#[test]
fn a_name_is_had_once_and_where_it_is_to_be() {
    let stand = Stand::new();
    stand.put("/orders", "").ok();
    let other = somebody("444455556666");
    let taken = stand.call_as(other, Method::PUT, "/orders", &[], "");
    assert_eq!(taken.error(), (409, "BucketAlreadyExists"));
    let at = |region: &str| {
        let document = format!(
            "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint>\
             </CreateBucketConfiguration>"
        );
        stand.put("/elsewhere", document)
    };
    let illegal = (400, "IllegalLocationConstraintException");
    assert_eq!(at("eu-west-1").error(), illegal);
    assert_eq!(at("moon").error(), (400, "InvalidLocationConstraint"));
    assert_eq!(
        stand.put("/Bad_Name", "").error(),
        (400, "InvalidBucketName")
    );
    let owned = [("x-amz-object-ownership", "Nobody")];
    let refused = stand.call(Method::PUT, "/owned", &owned, "");
    assert_eq!(refused.error(), (400, "InvalidArgument"));
    let list = [("x-amz-acl", "public-read")];
    let refused = stand.call(Method::PUT, "/open", &list, "");
    assert_eq!(
        refused.error(),
        (400, "InvalidBucketAclWithObjectOwnership")
    );
}

#[test]
fn versions_are_kept_once_asked_for() {
    let stand = Stand::with(|_| {});
    let none = stand.get("/bucket?versioning").ok();
    assert!(!none.text().contains("<Status>"));
    let set = |inner: &str| {
        let document = format!("<VersioningConfiguration>{inner}</VersioningConfiguration>");
        configure(&stand, "/bucket?versioning", &document)
    };
    let refused = set("");
    assert_eq!(
        refused.error(),
        (400, "IllegalVersioningConfigurationException")
    );
    set("<Status>Enabled</Status>").ok();
    assert_eq!(
        stand.get("/bucket?versioning").ok().one("Status"),
        "Enabled"
    );
    let mfa = set("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>");
    assert_eq!(mfa.error(), (501, "NotImplemented"));

    let lock = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>\
                <DefaultRetention><Mode>GOVERNANCE</Mode><Days>7</Days></DefaultRetention></Rule>\
                </ObjectLockConfiguration>";
    let none = stand.get("/bucket?object-lock");
    assert_eq!(none.error(), (404, "ObjectLockConfigurationNotFoundError"));
    configure(&stand, "/bucket?object-lock", lock).ok();
    assert_eq!(stand.get("/bucket?object-lock").ok().one("Days"), "7");
    let refused = set("<Status>Suspended</Status>");
    assert_eq!(refused.error(), (409, "InvalidBucketState"));
    assert!(
        refused
            .text()
            .contains("An Object Lock configuration is present")
    );
}

#[test]
fn configurations_are_told_as_they_were_set_and_gone_when_deleted() {
    let stand = Stand::with(|_| {});
    for (parameter, missing, document, told) in [
        (
            "cors",
            "NoSuchCORSConfiguration",
            "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod>\
             <AllowedOrigin>http://a</AllowedOrigin><MaxAgeSeconds>7</MaxAgeSeconds></CORSRule>\
             </CORSConfiguration>",
            "<MaxAgeSeconds>7</MaxAgeSeconds>",
        ),
        (
            "lifecycle",
            "NoSuchLifecycleConfiguration",
            "<LifecycleConfiguration><Rule><ID>old</ID><Filter><Prefix>logs/</Prefix></Filter>\
             <Status>Enabled</Status><Expiration><Days>7</Days></Expiration></Rule>\
             </LifecycleConfiguration>",
            "<Days>7</Days>",
        ),
        (
            "tagging",
            "NoSuchTagSet",
            "<Tagging><TagSet><Tag><Key>team</Key><Value>blue</Value></Tag></TagSet></Tagging>",
            "<Value>blue</Value>",
        ),
        (
            "ownershipControls",
            "OwnershipControlsNotFoundError",
            "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule>\
             </OwnershipControls>",
            "<ObjectOwnership>ObjectWriter</ObjectOwnership>",
        ),
        (
            "publicAccessBlock",
            "NoSuchPublicAccessBlockConfiguration",
            "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls>\
             </PublicAccessBlockConfiguration>",
            "<BlockPublicAcls>true</BlockPublicAcls>",
        ),
    ] {
        let path = format!("/bucket?{parameter}");
        stand.delete(&path).ok();
        let none = stand.get(&path);
        assert_eq!(none.error(), (404, missing), "{parameter}");
        assert_eq!(none.one("BucketName"), "bucket", "{parameter}");
        configure(&stand, &path, document).ok();
        let answer = stand.get(&path).ok();
        assert!(
            answer.text().contains(told),
            "{parameter}: {}",
            answer.text()
        );
        assert_eq!(stand.delete(&path).ok().status, 204, "{parameter}");
        assert_eq!(stand.get(&path).error().0, 404, "{parameter}");
        let wrong = stand.call(
            Method::PUT,
            &path,
            &[("x-amz-checksum-crc32", "AAAAAA==")],
            document,
        );
        assert_eq!(wrong.error().0, 400, "{parameter}");
    }
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    let stand = Stand::with(|_| {});
    for (path, document) in [
        (
            "/bucket?lifecycle",
            "<LifecycleConfiguration><Rule><Filter/><Status>Enabled</Status><Transition>\
             <Days>7</Days><StorageClass>GLACIER</StorageClass></Transition></Rule>\
             </LifecycleConfiguration>",
        ),
        (
            "/bucket?encryption",
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
             <SSEAlgorithm>aws:kms</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>\
             </ServerSideEncryptionConfiguration>",
        ),
        (
            "/bucket?notification",
            "<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>",
        ),
        ("/bucket?website", "<WebsiteConfiguration/>"),
        ("/bucket?logging", "<BucketLoggingStatus/>"),
        ("/bucket?accelerate", "<AccelerateConfiguration/>"),
    ] {
        let answer = configure(&stand, path, document);
        assert_eq!(answer.error(), (501, "NotImplemented"), "{path}");
    }
    // What isn't set is told as that.
    stand.get("/bucket?logging").ok();
    stand.get("/bucket?accelerate").ok();
    let none = stand.get("/bucket?website");
    assert_eq!(none.error(), (404, "NoSuchWebsiteConfiguration"));
    let encryption = stand.get("/bucket?encryption").ok();
    assert_eq!(encryption.one("SSEAlgorithm"), "AES256");
    let payer = stand.get("/bucket?requestPayment").ok();
    assert_eq!(payer.one("Payer"), "BucketOwner");
}

#[test]
fn events_go_where_the_operator_allows() {
    let stand = Stand::with(|_| {});
    let document = "<NotificationConfiguration><QueueConfiguration><Id>q</Id>\
                    <Queue>arn:aws:sqs:us-east-1:111122223333:orders</Queue>\
                    <Event>s3:ObjectCreated:*</Event></QueueConfiguration>\
                    </NotificationConfiguration>";
    let refused = configure(&stand, "/bucket?notification", document);
    assert_eq!(refused.error(), (400, "InvalidArgument"));
    let text = "Unable to validate the following destination configurations";
    assert_eq!(refused.one("Message"), text);
    let none = stand.get("/bucket?notification").ok();
    assert!(!none.text().contains("<Queue"), "{}", none.text());
    configure(
        &stand,
        "/bucket?notification",
        "<NotificationConfiguration/>",
    )
    .ok();
}

#[test]
fn replication_needs_versions_and_its_destination() {
    let stand = Stand::with(|_| {});
    let none = stand.get("/bucket?replication");
    assert_eq!(none.error(), (404, "ReplicationConfigurationNotFoundError"));
    let document = "<ReplicationConfiguration><Role>arn:aws:iam::111122223333:role/r</Role><Rule>\
                    <ID>one</ID><Priority>1</Priority><Filter/><Status>Enabled</Status>\
                    <DeleteMarkerReplication><Status>Disabled</Status></DeleteMarkerReplication>\
                    <Destination><Bucket>arn:aws:s3:::there</Bucket></Destination></Rule>\
                    </ReplicationConfiguration>";
    let put = || configure(&stand, "/bucket?replication", document);
    let refused = put();
    assert_eq!(refused.error(), (400, "InvalidRequest"));
    assert!(
        refused
            .one("Message")
            .starts_with("Versioning must be 'Enabled' on the bucket")
    );
    let enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    configure(&stand, "/bucket?versioning", enabled).ok();
    assert_eq!(
        put().one("Message"),
        "Destination bucket must have versioning enabled."
    );
    stand.put("/there", "").ok();
    configure(&stand, "/there?versioning", enabled).ok();
    put().ok();
    let told = stand.get("/bucket?replication").ok();
    assert_eq!(told.one("ID"), "one");
    assert!(told.text().contains("<Filter>") || told.text().contains("<Filter/>"));
    let suspended = enabled.replace("Enabled", "Suspended");
    let refused = configure(&stand, "/bucket?versioning", &suspended);
    assert_eq!(refused.error(), (409, "InvalidBucketState"));
    assert_eq!(stand.delete("/bucket?replication").ok().status, 204);
    assert_eq!(stand.delete("/bucket?replication").ok().status, 204);
}

#[test]
fn who_sets_replication_must_be_allowed_to_pass_its_role() {
    let stand = Stand::versioned();
    let caller = crate::support::Somebody::but_not(&["iam:PassRole"]);
    let document = "<ReplicationConfiguration><Role>arn:aws:iam::111122223333:role/r</Role><Rule>\
                    <Prefix/><Status>Enabled</Status><Destination>\
                    <Bucket>arn:aws:s3:::there</Bucket></Destination></Rule>\
                    </ReplicationConfiguration>";
    let digest = crc32(document.as_bytes());
    let headers = [("x-amz-checksum-crc32", digest.as_str())];
    let signed = s3::Caller::Signed(caller.clone());
    let path = "/bucket?replication";
    let refused = stand.call_as(signed, Method::PUT, path, &headers, document);
    assert_eq!(refused.error(), (403, "AccessDenied"));
    let passed = (
        "iam:PassRole".to_owned(),
        "arn:aws:iam::111122223333:role/r".to_owned(),
    );
    assert!(caller.asked().contains(&passed));
}
