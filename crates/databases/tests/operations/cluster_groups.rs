//! DB cluster parameter groups, and what of them reaches a writer's gate.

use databases::global_db_rpo;
use types::Span;

use crate::clusters::{FIRST, GLOBAL, HEAD, world};
use crate::support::{Api, Parameters, with};

const GROUP: &[(&str, &str)] = &[
    ("DBClusterParameterGroupName", "Careful"),
    ("DBParameterGroupFamily", "aurora-postgresql15"),
    ("Description", "loses little"),
];

const NAMED: &[(&str, &str)] = &[("DBClusterParameterGroupName", "careful")];

const NOT_FOUND: &str = "DBParameterGroupNotFound";

/// As a part of an operation is refused that isn't built.
const UNBUILT: &str = "InvalidParameterCombination";

fn rpo(value: &str) -> Vec<(&str, &str)> {
    with(
        NAMED,
        &[
            ("Parameters.Parameter.1.ParameterName", "rds.global_db_rpo"),
            ("Parameters.Parameter.1.ParameterValue", value),
            ("Parameters.Parameter.1.ApplyMethod", "immediate"),
        ],
    )
}

/// What the writer's gate goes by.
fn objective(api: &Api) -> Option<Span> {
    global_db_rpo(&*api.memory_view(), &api.row("head")).unwrap()
}

#[test]
fn a_group_is_made_changed_described_and_deleted() {
    let api = Api::new();
    let made = api.ok("CreateDBClusterParameterGroup", GROUP);
    let path = |field: &str| format!("DBClusterParameterGroup/{field}");
    assert_eq!(made.text(&path("DBClusterParameterGroupName")), "careful");
    assert_eq!(
        made.text(&path("DBClusterParameterGroupArn")),
        "arn:aws:rds:us-east-1:111122223333:cluster-pg:careful"
    );
    let again = api.code("CreateDBClusterParameterGroup", GROUP);
    assert_eq!(again, "DBParameterGroupAlreadyExists");
    let named = api.ok("ModifyDBClusterParameterGroup", &rpo("20"));
    assert_eq!(named.text("DBClusterParameterGroupName"), "careful");
    let found = api.ok("DescribeDBClusterParameters", NAMED);
    for (field, value) in [
        ("ParameterName", "rds.global_db_rpo"),
        ("ParameterValue", "20"),
        ("Source", "user"),
        ("ApplyType", "dynamic"),
        ("DataType", "integer"),
        ("AllowedValues", "-1,20-2147483647"),
        ("IsModifiable", "true"),
        ("ApplyMethod", "immediate"),
    ] {
        assert_eq!(found.text(&format!("Parameters/4/{field}")), value);
    }
    assert_eq!(found.count("Parameters"), 5);
    let all = api.ok("DescribeDBClusterParameterGroups", &[]);
    let names = all.each("DBClusterParameterGroups", "DBClusterParameterGroupName");
    assert_eq!(names, ["careful", "default.aurora-postgresql15"]);
    api.ok("ResetDBClusterParameterGroup", NAMED);
    let found = api.ok("DescribeDBClusterParameters", NAMED);
    assert_eq!(found.text("Parameters/4/Source"), "engine-default");
    assert!(found.find("Parameters/4/ParameterValue").is_none());
    let source = with(NAMED, &[("Source", "user")]);
    assert_eq!(
        api.ok("DescribeDBClusterParameters", &source)
            .count("Parameters"),
        0
    );
    let tag = [
        (
            "ResourceName",
            "arn:aws:rds:us-east-1:111122223333:cluster-pg:careful",
        ),
        ("Tags.Tag.1.Key", "team"),
        ("Tags.Tag.1.Value", "blue"),
    ];
    api.ok("AddTagsToResource", &tag);
    assert_eq!(api.ok("ListTagsForResource", &tag[..1]).count("TagList"), 1);
    api.ok("DeleteDBClusterParameterGroup", NAMED);
    assert_eq!(api.code("DeleteDBClusterParameterGroup", NAMED), NOT_FOUND);
}

