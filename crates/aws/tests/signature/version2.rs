//! Signature Version 2: the examples that AWS documents, what botocore makes, each way in which
//! such a request can be wrong, and that nothing of what it covers can be changed.

use aws::signature::{
    FieldMissing, Form, PayloadVerifier, Version2Error, is_form_signed, is_version2, verify_form,
    verify_version2,
};

use super::*;

/// The key of the examples in the S3 User Guide.
const GUIDE_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const GUIDE_SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// Tue, 27 Mar 2007 19:36:42 GMT.
const MARCH: u64 = 1_175_024_202_000;

struct GuideKeys;

impl KeyLookup for GuideKeys {
    fn secret(&self, id: &str, token: Option<&str>) -> Result<SecretKey, KeyRefusal> {
        let known = id == GUIDE_KEY && token.is_none();
        let secret = || SecretKey::new(GUIDE_SECRET.to_owned());
        known.then(secret).ok_or(KeyRefusal::Unknown)
    }
}

type Outcome = Result<(Verified, PayloadVerifier), SignatureError>;

fn judge(parts: &Parts, now: Timestamp) -> Outcome {
    assert!(is_version2(parts));
    verify_version2(parts, None, now, &Keys)
}

fn refusal(outcome: Outcome) -> SignatureError {
    outcome.map(|(verified, _)| verified).unwrap_err()
}

/// One of the guide's: its method, its path, the bucket that its host names, its headers, and its
/// signature.
type Example<'a> = (
    &'a str,
    &'a str,
    Option<&'a str>,
    &'a [(&'a str, &'a str)],
    &'a str,
);

#[test]
fn the_documented_examples() {
    let upload = [
        ("User-Agent", "curl/7.15.5"),
        ("Host", "static.johnsmith.net:8080"),
        ("Date", "Tue, 27 Mar 2007 21:06:08 +0000"),
        ("x-amz-acl", "public-read"),
        ("content-type", "application/x-download"),
        ("Content-MD5", "4gJE4saaMU4BqNR0kLY+lw=="),
        ("X-Amz-Meta-ReviewedBy", "joe@johnsmith.net"),
        ("X-Amz-Meta-ReviewedBy", "jane@johnsmith.net"),
        ("X-Amz-Meta-FileChecksum", "0x02661779"),
        ("X-Amz-Meta-ChecksumAlgorithm", "crc32"),
        ("Content-Disposition", "attachment; filename=database.dat"),
    ];
    let photos = "/photos/puppy.jpg";
    let list = "/?prefix=photos&max-keys=50&marker=puppy";
    let unicode = "/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re";
    let johnsmith = Some("johnsmith");
    let at = |time| ("Date", time);
    let jpeg = ("Content-Type", "image/jpeg");
    let examples: [Example; 8] = [
        (
            "GET",
            photos,
            johnsmith,
            &[at("Tue, 27 Mar 2007 19:36:42 +0000")],
            "bWq2s1WEIj+Ydj0vQ697zp+IXMU=",
        ),
        (
            "GET",
            photos,
            Some("awsexamplebucket1"),
            &[at("Tue, 27 Mar 2007 19:36:42 +0000")],
            "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=",
        ),
        (
            "PUT",
            photos,
            johnsmith,
            &[at("Tue, 27 Mar 2007 21:15:45 +0000"), jpeg],
            "MyyxeRY7whkBe+bq8fHCL/2kKUg=",
        ),
        (
            "GET",
            list,
            johnsmith,
            &[at("Tue, 27 Mar 2007 19:42:41 +0000")],
            "htDYFYduRNen8P9ZfE/s9SuKy0U=",
        ),
        (
            "GET",
            "/?acl",
            johnsmith,
            &[at("Tue, 27 Mar 2007 19:44:46 +0000")],
            "c2WLPFtWHVgbEmeEG93a4cG37dM=",
        ),
        (
            "PUT",
            "/db-backup.dat.gz",
            Some("static.johnsmith.net"),
            &upload,
            "ilyl83RwaSoYIEdixDQcA4OnAnc=",
        ),
        (
            "GET",
            "/",
            None,
            &[at("Wed, 28 Mar 2007 01:29:59 +0000")],
            "qGdzdERIC03wnaRNKh6OqZehG9s=",
        ),
        (
            "GET",
            unicode,
            None,
            &[at("Wed, 28 Mar 2007 01:49:49 +0000")],
            "DNEZGsoieTZ92F3bUfSPQcbGmlM=",
        ),
    ];
    for (method, uri, hosted, headers, signature) in examples {
        let date = headers.iter().find(|(name, _)| *name == "Date").unwrap().1;
        let now = aws::http_date(date).unwrap();
        let authorization = format!("AWS {GUIDE_KEY}:{signature}");
        let headers = [headers, &[("Authorization", &*authorization)]].concat();
        let parts = parts(method, uri, &headers);
        assert!(is_version2(&parts));
        let (verified, _) = verify_version2(&parts, hosted, now, &GuideKeys).unwrap();
        assert_eq!(verified.access_key_id, GUIDE_KEY);
        assert_eq!(verified.signed, Some(now));
        assert_eq!((verified.form, verified.algorithm), (Form::Header, None));
        assert_eq!(verified.scope, None);
        // The same with a bucket of another name.
        let other = verify_version2(&parts, Some("other"), now, &GuideKeys);
        assert_eq!(refusal(other), SignatureError::Mismatch, "{uri}");
    }
    let uri = format!(
        "{photos}?AWSAccessKeyId={GUIDE_KEY}&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&\
         Expires=1175139620"
    );
    let parts = parts("GET", &uri, &[]);
    let judge = |now| verify_version2(&parts, johnsmith, Timestamp(now), &GuideKeys);
    let (verified, _) = judge(MARCH).unwrap();
    assert_eq!((verified.form, verified.signed), (Form::Query, None));
    assert!(judge(1_175_139_620_999).is_ok());
    let refused = refusal(judge(1_175_139_621_000));
    let answer = refused.in_objects(&parts);
    assert_eq!((answer.code, answer.status), ("AccessDenied", 403));
    assert_eq!(answer.message, "Request has expired");
    assert_eq!(answer.members["Expires"], "2007-03-29T03:40:20Z");
}

