//! Zones: created, read, listed, commented, deleted; and the changes that they make.

use std::sync::atomic::Ordering;

use types::ConfigurationError;

use crate::support::{Api, values};

#[test]
fn a_zone_is_created_with_its_servers_and_two_records() {
    let api = Api::new();
    let inner = "<Name>Example.com</Name><CallerReference>ref</CallerReference>\
         <HostedZoneConfig><Comment>mine &amp; yours</Comment><PrivateZone>false</PrivateZone>\
         </HostedZoneConfig>";
    let created = api.post("CreateHostedZone", "hostedzone", inner).ok();
    assert_eq!(created.status, 201);
    let id = created.one("Id");
    let bare = id.strip_prefix("/hostedzone/").unwrap();
    assert!(bare.len() == 21 && bare.starts_with('Z'), "{id}");
    let location = format!("https://route53.amazonaws.com/2013-04-01/hostedzone/{bare}");
    assert_eq!(created.location.as_deref(), Some(location.as_str()));
    assert_eq!(created.one("Name"), "example.com.");
    assert_eq!(created.one("Comment"), "mine & yours");
    assert_eq!(created.one("PrivateZone"), "false");
    assert_eq!(created.one("Status"), "PENDING");
    assert_eq!(
        created.one("SubmittedAt").len(),
        "2026-11-28T10:42:38.123Z".len()
    );
    let servers = created.all("NameServer");
    assert_eq!(servers.len(), 4);
    for (server, domain) in ["com", "net", "org", "co.uk"].iter().enumerate() {
        let named: Vec<&String> = servers
            .iter()
            .filter(|name| name.ends_with(&format!(".{domain}")))
            .collect();
        let [name] = named.as_slice() else {
            panic!("one of {domain} in {servers:?}");
        };
        let number: usize = name["ns-".len()..name.find('.').unwrap()].parse().unwrap();
        assert_eq!(number / 512, server, "{name}");
        assert!(
            name.contains(&format!(".awsdns-{:02}.", number % 512 / 8)),
            "{name}"
        );
    }
    let listed = api.get(&format!("hostedzone/{bare}/rrset")).ok();
    assert_eq!(listed.all("Type"), ["NS", "SOA"]);
    assert_eq!(listed.all("TTL"), ["172800", "900"]);
    let soa = format!(
        "{}. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400",
        servers[0]
    );
    assert_eq!(listed.all("Value").last(), Some(&soa));
    let got = api.get(&format!("hostedzone/{bare}")).ok();
    assert_eq!(got.one("ResourceRecordSetCount"), "2");
    assert_eq!(got.all("NameServer"), servers);
    assert_eq!(
        api.get(&format!("hostedzone//hostedzone/{bare}")).status,
        404
    );
    assert_eq!(
        api.get(&format!("hostedzone/%2Fhostedzone%2F{bare}"))
            .ok()
            .one("Id"),
        id
    );
}

#[test]
fn zones_of_kindred_names_share_no_server() {
    let api = Api::new();
    let mut servers = Vec::new();
    for name in [
        "example.com",
        "example.com",
        "a.example.com",
        "b.a.example.com",
    ] {
        let id = api.zone(name);
        servers.extend(api.get(&format!("hostedzone/{id}")).all("NameServer"));
    }
    let count = servers.len();
    servers.sort_unstable();
    servers.dedup();
    assert_eq!((servers.len(), count), (16, 16));
}

