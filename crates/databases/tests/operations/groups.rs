//! Subnet groups, parameter groups, option groups, and the tags of all.

use types::network;

use crate::support::{Api, new_instance, with, zones};

fn subnets() -> Vec<String> {
    zones().into_iter().map(network::default_subnet).collect()
}

#[test]
fn a_subnet_group_is_made_changed_used_and_deleted() {
    let api = Api::new();
    let subnets = subnets();
    let body = [
        ("DBSubnetGroupName", "Both"),
        ("DBSubnetGroupDescription", "d"),
        ("SubnetIds.SubnetIdentifier.1", &*subnets[0]),
        ("SubnetIds.SubnetIdentifier.2", &*subnets[1]),
    ];
    let made = api.ok("CreateDBSubnetGroup", &body);
    assert_eq!(made.text("DBSubnetGroup/DBSubnetGroupName"), "both");
    assert_eq!(
        made.text("DBSubnetGroup/VpcId"),
        network::default_vpc(zones()[0].region)
    );
    let named = made.each("DBSubnetGroup/Subnets", "SubnetIdentifier");
    assert_eq!(named, subnets[..2]);
    assert_eq!(
        api.code("CreateDBSubnetGroup", &body),
        "DBSubnetGroupAlreadyExists"
    );
    let one = with(
        &body,
        &[
            ("SubnetIds.SubnetIdentifier.2", "-"),
            ("DBSubnetGroupName", "one"),
        ],
    );
    let refused = api.refused("CreateDBSubnetGroup", &one);
    assert_eq!(refused.0, "DBSubnetGroupDoesNotCoverEnoughAZs");
    assert!(refused.1.contains("us-east-1a"), "{refused:?}");
    let other = with(&body, &[("SubnetIds.SubnetIdentifier.2", "subnet-0")]);
    assert_eq!(
        api.code("CreateDBSubnetGroup", &other),
        "InvalidParameterValue"
    );

    let placed = [
        ("DBSubnetGroupName", "both"),
        ("AvailabilityZone", "us-east-1b"),
    ];
    api.ok("CreateDBInstance", &with(&new_instance("shop"), &placed));
    let elsewhere = with(
        &new_instance("x"),
        &[placed[0], ("AvailabilityZone", "us-east-1c")],
    );
    assert_eq!(
        api.code("CreateDBInstance", &elsewhere),
        "InvalidParameterCombination"
    );
    let nowhere = with(&new_instance("x"), &[("DBSubnetGroupName", "nothing")]);
    assert_eq!(
        api.code("CreateDBInstance", &nowhere),
        "DBSubnetGroupNotFoundFault"
    );
    let delete = [("DBSubnetGroupName", "both")];
    assert_eq!(
        api.code("DeleteDBSubnetGroup", &delete),
        "InvalidDBSubnetGroupStateFault"
    );
    let away = with(
        &body,
        &[
            ("SubnetIds.SubnetIdentifier.1", &*subnets[0]),
            ("SubnetIds.SubnetIdentifier.2", &*subnets[2]),
        ],
    );
    assert_eq!(api.code("ModifyDBSubnetGroup", &away), "SubnetAlreadyInUse");
    let more = with(&body, &[("SubnetIds.SubnetIdentifier.3", &*subnets[2])]);
    let changed = api.ok("ModifyDBSubnetGroup", &more);
    assert_eq!(changed.count("DBSubnetGroup/Subnets"), 3);
    let all = api.ok("DescribeDBSubnetGroups", &[]);
    assert_eq!(
        all.each("DBSubnetGroups", "DBSubnetGroupName"),
        ["both", "default"]
    );
    let skip = [
        ("DBInstanceIdentifier", "shop"),
        ("SkipFinalSnapshot", "true"),
    ];
    api.ok("DeleteDBInstance", &skip);
    api.carry_out("shop");
    api.ok("DeleteDBSubnetGroup", &delete);
    assert_eq!(
        api.code("DescribeDBSubnetGroups", &delete),
        "DBSubnetGroupNotFoundFault"
    );
    let default = [("DBSubnetGroupName", "default")];
    assert_eq!(
        api.code("DeleteDBSubnetGroup", &default),
        "InvalidDBSubnetGroupStateFault"
    );
}

fn group(api: &Api, name: &str) {
    api.ok(
        "CreateDBParameterGroup",
        &[
            ("DBParameterGroupName", name),
            ("DBParameterGroupFamily", "postgres15"),
            ("Description", "d"),
        ],
    );
}

