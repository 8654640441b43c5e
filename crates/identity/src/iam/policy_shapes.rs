//! The shapes of managed policies in answers, as the API's model has them.

use aws::xml::XmlWriter;
use types::AccountId;

use super::documents::Encoded;
use super::ids::time;
use super::managed::{self, Managed, Usage};
use super::shapes;
use crate::aws_managed;
use crate::model::{self, Policies, PolicyVersion};

/// How much of a policy is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Detail {
    /// With its tags and its description.
    Whole,
    /// Without, as in lists.
    Listed,
    /// With its description and its versions' documents.
    Authorization,
}

/// A managed policy, as an element of that name.
pub(crate) fn policy(
    writer: &mut XmlWriter,
    element: &'static str,
    account: AccountId,
    policy: &Managed,
    usage: Usage,
    detail: Detail,
) {
    let (id, description, created, updated) = match policy {
        Managed::Aws(policy) => (
            policy.id(),
            Some(policy.description),
            aws_managed::CREATED,
            aws_managed::CREATED,
        ),
        Managed::Local(_, policy) => (
            policy.id.clone(),
            policy.description.as_deref(),
            policy.created,
            policy.updated,
        ),
    };
    writer
        .open(element)
        .value("PolicyName", policy.name())
        .value("PolicyId", id)
        .value("Arn", policy.arn(account))
        .value("Path", policy.path())
        .value(
            "DefaultVersionId",
            format_args!("v{}", policy.default_version()),
        )
        .value("AttachmentCount", usage.attached)
        .value("PermissionsBoundaryUsageCount", usage.boundary)
        .value("IsAttachable", policy.is_attachable());
    if detail != Detail::Listed {
        writer.optional("Description", description);
    }
    writer
        .value("CreateDate", time(created))
        .value("UpdateDate", time(updated));
    match (policy, detail) {
        (Managed::Local(_, policy), Detail::Whole) if !policy.tags.is_empty() => {
            shapes::tags(writer, &policy.tags);
        }
        (_, Detail::Authorization) => {
            writer.open("PolicyVersionList");
            for (number, found) in policy.versions() {
                let is_default = number == policy.default_version();
                version(writer, "member", number, &found, is_default, true);
            }
            writer.close();
        }
        _ => {}
    }
    writer.close();
}

/// A version of a policy, as an element of that name, with its document or without.
pub(crate) fn version(
    writer: &mut XmlWriter,
    element: &'static str,
    number: u32,
    version: &PolicyVersion,
    is_default: bool,
    with_document: bool,
) {
    writer.open(element);
    if with_document {
        writer.value("Document", Encoded(&version.document));
    }
    writer
        .value("VersionId", format_args!("v{number}"))
        .value("IsDefaultVersion", is_default)
        .value("CreateDate", time(version.created))
        .close();
}

/// A policy that is attached to something, as a member of a list.
pub(crate) fn attached(writer: &mut XmlWriter, policy_arn: &str) {
    writer
        .open("member")
        .value("PolicyName", managed::name_in(policy_arn))
        .value("PolicyArn", policy_arn)
        .close();
}

/// What a user, group or role has: `inline` names the list of its inline policies.
pub(crate) fn held(writer: &mut XmlWriter, inline: &'static str, policies: &Policies) {
    writer.open(inline);
    for (name, document) in &policies.inline {
        writer
            .open("member")
            .value("PolicyName", name)
            .value("PolicyDocument", Encoded(document))
            .close();
    }
    writer.close().open("AttachedManagedPolicies");
    for policy_arn in &policies.attached {
        attached(writer, policy_arn);
    }
    writer.close();
}

impl Managed {
    /// Its ARN; one of the account's own is of that account.
    pub(crate) fn arn(&self, account: AccountId) -> String {
        match self {
            Managed::Aws(policy) => policy.arn(),
            Managed::Local(_, policy) => model::arn(account, "policy", &policy.path, &policy.name),
        }
    }

    /// The number of the version that holds.
    pub(crate) fn default_version(&self) -> u32 {
        match self {
            Managed::Aws(_) => 1,
            Managed::Local(_, policy) => policy.default_version,
        }
    }

    /// Its versions, the newest first.
    pub(crate) fn versions(&self) -> Vec<(u32, PolicyVersion)> {
        match self {
            Managed::Aws(policy) => {
                let version = PolicyVersion {
                    document: policy.document.into(),
                    created: aws_managed::CREATED,
                };
                vec![(1, version)]
            }
            Managed::Local(_, policy) => {
                let versions = policy.versions.iter().rev();
                versions
                    .map(|(number, version)| (*number, version.clone()))
                    .collect()
            }
        }
    }
}
