//! Bodies in chunks: the examples that AWS documents, each form with our own signer, and each way
//! in which a body can be wrong, with what comes out of it before it is refused.

use aws::signature::{
    Algorithm, ChunkForm, Credentials, PayloadError, PayloadVerifier, SignError, Target, Trailers,
    sign_chunked,
};

use super::*;

/// The key and time of the examples in the S3 API Reference, "Signature calculations: transferring
/// payload in multiple chunks".
const S3_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const S3_SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const S3_NOW: Timestamp = Timestamp(1_369_353_600_000);

pub(super) const FORMS: [ChunkForm; 5] = [
    form(Some(Algorithm::Symmetric), false),
    form(Some(Algorithm::Symmetric), true),
    form(Some(Algorithm::Asymmetric), false),
    form(Some(Algorithm::Asymmetric), true),
    form(None, true),
];

const fn form(signed: Option<Algorithm>, trailer: bool) -> ChunkForm {
    ChunkForm { signed, trailer }
}

struct S3Keys;

impl KeyLookup for S3Keys {
    fn secret(&self, id: &str, token: Option<&str>) -> Result<SecretKey, KeyRefusal> {
        let known = id == S3_KEY && token.is_none();
        let secret = || SecretKey::new(S3_SECRET.to_owned());
        known.then(secret).ok_or(KeyRefusal::Unknown)
    }
}

/// An upload: the request's parts and its body.
pub(super) type Upload = (Parts, Vec<u8>);

/// An upload of these chunks in that form, by our own signer.
pub(super) fn upload(form: ChunkForm, chunks: &[&[u8]]) -> Upload {
    let headers = [("Host", "examplebucket.s3.amazonaws.com")];
    let mut parts = parts("PUT", "/an%20object", &headers);
    let secret = secret();
    let credentials = Credentials {
        access_key_id: KEY,
        secret: &secret,
        session_token: None,
    };
    let target = Target {
        service: "s3",
        region: region(),
        rules: Rules::OBJECTS,
    };
    let length = chunks.iter().map(|chunk| chunk.len() as u64).sum();
    let names: &[&str] = match form.trailer {
        true => &["x-amz-checksum-crc32c", "x-amz-meta-b"],
        false => &[],
    };
    let said = (length, names);
    let signer = sign_chunked(&mut parts, form, said, None, &credentials, &target, NOW);
    let mut signer = signer.unwrap();
    let mut body = Vec::new();
    for chunk in chunks {
        signer.chunk(chunk, &mut body);
    }
    let values: &[&str] = match form.trailer {
        true => &["sOO8/Q==", " two  words "],
        false => &[],
    };
    signer.finish(values, &mut body).unwrap();
    (parts, body)
}

pub(super) fn verify_head(
    parts: &Parts,
    now: Timestamp,
    keys: &dyn KeyLookup,
) -> Result<PayloadVerifier, SignatureError> {
    let expected = Expected {
        service: "s3",
        regions: &[region()],
        rules: Rules::OBJECTS,
    };
    let verified = Verifier::new().verify_head(parts, &expected, now, keys);
    verified.map(|(_, payload)| payload)
}

/// What comes out of the body when it comes in pieces of that size, and how it ends.
pub(super) fn decode(
    mut verifier: PayloadVerifier,
    body: &[u8],
    piece: usize,
) -> (Vec<u8>, Result<Trailers, PayloadError>) {
    let mut payload = Vec::new();
    for piece in body.chunks(piece) {
        if let Err(error) = verifier.push(piece, &mut payload) {
            let length = payload.len();
            assert_eq!(verifier.push(b"0\r\n", &mut payload), Err(error.clone()));
            assert_eq!(payload.len(), length);
            assert_eq!(verifier.finish(), Err(error.clone()));
            return (payload, Err(error));
        }
    }
    (payload, verifier.finish())
}

fn decoded(parts: &Parts, body: &[u8]) -> (Vec<u8>, Result<Trailers, PayloadError>) {
    decode(verify_head(parts, NOW, &Keys).unwrap(), body, 1000)
}

