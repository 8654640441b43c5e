//! What callers must be allowed: which actions on which names, with which condition keys.

use std::sync::Mutex;

use aws::access::{Authorizer, Denied, PolicyKind, PolicyRefusal, Question};
use types::AccountId;

use crate::support::{Api, arn, new_instance, with};

/// Allows all but one action, and remembers what it was asked.
#[derive(Default)]
struct Judge {
    denied: String,
    asked: Mutex<Vec<Asked>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Asked {
    action: String,
    resource: String,
    keys: Vec<(String, Vec<String>)>,
}

impl Authorizer for Judge {
    fn account(&self) -> AccountId {
        AccountId::LAB
    }

    fn arn(&self) -> &str {
        "arn:aws:iam::111122223333:user/alice"
    }

    fn region(&self) -> &str {
        "us-east-1"
    }

    fn authorize(&self, question: &Question<'_>) -> Result<(), Denied> {
        let keys = question.keys.iter();
        self.asked.lock().unwrap().push(Asked {
            action: question.action.to_string(),
            resource: question.resource.to_string(),
            keys: keys
                .map(|(name, values)| (name.to_owned(), values.to_vec()))
                .collect(),
        });
        match question.action == self.denied {
            true => Err(Denied {
                message: "no".to_owned(),
            }),
            false => Ok(()),
        }
    }

    fn bind_policy(&self, _: PolicyKind, _: &str) -> Result<String, PolicyRefusal> {
        unreachable!("databases have no policies")
    }

    fn show_policy(&self, _: &str) -> String {
        unreachable!("databases have no policies")
    }
}

impl Judge {
    fn asked(&self) -> Vec<(String, String)> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .map(|it| (it.action.clone(), it.resource.clone()))
            .collect()
    }
}

/// The actions and resources that a caller must be allowed for a request.
pub fn asked(
    api: &Api,
    operation: &str,
    parameters: crate::support::Parameters<'_>,
) -> Vec<(String, String)> {
    let judge = Judge::default();
    // Whether it is carried out is another question.
    let _either = api.call_as(&judge, operation, parameters);
    judge.asked()
}

fn pair(action: &str, resource: &str) -> (String, String) {
    (format!("rds:{action}"), resource.to_owned())
}

fn of(kind: &str, name: &str) -> String {
    format!("arn:aws:rds:us-east-1:111122223333:{kind}:{name}")
}

#[test]
fn what_is_made_is_asked_for_by_its_name_and_all_that_it_names() {
    let api = Api::new();
    let judge = Judge::default();
    let more = [
        ("DBParameterGroupName", "default.postgres15"),
        ("Tags.Tag.1.Key", "team"),
        ("Tags.Tag.1.Value", "blue"),
    ];
    api.call_as(
        &judge,
        "CreateDBInstance",
        &with(&new_instance("Shop"), &more),
    )
    .unwrap();
    let wanted = [
        pair("CreateDBInstance", &arn("shop")),
        pair("CreateDBInstance", &of("pg", "default.postgres15")),
        pair("AddTagsToResource", &arn("shop")),
    ];
    assert_eq!(judge.asked(), wanted);
    let asked = judge.asked.lock().unwrap();
    for (key, value) in [
        ("aws:RequestTag/team", "blue"),
        ("rds:req-tag/team", "blue"),
        ("aws:TagKeys", "team"),
        ("rds:DatabaseClass", "db.t3.micro"),
        ("rds:DatabaseEngine", "postgres"),
    ] {
        let pair = (key.to_owned(), vec![value.to_owned()]);
        assert!(asked[0].keys.contains(&pair), "{key}: {asked:?}");
    }
}

#[test]
fn every_operation_is_asked_for_before_it_is_carried_out() {
    let api = Api::new();
    api.available("shop");
    let skip = [
        ("DBInstanceIdentifier", "shop"),
        ("SkipFinalSnapshot", "true"),
    ];
    let named = skip[..1].to_vec();
    let tagging = vec![("ResourceName", "arn:aws:rds:us-east-1:111122223333:db:shop")];
    let replica = vec![
        ("DBInstanceIdentifier", "far"),
        ("SourceDBInstanceIdentifier", "shop"),
    ];
    let snapshot = vec![
        ("DBSnapshotIdentifier", "s"),
        ("DBInstanceIdentifier", "shop"),
    ];
    for (operation, parameters, resources) in [
        ("DescribeDBInstances", vec![], vec![arn("*")]),
        ("DescribeDBInstances", named.clone(), vec![arn("shop")]),
        ("ModifyDBInstance", named.clone(), vec![arn("shop")]),
        ("ListTagsForResource", tagging, vec![arn("shop")]),
        (
            "CreateDBInstanceReadReplica",
            replica,
            vec![arn("far"), arn("shop")],
        ),
        (
            "CreateDBSnapshot",
            snapshot,
            vec![of("snapshot", "s"), arn("shop")],
        ),
        ("DescribeEvents", vec![], vec!["*".to_owned()]),
        ("DescribeDBSubnetGroups", vec![], vec![of("subgrp", "*")]),
        ("DeleteDBInstance", skip.to_vec(), vec![arn("shop")]),
    ] {
        let denying = Judge {
            denied: format!("rds:{operation}"),
            ..Judge::default()
        };
        let before = api.memory.view_now();
        let refused = api.call_as(&denying, operation, &parameters).unwrap_err();
        assert_eq!(
            refused,
            ("AccessDenied".to_owned(), "no".to_owned()),
            "{operation}"
        );
        assert_eq!(api.memory.view_now(), before, "{operation}");
        let judge = Judge::default();
        api.call_as(&judge, operation, &parameters).unwrap();
        let wanted: Vec<_> = resources.iter().map(|name| pair(operation, name)).collect();
        assert_eq!(judge.asked(), wanted, "{operation}");
    }
}

