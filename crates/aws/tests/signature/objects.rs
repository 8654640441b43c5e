//! S3's own codes, statuses and texts for each refusal, and nothing secret in any of them.

use aws::ServiceError;
use aws::signature::{Algorithm, ChunkForm, PayloadError};

use super::*;

fn refused(change: impl FnOnce(&mut Parts)) -> ServiceError {
    let form = ChunkForm {
        signed: None,
        trailer: true,
    };
    let (mut parts, _) = chunks::upload(form, &[b"payload"]);
    change(&mut parts);
    judged(&parts, NOW)
}

fn refused_query(change: impl FnOnce(&str) -> String) -> ServiceError {
    let (_, host, uri, _) = vectors::PRESIGNED[0];
    let parts = parts("GET", &change(uri), &[("Host", host)]);
    judged(&parts, NOW)
}

fn judged(parts: &Parts, now: Timestamp) -> ServiceError {
    let error = chunks::verify_head(parts, now, &Keys).unwrap_err();
    error.in_objects(parts)
}

fn set(parts: &mut Parts, name: &'static str, value: &str) {
    parts.headers.insert(name, value.parse().unwrap());
}

fn replace(parts: &mut Parts, from: &str, to: &str) {
    let header = parts.headers["authorization"].to_str().unwrap();
    assert!(header.contains(from), "{header}");
    let changed = header.replacen(from, to, 1);
    set(parts, "authorization", &changed);
}

