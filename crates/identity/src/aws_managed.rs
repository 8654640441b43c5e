//! The managed policies of AWS that people attach most, compiled in:
//! `arn:aws:iam::aws:policy/Name`.
//!
//! Their documents are our own words for what AWS documents of them ("AWS Managed Policy
//! Reference"), as far as a deployment has the services they speak of. Any other name is no policy
//! here: who attaches it is told so, rather than given one that allows nothing.
//!
//! Two things read the table: IAM's operations, and whoever compiles what a principal may do, by
//! [`document`].

use crate::model::Milliseconds;

/// What the ARN of every policy of AWS begins with.
pub const ARN_PREFIX: &str = "arn:aws:iam::aws:policy";

/// When they are said to be made: 2015-02-06T18:40:00Z, in the days of AWS's oldest.
pub const CREATED: Milliseconds = 1_423_248_000_000;

/// A managed policy of AWS. It has one version, `v1`, and nobody can change it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AwsManagedPolicy {
    /// Its name.
    pub name: &'static str,
    /// Its path, with which its ARN goes on: `/` for most.
    pub path: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// The document of its one version.
    pub document: &'static str,
    /// Can it be attached by anybody? Those of service-linked roles can't.
    pub attachable: bool,
}

impl AwsManagedPolicy {
    /// `arn:aws:iam::aws:policy/AdministratorAccess`.
    pub fn arn(&self) -> String {
        format!("{ARN_PREFIX}{}{}", self.path, self.name)
    }

    /// Its id: the same in every deployment, made of its ARN.
    pub fn id(&self) -> String {
        const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        // FNV-1a (draft-eastlake-fnv, 64 bits): 12 digits of 5 bits tell the few names apart.
        let hash = self
            .arn()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        let digit = |index: u64| char::from(DIGITS[(hash >> (5 * index)) as usize & 31]);
        std::iter::once("ANPAAWSMG".to_owned())
            .chain((0..12).map(|index| digit(index).to_string()))
            .collect()
    }
}

/// The document of the policy with that ARN; `None`: there is none.
pub fn document(arn: &str) -> Option<&'static str> {
    find(arn).map(|policy| policy.document)
}

/// The policy with that ARN.
pub fn find(arn: &str) -> Option<&'static AwsManagedPolicy> {
    let rest = arn.strip_prefix(ARN_PREFIX)?;
    let is_it = |policy: &&AwsManagedPolicy| rest.strip_prefix(policy.path) == Some(policy.name);
    POLICIES.iter().find(is_it)
}

/// All of them, in the order of their names without regard to case.
pub fn all() -> &'static [AwsManagedPolicy] {
    POLICIES
}

macro_rules! policy {
    ($name:literal, $description:literal) => {
        policy!($name, "/", true, $description)
    };
    ($name:literal, $path:literal, $attachable:literal, $description:literal) => {
        AwsManagedPolicy {
            name: $name,
            path: $path,
            description: $description,
            document: include_str!(concat!("aws_managed/", $name, ".json")),
            attachable: $attachable,
        }
    };
}

const POLICIES: &[AwsManagedPolicy] = &[
    policy!("AdministratorAccess", "Everything, of every service."),
    policy!("AmazonDynamoDBFullAccess", "Everything of DynamoDB."),
    policy!("AmazonDynamoDBReadOnlyAccess", "Reading of DynamoDB."),
    policy!("AmazonRDSFullAccess", "Everything of RDS."),
    policy!("AmazonRDSReadOnlyAccess", "Reading of RDS."),
    policy!("AmazonRoute53FullAccess", "Everything of Route 53."),
    policy!("AmazonRoute53ReadOnlyAccess", "Reading of Route 53."),
    policy!("AmazonS3FullAccess", "Everything of S3."),
    policy!("AmazonS3ReadOnlyAccess", "Reading of S3."),
    policy!("AWSDenyAll", "Nothing, whatever else allows."),
    policy!("CloudWatchFullAccess", "Everything of CloudWatch."),
    policy!("CloudWatchReadOnlyAccess", "Reading of CloudWatch."),
    policy!(
        "DynamoDBReplicationServiceRolePolicy",
        "/aws-service-role/",
        false,
        "What DynamoDB needs to replicate a global table."
    ),
    policy!(
        "ElasticLoadBalancingFullAccess",
        "Everything of Elastic Load Balancing."
    ),
    policy!(
        "ElasticLoadBalancingReadOnly",
        "Reading of Elastic Load Balancing."
    ),
    policy!(
        "GlobalAcceleratorFullAccess",
        "Everything of Global Accelerator."
    ),
    policy!(
        "GlobalAcceleratorReadOnlyAccess",
        "Reading of Global Accelerator."
    ),
    policy!("IAMFullAccess", "Everything of IAM."),
    policy!("IAMReadOnlyAccess", "Reading of IAM."),
    policy!(
        "PowerUserAccess",
        "Everything but users, groups, roles and their policies."
    ),
    policy!(
        "ReadOnlyAccess",
        "Reading, of every service that a deployment has."
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aws::access::PolicyKind;

    use super::*;
    use crate::policy::{Policy, size};

    #[test]
    fn policies_are_found_by_their_whole_arn_alone() {
        assert!(document("arn:aws:iam::aws:policy/AdministratorAccess").is_some());
        let linked =
            "arn:aws:iam::aws:policy/aws-service-role/DynamoDBReplicationServiceRolePolicy";
        assert!(find(linked).is_some_and(|policy| !policy.attachable));
        for arn in [
            "",
            "AdministratorAccess",
            "arn:aws:iam::aws:policy/administratoraccess",
            "arn:aws:iam::aws:policyAdministratorAccess",
            "arn:aws:iam::aws:policy//AdministratorAccess",
            "arn:aws:iam::aws:policy/AdministratorAccess/",
            "arn:aws:iam::111122223333:policy/AdministratorAccess",
            "arn:aws:iam::aws:policy/DynamoDBReplicationServiceRolePolicy",
            "arn:aws:iam::aws:policy/AmazonEC2FullAccess",
        ] {
            assert_eq!(document(arn), None, "{arn}");
        }
    }

    #[test]
    fn every_policy_is_a_document_of_its_own_name_and_id_in_order() {
        let names: Vec<_> = all()
            .iter()
            .map(|policy| policy.name.to_lowercase())
            .collect();
        assert!(names.is_sorted(), "{names:?}");
        let ids: BTreeSet<_> = all().iter().map(AwsManagedPolicy::id).collect();
        assert_eq!(ids.len(), all().len());
        for policy in all() {
            assert_eq!(find(&policy.arn()), Some(policy));
            assert_eq!(policy.id().len(), 21);
            let parsed = Policy::parse(PolicyKind::Identity, policy.document);
            assert!(parsed.is_ok(), "{}: {parsed:?}", policy.name);
            assert!(size(policy.document) <= 6_144, "{}", policy.name);
        }
    }
}
