//! Managed policies: to make, read, list and delete them.

use aws::query::Reply;
use aws::xml::is_text;

use crate::Service;
use crate::aws_managed;
use crate::entries;
use crate::iam::documents;
use crate::iam::error::IamError;
use crate::iam::ids::{self, IdKind};
use crate::iam::managed::{self, Managed, Usage};
use crate::iam::paging::Paging;
use crate::iam::parameters::{self, PATH, POLICY_NAME, Parameter, Text};
use crate::iam::policy_shapes::{self, Detail};
use crate::iam::request::IamRequest;
use crate::iam::{change, limits, lookup};
use crate::model::{ManagedPolicy, PolicyVersion};

/// What a policy is for: 1,000 characters.
const DESCRIPTION: Parameter = Parameter {
    name: "Description",
    shortest: 0,
    longest: 1000,
    text: Text::Any,
};

/// For what listed policies are used.
const USAGES: Parameter = parameters::one_of(
    "PolicyUsageFilter",
    &["PermissionsPolicy", "PermissionsBoundary"],
);

/// `CreatePolicy`: with its first version, which holds.
pub(crate) async fn create(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let name = request.required(&POLICY_NAME)?;
    let path = request.optional(&PATH)?.unwrap_or("/");
    check_path(path)?;
    let description = request.optional(&DESCRIPTION)?;
    check_description(description)?;
    let document = documents::given(request, "PolicyDocument")?;
    let tags = request.tags()?;
    documents::check_managed(document)?;
    let created = service.now().0;
    let id = ids::unique_id(&*service.config.environment, IdKind::Policy);
    let first = PolicyVersion {
        document: document.into(),
        created,
    };
    let policy = ManagedPolicy {
        name: name.to_owned(),
        id,
        path: path.to_owned(),
        created,
        updated: created,
        description: description.map(str::to_owned),
        versions: [(1, first)].into(),
        default_version: 1,
        next_version: 2,
        tags,
    };
    let key = entries::key::<ManagedPolicy>(request.account(), name);
    service
        .change_for(request, &key, |request| {
            if request.view().get(&key).is_some() {
                return Err(IamError::EntityAlreadyExists(format!(
                    "A policy called {name} already exists. Duplicate names are not allowed."
                )));
            }
            if lookup::count::<ManagedPolicy>(request) >= limits::POLICIES_PER_ACCOUNT {
                let most = limits::POLICIES_PER_ACCOUNT;
                return Err(IamError::quota("PoliciesPerAccount", most));
            }
            Ok((vec![change::put(key.clone(), None, &policy)], ()))
        })
        .await?;
    let policy = Managed::Local(0, Box::new(policy));
    let mut reply = request.reply();
    let (account, unused) = (request.account(), Usage::default());
    policy_shapes::policy(
        reply.writer(),
        "Policy",
        account,
        &policy,
        unused,
        Detail::Whole,
    );
    Ok(reply)
}

/// Characters that answers can repeat: the model names none, but XML can't have all.
fn check_description(description: Option<&str>) -> Result<(), IamError> {
    if description.is_none_or(|text| text.chars().all(is_text)) {
        return Ok(());
    }
    let rule = "Member must not contain control characters";
    Err(parameters::constraint("description", description, rule))
}

/// `/`, or names between slashes, of fewer characters than other paths have.
fn check_path(path: &str) -> Result<(), IamError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/.,+@=_-".contains(&byte);
    if path.bytes().all(allowed) {
        return Ok(());
    }
    Err(IamError::Validation(
        "The specified value for path is invalid. It must begin and end with / and contain only \
         alphanumeric characters and/or / characters."
            .to_owned(),
    ))
}

/// `GetPolicy`.
pub(crate) async fn get(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let (policy_arn, policy) = managed::named(request)?;
    let account = request.account();
    let usage = managed::usage_of(request.view(), account, policy_arn)?;
    let mut reply = request.reply();
    policy_shapes::policy(
        reply.writer(),
        "Policy",
        account,
        &policy,
        usage,
        Detail::Whole,
    );
    Ok(reply)
}

/// `ListPolicies`: in the order of their names; the account's own, AWS's, or both.
pub(crate) async fn list(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let scope = request.optional(&parameters::one_of("Scope", &["All", "AWS", "Local"]))?;
    let scope = scope.unwrap_or("All");
    let only_attached = request.flag("OnlyAttached")?.unwrap_or(false);
    let prefix = request.optional(&managed::PATH_PREFIX)?.unwrap_or("/");
    let usage_filter = request.optional(&USAGES)?;
    let paging = Paging::of(request)?;
    let account = request.account();
    let usages = managed::usages(request.view(), account)?;
    let mut policies = Vec::new();
    if scope != "Local" {
        policies.extend(aws_managed::all().iter().map(Managed::Aws));
    }
    if scope != "AWS" {
        let own = entries::all::<ManagedPolicy>(request.view(), account)?;
        let own = own.into_iter();
        policies.extend(own.map(|(revision, policy)| Managed::Local(revision, Box::new(policy))));
    }
    let with_usage = policies.into_iter().filter_map(|policy| {
        let policy_arn = policy.arn(account);
        let usage = usages.get(&policy_arn).copied().unwrap_or_default();
        let keep =
            policy.path().starts_with(prefix) && is_listed(usage, only_attached, usage_filter);
        keep.then(|| (managed::order(&policy_arn), (policy, usage)))
    });
    let mut sorted: Vec<_> = with_usage.collect();
    sorted.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let page = paging.page(sorted);
    let mut reply = request.reply();
    page.write(reply.writer(), "Policies", |writer, (policy, usage)| {
        policy_shapes::policy(writer, "member", account, policy, *usage, Detail::Listed);
    });
    Ok(reply)
}

/// Is a policy that is so used among the listed ones? One that isn't used at all is a permissions
/// policy, as it is for whoever makes one.
fn is_listed(usage: Usage, only_attached: bool, usage_filter: Option<&str>) -> bool {
    match usage_filter {
        Some("PermissionsBoundary") => usage.boundary > 0,
        Some(_) if only_attached => usage.attached > 0,
        Some(_) => usage.attached > 0 || usage.boundary == 0,
        None => !only_attached || usage.is_any(),
    }
}

/// `DeletePolicy`: with its one version, if nothing names it.
pub(crate) async fn delete(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let policy_arn = request.required(&parameters::POLICY_ARN)?;
    service
        .change_for(request, policy_arn, |request| {
            let (revision, policy) = managed::own(request)?;
            // Whatever begins to name the policy changes it too: that this holds until the
            // deletion is made, the policy's revision says.
            if managed::usage_of(request.view(), request.account(), policy_arn)?.is_any() {
                return Err(IamError::PolicyInUse(
                    "Cannot delete a policy attached to entities.",
                ));
            }
            if policy.versions.len() > 1 {
                return Err(IamError::PolicyInUse(
                    "This policy has more than one version. Before you delete a policy, you must \
                     delete the policy's versions. The default version is deleted with the policy.",
                ));
            }
            let key = entries::key::<ManagedPolicy>(request.account(), &policy.name);
            Ok((vec![change::remove(key, revision)], ()))
        })
        .await?;
    Ok(request.done())
}
