//! The operation table: every operation of S3's published model, built or not, with what its
//! caller must be allowed, and how a request is known to be for it. It carries nothing out. A
//! parameter that no row of its kind has is refused by its name: an operation that this table
//! doesn't know must not be taken for another one that overwrites the object.

use std::sync::LazyLock;

use aws::Operation;
use aws::access::Access;
use http::Method;

use crate::codec;
use crate::error::Fault;
use crate::query::Query;

/// What carries an operation out: an adapter of `operations`, which the codec calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Adapted;

/// What an action is done to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// Nothing in particular: `*`.
    Service,
    /// The bucket.
    Bucket,
    /// The object.
    Object,
    /// Each of the objects that the body names: asked where it is read.
    Each,
}

/// What a path names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Level {
    /// No bucket.
    Service,
    /// A bucket.
    Bucket,
    /// An object.
    Object,
    /// It has an endpoint of its own, or a newer operation took its place: no request is for it.
    Nowhere,
}

/// What an operation takes of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Takes {
    /// Nothing.
    Empty,
    /// A document.
    Document,
    /// Bytes of any length.
    Stream,
}

/// How requests are known.
#[derive(Debug)]
pub(crate) struct Row {
    /// The operation's name.
    pub(crate) name: &'static str,
    /// As policies name what it does.
    pub(crate) action: &'static str,
    pub(crate) method: Method,
    pub(crate) level: Level,
    /// Parameters that tell it from others; all must be there.
    pub(crate) markers: &'static [&'static str],
    /// Parameters that it takes beside.
    parameters: &'static [&'static str],
    pub(crate) takes: Takes,
}

/// Operations that were renamed: the name that has the adapter. No request is for the old one.
const RENAMED: [(&str, &str); 4] = [
    ("GetBucketLifecycle", "GetBucketLifecycleConfiguration"),
    (
        "GetBucketNotification",
        "GetBucketNotificationConfiguration",
    ),
    ("PutBucketLifecycle", "PutBucketLifecycleConfiguration"),
    (
        "PutBucketNotification",
        "PutBucketNotificationConfiguration",
    ),
];

/// Operations that a header tells from another with the same parameters.
const COPIES: [(&str, &str); 2] = [
    ("CopyObject", "PutObject"),
    ("UploadPartCopy", "UploadPart"),
];

/// Every operation of the published model.
pub static OPERATIONS: LazyLock<Vec<Operation<Adapted, Target>>> = LazyLock::new(|| {
    let rows = ROWS.iter();
    rows.map(|row| {
        let renamed = RENAMED.iter().find(|(old, _)| *old == row.name);
        let name = renamed.map_or(row.name, |(_, new)| *new);
        Operation {
            name: row.name,
            access: Access::Judged {
                action: row.action,
                resources: row.target(),
            },
            handler: codec::BUILT.contains(&name).then_some(Adapted),
        }
    })
    .collect()
});

/// As policies name what operations do, and what it is done to.
pub(crate) fn actions() -> impl Iterator<Item = (&'static str, Target)> {
    ROWS.iter().map(|row| (row.action, row.target()))
}

impl Row {
    /// What its action is done to.
    pub(crate) fn target(&self) -> Target {
        match (self.name, self.level) {
            ("DeleteObjects", _) => Target::Each,
            (_, Level::Bucket) => Target::Bucket,
            (_, Level::Object) => Target::Object,
            (_, Level::Service | Level::Nowhere) => Target::Service,
        }
    }

    /// Is it built?
    pub(crate) fn is_built(&self) -> bool {
        codec::BUILT.contains(&self.name)
    }
}

/// The row of that name.
#[cfg(test)]
pub(crate) fn row(name: &str) -> &'static Row {
    let found = ROWS.iter().find(|row| row.name == name);
    found.expect("only names of rows are asked for")
}

