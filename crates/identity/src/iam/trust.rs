//! Trust policies: who may assume a role. What the policy language says of them `policy` holds
//! them to, and that their principals exist `principals`; here is held how long they may be.

use aws::access::PolicyKind;
use types::ConfigurationView;

use super::{IamError, limits};
use crate::policy;
use crate::principals::{self, BindError};

/// The trust policy as it is to be stored, with users and roles by their unique ids. Nothing holds
/// these in place until then: the id of one that is deleted stands for nobody.
///
/// # Errors
///
/// It isn't one, it is too long, or it names somebody who doesn't exist.
pub(crate) fn bind(view: &dyn ConfigurationView, document: &str) -> Result<Box<str>, IamError> {
    let bound = principals::bind(Some(view), PolicyKind::Trust, document);
    let bound = bound.map_err(|error| match error {
        BindError::Entry(error) => error.into(),
        other => IamError::MalformedPolicyDocument(other.to_string()),
    })?;
    if policy::size(document) > limits::TRUST_POLICY_SIZE {
        let most = limits::TRUST_POLICY_SIZE;
        return Err(IamError::quota("ACLSizePerRole", most));
    }
    Ok(bound.into())
}
