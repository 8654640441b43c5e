//! The key that a site keeps its objects' bytes under: drawn when the database first holds
//! objects, kept there sealed with the operator's key, and never anywhere else. Without it not a
//! byte of them can be read again.

use bytes::Bytes;
use identity::{Purpose, SealError, Sealer};
use objects::content::SiteKey;
use objects::keys;
use store::{Batch, Engine, Snapshot, Space};
use types::{Environment, SiteName};
use zeroize::Zeroizing;

use crate::error::OpenError;

/// The fact about the site that it is.
const FACT: &str = "key";

/// The key's length in bytes.
const KEY_BYTES: usize = 32;

/// The site's key as its database has it; drawn if it has none yet.
///
/// # Errors
/// The row can't be read, or was sealed with another operator's key.
pub(crate) async fn site_key<E: Engine>(
    engine: &E,
    sealer: &Sealer,
    environment: &dyn Environment,
    site: SiteName,
) -> Result<SiteKey, OpenError> {
    let site = site.to_string();
    let kept = engine
        .snapshot()
        .get(Space::Objects, &keys::of_site(FACT))
        .await?;
    if let Some(sealed) = kept {
        let opened = sealer.open(Purpose::SiteKey, &site, &sealed);
        let opened = opened.map_err(|error| match error {
            SealError::OtherKey => OpenError::OperatorKey,
            other => OpenError::SiteKey(other),
        })?;
        let bytes = opened.as_slice().try_into();
        let bytes: Zeroizing<[u8; KEY_BYTES]> =
            Zeroizing::new(bytes.map_err(|_| OpenError::SiteKey(SealError::Damaged))?);
        return Ok(SiteKey::new(*bytes));
    }
    let key: Zeroizing<[u8; KEY_BYTES]> = identity::random(environment);
    let nonce = identity::random(environment);
    let mut batch = Batch::new();
    let sealed = sealer.seal(Purpose::SiteKey, &site, key.as_slice(), &nonce);
    batch.put(Space::Objects, keys::of_site(FACT), Bytes::from(sealed));
    engine.commit(batch).await?;
    Ok(SiteKey::new(*key))
}
