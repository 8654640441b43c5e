//! Requests that nobody sent yet: valid ones, mutated by a seeded generator. Whatever comes, the
//! answer is a document, an error is one of the service's own, and what is refused changes
//! nothing. Bounded, so that it runs with the other tests.

use std::collections::BTreeSet;

use crate::support::{Answer, Api, alias, chosen, values};

/// Requests made of each sample.
const ROUNDS: usize = 1_500;

/// Codes of the API's model that these operations can answer with, and those of AWS's front.
const CODES: [&str; 15] = [
    "HealthCheckAlreadyExists",
    "HealthCheckVersionMismatch",
    "HostedZoneAlreadyExists",
    "HostedZoneNotEmpty",
    "InvalidChangeBatch",
    "InvalidDomainName",
    "InvalidInput",
    "NoSuchDelegationSet",
    "NoSuchGeoLocation",
    "NoSuchHealthCheck",
    "NoSuchHostedZone",
    "NoSuchChange",
    "NotImplemented",
    "TooManyHealthChecks",
    "UnknownOperationException",
];

/// A small generator (splitmix64): the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Pieces that XML readers and this API stumble over, if over anything.
const PIECES: [&str; 24] = [
    "<",
    ">",
    "</",
    "/>",
    "&",
    "&amp;",
    "&#0;",
    "&#x10ffff;",
    "&e;",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<?x",
    "<!DOCTYPE a [<!ENTITY e \"x\">]>",
    "\u{0}",
    "\u{feff}",
    "\"",
    "xmlns=",
    ":",
    "\\052",
    "-1",
    "99999999999999999999",
    "\u{10ffff}",
];

fn mutate(sample: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(bytes.len());
        let end = (at + 1 + numbers.below(24)).min(bytes.len());
        match numbers.below(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << numbers.below(8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let piece = bytes[at..end].to_vec();
                let to = numbers.below(bytes.len());
                drop(bytes.splice(to..to, piece));
            }
            3 => {
                let piece = PIECES[numbers.below(PIECES.len())];
                drop(bytes.splice(at..at, piece.bytes()));
            }
            4 => bytes.truncate(at),
            5 => {
                // An element's content becomes something else.
                let open = bytes[at..]
                    .iter()
                    .position(|byte| *byte == b'>')
                    .map(|i| at + i + 1);
                if let Some(open) = open {
                    let length = bytes[open..]
                        .iter()
                        .position(|byte| *byte == b'<')
                        .unwrap_or(0);
                    let piece = PIECES[numbers.below(PIECES.len())];
                    drop(bytes.splice(open..open + length, piece.bytes()));
                }
            }
            _ => bytes.extend_from_slice(&sample[sample.len() / 2..]),
        }
    }
    bytes
}

fn check(answer: &Answer, seen: &mut BTreeSet<String>) {
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<";
    assert!(answer.text.starts_with(head), "{answer:?}");
    if answer.status >= 300 {
        let (code, message) = answer.error();
        assert!(CODES.contains(&code.as_str()), "{code}: {message}");
        assert!(!message.is_empty() && message.len() < 65_536, "{code}");
        seen.insert(code);
    }
}

#[test]
fn mutated_documents_are_answered_and_what_is_refused_changes_nothing() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let id = api.check("c");
    api.batch(
        &zone,
        &[("CREATE", values("t.example.com", "A", 60, &["192.0.2.1"]))],
    )
    .ok();
    let root = |operation: &str, inner: &str| {
        format!(
            "<?xml version=\"1.0\"?><{operation}Request xmlns=\"https://route53.amazonaws.com/doc/\
             2013-04-01/\">{inner}</{operation}Request>"
        )
    };
    let batch: String = [
        values("x.example.com", "TXT", 60, &["\"a &amp; b\"", "\"c\""]),
        chosen(
            "y.example.com",
            "A",
            "id",
            "<Weight>1</Weight>",
            60,
            "192.0.2.1",
        ),
        alias("*.example.com", "A", "", &zone, "t.example.com", true),
    ]
    .iter()
    .map(|set| {
        format!(
            "<Change><Action>UPSERT</Action><ResourceRecordSet>{set}</ResourceRecordSet></Change>"
        )
    })
    .collect();
    let samples = [
        (
            "hostedzone".to_owned(),
            root(
                "CreateHostedZone",
                "<Name>a.example</Name><CallerReference>r</CallerReference><HostedZoneConfig>\
                 <Comment>c</Comment></HostedZoneConfig>",
            ),
        ),
        (
            format!("hostedzone/{zone}/rrset/"),
            root(
                "ChangeResourceRecordSets",
                &format!(
                    "<ChangeBatch><Comment>c</Comment><Changes>{batch}</Changes></ChangeBatch>"
                ),
            ),
        ),
        (
            "healthcheck".to_owned(),
            root(
                "CreateHealthCheck",
                "<CallerReference>h</CallerReference><HealthCheckConfig><IPAddress>127.0.0.1\
                 </IPAddress><Port>80</Port><Type>HTTP</Type><ResourcePath>/</ResourcePath>\
                 </HealthCheckConfig>",
            ),
        ),
        (
            format!("healthcheck/{id}"),
            root(
                "UpdateHealthCheck",
                "<Port>80</Port><Inverted>true</Inverted>",
            ),
        ),
        (
            format!("tags/hostedzone/{zone}"),
            root(
                "ChangeTagsForResource",
                "<AddTags><Tag><Key>k</Key><Value>v</Value></Tag></AddTags>",
            ),
        ),
    ];
    let (mut numbers, mut seen) = (Numbers(7), BTreeSet::new());
    for (path, sample) in &samples {
        api.raw("POST", path, sample.as_bytes()).ok();
        for _ in 0..ROUNDS {
            let before = api.memory.view_now();
            let body = mutate(sample.as_bytes(), &mut numbers);
            let answer = api.raw("POST", path, &body);
            check(&answer, &mut seen);
            if answer.status >= 300 {
                assert_eq!(api.memory.view_now(), before);
            }
        }
    }
    // The mutations get past the reader too.
    for code in ["InvalidInput", "InvalidChangeBatch", "InvalidDomainName"] {
        assert!(seen.contains(code), "{code} not in {seen:?}");
    }
    api.get(&format!("hostedzone/{zone}/rrset")).ok();
}