#[test]
fn what_s3_says_of_headers() {
    let answers = [
        (
            refused(|p| drop(p.headers.remove("authorization"))),
            "AccessDenied",
            403,
        ),
        (
            refused(|p| set(p, "authorization", "AWS AKID:sig=")),
            "InvalidRequest",
            400,
        ),
        (
            refused(|p| replace(p, "SHA256", "SHA512")),
            "InvalidArgument",
            400,
        ),
        (
            refused(|p| replace(p, "Signature=", "X=")),
            "AuthorizationHeaderMalformed",
            400,
        ),
        (
            refused(|p| replace(p, "/aws4_request", "")),
            "AuthorizationHeaderMalformed",
            400,
        ),
        (
            refused(|p| replace(p, "/aws4_", "/aws5_")),
            "AuthorizationHeaderMalformed",
            400,
        ),
        (
            refused(|p| replace(p, "/s3/", "/ec2/")),
            "AuthorizationHeaderMalformed",
            400,
        ),
        (
            refused(|p| replace(p, "/20150830/", "/20150829/")),
            "AuthorizationHeaderMalformed",
            400,
        ),
        (
            refused(|p| set(p, "x-amz-date", "yesterday")),
            "AccessDenied",
            403,
        ),
        (
            refused(|p| set(p, "x-amz-meta-a", "1")),
            "AccessDenied",
            403,
        ),
        (refused(|p| replace(p, ";host;", ";")), "AccessDenied", 403),
        (
            refused(|p| replace(p, KEY, "AKIDOTHER")),
            "InvalidAccessKeyId",
            403,
        ),
        (
            refused(|p| replace(p, "Signature=", "Signature=0")),
            "SignatureDoesNotMatch",
            403,
        ),
        (
            refused(|p| p.uri = "/other".parse().unwrap()),
            "SignatureDoesNotMatch",
            403,
        ),
        (
            refused(|p| set(p, "x-amz-content-sha256", "00")),
            "InvalidArgument",
            400,
        ),
        (
            refused(|p| drop(p.headers.remove("x-amz-content-sha256"))),
            "InvalidRequest",
            400,
        ),
        (
            refused(|p| p.uri = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256".parse().unwrap()),
            "InvalidArgument",
            400,
        ),
    ];
    for (answer, code, status) in answers {
        assert_eq!((answer.code, answer.status), (code, status), "{answer}");
    }
    let answer = refused(|parts| replace(parts, "us-east-1", "eu-west-1"));
    assert_eq!(
        answer.message,
        "The authorization header is malformed; the region 'eu-west-1' is wrong; expecting \
         'us-east-1'"
    );
    assert_eq!(answer.members["Region"], "us-east-1");
    let answer = refused(|parts| replace(parts, KEY, "AKIDOTHER"));
    assert_eq!(answer.members["AWSAccessKeyId"], "AKIDOTHER");
    let answer = refused(|parts| set(parts, "x-amz-meta-a", "1"));
    assert_eq!(answer.members["HeadersNotSigned"], "x-amz-meta-a");
}

#[test]
fn what_s3_says_of_queries() {
    let malformed = "AuthorizationQueryParametersError";
    let answers = [
        (
            refused_query(|uri| uri.replace("SHA256", "SHA512")),
            malformed,
            400,
        ),
        (
            refused_query(|uri| uri.replace("X-Amz-Date", "X")),
            malformed,
            400,
        ),
        (
            refused_query(|uri| uri.replace("=2015", "=2x15")),
            malformed,
            400,
        ),
        (
            refused_query(|uri| uri.replace("86400", "604801")),
            malformed,
            400,
        ),
        (
            refused_query(|uri| uri.replace("%2Faws4_request", "")),
            malformed,
            400,
        ),
        (
            refused_query(|uri| uri.replace("us-east-1", "eu-west-1")),
            malformed,
            400,
        ),
        (
            refused_query(|uri| format!("{uri}&X-Amz-Date=x")),
            malformed,
            400,
        ),
        (
            refused_query(|uri| format!("{uri}&x=1")),
            "SignatureDoesNotMatch",
            403,
        ),
        (
            refused_query(|uri| uri.replace("AKID", "AKIX")),
            "InvalidAccessKeyId",
            403,
        ),
        (
            refused_query(|uri| format!("{uri}&X-Amz-Security-Token=x")),
            "InvalidToken",
            400,
        ),
    ];
    for (answer, code, status) in answers {
        assert_eq!((answer.code, answer.status), (code, status), "{answer}");
    }
    let answer = refused_query(|uri| uri.replace("us-east-1", "eu-west-1"));
    assert_eq!(
        answer.message,
        "Error parsing the X-Amz-Credential parameter; the region 'eu-west-1' is wrong; expecting \
         'us-east-1'"
    );
}

#[test]
fn what_s3_says_of_time_and_tokens() {
    let form = ChunkForm {
        signed: Some(Algorithm::Symmetric),
        trailer: false,
    };
    let (header, _) = chunks::upload(form, &[b"payload"]);
    let (_, host, uri, seconds) = vectors::PRESIGNED[0];
    let query = parts("GET", uri, &[("Host", host)]);
    let quarter = 15 * 60_000;
    for (answer, code, text) in [
        (
            judged(&header, Timestamp(NOW.0 + quarter + 1000)),
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        ),
        (
            judged(&header, Timestamp(NOW.0 - quarter - 1000)),
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        ),
        (
            judged(&query, Timestamp(NOW.0 + seconds * 1000 + 1000)),
            "AccessDenied",
            "Request has expired",
        ),
        (
            judged(&query, Timestamp(NOW.0 - quarter - 1000)),
            "AccessDenied",
            "Request is not yet valid",
        ),
    ] {
        assert_eq!((answer.code, answer.status), (code, 403));
        assert_eq!(answer.message, text);
        assert!(answer.members.contains_key("ServerTime"));
    }
    let answer = judged(&header, Timestamp(NOW.0 + quarter + 1000));
    assert_eq!(answer.members["MaxAllowedSkewMilliseconds"], "900000");
    assert_eq!(answer.members["ServerTime"], "2015-08-30T12:51:01Z");

    let expired = SignatureError::ExpiredToken.in_objects(&header);
    assert_eq!((expired.code, expired.status), ("ExpiredToken", 400));
    assert_eq!(expired.message, "The provided token has expired.");
}

#[test]
fn what_s3_says_of_bodies() {
    let limit = 1;
    for (error, code, status) in [
        (
            PayloadError::Hash {
                declared: "a".into(),
                computed: "b".into(),
            },
            "XAmzContentSHA256Mismatch",
            400,
        ),
        (PayloadError::Signature, "SignatureDoesNotMatch", 403),
        (PayloadError::ChunkForm("text"), "InvalidRequest", 400),
        (
            PayloadError::ChunkTooLarge { size: 2, limit },
            "InvalidChunkSizeError",
            403,
        ),
        (
            PayloadError::ChunkTooSmall { limit },
            "InvalidChunkSizeError",
            403,
        ),
        (PayloadError::LengthMissing, "MissingContentLength", 411),
        (PayloadError::TooLong, "IncompleteBody", 400),
        (PayloadError::Incomplete, "IncompleteBody", 400),
        (PayloadError::AfterEnd, "InvalidRequest", 400),
        (PayloadError::Trailer("text"), "MalformedTrailerError", 400),
    ] {
        let answer = error.in_objects();
        assert_eq!((answer.code, answer.status), (code, status));
        assert!(!answer.message.is_empty());
    }
}
