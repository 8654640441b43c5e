//! Accelerators: made, described, changed, listed, deleted.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use accelerator::LogRefusal;
use aws::access::Owner;
use serde_json::{Value, json};
use types::ConfigurationError;

use crate::support::{Api, owner, pools, text};

fn make(token: &str) -> Value {
    json!({"Name": "shop", "IdempotencyToken": token})
}

#[test]
fn an_accelerator_is_described_as_it_was_made() {
    let api = Api::new();
    let made = api.ok(
        "CreateAccelerator",
        json!({
            "Name": "shop.eu-1", "IpAddressType": "IPV4", "IpAddresses": [], "Enabled": false,
            "IdempotencyToken": "t", "Tags": [{"Key": "team", "Value": "blue"}],
        }),
    );
    let made = &made["Accelerator"];
    assert_eq!(made["Name"], "shop.eu-1");
    assert_eq!(made["IpAddressType"], "IPV4");
    assert_eq!(made["Enabled"], false);
    assert_eq!(made["CreatedTime"], made["LastModifiedTime"]);
    assert!(made["CreatedTime"].as_f64().unwrap() >= 1_795_000_000.0);
    let arn = text(&made["AcceleratorArn"]);
    let id = arn.strip_prefix("arn:aws:globalaccelerator::111122223333:accelerator/");
    assert_eq!(id.unwrap().len(), 36, "{arn}");
    let name = text(&made["DnsName"]);
    let label = name.strip_suffix(".awsglobalaccelerator.com").unwrap();
    let digits = label.strip_prefix('a').unwrap();
    assert_eq!(digits.len(), 16);
    assert!(u64::from_str_radix(digits, 16).is_ok(), "{label}");
    assert_eq!(made.get("DualStackDnsName"), None);
    let sets = made["IpSets"].as_array().unwrap();
    assert_eq!(sets.len(), 1);
    assert_eq!(sets[0]["IpFamily"], "IPv4");
    assert_eq!(sets[0]["IpAddressFamily"], "IPv4");
    let addresses = sets[0]["IpAddresses"].as_array().unwrap();
    assert_eq!(addresses.len(), 2);
    assert!(text(&addresses[0]).starts_with("127.80."));
    assert!(text(&addresses[1]).starts_with("127.81."));
    let found = api.ok("DescribeAccelerator", json!({"AcceleratorArn": arn}));
    assert_eq!(&found["Accelerator"], made);
}

#[test]
fn it_is_deployed_when_the_edges_serve_its_revision() {
    let api = Api::new();
    let arn = api.accelerator("a");
    let revision = api.memory.view_now().revision;
    let status = || {
        let found = api.ok("DescribeAccelerator", json!({"AcceleratorArn": arn}));
        text(&found["Accelerator"]["Status"])
    };
    assert_eq!(status(), "IN_PROGRESS");
    api.nodes.served.store(revision, Ordering::Relaxed);
    assert_eq!(status(), "DEPLOYED");
    api.listener(&arn, 80, 80);
    assert_eq!(status(), "IN_PROGRESS", "a change below it is one of it");
    api.nodes.served.store(revision + 1, Ordering::Relaxed);
    assert_eq!(status(), "DEPLOYED");
    api.accelerator("b");
    assert_eq!(status(), "DEPLOYED", "another's change is none of it");
    let renamed = json!({"AcceleratorArn": arn, "Name": "c"});
    let renamed = api.ok("UpdateAccelerator", renamed);
    assert_eq!(renamed["Accelerator"]["Status"], "IN_PROGRESS");
    let revision = api.memory.view_now().revision;
    api.nodes.served.store(revision, Ordering::Relaxed);
    // Nothing is changed, so nothing is under way.
    let same = json!({"AcceleratorArn": arn, "Name": "c", "Enabled": true});
    let same = api.ok("UpdateAccelerator", same);
    assert_eq!(same["Accelerator"]["Status"], "DEPLOYED");
}

