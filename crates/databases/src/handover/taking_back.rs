//! A head that was dead has its role back from the reader that succeeded it and never wrote: that
//! one's data were lost, or couldn't be started, before it was promoted. What the head holds was
//! never given up, and nothing was acknowledged since.

use types::{ConfigurationEdit, ConfigurationView};

use crate::catalogue;
use crate::error::DatabasesError;
use crate::membership;
use crate::model::{Cluster, Handed, Headship, Instance, Leading};
use crate::plan::reading;

/// The edits by which it is the head again, and its successor a reader, as before. None unless the
/// cluster's row says that it is the one that was succeeded.
pub(super) fn edits(
    view: &dyn ConfigurationView,
    (revision, mut cluster): (u64, Cluster),
    old: &Instance,
) -> Result<Vec<ConfigurationEdit>, DatabasesError> {
    let nothing = Ok(Vec::new());
    let id = &old.resource_id;
    let was_head = cluster.handed.as_ref().is_some_and(|it| it.from == *id);
    let Some((old_revision, mut old)) = catalogue::instance(view, id)?.filter(|_| was_head) else {
        return nothing;
    };
    let Some(heads) = old.headship.clone() else {
        return nothing;
    };
    let Some(successor) = cluster.head.replace(id.clone()) else {
        return nothing;
    };
    let Some((new_revision, mut new)) = catalogue::instance(view, &successor)? else {
        return nothing;
    };
    let leads = new.headship.as_ref().and_then(|own| own.leads);
    let mut edits = Vec::new();
    for (reader_revision, mut reader) in membership::readers_in(view, &cluster)? {
        if reader.resource_id != *id && give_back(&mut reader, &heads, leads) {
            edits.push(catalogue::replace_instance(reader_revision, &reader));
        }
    }
    give_back(&mut new, &heads, leads);
    // It is copied anew, if its data are lost.
    new.failure = None;
    old.master = new.master.clone();
    new.master.verifier = None;
    (new.master.asked, new.master.applied) = (0, 0);
    cluster.readers.remove(id);
    cluster.readers.insert(successor);
    cluster.deposed.remove(id);
    (cluster.handover, cluster.handed) = (None, handed(&cluster, &heads));
    edits.push(catalogue::replace_instance(new_revision, &new));
    edits.push(catalogue::replace_instance(old_revision, &old));
    edits.push(catalogue::replace_cluster(revision, &cluster));
    Ok(edits)
}

/// What was to go along with the successor is the head's again, of whose history it is a part: the
/// successor wrote nothing. Was it to?
fn give_back(instance: &mut Instance, heads: &Headship, leads: Option<Leading>) -> bool {
    let epoch = reading::epoch_of(heads);
    let own = instance.headship.as_mut();
    let own = own.filter(|own| own.epoch == epoch && own.leads.is_some() && own.leads == leads);
    own.is_some_and(|own| {
        own.leads = None;
        true
    })
}

/// Whom it took over from itself while that was dead, as far as that is still known: where its own
/// history began.
fn handed(cluster: &Cluster, heads: &Headship) -> Option<Handed> {
    let epoch = reading::epoch_of(heads);
    let mut before = cluster.deposed.iter();
    let (from, before) = before.find(|(_, it)| it.epoch + 1 == epoch && it.fork.is_some())?;
    Some(Handed {
        from: from.clone(),
        lsn: None,
        fork: before.fork,
    })
}