/// The row of the operation that a request is for.
///
/// # Errors
///
/// `NotImplemented` names the parameter that no operation of its kind has, or the method.
pub(crate) fn route(
    method: &Method,
    level: Level,
    query: &Query,
    is_copy: bool,
) -> Result<&'static Row, Fault> {
    let fits = |row: &&Row| {
        row.method == *method
            && row.level == level
            && row.markers.iter().all(|marker| query.has(marker))
            && match COPIES
                .iter()
                .find(|(copy, put)| [*copy, *put].contains(&row.name))
            {
                Some((copy, _)) => (row.name == *copy) == is_copy,
                None => true,
            }
    };
    let row = ROWS.iter().filter(fits).max_by_key(|row| row.markers.len());
    let Some(row) = row else {
        let unknown = query.names().next();
        return Err(unknown.map_or_else(|| not_allowed(method, level), unknown_parameter));
    };
    let mut names = query.names();
    let stranger = names.find(|name| !row.markers.contains(name) && !row.parameters.contains(name));
    match stranger {
        Some(name) => Err(unknown_parameter(name)),
        None => Ok(row),
    }
}

fn unknown_parameter(name: &str) -> Fault {
    Fault::not_built(&format!("The sub-resource or parameter '{name}'"))
}

fn not_allowed(method: &Method, level: Level) -> Fault {
    if *method == Method::POST && level == Level::Bucket {
        // Of a form there is no row: a PUT is made of it before it comes here.
        let condition = "Bucket POST must be of the enclosure-type multipart/form-data";
        return objects::ObjectError::PreconditionFailed(condition).into();
    }
    Fault::new(
        http::StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        "The specified method is not allowed against this resource.",
    )
}

/// A row a line: name, method, what the path names, the parameters that tell it, further ones, the
/// body; then as policies name what it does (Service Authorization Reference, "Actions, resources,
/// and condition keys for Amazon S3").
macro_rules! rows {
    ($($name:ident: $method:ident $level:ident [$($marker:literal),*] [$($parameter:literal),*]
        $takes:ident, $action:literal;)*) => {
        static ROWS: &[Row] = &[$(Row {
            name: stringify!($name),
            action: $action,
            method: Method::$method,
            level: Level::$level,
            markers: &[$($marker),*],
            parameters: &[$($parameter),*],
            takes: Takes::$takes,
        }),*];
    };
}

