//! An object's retention and legal hold: get and put.

use objects::{Amendment, Aspect, ObjectData, ObjectVersion, Retention};
use s3s::dto::{
    GetObjectLegalHoldInput, GetObjectLegalHoldOutput, GetObjectRetentionInput,
    GetObjectRetentionOutput, ObjectLockLegalHold, ObjectLockLegalHoldStatus, ObjectLockRetention,
    ObjectLockRetentionMode, PutObjectLegalHoldInput, PutObjectLegalHoldOutput,
    PutObjectRetentionInput, PutObjectRetentionOutput,
};
use store::Engine;

use super::amend::amend;
use super::delete::bypasses_governance;
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
    let bypass = bypasses_governance(context, key, version).await?;
    let amendment = Amendment::Retention {
        retention,
        bypass_governance: bypass.is_some(),
    };
    let decide = |_: &ObjectVersion| Ok(amendment.clone());
    amend(context, Aspect::Retention, bypass.as_slice(), decide).await?;
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
    let decide = |_: &ObjectVersion| Ok(Amendment::LegalHold(hold));
    amend(context, Aspect::LegalHold, &[], decide).await?;
    done(PutObjectLegalHoldOutput::default())
}

/// The object's facts, in a bucket that has object lock.
async fn data<E: Engine>(context: &Context<E>) -> Result<ObjectData, Fault> {
    if context.bucket()?.settings.object_lock.is_none() {
        let text = "Bucket is missing Object Lock Configuration";
        return Err(Fault::bad("InvalidRequest", text));
    }
    let version = context.object().await?;
    version.object().cloned().ok_or_else(not_locked)
}

fn not_locked() -> Fault {
    Fault::new(
        http::StatusCode::NOT_FOUND,
        "NoSuchObjectLockConfiguration",
        "The specified object does not have a ObjectLock configuration",
    )
}
