//! An accelerator as it stands in the configuration: JSON with a version. What a newer program
//! wrote is refused, never guessed at.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::{Accelerator, EndpointTarget, IpAddressType};

/// The newest version that this code reads, and the one that it writes of an accelerator with
/// static IPv6 addresses. Programs of before would serve one, and know nothing of its rules.
pub const FORMAT: u32 = 4;

/// The version that it writes of one whose flows are logged: programs of formats 1 and 2 would take
/// it for one whose flows aren't.
const FORMAT_OF_FLOW_LOGS: u32 = 3;

/// The version that it writes of one with load balancers among its endpoints, which the first
/// programs don't know.
const FORMAT_OF_BALANCERS: u32 = 2;

/// The version that it writes of any other: all programs read it.
const FORMAT_OF_ADDRESSES: u32 = 1;

/// Bytes that are no accelerator.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CodecError {
    /// A newer program wrote it.
    #[error(
        "an accelerator is stored in format {0}, and this program reads up to format {FORMAT}: \
         it is too old for this deployment"
    )]
    Newer(u32),
    /// It isn't what any program wrote.
    #[error("an accelerator can't be read: {0}")]
    Malformed(String),
}

/// What every version has.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    accelerator: &'a Accelerator,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[serde(rename = "format")]
    _format: u32,
    accelerator: Accelerator,
}

/// The bytes of an accelerator.
pub fn encode(accelerator: &Accelerator) -> Bytes {
    let written = Written {
        format: least_format(accelerator),
        accelerator,
    };
    let bytes = serde_json::to_vec(&written);
    bytes
        .expect("an accelerator is texts and numbers with string keys")
        .into()
}

/// Reads an accelerator back.
///
/// # Errors
///
/// [`CodecError`]: the bytes are not what [`encode`] writes.
pub fn decode(bytes: &[u8]) -> Result<Accelerator, CodecError> {
    let malformed = |error: serde_json::Error| CodecError::Malformed(error.to_string());
    let version: Version = serde_json::from_slice(bytes).map_err(malformed)?;
    if version.format > FORMAT {
        return Err(CodecError::Newer(version.format));
    }
    if version.format == 0 {
        return Err(CodecError::Malformed("it has format 0".to_owned()));
    }
    let read: Read = serde_json::from_slice(bytes).map_err(malformed)?;
    let (format, least) = (version.format, least_format(&read.accelerator));
    if format < least {
        let what = format!("it has what format {format} doesn't have, and format {least} has");
        return Err(CodecError::Malformed(what));
    }
    Ok(read.accelerator)
}

/// The oldest version that has all that the accelerator has.
fn least_format(accelerator: &Accelerator) -> u32 {
    if has_ipv6(accelerator) {
        FORMAT
    } else if accelerator.flow_logs.enabled {
        FORMAT_OF_FLOW_LOGS
    } else if has_balancers(accelerator) {
        FORMAT_OF_BALANCERS
    } else {
        FORMAT_OF_ADDRESSES
    }
}

fn has_ipv6(accelerator: &Accelerator) -> bool {
    let mut addresses = accelerator.addresses.iter();
    accelerator.ip_address_type == IpAddressType::DualStack
        || addresses.any(|address| address.is_ipv6())
}

