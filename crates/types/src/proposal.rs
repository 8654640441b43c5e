//! The one loop by which a service changes the global configuration: read a view, propose, and
//! repeat on a fresh view when another change came first. It neither waits nor decides what is
//! to be changed.

use crate::{Configuration, ConfigurationEdit, ConfigurationError, ConfigurationView};

/// How often a change is tried while others' changes of the same keys come first.
pub const MAX_PROPOSALS: usize = 8;

/// Has the edits made that `attempt` asks for on a view; on a fresh one when others' changes came
/// first, [`MAX_PROPOSALS`] times at most. Returns what it said beside them, and the revision that
/// made them; none if there were no edits, for then nothing is proposed.
///
/// # Errors
///
/// What `attempt` says, or what `refuse` makes of a change that wasn't made.
pub async fn propose<T, E>(
    configuration: &dyn Configuration,
    refuse: impl FnOnce(ConfigurationError) -> E,
    mut attempt: impl FnMut(&dyn ConfigurationView) -> Result<(Vec<ConfigurationEdit>, T), E>,
) -> Result<(T, Option<u64>), E> {
    for _ in 0..MAX_PROPOSALS {
        let (edits, outcome) = attempt(&*configuration.view())?;
        if edits.is_empty() {
            return Ok((outcome, None));
        }
        match configuration.propose(edits).await {
            Ok(revision) => return Ok((outcome, Some(revision))),
            Err(ConfigurationError::Conflict) => {}
            Err(error) => return Err(refuse(error)),
        }
    }
    Err(refuse(ConfigurationError::Conflict))
}
