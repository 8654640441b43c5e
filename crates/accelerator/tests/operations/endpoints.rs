//! Endpoints: what may be one, added, removed, and shown with their health.

use accelerator::model::HealthState;
use serde_json::{Value, json};

use crate::support::{Api, group_of};

struct Fixture {
    api: Api,
    group: String,
}

fn fixture() -> Fixture {
    let api = Api::new();
    let accelerator = api.accelerator("a");
    let listener = api.listener(&accelerator, 80, 80);
    let group = api.group(&listener, "us-east-1");
    Fixture { api, group }
}

impl Fixture {
    fn add(&self, endpoints: Value) -> Value {
        json!({"EndpointGroupArn": self.group, "EndpointConfigurations": endpoints})
    }

    fn remove(&self, endpoints: Value) -> Value {
        json!({"EndpointGroupArn": self.group, "EndpointIdentifiers": endpoints})
    }

    /// Id, weight and preservation of each endpoint.
    fn held(&self) -> Vec<(String, i64, bool)> {
        let group = self.api.described(&self.group);
        let endpoints = group["EndpointDescriptions"].as_array().unwrap().iter();
        let held = endpoints.map(|endpoint| {
            (
                crate::support::text(&endpoint["EndpointId"]),
                endpoint["Weight"].as_i64().unwrap(),
                endpoint["ClientIPPreservationEnabled"].as_bool().unwrap(),
            )
        });
        held.collect()
    }
}

fn endpoint(id: &str, weight: i64, preserves: bool) -> (String, i64, bool) {
    (id.to_owned(), weight, preserves)
}

#[test]
fn endpoints_are_added_with_their_defaults_and_keep_what_was_there() {
    let fixture = fixture();
    let added = fixture.api.ok(
        "AddEndpoints",
        fixture.add(json!([{"EndpointId": "127.1.1.1"}, {"EndpointId": "::1", "Weight": 0}])),
    );
    assert_eq!(added["EndpointGroupArn"], fixture.group);
    let expected = json!([
        {
            "EndpointId": "127.1.1.1", "Weight": 128, "HealthState": "INITIAL",
            "ClientIPPreservationEnabled": false,
        },
        {
            "EndpointId": "::1", "Weight": 0, "HealthState": "INITIAL",
            "ClientIPPreservationEnabled": false,
        },
    ]);
    assert_eq!(added["EndpointDescriptions"], expected);
    // One that is there takes the weight; the same address preserving the client's is another.
    let more = json!([
        {"EndpointId": "127.1.1.1", "Weight": 255},
        {"EndpointId": "127.1.1.1", "Weight": 1, "ClientIPPreservationEnabled": true},
    ]);
    fixture.api.ok("AddEndpoints", fixture.add(more));
    let held = fixture.held();
    let expected = [
        endpoint("127.1.1.1", 255, false),
        endpoint("::1", 0, false),
        endpoint("127.1.1.1", 1, true),
    ];
    assert_eq!(held, expected);
    let before = fixture.api.memory.view_now();
    fixture.api.ok("AddEndpoints", fixture.add(json!([])));
    assert_eq!(fixture.api.memory.view_now(), before);
}

#[test]
fn endpoints_are_removed_by_what_is_said_of_them() {
    let fixture = fixture();
    let three = json!([
        {"EndpointId": "127.1.1.1"},
        {"EndpointId": "127.1.1.1", "ClientIPPreservationEnabled": true},
        {"EndpointId": "127.1.1.2"},
        {"EndpointId": "127.1.1.3"},
    ]);
    fixture.api.ok("AddEndpoints", fixture.add(three));
    let preserving = json!([{"EndpointId": "127.1.1.1", "ClientIPPreservationEnabled": true}]);
    let removed = fixture
        .api
        .ok("RemoveEndpoints", fixture.remove(preserving.clone()));
    assert_eq!(removed, Value::Null);
    assert_eq!(fixture.held().len(), 3);
    let gone = fixture.remove(preserving);
    assert_eq!(
        fixture.api.code("RemoveEndpoints", gone),
        "InvalidArgumentException"
    );
    // All, or none.
    let some = json!([{"EndpointId": "127.1.1.2"}, {"EndpointId": "127.9.9.9"}]);
    let (code, message) = fixture.api.refused("RemoveEndpoints", fixture.remove(some));
    assert_eq!(code, "InvalidArgumentException");
    assert!(message.contains("127.9.9.9"), "{message}");
    let rest = json!([{"EndpointId": "127.1.1.2"}, {"EndpointId": "127.1.1.1"}]);
    fixture.api.ok("RemoveEndpoints", fixture.remove(rest));
    assert_eq!(fixture.held(), [endpoint("127.1.1.3", 128, false)]);
    let none = fixture.remove(json!([]));
    assert_eq!(
        fixture.api.code("RemoveEndpoints", none),
        "InvalidArgumentException"
    );
}

