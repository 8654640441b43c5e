//! The two windows of an instance: given, held, or drawn.

use crate::error::DatabasesError;
use crate::request::{DatabasesRequest, shown};
use crate::window;

/// The windows for backups and for maintenance that a request gives, or else those.
pub(crate) fn read(
    request: &DatabasesRequest<'_>,
    held: (String, String),
) -> Result<(String, String), DatabasesError> {
    let asked = given(request, held.clone())?;
    // What a cluster's instance was drawn may overlap its cluster's: it says nothing against a
    // request that is about neither.
    match asked != held && window::overlap(&asked.0, &asked.1) {
        true => Err(overlap()),
        false => Ok(asked),
    }
}

fn overlap() -> DatabasesError {
    let text = "The backup window and maintenance window must not overlap.";
    DatabasesError::combination(text)
}

fn given(
    request: &DatabasesRequest<'_>,
    (mut backups, mut maintenance): (String, String),
) -> Result<(String, String), DatabasesError> {
    if let Some(text) = request.text("PreferredBackupWindow") {
        if !window::is_daily(text) {
            let text = format!("Invalid backup window: {}", shown(text));
            return Err(DatabasesError::value(text));
        }
        backups = text.to_owned();
    }
    if let Some(text) = request.text("PreferredMaintenanceWindow") {
        if !window::is_weekly(text) {
            let text = format!("Invalid maintenance window format: {}", shown(text));
            return Err(DatabasesError::value(text));
        }
        maintenance = text.to_ascii_lowercase();
    }
    Ok((backups, maintenance))
}

/// Windows for an instance whose request gives one, both or none: what isn't given is drawn so
/// that it doesn't overlap.
pub(crate) fn read_new(
    request: &DatabasesRequest<'_>,
    random: u64,
) -> Result<(String, String), DatabasesError> {
    // Pairs that can be drawn lie on all days of the week.
    for step in 0..112 {
        let made = given(request, window::drawn(random.wrapping_add(step * 257)))?;
        if !window::overlap(&made.0, &made.1) {
            return Ok(made);
        }
    }
    Err(overlap())
}
