//! How a source answers those who want to replicate it, from this Region or another: by a row of
//! its own, from which its server's replication slots follow.

use std::collections::VecDeque;
use std::sync::{MutexGuard, PoisonError};

use types::{ConfigurationView, Monotonic, Span};

use crate::catalogue;
use crate::codec::CodecError;
use crate::error::{DatabasesError, Refusal};
use crate::limits::MAX_REPLICAS;
use crate::model::{Farewell, Instance, Power, Replica, ResourceId};
use crate::parameters;
use crate::service::Service;
use crate::source::{AttachRefusal, AttachRequest, SourceFacts};

/// What the names of slots for replicas begin with.
pub const SLOT_PREFIX: &str = "causeway_";

/// How long a replica that said farewell is remembered: longer than any message is on its way.
const REMEMBERED: Span = Span::seconds(600);

/// How many of those are remembered at most.
const MAX_DEPARTED: usize = 1024;

/// The replicas that said farewell lately. A request to take one may come again after that, since
/// the link may repeat it: nobody would ever take such a slot back.
#[derive(Default)]
pub(crate) struct Departed(VecDeque<(ResourceId, Monotonic)>);

impl Departed {
    fn add(&mut self, replica: ResourceId, now: Monotonic) {
        if self.0.len() >= MAX_DEPARTED {
            self.0.pop_front();
        }
        self.0.push_back((replica, now));
    }

    fn has(&mut self, replica: &ResourceId, now: Monotonic) -> bool {
        self.0.retain(|(_, at)| now - *at < REMEMBERED);
        self.0.iter().any(|(departed, _)| departed == replica)
    }
}

impl Service {
    /// Takes a replica that another Region asks for: its slot is kept from now on. Asked twice, it
    /// answers the same. That the replica is of the Region that asks is for the caller to see to.
    ///
    /// # Errors
    ///
    /// [`AttachRefusal`].
    pub async fn attach(&self, request: &AttachRequest) -> Result<SourceFacts, AttachRefusal> {
        let now = self.environment().now().monotonic;
        if self.departed().has(&request.replica_id, now) {
            let text = format!("{} is no replica any more.", request.replica);
            return Err(AttachRefusal::State(text));
        }
        let made = self.change(|view: &dyn ConfigurationView| {
            let refused = |refusal: AttachRefusal| refusal_error(refusal);
            let (revision, mut source) = found(view, request).map_err(refused)?;
            let facts = take(view, &mut source, request).map_err(refused)?;
            let edits = vec![catalogue::replace_instance(revision, &source)];
            Ok((edits, facts))
        });
        let facts = made.await.map_err(as_refusal)?;
        self.look_at(&facts.resource_id);
        Ok(facts)
    }

    /// Forgets a replica that is none any more, if that instance had it.
    ///
    /// # Errors
    ///
    /// [`AttachRefusal::Internal`]: it can't be written down now.
    pub async fn detach(&self, farewell: &Farewell) -> Result<(), AttachRefusal> {
        let made = self.change(|view: &dyn ConfigurationView| {
            let Some((revision, mut source)) = catalogue::instance_named(view, &farewell.source)?
            else {
                return Ok((Vec::new(), None));
            };
            let id = &farewell.replica_id.0;
            let own = source.replicas.get(id);
            // Its Region speaks for what it has, whatever id another's has.
            if own.is_none_or(|replica| replica.arn != farewell.replica) {
                return Ok((Vec::new(), None));
            }
            source.replicas.remove(id);
            let edits = vec![catalogue::replace_instance(revision, &source)];
            Ok((edits, Some(source.resource_id)))
        });
        let changed: Option<ResourceId> = made.await.map_err(as_refusal)?;
        if let Some(id) = changed {
            let now = self.environment().now().monotonic;
            self.departed().add(farewell.replica_id.clone(), now);
            self.look_at(&id);
        }
        Ok(())
    }
}

