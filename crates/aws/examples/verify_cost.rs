//! What verifying one signature costs: `cargo run --release -p aws --example verify_cost`.
//! A signed PutItem of 1 KiB, over and over, with the signing key cached and without; the same by
//! Signature V4A; and an upload of 16 MiB in signed chunks of 64 KiB.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "an example that measures time; it is outside the rooms that may not"
)]

use std::hint::black_box;
use std::time::Instant;

use aws::signature::{
    Algorithm, ChunkForm, Credentials, Expected, KeyLookup, KeyRefusal, Payload, Placement, Rules,
    SecretKey, SigningOptions, Target, Verifier, scope_of, sign, sign_chunked, sign_with,
};
use http::request::Parts;
use types::{Region, Timestamp};

const ROUNDS: u32 = 20_000;
const UPLOADS: u32 = 8;
const NOW: Timestamp = Timestamp(1_440_938_160_000);

struct OneKey(SecretKey);

impl KeyLookup for OneKey {
    fn secret(&self, _: &str, _: Option<&str>) -> Result<SecretKey, KeyRefusal> {
        Ok(self.0.clone())
    }
}

fn main() {
    let region: Region = "us-east-1".parse().unwrap();
    let keys = OneKey(SecretKey::new(
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
    ));
    let body = vec![b'x'; 1024];
    let request = http::Request::post("/")
        .header("Host", "127.0.0.1:4566")
        .header("X-Amz-Target", "DynamoDB_20120810.PutItem")
        .header("Content-Type", "application/x-amz-json-1.0")
        .header(
            "User-Agent",
            "aws-cli/2 md/Botocore#1.43 ua/2.1 os/linux lang/python",
        )
        .header("Accept-Encoding", "identity")
        .body(());
    let (mut parts, ()) = request.unwrap().into_parts();
    let credentials = Credentials {
        access_key_id: "AKIDEXAMPLE",
        secret: &keys.0,
        session_token: None,
    };
    let rules = Rules::JSON;
    let service = "dynamodb";
    let target = Target {
        service,
        region,
        rules,
    };
    sign(&mut parts, &body, &credentials, &target, NOW).unwrap();
    let expected = Expected {
        service,
        regions: &[region],
        rules,
    };

    let verifier = Verifier::new();
    measure("verify, key cached", || {
        black_box(verifier.verify(&parts, &body, &expected, NOW, &keys)).unwrap();
    });
    measure("verify, key derived", || {
        black_box(Verifier::new().verify(&parts, &body, &expected, NOW, &keys)).unwrap();
    });
    measure("scope_of", || {
        black_box(scope_of(&parts)).unwrap();
    });
    measure("sign", || {
        sign(&mut parts.clone(), &body, &credentials, &target, NOW).unwrap();
    });
    asymmetric(&parts, &credentials, &keys);
    upload(&credentials, &keys);
}

const OBJECTS: Expected<'static> = Expected {
    service: "s3",
    regions: &[],
    rules: Rules::OBJECTS,
};

fn asymmetric(parts: &Parts, credentials: &Credentials<'_>, keys: &OneKey) {
    let mut parts = parts.clone();
    parts.headers.remove("authorization");
    let region: Region = "us-east-1".parse().unwrap();
    let target = Target {
        service: OBJECTS.service,
        region,
        rules: OBJECTS.rules,
    };
    let options = SigningOptions {
        placement: Placement::Header,
        region_set: Some("*"),
    };
    let payload = Payload::Body(b"");
    sign_with(&mut parts, payload, &options, credentials, &target, NOW).unwrap();
    let regions = [region];
    let expected = Expected {
        regions: &regions,
        ..OBJECTS
    };
    let verifier = Verifier::new();
    measure("verify V4A, key cached", || {
        black_box(verifier.verify(&parts, b"", &expected, NOW, keys)).unwrap();
    });
    measure("verify V4A, key derived", || {
        black_box(Verifier::new().verify(&parts, b"", &expected, NOW, keys)).unwrap();
    });
}

fn upload(credentials: &Credentials<'_>, keys: &OneKey) {
    let region: Region = "us-east-1".parse().unwrap();
    let target = Target {
        service: OBJECTS.service,
        region,
        rules: OBJECTS.rules,
    };
    let regions = [region];
    let expected = Expected {
        regions: &regions,
        ..OBJECTS
    };
    let form = ChunkForm {
        signed: Some(Algorithm::Symmetric),
        trailer: false,
    };
    let request = http::Request::put("http://127.0.0.1:4566/key").body(());
    let (mut parts, ()) = request.unwrap().into_parts();
    let chunk = vec![b'x'; 64 << 10];
    let (chunks, length) = (256, 16 << 20);
    let said = (length, &[][..]);
    let signer = sign_chunked(&mut parts, form, said, None, credentials, &target, NOW);
    let (mut signer, mut body) = (signer.unwrap(), Vec::new());
    for _ in 0..chunks {
        signer.chunk(&chunk, &mut body);
    }
    signer.finish(&[], &mut body).unwrap();
    let verifier = Verifier::new();
    let start = Instant::now();
    for _ in 0..UPLOADS {
        let verified = verifier.verify_head(&parts, &expected, NOW, keys);
        let (_, mut decoder) = verified.unwrap();
        let mut payload = Vec::new();
        for piece in body.chunks(16 << 10) {
            decoder.push(piece, &mut payload).unwrap();
            black_box(&payload);
            payload.clear();
        }
        decoder.finish().unwrap();
    }
    let seconds = start.elapsed().as_secs_f64() / f64::from(UPLOADS);
    println!("upload in signed chunks: {:.0} MiB/s", 16.0 / seconds);
}

fn measure(name: &str, mut round: impl FnMut()) {
    let start = Instant::now();
    for _ in 0..ROUNDS {
        round();
    }
    let each = start.elapsed() / ROUNDS;
    println!("{name}: {each:?}");
}
