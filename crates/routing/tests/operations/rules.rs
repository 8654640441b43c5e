//! What record sets may not be, and the service's words for it.

use crate::support::{Api, alias, chosen, values};

const A: &str = "192.0.2.1";
const WEIGHT: &str = "<Weight>1</Weight>";

/// Makes `before`, then holds that `changes` are refused with that message.
fn refused(before: &[(&str, String)], changes: &[(&str, String)], message: &str) {
    let api = Api::new();
    let zone = api.zone("example.com");
    let placed = |changes: &[(&str, String)]| -> Vec<(&'static str, String)> {
        changes
            .iter()
            .map(|(action, set)| {
                let action = match *action {
                    "CREATE" => "CREATE",
                    "DELETE" => "DELETE",
                    _ => "UPSERT",
                };
                (action, set.replace("ZONE", &zone))
            })
            .collect()
    };
    if !before.is_empty() {
        api.batch(&zone, &placed(before)).ok();
    }
    assert_eq!(
        api.faults(&zone, &placed(changes)),
        message.replace("ZONE", &zone)
    );
}

fn create(set: String) -> (&'static str, String) {
    ("CREATE", set)
}

#[test]
fn a_record_set_that_is_there_is_not_created() {
    let simple = create(values("x.example.com", "A", 60, &[A]));
    let message = "Tried to create resource record set [name='x.example.com.', type='A'] but it already exists";
    refused(
        std::slice::from_ref(&simple),
        std::slice::from_ref(&simple),
        message,
    );
    let set = create(chosen("x.example.com", "A", "Default", WEIGHT, 60, A));
    let message = "Tried to create resource record set [name='x.example.com.', type='A', \
                   set-identifier='Default'] but it already exists";
    refused(
        std::slice::from_ref(&set),
        std::slice::from_ref(&set),
        message,
    );
}

#[test]
fn a_cname_stands_alone_and_not_at_the_apex() {
    let cname = |name: &str| create(values(name, "CNAME", 60, &["a.example.net"]));
    let a = |name: &str| create(values(name, "A", 60, &[A]));
    refused(
        &[a("x.example.com")],
        &[cname("x.example.com")],
        "RRSet of type CNAME with DNS name x.example.com. is not permitted as it conflicts with \
         other records with the same DNS name in zone example.com.",
    );
    refused(
        &[cname("x.example.com")],
        &[a("x.example.com")],
        "RRSet of type A with DNS name x.example.com. is not permitted because a conflicting \
         RRSet of type  CNAME with the same DNS name already exists in zone example.com.",
    );
    refused(
        &[],
        &[cname("example.com")],
        "RRSet of type CNAME with DNS name example.com. is not permitted at apex in zone \
         example.com., RRSet of type CNAME with DNS name example.com. is not permitted as it \
         conflicts with other records with the same DNS name in zone example.com.",
    );
    refused(
        &[],
        &[create(values(
            "x.example.com",
            "CNAME",
            60,
            &["a.b", "b.b"],
        ))],
        "The request contains an invalid set of changes for a resource record set 'CNAME \
         x.example.com.'",
    );
}

#[test]
fn names_lie_in_the_zone_and_are_names() {
    refused(
        &[],
        &[create(values("x.example.net", "A", 60, &[A]))],
        "RRSet with DNS name x.example.net. is not permitted in zone example.com.",
    );
    for (name, problem) in [
        ("a..example.com", "DomainLabelEmpty (Domain label is empty)"),
        (
            "a b.example.com",
            "UnsupportedCharacter (Value contains unsupported characters)",
        ),
        ("", "DomainNameEmpty (Domain name is empty)"),
    ] {
        refused(
            &[],
            &[create(values(name, "A", 60, &[A]))],
            &format!("FATAL problem: {problem} encountered with '{name}'"),
        );
    }
    refused(
        &[],
        &[create(values(
            "*.example.com",
            "NS",
            60,
            &["ns.example.net"],
        ))],
        "RRSet of type NS with DNS name \\052.example.com. is not permitted in zone example.com., \
         as NS records can't be wildcards.",
    );
    refused(
        &[],
        &[create(values(
            "x.example.com",
            "SOA",
            60,
            &["a. b. 1 2 3 4 5"],
        ))],
        "RRSet of type SOA with DNS name x.example.com. is not permitted in zone example.com., as \
         a zone has one SOA record, at its apex.",
    );
}

