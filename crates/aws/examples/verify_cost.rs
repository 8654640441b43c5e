//! What verifying one signature costs: `cargo run --release -p aws --example verify_cost`.
//! A signed PutItem of 1 KiB, over and over, with the signing key cached and without.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "an example that measures time; it is outside the rooms that may not"
)]

use std::hint::black_box;
use std::time::Instant;

use aws::signature::{
    Credentials, Expected, KeyLookup, KeyRefusal, Rules, SecretKey, Target, Verifier, scope_of,
    sign,
};
use types::{Region, Timestamp};

const ROUNDS: u32 = 200_000;
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
}

fn measure(name: &str, mut round: impl FnMut()) {
    let start = Instant::now();
    for _ in 0..ROUNDS {
        round();
    }
    let each = start.elapsed() / ROUNDS;
    println!("{name}: {each:?}");
}
