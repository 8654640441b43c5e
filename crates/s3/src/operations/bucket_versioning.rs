//! Are versions kept?

use objects::{BucketSettings, ObjectError, Versioning};
use s3s::dto;
use store::Engine;

use crate::context::{Context, Outcome, done};
use crate::error::Fault;

/// `GetBucketVersioning`.
pub(crate) async fn get_bucket_versioning<E: Engine>(
    context: &Context<E>,
    _: dto::GetBucketVersioningInput,
) -> Outcome<dto::GetBucketVersioningOutput> {
    let status = match context.bucket()?.settings.versioning {
        Versioning::Unversioned => None,
        Versioning::Enabled => Some("Enabled"),
        Versioning::Suspended => Some("Suspended"),
    };
    done(dto::GetBucketVersioningOutput {
        mfa_delete: None,
        status: status.map(dto::BucketVersioningStatus::from_static),
    })
}

/// `PutBucketVersioning`.
pub(crate) async fn put_bucket_versioning<E: Engine>(
    context: &Context<E>,
    input: dto::PutBucketVersioningInput,
) -> Outcome<dto::PutBucketVersioningOutput> {
    let configuration = input.versioning_configuration;
    let mfa = configuration.mfa_delete.as_ref();
    if mfa.is_some_and(|status| status.as_str() != "Disabled") {
        return Err(Fault::not_built("MFA delete"));
    }
    let status = configuration.status.as_ref();
    let wanted = match status.map(dto::BucketVersioningStatus::as_str) {
        Some("Enabled") => Versioning::Enabled,
        Some("Suspended") => Versioning::Suspended,
        Some(_) => return Err(Fault::malformed()),
        None => {
            return Err(Fault::bad(
                "IllegalVersioningConfigurationException",
                "The Versioning element must be specified",
            ));
        }
    };
    let bucket = context.bucket()?;
    let change = |settings: &mut BucketSettings| set(settings, wanted);
    context.objects.change_settings(bucket, change).await?;
    done(dto::PutBucketVersioningOutput::default())
}

/// Sets it, unless what relies on versions forbids that.
fn set(settings: &mut BucketSettings, wanted: Versioning) -> Result<(), ObjectError> {
    let refused = |text| ObjectError::refused_with(409, "InvalidBucketState", text);
    if wanted == Versioning::Suspended {
        if settings.object_lock.is_some() {
            return Err(refused(
                "An Object Lock configuration is present on this bucket, so the versioning state \
                 cannot be changed.",
            ));
        }
        if settings.replication.is_some() {
            return Err(refused(
                "A replication configuration is present on this bucket, so you cannot change the \
                 versioning state. To change the versioning state, first delete the replication \
                 configuration.",
            ));
        }
    }
    settings.versioning = wanted;
    Ok(())
}

#[cfg(test)]
mod tests {
    use objects::rules::ReplicationConfiguration;

    use super::*;

    #[test]
    fn versions_stay_while_lock_or_replication_need_them() {
        let mut settings = BucketSettings::new(false);
        assert!(set(&mut settings, Versioning::Enabled).is_ok());
        assert!(set(&mut settings, Versioning::Suspended).is_ok());
        assert!(set(&mut settings, Versioning::Enabled).is_ok());
        settings.replication = Some(ReplicationConfiguration {
            role: String::new(),
            rules: Vec::new(),
        });
        let refused = set(&mut settings, Versioning::Suspended).unwrap_err();
        assert_eq!(refused.code(), ("InvalidBucketState", 409));
        assert!(set(&mut settings, Versioning::Enabled).is_ok());
        let mut locked = BucketSettings::new(true);
        let refused = set(&mut locked, Versioning::Suspended).unwrap_err();
        assert!(refused.to_string().starts_with("An Object Lock"));
    }
}
