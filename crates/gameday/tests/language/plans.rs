//! What a plan makes of a scenario: when faults end, when the orders are read, in which order
//! records are made.

use gameday::scenario::{Act, ChangeAction, Content, Fault};
use gameday::{Deed, Plan, Scenario};
use types::Span;

/// The base without its steps, with those.
fn plan(steps: &str) -> Plan {
    let base = include_str!("base.toml");
    let (before, rest) = base.split_once("[[step]]").expect("the base has steps");
    let (_, after) = rest
        .split_once("[measure]")
        .expect("the base has [measure]");
    let before = before.replace("outage = \"10s\"\n", "");
    let text = format!("{before}\n{steps}\n[measure]{after}");
    let scenario = Scenario::parse("small.toml", &text, &[]);
    Plan::of(scenario.unwrap_or_else(|problems| panic!("{problems}")))
}

/// Steps, each of its words on a line.
fn steps(list: &[&str]) -> String {
    let steps = list
        .iter()
        .map(|words| format!("[[step]]\n{}\n", words.replace("; ", "\n")));
    steps.collect()
}

const KILL: &str = "at = \"5s\"; do = \"kill\"; site = \"us-east-1\"; name = \"first\"";
const PAUSE: &str = "at = \"6s\"; do = \"pause\"; site = \"eu-west-1\"; name = \"second\"";

#[test]
fn a_fault_ends_at_what_comes_first() {
    let cases: [(&[&str], u64); 10] = [
        (&[KILL], 30),
        (
            &[
                "at = \"5s\"; do = \"kill\"; site = \"us-east-1/a\"",
                "at = \"12s\"; do = \"start\"; site = \"us-east-1/us-east-1a\"",
            ],
            12,
        ),
        (&[KILL, "at = \"12s\"; do = \"heal\""], 12),
        (
            &[KILL, "at = \"12s\"; do = \"start\"; site = \"us-east-1\""],
            12,
        ),
        (
            &[
                KILL,
                PAUSE,
                "at = \"12s\"; do = \"heal\"; fault = \"second\"",
            ],
            30,
        ),
        (
            &[
                KILL,
                PAUSE,
                "at = \"12s\"; do = \"heal\"; fault = \"first\"",
            ],
            12,
        ),
        (
            &[
                KILL,
                PAUSE,
                "at = \"12s\"; do = \"resume\"; site = \"eu-west-1\"",
            ],
            30,
        ),
        (
            &["at = \"5s\"; do = \"kill\"; site = \"us-east-1\"; for = \"8s\""],
            13,
        ),
        (
            &[
                "at = \"5s\"; do = \"kill\"; site = \"us-east-1\"; for = \"8s\"",
                "at = \"10s\"; do = \"heal\"",
            ],
            10,
        ),
        // A start brings no link back.
        (
            &[
                "at = \"5s\"; do = \"cut\"; between = [\"us-east-1\", \"eu-west-1\"]",
                "at = \"6s\"; do = \"kill\"; site = \"us-east-1\"",
                "at = \"9s\"; do = \"start\"; site = \"us-east-1\"",
            ],
            30,
        ),
    ];
    for (list, end) in cases {
        assert_eq!(
            plan(&steps(list)).fault_end(),
            Some(Span::seconds(end)),
            "{list:?}"
        );
    }
    assert_eq!(plan("").fault_end(), None);
}

#[test]
fn orders_are_read_before_the_fault_ends() {
    let scan = |list: &[&str]| {
        let plan = plan(&steps(list));
        assert!(
            plan.timeline.is_sorted_by_key(|moment| moment.at),
            "{list:?}"
        );
        assert_eq!(
            plan.timeline.last().map(|moment| moment.deed),
            Some(Deed::End)
        );
        let scan = plan
            .timeline
            .iter()
            .find(|moment| moment.deed == Deed::Scan);
        scan.map(|moment| moment.at)
    };
    assert_eq!(scan(&[KILL]), Some(Span::seconds(29)));
    assert_eq!(
        scan(&[KILL, "at = \"12s\"; do = \"heal\""]),
        Some(Span::seconds(11))
    );
    assert_eq!(scan(&[KILL, "at = \"9s\"; do = \"scan\""]), None);
    assert_eq!(scan(&[]), None);
    let short = "at = \"5s\"; do = \"pause\"; site = \"us-east-1\"; for = \"4s\"";
    assert_eq!(scan(&[short]), Some(Span::seconds(8)));
}

