//! What the role of a replication may: it is assumed for each operation, at the source to read and
//! at the destination to write, and asked by the actions that S3 documents (S3 User Guide,
//! "Setting up permissions for live replication"). Without it nothing is replicated.

use aws::access::{Authorizer, Question};
use store::Engine;

use super::FailureReason;
use crate::{Bucket, ObjectError, ObjectKey, ObjectVersion, Objects, RoleRefusal, VersionId};

/// A role at work on a bucket.
pub(super) struct Judge<'a> {
    role: Box<dyn Authorizer>,
    bucket: &'a Bucket,
}

impl<E: Engine> Objects<E> {
    /// Assumes a role to replicate from that bucket, or to it.
    pub(super) fn assume<'a>(
        &self,
        role: &str,
        bucket: &'a Bucket,
    ) -> Result<Judge<'a>, FailureReason> {
        judge(self.config.roles.assume(role), bucket)
    }

    /// Assumes a role to carry out a job on that bucket.
    pub(super) fn assume_for_job<'a>(
        &self,
        role: &str,
        bucket: &'a Bucket,
    ) -> Result<Judge<'a>, FailureReason> {
        judge(self.config.roles.assume_for_jobs(role), bucket)
    }

    /// May a job's role do that to an object of that bucket? What a job reads and writes beside
    /// the versions that it takes on is its role's to read and write (S3 User Guide, "Granting
    /// permissions for Batch Operations").
    ///
    /// # Errors
    /// `AccessDenied`.
    pub(super) fn check_job_role(
        &self,
        role: &str,
        action: &str,
        bucket: &Bucket,
        key: &ObjectKey,
    ) -> Result<(), ObjectError> {
        let judge = self.assume_for_job(role, bucket);
        match judge.is_ok_and(|judge| judge.may_for_job(action, key)) {
            true => Ok(()),
            false => Err(ObjectError::AccessDenied(format!(
                "The job's role {role} may not {action} {}/{key}",
                bucket.name.arn()
            ))),
        }
    }
}

fn judge(
    assumed: Result<Box<dyn Authorizer>, RoleRefusal>,
    bucket: &Bucket,
) -> Result<Judge<'_>, FailureReason> {
    match assumed {
        Ok(role) => Ok(Judge { role, bucket }),
        Err(refusal) => {
            tracing::debug!(%refusal, "replication can't act");
            Err(FailureReason::AssumeRoleNotPermitted)
        }
    }
}

impl Judge<'_> {
    /// May it read a version to replicate it?
    pub fn may_read(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<(), FailureReason> {
        let bucket = self.bucket.name.arn();
        for action in ["s3:GetReplicationConfiguration", "s3:ListBucket"] {
            self.ask(
                action,
                &bucket,
                None,
                FailureReason::SrcHeadObjectNotPermitted,
            )?;
        }
        let object = self.object(key);
        let id = Some(version.id());
        for (action, reason) in [
            (
                "s3:GetObjectVersionForReplication",
                FailureReason::SrcGetObjectNotPermitted,
            ),
            (
                "s3:GetObjectVersionAcl",
                FailureReason::SrcGetAclNotPermitted,
            ),
            (
                "s3:GetObjectVersionTagging",
                FailureReason::SrcGetTaggingNotPermitted,
            ),
        ] {
            // A delete marker has neither list nor tags.
            let needless =
                version.is_delete_marker() && reason != FailureReason::SrcGetObjectNotPermitted;
            if !needless {
                self.ask(action, &object, id, reason)?;
            }
        }
        Ok(())
    }

    /// May it begin a replication by a batch job?
    pub fn may_initiate(&self, key: &ObjectKey) -> Result<(), FailureReason> {
        let reason = FailureReason::InitiateReplicationNotPermitted;
        self.ask("s3:InitiateReplication", &self.object(key), None, reason)
    }

    /// May it do that to an object for a batch job: read the list of what is to go, or write the
    /// report?
    pub fn may_for_job(&self, action: &str, key: &ObjectKey) -> bool {
        let reason = FailureReason::InitiateReplicationNotPermitted;
        let asked = self.ask(action, &self.object(key), None, reason);
        asked.is_ok()
    }

    /// May it write a version to this bucket, or change one?
    pub fn may_write(
        &self,
        key: &ObjectKey,
        version: &ObjectVersion,
        as_owner: bool,
    ) -> Result<(), FailureReason> {
        let resource = self.object(key);
        let ask = |action, reason| self.ask(action, &resource, None, reason);
        let Some(object) = version.object() else {
            return ask("s3:ReplicateDelete", FailureReason::DstDelObjNotPermitted);
        };
        let refused = match object.content {
            crate::Content::Whole(_) => FailureReason::DstPutObjectNotPermitted,
            crate::Content::Parts(_) => FailureReason::DstMultipartInitNotPermitted,
        };
        ask("s3:ReplicateObject", refused)?;
        if !object.tags.is_empty() {
            ask("s3:ReplicateTags", FailureReason::DstPutTaggingNotPermitted)?;
        }
        if as_owner {
            let reason = FailureReason::DstPutAclNotPermitted;
            ask("s3:ObjectOwnerOverrideToBucketOwner", reason)?;
        }
        Ok(())
    }

    fn object(&self, key: &ObjectKey) -> String {
        format!("{}/{key}", self.bucket.name.arn())
    }

    fn ask(
        &self,
        action: &str,
        resource: &str,
        version: Option<VersionId>,
        reason: FailureReason,
    ) -> Result<(), FailureReason> {
        let mut question = Question::new(action, resource, self.bucket.entry.owner);
        if let Some(version) = version {
            question = question.key("s3:versionid", version.to_string());
        }
        question.policy = self.bucket.settings.policy.as_deref();
        match self.role.authorize(&question) {
            Ok(()) => Ok(()),
            Err(denied) => {
                tracing::debug!(%denied, "replication may not");
                Err(reason)
            }
        }
    }
}
