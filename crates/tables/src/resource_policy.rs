//! A table's resource policy as it is kept. What its document says is read by the judge alone.

use serde::{Deserialize, Serialize};

/// A resource policy and which of them it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ResourcePolicy {
    /// The document's text, as it was given.
    pub document: String,
    /// `RevisionId`: greater with each change.
    pub revision: String,
}
