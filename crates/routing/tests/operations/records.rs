//! `ListResourceRecordSets`: order, pages, and every kind of record set as it was given.

use crate::support::{Api, alias, chosen, values};

fn list(api: &Api, zone: &str, query: &str) -> crate::support::Answer {
    api.get(&format!("hostedzone/{zone}/rrset?{query}")).ok()
}

#[test]
fn records_are_listed_with_labels_reversed_then_by_type_and_identifier() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let names = [
        "www.example.com",
        "a.example.com",
        "b.a.example.com",
        "*.example.com",
        "_x.example.com",
        "a-b.example.com",
        "A1.example.com",
    ];
    let mut changes: Vec<(&str, String)> = names
        .iter()
        .map(|name| ("CREATE", values(name, "A", 60, &["192.0.2.1"])))
        .collect();
    changes.push(("CREATE", values("a.example.com", "TXT", 60, &["\"t\""])));
    changes.push((
        "CREATE",
        values("a.example.com", "AAAA", 60, &["2001:db8::1"]),
    ));
    for id in ["z", "B", "a"] {
        let set = chosen(
            "w.example.com",
            "A",
            id,
            "<Weight>1</Weight>",
            60,
            "192.0.2.1",
        );
        changes.push(("CREATE", set));
    }
    api.batch(&zone, &changes).ok();
    let whole = list(&api, &zone, "");
    let order: Vec<(String, String)> = whole
        .all("Name")
        .into_iter()
        .zip(whole.all("Type"))
        .collect();
    let order: Vec<String> = order
        .iter()
        .map(|(name, kind)| format!("{name} {kind}"))
        .collect();
    assert_eq!(
        order,
        [
            "example.com. NS",
            "example.com. SOA",
            "\\052.example.com. A",
            "_x.example.com. A",
            "a-b.example.com. A",
            "a.example.com. A",
            "a.example.com. AAAA",
            "a.example.com. TXT",
            "b.a.example.com. A",
            "a1.example.com. A",
            "w.example.com. A",
            "w.example.com. A",
            "w.example.com. A",
            "www.example.com. A",
        ]
    );
    assert_eq!(whole.all("SetIdentifier"), ["B", "a", "z"]);
    assert_eq!(
        (whole.one("IsTruncated"), whole.one("MaxItems")),
        ("false".into(), "300".into())
    );

    // Every page size leads through the same list.
    for size in [1, 2, 3, 5, 14] {
        let (mut seen, mut query) = (Vec::new(), format!("maxitems={size}"));
        loop {
            let page = list(&api, &zone, &query);
            let names = page.all("Name").into_iter().zip(page.all("Type"));
            seen.extend(names.map(|(name, kind)| format!("{name} {kind}")));
            if page.one("IsTruncated") == "false" {
                break;
            }
            let name = page.one("NextRecordName").replace('\\', "%5C");
            query = format!(
                "maxitems={size}&name={name}&type={}",
                page.one("NextRecordType")
            );
            if let Some(identifier) = page.all("NextRecordIdentifier").first() {
                query.push_str(&format!("&identifier={identifier}"));
            }
        }
        assert_eq!(seen, order, "{size}");
    }
}

