//! An object's retention and legal hold: get and put.

use objects::{Amendment, ObjectData, Retention};
use s3s::dto::{
    GetObjectLegalHoldInput, GetObjectLegalHoldOutput, GetObjectRetentionInput,
    GetObjectRetentionOutput, ObjectLockLegalHold, ObjectLockLegalHoldStatus, ObjectLockRetention,
    ObjectLockRetentionMode, PutObjectLegalHoldInput, PutObjectLegalHoldOutput,
    PutObjectRetentionInput, PutObjectRetentionOutput,
};
use store::Engine;

use super::delete::bypasses_governance;
use super::put::cause;
use crate::context::{Context, Outcome, done};
use crate::error::Fault;
use crate::values;

/// `GetObjectRetention`.
pub(crate) async fn get_object_retention<E: Engine>(
    context: &Context<E>,
    _: GetObjectRetentionInput,
) -> Outcome<GetObjectRetentionOutput> {
    let retention = data(context).await?.retention.ok_or_else(not_locked)?;
    let mode = values::mode_text(retention.mode);
    done(GetObjectRetentionOutput {
        retention: Some(ObjectLockRetention {
            mode: Some(ObjectLockRetentionMode::from_static(mode)),
            retain_until_date: Some(values::exact_time(retention.until)),
        }),
    })
}

/// `PutObjectRetention`.
pub(crate) async fn put_object_retention<E: Engine>(
    context: &Context<E>,
    input: PutObjectRetentionInput,
) -> Outcome<PutObjectRetentionOutput> {
    let asked = input.retention.unwrap_or_default();
    let mode = asked.mode.as_ref();
    let mode = mode
        .map(|mode| values::lock_mode(mode.as_str()))
        .transpose();
    let mode = mode.map_err(|_| Fault::malformed())?;
    let until = asked.retain_until_date.as_ref();
    let until = until.map(|until| values::from_time(until).ok_or_else(Fault::malformed));
    let until = until.transpose()?;
    if mode.is_some() != until.is_some() {
        return Err(Fault::malformed());
    }
    let now = context.objects.config().environment.now().wall;
    let retention = Retention::requested(mode, until, now)?;
    let (key, version) = (context.key()?, context.version_id()?);
    let bypass_governance = bypasses_governance(context, key, version).await?;
    let amendment = Amendment::Retention {
        retention,
        bypass_governance,
    };
    amend(context, &amendment).await?;
    done(PutObjectRetentionOutput::default())
}

/// `GetObjectLegalHold`.
pub(crate) async fn get_object_legal_hold<E: Engine>(
    context: &Context<E>,
    _: GetObjectLegalHoldInput,
) -> Outcome<GetObjectLegalHoldOutput> {
    let status = match data(context).await?.legal_hold {
        true => ObjectLockLegalHoldStatus::ON,
        false => ObjectLockLegalHoldStatus::OFF,
    };
    done(GetObjectLegalHoldOutput {
        legal_hold: Some(ObjectLockLegalHold {
            status: Some(ObjectLockLegalHoldStatus::from_static(status)),
        }),
    })
}

/// `PutObjectLegalHold`.
pub(crate) async fn put_object_legal_hold<E: Engine>(
    context: &Context<E>,
    input: PutObjectLegalHoldInput,
) -> Outcome<PutObjectLegalHoldOutput> {
    let status = input.legal_hold.and_then(|hold| hold.status);
    let hold = match status.as_ref().map(ObjectLockLegalHoldStatus::as_str) {
        Some(ObjectLockLegalHoldStatus::ON) => true,
        Some(ObjectLockLegalHoldStatus::OFF) => false,
        _ => return Err(Fault::malformed()),
    };
    amend(context, &Amendment::LegalHold(hold)).await?;
    done(PutObjectLegalHoldOutput::default())
}

/// The object's facts, in a bucket that has object lock.
async fn data<E: Engine>(context: &Context<E>) -> Result<ObjectData, Fault> {
    let (bucket, key) = (context.bucket()?, context.key()?);
    if bucket.settings.object_lock.is_none() {
        let text = "Bucket is missing Object Lock Configuration";
        return Err(Fault::bad("InvalidRequest", text));
    }
    let version = context.version_id()?;
    let version = context.objects.find(bucket, key, version).await?;
    version.object().cloned().ok_or_else(not_locked)
}

async fn amend<E: Engine>(context: &Context<E>, amendment: &Amendment) -> Result<(), Fault> {
    let (bucket, key) = (context.bucket()?, context.key()?);
    let (version, cause) = (context.version_id()?, cause(context));
    let objects = &context.objects;
    objects
        .amend(bucket, key, version, amendment, &cause)
        .await?;
    Ok(())
}

fn not_locked() -> Fault {
    Fault::new(
        http::StatusCode::NOT_FOUND,
        "NoSuchObjectLockConfiguration",
        "The specified object does not have a ObjectLock configuration",
    )
}
