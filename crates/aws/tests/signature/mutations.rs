//! No single byte of what was signed can change unnoticed: method, path, query, each header, the
//! body and the signature itself, in every form that a signature has.

use aws::signature::{
    ChunkForm, Credentials, Payload, Placement, SigningOptions, Target, Trailers, presign, sign,
    sign_with,
};
use http::{HeaderValue, Method, Uri};

use super::*;

const BODY: &[u8] = br#"{"TableName":"Orders","Key":{"id":{"S":"42"}}}"#;
const URI: &str = "/orders/42?first=1&second=two%20words";
const HEADERS: [(&str, &str); 4] = [
    ("Host", "127.0.0.1:4566"),
    ("X-Amz-Target", "DynamoDB_20120810.GetItem"),
    ("Content-Type", "application/x-amz-json-1.0"),
    ("X-Amz-Meta-Note", "some words here"),
];

/// A signed request, and whoever judges it: one verifier, which keeps its keys.
struct Signed {
    parts: Parts,
    body: Vec<u8>,
    service: &'static str,
    rules: Rules,
    verifier: Verifier,
}

impl Signed {
    fn new(parts: Parts, body: &[u8], service: &'static str, rules: Rules) -> Signed {
        let signed = Signed {
            parts,
            body: body.to_vec(),
            service,
            rules,
            verifier: Verifier::new(),
        };
        assert!(signed.holds(&signed.parts, &signed.body));
        signed
    }

    fn holds(&self, parts: &Parts, body: &[u8]) -> bool {
        let regions = [region()];
        let expected = Expected {
            service: self.service,
            regions: &regions,
            rules: self.rules,
        };
        let verified = self.verifier.verify(parts, body, &expected, NOW, &Keys);
        verified.is_ok()
    }
}