fn setting<'a>(name: &'a str, value: &'a str, method: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("DBParameterGroupName", "tuned"),
        ("Parameters.Parameter.1.ParameterName", name),
        ("Parameters.Parameter.1.ParameterValue", value),
        ("Parameters.Parameter.1.ApplyMethod", method),
    ]
}

#[test]
fn parameters_are_set_described_and_reset() {
    let api = Api::new();
    group(&api, "tuned");
    api.ok(
        "ModifyDBParameterGroup",
        &setting("work_mem", "8192", "immediate"),
    );
    api.ok(
        "ModifyDBParameterGroup",
        &setting("max_connections", "50", "pending-reboot"),
    );
    let user = [("DBParameterGroupName", "tuned"), ("Source", "user")];
    let set = api.ok("DescribeDBParameters", &user);
    assert_eq!(
        set.each("Parameters", "ParameterName"),
        ["max_connections", "work_mem"]
    );
    assert_eq!(set.each("Parameters", "ParameterValue"), ["50", "8192"]);
    assert_eq!(set.each("Parameters", "ApplyType"), ["static", "dynamic"]);
    assert_eq!(
        set.each("Parameters", "AllowedValues"),
        ["6-262143", "64-2147483647"]
    );
    let mut names = Vec::new();
    let mut marker = String::new();
    loop {
        let page = [
            ("DBParameterGroupName", "default.postgres15"),
            ("Marker", &*marker),
        ];
        let found = api.ok("DescribeDBParameters", &page);
        names.extend(found.each("Parameters", "ParameterName"));
        match found.find("Marker") {
            Some(next) => marker = next.text_of(),
            None => break,
        }
    }
    assert_eq!(names.len(), 307);
    assert!(names.is_sorted());
    let one = [
        ("DBParameterGroupName", "tuned"),
        ("Parameters.Parameter.1.ParameterName", "work_mem"),
        ("Parameters.Parameter.1.ApplyMethod", "immediate"),
    ];
    api.ok("ResetDBParameterGroup", &one);
    let set = api.ok("DescribeDBParameters", &user);
    assert_eq!(set.each("Parameters", "ParameterName"), ["max_connections"]);
    let all = [
        ("DBParameterGroupName", "tuned"),
        ("ResetAllParameters", "true"),
    ];
    api.ok("ResetDBParameterGroup", &all);
    assert_eq!(api.ok("DescribeDBParameters", &user).count("Parameters"), 0);
    let messages = api.messages("db-parameter-group");
    assert_eq!(
        messages[0],
        "Updated parameter work_mem to 8192 with apply method immediate"
    );
    assert_eq!(messages.len(), 4);
}

#[test]
fn what_can_t_be_set_is_refused_in_rds_s_words() {
    let api = Api::new();
    group(&api, "tuned");
    for (name, value, method, code, words) in [
        (
            "no_such",
            "1",
            "immediate",
            "InvalidParameterValue",
            "Could not find parameter",
        ),
        (
            "fsync",
            "0",
            "immediate",
            "InvalidParameterValue",
            "cannot be modified",
        ),
        (
            "archive_command",
            "touch /x",
            "immediate",
            "InvalidParameterValue",
            "cannot be modified",
        ),
        (
            "work_mem",
            "x",
            "immediate",
            "InvalidParameterValue",
            "allowed values are: 64-2147483647",
        ),
        (
            "work_mem",
            "64",
            "soon",
            "InvalidParameterValue",
            "Invalid apply method",
        ),
        (
            "max_connections",
            "50",
            "immediate",
            "InvalidParameterCombination",
            "cannot use immediate apply method for static parameter",
        ),
    ] {
        let refused = api.refused("ModifyDBParameterGroup", &setting(name, value, method));
        assert_eq!(refused.0, code, "{name}");
        assert!(refused.1.contains(words), "{refused:?}");
    }
    let default = with(
        &setting("work_mem", "64", "immediate"),
        &[("DBParameterGroupName", "default.postgres15")],
    );
    assert_eq!(
        api.code("ModifyDBParameterGroup", &default),
        "InvalidDBParameterGroupState"
    );
    let family = [
        ("DBParameterGroupName", "other"),
        ("DBParameterGroupFamily", "postgres14"),
        ("Description", "d"),
    ];
    assert_eq!(
        api.code("CreateDBParameterGroup", &family),
        "InvalidParameterValue"
    );
    let missing = [("DBParameterGroupName", "nothing")];
    assert_eq!(
        api.code("DescribeDBParameters", &missing),
        "DBParameterGroupNotFound"
    );
    assert_eq!(
        api.code("DeleteDBParameterGroup", &missing),
        "DBParameterGroupNotFound"
    );
    let used = with(&new_instance("shop"), &[("DBParameterGroupName", "tuned")]);
    api.ok("CreateDBInstance", &used);
    let tuned = [("DBParameterGroupName", "tuned")];
    assert_eq!(
        api.code("DeleteDBParameterGroup", &tuned),
        "InvalidDBParameterGroupState"
    );
}