rows! {
    AbortMultipartUpload: DELETE Object ["uploadId"] [] Empty, "s3:AbortMultipartUpload";
    CompleteMultipartUpload: POST Object ["uploadId"] [] Document, "s3:PutObject";
    CopyObject: PUT Object [] [] Empty, "s3:PutObject";
    CreateBucket: PUT Bucket [] [] Document, "s3:CreateBucket";
    CreateBucketMetadataConfiguration: POST Bucket ["metadataConfiguration"]
        []
        Document, "s3:CreateBucketMetadataConfiguration";
    CreateBucketMetadataTableConfiguration: POST Bucket ["metadataTable"]
        []
        Document, "s3:CreateBucketMetadataTableConfiguration";
    CreateMultipartUpload: POST Object ["uploads"] [] Empty, "s3:PutObject";
    CreateSession: GET Bucket ["session"] [] Empty, "s3express:CreateSession";
    DeleteBucket: DELETE Bucket [] [] Empty, "s3:DeleteBucket";
    DeleteBucketAnalyticsConfiguration: DELETE Bucket ["analytics", "id"]
        []
        Empty, "s3:PutAnalyticsConfiguration";
    DeleteBucketCors: DELETE Bucket ["cors"] [] Empty, "s3:PutBucketCORS";
    DeleteBucketEncryption: DELETE Bucket ["encryption"] [] Empty, "s3:PutEncryptionConfiguration";
    DeleteBucketIntelligentTieringConfiguration: DELETE Bucket ["intelligent-tiering", "id"]
        []
        Empty, "s3:PutIntelligentTieringConfiguration";
    DeleteBucketInventoryConfiguration: DELETE Bucket ["inventory", "id"]
        []
        Empty, "s3:PutInventoryConfiguration";
    DeleteBucketLifecycle: DELETE Bucket ["lifecycle"] [] Empty, "s3:PutLifecycleConfiguration";
    DeleteBucketMetadataConfiguration: DELETE Bucket ["metadataConfiguration"]
        []
        Empty, "s3:DeleteBucketMetadataConfiguration";
    DeleteBucketMetadataTableConfiguration: DELETE Bucket ["metadataTable"]
        []
        Empty, "s3:DeleteBucketMetadataTableConfiguration";
    DeleteBucketMetricsConfiguration: DELETE Bucket ["metrics", "id"]
        []
        Empty, "s3:PutMetricsConfiguration";
    DeleteBucketOwnershipControls: DELETE Bucket ["ownershipControls"]
        []
        Empty, "s3:PutBucketOwnershipControls";
    DeleteBucketPolicy: DELETE Bucket ["policy"] [] Empty, "s3:DeleteBucketPolicy";
    DeleteBucketReplication: DELETE Bucket ["replication"]
        []
        Empty, "s3:PutReplicationConfiguration";
    DeleteBucketTagging: DELETE Bucket ["tagging"] [] Empty, "s3:PutBucketTagging";
    DeleteBucketWebsite: DELETE Bucket ["website"] [] Empty, "s3:DeleteBucketWebsite";
    DeleteObject: DELETE Object [] ["versionId"] Empty, "s3:DeleteObject";
    DeleteObjectTagging: DELETE Object ["tagging"] ["versionId"] Empty, "s3:DeleteObjectTagging";
    DeleteObjects: POST Bucket ["delete"] [] Document, "s3:DeleteObject";
    DeletePublicAccessBlock: DELETE Bucket ["publicAccessBlock"]
        []
        Empty, "s3:PutBucketPublicAccessBlock";
    GetBucketAbac: GET Bucket ["abac"] [] Empty, "s3:GetBucketAbac";
    GetBucketAccelerateConfiguration: GET Bucket ["accelerate"]
        []
        Empty, "s3:GetAccelerateConfiguration";
    GetBucketAcl: GET Bucket ["acl"] [] Empty, "s3:GetBucketAcl";
    GetBucketAnalyticsConfiguration: GET Bucket ["analytics", "id"]
        []
        Empty, "s3:GetAnalyticsConfiguration";
    GetBucketCors: GET Bucket ["cors"] [] Empty, "s3:GetBucketCORS";
    GetBucketEncryption: GET Bucket ["encryption"] [] Empty, "s3:GetEncryptionConfiguration";
    GetBucketIntelligentTieringConfiguration: GET Bucket ["intelligent-tiering", "id"]
        []
        Empty, "s3:GetIntelligentTieringConfiguration";
    GetBucketInventoryConfiguration: GET Bucket ["inventory", "id"]
        []
        Empty, "s3:GetInventoryConfiguration";
    GetBucketLifecycle: GET Nowhere ["lifecycle"] [] Empty, "s3:GetLifecycleConfiguration";
    GetBucketLifecycleConfiguration: GET Bucket ["lifecycle"]
        []
        Empty, "s3:GetLifecycleConfiguration";
    GetBucketLocation: GET Bucket ["location"] [] Empty, "s3:GetBucketLocation";
    GetBucketLogging: GET Bucket ["logging"] [] Empty, "s3:GetBucketLogging";
    GetBucketMetadataConfiguration: GET Bucket ["metadataConfiguration"]
        []
        Empty, "s3:GetBucketMetadataConfiguration";
    GetBucketMetadataTableConfiguration: GET Bucket ["metadataTable"]
        []
        Empty, "s3:GetBucketMetadataTableConfiguration";
    GetBucketMetricsConfiguration: GET Bucket ["metrics", "id"]
        []
        Empty, "s3:GetMetricsConfiguration";
    GetBucketNotification: GET Nowhere ["notification"] [] Empty, "s3:GetBucketNotification";
    GetBucketNotificationConfiguration: GET Bucket ["notification"]
        []
        Empty, "s3:GetBucketNotification";
    GetBucketOwnershipControls: GET Bucket ["ownershipControls"]
        []
        Empty, "s3:GetBucketOwnershipControls";
    GetBucketPolicy: GET Bucket ["policy"] [] Empty, "s3:GetBucketPolicy";
    GetBucketPolicyStatus: GET Bucket ["policyStatus"] [] Empty, "s3:GetBucketPolicyStatus";
    GetBucketReplication: GET Bucket ["replication"] [] Empty, "s3:GetReplicationConfiguration";
    GetBucketRequestPayment: GET Bucket ["requestPayment"] [] Empty, "s3:GetBucketRequestPayment";
    GetBucketTagging: GET Bucket ["tagging"] [] Empty, "s3:GetBucketTagging";
    GetBucketVersioning: GET Bucket ["versioning"] [] Empty, "s3:GetBucketVersioning";
    GetBucketWebsite: GET Bucket ["website"] [] Empty, "s3:GetBucketWebsite";
    GetObject: GET Object []
        ["response-cache-control", "response-content-disposition", "response-content-encoding",
         "response-content-language", "response-content-type", "response-expires", "versionId",
         "partNumber"]
        Empty, "s3:GetObject";
    GetObjectAcl: GET Object ["acl"] ["versionId"] Empty, "s3:GetObjectAcl";
    GetObjectAttributes: GET Object ["attributes"] ["versionId"] Empty, "s3:GetObjectAttributes";
    GetObjectLegalHold: GET Object ["legal-hold"] ["versionId"] Empty, "s3:GetObjectLegalHold";
    GetObjectLockConfiguration: GET Bucket ["object-lock"]
        []
        Empty, "s3:GetBucketObjectLockConfiguration";
    GetObjectRetention: GET Object ["retention"] ["versionId"] Empty, "s3:GetObjectRetention";
    GetObjectTagging: GET Object ["tagging"] ["versionId"] Empty, "s3:GetObjectTagging";
    GetObjectTorrent: GET Object ["torrent"] [] Empty, "s3:GetObjectTorrent";
    GetPublicAccessBlock: GET Bucket ["publicAccessBlock"]
        []
        Empty, "s3:GetBucketPublicAccessBlock";
    HeadBucket: HEAD Bucket [] [] Empty, "s3:ListBucket";
    HeadObject: HEAD Object []
        ["response-cache-control", "response-content-disposition", "response-content-encoding",
         "response-content-language", "response-content-type", "response-expires", "versionId",
         "partNumber"]
        Empty, "s3:GetObject";
    ListBucketAnalyticsConfigurations: GET Bucket ["analytics"]
        ["continuation-token"]
        Empty, "s3:GetAnalyticsConfiguration";
    ListBucketIntelligentTieringConfigurations: GET Bucket ["intelligent-tiering"]
        ["continuation-token"]
        Empty, "s3:GetIntelligentTieringConfiguration";
    ListBucketInventoryConfigurations: GET Bucket ["inventory"]
        ["continuation-token"]
        Empty, "s3:GetInventoryConfiguration";
    ListBucketMetricsConfigurations: GET Bucket ["metrics"]
        ["continuation-token"]
        Empty, "s3:GetMetricsConfiguration";
    ListBuckets: GET Service []
        ["max-buckets", "continuation-token", "prefix", "bucket-region"]
        Empty, "s3:ListAllMyBuckets";
    ListDirectoryBuckets: GET Service ["max-directory-buckets"]
        ["continuation-token"]
        Empty, "s3express:ListAllMyDirectoryBuckets";
    ListMultipartUploads: GET Bucket ["uploads"]
        ["delimiter", "encoding-type", "key-marker", "max-uploads", "prefix", "upload-id-marker"]
        Empty, "s3:ListBucketMultipartUploads";
    ListObjectVersions: GET Bucket ["versions"]
        ["delimiter", "encoding-type", "key-marker", "max-keys", "prefix", "version-id-marker"]
        Empty, "s3:ListBucketVersions";
    ListObjects: GET Bucket []
        ["delimiter", "encoding-type", "marker", "max-keys", "prefix"]
        Empty, "s3:ListBucket";
    ListObjectsV2: GET Bucket ["list-type"]
        ["delimiter", "encoding-type", "max-keys", "prefix", "continuation-token", "fetch-owner",
         "start-after"]
        Empty, "s3:ListBucket";
    ListParts: GET Object ["uploadId"]
        ["max-parts", "part-number-marker"]
        Empty, "s3:ListMultipartUploadParts";
    PutBucketAbac: PUT Bucket ["abac"] [] Document, "s3:PutBucketAbac";
    PutBucketAccelerateConfiguration: PUT Bucket ["accelerate"]
        []
        Document, "s3:PutAccelerateConfiguration";
    PutBucketAcl: PUT Bucket ["acl"] [] Document, "s3:PutBucketAcl";
    PutBucketAnalyticsConfiguration: PUT Bucket ["analytics", "id"]
        []
        Document, "s3:PutAnalyticsConfiguration";
    PutBucketCors: PUT Bucket ["cors"] [] Document, "s3:PutBucketCORS";
    PutBucketEncryption: PUT Bucket ["encryption"] [] Document, "s3:PutEncryptionConfiguration";
    PutBucketIntelligentTieringConfiguration: PUT Bucket ["intelligent-tiering", "id"]
        []
        Document, "s3:PutIntelligentTieringConfiguration";
    PutBucketInventoryConfiguration: PUT Bucket ["inventory", "id"]
        []
        Document, "s3:PutInventoryConfiguration";
    PutBucketLifecycle: PUT Nowhere ["lifecycle"] [] Document, "s3:PutLifecycleConfiguration";
    PutBucketLifecycleConfiguration: PUT Bucket ["lifecycle"]
        []
        Document, "s3:PutLifecycleConfiguration";
    PutBucketLogging: PUT Bucket ["logging"] [] Document, "s3:PutBucketLogging";
    PutBucketMetricsConfiguration: PUT Bucket ["metrics", "id"]
        []
        Document, "s3:PutMetricsConfiguration";
    PutBucketNotification: PUT Nowhere ["notification"] [] Document, "s3:PutBucketNotification";
    PutBucketNotificationConfiguration: PUT Bucket ["notification"]
        []
        Document, "s3:PutBucketNotification";
    PutBucketOwnershipControls: PUT Bucket ["ownershipControls"]
        []
        Document, "s3:PutBucketOwnershipControls";
    PutBucketPolicy: PUT Bucket ["policy"] [] Document, "s3:PutBucketPolicy";
    PutBucketReplication: PUT Bucket ["replication"] [] Document, "s3:PutReplicationConfiguration";
    PutBucketRequestPayment: PUT Bucket ["requestPayment"]
        []
        Document, "s3:PutBucketRequestPayment";
    PutBucketTagging: PUT Bucket ["tagging"] [] Document, "s3:PutBucketTagging";
    PutBucketVersioning: PUT Bucket ["versioning"] [] Document, "s3:PutBucketVersioning";
    PutBucketWebsite: PUT Bucket ["website"] [] Document, "s3:PutBucketWebsite";
    PutObject: PUT Object [] [] Stream, "s3:PutObject";
    PutObjectAcl: PUT Object ["acl"] ["versionId"] Document, "s3:PutObjectAcl";
    PutObjectLegalHold: PUT Object ["legal-hold"] ["versionId"] Document, "s3:PutObjectLegalHold";
    PutObjectLockConfiguration: PUT Bucket ["object-lock"]
        []
        Document, "s3:PutBucketObjectLockConfiguration";
    PutObjectRetention: PUT Object ["retention"] ["versionId"] Document, "s3:PutObjectRetention";
    PutObjectTagging: PUT Object ["tagging"] ["versionId"] Document, "s3:PutObjectTagging";
    PutPublicAccessBlock: PUT Bucket ["publicAccessBlock"]
        []
        Document, "s3:PutBucketPublicAccessBlock";
    RenameObject: PUT Object ["renameObject"] [] Empty, "s3:RenameObject";
    RestoreObject: POST Object ["restore"] ["versionId"] Document, "s3:RestoreObject";
    SelectObjectContent: POST Object ["select", "select-type"] [] Document, "s3:GetObject";
    UpdateBucketMetadataInventoryTableConfiguration: PUT Bucket ["metadataInventoryTable"]
        []
        Document, "s3:UpdateBucketMetadataInventoryTableConfiguration";
    UpdateBucketMetadataJournalTableConfiguration: PUT Bucket ["metadataJournalTable"]
        []
        Document, "s3:UpdateBucketMetadataJournalTableConfiguration";
    UpdateObjectEncryption: PUT Object ["encryption"]
        ["versionId"]
        Document, "s3:UpdateObjectEncryption";
    UploadPart: PUT Object ["partNumber", "uploadId"] [] Stream, "s3:PutObject";
    UploadPartCopy: PUT Object ["partNumber", "uploadId"] [] Empty, "s3:PutObject";
    WriteGetObjectResponse: POST Nowhere [] [] Stream, "s3-object-lambda:WriteGetObjectResponse";
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn routed(method: Method, level: Level, query: &str, is_copy: bool) -> Result<&str, String> {
        let request = Request::get(format!("/?{query}")).body(()).unwrap();
        let (query, _) = Query::of(&request.into_parts().0).unwrap();
        match route(&method, level, &query, is_copy) {
            Ok(row) => Ok(row.name),
            Err(fault) => Err(fault.message.into_owned()),
        }
    }

    #[test]
    fn every_operation_of_the_model_has_one_row() {
        assert_eq!(OPERATIONS.len(), 111);
        let mut names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 111);
        for built in codec::BUILT {
            assert!(names.contains(built), "{built}");
        }
        for (old, new) in RENAMED {
            assert!(names.contains(&old) && names.contains(&new));
        }
    }

    #[test]
    fn a_request_is_for_the_operation_that_its_parameters_tell() {
        use Level::{Bucket, Object, Service};
        for (method, level, query, is_copy, name) in [
            (Method::GET, Service, "", false, "ListBuckets"),
            (Method::GET, Bucket, "", false, "ListObjects"),
            (
                Method::GET,
                Bucket,
                "list-type=2&prefix=a",
                false,
                "ListObjectsV2",
            ),
            (
                Method::GET,
                Bucket,
                "analytics&id=1",
                false,
                "GetBucketAnalyticsConfiguration",
            ),
            (
                Method::GET,
                Bucket,
                "analytics",
                false,
                "ListBucketAnalyticsConfigurations",
            ),
            (
                Method::GET,
                Bucket,
                "lifecycle",
                false,
                "GetBucketLifecycleConfiguration",
            ),
            (
                Method::GET,
                Object,
                "versionId=1&partNumber=2",
                false,
                "GetObject",
            ),
            (Method::GET, Object, "uploadId=1", false, "ListParts"),
            (Method::PUT, Object, "", false, "PutObject"),
            (Method::PUT, Object, "", true, "CopyObject"),
            (
                Method::PUT,
                Object,
                "partNumber=1&uploadId=2",
                false,
                "UploadPart",
            ),
            (
                Method::PUT,
                Object,
                "partNumber=1&uploadId=2",
                true,
                "UploadPartCopy",
            ),
            (Method::PUT, Object, "tagging", true, "PutObjectTagging"),
            (
                Method::POST,
                Object,
                "uploadId=2",
                false,
                "CompleteMultipartUpload",
            ),
            (
                Method::DELETE,
                Object,
                "uploadId=2",
                false,
                "AbortMultipartUpload",
            ),
            (Method::DELETE, Object, "versionId=2", false, "DeleteObject"),
        ] {
            assert_eq!(routed(method, level, query, is_copy), Ok(name), "{query}");
        }
    }

    #[test]
    fn a_parameter_that_no_operation_has_is_never_overlooked() {
        use Level::{Bucket, Object};
        for (method, level, query) in [
            (Method::PUT, Object, "annotation=foo"),
            (Method::GET, Object, "annotations"),
            (Method::PUT, Object, "acl&annotation=foo"),
            (Method::PUT, Object, "partNumber=1"),
            (Method::PUT, Object, "versionId=1"),
            (Method::PUT, Bucket, "bogus"),
            (Method::DELETE, Bucket, "bogus"),
            (Method::DELETE, Object, "acl"),
        ] {
            let refused = routed(method, level, query, false).unwrap_err();
            assert!(refused.contains("parameter '"), "{query}: {refused}");
        }
        let refused = routed(Method::POST, Bucket, "", false).unwrap_err();
        assert!(refused.contains("pre-conditions"));
    }

    #[test]
    fn only_bytes_of_objects_are_streams() {
        let streams = ROWS.iter().filter(|row| row.takes == Takes::Stream);
        let names: Vec<&str> = streams.map(|row| row.name).collect();
        assert_eq!(names, ["PutObject", "UploadPart", "WriteGetObjectResponse"]);
    }
}
