//! Health checks: created once for a caller reference, held against the rules, updated, deleted.

use std::net::IpAddr;

use routing::{Observation, health_checks};
use types::{Probe, Span, Timestamp, Tls};

use crate::support::{Answer, Api};

fn create(api: &Api, reference: &str, config: &str) -> Answer {
    let inner = format!(
        "<CallerReference>{reference}</CallerReference><HealthCheckConfig>{config}\
         </HealthCheckConfig>"
    );
    api.post("CreateHealthCheck", "healthcheck", &inner)
}

const HTTP: &str = "<IPAddress>127.1.1.1</IPAddress><Type>HTTP</Type>";

#[test]
fn a_health_check_is_created_with_its_defaults_and_read() {
    let api = Api::new();
    let created = create(&api, "r", HTTP).ok();
    assert_eq!(created.status, 201);
    let id = created.one("Id");
    assert_eq!(id.len(), 36);
    let location = format!("https://route53.amazonaws.com/2013-04-01/healthcheck/{id}");
    assert_eq!(created.location, Some(location));
    for (element, value) in [
        ("IPAddress", "127.1.1.1"),
        ("Port", "80"),
        ("Type", "HTTP"),
        ("RequestInterval", "30"),
        ("FailureThreshold", "3"),
        ("MeasureLatency", "false"),
        ("Inverted", "false"),
        ("Disabled", "false"),
        ("EnableSNI", "false"),
        ("HealthCheckVersion", "1"),
        ("CallerReference", "r"),
    ] {
        assert_eq!(created.one(element), value, "{element}");
    }
    let got = api.get(&format!("healthcheck/{id}")).ok();
    assert_eq!(got.one("HealthCheck"), created.one("HealthCheck"));
    assert_eq!(
        api.get("healthcheckcount").ok().one("HealthCheckCount"),
        "1"
    );
}

#[test]
fn checkers_get_what_was_configured() {
    let api = Api::new();
    let config = "<Port>8443</Port><Type>HTTPS_STR_MATCH</Type><ResourcePath>/h</ResourcePath>\
         <FullyQualifiedDomainName>app.example.com</FullyQualifiedDomainName>\
         <SearchString>ok</SearchString><RequestInterval>10</RequestInterval>\
         <FailureThreshold>1</FailureThreshold><Inverted>true</Inverted>";
    let id = create(&api, "r", config).ok().one("Id");
    create(
        &api,
        "s",
        "<IPAddress>::1</IPAddress><Port>22</Port><Type>TCP</Type>",
    )
    .ok();
    let checks = health_checks(&api.memory.view_now());
    assert_eq!(checks.len(), 2);
    let check = checks.iter().find(|check| check.id.0 == id).unwrap();
    let Probe::Http(probe) = &check.probe else {
        panic!("{check:?}");
    };
    assert_eq!(probe.tls, Some(Tls { server_name: true }));
    assert_eq!(
        (probe.path.as_str(), probe.search.as_deref()),
        ("/h", Some("ok"))
    );
    assert_eq!(
        (check.address, check.name.as_deref()),
        (None, Some("app.example.com"))
    );
    assert_eq!(
        (check.port, check.interval, check.threshold),
        (8443, Span::seconds(10), 1)
    );
    assert!(check.inverted && !check.disabled);
    let tcp = checks.iter().find(|check| check.id.0 != id).unwrap();
    assert_eq!((&tcp.probe, tcp.port), (&Probe::Tcp, 22));
}

