//! An accelerator as it stands in the configuration: JSON with a version. What a newer program
//! wrote is refused, never guessed at.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::Accelerator;

/// The version that this code writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

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
        format: FORMAT,
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
    Ok(read.accelerator)
}

#[cfg(test)]
mod tests {
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
    fn what_a_newer_program_wrote_is_refused_whatever_it_holds() {
        let newer = br#"{"format":2,"accelerator":{"unheard":"of"}}"#;
        assert_eq!(decode(newer), Err(CodecError::Newer(2)));
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