#[test]
fn values_are_of_their_type_and_differ() {
    let bad = |problem: &str, value: &str| {
        format!("Invalid Resource Record: 'FATAL problem: {problem} encountered with '{value}''")
    };
    for (kind, value, problem) in [
        (
            "A",
            "1.2.3",
            "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)",
        ),
        (
            "AAAA",
            "x",
            "AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address)",
        ),
        (
            "TXT",
            "bare",
            "InvalidCharacterString (Value should be enclosed in quotation marks)",
        ),
    ] {
        refused(
            &[],
            &[create(values("x.example.com", kind, 60, &[value]))],
            &bad(problem, value),
        );
    }
    refused(
        &[],
        &[create(values(
            "x.example.com",
            "A",
            60,
            &[A, "192.0.2.2", A],
        ))],
        "Duplicate Resource Record: '192.0.2.1'",
    );
    let many: Vec<String> = (0..401)
        .map(|n| format!("10.0.{}.{}", n / 256, n % 256))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    refused(
        &[],
        &[create(values("x.example.com", "A", 60, &many))],
        "RRSet with DNS name x.example.com., type A has more than 400 values.",
    );
}

#[test]
fn every_fault_of_a_batch_is_named_and_nothing_is_changed() {
    refused(
        &[],
        &[
            create(values("good.example.com", "A", 60, &[A])),
            create(values("x.example.com", "A", 60, &["1.2.3"])),
            ("DELETE", values("gone.example.com", "A", 60, &[A])),
            create(values("x.example.net", "A", 60, &[A])),
            create(alias(
                "alias.example.com",
                "A",
                "",
                "ZONE",
                "good.example.com",
                false,
            )),
        ],
        "Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address (Value is not a valid \
         IPv4 address) encountered with '1.2.3'', Tried to delete resource record set \
         [name='gone.example.com.', type='A'] but it was not found, RRSet with DNS name \
         x.example.net. is not permitted in zone example.com.",
    );
}

#[test]
fn policies_of_one_name_and_type_do_not_mix() {
    let simple = create(values("x.example.com", "A", 60, &[A]));
    let set = |id: &str, policy: &str| create(chosen("x.example.com", "A", id, policy, 60, A));
    let failover = "<Failover>SECONDARY</Failover>";
    let geolocation = "<GeoLocation><CountryCode>DE</CountryCode></GeoLocation>";
    let multivalue = "<MultiValueAnswer>true</MultiValueAnswer>";
    let region = "<Region>us-east-1</Region>";
    let place = "RRSet with DNS name x.example.com., type A";
    let simple_after =
        format!("{place} cannot be created as other RRSets exist with the same name and type.");
    for policy in [WEIGHT, failover, geolocation, multivalue, region] {
        refused(
            &[set("s", policy)],
            std::slice::from_ref(&simple),
            &simple_after,
        );
    }
    for (policy, word) in [
        (WEIGHT, "weighted"),
        (failover, "failover"),
        (geolocation, "geolocation"),
        (region, "latency"),
    ] {
        let message = format!(
            "{place}, SetIdentifier s cannot be created as a non-{word} set exists with the same \
             name and type."
        );
        refused(std::slice::from_ref(&simple), &[set("s", policy)], &message);
        refused(&[set("m", multivalue)], &[set("s", policy)], &message);
        // Not in place either.
        refused(
            &[set("s", multivalue)],
            &[("UPSERT", set("s", policy).1)],
            &message,
        );
    }
    refused(
        &[simple],
        &[set("s", multivalue)],
        &format!(
            "{place}, SetIdentifier s cannot be created because a non multivalue answer rrset \
             exists with the same name and type."
        ),
    );
}

