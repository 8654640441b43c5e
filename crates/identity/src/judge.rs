//! Gathers the policies that have a say in what a caller asks, each in its layer. It decides
//! nothing: `policy` does.

use std::sync::Arc;

use aws::access::PolicyKind;
use types::AccountId;

use crate::caller::Principal;
use crate::holder::{Held, Origin};
use crate::policy::{Attached, Layers, PrincipalView};
use crate::session::Content;
use crate::{Caller, Identity};

/// The policies that have a say, by layer.
pub(crate) struct Gathered<'a> {
    service_control: Option<Vec<Attached<'a>>>,
    resource_control: Vec<Attached<'a>>,
    resource: Option<Attached<'a>>,
    identity: Vec<Attached<'a>>,
    boundary: Option<Attached<'a>>,
    session: Option<Vec<Attached<'a>>>,
}

impl<'a> Gathered<'a> {
    /// What a caller brings, and what limits things of the account that owns the resource.
    /// `resource` is the resource's own policy.
    pub(crate) fn new(
        identity: &'a Identity,
        caller: &'a Caller,
        owner: AccountId,
        resource: Option<Attached<'a>>,
    ) -> Gathered<'a> {
        let accounts = &identity.accounts;
        let holder = caller.holder.as_deref();
        Gathered {
            service_control: accounts.service_control(caller.account).map(attached),
            resource_control: attached(accounts.resource_control(owner)),
            resource,
            identity: holder.map_or_else(Vec::new, |holder| attached(&holder.policies)),
            boundary: holder.and_then(|holder| holder.boundary.as_ref().map(Held::attached)),
            session: caller.limits.as_deref().map(attached),
        }
    }

    /// The layers as `policy` asks them.
    pub(crate) fn layers(&'a self) -> Layers<'a> {
        Layers {
            service_control: self.service_control.as_deref(),
            resource_control: &self.resource_control,
            resource: self.resource,
            identity: &self.identity,
            boundary: self.boundary,
            session: self.session.as_deref(),
        }
    }
}

/// Those policies as they are asked.
pub(crate) fn attached(held: &[Held]) -> Vec<Attached<'_>> {
    held.iter().map(Held::attached).collect()
}

impl Caller {
    /// The caller as policies know it.
    pub(crate) fn view(&self) -> PrincipalView<'_> {
        let account = self.account;
        match &self.principal {
            Principal::Root => PrincipalView::Root { account },
            Principal::User(_) => PrincipalView::User {
                account,
                arn: &self.arn,
                id: self.holder_id(),
            },
            Principal::Role { .. } => PrincipalView::Session {
                account,
                role: &self.principal_arn,
                session: &self.arn,
                role_id: self.holder_id(),
            },
        }
    }
}

impl Caller {
    /// The unique id of the user, or of the role.
    fn holder_id(&self) -> &str {
        self.holder.as_deref().map_or("", |holder| &holder.id)
    }
}

impl Identity {
    /// The policies that limit a session; `None`: it was given none.
    pub(crate) fn limits(&self, content: &Content) -> Option<Arc<[Held]>> {
        if content.policy.is_none() && content.policy_arns.is_empty() {
            return None;
        }
        let directory = self.directory.as_ref()?;
        let documents = &directory.shared.documents;
        let given = content.policy.iter().map(|document| Held {
            origin: Origin::Session,
            policy: documents.or_denial(PolicyKind::Identity, document),
        });
        let managed = content.policy_arns.iter();
        let managed = managed.map(|arn| directory.managed(arn));
        Some(given.chain(managed).collect())
    }
}