/// Requests that botocore 1.42 presigned at [`NOW`]: method, path and query, and the
/// bucket where the host names it.
const PRESIGNED: [(&str, &str, Option<&str>); 8] = [
    (
        "GET",
        "/bucket?versioning&AWSAccessKeyId=AKIDEXAMPLE&Signature=x%2BVqhb6z3Hj55JjLKxRv6118B7E%3D&\
         Expires=1440941760",
        None,
    ),
    (
        "GET",
        "/bucket/a%20b%2Bc/%C3%BC?versionId=v1&response-content-disposition=attachment%3B%20\
         filename%3D%22a%26b.txt%22&AWSAccessKeyId=AKIDEXAMPLE&\
         Signature=VwwOVqO3I3L9051z37KBwQM%2F7lQ%3D&Expires=1440941760",
        None,
    ),
    (
        "PUT",
        "/bucket/key?AWSAccessKeyId=AKIDEXAMPLE&Signature=dmWFchJKrWT5ZeWJThu8xP%2BcyzQ%3D&\
         content-type=text%2Fplain&x-amz-acl=public-read&x-amz-meta-one=1&\
         content-md5=1B2M2Y8AsgTpgAmY7PhCfg%3D%3D&Expires=1440938220",
        None,
    ),
    (
        "GET",
        "/bucket/key?AWSAccessKeyId=ASIDEXAMPLE&Signature=ucTYpl1FwHiHxnNxg84Ywlp8noY%3D&\
         x-amz-security-token=token%2Fwith%2Bsigns%3D%3D&Expires=1440941760",
        None,
    ),
    (
        "GET",
        "/?list-type=2&prefix=a%2F&encoding-type=url&AWSAccessKeyId=AKIDEXAMPLE&\
         Signature=Ya%2B85ZyXY8iFfi3pDWIlrQo1118%3D&Expires=1440941760",
        Some("bucket"),
    ),
    (
        "PUT",
        "/key?uploadId=u&partNumber=2&AWSAccessKeyId=AKIDEXAMPLE&\
         Signature=cHeNH7ZwKe7VmMSyWu3p5KB3574%3D&Expires=1440941760",
        Some("bucket"),
    ),
    (
        "POST",
        "/key?uploads&AWSAccessKeyId=AKIDEXAMPLE&Signature=jogpRiTFcGxSVEL92dyzsvhE%2FtY%3D&\
         Expires=1440941760",
        Some("bucket"),
    ),
    (
        "GET",
        "/?AWSAccessKeyId=AKIDEXAMPLE&Signature=BCPG7b6tHb9jmn8hg%2FcO6jTSAJY%3D&\
         Expires=1440941760",
        None,
    ),
];

