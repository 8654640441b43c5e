//! The key that a Region seals the cookies of its load balancers with: drawn once, kept in its
//! database sealed with the operator's key. Clients keep their targets across restarts by it.

use balancer::COOKIE_KEY_BYTES;
use bytes::Bytes;
use identity::{Purpose, SealError, Sealer};
use store::{Batch, Engine, Snapshot, Space};
use types::{Environment, Region};
use zeroize::Zeroizing;

use crate::error::OpenError;

/// Where in `Space::Meta` it stands.
const KEY: &[u8] = b"balancer/cookie-key";

/// The key as the database has it; drawn if there is none yet.
///
/// # Errors
/// The row can't be read, or was sealed with another operator's key.
pub(crate) async fn cookie_key<E: Engine>(
    engine: &E,
    sealer: &Sealer,
    environment: &dyn Environment,
    region: Region,
) -> Result<Zeroizing<[u8; COOKIE_KEY_BYTES]>, OpenError> {
    let id = region.to_string();
    if let Some(sealed) = engine.snapshot().get(Space::Meta, KEY).await? {
        let opened = sealer.open(Purpose::CookieKey, &id, &sealed);
        let opened = opened.map_err(|error| match error {
            SealError::OtherKey => OpenError::OperatorKey,
            other => OpenError::CookieKey(other),
        })?;
        let bytes = opened.as_slice().try_into();
        let damaged = |_| OpenError::CookieKey(SealError::Damaged);
        return Ok(Zeroizing::new(bytes.map_err(damaged)?));
    }
    let key: Zeroizing<[u8; COOKIE_KEY_BYTES]> = identity::random(environment);
    let nonce = identity::random(environment);
    let sealed = sealer.seal(Purpose::CookieKey, &id, key.as_slice(), &nonce);
    let mut batch = Batch::new();
    batch.put(Space::Meta, KEY, Bytes::from(sealed));
    engine.commit(batch).await?;
    Ok(key)
}
