//! Managed policies by their ARN: the account's own, and those of AWS; and how often each is
//! used. Nobody's but these two kinds can be named: another account's policies are its own.

use std::collections::BTreeMap;

use aws::access::Denied;
use types::{AccountId, ConfigurationEdit, ConfigurationView};

use super::change;
use super::error::IamError;
use super::holder::Holder;
use super::parameters::{PATH, POLICY_ARN, Parameter};
use super::request::IamRequest;
use crate::aws_managed::{self, AwsManagedPolicy};
use crate::entries;
use crate::model::{Group, ManagedPolicy, Role, User, arn};

/// A managed policy that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Managed {
    /// Of AWS.
    Aws(&'static AwsManagedPolicy),
    /// Of the account, with the revision that set it.
    Local(u64, Box<ManagedPolicy>),
}

impl Managed {
    /// The policy with that ARN, as that account sees it.
    ///
    /// # Errors
    ///
    /// It can't be read.
    pub(crate) fn find(
        view: &dyn ConfigurationView,
        account: AccountId,
        policy_arn: &str,
    ) -> Result<Option<Managed>, IamError> {
        if let Some(policy) = aws_managed::find(policy_arn) {
            return Ok(Some(Managed::Aws(policy)));
        }
        let Some(name) = local_name(account, policy_arn) else {
            return Ok(None);
        };
        let found = entries::read::<ManagedPolicy>(view, account, name)?;
        let is_it = |(_, policy): &(u64, ManagedPolicy)| {
            arn(account, "policy", &policy.path, &policy.name) == policy_arn
        };
        let found = found.filter(is_it);
        Ok(found.map(|(revision, policy)| Managed::Local(revision, Box::new(policy))))
    }

    /// May it be attached and be a boundary?
    pub(crate) fn is_attachable(&self) -> bool {
        match self {
            Managed::Aws(policy) => policy.attachable,
            Managed::Local(..) => true,
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Managed::Aws(policy) => policy.name,
            Managed::Local(_, policy) => &policy.name,
        }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &str {
        match self {
            Managed::Aws(policy) => policy.path,
            Managed::Local(_, policy) => &policy.path,
        }
    }

    /// The document of the version that holds.
    pub(crate) fn document(&self) -> Option<&str> {
        match self {
            Managed::Aws(policy) => Some(policy.document),
            Managed::Local(_, policy) => {
                let version = policy.versions.get(&policy.default_version);
                version.map(|version| &*version.document)
            }
        }
    }
}

/// The name in the ARN of a policy of that account: what follows the last slash.
fn local_name(account: AccountId, policy_arn: &str) -> Option<&str> {
    let rest = policy_arn.strip_prefix("arn:aws:iam::")?;
    let rest = rest.strip_prefix(&*account.to_string())?;
    let name = name_in(rest.strip_prefix(":policy/")?);
    (!name.is_empty()).then_some(name)
}

/// Is this text of the form of a policy's ARN? What isn't is refused as such; what is may yet be
/// the ARN of nothing.
pub(crate) fn is_policy_arn(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("arn:aws:iam::") else {
        return false;
    };
    let Some((account, resource)) = rest.split_once(':') else {
        return false;
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-/".contains(&byte);
    let name = resource.strip_prefix("policy/");
    (account == "aws" || account.parse::<AccountId>().is_ok())
        && name.is_some_and(|name| {
            !name.is_empty() && !name.ends_with('/') && name.bytes().all(allowed)
        })
}

/// The name that the ARN of a policy ends with.
pub(crate) fn name_in(policy_arn: &str) -> &str {
    policy_arn.rsplit('/').next().unwrap_or(policy_arn)
}

/// The path in the ARN of a policy: `/` or `/division/`.
pub(crate) fn path_in(policy_arn: &str) -> &str {
    let resource = policy_arn.splitn(6, ':').nth(5).unwrap_or("");
    let path = resource.strip_prefix("policy").unwrap_or("");
    path.strip_suffix(name_in(policy_arn)).unwrap_or("/")
}

/// What lists of policies are sorted by: their names without regard to case, and of two of one
/// name AWS's first.
pub(crate) fn order(policy_arn: &str) -> String {
    let whose = match policy_arn.starts_with(aws_managed::ARN_PREFIX) {
        true => "aws",
        false => "own",
    };
    format!("{}/{whose}", name_in(policy_arn).to_ascii_lowercase())
}

/// What the paths of listed policies begin with.
pub(crate) const PATH_PREFIX: Parameter = PATH.named("PathPrefix");

/// How often a policy is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Usage {
    /// By how many users, groups and roles it is attached.
    pub(crate) attached: usize,
    /// Of how many users and roles it is the boundary.
    pub(crate) boundary: usize,
}

impl Usage {
    /// Is it used at all?
    pub(crate) fn is_any(self) -> bool {
        self != Usage::default()
    }
}

/// How often the policy with that ARN is used in that account.
///
/// # Errors
///
/// A user, group or role can't be read.
pub(crate) fn usage_of(
    view: &dyn ConfigurationView,
    account: AccountId,
    policy_arn: &str,
) -> Result<Usage, IamError> {
    let mut usage = Usage::default();
    count::<User>(view, account, policy_arn, &mut usage)?;
    count::<Group>(view, account, policy_arn, &mut usage)?;
    count::<Role>(view, account, policy_arn, &mut usage)?;
    Ok(usage)
}

fn count<T: Holder>(
    view: &dyn ConfigurationView,
    account: AccountId,
    policy_arn: &str,
    usage: &mut Usage,
) -> Result<(), IamError> {
    for (_, holder) in users_of::<T>(view, account, policy_arn)? {
        usage.attached += usize::from(holder.policies().attached.iter().any(|a| a == policy_arn));
        usage.boundary += usize::from(holder.boundary() == Some(policy_arn));
    }
    Ok(())
}

/// Everything of that kind in that account that has the policy attached or for a boundary, and
/// perhaps a few more that mention it: only what does is decoded.
///
/// # Errors
///
/// One of them can't be read.
pub(crate) fn users_of<T: Holder>(
    view: &dyn ConfigurationView,
    account: AccountId,
    policy_arn: &str,
) -> Result<Vec<(u64, T)>, IamError> {
    let (mut found, mut failed) = (Vec::new(), None);
    view.visit(
        &entries::prefix::<T>(account),
        &mut |key, revision, bytes| {
            // JSON writes the characters that an ARN of a policy can have as they are.
            let text = std::str::from_utf8(bytes);
            if text.is_ok_and(|text| !text.contains(policy_arn)) {
                return;
            }
            match entries::decode(key, bytes) {
                Ok(value) => found.push((revision, value)),
                Err(error) => failed = failed.take().or(Some(error)),
            }
        },
    );
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(found),
    }
}

