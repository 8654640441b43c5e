//! AssumeRole: a session of a role, for whom the role's trust policy lets in and, of another
//! account, its own policies let out.

use std::sync::Arc;

use aws::access::{ConditionKeys, Question};
use aws::query::{Reply, STS};
use types::AccountId;

use super::error::StsError;
use super::parameters::{
    self, EXTERNAL_ID, ROLE_ARN, ROLE_SESSION_NAME, SOURCE_IDENTITY, duration,
};
use super::session_policy::SessionPolicies;
use super::tags::SessionTags;
use super::{Request, issue};
use crate::Caller;
use crate::caller::Principal;
use crate::holder::{Holder, HolderKind, RoleTerms};
use crate::session::{Content, SessionKind};

/// The shortest session, and how long one is that nobody says the length of, in seconds.
const SHORTEST: u32 = 900;
const USUAL: u32 = 3_600;

/// The longest session of any role, in seconds.
const LONGEST: u32 = 43_200;

/// The longest session of a role that another role's session assumes, in seconds (role chaining).
const LONGEST_CHAINED: u32 = 3_600;

/// What is asked for.
struct Wanted<'a> {
    arn: &'a str,
    session: &'a str,
    external_id: Option<&'a str>,
    seconds: Option<u32>,
    source_identity: Option<&'a str>,
    tags: SessionTags,
}

/// The role, and what says who may assume it.
struct Role {
    account: AccountId,
    holder: Arc<Holder>,
}

impl Role {
    fn terms(&self) -> Option<&RoleTerms> {
        self.holder.role.as_ref()
    }
}

pub(super) fn execute(request: &Request<'_>) -> Result<Reply, StsError> {
    let caller = request.call.caller();
    let wanted = read(request)?;
    if caller.principal == Principal::Root {
        return Err(StsError::Root);
    }
    // A role that isn't there is refused as one that may not be assumed.
    let role = find(request, wanted.arn).ok_or_else(|| denied(caller, "AssumeRole", wanted.arn))?;
    judge(request, &wanted, &role)?;
    let seconds = seconds(caller, &wanted, &role)?;
    let policies =
        SessionPolicies::read(&request.members(), request.call.identity(), role.account)?;
    let (tags, transitive) = wanted.tags.whole();
    let packed = policies.packed(&tags)?;
    let issued = request.now();
    let content = Content {
        kind: SessionKind::Role,
        account: role.account,
        name: role.holder.name.clone(),
        id: role.holder.id.clone(),
        session: wanted.session.to_owned(),
        policy: policies.document,
        policy_arns: policies.arns,
        tags,
        transitive,
        source_identity: wanted.source_identity.map(str::to_owned),
        issued,
        expires: issued + u64::from(seconds) * 1_000,
    };
    let assumed = Caller::role(role.account, role.holder, wanted.session);
    let mut reply = Reply::with_result(&STS, "AssumeRole");
    let source_identity = content.source_identity.clone();
    issue(request.service, content, reply.writer());
    reply
        .writer()
        .open("AssumedRoleUser")
        .value("AssumedRoleId", assumed.user_id())
        .value("Arn", assumed.arn())
        .close()
        .optional("PackedPolicySize", packed)
        .optional("SourceIdentity", source_identity);
    Ok(reply)
}

fn read<'a>(request: &Request<'a>) -> Result<Wanted<'a>, StsError> {
    let members = request.members();
    let calling = request.call.caller().session();
    let arn = ROLE_ARN.required(&members)?;
    let session = ROLE_SESSION_NAME.required(&members)?;
    parameters::refuse_not_built(&members)?;
    let given = SOURCE_IDENTITY.optional(&members)?;
    if given.is_some_and(|identity| identity.to_ascii_lowercase().starts_with("aws:")) {
        return Err(StsError::InvalidParameter(
            "A source identity must not begin with aws:.",
        ));
    }
    // Who is behind a session stays so in all sessions that are assumed from it.
    let inherited = calling.and_then(|calling| calling.source_identity.as_deref());
    if let (Some(given), Some(inherited)) = (given, inherited)
        && given != inherited
    {
        return Err(denied(request.call.caller(), "SetSourceIdentity", arn));
    }
    Ok(Wanted {
        arn,
        session,
        external_id: EXTERNAL_ID.optional(&members)?,
        seconds: duration(&members, SHORTEST, LONGEST)?,
        source_identity: given.or(inherited),
        tags: SessionTags::read(&members, calling)?,
    })
}