#[test]
fn one_token_makes_one_accelerator() {
    let api = Api::new();
    let made = api.ok("CreateAccelerator", make("t"));
    let before = api.memory.view_now();
    assert_eq!(api.ok("CreateAccelerator", make("t")), made);
    assert_eq!(api.memory.view_now(), before);
    let other = json!({"Name": "other", "IdempotencyToken": "t"});
    let (code, message) = api.refused("CreateAccelerator", other);
    assert_eq!(code, "InvalidArgumentException");
    assert!(message.contains("idempotency token"), "{message}");
    // Another account's token is another.
    let other = Owner::new("444455556666".parse().unwrap(), "us-west-2");
    let others = api.call_as(&other, "CreateAccelerator", make("t")).unwrap();
    assert_ne!(
        others["Accelerator"]["AcceleratorArn"],
        made["Accelerator"]["AcceleratorArn"]
    );
    // It is answered as the accelerator is now, and forgotten with it.
    let arn = text(&made["Accelerator"]["AcceleratorArn"]);
    api.ok(
        "UpdateAccelerator",
        json!({"AcceleratorArn": arn, "Enabled": false}),
    );
    let again = api.ok("CreateAccelerator", make("t"));
    assert_eq!(again["Accelerator"]["Enabled"], false);
    assert_eq!(again["Accelerator"]["AcceleratorArn"], arn);
    api.ok("DeleteAccelerator", json!({"AcceleratorArn": arn}));
    let anew = api.ok("CreateAccelerator", make("t"));
    assert_ne!(anew["Accelerator"]["AcceleratorArn"], arn);
}

#[test]
fn names_have_rules() {
    let api = Api::new();
    let longest = "a".repeat(64);
    for name in ["a", "A.b-9", longest.as_str()] {
        api.ok(
            "CreateAccelerator",
            json!({"Name": name, "IdempotencyToken": name}),
        );
    }
    let arn = api.accelerator("x");
    let long = "a".repeat(65);
    for name in ["", "-a", "a-", ".a", "a.", "a b", "a_b", "ä", long.as_str()] {
        let body = json!({"Name": name, "IdempotencyToken": "t"});
        assert_eq!(
            api.code("CreateAccelerator", body),
            "InvalidArgumentException",
            "{name}"
        );
        let body = json!({"Name": name, "AcceleratorArn": arn});
        assert_eq!(
            api.code("UpdateAccelerator", body),
            "InvalidArgumentException",
            "{name}"
        );
    }
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    let api = Api::new();
    let arn = api.accelerator("x");
    for (operation, mut body, part) in [
        (
            "CreateAccelerator",
            json!({"IpAddresses": ["192.0.2.1"]}),
            "BYOIP",
        ),
        (
            "UpdateAccelerator",
            json!({"IpAddresses": ["192.0.2.1"]}),
            "BYOIP",
        ),
    ] {
        body["Name"] = "y".into();
        body["IdempotencyToken"] = "y".into();
        body["AcceleratorArn"] = arn.clone().into();
        let (code, message) = api.refused(operation, body);
        assert_eq!(code, "NotImplemented");
        assert!(message.contains(part), "{message}");
        assert!(
            message.contains("is not built yet in Causeway"),
            "{message}"
        );
    }
    let both = json!({
        "AcceleratorArn": arn, "IpAddressType": "IPV4", "IpAddresses": ["192.0.2.1"],
    });
    assert_eq!(api.code("UpdateAccelerator", both), "ConflictException");
}

#[test]
fn an_account_has_twenty_at_most_whoever_else_has_some() {
    let api = Api::new();
    let other = Owner::new("444455556666".parse().unwrap(), "us-west-2");
    api.call_as(&other, "CreateAccelerator", make("t")).unwrap();
    let mut addresses = BTreeSet::new();
    for number in 0..20 {
        let made = api.ok("CreateAccelerator", make(&number.to_string()));
        for address in made["Accelerator"]["IpSets"][0]["IpAddresses"]
            .as_array()
            .unwrap()
        {
            assert!(addresses.insert(text(address)), "{address} is given twice");
        }
    }
    let (code, message) = api.refused("CreateAccelerator", make("more"));
    assert_eq!(code, "LimitExceededException");
    assert!(message.contains("20"), "{message}");
    // One under a known token is none more.
    api.ok("CreateAccelerator", make("19"));
    api.call_as(&other, "CreateAccelerator", make("u")).unwrap();
}

#[test]
fn pools_that_are_used_up_or_not_there_say_so() {
    let api = Api::with_pools(Ok(pools("127.80.0.0/30", "127.81.0.0/16")));
    let first = api.accelerator("a");
    api.accelerator("b");
    let (code, message) = api.refused("CreateAccelerator", make("t"));
    assert_eq!(code, "LimitExceededException");
    assert!(message.contains("127.80.0.0/30"), "{message}");
    api.ok(
        "UpdateAccelerator",
        json!({"AcceleratorArn": first, "Enabled": false}),
    );
    api.ok("DeleteAccelerator", json!({"AcceleratorArn": first}));
    api.ok("CreateAccelerator", make("t"));
    let api = Api::with_pools(Err("Accelerators need one edge here.".to_owned()));
    let refused = api.refused("CreateAccelerator", make("t"));
    let expected = "Accelerators need one edge here.".to_owned();
    assert_eq!(refused, ("InvalidArgumentException", expected));
}

