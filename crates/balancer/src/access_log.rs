//! Access logs of application load balancers: the line of a request, field by field as the guide
//! has it ("Access logs for your Application Load Balancer"), and the key under which a file of
//! lines is kept. It keeps nothing. Logs of network load balancers (their TLS listeners alone have
//! some) aren't built.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use types::calendar::{SECONDS_PER_DAY, date_of};
use types::{Span, Timestamp};

use crate::arn::{LoadBalancerArn, TargetGroupArn};

/// The longest user agent, in bytes; the rest is cut off (the guide: 8 KB).
const MAX_USER_AGENT: usize = 8 * 1024;

/// What kind of request it was.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LogType {
    /// HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// HTTP/2 over TLS.
    H2,
    /// gRPC over TLS.
    Grpcs,
    /// WebSockets.
    Ws,
    /// WebSockets over TLS.
    Wss,
}

/// A request, as its line says it. What isn't known is `None` and stands as `-` or `-1`.
#[derive(Clone, Debug)]
pub struct AccessLogEntry<'a> {
    /// What kind of request it was.
    pub kind: LogType,
    /// When the response was sent.
    pub ended: Timestamp,
    /// When the request came.
    pub created: Timestamp,
    /// Whose it was.
    pub balancer: &'a LoadBalancerArn,
    /// Who connected.
    pub client: SocketAddr,
    /// Where it was sent last.
    pub target: Option<SocketAddr>,
    /// From the request's end to its being sent to the target.
    pub request_time: Option<Span>,
    /// From then to the beginning of the target's response.
    pub target_time: Option<Span>,
    /// From then to its being sent to the client.
    pub response_time: Option<Span>,
    /// What the client was answered with.
    pub status: Option<u16>,
    /// What the target answered with.
    pub target_status: Option<u16>,
    /// Bytes from the client, heads included.
    pub received: u64,
    /// Bytes to the client, heads included.
    pub sent: u64,
    /// The method; none: there was no request that could be read.
    pub method: Option<&'a str>,
    /// The host without a port.
    pub host: &'a str,
    /// The listener's port.
    pub port: u16,
    /// Path and query.
    pub path_and_query: &'a str,
    /// `HTTP/1.1`, as the client spoke.
    pub version: &'a str,
    /// Its `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// The TLS session's cipher suite and protocol, by OpenSSL's names.
    pub tls: Option<(&'a str, &'a str)>,
    /// The target group.
    pub group: Option<&'a TargetGroupArn>,
    /// Its `X-Amzn-Trace-Id`.
    pub trace_id: Option<&'a str>,
    /// The name that the client asked for in TLS.
    pub server_name: Option<&'a str>,
    /// The certificate's ARN.
    pub certificate: Option<&'a str>,
    /// The priority of the rule that it met, 0 for the default one; none: it was answered before
    /// rules were asked.
    pub rule_priority: Option<u32>,
    /// What was done: `forward`, `redirect`, `fixed-response`; none: nothing.
    pub action: Option<&'a str>,
    /// Where it was redirected.
    pub redirect: Option<&'a str>,
    /// Why nothing could be done, by the guide's codes.
    pub error_reason: Option<&'a str>,
    /// Where it was sent, one after the other.
    pub targets: &'a [SocketAddr],
    /// What these answered with.
    pub target_statuses: &'a [u16],
    /// `Acceptable`, `Ambiguous` or `Severe`, and why; none: it is compliant.
    pub classification: Option<(&'a str, &'a str)>,
    /// What the connection is known by: `TID_` and 32 hexadecimal digits.
    pub connection_id: Option<&'a str>,
}

impl LogType {
    /// The guide's word.
    pub fn name(self) -> &'static str {
        match self {
            LogType::Http => "http",
            LogType::Https => "https",
            LogType::H2 => "h2",
            LogType::Grpcs => "grpcs",
            LogType::Ws => "ws",
            LogType::Wss => "wss",
        }
    }

    fn scheme(self) -> &'static str {
        match self {
            LogType::Http => "http",
            LogType::Https | LogType::H2 | LogType::Grpcs => "https",
            LogType::Ws => "ws",
            LogType::Wss => "wss",
        }
    }
}

