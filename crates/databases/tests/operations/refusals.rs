//! What every operation refuses: what isn't of the protocol, what isn't built, what can't be read,
//! and what can't be kept.

use databases::Service;
use types::ConfigurationError;

use crate::support::{Api, new_instance, owner, with};

#[test]
fn every_operation_of_the_model_is_in_the_table() {
    let rows: Vec<(&str, bool)> = Service::operations().collect();
    assert_eq!(rows.len(), 164);
    assert!(rows.is_sorted_by_key(|(name, _)| *name));
    assert_eq!(rows.iter().filter(|(_, is_built)| *is_built).count(), 64);
    let api = Api::new();
    for (name, _) in rows.iter().filter(|(_, is_built)| !*is_built) {
        let (_, text) = api.refused(name, &[]);
        assert!(text.contains(name) && text.contains("not built"), "{text}");
    }
}

#[test]
fn what_is_no_request_of_the_protocol_is_refused() {
    let api = Api::new();
    let version = "Version=2014-10-31";
    for (form, code) in [
        (String::new(), "MissingAction"),
        (format!("Action=Dance&{version}"), "InvalidAction"),
        ("Action=DescribeDBInstances".to_owned(), "InvalidAction"),
        (
            "Action=DescribeDBInstances&Version=2013-09-09".to_owned(),
            "InvalidAction",
        ),
        (
            format!("Action=DescribeDBInstances&{version}&Filters.Filter.2.Name=x"),
            "MalformedInput",
        ),
        (
            format!("Action=DescribeDBInstances&{version}&A=%zz"),
            "MalformedQueryString",
        ),
    ] {
        let (status, root) = api.raw(&owner(), &form);
        assert_ne!(status, 200, "{form}");
        assert_eq!(root.text("Error/Code"), code, "{form}");
    }
    let missing = format!("Action=DescribeDBInstances&{version}&DBInstanceIdentifier=nothing");
    assert_eq!(api.raw(&owner(), &missing).0, 404);
}

