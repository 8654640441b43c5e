//! The council as services see it: `types::Configuration` over the driver and
//! `types::ConfigurationView` over the settings. Words are translated and nothing is decided.

use std::sync::Arc;

use bytes::Bytes;
use store::Engine;
use types::{
    CatchUp, Configuration, ConfigurationEdit, ConfigurationEntry, ConfigurationError,
    ConfigurationExpected, ConfigurationView, Proposal,
};

use crate::{Change, CouncilDriver, CouncilError, Edit, Expected, Refusal, Settings};

impl ConfigurationView for Settings {
    fn revision(&self) -> u64 {
        Settings::revision(self)
    }

    fn get(&self, key: &str) -> Option<(u64, Bytes)> {
        let setting = Settings::get(self, key)?;
        Some((setting.revision, setting.value.clone()))
    }

    fn visit(&self, prefix: &str, visitor: &mut dyn FnMut(&str, u64, &Bytes)) {
        for (key, setting) in self.with_prefix(prefix) {
            visitor(key, setting.revision, &setting.value);
        }
    }

    fn visit_changes(
        &self,
        prefix: &str,
        since: u64,
        visitor: &mut dyn FnMut(&str, Option<ConfigurationEntry<'_>>),
    ) -> bool {
        Settings::visit_changes(self, prefix, since, &mut |key, setting| {
            visitor(
                key,
                setting.map(|setting| (setting.revision, &setting.value)),
            );
        })
    }
}

impl<E: Engine> Configuration for CouncilDriver<E> {
    fn view(&self) -> Arc<dyn ConfigurationView> {
        self.settings()
    }

    fn propose(&self, edits: Vec<ConfigurationEdit>) -> Proposal<'_> {
        Box::pin(async move {
            let edits = edits.into_iter().map(Edit::from).collect();
            let proposed = CouncilDriver::propose(self, Change { edits });
            proposed.await.map_err(ConfigurationError::from)
        })
    }

    fn catch_up(&self) -> CatchUp<'_> {
        Box::pin(async move {
            let asked = CouncilDriver::catch_up(self).await;
            asked.map_err(ConfigurationError::from)
        })
    }
}

impl From<ConfigurationEdit> for Edit {
    fn from(edit: ConfigurationEdit) -> Edit {
        Edit {
            key: edit.key,
            expected: match edit.expected {
                ConfigurationExpected::Any => Expected::Any,
                ConfigurationExpected::Absent => Expected::Absent,
                ConfigurationExpected::Revision(revision) => Expected::Revision(revision),
            },
            value: edit.value,
        }
    }
}

impl From<CouncilError> for ConfigurationError {
    fn from(error: CouncilError) -> ConfigurationError {
        match error {
            CouncilError::NoMajority => ConfigurationError::NoMajority,
            CouncilError::Refused(Refusal::Conflict { .. }) => ConfigurationError::Conflict,
            CouncilError::Refused(Refusal::Full) => ConfigurationError::Full,
            CouncilError::Refused(Refusal::Invalid) | CouncilError::InvalidChange(_) => {
                ConfigurationError::TooLarge
            }
            // It was not made: so many came first that it can be asked for again.
            CouncilError::Refused(Refusal::Overtaken)
            | CouncilError::TooManyProposals
            | CouncilError::Busy => ConfigurationError::Busy,
            CouncilError::TimedOut => ConfigurationError::TimedOut,
            CouncilError::Rubbish { .. }
            | CouncilError::NoMember(_)
            | CouncilError::SitesChanged
            | CouncilError::Read(_)
            | CouncilError::Commit(_)
            | CouncilError::Log(_)
            | CouncilError::Stopped => ConfigurationError::Stopped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MAX_SETTINGS;

    #[test]
    fn settings_are_seen_as_they_stand() {
        let mut settings = Settings::default();
        let change = Change::new()
            .put("routing/a", Expected::Absent, "1")
            .put("routing/b", Expected::Absent, "2")
            .put("zone/a", Expected::Absent, "3");
        settings.apply(&change, MAX_SETTINGS).unwrap();
        let view: &dyn ConfigurationView = &settings;
        assert_eq!(view.revision(), 1);
        assert_eq!(view.get("routing/b"), Some((1, Bytes::from_static(b"2"))));
        assert_eq!(view.get("routing/"), None);
        let mut seen = Vec::new();
        view.visit("routing/", &mut |key, revision, value| {
            seen.push((key.to_owned(), revision, value.clone()));
        });
        let entry = |key: &str, value: &'static [u8]| (key.to_owned(), 1, Bytes::from(value));
        assert_eq!(seen, [entry("routing/a", b"1"), entry("routing/b", b"2")]);
        let mut changed = Vec::new();
        let known = view.visit_changes("routing/", 0, &mut |key, set| {
            changed.push((key.to_owned(), set.map(|(revision, _)| revision)));
        });
        assert!(known);
        let set = |key: &str| (key.to_owned(), Some(1));
        assert_eq!(changed, [set("routing/a"), set("routing/b")]);
    }

    #[test]
    fn an_edit_keeps_what_it_expects() {
        let expected = |expected| {
            let edit = ConfigurationEdit {
                key: "a/b".to_owned(),
                expected,
                value: None,
            };
            Edit::from(edit).expected
        };
        assert_eq!(expected(ConfigurationExpected::Any), Expected::Any);
        assert_eq!(expected(ConfigurationExpected::Absent), Expected::Absent);
        let revision = ConfigurationExpected::Revision(7);
        assert_eq!(expected(revision), Expected::Revision(7));
    }
}
