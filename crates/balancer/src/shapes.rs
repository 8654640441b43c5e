//! The shapes of load balancers, listeners, rules and target groups in answers, as the API's model
//! has them.

use aws::xml::XmlWriter;
use types::calendar::{LAST_SECOND, SECONDS_PER_DAY, date_of};
use types::{Timestamp, network};

use crate::arn::{LoadBalancerArn, RuleArn};
use crate::hosted_zones::hosted_zone;
use crate::model::{
    Action, ActionKind, Condition, Forward, Listener, LoadBalancer, LoadBalancerKind, Matcher,
    Rule, TargetGroup,
};

/// Writes a `LoadBalancer`'s members; it is active if the Region's nodes serve it.
pub(crate) fn balancer(writer: &mut XmlWriter, balancer: &LoadBalancer, is_active: bool) {
    let region = balancer.arn.region;
    writer
        .value("LoadBalancerArn", &balancer.arn)
        .value("DNSName", balancer.dns_name())
        .value(
            "CanonicalHostedZoneId",
            hosted_zone(region, balancer.kind()),
        )
        .value("CreatedTime", time(balancer.created))
        .value("LoadBalancerName", &balancer.arn.name)
        .value("Scheme", balancer.scheme)
        .value("VpcId", network::default_vpc(region));
    let state = if is_active { "active" } else { "provisioning" };
    writer.open("State").value("Code", state).close();
    writer.value("Type", balancer.kind());
    zones(writer, balancer);
    texts(writer, "SecurityGroups", &balancer.security_groups);
    writer.value("IpAddressType", "ipv4");
}

/// Writes `AvailabilityZones`.
pub(crate) fn zones(writer: &mut XmlWriter, balancer: &LoadBalancer) {
    writer.open("AvailabilityZones");
    for (zone, address) in &balancer.zones {
        writer
            .open("member")
            .value("ZoneName", zone)
            .value("SubnetId", network::default_subnet(*zone))
            .open("LoadBalancerAddresses")
            .open("member")
            .value("IpAddress", address)
            .close()
            .close()
            .close();
    }
    writer.close();
}

/// Writes a list of texts.
pub(crate) fn texts(
    writer: &mut XmlWriter,
    list: &'static str,
    of: impl IntoIterator<Item: std::fmt::Display>,
) {
    writer.open(list);
    for text in of {
        writer.value("member", text);
    }
    writer.close();
}

/// Writes a `Listener`'s members. Of its certificates the default one is shown here.
pub(crate) fn listener(writer: &mut XmlWriter, balancer: &LoadBalancer, listener: &Listener) {
    writer
        .value("ListenerArn", balancer.listener_arn(&listener.id))
        .value("LoadBalancerArn", &balancer.arn)
        .value("Port", listener.port)
        .value("Protocol", listener.protocol);
    writer.open("Certificates");
    if let Some(default) = listener.certificates.first() {
        writer
            .open("member")
            .value("CertificateArn", default)
            .close();
    }
    writer.close();
    writer.optional("SslPolicy", listener.ssl_policy.as_ref());
    writer.open("DefaultActions").open("member");
    action(writer, &listener.default_action);
    writer.close().close();
    if let Some(policy) = listener.alpn_policy {
        texts(writer, "AlpnPolicy", [policy]);
    }
    if listener.protocol.kind() == LoadBalancerKind::Application && listener.protocol.is_secure() {
        writer
            .open("MutualAuthentication")
            .value("Mode", "off")
            .close();
    }
}

/// Writes a `Rule`'s members.
pub(crate) fn rule(writer: &mut XmlWriter, arn: &RuleArn, rule: &Rule) {
    writer
        .value("RuleArn", arn)
        .value("Priority", rule.priority);
    writer.open("Conditions");
    for one in &rule.conditions {
        writer.open("member");
        condition(writer, one);
        writer.close();
    }
    writer.close();
    writer.open("Actions").open("member");
    action(writer, &rule.action);
    writer.close().close();
    writer.value("IsDefault", false);
}

/// Writes the members of a listener's default rule.
pub(crate) fn default_rule(writer: &mut XmlWriter, arn: &RuleArn, listener: &Listener) {
    writer.value("RuleArn", arn).value("Priority", "default");
    writer.open("Conditions").close();
    writer.open("Actions").open("member");
    action(writer, &listener.default_action);
    writer.close().close();
    writer.value("IsDefault", true);
}

