//! Everyone who may call, as of one revision of the global configuration: accounts, users, groups,
//! roles, their keys and policies. An immutable value; a new revision makes a new one that is put
//! in its place whole. It decides nothing: that is `policy`'s, asked by a [`crate::Call`].
//!
//! Users, groups, roles and keys stay where they are, in the configuration, and are read from it
//! when they call: beside the configuration a principal costs no memory. What many share (accounts,
//! managed policies, compiled documents) is held here, bounded.

use std::fmt;
use std::sync::Arc;

use types::{AccountId, ConfigurationView};

use crate::accounts::Accounts;
use crate::cache::Cache;
use crate::documents::Documents;
use crate::entries::PREFIX;
use crate::faults::Faults;
use crate::holder::Holder;
use crate::keys::OpenedKey;
use crate::session::Session;
use crate::{RootKeys, Sealer, check};

/// Principals that are held ready to be judged. The inline policies of one have at most 10,240
/// characters (IAM User Guide, "IAM and AWS STS quotas").
const MAX_HOLDERS: usize = 512;

/// Access keys whose secrets are held ready.
const MAX_KEYS: usize = 1_024;

/// Sessions whose tokens were opened and are held ready.
const MAX_SESSIONS: usize = 512;

/// The account whose root keys a site was started with, and those keys. They are accepted until
/// the configuration holds root keys of that account which can be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bootstrap {
    /// The deployment's first account.
    pub account: AccountId,
    /// Its root keys.
    pub root_keys: RootKeys,
}

/// Everyone who may call, as of one revision of the configuration. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) directory: Option<Directory>,
    account: AccountId,
}

/// What a configuration says.
#[derive(Clone)]
pub(crate) struct Directory {
    pub(crate) view: Arc<dyn ConfigurationView>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) ready: Arc<Ready>,
    faults: Arc<Faults>,
    /// How many entries of identity it has: by that and their revisions a change is noticed.
    entries: usize,
}

/// What doesn't depend on the revision.
pub(crate) struct Shared {
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) documents: Documents,
    /// By the SHA-256 of their tokens, so that looking one up tells nothing of the others.
    pub(crate) sessions: Cache<[u8; 32], Arc<Session>>,
}

/// What was read and opened of one revision.
pub(crate) struct Ready {
    pub(crate) holders: Cache<String, Arc<Holder>>,
    pub(crate) keys: Cache<String, Arc<OpenedKey>>,
}

impl Shared {
    fn new(sealer: &Arc<Sealer>) -> Shared {
        Shared {
            sealer: Arc::clone(sealer),
            documents: Documents::new(),
            sessions: Cache::new(MAX_SESSIONS, usize::MAX),
        }
    }
}

impl Ready {
    fn new() -> Ready {
        Ready {
            holders: Cache::new(MAX_HOLDERS, usize::MAX),
            keys: Cache::new(MAX_KEYS, usize::MAX),
        }
    }
}

impl Identity {
    /// Only an account's root, by these keys: what a site knows before it has read any
    /// configuration, and a gate that admits the operator alone.
    pub fn new(account: AccountId, root_keys: RootKeys) -> Identity {
        Identity {
            accounts: Arc::new(Accounts::only(&Bootstrap { account, root_keys })),
            directory: None,
            account,
        }
    }

    /// The identity of that view of the configuration. What `previous` has of it already is
    /// taken over; only entries that changed since are read.
    ///
    /// An entry that can't be read costs its principal everything (nothing is allowed that can't
    /// be judged) and is told by [`Identity::faults`].
    pub fn compile(
        previous: Option<&Identity>,
        view: Arc<dyn ConfigurationView>,
        sealer: &Arc<Sealer>,
        bootstrap: &Bootstrap,
    ) -> Identity {
        // Of a configuration that was set back, revisions say nothing.
        let previous = previous.filter(|previous| {
            previous.directory.as_ref().is_some_and(|directory| {
                Arc::ptr_eq(&directory.shared.sealer, sealer)
                    && directory.view.revision() <= view.revision()
                    && previous.account == bootstrap.account
            })
        });
        let known = previous.and_then(|previous| previous.directory.as_ref());
        let shared = known.map_or_else(
            || Arc::new(Shared::new(sealer)),
            |known| Arc::clone(&known.shared),
        );
        let mut faults = known.map_or_else(Faults::default, |known| known.faults.still_in(&*view));
        // Where not every fault could be kept, all is read again.
        let since = known
            .filter(|known| known.faults.are_all())
            .map_or(0, |known| known.view.revision());
        let (mut entries, mut changed) = (0, 0);
        view.visit(PREFIX, &mut |key, revision, bytes| {
            entries += 1;
            if revision > since {
                changed += 1;
                if let Err(fault) = check::entry(key, bytes, &shared) {
                    faults.add(key, revision, fault);
                }
            }
        });
        if let (Some(previous), Some(known)) = (previous, known)
            && changed == 0
            && entries == known.entries
        {
            return Identity {
                accounts: Arc::clone(&previous.accounts),
                directory: Some(Directory {
                    view,
                    shared,
                    ready: Arc::clone(&known.ready),
                    faults: Arc::clone(&known.faults),
                    entries,
                }),
                account: bootstrap.account,
            };
        }
        let accounts = Accounts::compile(&*view, &shared, bootstrap, &mut faults);
        Identity {
            accounts: Arc::new(accounts),
            directory: Some(Directory {
                view,
                shared,
                ready: Arc::new(Ready::new()),
                faults: Arc::new(faults),
                entries,
            }),
            account: bootstrap.account,
        }
    }

    /// The revision of the configuration that it is of; 0: of none.
    pub fn revision(&self) -> u64 {
        let directory = self.directory.as_ref();
        directory.map_or(0, |directory| directory.view.revision())
    }

    /// The deployment's first account.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The root keys of the deployment's first account that are accepted.
    pub fn root_keys(&self) -> &RootKeys {
        let keys = self.accounts.root_keys(self.account);
        keys.expect("the first account has those that it was started with")
    }

    /// What can't be read: the keys of entries and why, the first of them. Whoever depends on
    /// such an entry is refused everything.
    pub fn faults(&self) -> impl Iterator<Item = (&str, &str)> {
        let faults = self.directory.as_ref().map(|directory| &directory.faults);
        faults.into_iter().flat_map(|faults| faults.iter())
    }

    /// How many entries can't be read.
    pub fn fault_count(&self) -> usize {
        let directory = self.directory.as_ref();
        directory.map_or(0, |directory| directory.faults.count())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("revision", &self.revision())
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}