#[test]
fn what_botocore_presigns_holds_and_nothing_else_does() {
    for (method, uri, hosted) in PRESIGNED {
        let judge = |method: &str, uri: &str, headers: &[(&str, &str)]| {
            let parts = parts(method, uri, headers);
            verify_version2(&parts, hosted, NOW, &Keys).map(|(verified, _)| verified)
        };
        let verified = judge(method, uri, &[]).unwrap_or_else(|error| panic!("{uri}: {error}"));
        assert_eq!(verified.form, Form::Query);
        let token = verified.session_token.as_deref();
        assert_eq!(token.is_some(), uri.contains("token"), "{uri}");
        assert!(judge("DELETE", uri, &[]).is_err());
        for added in [
            "&acl",
            "&versionId=2",
            "&uploads=1",
            "&x-amz-acl=private",
            "&tagging",
        ] {
            assert!(
                judge(method, &format!("{uri}{added}"), &[]).is_err(),
                "{uri}{added}"
            );
        }
        for (name, value) in [
            ("x-amz-acl", "private"),
            ("x-amz-meta-two", "2"),
            ("content-type", "text/html"),
            ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA=="),
            ("x-amz-security-token", "other"),
        ] {
            assert!(
                judge(method, uri, &[(name, value)]).is_err(),
                "{uri} {name}"
            );
        }
        // Every byte of it counts but the case of two digits of an escape.
        for at in 0..uri.len() {
            let changed = match uri.as_bytes()[at] {
                b'9' => "8",
                byte if byte.is_ascii_digit() => "9",
                b'x' => "y",
                byte if byte.is_ascii_alphabetic() => "x",
                _ => continue,
            };
            let mut other = uri.to_owned();
            other.replace_range(at..=at, changed);
            let is_free = |name: &str| {
                let start = uri.find(name).map(|start| start + name.len());
                start.is_some_and(|start| {
                    let length = uri[start..].find('&').unwrap_or(uri.len() - start);
                    (start..start + length).contains(&at)
                })
            };
            let listing = ["list-type=", "prefix=", "encoding-type="];
            if !listing.into_iter().any(is_free) {
                assert!(judge(method, &other, &[]).is_err(), "{other}");
            }
        }
    }
    // Headers that say what the query carries already change nothing.
    let (method, uri, _) = PRESIGNED[2];
    let headers = [("content-type", "text/plain"), ("x-amz-acl", "public-read")];
    assert!(judge(&parts(method, uri, &headers), NOW).is_ok());
}

/// A request that the key of these tests signed in its header, of that text.
fn signed(method: &str, uri: &str, headers: &[(&str, &str)], message: &str) -> Parts {
    let signature = mac(message);
    let authorization = format!("AWS {KEY}:{signature}");
    let headers = [headers, &[("authorization", &*authorization)]].concat();
    parts(method, uri, &headers)
}