#[test]
fn the_documented_example() {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={S3_KEY}/20130524/us-east-1/s3/aws4_request, \
         SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
         x-amz-decoded-content-length;x-amz-storage-class, \
         Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    );
    let headers = [
        ("Host", "s3.amazonaws.com"),
        ("X-Amz-Date", "20130524T000000Z"),
        ("X-Amz-Storage-Class", "REDUCED_REDUNDANCY"),
        ("Authorization", &authorization),
        ("X-Amz-Content-SHA256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("Content-Encoding", "aws-chunked"),
        ("X-Amz-Decoded-Content-Length", "66560"),
        ("Content-Length", "66824"),
    ];
    let parts = parts("PUT", "/examplebucket/chunkObject.txt", &headers);
    let signatures = [
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ];
    let body = documented_body(signatures, "");
    assert_eq!(body.len(), 66824);
    for piece in [1, 7, 8192, 100_000] {
        let verifier = verify_head(&parts, S3_NOW, &S3Keys).unwrap();
        assert_eq!(verifier.decoded_length(), Some(66560));
        let (payload, end) = decode(verifier, &body, piece);
        assert_eq!(payload, vec![b'a'; 66560]);
        assert_eq!(end, Ok(Vec::new()));
    }
}

#[test]
fn the_documented_example_with_a_trailer() {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={S3_KEY}/20130524/us-east-1/s3/aws4_request, \
         SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-date;\
         x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer, \
         Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    );
    let headers = [
        ("Host", "s3.amazonaws.com"),
        ("X-Amz-Date", "20130524T000000Z"),
        ("X-Amz-Storage-Class", "REDUCED_REDUNDANCY"),
        ("Authorization", &authorization),
        (
            "X-Amz-Content-SHA256",
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        ),
        ("Content-Encoding", "aws-chunked"),
        ("X-Amz-Decoded-Content-Length", "66560"),
        ("X-Amz-Trailer", "x-amz-checksum-crc32c"),
    ];
    let parts = parts("PUT", "/examplebucket/chunkObject.txt", &headers);
    let signatures = [
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ];
    let trailer = "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:\
                   d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n";
    let body = documented_body(signatures, trailer);
    let verifier = verify_head(&parts, S3_NOW, &S3Keys).unwrap();
    let (payload, end) = decode(verifier, &body, 4096);
    assert_eq!(payload.len(), 66560);
    let trailer = ("x-amz-checksum-crc32c".to_owned(), "sOO8/Q==".to_owned());
    assert_eq!(end, Ok(vec![trailer]));
}

fn documented_body(signatures: [&str; 3], trailer: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for (size, signature) in [65536usize, 1024, 0].into_iter().zip(signatures) {
        let line = format!("{size:x};chunk-signature={signature}\r\n");
        body.extend_from_slice(line.as_bytes());
        if size > 0 {
            body.extend(std::iter::repeat_n(b'a', size));
            body.extend_from_slice(b"\r\n");
        }
    }
    body.extend_from_slice(trailer.as_bytes());
    body.extend_from_slice(b"\r\n");
    body
}

#[test]
fn every_form_makes_the_round_trip_in_pieces_of_any_size() {
    let big: &[u8] = &[b'x'; 10_000];
    for form in FORMS {
        for chunks in [&[][..], &[&b"a"[..]], &[big, b"end"], &[big, big, big]] {
            let (parts, body) = upload(form, chunks);
            for piece in [1, 2, 3, 61, 8192, 1 << 20] {
                let verifier = verify_head(&parts, NOW, &Keys).unwrap();
                let (payload, end) = decode(verifier, &body, piece);
                assert_eq!(payload, chunks.concat(), "{form:?}");
                let trailers = end.unwrap();
                assert_eq!(trailers.len(), if form.trailer { 2 } else { 0 });
                if form.trailer {
                    assert_eq!(trailers[1].1, "two  words");
                }
            }
        }
    }
}

