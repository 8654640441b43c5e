//! Endpoint groups: made, described, changed, listed; their dials, checks and overrides.

use serde_json::{Value, json};

use crate::support::{Api, group_of, merge, text};

struct Fixture {
    api: Api,
    accelerator: String,
    listener: String,
}

fn fixture() -> Fixture {
    let api = Api::new();
    let accelerator = api.accelerator("a");
    let listener = api.listener(&accelerator, 80, 89);
    Fixture {
        api,
        accelerator,
        listener,
    }
}

fn port_override(from: i64, to: i64) -> Value {
    json!({"ListenerPort": from, "EndpointPort": to})
}

#[test]
fn a_group_has_the_documented_defaults() {
    let Fixture { api, listener, .. } = fixture();
    let made = api.ok(
        "CreateEndpointGroup",
        group_of(&listener, "eu-west-1", json!({})),
    );
    let arn = text(&made["EndpointGroup"]["EndpointGroupArn"]);
    let id = arn
        .strip_prefix(&format!("{listener}/endpoint-group/"))
        .unwrap();
    assert_eq!(id.len(), 12);
    let expected = json!({
        "EndpointGroupArn": arn,
        "EndpointGroupRegion": "eu-west-1",
        "EndpointDescriptions": [],
        "TrafficDialPercentage": 100.0,
        "HealthCheckPort": 80,
        "HealthCheckProtocol": "TCP",
        "HealthCheckIntervalSeconds": 30,
        "ThresholdCount": 3,
        "PortOverrides": [],
    });
    assert_eq!(made["EndpointGroup"], expected);
    assert_eq!(api.described(&arn), expected);
}

#[test]
fn a_group_is_described_as_it_was_made() {
    let Fixture { api, listener, .. } = fixture();
    let given = json!({
        "EndpointConfigurations": [{"EndpointId": "127.1.1.1", "Weight": 7}],
        "TrafficDialPercentage": 33.3,
        "HealthCheckPort": 8080,
        "HealthCheckProtocol": "HTTPS",
        "HealthCheckPath": "/ready?x=1",
        "HealthCheckIntervalSeconds": 10,
        "ThresholdCount": 1,
        "PortOverrides": [port_override(81, 1081), port_override(80, 1080)],
    });
    let made = api.ok(
        "CreateEndpointGroup",
        group_of(&listener, "eu-west-1", given),
    );
    let made = &made["EndpointGroup"];
    let expected = json!({
        "EndpointGroupArn": made["EndpointGroupArn"],
        "EndpointGroupRegion": "eu-west-1",
        "EndpointDescriptions": [{
            "EndpointId": "127.1.1.1", "Weight": 7, "HealthState": "INITIAL",
            "ClientIPPreservationEnabled": false,
        }],
        "TrafficDialPercentage": 33.3,
        "HealthCheckPort": 8080,
        "HealthCheckProtocol": "HTTPS",
        "HealthCheckPath": "/ready?x=1",
        "HealthCheckIntervalSeconds": 10,
        "ThresholdCount": 1,
        "PortOverrides": [port_override(80, 1080), port_override(81, 1081)],
    });
    assert_eq!(*made, expected);
    assert_eq!(api.described(&text(&made["EndpointGroupArn"])), expected);
}