fn mac(message: &str) -> String {
    use base64::Engine as _;
    use ring::hmac;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET.as_bytes());
    let signature = hmac::sign(&key, message.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(signature)
}

const HTTP_NOW: &str = "Sun, 30 Aug 2015 12:36:00 GMT";

#[test]
fn a_request_is_good_for_a_quarter_of_an_hour() {
    let with_date = signed(
        "GET",
        "/b/k",
        &[("date", HTTP_NOW)],
        &format!("GET\n\n\n{HTTP_NOW}\n/b/k"),
    );
    // The one that counts is among the headers, and the line for the other is empty.
    let with_both = signed(
        "GET",
        "/b/k",
        &[
            ("date", "Sun, 30 Aug 2015 01:00:00 GMT"),
            ("x-amz-date", HTTP_NOW),
        ],
        &format!("GET\n\n\n\nx-amz-date:{HTTP_NOW}\n/b/k"),
    );
    let quarter = 15 * 60_000;
    for parts in [with_date, with_both] {
        for now in [NOW.0 - quarter, NOW.0, NOW.0 + quarter + 999] {
            assert!(judge(&parts, Timestamp(now)).is_ok());
        }
        for now in [NOW.0 - quarter - 1000, NOW.0 + quarter + 1000] {
            let answer = refusal(judge(&parts, Timestamp(now))).in_objects(&parts);
            assert_eq!((answer.code, answer.status), ("RequestTimeTooSkewed", 403));
        }
    }
    let undated = signed("GET", "/b/k", &[], "GET\n\n\n\n/b/k");
    let answer = refusal(judge(&undated, NOW)).in_objects(&undated);
    assert_eq!((answer.code, answer.status), ("AccessDenied", 403));
    assert!(answer.message.contains("valid Date"), "{answer}");
    let strange = signed("GET", "/b/k", &[("date", "now")], "GET\n\n\nnow\n/b/k");
    assert!(judge(&strange, NOW).is_err());
}

#[test]
fn what_is_no_such_request_is_refused_in_s3_s_words() {
    let answer = |uri: &str, headers: &[(&str, &str)]| {
        let parts = parts("GET", uri, headers);
        let answer = refusal(judge(&parts, NOW)).in_objects(&parts);
        (answer.code, answer.status, answer.message)
    };
    let header = |value| [("authorization", value), ("date", HTTP_NOW)];
    for value in ["AWS ", "AWS AKID", "AWS :sig", "AWS AKID:", "AWS  "] {
        let (code, status, text) = answer("/b/k", &header(value));
        assert_eq!((code, status), ("InvalidArgument", 400), "{value}");
        assert!(text.contains("Expected AwsAccessKeyId:signature"), "{text}");
    }
    let (code, status, _) = answer("/b/k", &header("AWS AKIDOTHER:sig="));
    assert_eq!((code, status), ("InvalidAccessKeyId", 403));
    let (code, status, _) = answer("/b/k", &header("AWS AKIDEXAMPLE:sig="));
    assert_eq!((code, status), ("SignatureDoesNotMatch", 403));
    for (query, code, text) in [
        (
            "AWSAccessKeyId=A&Signature=b",
            "AccessDenied",
            "requires the Signature, Expires",
        ),
        (
            "Signature=b&Expires=1",
            "AccessDenied",
            "requires the Signature, Expires",
        ),
        (
            "awsaccesskeyid=A&Signature=b&Expires=1",
            "AccessDenied",
            "requires the Signature",
        ),
        (
            "AWSAccessKeyId=A&Signature=b&Expires=soon",
            "AccessDenied",
            "seconds since epoch",
        ),
        (
            "AWSAccessKeyId=A&Signature=b&Expires=-1",
            "AccessDenied",
            "seconds since epoch",
        ),
        (
            "AWSAccessKeyId=A&Signature=b&Expires=999999999999",
            "AccessDenied",
            "seconds since epoch",
        ),
        (
            "AWSAccessKeyId=A&Signature=b&Expires=1",
            "AccessDenied",
            "has expired",
        ),
        (
            "AWSAccessKeyId=A&Signature=b&Expires=9999999999",
            "InvalidAccessKeyId",
            "does not exist",
        ),
        (
            "AWSAccessKeyId=A&Signature=b&Expires=9999999999&x-amz-security-token=t",
            "InvalidToken",
            "token",
        ),
        (
            "AWSAccessKeyId=A&Signature=b&Expires=9999999999&Expires=1",
            "AuthorizationQueryParametersError",
            "more than once",
        ),
        (
            "AWSAccessKeyId=A&Signature=b&Expires=9999999999&X-Amz-Signature=00",
            "InvalidArgument",
            "Only one auth mechanism",
        ),
        (
            "AWSAccessKeyId=A&Signature=b&Expires=9999999999&legal-hold",
            "InvalidRequest",
            "'legal-hold'",
        ),
        (
            "AWSAccessKeyId=A&Signature=b&Expires=9999999999&prefix=a%0Ab",
            "AuthorizationQueryParametersError",
            "control characters",
        ),
    ] {
        let found = answer(&format!("/b/k?{query}"), &[]);
        assert_eq!(found.0, code, "{query}: {found:?}");
        assert!(found.2.contains(text), "{query}: {found:?}");
    }
    let both = answer(
        "/b/k?AWSAccessKeyId=A&Signature=b&Expires=1",
        &header("AWS A:b"),
    );
    assert_eq!(both.0, "InvalidArgument");
}