#[test]
fn nothing_of_a_chunk_comes_out_before_its_signature_held() {
    let first = vec![b'x'; 10_000];
    let second = vec![b'y'; 10_000];
    for form in FORMS.into_iter().filter(|form| form.signed.is_some()) {
        let (parts, mut body) = upload(form, &[&first, &second]);
        let last = body.iter().rposition(|byte| *byte == b'y').unwrap();
        let mut verifier = verify_head(&parts, NOW, &Keys).unwrap();
        let mut payload = Vec::new();
        verifier.push(&body[..last], &mut payload).unwrap();
        assert_eq!(payload, first);
        body[last] = b'z';
        let refused = verifier.push(&body[last..], &mut payload);
        assert_eq!(refused, Err(PayloadError::Signature));
        assert_eq!(payload, first);
    }
}

#[test]
fn chunks_left_out_repeated_exchanged_or_added_are_refused() {
    let chunks: [Vec<u8>; 3] = [b'1', b'2', b'3'].map(|byte| vec![byte; 8192]);
    let chunks = chunks.each_ref().map(Vec::as_slice);
    for form in FORMS.into_iter().filter(|form| form.signed.is_some()) {
        let (parts, body) = upload(form, &chunks);
        let line = body.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let chunk = |index: usize| &body[index * (line + 8194)..(index + 1) * (line + 8194)];
        let rest = &body[3 * (line + 8194)..];
        for order in [
            &[0, 1, 2][..],
            &[1, 2],
            &[0, 2],
            &[0, 1],
            &[0, 0, 1],
            &[1, 0, 2],
            &[0, 1, 2, 2],
            &[],
        ] {
            let mut changed: Vec<u8> = order
                .iter()
                .flat_map(|&index| chunk(index))
                .copied()
                .collect();
            changed.extend_from_slice(rest);
            let (payload, end) = decoded(&parts, &changed);
            assert_eq!(end.is_ok(), order == [0, 1, 2], "{order:?}");
            assert!(chunks.concat().starts_with(&payload));
        }
        // The chunks of another request with the same content aren't this one's either.
        let (other, _) = upload(form, &[&[b'1'; 8192]]);
        assert!(decoded(&other, &body).1.is_err());
    }
}

#[test]
fn a_body_must_end_as_its_form_does() {
    for form in FORMS {
        let (parts, body) = upload(form, &[b"payload"]);
        for end in 0..body.len() {
            let (_, ended) = decoded(&parts, &body[..end]);
            assert_eq!(ended, Err(PayloadError::Incomplete), "{form:?} {end}");
        }
        let (_, ended) = decoded(&parts, &[&body[..], b"x"].concat());
        assert_eq!(ended, Err(PayloadError::AfterEnd));
    }
}

#[test]
fn the_length_that_was_signed_is_the_length() {
    for (length, expected) in [
        ("6", Err(PayloadError::TooLong)),
        ("8", Err(PayloadError::Incomplete)),
    ] {
        let (mut parts, body) = upload(form(None, true), &[b"payload"]);
        sign_again(&mut parts, "x-amz-decoded-content-length", Some(length));
        assert_eq!(decoded(&parts, &body).1, expected);
    }
    for length in [
        None,
        Some(""),
        Some("-1"),
        Some("7x"),
        Some("99999999999999999999"),
    ] {
        let (mut parts, _) = upload(form(None, true), &[b"payload"]);
        sign_again(&mut parts, "x-amz-decoded-content-length", length);
        let error = verify_head(&parts, NOW, &Keys).unwrap_err();
        assert_eq!(error, PayloadError::LengthMissing.into(), "{length:?}");
    }
}