fn has_balancers(accelerator: &Accelerator) -> bool {
    let listeners = accelerator.listeners.iter();
    let groups = listeners.flat_map(|listener| &listener.groups);
    let mut endpoints = groups.flat_map(|group| &group.endpoints);
    endpoints.any(|endpoint| matches!(endpoint.target, EndpointTarget::Balancer(_)))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::model::*;

    fn accelerator() -> Accelerator {
        let made_by = |token: &str| MadeBy {
            token: token.to_owned(),
            digest: "00000000000000ff".to_owned(),
        };
        let group = EndpointGroup {
            id: EndpointGroupId("098765fedcba".to_owned()),
            region: "us-east-1".parse().unwrap(),
            made_by: made_by("c"),
            tags: [("t".to_owned(), "v".to_owned())].into(),
            dial: TrafficDial(33_300),
            check: CheckSettings {
                protocol: CheckProtocol::Http,
                port: Some(8080),
                path: Some("/ready".to_owned()),
                interval: 10,
                threshold: 3,
            },
            overrides: [(80, 8080)].into(),
            endpoints: vec![Endpoint {
                target: EndpointTarget::Address("127.1.1.1".parse().unwrap()),
                weight: 128,
                preserves_client: true,
            }],
        };
        let listener = Listener {
            id: ListenerId("0123abcd".to_owned()),
            protocol: Protocol::Tcp,
            ports: vec![PortRange { from: 80, to: 81 }],
            affinity: ClientAffinity::SourceIp,
            made_by: made_by("b"),
            tags: Default::default(),
            groups: vec![group],
        };
        Accelerator {
            id: AcceleratorId("1234abcd-abcd-4234-abcd-1234abcdef00".to_owned()),
            account: types::AccountId::LAB,
            name: "shop".to_owned(),
            ip_address_type: IpAddressType::Ipv4,
            enabled: true,
            addresses: ["127.80.0.1", "127.81.0.1"]
                .map(|it| it.parse().unwrap())
                .into(),
            dns_label: "a0123456789abcdef".to_owned(),
            created: types::Timestamp(1),
            modified: types::Timestamp(2),
            made_by: made_by("a"),
            tags: Default::default(),
            flow_logs: FlowLogs {
                enabled: false,
                bucket: Some("logs".to_owned()),
                prefix: None,
            },
            listeners: vec![listener],
        }
    }

    /// What programs of format 1 wrote. It is never edited: rows of before must be read for ever.
    const GOLDEN: &str = concat!(
        r#"{"format":1,"accelerator":{"id":"1234abcd-abcd-4234-abcd-1234abcdef00","#,
        r#""account":"111122223333","name":"shop","ip_address_type":"Ipv4","enabled":true,"#,
        r#""addresses":["127.80.0.1","127.81.0.1"],"dns_label":"a0123456789abcdef","#,
        r#""created":1,"modified":2,"made_by":{"token":"a","digest":"00000000000000ff"},"#,
        r#""tags":{},"flow_logs":{"bucket":"logs","prefix":null},"listeners":[{"id":"0123abcd","#,
        r#""protocol":"Tcp","ports":[{"from":80,"to":81}],"affinity":"SourceIp","#,
        r#""made_by":{"token":"b","digest":"00000000000000ff"},"tags":{},"groups":[{"#,
        r#""id":"098765fedcba","region":"us-east-1","#,
        r#""made_by":{"token":"c","digest":"00000000000000ff"},"tags":{"t":"v"},"dial":33300,"#,
        r#""check":{"protocol":"Http","port":8080,"path":"/ready","interval":10,"threshold":3},"#,
        r#""overrides":{"80":8080},"endpoints":[{"target":{"Address":"127.1.1.1"},"#,
        r#""weight":128,"preserves_client":true}]}]}]}}"#,
    );

    #[test]
    fn the_golden_bytes_of_an_accelerator() {
        assert_eq!(std::str::from_utf8(&encode(&accelerator())), Ok(GOLDEN));
        assert_eq!(decode(GOLDEN.as_bytes()), Ok(accelerator()));
    }

    #[test]
    fn the_golden_bytes_of_an_accelerator_with_a_load_balancer() {
        let arn = "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/it/1";
        let mut with = accelerator();
        with.listeners[0].groups[0].endpoints[0].target = EndpointTarget::Balancer(arn.to_owned());
        let golden = GOLDEN.replace("\"format\":1", "\"format\":2").replace(
            r#"{"Address":"127.1.1.1"}"#,
            &format!(r#"{{"Balancer":"{arn}"}}"#),
        );
        assert_eq!(std::str::from_utf8(&encode(&with)), Ok(&*golden));
        assert_eq!(decode(golden.as_bytes()), Ok(with));
        let older = golden.replace("\"format\":2", "\"format\":1");
        let refused = decode(older.as_bytes());
        assert!(
            matches!(refused, Err(CodecError::Malformed(_))),
            "{refused:?}"
        );
    }

    #[test]
    fn the_golden_bytes_of_an_accelerator_whose_flows_are_logged() {
        let mut logged = accelerator();
        logged.flow_logs.enabled = true;
        let golden = GOLDEN
            .replace("\"format\":1", "\"format\":3")
            .replace("{\"bucket\"", "{\"enabled\":true,\"bucket\"");
        assert_eq!(std::str::from_utf8(&encode(&logged)), Ok(&*golden));
        assert_eq!(decode(golden.as_bytes()), Ok(logged));
        let older = golden.replace("\"format\":3", "\"format\":2");
        let refused = decode(older.as_bytes());
        assert!(
            matches!(refused, Err(CodecError::Malformed(_))),
            "{refused:?}"
        );
    }

    #[test]
    fn the_golden_bytes_of_a_dual_stack_accelerator() {
        let mut dual = accelerator();
        dual.ip_address_type = IpAddressType::DualStack;
        let ipv6 = ["fd00:80::1", "fd00:80::8000:0:0:1"];
        dual.addresses
            .extend(ipv6.map(|it| it.parse::<IpAddr>().unwrap()));
        let golden = GOLDEN
            .replace("\"format\":1", "\"format\":4")
            .replace("\"Ipv4\"", "\"DualStack\"")
            .replace(
                r#""127.81.0.1"]"#,
                r#""127.81.0.1","fd00:80::1","fd00:80::8000:0:0:1"]"#,
            );
        assert_eq!(std::str::from_utf8(&encode(&dual)), Ok(&*golden));
        assert_eq!(decode(golden.as_bytes()), Ok(dual.clone()));
        dual.flow_logs.enabled = true;
        let logged = golden.replace("{\"bucket\"", "{\"enabled\":true,\"bucket\"");
        assert_eq!(std::str::from_utf8(&encode(&dual)), Ok(&*logged));
        assert_eq!(decode(logged.as_bytes()), Ok(dual));
        for older in [1, 2, 3] {
            let older = golden.replace("\"format\":4", &format!("\"format\":{older}"));
            let refused = decode(older.as_bytes());
            assert!(
                matches!(refused, Err(CodecError::Malformed(_))),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn what_a_newer_program_wrote_is_refused_whatever_it_holds() {
        let newer = br#"{"format":5,"accelerator":{"unheard":"of"}}"#;
        assert_eq!(decode(newer), Err(CodecError::Newer(5)));
        let text = decode(newer).unwrap_err().to_string();
        assert!(text.contains("too old for this deployment"), "{text}");
    }

    #[test]
    fn what_no_program_wrote_is_refused() {
        for bytes in [
            "",
            "{}",
            "[]",
            r#"{"format":1}"#,
            r#"{"format":"1","accelerator":{}}"#,
            r#"{"format":1,"accelerator":{}}"#,
            &GOLDEN.replace("\"format\":1", "\"format\":0"),
            &GOLDEN.replace("\"format\":1", "\"format\":1,\"more\":1"),
            &GOLDEN.replace("127.1.1.1", "127.1.1"),
            &GOLDEN.replace("us-east-1", "us-east-9"),
            &GOLDEN.replace("\"weight\":128", "\"weight\":256"),
        ] {
            let error = decode(bytes.as_bytes()).unwrap_err();
            assert!(
                matches!(error, CodecError::Malformed(_)),
                "{bytes}: {error}"
            );
        }
    }
}
