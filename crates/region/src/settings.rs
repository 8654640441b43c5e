//! The Region's part in the council's settings: it adopts who may call from them, and puts the
//! deployment's root keys there, sealed, when nobody has.

use std::collections::BTreeMap;
use std::sync::Arc;

use council::{Change, CouncilDriver, CouncilError, Expected};
use identity::{Bootstrap, Identity, RootKeys, RootKeysError, SealError, Sealer, entries, random};
use store::Engine;
use types::{Configuration, ConfigurationView, Span};

use crate::error::OpenError;
use crate::region::Region;
use crate::standing::{IdentityStatus, PrincipalCounts};

/// Faults that one change of the configuration brings are logged up to so many; `status` counts
/// them all. Ours.
const MAX_LOGGED: usize = 10;

/// Between tries to put the root keys there.
const AGAIN: Span = Span::seconds(1);

/// What a Region judges by from its first request on: the last it knew before it was stopped.
///
/// # Errors
///
/// Secrets are sealed with another operator's key than this Region was given: it could verify
/// nobody's signature.
pub(crate) fn last_known<E: Engine>(
    council: &CouncilDriver<E>,
    sealer: &Arc<Sealer>,
    bootstrap: &Bootstrap,
) -> Result<Identity, OpenError> {
    let view = Configuration::view(council);
    if let Some((_, bytes)) = view.get(&RootKeys::setting(bootstrap.account))
        && let Err(RootKeysError::Seal(SealError::OtherKey)) =
            RootKeys::open(sealer, bootstrap.account, &bytes)
    {
        return Err(OpenError::OperatorKey);
    }
    Ok(Identity::compile(None, view, sealer, bootstrap))
}

impl<E: Engine> Region<E> {
    /// Adopts who may call whenever the settings change, and sees to it that they hold root keys.
    pub(crate) async fn keep_identity(self: Arc<Self>) {
        futures_util::future::join(self.offer_root_keys(), self.adopt_settings()).await;
    }

    async fn adopt_settings(&self) {
        let mut revision = self.identity().revision();
        loop {
            revision = self.council.settings_after(revision).await.revision();
            let view = Configuration::view(&*self.council);
            let previous = self.identity();
            let next = Identity::compile(Some(&previous), view, &self.sealer, &self.bootstrap);
            for (key, fault) in new_faults(&previous, &next).take(MAX_LOGGED) {
                tracing::error!(key, fault, "what can't be read is judged as nobody's");
            }
            self.standing.adopt(next);
        }
    }

    /// Puts the root keys this Region was started with into the settings, unless they hold some;
    /// keys that an earlier version left there in the clear it puts there sealed. A Region cut off
    /// from the majority serves with its own meanwhile.
    async fn offer_root_keys(&self) {
        let setting = RootKeys::setting(self.bootstrap.account);
        loop {
            let settings = self.council.settings();
            let (expected, keys) = match settings.get(&setting) {
                None => (Expected::Absent, self.bootstrap.root_keys.clone()),
                Some(setting) if RootKeys::is_clear(&setting.value) => {
                    match RootKeys::decode(&setting.value) {
                        Ok(keys) => (Expected::Revision(setting.revision), keys),
                        Err(error) => {
                            tracing::error!(%error, "the council's root keys are unreadable");
                            return;
                        }
                    }
                }
                Some(_) => return,
            };
            // The first to ask is whoever leads; others wait, so that one proposal suffices.
            if self.council.status().leader == Some(self.config.site) {
                let nonce = random(&*self.environment);
                let sealed = keys.seal(&self.sealer, self.bootstrap.account, &nonce);
                let change = Change::new().put(&setting, expected, sealed);
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

    /// The identity in effect.
    pub(crate) fn identity(&self) -> Arc<Identity> {
        self.standing.identity()
    }

    /// Notes whether a majority is heard, which is how old the identity in effect can be.
    pub(crate) fn look_for_majority(&self) {
        if self.council.status().majority {
            self.standing.hear(self.environment.now().monotonic);
        }
    }

    /// Who may call, for a status.
    pub(crate) fn identity_status(&self) -> IdentityStatus {
        let counts = count(&*Configuration::view(&*self.council), &self.bootstrap);
        let has_majority = self.council.status().majority;
        let now = self.environment.now();
        self.standing.status(counts, has_majority, now)
    }
}

/// What can't be read now and could be, or was not there, before.
fn new_faults<'a>(
    previous: &Identity,
    next: &'a Identity,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let known: BTreeMap<&str, &str> = previous.faults().collect();
    let faults: Vec<_> = next
        .faults()
        .filter(|(key, fault)| known.get(key) != Some(fault))
        .collect();
    faults.into_iter()
}

fn count(view: &dyn ConfigurationView, bootstrap: &Bootstrap) -> PrincipalCounts {
    let of = |kind: &str| {
        let mut count = 0;
        let prefix = format!("{}{kind}/", entries::PREFIX);
        view.visit(&prefix, &mut |_, _, _| count += 1);
        count
    };
    let first = view.get(&entries::account_key(bootstrap.account)).is_none();
    PrincipalCounts {
        accounts: of("account") + u64::from(first),
        users: of("user"),
        roles: of("role"),
    }
}
