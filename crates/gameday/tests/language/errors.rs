//! Every error of the language: what is wrong is found before anything starts, at its place, with
//! what would be right. Each row changes the base scenario in one way.

use gameday::{Problems, Scenario, Setting};

const BASE: &str = include_str!("base.toml");

fn read(text: &str) -> Result<Scenario, Problems> {
    Scenario::parse("gamedays/small.toml", text, &[])
}

/// The base with one text replaced by another, which must be there once.
fn changed(from: &str, to: &str) -> String {
    assert_eq!(
        BASE.matches(from).count(),
        1,
        "{from:?} is not in the base once"
    );
    BASE.replacen(from, to, 1)
}

/// Checks that the change makes one problem that has those words.
fn check(from: &str, to: &str, words: &[&str]) {
    let text = changed(from, to);
    let problems = match read(&text) {
        Ok(_) => panic!("{to:?} is no problem"),
        Err(problems) => problems,
    };
    let shown = problems.to_string();
    assert_eq!(problems.list.len(), 1, "{to:?}:\n{shown}");
    for word in words {
        assert!(shown.contains(word), "{to:?} lacks {word:?}:\n{shown}");
    }
}

#[test]
fn buckets_hold_orders_in_place_of_a_table() {
    let table = "[[table]]\nname = \"Orders\"\nregions = [\"us-east-1\", \"eu-west-1\"]\n";
    let bucket = table
        .replace("table", "bucket")
        .replace("Orders", "my-data");
    let text = changed(table, &bucket).replace("table = \"Orders\"", "table = \"my-data\"");
    let scenario = read(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let held = &scenario.tables[scenario.measure.table.expect("it is named")];
    assert!(held.is_buckets());
    assert_eq!(held.bucket(held.regions[1]), "my-data-eu-west-1");
    for name in ["Orders", "ab", "-ab", "ab-", "a.b.c", &"a".repeat(41)] {
        let named = table.replace("table", "bucket").replace("Orders", name);
        check(
            table,
            &format!("{table}\n{named}"),
            &["no name of a bucket"],
        );
    }
    let twice = format!("{table}\n{bucket}\n{bucket}");
    check(table, &twice, &["`my-data` is there already"]);
}

#[test]
fn the_base_is_sound() {
    let scenario = read(BASE).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(scenario.name, "small");
    assert_eq!(scenario.seed, 7);
}

#[test]
fn a_problem_shows_its_place_and_what_would_be_right() {
    let text = changed("site = \"us-east-1\"\nname", "site = \"us-est-1\"\nname");
    let shown = read(&text).expect_err("there is no such site").to_string();
    let expected = "\
gamedays/small.toml:51:8: `us-est-1` is no site of this lab
   51 | site = \"us-est-1\"
      |        ^^^^^^^^^^
       = did you mean `us-east-1`? (the lab has us-east-1, eu-west-1, edge-1 and edge-2)
";
    // The second step starts a site that nothing has killed then.
    assert!(shown.starts_with(expected), "{shown}");
}

#[test]
fn several_problems_are_told_at_once_in_the_order_of_the_file() {
    let text = BASE
        .replace("edges = 2", "edges = 99")
        .replace("rate = 10", "rate = \"fast\"")
        .replace("lost_for_good", "lost_for_gud")
        .replace("[measure]", "[measure]\ncolour = \"red\"");
    let problems = read(&text).expect_err("four things are wrong");
    let lines: Vec<usize> = problems
        .list
        .iter()
        .filter_map(|problem| problem.position.as_ref().map(|position| position.line))
        .collect();
    assert_eq!(lines.len(), 4, "{problems}");
    assert!(lines.is_sorted(), "{problems}");
    let many = BASE.replace(
        "[measure]",
        &"[[zone]]\nname = \"-\"\ncolour = 1\n".repeat(14),
    );
    let problems = read(&many).expect_err("fourteen zones and no measure");
    assert_eq!(problems.list.len(), gameday::limits::PROBLEMS);
    assert!(problems.to_string().contains("more problems"), "{problems}");
}

#[test]
fn what_is_no_toml_is_told_with_its_place() {
    check(
        "title = \"A small one\"",
        "title = ",
        &["small.toml:1:", "   1 | title"],
    );
    check(
        "seed = 7",
        "seed = 7\nseed = 8",
        &["small.toml:3:1: duplicate key"],
    );
    let text = BASE
        .replace("seed = 7", "seed 7")
        .replace("edges = 2", "edges == 2");
    assert!(read(&text).expect_err("two lines are no TOML").list.len() >= 2);
    assert!(
        read("")
            .expect_err("nothing is there")
            .to_string()
            .contains("needs [lab]")
    );
    assert!(read("\u{0}").is_err());
}

#[test]
fn a_file_has_an_end() {
    let text = format!("{BASE}#{}", "x".repeat(256 * 1024));
    let problems = read(&text).expect_err("it is too long");
    assert!(
        problems.to_string().contains("at most 256 KiB"),
        "{problems}"
    );
    let deep = format!("{BASE}\nx = {}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(read(&deep).is_err());
}

#[test]
fn a_file_of_nothing_but_problems_is_refused_at_once() {
    let text: String = (0..20_000)
        .map(|number| format!("a{number} = 1\n"))
        .collect();
    let problems = read(&text).expect_err("no word is known");
    assert_eq!(problems.list.len(), gameday::limits::PROBLEMS);
    assert_eq!(
        problems.more,
        20_003 - gameday::limits::PROBLEMS,
        "{problems}"
    );
}

#[test]
fn words_that_do_not_exist() {
    check(
        "seed = 7",
        "sead = 7",
        &[
            ":2:1: a scenario knows no word `sead`",
            "did you mean `seed`?",
        ],
    );
    check(
        "edges = 2",
        "egdes = 2",
        &["[lab] knows no word `egdes`", "`edges`"],
    );
    check(
        "threshold = 3",
        "treshold = 3",
        &["a health check knows no word", "`threshold`"],
    );
    check(
        "ttl = \"5s\"\nhealth_check",
        "tll = \"5s\"\nhealth_check",
        &["a record knows no word", "`ttl`"],
    );
    check(
        "rate = 10",
        "rate = 10\nspeed = 3",
        &["a load knows no word `speed`", "allowed:"],
    );
    check(
        "do = \"kill\"",
        "do = \"kil\"",
        &["`do` can't be `kil`", "did you mean `kill`?"],
    );
    check(
        "length = \"30s\"",
        "lenght = \"30s\"\nlength = \"30s\"",
        &["`lenght`", "`length`"],
    );
    check(
        "[expect]",
        "[expect]\nthis = 1",
        &["[expect] knows no word `this`"],
    );
    check(
        "does = \"place_orders\"",
        "does = \"place_order\"",
        &["did you mean `place_orders`?"],
    );
    check(
        "failover = \"primary\"",
        "failover = \"main\"",
        &["can't be `main`", "primary and secondary"],
    );
    check(
        "client = \"honours_ttl\"",
        "client = \"honors_ttl\"",
        &["no kind of client", "`honours_ttl`"],
    );
}

#[test]
fn words_that_are_missing() {
    check(
        "title = \"A small one\"\n",
        "",
        &["a scenario needs `title`", "write title ="],
    );
    check(
        "regions = [\"us-east-1\", \"eu-west-1\"]\nedges",
        "edges",
        &["[lab] needs `regions`"],
    );
    check("name = \"Orders\"\n", "", &["a table needs `name`"]);
    check("rate = 10\n", "", &["a load needs `rate`", "a second"]);
    check("place = \"eu-central-1\"\n", "", &["a load needs `place`"]);
    check(
        "target = \"shop.example.com\"\n",
        "",
        &["a load needs `target`"],
    );
    check("length = \"30s\"", "", &["[measure] needs `length`"]);
    check(
        "[measure]\nlength = \"30s\"\n",
        "",
        &["a scenario needs [measure]"],
    );
    check(
        "at = \"5s\"\n",
        "",
        &["a step needs `at`", "from the start of the load"],
    );
    check(
        "that = [\"rto_s.honours_ttl <= $limit\", \"lost_for_good == 0\"]",
        "",
        &["[expect] needs `that`"],
    );
}

#[test]
fn values_of_the_wrong_kind_or_out_of_range() {
    check(
        "edges = 2",
        "edges = \"2\"",
        &["a whole number from 0 to 16, not a text"],
    );
    check(
        "edges = 2",
        "edges = 17",
        &["a whole number from 0 to 16, not 17"],
    );
    check(
        "edges = 2",
        "edges = 99999999999999999999",
        &["a number out of range"],
    );
    check(
        "delay_scale = 0.5",
        "delay_scale = -1",
        &["a number from 0 to 100, not -1"],
    );
    check(
        "delay_scale = 0.5",
        "delay_scale = nan",
        &["no finite number"],
    );
    check(
        "app = \"orders\"",
        "app = true",
        &["a text in quotes, not true or false"],
    );
    check(
        "app = \"orders\"",
        "app = \"ordres\"",
        &[
            "`ordres` is not the shipped application",
            "did you mean `orders`?",
            "`./ordres`",
        ],
    );
    check(
        "app = \"orders\"",
        "app = \"\"",
        &["1 to 4000 characters, not 0"],
    );
    check(
        "app = \"orders\"",
        "app = \"a\\u001bb\"",
        &["a control character"],
    );
    check("threshold = 3", "threshold = 11", &["from 1 to 10, not 11"]);
    check(
        "threshold = 3",
        "threshold = 3\ninterval = \"15s\"",
        &["can't be `15s`", "10s and 30s"],
    );
    check(
        "threshold = 3",
        "threshold = 3\ninverted = 1",
        &["true or false, without quotes"],
    );
    check(
        "rate = 10",
        "rate = 100000",
        &["a number from 0.1 to 2000, not 100000"],
    );
    check(
        "rate = 10",
        "rate = 10\ntimeout = \"5m\"",
        &["a span from 10ms to 1m"],
    );
    check(
        "seed = 7",
        "seed = -7",
        &["`seed` is a whole number from 0"],
    );
    check(
        "regions = [\"us-east-1\", \"eu-west-1\"]\nedges",
        "regions = \"us-east-1\"\nedges",
        &["a list in [brackets], not a text"],
    );
    check(
        "name = \"Orders\"",
        "name = \"O!\"",
        &["no name of a table", "3 to 255"],
    );
    check(
        "[[zone]]",
        "[zone]",
        &["`zone` is a list of tables", "[[zone]]"],
    );
    check(
        "name = \"buyers\"",
        "name = \"bu yers\"",
        &["can't be a name here"],
    );
    check(
        "name = \"buyers\"",
        "name = \"shared\"",
        &["`shared` can't name a load"],
    );
    check(
        "name = \"buyers\"",
        "name = \"honours_ttl\"",
        &["is a kind of client"],
    );
}

#[test]
fn spans_have_units() {
    check(
        "length = \"30s\"",
        "length = 30",
        &["30 has no unit", "write \"30s\""],
    );
    check(
        "length = \"30s\"",
        "length = \"30\"",
        &["`30` has no unit of time"],
    );
    check(
        "length = \"30s\"",
        "length = \"30sec\"",
        &["no span of time", "250ms"],
    );
    check(
        "length = \"30s\"",
        "length = \"30 parsecs\"",
        &["has no unit", "1m30s"],
    );
    check(
        "length = \"30s\"",
        "length = \"30x\"",
        &["`x` is no unit of time"],
    );
    check(
        "length = \"30s\"",
        "length = \"7h\"",
        &["a span from 1s to 6h"],
    );
    check("length = \"30s\"", "length = \"-30s\"", &["a span from 1s"]);
    check(
        "length = \"30s\"",
        "length = \"30s + \"",
        &["no span of time"],
    );
    check(
        "length = \"30s\"",
        "length = \"25s + $limit\"",
        &["`$limit` is no span of time: it is 5"],
    );
    check(
        "health_interval = \"200ms\"",
        "health_interval = \"50ms\"",
        &["a span from 200ms to 30s"],
    );
    check(
        "ttl = \"5s\"\nhealth_check",
        "ttl = \"5500ms\"\nhealth_check",
        &["whole seconds"],
    );
}

#[test]
fn regions_places_and_sites() {
    check(
        "regions = [\"us-east-1\", \"eu-west-1\"]\nedges",
        "regions = [\"us-east-1\", \"eu-west-1\", \"eu-wst-2\"]\nedges",
        &[
            "no Region `eu-wst-2`",
            "did you mean `eu-west-2`?",
            "causeway places",
        ],
    );
    check(
        "regions = [\"us-east-1\", \"eu-west-1\"]\nedges",
        "regions = [\"us-east-1\", \"eu-west-1\", \"us-east-1\"]\nedges",
        &["listed twice"],
    );
    check(
        "place = \"eu-central-1\"",
        "place = \"mars\"",
        &["no Region `mars`", "causeway places"],
    );
    check(
        "place = \"eu-central-1\"",
        "place = \"eu-central1\"",
        &["did you mean `eu-central-1`?"],
    );
    check(
        "region = \"us-east-1\"\nthreshold",
        "region = \"us-west-1\"\nthreshold",
        &[
            "us-west-1 is not in this lab",
            "the lab has us-east-1 and eu-west-1",
        ],
    );
    check(
        "region = \"eu-west-1\"\nttl",
        "region = \"eu-west-2\"\nttl",
        &["eu-west-2 is not in this lab"],
    );
    check(
        "name = \"Orders\"\nregions = [\"us-east-1\", \"eu-west-1\"]",
        "name = \"Orders\"\nregions = [\"sa-east-1\"]",
        &["sa-east-1 is not in this lab"],
    );
    check(
        "do = \"kill\"\nsite = \"us-east-1\"",
        "do = \"cut\"\nbetween = [\"us-east-1\", \"edge-3\"]",
        &["`edge-3` is no site of this lab"],
    );
}

#[test]
fn steps_that_make_no_sense() {
    let step = "[[step]]\nat = \"5s + $outage\"\ndo = \"start\"\nsite = \"us-east-1\"";
    let with = |text: &str| format!("{step}\n\n[[step]]\n{text}");
    let after = |text: &str, words: &[&str]| check(step, &with(text), words);
    after(
        "at = \"4s\"\ndo = \"heal\"",
        &["this step is at 4s", "the one before is at 15s"],
    );
    after(
        "at = \"31s\"\ndo = \"heal\"",
        &["at 31s, when the load has ended", "length is 30s"],
    );
    after(
        "at = \"20s\"\ndo = \"start\"\nsite = \"us-east-1\"",
        &["us-east-1 is not killed"],
    );
    after(
        "at = \"20s\"\ndo = \"resume\"\nsite = \"us-east-1\"",
        &["us-east-1 is not paused"],
    );
    after(
        "at = \"20s\"\ndo = \"kill\"\nsite = \"us-east-1\"\nfor = \"11s\"",
        &["lasts 11s, and the load ends 10s after it"],
    );
    after(
        "at = \"20s\"\ndo = \"kill\"\nsite = \"us-east-1\"\nfor = \"25h\"",
        &["a span from 20ms to 24h"],
    );
    after(
        "at = \"20s\"\ndo = \"heal\"\nfault = \"outag\"",
        &["no earlier step", "did you mean `outage`?"],
    );
    after(
        "at = \"20s\"\ndo = \"heal\"\nname = \"outage\"",
        &["there are two steps `outage`"],
    );
    after(
        "at = \"20s\"\ndo = \"cut\"\nbetween = [\"us-east-1\"]",
        &["a link has two ends"],
    );
    after(
        "at = \"20s\"\ndo = \"cut\"\nbetween = [\"us-east-1\", \"us-east-1\"]",
        &["no link with itself"],
    );
    after(
        "at = \"20s\"\ndo = \"cut\"\nbetween = [\"us-east-1\", \"edge-3\"]",
        &["`edge-3` is no site", "`edge-1`"],
    );
    after(
        "at = \"20s\"\ndo = \"cut\"\nsite = \"us-east-1\"\nbetween = [\"us-east-1\", \"edge-1\"]",
        &["a step knows no word `site`"],
    );
    after(
        "at = \"20s\"\ndo = \"delay\"\nbetween = [\"us-east-1\", \"edge-1\"]",
        &["a step needs `by`"],
    );
    after(
        "at = \"20s\"\ndo = \"clock\"\nsite = \"us-east-1\"\nby = \"0s\"",
        &["ahead or behind, not zero"],
    );
    after(
        "at = \"20s\"\ndo = \"rate\"\nbetween = [\"us-east-1\", \"edge-1\"]\nbytes_per_second = 0",
        &["from 1 to"],
    );
    after(
        "at = \"20s\"\ndo = \"pause\"\nsite = \"edge-1\"\n\n[[step]]\nat = \"21s\"\ndo = \"pause\"\nsite = \"edge-1\"",
        &["edge-1 is killed or paused already"],
    );
    after(
        "at = \"20s\"\ndo = \"kill\"\nsite = \"edge-1\"\n\n[[step]]\nat = \"21s\"\ndo = \"kill\"\nsite = \"edge-1\"",
        &["edge-1 is killed already"],
    );
    after(
        "at = \"20s\"\ndo = \"kill\"\nsite = \"us-east-1/d\"",
        &["`us-east-1/d` is no part of a Region", "us-east-1/a/app"],
    );
    after(
        "at = \"20s\"\ndo = \"kill\"\nsite = \"sa-east-1/a\"",
        &["sa-east-1 is not in this lab"],
    );
    after(
        "at = \"20s\"\ndo = \"pause\"\nsite = \"us-east-1/us-east-1a\"",
        &["us-east-1a can't be paused", "us-east-1/us-east-1a/app"],
    );
    after(
        "at = \"20s\"\ndo = \"pause\"\nsite = \"us-east-1/c/app\"",
        &["no instance of the application is in us-east-1c"],
    );
    after(
        "at = \"20s\"\ndo = \"pause\"\nsite = \"us-east-1/app\"\n\n[[step]]\nat = \"21s\"\ndo = \"kill\"\nsite = \"us-east-1/app\"\n\n[[step]]\nat = \"22s\"\ndo = \"resume\"\nsite = \"us-east-1/app\"",
        &["us-east-1/app is not paused"],
    );
    after(
        "at = \"20s\"\ndo = \"change_records\"",
        &["needs a change", "[[step.upsert]]"],
    );
    after(
        "at = \"20s\"\ndo = \"change_records\"\n[[step.delete]]\nname = \"shop.example.com\"\nidentifier = \"third\"",
        &["no such record", "primary, secondary"],
    );
    after(
        "at = \"20s\"\ndo = \"change_records\"\n[[step.delete]]\nname = \"shop.example.com\"\nidentifier = \"secondary\"",
        &["have no secondary"],
    );
    after(
        "at = \"20s\"\ndo = \"change_records\"\n[[step.create]]\nname = \"shop.example.com\"\nfailover = \"primary\"\nregion = \"us-east-1\"",
        &["is there already", "[[step.upsert]]"],
    );
    after(
        "at = \"20s\"\ndo = \"change_records\"\nthrough = \"sa-east-1\"\n[[step.create]]\nname = \"a.example.com\"\nregion = \"us-east-1\"",
        &["sa-east-1 is not in this lab"],
    );
}

#[test]
fn records_that_route_53_would_refuse() {
    let second = "failover = \"secondary\"\nregion = \"eu-west-1\"";
    let with = |text: &str, words: &[&str]| check(second, text, words);
    with(
        "region = \"eu-west-1\"",
        &["have different policies", "one is failover, this is simple"],
    );
    with(
        "failover = \"secondary\"\nweight = 3\nregion = \"eu-west-1\"",
        &["one policy, not failover and weight"],
    );
    let zone = "[[health_check]]";
    let extra =
        |text: &str, words: &[&str]| check(zone, &format!("[[record]]\n{text}\n\n{zone}"), words);
    extra(
        "name = \"a.example.org\"\nregion = \"us-east-1\"",
        &["`a.example.org` is in no zone", "zones: example.com"],
    );
    extra(
        "name = \"a..example.com\"\nregion = \"us-east-1\"",
        &["no domain name"],
    );
    extra("name = \"a.example.com\"", &["needs what it answers"]);
    extra(
        "name = \"a.example.com\"\nregion = \"us-east-1\"\nvalues = [\"192.0.2.1\"]",
        &["one of region, values and alias, not region and values"],
    );
    extra(
        "name = \"a.example.com\"\ntype = \"TXT\"\nregion = \"us-east-1\"",
        &["type TXT has no `region`"],
    );
    extra(
        "name = \"a.example.com\"\ntype = \"SPF\"\nvalues = [\"x\"]",
        &["`type` can't be `SPF`"],
    );
    extra(
        "name = \"a.example.com\"\nvalues = []",
        &["1 to 100 items, not 0"],
    );
    extra(
        "name = \"a.example.com\"\nalias = { target = \"b.example.com\" }",
        &["no record b.example.com A is there for the alias"],
    );
    extra(
        "name = \"a.example.com\"\nalias = { target = \"a.example.com\" }",
        &["leads back to a.example.com"],
    );
    extra(
        "name = \"a.example.com\"\nttl = \"5s\"\nalias = { target = \"shop.example.com\" }",
        &["time to live of its target"],
    );
    extra(
        "name = \"a.example.com\"\nmultivalue = true\nalias = { target = \"shop.example.com\" }",
        &["can't be an alias"],
    );
    extra(
        "name = \"a.example.com\"\nidentifier = \"x\"\nregion = \"us-east-1\"",
        &["simple record has no identifier"],
    );
    extra(
        "name = \"a.example.com\"\nhealth_check = \"primary\"\nregion = \"us-east-1\"",
        &["answered whatever its health check says"],
    );
    extra(
        "name = \"a.example.com\"\nweight = 256\nregion = \"us-east-1\"",
        &["from 0 to 255, not 256"],
    );
    extra(
        "name = \"a.example.com\"\nfailover = \"primary\"\nregion = \"us-east-1\"",
        &["have no secondary"],
    );
    extra(
        "name = \"a.example.com\"\nlatency = \"us-west-9\"\nregion = \"us-east-1\"",
        &["no Region `us-west-9`"],
    );
    extra(
        "name = \"a.example.com\"\ngeolocation = \"DE\"\nregion = \"us-east-1\"",
        &["no geolocation", "{ country = \"DE\" }"],
    );
    extra(
        "name = \"a.example.com\"\ngeolocation = { country = \"UK\" }\nregion = \"us-east-1\"",
        &["no country `UK`", "GB"],
    );
    extra(
        "name = \"a.example.com\"\ngeolocation = { country = \"de\" }\nregion = \"us-east-1\"",
        &["did you mean `DE`?"],
    );
    extra(
        "name = \"a.example.com\"\ngeolocation = { state = \"XX\" }\nregion = \"us-east-1\"",
        &["no state of the United States `XX`"],
    );
    extra(
        "name = \"a.example.com\"\ngeolocation = { continent = \"XX\" }\nregion = \"us-east-1\"",
        &["`continent` can't be `XX`"],
    );
    extra(
        "name = \"a.example.com\"\ngeolocation = { continent = \"EU\", country = \"DE\" }\nregion = \"us-east-1\"",
        &["one part of the world"],
    );
    let twice = "weight = 1\nregion = \"us-east-1\"\n\n[[record]]\nname = \"a.example.com\"\nweight = 2\nregion = \"us-east-1\"";
    extra(
        &format!("name = \"a.example.com\"\n{twice}"),
        &["have one identifier", "`identifier` of its own"],
    );
    let simple =
        "region = \"us-east-1\"\n\n[[record]]\nname = \"a.example.com\"\nregion = \"eu-west-1\"";
    extra(
        &format!("name = \"a.example.com\"\n{simple}"),
        &["two simple records"],
    );
    let same = "latency = \"us-east-1\"\nregion = \"us-east-1\"\n\n[[record]]\nname = \"a.example.com\"\nlatency = \"us-east-1\"\nregion = \"eu-west-1\"";
    extra(
        &format!("name = \"a.example.com\"\n{same}"),
        &["has this policy already"],
    );
    check(
        "health_check = \"primary\"",
        "health_check = \"primry\"",
        &["no health check `primry`", "did you mean `primary`?"],
    );
}

#[test]
fn what_contradicts_itself() {
    check(
        "target = \"shop.example.com\"",
        "target = \"shp.example.com\"",
        &["no record of type A", "did you mean `shop.example.com`?"],
    );
    check(
        "target = \"shop.example.com\"",
        "target = \"*.example.com\"",
        &["asks for one name"],
    );
    check(
        "app = \"orders\"\n",
        "",
        &["a load needs an application", "app = \"orders\""],
    );
    check("edges = 2", "edges = 0", &["the lab has no edge"]);
    check(
        "[[table]]\nname = \"Orders\"\nregions = [\"us-east-1\", \"eu-west-1\"]\n",
        "",
        &["works on orders, and there is no table or bucket"],
    );
    check(
        "rate = 10",
        "rate = 10\nfrom = \"20s\"\nuntil = \"10s\"",
        &["ends before it begins"],
    );
    check(
        "rate = 10",
        "rate = 10\nuntil = \"31s\"",
        &["after the end of the measurement"],
    );
    check(
        "length = \"30s\"",
        "length = \"30s\"\nsustained = \"10s\"",
        &["the fault lasts 10s", "succeeds for 10s"],
    );
    check(
        "length = \"30s\"",
        "length = \"30s\"\nfault = \"outrage\"",
        &["no step that breaks something", "`outage`"],
    );
    check(
        "length = \"30s\"",
        "length = \"30s\"\ntable = \"Order\"",
        &[
            "no table, bucket or global cluster `Order`",
            "did you mean `Orders`?",
        ],
    );
    check(
        "client = \"honours_ttl\"",
        "client = \"honours_ttl\"\nhold = \"5s\"",
        &["takes no `hold`"],
    );
    check(
        "does = \"place_orders\"",
        "does = \"place_orders\"\norders = 5",
        &["only `update_and_read` has `orders`"],
    );
    check(
        "does = \"place_orders\"",
        "does = \"place_orders\"\npath = \"/\"",
        &["only `get` has a `path`"],
    );
    check(
        "does = \"place_orders\"",
        "does = \"get\"\npath = \"x y\"",
        &["this is no path"],
    );
    check(
        "threshold = 3",
        "threshold = 3\nkind = \"tcp\"\npath = \"/\"",
        &["kind `tcp` has no `path`"],
    );
    check(
        "[[zone]]\n",
        "[[zone]]\nname = \"example.com\"\n\n[[zone]]\n",
        &["two zones `example.com`"],
    );
    check(
        "[[zone]]",
        "[[table]]\nname = \"Orders\"\nregions = [\"eu-west-1\"]\n\n[[zone]]",
        &["two tables `Orders` are in one Region"],
    );
}

#[test]
fn clients_that_hold() {
    check(
        "client = \"honours_ttl\"",
        "client = \"holds\"",
        &["`holds` needs a span"],
    );
    let holds = |client: &str| {
        BASE.replace("client = \"honours_ttl\"", client)
            .replace("rto_s.honours_ttl", "rto_s")
    };
    assert!(read(&holds("client = \"holds\"\nhold = \"$outage\"")).is_ok());
    assert!(read(&holds("client = \"holds_90s\"")).is_ok());
    let problems = read(&holds("client = \"holds_0s\"")).expect_err("no span");
    assert!(
        problems.to_string().contains("from 100ms to 24h"),
        "{problems}"
    );
    let second = "[[load]]\nname = \"b\"\nplace = \"us-east-1\"\nclient = \"holds\"\nhold = \"9s\"\n\
                  rate = 1\ndoes = \"place_orders\"\ntarget = \"shop.example.com\"\n\n[[step]]";
    let text = holds("client = \"holds\"\nhold = \"5s\"").replacen("[[step]]", second, 1);
    let problems = read(&text).expect_err("two spans under one name");
    assert!(
        problems
            .to_string()
            .contains("different spans under one name"),
        "{problems}"
    );
}

#[test]
fn expectations() {
    let that = "\"lost_for_good == 0\"";
    let with = |text: &str, words: &[&str]| check(that, &format!("\"{text}\""), words);
    with(
        "lost_for_gud == 0",
        &[
            "nothing named `lost_for_gud` is measured",
            "`lost_for_good`",
        ],
    );
    with(
        "lost_for_good",
        &["compares nothing", "rto_s.honours_ttl <= 10"],
    );
    with("lost_for_good == many", &["can't be compared with `many`"]);
    with("lost_for_good == nan", &["can't be compared with `nan`"]);
    with(
        "rto_s.honours_ttl <= 10s",
        &["can't be compared with `10s`", "write 10: the unit"],
    );
    with("rto_s <= never", &["always holds", "`< never`"]);
    with("rto_s > never", &["can't hold", "`== never`"]);
    with("rto_s == nevr", &["did you mean `never`?"]);
    with("rto_s.poled <= 10", &["`rto_s` has no `poled`", "buyers"]);
    with(
        "rto_s.honours_ttl.p50 <= 10",
        &["`rto_s` is written `rto_s` or"],
    );
    with(
        "lost_for_good.us-east-1 == 0",
        &["without anything after it"],
    );
    with("missing_at == 0", &["is written `missing_at.REGION`"]);
    with("missing_at.us-west-1 == 0", &["has no `us-west-1`"]);
    with("served_by.buyers == 0", &["`served_by.LOAD.REGION`"]);
    with("served_by.sellers.us-east-1 == 0", &["has no `sellers`"]);
    with("latency_ms <= 10", &["`latency_ms.p99`"]);
    with("latency_ms.p98 <= 10", &["has no `p98`"]);
    with(
        "budget_percent.99.5 <= 10",
        &["has no `99.5`", "99.9, 99.95 and 99.99"],
    );
    with("link_bytes.chnges <= 10", &["did you mean `changes`?"]);
    with(
        "lost_for_good == $lim",
        &["no variable `lim`", "did you mean `limit`?"],
    );
    with("lost_for_good == $outage", &["`$outage` is no number"]);
    for fine in [
        "rto_s <= 1e3",
        "rto_s.buyers != never",
        "latency_ms.buyers.p99 < 500",
        "budget_percent.99.95 <= 5.5",
        "link_bytes.changes > 0",
        "served_by.buyers.eu-west-1 >= 1",
        "stale_age_ms.max <= 100",
        "answered_percent.buyers.us-east-1 <= 100",
        "failed==0",
    ] {
        let text = changed(that, &format!("\"{fine}\""));
        assert!(read(&text).is_ok(), "{fine}");
    }
}

#[test]
fn variables_and_their_settings() {
    check(
        "limit = 5",
        "limit = [5]",
        &["a variable is a text, a number"],
    );
    check(
        "outage = \"10s\"",
        "outage = \"10s\"\nspare = 1",
        &["`spare` is used nowhere"],
    );
    check(
        "outage = \"10s\"",
        "outage = \"10s\"\n\"a-b\" = 1",
        &["letters, digits and `_`"],
    );
    check(
        "rate = 10",
        "rate = \"$rat\"",
        &["no variable `rat`", "limit and outage"],
    );
    let set = |settings: &[&str]| {
        let settings: Vec<Setting> = settings
            .iter()
            .map(|text| text.parse().expect("NAME=VALUE"))
            .collect();
        Scenario::parse("small.toml", BASE, &settings)
    };
    let scenario = set(&["outage=4s", "limit=0.5"]).expect("both are there");
    assert_eq!(scenario.steps[1].at, types::Span::seconds(9));
    assert_eq!(scenario.expectations[0].text, "rto_s.honours_ttl <= 0.5");
    assert_eq!(
        scenario.variables[1],
        ("outage".to_owned(), "4s".to_owned())
    );
    let wrong = |settings: &[&str], words: &str| {
        let problems = set(settings).expect_err(words).to_string();
        assert!(problems.contains(words), "{problems}");
    };
    wrong(&["outag=4s"], "did you mean `outage`?");
    wrong(&["colour=red"], "it has limit and outage");
    wrong(&["limit=many"], "`many` is not of the variable's kind");
    wrong(&["limit=inf"], "not of the variable's kind");
    wrong(&["outage=4"], "has no unit of time");
    wrong(&["outage=1h"], "when the load has ended");
    assert!("outage".parse::<Setting>().is_err());
    assert!("=4".parse::<Setting>().is_err());
}

#[test]
fn loads_are_bounded_together() {
    let text = BASE
        .replace("rate = 10", "rate = 2000")
        .replace("length = \"30s\"", "length = \"1h\"");
    let problems = read(&text).expect_err("millions of requests");
    assert!(
        problems
            .to_string()
            .contains("the loads make 7200000 requests"),
        "{problems}"
    );
    let many = "[[load]]\nname = \"n\"\n".repeat(40);
    let problems = read(&BASE.replacen("[[step]]", &format!("{many}[[step]]"), 1)).expect_err("40");
    let told = problems
        .list
        .iter()
        .any(|problem| problem.message.contains("at most 32 are allowed"));
    assert!(told || problems.more > 0, "{problems}");
}

/// An unknown word makes a section say which it knows: each of those is in the documentation.
#[test]
fn every_word_is_documented() {
    let documentation = include_str!("../../../../docs/gamedays.md");
    let step = |text: &str| format!("[[step]]\nat = \"29s\"\n{text}\nzzzzzz = 1\n\n[measure]");
    let site = "site = \"edge-1\"";
    let between = "between = [\"us-east-1\", \"edge-1\"]";
    let mut texts = vec![format!("zzzzzz = 1\n{BASE}")];
    for header in [
        "[lab]",
        "[[table]]",
        "[[zone]]",
        "[[health_check]]",
        "[[load]]",
        "[measure]",
        "[expect]",
    ] {
        texts.push(changed(header, &format!("{header}\nzzzzzz = 1")));
    }
    texts.push(BASE.replacen("[[record]]", "[[record]]\nzzzzzz = 1", 1));
    let accelerator = "[[accelerator]]\nname = \"a\"\nregions = [\"us-east-1\"]\nzzzzzz = 1\n\n\
                       [[record]]";
    texts.push(BASE.replacen("[[record]]", accelerator, 1));
    let group = "[[accelerator]]\nname = \"a\"\n[[accelerator.group]]\nregion = \"us-east-1\"\n\
                 zzzzzz = 1\n\n[[record]]";
    texts.push(BASE.replacen("[[record]]", group, 1));
    for text in [
        format!("do = \"kill\"\n{site}"),
        "do = \"errors\"\nregion = \"us-east-1\"".to_owned(),
        format!("do = \"cut\"\n{between}"),
        format!("do = \"delay\"\n{between}\nby = \"1s\""),
        format!("do = \"rate\"\n{between}\nbytes_per_second = 9"),
        format!("do = \"clock\"\n{site}\nby = \"1s\""),
        "do = \"heal\"".to_owned(),
        "do = \"scan\"".to_owned(),
        "do = \"explode\"".to_owned(),
    ] {
        texts.push(changed("[measure]", &step(&text)));
    }
    for (from, to) in [
        ("client = \"honours_ttl\"", "client = \"zzzzzz\""),
        ("does = \"place_orders\"", "does = \"zzzzzz\""),
        ("threshold = 3", "kind = \"zzzzzz\""),
        (
            "ttl = \"5s\"\nhealth_check",
            "type = \"zzzzzz\"\nhealth_check",
        ),
        ("\"lost_for_good == 0\"", "\"zzzzzz == 0\""),
    ] {
        texts.push(changed(from, to));
    }
    let mut count = 0;
    for text in texts {
        let problems = read(&text).expect_err("one word is unknown");
        let help = problems
            .list
            .iter()
            .filter_map(|problem| problem.help.as_ref());
        let allowed = help
            .filter_map(|help| help.split_once("allowed: "))
            .map(|(_, words)| words);
        let words: Vec<&str> = allowed
            .flat_map(|words| words.split([',', ' ', ')']))
            .filter(|word| !word.is_empty() && *word != "and")
            .collect();
        assert!(!words.is_empty(), "{problems}");
        for word in words {
            let quoted = [
                format!("`{word}`"),
                format!("`\"{word}\"`"),
                format!("[{word}]"),
            ];
            let in_list = documentation.contains("| A, AAAA, CNAME, TXT, MX, NS, SRV")
                && word.chars().all(|c| c.is_ascii_uppercase());
            let begins = ["`{}.", "`{} ="]
                .iter()
                .any(|form| documentation.contains(&form.replace("{}", word)));
            let found = quoted.iter().any(|quoted| documentation.contains(quoted));
            assert!(found || in_list || begins, "docs/gamedays.md lacks {word}");
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}
