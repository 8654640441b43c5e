//! The two windows of an instance: given, held, or drawn.

use crate::error::DatabasesError;
use crate::request::{DatabasesRequest, shown};
use crate::window;

/// The windows for backups and for maintenance that a request gives, or else those.
pub(crate) fn read(
    request: &DatabasesRequest<'_>,
    held: (String, String),
) -> Result<(String, String), DatabasesError> {
    let (mut backups, mut maintenance) = held;
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
    if window::overlap(&backups, &maintenance) {
        let text = "The backup window and maintenance window must not overlap.";
        return Err(DatabasesError::combination(text));
    }
    Ok((backups, maintenance))
}

/// Windows for an instance whose request gives one, both or none: what isn't given is drawn so
/// that it doesn't overlap.
pub(crate) fn read_new(
    request: &DatabasesRequest<'_>,
    random: u64,
) -> Result<(String, String), DatabasesError> {
    let mut last = Ok((String::new(), String::new()));
    // Pairs that can be drawn lie on all days of the week.
    for step in 0..112 {
        last = read(request, window::drawn(random.wrapping_add(step * 257)));
        if last.is_ok() {
            break;
        }
    }
    last
}
