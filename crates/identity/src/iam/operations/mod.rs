//! The operations of IAM, a family of them a file. Each reads what the request says, judges it on
//! the view, and has its change made; who may do it was asked before.

pub(super) mod access_keys;
pub(super) mod account;
pub(super) mod attachments;
pub(super) mod authorization_details;
pub(super) mod credentials;
pub(super) mod groups;
pub(super) mod inline_policies;
pub(super) mod instance_profiles;
pub(super) mod memberships;
pub(super) mod policies;
pub(super) mod policy_entities;
pub(super) mod policy_versions;
pub(super) mod resource_tags;
pub(super) mod role_changes;
pub(super) mod roles;
pub(super) mod server_certificates;
pub(super) mod service_linked_roles;
pub(super) mod simulate;
pub(super) mod user_tags;
pub(super) mod users;