#[test]
fn a_group_has_ten_endpoints_at_most() {
    let fixture = fixture();
    let endpoints = |from: u8, to: u8| -> Value {
        let ids = from..to;
        ids.map(|it| json!({"EndpointId": format!("127.1.1.{it}")}))
            .collect()
    };
    let eleven = fixture.add(endpoints(1, 12));
    assert_eq!(
        fixture.api.code("AddEndpoints", eleven),
        "InvalidArgumentException"
    );
    fixture
        .api
        .ok("AddEndpoints", fixture.add(endpoints(1, 10)));
    let two = fixture.add(endpoints(10, 12));
    assert_eq!(
        fixture.api.code("AddEndpoints", two),
        "LimitExceededException"
    );
    // Two that it has and one more are ten.
    fixture
        .api
        .ok("AddEndpoints", fixture.add(endpoints(8, 11)));
    assert_eq!(fixture.held().len(), 10);
}

#[test]
fn a_load_balancer_of_the_group_s_region_and_account_is_an_endpoint() {
    let fixture = fixture();
    let arn = fixture.api.balancer("app");
    let added = fixture.api.ok(
        "AddEndpoints",
        fixture.add(json!([{"EndpointId": arn, "Weight": 7}])),
    );
    assert_eq!(added["EndpointDescriptions"][0]["HealthState"], "HEALTHY");
    assert_eq!(fixture.held(), [endpoint(&arn, 7, false)]);
    fixture.api.ok(
        "RemoveEndpoints",
        fixture.remove(json!([{"EndpointId": arn}])),
    );
    assert_eq!(fixture.held(), []);

    let preserving = json!([{"EndpointId": arn, "ClientIPPreservationEnabled": true}]);
    let (code, said) = fixture
        .api
        .refused("AddEndpoints", fixture.add(preserving.clone()));
    assert_eq!(code, "NotImplemented", "{said}");
    let network = fixture.api.balancer("net");
    let preserving = json!([{"EndpointId": network, "ClientIPPreservationEnabled": true}]);
    fixture.api.ok("AddEndpoints", fixture.add(preserving));
    assert_eq!(fixture.held(), [endpoint(&network, 128, true)]);
}

#[test]
fn nobody_is_given_anything_by_an_attachment() {
    let fixture = fixture();
    let of = |owner: &str| json!({"ResourceOwnerAwsAccountId": owner});
    let api = &fixture.api;
    let listed = api.ok("ListCrossAccountResources", of("111122223333"));
    assert_eq!(listed, json!({"CrossAccountResources": []}));
    for (body, code) in [
        (json!({}), "InvalidArgumentException"),
        (of("11112222333"), "InvalidArgumentException"),
        (
            json!({
                "ResourceOwnerAwsAccountId": "111122223333",
                "AcceleratorArn": "arn:aws:globalaccelerator::111122223333:accelerator/nowhere",
            }),
            "AcceleratorNotFoundException",
        ),
    ] {
        assert_eq!(api.code("ListCrossAccountResources", body), code);
    }
}

#[test]
fn a_load_balancer_of_another_region_or_account_is_refused() {
    let fixture = fixture();
    let arn = fixture.api.balancer("app");
    let listener = fixture.group.split("/endpoint-group/").next().unwrap();
    let (code, said) = fixture.api.refused(
        "CreateEndpointGroup",
        json!({
            "ListenerArn": listener, "EndpointGroupRegion": "us-west-2",
            "IdempotencyToken": "t", "EndpointConfigurations": [{"EndpointId": arn}],
        }),
    );
    assert_eq!(code, "InvalidArgumentException");
    assert!(
        said.contains("not in the endpoint group's Region, us-west-2"),
        "{said}"
    );
    let other = arn.replace("111122223333", "444455556666");
    let mut known = (**fixture.api.nodes.balancers.lock().unwrap()).clone();
    for of in known.0.values_mut() {
        let mut entry = of.balancers[&arn].clone();
        entry.arn = other.clone();
        of.balancers.insert(other.clone(), entry);
    }
    *fixture.api.nodes.balancers.lock().unwrap() = known.into();
    let (code, said) = fixture
        .api
        .refused("AddEndpoints", fixture.add(json!([{"EndpointId": other}])));
    assert_eq!(code, "InvalidArgumentException");
    assert!(said.contains("does not exist"), "{said}");
    assert_eq!(fixture.held(), []);
}

