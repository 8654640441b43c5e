//! The shipped scenarios are sound, also with the schedules that tests run them with.

use std::fs;
use std::path::Path;

use gameday::{Deed, Plan, Scenario, Setting};

fn read(name: &str, settings: &[&str]) -> Scenario {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../gamedays");
    let text = fs::read_to_string(folder.join(format!("{name}.toml"))).expect("it is shipped");
    let settings: Vec<Setting> = settings
        .iter()
        .map(|text| text.parse().expect("NAME=VALUE"))
        .collect();
    let file = format!("gamedays/{name}.toml");
    Scenario::parse(&file, &text, &settings).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn they_are_sound() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../gamedays");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let scenario = read(path.file_stem().unwrap().to_str().unwrap(), &[]);
        assert!(!scenario.expectations.is_empty());
        count += 1;
    }
    assert_eq!(count, 16);
}

#[test]
fn a_schedule_is_made_short_by_setting_variables() {
    let settings = ["warm_up=3s", "outage=6s", "settle=4s", "hold=3s", "rate=5"];
    let short = read("region-outage", &settings);
    assert_eq!(short.measure.length, types::Span::seconds(13));
    assert_eq!(short.loads[0].rate, 5.0);
    let long = read("region-outage", &[]);
    assert_ne!(short.digest, long.digest);
    assert_eq!(short.digest, read("region-outage", &settings).digest);
    let plan = Plan::of(short);
    let scan = plan
        .timeline
        .iter()
        .find(|moment| moment.deed == Deed::Scan);
    assert_eq!(scan.unwrap().at, types::Span::seconds(8));
}

/// The schedules that docs/gamedays.md names for tests.
#[test]
fn short_schedules_are_sound() {
    let common = ["warm_up=3s", "settle=5s", "ttl=1s", "rate=5"];
    let with = |more: &[&'static str]| [common.as_slice(), more].concat();
    read("region-outage", &with(&["outage=8s", "hold=3s"]));
    read("active-active-latency", &with(&["cut=8s"]));
    read("residency-geolocation", &with(&["outage=8s"]));
}

#[test]
fn the_plan_of_the_outage_is_as_written_down() {
    let plan = Plan::of(read("region-outage", &[])).to_string();
    let golden = include_str!("region-outage.plan.txt");
    assert_eq!(plan, golden, "the plan is now:\n{plan}");
}

#[test]
fn ids_of_orders_lead_back_to_them() {
    let plan = Plan::of(read("active-active-latency", &[]));
    let mut seen = std::collections::BTreeSet::new();
    for (index, load) in plan.scenario.loads.iter().enumerate() {
        for number in [0, 1, 2, load.count() - 1] {
            let order = match load.task(index, number) {
                gameday::Task::Place(order) | gameday::Task::Update(order) => order,
                gameday::Task::Read(order) => order,
                task => panic!("{task:?}"),
            };
            let id = plan.order_id(order);
            assert_eq!(plan.order(&id), Some(order), "{id}");
            seen.insert(id);
        }
    }
    assert!(
        seen.contains("new-york-000001") && seen.iter().any(|id| id.starts_with("shared-")),
        "{seen:?}"
    );
    for unknown in [
        "",
        "new-york",
        "nobody-000001",
        "new-york-x",
        "new-york-99999999999",
    ] {
        assert_eq!(plan.order(unknown), None, "{unknown}");
    }
}

#[test]
fn requests_are_due_at_a_fixed_rate_and_choices_repeat() {
    let plan = Plan::of(read("region-outage", &["rate=4"]));
    let load = &plan.scenario.loads[5];
    assert_eq!(load.count(), 4 * 110);
    assert_eq!(load.due(0), types::Span::ZERO);
    assert_eq!(load.due(6), types::Span::milliseconds(1500));
    assert!(load.due(load.count() - 1) < load.until);
    assert_eq!(plan.requests, 6 * 440);
    assert_eq!(plan.choose(5, 9, 0), None);
    assert_eq!(plan.choose(5, 9, 1), Some(0));
    let chosen: Vec<u64> = (0..1000).filter_map(|n| plan.choose(5, n, 1000)).collect();
    assert!(
        chosen.iter().all(|index| (900..1000).contains(index)),
        "{chosen:?}"
    );
    assert!(chosen.contains(&999) && chosen.contains(&900));
    let again: Vec<u64> = (0..1000).filter_map(|n| plan.choose(5, n, 1000)).collect();
    assert_eq!(chosen, again);
}
