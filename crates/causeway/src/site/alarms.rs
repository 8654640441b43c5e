//! What a Region's status has to say that somebody should look at, in words.

use std::time::Duration;

use region::{EventStatus, IdentityStatus, LifecycleStatus, ObjectsStatus};

use crate::duration;

/// What is to be said of who may call: how old it is without a majority, and what can't be read.
pub(super) fn identity_alarms(identity: &IdentityStatus) -> Vec<String> {
    let mut alarms = Vec::new();
    if let Some(age) = identity.age_milliseconds {
        let age = duration::show(Duration::from_millis(age));
        let before = if identity.older {
            " and from before it started"
        } else {
            ""
        };
        alarms.push(format!(
            "identity: last state of {age} ago{before}, no majority heard"
        ));
    }
    for fault in &identity.faults {
        alarms.push(format!("identity: unreadable: {fault}"));
    }
    let more = identity.unreadable.saturating_sub(identity.faults.len());
    if more > 0 {
        alarms.push(format!("identity: {more} more entries are unreadable"));
    }
    alarms
}

/// What is to be said of objects: bytes that aren't whole, and events that found nobody.
pub(super) fn objects_alarms(objects: &ObjectsStatus) -> Vec<String> {
    let mut alarms = Vec::new();
    if objects.damaged_count > 0 {
        alarms.push(format!(
            "objects: {} pieces of stored bytes are damaged; `causeway verify` names them",
            objects.damaged_count
        ));
    }
    for LifecycleStatus { bucket, reason, .. } in &objects.lifecycle {
        alarms.push(format!(
            "lifecycle of bucket {bucket} waits for the next pass: {reason}"
        ));
    }
    for EventStatus {
        target,
        lost,
        failing,
        ..
    } in &objects.events
    {
        if *lost > 0 {
            alarms.push(format!("events for {target}: {lost} were given up"));
        }
        if *failing > 0 {
            alarms.push(format!(
                "events for {target}: {failing} attempts in a row failed"
            ));
        }
    }
    alarms
}