#[test]
fn a_part_in_a_policy_is_had_once() {
    let set = |id: &str, policy: &str| create(chosen("x.example.com", "A", id, policy, 60, A));
    for (policy, part, kind, words) in [
        (
            "<Region>us-east-1</Region>",
            "Region Name=us-east-1",
            "latency",
            "region",
        ),
        (
            "<Failover>SECONDARY</Failover>",
            "Failover=SECONDARY",
            "failover",
            "failover type",
        ),
        (
            "<GeoLocation><CountryCode>*</CountryCode></GeoLocation>",
            "GeoLocation=default",
            "geolocation",
            "location",
        ),
    ] {
        refused(
            &[set("one", policy)],
            &[set("two", policy)],
            &format!(
                "RRSet with DNS name x.example.com., type A, SetIdentifier two, and {part} cannot \
                 be created because a {kind} RRSet with the same name, type and {words} already \
                 exists."
            ),
        );
    }
    let hundred: Vec<(&str, String)> = (0..100)
        .map(|number| set(&format!("s{number}"), WEIGHT))
        .collect();
    refused(
        &hundred,
        &[set("more", WEIGHT)],
        "RRSet with DNS name x.example.com., type A, SetIdentifier more cannot be created as 100 \
         RRSets exist with the same name and type.",
    );
}

