//! Attributes of load balancers.

use super::{Attribute, Values, attribute, number};
use crate::model::{LoadBalancer, LoadBalancerKind};
use crate::words::words;

const APPLICATION: &[Attribute] = &[
    attribute("access_logs.s3.enabled", "false", Values::Flag),
    attribute("access_logs.s3.bucket", "", Values::Text(63)),
    attribute("access_logs.s3.prefix", "", Values::Text(1024)),
    attribute(
        "idle_timeout.timeout_seconds",
        "60",
        Values::Number(1, 4000),
    ),
    attribute("deletion_protection.enabled", "false", Values::Flag),
    attribute("routing.http2.enabled", "true", Values::Flag),
    attribute(
        "routing.http.drop_invalid_header_fields.enabled",
        "false",
        Values::Flag,
    ),
    attribute(
        "routing.http.xff_client_port.enabled",
        "false",
        Values::Flag,
    ),
    attribute(
        "routing.http.preserve_host_header.enabled",
        "false",
        Values::Flag,
    ),
    attribute(
        "routing.http.xff_header_processing.mode",
        "append",
        Values::Words(&["append", "preserve", "remove"]),
    ),
    attribute(
        "load_balancing.cross_zone.enabled",
        "true",
        Values::Words(&["true"]),
    ),
    attribute(
        "routing.http.desync_mitigation_mode",
        "defensive",
        Values::Words(&["monitor", "defensive", "strictest"]),
    ),
    attribute(
        "client_keep_alive.seconds",
        "3600",
        Values::Number(60, 604_800),
    ),
    attribute("waf.fail_open.enabled", "false", Values::Default),
    attribute(
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
        "false",
        Values::Flag,
    ),
    attribute("zonal_shift.config.enabled", "false", Values::Default),
    attribute("connection_logs.s3.enabled", "false", Values::Default),
    attribute("connection_logs.s3.bucket", "", Values::Text(63)),
    attribute("connection_logs.s3.prefix", "", Values::Text(1024)),
    attribute("health_check_logs.s3.enabled", "false", Values::Default),
    attribute("health_check_logs.s3.bucket", "", Values::Text(63)),
    attribute("health_check_logs.s3.prefix", "", Values::Text(1024)),
    attribute("ipv6.deny_all_igw_traffic", "false", Values::Default),
];

const NETWORK: &[Attribute] = &[
    attribute("access_logs.s3.enabled", "false", Values::Default),
    attribute("access_logs.s3.bucket", "", Values::Text(63)),
    attribute("access_logs.s3.prefix", "", Values::Text(1024)),
    attribute("deletion_protection.enabled", "false", Values::Flag),
    attribute("load_balancing.cross_zone.enabled", "false", Values::Flag),
    attribute(
        "dns_record.client_routing_policy",
        "any_availability_zone",
        Values::Default,
    ),
    attribute("zonal_shift.config.enabled", "false", Values::Default),
    attribute("ipv6.deny_all_igw_traffic", "false", Values::Default),
    attribute(
        "secondary_ips.auto_assigned.per_subnet",
        "0",
        Values::Default,
    ),
];

words! {
    /// What becomes of `X-Forwarded-For`.
    pub enum ForwardedForMode {
        /// The client's address is added to it.
        Append = "append",
        /// It stays as the client sent it.
        Preserve = "preserve",
        /// It is taken away.
        Remove = "remove",
    }
}

words! {
    /// What becomes of requests that could be understood in two ways (Application Load Balancers
    /// User Guide, "Desync mitigation mode").
    pub enum DesyncMitigationMode {
        /// All that can be are forwarded.
        Monitor = "monitor",
        /// Ambiguous ones are forwarded on a connection of their own; severe ones are refused.
        Defensive = "defensive",
        /// Only those that follow RFC 7230 are forwarded.
        Strictest = "strictest",
    }
}

/// The attributes of that kind of load balancer, in the order in which the API shows them.
pub(crate) fn table(kind: LoadBalancerKind) -> &'static [Attribute] {
    match kind {
        LoadBalancerKind::Application => APPLICATION,
        LoadBalancerKind::Network => NETWORK,
    }
}

#[cfg(test)]
pub(super) fn tables() -> [&'static [Attribute]; 2] {
    [APPLICATION, NETWORK]
}

impl LoadBalancer {
    fn attribute(&self, name: &str) -> &str {
        self.attributes.value(table(self.kind()), name)
    }

    fn flag(&self, name: &str) -> bool {
        self.attribute(name) == "true"
    }

    /// Is it protected from being deleted?
    pub fn is_protected(&self) -> bool {
        self.flag("deletion_protection.enabled")
    }

    /// Where its access logs go, a bucket and a prefix; none: it has none.
    pub fn access_logs(&self) -> Option<(&str, &str)> {
        let logs = || {
            let prefix = self.attribute("access_logs.s3.prefix");
            (self.attribute("access_logs.s3.bucket"), prefix)
        };
        self.flag("access_logs.s3.enabled").then(logs)
    }

    /// Do its nodes use targets of all zones, unless a target group says otherwise?
    pub fn is_cross_zone(&self) -> bool {
        self.flag("load_balancing.cross_zone.enabled")
    }

    /// Seconds after which a connection on which nothing is sent is closed: 1 to 4,000.
    pub fn idle_timeout(&self) -> u32 {
        number(self.attribute("idle_timeout.timeout_seconds"))
    }

    /// Seconds for which a client's connection is kept at most: 60 to 604,800.
    pub fn client_keep_alive(&self) -> u32 {
        number(self.attribute("client_keep_alive.seconds"))
    }

    /// May clients speak HTTP/2 to its HTTPS listeners?
    pub fn takes_http2(&self) -> bool {
        self.flag("routing.http2.enabled")
    }

    /// Are headers taken away whose names aren't of letters, digits and hyphens?
    pub fn drops_invalid_headers(&self) -> bool {
        self.flag("routing.http.drop_invalid_header_fields.enabled")
    }

    /// Does the client's port stand in `X-Forwarded-For`?
    pub fn forwards_client_port(&self) -> bool {
        self.flag("routing.http.xff_client_port.enabled")
    }

    /// Is the `Host` header kept as it is, its port included?
    pub fn preserves_host(&self) -> bool {
        self.flag("routing.http.preserve_host_header.enabled")
    }

    /// Are targets told the version of TLS and its cipher suite?
    pub fn tells_tls(&self) -> bool {
        self.flag("routing.http.x_amzn_tls_version_and_cipher_suite.enabled")
    }

    /// What becomes of `X-Forwarded-For`.
    pub fn forwarded_for(&self) -> ForwardedForMode {
        let word = self.attribute("routing.http.xff_header_processing.mode");
        ForwardedForMode::of_name(word).unwrap_or(ForwardedForMode::Append)
    }

    /// What becomes of ambiguous requests.
    pub fn desync_mitigation(&self) -> DesyncMitigationMode {
        let word = self.attribute("routing.http.desync_mitigation_mode");
        DesyncMitigationMode::of_name(word).unwrap_or(DesyncMitigationMode::Strictest)
    }
}
