//! Write forwarding, asked as clients ask for it, and what follows of it in either Region.

use std::sync::atomic::Ordering;

use databases::model::ResourceId;
use databases::{Forwarding, encode, forwarded_to, forwarding, keys, writer_of};
use types::{Configuration, ConfigurationEdit, ConfigurationError, ConfigurationExpected, Span};

use crate::clusters::{FIRST, GLOBAL, NAMED, SECOND, arn, pair, row, world};
use crate::support::{Api, Memory, block_on, with};

const FORWARDS: &[(&str, &str)] = &[("EnableGlobalWriteForwarding", "true")];

const SHOP: &[(&str, &str)] = &[("DBClusterIdentifier", "shop")];

fn set(value: &str) -> Vec<(&str, &str)> {
    with(SHOP, &[("EnableGlobalWriteForwarding", value)])
}

/// Where an instance's sessions write.
fn goes(api: &Api, council: &Memory) -> Option<Forwarding> {
    forwarding(&*api.memory_view(), &*council.view(), &api.row("head")).unwrap()
}

/// The head whose answers an instance's sessions may still be told.
fn writer(api: &Api, council: &Memory) -> Option<ResourceId> {
    writer_of(&*api.memory_view(), &*council.view(), &api.row("head")).unwrap()
}

/// What is described of a cluster's forwarding, by itself and by its global cluster.
fn described(api: &Api) -> [String; 3] {
    let own = api.ok("DescribeDBClusters", SHOP);
    let own = |field: &str| own.text(&format!("DBClusters/0/{field}"));
    let world = api.ok("DescribeGlobalClusters", NAMED);
    let member = "GlobalClusters/0/GlobalClusterMembers";
    let arns = world.each(member, "DBClusterArn");
    let at = arns.iter().position(|it| *it == arn(api)).unwrap();
    [
        own("GlobalWriteForwardingRequested"),
        own("GlobalWriteForwardingStatus"),
        world.each(member, "GlobalWriteForwardingStatus")[at].clone(),
    ]
}

#[test]
fn it_is_asked_for_of_members_and_described_everywhere() {
    let (_, [here, there, _]) = world();
    let (code, text) = here.refused("CreateDBCluster", &with(&FIRST[..5], FORWARDS));
    assert_eq!(code, "InvalidParameterCombination");
    assert!(text.contains("EnableGlobalWriteForwarding"), "{text}");
    here.ok("CreateGlobalCluster", GLOBAL);
    here.ok("CreateDBCluster", FIRST);
    there.ok("CreateDBCluster", &with(SECOND, FORWARDS));
    assert_eq!(described(&here), ["false", "disabled", "disabled"]);
    assert_eq!(described(&there), ["true", "enabled", "enabled"]);
    let made = here.ok("ModifyDBCluster", &set("true"));
    assert_eq!(
        made.text("DBCluster/GlobalWriteForwardingStatus"),
        "enabled"
    );
    there.ok("ModifyDBCluster", &set("false"));
    assert_eq!(described(&here), ["true", "enabled", "enabled"]);
    assert_eq!(described(&there), ["false", "disabled", "disabled"]);
    assert_eq!(
        there.code("ModifyDBCluster", &set("yes")),
        "InvalidParameterValue"
    );
}

#[test]
fn a_council_that_can_t_be_reached_changes_nothing() {
    let (council, [_, there, _]) = pair();
    council.fail(Some(ConfigurationError::NoMajority));
    there.code("ModifyDBCluster", &set("true"));
    council.fail(None);
    assert_eq!(described(&there), ["false", "disabled", "disabled"]);
    // What says nothing of it needs no council.
    let proposals = council.proposals.load(Ordering::Relaxed);
    there.ok(
        "ModifyDBCluster",
        &with(SHOP, &[("BackupRetentionPeriod", "3")]),
    );
    assert_eq!(council.proposals.load(Ordering::Relaxed), proposals);
}

/// What is refused for another reason leaves the council's row as it was too.
#[test]
fn a_modification_that_is_refused_changes_nothing() {
    let (council, [_, there, _]) = pair();
    let refused = |value: &str| {
        let proposals = council.proposals.load(Ordering::Relaxed);
        for other in [
            ("DBClusterParameterGroupName", "nope"),
            ("PreferredBackupWindow", "soon"),
            ("EngineVersion", "99.1"),
            ("BackupRetentionPeriod", "0"),
            ("DeletionProtection", "perhaps"),
        ] {
            there.code("ModifyDBCluster", &with(&set(value), &[other]));
        }
        assert_eq!(council.proposals.load(Ordering::Relaxed), proposals);
    };
    refused("true");
    assert_eq!(described(&there), ["false", "disabled", "disabled"]);
    there.ok("ModifyDBCluster", &set("true"));
    refused("false");
    assert_eq!(described(&there), ["true", "enabled", "enabled"]);
}