#[test]
fn what_a_group_can_t_have_is_refused_by_name() {
    let api = Api::new();
    for operation in [
        "DeleteDBClusterParameterGroup",
        "DescribeDBClusterParameters",
        "DescribeDBClusterParameterGroups",
        "ResetDBClusterParameterGroup",
    ] {
        assert_eq!(api.code(operation, NAMED), NOT_FOUND, "{operation}");
    }
    let other = with(GROUP, &[("DBParameterGroupFamily", "postgres15")]);
    let refused = api.code("CreateDBClusterParameterGroup", &other[1..]);
    assert_eq!(refused, "MissingParameter");
    let other = [GROUP[0], ("DBParameterGroupFamily", "postgres15"), GROUP[2]];
    let refused = api.code("CreateDBClusterParameterGroup", &other);
    assert_eq!(refused, "InvalidParameterValue");
    api.ok("CreateDBClusterParameterGroup", GROUP);
    let modify =
        |parameters: Parameters<'_>| api.refused("ModifyDBClusterParameterGroup", parameters);
    for value in ["19", "0", "-2", "", "often", "2147483648"] {
        let (code, text) = modify(&rpo(value));
        assert_eq!(code, "InvalidParameterValue", "{value}");
        assert!(text.contains("-1,20-2147483647"), "{text}");
    }
    let mut later = rpo("20");
    later.last_mut().unwrap().1 = "pending-reboot";
    let (code, text) = modify(&later);
    assert!(
        code == UNBUILT && text.contains("pending-reboot"),
        "{code} {text}"
    );
    for (name, expected) in [
        ("work_mem", UNBUILT),
        ("rds.dance", "InvalidParameterValue"),
    ] {
        let mut asked = rpo("64");
        asked[1].1 = name;
        let (code, text) = modify(&asked);
        assert!(code == expected && text.contains(name), "{code} {text}");
    }
    let default = [("DBClusterParameterGroupName", "default.aurora-postgresql15")];
    for operation in [
        "DeleteDBClusterParameterGroup",
        "ResetDBClusterParameterGroup",
    ] {
        assert_eq!(
            api.code(operation, &default),
            "InvalidDBParameterGroupState"
        );
    }
    let both = with(&rpo("20"), &[("ResetAllParameters", "true")]);
    let refused = api.code("ResetDBClusterParameterGroup", &both);
    assert_eq!(refused, "InvalidParameterCombination");
}

#[test]
fn a_cluster_s_group_is_what_its_writer_s_commits_wait_by() {
    let (_, [api, ..]) = world();
    api.ok("CreateGlobalCluster", GLOBAL);
    let unknown = with(FIRST, NAMED);
    let refused = api.code("CreateDBCluster", &unknown);
    assert_eq!(refused, "DBClusterParameterGroupNotFound");
    api.ok("CreateDBClusterParameterGroup", GROUP);
    let made = api.ok("CreateDBCluster", &with(FIRST, NAMED));
    assert_eq!(made.text("DBCluster/DBClusterParameterGroup"), "careful");
    api.ok("CreateDBInstance", HEAD);
    assert_eq!(objective(&api), None, "by default they wait for nobody");
    api.around.looked_at.lock().unwrap().clear();
    api.ok("ModifyDBClusterParameterGroup", &rpo("30"));
    assert_eq!(objective(&api), Some(Span::seconds(30)));
    let head = api.id("head").0;
    assert!(
        api.around.looked_at.lock().unwrap().contains(&head),
        "it is told at once"
    );
    let in_use = api.code("DeleteDBClusterParameterGroup", NAMED);
    assert_eq!(in_use, "InvalidDBParameterGroupState");
    api.ok("ModifyDBClusterParameterGroup", &rpo("-1"));
    assert_eq!(objective(&api), None);
    api.ok("ModifyDBClusterParameterGroup", &rpo("2147483647"));
    assert_eq!(objective(&api), Some(Span::seconds(2_147_483_647)));
    // Back to the default group, by its name.
    let back = [
        ("DBClusterIdentifier", "shop"),
        ("DBClusterParameterGroupName", "default.aurora-postgresql15"),
    ];
    let modified = api.ok("ModifyDBCluster", &back);
    assert_eq!(
        modified.text("DBCluster/DBClusterParameterGroup"),
        "default.aurora-postgresql15"
    );
    assert_eq!(objective(&api), None);
    api.ok("DeleteDBClusterParameterGroup", NAMED);
}
