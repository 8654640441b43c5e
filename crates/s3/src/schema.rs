//! The elements that documents of requests may have, from S3's published model. The codec passes
//! over those that it doesn't know, and a rule whose filter is overlooked is a rule for everything:
//! here they are refused, as S3 refuses what isn't of its schema.

use aws::xml::{Element, XmlLimits, read};

use crate::error::Fault;

/// An upload's 10,000 parts with two members and every kind of checksum, and some.
const LIMITS: XmlLimits = XmlLimits {
    depth: 8,
    elements: 130_000,
};

/// An element's name, and those of what may be in it.
type Names = (&'static str, &'static [&'static str]);

/// Is the document of that operation of its schema? One that isn't in XML has none here, and an
/// empty one is for its adapter.
///
/// # Errors
///
/// `MalformedXML`.
pub(crate) fn check(operation: &str, document: &[u8]) -> Result<(), Fault> {
    let Some((_, root, elements)) = SCHEMAS.iter().find(|(name, ..)| *name == operation) else {
        return Ok(());
    };
    if document.is_empty() {
        return Ok(());
    }
    let read = read(document, LIMITS).map_err(|_| Fault::malformed())?;
    match read.name == *root && fits(&read, elements) {
        true => Ok(()),
        false => Err(Fault::malformed()),
    }
}

/// Are an element's children those that it may have, and theirs? How deep this goes was bounded
/// when the document was read.
fn fits(element: &Element<'_>, elements: &[Names]) -> bool {
    let known = elements.iter().find(|(name, _)| *name == element.name);
    let allowed = known.map_or(&[][..], |(_, allowed)| *allowed);
    let mut children = element.children().iter();
    children.all(|child| allowed.contains(&child.name) && fits(child, elements))
}

/// By operation: the name of the root, and what may be in each element that may have any.
static SCHEMAS: &[(&str, &str, &[Names])] = &[
    (
        "CompleteMultipartUpload",
        "CompleteMultipartUpload",
        &[
            ("CompleteMultipartUpload", &["Part"]),
            (
                "Part",
                &[
                    "ETag",
                    "ChecksumCRC32",
                    "ChecksumCRC32C",
                    "ChecksumCRC64NVME",
                    "ChecksumSHA1",
                    "ChecksumSHA256",
                    "ChecksumSHA512",
                    "ChecksumMD5",
                    "ChecksumXXHASH64",
                    "ChecksumXXHASH3",
                    "ChecksumXXHASH128",
                    "PartNumber",
                ],
            ),
        ],
    ),
    (
        "CreateBucket",
        "CreateBucketConfiguration",
        &[
            ("Bucket", &["DataRedundancy", "Type"]),
            (
                "CreateBucketConfiguration",
                &["LocationConstraint", "Location", "Bucket", "Tags"],
            ),
            ("Location", &["Type", "Name"]),
            ("Tag", &["Key", "Value"]),
            ("Tags", &["Tag"]),
        ],
    ),
    (
        "DeleteObjects",
        "Delete",
        &[
            ("Delete", &["Object", "Quiet"]),
            (
                "Object",
                &["Key", "VersionId", "ETag", "LastModifiedTime", "Size"],
            ),
        ],
    ),
    (
        "PutBucketAccelerateConfiguration",
        "AccelerateConfiguration",
        &[("AccelerateConfiguration", &["Status"])],
    ),
    (
        "PutBucketAcl",
        "AccessControlPolicy",
        &[
            ("AccessControlList", &["Grant"]),
            ("AccessControlPolicy", &["AccessControlList", "Owner"]),
            ("Grant", &["Grantee", "Permission"]),
            ("Grantee", &["DisplayName", "EmailAddress", "ID", "URI"]),
            ("Owner", &["DisplayName", "ID"]),
        ],
    ),
    (
        "PutBucketCors",
        "CORSConfiguration",
        &[
            ("CORSConfiguration", &["CORSRule"]),
            (
                "CORSRule",
                &[
                    "ID",
                    "AllowedHeader",
                    "AllowedMethod",
                    "AllowedOrigin",
                    "ExposeHeader",
                    "MaxAgeSeconds",
                ],
            ),
        ],
    ),
    (
        "PutBucketEncryption",
        "ServerSideEncryptionConfiguration",
        &[
            (
                "ApplyServerSideEncryptionByDefault",
                &["SSEAlgorithm", "KMSMasterKeyID"],
            ),
            ("BlockedEncryptionTypes", &["EncryptionType"]),
            (
                "Rule",
                &[
                    "ApplyServerSideEncryptionByDefault",
                    "BucketKeyEnabled",
                    "BlockedEncryptionTypes",
                ],
            ),
            ("ServerSideEncryptionConfiguration", &["Rule"]),
        ],
    ),
    (
        "PutBucketLifecycleConfiguration",
        "LifecycleConfiguration",
        &[
            ("AbortIncompleteMultipartUpload", &["DaysAfterInitiation"]),
            (
                "And",
                &[
                    "Prefix",
                    "Tag",
                    "ObjectSizeGreaterThan",
                    "ObjectSizeLessThan",
                ],
            ),
            ("Expiration", &["Date", "Days", "ExpiredObjectDeleteMarker"]),
            (
                "Filter",
                &[
                    "Prefix",
                    "Tag",
                    "ObjectSizeGreaterThan",
                    "ObjectSizeLessThan",
                    "And",
                ],
            ),
            ("LifecycleConfiguration", &["Rule"]),
            (
                "NoncurrentVersionExpiration",
                &["NoncurrentDays", "NewerNoncurrentVersions"],
            ),
            (
                "NoncurrentVersionTransition",
                &["NoncurrentDays", "StorageClass", "NewerNoncurrentVersions"],
            ),
            (
                "Rule",
                &[
                    "Expiration",
                    "ID",
                    "Prefix",
                    "Filter",
                    "Status",
                    "Transition",
                    "NoncurrentVersionTransition",
                    "NoncurrentVersionExpiration",
                    "AbortIncompleteMultipartUpload",
                ],
            ),
            ("Tag", &["Key", "Value"]),
            ("Transition", &["Date", "Days", "StorageClass"]),
        ],
    ),
    (
        "PutBucketNotificationConfiguration",
        "NotificationConfiguration",
        &[
            (
                "CloudFunctionConfiguration",
                &["Id", "CloudFunction", "Event", "Filter"],
            ),
            ("EventBridgeConfiguration", &[]),
            ("Filter", &["S3Key"]),
            ("FilterRule", &["Name", "Value"]),
            (
                "NotificationConfiguration",
                &[
                    "TopicConfiguration",
                    "QueueConfiguration",
                    "CloudFunctionConfiguration",
                    "EventBridgeConfiguration",
                ],
            ),
            ("QueueConfiguration", &["Id", "Queue", "Event", "Filter"]),
            ("S3Key", &["FilterRule"]),
            ("TopicConfiguration", &["Id", "Topic", "Event", "Filter"]),
        ],
    ),
    (
        "PutBucketOwnershipControls",
        "OwnershipControls",
        &[
            ("OwnershipControls", &["Rule"]),
            ("Rule", &["ObjectOwnership"]),
        ],
    ),
    (
        "PutBucketReplication",
        "ReplicationConfiguration",
        &[
            ("AccessControlTranslation", &["Owner"]),
            ("And", &["Prefix", "Tag"]),
            ("DeleteMarkerReplication", &["Status"]),
            (
                "Destination",
                &[
                    "Bucket",
                    "Account",
                    "StorageClass",
                    "AccessControlTranslation",
                    "EncryptionConfiguration",
                    "ReplicationTime",
                    "Metrics",
                ],
            ),
            ("EncryptionConfiguration", &["ReplicaKmsKeyID"]),
            ("EventThreshold", &["Minutes"]),
            ("ExistingObjectReplication", &["Status"]),
            ("Filter", &["Prefix", "Tag", "And"]),
            ("Metrics", &["Status", "EventThreshold"]),
            ("ReplicaModifications", &["Status"]),
            ("ReplicationConfiguration", &["Role", "Rule"]),
            ("ReplicationTime", &["Status", "Time"]),
            (
                "Rule",
                &[
                    "ID",
                    "Priority",
                    "Prefix",
                    "Filter",
                    "Status",
                    "SourceSelectionCriteria",
                    "ExistingObjectReplication",
                    "Destination",
                    "DeleteMarkerReplication",
                ],
            ),
            (
                "SourceSelectionCriteria",
                &["SseKmsEncryptedObjects", "ReplicaModifications"],
            ),
            ("SseKmsEncryptedObjects", &["Status"]),
            ("Tag", &["Key", "Value"]),
            ("Time", &["Minutes"]),
        ],
    ),
    (
        "PutBucketRequestPayment",
        "RequestPaymentConfiguration",
        &[("RequestPaymentConfiguration", &["Payer"])],
    ),
    (
        "PutBucketTagging",
        "Tagging",
        &[
            ("Tag", &["Key", "Value"]),
            ("TagSet", &["Tag"]),
            ("Tagging", &["TagSet"]),
        ],
    ),
    (
        "PutBucketVersioning",
        "VersioningConfiguration",
        &[("VersioningConfiguration", &["MfaDelete", "Status"])],
    ),
    (
        "PutObjectAcl",
        "AccessControlPolicy",
        &[
            ("AccessControlList", &["Grant"]),
            ("AccessControlPolicy", &["AccessControlList", "Owner"]),
            ("Grant", &["Grantee", "Permission"]),
            ("Grantee", &["DisplayName", "EmailAddress", "ID", "URI"]),
            ("Owner", &["DisplayName", "ID"]),
        ],
    ),
    (
        "PutObjectLegalHold",
        "LegalHold",
        &[("LegalHold", &["Status"])],
    ),
    (
        "PutObjectLockConfiguration",
        "ObjectLockConfiguration",
        &[
            ("DefaultRetention", &["Mode", "Days", "Years"]),
            ("ObjectLockConfiguration", &["ObjectLockEnabled", "Rule"]),
            ("Rule", &["DefaultRetention"]),
        ],
    ),
    (
        "PutObjectRetention",
        "Retention",
        &[("Retention", &["Mode", "RetainUntilDate"])],
    ),
    (
        "PutObjectTagging",
        "Tagging",
        &[
            ("Tag", &["Key", "Value"]),
            ("TagSet", &["Tag"]),
            ("Tagging", &["TagSet"]),
        ],
    ),
    (
        "PutPublicAccessBlock",
        "PublicAccessBlockConfiguration",
        &[(
            "PublicAccessBlockConfiguration",
            &[
                "BlockPublicAcls",
                "IgnorePublicAcls",
                "BlockPublicPolicy",
                "RestrictPublicBuckets",
            ],
        )],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_where_it_may_not_be_is_refused() {
        let rule = |inside: &str| {
            format!(
                "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Rule>\
                 <ID>a</ID><Status>Enabled</Status>{inside}<Expiration><Days>1</Days></Expiration>\
                 </Rule></LifecycleConfiguration>"
            )
        };
        let of = |inside: &str| check("PutBucketLifecycleConfiguration", rule(inside).as_bytes());
        for good in [
            "",
            "<Filter/>",
            "<Filter><Prefix>a</Prefix></Filter>",
            "<Filter><And><Prefix>a</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>",
        ] {
            assert_eq!(of(good), Ok(()), "{good}");
        }
        for bad in [
            "<Fitler><Prefix>a</Prefix></Fitler>",
            "<Filter><ObjectSizeGreater>1</ObjectSizeGreater></Filter>",
            "<Tag><Key>k</Key><Value>v</Value></Tag>",
            "<Filter><Prefix><a/></Prefix></Filter>",
            "<Filter>",
        ] {
            assert_eq!(of(bad).unwrap_err().code, "MalformedXML", "{bad}");
        }
        let other = check("PutBucketLifecycleConfiguration", b"<Other/>");
        assert_eq!(other.unwrap_err().code, "MalformedXML");
    }

    #[test]
    fn a_document_is_bounded_and_what_isn_t_xml_is_not_looked_at() {
        assert_eq!(check("PutBucketPolicy", b"{"), Ok(()));
        assert_eq!(check("PutObjectTagging", b""), Ok(()));
        let deep = "<Tagging>".repeat(10_000);
        assert!(check("PutObjectTagging", deep.as_bytes()).is_err());
        let bomb = "<!DOCTYPE a [<!ENTITY b \"c\">]><Tagging>&b;</Tagging>";
        assert!(check("PutObjectTagging", bomb.as_bytes()).is_err());
    }

    #[test]
    fn every_document_of_an_operation_that_is_built_has_a_schema() {
        let takes = |name: &str| crate::table::row(name).takes == crate::table::Takes::Document;
        for name in crate::codec::BUILT {
            let has = SCHEMAS.iter().any(|(operation, ..)| operation == name);
            assert_eq!(takes(name) && *name != "PutBucketPolicy", has, "{name}");
        }
    }
}
