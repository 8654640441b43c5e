//! What is the same for everybody, and events.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::support::{Api, Memory, Setting};

#[test]
fn the_installed_version_is_described_and_nothing_else() {
    let api = Api::new();
    for (parameters, count) in [
        (vec![], 1),
        (vec![("Engine", "postgres")], 1),
        (vec![("Engine", "mysql")], 0),
        (vec![("Engine", "postgres"), ("EngineVersion", "15")], 1),
        (vec![("Engine", "postgres"), ("EngineVersion", "16.1")], 0),
        (vec![("DBParameterGroupFamily", "postgres15")], 1),
    ] {
        let found = api.ok("DescribeDBEngineVersions", &parameters);
        assert_eq!(found.count("DBEngineVersions"), count, "{parameters:?}");
    }
    let (engine, pool) = (Err("none"), Ok(24));
    let region = "us-east-1";
    let bare = Setting {
        region,
        engine,
        pool,
        global: Arc::<Memory>::default(),
    }
    .make();
    assert_eq!(
        bare.ok("DescribeDBEngineVersions", &[])
            .count("DBEngineVersions"),
        0
    );
}

#[test]
fn what_can_be_ordered_is_what_can_be_made() {
    let api = Api::new();
    let asked = [("Engine", "postgres"), ("DBInstanceClass", "db.t3.micro")];
    let found = api.ok("DescribeOrderableDBInstanceOptions", &asked);
    assert_eq!(
        found.each("OrderableDBInstanceOptions", "StorageType"),
        ["gp2", "gp3"]
    );
    assert_eq!(
        found.text("OrderableDBInstanceOptions/0/MultiAZCapable"),
        "true"
    );
    assert_eq!(
        api.code("DescribeOrderableDBInstanceOptions", &[]),
        "MissingParameter"
    );
}

#[test]
fn quotas_count_what_there_is() {
    let api = Api::new();
    api.available("shop");
    let found = api.ok("DescribeAccountAttributes", &[]);
    assert_eq!(
        found.text("AccountQuotas/0/AccountQuotaName"),
        "DBInstances"
    );
    assert_eq!(found.text("AccountQuotas/0/Used"), "1");
    assert_eq!(found.text("AccountQuotas/0/Max"), "40");
}

#[test]
fn there_are_no_certificates_and_no_maintenance() {
    let api = Api::new();
    api.available("shop");
    assert_eq!(api.ok("DescribeCertificates", &[]).count("Certificates"), 0);
    let named = [("CertificateIdentifier", "rds-ca-rsa2048-g1")];
    assert_eq!(
        api.code("DescribeCertificates", &named),
        "CertificateNotFound"
    );
    let (arn, other) = (crate::support::arn("shop"), crate::support::arn("nothing"));
    let found = api.ok(
        "DescribePendingMaintenanceActions",
        &[("ResourceIdentifier", &arn)],
    );
    assert_eq!(found.count("PendingMaintenanceActions"), 0);
    let missing = [("ResourceIdentifier", &*other)];
    assert_eq!(
        api.code("DescribePendingMaintenanceActions", &missing),
        "ResourceNotFoundFault"
    );
}

#[test]
fn events_are_found_by_time_source_and_category() {
    let api = Api::new();
    api.available("shop");
    api.environment
        .now
        .fetch_add(2 * 3_600_000, Ordering::Relaxed);
    api.available("store");
    let count = |parameters: &[(&str, &str)]| api.ok("DescribeEvents", parameters).count("Events");
    assert_eq!(count(&[]), 1, "of the last hour");
    assert_eq!(count(&[("Duration", "180")]), 2);
    let span = [
        ("StartTime", "2026-11-18T11:00:00Z"),
        ("EndTime", "2026-11-18T12:00:00.5Z"),
    ];
    assert_eq!(count(&span), 1);
    assert_eq!(
        count(&[
            ("Duration", "180"),
            ("EventCategories.EventCategory.1", "deletion")
        ]),
        0
    );
    assert_eq!(
        count(&[("Duration", "180"), ("SourceType", "db-cluster")]),
        0
    );
    for bad in [
        vec![("SourceIdentifier", "shop")],
        vec![("SourceType", "dog")],
        vec![("StartTime", "yesterday")],
        vec![("Duration", "0")],
    ] {
        let code = api.code("DescribeEvents", &bad);
        assert!(code.starts_with("InvalidParameter"), "{bad:?}: {code}");
    }
    api.environment
        .now
        .fetch_add(15 * 86_400_000, Ordering::Relaxed);
    assert_eq!(count(&[("Duration", "20160")]), 0, "they are too old");
    let categories = api.ok("DescribeEventCategories", &[("SourceType", "db-instance")]);
    assert_eq!(categories.count("EventCategoriesMapList"), 1);
    let all = api.ok("DescribeEventCategories", &[]);
    assert_eq!(all.count("EventCategoriesMapList"), 4);
}

#[test]
fn a_region_remembers_a_thousand_events() {
    let api = Api::new();
    api.available("shop");
    let named = [("DBInstanceIdentifier", "shop")];
    let mut view = api.memory.view_now();
    let mut events = view.entries.range("databases/event/".to_owned()..);
    let event = events.next().unwrap().1.clone();
    for number in 0..1000 {
        let key = databases::keys::event(number);
        view.entries.insert(key, event.clone());
    }
    // Events are numbered by the changes that they tell of.
    let changes = (view.revision, "1000".into());
    view.entries
        .insert(databases::keys::CHANGES.to_owned(), changes);
    api.memory.set(view);
    for _ in 0..3 {
        api.ok("RebootDBInstance", &named);
        api.carry_out("shop");
    }
    let view = api.memory.view_now();
    let held = view
        .entries
        .keys()
        .filter(|key| key.starts_with("databases/event/"));
    assert_eq!(held.count(), 1000);
    let messages = api.ok("DescribeEvents", &[]).count("Events");
    assert_eq!(messages, 100, "a page");
    let oldest = databases::keys::event(0);
    assert!(!view.entries.contains_key(&oldest), "the oldest made room");
}
