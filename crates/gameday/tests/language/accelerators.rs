//! Accelerators, what goes to them, and faults of the application: what is read, what is refused
//! and what a plan makes of it.

use gameday::scenario::{Act, Affinity, CheckKind, ClientKind, Content, Fault};
use gameday::{Deed, Plan, Problems, Scenario};
use types::Span;

const BASE: &str = include_str!("base.toml");

const ACCELERATOR: &str =
    "[[accelerator]]\nname = \"orders\"\nregions = [\"us-east-1\", \"eu-west-1\"]\n";

const LOAD: &str = "[[load]]\nname = \"static\"\nplace = \"us-east-1\"\nclient = \"accelerator\"\n\
                    rate = 5\ndoes = \"place_orders\"\naccelerator = \"orders\"\n";

fn read(text: &str) -> Result<Scenario, Problems> {
    Scenario::parse("small.toml", text, &[])
}

/// The base with those sections before its first record.
fn with(sections: &str) -> String {
    BASE.replacen("[[record]]", &format!("{sections}\n[[record]]"), 1)
}

fn sound(text: &str) -> Scenario {
    read(text).unwrap_or_else(|problems| panic!("{problems}"))
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
fn an_accelerator_has_what_its_words_say() {
    let plain = sound(&with(ACCELERATOR));
    let made = &plain.accelerators[0];
    assert_eq!((made.check, made.threshold), (CheckKind::Tcp, 3));
    assert_eq!((made.affinity, made.port), (Affinity::None, None));
    assert!(
        made.groups
            .iter()
            .all(|group| (group.dial, group.weight) == (100.0, 128))
    );
    let text = "[[accelerator]]\nname = \"orders\"\naffinity = \"source_ip\"\nport = 443\n\
                check = \"http\"\npath = \"/up\"\nthreshold = 1\ninterval = \"30s\"\n\
                [[accelerator.group]]\nregion = \"us-east-1\"\ndial = 12.5\n\
                [[accelerator.group]]\nregion = \"eu-west-1\"\nweight = 0\n";
    let whole = sound(&with(text));
    let made = &whole.accelerators[0];
    assert_eq!((made.check, made.path.as_str()), (CheckKind::Http, "/up"));
    assert_eq!((made.affinity, made.port), (Affinity::SourceIp, Some(443)));
    let groups: Vec<(f64, u8)> = made.groups.iter().map(|it| (it.dial, it.weight)).collect();
    assert_eq!(groups, [(12.5, 128), (100.0, 0)]);
    assert_ne!(plain.digest, whole.digest);
}

#[test]
fn loads_and_records_lead_to_accelerators() {
    let record = "[[record]]\nname = \"fast.example.com\"\nalias = { accelerator = \"orders\" }\n";
    let scenario = sound(&with(&format!("{ACCELERATOR}\n{LOAD}\n{record}")));
    let load = scenario
        .loads
        .iter()
        .find(|load| load.name == "static")
        .unwrap();
    assert_eq!(
        (load.accelerator, load.target.as_str()),
        (Some(0), "orders")
    );
    assert_eq!(load.client.kind, ClientKind::Accelerator);
    let alias = scenario
        .records
        .iter()
        .find(|record| record.name == "fast.example.com");
    let expected = Content::Accelerator {
        accelerator: 0,
        evaluate_target_health: true,
    };
    assert_eq!(alias.unwrap().content, expected);
    // Nobody looks up what is gone to by its address.
    let plan = Plan::of(scenario);
    assert!(
        plan.looks
            .iter()
            .all(|look| look.name == "shop.example.com")
    );
    let shown = plan.to_string();
    assert!(shown.contains("static  orders: us-east-1, eu-west-1, checked every 200ms × 3"));
    assert!(shown.contains("from us-east-1 to orders, places orders; goes to the accelerator"));
    assert!(shown.contains("alias of the accelerator orders"), "{shown}");
}

#[test]
fn what_contradicts_itself_is_refused() {
    let twice = format!("{ACCELERATOR}{ACCELERATOR}");
    refused(&with(&twice), &["two accelerators `orders`"]);
    let nowhere = "[[accelerator]]\nname = \"orders\"\n";
    refused(&with(nowhere), &["needs groups", "[[accelerator.group]]"]);
    let both = format!("{ACCELERATOR}[[accelerator.group]]\nregion = \"us-east-1\"\n");
    refused(&with(&both), &["us-east-1 has a group already"]);
    let away = ACCELERATOR.replace("eu-west-1", "eu-west-2");
    refused(&with(&away), &["eu-west-2 is not in this lab"]);
    let path = format!("{ACCELERATOR}path = \"/\"\n");
    refused(&with(&path), &["a check by `tcp` has no `path`"]);
    let word = format!("{ACCELERATOR}chek = \"tcp\"\n");
    refused(&with(&word), &["knows no word `chek`", "`check`"]);
    let dns = LOAD.replace("\"accelerator\"", "\"honours_ttl\"");
    refused(
        &with(&format!("{ACCELERATOR}{dns}")),
        &["ask the DNS", "alias"],
    );
    let named = LOAD.replace("accelerator = \"orders\"", "target = \"shop.example.com\"");
    refused(
        &with(&format!("{ACCELERATOR}{named}")),
        &["go to an accelerator's addresses"],
    );
    let other = LOAD.replace("accelerator = \"orders\"", "accelerator = \"order\"");
    refused(
        &with(&format!("{ACCELERATOR}{other}")),
        &["did you mean `orders`?"],
    );
    let two = format!("{ACCELERATOR}{LOAD}target = \"shop.example.com\"\n");
    refused(&with(&two), &["a load goes to one thing"]);
    let record = "[[record]]\nname = \"fast.example.com\"\n";
    let two = "alias = { accelerator = \"orders\", target = \"shop.example.com\" }\n";
    refused(
        &with(&format!("{ACCELERATOR}{record}{two}")),
        &["leads to one thing"],
    );
    let kind = "type = \"AAAA\"\nalias = { accelerator = \"orders\" }\n";
    refused(
        &with(&format!("{ACCELERATOR}{record}{kind}")),
        &["no addresses of type AAAA"],
    );
}

#[test]
fn an_accelerator_needs_an_edge_and_an_application() {
    let bare = "title = \"x\"\n[lab]\nregions = [\"us-east-1\"]\nEDGES\nAPP\n[[accelerator]]\n\
                name = \"orders\"\nregions = [\"us-east-1\"]\n[measure]\nlength = \"5s\"\n";
    let of = |edges: &str, app: &str| bare.replace("EDGES", edges).replace("APP", app);
    assert!(read(&of("", "app = \"orders\"")).is_ok());
    refused(
        &of("edges = 0", "app = \"orders\""),
        &["the lab has no edge"],
    );
    refused(&of("", ""), &["leads to applications"]);
}

/// The base with that step in place of its own.
fn steps(text: &str) -> String {
    let (before, rest) = BASE.split_once("[[step]]").expect("it is in the base");
    let (_, after) = rest.split_once("[measure]").expect("it is in the base");
    let before = before.replace("outage = \"10s\"\n", "");
    let (head, records) = before.split_once("[[record]]").expect("it is in the base");
    format!("{head}{ACCELERATOR}\n[[record]]{records}{text}\n[measure]{after}")
}

fn act(text: &str) -> Act {
    sound(&steps(text)).steps.remove(0).act
}

#[test]
fn applications_and_zones_are_struck_by_name() {
    let kill = |site: &str| format!("[[step]]\nat = \"5s\"\ndo = \"kill\"\nsite = \"{site}\"\n");
    let region = "us-east-1".parse().unwrap();
    for (site, unserved, outage) in [
        ("us-east-1", Some(region), Some(region)),
        ("us-east-1/app", Some(region), None),
        ("us-east-1/a", None, None),
        ("us-east-1/us-east-1b/app", None, None),
        ("edge-1", None, None),
    ] {
        let Act::Fault { fault, .. } = act(&kill(site)) else {
            panic!("a kill is a fault");
        };
        assert_eq!(fault, Fault::Kill(site.parse().unwrap()));
        assert_eq!(
            (fault.unserved(), fault.outage()),
            (unserved, outage),
            "{site}"
        );
    }
    refused(
        &steps(&kill("us-east-1/d")),
        &["is no part of a Region", "us-east-1/app"],
    );
    refused(
        &steps(&kill("eu-west-2/app")),
        &["eu-west-2 is not in this lab"],
    );
    let pause = kill("us-east-1/a").replace("kill", "pause");
    refused(&steps(&pause), &["us-east-1a can't be paused"]);
    let again = format!(
        "{}{}",
        kill("us-east-1"),
        kill("us-east-1/app").replace("5s", "6s")
    );
    refused(&steps(&again), &["us-east-1/app is killed already"]);
}

#[test]
fn errors_say_to_whom_and_for_what() {
    let step = "[[step]]\nat = \"5s\"\ndo = \"errors\"\nregion = \"us-east-1\"\nfor = \"5s\"\n";
    let region = "us-east-1".parse().unwrap();
    let Act::Fault { fault, .. } = act(step) else {
        panic!("errors are a fault");
    };
    assert_eq!(fault.unserved(), Some(region));
    let some = format!("{step}path = \"/health\"\ncheckers = [\"eu-west-1\", \"edge-2\"]\n");
    let Act::Fault { fault, .. } = act(&some) else {
        panic!("errors are a fault");
    };
    assert_eq!((fault.unserved(), fault.outage()), (None, None));
    let words = "errors from us-east-1's application for /health to the health checks of \
                 eu-west-1, edge-2";
    assert_eq!(fault.to_string(), words);
    let wrong = format!("{step}checkers = [\"edge-3\"]\n");
    refused(&steps(&wrong), &["`edge-3` is no site"]);
}

#[test]
fn a_fault_comes_again_as_often_as_it_says() {
    let flap = "[[step]]\nat = \"5s\"\ndo = \"kill\"\nsite = \"us-east-1/app\"\nname = \"flap\"\n\
                for = \"400ms\"\nevery = \"1s\"\ntimes = 5\n";
    let act = act(flap);
    assert_eq!(act.lasts(), Some(Span::milliseconds(4_400)));
    assert_eq!(
        act.describe(&[]),
        "kill us-east-1/app for 400ms, every 1s 5 times"
    );
    let plan = Plan::of(sound(&steps(flap)));
    assert_eq!(plan.fault_end(), Some(Span::milliseconds(9_400)));
    let scan = plan
        .timeline
        .iter()
        .find(|moment| moment.deed == Deed::Scan);
    assert_eq!(scan.unwrap().at, Span::milliseconds(8_400));
    for (from, to, words) in [
        ("for = \"400ms\"\n", "", "how long, how often"),
        ("times = 5\n", "", "how often does it come"),
        ("every = \"1s\"\n", "", "how long, how often"),
        ("every = \"1s\"", "every = \"300ms\"", "before it has ended"),
        ("times = 5", "times = 1", "from 2 to"),
        ("times = 5", "times = 60", "the load ends 25s after it"),
    ] {
        refused(&steps(&flap.replace(from, to)), &[words]);
    }
    // What is over may come again, and what is held may not.
    let second = "[[step]]\nat = \"8s\"\ndo = \"pause\"\nsite = \"us-east-1/app\"\n";
    refused(
        &steps(&format!("{flap}{second}")),
        &["killed or paused already"],
    );
    let later = second.replace("8s", "10s");
    assert!(read(&steps(&format!("{flap}{later}"))).is_ok());
}

#[test]
fn a_dial_is_a_group_s() {
    let step = "[[step]]\nat = \"5s\"\ndo = \"dial\"\naccelerator = \"orders\"\n\
                region = \"us-east-1\"\nto = 25\n";
    let Act::Dial { dial, region, .. } = sound(&steps(step)).steps.remove(0).act else {
        panic!("it is a dial");
    };
    assert_eq!((dial, region.name()), (25.0, "us-east-1"));
    refused(
        &steps(&step.replace("to = 25", "to = 101")),
        &["from 0 to 100"],
    );
    refused(
        &steps(&step.replace("orders", "shop")),
        &["no accelerator `shop`"],
    );
}

#[test]
fn the_application_has_an_environment() {
    let set = "app = \"orders\"\n[lab.environment]\nBACKLOG = \"2\"\nMODE = \"$outage\"\n";
    let scenario = sound(&BASE.replacen("app = \"orders\"\n", set, 1));
    let expected = [("BACKLOG", "2"), ("MODE", "10s")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(scenario.lab.environment, expected);
    let wrong = set.replace("BACKLOG = \"2\"", "backlog = \"2\"");
    refused(
        &BASE.replacen("app = \"orders\"\n", &wrong, 1),
        &["no name of the environment"],
    );
    let wrong = set.replace("\"2\"", "2");
    refused(
        &BASE.replacen("app = \"orders\"\n", &wrong, 1),
        &["is a text"],
    );
}
