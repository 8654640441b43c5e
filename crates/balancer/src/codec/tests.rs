//! The golden bytes of rows, and what is refused as one.

use types::Timestamp;

use super::*;
use crate::model::*;

const BALANCER: &str =
    "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/shop/0123456789abcdef";
const GROUP: &str =
    "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/web/fedcba9876543210";

fn tags() -> Tags {
    [("t".to_owned(), "v".to_owned())].into()
}

fn attributes(name: &str, value: &str) -> Attributes {
    Attributes([(name.to_owned(), value.to_owned())].into())
}

fn action(kind: ActionKind) -> Action {
    Action {
        order: Some(1),
        kind,
    }
}

fn rule(priority: u32, conditions: Vec<Condition>, kind: ActionKind) -> Rule {
    Rule {
        id: RuleId(format!("{priority:016x}")),
        priority,
        conditions,
        action: action(kind),
        tags: tags(),
    }
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn rules() -> Vec<Rule> {
    let conditions = vec![
        Condition::HostHeader(vec![text("*.example.com")]),
        Condition::PathPattern(vec![text("/a*")]),
        Condition::HttpHeader {
            name: text("X-Team"),
            values: vec![text("blue")],
        },
        Condition::QueryString(vec![QueryPattern {
            key: Some(text("v")),
            value: text("1"),
        }]),
        Condition::RequestMethod(vec![text("GET")]),
        Condition::SourceIp(vec!["192.0.2.0/24".parse().unwrap()]),
    ];
    let redirect = Redirect {
        protocol: text("HTTPS"),
        port: text("443"),
        host: text("#{host}"),
        path: text("/#{path}"),
        query: text("#{query}"),
        status: RedirectStatus::Permanent,
    };
    let fixed = FixedResponse {
        status: 503,
        content_type: Some(text("text/plain")),
        body: Some(text("later")),
    };
    vec![
        rule(1, conditions, ActionKind::Redirect(redirect)),
        rule(2, Vec::new(), ActionKind::FixedResponse(fixed)),
    ]
}

fn balancer() -> LoadBalancer {
    let forward = Forward {
        groups: vec![WeightedGroup {
            group: GROUP.parse().unwrap(),
            weight: 999,
        }],
        stickiness: Some(GroupStickiness {
            enabled: true,
            duration: Some(60),
        }),
    };
    let listener = Listener {
        id: ListenerId("00000000000000aa".to_owned()),
        port: 443,
        protocol: Protocol::Https,
        certificates: vec![text("arn:aws:iam::111122223333:server-certificate/shop")],
        ssl_policy: Some(text("ELBSecurityPolicy-2016-08")),
        alpn_policy: Some(AlpnPolicy::Http2Preferred),
        default_rule: RuleId("00000000000000bb".to_owned()),
        default_rule_tags: tags(),
        default_action: action(ActionKind::Forward(forward)),
        attributes: attributes("routing.http.response.server.enabled", "false"),
        tags: tags(),
        rules: rules(),
    };
    LoadBalancer {
        arn: BALANCER.parse().unwrap(),
        dns_number: 1_234_567_890,
        scheme: Scheme::InternetFacing,
        created: Timestamp(1),
        zones: [("us-east-1a".parse().unwrap(), "127.32.1.7".parse().unwrap())].into(),
        security_groups: vec![text("sg-1")],
        attributes: attributes("idle_timeout.timeout_seconds", "61"),
        tags: tags(),
        listeners: vec![listener],
    }
}

fn group() -> TargetGroup {
    let target = Target {
        key: TargetKey {
            id: text("i-0123456789abcdef0"),
            port: 8080,
        },
        address: "127.1.1.11".parse().unwrap(),
        zone: Some("us-east-1a".parse().unwrap()),
        registered: Timestamp(2),
        draining_since: Some(Timestamp(3)),
    };
    TargetGroup {
        arn: GROUP.parse().unwrap(),
        created: Timestamp(1),
        protocol: Protocol::Http,
        version: Some(ProtocolVersion::Http1),
        port: 80,
        vpc: text("vpc-1"),
        target_type: TargetType::Instance,
        ip_type: TargetIpType::Ipv4,
        health_check: HealthCheckSettings {
            enabled: true,
            protocol: HealthCheckProtocol::Http,
            port: HealthCheckPort::Fixed(9000),
            path: Some(text("/up")),
            interval: 30,
            timeout: 5,
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            matcher: Some(Matcher::Http(Matcher::ranges("200-299,301").unwrap())),
        },
        attributes: attributes("stickiness.enabled", "true"),
        tags: tags(),
        targets: [(target.key.clone(), target)].into(),
    }
}

/// What programs of format 1 wrote. They are never edited: rows of before must be read for ever.
const GOLDEN_BALANCER: &str = include_str!("balancer.json");
const GOLDEN_GROUP: &str = include_str!("group.json");

#[test]
fn the_golden_bytes_of_rows() {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(text(encode(&balancer())), GOLDEN_BALANCER.trim_end());
    assert_eq!(text(encode(&group())), GOLDEN_GROUP.trim_end());
    assert_eq!(decode(GOLDEN_BALANCER.as_bytes()), Ok(balancer()));
    assert_eq!(decode(GOLDEN_GROUP.as_bytes()), Ok(group()));
}

#[test]
fn what_a_newer_program_wrote_is_refused_whatever_it_holds() {
    let newer = br#"{"format":2,"row":{"unheard":"of"}}"#;
    let error = decode::<LoadBalancer>(newer).unwrap_err();
    assert_eq!(error, CodecError::Newer("load balancer", 2));
    assert!(
        error.to_string().contains("too old for this deployment"),
        "{error}"
    );
    let error = decode::<TargetGroup>(newer).unwrap_err();
    assert_eq!(error, CodecError::Newer("target group", 2));
}

#[test]
fn what_no_program_wrote_is_refused() {
    for bytes in [
        "",
        "{}",
        "[]",
        r#"{"format":1}"#,
        r#"{"format":"1","row":{}}"#,
        r#"{"format":1,"row":{}}"#,
        &GOLDEN_BALANCER.replace("\"format\":1", "\"format\":0"),
        &GOLDEN_BALANCER.replace("\"format\":1", "\"format\":1,\"more\":1"),
        &GOLDEN_BALANCER.replace("127.32.1.7", "127.32.1"),
        &GOLDEN_BALANCER.replace("us-east-1a", "us-east-1f"),
        &GOLDEN_BALANCER.replace("\"HTTPS\"", "\"GOPHER\""),
        &GOLDEN_BALANCER.replace("192.0.2.0/24", "192.0.2.1/24"),
        &GOLDEN_BALANCER.replace("targetgroup/web", "targetgroup/w_b"),
    ] {
        let error = decode::<LoadBalancer>(bytes.as_bytes()).unwrap_err();
        assert!(
            matches!(error, CodecError::Malformed(..)),
            "{bytes}: {error}"
        );
    }
    let broken = GOLDEN_GROUP.replace("200-299", "299-200");
    assert!(decode::<TargetGroup>(broken.as_bytes()).is_err());
}
