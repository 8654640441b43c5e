//! Everyone who may call, as of one revision of the global configuration: accounts, users, groups,
//! roles, their keys and policies. An immutable value; a new revision makes a new one that is put
//! in its place whole. It decides nothing: that is `policy`'s, asked by a [`crate::Call`].
//!
//! Users, groups, roles and keys stay where they are, in the configuration, and are read from it
//! when they call: beside the configuration a principal costs no memory. What many share (accounts,
//! managed policies, compiled documents) is held here, bounded.

use std::fmt;
use std::sync::{Arc, OnceLock};

use types::{AccountId, ConfigurationView};

use crate::accounts::Accounts;
use crate::cache::Cache;
use crate::documents::Documents;
use crate::entries::PREFIX;
use crate::faults::Faults;
use crate::holder::Holder;
use crate::keys::OpenedKey;
use crate::policy::Policy;
use crate::principals::Ids;
use crate::session::Session;
use crate::{RootKeys, Sealer, check};

/// Principals that are held ready to be judged. The inline policies of one have at most 10,240
/// characters (IAM User Guide, "IAM and AWS STS quotas").
const MAX_HOLDERS: usize = 512;

/// Access keys whose secrets are held ready.
const MAX_KEYS: usize = 1_024;

/// Managed policies that are held ready, whoever has them.
const MAX_MANAGED: usize = 512;

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
    /// How many entries of identity it has, if they were counted: by that and their revisions a
    /// change is noticed where the view can't tell.
    entries: Option<usize>,
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
    /// By their ARNs.
    pub(crate) managed: Cache<String, Arc<Policy>>,
    /// Made when a policy is shown that names somebody.
    pub(crate) ids: OnceLock<Ids>,
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
            managed: Cache::new(MAX_MANAGED, usize::MAX),
            ids: OnceLock::new(),
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
        let (entries, changed) = check_since(&*view, since, &shared, &mut faults);
        // A view that tells the changes tells removals too; else the number of entries does.
        if let (Some(previous), Some(known)) = (previous, known)
            && changed == 0
            && (entries.is_none() || entries == known.entries)
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

