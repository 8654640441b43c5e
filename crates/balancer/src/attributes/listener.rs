//! Attributes of listeners.

use super::{Attribute, Values, attribute, number};
use crate::model::{Listener, Protocol};

/// Of HTTP listeners: headers that are added to answers or taken out of them. Those that rename
/// headers to targets are of TLS and mutual TLS, and of HTTPS listeners alone.
const HTTP: &[Attribute] = &[
    attribute("routing.http.response.server.enabled", "true", Values::Flag),
    attribute(STRICT_TRANSPORT_SECURITY, "", Values::Text(1024)),
    attribute(ALLOW_ORIGIN, "", Values::Text(1024)),
    attribute(ALLOW_METHODS, "", Values::Text(1024)),
    attribute(ALLOW_HEADERS, "", Values::Text(1024)),
    attribute(ALLOW_CREDENTIALS, "", Values::Words(&["", "true"])),
    attribute(EXPOSE_HEADERS, "", Values::Text(1024)),
    attribute(MAX_AGE, "", Values::Text(10)),
    attribute(CONTENT_SECURITY_POLICY, "", Values::Text(1024)),
    attribute(CONTENT_TYPE_OPTIONS, "", Values::Words(&["", "nosniff"])),
    attribute(FRAME_OPTIONS, "", Values::Text(1024)),
];

const STRICT_TRANSPORT_SECURITY: &str =
    "routing.http.response.strict_transport_security.header_value";
const ALLOW_ORIGIN: &str = "routing.http.response.access_control_allow_origin.header_value";
const ALLOW_METHODS: &str = "routing.http.response.access_control_allow_methods.header_value";
const ALLOW_HEADERS: &str = "routing.http.response.access_control_allow_headers.header_value";
const ALLOW_CREDENTIALS: &str =
    "routing.http.response.access_control_allow_credentials.header_value";
const EXPOSE_HEADERS: &str = "routing.http.response.access_control_expose_headers.header_value";
const MAX_AGE: &str = "routing.http.response.access_control_max_age.header_value";
const CONTENT_SECURITY_POLICY: &str = "routing.http.response.content_security_policy.header_value";
const CONTENT_TYPE_OPTIONS: &str = "routing.http.response.x_content_type_options.header_value";
const FRAME_OPTIONS: &str = "routing.http.response.x_frame_options.header_value";

/// Each header that answers get if its attribute says one.
const ANSWER_HEADERS: &[(&str, &str)] = &[
    (STRICT_TRANSPORT_SECURITY, "strict-transport-security"),
    (ALLOW_ORIGIN, "access-control-allow-origin"),
    (ALLOW_METHODS, "access-control-allow-methods"),
    (ALLOW_HEADERS, "access-control-allow-headers"),
    (ALLOW_CREDENTIALS, "access-control-allow-credentials"),
    (EXPOSE_HEADERS, "access-control-expose-headers"),
    (MAX_AGE, "access-control-max-age"),
    (CONTENT_SECURITY_POLICY, "content-security-policy"),
    (CONTENT_TYPE_OPTIONS, "x-content-type-options"),
    (FRAME_OPTIONS, "x-frame-options"),
];

/// Of TCP listeners: 60 to 6,000 seconds at AWS. Another than its default isn't built.
const TCP: &[Attribute] = &[attribute(
    "tcp.idle_timeout.seconds",
    "350",
    Values::Default,
)];

/// The attributes of listeners of that protocol, in the order in which the API shows them.
/// Renaming the headers of TLS and mutual TLS is not built: those names are unknown here.
pub(crate) fn table(protocol: Protocol) -> &'static [Attribute] {
    match protocol {
        Protocol::Http | Protocol::Https => HTTP,
        Protocol::Tcp => TCP,
        Protocol::Tls | Protocol::Udp | Protocol::TcpUdp => &[],
    }
}

impl Listener {
    /// Seconds after which a flow on which nothing is sent is closed: of TCP listeners what was
    /// set, 60 to 6,000, of others 350 (Network Load Balancers User Guide, "Connection idle
    /// timeout").
    pub fn tcp_idle_timeout(&self) -> u32 {
        number(self.attributes.value(TCP, "tcp.idle_timeout.seconds"))
    }

    /// Does `Server` stay in answers?
    pub fn shows_server(&self) -> bool {
        self.attributes
            .value(HTTP, "routing.http.response.server.enabled")
            == "true"
    }

    /// Headers that every answer of a target gets, in place of those that it has of these names.
    pub fn answer_headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let set = |(attribute, header): &(&str, &'static str)| {
            let value = self.attributes.get(attribute)?;
            (!value.is_empty()).then_some((*header, value))
        };
        ANSWER_HEADERS.iter().filter_map(set)
    }
}
