//! Reading what requests give: names, passwords, windows and places, each by RDS's rules. Whether
//! what is named exists is asked elsewhere.

pub(crate) mod names;
pub(crate) mod password;
pub(crate) mod place;
pub(crate) mod windows;
