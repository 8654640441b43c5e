//! A version of an object, or a delete marker, as it is stored. Its bytes are elsewhere
//! (`content`); this says what they are, where, and how replication stands with it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use types::{AccountId, Context, SiteId, Timestamp};

use crate::{Amended, Grant, Stamp, VersionId};

/// One version of a key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ObjectVersion {
    /// Orders the versions of a key; unless it is `null`, also its id.
    pub stamp: Stamp,
    /// Made while the bucket wasn't versioned, or was suspended: its id is `null`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_null: bool,
    /// The versions of the key that its writer's Region had seen: what it is not concurrent with.
    #[serde(default)]
    pub context: Context,
    /// The account that wrote it.
    pub owner: AccountId,
    /// A delete marker or an object.
    pub state: State,
    /// How replication from this bucket stands, by rule; empty: no rule chose it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<RuleOutcome>,
    /// It came here by replication.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_replica: bool,
}

/// What a version is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The key was deleted.
    DeleteMarker,
    /// An object.
    Object(Box<ObjectData>),
}

/// An object's facts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ObjectData {
    /// Its bytes, as its reader counts them.
    pub size: u64,
    /// Its entity tag, without quotes: MD5 in hexadecimal, or `MD5-N` of N parts.
    pub etag: String,
    /// Its checksum as S3 keeps one of every object: the client's, else CRC64NVME.
    pub checksum: Option<Checksum>,
    /// Where its bytes are.
    pub content: Content,
    /// How its bytes are encrypted at rest.
    pub encryption: Encryption,
    /// The headers that it is served with.
    pub metadata: Metadata,
    /// `STANDARD` and the like: kept and told; all of them cost and behave alike here.
    pub storage_class: String,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Its access control list; none: its owner alone (`private`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acl: Option<Acl>,
    /// Its retention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// Is it under legal hold?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub legal_hold: bool,
    /// When and where tags, access control list and lock were last changed: of two states of one
    /// version the later of each stands.
    #[serde(default, skip_serializing_if = "Amended::is_never")]
    pub amended: Amended,
}

/// Where an object's bytes are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// One piece.
    Whole(Extent),
    /// That many parts, which a row of their own lists (`keys::kind::EXTENTS`) in order.
    Parts(u32),
}

/// A piece of an object that was written in one go: a whole object, or a part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Extent {
    /// The part's number, 1 to 10,000; 1 of a whole object.
    pub number: u32,
    /// Its bytes, as a reader counts them.
    pub size: u64,
    /// Its MD5 in hexadecimal.
    pub etag: String,
    /// Its checksum.
    pub checksum: Option<Checksum>,
    /// The blob's number, also when it is kept inline (a row of `Space::Content` then).
    #[serde(with = "crate::blob::hex")]
    pub blob: u128,
    /// Is it a row of the database instead of a file?
    pub inline: bool,
    /// The blob's data key, sealed by the site's key; of SSE-C the salt that its key is derived
    /// with.
    #[serde(with = "base64_bytes")]
    pub sealed_key: Bytes,
}

/// How bytes are encrypted at rest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// With keys of the site: SSE-S3.
    Site,
    /// With a key that its customer sends with every request: SSE-C.
    Customer {
        /// The key's MD5 in base64, as requests repeat it.
        key_md5: String,
        /// Proves a key without keeping it: HMAC-SHA-256 of a text under the key.
        #[serde(with = "base64_bytes")]
        proof: Bytes,
    },
}

/// The headers that an object is served with.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// `Content-Type`; none: `binary/octet-stream`.
    pub content_type: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Encoding`, without `aws-chunked`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Expires`, as it was sent.
    pub expires: Option<String>,
    /// `x-amz-website-redirect-location`.
    pub website_redirect_location: Option<String>,
    /// `x-amz-meta-…`, names in lower case without that prefix; 2 KB at most together.
    pub user: BTreeMap<String, String>,
}

/// A checksum as S3 keeps and tells it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Checksum {
    /// By which algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// Of what.
    pub kind: ChecksumKind,
    /// In base64; of a composite one with `-N` after it.
    pub value: String,
}

/// An algorithm of checksums.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChecksumAlgorithm {
    /// CRC-32 (ISO-HDLC).
    Crc32,
    /// CRC-32C.
    Crc32c,
    /// CRC-64/NVME.
    Crc64nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// What a checksum is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ChecksumKind {
    /// All bytes.
    FullObject,
    /// The parts' checksums.
    Composite,
}

/// An access control list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Acl {
    /// Who owns the thing.
    pub owner: AccountId,
    /// Who may what, in the order given.
    pub grants: Vec<Grant>,
}

/// How long a version is kept from deletion.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Retention {
    /// How strictly.
    pub mode: LockMode,
    /// Until then.
    pub until: Timestamp,
}

/// How strictly a retention is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LockMode {
    /// Who may `s3:BypassGovernanceRetention` may end it.
    Governance,
    /// Nobody may.
    Compliance,
}

/// How replication of a version by one rule stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RuleOutcome {
    /// The rule's ID.
    pub rule: String,
    /// The destination bucket's name.
    pub bucket: String,
    /// The site that it is in when the version was written.
    pub site: SiteId,
    /// How it stands.
    pub status: ReplicationStatus,
    /// How many tasks are to tell the destination of the version or its changes: `PENDING` until
    /// the last of them has ended.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tasks: u32,
}

/// What `x-amz-replication-status` tells.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ReplicationStatus {
    /// Not there yet.
    Pending,
    /// There, synced.
    Completed,
    /// Given up for a lasting cause.
    Failed,
    /// It came here by replication.
    Replica,
}

impl ObjectVersion {
    /// Its id.
    pub fn id(&self) -> VersionId {
        match self.is_null {
            true => VersionId::Null,
            false => VersionId::Stamp(self.stamp),
        }
    }

    /// Its facts, unless it is a delete marker.
    pub fn object(&self) -> Option<&ObjectData> {
        match &self.state {
            State::DeleteMarker => None,
            State::Object(data) => Some(data),
        }
    }

    /// Is it a delete marker?
    pub fn is_delete_marker(&self) -> bool {
        matches!(self.state, State::DeleteMarker)
    }

    /// What `x-amz-replication-status` says of it (reference: S3 User Guide, "Getting replication
    /// status information"): of several destinations any failure, else anything pending, else
    /// completed; of a replica `REPLICA` unless a change of it is on its way back.
    pub fn replication_status(&self) -> Option<ReplicationStatus> {
        let has = |status| self.outcomes.iter().any(|outcome| outcome.status == status);
        if has(ReplicationStatus::Failed) {
            Some(ReplicationStatus::Failed)
        } else if has(ReplicationStatus::Pending) {
            Some(ReplicationStatus::Pending)
        } else if self.is_replica {
            Some(ReplicationStatus::Replica)
        } else if self.outcomes.is_empty() {
            None
        } else {
            Some(ReplicationStatus::Completed)
        }
    }
}

impl ReplicationStatus {
    /// As the header has it.
    pub fn as_str(self) -> &'static str {
        match self {
            ReplicationStatus::Pending => "PENDING",
            ReplicationStatus::Completed => "COMPLETED",
            ReplicationStatus::Failed => "FAILED",
            ReplicationStatus::Replica => "REPLICA",
        }
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Bytes as base64 within JSON.
pub(crate) mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        bytes: &Bytes,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        Ok(Bytes::from(bytes))
    }
}
