//! The operations of IAM, a family of them a file. Each reads what the request says, judges it on
//! the view, and has its change made; who may do it was asked before.

pub(super) mod access_keys;
pub(super) mod account;
pub(super) mod credentials;
pub(super) mod groups;
pub(super) mod memberships;
pub(super) mod user_tags;
pub(super) mod users;