#[test]
fn settings_out_of_range_are_refused() {
    let Fixture { api, listener, .. } = fixture();
    let arn = api.group(&listener, "us-east-1");
    let eleven: Vec<Value> = (0..11).map(|it| port_override(80, 2000 + it)).collect();
    for (at, value) in [
        ("TrafficDialPercentage", json!(-0.1)),
        ("TrafficDialPercentage", json!(100.1)),
        ("HealthCheckPort", json!(0)),
        ("HealthCheckPort", json!(65_536)),
        ("HealthCheckProtocol", json!("UDP")),
        ("HealthCheckPath", json!("ready")),
        ("HealthCheckPath", json!("")),
        ("HealthCheckPath", json!("/a b")),
        ("HealthCheckPath", json!("/\r\nX: y")),
        ("HealthCheckPath", json!(format!("/{}", "a".repeat(255)))),
        ("HealthCheckIntervalSeconds", json!(9)),
        ("HealthCheckIntervalSeconds", json!(20)),
        ("HealthCheckIntervalSeconds", json!(31)),
        ("ThresholdCount", json!(0)),
        ("ThresholdCount", json!(11)),
        ("PortOverrides", json!(eleven)),
        ("PortOverrides", json!([{"ListenerPort": 80}])),
        ("PortOverrides", json!([port_override(80, 0)])),
        ("PortOverrides", json!([port_override(80, 65_536)])),
    ] {
        let mut more = json!({});
        more[at] = value;
        let create = group_of(&listener, "eu-west-1", more.clone());
        assert_eq!(
            api.code("CreateEndpointGroup", create),
            "InvalidArgumentException",
            "{more}"
        );
        let mut update = json!({"EndpointGroupArn": arn});
        merge(&mut update, more.clone());
        assert_eq!(
            api.code("UpdateEndpointGroup", update),
            "InvalidArgumentException",
            "{more}"
        );
    }
    let nowhere = group_of(&listener, "eu-west-9", json!({}));
    assert_eq!(
        api.code("CreateEndpointGroup", nowhere),
        "InvalidArgumentException"
    );
}

#[test]
fn dials_are_kept_to_a_thousandth_of_a_percent() {
    let Fixture { api, listener, .. } = fixture();
    let arn = api.group(&listener, "us-east-1");
    for (given, kept) in [
        (0.0, 0.0),
        (50.0, 50.0),
        (0.1, 0.1),
        (33.3333, 33.333),
        (100.0, 100.0),
    ] {
        let update = json!({"EndpointGroupArn": arn, "TrafficDialPercentage": given});
        let set = api.ok("UpdateEndpointGroup", update);
        assert_eq!(set["EndpointGroup"]["TrafficDialPercentage"], kept);
    }
    let whole = json!({"EndpointGroupArn": arn, "TrafficDialPercentage": 50});
    let set = api.ok("UpdateEndpointGroup", whole);
    assert_eq!(set["EndpointGroup"]["TrafficDialPercentage"], 50.0);
}

#[test]
fn overrides_go_with_all_listeners_and_each_other() {
    let Fixture {
        api,
        accelerator,
        listener,
    } = fixture();
    let other = api.listener(&accelerator, 200, 299);
    let with = |listener: &str, region: &str, overrides: Value| {
        group_of(listener, region, json!({"PortOverrides": overrides}))
    };
    for overrides in [
        // Of a port that the listener hasn't.
        json!([port_override(90, 1090)]),
        // To a port of its own listener, and of the other.
        json!([port_override(80, 81)]),
        json!([port_override(80, 210)]),
        // Two of one port, and two to one.
        json!([port_override(80, 1080), port_override(80, 1081)]),
        json!([port_override(80, 1080), port_override(81, 1080)]),
    ] {
        let body = with(&listener, "us-east-1", overrides.clone());
        assert_eq!(
            api.code("CreateEndpointGroup", body),
            "InvalidArgumentException",
            "{overrides}"
        );
    }
    let first = with(&listener, "us-east-1", json!([port_override(80, 1080)]));
    let first = api.ok("CreateEndpointGroup", first);
    let first = text(&first["EndpointGroup"]["EndpointGroupArn"]);
    // The endpoint port belongs to port 80 in the whole accelerator.
    let stolen = with(&listener, "eu-west-1", json!([port_override(81, 1080)]));
    assert_eq!(
        api.code("CreateEndpointGroup", stolen),
        "InvalidArgumentException"
    );
    let stolen = with(&other, "eu-west-1", json!([port_override(200, 1080)]));
    assert_eq!(
        api.code("CreateEndpointGroup", stolen),
        "InvalidArgumentException"
    );
    let same = with(&listener, "eu-west-1", json!([port_override(80, 1080)]));
    let same = api.ok("CreateEndpointGroup", same);
    let same = text(&same["EndpointGroup"]["EndpointGroupArn"]);
    // While the other group has it, it stays port 80's; then it may be another's.
    let update =
        |arn: &str, overrides: Value| json!({"EndpointGroupArn": arn, "PortOverrides": overrides});
    let moved = update(&first, json!([port_override(81, 1080)]));
    assert_eq!(
        api.code("UpdateEndpointGroup", moved.clone()),
        "InvalidArgumentException"
    );
    api.ok("UpdateEndpointGroup", update(&same, json!([])));
    assert_eq!(api.described(&same)["PortOverrides"], json!([]));
    let moved = api.ok("UpdateEndpointGroup", moved);
    assert_eq!(
        moved["EndpointGroup"]["PortOverrides"],
        json!([port_override(81, 1080)])
    );
}