#[test]
fn an_update_changes_what_it_names_and_keeps_the_addresses() {
    let api = Api::new();
    let arn = api.accelerator("before");
    let describe = || api.ok("DescribeAccelerator", json!({"AcceleratorArn": arn}));
    let before = describe()["Accelerator"].clone();
    let update = json!({"AcceleratorArn": arn, "Name": "after"});
    let after = api.ok("UpdateAccelerator", update)["Accelerator"].clone();
    assert_eq!(after["Name"], "after");
    assert_eq!(after["Enabled"], true);
    assert_eq!(after["IpSets"], before["IpSets"]);
    assert_eq!(after["DnsName"], before["DnsName"]);
    assert_eq!(after["CreatedTime"], before["CreatedTime"]);
    assert!(after["LastModifiedTime"].as_f64() > before["LastModifiedTime"].as_f64());
    let update = json!({"AcceleratorArn": arn, "Enabled": false});
    let after = api.ok("UpdateAccelerator", update)["Accelerator"].clone();
    assert_eq!(
        (&after["Name"], &after["Enabled"]),
        (&json!("after"), &json!(false))
    );
    assert_eq!(describe()["Accelerator"], after);
}

#[test]
fn it_is_deleted_disabled_and_empty_and_gives_its_addresses_back() {
    let api = Api::new();
    let arn = api.accelerator("a");
    let listener = api.listener(&arn, 80, 80);
    let group = api.group(&listener, "us-east-1");
    let this = || json!({"AcceleratorArn": arn});
    assert_eq!(
        api.code("DeleteAccelerator", this()),
        "AcceleratorNotDisabledException"
    );
    api.ok(
        "UpdateAccelerator",
        json!({"AcceleratorArn": arn, "Enabled": false}),
    );
    assert_eq!(
        api.code("DeleteAccelerator", this()),
        "AssociatedListenerFoundException"
    );
    let listener = json!({"ListenerArn": listener});
    let code = api.code("DeleteListener", listener.clone());
    assert_eq!(code, "AssociatedEndpointGroupFoundException");
    api.ok("DeleteEndpointGroup", json!({"EndpointGroupArn": group}));
    api.ok("DeleteListener", listener);
    assert_eq!(api.ok("DeleteAccelerator", this()), Value::Null);
    let entries = api.memory.view_now().entries;
    let left: Vec<&String> = entries.keys().collect();
    assert_eq!(left, ["accelerator/made/111122223333"]);
    assert_eq!(
        api.code("DeleteAccelerator", this()),
        "AcceleratorNotFoundException"
    );
}

#[test]
fn a_listing_is_the_account_s_own_by_pages() {
    let api = Api::new();
    let other = Owner::new("444455556666".parse().unwrap(), "us-west-2");
    api.call_as(&other, "CreateAccelerator", make("t")).unwrap();
    let mut made: Vec<String> = (0..12).map(|it| api.accelerator(&it.to_string())).collect();
    made.sort();
    let list = |body: Value| {
        let page = api.ok("ListAccelerators", body);
        let arns = page["Accelerators"].as_array().unwrap().clone();
        let arns: Vec<String> = arns.iter().map(|it| text(&it["AcceleratorArn"])).collect();
        (arns, page.get("NextToken").cloned())
    };
    let (first, next) = list(json!({}));
    assert_eq!(first, made[..10], "ten, if nothing is said");
    let (second, none) = list(json!({"NextToken": next.unwrap()}));
    assert_eq!((second, none), (made[10..].to_vec(), None));
    let (all, none) = list(json!({"MaxResults": 100}));
    assert_eq!((all.as_slice(), none), (made.as_slice(), None));
    let (exactly, none) = list(json!({"MaxResults": 12}));
    assert_eq!((exactly.len(), none), (12, None));
    // A page's last may be deleted before the next is read.
    let (_, next) = list(json!({"MaxResults": 3}));
    api.ok(
        "UpdateAccelerator",
        json!({"AcceleratorArn": made[2], "Enabled": false}),
    );
    api.ok("DeleteAccelerator", json!({"AcceleratorArn": made[2]}));
    let (rest, _) = list(json!({"NextToken": next.unwrap(), "MaxResults": 100}));
    assert_eq!(rest, made[3..]);
    for (body, code) in [
        (json!({"MaxResults": 0}), "InvalidArgumentException"),
        (json!({"MaxResults": 101}), "InvalidArgumentException"),
        (json!({"NextToken": ""}), "InvalidNextTokenException"),
        (json!({"NextToken": "?"}), "InvalidNextTokenException"),
        (
            json!({"NextToken": "a".repeat(37)}),
            "InvalidNextTokenException",
        ),
    ] {
        assert_eq!(api.code("ListAccelerators", body.clone()), code, "{body}");
    }
}

