//! The memory of a Region's machine, and how much of it its database servers may come to take: an
//! instance that doesn't fit beside the others is refused, rather than have the machine end one of
//! them. What a server takes follows from its class; stopped instances count, since they are
//! started again without being asked about. It measures nothing, and bounds no session's own memory
//! (`work_mem`, say), which is as at RDS.

use types::ConfigurationView;

use crate::catalogue;
use crate::classes;
use crate::codec::CodecError;
use crate::error::{DatabasesError, Refusal};
use crate::model::Instance;

const MIB: u64 = 1 << 20;

/// What a server takes beside its buffers, in bytes: its processes, and some sessions. One that is
/// idle takes about 30 MiB (proportional set size), a session some 3.
const OF_A_SERVER: u64 = 48 * MIB;

/// Bytes that the servers of an instance may come to take, as it is and as it is to be.
pub(crate) fn of(instance: &Instance) -> u64 {
    let pending = &instance.pending;
    let buffers = [Some(&instance.class), pending.class.as_ref()];
    let buffers = buffers.into_iter().flatten();
    let buffers = buffers.map(|class| classes::buffers(class)).max();
    let is_paired = instance.standby.is_some() || pending.multi_az == Some(true);
    let servers = if is_paired { 2 } else { 1 };
    servers * (OF_A_SERVER + buffers.unwrap_or_default())
}

/// Refuses an instance, new or changed, that doesn't fit beside the others of its Region into that
/// many bytes.
pub(crate) fn check(
    view: &dyn ConfigurationView,
    instance: &Instance,
    memory: u64,
) -> Result<(), DatabasesError> {
    let mut taken = Ok::<u64, CodecError>(0);
    catalogue::visit_instances(view, &mut |_, found| {
        taken = match (&taken, found) {
            (Ok(taken), Ok(other)) if other.resource_id != instance.resource_id => {
                Ok(taken.saturating_add(of(&other)))
            }
            (_, Err(cause)) => Err(cause),
            _ => return,
        };
    });
    let (taken, needed) = (taken?, of(instance));
    if taken.saturating_add(needed) <= memory {
        return Ok(());
    }
    let text = format!(
        "The machine has no memory for DB instance {}: its servers may take {} MiB, those of the \
         other DB instances {} MiB, and there are {} MiB in all.",
        instance.arn.identifier,
        needed / MIB,
        taken / MIB,
        memory / MIB,
    );
    let kind = Refusal::InsufficientDbInstanceCapacity;
    Err(DatabasesError::refused(kind, text))
}