#[test]
fn aliases_are_made_after_what_they_lead_to() {
    let base = include_str!("base.toml");
    let aliases = "\
[[record]]
name = \"a.example.com\"
alias = { target = \"b.example.com\" }

[[record]]
name = \"b.example.com\"
alias = { target = \"shop.example.com\", evaluate_target_health = false }

[[record]]";
    let text = base.replacen("[[record]]", aliases, 1);
    let scenario = Scenario::parse("small.toml", &text, &[]);
    let records = scenario
        .unwrap_or_else(|problems| panic!("{problems}"))
        .records;
    let names: Vec<&str> = records.iter().map(|record| record.name.as_str()).collect();
    let expected = [
        "shop.example.com",
        "shop.example.com",
        "b.example.com",
        "a.example.com",
    ];
    assert_eq!(names, expected);
}

#[test]
fn changes_of_records_are_whole_and_deletions_come_first() {
    let change = "\
[[step]]
at = \"5s\"
do = \"change_records\"
through = \"eu-west-1\"

[[step.upsert]]
name = \"shop.example.com\"
failover = \"primary\"
region = \"eu-west-1\"

[[step.delete]]
name = \"shop.example.com\"
identifier = \"secondary\"

[[step.create]]
name = \"shop.example.com\"
failover = \"secondary\"
region = \"us-east-1\"

[[step]]
at = \"6s\"
do = \"change_records\"

[[step.delete]]
name = \"shop.example.com\"
identifier = \"secondary\"

[[step.create]]
name = \"shop.example.com\"
failover = \"secondary\"
region = \"eu-west-1\"
";
    let plan = plan(change);
    let changes = |index: usize| match &plan.scenario.steps[index].act {
        Act::ChangeRecords { changes, .. } => changes,
        other => panic!("{other:?}"),
    };
    let actions: Vec<ChangeAction> = changes(0).iter().map(|change| change.action).collect();
    assert_eq!(
        actions,
        [
            ChangeAction::Delete,
            ChangeAction::Create,
            ChangeAction::Upsert
        ]
    );
    // The second deletion has the record as the first step left it.
    let region = |content: &Content| match content {
        Content::Region { region, .. } => region.name(),
        other => panic!("{other:?}"),
    };
    assert_eq!(region(&changes(0)[0].record.content), "eu-west-1");
    assert_eq!(region(&changes(1)[0].record.content), "us-east-1");
}

#[test]
fn every_fault_has_its_words() {
    let list = [
        "at = \"1s\"; do = \"cut\"; between = [\"us-east-1\", \"edge-1\"]; one_way = true; reset = true",
        "at = \"2s\"; do = \"delay\"; between = [\"us-east-1\", \"eu-west-1\"]; by = \"250ms\"",
        "at = \"3s\"; do = \"rate\"; between = [\"us-east-1\", \"eu-west-1\"]; bytes_per_second = 9",
        "at = \"4s\"; do = \"clock\"; site = \"eu-west-1\"; by = \"-2s\"; for = \"3s\"",
        "at = \"5s\"; do = \"clock\"; site = \"eu-west-1\"; by = \"2s\"",
    ];
    let plan = plan(&steps(&list));
    let shown = plan.to_string();
    for words in [
        "cut us-east-1 to edge-1",
        "delay us-east-1 and eu-west-1 by 250ms",
        "limit us-east-1 and eu-west-1 to 9 bytes a second",
        "set the clock of eu-west-1 back by 2s for 3s",
        "set the clock of eu-west-1 ahead by 2s",
    ] {
        assert!(shown.contains(words), "{words}:\n{shown}");
    }
    let Act::Fault {
        fault: Fault::Cut { pair, reset },
        lease: None,
        repeat: None,
    } = &plan.scenario.steps[0].act
    else {
        panic!("{:?}", plan.scenario.steps[0]);
    };
    assert!(pair.one_way && *reset);
}