#[test]
fn an_update_changes_what_it_names() {
    let Fixture { api, listener, .. } = fixture();
    let given = json!({
        "EndpointConfigurations": [{"EndpointId": "127.1.1.1"}, {"EndpointId": "127.1.1.2"}],
        "TrafficDialPercentage": 10.0,
        "HealthCheckPort": 81,
        "HealthCheckProtocol": "HTTP",
        "PortOverrides": [port_override(80, 1080)],
    });
    let made = api.ok(
        "CreateEndpointGroup",
        group_of(&listener, "us-east-1", given),
    );
    let mut expected = made["EndpointGroup"].clone();
    assert_eq!(
        expected["HealthCheckPath"], "/",
        "the default, where one is asked for"
    );
    let arn = text(&expected["EndpointGroupArn"]);
    for (at, value) in [
        ("ThresholdCount", json!(5)),
        ("TrafficDialPercentage", json!(20.0)),
        ("HealthCheckPath", json!("/ready")),
        ("HealthCheckPort", json!(82)),
        ("HealthCheckIntervalSeconds", json!(10)),
        ("HealthCheckProtocol", json!("TCP")),
        ("PortOverrides", json!([port_override(85, 1085)])),
    ] {
        let mut update = json!({"EndpointGroupArn": arn});
        update[at] = value.clone();
        expected[at] = value;
        let answered = api.ok("UpdateEndpointGroup", update);
        assert_eq!(answered["EndpointGroup"], expected, "{at}");
        assert_eq!(api.described(&arn), expected, "{at}");
    }
    let endpoints = json!([{"EndpointId": "127.1.1.3", "Weight": 0}]);
    let update = json!({"EndpointGroupArn": arn, "EndpointConfigurations": endpoints});
    let replaced = api.ok("UpdateEndpointGroup", update);
    let endpoints = replaced["EndpointGroup"]["EndpointDescriptions"]
        .as_array()
        .unwrap();
    assert_eq!(endpoints.len(), 1);
    assert_eq!(endpoints[0]["EndpointId"], "127.1.1.3");
    let none = json!({"EndpointGroupArn": arn, "EndpointConfigurations": []});
    let none = api.ok("UpdateEndpointGroup", none);
    assert_eq!(none["EndpointGroup"]["EndpointDescriptions"], json!([]));
}

#[test]
fn a_check_without_a_port_follows_the_listener_s_first() {
    let Fixture { api, listener, .. } = fixture();
    let arn = api.group(&listener, "us-east-1");
    let ports = json!([{"FromPort": 443, "ToPort": 443}, {"FromPort": 80, "ToPort": 80}]);
    api.ok(
        "UpdateListener",
        json!({"ListenerArn": listener, "PortRanges": ports}),
    );
    assert_eq!(api.described(&arn)["HealthCheckPort"], 443);
}