#[test]
fn option_groups_are_made_described_and_deleted() {
    let api = Api::new();
    let body = [
        ("OptionGroupName", "none"),
        ("EngineName", "postgres"),
        ("MajorEngineVersion", "15"),
        ("OptionGroupDescription", "d"),
    ];
    let made = api.ok("CreateOptionGroup", &body);
    assert_eq!(made.text("OptionGroup/MajorEngineVersion"), "15");
    assert_eq!(
        api.code("CreateOptionGroup", &body),
        "OptionGroupAlreadyExistsFault"
    );
    let all = api.ok("DescribeOptionGroups", &[]);
    let names = all.each("OptionGroupsList", "OptionGroupName");
    assert_eq!(names, ["default:postgres-15", "none"]);
    let default = [("OptionGroupName", "default:postgres-15")];
    assert_eq!(
        api.code("DeleteOptionGroup", &default),
        "InvalidOptionGroupStateFault"
    );
    let used = with(&new_instance("shop"), &[("OptionGroupName", "none")]);
    api.ok("CreateDBInstance", &used);
    let none = [("OptionGroupName", "none")];
    assert_eq!(
        api.code("DeleteOptionGroup", &none),
        "InvalidOptionGroupStateFault"
    );
    let other = with(
        &body,
        &[("OptionGroupName", "x"), ("MajorEngineVersion", "14")],
    );
    assert_eq!(
        api.code("CreateOptionGroup", &other),
        "InvalidParameterCombination"
    );
}

#[test]
fn tags_are_set_listed_and_taken_away() {
    let api = Api::new();
    api.available("shop");
    group(&api, "tuned");
    let snapshot = [
        ("DBInstanceIdentifier", "shop"),
        ("DBSnapshotIdentifier", "s"),
    ];
    api.ok("CreateDBSnapshot", &snapshot);
    for name in ["db:shop", "snapshot:s", "pg:tuned"] {
        let arn = format!("arn:aws:rds:us-east-1:111122223333:{name}");
        let set = [
            ("ResourceName", &*arn),
            ("Tags.Tag.1.Key", "team"),
            ("Tags.Tag.1.Value", "blue"),
            ("Tags.Tag.2.Key", "tier"),
        ];
        api.ok("AddTagsToResource", &set);
        let listed = api.ok("ListTagsForResource", &[("ResourceName", &arn)]);
        assert_eq!(listed.each("TagList", "Key"), ["team", "tier"], "{name}");
        let taken = [("ResourceName", &*arn), ("TagKeys.member.1", "team")];
        api.ok("RemoveTagsFromResource", &taken);
        let listed = api.ok("ListTagsForResource", &[("ResourceName", &arn)]);
        assert_eq!(listed.each("TagList", "Key"), ["tier"], "{name}");
    }
    for (name, code) in [
        (
            "arn:aws:rds:us-east-1:111122223333:db:nothing",
            "DBInstanceNotFound",
        ),
        (
            "arn:aws:rds:eu-west-1:111122223333:db:shop",
            "DBInstanceNotFound",
        ),
        ("arn:aws:rds:us-east-1:444455556666:db:shop", "AccessDenied"),
        (
            "arn:aws:rds:us-east-1:111122223333:ri:shop",
            "InvalidParameterValue",
        ),
        ("shop", "InvalidParameterValue"),
    ] {
        assert_eq!(
            api.code("ListTagsForResource", &[("ResourceName", name)]),
            code,
            "{name}"
        );
    }
    let reserved = [
        ("ResourceName", "arn:aws:rds:us-east-1:111122223333:db:shop"),
        ("Tags.Tag.1.Key", "aws:team"),
    ];
    assert_eq!(
        api.code("AddTagsToResource", &reserved),
        "InvalidParameterValue"
    );
}