#[test]
fn configurations_that_break_a_rule_are_refused() {
    let api = Api::new();
    let name = "<FullyQualifiedDomainName>a.com</FullyQualifiedDomainName>";
    let with = |config: &str| create(&api, "r", config).error();
    for config in [
        "<Type>HTTP</Type>",
        "<Type>OTHER</Type>",
        "<IPAddress>127.0.0.1</IPAddress>",
        "<IPAddress>127.0.0.1</IPAddress><Type>TCP</Type>",
        "<IPAddress>127.0.0</IPAddress><Type>HTTP</Type>",
        "<IPAddress>127.0.0.1</IPAddress><Port>0</Port><Type>HTTP</Type>",
        "<IPAddress>127.0.0.1</IPAddress><Port>65536</Port><Type>HTTP</Type>",
        "<FullyQualifiedDomainName>a b</FullyQualifiedDomainName><Type>HTTP</Type>",
        "<FullyQualifiedDomainName>a..b</FullyQualifiedDomainName><Type>HTTP</Type>",
        "<FullyQualifiedDomainName>127.0.0.1</FullyQualifiedDomainName><Type>HTTP</Type>",
        &format!("{name}<Type>HTTP_STR_MATCH</Type>"),
        &format!("{name}<Type>HTTP</Type><SearchString>x</SearchString>"),
        &format!(
            "{name}<Type>HTTP_STR_MATCH</Type><SearchString>{}</SearchString>",
            "x".repeat(256)
        ),
        &format!("{name}<Type>TCP</Type><Port>1</Port><ResourcePath>/</ResourcePath>"),
        &format!("{name}<Type>HTTP</Type><ResourcePath>/a b</ResourcePath>"),
        &format!("{name}<Type>HTTP</Type><RequestInterval>20</RequestInterval>"),
        &format!("{name}<Type>HTTP</Type><RequestInterval>5</RequestInterval>"),
        &format!("{name}<Type>HTTP</Type><FailureThreshold>11</FailureThreshold>"),
        &format!("{name}<Type>HTTP</Type><HealthThreshold>1</HealthThreshold>"),
        &format!("{name}<Type>HTTP</Type><Regions><Region>us-east-1</Region></Regions>"),
        &format!("{name}<Type>HTTP</Type><Regions><Region>x</Region></Regions>"),
        &format!("{name}<Type>HTTP</Type><Inverted>maybe</Inverted>"),
    ] {
        assert_eq!(with(config).0, "InvalidInput", "{config}");
    }
    for kind in ["CALCULATED", "CLOUDWATCH_METRIC", "RECOVERY_CONTROL"] {
        let (code, message) = with(&format!("<Type>{kind}</Type>"));
        assert_eq!(code, "NotImplemented");
        assert!(
            message.starts_with(&format!("A health check of type {kind}")),
            "{message}"
        );
    }
    let (code, message) = with("<IPAddress>192.0.2.1</IPAddress><Type>HTTP</Type>");
    assert_eq!(code, "InvalidInput");
    assert!(
        message.contains("192.0.2.1") && message.contains("health.targets"),
        "{message}"
    );
    assert_eq!(
        api.get("healthcheckcount").ok().one("HealthCheckCount"),
        "0"
    );
}

#[test]
fn a_caller_reference_is_one_health_check_for_good() {
    let api = Api::new();
    let id = create(&api, "r", HTTP).ok().one("Id");
    assert_eq!(create(&api, "r", HTTP).ok().one("Id"), id);
    let other = format!("{HTTP}<Inverted>true</Inverted>");
    let refused = create(&api, "r", &other);
    assert_eq!(
        (refused.status, refused.error().0.as_str()),
        (409, "HealthCheckAlreadyExists")
    );
    api.delete(&format!("healthcheck/{id}")).ok();
    assert_eq!(
        create(&api, "r", HTTP).error().0,
        "HealthCheckAlreadyExists"
    );
    create(&api, "s", HTTP).ok();
    for reference in ["", &"r".repeat(65)] {
        assert_eq!(create(&api, reference, HTTP).error().0, "InvalidInput");
    }
}