fn target(service: &'static str, rules: Rules) -> Target<'static> {
    Target {
        service,
        region: region(),
        rules,
    }
}

fn signed_by(
    service: &'static str,
    rules: Rules,
    sign: impl FnOnce(&mut Parts, &Credentials<'_>, &Target<'_>),
) -> Signed {
    let mut parts = parts("POST", URI, &HEADERS);
    let secret = secret();
    let credentials = Credentials {
        access_key_id: SESSION_KEY,
        secret: &secret,
        session_token: Some(SESSION_TOKEN),
    };
    sign(&mut parts, &credentials, &target(service, rules));
    Signed::new(parts, BODY, service, rules)
}

fn header(service: &'static str, rules: Rules) -> Signed {
    signed_by(service, rules, |parts, credentials, target| {
        sign(parts, BODY, credentials, target, NOW).unwrap();
    })
}

fn query(service: &'static str, rules: Rules) -> Signed {
    signed_by(service, rules, |parts, credentials, target| {
        presign(parts, BODY, 60, credentials, target, NOW).unwrap();
    })
}

fn asymmetric(placement: Placement, payload: Payload<'_>) -> Signed {
    let options = SigningOptions {
        placement,
        region_set: Some("us-east-1,eu-*"),
    };
    signed_by("s3", Rules::OBJECTS, |parts, credentials, target| {
        sign_with(parts, payload, &options, credentials, target, NOW).unwrap();
    })
}

/// Texts that differ from `bytes` in one byte: each bit flipped, and in turn the characters that
/// have a meaning in some part of a request.
fn mutations(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let meaningful = *b" \t,;:=&%/?#+*.0aA";
    (0..bytes.len()).flat_map(move |position| {
        let byte = bytes[position];
        let flipped = (0..8).map(move |bit| byte ^ (1 << bit));
        let others = flipped
            .chain((0..3).map(move |turn| meaningful[(position + turn * 6) % meaningful.len()]))
            .filter(move |other| *other != byte);
        others.map(move |other| {
            let mut mutated = bytes.to_vec();
            mutated[position] = other;
            mutated
        })
    })
}

/// Changes each byte of method, URI and headers, and takes each header away; how many were tried.
fn change_each_byte(parts: &Parts, mut holds: impl FnMut(&Parts) -> bool) -> usize {
    let mut tried = 0;
    for method in mutations(parts.method.as_str().as_bytes()) {
        if let Ok(method) = Method::from_bytes(&method) {
            let mut parts = parts.clone();
            parts.method = method;
            assert!(!holds(&parts), "{}", parts.method);
        }
    }
    let original = parts.uri.to_string();
    for uri in mutations(original.as_bytes()) {
        // A `#` makes the rest a fragment, which isn't sent.
        let Ok(uri) = Uri::try_from(uri) else {
            continue;
        };
        let mut parts = parts.clone();
        parts.uri = uri;
        // Two spellings of one escape are one request: `%2f` for `%2F`.
        let spelled_otherwise = spelled(&parts.uri) == spelled(&original.parse().unwrap());
        assert!(!holds(&parts) || spelled_otherwise, "{}", parts.uri);
        tried += 1;
    }
    let names: Vec<_> = parts.headers.keys().cloned().collect();
    for name in names {
        let mut without = parts.clone();
        let value = without.headers.remove(&name).unwrap();
        assert!(!holds(&without), "without {name}");
        for mutated in mutations(value.as_bytes()) {
            // A tab for a space folds to the same value, by the algorithm's own rule; and after
            // a comma of the Authorization header any white space, or none, is the same too.
            let printed = String::from_utf8_lossy(&mutated).replace('\t', " ");
            if printed.as_bytes() == value.as_bytes() {
                continue;
            }
            if let Ok(mutated) = HeaderValue::from_bytes(&mutated) {
                let mut parts = parts.clone();
                parts.headers.insert(&name, mutated);
                let same = name == "authorization" && printed.contains(",,");
                assert!(same || !holds(&parts), "{name}: {printed}");
                tried += 1;
            }
        }
    }
    tried
}

fn any_change_is_noticed(signed: &Signed) {
    let tried = change_each_byte(&signed.parts, |parts| signed.holds(parts, &signed.body));
    assert!(tried > 4_000, "{tried}");
    let presigned = signed.parts.headers.get("authorization").is_none();
    if presigned && signed.service == "s3" {
        // A presigned URL of S3 is for any body.
        assert!(signed.holds(&signed.parts, b"another"));
        return;
    }
    for body in mutations(&signed.body) {
        assert!(!signed.holds(&signed.parts, &body));
    }
}

#[test]
fn any_changed_byte_of_a_signed_request_is_noticed() {
    any_change_is_noticed(&header("dynamodb", Rules::JSON));
}

#[test]
fn any_changed_byte_of_a_signed_request_for_objects_is_noticed() {
    any_change_is_noticed(&header("s3", Rules::OBJECTS));
}

#[test]
fn any_changed_byte_of_a_presigned_request_is_noticed() {
    any_change_is_noticed(&query("sts", Rules::QUERY));
    any_change_is_noticed(&query("s3", Rules::OBJECTS));
}

#[test]
fn any_changed_byte_of_a_request_signed_by_v4a_is_noticed() {
    any_change_is_noticed(&asymmetric(Placement::Header, Payload::Body(BODY)));
}

#[test]
fn any_changed_byte_of_a_request_presigned_by_v4a_is_noticed() {
    let placement = Placement::Query { seconds: 60 };
    any_change_is_noticed(&asymmetric(placement, Payload::Unsigned));
}

/// The payload and trailers of an upload, if it holds to its end.
fn uploaded(verifier: &Verifier, parts: &Parts, body: &[u8]) -> Option<(Vec<u8>, Trailers)> {
    let regions = [region()];
    let expected = Expected {
        service: "s3",
        regions: &regions,
        rules: Rules::OBJECTS,
    };
    let verified = verifier.verify_head(parts, &expected, NOW, &Keys);
    let (_, mut decoder) = verified.ok()?;
    let mut payload = Vec::new();
    decoder.push(body, &mut payload).ok()?;
    Some((payload, decoder.finish().ok()?))
}

#[test]
fn any_changed_byte_of_an_upload_in_signed_chunks_is_noticed() {
    for form in chunks::FORMS {
        let ChunkForm { signed, .. } = form;
        let (parts, body) = chunks::upload(form, &[b"a short payload"]);
        let verifier = Verifier::new();
        let original = uploaded(&verifier, &parts, &body).unwrap();
        let tried = change_each_byte(&parts, |parts| {
            // (Who sent it doesn't say so in the body: another length or trailer is noticed there.)
            uploaded(&verifier, parts, &body).is_some()
        });
        assert!(tried > 3_000, "{tried}");
        if signed.is_none() {
            // Those chunks are covered by the checksum in the trailer, which the service checks.
            continue;
        }
        for (position, byte) in body.iter().enumerate() {
            for mutated in mutations(&[*byte]) {
                let mut changed = body.clone();
                changed[position] = mutated[0];
                // Digits and names in the other case, and other white space around a trailer, are
                // the same: whatever holds must be what was sent.
                let held = uploaded(&verifier, &parts, &changed);
                assert!(held.is_none_or(|held| held == original), "{position}");
            }
        }
    }
}

#[test]
fn any_changed_byte_of_a_published_presigned_request_is_noticed() {
    for (service, host, uri, _) in vectors::PRESIGNED {
        let rules = match service {
            "s3" => Rules::OBJECTS,
            _ => Rules::QUERY,
        };
        let parts = parts("GET", uri, &[("Host", host)]);
        let signed = Signed::new(parts, b"", service, rules);
        change_each_byte(&signed.parts, |parts| signed.holds(parts, b""));
    }
}

/// The URI with its escapes in capitals.
fn spelled(uri: &Uri) -> String {
    let mut digits = 0;
    let capital = |character: char| {
        let in_escape = digits > 0;
        digits = if character == '%' {
            2
        } else {
            digits.max(1) - 1
        };
        if in_escape {
            character.to_ascii_uppercase()
        } else {
            character
        }
    };
    uri.to_string().chars().map(capital).collect()
}