impl AccessLogEntry<'_> {
    /// Its line, without an end of line, which nothing in it can make.
    pub fn line(&self) -> String {
        let mut line = Line(String::with_capacity(512));
        line.plain(self.kind.name());
        line.plain(&time(self.ended));
        line.plain(&balancer_path(self.balancer, '/'));
        line.plain(&self.client.to_string());
        line.plain_or_dash(self.target.map(|target| target.to_string()));
        for span in [self.request_time, self.target_time, self.response_time] {
            line.plain(&seconds(span));
        }
        line.plain_or_dash(self.status.map(|status| status.to_string()));
        line.plain_or_dash(self.target_status.map(|status| status.to_string()));
        line.plain(&self.received.to_string());
        line.plain(&self.sent.to_string());
        line.quoted(&self.request());
        let agent = self.user_agent.unwrap_or("-");
        line.quoted(cut(agent, MAX_USER_AGENT));
        let (cipher, protocol) = self.tls.unwrap_or(("-", "-"));
        line.plain(cipher);
        line.plain(protocol);
        line.plain_or_dash(self.group.map(ToString::to_string));
        line.quoted(self.trace_id.unwrap_or("-"));
        line.quoted(self.server_name.unwrap_or("-"));
        line.quoted(self.certificate.unwrap_or("-"));
        line.plain_or_dash(self.rule_priority.map(|priority| priority.to_string()));
        line.plain(&time(self.created));
        line.quoted(self.action.unwrap_or("-"));
        line.quoted(self.redirect.unwrap_or("-"));
        line.quoted(self.error_reason.unwrap_or("-"));
        line.quoted(&listed(self.targets));
        line.quoted(&listed(self.target_statuses));
        let (class, why) = self.classification.unwrap_or(("-", "-"));
        line.quoted(class);
        line.quoted(why);
        line.plain(self.connection_id.unwrap_or("-"));
        line.0
    }

    /// Method, URL and version; a dash each where there was no request.
    fn request(&self) -> String {
        let scheme = self.kind.scheme();
        let (host, port, target) = (self.host, self.port, self.path_and_query);
        match self.method {
            Some(method) => {
                format!("{method} {scheme}://{host}:{port}{target} {}", self.version)
            }
            None => format!("- {scheme}://{host}:{port}- -"),
        }
    }
}

struct Line(String);

impl Line {
    fn part(&mut self) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
    }

    /// What stands without quotes can't have a space.
    fn plain(&mut self, text: &str) {
        self.part();
        self.escaped(text, b' ');
    }

    fn plain_or_dash(&mut self, text: Option<String>) {
        self.plain(text.as_deref().unwrap_or("-"));
    }

    fn quoted(&mut self, text: &str) {
        self.part();
        self.0.push('"');
        self.escaped(text, b'"');
        self.0.push('"');
    }

    /// What isn't printable ASCII, would end the field, or begins such an escape, as `\x22`.
    fn escaped(&mut self, text: &str, end: u8) {
        for byte in text.bytes() {
            if (0x20..0x7f).contains(&byte) && byte != end && byte != b'\\' {
                self.0.push(char::from(byte));
            } else {
                write!(self.0, "\\x{byte:02X}").expect("a string takes everything");
            }
        }
    }
}