#[test]
fn failover_asks_for_health() {
    refused(
        &[],
        &[create(chosen(
            "x.example.com",
            "A",
            "p",
            "<Failover>PRIMARY</Failover>",
            60,
            A,
        ))],
        "A non-alias primary ResourceRecordSet must have an associated health check. No changes \
         made.",
    );
    let target = create(values("t.example.com", "A", 60, &[A]));
    let before = "<SetIdentifier>p</SetIdentifier><Failover>PRIMARY</Failover>";
    let failover = |health| {
        create(alias(
            "x.example.com",
            "A",
            before,
            "ZONE",
            "t.example.com",
            health,
        ))
    };
    refused(
        std::slice::from_ref(&target),
        &[failover(false)],
        "RRSet with DNS name x.example.com., type A, SetIdentifier p cannot be created as a \
         failover alias must have EvaluateTargetHealth set to true.",
    );
    let api = Api::new();
    let zone = api.zone("example.com");
    let placed = |(action, set): (&'static str, String)| (action, set.replace("ZONE", &zone));
    api.batch(&zone, &[target, placed(failover(true))]).ok();
}

#[test]
fn aliases_have_targets_of_the_zone_and_make_no_loop() {
    let missing = |target: &str, zone: &str| {
        format!(
            "Tried to create an alias that targets {target}, type A in zone {zone}, but that \
             target was not found"
        )
    };
    let to = |name: &str, target: &str| create(alias(name, "A", "", "ZONE", target, true));
    refused(
        &[],
        &[to("x.example.com", "t.example.com")],
        &missing("t.example.com.", "ZONE"),
    );
    // Of another type there is no target either.
    refused(
        &[create(values("t.example.com", "AAAA", 60, &["::1"]))],
        &[to("x.example.com", "t.example.com")],
        &missing("t.example.com.", "ZONE"),
    );
    refused(
        &[],
        &[to("x.example.com", "t.example.net")],
        &format!(
            "{}, Tried to create an alias that targets t.example.net., type A in zone ZONE, but \
             the alias target name does not lie within the target zone",
            missing("t.example.net.", "ZONE")
        ),
    );
    let elsewhere = alias(
        "x.example.com",
        "A",
        "",
        "Z2FDTNDATAQYW2",
        "d.cloudfront.net",
        false,
    );
    refused(
        &[],
        &[create(elsewhere)],
        &format!(
            "{}, An alias to what isn't a record of zone ZONE, an accelerator or a load \
             balancer is not built yet in Causeway: x.example.com. targets zone Z2FDTNDATAQYW2",
            missing("d.cloudfront.net.", "Z2FDTNDATAQYW2")
        ),
    );
    refused(
        &[],
        &[to("x.example.com", "x.example.com")],
        "Tried to create an alias that targets x.example.com., type A in zone ZONE, but that \
         target leads back to x.example.com.",
    );
    refused(
        &[
            create(values("c.example.com", "A", 60, &[A])),
            to("b.example.com", "c.example.com"),
            to("a.example.com", "b.example.com"),
        ],
        &[
            ("DELETE", values("c.example.com", "A", 60, &[A])),
            to("c.example.com", "a.example.com"),
        ],
        "Tried to create an alias that targets a.example.com., type A in zone ZONE, but that \
         target leads back to c.example.com.",
    );
    refused(
        &[],
        &[create(alias(
            "x.example.com",
            "NS",
            "",
            "ZONE",
            "example.com",
            false,
        ))],
        "RRSet of type NS with DNS name x.example.com. is not permitted in zone example.com., as \
         it can't be an alias.",
    );
    let before = "<SetIdentifier>m</SetIdentifier><MultiValueAnswer>true</MultiValueAnswer>";
    refused(
        &[create(values("t.example.com", "A", 60, &[A]))],
        &[create(alias(
            "x.example.com",
            "A",
            before,
            "ZONE",
            "t.example.com",
            false,
        ))],
        "RRSet with DNS name x.example.com., type A, SetIdentifier m cannot be created as a \
         multivalue answer rrset cannot be an alias.",
    );
}

#[test]
fn an_alias_may_lead_to_another_service_s_name() {
    let (zone, there) = ("Z2BJ6XQ5FK7U4H", "a1.awsglobalaccelerator.com");
    let to =
        |kind: &str, target: &str| create(alias("x.example.com", kind, "", zone, target, true));
    let api = Api::new();
    let own = api.zone("example.com");
    api.batch(&own, &[to("A", there)]).ok();
    let listed = api.get(&format!("hostedzone/{own}/rrset")).ok();
    assert!(listed.all("HostedZoneId").contains(&zone.to_owned()));
    assert!(listed.all("DNSName").contains(&format!("{there}.")));
    let body = "<Name>a2.awsglobalaccelerator.com</Name><CallerReference>r</CallerReference>";
    let (code, _) = api.post("CreateHostedZone", "hostedzone", body).error();
    assert_eq!(code, "ConflictingDomainExists");
    // It has no address of the other family, which an alias may wait for.
    let waiting = alias("y.example.com", "AAAA", "", zone, there, true);
    api.batch(&own, &[create(waiting)]).ok();
    // It is all that there is, and has nothing but addresses.
    for (kind, target) in [("TXT", there), ("AAAA", "a2.awsglobalaccelerator.com")] {
        refused(
            &[],
            &[to(kind, target)],
            &format!(
                "Tried to create an alias that targets {target}., type {kind} in zone {zone}, but \
                 that target was not found"
            ),
        );
    }
}

#[test]
fn no_more_than_32_aliases_follow_each_other() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let name = |number: usize| format!("a{number}.example.com");
    let to = |from: usize, to: usize| create(alias(&name(from), "A", "", &zone, &name(to), true));
    let mut chain = vec![create(values(&name(0), "A", 60, &[A]))];
    chain.extend((0..32).map(|number| to(number + 1, number)));
    api.batch(&zone, &chain).ok();
    let too_deep = |target: usize| {
        format!(
            "Tried to create an alias that targets a{target}.example.com., type A in zone {zone}, \
             but more than 32 aliases would follow each other"
        )
    };
    assert_eq!(api.faults(&zone, &[to(33, 32)]), too_deep(32));
    // At the chain's other end too.
    let lower = [
        create(values(&name(99), "A", 60, &[A])),
        ("DELETE", values(&name(0), "A", 60, &[A])),
        to(0, 99),
    ];
    assert_eq!(api.faults(&zone, &lower), too_deep(99));
    api.batch(&zone, &[to(33, 31)]).ok();
}

