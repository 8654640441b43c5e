//! Values of every kind: there and back, and refused in the service's words.

use super::*;
use proptest::prelude::*;

#[test]
fn values_read_back_as_the_service_shows_them() {
    for (kind, text, shown) in [
        (RecordKind::A, "192.0.2.1", "192.0.2.1"),
        (RecordKind::Aaaa, "2001:DB8:0:0::1", "2001:db8::1"),
        (RecordKind::Cname, "WWW.example.com", "www.example.com."),
        (
            RecordKind::Mx,
            "10 mail.example.com.",
            "10 mail.example.com.",
        ),
        (RecordKind::Mx, "0 .", "0 ."),
        (
            RecordKind::Srv,
            "1 2 3 a.example.com",
            "1 2 3 a.example.com.",
        ),
        (
            RecordKind::Soa,
            "ns-1.awsdns-00.com. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400",
            "ns-1.awsdns-00.com. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400",
        ),
        (RecordKind::Txt, r#""a b" "c\"d""#, r#""a b" "c\"d""#),
        (RecordKind::Txt, r#""\303\244 \\ ""#, r#""\303\244 \\ ""#),
        (RecordKind::Txt, r#""""#, r#""""#),
        (
            RecordKind::Caa,
            r#"0 issue "ca.example; x""#,
            r#"0 issue "ca.example; x""#,
        ),
    ] {
        let wire = parse(kind, text).unwrap();
        assert_eq!(print(kind, &wire), shown);
        assert_eq!(parse(kind, shown), Ok(wire));
    }
}

#[test]
fn bytes_are_the_packet_s() {
    assert_eq!(
        parse(RecordKind::Mx, "10 a.b").unwrap(),
        b"\x00\x0a\x01a\x01b\x00"
    );
    assert_eq!(
        parse(RecordKind::Txt, r#""ab" "c""#).unwrap(),
        b"\x02ab\x01c"
    );
    assert_eq!(
        parse(RecordKind::Caa, r#"128 iodef "x""#).unwrap(),
        b"\x80\x05iodefx"
    );
}

#[test]
fn bad_values_are_refused_in_the_service_s_words() {
    let long = format!("\"{}\"", "a".repeat(256));
    for (kind, text, words) in [
        (
            RecordKind::A,
            "192.0.2",
            "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)",
        ),
        (
            RecordKind::A,
            "1.2.3.4, 5",
            "ARRDATANotSingleField (Value contains spaces)",
        ),
        (
            RecordKind::Aaaa,
            "::g",
            "AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address)",
        ),
        (
            RecordKind::Cname,
            "",
            "DomainNameEmpty (Domain name is empty)",
        ),
        (
            RecordKind::Ns,
            "a..b",
            "DomainLabelEmpty (Domain label is empty)",
        ),
        (
            RecordKind::Txt,
            "a",
            "InvalidCharacterString (Value should be enclosed in quotation marks)",
        ),
        (
            RecordKind::Txt,
            "\"a",
            "InvalidCharacterString (Value should be enclosed in quotation marks)",
        ),
        (
            RecordKind::Txt,
            "\"a\"b",
            "InvalidCharacterString (Value should be enclosed in quotation marks)",
        ),
        (
            RecordKind::Txt,
            &long,
            "CharacterStringTooLong (Value is too long)",
        ),
        (
            RecordKind::Txt,
            "\"ä\"",
            "UnsupportedCharacter (Value contains unsupported characters)",
        ),
        (
            RecordKind::Mx,
            "mail.example.com",
            "MXRRDATAWrongNumberOfFields (Value must have 2 fields)",
        ),
        (
            RecordKind::Mx,
            "70000 a.b",
            "MXRRDATAIllegalNumber (Preference must be a number from 0 to 65535)",
        ),
        (
            RecordKind::Srv,
            "1 2 +3 a.b",
            "SRVRRDATAIllegalNumber (Port must be a number from 0 to 65535)",
        ),
        (
            RecordKind::Caa,
            "0 is-sue \"a\"",
            "CAARRDATAIllegalTag (Tag must be 1 to 15 letters and digits)",
        ),
        (
            RecordKind::Caa,
            "0 issue",
            "CAARRDATAWrongNumberOfFields (Value must have 3 fields)",
        ),
    ] {
        let error = parse(kind, text).unwrap_err().to_string();
        let message =
            format!("Invalid Resource Record: 'FATAL problem: {words} encountered with '{text}''");
        assert_eq!(error, message);
    }
}

#[test]
fn bytes_of_no_known_form_are_printed_as_such() {
    assert_eq!(print(RecordKind::A, b"\x01\x02"), "\\# 2 0102");
    assert_eq!(print(RecordKind::Mx, b""), "\\# 0");
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in ".{0,60}", bytes: Vec<u8>) {
        for kind in RecordKind::ALL {
            if let Ok(wire) = parse(kind, &text) {
                prop_assert_eq!(parse(kind, &print(kind, &wire)), Ok(wire));
            }
            let _ = print(kind, &bytes);
        }
    }

    #[test]
    fn text_of_any_octets_reads_back(string in prop::collection::vec(any::<u8>(), 0..255)) {
        let mut wire = vec![string.len() as u8];
        wire.extend(&string);
        let text = print(RecordKind::Txt, &wire);
        prop_assert_eq!(parse(RecordKind::Txt, &text), Ok(wire));
    }
}
