//! Signature V4A: who takes it, for which Regions, and the derivation of its keys against a second
//! one that is written on bytes here. (The published vectors are in `suite.rs`.)

use aws::signature::{
    Algorithm, ChunkForm, Credentials, Payload, Placement, SignError, SigningOptions, Target,
    presign, scope_of, sign, sign_with,
};
use hmac::{Hmac, Mac};
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::*;

const BODY: &[u8] = b"a body";

fn options(region_set: &str, placement: Placement) -> SigningOptions<'_> {
    SigningOptions {
        placement,
        region_set: Some(region_set),
    }
}

fn signed(id: &str, key: &SecretKey, options: &SigningOptions<'_>, service: &str) -> Parts {
    let mut parts = parts("PUT", "/key?x=1", &[("Host", "b.s3.amazonaws.com")]);
    let credentials = Credentials {
        access_key_id: id,
        secret: key,
        session_token: None,
    };
    let target = Target {
        service,
        region: region(),
        rules: Rules::OBJECTS,
    };
    let payload = match options.placement {
        Placement::Header => Payload::Body(BODY),
        Placement::Query { .. } => Payload::Unsigned,
    };
    sign_with(&mut parts, payload, options, &credentials, &target, NOW).unwrap();
    parts
}

const PLACEMENTS: [Placement; 2] = [Placement::Header, Placement::Query { seconds: 60 }];

#[test]
fn a_region_set_is_for_the_regions_that_it_covers() {
    for placement in PLACEMENTS {
        for (set, held) in [
            ("us-east-1", true),
            ("eu-west-1,us-east-1", true),
            ("*", true),
            ("us-*", true),
            ("us-east-*", true),
            ("eu-west-1", false),
            ("eu-*", false),
            ("us-east-11", false),
            ("us-east", false),
        ] {
            let parts = signed(KEY, &secret(), &options(set, placement), "s3");
            let verified = verify(&parts, BODY, "s3", Rules::OBJECTS, NOW);
            assert_eq!(verified.is_ok(), held, "{set}");
            let scope = scope_of(&parts).unwrap();
            assert_eq!(scope.region, set);
            assert_eq!(scope.covers(region()), held);
            if let Ok(verified) = verified {
                assert_eq!(verified.algorithm, Some(Algorithm::Asymmetric));
                assert_eq!(verified.scope, Some(scope));
            }
        }
    }
}

#[test]
fn only_services_whose_rules_say_so_take_it() {
    for placement in PLACEMENTS {
        let parts = signed(KEY, &secret(), &options("*", placement), "dynamodb");
        let rules = Rules::QUERY;
        let error = verify(&parts, BODY, "dynamodb", rules, NOW).unwrap_err();
        assert_eq!(
            error,
            SignatureError::Algorithm("AWS4-ECDSA-P256-SHA256".into())
        );
        let asymmetric = Rules {
            asymmetric: true,
            ..Rules::OBJECTS
        };
        verify(&parts, BODY, "dynamodb", asymmetric, NOW).unwrap();
    }
    let mut unsigned = parts("PUT", "http://b.example/", &[]);
    let secret = secret();
    let credentials = Credentials {
        access_key_id: KEY,
        secret: &secret,
        session_token: None,
    };
    let target = Target {
        service: "dynamodb",
        region: region(),
        rules: Rules::JSON,
    };
    let header = options("*", Placement::Header);
    let body = Payload::Body(BODY);
    let error = sign_with(&mut unsigned, body, &header, &credentials, &target, NOW);
    assert_eq!(error, Err(SignError::NotTaken("Signature V4A")));
    let error = presign(&mut unsigned, BODY, 60, &credentials, &target, NOW);
    assert_eq!(error, Err(SignError::NotTaken("presigned URL")));
}

