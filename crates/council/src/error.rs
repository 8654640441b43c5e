//! What can go wrong in the council.

use store::{CommitError, ReadError};
use types::SiteId;

use crate::Refusal;

/// Why the council didn't do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CouncilError {
    /// This site hears no majority, so nothing can be changed; what is in force stays in force.
    #[error("no majority of sites can be reached: nothing can be changed until it can")]
    NoMajority,
    /// The change was decided against, everywhere.
    #[error("the change was refused: {0}")]
    Refused(Refusal),
    /// No outcome was learned in time: the change may or may not be made later, but once at most.
    #[error("no decision in time: the change may or may not be made")]
    TimedOut,
    /// `MAX_PENDING` proposals of this site are under way, or all but the places that are kept.
    #[error("too many changes are under way at this site")]
    TooManyProposals,
    /// The change is against a limit.
    #[error("{0}")]
    InvalidChange(&'static str),
    /// A write is on its way; input is taken again after `persisted`.
    #[error("a write is on its way")]
    Busy,
    /// The bytes from that site were refused; nothing was changed by them.
    #[error("refused a message of site {}: {reason}", from.0)]
    Rubbish {
        /// Whose they were.
        from: SiteId,
        /// What was wrong with them.
        reason: &'static str,
    },
    /// The site is no member of the council.
    #[error("site {} is no member of the council", .0.0)]
    NoMember(SiteId),
    /// The sites given differ from those recorded: changing them isn't built yet.
    #[error(
        "the deployment was begun with other sites; changing the sites of a deployment is not \
         built yet: start it with the Regions and edges it was begun with, or elsewhere anew"
    )]
    SitesChanged,
    /// Its records could not be read.
    #[error("the council's records can't be read: {0}")]
    Read(#[from] ReadError),
    /// Its records could not be written; the site's council has stopped.
    #[error("the council's records can't be written: {0}")]
    Commit(#[from] CommitError),
    /// Its log makes no sense to raft.
    #[error("the council's log is unusable: {0}")]
    Log(String),
    /// The driver has stopped.
    #[error("the council has stopped at this site")]
    Stopped,
}
