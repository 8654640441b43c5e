//! `ChangeResourceRecordSets`: what the actions do, in which order, and how much at once.

use crate::support::{Api, alias, chosen, values};

const A: &str = "192.0.2.1";

fn listed(api: &Api, zone: &str, name: &str) -> Vec<String> {
    let page = api
        .get(&format!("hostedzone/{zone}/rrset?name={name}&maxitems=1"))
        .ok();
    match page.all("Name").first() {
        Some(found) if found.trim_end_matches('.') == name => page.all("Value"),
        _ => Vec::new(),
    }
}

#[test]
fn the_actions_create_replace_and_delete() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let one = values("x.example.com", "A", 60, &[A]);
    let two = values("X.EXAMPLE.com.", "A", 61, &["192.0.2.2", "192.0.2.3"]);
    let made = api.batch(&zone, &[("CREATE", one)]).ok();
    assert_eq!((made.status, made.one("Status").as_str()), (200, "PENDING"));
    api.batch(&zone, &[("UPSERT", two.clone())]).ok();
    assert_eq!(
        listed(&api, &zone, "x.example.com"),
        ["192.0.2.2", "192.0.2.3"]
    );
    api.batch(&zone, &[("DELETE", two)]).ok();
    assert!(listed(&api, &zone, "x.example.com").is_empty());
    api.batch(&zone, &[("UPSERT", values("x.example.com", "A", 60, &[A]))])
        .ok();
    assert_eq!(listed(&api, &zone, "x.example.com"), [A]);
}

#[test]
fn a_batch_s_changes_are_made_in_their_order() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let old = values("x.example.com", "CNAME", 60, &["y.example.net"]);
    let new = alias("x.example.com", "A", "", &zone, "t.example.com", false);
    api.batch(&zone, &[("CREATE", old.clone())]).ok();
    // The other way round the CNAME is still there when the alias's turn comes.
    let target = ("CREATE", values("t.example.com", "A", 60, &[A]));
    let faults = api.faults(
        &zone,
        &[
            target.clone(),
            ("CREATE", new.clone()),
            ("DELETE", old.clone()),
        ],
    );
    assert!(
        faults.contains("conflicting RRSet of type  CNAME"),
        "{faults}"
    );
    api.batch(&zone, &[("DELETE", old.clone()), ("CREATE", new), target])
        .ok();
    // Deleted and created anew, with another policy, at once; not deleted twice.
    let simple = values("p.example.com", "A", 60, &[A]);
    let weighted = chosen("p.example.com", "A", "one", "<Weight>1</Weight>", 60, A);
    api.batch(&zone, &[("CREATE", simple.clone())]).ok();
    api.batch(
        &zone,
        &[("DELETE", simple.clone()), ("CREATE", weighted.clone())],
    )
    .ok();
    let faults = api.faults(&zone, &[("DELETE", weighted.clone()), ("DELETE", weighted)]);
    assert_eq!(
        faults,
        "Tried to delete resource record set [name='p.example.com.', type='A', \
         set-identifier='one'] but it was not found"
    );
}

#[test]
fn a_delete_must_give_the_current_values() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let text = |name: &str| {
        format!(
            "Tried to delete resource record set [name='{name}', type='MX'] but the values \
             provided do not match the current values"
        )
    };
    let given = ["10 a.example.net", "20 b.example.net."];
    api.batch(
        &zone,
        &[("CREATE", values("m.example.com", "MX", 60, &given))],
    )
    .ok();
    for wrong in [
        values("m.example.com", "MX", 61, &given),
        values("m.example.com", "MX", 60, &given[..1]),
        values(
            "m.example.com",
            "MX",
            60,
            &["10 a.example.net", "20 c.example.net"],
        ),
    ] {
        assert_eq!(
            api.faults(&zone, &[("DELETE", wrong)]),
            text("m.example.com.")
        );
    }
    // Another order, capitals and a last dot mean the same.
    let same = ["20 B.example.net", "10 a.example.net."];
    api.batch(
        &zone,
        &[("DELETE", values("m.example.com", "MX", 60, &same))],
    )
    .ok();
    let missing = api.faults(
        &zone,
        &[("DELETE", values("m.example.com", "MX", 60, &given))],
    );
    assert_eq!(
        missing,
        "Tried to delete resource record set [name='m.example.com.', type='MX'] but it was not \
         found"
    );
}

#[test]
fn a_delete_gives_policy_and_health_check_too_but_may_leave_the_policy_out() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let check = format!("<HealthCheckId>{}</HealthCheckId>", api.check("c"));
    let set =
        |policy: &str, check: &str| chosen("w.example.com", "A", "one", policy, 60, A) + check;
    let weight = "<Weight>1</Weight>";
    api.batch(&zone, &[("CREATE", set(weight, &check))]).ok();
    for wrong in [set("<Weight>2</Weight>", &check), set(weight, "")] {
        let faults = api.faults(&zone, &[("DELETE", wrong)]);
        assert!(
            faults.contains("do not match the current values"),
            "{faults}"
        );
    }
    api.batch(&zone, &[("DELETE", set("", &check))]).ok();
    let multivalue = "<MultiValueAnswer>true</MultiValueAnswer>";
    api.batch(&zone, &[("CREATE", set(multivalue, ""))]).ok();
    api.batch(
        &zone,
        &[(
            "DELETE",
            set("<MultiValueAnswer>false</MultiValueAnswer>", ""),
        )],
    )
    .ok();
}

