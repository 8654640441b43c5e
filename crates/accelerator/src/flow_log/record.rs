//! A record's line, and the key under which a file of lines is kept. It keeps nothing.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use types::calendar::{SECONDS_PER_DAY, date_of};
use types::{AccountId, Region, SiteName, Timestamp};

use crate::model::{AcceleratorId, FlowLogs, Protocol};

/// What a file begins with: the fields' names, in order.
pub const HEADER: &str = "version aws_account_id accelerator_id client_ip client_port \
    accelerator_ip accelerator_port endpoint_ip endpoint_port protocol ip_address_type packets \
    bytes start_time end_time action log_status globalaccelerator_source_ip \
    globalaccelerator_source_port endpoint_region globalaccelerator_region direction vpc_id";

/// The records' version: the one with `vpc_id`, for all of a file's records, since they stand under
/// one header. (The service has it for those alone whose client's address is preserved.)
const VERSION: &str = "2.0";

/// Where the service keeps logs of all accelerators: the Region of its only endpoint.
const LOG_REGION: &str = "us-west-2";

/// The longest key of an object, in bytes (S3 User Guide, "Naming Amazon S3 objects").
pub(crate) const MAX_KEY: usize = 1024;

/// Whose flows are logged, and where to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FlowLogPlace {
    /// Whose accelerator it is.
    pub account: AccountId,
    /// The accelerator.
    pub accelerator: AcceleratorId,
    /// The bucket.
    pub bucket: String,
    /// What the keys of objects begin with; it may be empty.
    pub prefix: String,
}

impl FlowLogPlace {
    /// Where the flows of that account's accelerator are logged; none if they aren't.
    pub(crate) fn of(
        account: AccountId,
        accelerator: &AcceleratorId,
        logs: &FlowLogs,
    ) -> Option<FlowLogPlace> {
        let bucket = logs.bucket.clone().filter(|_| logs.enabled)?;
        Some(FlowLogPlace {
            account,
            accelerator: accelerator.clone(),
            bucket,
            prefix: logs.prefix.clone().unwrap_or_default(),
        })
    }
}

/// Which way packets went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the client.
    Ingress,
    /// To the client.
    Egress,
}

/// What one direction of a flow was in a window.
#[derive(Clone, Copy, Debug)]
pub struct FlowLogRecord {
    /// The client.
    pub client: SocketAddr,
    /// The static address and port that it came to.
    pub accelerator: SocketAddr,
    /// Where it was carried.
    pub endpoint: SocketAddr,
    /// By what.
    pub protocol: Protocol,
    /// Packets of the window, 0 or more.
    pub packets: u64,
    /// Their bytes, without headers.
    pub bytes: u64,
    /// When the window began.
    pub start: Timestamp,
    /// When it ended, not before it began.
    pub end: Timestamp,
    /// From where the edge talks to the endpoint; none: it isn't known.
    pub source: Option<SocketAddr>,
    /// Is the endpoint told the client's address? Then `source` isn't shown, as the service has it.
    pub preserves_client: bool,
    /// The endpoint's Region.
    pub region: Region,
    /// Which way.
    pub direction: Direction,
}

impl FlowLogRecord {
    /// Adds its line, with an end of line, of that accelerator's flow at that edge.
    pub(crate) fn write(&self, place: &FlowLogPlace, edge: SiteName, line: &mut String) {
        let protocol = match self.protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        };
        let family = match self.client.ip().to_canonical() {
            IpAddr::V4(_) => "IPV4",
            IpAddr::V6(_) => "IPV6",
        };
        let (source, source_port) = match self.source.filter(|_| !self.preserves_client) {
            Some(source) => (source.ip().to_canonical().to_string(), source.port()),
            None => ("-".to_owned(), 0),
        };
        let direction = match self.direction {
            Direction::Ingress => "INGRESS",
            Direction::Egress => "EGRESS",
        };
        let FlowLogPlace {
            account,
            accelerator,
            ..
        } = place;
        let AcceleratorId(id) = accelerator;
        let [client, fixed, endpoint] = [self.client, self.accelerator, self.endpoint];
        let (packets, bytes, region) = (self.packets, self.bytes, self.region);
        let (start, end) = (self.start.0 / 1000, self.end.0 / 1000);
        writeln!(
            line,
            "{VERSION} {account} {id} {} {} {} {} {} {} {protocol} {family} {packets} {bytes} \
             {start} {end} ACCEPT OK {source} {source_port} {region} {edge} {direction} -",
            client.ip().to_canonical(),
            client.port(),
            fixed.ip().to_canonical(),
            fixed.port(),
            endpoint.ip().to_canonical(),
            endpoint.port(),
        )
        .expect("a string takes everything");
    }
}

