//! Why a version isn't replicated for good: S3's failure reasons, word for word (S3 User Guide,
//! "Amazon S3 replication failure reasons"). Those of KMS are missing: nothing here is encrypted
//! with its keys.

/// A lasting cause.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FailureReason {
    /// The role doesn't exist or doesn't trust S3.
    AssumeRoleNotPermitted,
    /// There is no destination bucket.
    DstBucketNotFound,
    /// The source's objects may be locked, the destination has no object lock.
    DstBucketObjectLockConfigMissing,
    /// The destination doesn't keep versions.
    DstBucketUnversioned,
    /// The role may not replicate deletes.
    DstDelObjNotPermitted,
    /// The role may not replicate an object made of parts.
    DstMultipartInitNotPermitted,
    /// The version was deleted for good at the destination.
    DstObjectHardDeleted,
    /// The role may not make the destination's owner the replica's.
    DstPutAclNotPermitted,
    /// The role may not replicate objects.
    DstPutObjectNotPermitted,
    /// The role may not replicate tags.
    DstPutTaggingNotPermitted,
    /// The version whose change travels isn't there.
    DstVersionNotFound,
    /// The role may not begin a replication by a batch job.
    InitiateReplicationNotPermitted,
    /// The source bucket is gone.
    SrcBucketNotFound,
    /// The source bucket has no such rule any more.
    SrcBucketReplicationConfigMissing,
    /// The role may not read the source's access control list.
    SrcGetAclNotPermitted,
    /// The role may not read the source.
    SrcGetObjectNotPermitted,
    /// The role may not read the source's tags.
    SrcGetTaggingNotPermitted,
    /// The role may not list the source bucket or read its configuration.
    SrcHeadObjectNotPermitted,
    /// The rules don't choose the version.
    SrcObjectNotEligible,
    /// The version is gone.
    SrcVersionNotFound,
}

impl FailureReason {
    /// Every one.
    pub const ALL: [FailureReason; 20] = [
        FailureReason::AssumeRoleNotPermitted,
        FailureReason::DstBucketNotFound,
        FailureReason::DstBucketObjectLockConfigMissing,
        FailureReason::DstBucketUnversioned,
        FailureReason::DstDelObjNotPermitted,
        FailureReason::DstMultipartInitNotPermitted,
        FailureReason::DstObjectHardDeleted,
        FailureReason::DstPutAclNotPermitted,
        FailureReason::DstPutObjectNotPermitted,
        FailureReason::DstPutTaggingNotPermitted,
        FailureReason::DstVersionNotFound,
        FailureReason::InitiateReplicationNotPermitted,
        FailureReason::SrcBucketNotFound,
        FailureReason::SrcBucketReplicationConfigMissing,
        FailureReason::SrcGetAclNotPermitted,
        FailureReason::SrcGetObjectNotPermitted,
        FailureReason::SrcGetTaggingNotPermitted,
        FailureReason::SrcHeadObjectNotPermitted,
        FailureReason::SrcObjectNotEligible,
        FailureReason::SrcVersionNotFound,
    ];

    /// As events and reports have it.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureReason::AssumeRoleNotPermitted => "AssumeRoleNotPermitted",
            FailureReason::DstBucketNotFound => "DstBucketNotFound",
            FailureReason::DstBucketObjectLockConfigMissing => "DstBucketObjectLockConfigMissing",
            FailureReason::DstBucketUnversioned => "DstBucketUnversioned",
            FailureReason::DstDelObjNotPermitted => "DstDelObjNotPermitted",
            FailureReason::DstMultipartInitNotPermitted => "DstMultipartInitNotPermitted",
            FailureReason::DstObjectHardDeleted => "DstObjectHardDeleted",
            FailureReason::DstPutAclNotPermitted => "DstPutAclNotPermitted",
            FailureReason::DstPutObjectNotPermitted => "DstPutObjectNotPermitted",
            FailureReason::DstPutTaggingNotPermitted => "DstPutTaggingNotPermitted",
            FailureReason::DstVersionNotFound => "DstVersionNotFound",
            FailureReason::InitiateReplicationNotPermitted => "InitiateReplicationNotPermitted",
            FailureReason::SrcBucketNotFound => "SrcBucketNotFound",
            FailureReason::SrcBucketReplicationConfigMissing => "SrcBucketReplicationConfigMissing",
            FailureReason::SrcGetAclNotPermitted => "SrcGetAclNotPermitted",
            FailureReason::SrcGetObjectNotPermitted => "SrcGetObjectNotPermitted",
            FailureReason::SrcGetTaggingNotPermitted => "SrcGetTaggingNotPermitted",
            FailureReason::SrcHeadObjectNotPermitted => "SrcHeadObjectNotPermitted",
            FailureReason::SrcObjectNotEligible => "SrcObjectNotEligible",
            FailureReason::SrcVersionNotFound => "SrcVersionNotFound",
        }
    }

    /// The one of that name; what a peer says and nobody knows is no reason.
    pub fn named(name: &str) -> Option<FailureReason> {
        let mut all = FailureReason::ALL.into_iter();
        all.find(|reason| reason.as_str() == name)
    }
}