#[test]
fn names_and_settings_that_no_zone_can_have_are_refused() {
    let api = Api::new();
    let create = |inner: &str| api.post("CreateHostedZone", "hostedzone", inner).error();
    let reference = "<CallerReference>r</CallerReference>";
    for name in [
        "com",
        ".",
        "a..com",
        "*.example.com",
        "a b.com",
        &"a".repeat(64),
        "",
    ] {
        let (code, message) = create(&format!("<Name>{name}</Name>{reference}"));
        assert_eq!(code, "InvalidDomainName", "{name}: {message}");
    }
    for inner in [
        format!("<Name>{}.com</Name>{reference}", "a.".repeat(600)),
        "<Name>a.com</Name>".to_owned(),
        "<Name>a.com</Name><CallerReference></CallerReference>".to_owned(),
        format!(
            "<Name>a.com</Name><CallerReference>{}</CallerReference>",
            "x".repeat(129)
        ),
        format!("<Name>a.com</Name>{reference}<Unknown/>"),
        format!("<Name>a.com</Name>{reference}<Name>a.com</Name>"),
    ] {
        assert_eq!(create(&inner).0, "InvalidInput", "{inner}");
    }
    let vpc = "<VPC><VPCRegion>us-east-1</VPCRegion><VPCId>vpc-1</VPCId></VPC>";
    let (code, message) = create(&format!("<Name>a.com</Name>{vpc}{reference}"));
    assert_eq!(code, "NotImplemented");
    assert!(
        message.starts_with("A private hosted zone (VPC) is not built yet"),
        "{message}"
    );
    let set = "<DelegationSetId>N1</DelegationSetId>";
    assert_eq!(
        create(&format!("<Name>a.com</Name>{reference}{set}")).0,
        "NoSuchDelegationSet"
    );
    assert_eq!(api.get("hostedzonecount").ok().one("HostedZoneCount"), "0");
}

#[test]
fn a_caller_reference_makes_one_zone() {
    let api = Api::new();
    let inner = "<Name>a.com</Name><CallerReference>same</CallerReference>";
    let id = api
        .post("CreateHostedZone", "hostedzone", inner)
        .ok()
        .one("Id");
    let again = api.post("CreateHostedZone", "hostedzone", inner);
    assert_eq!(
        (again.status, again.error().0.as_str()),
        (409, "HostedZoneAlreadyExists")
    );
    let bare = id.trim_start_matches("/hostedzone/");
    api.delete(&format!("hostedzone/{bare}")).ok();
    api.post("CreateHostedZone", "hostedzone", inner).ok();
}

#[test]
fn zones_are_listed_by_id_and_by_name_in_pages() {
    let api = Api::new();
    for name in ["b.com", "a.com", "x.a.com", "a.org", "a.com"] {
        api.zone(name);
    }
    let (mut ids, mut marker) = (Vec::new(), String::new());
    loop {
        let page = api
            .get(&format!("hostedzone?maxitems=2&marker={marker}"))
            .ok();
        assert_eq!(page.one("MaxItems"), "2");
        ids.extend(page.all("Id"));
        if page.one("IsTruncated") == "false" {
            break;
        }
        marker = page.one("NextMarker");
    }
    assert_eq!(ids.len(), 5);
    assert!(ids.is_sorted());
    let (mut names, mut query) = (Vec::new(), String::new());
    loop {
        let page = api
            .get(&format!("hostedzonesbyname?maxitems=2{query}"))
            .ok();
        names.extend(page.all("Name"));
        if page.one("IsTruncated") == "false" {
            break;
        }
        let (name, id) = (page.one("NextDNSName"), page.one("NextHostedZoneId"));
        query = format!("&dnsname={name}&hostedzoneid={id}");
    }
    assert_eq!(names, ["a.com.", "a.com.", "x.a.com.", "b.com.", "a.org."]);
    let from = api.get("hostedzonesbyname?dnsname=b.com").ok();
    assert_eq!(from.all("Name"), ["b.com.", "a.org."]);
    assert_eq!(from.one("DNSName"), "b.com");
    assert_eq!(api.get("hostedzonecount").ok().one("HostedZoneCount"), "5");
    assert!(
        api.get("hostedzone?hostedzonetype=PrivateHostedZone")
            .ok()
            .all("Id")
            .is_empty()
    );
    for (path, code) in [
        ("hostedzone?maxitems=0", "InvalidInput"),
        ("hostedzone?maxitems=x", "InvalidInput"),
        ("hostedzone?hostedzonetype=x", "InvalidInput"),
        ("hostedzone?delegationsetid=N1", "NoSuchDelegationSet"),
        ("hostedzonesbyname?dnsname=a..b", "InvalidDomainName"),
        ("hostedzonesbyname?hostedzoneid=Z1", "InvalidInput"),
    ] {
        assert_eq!(api.get(path).error().0, code, "{path}");
    }
}

#[test]
fn a_comment_is_changed_and_removed() {
    let api = Api::new();
    let id = api.zone("a.com");
    let path = format!("hostedzone/{id}");
    let comment = |inner: &str| api.post("UpdateHostedZoneComment", &path, inner).ok();
    assert_eq!(comment("<Comment>new</Comment>").one("Comment"), "new");
    assert_eq!(api.get(&path).ok().one("Comment"), "new");
    assert!(comment("").all("Comment").is_empty());
}

