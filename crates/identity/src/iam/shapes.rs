//! The shapes that answers are made of, as the API's model has them.

use aws::xml::XmlWriter;
use types::AccountId;

use super::ids::time;
use crate::model::{self, Group, Tags, User};

/// How much of a user or a role is written: lists leave out what costs AWS a lookup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Detail {
    /// With its tags and its boundary.
    Whole,
    /// Without.
    Listed,
}

/// The ARN of a user.
pub(crate) fn user_arn(account: AccountId, user: &User) -> String {
    model::arn(account, "user", &user.path, &user.name)
}

/// The ARN of a group.
pub(crate) fn group_arn(account: AccountId, group: &Group) -> String {
    model::arn(account, "group", &group.path, &group.name)
}

/// A user, as an element of that name.
pub(crate) fn user(
    writer: &mut XmlWriter,
    element: &'static str,
    account: AccountId,
    user: &User,
    detail: Detail,
) {
    writer
        .open(element)
        .value("Path", &user.path)
        .value("UserName", &user.name)
        .value("UserId", &user.id)
        .value("Arn", user_arn(account, user))
        .value("CreateDate", time(user.created));
    if detail == Detail::Whole {
        boundary(writer, user.boundary.as_deref());
        if !user.tags.is_empty() {
            tags(writer, &user.tags);
        }
    }
    writer.close();
}

/// A group, as an element of that name.
pub(crate) fn group(
    writer: &mut XmlWriter,
    element: &'static str,
    account: AccountId,
    group: &Group,
) {
    writer
        .open(element)
        .value("Path", &group.path)
        .value("GroupName", &group.name)
        .value("GroupId", &group.id)
        .value("Arn", group_arn(account, group))
        .value("CreateDate", time(group.created))
        .close();
}

/// The boundary of a user or a role, if it has one.
pub(crate) fn boundary(writer: &mut XmlWriter, policy: Option<&str>) {
    if let Some(policy) = policy {
        writer
            .open("PermissionsBoundary")
            .value("PermissionsBoundaryType", "Policy")
            .value("PermissionsBoundaryArn", policy)
            .close();
    }
}

/// All tags, as the element `Tags`.
pub(crate) fn tags(writer: &mut XmlWriter, tags: &Tags) {
    writer.open("Tags");
    for (key, value) in tags {
        tag(writer, key, value);
    }
    writer.close();
}

/// One tag, as a member of a list.
pub(crate) fn tag(writer: &mut XmlWriter, key: &str, value: &str) {
    writer
        .open("member")
        .value("Key", key)
        .value("Value", value)
        .close();
}
