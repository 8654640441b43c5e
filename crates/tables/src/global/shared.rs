//! The settings that all replicas of a global table share: capacity mode with provisioned
//! capacity, and storage class. A change in any Region goes to all; of two changes of one
//! setting the later one wins. What each Region keeps to itself (tags, deletion protection) isn't
//! here, nor is the stream: it can't be changed while there are replicas.

use serde::{Deserialize, Serialize};
use store::Engine;
use types::Version;

use super::message::TableRecord;
use crate::{Table, Tables};

/// When, and in which Region, each shared setting was last changed; `None`: never since the
/// table was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingStamps {
    /// Of `billing`: the capacity mode, and the provisioned capacity.
    pub billing: Option<Version>,
    /// Of the storage class.
    pub class: Option<Version>,
}

impl SettingStamps {
    /// The greatest of them.
    pub fn newest(&self) -> Option<Version> {
        self.billing.max(self.class)
    }
}

impl<E: Engine> Tables<E> {
    /// A setting is changed here, now: its stamp outbids the one it had.
    pub(crate) fn stamp_setting(&self, stamp: &mut Option<Version>) {
        *stamp = Some(self.issue(*stamp));
    }
}

impl Table {
    /// Takes the settings that were changed later than here. Says whether there was any.
    pub(super) fn adopt_settings(&mut self, heard: &TableRecord) -> bool {
        let mut adopted = false;
        if heard.settings.billing > self.settings.billing {
            self.billing = heard.billing;
            self.settings.billing = heard.settings.billing;
            adopted = true;
        }
        if heard.settings.class > self.settings.class {
            self.class = heard.class;
            self.settings.class = heard.settings.class;
            adopted = true;
        }
        adopted
    }
}