#[test]
fn a_thousand_records_are_one_change() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let long = "x".repeat(40);
    let batch = |count: usize, action| -> Vec<(&'static str, String)> {
        (0..count)
            .map(|number| {
                let name = format!("n{number}.{}example.com", format!("{long}.").repeat(4));
                (
                    action,
                    values(
                        &name,
                        "A",
                        60,
                        &[&format!("192.0.{}.{}", number / 256, number % 256)],
                    ),
                )
            })
            .collect()
    };
    let before = api.memory.view_now().revision;
    api.batch(&zone, &batch(1_000, "CREATE")).ok();
    assert_eq!(api.memory.view_now().revision, before + 1);
    let got = api.get(&format!("hostedzone/{zone}")).ok();
    assert_eq!(got.one("ResourceRecordSetCount"), "1002");
    let limit = "Number of records limit of 1000 exceeded.";
    assert_eq!(api.faults(&zone, &batch(1_001, "CREATE")), limit);
    // An UPSERT counts twice.
    api.batch(&zone, &batch(500, "UPSERT")).ok();
    assert_eq!(api.faults(&zone, &batch(501, "UPSERT")), limit);
    api.batch(&zone, &batch(1_000, "DELETE")).ok();
}

#[test]
fn a_batch_s_characters_are_limited() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let text = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    let batch = |action, count: usize, last: usize| -> Vec<(&'static str, String)> {
        (0..count)
            .map(|number| {
                let length = if number + 1 == count { last } else { 250 };
                (
                    action,
                    values(
                        &format!("n{number}.example.com"),
                        "TXT",
                        60,
                        &[&text(length)],
                    ),
                )
            })
            .collect()
    };
    api.batch(&zone, &batch("CREATE", 128, 250)).ok();
    api.batch(&zone, &batch("UPSERT", 64, 250)).ok();
    let limit = "Number of characters limit of 32000 exceeded.";
    assert_eq!(api.faults(&zone, &batch("UPSERT", 65, 3)), limit);
    assert_eq!(api.faults(&zone, &batch("CREATE", 129, 3)), limit);
}

#[test]
fn the_ttl_of_a_weighted_group_is_the_one_given_last() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let set = |id, ttl| chosen("w.example.com", "A", id, "<Weight>1</Weight>", ttl, A);
    api.batch(
        &zone,
        &[("CREATE", set("one", 10)), ("CREATE", set("two", 20))],
    )
    .ok();
    let ttls = || {
        let page = api
            .get(&format!("hostedzone/{zone}/rrset?name=w.example.com"))
            .ok();
        page.all("TTL")
    };
    assert_eq!(ttls(), ["20", "20"]);
    api.batch(&zone, &[("UPSERT", set("one", 30))]).ok();
    assert_eq!(ttls(), ["30", "30"]);
    let latency = |id, region: &str, ttl| {
        let policy = format!("<Region>{region}</Region>");
        chosen("l.example.com", "A", id, &policy, ttl, A)
    };
    let batch = [
        ("CREATE", latency("one", "us-east-1", 1)),
        ("CREATE", latency("two", "us-west-2", 2)),
    ];
    api.batch(&zone, &batch).ok();
    let page = api
        .get(&format!(
            "hostedzone/{zone}/rrset?name=l.example.com&maxitems=2"
        ))
        .ok();
    assert_eq!(page.all("TTL"), ["1", "2"]);
}

#[test]
fn the_zone_s_own_records_can_be_replaced_and_not_removed() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let page = api.get(&format!("hostedzone/{zone}/rrset")).ok();
    let all = page.all("Value");
    let servers: Vec<&str> = all[..4].iter().map(String::as_str).collect();
    let ns = values("example.com", "NS", 172_800, &servers);
    let soa = values("example.com", "SOA", 900, &[&all[4]]);
    assert_eq!(
        api.faults(&zone, &[("DELETE", ns.clone()), ("DELETE", soa.clone())]),
        "A HostedZone must contain at least one NS record for the zone itself., A HostedZone must \
         contain exactly one SOA record."
    );
    let other = values("example.com", "NS", 60, &["ns.example.net."]);
    api.batch(&zone, &[("UPSERT", other.clone())]).ok();
    let back = [("DELETE", other), ("CREATE", ns)];
    api.batch(&zone, &back).ok();
    let longer = soa.replace("900</TTL>", "60</TTL>");
    api.batch(&zone, &[("UPSERT", longer)]).ok();
    let (code, _) = api.batch(&zone, &[]).error();
    assert_eq!(code, "InvalidInput");
}

#[test]
fn a_zone_holds_ten_thousand_record_sets() {
    let api = Api::new();
    let zone = api.zone("example.com");
    for block in 0..10 {
        let count = if block == 9 { 998 } else { 1_000 };
        let changes: Vec<(&str, String)> = (0..count)
            .map(|number| {
                let name = format!("n{block}-{number}.example.com");
                ("CREATE", values(&name, "A", 60, &[A]))
            })
            .collect();
        api.batch(&zone, &changes).ok();
    }
    let view = api.memory.view_now();
    let size: usize = view
        .entries
        .iter()
        .map(|(key, (_, value))| key.len() + value.len() + 32)
        .sum();
    assert!(size < 4 * 1024 * 1024, "{size}");
    let more = api.faults(
        &zone,
        &[("CREATE", values("more.example.com", "A", 60, &[A]))],
    );
    assert_eq!(
        more,
        "A HostedZone must not contain more than 10000 resource record sets."
    );
    let swap = [
        ("DELETE", values("n0-0.example.com", "A", 60, &[A])),
        ("CREATE", values("more.example.com", "A", 60, &[A])),
    ];
    api.batch(&zone, &swap).ok();
}
