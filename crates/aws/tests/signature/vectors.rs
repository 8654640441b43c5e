//! Fixed vectors: those that AWS published, and others that botocore 1.43.11 signed at the
//! suite's time with the suite's secret (`SigV4Auth`, `S3SigV4Auth`, `SigV4QueryAuth` and
//! `S3SigV4QueryAuth`). Each is verified and, in the header form, signed again.

use aws::signature::{Credentials, PayloadRule, Rules, Target, sign};

use super::*;

struct Vector {
    method: &'static str,
    uri: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static [u8],
    service: &'static str,
    signed_headers: &'static str,
    signature: &'static str,
}

const GET: Vector = Vector {
    method: "GET",
    uri: "/",
    headers: &[],
    body: b"",
    service: "service",
    signed_headers: "host;x-amz-date",
    signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
};

/// Verifies the vector as it stands, then signs it ourselves and expects the same.
fn check(vector: &Vector, host: &str, rules: Rules) {
    let mut headers = vec![("Host", host), ("X-Amz-Date", DATE)];
    headers.extend(vector.headers);
    let mut unsigned = parts(vector.method, vector.uri, &headers);
    let header = authorization(vector.service, vector.signed_headers, vector.signature);
    headers.push(("Authorization", &header));
    let signed = parts(vector.method, vector.uri, &headers);
    let verified = verify(&signed, vector.body, vector.service, rules, NOW).unwrap();
    assert_eq!(verified.access_key_id, KEY);
    assert_eq!(verified.signed, Some(NOW));

    let secret = secret();
    let credentials = Credentials {
        access_key_id: KEY,
        secret: &secret,
        session_token: None,
    };
    let target = Target {
        service: vector.service,
        region: region(),
        rules,
    };
    sign(&mut unsigned, vector.body, &credentials, &target, NOW).unwrap();
    assert_eq!(unsigned.headers["authorization"], header);
}

