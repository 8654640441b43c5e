//! NotificationConfiguration of a bucket.

use serde::{Deserialize, Serialize};

/// The bucket's configuration.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NotificationConfiguration {}
