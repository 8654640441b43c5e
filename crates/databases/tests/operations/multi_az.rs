//! `MultiAZ`: what the API says of a standby in another zone, and what it is asked.

use databases::model::Standby;
use databases::plan::Record;

use crate::support::{Api, Parameters, block_on, new_instance, with};

const AT_ONCE: (&str, &str) = ("ApplyImmediately", "true");

fn named(name: &str) -> [(&str, &str); 1] {
    [("DBInstanceIdentifier", name)]
}

fn paired(api: &Api) {
    api.ok(
        "CreateDBInstance",
        &with(&new_instance("shop"), &[("MultiAZ", "true")]),
    );
    api.carry_out("shop");
}

fn standby(api: &Api) -> Standby {
    api.row("shop").standby.unwrap()
}

fn record(api: &Api, record: &Record) {
    block_on(api.service.record(&api.id("shop"), record)).unwrap();
}

fn in_step(api: &Api) {
    let standby = standby(api).home;
    record(api, &Record::InStep { standby });
}

fn shown(api: &Api, path: &str) -> String {
    let found = api.ok("DescribeDBInstances", &named("shop"));
    found.text(&format!("DBInstances/0/{path}"))
}

fn modify(api: &Api, parameters: Parameters<'_>) {
    api.ok("ModifyDBInstance", &with(&named("shop"), parameters));
}

fn events(api: &Api) -> Vec<String> {
    let asked = [("SourceIdentifier", "shop"), ("SourceType", "db-instance")];
    api.ok("DescribeEvents", &asked).each("Events", "Message")
}

#[test]
fn an_instance_is_being_modified_until_its_standby_was_in_step() {
    let api = Api::new();
    paired(&api);
    assert_eq!(api.status("shop"), "modifying");
    assert_eq!(shown(&api, "MultiAZ"), "false");
    assert_eq!(shown(&api, "PendingModifiedValues/MultiAZ"), "true");
    in_step(&api);
    assert_eq!(api.status("shop"), "available");
    assert_eq!(shown(&api, "MultiAZ"), "true");
    let zone = shown(&api, "SecondaryAvailabilityZone");
    assert_ne!(zone, shown(&api, "AvailabilityZone"));
    // It stays what it is while its standby is away for a while.
    let standby = standby(&api).home;
    record(&api, &Record::OutOfStep { standby });
    assert_eq!(api.status("shop"), "available");
    assert_eq!(shown(&api, "SecondaryAvailabilityZone"), zone);
    let told = events(&api);
    let has = |words: &str| told.iter().any(|text| text.contains(words));
    assert!(has(
        "Finished applying modification to convert to a Multi-AZ"
    ));
    assert!(has("out of step"), "{told:?}");
}

#[test]
fn a_takeover_swaps_homes_and_zones_once_and_only_in_step() {
    let api = Api::new();
    paired(&api);
    let before = api.row("shop");
    let standby = standby(&api);
    let take_over = Record::TakeOver {
        standby: standby.home.clone(),
    };
    record(&api, &take_over);
    assert_eq!(api.row("shop"), before, "it is out of step");
    in_step(&api);
    record(&api, &take_over);
    let after = api.row("shop");
    assert_eq!(after.home(), &standby.home);
    assert_eq!(after.zone, standby.zone);
    let left = after.standby.clone().unwrap();
    assert_eq!((&left.home, left.zone), (before.home(), before.zone));
    assert!(!left.is_in_step && left.is_ready && left.is_failing_over);
    // Whoever comes late means another one.
    for late in [
        take_over,
        Record::OutOfStep {
            standby: standby.home.clone(),
        },
        Record::InStep {
            standby: standby.home.clone(),
        },
        Record::Parted {
            standby: standby.home,
        },
    ] {
        record(&api, &late);
        assert_eq!(api.row("shop"), after, "{late:?}");
    }
    record(&api, &Record::TookOver);
    let told = events(&api);
    for words in ["failover started", "failover completed"] {
        assert!(told.iter().any(|text| text.contains(words)), "{told:?}");
    }
    assert_eq!(shown(&api, "DbiResourceId"), before.resource_id.0);
}

