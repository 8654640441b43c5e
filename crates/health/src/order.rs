//! From a health check to the probe that carries it out: where to, how often, how long each step
//! may take. Plain functions of the check and the deployment's settings.

use std::net::{IpAddr, SocketAddr};

use types::{HealthCheck, HttpProbe, Probe, ProbeOrder, ProbeTimeouts, Span, Tls};

use crate::limits::{
    BODY_TIMEOUT, HTTP_CONNECT_TIMEOUT, MAXIMUM_INTERVAL, MINIMUM_INTERVAL, RESPONSE_TIMEOUT,
    TCP_CONNECT_TIMEOUT, TIMEOUT_FLOOR, TIMEOUT_PER_INTERVAL,
};

/// What a deployment sets for all its health checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    interval: Option<Span>,
}

/// A setting is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The interval is too short or too long.
    #[error(
        "an interval of {0}; health checks can be made every {MINIMUM_INTERVAL} to \
         {MAXIMUM_INTERVAL}"
    )]
    Interval(Span),
}

/// Where a check's endpoint is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Endpoint<'a> {
    /// At this address.
    Address(SocketAddr),
    /// At the address that this name has now, IPv4 only.
    Name(&'a str),
}

impl Settings {
    /// With that interval for all checks, whatever theirs are; `None`: each has its own, and the
    /// service's time-outs.
    ///
    /// # Errors
    /// The interval is out of range.
    pub fn new(interval: Option<Span>) -> Result<Settings, SettingsError> {
        match interval {
            Some(interval) if !(MINIMUM_INTERVAL..=MAXIMUM_INTERVAL).contains(&interval) => {
                Err(SettingsError::Interval(interval))
            }
            interval => Ok(Settings { interval }),
        }
    }

    /// From the end of one probe of the check to the start of the next.
    pub fn interval(self, check: &HealthCheck) -> Span {
        self.interval.unwrap_or(check.interval)
    }

    /// How long the steps of a probe of the check may take: the service's time-outs, and with an
    /// interval set by the deployment no more than fits it.
    pub fn timeouts(self, check: &HealthCheck) -> ProbeTimeouts {
        let (numerator, denominator) = TIMEOUT_PER_INTERVAL;
        let fits = self.interval.map_or(Span(u64::MAX), |interval| {
            Span(interval.0 * numerator / denominator).max(TIMEOUT_FLOOR)
        });
        let connect = match check.probe {
            Probe::Tcp => TCP_CONNECT_TIMEOUT,
            Probe::Http(_) | Probe::Http2(_) | Probe::Grpc(_) => HTTP_CONNECT_TIMEOUT,
        };
        ProbeTimeouts {
            connect: connect.min(fits),
            response: RESPONSE_TIMEOUT.min(fits),
            body: BODY_TIMEOUT.min(fits),
        }
    }
}

/// Where the check's endpoint is; `None` if the check has neither address nor name.
pub fn endpoint(check: &HealthCheck) -> Option<Endpoint<'_>> {
    match (check.address, &check.name) {
        (Some(address), _) => Some(Endpoint::Address(SocketAddr::new(address, check.port))),
        (None, Some(name)) => Some(Endpoint::Name(name)),
        (None, None) => None,
    }
}

/// The probe of the check at that address. Whoever calls has seen that the address is allowed.
pub fn order(check: &HealthCheck, address: IpAddr, settings: Settings) -> ProbeOrder {
    ProbeOrder {
        id: check.id.clone(),
        endpoint: SocketAddr::new(address, check.port),
        name: check.name.clone(),
        probe: check.probe.clone(),
        timeouts: settings.timeouts(check),
    }
}

/// Tells what is probed apart: two checks of the same fingerprint ask the same of the same
/// endpoint. How often and with what threshold isn't part of it, nor what is made of the result.
/// FNV-1a, 64 bits, over the fields: the same at every site and in every version.
pub fn fingerprint(check: &HealthCheck) -> u64 {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    match check.address {
        None => hash.field(&[0]),
        Some(IpAddr::V4(address)) => hash.field(&address.octets()),
        Some(IpAddr::V6(address)) => hash.field(&address.octets()),
    }
    hash.optional(check.name.as_deref());
    hash.field(&check.port.to_be_bytes());
    match &check.probe {
        Probe::Tcp => hash.field(b"tcp"),
        Probe::Http(http) => hash.http(http),
        Probe::Http2(http) => {
            hash.field(b"http2");
            hash.http(http);
        }
        Probe::Grpc(http) => {
            hash.field(b"grpc");
            hash.http(http);
        }
    }
    hash.0
}

struct Fnv(u64);

