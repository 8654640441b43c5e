//! How a service of this house acts as a role: the role as it is now, if its trust policy lets the
//! service in, and then as the judge of what it may. Nothing is kept and no credentials are made:
//! who asks again is judged again.

use std::sync::Arc;

use aws::access::{ConditionKeys, PolicyKind};
use types::{AccountId, Timestamp};

use crate::holder::HolderKind;
use crate::iam;
use crate::judge::attached;
use crate::policy::{Attached, Inquiry, Layers, PrincipalView, Source, decide};
use crate::{Call, Caller, Identity, RequestContext};

/// Why a service may not act as a role.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AssumeRefusal {
    /// There is no such role.
    #[error("there is no such role")]
    NoSuchRole,
    /// Its trust policy doesn't let the service in.
    #[error("the role's trust policy does not allow the service to assume it")]
    NotTrusted,
}

impl Identity {
    /// The role of that ARN, assumed by that service (`s3.amazonaws.com`) for what belongs to the
    /// role's own account, in a session of that name.
    ///
    /// # Errors
    ///
    /// [`AssumeRefusal`].
    pub fn assume_for_service(
        self: &Arc<Identity>,
        service: &str,
        role: &str,
        session: &str,
        region: &str,
        now: Timestamp,
    ) -> Result<Call, AssumeRefusal> {
        let (account, name) = split(role).ok_or(AssumeRefusal::NoSuchRole)?;
        let holder = self.holder(HolderKind::Role, account, name);
        let holder = holder.filter(|holder| holder.arn == role);
        let holder = holder.ok_or(AssumeRefusal::NoSuchRole)?;
        let terms = holder.role.as_ref().ok_or(AssumeRefusal::NoSuchRole)?;
        debug_assert_eq!(terms.trust.kind(), PolicyKind::Trust);
        let keys = keys(service, account, session, region, now);
        let inquiry = Inquiry {
            action: "sts:AssumeRole",
            resource: role,
            account,
            principal: PrincipalView::Service { name: service },
            keys: &keys,
        };
        let limits = attached(self.accounts.resource_control(account));
        let layers = Layers {
            resource_control: &limits,
            resource: Some(Attached {
                source: Source::Resource(role),
                policy: &terms.trust,
            }),
            ..Layers::default()
        };
        if !decide(&inquiry, &layers).is_allowed() {
            return Err(AssumeRefusal::NotTrusted);
        }
        let context = RequestContext {
            source_ip: None,
            secure_transport: true,
            user_agent: None,
            referer: None,
            region: region.to_owned(),
            now,
        };
        let caller = Caller::role(account, holder, session);
        Ok(Call::new(Arc::clone(self), caller, context))
    }
}

/// The account and the name in a role's ARN.
fn split(role: &str) -> Option<(AccountId, &str)> {
    let rest = role.strip_prefix("arn:aws:iam::")?;
    let (account, path) = rest.split_once(":role/")?;
    Some((account.parse().ok()?, path.rsplit('/').next()?))
}

/// What trust policies can ask of a service (IAM User Guide, "The confused deputy problem").
fn keys(
    service: &str,
    account: AccountId,
    session: &str,
    region: &str,
    now: Timestamp,
) -> ConditionKeys {
    let mut keys = ConditionKeys::default();
    for (name, value) in [
        ("aws:SourceAccount", account.to_string()),
        ("aws:PrincipalServiceName", service.to_owned()),
        ("aws:PrincipalIsAWSService", "true".to_owned()),
        ("aws:RequestedRegion", region.to_owned()),
        ("aws:SecureTransport", "true".to_owned()),
        ("aws:CurrentTime", iam::time(now.0)),
        ("aws:EpochTime", (now.0 / 1000).to_string()),
        ("sts:RoleSessionName", session.to_owned()),
    ] {
        keys.set(name, vec![value]);
    }
    keys
}