/// As much of a text as so many bytes are.
fn cut(text: &str, longest: usize) -> &str {
    let mut end = longest.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Several in a row, parted by spaces; a dash for none.
fn listed<T: ToString>(several: &[T]) -> String {
    match several {
        [] => "-".to_owned(),
        several => {
            let texts: Vec<String> = several.iter().map(T::to_string).collect();
            texts.join(" ")
        }
    }
}

fn seconds(span: Option<Span>) -> String {
    span.map_or_else(
        || "-1".to_owned(),
        |span| {
            let milliseconds = span.0 / 1000;
            format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
        },
    )
}

/// `2026-11-24T02:05:09.123000Z`: with microseconds, of which clocks here know none.
fn time(at: Timestamp) -> String {
    let text = at.to_string();
    let whole = text.strip_suffix('Z').unwrap_or(&text);
    format!("{whole}.{:03}000Z", at.0 % 1000)
}

/// `app/NAME/ID`, or with another mark between.
fn balancer_path(arn: &LoadBalancerArn, mark: char) -> String {
    format!("{}{mark}{}{mark}{}", arn.kind.path(), arn.name, arn.id)
}

/// The key of a file of lines that ended by `end`, in the bucket of `access_logs.s3.bucket` under
/// the prefix (perhaps empty) of `access_logs.s3.prefix`. `node` is the address of the node that
/// wrote it, `random` tells it from others.
pub fn log_key(
    prefix: &str,
    balancer: &LoadBalancerArn,
    end: Timestamp,
    node: IpAddr,
    random: u64,
) -> String {
    let (account, region) = (balancer.account, balancer.region);
    let seconds = end.0 / 1000;
    let (year, month, day) = date_of(seconds / SECONDS_PER_DAY);
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    let start = match prefix {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    let name = balancer_path(balancer, '.');
    format!(
        "{start}AWSLogs/{account}/elasticloadbalancing/{region}/{year:04}/{month:02}/{day:02}/\
         {account}_elasticloadbalancing_{region}_{name}_\
         {year:04}{month:02}{day:02}T{hour:02}{minute:02}Z_{node}_{:08x}.log.gz",
        random >> 32
    )
}

/// The key of the file that shows, when logs are switched on, that they can be written.
pub fn test_key(prefix: &str, balancer: &LoadBalancerArn) -> String {
    let account = balancer.account;
    match prefix {
        "" => format!("AWSLogs/{account}/ELBAccessLogTestFile"),
        prefix => format!("{prefix}/AWSLogs/{account}/ELBAccessLogTestFile"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balancer() -> LoadBalancerArn {
        "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/shop/\
         0123456789abcdef"
            .parse()
            .unwrap()
    }

    fn entry(balancer: &LoadBalancerArn) -> AccessLogEntry<'_> {
        AccessLogEntry {
            kind: LogType::Http,
            ended: Timestamp(1_795_485_909_123),
            created: Timestamp(1_795_485_909_000),
            balancer,
            client: "127.64.1.1:2817".parse().unwrap(),
            target: Some("127.1.1.11:8080".parse().unwrap()),
            request_time: Some(Span(0)),
            target_time: Some(Span(1_234_567)),
            response_time: None,
            status: Some(200),
            target_status: Some(200),
            received: 34,
            sent: 366,
            method: Some("GET"),
            host: "www.example.com",
            port: 80,
            path_and_query: "/?a=b",
            version: "HTTP/1.1",
            user_agent: Some("curl/7.88"),
            tls: None,
            group: None,
            trace_id: Some("Root=1-58337262-36d228ad5d99923122bbe354"),
            server_name: None,
            certificate: None,
            rule_priority: Some(0),
            action: Some("forward"),
            redirect: None,
            error_reason: None,
            targets: &[],
            target_statuses: &[200, 201],
            classification: None,
            connection_id: None,
        }
    }

    #[test]
    fn a_line_has_the_guides_fields_in_its_order() {
        let balancer = balancer();
        let expected = "http 2026-11-24T02:05:09.123000Z app/shop/0123456789abcdef \
            127.64.1.1:2817 127.1.1.11:8080 0.000 1.234 -1 200 200 34 366 \
            \"GET http://www.example.com:80/?a=b HTTP/1.1\" \"curl/7.88\" - - - \
            \"Root=1-58337262-36d228ad5d99923122bbe354\" \"-\" \"-\" 0 \
            2026-11-24T02:05:09.000000Z \"forward\" \"-\" \"-\" \"-\" \"200 201\" \"-\" \"-\" -";
        assert_eq!(entry(&balancer).line(), expected);
    }

    #[test]
    fn nothing_that_a_client_sends_ends_a_field_or_a_line() {
        let balancer = balancer();
        let long = "ü".repeat(MAX_USER_AGENT);
        for agent in ["a\"b\r\nc\\d\u{7f}ü", long.as_str()] {
            let line = AccessLogEntry {
                user_agent: Some(agent),
                path_and_query: "/\" \n",
                trace_id: Some("\"\""),
                ..entry(&balancer)
            }
            .line();
            assert!(line.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            let plain = entry(&balancer).line();
            assert_eq!(line.matches('"').count(), plain.matches('"').count());
            assert!(line.len() < 5 * MAX_USER_AGENT, "{}", line.len());
        }
        let escaped = AccessLogEntry {
            user_agent: Some("a\"b\\"),
            ..entry(&balancer)
        };
        assert!(escaped.line().contains(r#" "a\x22b\x5C" "#));
    }

    #[test]
    fn files_stand_where_the_guide_says() {
        let key = log_key(
            "logs",
            &balancer(),
            Timestamp(1_795_485_909_123),
            IpAddr::from([127, 32, 1, 1]),
            0x1234_5678_9abc_def0,
        );
        let expected = "logs/AWSLogs/111122223333/elasticloadbalancing/us-east-1/2026/11/24/\
            111122223333_elasticloadbalancing_us-east-1_app.shop.0123456789abcdef_\
            20261124T0205Z_127.32.1.1_12345678.log.gz";
        assert_eq!(key, expected);
        let test = "AWSLogs/111122223333/ELBAccessLogTestFile";
        assert_eq!(test_key("", &balancer()), test);
    }
}
