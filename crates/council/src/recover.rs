//! The way back from a majority that is gone for good: rewriting a stopped survivor's records so
//! that fewer sites decide. It can't know what the lost sites had agreed on without this one.

use types::SiteId;

use crate::{Members, Saved};

/// Why records can't be rewritten so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecoverError {
    /// There are no records.
    #[error("this site has never sat in a council: there is nothing to recover")]
    Empty,
    /// No voter would be left.
    #[error("name at least one site that is to vote")]
    NoVoters,
    /// A site that was no member can't become a voter this way.
    #[error("site {} was no member of the council", .0.0)]
    NoMember(SiteId),
}

/// The records of a survivor with these sites as the only voters; the other members that live
/// listen. Take it for lost majorities only, on every survivor, each stopped, with the same
/// voters; put the result in the old one's place with `Saved::replacing`. Voters elect the one
/// among them whose log is furthest.
///
/// What it costs: a change that was acknowledged through a lost site and had not reached any of
/// the new voters is gone. A lost site that comes back must not keep its old records: two of
/// them together could still believe themselves the majority.
///
/// # Errors
/// See `RecoverError`; nothing is changed then.
pub fn recover(
    saved: &Saved,
    voters: &[SiteId],
    listeners: &[SiteId],
) -> Result<Saved, RecoverError> {
    let old = saved.members().ok_or(RecoverError::Empty)?;
    let sorted = |sites: &[SiteId]| {
        let mut sites = sites.to_vec();
        sites.sort_unstable();
        sites.dedup();
        sites
    };
    let voters = sorted(voters);
    let mut listeners = sorted(listeners);
    listeners.retain(|site| !voters.contains(site));
    if voters.is_empty() {
        return Err(RecoverError::NoVoters);
    }
    let stranger = voters
        .iter()
        .chain(&listeners)
        .find(|site| !old.contains(**site));
    if let Some(stranger) = stranger {
        return Err(RecoverError::NoMember(*stranger));
    }
    let mut recovered = saved.clone();
    recovered.members = Some(Members { voters, listeners });
    recovered.hard.term += 1;
    recovered.hard.vote = 0;
    Ok(recovered)
}