#[test]
fn any_path_and_query_is_answered() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let segments = [
        "hostedzone",
        "rrset",
        "change",
        "healthcheck",
        "status",
        "tags",
        "geolocation",
        "geolocations",
        "testdnsanswer",
        "hostedzonesbyname",
        "%2F",
        "..",
        "%00",
        "%ff",
        "",
        "x",
        "healthcheckcount",
        "dnssec",
        "limit",
        "%F0%9F%90%A2",
        zone.as_str(),
    ];
    let parameters = [
        "name",
        "type",
        "identifier",
        "maxitems",
        "marker",
        "dnsname",
        "hostedzoneid",
        "recordname",
        "recordtype",
        "resolverip",
        "countrycode",
        "subdivisioncode",
        "continentcode",
        "startcountrycode",
        "edns0clientsubnetip",
        "edns0clientsubnetmask",
    ];
    let values = [
        "A",
        "example.com",
        "%5C052.example.com",
        "1",
        "0",
        "-1",
        "US",
        "CA",
        "EU",
        "127.0.0.1",
        "%ff",
        "",
        "a..b",
        zone.as_str(),
        "18446744073709551616",
        "::1",
        "DE",
    ];
    let (mut numbers, mut seen) = (Numbers(11), BTreeSet::new());
    for _ in 0..6_000 {
        let mut path = String::new();
        for _ in 0..=numbers.below(4) {
            path.push_str(segments[numbers.below(segments.len())]);
            path.push('/');
        }
        path.pop();
        for first in 0..numbers.below(4) {
            path.push(if first == 0 { '?' } else { '&' });
            path.push_str(parameters[numbers.below(parameters.len())]);
            path.push('=');
            path.push_str(values[numbers.below(values.len())]);
        }
        let method = ["GET", "GET", "GET", "DELETE", "POST"][numbers.below(5)];
        if method == "DELETE" && path.contains(&zone) {
            continue;
        }
        check(&api.raw(method, &path, b""), &mut seen);
    }
    for code in [
        "UnknownOperationException",
        "NoSuchChange",
        "NoSuchHealthCheck",
        "InvalidInput",
    ] {
        assert!(seen.contains(code), "{code} not in {seen:?}");
    }
}

#[test]
fn documents_that_would_take_memory_are_refused() {
    let api = Api::new();
    let refused = |body: String| {
        assert!(body.len() <= 2 * 1024 * 1024, "{}", body.len());
        let (code, message) = api.raw("POST", "hostedzone", body.as_bytes()).error();
        assert_eq!(code, "InvalidInput");
        assert!(message.len() < 1_000, "{message}");
    };
    let root =
        |inner: String| format!("<CreateHostedZoneRequest>{inner}</CreateHostedZoneRequest>");
    refused(root("<a>".repeat(100_000)));
    refused(root("<a/>".repeat(100_000)));
    refused(root(format!("<Name>{}</Name>", "x".repeat(1_000_000))));
    refused(root(format!("<{}/>", "n".repeat(1_000_000))));
    refused(root("&amp;".repeat(200_000)));
    let entities: String = (0..1_000)
        .map(|n| format!("<!ENTITY e{n} \"&e{};\">", n + 1))
        .collect();
    refused(format!(
        "<!DOCTYPE r [{entities}]>{}",
        root("<Name>&e0;</Name>".to_owned())
    ));
}