#[test]
fn every_built_operation_asks_something() {
    let api = Api::new();
    for (operation, _) in databases::Service::operations().filter(|(_, is_built)| *is_built) {
        let denying = Judge {
            denied: format!("rds:{operation}"),
            ..Judge::default()
        };
        let refused = api.call_as(&denying, operation, &[]).unwrap_err();
        assert_eq!(refused.0, "AccessDenied", "{operation}");
    }
}

#[test]
fn the_tags_of_what_is_named_are_condition_keys() {
    let api = Api::new();
    let tag = [("Tags.Tag.1.Key", "team"), ("Tags.Tag.1.Value", "blue")];
    api.ok("CreateDBInstance", &with(&new_instance("shop"), &tag));
    api.carry_out("shop");
    let judge = Judge::default();
    api.call_as(
        &judge,
        "RebootDBInstance",
        &[("DBInstanceIdentifier", "shop")],
    )
    .unwrap();
    let asked = judge.asked.lock().unwrap();
    for key in ["aws:ResourceTag/team", "rds:db-tag/team"] {
        let pair = (key.to_owned(), vec!["blue".to_owned()]);
        assert!(asked[0].keys.contains(&pair), "{asked:?}");
    }
}

#[test]
fn a_global_cluster_s_tags_are_asked_for_by_its_name_as_it_is_held() {
    let (_, [here, ..]) = crate::clusters::pair();
    let held = "arn:aws:rds::111122223333:global-cluster:world";
    for name in [held, "arn:aws:rds::111122223333:global-cluster:WORLD"] {
        let judge = Judge::default();
        let named = [("ResourceName", name)];
        here.call_as(&judge, "ListTagsForResource", &named).unwrap();
        assert_eq!(judge.asked(), [pair("ListTagsForResource", held)], "{name}");
    }
}

#[test]
fn what_is_restored_is_asked_for_however_it_is_named() {
    let api = Api::new();
    let tag = [("Tags.Tag.1.Key", "team"), ("Tags.Tag.1.Value", "blue")];
    api.ok("CreateDBInstance", &with(&new_instance("prod"), &tag));
    api.carry_out("prod");
    let id = api.id("prod").0;
    let letters = id.trim_start_matches("db-").to_ascii_lowercase();
    let backups = of("auto-backup", &format!("ab-{letters}"));
    for (parameter, name, resource) in [
        ("SourceDBInstanceIdentifier", "prod", arn("prod")),
        ("SourceDbiResourceId", &*id, arn("prod")),
        (
            "SourceDBInstanceAutomatedBackupsArn",
            &*backups,
            arn("prod"),
        ),
        ("SourceDbiResourceId", "db-NONE", "*".to_owned()),
    ] {
        let judge = Judge::default();
        let body = [
            (parameter, name),
            ("TargetDBInstanceIdentifier", "dev"),
            ("UseLatestRestorableTime", "true"),
        ];
        // Nothing was archived of it yet: that is said after the caller was asked about.
        api.call_as(&judge, "RestoreDBInstanceToPointInTime", &body)
            .unwrap_err();
        let action = "RestoreDBInstanceToPointInTime";
        let wanted = [pair(action, &arn("dev")), pair(action, &resource)];
        assert_eq!(judge.asked(), wanted, "{parameter}");
        let held = ("rds:db-tag/team".to_owned(), vec!["blue".to_owned()]);
        let asked = judge.asked.lock().unwrap();
        assert_eq!(asked[1].keys.contains(&held), resource != "*");
    }
}

#[test]
fn what_is_another_account_s_is_not_shown() {
    let api = Api::new();
    api.available("shop");
    let stranger = aws::access::Owner::new("444455556666".parse().unwrap(), "us-east-1");
    let found = api.call_as(&stranger, "DescribeDBInstances", &[]).unwrap();
    assert_eq!(found.count("DBInstances"), 0);
    let own = arn("shop");
    for name in ["shop", &*own] {
        for operation in ["RebootDBInstance", "StopDBInstance", "ModifyDBInstance"] {
            let body = [("DBInstanceIdentifier", name)];
            let refused = api.call_as(&stranger, operation, &body).unwrap_err();
            let is_hidden = ["DBInstanceNotFound", "AccessDenied"].contains(&&*refused.0);
            assert!(is_hidden, "{operation} {name}: {refused:?}");
        }
    }
    let far = [
        ("DBInstanceIdentifier", "far"),
        ("SourceDBInstanceIdentifier", &*own),
    ];
    let refused = api
        .call_as(&stranger, "CreateDBInstanceReadReplica", &far)
        .unwrap_err();
    assert!(
        ["DBInstanceNotFound", "AccessDenied"].contains(&&*refused.0),
        "{refused:?}"
    );
    api.call_as(&stranger, "CreateDBInstance", &new_instance("shop"))
        .unwrap();
}
