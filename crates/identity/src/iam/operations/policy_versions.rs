//! Versions of managed policies: to make, read, list and delete them, and to say which one holds.

use aws::query::Reply;

use crate::Service;
use crate::entries;
use crate::iam::documents;
use crate::iam::error::IamError;
use crate::iam::paging::Paging;
use crate::iam::parameters::{self, Parameter, Text};
use crate::iam::request::IamRequest;
use crate::iam::{change, limits, managed, policy_shapes};
use crate::model::{ManagedPolicy, PolicyVersion};

/// A version: `v3`.
const VERSION_ID: Parameter = Parameter {
    name: "VersionId",
    shortest: 0,
    longest: 128,
    text: Text::Any,
};

/// `CreatePolicyVersion`: it holds at once where the request says so.
pub(crate) async fn create(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let policy_arn = request.required(&parameters::POLICY_ARN)?;
    let document = documents::given(request, "PolicyDocument")?;
    let is_default = request.flag("SetAsDefault")?.unwrap_or(false);
    documents::check_managed(document)?;
    let version = PolicyVersion {
        document: document.into(),
        created: service.now().0,
    };
    let number = service
        .change_for(request, policy_arn, |request| {
            let (revision, mut policy) = managed::own(request)?;
            if policy.versions.len() >= limits::VERSIONS_PER_POLICY {
                return Err(IamError::LimitExceeded(format!(
                    "A managed policy can have up to {} versions. Before you create a new \
                     version, you must delete an existing version.",
                    limits::VERSIONS_PER_POLICY
                )));
            }
            let number = policy.next_version;
            policy.next_version = number.saturating_add(1);
            policy.versions.insert(number, version.clone());
            policy.updated = version.created;
            if is_default {
                policy.default_version = number;
            }
            Ok((vec![edit(request, revision, &policy)], number))
        })
        .await?;
    let mut reply = request.reply();
    let writer = reply.writer();
    policy_shapes::version(writer, "PolicyVersion", number, &version, is_default, false);
    Ok(reply)
}

/// `GetPolicyVersion`: with its document.
pub(crate) async fn get(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let (policy_arn, policy) = managed::named(request)?;
    let number = version_id(request)?;
    let found = policy
        .versions()
        .into_iter()
        .find(|(known, _)| *known == number);
    let (_, version) = found.ok_or_else(|| missing(policy_arn, number))?;
    let is_default = number == policy.default_version();
    let mut reply = request.reply();
    let writer = reply.writer();
    policy_shapes::version(writer, "PolicyVersion", number, &version, is_default, true);
    Ok(reply)
}

/// `ListPolicyVersions`: the newest first, without their documents.
pub(crate) async fn list(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let paging = Paging::of(request)?;
    let (_, policy) = managed::named(request)?;
    let versions = policy.versions().into_iter();
    let page = paging.page(versions.map(|(number, version)| {
        let order = format!("{:010}", u32::MAX - number);
        (order, (number, version))
    }));
    let mut reply = request.reply();
    page.write(reply.writer(), "Versions", |writer, (number, version)| {
        let is_default = *number == policy.default_version();
        policy_shapes::version(writer, "member", *number, version, is_default, false);
    });
    Ok(reply)
}

/// `DeletePolicyVersion`: of any but the one that holds.
pub(crate) async fn delete(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let policy_arn = request.required(&parameters::POLICY_ARN)?;
    let number = version_id(request)?;
    service
        .change_for(request, policy_arn, |request| {
            let (revision, mut policy) = managed::own(request)?;
            if number == policy.default_version {
                return Err(IamError::PolicyInUse(
                    "Cannot delete the default version of a policy.",
                ));
            }
            let removed = policy.versions.remove(&number);
            removed.ok_or_else(|| missing(policy_arn, number))?;
            Ok((vec![edit(request, revision, &policy)], ()))
        })
        .await?;
    Ok(request.done())
}

/// `SetDefaultPolicyVersion`.
pub(crate) async fn set_default(
    service: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let policy_arn = request.required(&parameters::POLICY_ARN)?;
    let number = version_id(request)?;
    service
        .change_for(request, policy_arn, |request| {
            let (revision, mut policy) = managed::own(request)?;
            if !policy.versions.contains_key(&number) {
                return Err(missing(policy_arn, number));
            }
            if policy.default_version == number {
                return Ok((Vec::new(), ()));
            }
            policy.default_version = number;
            Ok((vec![edit(request, revision, &policy)], ()))
        })
        .await?;
    Ok(request.done())
}

fn edit(
    request: &IamRequest<'_>,
    revision: u64,
    policy: &ManagedPolicy,
) -> types::ConfigurationEdit {
    let key = entries::key::<ManagedPolicy>(request.account(), &policy.name);
    change::put(key, Some(revision), policy)
}

/// The number of the version that the request names: `v`, then a number from 1.
fn version_id(request: &IamRequest<'_>) -> Result<u32, IamError> {
    let text = request.required(&VERSION_ID)?;
    let digits = text.strip_prefix('v').unwrap_or("");
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    let rule = "Member must satisfy regular expression pattern: \
                v[1-9][0-9]*(\\.[A-Za-z0-9-]*)?";
    if !plain || digits.is_empty() {
        return Err(parameters::constraint("versionId", Some(text), rule));
    }
    // A number that no version can have is one of none.
    Ok(digits.parse().unwrap_or(u32::MAX))
}

fn missing(policy_arn: &str, number: u32) -> IamError {
    IamError::NoSuchEntity(format!(
        "Policy {policy_arn} version v{number} does not exist or is not attachable."
    ))
}