#[test]
fn it_is_seen_wherever_it_stands_and_nothing_else_is() {
    let is = |uri: &str, headers: &[(&str, &str)]| is_version2(&parts("GET", uri, headers));
    assert!(is("/", &[("authorization", "AWS A:b")]));
    assert!(is("/?%41WSAccessKeyId=A", &[]));
    assert!(is("/?signature=A", &[]));
    // Also beside another one, so that both are refused.
    assert!(is(
        "/?AWSAccessKeyId=A",
        &[("authorization", "AWS4-HMAC-SHA256 a")]
    ));
    assert!(!is("/", &[("authorization", "AWS4-HMAC-SHA256 a")]));
    assert!(!is("/?X-Amz-Signature=A&Expires=1", &[]));
    assert!(!is("/", &[]));
}

/// One signature must not be of two requests: what is joined is read back as it was.
#[test]
fn no_value_passes_for_another_parameter() {
    let query = |covered: &str| {
        let resource = "/b/k?response-content-type=a&versionId=b";
        let signature = mac(&format!("GET\n\n\n1440941760\n{resource}")).replace('+', "%2B");
        let uri =
            format!("/b/k?{covered}&AWSAccessKeyId={KEY}&Signature={signature}&Expires=1440941760");
        judge(&parts("GET", &uri, &[]), NOW).map(|_| ())
    };
    assert_eq!(query("response-content-type=a&versionId=b"), Ok(()));
    let joined = query("response-content-type=a%26versionId=b");
    assert!(
        matches!(joined, Err(SignatureError::MalformedQuery(_))),
        "{joined:?}"
    );
}

