//! Edits of the configuration: each holds only of what was read. And the one way in which an
//! operation has them made: judged anew on every view that it is tried on.

use types::{ConfigurationEdit, ConfigurationExpected, ConfigurationView};

use super::error::IamError;
use super::request::IamRequest;
use crate::Service;
use crate::entries::{self, Entry};

/// Sets a value that was read as of `revision`; `None`: that wasn't there.
pub(crate) fn put<T: Entry>(key: String, revision: Option<u64>, value: &T) -> ConfigurationEdit {
    ConfigurationEdit {
        key,
        expected: expected(revision),
        value: Some(entries::encode(value)),
    }
}

/// Removes a value that was read as of `revision`.
pub(crate) fn remove(key: String, revision: u64) -> ConfigurationEdit {
    ConfigurationEdit {
        key,
        expected: ConfigurationExpected::Revision(revision),
        value: None,
    }
}

/// Leaves a value as it is and has the change made only if nobody else changes or removes it
/// before: what is put into a group must find the group there. `None`: it isn't there.
pub(crate) fn hold(view: &dyn ConfigurationView, key: String) -> Option<ConfigurationEdit> {
    let (revision, value) = view.get(&key)?;
    Some(ConfigurationEdit {
        key,
        expected: ConfigurationExpected::Revision(revision),
        value: Some(value),
    })
}

fn expected(revision: Option<u64>) -> ConfigurationExpected {
    revision.map_or(
        ConfigurationExpected::Absent,
        ConfigurationExpected::Revision,
    )
}

impl Service {
    /// Has the edits made that `attempt` asks for, as [`Service::change`] does. Where the view is
    /// another than the one that the caller was judged on, it is judged again of what is there
    /// then: a path or a tag that was changed meanwhile counts.
    ///
    /// # Errors
    ///
    /// What `attempt` says, a denial, or that the change could not be made.
    pub(crate) async fn change_for<T>(
        &self,
        request: &IamRequest<'_>,
        subject: &str,
        mut attempt: impl FnMut(&IamRequest<'_>) -> Result<(Vec<ConfigurationEdit>, T), IamError>,
    ) -> Result<T, IamError> {
        let judged = request.view().revision();
        self.change(subject, |view| {
            let request = request.on(view);
            if view.revision() != judged {
                request.authorize()?;
            }
            attempt(&request)
        })
        .await
    }
}
