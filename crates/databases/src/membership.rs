//! What an instance is in its cluster, and its cluster in a global cluster: found in the two
//! configurations. It judges nothing.

use std::collections::BTreeSet;

use types::ConfigurationView;

use crate::attach;
use crate::catalogue::{self, Row};
use crate::codec::CodecError;
use crate::model::{Cluster, GlobalCluster, Head, Instance, ResourceId};
use crate::parameters;
use crate::plan::{Cession, Duty};

/// The head of a cluster, if it has one.
pub(crate) fn head_of(
    view: &dyn ConfigurationView,
    cluster: &Cluster,
) -> Result<Option<Instance>, CodecError> {
    let Some(id) = &cluster.head else {
        return Ok(None);
    };
    Ok(catalogue::instance(view, id)?.map(|(_, instance)| instance))
}

/// The readers of a cluster, by their names.
pub(crate) fn readers_in(
    view: &dyn ConfigurationView,
    cluster: &Cluster,
) -> Result<Vec<Row<Instance>>, CodecError> {
    let mut rows = Vec::new();
    for id in &cluster.readers {
        rows.extend(catalogue::instance(view, id)?);
    }
    rows.sort_by(|(_, one), (_, other)| one.arn.identifier.cmp(&other.arn.identifier));
    Ok(rows)
}

/// The head of a cluster, if it has one, and its readers by their names.
pub(crate) fn instances_of(
    view: &dyn ConfigurationView,
    cluster: &Cluster,
) -> Result<(Option<Instance>, Vec<Instance>), CodecError> {
    let readers = readers_in(view, cluster)?.into_iter();
    let readers = readers.map(|(_, reader)| reader).collect();
    Ok((head_of(view, cluster)?, readers))
}

/// The readers of the cluster whose head an instance is; none, if it isn't.
pub(crate) fn readers_of(
    view: &dyn ConfigurationView,
    head: &Instance,
) -> Result<Vec<Row<Instance>>, CodecError> {
    let Some(headship) = &head.headship else {
        return Ok(Vec::new());
    };
    let own = catalogue::cluster(view, &headship.cluster)?.map(|(_, cluster)| cluster);
    let own = own.filter(|cluster| cluster.head.as_ref() == Some(&head.resource_id));
    own.map_or(Ok(Vec::new()), |cluster| readers_in(view, &cluster))
}

/// What is known of an instance's membership in a global cluster.
pub(crate) struct Membership {
    /// The revision of the council's configuration that made its cluster a member.
    pub(crate) joined: Option<u64>,
    /// The global cluster that has its cluster as a member now.
    pub(crate) global: Option<GlobalCluster>,
    /// Its cluster.
    pub(crate) cluster: Option<Cluster>,
}

impl Membership {
    /// The cluster and its head that an instance follows as a reader; `None`: it is no reader.
    pub(crate) fn head(
        &self,
        view: &dyn ConfigurationView,
        id: &ResourceId,
    ) -> Result<Option<(&Cluster, Instance)>, CodecError> {
        let Some(cluster) = self.cluster.as_ref().filter(|it| it.has_reader(id)) else {
            return Ok(None);
        };
        Ok(head_of(view, cluster)?.map(|head| (cluster, head)))
    }

    /// The duty of a head, given what it would be if it handed nothing over.
    pub(crate) fn hands_over(
        &self,
        view: &dyn ConfigurationView,
        duty: Duty,
        id: &ResourceId,
    ) -> Result<Duty, CodecError> {
        let cluster = self.cluster.as_ref();
        let own = cluster.filter(|cluster| cluster.head.as_ref() == Some(id));
        let Some((cluster, handover)) = own.and_then(|it| Some((it, it.handover.clone()?))) else {
            return Ok(duty);
        };
        Ok(match (&duty, &self.global) {
            (Duty::Await, _) => duty,
            (Duty::Alone | Duty::Left, _) => Duty::HandOver(handover),
            (Duty::Follow(_) | Duty::TakeOver(_), Some(global)) => {
                let member = global.member(&cluster.arn);
                let named = member.and_then(|member| member.head.as_ref());
                Duty::Cede(Cession {
                    is_named: named.is_some_and(|head| head.resource_id == handover.to),
                    head: self.successor(view, (cluster, global), (id, &handover.to))?,
                    handover,
                })
            }
            _ => Duty::CallOff(handover),
        })
    }

    /// What the others are to know of a reader that takes over from the head of a member; `None`:
    /// not both hold the latest history and nothing else, or the writer's role is on its way.
    fn successor(
        &self,
        view: &dyn ConfigurationView,
        (cluster, global): (&Cluster, &GlobalCluster),
        (head, to): (&ResourceId, &ResourceId),
    ) -> Result<Option<Head>, CodecError> {
        let is_in_line = |instance: &Instance| {
            let headship = instance.headship.as_ref();
            headship.is_some_and(|it| it.leads.is_none() && it.epoch == global.epoch)
        };
        let head = catalogue::instance(view, head)?;
        let taker = catalogue::instance(view, to)?;
        let (Some((_, head)), Some((_, taker)), None) = (head, taker, &global.moving) else {
            return Ok(None);
        };
        if !is_in_line(&head) || !is_in_line(&taker) {
            return Ok(None);
        }
        let group = catalogue::parameter_group_of(view, &taker)?;
        let values = parameters::of_instance(&taker, group.as_ref()).values;
        Ok(Some(Head {
            arn: taker.arn,
            resource_id: taker.resource_id,
            class: taker.class,
            floors: parameters::floors(&values),
            epoch: global.epoch,
            writer_address: Some(cluster.writer_address),
        }))
    }

    /// Did an instance take over from a dead head, and isn't it known yet where its history begins?
    pub(crate) fn is_new_head(&self, id: &ResourceId) -> bool {
        let cluster = self.cluster.as_ref();
        let own = cluster.filter(|cluster| cluster.head.as_ref() == Some(id));
        own.is_some_and(Cluster::has_new_head)
    }

    /// The slots that an instance keeps for its cluster's readers; none, if it isn't the head.
    pub(crate) fn slots_of_readers(&self, id: &ResourceId) -> BTreeSet<String> {
        let cluster = self.cluster.as_ref();
        let own = cluster.filter(|cluster| cluster.head.as_ref() == Some(id));
        let readers = own.into_iter().flat_map(|cluster| &cluster.readers);
        readers.map(attach::slot).collect()
    }
}

/// The membership of an instance's cluster.
pub(crate) fn membership(
    view: &dyn ConfigurationView,
    global: &dyn ConfigurationView,
    instance: &Instance,
) -> Result<Membership, CodecError> {
    let Some(headship) = &instance.headship else {
        return Ok(Membership {
            joined: None,
            global: None,
            cluster: None,
        });
    };
    let row = catalogue::cluster(view, &headship.cluster)?;
    let own = row.map(|(_, cluster)| cluster);
    let joined = own.as_ref().and_then(|cluster| cluster.joined.as_ref());
    let found = catalogue::global_of(global, &headship.cluster_arn, &headship.cluster)?;
    Ok(Membership {
        joined: joined.map(|joined| joined.revision),
        global: found.map(|(_, row)| row),
        cluster: own,
    })
}