#[test]
fn only_an_empty_zone_is_deleted_and_with_all_that_is_its() {
    let api = Api::new();
    let empty = api.memory.view_now().entries;
    let id = api.zone("a.com");
    let path = format!("hostedzone/{id}");
    let tag = "<AddTags><Tag><Key>k</Key><Value>v</Value></Tag></AddTags>";
    api.post("ChangeTagsForResource", &format!("tags/{path}"), tag)
        .ok();
    let record = values("sub.a.com", "NS", 60, &["ns.b.com"]);
    api.batch(&id, &[("CREATE", record.clone())]).ok();
    let refused = api.delete(&path);
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.error(),
        (
            "HostedZoneNotEmpty".to_owned(),
            "The specified hosted zone contains non-required resource record sets and so cannot \
             be deleted."
                .to_owned()
        )
    );
    api.batch(&id, &[("DELETE", record)]).ok();
    let deleted = api.delete(&path).ok();
    assert_eq!(deleted.one("Status"), "PENDING");
    let gone = api.get(&path);
    assert_eq!(
        (gone.status, gone.error().0.as_str()),
        (404, "NoSuchHostedZone")
    );
    assert_eq!(
        gone.error().1,
        format!("No hosted zone found with ID: {id}")
    );
    let left = api.memory.view_now().entries;
    let left: Vec<&String> = left
        .keys()
        .filter(|key| !empty.contains_key(*key))
        .collect();
    assert!(
        left.iter()
            .all(|key| key.starts_with("routing/change/") || *key == routing::keys::ZONES_MADE),
        "{left:?}"
    );
}

#[test]
fn a_change_is_in_sync_when_every_node_serves_it() {
    let api = Api::new();
    let id = api.zone("a.com");
    let record = values("x.a.com", "A", 60, &["192.0.2.1"]);
    let changed = api.batch(&id, &[("CREATE", record)]).ok();
    let change = changed.one("Id");
    let bare = change.strip_prefix("/change/").unwrap();
    let revision = api.memory.view_now().revision;
    for (served, status) in [
        (revision - 1, "PENDING"),
        (revision, "INSYNC"),
        (revision + 1, "INSYNC"),
    ] {
        api.nodes.served.store(served, Ordering::Relaxed);
        let got = api.get(&format!("change/{bare}")).ok();
        assert_eq!(
            (got.one("Status").as_str(), got.one("Id")),
            (status, change.clone())
        );
        assert_eq!(got.one("SubmittedAt"), changed.one("SubmittedAt"));
    }
    for id in ["C0", "%2Fchange%2FC0", "..", &"C".repeat(600)] {
        assert_eq!(
            api.get(&format!("change/{id}")).error().0,
            "NoSuchChange",
            "{id}"
        );
    }
}

#[test]
fn the_newest_thousand_changes_are_known() {
    let api = Api::new();
    let id = api.zone("a.com");
    let mut changes = Vec::new();
    for number in 0..1_005 {
        let record = values("x.a.com", "A", number, &["192.0.2.1"]);
        changes.push(api.batch(&id, &[("UPSERT", record)]).ok().one("Id"));
    }
    let entries = api.memory.view_now().entries;
    let kept = entries
        .keys()
        .filter(|key| key.starts_with("routing/change/"));
    assert_eq!(kept.count(), 1_000);
    let status = |change: &str| api.get(change.trim_start_matches('/')).status;
    assert_eq!(status(&changes[4]), 404);
    assert_eq!(status(&changes[5]), 200);
    assert_eq!(status(&changes[1_004]), 200);
}

#[test]
fn others_changes_are_outbid_and_too_many_are_named() {
    let api = Api::new();
    let id = api.zone("a.com");
    let key = format!("routing/zone/{id}");
    let touch = move |times: usize| {
        let (key, mut left) = (key.clone(), times);
        move |view: &mut crate::support::View| {
            if left > 0 {
                left -= 1;
                view.revision += 1;
                let revision = view.revision;
                view.entries.get_mut(&key).unwrap().0 = revision;
            }
        }
    };
    let record = |ttl| values("x.a.com", "A", ttl, &["192.0.2.1"]);
    api.memory.interfere(touch(7));
    api.batch(&id, &[("CREATE", record(1))]).ok();
    api.memory.interfere(touch(8));
    let before = api.get(&format!("hostedzone/{id}/rrset")).text;
    let (code, message) = api.batch(&id, &[("UPSERT", record(2))]).error();
    assert_eq!(code, "PriorRequestNotComplete");
    assert_eq!(
        message,
        "The request was rejected because Route 53 was still processing a prior request."
    );
    assert_eq!(api.get(&format!("hostedzone/{id}/rrset")).text, before);
}

