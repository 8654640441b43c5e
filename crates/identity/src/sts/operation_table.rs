//! Every operation of STS's published model (API version 2011-06-15), built or not.
//!
//! To build one more: its own file beside this one, its row here, its test.

use aws::Operation;
use aws::access::Access;

use super::{Handler, Subject, access_key_info, assume_role, caller_identity, session_token};

/// A row of an operation whose caller must be allowed it.
const fn judged(
    name: &'static str,
    action: &'static str,
    resources: Subject,
    handler: Option<Handler>,
) -> Operation<Handler, Subject> {
    Operation {
        name,
        access: Access::Judged { action, resources },
        handler,
    }
}

macro_rules! not_built {
    ($name:literal) => {
        judged($name, concat!("sts:", $name), Subject::Everything, None)
    };
}

pub(super) const OPERATIONS: &[Operation<Handler, Subject>] = &[
    judged(
        "AssumeRole",
        "sts:AssumeRole",
        Subject::Role,
        Some(assume_role::execute),
    ),
    not_built!("AssumeRoleWithSAML"),
    not_built!("AssumeRoleWithWebIdentity"),
    not_built!("AssumeRoot"),
    not_built!("DecodeAuthorizationMessage"),
    judged(
        "GetAccessKeyInfo",
        "sts:GetAccessKeyInfo",
        Subject::Everything,
        Some(access_key_info::execute),
    ),
    Operation {
        name: "GetCallerIdentity",
        access: Access::Anyone,
        handler: Some(caller_identity::execute),
    },
    not_built!("GetDelegatedAccessToken"),
    not_built!("GetFederationToken"),
    Operation {
        name: "GetSessionToken",
        access: Access::Anyone,
        handler: Some(session_token::execute),
    },
    not_built!("GetWebIdentityToken"),
];
