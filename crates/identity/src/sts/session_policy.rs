//! The policies that a session is given: they only take away from what its role may. And how much
//! of a session's token they and its tags may fill.

use std::collections::BTreeSet;

use aws::access::PolicyKind;
use aws::query::Members;
use types::AccountId;

use super::error::StsError;
use super::parameters::null;
use crate::Identity;
use crate::aws_managed;
use crate::iam::{check_length, constraint};
use crate::model::{Document, Tags};
use crate::policy::Policy;

/// Characters of a session policy (IAM User Guide, "IAM and AWS STS quotas").
const LONGEST_POLICY: usize = 2_048;

/// Managed policies that are given with a session (the same).
const MOST_ARNS: usize = 10;

/// Bytes that policies and tags may fill of a token. Ours: AWS has such a limit and keeps to
/// itself how it counts. A token of this size fits any HTTP server's limit of headers.
const LARGEST: usize = 4_096;

/// What each text costs beside its own bytes.
const EACH: usize = 4;

/// The policies that a session is given.
#[derive(Debug, Default)]
pub(super) struct SessionPolicies {
    pub(super) document: Option<Document>,
    pub(super) arns: Vec<String>,
}

impl SessionPolicies {
    /// Those that a request gives, of a role in that account.
    pub(super) fn read(
        members: &Members<'_>,
        identity: &Identity,
        account: AccountId,
    ) -> Result<SessionPolicies, StsError> {
        let document = members.value("Policy").map(policy).transpose()?;
        let structures = members.structures("PolicyArns")?;
        if structures.len() > MOST_ARNS {
            let rule = format!("Member must have length less than or equal to {MOST_ARNS}");
            let shown = format!("[{} members]", structures.len());
            return Err(constraint("policyArns", Some(&shown), &rule).into());
        }
        let mut arns = Vec::new();
        for (index, structure) in structures.iter().enumerate() {
            let member = format!("policyArns.{}.member.arn", index + 1);
            let arn = structure.value("arn").ok_or_else(|| null(&member))?;
            check_length(&member, arn, 20, 2048)?;
            if !is_there(identity, account, arn) {
                return Err(StsError::MalformedPolicy(format!(
                    "The policy {arn} is not there, or not of the role's account."
                )));
            }
            arns.push(arn.to_owned());
        }
        if arns.iter().collect::<BTreeSet<_>>().len() < arns.len() {
            let rule = "Member must not have duplicate members";
            return Err(constraint("policyArns", Some("[…]"), rule).into());
        }
        Ok(SessionPolicies { document, arns })
    }

    /// How much of a token they and those tags fill, in percent; `None`: there are none.
    pub(super) fn packed(&self, tags: &Tags) -> Result<Option<usize>, StsError> {
        let documents = self.document.iter().map(|document| document.len());
        let arns = self.arns.iter().map(String::len);
        let tags = tags
            .iter()
            .flat_map(|(key, value)| [key.len(), value.len()]);
        let bytes = documents
            .chain(arns)
            .chain(tags)
            .map(|length| length + EACH);
        let size: usize = bytes.sum();
        let percent = (size * 100).div_ceil(LARGEST);
        match percent {
            0 => Ok(None),
            1..=100 => Ok(Some(percent)),
            _ => Err(StsError::PackedTooLarge(percent)),
        }
    }
}

fn policy(document: &str) -> Result<Document, StsError> {
    check_length("policy", document, 1, LONGEST_POLICY)?;
    let parsed = Policy::parse(PolicyKind::Identity, document);
    parsed.map_err(|error| StsError::MalformedPolicy(error.to_string()))?;
    Ok(document.into())
}

/// Is there such a policy, of that account or AWS's?
fn is_there(identity: &Identity, account: AccountId, arn: &str) -> bool {
    let own = arn.starts_with(&format!("arn:aws:iam::{account}:policy/"));
    let directory = identity.directory.as_ref();
    let found = directory.and_then(|directory| directory.managed_policy(arn));
    (own || arn.starts_with(aws_managed::ARN_PREFIX)) && found.is_some()
}
