//! Listeners: made, described, changed, listed; and what their ports may be.

use serde_json::{Value, json};

use crate::support::{Api, group_of, merge, text};

fn listener_of(accelerator: &str, more: Value) -> Value {
    let mut body = json!({
        "AcceleratorArn": accelerator,
        "PortRanges": [{"FromPort": 80, "ToPort": 80}],
        "Protocol": "TCP",
        "IdempotencyToken": more.to_string(),
    });
    merge(&mut body, more);
    body
}

fn range(from: i64, to: i64) -> Value {
    json!({"FromPort": from, "ToPort": to})
}

#[test]
fn a_listener_is_described_as_it_was_made() {
    let api = Api::new();
    let accelerator = api.accelerator("a");
    let made = api.ok(
        "CreateListener",
        listener_of(
            &accelerator,
            json!({
                "PortRanges": [range(443, 443), range(80, 90)],
                "Protocol": "UDP",
                "ClientAffinity": "SOURCE_IP",
            }),
        ),
    );
    let arn = text(&made["Listener"]["ListenerArn"]);
    let id = arn
        .strip_prefix(&format!("{accelerator}/listener/"))
        .unwrap();
    assert_eq!(id.len(), 8);
    let expected = json!({
        "ListenerArn": arn,
        "PortRanges": [range(443, 443), range(80, 90)],
        "Protocol": "UDP",
        "ClientAffinity": "SOURCE_IP",
    });
    assert_eq!(made["Listener"], expected);
    assert_eq!(
        api.ok("DescribeListener", json!({"ListenerArn": arn})),
        made
    );
    let plain = api.ok("CreateListener", listener_of(&accelerator, json!({})));
    assert_eq!(plain["Listener"]["ClientAffinity"], "NONE");
}

#[test]
fn ports_are_numbers_in_order_that_no_other_listener_has() {
    let api = Api::new();
    let accelerator = api.accelerator("a");
    api.listener(&accelerator, 100, 200);
    let eleven: Vec<Value> = (0..11).map(|it| range(1000 + it, 1000 + it)).collect();
    for (ranges, code) in [
        (json!([]), "InvalidArgumentException"),
        (json!(eleven), "InvalidArgumentException"),
        (json!([{"FromPort": 1}]), "InvalidArgumentException"),
        (json!([range(0, 1)]), "InvalidPortRangeException"),
        (json!([range(1, 65_536)]), "InvalidPortRangeException"),
        (json!([range(-1, 1)]), "InvalidPortRangeException"),
        (json!([range(2, 1)]), "InvalidPortRangeException"),
        (
            json!([range(1, 5), range(5, 6)]),
            "InvalidPortRangeException",
        ),
        (json!([range(90, 100)]), "InvalidPortRangeException"),
        (json!([range(200, 300)]), "InvalidPortRangeException"),
        (json!([range(1, 65_535)]), "InvalidPortRangeException"),
    ] {
        let body = listener_of(&accelerator, json!({"PortRanges": ranges}));
        assert_eq!(api.code("CreateListener", body), code, "{ranges}");
    }
    // The same ports of the other protocol, or of another accelerator, are other ports.
    let udp = json!({"PortRanges": [range(100, 200)], "Protocol": "UDP"});
    api.ok("CreateListener", listener_of(&accelerator, udp));
    let other = api.accelerator("b");
    api.listener(&other, 100, 200);
    let ten = json!({"PortRanges": eleven[..10], "IdempotencyToken": "ten"});
    api.ok("CreateListener", listener_of(&accelerator, ten));
}

#[test]
fn an_accelerator_has_ten_listeners_and_each_token_makes_one() {
    let api = Api::new();
    let accelerator = api.accelerator("a");
    let body = |port: i64, token: &str| {
        let ports = json!({"PortRanges": [range(port, port)], "IdempotencyToken": token});
        listener_of(&accelerator, ports)
    };
    let first = api.ok("CreateListener", body(1, "1"));
    for port in 2..=10 {
        api.ok("CreateListener", body(port, &port.to_string()));
    }
    assert_eq!(
        api.code("CreateListener", body(11, "11")),
        "LimitExceededException"
    );
    assert_eq!(api.ok("CreateListener", body(1, "1")), first);
    assert_eq!(
        api.code("CreateListener", body(2, "1")),
        "InvalidArgumentException"
    );
    let page = api.ok(
        "ListListeners",
        json!({"AcceleratorArn": accelerator, "MaxResults": 7}),
    );
    let more = json!({"AcceleratorArn": accelerator, "NextToken": page["NextToken"]});
    let more = api.ok("ListListeners", more);
    let count = |page: &Value| page["Listeners"].as_array().unwrap().len();
    assert_eq!((count(&page), count(&more)), (7, 3));
    assert_eq!(more.get("NextToken"), None);
}

