//! The table of operations, and what is asked of it in vain.

use routing::Service;

use crate::support::Api;

#[test]
fn every_operation_of_the_model_is_named_once() {
    let operations: Vec<(&str, bool)> = Service::operations().collect();
    assert_eq!(operations.len(), 74);
    assert!(operations.is_sorted_by_key(|(name, _)| name));
    let built = operations.iter().filter(|(_, built)| *built).count();
    assert_eq!(built, 27);
}

#[test]
fn what_is_not_built_answers_by_name() {
    let api = Api::new();
    for (method, path, name) in [
        ("POST", "trafficpolicy", "CreateTrafficPolicy"),
        ("GET", "checkeripranges", "GetCheckerIpRanges"),
        (
            "POST",
            "hostedzone/Z1/associatevpc",
            "AssociateVPCWithHostedZone",
        ),
        (
            "GET",
            "hostedzone/Z1/rrsetprotection",
            "ListResourceRecordSetProtections",
        ),
        ("GET", "cidrcollection/c/cidrblocks", "ListCidrBlocks"),
    ] {
        let answer = api.raw(method, path, b"");
        let (code, message) = answer.error();
        assert_eq!(
            (answer.status, code.as_str()),
            (400, "NotImplemented"),
            "{path}"
        );
        assert!(
            message.starts_with(&format!("{name} is not built yet")),
            "{message}"
        );
    }
    for (method, path) in [("PUT", "hostedzone"), ("GET", "nothing"), ("GET", "")] {
        let answer = api.raw(method, path, b"");
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.error().0, "UnknownOperationException");
    }
}

#[test]
fn a_document_must_be_there_and_be_the_operation_s() {
    let api = Api::new();
    for (body, words) in [
        (&b""[..], "no document"),
        (b"<CreateHostedZoneRequest>", "Invalid XML ; "),
        (b"not xml", "Invalid XML ; "),
        (
            b"<DeleteHostedZoneRequest/>",
            "'CreateHostedZoneRequest' is expected",
        ),
        (b"<!DOCTYPE x><CreateHostedZoneRequest/>", "DOCTYPE"),
    ] {
        let (code, message) = api.raw("POST", "hostedzone", body).error();
        assert_eq!(code, "InvalidInput");
        assert!(message.contains(words), "{message}");
    }
    let large = vec![b' '; 2 * 1024 * 1024 + 1];
    assert_eq!(api.raw("POST", "hostedzone", &large).status, 413);
    assert_eq!(api.get("hostedzone?a=%ff").error().0, "InvalidInput");
}
