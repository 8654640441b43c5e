//! A bucket's object lock: is it enabled, and what locks new versions by default?

use objects::{BucketSettings, LockDefault, ObjectError, Versioning};
use s3s::dto;
use store::Engine;

use crate::context::{Context, Outcome, done};
use crate::error::Fault;
use crate::values;

/// Days of a year as defaults count them.
const YEAR: u32 = 365;

/// `GetObjectLockConfiguration`.
pub(crate) async fn get_object_lock_configuration<E: Engine>(
    context: &Context<E>,
    _: dto::GetObjectLockConfigurationInput,
) -> Outcome<dto::GetObjectLockConfigurationOutput> {
    let Some(default) = context.bucket()?.settings.object_lock else {
        return Err(Fault::new(
            http::StatusCode::NOT_FOUND,
            "ObjectLockConfigurationNotFoundError",
            "Object Lock configuration does not exist for this bucket",
        ));
    };
    done(dto::GetObjectLockConfigurationOutput {
        object_lock_configuration: Some(dto::ObjectLockConfiguration {
            object_lock_enabled: Some(dto::ObjectLockEnabled::from_static("Enabled")),
            rule: default.map(|default| dto::ObjectLockRule {
                default_retention: Some(shown(&default)),
            }),
        }),
    })
}

/// `PutObjectLockConfiguration`: enables it, once and for all, and sets the default.
pub(crate) async fn put_object_lock_configuration<E: Engine>(
    context: &Context<E>,
    input: dto::PutObjectLockConfigurationInput,
) -> Outcome<dto::PutObjectLockConfigurationOutput> {
    let given = input
        .object_lock_configuration
        .ok_or_else(Fault::malformed)?;
    let default = taken(given)?;
    let bucket = context.bucket()?;
    let change = |settings: &mut BucketSettings| set(settings, default);
    context.objects.change_settings(bucket, change).await?;
    done(dto::PutObjectLockConfigurationOutput::default())
}

fn taken(given: dto::ObjectLockConfiguration) -> Result<Option<LockDefault>, Fault> {
    let enabled = given.object_lock_enabled.as_ref();
    if enabled.map(dto::ObjectLockEnabled::as_str) != Some("Enabled") {
        return Err(Fault::malformed());
    }
    let Some(rule) = given.rule else {
        return Ok(None);
    };
    let retention = rule.default_retention.ok_or_else(Fault::malformed)?;
    let mode = retention.mode.as_ref().ok_or_else(Fault::malformed)?;
    let mode = values::lock_mode(mode.as_str()).map_err(|_| Fault::malformed())?;
    let (days, years) = (
        retention.days.map(i64::from),
        retention.years.map(i64::from),
    );
    Ok(Some(LockDefault::requested(mode, days, years)?))
}

fn set(settings: &mut BucketSettings, default: Option<LockDefault>) -> Result<(), ObjectError> {
    if settings.versioning != Versioning::Enabled {
        return Err(ObjectError::refused_with(
            409,
            "InvalidBucketState",
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
        ));
    }
    settings.object_lock = Some(default);
    Ok(())
}

fn shown(default: &LockDefault) -> dto::DefaultRetention {
    let number = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    let (days, years) = match default.in_years {
        true => (None, Some(number(default.days / YEAR))),
        false => (Some(number(default.days)), None),
    };
    dto::DefaultRetention {
        days,
        mode: Some(dto::ObjectLockRetentionMode::from_static(
            values::mode_text(default.mode),
        )),
        years,
    }
}

#[cfg(test)]
mod tests {
    use objects::LockMode;

    use super::*;

    #[test]
    fn a_default_is_shown_as_it_was_taken() {
        for (days, years) in [(Some(7), None), (None, Some(2))] {
            let retention = dto::DefaultRetention {
                days,
                mode: Some(dto::ObjectLockRetentionMode::from_static("COMPLIANCE")),
                years,
            };
            let given = dto::ObjectLockConfiguration {
                object_lock_enabled: Some(dto::ObjectLockEnabled::from_static("Enabled")),
                rule: Some(dto::ObjectLockRule {
                    default_retention: Some(retention.clone()),
                }),
            };
            let default = taken(given).unwrap().unwrap();
            assert_eq!(default.mode, LockMode::Compliance);
            let shown = shown(&default);
            assert_eq!((shown.days, shown.years), (days, years));
        }
        let refused = taken(dto::ObjectLockConfiguration::default()).unwrap_err();
        assert_eq!(refused.code, "MalformedXML");
    }

    #[test]
    fn lock_needs_versions() {
        let mut settings = BucketSettings::new(false);
        let refused = set(&mut settings, None).unwrap_err();
        assert_eq!(refused.code(), ("InvalidBucketState", 409));
        settings.versioning = Versioning::Enabled;
        assert!(set(&mut settings, None).is_ok());
        assert_eq!(settings.object_lock, Some(None));
    }
}