#[test]
fn a_body_is_verified_by_its_hash_if_one_is_said_and_never_in_chunks() {
    let request = |headers: &[(&str, &str)], amazon: &str| {
        let message = format!("PUT\n\n\n{HTTP_NOW}\n{amazon}/b/k");
        let headers = [headers, &[("date", HTTP_NOW)]].concat();
        judge(&signed("PUT", "/b/k", &headers, &message), NOW)
    };
    let (_, mut payload) = request(&[], "").unwrap();
    let mut passed = Vec::new();
    payload.push(b"anything", &mut passed).unwrap();
    assert_eq!(
        (passed.as_slice(), payload.finish().is_ok()),
        (&b"anything"[..], true)
    );
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let name = "x-amz-content-sha256";
    let (_, mut payload) = request(&[(name, hash)], &format!("{name}:{hash}\n")).unwrap();
    payload.push(b"not empty", &mut passed).unwrap();
    assert!(payload.finish().is_err());
    for (header, value) in [
        (name, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        (name, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("x-amz-decoded-content-length", "7"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
    ] {
        let refused = refusal(request(&[(header, value)], &format!("{header}:{value}\n")));
        assert!(
            matches!(refused, SignatureError::StreamingPayload(_)),
            "{value}"
        );
    }
    let refused = refusal(request(&[("content-encoding", "gzip, AWS-chunked")], ""));
    assert!(
        matches!(refused, SignatureError::StreamingPayload(_)),
        "{refused}"
    );
}

#[test]
fn nothing_secret_is_in_what_is_printed() {
    let (method, uri, _) = PRESIGNED[3];
    let (verified, _) = judge(&parts(method, uri, &[]), NOW).unwrap();
    let shown = format!("{verified:?}");
    assert!(
        shown.contains(SESSION_KEY) && !shown.contains("with+signs"),
        "{shown}"
    );
    let error = SignatureError::from(Version2Error::Header);
    assert_eq!(error.code(), "InvalidSignatureException");
}

#[test]
fn forms_are_signed_over_their_policy() {
    let policy = "eyJleHBpcmF0aW9uIjogIjIwMTUtMDgtMzBUMTM6MzY6MDBaIn0=";
    let expected = Expected {
        service: "s3",
        regions: &[region()],
        rules: Rules::OBJECTS,
    };
    let judge = |form: &[(&str, &str)]| {
        let fields = |name: &str| {
            let found = form.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| *value)
        };
        assert!(is_form_signed(&fields));
        verify_form(&fields, &expected, NOW, &Keys)
    };
    let signature = mac(policy);
    let form = [
        ("policy", policy),
        ("awsaccesskeyid", KEY),
        ("signature", signature.as_str()),
    ];
    let verified = judge(&form).unwrap();
    assert_eq!(
        (verified.access_key_id.as_str(), verified.form),
        (KEY, Form::Fields)
    );
    assert!(matches!(
        judge(&form[..2]),
        Err(SignatureError::Field(FieldMissing("signature")))
    ));
    assert!(judge(&form[..1]).is_err());
    let other = [("policy", "e30="), form[1], form[2]];
    assert_eq!(judge(&other), Err(SignatureError::Mismatch));
    let token = [&form[..], &[("x-amz-security-token", "t")]].concat();
    assert_eq!(judge(&token), Err(SignatureError::UnknownKey));

    // The same by V4, computed apart.
    let credential = "AKIDEXAMPLE/20150830/us-east-1/s3/aws4_request";
    let form = [
        ("policy", policy),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-credential", credential),
        ("x-amz-date", DATE),
        (
            "x-amz-signature",
            "2012acd33422e46881fb73c47f061660221c87370ae9a882b7b9df669e0f3d98",
        ),
    ];
    let verified = judge(&form).unwrap();
    assert_eq!(verified.scope.unwrap().region, "us-east-1");
    for (at, value) in [
        (0, "e30="),
        (1, "AWS4-HMAC-SHA1"),
        (2, "AKIDEXAMPLE/20150830/eu-west-1/s3/aws4_request"),
        (2, "AKIDEXAMPLE/20150830/us-east-1/sts/aws4_request"),
        (2, "AKIDOTHER/20150830/us-east-1/s3/aws4_request"),
        (3, "20150829T123600Z"),
        (3, "20150830T235900Z"),
        (4, "00"),
    ] {
        let mut other = form;
        other[at].1 = value;
        assert!(judge(&other).is_err(), "{value}");
    }
    for at in 0..form.len() {
        let mut lacking = form.to_vec();
        lacking.remove(at);
        assert!(matches!(judge(&lacking), Err(SignatureError::Field(_))));
    }
    let both = [&form[..], &[("signature", signature.as_str())]].concat();
    assert_eq!(judge(&both), Err(SignatureError::BothForms));
}