#[test]
fn attributes_keep_where_flow_logs_go() {
    let api = Api::new();
    let arn = api.accelerator("a");
    let describe = || {
        api.ok(
            "DescribeAcceleratorAttributes",
            json!({"AcceleratorArn": arn}),
        )
    };
    let off = json!({"AcceleratorAttributes": {"FlowLogsEnabled": false}});
    assert_eq!(describe(), off);
    let update = |more: Value| {
        let mut body = json!({"AcceleratorArn": arn, "FlowLogsEnabled": false});
        crate::support::merge(&mut body, more);
        api.ok("UpdateAcceleratorAttributes", body)
    };
    let set = update(json!({"FlowLogsS3Bucket": "b", "FlowLogsS3Prefix": "p/"}));
    let expected = json!({
        "FlowLogsEnabled": false, "FlowLogsS3Bucket": "b", "FlowLogsS3Prefix": "p/",
    });
    assert_eq!(set["AcceleratorAttributes"], expected);
    assert_eq!(describe(), set);
    assert_eq!(update(json!({})), set, "what is left out stays");
    let emptied = update(json!({"FlowLogsS3Bucket": "", "FlowLogsS3Prefix": ""}));
    assert_eq!(emptied, off);
}

#[test]
fn flows_are_logged_where_logs_can_be_delivered() {
    let api = Api::new();
    let arn = api.accelerator("a");
    let directory = "logs/AWSLogs/111122223333/globalaccelerator/us-west-2/";
    let mut buckets = api.buckets.0.lock().unwrap();
    buckets.insert("open".to_owned(), Ok(directory.to_owned()));
    buckets.insert("shut".to_owned(), Err(LogRefusal::Denied));
    buckets.insert("away".to_owned(), Err(LogRefusal::Unreachable));
    drop(buckets);
    let body = |more: Value| {
        let mut body = json!({"AcceleratorArn": arn});
        crate::support::merge(&mut body, more);
        body
    };
    let enabled = |bucket: &str, prefix: &str| {
        body(json!({
            "FlowLogsEnabled": true, "FlowLogsS3Bucket": bucket, "FlowLogsS3Prefix": prefix,
        }))
    };
    let operation = "UpdateAcceleratorAttributes";
    let long = "\u{10000}".repeat(255);
    for (request, code, part) in [
        (
            body(json!({"FlowLogsEnabled": true})),
            "InvalidArgumentException",
            "FlowLogsS3Bucket must be specified",
        ),
        (
            body(json!({"FlowLogsEnabled": true, "FlowLogsS3Bucket": "open"})),
            "InvalidArgumentException",
            "FlowLogsS3Prefix must be specified",
        ),
        (
            enabled("none", "logs"),
            "InvalidArgumentException",
            "none doesn't exist",
        ),
        (
            enabled("open", &"p".repeat(256)),
            "InvalidArgumentException",
            "less than or equal to 255",
        ),
        (
            enabled("shut", "logs"),
            "AccessDeniedException",
            "Access denied for bucket: shut.",
        ),
        (
            enabled("open", "elsewhere"),
            "AccessDeniedException",
            "arn:aws:s3:::open/elsewhere/AWSLogs/111122223333/",
        ),
        (
            enabled("away", "logs"),
            "ThrottlingException",
            "doesn't answer",
        ),
        (
            enabled("open", &long),
            "InvalidArgumentException",
            "longer than 1024 bytes",
        ),
    ] {
        let (refused, message) = api.refused(operation, request);
        assert_eq!(refused, code, "{message}");
        assert!(message.contains(part), "{message}");
    }
    let describe = || api.ok("DescribeAcceleratorAttributes", body(json!({})));
    let off = json!({"AcceleratorAttributes": {"FlowLogsEnabled": false}});
    assert_eq!(describe(), off, "what was refused changed nothing");

    let on = json!({"AcceleratorAttributes": {
        "FlowLogsEnabled": true, "FlowLogsS3Bucket": "open", "FlowLogsS3Prefix": "logs",
    }});
    assert_eq!(api.ok(operation, enabled("open", "logs")), on);
    assert_eq!(describe(), on);
    assert_eq!(api.ok(operation, body(json!({}))), on);
    // While it is enabled, neither can go.
    let emptied = body(json!({"FlowLogsS3Bucket": ""}));
    assert_eq!(api.code(operation, emptied), "InvalidArgumentException");
    // It can be switched off whatever has become of the bucket, and on again by what stayed.
    let mut buckets = api.buckets.0.lock().unwrap();
    buckets.insert("open".to_owned(), Err(LogRefusal::Denied));
    drop(buckets);
    let disabled = api.ok(operation, body(json!({"FlowLogsEnabled": false})));
    assert_eq!(
        disabled["AcceleratorAttributes"]["FlowLogsS3Bucket"],
        "open"
    );
    let again = body(json!({"FlowLogsEnabled": true}));
    assert_eq!(api.code(operation, again), "AccessDeniedException");
    assert_eq!(describe(), disabled);
}

