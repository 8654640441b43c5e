//! The shapes of roles and instance profiles in answers, as the API's model has them.

use aws::xml::XmlWriter;
use types::{AccountId, ConfigurationView};

use super::documents::Encoded;
use super::error::IamError;
use super::holder::Holder;
use super::ids::time;
use super::shapes::{self, Detail};
use crate::Identity;
use crate::entries;
use crate::model::{self, InstanceProfile, Role};

/// A role as it is shown: in its trust policy those who exist are named by their ARNs of now.
pub(crate) fn shown(identity: &Identity, role: Role) -> Role {
    Role {
        trust: identity.show_policy(&role.trust).into(),
        ..role
    }
}

/// A role that is [`shown`], as an element of that name.
pub(crate) fn role(
    writer: &mut XmlWriter,
    element: &'static str,
    account: AccountId,
    role: &Role,
    detail: Detail,
) {
    writer
        .open(element)
        .value("Path", &role.path)
        .value("RoleName", &role.name)
        .value("RoleId", &role.id)
        .value("Arn", role.arn(account))
        .value("CreateDate", time(role.created))
        .value("AssumeRolePolicyDocument", Encoded(&role.trust))
        .optional("Description", role.description.as_ref())
        .value("MaxSessionDuration", role.longest_session);
    if detail == Detail::Whole {
        shapes::boundary(writer, role.boundary.as_deref());
        if !role.tags.is_empty() {
            shapes::tags(writer, &role.tags);
        }
        // When it was used last nobody notes: it is there, and empty, as of a role never used.
        writer.open("RoleLastUsed").close();
    }
    writer.close();
}

/// An instance profile with its role, as an element of that name.
pub(crate) fn instance_profile(
    writer: &mut XmlWriter,
    element: &'static str,
    account: AccountId,
    profile: &InstanceProfile,
    its_role: Option<&Role>,
    detail: Detail,
) {
    writer
        .open(element)
        .value("Path", &profile.path)
        .value("InstanceProfileName", &profile.name)
        .value("InstanceProfileId", &profile.id)
        .value("Arn", arn(account, profile))
        .value("CreateDate", time(profile.created))
        .open("Roles");
    if let Some(its_role) = its_role {
        role(writer, "member", account, its_role, Detail::Listed);
    }
    writer.close();
    if detail == Detail::Whole && !profile.tags.is_empty() {
        shapes::tags(writer, &profile.tags);
    }
    writer.close();
}

/// The ARN of an instance profile.
pub(crate) fn arn(account: AccountId, profile: &InstanceProfile) -> String {
    model::arn(account, "instance-profile", &profile.path, &profile.name)
}

/// The role that is in an instance profile, as it is [`shown`].
///
/// # Errors
///
/// It can't be read.
pub(crate) fn role_in(
    identity: &Identity,
    view: &dyn ConfigurationView,
    account: AccountId,
    profile: &InstanceProfile,
) -> Result<Option<Role>, IamError> {
    let Some(name) = &profile.role else {
        return Ok(None);
    };
    let found = entries::read::<Role>(view, account, name)?;
    Ok(found.map(|(_, role)| shown(identity, role)))
}
