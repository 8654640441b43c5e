//! `DeleteObject` and `DeleteObjects`. Of several, each is asked about and deleted for itself, and
//! told of for itself: one that fails leaves the others done.

use futures_util::StreamExt;
use objects::{
    DeleteOptions, Deleted, EtagMatch, ObjectError, ObjectKey, ObjectVersion, VersionId,
};
use s3s::S3Response;
use s3s::dto::{
    self, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput,
    DeletedObject, ObjectIdentifier,
};
use store::Engine;

use super::facts;
use super::put::cause;
use crate::access::{Judged, On, action_on};
use crate::address::parse_key;
use crate::context::{self, Context, Outcome, done};
use crate::error::{ACCESS_DENIED, DELETE_MARKER, Fault, VERSION_ID};

/// Objects of one `DeleteObjects` at most (S3 API Reference).
const MOST: usize = 1000;

/// How many of them are under way at once: their commits share a sync.
const AT_ONCE: usize = 16;

/// `DeleteObject`.
pub(crate) async fn delete_object<E: Engine>(
    context: &Context<E>,
    _: DeleteObjectInput,
) -> Outcome<DeleteObjectOutput> {
    let (key, version) = (context.key()?, context.version_id()?);
    let if_match = context.header("if-match").map(EtagMatch::parse);
    let bypass = bypasses_governance(context, key, version).await?;
    let admit = |object: Option<&ObjectVersion>| {
        context.confirm_row(object)?;
        let on = On::Object(context.bucket()?, key, version);
        context.confirm(bypass.as_slice(), on, object)
    };
    let options = options(context, bypass.is_some(), if_match);
    let deleted = delete(context, key, version, &options, admit).await?;
    let mut headers = http::HeaderMap::new();
    if deleted.delete_marker {
        facts::set(&mut headers, DELETE_MARKER, "true");
    }
    if let Some(id) = deleted.version_id {
        facts::set(&mut headers, VERSION_ID, &id.to_string());
    }
    let output = DeleteObjectOutput::default();
    Ok(S3Response::with_headers(output, headers))
}

/// `DeleteObjects`.
pub(crate) async fn delete_objects<E: Engine>(
    context: &Context<E>,
    input: DeleteObjectsInput,
) -> Outcome<DeleteObjectsOutput> {
    let objects = input.delete.objects;
    if objects.is_empty() || objects.len() > MOST {
        return Err(Fault::malformed());
    }
    let is_quiet = input.delete.quiet == Some(true);
    let steps = objects.into_iter().map(|object| one(context, object));
    let mut steps = futures_util::stream::iter(steps).buffered(AT_ONCE);
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    while let Some(step) = steps.next().await {
        match step {
            Ok(done) => deleted.push(done),
            Err(error) => errors.push(error),
        }
    }
    done(DeleteObjectsOutput {
        deleted: (!is_quiet).then_some(deleted),
        errors: Some(errors),
        request_charged: None,
    })
}

/// One of several.
async fn one<E: Engine>(
    context: &Context<E>,
    object: ObjectIdentifier,
) -> Result<DeletedObject, dto::Error> {
    let failed = |fault: Fault| dto::Error {
        code: Some(fault.code.into_owned()),
        key: Some(object.key.clone()),
        message: Some(fault.message.into_owned()),
        version_id: object.version_id.clone(),
    };
    let deleted = ask_and_delete(context, &object).await.map_err(failed)?;
    let made = deleted.version_id.filter(|_| deleted.delete_marker);
    Ok(DeletedObject {
        delete_marker: deleted.delete_marker.then_some(true),
        delete_marker_version_id: made.map(|id| id.to_string()),
        key: Some(object.key),
        version_id: object.version_id,
    })
}

async fn ask_and_delete<E: Engine>(
    context: &Context<E>,
    object: &ObjectIdentifier,
) -> Result<Deleted, Fault> {
    if object.last_modified_time.is_some() || object.size.is_some() {
        return Err(Fault::not_built("A condition on an object's time or size"));
    }
    let key = parse_key(&object.key)?.ok_or_else(|| {
        let text = "The bucket POST must contain the specified field name. If it is specified, \
                    check the order of the fields.";
        Fault::bad("UserKeyMustBeSpecified", text)
    })?;
    let version = object.version_id.as_deref();
    let version = version.map(context::version_id).transpose()?;
    let action = action_on("s3:DeleteObject", version);
    let on = On::Object(context.bucket()?, &key, version);
    let mut judged = vec![context.ask(action, on).await?];
    let bypass = bypasses_governance(context, &key, version).await?;
    let bypasses = bypass.is_some();
    judged.extend(bypass);
    let tag = object
        .e_tag
        .as_ref()
        .map(|tag| EtagMatch::parse(tag.value()));
    let options = options(context, bypasses, tag);
    let admit = |object: Option<&ObjectVersion>| context.confirm(&judged, on, object);
    delete(context, &key, version, &options, admit).await
}

fn options<E: Engine>(
    context: &Context<E>,
    bypass_governance: bool,
    if_match: Option<EtagMatch>,
) -> DeleteOptions {
    DeleteOptions {
        owner: context.account(),
        bypass_governance,
        if_match,
        cause: cause(context),
    }
}

/// Deletes it if the caller may, judged by what is there then.
async fn delete<E: Engine>(
    context: &Context<E>,
    key: &ObjectKey,
    version: Option<VersionId>,
    options: &DeleteOptions,
    admit: impl Fn(Option<&ObjectVersion>) -> Result<(), Fault>,
) -> Result<Deleted, Fault> {
    let bucket = context.bucket()?;
    let mut refusal = None;
    let admitted = |object: Option<&ObjectVersion>| {
        admit(object).map_err(|fault| {
            refusal = Some(fault);
            ObjectError::AccessDenied(ACCESS_DENIED.to_owned())
        })
    };
    let objects = &context.objects;
    let deleted = objects
        .delete_if(bucket, key, version, options, admitted)
        .await;
    match refusal {
        Some(fault) => Err(fault),
        None => Ok(deleted?),
    }
}

/// Does the request ask to bypass governance, and may it? None: it doesn't ask.
///
/// # Errors
///
/// `AccessDenied`: it may not.
pub(crate) async fn bypasses_governance<E: Engine>(
    context: &Context<E>,
    key: &ObjectKey,
    version: Option<VersionId>,
) -> Result<Option<Judged>, Fault> {
    let asked = context.header("x-amz-bypass-governance-retention");
    if !asked.is_some_and(|asked| asked.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let on = On::Object(context.bucket()?, key, version);
    context
        .ask("s3:BypassGovernanceRetention", on)
        .await
        .map(Some)
}