#[test]
fn an_endpoint_is_an_address_that_may_be_one() {
    let fixture = fixture();
    for (id, code, said) in [
        (
            "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/a/1",
            "InvalidArgumentException",
            "does not exist",
        ),
        (
            "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/gwy/a/1",
            "InvalidArgumentException",
            "not an application or a network load balancer",
        ),
        ("eipalloc-0123456789abcdef0", "NotImplemented", "Elastic IP"),
        ("i-0123456789abcdef0", "NotImplemented", "instance"),
        ("", "InvalidArgumentException", "length"),
        ("localhost", "InvalidArgumentException", "IP address"),
        ("127.1.1.1:80", "InvalidArgumentException", "IP address"),
        ("127.1.1", "InvalidArgumentException", "IP address"),
        ("0.0.0.0", "InvalidArgumentException", "single host"),
        ("::", "InvalidArgumentException", "single host"),
        ("224.0.0.1", "InvalidArgumentException", "single host"),
        ("ff02::1", "InvalidArgumentException", "single host"),
        ("255.255.255.255", "InvalidArgumentException", "single host"),
        (
            "127.80.0.9",
            "InvalidArgumentException",
            "never leave the edge",
        ),
        (
            "::ffff:127.81.0.9",
            "InvalidArgumentException",
            "never leave the edge",
        ),
        (
            "192.0.2.1",
            "InvalidArgumentException",
            "accelerator.targets",
        ),
    ] {
        let body = fixture.add(json!([{"EndpointId": id}]));
        let (found, message) = fixture.api.refused("AddEndpoints", body);
        assert_eq!(found, code, "{id}");
        assert!(message.contains(said), "{id}: {message}");
    }
    for body in [
        json!([{}]),
        json!([{"EndpointId": "127.1.1.1", "Weight": 256}]),
        json!([{"EndpointId": "127.1.1.1", "Weight": -1}]),
        json!([{"EndpointId": "127.1.1.1"}, {"EndpointId": "127.1.1.1", "Weight": 1}]),
        json!([{"EndpointId": "127.1.1.1"}, {"EndpointId": "::ffff:127.1.1.1"}]),
    ] {
        let body = fixture.add(body);
        assert_eq!(
            fixture.api.code("AddEndpoints", body),
            "InvalidArgumentException"
        );
    }
    let attached = json!([{"EndpointId": "127.1.1.1", "AttachmentArn": "arn:aws:x"}]);
    assert_eq!(
        fixture.api.code("AddEndpoints", fixture.add(attached)),
        "NotImplemented"
    );
    // The same rules where a group is made and changed.
    let (listener, _) = fixture.group.split_once("/endpoint-group/").unwrap();
    let outside = json!({"EndpointConfigurations": [{"EndpointId": "192.0.2.1"}]});
    let body = group_of(listener, "eu-west-1", outside);
    assert_eq!(
        fixture.api.code("CreateEndpointGroup", body),
        "InvalidArgumentException"
    );
    let body = fixture.add(json!([{"EndpointId": "192.0.2.1"}]));
    assert_eq!(
        fixture.api.code("UpdateEndpointGroup", body),
        "InvalidArgumentException"
    );
}

#[test]
fn endpoints_are_shown_as_their_checkers_found_them() {
    let fixture = fixture();
    let three = ["127.1.1.1", "127.1.1.2", "127.1.1.3"];
    let endpoints: Value = three.iter().map(|id| json!({"EndpointId": id})).collect();
    fixture.api.ok("AddEndpoints", fixture.add(endpoints));
    let mut found = fixture.api.nodes.found.lock().unwrap();
    found.insert(three[0].parse().unwrap(), (HealthState::Healthy, "Success"));
    found.insert(
        three[1].parse().unwrap(),
        (HealthState::Unhealthy, "Connection refused"),
    );
    drop(found);
    let group = fixture.api.described(&fixture.group);
    let shown: Vec<(&Value, Option<&Value>)> = group["EndpointDescriptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|endpoint| (&endpoint["HealthState"], endpoint.get("HealthReason")))
        .collect();
    let expected = [
        (&json!("HEALTHY"), Some(&json!("Success"))),
        (&json!("UNHEALTHY"), Some(&json!("Connection refused"))),
        (&json!("INITIAL"), None),
    ];
    assert_eq!(shown, expected);
}
