//! What a user or role brings to a judgement, read from the configuration when it is needed.
//! Whatever of it can't be read makes it unusable: nothing is allowed that can't be judged.

use std::sync::Arc;

use types::AccountId;

use crate::Identity;
use crate::entries;
use crate::model::{self, Role, Tags, User};

/// A user or role.
pub(crate) struct Holder {
    /// The name, in the case it was given.
    pub(crate) name: String,
    /// `AIDA…` or `AROA…`.
    pub(crate) id: String,
    pub(crate) arn: String,
    pub(crate) tags: Tags,
}

/// Which kind of principal has that name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HolderKind {
    User,
    Role,
}

impl Identity {
    /// The user or role of that name, in any case.
    pub(crate) fn holder(
        &self,
        kind: HolderKind,
        account: AccountId,
        name: &str,
    ) -> Option<Arc<Holder>> {
        let directory = self.directory.as_ref()?;
        let key = match kind {
            HolderKind::User => entries::key::<User>(account, name),
            HolderKind::Role => entries::key::<Role>(account, name),
        };
        if let Some(known) = directory.ready.holders.get(&key) {
            return Some(known);
        }
        let holder = match kind {
            HolderKind::User => {
                let (_, user) = entries::at::<User>(&*directory.view, &key).ok()??;
                Holder {
                    arn: model::arn(account, "user", &user.path, &user.name),
                    name: user.name,
                    id: user.id,
                    tags: user.tags,
                }
            }
            HolderKind::Role => {
                let (_, role) = entries::at::<Role>(&*directory.view, &key).ok()??;
                Holder {
                    arn: model::arn(account, "role", &role.path, &role.name),
                    name: role.name,
                    id: role.id,
                    tags: role.tags,
                }
            }
        };
        let holder = Arc::new(holder);
        directory.ready.holders.put(key, Arc::clone(&holder), 1);
        Some(holder)
    }
}
