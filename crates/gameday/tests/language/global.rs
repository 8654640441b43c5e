//! Global clusters, what writes to them, and the steps that move their writer: what is read, what
//! is refused and what a plan makes of it.

use gameday::scenario::{Act, ClientKind, MoveKind, StoreKind, Work};
use gameday::{Order, Plan, Problems, Scenario, Task};

const TEXT: &str = r#"
title = "A writer moves"
[lab]
regions = ["us-east-1", "eu-west-1"]
[[global_cluster]]
name = "orders"
regions = ["us-east-1", "eu-west-1"]
[[load]]
name = "ohio"
place = "us-east-2"
client = "follows_the_writer"
rate = 10
does = "insert_rows"
global_cluster = "orders"
[[step]]
at = "5s"
do = "kill"
site = "us-east-1"
[[step]]
at = "6s"
do = "failover_global_cluster"
global_cluster = "orders"
to = "eu-west-1"
allow_data_loss = true
name = "failover"
[[step]]
at = "10s"
do = "start"
site = "us-east-1"
[[step]]
at = "15s"
do = "switchover_global_cluster"
global_cluster = "orders"
to = "us-east-1"
[measure]
length = "20s"
[expect]
that = ["takeover_s.failover <= 5", "missing_rows <= 3", "kept_aside >= 0", "split_brain_rows == 0"]
"#;

fn read(text: &str) -> Result<Scenario, Problems> {
    Scenario::parse("small.toml", text, &[])
}

/// The text with the first of those words replaced, which must be there.
fn changed(from: &str, to: &str) -> String {
    assert!(TEXT.contains(from), "{from:?} is not in the scenario");
    TEXT.replacen(from, to, 1)
}

fn refused(text: &str, words: &[&str]) {
    let problems = match read(text) {
        Ok(_) => panic!("{text:?} is no problem"),
        Err(problems) => problems,
    };
    let shown = problems.to_string();
    assert_eq!(problems.list.len(), 1, "{shown}");
    for word in words {
        assert!(shown.contains(word), "lacks {word:?}:\n{shown}");
    }
}

#[test]
fn a_global_cluster_is_made_loaded_and_moved_as_its_words_say() {
    let scenario = read(TEXT).unwrap_or_else(|problems| panic!("{problems}"));
    let store = &scenario.tables[0];
    assert_eq!(
        (store.kind, store.regions.len()),
        (StoreKind::GlobalCluster, 2)
    );
    assert!(store.key.is_none() && !store.is_buckets());
    assert_eq!(scenario.measure.table, Some(0));
    let load = &scenario.loads[0];
    assert_eq!(
        (&load.work, load.global_cluster),
        (&Work::InsertRows, Some(0))
    );
    assert_eq!(load.client.kind, ClientKind::FollowsTheWriter);
    assert!(!load.asks_the_dns());
    let moves: Vec<(String, MoveKind)> = (scenario.steps.iter())
        .filter_map(|step| match &step.act {
            Act::MoveWriter(moved) => Some((moved.to.to_string(), moved.kind)),
            _ => None,
        })
        .collect();
    let failover = MoveKind::Failover {
        allow_data_loss: true,
    };
    let expected = [
        ("eu-west-1".to_owned(), failover),
        ("us-east-1".to_owned(), MoveKind::Switchover),
    ];
    assert_eq!(moves, expected);
    let plan = Plan::of(scenario);
    assert!(plan.looks.is_empty(), "nobody asks the DNS");
    let row = Order::Placed { load: 0, number: 3 };
    assert_eq!(plan.scenario.loads[0].task(0, 3), Task::Place(row));
    assert_eq!(plan.order(&plan.order_id(row)), Some(row));
    let shown = plan.to_string();
    for line in [
        "global  orders in us-east-1, eu-west-1",
        "inserts rows; follows the writer",
        "fail the global cluster over to eu-west-1, data loss allowed",
        "switch the global cluster over to us-east-1",
    ] {
        assert!(shown.contains(line), "lacks {line:?}:\n{shown}");
    }
}

