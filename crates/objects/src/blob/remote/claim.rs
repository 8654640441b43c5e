//! Whose a folder is. Each Region removes the blobs that none of its rows names, so two of them in
//! one folder would remove each other's: before anything is written, listed or removed, an object
//! in the folder must say that it is this Region's. It settles that as often as it takes, so that
//! a Region starts while the store is away.

use std::sync::atomic::{AtomicBool, Ordering};

use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::{Inner, is_missing, told};
use crate::blob::{BlobError, BlobId};

/// The object that says it. It is no blob's name.
const NAME: &str = "owner";

/// What is made sure of once.
pub(super) struct Claim {
    owner: String,
    is_ours: AtomicBool,
}

impl Claim {
    /// To be made sure of.
    pub(super) fn new(owner: String) -> Claim {
        Claim {
            owner,
            is_ours: AtomicBool::new(false),
        }
    }

    /// Makes sure of it, unless that was done.
    pub(super) async fn settle(&self, inner: &Inner) -> Result<(), BlobError> {
        if self.is_ours.load(Ordering::Acquire) {
            return Ok(());
        }
        let path = inner.folder.clone().join(NAME);
        let owner = match self.owner_of(inner, &path).await {
            Ok(Some(owner)) => owner,
            Ok(None) => {
                self.make(inner, &path).await?;
                // Whoever came first is its owner; a store that knows no conditions has the last.
                let found = self.owner_of(inner, &path).await?;
                found.unwrap_or_default()
            }
            Err(error) => return Err(error),
        };
        if owner != self.owner {
            let folder = match inner.folder.as_ref() {
                "" => "the whole bucket",
                folder => folder,
            };
            return Err(inner.refuse(format!(
                "its folder ({folder}) is another Region's, or this one's from before its \
                 database was lost: name another prefix"
            )));
        }
        self.is_ours.store(true, Ordering::Release);
        Ok(())
    }

    async fn owner_of(&self, inner: &Inner, path: &Path) -> Result<Option<String>, BlobError> {
        let read = async { inner.store.get(path).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => inner.settle(BlobId(0), Err(error)),
        }
    }

    async fn make(&self, inner: &Inner, path: &Path) -> Result<(), BlobError> {
        let payload = PutPayload::from(self.owner.clone());
        let options = PutOptions::from(PutMode::Create);
        match inner.store.put_opts(path, payload, options).await {
            Ok(_) | Err(Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(inner.refuse(told(&error))),
        }
    }
}
