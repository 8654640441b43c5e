//! `TestDNSAnswer`: what a DNS node answers now, to a resolver or a client anywhere.

use std::net::IpAddr;

use crate::access::Allowed;
use crate::request::{Reply, Request, document, zone_id};
use crate::{Name, RecordKind, RoutingError, Service, TestQuestion, catalogue};

/// Bits of a client's network where none are given: IPv4, IPv6.
const MASKS: (u8, u8) = (24, 64);

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let question = read(request)?;
    let (_, zone) = catalogue::zone(&*service.view(), allowed.account(), &question.zone)?;
    let answer = service.config.nodes.test_answer(&question);
    let mut writer = document("TestDNSAnswerResponse");
    writer
        .value(
            "Nameserver",
            zone.name_servers[0].to_string().trim_end_matches('.'),
        )
        .value("RecordName", &question.name)
        .value("RecordType", question.kind)
        .open("RecordData");
    for value in &answer.values {
        writer.value("RecordDataEntry", value);
    }
    writer
        .close()
        .value("ResponseCode", &answer.code)
        .value("Protocol", &answer.protocol);
    Ok(Reply::ok(writer))
}

fn read(request: &Request<'_>) -> Result<TestQuestion, RoutingError> {
    let required = |name: &str| {
        request.parameter(name).ok_or_else(|| {
            RoutingError::invalid(format!("Invalid parameter: {name} must be given."))
        })
    };
    let address = |name: &str| -> Result<Option<IpAddr>, RoutingError> {
        let Some(text) = request.parameter(name) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            RoutingError::invalid(format!("Invalid parameter: {name} is no IP address."))
        })
    };
    let name = required("recordname")?;
    let parsed = Name::parse(name).map_err(|error| {
        let shown: String = name.chars().take(128).collect();
        RoutingError::invalid(format!("FATAL problem: {error} encountered with '{shown}'"))
    })?;
    let kind: RecordKind = required("recordtype")?.parse().map_err(|error| {
        RoutingError::invalid(format!("Invalid parameter: recordtype: {error}"))
    })?;
    let resolver = address("resolverip")?;
    let client = address("edns0clientsubnetip")?;
    let bits = request.parameter("edns0clientsubnetmask");
    let client_subnet = match (client, bits) {
        (None, None) => None,
        (None, Some(_)) => {
            return Err(RoutingError::invalid(
                "Invalid parameter: edns0clientsubnetmask must come with edns0clientsubnetip.",
            ));
        }
        (Some(client), bits) => {
            let (default, most) = if client.is_ipv4() {
                (MASKS.0, 32)
            } else {
                (MASKS.1, 128)
            };
            let bits = bits.map_or(Ok(default), str::parse);
            let bits = bits.ok().filter(|bits| *bits <= most).ok_or_else(|| {
                RoutingError::invalid(format!(
                    "Invalid parameter: edns0clientsubnetmask must be 0 to {most}."
                ))
            })?;
            Some((client, bits))
        }
    };
    Ok(TestQuestion {
        zone: zone_id(required("hostedzoneid")?)?,
        name: parsed,
        kind,
        resolver,
        client_subnet,
    })
}
