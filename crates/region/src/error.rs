//! Why a Region doesn't open.

use store::{CommitError, ReadError};
use types::SiteId;

use crate::message::MessageError;

/// A Region couldn't be opened on its database.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The site is an edge, or not of the deployment.
    #[error("the site is not a Region of this deployment")]
    NotARegion,
    /// A port leads to a site that the deployment doesn't name.
    #[error("site {} is not of this deployment", .0.0)]
    UnknownPeer(SiteId),
    /// The database couldn't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The database couldn't be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The tables' descriptors make no sense.
    #[error(transparent)]
    Tables(#[from] tables::CatalogueError),
    /// A cursor makes no sense.
    #[error("a replication cursor is corrupt: {0}")]
    Cursor(#[from] MessageError),
    /// The log's identity makes no sense.
    #[error("the identity of the change log is corrupt")]
    LogIdentity,
    /// The council's state makes no sense.
    #[error(transparent)]
    Council(#[from] council::CouncilError),
    /// The operator's key is another one than secrets were sealed with.
    #[error("secrets here were sealed with another operator's key than the one given now")]
    OperatorKey,
    /// The key of its objects' bytes makes no sense.
    #[error("the key of the objects' bytes: {0}")]
    SiteKey(#[source] identity::SealError),
    /// Its objects can't be opened.
    #[error("objects: {0}")]
    Objects(#[from] objects::ObjectError),
    /// The key of its load balancers' cookies makes no sense.
    #[error("the key of the load balancers' cookies: {0}")]
    CookieKey(#[source] identity::SealError),
    /// What it has configured for itself makes no sense.
    #[error(transparent)]
    Regional(#[from] crate::regional::RegionalError),
    /// Its steering can't be opened.
    #[error(transparent)]
    Steering(#[from] steering::OpenError),
}