/// Signs the upload anew with another header.
fn sign_again(parts: &mut Parts, name: &'static str, value: Option<&str>) {
    use aws::signature::{Payload, SigningOptions, sign_with};
    match value {
        Some(value) => drop(parts.headers.insert(name, value.parse().unwrap())),
        None => drop(parts.headers.remove(name)),
    }
    let secret = secret();
    let credentials = Credentials {
        access_key_id: KEY,
        secret: &secret,
        session_token: None,
    };
    let target = Target {
        service: "s3",
        region: region(),
        rules: Rules::OBJECTS,
    };
    let payload = Payload::Chunked("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    let options = SigningOptions::HEADER;
    sign_with(parts, payload, &options, &credentials, &target, NOW).unwrap();
}

#[test]
fn trailers_are_those_that_were_announced() {
    let unsigned = |names: Option<&str>, trailer: &str| {
        let (mut parts, _) = upload(form(None, true), &[b"payload"]);
        sign_again(&mut parts, "x-amz-trailer", names);
        let body = format!("7\r\npayload\r\n0\r\n{trailer}");
        match verify_head(&parts, NOW, &Keys) {
            Ok(verifier) => decode(verifier, body.as_bytes(), 5).1,
            Err(SignatureError::Payload(error)) => Err(error),
            Err(other) => panic!("{other}"),
        }
    };
    assert!(unsigned(Some("a"), "a:1\r\n\r\n").is_ok());
    assert!(unsigned(Some("b, A"), "a:1\r\nB: 2 \r\n\r\n").is_ok());
    let many: Vec<String> = (0..17).map(|number| format!("a{number}")).collect();
    for (names, trailer) in [
        (None, "a:1\r\n\r\n"),
        (Some(""), "\r\n"),
        (Some("a,a"), "a:1\r\n\r\n"),
        (Some(many.join(",").as_str()), "\r\n"),
        (Some("a"), "\r\n"),
        (Some("a"), "b:1\r\n\r\n"),
        (Some("a"), "a:1\r\na:1\r\n\r\n"),
        (Some("a,b"), "a:1\r\n\r\n"),
        (Some("a"), "a:1\r\nx-amz-trailer-signature:00\r\n\r\n"),
        (Some("a"), "a\r\n\r\n"),
        (Some("a"), "a:1\n\r\n"),
        (Some("a"), "a:\u{1}\r\n\r\n"),
        (Some("a"), &format!("a:{}\r\n\r\n", "x".repeat(8192))),
    ] {
        let refused = unsigned(names, trailer);
        assert!(
            matches!(refused, Err(PayloadError::Trailer(_))),
            "{trailer} {refused:?}"
        );
    }
}

#[test]
fn a_signed_trailer_needs_its_signature() {
    for form in FORMS
        .into_iter()
        .filter(|form| form.trailer && form.signed.is_some())
    {
        let (parts, body) = upload(form, &[b"payload"]);
        let text = String::from_utf8(body).unwrap();
        let (before, signature) = text.split_once("x-amz-trailer-signature:").unwrap();
        let unsigned = decoded(&parts, format!("{before}\r\n").as_bytes()).1;
        assert!(
            matches!(unsigned, Err(PayloadError::Trailer(_))),
            "{unsigned:?}"
        );
        let signature = signature.trim_end();
        let line = format!("x-amz-trailer-signature:{signature}\r\n");
        let after = format!("{before}{line}x-amz-meta-c:1\r\n\r\n");
        let added = decoded(&parts, after.as_bytes()).1;
        assert!(matches!(added, Err(PayloadError::Trailer(_))), "{added:?}");
        let changed = text.replace("sOO8", "sOO9");
        assert_eq!(
            decoded(&parts, changed.as_bytes()).1,
            Err(PayloadError::Signature)
        );
    }
}

#[test]
fn limits_on_lines_and_chunks() {
    let small = upload(
        form(Some(Algorithm::Symmetric), false),
        &[b"small", b"another"],
    );
    let limit = 8192;
    let error = decoded(&small.0, &small.1).1;
    assert_eq!(error, Err(PayloadError::ChunkTooSmall { limit }));

    let (parts, _) = upload(
        form(Some(Algorithm::Symmetric), false),
        &[&vec![0; 17 << 20]],
    );
    let line = format!("{:x};chunk-signature={}\r\n", 17 << 20, "0".repeat(64));
    let (size, limit) = (17 << 20, 16 << 20);
    let error = decoded(&parts, line.as_bytes()).1;
    assert_eq!(error, Err(PayloadError::ChunkTooLarge { size, limit }));

    let (signed, _) = upload(form(Some(Algorithm::Symmetric), false), &[b"payload"]);
    let (unsigned, _) = upload(form(None, true), &[b"payload"]);
    for (parts, line) in [
        (&signed, "7\r\n"),
        (&signed, "7;\r\n"),
        (&signed, "7;signature=00\r\n"),
        (&signed, ";chunk-signature=00\r\n"),
        (&signed, "+7;chunk-signature=00\r\n"),
        (&signed, "00000000000000007;chunk-signature=00\r\n"),
        (&signed, "7;chunk-signature=00\n"),
        (&signed, &"7".repeat(300)),
        (&unsigned, "7;chunk-signature=00\r\n"),
        (&unsigned, " 7\r\n"),
        (&unsigned, "0x7\r\n"),
        (&unsigned, "\r\n"),
        (&unsigned, "7\r\npayload0\r\n"),
        (&unsigned, "7\r\npayload\n0\r\n"),
        (&unsigned, &"7".repeat(300)),
    ] {
        let error = decoded(parts, line.as_bytes()).1;
        assert!(
            matches!(error, Err(PayloadError::ChunkForm(_))),
            "{line} {error:?}"
        );
    }
    let error = decoded(&signed, b"7;chunk-signature=00\r\npayload\r\n").1;
    assert_eq!(error, Err(PayloadError::Signature));
}

#[test]
fn a_body_s_hash_is_known_at_its_end() {
    use aws::signature::sign;
    let mut parts = parts("PUT", "/key", &[("Host", "b.s3.amazonaws.com")]);
    let secret = secret();
    let credentials = Credentials {
        access_key_id: KEY,
        secret: &secret,
        session_token: None,
    };
    let target = Target {
        service: "s3",
        region: region(),
        rules: Rules::OBJECTS,
    };
    sign(&mut parts, b"the body", &credentials, &target, NOW).unwrap();
    let verifier = || verify_head(&parts, NOW, &Keys).unwrap();
    assert_eq!(verifier().decoded_length(), None);
    assert_eq!(
        decode(verifier(), b"the body", 3),
        (b"the body".to_vec(), Ok(Vec::new()))
    );
    let (_, end) = decode(verifier(), b"another", 3);
    assert!(matches!(end, Err(PayloadError::Hash { .. })));
}

#[test]
fn chunks_must_fit_their_request() {
    for form in FORMS {
        let (parts, body) = upload(form, &[b"payload"]);
        // Whoever takes bodies whole takes none in chunks.
        let error = verify(&parts, &body, "s3", Rules::OBJECTS, NOW).unwrap_err();
        assert_eq!(
            error,
            SignatureError::StreamingPayload(form.name().unwrap())
        );
    }
    // Signed by the other algorithm than the request, or presigned.
    for name in [
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
    ] {
        let (mut parts, _) = upload(form(Some(Algorithm::Symmetric), false), &[b"payload"]);
        parts
            .headers
            .insert("x-amz-content-sha256", name.parse().unwrap());
        let error = verify_head(&parts, NOW, &Keys).unwrap_err();
        assert_eq!(error, SignatureError::StreamingPayload(name));
    }
    let (_, host, uri, _) = vectors::PRESIGNED[0];
    let name = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    let uri = format!("{uri}&X-Amz-Content-Sha256={name}");
    let presigned = super::parts("PUT", &uri, &[("Host", host)]);
    let error = verify_head(&presigned, NOW, &Keys).unwrap_err();
    assert_eq!(error, SignatureError::StreamingPayload(name));
    // A service that hashes bodies itself takes the name for a hash that no body has.
    let (parts, body) = upload(form(Some(Algorithm::Symmetric), false), &[b"payload"]);
    let error = verify(&parts, &body, "s3", Rules::QUERY, NOW).unwrap_err();
    assert!(matches!(error, SignatureError::ContentHash { .. }));
}

#[test]
fn our_signer_refuses_trailers_that_do_not_fit() {
    let secret = secret();
    let credentials = Credentials {
        access_key_id: KEY,
        secret: &secret,
        session_token: None,
    };
    let target = Target {
        service: "s3",
        region: region(),
        rules: Rules::OBJECTS,
    };
    for (form, names) in [
        (form(None, false), &[][..]),
        (form(None, true), &[]),
        (form(Some(Algorithm::Symmetric), false), &["a"]),
    ] {
        let mut parts = parts("PUT", "http://b.example/", &[]);
        let signed = sign_chunked(
            &mut parts,
            form,
            (1, names),
            None,
            &credentials,
            &target,
            NOW,
        );
        assert_eq!(signed.err(), Some(SignError::Trailers));
    }
}