/// Adds the line that tells of records which were skipped between two times: what doesn't apply is
/// a dash.
pub(crate) fn write_skipped(
    place: &FlowLogPlace,
    edge: SiteName,
    (from, to): (Timestamp, Timestamp),
    line: &mut String,
) {
    let (account, AcceleratorId(id)) = (place.account, &place.accelerator);
    let (start, end) = (from.0 / 1000, to.0 / 1000);
    writeln!(
        line,
        "{VERSION} {account} {id} - - - - - - - - - - {start} {end} - SKIPDATA - - - {edge} - -"
    )
    .expect("a string takes everything");
}

/// What the keys of an account's logs begin with under that prefix, a slash at its end: what a
/// bucket's policy must let the delivery write to. A prefix that ends with a slash gets no other
/// (the guide: `/` makes `BUCKET//AWSLogs`).
pub(crate) fn log_directory(prefix: &str, account: AccountId) -> String {
    let slash = match prefix.is_empty() || prefix.ends_with('/') {
        true => "",
        false => "/",
    };
    format!("{prefix}{slash}AWSLogs/{account}/globalaccelerator/{LOG_REGION}/")
}

/// The key of a file that was closed at `end`; `random` makes it another than that of any other
/// edge of the same minute.
pub(crate) fn log_key(place: &FlowLogPlace, end: Timestamp, random: u64) -> String {
    let seconds = end.0 / 1000;
    let (year, month, day) = date_of(seconds / SECONDS_PER_DAY);
    let minutes = seconds % SECONDS_PER_DAY / 60;
    let (hour, minute) = (minutes / 60, minutes % 60);
    let (account, AcceleratorId(id)) = (place.account, &place.accelerator);
    let directory = log_directory(&place.prefix, account);
    // Half of the random bits are thrown away on purpose: the service's hashes have 8 digits.
    let hash = random as u32;
    format!(
        "{directory}{year:04}/{month:02}/{day:02}/{account}_globalaccelerator_{id}_\
         {year:04}{month:02}{day:02}T{hour:02}{minute:02}Z_{hash:08x}.log.gz"
    )
}