impl Service {
    fn departed(&self) -> MutexGuard<'_, Departed> {
        let departed = self.departed.lock();
        departed.unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slot that a source keeps for a replica, and a global cluster's writer for another member's
/// head: PostgreSQL takes small letters, digits and `_`.
pub fn slot(replica: &ResourceId) -> String {
    let name = replica.0.to_ascii_lowercase().replace('-', "_");
    format!("{SLOT_PREFIX}{name}")
}

pub(crate) fn found(
    view: &dyn ConfigurationView,
    request: &AttachRequest,
) -> Result<catalogue::Row<Instance>, AttachRefusal> {
    let unreadable = |error: CodecError| AttachRefusal::Internal(error.to_string());
    let found = catalogue::instance_named(view, &request.source).map_err(unreadable)?;
    // What is another account's is not there.
    let found = found.filter(|_| request.source.account == request.replica.account);
    found.ok_or_else(|| AttachRefusal::NotFound(request.source.to_string()))
}

/// Has a source take a replica; what the replica takes over from it.
pub(crate) fn take(
    view: &dyn ConfigurationView,
    source: &mut Instance,
    request: &AttachRequest,
) -> Result<SourceFacts, AttachRefusal> {
    let refuse = |text: String| Err(AttachRefusal::State(text));
    // By its resource id: two that are asked for by one name at once are two until one is refused
    // its name, and only that one is forgotten then.
    let key = request.replica_id.0.clone();
    let name = &source.arn.identifier;
    if source.headship.is_some() {
        return refuse(format!(
            "A read replica of {name}, which is a DB cluster's, is not built yet in Causeway."
        ));
    }
    if source.source.is_some() {
        // What PostgreSQL calls cascading.
        return refuse(format!(
            "A read replica of the read replica {name} is not built yet in Causeway."
        ));
    }
    let is_able = source.was_available()
        && source.power == Power::Running
        && source.deletion.is_none()
        && source.failure.is_none();
    if !is_able {
        return refuse(format!(
            "Source database instance {name} is not in available state."
        ));
    }
    if source.backup_retention == 0 {
        let text = "Automated backups are not enabled for this database instance. To enable \
                    automated backups, use ModifyDBInstance to set the backup retention period to \
                    a non-zero value.";
        return refuse(text.to_owned());
    }
    let taken = source.replicas.get(&key);
    if taken.is_some_and(|replica| replica.arn != request.replica) {
        return refuse(format!("{key} is another replica's resource id."));
    }
    if taken.is_none() && source.replicas.len() >= MAX_REPLICAS {
        let text = format!("Instance {name} already has {MAX_REPLICAS} read replicas");
        return Err(AttachRefusal::TooMany(text));
    }
    let slot = slot(&request.replica_id);
    let replica = Replica {
        arn: request.replica.clone(),
        resource_id: request.replica_id.clone(),
        slot: slot.clone(),
    };
    source.replicas.insert(key, replica);
    let group = catalogue::parameter_group_of(view, source);
    let group = group.map_err(|error| AttachRefusal::Internal(error.to_string()))?;
    let values = parameters::of_instance(source, group.as_ref()).values;
    Ok(SourceFacts {
        resource_id: source.resource_id.clone(),
        slot,
        engine_version: source.engine_version.clone(),
        class: source.class.clone(),
        allocated_storage: source.allocated_storage,
        storage_type: source.storage_type,
        port: source.port,
        master_username: source.master.username.clone(),
        database: source.database.clone(),
        floors: parameters::floors(&values),
    })
}

/// A refusal on its way through a change of the configuration.
pub(crate) fn refusal_error(refusal: AttachRefusal) -> DatabasesError {
    let refused = match &refusal {
        AttachRefusal::NotFound(_) => Refusal::DbInstanceNotFound,
        AttachRefusal::TooMany(_) => Refusal::InstanceQuotaExceeded,
        AttachRefusal::State(_) => Refusal::InvalidDbInstanceState,
        AttachRefusal::Internal(text) => return DatabasesError::Unreachable(text.clone()),
    };
    DatabasesError::refused(refused, refusal.to_string())
}

fn as_refusal(error: DatabasesError) -> AttachRefusal {
    let text = error.to_string();
    match error {
        DatabasesError::Refused(Refusal::DbInstanceNotFound, _) => {
            let named = text.rsplit(": ").next().unwrap_or_default();
            AttachRefusal::NotFound(named.to_owned())
        }
        DatabasesError::Refused(Refusal::InstanceQuotaExceeded, _) => AttachRefusal::TooMany(text),
        DatabasesError::Refused(..) => AttachRefusal::State(text),
        _ => AttachRefusal::Internal(text),
    }
}
