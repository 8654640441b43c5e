//! Object lock: what retention and legal hold forbid, and what may be asked of them (S3 User
//! Guide, "Locking objects with Object Lock"). Pure.

use types::Timestamp;

use crate::{BucketSettings, LockDefault, LockMode, ObjectData, ObjectError, Retention};

/// The longest default retention, in days: 100 years (S3 API Reference, "DefaultRetention").
pub const LONGEST_DEFAULT_RETENTION: u32 = 36_500;

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

impl Retention {
    /// Is it over at that time?
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until <= now
    }

    /// The retention that a request asks for; none if it asks for none.
    ///
    /// # Errors
    /// Only one of the two is given, or it is over already.
    pub fn requested(
        mode: Option<LockMode>,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Retention>, ObjectError> {
        let retention = match (mode, until) {
            (None, None) => return Ok(None),
            (Some(mode), Some(until)) => Retention { mode, until },
            _ => {
                return Err(ObjectError::refused(
                    "InvalidArgument",
                    "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be \
                     supplied",
                ));
            }
        };
        match retention.is_over(now) {
            true => Err(ObjectError::refused(
                "InvalidArgument",
                "The retain until date must be in the future!",
            )),
            false => Ok(Some(retention)),
        }
    }
}

impl LockDefault {
    /// The default that a bucket's configuration asks for: either days or years.
    ///
    /// # Errors
    /// `MalformedXML` unless exactly one is given; `InvalidArgument` out of range.
    pub fn requested(
        mode: LockMode,
        days: Option<i64>,
        years: Option<i64>,
    ) -> Result<LockDefault, ObjectError> {
        let (count, in_years) = match (days, years) {
            (Some(days), None) => (Some(days), false),
            (None, Some(years)) => (years.checked_mul(365), true),
            _ => {
                return Err(ObjectError::refused(
                    "MalformedXML",
                    "The XML you provided was not well-formed or did not validate against our \
                     published schema",
                ));
            }
        };
        if count.is_some_and(|count| count <= 0) {
            return Err(ObjectError::refused(
                "InvalidArgument",
                "Default retention period must be a positive integer value.",
            ));
        }
        let days = count.and_then(|count| u32::try_from(count).ok());
        match days.filter(|days| *days <= LONGEST_DEFAULT_RETENTION) {
            Some(days) => Ok(LockDefault {
                mode,
                days,
                in_years,
            }),
            None => Err(ObjectError::refused(
                "InvalidArgument",
                "Default retention period too large.",
            )),
        }
    }

    /// Its retention of a version made at that time.
    pub fn retention(&self, made: Timestamp) -> Retention {
        let span = u64::from(self.days) * DAY;
        Retention {
            mode: self.mode,
            until: Timestamp(made.0.saturating_add(span)),
        }
    }
}

impl ObjectData {
    /// May it be deleted for good at that time, by one who may `bypass` governance?
    ///
    /// # Errors
    /// `Locked`.
    pub fn check_unlocked(&self, now: Timestamp, bypass: bool) -> Result<(), ObjectError> {
        let kept = match &self.retention {
            Some(retention) if retention.is_over(now) => false,
            Some(retention) => retention.mode == LockMode::Compliance || !bypass,
            None => false,
        };
        match kept || self.legal_hold {
            true => Err(ObjectError::Locked),
            false => Ok(()),
        }
    }

    /// May its retention become that one at that time, by one who may `bypass` governance? Longer
    /// in the same mode anybody may; anything else only once it is over, or from governance by
    /// bypass.
    ///
    /// # Errors
    /// `Locked`.
    pub fn check_retention(
        &self,
        wanted: Option<&Retention>,
        now: Timestamp,
        bypass: bool,
    ) -> Result<(), ObjectError> {
        let Some(held) = self.retention.as_ref().filter(|held| !held.is_over(now)) else {
            return Ok(());
        };
        let longer =
            wanted.is_some_and(|wanted| wanted.mode == held.mode && wanted.until >= held.until);
        match longer || (held.mode == LockMode::Governance && bypass) {
            true => Ok(()),
            false => Err(ObjectError::Locked),
        }
    }
}