#[test]
fn two_sites_can_t_pass_the_quota_together_nor_take_one_address() {
    let api = Api::with_pools(Ok(pools("127.80.0.0/26", "127.81.0.0/26")));
    for number in 0..19 {
        api.ok("CreateAccelerator", make(&number.to_string()));
    }
    // Another site makes the twentieth between this one's read and its proposal.
    let twin = Api::at_site(1, Ok(pools("127.80.0.0/26", "127.81.0.0/26")));
    twin.memory.set(api.memory.view_now());
    let body = json!({"Name": "twin", "IdempotencyToken": "twin"});
    twin.call_as(&owner(), "CreateAccelerator", body).unwrap();
    let after = twin.memory.view_now();
    let mut meant = Some(after);
    api.memory.interfere(move |view| {
        if let Some(after) = meant.take() {
            *view = after;
        }
    });
    let error = api.call("CreateAccelerator", make("mine")).unwrap_err();
    assert_eq!(error.code, "LimitExceededException");
    // The twin's own request, sent to this site again, is known.
    api.memory.interfere(|_| {});
    let again = json!({"Name": "twin", "IdempotencyToken": "twin"});
    api.ok("CreateAccelerator", again);
}

#[test]
fn what_the_council_says_is_told_as_the_service_would() {
    let api = Api::new();
    let arn = api.accelerator("a");
    for (error, code, status) in [
        (
            ConfigurationError::Conflict,
            "TransactionInProgressException",
            400,
        ),
        (ConfigurationError::NoMajority, "ThrottlingException", 400),
        (ConfigurationError::TimedOut, "ThrottlingException", 400),
        (ConfigurationError::Busy, "ThrottlingException", 400),
        (ConfigurationError::Full, "LimitExceededException", 400),
        (ConfigurationError::TooLarge, "LimitExceededException", 400),
        (
            ConfigurationError::Stopped,
            "ServiceUnavailableException",
            503,
        ),
    ] {
        api.memory.fail(Some(error));
        for (operation, body) in [
            ("CreateAccelerator", make("t")),
            (
                "UpdateAccelerator",
                json!({"AcceleratorArn": arn, "Name": "b"}),
            ),
        ] {
            let told = api.call(operation, body).unwrap_err();
            assert_eq!(
                (told.code, told.status),
                (code, status),
                "{operation} {error}"
            );
        }
        api.ok("DescribeAccelerator", json!({"AcceleratorArn": arn}));
    }
}

#[test]
fn a_row_of_a_newer_program_is_refused_and_left_alone() {
    let api = Api::new();
    let arn = api.accelerator("a");
    let mut view = api.memory.view_now();
    let rows = view.entries.iter_mut();
    for (_, (_, value)) in rows.filter(|(key, _)| key.starts_with("accelerator/accelerator/")) {
        *value = r#"{"format":5}"#.into();
    }
    api.memory.set(view);
    for (operation, body) in [
        ("DescribeAccelerator", json!({"AcceleratorArn": arn})),
        (
            "UpdateAccelerator",
            json!({"AcceleratorArn": arn, "Name": "b"}),
        ),
        ("ListAccelerators", json!({})),
        ("CreateAccelerator", make("t")),
    ] {
        let (code, message) = api.refused(operation, body);
        assert_eq!(code, "InternalServiceErrorException", "{operation}");
        assert!(message.contains("format 5"), "{message}");
    }
}
