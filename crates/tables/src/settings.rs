//! Settings that `CreateTable` and `UpdateTable` share: streams and storage class, described as
//! the service does; and the refusal, by name, of what is not built.

use serde::Deserialize;
use types::Timestamp;

use crate::TablesError;
use crate::request::Constraints;
use crate::table::{Stream, TableClass};

/// `StreamSpecification`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StreamInput {
    pub(crate) stream_enabled: Option<bool>,
    pub(crate) stream_view_type: Option<String>,
}

impl StreamInput {
    pub(crate) fn constrain(&self, constraints: &mut Constraints) {
        let at = "streamSpecification";
        constraints.present(&format!("{at}.streamEnabled"), self.stream_enabled.as_ref());
        constraints.one_of(
            &format!("{at}.streamViewType"),
            self.stream_view_type.as_deref(),
            &["NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY"],
        );
    }

    /// The stream to enable now, or none.
    pub(crate) fn judge(&self, now: Timestamp) -> Result<Option<Stream>, TablesError> {
        match (self.stream_enabled.unwrap_or(false), &self.stream_view_type) {
            (false, None) => Ok(None),
            (false, Some(_)) => Err(TablesError::invalid(
                "Stream view type was specified, but the stream was not enabled",
            )),
            (true, None) => Err(TablesError::invalid(
                "Stream was enabled, but the stream view type was not specified",
            )),
            (true, Some(view)) => Ok(Some(Stream {
                view: view.clone(),
                enabled: true,
                label: iso_8601(now),
            })),
        }
    }
}

/// The storage class of that name, once it is found to be one.
pub(crate) fn judge_class(name: Option<&str>) -> Option<TableClass> {
    match name? {
        "STANDARD_INFREQUENT_ACCESS" => Some(TableClass::InfrequentAccess),
        _ => Some(TableClass::Standard),
    }
}

/// The first parameter that is given and not built.
pub(crate) fn refuse_unbuilt(given: &[(&str, bool)]) -> Result<(), TablesError> {
    match given.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(TablesError::Validation(format!(
            "{name} is not built yet in Causeway"
        ))),
        None => Ok(()),
    }
}

/// The time as `2026-11-23T22:58:45.123`: how stream labels are written.
pub(crate) fn iso_8601(time: Timestamp) -> String {
    let (seconds, milliseconds) = (time.0 / 1000, time.0 % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}")
}

/// The date of a day since 1970-01-01 (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_labels_are_iso_8601() {
        assert_eq!(iso_8601(Timestamp(0)), "1970-01-01T00:00:00.000");
        assert_eq!(
            iso_8601(Timestamp(951_782_400_001)),
            "2000-02-29T00:00:00.001"
        );
        assert_eq!(
            iso_8601(Timestamp(1_795_474_725_123)),
            "2026-11-23T22:58:45.123"
        );
    }
}
