//! Whatever is asked, an answer comes: parameters that operations know with values of any kind, and
//! what is refused changes nothing.

use databases::Service;
use proptest::prelude::*;

use crate::support::{Api, arn};

/// Names of parameters, of lists and of structures.
const NAMES: &[&str] = &[
    "DBInstanceIdentifier",
    "DBInstanceClass",
    "Engine",
    "EngineVersion",
    "AllocatedStorage",
    "MasterUsername",
    "MasterUserPassword",
    "DBName",
    "Port",
    "DBPortNumber",
    "AvailabilityZone",
    "DBSubnetGroupName",
    "DBSubnetGroupDescription",
    "SubnetIds.SubnetIdentifier.1",
    "SubnetIds.SubnetIdentifier.2",
    "DBParameterGroupName",
    "DBParameterGroupFamily",
    "Description",
    "Parameters.Parameter.1.ParameterName",
    "Parameters.Parameter.1.ParameterValue",
    "Parameters.Parameter.1.ApplyMethod",
    "ResetAllParameters",
    "OptionGroupName",
    "EngineName",
    "MajorEngineVersion",
    "OptionGroupDescription",
    "BackupRetentionPeriod",
    "PreferredBackupWindow",
    "PreferredMaintenanceWindow",
    "ApplyImmediately",
    "DeletionProtection",
    "SkipFinalSnapshot",
    "FinalDBSnapshotIdentifier",
    "DBSnapshotIdentifier",
    "SourceDBInstanceIdentifier",
    "SnapshotType",
    "ResourceName",
    "Tags.Tag.1.Key",
    "Tags.Tag.1.Value",
    "TagKeys.member.1",
    "Filters.Filter.1.Name",
    "Filters.Filter.1.Values.Value.1",
    "MaxRecords",
    "Marker",
    "SourceType",
    "SourceIdentifier",
    "StartTime",
    "Duration",
    "MultiAZ",
    "StorageType",
];

/// Values that something or other accepts.
const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "7",
    "20",
    "5432",
    "99999999999999999999",
    "-1",
    "shop",
    "tuned",
    "last",
    "db.t3.micro",
    "db.m5.large",
    "postgres",
    "postgres15",
    "15",
    "15.14",
    "gp3",
    "root",
    "correct-horse",
    "us-east-1a",
    "default",
    "default.postgres15",
    "work_mem",
    "max_connections",
    "immediate",
    "pending-reboot",
    "true",
    "false",
    "05:00-06:00",
    "mon:05:00-mon:06:00",
    "manual",
    "db-instance",
    "engine",
    "2026-11-18T11:00:00Z",
    "é\u{0}<&>\"'",
];

fn requests() -> impl Strategy<Value = Vec<(usize, Vec<(usize, usize)>)>> {
    let parameter = (0..NAMES.len(), 0..VALUES.len() + 4);
    let request = (0..164usize, prop::collection::vec(parameter, 0..10));
    prop::collection::vec(request, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_request_is_answered(requests in requests()) {
        let api = Api::new();
        api.available("shop");
        let subnets = crate::support::zones().into_iter().map(types::network::default_subnet);
        let mut known = vec![arn("shop")];
        known.extend(subnets);
        let operations: Vec<&str> = Service::operations().map(|(name, _)| name).collect();
        for (operation, parameters) in &requests {
            let mut given: Vec<(&str, &str)> = Vec::new();
            for (name, value) in parameters {
                let known = || known[value - VALUES.len()].as_str();
                let value = VALUES.get(*value).copied().unwrap_or_else(known);
                if !given.iter().any(|(other, _)| *other == NAMES[*name]) {
                    given.push((NAMES[*name], value));
                }
            }
            let before = api.memory.view_now();
            let answer = api.call(operations[*operation], &given);
            if let Err((code, text)) = answer {
                prop_assert!(!code.is_empty() && !text.is_empty());
                prop_assert_ne!(code, "InternalFailure");
                prop_assert_eq!(api.memory.view_now(), before);
            }
        }
    }
}