#[test]
fn a_health_check_must_be_there() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let set = |name: &str, check: &str| {
        create(values(name, "A", 60, &[A]) + &format!("<HealthCheckId>{check}</HealthCheckId>"))
    };
    let check = api.check("c");
    api.batch(&zone, &[set("good.example.com", &check)]).ok();
    let answer = api.batch(&zone, &[set("x.example.com", "none")]);
    assert_eq!(answer.status, 404);
    let text = "A health check with id none does not exist.".to_owned();
    assert_eq!(
        answer.error(),
        ("NoSuchHealthCheck".to_owned(), text.clone())
    );
    // Among other faults it is one of them.
    let bad = create(values("y.example.com", "A", 60, &["x"]));
    let faults = api.faults(&zone, &[set("x.example.com", "none"), bad]);
    assert!(
        faults.starts_with(&format!("{text}, Invalid Resource Record")),
        "{faults}"
    );
}

#[test]
fn the_form_of_a_record_set_is_held_first_and_all_faults_of_it_named() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let invalid = |changes: &[(&str, String)]| {
        let (code, message) = api.batch(&zone, changes).error();
        assert_eq!(code, "InvalidInput", "{message}");
        message
    };
    let place = |action: &str, kind: &str, id: &str| {
        format!(
            "in Change with [Action={action}, Name=x.example.com, Type={kind}, SetIdentifier={id}]"
        )
    };
    let content = "Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or \
                   TrafficPolicyInstanceId], but found";
    let bare = "<Name>x.example.com</Name><Type>A</Type>".to_owned();
    let ttl_only = format!("{bare}<TTL>60</TTL>");
    let both = alias(
        "x.example.com",
        "A",
        "<TTL>60</TTL>",
        &zone,
        "t.example.com",
        false,
    );
    assert_eq!(
        invalid(&[("DELETE", bare.clone())]),
        format!(
            "Invalid request: {content} none {}",
            place("DELETE", "A", "null")
        )
    );
    assert_eq!(
        invalid(&[("CREATE", ttl_only), ("UPSERT", both)]),
        format!(
            "Invalid request: {content} none {}, and {content} more than one {}",
            place("CREATE", "A", "null"),
            place("UPSERT", "A", "null")
        )
    );
    let policy = "Expected exactly one of [Weight, Region, Failover, GeoLocation, \
                  MultiValueAnswer, GeoProximityLocation, or CidrRoutingConfig], but found";
    let chosen = |policy: &str| chosen("x.example.com", "A", "s", policy, 60, A);
    assert_eq!(
        invalid(&[("CREATE", chosen(""))]),
        format!(
            "Invalid request: {policy} none {}",
            place("CREATE", "A", "s")
        )
    );
    assert_eq!(
        invalid(&[(
            "CREATE",
            chosen(&format!("{WEIGHT}<Region>us-east-1</Region>"))
        )]),
        format!(
            "Invalid request: {policy} more than one {}",
            place("CREATE", "A", "s")
        )
    );
    let nameless = values("x.example.com", "A", 60, &[A]) + WEIGHT;
    assert_eq!(
        invalid(&[("CREATE", nameless)]),
        format!(
            "Invalid request: Missing field 'SetIdentifier' {}",
            place("CREATE", "A", "null")
        )
    );
}

