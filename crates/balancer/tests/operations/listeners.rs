//! Listeners and their certificates.

use crate::support::{Api, Parameters};

const CERTIFICATE: &str = "arn:aws:iam::111122223333:server-certificate/shop";
const OTHER: &str = "arn:aws:iam::111122223333:server-certificate/other";

fn secured() -> (Api, String, String) {
    let api = Api::new();
    let certificates = [CERTIFICATE, OTHER].map(str::to_owned);
    *api.around.certificates.lock().unwrap() = certificates.into();
    let (balancer, group) = (api.balancer("shop"), api.group("web", "HTTP"));
    (api, balancer, group)
}

fn https<'a>(balancer: &'a str, group: &'a str, more: Parameters<'a>) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![
        ("LoadBalancerArn", balancer),
        ("Protocol", "HTTPS"),
        ("Port", "443"),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", group),
    ];
    all.extend(more);
    all
}

#[test]
fn a_listener_is_described_as_it_was_made() {
    let api = Api::new();
    let (balancer, group) = (api.balancer("shop"), api.group("web", "HTTP"));
    let arn = api.listener(&balancer, "HTTP", "80", &group);
    let start = balancer.replace(":loadbalancer/", ":listener/");
    assert!(arn.starts_with(&start), "{arn}");
    let found = api.ok("DescribeListeners", &[("LoadBalancerArn", &balancer)]);
    assert_eq!(found.text("Listeners/0/ListenerArn"), arn);
    assert_eq!(found.text("Listeners/0/LoadBalancerArn"), balancer);
    assert_eq!(found.text("Listeners/0/Port"), "80");
    assert_eq!(found.text("Listeners/0/Protocol"), "HTTP");
    let action = "Listeners/0/DefaultActions/0";
    assert_eq!(found.text(&format!("{action}/Type")), "forward");
    assert_eq!(found.text(&format!("{action}/TargetGroupArn")), group);
    let config = format!("{action}/ForwardConfig");
    assert_eq!(
        found.text(&format!("{config}/TargetGroups/0/TargetGroupArn")),
        group
    );
    assert_eq!(found.text(&format!("{config}/TargetGroups/0/Weight")), "1");
    assert_eq!(
        found.text(&format!("{config}/TargetGroupStickinessConfig/Enabled")),
        "false"
    );
    let by_name = api.ok("DescribeListeners", &[("ListenerArns.member.1", &arn)]);
    assert_eq!(by_name.text("Listeners/0/ListenerArn"), arn);

    let rules = api.ok("DescribeRules", &[("ListenerArn", &arn)]);
    assert_eq!(rules.count("Rules"), 1);
    assert_eq!(rules.text("Rules/0/Priority"), "default");
    assert_eq!(rules.text("Rules/0/IsDefault"), "true");
    assert_eq!(rules.text("Rules/0/Actions/0/TargetGroupArn"), group);

    let before = api.memory.view_now();
    assert_eq!(api.listener(&balancer, "HTTP", "80", &group), arn);
    assert_eq!(
        api.memory.view_now(),
        before,
        "repeated it makes nothing more"
    );
    api.ok("DeleteListener", &[("ListenerArn", &arn)]);
    assert_eq!(
        api.code("DeleteListener", &[("ListenerArn", &arn)]),
        "ListenerNotFound"
    );
    let by_name = [("ListenerArns.member.1", &*arn)];
    assert_eq!(api.code("DescribeListeners", &by_name), "ListenerNotFound");
}

#[test]
fn a_port_has_one_listener() {
    let api = Api::new();
    let (balancer, group) = (api.balancer("shop"), api.group("web", "HTTP"));
    api.listener(&balancer, "HTTP", "80", &group);
    let other = api.group("other", "HTTP");
    let second = [
        ("LoadBalancerArn", &*balancer),
        ("Protocol", "HTTP"),
        ("Port", "80"),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", &other),
    ];
    let (code, text) = api.refused("CreateListener", &second);
    assert_eq!(code, "DuplicateListener");
    assert!(text.contains(&balancer), "{text}");
    let third = api.listener(&balancer, "HTTP", "81", &other);
    let moved = [("ListenerArn", &*third), ("Port", "80")];
    assert_eq!(api.code("ModifyListener", &moved), "DuplicateListener");
    let moved = api.ok("ModifyListener", &[("ListenerArn", &third), ("Port", "82")]);
    assert_eq!(moved.text("Listeners/0/Port"), "82");
}