fn find(request: &Request<'_>, arn: &str) -> Option<Role> {
    let rest = arn.strip_prefix("arn:aws:iam::")?;
    let (account, path) = rest.split_once(":role/")?;
    let account: AccountId = account.parse().ok()?;
    let name = path.rsplit('/').next()?;
    let identity = request.call.identity();
    let holder = identity.holder(HolderKind::Role, account, name)?;
    (holder.arn == arn).then_some(Role { account, holder })
}

/// May the caller assume the role, with those tags and that source identity?
fn judge(request: &Request<'_>, wanted: &Wanted<'_>, role: &Role) -> Result<(), StsError> {
    let keys = condition_keys(wanted, &role.holder);
    let wants = [
        ("AssumeRole", true),
        ("TagSession", !wanted.tags.is_empty()),
        ("SetSourceIdentity", wanted.source_identity.is_some()),
    ];
    let refused = |action| denied(request.call.caller(), action, wanted.arn);
    let terms = role.terms().ok_or_else(|| refused("AssumeRole"))?;
    for (action, _) in wants.into_iter().filter(|(_, wanted)| *wanted) {
        let question = Question {
            keys: keys.clone(),
            ..Question::new(format!("sts:{action}"), wanted.arn, role.account)
        };
        let judged = request.call.judge(&question, Some(&terms.trust));
        judged.map_err(|_| refused(action))?;
    }
    Ok(())
}

/// What trust policies can ask of the request (IAM User Guide, "Available keys for AWS STS").
fn condition_keys(wanted: &Wanted<'_>, role: &Holder) -> ConditionKeys {
    let mut keys = ConditionKeys::default();
    keys.set("sts:RoleSessionName", vec![wanted.session.to_owned()]);
    if let Some(id) = wanted.external_id {
        keys.set("sts:ExternalId", vec![id.to_owned()]);
    }
    if let Some(identity) = wanted.source_identity {
        keys.set("sts:SourceIdentity", vec![identity.to_owned()]);
    }
    let tags = &wanted.tags;
    if !tags.passed.is_empty() {
        let names = tags.passed.keys().cloned().collect();
        keys.set("aws:TagKeys", names);
    }
    if !tags.transitive.is_empty() {
        keys.set("sts:TransitiveTagKeys", tags.transitive.clone());
    }
    for (key, value) in &tags.passed {
        keys.set(format!("aws:RequestTag/{key}"), vec![value.clone()]);
    }
    for (key, value) in &role.tags {
        keys.set(format!("aws:ResourceTag/{key}"), vec![value.clone()]);
        keys.set(format!("iam:ResourceTag/{key}"), vec![value.clone()]);
    }
    keys
}

fn seconds(caller: &Caller, wanted: &Wanted<'_>, role: &Role) -> Result<u32, StsError> {
    let seconds = wanted.seconds.unwrap_or(USUAL);
    let chained = caller
        .session()
        .is_some_and(|session| session.kind == SessionKind::Role);
    if chained && seconds > LONGEST_CHAINED {
        return Err(StsError::ChainedTooLong);
    }
    let longest = role.terms().map_or(USUAL, |terms| terms.longest_session);
    match seconds > longest.max(USUAL) {
        true => Err(StsError::TooLong),
        false => Ok(seconds),
    }
}

/// As STS words it: it doesn't tell why, nor whether there is such a role.
fn denied(caller: &Caller, action: &str, role: &str) -> StsError {
    StsError::denied(format!(
        "User: {} is not authorized to perform: sts:{action} on resource: {role}",
        caller.arn()
    ))
}