impl ObjectData {}

/// The retention of a version made now: the one asked for, else the bucket's default.
///
/// # Errors
/// One is asked for, or a legal hold, of a bucket without object lock.
pub(crate) fn retention_of_new(
    settings: &BucketSettings,
    asked: Option<Retention>,
    legal_hold: bool,
    made: Timestamp,
) -> Result<Option<Retention>, ObjectError> {
    match (&settings.object_lock, asked) {
        (None, asked) if asked.is_some() || legal_hold => Err(not_configured()),
        (None, _) => Ok(None),
        (Some(_), Some(asked)) => Ok(Some(asked)),
        (Some(default), None) => Ok(default.map(|default| default.retention(made))),
    }
}

/// The bucket hasn't object lock.
pub(crate) fn not_configured() -> ObjectError {
    ObjectError::refused(
        "InvalidRequest",
        "Bucket is missing Object Lock Configuration",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::object_data;

    const NOW: Timestamp = Timestamp(1_000);

    fn held(mode: LockMode, until: u64) -> Retention {
        Retention {
            mode,
            until: Timestamp(until),
        }
    }

    fn object(retention: Option<Retention>, legal_hold: bool) -> ObjectData {
        ObjectData {
            retention,
            legal_hold,
            ..object_data()
        }
    }

    #[test]
    fn what_is_locked_goes_only_by_a_bypass_of_governance() {
        use LockMode::{Compliance, Governance};
        let may =
            |retention, hold, bypass| object(retention, hold).check_unlocked(NOW, bypass).is_ok();
        assert!(may(None, false, false));
        assert!(!may(None, true, true), "a hold has no bypass");
        assert!(may(Some(held(Compliance, 1_000)), false, false), "over");
        assert!(!may(Some(held(Governance, 1_001)), false, false));
        assert!(may(Some(held(Governance, 1_001)), false, true));
        assert!(!may(Some(held(Compliance, 1_001)), false, true));
    }

    #[test]
    fn retention_grows_for_all_and_shrinks_for_few() {
        use LockMode::{Compliance, Governance};
        let may = |from, to: Option<Retention>, bypass| {
            let object = object(Some(from), false);
            object.check_retention(to.as_ref(), NOW, bypass).is_ok()
        };
        let (short, long) = (2_000, 3_000);
        for mode in [Governance, Compliance] {
            assert!(may(held(mode, short), Some(held(mode, long)), false));
            assert!(!may(held(mode, long), Some(held(mode, short)), false));
            assert!(!may(held(mode, short), None, false));
            assert!(may(held(mode, 500), None, false), "over");
        }
        assert!(may(held(Governance, long), None, true));
        let strict = Some(held(Compliance, long));
        assert!(!may(held(Governance, short), strict.clone(), false));
        assert!(may(held(Governance, short), strict, true));
        assert!(!may(held(Compliance, long), None, true));
        let loose = Some(held(Governance, long));
        assert!(!may(held(Compliance, short), loose, true));
    }

    #[test]
    fn defaults_are_days_or_years_in_range() {
        let days = |days, years| {
            let asked = LockDefault::requested(LockMode::Governance, days, years);
            asked.map(|default| default.days)
        };
        assert_eq!(days(Some(1), None), Ok(1));
        assert_eq!(days(None, Some(2)), Ok(730));
        for (bad, years) in [
            (None, None),
            (Some(1), Some(1)),
            (Some(0), None),
            (None, Some(-1)),
            (Some(36_501), None),
            (None, Some(i64::MAX)),
        ] {
            assert!(days(bad, years).is_err(), "{bad:?} {years:?}");
        }
        let default = LockDefault::requested(LockMode::Governance, Some(1), None).unwrap();
        assert_eq!(default.retention(NOW).until, Timestamp(86_401_000));
    }
}