#[test]
fn the_region_set_must_be_there_and_signed() {
    let parts = signed(KEY, &secret(), &options("*", Placement::Header), "s3");
    let mut without = parts.clone();
    without.headers.remove("x-amz-region-set");
    let error = verify(&without, BODY, "s3", Rules::OBJECTS, NOW).unwrap_err();
    assert!(
        matches!(error, SignatureError::Incomplete { .. }),
        "{error}"
    );
    assert_eq!(scope_of(&without), None);
    let mut other = parts.clone();
    other
        .headers
        .insert("x-amz-region-set", "us-*".parse().unwrap());
    let error = verify(&other, BODY, "s3", Rules::OBJECTS, NOW).unwrap_err();
    assert_eq!(error, SignatureError::Mismatch);
    let mut twice = parts.clone();
    twice
        .headers
        .append("x-amz-region-set", "*".parse().unwrap());
    let error = verify(&twice, BODY, "s3", Rules::OBJECTS, NOW).unwrap_err();
    assert!(matches!(error, SignatureError::Malformed(_)), "{error}");
    let mut unsigned = parts;
    let header = unsigned.headers["authorization"].to_str().unwrap();
    let header = header.replace(";x-amz-region-set", "").parse().unwrap();
    unsigned.headers.insert("authorization", header);
    let error = verify(&unsigned, BODY, "s3", Rules::OBJECTS, NOW).unwrap_err();
    assert_eq!(
        error,
        SignatureError::HeaderNotSigned("x-amz-region-set".into())
    );

    let query = signed(
        KEY,
        &secret(),
        &options("*", Placement::Query { seconds: 60 }),
        "s3",
    );
    let uri = query.uri.to_string().replace("X-Amz-Region-Set", "Other");
    let query = super::parts("PUT", &uri, &[("Host", "b.s3.amazonaws.com")]);
    let error = verify(&query, BODY, "s3", Rules::OBJECTS, NOW).unwrap_err();
    assert!(
        matches!(error, SignatureError::IncompleteQuery { .. }),
        "{error}"
    );
}

#[test]
fn a_header_of_one_algorithm_is_none_of_the_other() {
    let parts = signed(KEY, &secret(), &options("*", Placement::Header), "s3");
    for (from, to) in [
        ("ECDSA-P256", "HMAC"),
        ("20150830/s3", "20150830/us-east-1/s3"),
        ("20150830/s3", "20150829/s3"),
        ("/s3/", "/sqs/"),
        ("aws4_request", "aws4a_request"),
    ] {
        let mut changed = parts.clone();
        let header = changed.headers["authorization"].to_str().unwrap();
        assert!(header.contains(from));
        let header = header.replacen(from, to, 1).parse().unwrap();
        changed.headers.insert("authorization", header);
        assert!(
            verify(&changed, BODY, "s3", Rules::OBJECTS, NOW).is_err(),
            "{to}"
        );
    }
}

#[test]
fn one_verifier_keeps_public_keys_and_still_asks_for_the_secret() {
    struct Changing(std::cell::RefCell<Option<SecretKey>>);
    impl KeyLookup for Changing {
        fn secret(&self, _: &str, _: Option<&str>) -> Result<SecretKey, KeyRefusal> {
            self.0.borrow().clone().ok_or(KeyRefusal::Unknown)
        }
    }
    let verifier = Verifier::new();
    let keys = Changing(std::cell::RefCell::new(Some(secret())));
    let expected = Expected {
        service: "s3",
        regions: &[region()],
        rules: Rules::OBJECTS,
    };
    let parts = signed(KEY, &secret(), &options("*", Placement::Header), "s3");
    let verify = || verifier.verify(&parts, BODY, &expected, NOW, &keys);
    assert!(verify().is_ok());
    assert!(verify().is_ok());
    *keys.0.borrow_mut() = Some(SecretKey::new("another".into()));
    assert_eq!(verify(), Err(SignatureError::Mismatch));
    *keys.0.borrow_mut() = None;
    assert_eq!(verify(), Err(SignatureError::UnknownKey));
}

/// The order of P-256 less two, as bytes: FIPS 186-5 and SP 800-186.
const ORDER_LESS_TWO: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x4f,
];

/// The derivation as the documentation tells it, on bytes: big-endian arrays compare as numbers.
fn second_derivation(id: &str, secret: &SecretKey) -> [u8; 32] {
    for counter in 1..255u8 {
        let key = format!("AWS4A{}", secret.expose());
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
        mac.update(&[0, 0, 0, 1]);
        mac.update(b"AWS4-ECDSA-P256-SHA256\0");
        mac.update(id.as_bytes());
        mac.update(&[counter, 0, 0, 1, 0]);
        let mut candidate: [u8; 32] = mac.finalize().into_bytes().into();
        if candidate <= ORDER_LESS_TWO {
            for byte in candidate.iter_mut().rev() {
                let (sum, carry) = byte.overflowing_add(1);
                *byte = sum;
                if !carry {
                    break;
                }
            }
            return candidate;
        }
    }
    panic!("no counter made a key");
}

