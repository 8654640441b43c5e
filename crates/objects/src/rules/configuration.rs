//! The types of a replication configuration, as close to the service model's shapes as the errors
//! that S3 has for them demand: what S3 may find missing is optional here. They check nothing.

use serde::{Deserialize, Serialize};

use crate::BucketName;

/// A bucket's replication configuration. As stored it has passed [`super::check`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ReplicationConfiguration {
    /// The ARN of the role that replication acts as.
    pub role: String,
    /// Its rules, in the order given; 1 to 1,000.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// Its ID; always there once checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Of several rules with one destination the greatest is used; there with a filter only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// The prefix of a rule without filter: the schema's first version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// What it chooses: the schema's second version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// Does it choose anything now?
    pub status: Status,
    /// Further objects that it chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_selection: Option<SourceSelection>,
    /// `ExistingObjectReplication`: taken and told back; S3 no longer supports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing_objects: Option<Status>,
    /// `DeleteMarkerReplication`: are delete markers replicated?
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_markers: Option<DeleteMarkers>,
    /// Where to, and as what.
    pub destination: Destination,
}

/// On or off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Status {
    /// On.
    Enabled,
    /// Off.
    Disabled,
}

/// What a rule chooses by.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Everything: an empty `Filter`.
    All,
    /// Keys that begin so.
    Prefix(String),
    /// Objects with that tag.
    Tag(Tag),
    /// All of these.
    And {
        /// Keys that begin so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prefix: Option<String>,
        /// With all of these tags.
        tags: Vec<Tag>,
    },
}

/// A tag.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Further objects that a rule chooses: `SourceSelectionCriteria`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SourceSelection {
    /// `SseKmsEncryptedObjects`: nothing here is encrypted so, hence kept and told back only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_objects: Option<Status>,
    /// `ReplicaModifications`: changes of a replica's tags, access control list and lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica_modifications: Option<Status>,
}

/// `DeleteMarkerReplication`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeleteMarkers {
    /// Are they replicated? None is told back as none, and is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

/// A rule's destination.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Destination {
    /// The bucket's ARN.
    pub bucket: String,
    /// Its owner's account, as text: it may be found empty or malformed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The replicas' storage class; none: their source's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// `AccessControlTranslation` with `Owner` `Destination`: the bucket's owner owns replicas.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub owner_override: bool,
    /// `EncryptionConfiguration`, with its `ReplicaKmsKeyID` if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<ReplicaEncryption>,
    /// Replication time control.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_time: Option<ReplicationTime>,
    /// Metrics and events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
}

/// `EncryptionConfiguration` of a destination.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ReplicaEncryption {
    /// The key in the destination's Region: kept and told back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
}

/// Replication time control of a rule.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ReplicationTime {
    /// On or off.
    pub status: Option<Status>,
    /// Minutes; 15 is the only value there is.
    pub minutes: Option<i32>,
}

/// Replication metrics and events of a rule.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Metrics {
    /// On or off.
    pub status: Option<Status>,
    /// `EventThreshold` in minutes: 15, with replication time control only.
    pub minutes: Option<i32>,
}

/// What a destination's ARN begins with.
pub(super) const ARN_PREFIX: &str = "arn:aws:s3:::";

impl ReplicationConfiguration {
    /// Is it of the schema's second version? (S3 User Guide, "Replication configuration file
    /// elements": any rule with a filter, or with replication time control.)
    pub fn is_second_version(&self) -> bool {
        let second =
            |rule: &Rule| rule.filter.is_some() || rule.destination.replication_time.is_some();
        self.rules.iter().any(second)
    }

    /// The rule of that ID.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id() == id)
    }
}

impl Rule {
    /// Its ID; empty before it was checked and had none.
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    /// Is it enabled?
    pub fn is_enabled(&self) -> bool {
        self.status == Status::Enabled
    }

    /// The prefix that it chooses by, wherever it stands; empty: every key.
    pub fn key_prefix(&self) -> &str {
        let prefix = match &self.filter {
            None => self.prefix.as_deref(),
            Some(Filter::Prefix(prefix)) => Some(prefix.as_str()),
            Some(Filter::And { prefix, .. }) => prefix.as_deref(),
            Some(Filter::All | Filter::Tag(_)) => None,
        };
        prefix.unwrap_or_default()
    }

    /// The tags that it chooses by.
    pub fn tags(&self) -> &[Tag] {
        match &self.filter {
            Some(Filter::Tag(tag)) => std::slice::from_ref(tag),
            Some(Filter::And { tags, .. }) => tags,
            Some(Filter::All | Filter::Prefix(_)) | None => &[],
        }
    }

    /// Do changes of replicas travel by it?
    pub fn syncs_replicas(&self) -> bool {
        let selection = self.source_selection.as_ref();
        let status = selection.and_then(|selection| selection.replica_modifications);
        status == Some(Status::Enabled)
    }

    /// Does it keep figures and tell of failures?
    pub fn has_metrics(&self) -> bool {
        let metrics = self.destination.metrics.as_ref();
        metrics.is_some_and(|metrics| metrics.status == Some(Status::Enabled))
    }

    /// Is it under replication time control?
    pub fn has_time_control(&self) -> bool {
        let time = self.destination.replication_time.as_ref();
        time.is_some_and(|time| time.status == Some(Status::Enabled))
    }
}

impl Destination {
    /// The bucket's name, if the ARN is one of a bucket.
    pub fn bucket_name(&self) -> Option<BucketName> {
        self.bucket.strip_prefix(ARN_PREFIX)?.parse().ok()
    }
}