#[test]
fn an_update_changes_what_it_names() {
    let api = Api::new();
    let accelerator = api.accelerator("a");
    let arn = api.listener(&accelerator, 80, 80);
    api.listener(&accelerator, 443, 443);
    let update = |more: Value| {
        let mut body = json!({"ListenerArn": arn});
        merge(&mut body, more);
        body
    };
    let affinity = api.ok(
        "UpdateListener",
        update(json!({"ClientAffinity": "SOURCE_IP"})),
    );
    let expected = json!({
        "ListenerArn": arn,
        "PortRanges": [range(80, 80)],
        "Protocol": "TCP",
        "ClientAffinity": "SOURCE_IP",
    });
    assert_eq!(affinity["Listener"], expected);
    // Its own ports are not in its way.
    let ports = api.ok(
        "UpdateListener",
        update(json!({"PortRanges": [range(80, 90)]})),
    );
    assert_eq!(ports["Listener"]["PortRanges"], json!([range(80, 90)]));
    let taken = update(json!({"PortRanges": [range(400, 500)]}));
    assert_eq!(
        api.code("UpdateListener", taken),
        "InvalidPortRangeException"
    );
    api.ok(
        "UpdateListener",
        update(json!({"PortRanges": [range(443, 443)], "Protocol": "UDP"})),
    );
    let clash = update(json!({"Protocol": "TCP"}));
    assert_eq!(
        api.code("UpdateListener", clash),
        "InvalidPortRangeException"
    );
    let nothing = update(json!({"Protocol": "SCTP"}));
    assert_eq!(
        api.code("UpdateListener", nothing),
        "InvalidArgumentException"
    );
    let before = api.memory.view_now();
    api.ok("UpdateListener", update(json!({})));
    assert_eq!(api.memory.view_now(), before, "nothing is asked for");
}

#[test]
fn listeners_and_overrides_don_t_contradict_each_other() {
    let api = Api::new();
    let accelerator = api.accelerator("a");
    let arn = api.listener(&accelerator, 80, 90);
    let overrides = json!([{"ListenerPort": 80, "EndpointPort": 1080}]);
    let group = group_of(&arn, "us-east-1", json!({"PortOverrides": overrides}));
    api.ok("CreateEndpointGroup", group);
    for (ports, code) in [
        (range(81, 90), Err("InvalidPortRangeException")),
        (range(80, 1080), Err("InvalidPortRangeException")),
        (range(80, 1079), Ok(())),
    ] {
        let body = json!({"ListenerArn": arn, "PortRanges": [ports]});
        let changed = api.call("UpdateListener", body).map(|_| ());
        assert_eq!(changed.map_err(|error| error.code), code, "{ports}");
    }
    let taken = listener_of(&accelerator, json!({"PortRanges": [range(1080, 1080)]}));
    assert_eq!(
        api.code("CreateListener", taken),
        "InvalidPortRangeException"
    );
}

#[test]
fn what_is_not_there_is_not_found() {
    let api = Api::new();
    let accelerator = api.accelerator("a");
    let listener = api.listener(&accelerator, 80, 80);
    let gone = accelerator.replace('-', "");
    let none = format!("{accelerator}/listener/00000000");
    for (operation, body, code) in [
        (
            "CreateListener",
            listener_of(&gone, json!({})),
            "AcceleratorNotFoundException",
        ),
        (
            "ListListeners",
            json!({"AcceleratorArn": gone}),
            "AcceleratorNotFoundException",
        ),
        (
            "DescribeListener",
            json!({"ListenerArn": none}),
            "ListenerNotFoundException",
        ),
        (
            "UpdateListener",
            json!({"ListenerArn": none}),
            "ListenerNotFoundException",
        ),
        (
            "DeleteListener",
            json!({"ListenerArn": none}),
            "ListenerNotFoundException",
        ),
        (
            "ListEndpointGroups",
            json!({"ListenerArn": none}),
            "ListenerNotFoundException",
        ),
        (
            "DescribeListener",
            json!({"ListenerArn": format!("{gone}/listener/00000000")}),
            "ListenerNotFoundException",
        ),
        (
            "DescribeListener",
            json!({"ListenerArn": accelerator}),
            "InvalidArgumentException",
        ),
        (
            "DescribeAccelerator",
            json!({"AcceleratorArn": listener}),
            "InvalidArgumentException",
        ),
        ("DescribeListener", json!({}), "InvalidArgumentException"),
    ] {
        assert_eq!(
            api.code(operation, body.clone()),
            code,
            "{operation} {body}"
        );
    }
}
