//! The operations that are built: a file each, or a few that are alike. Each asks the caller's
//! judge first; what one decides stands in its own file.

pub(crate) mod authorize_rules;
pub(crate) mod describe_groups;
pub(crate) mod describe_network;
pub(crate) mod describe_places;
pub(crate) mod describe_rules;
pub(crate) mod describe_running;
pub(crate) mod groups;
pub(crate) mod modify_rules;
pub(crate) mod permissions;
pub(crate) mod revoke_rules;
pub(crate) mod tags;
