//! Events: what is told of what happened, and how long it is remembered.

use aws::xml::XmlWriter;
use types::{ConfigurationEdit, ConfigurationExpected, ConfigurationView, Timestamp};

use crate::arn::{Arn, ClusterArn};
use crate::catalogue;
use crate::codec::{CodecError, decode};
use crate::keys;
use crate::limits::{EVENT_DAYS, MAX_EVENTS};
use crate::model::{Event, Instance, ParameterGroup, Snapshot, SourceType};
use crate::shapes;
use crate::words::words;

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// Events of one change, at most: their numbers are the change's and theirs.
const MOST_AT_ONCE: u64 = 64;

words! {
    /// RDS's categories of events, as far as events of them happen here.
    pub enum Category {
        /// It can be reached again.
        Availability = "availability",
        /// A backup.
        Backup = "backup",
        /// A setting was changed.
        ConfigurationChange = "configuration change",
        /// It was made.
        Creation = "creation",
        /// It was deleted.
        Deletion = "deletion",
        /// It failed.
        Failure = "failure",
        /// A standby takes over, or the role of a cluster's head is on its way.
        Failover = "failover",
        /// The writer's role of a global cluster is on its way.
        GlobalFailover = "global-failover",
        /// Anything else.
        Notification = "notification",
        /// Of replicas.
        ReadReplica = "read replica",
        /// It was restored.
        Restoration = "restoration",
    }
}

/// What the events of a kind of source can be of.
pub(crate) fn categories(source: SourceType) -> &'static [Category] {
    match source {
        SourceType::Instance => &[
            Category::Availability,
            Category::Backup,
            Category::ConfigurationChange,
            Category::Creation,
            Category::Deletion,
            Category::Failover,
            Category::Failure,
            Category::Notification,
            Category::ReadReplica,
            Category::Restoration,
        ],
        SourceType::Cluster => &[Category::Failover, Category::GlobalFailover],
        SourceType::ParameterGroup => &[Category::ConfigurationChange],
        SourceType::Snapshot => &[
            Category::Creation,
            Category::Deletion,
            Category::Failure,
            Category::Notification,
        ],
    }
}

/// Something that is to be told.
pub(crate) struct Telling {
    source_type: SourceType,
    source: Arn,
    category: Category,
    message: String,
}

impl Telling {
    /// Of an instance.
    pub(crate) fn of_instance(
        instance: &Instance,
        category: Category,
        message: impl Into<String>,
    ) -> Telling {
        Telling {
            source_type: SourceType::Instance,
            source: Arn::from(&instance.arn),
            category,
            message: message.into(),
        }
    }

    /// Of a cluster.
    pub(crate) fn of_cluster(
        cluster: &ClusterArn,
        category: Category,
        message: impl Into<String>,
    ) -> Telling {
        Telling {
            source_type: SourceType::Cluster,
            source: Arn::from(cluster),
            category,
            message: message.into(),
        }
    }

    /// Of a snapshot.
    pub(crate) fn of_snapshot(
        snapshot: &Snapshot,
        category: Category,
        message: impl Into<String>,
    ) -> Telling {
        Telling {
            source_type: SourceType::Snapshot,
            source: Arn::from(&snapshot.arn),
            category,
            message: message.into(),
        }
    }

    /// Of a parameter group.
    pub(crate) fn of_parameters(group: &ParameterGroup, message: impl Into<String>) -> Telling {
        Telling {
            source_type: SourceType::ParameterGroup,
            source: Arn::from(&group.arn),
            category: Category::ConfigurationChange,
            message: message.into(),
        }
    }
}

/// The edits that tell of a change, beside those that make it. The oldest events make room.
pub(crate) fn edits(
    view: &dyn ConfigurationView,
    now: Timestamp,
    told: Vec<Telling>,
) -> Vec<ConfigurationEdit> {
    let first = catalogue::changes(view).saturating_mul(MOST_AT_ONCE);
    let mut edits = Vec::new();
    for (number, told) in (first..first + MOST_AT_ONCE).zip(told) {
        let event = Event {
            account: told.source.account,
            date: now,
            source_type: told.source_type,
            source: told.source.name.clone(),
            source_arn: told.source.to_string(),
            message: told.message,
            categories: vec![told.category.name().to_owned()],
        };
        edits.push(catalogue::create(keys::event(number), &event));
    }
    let mut held = Vec::new();
    view.visit(keys::EVENTS, &mut |key, _, _| held.push(key.to_owned()));
    let too_many = (held.len() + edits.len()).saturating_sub(MAX_EVENTS);
    for key in held.into_iter().take(too_many) {
        edits.push(catalogue::edit(key, ConfigurationExpected::Any, None));
    }
    edits
}

/// Every event that is remembered, with its key, oldest first; those that are too old are not.
pub(crate) fn held(
    view: &dyn ConfigurationView,
    now: Timestamp,
) -> Result<Vec<(String, Event)>, CodecError> {
    let oldest = now.0.saturating_sub(EVENT_DAYS * DAY);
    let mut found = Ok(Vec::new());
    view.visit(
        keys::EVENTS,
        &mut |key, _, bytes| match (found.as_mut(), decode::<Event>(bytes)) {
            (Ok(events), Ok(event)) if event.date.0 >= oldest => {
                events.push((key.to_owned(), event));
            }
            (Ok(_), Err(error)) => found = Err(error),
            _ => {}
        },
    );
    found
}

/// Writes an `Event`'s members.
pub(crate) fn write(writer: &mut XmlWriter, event: &Event) {
    writer
        .value("SourceIdentifier", &event.source)
        .value("SourceType", event.source_type)
        .value("Message", &event.message);
    shapes::texts(
        writer,
        "EventCategories",
        "EventCategory",
        &event.categories,
    );
    writer
        .value("Date", shapes::time(event.date))
        .value("SourceArn", &event.source_arn);
}
