//! What is of an account as a whole: its alias, and how much it has of what.

use aws::query::Reply;
use types::{ConfigurationEdit, ConfigurationExpected};

use crate::iam::change::put;
use crate::iam::limits::{self, GROUPS_PER_USER};
use crate::iam::paging::Paging;
use crate::iam::parameters::ACCOUNT_ALIAS;
use crate::iam::request::IamRequest;
use crate::iam::{IamError, lookup};
use crate::model::{Account, Group, InstanceProfile, ManagedPolicy, Role, User};
use crate::{Service, entries};

/// `CreateAccountAlias`: an account has one, so that it takes the place of an earlier one. No two
/// accounts of a deployment have the same.
pub(crate) async fn create_alias(
    service: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let alias = request.required(&ACCOUNT_ALIAS)?;
    let key = entries::account_key(request.account());
    let now = service.now().0;
    let attempt = |request: &IamRequest<'_>| {
        let place = entries::alias_key(alias);
        if request.view().get(&place).is_some() {
            return Err(IamError::EntityAlreadyExists(format!(
                "The account alias {alias} already exists."
            )));
        }
        let found = entries::at::<Account>(request.view(), &key)?;
        let revision = found.as_ref().map(|(revision, _)| *revision);
        let mut account = found.map_or_else(|| empty(now), |(_, account)| account);
        let mut edits = vec![ConfigurationEdit {
            key: place,
            expected: ConfigurationExpected::Absent,
            value: Some(request.account().to_string().into()),
        }];
        let replaced = account.alias.replace(alias.to_owned());
        edits.extend(replaced.map(|replaced| freed(request, &replaced)));
        edits.push(put(key.clone(), revision, &account));
        Ok((edits, ()))
    };
    service.change_for(request, &key, attempt).await?;
    Ok(request.done())
}

/// The account of a deployment's operator may have no entry yet.
fn empty(now: u64) -> Account {
    Account {
        created: now,
        ..Account::default()
    }
}

/// The edit that frees an alias of the caller's account.
fn freed(request: &IamRequest<'_>, alias: &str) -> ConfigurationEdit {
    let key = entries::alias_key(alias);
    let found = request.view().get(&key);
    ConfigurationEdit {
        expected: found.map_or(ConfigurationExpected::Absent, |(revision, _)| {
            ConfigurationExpected::Revision(revision)
        }),
        key,
        value: None,
    }
}

/// `DeleteAccountAlias`.
pub(crate) async fn delete_alias(
    service: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let alias = request.required(&ACCOUNT_ALIAS)?;
    let key = entries::account_key(request.account());
    let attempt = |request: &IamRequest<'_>| {
        let found = entries::at::<Account>(request.view(), &key)?;
        let found = found.filter(|(_, account)| account.alias.as_deref() == Some(alias));
        let Some((revision, mut account)) = found else {
            return Err(IamError::NoSuchEntity(format!(
                "The account alias {alias} cannot be found."
            )));
        };
        account.alias = None;
        let edits = vec![
            put(key.clone(), Some(revision), &account),
            freed(request, alias),
        ];
        Ok((edits, ()))
    };
    service.change_for(request, &key, attempt).await?;
    Ok(request.done())
}

/// `ListAccountAliases`: the one there is, if there is.
pub(crate) async fn list_aliases(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let key = entries::account_key(request.account());
    let account = entries::at::<Account>(request.view(), &key)?;
    let alias = account.and_then(|(_, account)| account.alias);
    let aliases = alias.map(|alias| (alias.clone(), alias));
    let page = Paging::of(request)?.page(aliases);
    let mut reply = request.reply();
    page.write(reply.writer(), "AccountAliases", |writer, alias| {
        writer.value("member", alias);
    });
    Ok(reply)
}

/// `GetAccountSummary`: how much there is, and how much there may be.
pub(crate) async fn summary(
    service: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let identity = service.identity();
    let root_keys = identity.accounts.root_keys(request.account());
    let policies = entries::all::<ManagedPolicy>(request.view(), request.account())?;
    let versions = policies.iter().map(|(_, policy)| policy.versions.len());
    let figures: [(&str, usize); 32] = [
        ("AccessKeysPerUserQuota", limits::ACCESS_KEYS_PER_USER),
        ("AccountAccessKeysPresent", root_keys.is_some().into()),
        ("AccountMFAEnabled", 0),
        ("AccountPasswordPresent", 0),
        ("AccountSigningCertificatesPresent", 0),
        ("AssumeRolePolicySizeQuota", limits::TRUST_POLICY_SIZE),
        ("AttachedPoliciesPerGroupQuota", limits::ATTACHED_POLICIES),
        ("AttachedPoliciesPerRoleQuota", limits::ATTACHED_POLICIES),
        ("AttachedPoliciesPerUserQuota", limits::ATTACHED_POLICIES),
        ("GroupPolicySizeQuota", limits::GROUP_INLINE_SIZE),
        ("Groups", lookup::count::<Group>(request)),
        ("GroupsPerUserQuota", GROUPS_PER_USER),
        ("GroupsQuota", limits::GROUPS_PER_ACCOUNT),
        (
            "InstanceProfiles",
            lookup::count::<InstanceProfile>(request),
        ),
        (
            "InstanceProfilesQuota",
            limits::INSTANCE_PROFILES_PER_ACCOUNT,
        ),
        ("MFADevices", 0),
        ("MFADevicesInUse", 0),
        ("Policies", policies.len()),
        ("PoliciesQuota", limits::POLICIES_PER_ACCOUNT),
        ("PolicySizeQuota", limits::POLICY_SIZE),
        ("PolicyVersionsInUse", versions.sum()),
        ("PolicyVersionsInUseQuota", 10_000),
        ("Providers", 0),
        ("RolePolicySizeQuota", limits::ROLE_INLINE_SIZE),
        ("Roles", lookup::count::<Role>(request)),
        ("RolesQuota", limits::ROLES_PER_ACCOUNT),
        ("ServerCertificates", 0),
        ("ServerCertificatesQuota", 20),
        ("UserPolicySizeQuota", limits::USER_INLINE_SIZE),
        ("Users", lookup::count::<User>(request)),
        ("UsersQuota", limits::USERS_PER_ACCOUNT),
        ("VersionsPerPolicyQuota", limits::VERSIONS_PER_POLICY),
    ];
    let mut reply = request.reply();
    let writer = reply.writer();
    writer.open("SummaryMap");
    for (key, value) in figures {
        writer
            .open("entry")
            .value("key", key)
            .value("value", value)
            .close();
    }
    writer.close();
    Ok(reply)
}
