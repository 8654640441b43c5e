//! Custom endpoints of clusters, asked as clients ask.

use databases::catalogue;

use crate::clusters::{ALONE, HEAD, pair};
use crate::support::{Api, with};

const REPORTS: &[(&str, &str)] = &[
    ("DBClusterEndpointIdentifier", "Reports"),
    ("DBClusterIdentifier", "shop"),
    ("EndpointType", "READER"),
];

/// What is asked for, and whom the endpoint leads to then.
type Change = (
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
);

const NAMED: &[(&str, &str)] = &[("DBClusterEndpointIdentifier", "reports")];

fn cluster() -> Api {
    let api = Api::new();
    api.ok("CreateDBCluster", ALONE);
    for name in ["head", "one", "two"] {
        let named = [("DBInstanceIdentifier", name)];
        api.ok("CreateDBInstance", &with(HEAD, &named));
    }
    api
}

fn leads_to(api: &Api) -> Vec<&'static str> {
    let arn = "arn:aws:rds:us-east-1:111122223333:cluster-endpoint:reports";
    let found = catalogue::endpoint_named(&*api.memory_view(), &arn.parse().unwrap());
    let (_, endpoint) = found.unwrap().unwrap();
    let names = ["head", "one", "two"].into_iter();
    names
        .filter(|name| endpoint.leads_to(name, *name == "head"))
        .collect()
}

#[test]
fn custom_endpoints_are_made_described_changed_and_deleted() {
    let api = cluster();
    let made = api.ok("CreateDBClusterEndpoint", REPORTS);
    assert_eq!(made.text("DBClusterEndpointIdentifier"), "reports");
    assert_eq!(made.text("EndpointType"), "CUSTOM");
    assert_eq!(made.text("CustomEndpointType"), "READER");
    assert_eq!(made.text("Status"), "available");
    assert_eq!(leads_to(&api), ["one", "two"]);
    let told = api.ok("DescribeDBClusterEndpoints", &[]);
    let list = "DBClusterEndpoints";
    let kinds = told.each(list, "EndpointType");
    assert_eq!(kinds, ["READER", "WRITER", "CUSTOM"]);
    let addresses = told.each(list, "Endpoint");
    assert!(addresses[0] != addresses[1] && addresses[1] != addresses[2]);
    let told = api.ok("DescribeDBClusters", &[]);
    assert_eq!(told.count("DBClusters/0/CustomEndpoints"), 1);
    assert_eq!(told.text("DBClusters/0/CustomEndpoints/0"), addresses[2]);
    let told = api.ok("DescribeDBClusterEndpoints", NAMED);
    assert_eq!(told.count(list), 1);
    let filter = [
        ("Filters.Filter.1.Name", "db-cluster-endpoint-custom-type"),
        ("Filters.Filter.1.Values.Value.1", "any"),
    ];
    assert_eq!(api.ok("DescribeDBClusterEndpoints", &filter).count(list), 0);

    let changes: [Change; 4] = [
        (&[("EndpointType", "ANY")], &["head", "one", "two"]),
        (&[("ExcludedMembers.member.1", "one")], &["head", "two"]),
        (&[("StaticMembers.member.1", "One")], &["one"]),
        (
            &[
                ("EndpointType", "READER"),
                ("StaticMembers.member.1", "head"),
                ("StaticMembers.member.2", "two"),
            ],
            &["two"],
        ),
    ];
    for (change, leads) in changes {
        api.ok("ModifyDBClusterEndpoint", &with(NAMED, change));
        assert_eq!(leads_to(&api), leads, "{change:?}");
    }
    let told = api.ok("DescribeDBClusterEndpoints", NAMED);
    assert_eq!(told.count("DBClusterEndpoints/0/StaticMembers"), 2);
    assert_eq!(told.count("DBClusterEndpoints/0/ExcludedMembers"), 0);

    let gone = api.ok("DeleteDBClusterEndpoint", NAMED);
    assert_eq!(gone.text("Status"), "deleting");
    let refused = api.code("DeleteDBClusterEndpoint", NAMED);
    assert_eq!(refused, "DBClusterEndpointNotFoundFault");
    assert_eq!(api.ok("DescribeDBClusterEndpoints", &[]).count(list), 2);
    // One that is gone is no error, nor is a name that none can have.
    for name in ["reports", "a--b", "arn:aws:rds"] {
        let named = [("DBClusterEndpointIdentifier", name)];
        let told = api.ok("DescribeDBClusterEndpoints", &named);
        assert_eq!(told.count(list), 0, "{name}");
    }
}