#[test]
fn the_published_suite() {
    let suite = "example.amazonaws.com";
    let vectors = [
        GET,
        Vector {
            method: "POST",
            signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ..GET
        },
        Vector {
            uri: "/?Param2=value2&Param1=value1",
            signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ..GET
        },
        Vector {
            uri: "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
            ..GET
        },
        Vector {
            uri: "/\u{1234}",
            signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
            ..GET
        },
        Vector {
            uri: "//foo/./..//",
            ..GET
        },
        Vector {
            headers: &[("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
            signed_headers: "host;my-header1;my-header2;x-amz-date",
            signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
            ..GET
        },
        Vector {
            headers: &[
                ("My-Header1", "value2"),
                ("My-Header1", "value2"),
                ("My-Header1", "value1"),
            ],
            signed_headers: "host;my-header1;x-amz-date",
            signature: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
            ..GET
        },
        Vector {
            method: "POST",
            headers: &[("Content-Type", "application/x-www-form-urlencoded")],
            body: b"Param1=value1",
            signed_headers: "content-type;host;x-amz-date",
            signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ..GET
        },
    ];
    for vector in &vectors {
        check(vector, suite, Rules::JSON);
    }
}

#[test]
fn what_botocore_signs() {
    let suite = "example.amazonaws.com";
    let vectors = [
        Vector {
            uri: "/a/./b/../c//d/",
            signature: "07fc47830311f547240f25f97c1565bd7a705059e39e5d0c3e0c5287c2c4bcfc",
            ..GET
        },
        Vector {
            uri: "/a%20b?x=%2F&x=%20y",
            signature: "19d3cc526ab8c45950226d68f1f4efa63e2bee0e6516dd20329fd1fc68c87542",
            ..GET
        },
        Vector {
            uri: "/?p=&q",
            signature: "3ad022a95b5881e09d0db3cc31a1dfc5f1ddbc9ac8425adbbad41115e0879239",
            ..GET
        },
    ];
    for vector in &vectors {
        check(vector, suite, Rules::JSON);
    }
    let put_item = Vector {
        method: "POST",
        headers: &[
            ("X-Amz-Target", "DynamoDB_20120810.PutItem"),
            ("Content-Type", "application/x-amz-json-1.0"),
        ],
        body: br#"{"TableName":"Orders","Item":{"id":{"S":"1"}}}"#,
        service: "dynamodb",
        signed_headers: "content-type;host;x-amz-date;x-amz-target",
        signature: "10b7cbc50dd359038a46088f1c9cc9e9168f6aa12f76be4b0742e871fca399ef",
        ..GET
    };
    check(&put_item, "127.0.0.1:4566", Rules::JSON);
    let put_object = Vector {
        method: "PUT",
        uri: "/a//b%20c/../%28d%29",
        headers: &[(
            "X-Amz-Content-SHA256",
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        )],
        body: b"hello",
        service: "s3",
        signed_headers: "host;x-amz-content-sha256;x-amz-date",
        signature: "7e78aabb9d01f168e92e1727b9f2fa24e9b10fea3865a18999c43e94507106bb",
    };
    assert_eq!(Rules::OBJECTS.payload, PayloadRule::Declared);
    check(
        &put_object,
        "examplebucket.s3.amazonaws.com",
        Rules::OBJECTS,
    );
}

#[test]
fn a_session_s_key_needs_its_token() {
    let signature = "515c5818ddf99777a3d2b90279b9b25f00cda08f3889f8d62bd1588832a31fcb";
    let names = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target";
    let header = authorization("dynamodb", names, signature).replace(KEY, SESSION_KEY);
    let headers = |token| {
        [
            ("Host", "127.0.0.1:4566"),
            ("X-Amz-Target", "DynamoDB_20120810.PutItem"),
            ("Content-Type", "application/x-amz-json-1.0"),
            ("X-Amz-Date", DATE),
            ("X-Amz-Security-Token", token),
        ]
    };
    let body = br#"{"TableName":"Orders","Item":{"id":{"S":"1"}}}"#;
    let request = |token| {
        let mut parts = parts("POST", "/", &headers(token));
        parts
            .headers
            .insert("authorization", header.parse().unwrap());
        verify(&parts, body, "dynamodb", Rules::JSON, NOW)
    };
    let verified = request(SESSION_TOKEN).unwrap();
    assert_eq!(verified.session_token.as_deref(), Some(SESSION_TOKEN));
    assert_eq!(request("another"), Err(SignatureError::UnknownKey));
}

/// botocore's presigned URLs: an S3 one, one of a session, and one of STS, whose body counts.
pub(super) const PRESIGNED: [(&str, &str, &str, u64); 3] = [
    (
        "s3",
        "examplebucket.s3.amazonaws.com",
        "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2F\
         us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=86400&\
         X-Amz-SignedHeaders=host&X-Amz-Signature=\
         22f95d09b0190803168fd8aa457df8a63da2968679a9db522dc3ede3c488fc6f",
        86_400,
    ),
    (
        "s3",
        "examplebucket.s3.amazonaws.com",
        "/test.txt?versionId=a%2Bb&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ASIDEXAMPLE\
         %2F20150830%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=\
         300&X-Amz-SignedHeaders=host&X-Amz-Security-Token=token%2Fwith%2Bsigns%3D%3D&\
         X-Amz-Signature=d71559037a3b5be007b766480da6545d19ed2bd3ebe4c04cb9d276e0ea5103d2",
        300,
    ),
    (
        "sts",
        "sts.us-east-1.amazonaws.com",
        "/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&\
         X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fsts%2Faws4_request&X-Amz-Date=\
         20150830T123600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=\
         edc8907c6c6ab903df773b39e30bcee2e7cbef539f89e69dfe8e7f6a80781bb6",
        60,
    ),
];

#[test]
fn presigned_requests_hold_for_their_lifetime() {
    for (service, host, uri, seconds) in PRESIGNED {
        let rules = if service == "s3" {
            Rules::OBJECTS
        } else {
            Rules::QUERY
        };
        let parts = parts("GET", uri, &[("Host", host)]);
        let at = |time: u64| verify(&parts, b"", service, rules, Timestamp(time));
        at(NOW.0).unwrap();
        at(NOW.0 + seconds * 1000).unwrap();
        let late = at(NOW.0 + (seconds + 1) * 1000).unwrap_err();
        assert!(matches!(late, SignatureError::Expired { .. }), "{late}");
        let early = at(NOW.0 - (rules.skew_minutes * 60 + 1) * 1000).unwrap_err();
        assert!(
            matches!(early, SignatureError::NotYetCurrent { .. }),
            "{early}"
        );
        assert_eq!(
            verify(&parts, b"", service, Rules::JSON, NOW),
            Err(SignatureError::PresignedNotAllowed)
        );
    }
}
