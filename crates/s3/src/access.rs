//! The question that a request asks of its caller's judge: the actions of its row and of what its
//! headers ask beside, on the bucket or the object, with the bucket's policy and S3's condition
//! keys. Every operation is asked about before it is carried out, and what can't be found out is
//! denied. (What access control lists grant is in `grants`.)

use aws::access::Question;
use objects::{Bucket, ObjectKey, ObjectVersion, VersionId};
use store::Engine;

use crate::condition_keys::Keys;
use crate::context::Context;
use crate::error::Fault;
use crate::grants;
use crate::table::Target;

/// What an action is done to.
#[derive(Clone, Copy)]
pub(crate) enum On<'a> {
    /// Nothing in particular.
    Service,
    /// A bucket.
    Bucket(&'a Bucket),
    /// An object of a bucket, and which version of it if one is named.
    Object(&'a Bucket, &'a ObjectKey, Option<VersionId>),
}

/// Actions that have another name when a version is named.
const OF_VERSIONS: [(&str, &str); 8] = [
    ("s3:GetObject", "s3:GetObjectVersion"),
    ("s3:GetObjectAcl", "s3:GetObjectVersionAcl"),
    ("s3:GetObjectTagging", "s3:GetObjectVersionTagging"),
    ("s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"),
    ("s3:PutObjectAcl", "s3:PutObjectVersionAcl"),
    ("s3:PutObjectTagging", "s3:PutObjectVersionTagging"),
    ("s3:DeleteObject", "s3:DeleteObjectVersion"),
    ("s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"),
];

/// What headers of a write ask beside it, by the beginning of their names.
const BESIDE: [(&str, &str); 5] = [
    ("x-amz-tagging", "s3:PutObjectTagging"),
    ("x-amz-acl", "s3:PutObjectAcl"),
    ("x-amz-grant-", "s3:PutObjectAcl"),
    ("x-amz-object-lock-mode", "s3:PutObjectRetention"),
    ("x-amz-object-lock-legal-hold", "s3:PutObjectLegalHold"),
];

/// Operations of whose documents condition keys tell: those are taken before the caller is judged.
pub(crate) const BY_DOCUMENT: [&str; 3] = [
    "PutObjectLegalHold",
    "PutObjectRetention",
    "PutObjectTagging",
];

/// The action by the name that it has for that version.
pub(crate) fn action_on(action: &'static str, version: Option<VersionId>) -> &'static str {
    let found = OF_VERSIONS.iter().find(|(plain, _)| *plain == action);
    match (version, found) {
        (Some(_), Some((_, of_version))) => of_version,
        _ => action,
    }
}

/// May the caller do what the request's row says?
///
/// # Errors
///
/// `AccessDenied`, or the judge's question can't be put.
pub(crate) async fn judge<E: Engine>(context: &Context<E>) -> Result<(), Fault> {
    let action = context.row.action;
    match context.row.target() {
        // Its adapter asks, object by object.
        Target::Each => Ok(()),
        Target::Service => context.ask(action, On::Service).await,
        Target::Bucket if context.bucket.is_none() => context.ask_new_bucket(action),
        Target::Bucket => context.ask(action, On::Bucket(context.bucket()?)).await,
        Target::Object => {
            let version = context.version_id()?;
            let on = On::Object(context.bucket()?, context.key()?, version);
            context.ask(action_on(action, version), on).await?;
            if context.row.name == "GetObjectAttributes" {
                let read = action_on("s3:GetObject", version);
                context.ask(read, on).await?;
            }
            for further in beside(context) {
                context.ask(further, on).await?;
            }
            Ok(())
        }
    }
}

/// What a write's headers ask beside it.
fn beside<E: Engine>(context: &Context<E>) -> Vec<&'static str> {
    let writes = ["PutObject", "CopyObject", "CreateMultipartUpload"];
    if !writes.contains(&context.row.name) {
        return Vec::new();
    }
    let asked = |name: &str| {
        let mut headers = context.headers.keys();
        headers.any(|header| match name.ends_with('-') {
            true => header.as_str().starts_with(name),
            false => header.as_str() == name,
        })
    };
    let mut actions: Vec<&str> = Vec::new();
    for (header, action) in BESIDE {
        if asked(header) && !actions.contains(&action) {
            actions.push(action);
        }
    }
    actions
}

impl<E: Engine> Context<E> {
    /// May the caller do that?
    ///
    /// # Errors
    ///
    /// `AccessDenied`, in the judge's words.
    pub(crate) async fn ask(&self, action: &'static str, on: On<'_>) -> Result<(), Fault> {
        let mut first = self.put(action, on, None, None);
        if let On::Object(bucket, ..) = on {
            // Whoever owns the object is asked for it, and that isn't known yet.
            first.1 |= grants::has_lists(bucket) && grants::is_of_object(action);
        }
        if let (Ok(()), false) = (&first.0, first.1) {
            return Ok(());
        }
        let (bucket, object) = match on {
            On::Service => return first.0,
            On::Bucket(bucket) => (bucket, None),
            On::Object(bucket, key, version) => {
                let found = self.objects.find(bucket, key, version).await.ok();
                (bucket, found)
            }
        };
        // A condition is about the tags of what is there: asked again with them.
        let again = match first.1 {
            true => self.put(action, on, object.as_deref(), None).0,
            false => first.0,
        };
        if again.is_ok() {
            return again;
        }
        match grants::policy(self, bucket, object.as_deref(), action) {
            Some(policy) => self.put(action, on, object.as_deref(), Some(&policy)).0,
            None => again,
        }
    }

    /// May the caller make a bucket?
    pub(crate) fn ask_new_bucket(&self, action: &'static str) -> Result<(), Fault> {
        let resource = self.bucket_name()?.arn();
        let mut question = Question::new(action, resource, self.judge().account());
        let keys = Keys::of(self, On::Service, None);
        question.lazy = Some(&keys);
        Ok(self.judge().authorize(&question)?)
    }

    /// Puts the question. Also: was a condition about tags that weren't known?
    fn put(
        &self,
        action: &'static str,
        on: On<'_>,
        object: Option<&ObjectVersion>,
        policy: Option<&str>,
    ) -> (Result<(), Fault>, bool) {
        let (resource, account, bucket) = match on {
            On::Service => ("*".to_owned(), self.judge().account(), None),
            On::Bucket(bucket) => (bucket.name.arn(), bucket.entry.owner, Some(bucket)),
            On::Object(bucket, key, _) => {
                let resource = format!("{}/{key}", bucket.name.arn());
                (resource, grants::owner(bucket, object), Some(bucket))
            }
        };
        let mut question = Question::new(action, resource, account);
        let of_bucket = bucket.and_then(|bucket| grants::own_policy(self, bucket, object, action));
        question.policy = policy.or(of_bucket.as_deref());
        let keys = Keys::of(self, on, object);
        question.lazy = Some(&keys);
        let answer = self.judge().authorize(&question).map_err(Fault::from);
        (answer, keys.missed())
    }
}