#[test]
fn a_change_that_came_first_is_judged_again() {
    let api = Api::new();
    let id = api.zone("a.com");
    let record = values("x.a.com", "A", 60, &["192.0.2.1"]);
    api.batch(&id, &[("CREATE", record.clone())]).ok();
    let other = api.memory.view_now();
    api.batch(&id, &[("DELETE", record.clone())]).ok();
    // Another site creates the record between this one's read and its proposal.
    let mut once = Some(other);
    api.memory.interfere(move |view| {
        if let Some(mut other) = once.take() {
            other.revision = view.revision + 1;
            for (key, (revision, _)) in &mut other.entries {
                if key.starts_with("routing/zone/") {
                    *revision = other.revision;
                }
            }
            *view = other;
        }
    });
    let (code, message) = api.batch(&id, &[("CREATE", record)]).error();
    assert_eq!(code, "InvalidChangeBatch");
    assert!(message.contains("but it already exists"), "{message}");
}

#[test]
fn without_a_majority_reads_go_on_and_changes_are_throttled() {
    let api = Api::new();
    let id = api.zone("a.com");
    for (failure, status, code) in [
        (ConfigurationError::NoMajority, 400, "Throttling"),
        (ConfigurationError::TimedOut, 400, "Throttling"),
        (ConfigurationError::Busy, 400, "Throttling"),
        (ConfigurationError::Full, 400, "LimitsExceeded"),
        (ConfigurationError::TooLarge, 400, "InvalidInput"),
        (ConfigurationError::Stopped, 503, "ServiceUnavailable"),
    ] {
        api.memory.fail(Some(failure));
        let record = values("x.a.com", "A", 60, &["192.0.2.1"]);
        let answer = api.batch(&id, &[("CREATE", record)]);
        assert_eq!((answer.status, answer.error().0.as_str()), (status, code));
        api.get(&format!("hostedzone/{id}")).ok();
    }
    api.memory.fail(Some(ConfigurationError::NoMajority));
    let inner = "<Name>b.com</Name><CallerReference>b</CallerReference>";
    let answer = api.post("CreateHostedZone", "hostedzone", inner);
    let words = "Rate exceeded: no majority of the sites is heard";
    assert_eq!(answer.error(), ("Throttling".to_owned(), words.to_owned()));
}

#[test]
fn limits_and_signing_are_answered() {
    let api = Api::new();
    let id = api.zone("a.com");
    let limit = api
        .get(&format!("hostedzonelimit/{id}/MAX_RRSETS_BY_ZONE"))
        .ok();
    assert_eq!(
        (limit.one("Value"), limit.one("Count")),
        ("10000".to_owned(), "2".to_owned())
    );
    let limit = api.get("accountlimit/MAX_HOSTED_ZONES_BY_OWNER").ok();
    assert_eq!(
        (limit.one("Value"), limit.one("Count")),
        ("500".to_owned(), "1".to_owned())
    );
    assert_eq!(
        api.get("accountlimit/MAX_TRAFFIC_POLICIES_BY_OWNER")
            .ok()
            .one("Count"),
        "0"
    );
    assert_eq!(api.get("accountlimit/other").error().0, "InvalidInput");
    let signing = api.get(&format!("hostedzone/{id}/dnssec")).ok();
    assert_eq!(signing.one("ServeSignature"), "NOT_SIGNING");
}

#[test]
fn there_are_no_more_zones_than_an_account_may_have() {
    let api = Api::new();
    for number in 0..500 {
        api.zone(&format!("z{number}.example"));
    }
    let inner = "<Name>more.example</Name><CallerReference>more</CallerReference>";
    let answer = api.post("CreateHostedZone", "hostedzone", inner);
    assert_eq!(answer.error().0, "TooManyHostedZones");
}