#[test]
fn without_the_right_to_lose_data_a_failover_says_so() {
    let text = changed("allow_data_loss = true\n", "");
    let scenario = read(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let Act::MoveWriter(moved) = &scenario.steps[1].act else {
        panic!("{:?}", scenario.steps[1]);
    };
    let kind = MoveKind::Failover {
        allow_data_loss: false,
    };
    assert_eq!(moved.kind, kind);
}

#[test]
fn names_that_rds_would_refuse_are_refused() {
    for name in ["", "Orders", "1orders", "orders-", "or--ders", "or_ders"] {
        let text = TEXT.replace("\"orders\"", &format!("\"{name}\""));
        let shown = read(&text).map(|_| ()).unwrap_err().to_string();
        assert!(
            shown.contains("no name of a global cluster"),
            "{name:?}: {shown}"
        );
    }
    refused(
        &changed(
            "[[load]]",
            "[[bucket]]\nname = \"orders\"\nregions = [\"us-east-1\"]\n[[load]]",
        ),
        &["`orders` is there already"],
    );
}

#[test]
fn a_load_of_rows_has_all_of_its_words_and_no_others() {
    refused(
        &changed("global_cluster = \"orders\"\n[[step]]", "[[step]]"),
        &["needs `global_cluster`"],
    );
    refused(
        &changed("follows_the_writer", "pooled"),
        &["can't find the writer", "follows_the_writer"],
    );
    refused(
        &changed("insert_rows", "place_orders"),
        &["only `insert_rows` goes to a global cluster"],
    );
    refused(
        &changed("rate = 10\n", "rate = 10\ntarget = \"shop.example.com\"\n"),
        &["has no `target`"],
    );
    refused(
        &changed(
            "does = \"insert_rows\"\nglobal_cluster = \"orders\"",
            "does = \"insert_rows\"\nglobal_cluster = \"oders\"",
        ),
        &["no global cluster `oders`", "did you mean `orders`?"],
    );
}

#[test]
fn one_store_is_measured() {
    let table = "[[table]]\nname = \"Orders\"\nregions = [\"us-east-1\"]\n[[load]]";
    let scenario = read(&changed("[[load]]", table)).unwrap_or_else(|it| panic!("{it}"));
    let measured = scenario.measure.table.map(|index| &scenario.tables[index]);
    assert_eq!(measured.unwrap().kind, StoreKind::GlobalCluster);
    let text = changed("[[load]]", table).replacen("[measure]", "[measure]\ntable = \"Orders\"", 1);
    refused(&text, &["doesn't work on what is measured, `Orders`"]);
}

#[test]
fn a_writer_is_moved_to_where_it_is_not_by_a_region_that_lives() {
    let back = changed("to = \"eu-west-1\"", "to = \"us-east-1\"");
    let shown = read(&back).map(|_| ()).unwrap_err().to_string();
    for words in [
        "us-east-1 is down then, and can't be asked",
        "us-east-1 is the writer by then",
    ] {
        assert!(shown.contains(words), "{shown}");
    }
    let twice = changed("to = \"us-east-1\"", "to = \"eu-west-1\"");
    refused(&twice, &["eu-west-1 is the writer by then already"]);
    refused(
        &changed("to = \"eu-west-1\"", "to = \"eu-west-2\""),
        &["eu-west-2 is not in this lab"],
    );
    let alone = changed(
        "regions = [\"us-east-1\", \"eu-west-1\"]\n[[load]]",
        "regions = [\"us-east-1\"]\n[[load]]",
    );
    let shown = read(&alone).map(|_| ()).unwrap_err().to_string();
    assert!(
        shown.contains("orders has no cluster in eu-west-1"),
        "{shown}"
    );
}

#[test]
fn a_takeover_is_named_by_its_step() {
    refused(
        &changed("takeover_s.failover", "takeover_s.fallover"),
        &["`takeover_s` has no `fallover`", "did you mean `failover`?"],
    );
    refused(
        &changed("takeover_s.failover", "takeover_s"),
        &["`takeover_s` is written `takeover_s.STEP`"],
    );
}