#[test]
fn values_of_the_document_are_held_against_the_model() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let invalid = |action: &str, set: String| {
        let (code, message) = api.batch(&zone, &[(action, set)]).error();
        assert_eq!(code, "InvalidInput", "{message}");
        message
    };
    let simple = values("x.example.com", "A", 60, &[A]);
    assert_eq!(
        invalid("REPLACE", simple.clone()),
        "Invalid XML ; cvc-enumeration-valid: Value 'REPLACE' is not facet-valid with respect to \
         enumeration '[CREATE, DELETE, UPSERT]'. It must be a value from the enumeration. (at \
         ChangeBatch/Changes/Change[1]/Action)"
    );
    assert_eq!(
        invalid("CREATE", simple.replace("60", "2147483648")),
        "1 validation error detected: Value '2147483648' at \
         'changeBatch.changes.1.member.resourceRecordSet.tTL' failed to satisfy constraint: \
         Member must have value less than or equal to 2147483647"
    );
    let target = "<AliasTarget><HostedZoneId>Z1</HostedZoneId><DNSName>t</DNSName></AliasTarget>";
    let message = invalid(
        "CREATE",
        format!("<Name>x.example.com</Name><Type>A</Type>{target}"),
    );
    assert!(
        message.starts_with(
            "Invalid XML ; cvc-complex-type.2.4.b: The content of element 'AliasTarget' is not \
             complete. One of '{\"https://route53.amazonaws.com/doc/2013-04-01/\"\
             :EvaluateTargetHealth}' is expected."
        ),
        "{message}"
    );
    let set = |policy: &str| chosen("x.example.com", "A", "s", policy, 60, A);
    let geolocation = |inner: &str| set(&format!("<GeoLocation>{inner}</GeoLocation>"));
    for wrong in [
        simple.replace("<Type>A<", "<Type>B<"),
        simple.replace(">60<", ">-1<"),
        simple.replace(">60<", ">1.5<"),
        simple.replace("</Name>", "</Name><Unknown/>"),
        set("<Weight>256</Weight>"),
        set("<Weight>-1</Weight>"),
        set("<Region>nowhere</Region>"),
        set("<Failover>THIRD</Failover>"),
        set("<MultiValueAnswer>yes</MultiValueAnswer>"),
        set(WEIGHT).replace(">s<", "><"),
        set(WEIGHT).replace(">s<", &format!(">{}<", "s".repeat(129))),
        geolocation(""),
        geolocation("<ContinentCode>XX</ContinentCode>"),
        geolocation("<ContinentCode>EU</ContinentCode><CountryCode>DE</CountryCode>"),
        geolocation("<CountryCode>usa</CountryCode>"),
        geolocation("<CountryCode>XX</CountryCode>"),
        geolocation("<SubdivisionCode>CA</SubdivisionCode>"),
        geolocation("<CountryCode>DE</CountryCode><SubdivisionCode>BY</SubdivisionCode>"),
        geolocation("<CountryCode>US</CountryCode><SubdivisionCode>XX</SubdivisionCode>"),
        values("x.example.com", "TXT", 60, &[&"x".repeat(4_001)]),
        values(&"x".repeat(1_025), "A", 60, &[A]),
    ] {
        invalid("CREATE", wrong);
    }
}

#[test]
fn what_is_not_built_of_records_says_so() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let cidr = "<CidrRoutingConfig><CollectionId>c</CollectionId><LocationName>l</LocationName>\
                </CidrRoutingConfig>";
    let near = "<GeoProximityLocation><AWSRegion>us-east-1</AWSRegion></GeoProximityLocation>";
    for (set, words) in [
        (
            values("x.example.com", "NAPTR", 60, &["x"]),
            "The record type NAPTR",
        ),
        (
            values("x.example.com", "HTTPS", 60, &["x"]),
            "The record type HTTPS",
        ),
        (
            chosen("x.example.com", "A", "s", cidr, 60, A),
            "IP-based routing",
        ),
        (
            chosen("x.example.com", "A", "s", near, 60, A),
            "Geoproximity routing",
        ),
    ] {
        let (code, message) = api.batch(&zone, &[("CREATE", set)]).error();
        assert_eq!(code, "NotImplemented");
        assert!(message.starts_with(words), "{message}");
        assert!(
            message.contains("is not built yet in Causeway"),
            "{message}"
        );
    }
}