/// Reads every entry that is newer than that revision. How many entries there are, if the view had
/// to be gone through to tell what changed, and how many changed.
fn check_since(
    view: &dyn ConfigurationView,
    since: u64,
    shared: &Shared,
    faults: &mut Faults,
) -> (Option<usize>, usize) {
    let (mut entries, mut changed) = (0, 0);
    let mut look = |key: &str, revision, bytes: &_| {
        if let Err(fault) = check::entry(key, bytes, shared) {
            faults.add(key, revision, fault);
        }
    };
    let tells = since > 0
        && view.visit_changes(PREFIX, since, &mut |key, entry| {
            changed += 1;
            if let Some((revision, bytes)) = entry {
                look(key, revision, bytes);
            }
        });
    if tells {
        return (None, changed);
    }
    view.visit(PREFIX, &mut |key, revision, bytes| {
        entries += 1;
        if revision > since {
            changed += 1;
            look(key, revision, bytes);
        }
    });
    (Some(entries), changed)
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("revision", &self.revision())
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use types::Timestamp;
    use zeroize::Zeroizing;

    use super::*;
    use crate::holder::HolderKind;
    use crate::model::{AccessKey, Policies, User};
    use crate::{NONCE_BYTES, Purpose, RootKey, entries};

    /// As the council's settings hold entries: in a tree, by keys.
    #[derive(Default)]
    struct View(u64, BTreeMap<String, (u64, Bytes)>);

    impl ConfigurationView for View {
        fn revision(&self) -> u64 {
            self.0
        }

        fn get(&self, key: &str) -> Option<(u64, Bytes)> {
            self.1.get(key).cloned()
        }

        fn visit(&self, prefix: &str, visitor: &mut dyn FnMut(&str, u64, &Bytes)) {
            let entries = self.1.range(prefix.to_owned()..);
            for (key, (revision, value)) in entries.take_while(|(key, _)| key.starts_with(prefix)) {
                visitor(key, *revision, value);
            }
        }
    }

    impl View {
        fn put<T: entries::Entry>(&mut self, key: String, value: &T) {
            self.0 += 1;
            self.1.insert(key, (self.0, entries::encode(value)));
        }
    }

    /// So many users, each with a key, a policy that all share and a small one of its own.
    fn view(sealer: &Sealer, users: u64) -> (View, Vec<String>) {
        let (mut view, mut ids) = (View::default(), Vec::new());
        for number in 0..users {
            let mut random = Zeroizing::new([0; 40]);
            random[..8].copy_from_slice(&number.to_be_bytes());
            let key = RootKey::generate(&random);
            let (id, name) = (key.access_key_id().to_owned(), format!("user-{number:06}"));
            let home = format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"s3:*",
                "Resource":"arn:aws:s3:::home/{name}/*"}}]}}"#
            );
            let user = User {
                name: name.clone(),
                id: format!("AIDA{number:017}"),
                path: "/".to_owned(),
                created: 1_795_000_000_000,
                policies: Policies {
                    attached: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()],
                    inline: BTreeMap::from([("home".to_owned(), home.into())]),
                },
                boundary: None,
                groups: Default::default(),
                keys: vec![id.clone()],
                tags: Default::default(),
            };
            view.put(entries::key::<User>(AccountId::LAB, &name), &user);
            let secret = key.secret().expose().as_bytes();
            let sealed = sealer.seal(Purpose::AccessKey, &id, secret, &[1; NONCE_BYTES]);
            let entry = AccessKey {
                account: AccountId::LAB.to_string(),
                user: name,
                created: 1_795_000_000_000,
                active: true,
                sealed: STANDARD.encode(sealed),
            };
            view.put(entries::access_key_key(&id), &entry);
            ids.push(id);
        }
        (view, ids)
    }

    /// What a node of a `BTreeMap<String, Setting>` takes for an entry, two thirds full, and the
    /// allocator for its key and its value.
    const ENTRY_OVERHEAD: usize = 64 * 3 / 2 + 3 * 16;

    /// Text that one held principal brings, at its longest, that of a managed policy, and how much
    /// of it compiled.
    const HELD_TEXT: usize = 10_240;
    const MANAGED_TEXT: usize = 6_144;
    const COMPILED: usize = 4;

    #[test]
    fn a_hundred_thousand_principals_and_their_keys_fit_in_200_mib() {
        let sealer = Arc::new(Sealer::new(&Zeroizing::new([1; 32])));
        let (view, ids) = view(&sealer, 1_500);
        let bytes: usize = view.1.iter().map(|(k, (_, v))| k.len() + v.len()).sum();
        let each = (bytes + view.1.len() * ENTRY_OVERHEAD) / ids.len();
        let settings = each * 100_000;
        assert!(settings < 120 << 20, "{each} bytes a user with its key");
        let bootstrap = Bootstrap {
            account: AccountId::LAB,
            root_keys: RootKeys::new(RootKey::generate(&Zeroizing::new([9; 40]))),
        };
        let identity = Identity::compile(None, Arc::new(view), &sealer, &bootstrap);
        assert_eq!(identity.fault_count(), 0);
        // Everybody calls once: what is held stays bounded.
        for (number, id) in ids.iter().enumerate() {
            let owner = identity.owner(id, None, Timestamp(0));
            assert!(owner.is_ok());
            let name = format!("user-{number:06}");
            let holder = identity.holder(HolderKind::User, AccountId::LAB, &name);
            assert_eq!(holder.map(|holder| holder.policies.len()), Some(2));
        }
        let directory = identity.directory.as_ref().unwrap();
        assert_eq!(directory.ready.keys.held().0, MAX_KEYS);
        assert_eq!(directory.ready.holders.held().0, MAX_HOLDERS);
        let documents = directory.shared.documents.heaviest();
        let held = (MAX_HOLDERS * HELD_TEXT + MAX_MANAGED * MANAGED_TEXT + documents) * COMPILED;
        let sessions = MAX_SESSIONS * 2 * crate::session::MAX_TOKEN;
        let all = settings + held + sessions + MAX_KEYS * 512;
        assert!(all < 200 << 20, "{all}");
    }
}