#[test]
fn the_key_is_that_of_the_documented_derivation() {
    // The public key that the published suite gives for its secret.
    let x = "b6618f6a65740a99e650b33b6b4b5bd0d43b176d721a3edfea7e7d2d56d936b1";
    let y = "865ed22a7eadc9c5cb9d2cbaca1b3699139fedc5043dc6661864218330c8e518";
    let key = SigningKey::from_slice(&second_derivation(KEY, &secret())).unwrap();
    let point = key.verifying_key().to_encoded_point(false);
    let digits = hex(&point.as_bytes()[1..]);
    assert_eq!(digits, format!("{x}{y}"));

    for number in 0..64 {
        let id = format!("AKID{number}");
        let secret = SecretKey::new(format!("secret {number}"));
        let parts = signed(&id, &secret, &options("*", Placement::Header), "s3");
        let key = SigningKey::from_slice(&second_derivation(&id, &secret)).unwrap();
        assert!(holds_by_hand(&parts, key.verifying_key()), "{id}");
    }
}

/// Verifies the request of [`signed`] without any of ours.
fn holds_by_hand(parts: &Parts, key: &VerifyingKey) -> bool {
    let names = "host;x-amz-content-sha256;x-amz-date;x-amz-region-set";
    let body = hex(&Sha256::digest(BODY));
    let request = format!(
        "PUT\n/key\nx=1\nhost:b.s3.amazonaws.com\nx-amz-content-sha256:{body}\n\
         x-amz-date:{DATE}\nx-amz-region-set:*\n\n{names}\n{body}"
    );
    let hash = hex(&Sha256::digest(request));
    let message = format!("AWS4-ECDSA-P256-SHA256\n{DATE}\n20150830/s3/aws4_request\n{hash}");
    let header = parts.headers["authorization"].to_str().unwrap();
    let (_, digits) = header.split_once("Signature=").unwrap();
    key.verify(
        message.as_bytes(),
        &Signature::from_der(&bytes(digits)).unwrap(),
    )
    .is_ok()
}

#[test]
fn the_derivation_agrees_with_itself_for_chunks_and_sessions_too() {
    // A session's key is derived as any other; its token is signed beside it.
    let mut parts = parts("PUT", "http://b.example/", &[]);
    let secret = secret();
    let credentials = Credentials {
        access_key_id: SESSION_KEY,
        secret: &secret,
        session_token: Some(SESSION_TOKEN),
    };
    let target = Target {
        service: "s3",
        region: region(),
        rules: Rules::OBJECTS,
    };
    for placement in PLACEMENTS {
        let payload = match placement {
            Placement::Header => Payload::Body(BODY),
            Placement::Query { .. } => Payload::Unsigned,
        };
        let options = options("us-east-1", placement);
        let mut parts = parts.clone();
        sign_with(&mut parts, payload, &options, &credentials, &target, NOW).unwrap();
        let verified = verify(&parts, BODY, "s3", Rules::OBJECTS, NOW).unwrap();
        assert_eq!(verified.session_token.as_deref(), Some(SESSION_TOKEN));
    }
    sign(&mut parts, BODY, &credentials, &target, NOW).unwrap();
    let verified = verify(&parts, BODY, "s3", Rules::OBJECTS, NOW).unwrap();
    assert_eq!(verified.algorithm, Some(Algorithm::Symmetric));
}

#[test]
fn a_chunk_s_signature_is_over_the_one_before_it_without_its_padding() {
    let form = ChunkForm {
        signed: Some(Algorithm::Asymmetric),
        trailer: false,
    };
    let (parts, body) = chunks::upload(form, &[b"payload"]);
    let header = parts.headers["authorization"].to_str().unwrap();
    let (_, seed) = header.split_once("Signature=").unwrap();
    let text = String::from_utf8(body).unwrap();
    let (line, _) = text.split_once("\r\n").unwrap();
    let padded = line.strip_prefix("7;chunk-signature=").unwrap();
    assert_eq!(padded.len(), 144);
    let (nothing, hash) = (hex(&Sha256::digest(b"")), hex(&Sha256::digest(b"payload")));
    let message = format!(
        "AWS4-ECDSA-P256-SHA256-PAYLOAD\n{DATE}\n20150830/s3/aws4_request\n{seed}\n{nothing}\n{hash}"
    );
    let key = SigningKey::from_slice(&second_derivation(KEY, &secret())).unwrap();
    let signature = Signature::from_der(&bytes(padded.trim_end_matches('*'))).unwrap();
    key.verifying_key()
        .verify(message.as_bytes(), &signature)
        .unwrap();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
