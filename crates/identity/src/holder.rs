//! What a user or role brings to a judgement, read from the configuration when it is needed and
//! held ready while nothing changes. Whatever of it can't be read denies everything.

use std::sync::Arc;

use aws::access::PolicyKind;
use types::AccountId;

use crate::documents::denial;
use crate::entries;
use crate::identity::Directory;
use crate::model::{self, Group, ManagedPolicy, Policies, Role, Tags, User};
use crate::policy::{Attached, Policy, Source};
use crate::{Identity, aws_managed};

/// A user or role.
pub(crate) struct Holder {
    /// The name, in the case it was given.
    pub(crate) name: String,
    /// `AIDA…` or `AROA…`.
    pub(crate) id: String,
    pub(crate) arn: String,
    pub(crate) tags: Tags,
    /// Its own policies and those of its groups.
    pub(crate) policies: Vec<Held>,
    pub(crate) boundary: Option<Held>,
    /// What only roles have.
    pub(crate) role: Option<RoleTerms>,
}

/// On which terms a role is assumed.
pub(crate) struct RoleTerms {
    /// Who may.
    pub(crate) trust: Arc<Policy>,
    /// For how many seconds at most.
    pub(crate) longest_session: u32,
}

/// A policy that somebody has, and where from.
pub(crate) struct Held {
    pub(crate) origin: Origin,
    pub(crate) policy: Arc<Policy>,
}

/// Where a policy is from.
pub(crate) enum Origin {
    /// The ARN of a managed policy.
    Managed(Box<str>),
    /// The ARN of whose it is, and its name.
    Inline(Arc<str>, Box<str>),
    /// Given with the session.
    Session,
    /// The name of a policy of the organisation.
    Organization(Box<str>),
}

impl Held {
    /// As it is asked.
    pub(crate) fn attached(&self) -> Attached<'_> {
        let source = match &self.origin {
            Origin::Managed(arn) => Source::Managed(arn),
            Origin::Inline(owner, name) => Source::Inline { owner, name },
            Origin::Session => Source::Session,
            Origin::Organization(name) => Source::Organization(name),
        };
        Attached {
            source,
            policy: &self.policy,
        }
    }
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
        // One that can't be read was noted when it came, and is nobody.
        let holder = match kind {
            HolderKind::User => {
                let (_, user) = entries::at(&*directory.view, &key).ok()??;
                directory.user(account, user)
            }
            HolderKind::Role => {
                let (_, role) = entries::at(&*directory.view, &key).ok()??;
                directory.role(account, role)
            }
        };
        let holder = Arc::new(holder);
        directory.ready.holders.put(key, Arc::clone(&holder), 1);
        Some(holder)
    }
}

impl Directory {
    fn user(&self, account: AccountId, user: User) -> Holder {
        let arn = model::arn(account, "user", &user.path, &user.name);
        let mut policies = self.policies_of(&arn, &user.policies);
        for name in &user.groups {
            match entries::read::<Group>(&*self.view, account, name) {
                Ok(Some((_, group))) => {
                    let arn = model::arn(account, "group", &group.path, &group.name);
                    policies.extend(self.policies_of(&arn, &group.policies));
                }
                // What the group would deny is not known.
                _ => policies.push(Held {
                    origin: Origin::Inline(
                        entries::key::<Group>(account, name).into(),
                        "a group that can't be read".into(),
                    ),
                    policy: denial(PolicyKind::Identity),
                }),
            }
        }
        Holder {
            policies,
            boundary: user.boundary.as_deref().map(|arn| self.managed(arn)),
            arn,
            name: user.name,
            id: user.id,
            tags: user.tags,
            role: None,
        }
    }

    fn role(&self, account: AccountId, role: Role) -> Holder {
        let arn = model::arn(account, "role", &role.path, &role.name);
        let documents = &self.shared.documents;
        Holder {
            policies: self.policies_of(&arn, &role.policies),
            boundary: role.boundary.as_deref().map(|arn| self.managed(arn)),
            arn,
            name: role.name,
            id: role.id,
            tags: role.tags,
            role: Some(RoleTerms {
                trust: documents.or_denial(PolicyKind::Trust, &role.trust),
                longest_session: role.longest_session,
            }),
        }
    }

    fn policies_of(&self, owner: &str, policies: &Policies) -> Vec<Held> {
        let owner: Arc<str> = owner.into();
        let managed = policies.attached.iter().map(|arn| self.managed(arn));
        let documents = &self.shared.documents;
        let inline = policies.inline.iter().map(|(name, document)| Held {
            origin: Origin::Inline(Arc::clone(&owner), name.as_str().into()),
            policy: documents.or_denial(PolicyKind::Identity, document),
        });
        managed.chain(inline).collect()
    }

    /// A managed policy as it is now; one that is not there, or can't be read, denies everything.
    pub(crate) fn managed(&self, arn: &str) -> Held {
        let policy = self.managed_policy(arn);
        Held {
            origin: Origin::Managed(arn.into()),
            policy: policy.unwrap_or_else(|| denial(PolicyKind::Identity)),
        }
    }

    /// A managed policy, if it is there and can be read.
    pub(crate) fn managed_policy(&self, arn: &str) -> Option<Arc<Policy>> {
        if let Some(known) = self.ready.managed.get(arn) {
            return Some(known);
        }
        let policy = self.compiled_managed(arn)?;
        let managed = &self.ready.managed;
        managed.put(arn.to_owned(), Arc::clone(&policy), 1);
        Some(policy)
    }

    fn compiled_managed(&self, arn: &str) -> Option<Arc<Policy>> {
        let documents = &self.shared.documents;
        let compiled = |document: &str| documents.compiled(PolicyKind::Identity, document).ok();
        if let Some(document) = aws_managed::document(arn) {
            return compiled(document);
        }
        let rest = arn.strip_prefix("arn:aws:iam::")?;
        let (account, path) = rest.split_once(":policy/")?;
        let account: AccountId = account.parse().ok()?;
        let name = path.rsplit('/').next()?;
        let (_, policy) = entries::read::<ManagedPolicy>(&*self.view, account, name).ok()??;
        if model::arn(account, "policy", &policy.path, &policy.name) != arn {
            return None;
        }
        compiled(&policy.versions.get(&policy.default_version)?.document)
    }
}