#[test]
fn what_is_secure_has_a_certificate_and_a_policy() {
    let (api, balancer, group) = secured();
    let none = https(&balancer, &group, &[]);
    assert_eq!(api.code("CreateListener", &none), "ValidationError");
    let unknown = [("Certificates.member.1.CertificateArn", "arn:x")];
    let unknown = https(&balancer, &group, &unknown);
    assert_eq!(api.code("CreateListener", &unknown), "CertificateNotFound");
    let with = ("Certificates.member.1.CertificateArn", CERTIFICATE);
    let policy = [with, ("SslPolicy", "ELBSecurityPolicy-1999")];
    assert_eq!(
        api.code("CreateListener", &https(&balancer, &group, &policy)),
        "SSLPolicyNotFound"
    );
    let two = [with, ("Certificates.member.2.CertificateArn", OTHER)];
    assert_eq!(
        api.code("CreateListener", &https(&balancer, &group, &two)),
        "TooManyCertificates"
    );
    let made = api.ok("CreateListener", &https(&balancer, &group, &[with]));
    assert_eq!(
        made.text("Listeners/0/SslPolicy"),
        "ELBSecurityPolicy-2016-08"
    );
    assert_eq!(
        made.text("Listeners/0/Certificates/0/CertificateArn"),
        CERTIFICATE
    );
    assert_eq!(made.text("Listeners/0/MutualAuthentication/Mode"), "off");
    // As HTTP it has neither any more.
    let arn = made.text("Listeners/0/ListenerArn");
    let plain = api.ok(
        "ModifyListener",
        &[("ListenerArn", &arn), ("Protocol", "HTTP")],
    );
    assert_eq!(plain.count("Listeners/0/Certificates"), 0);
    assert!(plain.find("Listeners/0/SslPolicy").is_none());
    let back = [("ListenerArn", &*arn), ("Protocol", "HTTPS")];
    assert_eq!(api.code("ModifyListener", &back), "ValidationError");
    let http = [
        ("LoadBalancerArn", &*balancer),
        ("Protocol", "HTTP"),
        ("Port", "80"),
        with,
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", &group),
    ];
    assert_eq!(api.code("CreateListener", &http), "ValidationError");
}

#[test]
fn further_certificates_are_added_and_removed() {
    let (api, balancer, group) = secured();
    let with = [("Certificates.member.1.CertificateArn", CERTIFICATE)];
    let made = api.ok("CreateListener", &https(&balancer, &group, &with));
    let arn = made.text("Listeners/0/ListenerArn");
    let one = |certificate| {
        [
            ("ListenerArn", arn.as_str()),
            ("Certificates.member.1.CertificateArn", certificate),
        ]
    };
    let described = || {
        let found = api.ok("DescribeListenerCertificates", &[("ListenerArn", &arn)]);
        let names = found.each("Certificates", "CertificateArn");
        names
            .into_iter()
            .zip(found.each("Certificates", "IsDefault"))
            .collect::<Vec<_>>()
    };
    let pair = |name: &str, is: &str| (name.to_owned(), is.to_owned());
    assert_eq!(described(), [pair(CERTIFICATE, "true")]);
    let added = api.ok("AddListenerCertificates", &one(OTHER));
    assert_eq!(added.text("Certificates/0/CertificateArn"), OTHER);
    api.ok("AddListenerCertificates", &one(OTHER));
    assert_eq!(
        described(),
        [pair(CERTIFICATE, "true"), pair(OTHER, "false")]
    );
    assert_eq!(
        api.code("AddListenerCertificates", &one("arn:x")),
        "CertificateNotFound"
    );
    assert_eq!(
        api.code("RemoveListenerCertificates", &one(CERTIFICATE)),
        "OperationNotPermitted"
    );
    // Another default leaves the list as it is.
    api.ok("ModifyListener", &one(OTHER));
    assert_eq!(described(), [pair(OTHER, "true"), pair(OTHER, "false")]);
    api.ok("RemoveListenerCertificates", &one(OTHER));
    assert_eq!(described(), [pair(OTHER, "true")]);
    api.ok("RemoveListenerCertificates", &one(CERTIFICATE));
}

#[test]
fn nobody_serves_with_the_certificate_of_another_account() {
    const FOREIGN: [&str; 2] = [
        "arn:aws:iam::444455556666:server-certificate/shop",
        "arn:aws:acm:us-east-1:444455556666:certificate/shop",
    ];
    let (api, balancer, group) = secured();
    let mut known = api.around.certificates.lock().unwrap();
    known.extend(FOREIGN.map(str::to_owned));
    drop(known);
    let own = [("Certificates.member.1.CertificateArn", CERTIFICATE)];
    let made = api.ok("CreateListener", &https(&balancer, &group, &own));
    let arn = made.text("Listeners/0/ListenerArn");
    for certificate in FOREIGN {
        let foreign = ("Certificates.member.1.CertificateArn", certificate);
        let more = [foreign];
        let mut created = https(&balancer, &group, &more);
        created[2] = ("Port", "8443");
        assert_eq!(api.code("CreateListener", &created), "CertificateNotFound");
        let named = [("ListenerArn", arn.as_str()), foreign];
        for operation in ["ModifyListener", "AddListenerCertificates"] {
            assert_eq!(api.code(operation, &named), "CertificateNotFound");
        }
    }
}