#[test]
fn a_failover_is_forced_where_a_standby_is_in_step_alone() {
    let api = Api::new();
    api.available("plain");
    let forced = |name| with(&named(name), &[("ForceFailover", "true")]);
    assert_eq!(
        api.code("RebootDBInstance", &forced("plain")),
        "InvalidParameterCombination"
    );
    paired(&api);
    in_step(&api);
    let home = standby(&api).home;
    record(&api, &Record::OutOfStep { standby: home });
    let (code, text) = api.refused("RebootDBInstance", &forced("shop"));
    assert_eq!(code, "InvalidDBInstanceState");
    assert!(text.contains("out of step"), "{text}");
    in_step(&api);
    let generation = api.row("shop").generation;
    api.ok("RebootDBInstance", &forced("shop"));
    assert!(standby(&api).is_forced);
    assert_eq!(
        api.row("shop").generation,
        generation,
        "nothing restarts first"
    );
    assert_eq!(api.status("shop"), "rebooting");
    // It is called off by what makes it impossible.
    let home = standby(&api).home;
    record(&api, &Record::OutOfStep { standby: home });
    assert!(!standby(&api).is_forced);
    assert_eq!(api.status("shop"), "available");
}

#[test]
fn a_standby_comes_and_goes_at_once_or_in_the_window() {
    let api = Api::new();
    api.available("shop");
    modify(&api, &[("MultiAZ", "true")]);
    assert!(api.row("shop").standby.is_none());
    assert_eq!(shown(&api, "PendingModifiedValues/MultiAZ"), "true");
    record(&api, &Record::PendingApplied);
    assert!(!standby(&api).is_ready && api.row("shop").pending.is_empty());
    in_step(&api);
    modify(&api, &[("MultiAZ", "true"), AT_ONCE]);
    assert_eq!(api.status("shop"), "available", "it has one");
    modify(&api, &[("MultiAZ", "false"), AT_ONCE]);
    // Nothing waits for it, and it takes over no more.
    let leaving = standby(&api);
    assert!(leaving.is_leaving && !leaving.is_in_step);
    assert_eq!(api.status("shop"), "modifying");
    in_step(&api);
    assert!(!standby(&api).is_in_step);
    let standby = leaving.home;
    record(&api, &Record::Parted { standby });
    assert!(api.row("shop").standby.is_none());
    assert_eq!(api.status("shop"), "available");
    assert_eq!(shown(&api, "MultiAZ"), "false");
}

#[test]
fn a_zone_can_t_be_chosen_and_copies_have_no_standby() {
    let api = Api::new();
    let asked = [("MultiAZ", "true"), ("AvailabilityZone", "us-east-1a")];
    let body = with(&new_instance("shop"), &asked);
    let (code, text) = api.refused("CreateDBInstance", &body);
    assert_eq!(code, "InvalidParameterCombination");
    assert!(text.contains("Multi-AZ"), "{text}");
    api.available("shop");
    let replica = [
        ("DBInstanceIdentifier", "copy"),
        ("SourceDBInstanceIdentifier", "shop"),
    ];
    let body = with(&replica, &[("MultiAZ", "true")]);
    let (code, text) = api.refused("CreateDBInstanceReadReplica", &body);
    assert_eq!(code, "InvalidParameterCombination");
    assert!(text.contains("not built"), "{text}");
    api.ok("CreateDBInstanceReadReplica", &replica);
    api.carry_out("copy");
    let body = with(&named("copy"), &[("MultiAZ", "true"), AT_ONCE]);
    let (code, text) = api.refused("ModifyDBInstance", &body);
    assert_eq!(code, "InvalidParameterCombination");
    assert!(text.contains("MultiAZ of a read replica"), "{text}");
}
