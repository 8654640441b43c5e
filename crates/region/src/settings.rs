//! The Region's part in the council's settings: it adopts the deployment's root keys from them,
//! and puts them there when nobody has.

use std::sync::Arc;

use bytes::Bytes;
use council::{Change, CouncilError, Expected, Settings};
use identity::{Identity, RootKeys};
use store::Engine;
use types::Span;

use crate::region::Region;

/// The setting that holds the deployment's root keys.
pub const ROOT_KEYS: &str = "identity/root-keys";

/// Between tries to put the root keys there.
const AGAIN: Span = Span::seconds(1);

impl<E: Engine> Region<E> {
    /// Adopts the settings whenever they change.
    pub(crate) async fn adopt_settings(self: Arc<Self>) {
        self.offer_root_keys().await;
        let mut revision = 0;
        loop {
            let settings = self.council.settings_after(revision).await;
            revision = settings.revision();
            self.adopt(&settings);
        }
    }

    /// Puts the root keys this Region was started with into the settings, unless they hold some.
    /// A Region cut off from the majority serves with its own meanwhile.
    async fn offer_root_keys(&self) {
        loop {
            let settings = self.council.settings();
            if settings.get(ROOT_KEYS).is_some() {
                return;
            }
            // The first to ask is whoever leads; others wait, so that one proposal suffices.
            if self.council.status().leader == Some(self.config.site) {
                let keys = Bytes::copy_from_slice(&self.identity().root_keys().encode());
                let change = Change::new().put(ROOT_KEYS, Expected::Absent, keys);
                match self.council.propose(change).await {
                    Ok(_) | Err(CouncilError::Refused(_)) => return,
                    Err(error) => tracing::debug!(%error, "the root keys are offered again"),
                }
            }
            let now = self.environment.now().monotonic;
            let wait = self.environment.sleep_until(now + AGAIN);
            let changed = self.council.settings_after(settings.revision());
            futures_util::future::select(wait, Box::pin(changed)).await;
        }
    }

    fn adopt(&self, settings: &Settings) {
        let Some(setting) = settings.get(ROOT_KEYS) else {
            return;
        };
        match RootKeys::decode(&setting.value) {
            Ok(keys) if keys != *self.identity().root_keys() => {
                let identity = Identity::new(self.identity().account(), keys);
                *self.identity.write().expect("nothing panics inside") = Arc::new(identity);
                tracing::info!(region = %self.name, "adopted the deployment's root keys");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%error, "the council's root keys are unreadable; ours stay");
            }
        }
    }
}