#[test]
fn a_secondary_writes_at_the_writer_and_nobody_else_does() {
    let (council, [here, there, third]) = pair();
    assert_eq!(goes(&there, &council), None);
    there.ok("ModifyDBCluster", &set("true"));
    here.ok("ModifyDBCluster", &set("true"));
    let found = goes(&there, &council).unwrap();
    assert_eq!(
        (&*found.region.to_string(), found.writer),
        (&*here.region, here.id("head"))
    );
    assert_eq!(found.consistency, "SESSION");
    assert_eq!(found.connect_timeout, Some(Span::seconds(30)));
    assert_eq!(found.idle_session_timeout, Some(Span::seconds(300)));
    assert_eq!(goes(&here, &council), None, "it writes itself");
    let takes = |api: &Api, from: &Api| {
        let (view, global) = (api.memory_view(), council.view());
        forwarded_to(
            &*view,
            &*global,
            &api.id("head"),
            from.region.parse().unwrap(),
        )
        .unwrap()
    };
    let endpoint = here
        .ok("DescribeDBClusters", SHOP)
        .text("DBClusters/0/Endpoint");
    assert_eq!(
        takes(&here, &there),
        Some(format!("{endpoint}:5432").parse().unwrap())
    );
    assert_eq!(takes(&here, &third), None);
    assert_eq!(takes(&here, &here), None);
    assert_eq!(takes(&there, &here), None, "it doesn't write");
    // What is under way when it is turned off is answered by who carries it out.
    assert_eq!(writer(&there, &council), Some(here.id("head")));
    there.ok("ModifyDBCluster", &set("false"));
    assert_eq!(goes(&there, &council), None);
    assert_eq!(writer(&there, &council), Some(here.id("head")));
    there.ok("ModifyDBCluster", &set("true"));
    // Once the other writes, it is the other way round.
    let mut moved = row(&council);
    moved.writer = Some(arn(&there).parse().unwrap());
    let edit = ConfigurationEdit {
        key: keys::global_cluster(moved.account, &moved.identifier),
        expected: ConfigurationExpected::Any,
        value: Some(encode(&moved)),
    };
    block_on(council.propose(vec![edit])).unwrap();
    assert_eq!(goes(&there, &council), None);
    assert_eq!(writer(&there, &council), None);
    assert_eq!(writer(&here, &council), Some(there.id("head")));
    assert_eq!(
        goes(&here, &council).unwrap().region.to_string(),
        there.region
    );
    assert_eq!(takes(&here, &there), None);
    assert!(takes(&there, &here).is_some());
}

#[test]
fn a_parameter_group_bounds_it() {
    let (council, [_, there, _]) = pair();
    there.ok("ModifyDBCluster", &set("true"));
    let group = [
        ("DBClusterParameterGroupName", "far"),
        ("DBParameterGroupFamily", "aurora-postgresql15"),
        ("Description", "is far away"),
    ];
    there.ok("CreateDBClusterParameterGroup", &group);
    let modify = |name: &str, value: &str| {
        let name = format!("apg_write_forward.{name}");
        let asked = [
            group[0],
            ("Parameters.Parameter.1.ParameterName", &*name),
            ("Parameters.Parameter.1.ParameterValue", value),
            ("Parameters.Parameter.1.ApplyMethod", "immediate"),
        ];
        match there.call("ModifyDBClusterParameterGroup", &asked) {
            Ok(_) => String::new(),
            Err((code, _)) => code,
        }
    };
    for (name, value) in [
        ("consistency_mode", "SOMETIMES"),
        ("consistency_mode", "session"),
        ("connect_timeout", "-1"),
        ("idle_session_timeout", "soon"),
        ("max_forwarding_connections_percent", "25"),
    ] {
        assert_eq!(
            modify(name, value),
            "InvalidParameterValue",
            "{name} {value}"
        );
    }
    for (name, value) in [
        ("consistency_mode", "GLOBAL"),
        ("connect_timeout", "0"),
        ("idle_session_timeout", "1500"),
    ] {
        assert_eq!(modify(name, value), "", "{name}");
    }
    there.ok("ModifyDBCluster", &with(SHOP, &group[..1]));
    let found = goes(&there, &council).unwrap();
    assert_eq!(found.consistency, "GLOBAL");
    assert_eq!(found.connect_timeout, None);
    assert_eq!(found.idle_session_timeout, Some(Span::milliseconds(1500)));
    let day = Span::seconds(86_400);
    assert_eq!(found.idle_in_transaction_session_timeout, Some(day));
}