/// How often every policy that is used in that account is used, by ARN.
///
/// # Errors
///
/// A user, group or role can't be read.
pub(crate) fn usages(
    view: &dyn ConfigurationView,
    account: AccountId,
) -> Result<BTreeMap<String, Usage>, IamError> {
    let mut usages = BTreeMap::new();
    count_all::<User>(view, account, &mut usages)?;
    count_all::<Group>(view, account, &mut usages)?;
    count_all::<Role>(view, account, &mut usages)?;
    Ok(usages)
}

fn count_all<T: Holder>(
    view: &dyn ConfigurationView,
    account: AccountId,
    usages: &mut BTreeMap<String, Usage>,
) -> Result<(), IamError> {
    for (_, holder) in entries::all::<T>(view, account)? {
        for policy_arn in &holder.policies().attached {
            usages.entry(policy_arn.clone()).or_default().attached += 1;
        }
        if let Some(policy_arn) = holder.boundary() {
            usages.entry(policy_arn.to_owned()).or_default().boundary += 1;
        }
    }
    Ok(())
}

/// The policy that the request names by `PolicyArn`, as the caller's account sees it.
///
/// # Errors
///
/// That is no policy's ARN, or there is no such policy.
pub(crate) fn named<'a>(request: &IamRequest<'a>) -> Result<(&'a str, Managed), IamError> {
    let policy_arn = request.required(&POLICY_ARN)?;
    check_arn(policy_arn)?;
    let found = Managed::find(request.view(), request.account(), policy_arn)?;
    let missing = || IamError::NoSuchEntity(format!("Policy {policy_arn} was not found."));
    Ok((policy_arn, found.ok_or_else(missing)?))
}

/// The account's own policy that the request names, with the revision that set it.
///
/// # Errors
///
/// As of [`named`]; and policies of AWS nobody can change.
pub(crate) fn own(request: &IamRequest<'_>) -> Result<(u64, ManagedPolicy), IamError> {
    match named(request)? {
        (_, Managed::Local(revision, policy)) => Ok((revision, *policy)),
        (policy_arn, Managed::Aws(_)) => Err(IamError::Denied(Denied {
            message: format!(
                "User: {} is not authorized to perform: iam:{} on resource: policy {policy_arn}",
                request.caller().arn(),
                request.operation()
            ),
        })),
    }
}

/// Is it of the form of a policy's ARN?
///
/// # Errors
///
/// It isn't.
pub(crate) fn check_arn(policy_arn: &str) -> Result<(), IamError> {
    if is_policy_arn(policy_arn) {
        return Ok(());
    }
    let shown: String = policy_arn.chars().take(512).collect();
    Err(IamError::InvalidInput(format!("ARN {shown} is not valid.")))
}

/// What a change that begins to name a policy must hold of it: that it is there, until the change
/// is made. `NotAttachable`: the account can't be given it.
///
/// # Errors
///
/// That is no policy's ARN, there is no such policy, or it is its service's alone.
pub(crate) fn hold(
    request: &IamRequest<'_>,
    policy_arn: &str,
) -> Result<Vec<ConfigurationEdit>, IamError> {
    check_arn(policy_arn)?;
    let account = request.account();
    let found = Managed::find(request.view(), account, policy_arn)?;
    let Some(managed) = found else {
        return Err(IamError::NoSuchEntity(format!(
            "Policy {policy_arn} does not exist or is not attachable."
        )));
    };
    if !managed.is_attachable() {
        return Err(IamError::PolicyNotAttachable(
            "Cannot attach a Service Role Policy to a Customer Role.".to_owned(),
        ));
    }
    let key = match managed {
        Managed::Aws(_) => return Ok(Vec::new()),
        Managed::Local(_, policy) => entries::key::<ManagedPolicy>(account, &policy.name),
    };
    Ok(change::hold(request.view(), key).into_iter().collect())
}
