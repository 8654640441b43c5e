//! `FailoverDBCluster` of a cluster whose head is dead, by an instance that is named: the
//! operator's leave to lose what that one lacks. No reader takes over unasked when it isn't known
//! to have followed to the end, as after a restart of the Region's process. And a head that was
//! succeeded has its role back, if its successor's data were lost before that wrote.

use types::ConfigurationView;

use super::common;
use crate::error::DatabasesError;
use crate::membership;
use crate::model::{Cluster, Instance, Power};
use crate::plan::{ChiefSeen, Role, reading};
use crate::service::Service;
use crate::status::Status;

/// Who claims the role of a dead head since its name was given.
pub(super) struct Claim {
    /// The instance.
    pub(super) by: Instance,
    /// Is the head dead since its server can't be started?
    pub(super) is_unstartable: bool,
}

/// The claim of the reader of that name, if the cluster's head is dead; `None`: it isn't, or that
/// reader couldn't take over.
pub(super) fn claim(
    service: &Service,
    view: &dyn ConfigurationView,
    (cluster, name): (&Cluster, &str),
) -> Result<Option<Claim>, DatabasesError> {
    let readers = membership::readers_in(view, cluster)?.into_iter();
    let mut readers = readers.map(|(_, reader)| reader);
    let found = readers.find(|reader| reader.arn.identifier == name);
    let (Some(by), Some(head)) = (found, membership::head_of(view, cluster)?) else {
        return Ok(None);
    };
    let Some(chief) = chief(service, &by, &head) else {
        return Ok(None);
    };
    let may = match cluster.has_new_head() {
        true => cluster.handover.is_none() && may_have_it_back(cluster, &by) && chief.never_wrote(),
        false => {
            let is_drained = cluster
                .handover
                .as_ref()
                .is_some_and(|it| it.drained.is_some());
            !is_drained && chief.is_dead() && can_succeed(service, view, (&by, &head))?
        }
    };
    Ok(may.then(|| Claim {
        is_unstartable: chief.is_unstartable(),
        by,
    }))
}

/// The head, as a reader's keeper saw it last.
fn chief(service: &Service, reader: &Instance, head: &Instance) -> Option<ChiefSeen> {
    let standing = service.config.servers.standing(&reader.resource_id.0)?;
    let chief = standing.observed.head.chief?;
    (chief.id == head.resource_id).then_some(chief)
}

/// Was it the head until it was dead, and hasn't it been given up since?
fn may_have_it_back(cluster: &Cluster, reader: &Instance) -> bool {
    let id = &reader.resource_id;
    let was_head = cluster.handed.as_ref().is_some_and(|it| it.from == *id);
    let heads = reader.headship.as_ref();
    let deposed = cluster.deposed.get(id);
    let is_it = |heads| deposed.is_some_and(|it| it.epoch == reading::epoch_of(heads));
    was_head && reader.deletion.is_none() && heads.is_some_and(is_it)
}

/// Is what it has a part of the head's history, and could it be promoted now?
fn can_succeed(
    service: &Service,
    view: &dyn ConfigurationView,
    (reader, head): (&Instance, &Instance),
) -> Result<bool, DatabasesError> {
    let standing = service.config.servers.standing(&reader.resource_id.0);
    let server = standing.and_then(|standing| standing.observed.server);
    let is_standby = server.is_some_and(|it| it.role == Some(Role::Standby) && !it.is_paused);
    let rows = reader.headship.as_ref().zip(head.headship.as_ref());
    let is_its = rows
        .is_some_and(|(own, heads)| own.leads.is_none() && own.epoch == reading::epoch_of(heads));
    let is_there = common::status_of(service, view, reader)? == Status::Available;
    let is_wanted = head.power == Power::Running && head.deletion.is_none();
    Ok(is_standby && is_its && is_there && is_wanted && head.was_available())
}
