//! The question that a request asks of its caller's judge: the actions of its row and of what its
//! headers ask beside, on the bucket or the object, with the bucket's policy and S3's condition
//! keys. Every operation is asked about before it is carried out, and what can't be found out is
//! denied. (What access control lists grant is in `grants`.)
//!
//! A judgement may look at the object that is there: its tags, its list, whose it is. Then it holds
//! for that one alone, and whoever gives or changes what is found later has it confirmed first.

use std::sync::Arc;

use aws::access::Question;
use objects::{Amended, Bucket, ObjectKey, ObjectVersion, Stamp, VersionId};
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

/// A version as judgements read it: who owns it goes with its stamp, its tags and its list with
/// when they were amended.
type Mark = (Stamp, Amended);

fn mark(object: Option<&ObjectVersion>) -> Option<Mark> {
    let object = object?;
    let amended = object.object().map_or(Amended::NEVER, |data| data.amended);
    Some((object.stamp, amended))
}

/// A judgement by which the caller may: of what action, and by which object if it looked at one.
#[derive(Debug)]
#[must_use = "the object that it looked at may be another by now"]
pub(crate) struct Judged {
    action: &'static str,
    /// What was there, perhaps nothing, if that was looked at.
    saw: Option<Option<Mark>>,
}

/// May the caller do what the request's row says? What was judged is kept in the context.
///
/// # Errors
///
/// `AccessDenied`, or the judge's question can't be put.
pub(crate) async fn judge<E: Engine>(context: &Context<E>) -> Result<(), Fault> {
    let action = context.row.action;
    match context.row.target() {
        // Its adapter asks, object by object.
        Target::Each => Ok(()),
        Target::Service => context.ask_about(action, On::Service, None),
        Target::Bucket if context.bucket.is_none() => context.ask_new_bucket(action),
        Target::Bucket => context.ask_about(action, On::Bucket(context.bucket()?), None),
        Target::Object => {
            let version = context.version_id()?;
            let on = On::Object(context.bucket()?, context.key()?, version);
            let mut judged = vec![context.ask(action_on(action, version), on).await?];
            if context.row.name == "GetObjectAttributes" {
                let read = action_on("s3:GetObject", version);
                judged.push(context.ask(read, on).await?);
            }
            for further in beside(context) {
                judged.push(context.ask(further, on).await?);
            }
            let kept = context.judged.set(judged);
            kept.map_err(|_| Fault::internal("a request was judged twice"))
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
    /// May the caller do that to what is there? The object is looked for only if it matters.
    ///
    /// # Errors
    ///
    /// `AccessDenied`, in the judge's words.
    pub(crate) async fn ask(&self, action: &'static str, on: On<'_>) -> Result<Judged, Fault> {
        let first = self.first(action, on);
        if let (Ok(()), false) = first {
            return Ok(Judged { action, saw: None });
        }
        let object = match on {
            On::Service | On::Bucket(_) => None,
            On::Object(bucket, key, version) => self.objects.find(bucket, key, version).await.ok(),
        };
        self.decide(first, action, on, object.as_deref())?;
        let saw = Some(mark(object.as_deref()));
        Ok(Judged { action, saw })
    }

    /// May the caller do that to that object, or where there is none?
    ///
    /// # Errors
    ///
    /// `AccessDenied`, in the judge's words.
    pub(crate) fn ask_about(
        &self,
        action: &'static str,
        on: On<'_>,
        object: Option<&ObjectVersion>,
    ) -> Result<(), Fault> {
        match self.first(action, on) {
            (Ok(()), false) => Ok(()),
            first => self.decide(first, action, on, object),
        }
    }

    /// Does that hold for what was found now, an object or none? What was judged by another is
    /// judged again.
    ///
    /// # Errors
    ///
    /// `AccessDenied`, in the judge's words.
    pub(crate) fn confirm(
        &self,
        judged: &[Judged],
        on: On<'_>,
        object: Option<&ObjectVersion>,
    ) -> Result<(), Fault> {
        let found = mark(object);
        for Judged { action, saw } in judged {
            if saw.is_some_and(|saw| saw != found) {
                self.ask_about(action, on, object)?;
            }
        }
        Ok(())
    }

    /// The same of what the request's row was judged by.
    ///
    /// # Errors
    ///
    /// `AccessDenied`; an operation was called whose caller wasn't judged: ours.
    pub(crate) fn confirm_row(&self, object: Option<&ObjectVersion>) -> Result<(), Fault> {
        let judged = self.judged.get();
        let judged = judged.ok_or_else(|| Fault::internal("a request wasn't judged"))?;
        let on = On::Object(self.bucket()?, self.key()?, self.version_id()?);
        self.confirm(judged, on, object)
    }

    /// The object that the request is about, of which its caller may know.
    ///
    /// # Errors
    ///
    /// It isn't there; `AccessDenied`.
    pub(crate) async fn object(&self) -> Result<Arc<ObjectVersion>, Fault> {
        let (bucket, key, version) = (self.bucket()?, self.key()?, self.version_id()?);
        let found = self.objects.find(bucket, key, version).await?;
        self.confirm_row(Some(&found))?;
        Ok(found)
    }

    /// The judgement without a look at the object. Also: does it depend on that?
    fn first(&self, action: &'static str, on: On<'_>) -> (Result<(), Fault>, bool) {
        let mut first = self.put(action, on, None, None);
        if let On::Object(bucket, ..) = on {
            // Whoever owns the object is asked for it, and that isn't known yet.
            first.1 |= grants::has_lists(bucket) && grants::is_of_object(action);
        }
        first
    }

    /// The judgement with that object, after one without.
    fn decide(
        &self,
        first: (Result<(), Fault>, bool),
        action: &'static str,
        on: On<'_>,
        object: Option<&ObjectVersion>,
    ) -> Result<(), Fault> {
        let bucket = match on {
            On::Service => return first.0,
            On::Bucket(bucket) | On::Object(bucket, ..) => bucket,
        };
        // A condition is about the tags of what is there: asked again with them.
        let again = match first.1 {
            true => self.put(action, on, object, None).0,
            false => first.0,
        };
        if again.is_ok() {
            return again;
        }
        match grants::policy(self, bucket, object, action) {
            Some(policy) => self.put(action, on, object, Some(&policy)).0,
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