#[test]
fn an_instance_that_can_t_be_is_refused_in_rds_s_words() {
    let api = Api::new();
    let long = "a".repeat(64);
    for (parameter, value, code, words) in [
        (
            "DBInstanceIdentifier",
            "-",
            "MissingParameter",
            "DBInstanceIdentifier",
        ),
        (
            "DBInstanceIdentifier",
            "1a",
            "InvalidParameterValue",
            "valid identifier",
        ),
        (
            "DBInstanceIdentifier",
            "a--b",
            "InvalidParameterValue",
            "valid identifier",
        ),
        (
            "DBInstanceIdentifier",
            &*long,
            "InvalidParameterValue",
            "valid identifier",
        ),
        (
            "DBInstanceClass",
            "-",
            "MissingParameter",
            "DBInstanceClass",
        ),
        (
            "DBInstanceClass",
            "db.huge",
            "InvalidParameterValue",
            "Invalid DB Instance class",
        ),
        (
            "Engine",
            "mongo",
            "InvalidParameterValue",
            "Invalid DB engine",
        ),
        (
            "Engine",
            "mysql",
            "InvalidParameterCombination",
            "The engine mysql is not built",
        ),
        (
            "Engine",
            "aurora-postgresql",
            "InvalidParameterValue",
            "DBClusterIdentifier must be provided",
        ),
        (
            "EngineVersion",
            "9.6",
            "InvalidParameterCombination",
            "Cannot find version 9.6",
        ),
        (
            "AllocatedStorage",
            "-",
            "InvalidParameterValue",
            "must be provided",
        ),
        (
            "AllocatedStorage",
            "19",
            "InvalidParameterValue",
            "Invalid storage size",
        ),
        (
            "AllocatedStorage",
            "x",
            "InvalidParameterValue",
            "Invalid storage size",
        ),
        ("StorageType", "io1", "StorageTypeNotSupported", "not built"),
        (
            "StorageType",
            "tape",
            "StorageTypeNotSupported",
            "Invalid storage type",
        ),
        (
            "MasterUsername",
            "-",
            "InvalidParameterValue",
            "must be provided",
        ),
        (
            "MasterUsername",
            "rdsadmin",
            "InvalidParameterValue",
            "reserved word",
        ),
        (
            "MasterUsername",
            "causeway_admin",
            "InvalidParameterValue",
            "reserved word",
        ),
        (
            "MasterUserPassword",
            "short",
            "InvalidParameterValue",
            "shorter than 8",
        ),
        (
            "MasterUserPassword",
            "with/slash",
            "InvalidParameterValue",
            "printable ASCII",
        ),
        (
            "MasterUserPassword",
            "pässwörter",
            "InvalidParameterValue",
            "printable ASCII",
        ),
        ("DBName", "1a", "InvalidParameterValue", "DBName must begin"),
        (
            "DBName",
            "template0",
            "InvalidParameterValue",
            "reserved word",
        ),
        (
            "Port",
            "1149",
            "InvalidParameterValue",
            "between 1150 and 65535",
        ),
        (
            "BackupRetentionPeriod",
            "36",
            "InvalidParameterValue",
            "between 0 and 35",
        ),
        (
            "PreferredBackupWindow",
            "soon",
            "InvalidParameterValue",
            "backup window",
        ),
        (
            "PreferredMaintenanceWindow",
            "soon",
            "InvalidParameterValue",
            "maintenance window",
        ),
        (
            "AvailabilityZone",
            "us-east-1z",
            "InvalidParameterValue",
            "availability zone",
        ),
        (
            "AvailabilityZone",
            "eu-west-1a",
            "InvalidParameterValue",
            "availability zone",
        ),
        (
            "DBSubnetGroupName",
            "none",
            "DBSubnetGroupNotFoundFault",
            "none",
        ),
        (
            "DBParameterGroupName",
            "none",
            "DBParameterGroupNotFound",
            "none",
        ),
        (
            "OptionGroupName",
            "none",
            "OptionGroupNotFoundFault",
            "none",
        ),
        (
            "VpcSecurityGroupIds.VpcSecurityGroupId.1",
            "sg-1",
            "InvalidParameterValue",
            "sg-1",
        ),
        ("MultiAZ", "perhaps", "InvalidParameterValue", "MultiAZ"),
        (
            "StorageEncrypted",
            "true",
            "InvalidParameterCombination",
            "not built",
        ),
        (
            "StorageEncrypted",
            "perhaps",
            "InvalidParameterValue",
            "true or false",
        ),
        ("KmsKeyId", "key", "KMSKeyNotAccessibleFault", "not built"),
        (
            "NetworkType",
            "DUAL",
            "NetworkTypeNotSupported",
            "not built",
        ),
        (
            "EnableIAMDatabaseAuthentication",
            "true",
            "InvalidParameterCombination",
            "not built",
        ),
        (
            "EnablePerformanceInsights",
            "true",
            "InvalidParameterCombination",
            "not built",
        ),
        (
            "LicenseModel",
            "byol",
            "InvalidParameterCombination",
            "not built",
        ),
        (
            "Tags.Tag.1.Key",
            "aws:x",
            "InvalidParameterValue",
            "reserved",
        ),
    ] {
        let body = with(&new_instance("shop"), &[(parameter, value)]);
        let (refused, text) = api.refused("CreateDBInstance", &body);
        assert_eq!(refused, code, "{parameter}={value}: {text}");
        assert!(text.contains(words), "{parameter}={value}: {text}");
    }
    let password = with(
        &new_instance("shop"),
        &[("MasterUserPassword", "secret/secret")],
    );
    let (_, text) = api.refused("CreateDBInstance", &password);
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn what_can_t_be_kept_is_said_so() {
    let api = Api::new();
    for (error, code) in [
        (ConfigurationError::Full, "LimitExceeded"),
        (ConfigurationError::TooLarge, "LimitExceeded"),
        (ConfigurationError::Conflict, "Throttling"),
        (ConfigurationError::Busy, "Throttling"),
        (ConfigurationError::Stopped, "ServiceUnavailable"),
    ] {
        api.memory.fail(Some(error));
        assert_eq!(api.code("CreateDBInstance", &new_instance("shop")), code);
    }
    api.memory.fail(None);
    api.available("shop");
    let mut view = api.memory.view_now();
    let key = databases::keys::instance(&api.id("shop"));
    view.entries
        .insert(key, (view.revision, r#"{"format":99}"#.into()));
    api.memory.set(view);
    assert_eq!(api.code("DescribeDBInstances", &[]), "InternalFailure");
}

#[test]
fn a_change_that_comes_between_is_judged_anew() {
    let api = Api::new();
    let mut taken = false;
    let other = Api::new();
    other.create("shop");
    let theirs = other.memory.view_now();
    api.memory.interfere(move |view| {
        if !taken {
            taken = true;
            view.revision += 1;
            for (key, (_, value)) in &theirs.entries {
                view.entries
                    .insert(key.clone(), (view.revision, value.clone()));
            }
        }
    });
    let refused = api
        .call("CreateDBInstance", &new_instance("shop"))
        .unwrap_err();
    assert_eq!(refused.0, "DBInstanceAlreadyExists");
}