/// How many bytes the keys of an accelerator's logs have under that prefix.
pub(crate) fn log_key_bytes(place: &FlowLogPlace) -> usize {
    log_key(place, Timestamp(0), 0).len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(prefix: &str) -> FlowLogPlace {
        FlowLogPlace {
            account: AccountId::LAB,
            accelerator: AcceleratorId("1234abcd-abcd-4234-abcd-1234abcdef00".to_owned()),
            bucket: "logs".to_owned(),
            prefix: prefix.to_owned(),
        }
    }

    fn record() -> FlowLogRecord {
        FlowLogRecord {
            client: "127.64.1.9:40000".parse().unwrap(),
            accelerator: "127.80.0.1:443".parse().unwrap(),
            endpoint: "127.1.1.1:8443".parse().unwrap(),
            protocol: Protocol::Tcp,
            packets: 12,
            bytes: 3456,
            start: Timestamp(1_580_605_194_999),
            end: Timestamp(1_580_605_204_000),
            source: Some("127.0.0.1:50000".parse().unwrap()),
            preserves_client: false,
            region: "us-east-1".parse().unwrap(),
            direction: Direction::Ingress,
        }
    }

    fn line(record: &FlowLogRecord) -> String {
        let mut line = String::new();
        let edge = "edge-1".parse().unwrap();
        record.write(&place(""), edge, &mut line);
        line
    }

    #[test]
    fn the_golden_line_of_a_record() {
        let golden = "2.0 111122223333 1234abcd-abcd-4234-abcd-1234abcdef00 127.64.1.9 40000 \
            127.80.0.1 443 127.1.1.1 8443 TCP IPV4 12 3456 1580605194 1580605204 ACCEPT OK \
            127.0.0.1 50000 us-east-1 edge-1 INGRESS -\n";
        assert_eq!(line(&record()), golden);
        let fields = HEADER.split(' ').count();
        assert_eq!(fields, 23);
        assert_eq!(golden.trim().split(' ').count(), fields);
    }

    #[test]
    fn the_golden_line_of_a_client_of_ipv6_at_an_endpoint_of_ipv4() {
        let mixed = FlowLogRecord {
            client: "[2001:db8::9]:40000".parse().unwrap(),
            accelerator: "[fd00:80::8000:0:0:1]:443".parse().unwrap(),
            ..record()
        };
        let golden = "2.0 111122223333 1234abcd-abcd-4234-abcd-1234abcdef00 2001:db8::9 40000 \
            fd00:80::8000:0:0:1 443 127.1.1.1 8443 TCP IPV6 12 3456 1580605194 1580605204 ACCEPT \
            OK 127.0.0.1 50000 us-east-1 edge-1 INGRESS -\n";
        assert_eq!(line(&mixed), golden);
        assert_eq!(golden.trim().split(' ').count(), 23);
    }

    #[test]
    fn what_is_not_known_or_not_shown_is_a_dash() {
        let preserved = FlowLogRecord {
            preserves_client: true,
            client: "[2001:db8::1]:1".parse().unwrap(),
            protocol: Protocol::Udp,
            direction: Direction::Egress,
            ..record()
        };
        let shown = line(&preserved);
        assert!(shown.contains(" 2001:db8::1 1 127.80.0.1 443 "), "{shown}");
        assert!(shown.contains(" UDP IPV6 "), "{shown}");
        assert!(
            shown.ends_with(" OK - 0 us-east-1 edge-1 EGRESS -\n"),
            "{shown}"
        );
        let mut skipped = String::new();
        let span = (Timestamp(1_000), Timestamp(61_999));
        write_skipped(&place(""), "edge-2".parse().unwrap(), span, &mut skipped);
        let golden = "2.0 111122223333 1234abcd-abcd-4234-abcd-1234abcdef00 - - - - - - - - - - \
            1 61 - SKIPDATA - - - edge-2 - -\n";
        assert_eq!(skipped, golden);
        assert_eq!(golden.trim().split(' ').count(), 23);
    }

    #[test]
    fn the_golden_keys_of_files() {
        // 2018-11-23T00:05:59Z.
        let end = Timestamp(1_542_931_559_000);
        let tail = "AWSLogs/111122223333/globalaccelerator/us-west-2/2018/11/23/\
            111122223333_globalaccelerator_1234abcd-abcd-4234-abcd-1234abcdef00_\
            20181123T0005Z_0fb12345.log.gz";
        for (prefix, shown) in [
            ("", ""),
            ("prefix1", "prefix1/"),
            ("prefix1/", "prefix1/"),
            ("/", "/"),
            ("a/b", "a/b/"),
        ] {
            let place = place(prefix);
            let key = log_key(&place, end, 0xffff_ffff_0fb1_2345);
            assert_eq!(key, format!("{shown}{tail}"));
            assert_eq!(log_key_bytes(&place), key.len());
            assert!(key.starts_with(&log_directory(prefix, AccountId::LAB)));
        }
    }
}