fn condition(writer: &mut XmlWriter, condition: &Condition) {
    let both = |writer: &mut XmlWriter, field: &str, config: &'static str, values: &[String]| {
        writer.value("Field", field);
        texts(writer, "Values", values);
        writer.open(config);
        texts(writer, "Values", values);
        writer.close();
    };
    match condition {
        Condition::HostHeader(values) => both(writer, "host-header", "HostHeaderConfig", values),
        Condition::PathPattern(values) => {
            both(writer, "path-pattern", "PathPatternConfig", values);
        }
        Condition::HttpHeader { name, values } => {
            writer
                .value("Field", "http-header")
                .open("HttpHeaderConfig");
            writer.value("HttpHeaderName", name);
            texts(writer, "Values", values);
            writer.close();
        }
        Condition::QueryString(patterns) => {
            writer
                .value("Field", "query-string")
                .open("QueryStringConfig")
                .open("Values");
            for pattern in patterns {
                writer.open("member").optional("Key", pattern.key.as_ref());
                writer.value("Value", &pattern.value).close();
            }
            writer.close().close();
        }
        Condition::RequestMethod(values) => {
            writer
                .value("Field", "http-request-method")
                .open("HttpRequestMethodConfig");
            texts(writer, "Values", values);
            writer.close();
        }
        Condition::SourceIp(blocks) => {
            writer.value("Field", "source-ip").open("SourceIpConfig");
            texts(writer, "Values", blocks);
            writer.close();
        }
    }
}

fn action(writer: &mut XmlWriter, action: &Action) {
    match &action.kind {
        ActionKind::Forward(to) => {
            writer.value("Type", "forward");
            if let [only] = &to.groups[..] {
                writer.value("TargetGroupArn", &only.group);
            }
            writer.optional("Order", action.order);
            forward(writer, to);
        }
        ActionKind::Redirect(redirect) => {
            writer
                .value("Type", "redirect")
                .optional("Order", action.order);
            writer
                .open("RedirectConfig")
                .value("Protocol", &redirect.protocol)
                .value("Port", &redirect.port)
                .value("Host", &redirect.host)
                .value("Path", &redirect.path)
                .value("Query", &redirect.query)
                .value("StatusCode", redirect.status)
                .close();
        }
        ActionKind::FixedResponse(answer) => {
            writer
                .value("Type", "fixed-response")
                .optional("Order", action.order);
            writer
                .open("FixedResponseConfig")
                .optional("MessageBody", answer.body.as_ref())
                .value("StatusCode", answer.status)
                .optional("ContentType", answer.content_type.as_ref())
                .close();
        }
    }
}

fn forward(writer: &mut XmlWriter, forward: &Forward) {
    writer.open("ForwardConfig").open("TargetGroups");
    for weighted in &forward.groups {
        writer
            .open("member")
            .value("TargetGroupArn", &weighted.group)
            .value("Weight", weighted.weight)
            .close();
    }
    writer.close().open("TargetGroupStickinessConfig");
    writer.value("Enabled", forward.stickiness.is_some_and(|it| it.enabled));
    let duration = forward
        .stickiness
        .and_then(|stickiness| stickiness.duration);
    writer.optional("DurationSeconds", duration);
    writer.close().close();
}

/// Writes a `TargetGroup`'s members; `used_by` are the load balancers that forward to it.
pub(crate) fn group(writer: &mut XmlWriter, group: &TargetGroup, used_by: &[LoadBalancerArn]) {
    let check = &group.health_check;
    writer
        .value("TargetGroupArn", &group.arn)
        .value("TargetGroupName", &group.arn.name)
        .value("Protocol", group.protocol)
        .value("Port", group.port)
        .value("VpcId", &group.vpc)
        .value("HealthCheckProtocol", check.protocol)
        .value("HealthCheckPort", check.port)
        .value("HealthCheckEnabled", check.enabled)
        .value("HealthCheckIntervalSeconds", check.interval)
        .value("HealthCheckTimeoutSeconds", check.timeout)
        .value("HealthyThresholdCount", check.healthy_threshold)
        .value("UnhealthyThresholdCount", check.unhealthy_threshold)
        .optional("HealthCheckPath", check.path.as_ref());
    if let Some(matcher) = &check.matcher {
        let name = match matcher {
            Matcher::Http(_) => "HttpCode",
            Matcher::Grpc(_) => "GrpcCode",
        };
        writer.open("Matcher").value(name, matcher).close();
    }
    texts(writer, "LoadBalancerArns", used_by);
    writer
        .value("TargetType", group.target_type)
        .optional("ProtocolVersion", group.version)
        .value("IpAddressType", group.ip_type);
}

/// `2026-11-28T10:42:38.120Z`; what is later than the year 9999 is written as its last second.
fn time(at: Timestamp) -> String {
    let seconds = (at.0 / 1000).min(LAST_SECOND);
    let (year, month, day) = date_of(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let milliseconds = at.0 % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_api_has_them() {
        assert_eq!(
            time(Timestamp(1_458_941_190_120)),
            "2016-03-25T21:26:30.120Z"
        );
        assert_eq!(time(Timestamp(0)), "1970-01-01T00:00:00.000Z");
    }
}