#[test]
fn a_listener_has_one_group_a_region_and_an_accelerator_forty_two() {
    let Fixture {
        api,
        accelerator,
        listener,
    } = fixture();
    let first = api.ok(
        "CreateEndpointGroup",
        group_of(&listener, "us-east-1", json!({})),
    );
    let same = group_of(&listener, "us-east-1", json!({}));
    assert_eq!(
        api.ok("CreateEndpointGroup", same),
        first,
        "the same request"
    );
    let other = group_of(&listener, "us-east-1", json!({"ThresholdCount": 4}));
    assert_eq!(
        api.code("CreateEndpointGroup", other),
        "InvalidArgumentException"
    );
    let other = group_of(&listener, "us-east-1", json!({"IdempotencyToken": "other"}));
    assert_eq!(
        api.code("CreateEndpointGroup", other),
        "EndpointGroupAlreadyExistsException"
    );
    let regions: Vec<&str> = types::Region::all().map(types::Region::name).collect();
    let mut made = 1;
    let second = api.listener(&accelerator, 1000, 1000);
    for (listener, region) in [&listener, &second]
        .iter()
        .flat_map(|listener| regions.iter().map(move |region| (*listener, *region)))
        .filter(|(on, region)| **on != listener || *region != "us-east-1")
    {
        let body = group_of(listener, region, json!({}));
        if made == 42 {
            assert_eq!(
                api.code("CreateEndpointGroup", body),
                "LimitExceededException"
            );
            break;
        }
        api.ok("CreateEndpointGroup", body);
        made += 1;
    }
    assert_eq!(made, 42);
    let mut listed = Vec::new();
    let mut body = json!({"ListenerArn": listener});
    loop {
        let page = api.ok("ListEndpointGroups", body.clone());
        let groups = page["EndpointGroups"].as_array().unwrap();
        listed.extend(groups.iter().map(|group| text(&group["EndpointGroupArn"])));
        match page.get("NextToken") {
            Some(next) => body["NextToken"] = next.clone(),
            None => break,
        }
    }
    assert_eq!(listed.len(), regions.len());
    assert!(listed.is_sorted());
}

#[test]
fn what_is_not_there_is_not_found() {
    let Fixture {
        api,
        accelerator,
        listener,
    } = fixture();
    let group = api.group(&listener, "us-east-1");
    let stray = group.replace(&listener, &format!("{accelerator}/listener/00000000"));
    let none = format!("{listener}/endpoint-group/000000000000");
    for arn in [&stray, &none] {
        for operation in [
            "DescribeEndpointGroup",
            "UpdateEndpointGroup",
            "DeleteEndpointGroup",
        ] {
            let body = json!({"EndpointGroupArn": arn});
            assert_eq!(
                api.code(operation, body),
                "EndpointGroupNotFoundException",
                "{operation}"
            );
        }
        let endpoints = json!([{"EndpointId": "127.1.1.1"}]);
        let body = json!({"EndpointGroupArn": arn, "EndpointConfigurations": endpoints});
        assert_eq!(
            api.code("AddEndpoints", body),
            "EndpointGroupNotFoundException"
        );
        let body = json!({"EndpointGroupArn": arn, "EndpointIdentifiers": endpoints});
        assert_eq!(
            api.code("RemoveEndpoints", body),
            "EndpointGroupNotFoundException"
        );
    }
    let body = group_of(
        &format!("{accelerator}/listener/00000000"),
        "us-east-1",
        json!({}),
    );
    assert_eq!(
        api.code("CreateEndpointGroup", body),
        "ListenerNotFoundException"
    );
    let gone = "arn:aws:globalaccelerator::111122223333:accelerator/0/listener/0";
    let body = group_of(gone, "us-east-1", json!({}));
    assert_eq!(
        api.code("CreateEndpointGroup", body),
        "AcceleratorNotFoundException"
    );
    api.ok("DeleteEndpointGroup", json!({"EndpointGroupArn": group}));
    let body = json!({"EndpointGroupArn": group});
    assert_eq!(
        api.code("DescribeEndpointGroup", body),
        "EndpointGroupNotFoundException"
    );
}