impl Fnv {
    /// A field with its length before it, so that no two sequences of fields read alike.
    fn field(&mut self, bytes: &[u8]) {
        for byte in (bytes.len() as u64).to_be_bytes().iter().chain(bytes) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn http(&mut self, http: &HttpProbe) {
        self.field(match http.tls {
            None => b"http",
            Some(Tls { server_name: false }) => b"https",
            Some(Tls { server_name: true }) => b"https with name",
        });
        self.field(http.path.as_bytes());
        self.optional(http.search.as_deref());
    }

    fn optional(&mut self, text: Option<&str>) {
        self.field(&[u8::from(text.is_some())]);
        self.field(text.unwrap_or_default().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::HealthCheckId;

    fn check() -> HealthCheck {
        HealthCheck {
            id: HealthCheckId("one".to_owned()),
            probe: Probe::Http(HttpProbe {
                tls: None,
                path: "/health".to_owned(),
                search: None,
            }),
            address: Some(IpAddr::from([127, 1, 1, 1])),
            name: Some("app.example.com".to_owned()),
            port: 8080,
            interval: Span::seconds(30),
            threshold: 3,
            inverted: false,
            disabled: false,
        }
    }

    fn set(milliseconds: u64) -> Settings {
        Settings::new(Some(Span::milliseconds(milliseconds))).unwrap()
    }

    #[test]
    fn an_interval_has_its_bounds() {
        for milliseconds in [0, 199, 30_001] {
            let interval = Span::milliseconds(milliseconds);
            assert_eq!(
                Settings::new(Some(interval)),
                Err(SettingsError::Interval(interval))
            );
        }
        for milliseconds in [200, 30_000] {
            assert_eq!(
                set(milliseconds).interval(&check()),
                Span::milliseconds(milliseconds)
            );
        }
        let none = Settings::new(None).unwrap();
        assert_eq!(none.interval(&check()), Span::seconds(30));
        assert_eq!(
            SettingsError::Interval(Span::milliseconds(100)).to_string(),
            "an interval of 100 ms; health checks can be made every 200 ms to 30000 ms"
        );
    }

    #[test]
    fn time_outs_are_the_services_and_shorter_where_an_interval_is_set() {
        let milliseconds = |settings: Settings, check: &HealthCheck| {
            let timeouts = settings.timeouts(check);
            [timeouts.connect, timeouts.response, timeouts.body].map(|span| span.0 / 1000)
        };
        let tcp = HealthCheck {
            probe: Probe::Tcp,
            ..check()
        };
        let none = Settings::new(None).unwrap();
        assert_eq!(milliseconds(none, &check()), [4_000, 2_000, 2_000]);
        assert_eq!(milliseconds(none, &tcp), [10_000, 2_000, 2_000]);
        assert_eq!(milliseconds(set(200), &check()), [350, 350, 350]);
        assert_eq!(milliseconds(set(1_000), &check()), [1_500, 1_500, 1_500]);
        assert_eq!(milliseconds(set(30_000), &check()), [4_000, 2_000, 2_000]);
        assert_eq!(milliseconds(set(30_000), &tcp)[0], 10_000);
    }

    #[test]
    fn a_fingerprint_is_of_what_is_probed_alone() {
        let before = fingerprint(&check());
        let same = HealthCheck {
            id: HealthCheckId("two".to_owned()),
            interval: Span::seconds(10),
            threshold: 1,
            inverted: true,
            disabled: true,
            ..check()
        };
        assert_eq!(fingerprint(&same), before);
        let mut others = vec![before];
        let mut other = |change: &dyn Fn(&mut HealthCheck)| {
            let mut changed = check();
            change(&mut changed);
            others.push(fingerprint(&changed));
        };
        other(&|check| check.address = None);
        other(&|check| check.address = Some(IpAddr::from([127, 1, 1, 2])));
        other(&|check| check.name = None);
        other(&|check| check.name = Some(String::new()));
        other(&|check| check.port = 8081);
        other(&|check| check.probe = Probe::Tcp);
        for by in [Probe::Http2, Probe::Grpc] {
            other(&|check| {
                check.probe = by(HttpProbe {
                    tls: None,
                    path: "/health".to_owned(),
                    search: None,
                });
            });
        }
        for tls in [false, true] {
            other(&|check| {
                check.probe = Probe::Http(HttpProbe {
                    tls: Some(Tls { server_name: tls }),
                    path: "/health".to_owned(),
                    search: None,
                });
            });
        }
        other(&|check| {
            check.probe = Probe::Http(HttpProbe {
                tls: None,
                path: "/health".to_owned(),
                search: Some(String::new()),
            });
        });
        let count = others.len();
        others.sort_unstable();
        others.dedup();
        assert_eq!(others.len(), count);
    }

    #[test]
    fn a_fingerprint_is_the_same_in_every_version() {
        assert_eq!(fingerprint(&check()), 0xbb94_23e3_ae24_a61a);
    }
}
