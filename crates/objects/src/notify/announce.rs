//! A change of a key as the event that its bucket tells, if it tells of such. What replication
//! does itself is told as what it does to the bucket: a replica is created there.

use store::{Batch, Engine};

use super::{EventKind, Happened, put_event};
use crate::cause::{Change, What};
use crate::{Aspect, Cause, Creation, ObjectVersion, Objects};

/// Adds to a change's batch the events that are to be told of it.
pub(crate) fn announce<E: Engine>(objects: &Objects<E>, change: &Change<'_>, batch: &mut Batch) {
    if change.bucket.settings.notification.is_none() {
        return;
    }
    let (Some(kind), version) = told(change) else {
        return;
    };
    let stamp = match &change.what {
        What::Created { version, .. } => version.stamp,
        _ => objects.issue(Some(version.stamp.version)),
    };
    let happened = Happened {
        kind,
        key: change.key,
        version: Some(version.id()),
        object: match change.what {
            What::Removed { .. } => None,
            _ => version.object(),
        },
        origin: match change.cause {
            Cause::Request(origin) => Some(origin),
            Cause::Lifecycle | Cause::Replication => None,
        },
        stamp,
        replication: None,
    };
    put_event(batch, change.bucket, &happened);
}

/// What kind of event a change is, and of which version.
fn told<'a>(change: &'a Change<'_>) -> (Option<EventKind>, &'a ObjectVersion) {
    let lifecycle = *change.cause == Cause::Lifecycle;
    match &change.what {
        What::Created { version, how } => {
            let kind = match how {
                _ if version.is_delete_marker() && lifecycle => EventKind::ExpirationMarkerCreated,
                _ if version.is_delete_marker() => EventKind::RemovedMarkerCreated,
                Creation::Put | Creation::Replica => EventKind::CreatedPut,
                Creation::Post => EventKind::CreatedPost,
                Creation::Copy => EventKind::CreatedCopy,
                Creation::CompleteMultipartUpload => EventKind::CreatedCompleteMultipartUpload,
            };
            (Some(kind), version)
        }
        What::Amended {
            version, aspect, ..
        } => {
            let kind = match aspect {
                Aspect::Tags { removed: false } => Some(EventKind::TaggingPut),
                Aspect::Tags { removed: true } => Some(EventKind::TaggingDelete),
                Aspect::Acl => Some(EventKind::AclPut),
                Aspect::Retention | Aspect::LegalHold | Aspect::Everything | Aspect::Outcomes => {
                    None
                }
            };
            (kind, version)
        }
        What::Removed { version, replaced } => {
            let kind = match replaced {
                true => None,
                false if lifecycle => Some(EventKind::ExpirationDelete),
                false => Some(EventKind::RemovedDelete),
            };
            (kind, version)
        }
    }
}