#[test]
fn an_update_replaces_what_it_gives_and_counts() {
    let api = Api::new();
    let id = api.check("r");
    let path = format!("healthcheck/{id}");
    let update = |inner: &str| api.post("UpdateHealthCheck", &path, inner);
    let updated = update(
        "<HealthCheckVersion>1</HealthCheckVersion><Port>81</Port>\
         <FullyQualifiedDomainName>a.com</FullyQualifiedDomainName><Disabled>true</Disabled>",
    )
    .ok();
    assert_eq!(updated.one("HealthCheckVersion"), "2");
    assert_eq!(
        (updated.one("Port"), updated.one("Disabled")),
        ("81".into(), "true".into())
    );
    assert_eq!(updated.one("ResourcePath"), "/health");
    let stale = update("<HealthCheckVersion>1</HealthCheckVersion><Port>82</Port>");
    assert_eq!(
        (stale.status, stale.error().0.as_str()),
        (409, "HealthCheckVersionMismatch")
    );
    let reset = "<ResetElements><ResettableElementName>ResourcePath</ResettableElementName>\
         <ResettableElementName>FullyQualifiedDomainName</ResettableElementName></ResetElements>";
    let updated = update(reset).ok();
    assert!(updated.all("ResourcePath").is_empty());
    assert!(updated.all("FullyQualifiedDomainName").is_empty());
    for inner in [
        "<SearchString>x</SearchString>",
        "<Port>0</Port>",
        "<Type>TCP</Type>",
        "<IPAddress>192.0.2.1</IPAddress>",
        "<ResetElements><ResettableElementName>Port</ResettableElementName></ResetElements>",
    ] {
        assert_eq!(update(inner).error().0, "InvalidInput", "{inner}");
    }
    assert_eq!(api.get(&path).ok().one("HealthCheckVersion"), "3");
    let named = "<FullyQualifiedDomainName>a.com</FullyQualifiedDomainName><Type>HTTP</Type>";
    let named = create(&api, "n", named).ok().one("Id");
    let inner = "<IPAddress>127.0.0.1</IPAddress>";
    let answer = api.post("UpdateHealthCheck", &format!("healthcheck/{named}"), inner);
    assert_eq!(answer.error().0, "InvalidInput");
}

#[test]
fn health_checks_are_listed_in_pages_and_limited() {
    let api = Api::new();
    for number in 0..200 {
        api.check(&format!("r{number}"));
    }
    assert_eq!(create(&api, "more", HTTP).error().0, "TooManyHealthChecks");
    let first = api.get("healthcheck").ok();
    assert_eq!(first.all("Id").len(), 100);
    let next = first.one("NextMarker");
    let second = api.get(&format!("healthcheck?marker={next}")).ok();
    assert_eq!((second.all("Id").len(), second.one("Marker")), (100, next));
    assert_eq!(second.one("IsTruncated"), "false");
}

#[test]
fn a_health_check_that_is_not_there_is_named() {
    let api = Api::new();
    for id in ["none", "..%2Fzone%2FZ1", &"x".repeat(65)] {
        for path in ["", "/status", "/lastfailurereason"] {
            let answer = api.get(&format!("healthcheck/{id}{path}"));
            assert_eq!(
                (answer.status, answer.error().0.as_str()),
                (404, "NoSuchHealthCheck")
            );
        }
        assert_eq!(api.delete(&format!("healthcheck/{id}")).status, 404);
        let update = api.post("UpdateHealthCheck", &format!("healthcheck/{id}"), "");
        assert_eq!(update.status, 404);
    }
}

#[test]
fn observations_are_those_of_the_checkers() {
    let api = Api::new();
    let id = api.check("r");
    let region = |name: &str| name.parse().unwrap();
    *api.nodes.seen.lock().unwrap() = vec![
        Observation {
            region: region("us-east-1"),
            address: IpAddr::from([127, 1, 1, 1]),
            status: "Success: HTTP Status Code 200, OK".to_owned(),
            checked: Timestamp(1_795_000_000_123),
            last_failure: None,
        },
        Observation {
            region: region("eu-west-1"),
            address: IpAddr::from([127, 1, 2, 1]),
            status: "Success: HTTP Status Code 200, OK".to_owned(),
            checked: Timestamp(1_795_000_000_124),
            last_failure: Some((
                "Failure: <timeout>".to_owned(),
                Timestamp(1_794_000_000_000),
            )),
        },
    ];
    let status = api.get(&format!("healthcheck/{id}/status")).ok();
    assert_eq!(status.all("Region"), ["us-east-1", "eu-west-1"]);
    assert_eq!(status.all("IPAddress"), ["127.1.1.1", "127.1.2.1"]);
    assert_eq!(status.one("CheckedTime"), "2026-11-18T11:06:40.123Z");
    let failures = api.get(&format!("healthcheck/{id}/lastfailurereason")).ok();
    assert_eq!(failures.all("Region"), ["eu-west-1"]);
    assert_eq!(failures.all("Status"), ["Failure: <timeout>"]);
}