#[test]
fn what_a_custom_endpoint_can_t_be_is_refused_by_the_model_s_errors() {
    let api = cluster();
    api.create("other");
    for (more, code) in [
        (("DBClusterIdentifier", "none"), "DBClusterNotFoundFault"),
        (("EndpointType", "WRITER"), "InvalidParameterValue"),
        (("EndpointType", "-"), "MissingParameter"),
        (
            ("DBClusterEndpointIdentifier", "a--b"),
            "InvalidParameterValue",
        ),
        (("StaticMembers.member.1", "none"), "DBInstanceNotFound"),
        (("ExcludedMembers.member.1", "none"), "DBInstanceNotFound"),
        (
            ("StaticMembers.member.1", "other"),
            "InvalidDBInstanceState",
        ),
    ] {
        let refused = api.code("CreateDBClusterEndpoint", &with(REPORTS, &[more]));
        assert_eq!(refused, code, "{more:?}");
    }
    let both = [
        ("StaticMembers.member.1", "one"),
        ("ExcludedMembers.member.1", "two"),
    ];
    let refused = api.code("CreateDBClusterEndpoint", &with(REPORTS, &both));
    assert_eq!(refused, "InvalidParameterCombination");
    for operation in ["ModifyDBClusterEndpoint", "DeleteDBClusterEndpoint"] {
        assert_eq!(api.code(operation, NAMED), "DBClusterEndpointNotFoundFault");
    }
    for number in 1..=5 {
        let name = format!("e{number}");
        let named = [("DBClusterEndpointIdentifier", name.as_str())];
        api.ok("CreateDBClusterEndpoint", &with(REPORTS, &named));
        let again = api.code("CreateDBClusterEndpoint", &with(REPORTS, &named));
        assert_eq!(again, "DBClusterEndpointAlreadyExistsFault");
    }
    let refused = api.code("CreateDBClusterEndpoint", REPORTS);
    assert_eq!(refused, "DBClusterEndpointQuotaExceededFault");
}

#[test]
fn custom_endpoints_have_tags_and_go_with_their_cluster() {
    let api = Api::new();
    api.ok("CreateDBCluster", ALONE);
    let tag = [("Tags.Tag.1.Key", "team"), ("Tags.Tag.1.Value", "blue")];
    let made = api.ok("CreateDBClusterEndpoint", &with(REPORTS, &tag));
    let arn = made.text("DBClusterEndpointArn");
    let named = [("ResourceName", arn.as_str())];
    let told = api.ok("ListTagsForResource", &named);
    assert_eq!(told.text("TagList/0/Value"), "blue");
    let skip = [
        ("DBClusterIdentifier", "shop"),
        ("SkipFinalSnapshot", "true"),
    ];
    api.ok("DeleteDBCluster", &skip);
    assert_eq!(
        api.code("ListTagsForResource", &named),
        "DBClusterEndpointNotFoundFault"
    );
    // Nothing of them is left: their addresses are free again.
    assert!(
        api.memory
            .view_now()
            .entries
            .keys()
            .all(|key| !key.contains("address"))
    );
}

#[test]
fn the_writer_endpoint_of_a_secondary_is_inactive() {
    let (_, [here, there, _]) = pair();
    for (api, status) in [(&here, "available"), (&there, "inactive")] {
        let told = api.ok("DescribeDBClusterEndpoints", &[]);
        assert_eq!(
            told.each("DBClusterEndpoints", "Status"),
            ["available", status]
        );
    }
}