#[test]
fn listeners_forward_to_groups_that_speak_as_they_do() {
    let api = Api::new();
    let (application, network) = (api.balancer("app"), api.balancer_of("net", "network"));
    let groups = ["HTTP", "TCP", "TLS", "UDP", "TCP_UDP"];
    let groups = groups.map(|protocol| {
        let name = protocol.replace('_', "-");
        (protocol, api.group(&name, protocol))
    });
    let mut port = 1000;
    for (balancer, listener, fitting) in [
        (&application, "HTTP", &["HTTP"][..]),
        (&network, "TCP", &["TCP", "TCP_UDP"]),
        (&network, "UDP", &["UDP", "TCP_UDP"]),
        (&network, "TCP_UDP", &["TCP_UDP"]),
    ] {
        for (protocol, group) in &groups {
            port += 1;
            let port = port.to_string();
            let body = [
                ("LoadBalancerArn", balancer.as_str()),
                ("Protocol", listener),
                ("Port", &port),
                ("DefaultActions.member.1.Type", "forward"),
                ("DefaultActions.member.1.TargetGroupArn", group),
            ];
            match fitting.contains(protocol) {
                true => drop(api.ok("CreateListener", &body)),
                false => {
                    let code = api.code("CreateListener", &body);
                    assert_eq!(code, "IncompatibleProtocols", "{listener} {protocol}");
                }
            }
        }
    }
    let foreign = [
        ("LoadBalancerArn", application.as_str()),
        ("Protocol", "TCP"),
        ("Port", "80"),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", &groups[1].1),
    ];
    assert_eq!(api.code("CreateListener", &foreign), "ValidationError");
    let answer = [
        ("LoadBalancerArn", network.as_str()),
        ("Protocol", "TCP"),
        ("Port", "80"),
        ("DefaultActions.member.1.Type", "fixed-response"),
        (
            "DefaultActions.member.1.FixedResponseConfig.StatusCode",
            "200",
        ),
    ];
    let (code, text) = api.refused("CreateListener", &answer);
    assert_eq!(code, "InvalidLoadBalancerAction");
    assert_eq!(
        text,
        "Actions of type 'fixed-response' are supported only on HTTP and HTTPS listeners"
    );
}

#[test]
fn a_group_is_one_load_balancer_s() {
    let api = Api::new();
    let (one, other) = (api.balancer("one"), api.balancer("other"));
    let group = api.group("web", "HTTP");
    api.listener(&one, "HTTP", "80", &group);
    api.listener(&one, "HTTP", "81", &group);
    let body = [
        ("LoadBalancerArn", other.as_str()),
        ("Protocol", "HTTP"),
        ("Port", "80"),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", &group),
    ];
    let (code, text) = api.refused("CreateListener", &body);
    assert_eq!(code, "TargetGroupAssociationLimit");
    assert!(text.ends_with(&group), "{text}");
    api.ok("DeleteLoadBalancer", &[("LoadBalancerArn", &one)]);
    api.ok("CreateListener", &body);
}

#[test]
fn an_alpn_policy_is_of_tls_alone() {
    let api = Api::new();
    api.around
        .certificates
        .lock()
        .unwrap()
        .insert(CERTIFICATE.to_owned());
    let (balancer, group) = (api.balancer_of("net", "network"), api.group("flows", "TCP"));
    let body = |protocol, policy| {
        [
            ("LoadBalancerArn", balancer.as_str()),
            ("Protocol", protocol),
            ("Port", "443"),
            ("AlpnPolicy.member.1", policy),
            ("DefaultActions.member.1.Type", "forward"),
            ("DefaultActions.member.1.TargetGroupArn", &group),
        ]
    };
    let with = |protocol, policy| {
        let mut all = body(protocol, policy).to_vec();
        all.push(("Certificates.member.1.CertificateArn", CERTIFICATE));
        all
    };
    assert_eq!(
        api.code("CreateListener", &body("TCP", "None")),
        "ValidationError"
    );
    assert_eq!(
        api.code("CreateListener", &with("TLS", "HTTP3")),
        "ALPNPolicyNotFound"
    );
    let made = api.ok("CreateListener", &with("TLS", "HTTP2Preferred"));
    assert_eq!(made.text("Listeners/0/AlpnPolicy/0"), "HTTP2Preferred");
}