#[test]
fn a_list_begins_where_it_is_asked_to() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let record = |name: &str, kind: &str, value: &str| ("CREATE", values(name, kind, 60, &[value]));
    api.batch(
        &zone,
        &[
            record("b.example.com", "A", "192.0.2.1"),
            record("b.example.com", "TXT", "\"t\""),
            record("d.example.com", "A", "192.0.2.1"),
        ],
    )
    .ok();
    for (query, expected) in [
        ("name=example.com", vec!["NS", "SOA", "A", "TXT", "A"]),
        ("name=a.example.com", vec!["A", "TXT", "A"]),
        ("name=b.example.com&type=A", vec!["A", "TXT", "A"]),
        ("name=B.Example.com.&type=AAAA", vec!["TXT", "A"]),
        ("name=b.example.com&type=NAPTR", vec!["TXT", "A"]),
        ("name=c.example.com&type=TXT", vec!["A"]),
        ("name=e.example.com", vec![]),
        ("maxitems=1&name=b.example.com", vec!["A"]),
        ("maxitems=9999", vec!["NS", "SOA", "A", "TXT", "A"]),
    ] {
        assert_eq!(list(&api, &zone, query).all("Type"), expected, "{query}");
    }
    for query in [
        "type=A",
        "name=a.example.com&identifier=x",
        "name=a..b",
        "maxitems=-1",
        "name=a.example.com&type=BAD",
    ] {
        let answer = api.get(&format!("hostedzone/{zone}/rrset?{query}"));
        assert_eq!(answer.error().0, "InvalidInput", "{query}");
    }
    assert_eq!(api.get("hostedzone/Z0/rrset").error().0, "NoSuchHostedZone");
}

#[test]
fn a_page_has_at_most_three_hundred_record_sets() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let changes: Vec<(&str, String)> = (0..301)
        .map(|number| {
            let name = format!("n{number}.example.com");
            ("CREATE", values(&name, "A", 60, &["192.0.2.1"]))
        })
        .collect();
    api.batch(&zone, &changes).ok();
    let page = list(&api, &zone, "maxitems=500");
    assert_eq!(page.all("ResourceRecordSet").len(), 300);
    assert_eq!(page.one("IsTruncated"), "true");
}

#[test]
fn every_policy_and_type_comes_back_as_it_was_given() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let check = api.check("c");
    let healthy = format!("<HealthCheckId>{check}</HealthCheckId>");
    let policies = [
        ("w", "<Weight>0</Weight>"),
        ("l", "<Region>eu-west-1</Region>"),
        ("f", "<Failover>PRIMARY</Failover>"),
        ("m", "<MultiValueAnswer>true</MultiValueAnswer>"),
        (
            "g",
            "<GeoLocation><ContinentCode>EU</ContinentCode></GeoLocation>",
        ),
        (
            "h",
            "<GeoLocation><CountryCode>*</CountryCode></GeoLocation>",
        ),
        (
            "i",
            "<GeoLocation><CountryCode>US</CountryCode><SubdivisionCode>CA</SubdivisionCode>\
               </GeoLocation>",
        ),
    ];
    for (label, policy) in policies {
        let name = format!("{label}.example.com.");
        let set = chosen(&name, "A", "id", policy, 60, "192.0.2.1") + &healthy;
        api.batch(&zone, &[("CREATE", set.clone())]).ok();
        let page = list(&api, &zone, &format!("name={name}&maxitems=1"));
        assert_eq!(page.one("ResourceRecordSet"), set);
    }
    let kinds = [
        ("AAAA", "2001:db8::1"),
        ("CAA", "0 issue \"ca.example.net\""),
        ("CNAME", "b.example.net"),
        ("MX", "10 mail.example.net"),
        ("PTR", "host.example.net"),
        ("SRV", "1 2 443 host.example.net"),
        ("TXT", "\"a b\" \"c\""),
        ("NS", "ns.example.net"),
    ];
    for (kind, value) in kinds {
        let name = format!("{}.example.com.", kind.to_lowercase());
        let set = values(&name, kind, 0, &[value]);
        api.batch(&zone, &[("CREATE", set.clone())]).ok();
        let page = list(&api, &zone, &format!("name={name}&maxitems=1"));
        assert_eq!(page.one("ResourceRecordSet"), set);
    }
    let set = alias("alias.example.com.", "A", "", &zone, "w.example.com.", true);
    api.batch(&zone, &[("CREATE", set.clone())]).ok();
    let page = list(&api, &zone, "name=alias.example.com&maxitems=1");
    assert_eq!(page.one("ResourceRecordSet"), set);
}
