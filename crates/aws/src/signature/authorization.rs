//! What a request says of its own signature, in the `Authorization` header or in the query
//! string: taken apart, not believed. Each parameter must be there once, and no other.

use std::fmt;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::canonical::{Pairs, query_pairs};
use super::{Algorithm, Form, Scope, SignatureError};

/// How much of an `Authorization` header an error repeats, in characters.
const REPEATED: usize = 512;

/// The query parameters of a presigned request that have to be there.
const QUERY_PARAMETERS: [&str; 5] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
    "X-Amz-Date",
];

/// What a presigned request of Signature V4A has to have beside.
const REGION_SET: &str = "X-Amz-Region-Set";

/// What a request says of its signature, still as text.
pub(super) struct Claim {
    pub(super) algorithm: String,
    pub(super) credential: String,
    pub(super) signed_headers: String,
    pub(super) signature: String,
    /// As it is to be signed; whether it is a date is to be seen.
    pub(super) date: String,
    /// The header the date was read from, which must then be signed; `None` for a query.
    pub(super) date_header: Option<&'static str>,
    pub(super) session_token: Option<String>,
    /// A presigned request's `X-Amz-Expires`, as text.
    pub(super) expires: Option<String>,
    /// The Regions that a signature of V4A is for; there whenever the algorithm is that.
    pub(super) region_set: Option<String>,
    /// A presigned request's `X-Amz-Content-Sha256`, where that isn't a header.
    pub(super) content_hash: Option<String>,
}

/// Without the session token, which with its key is all that a caller needs.
impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Claim");
        shown.field("algorithm", &self.algorithm);
        shown.field("credential", &self.credential);
        shown.field("signed_headers", &self.signed_headers);
        shown.field("date", &self.date);
        shown.field("in_session", &self.session_token.is_some());
        shown.finish_non_exhaustive()
    }
}

impl Claim {
    /// Where it was found.
    pub(super) fn form(&self) -> Form {
        match self.date_header {
            Some(_) => Form::Header,
            None => Form::Query,
        }
    }
}

/// The scope that a request claims to be signed for, from the header or the query; nothing of
/// it is verified. Cheap: it is for routing a request to its Region before anyone reads the body.
pub fn scope_of(parts: &Parts) -> Option<Scope> {
    let (algorithm, credential, region_set) = match parts.headers.get(AUTHORIZATION) {
        Some(header) => {
            let (algorithm, parameters) = header.to_str().ok()?.split_once(' ')?;
            let mut parameters = parameters.split(',');
            let credential = parameters
                .find_map(|part| part.trim().strip_prefix("Credential="))?
                .to_owned();
            let region_set = parts.headers.get("x-amz-region-set");
            let region_set = region_set.and_then(|set| set.to_str().ok());
            let algorithm = Algorithm::named(algorithm)?;
            (algorithm, credential, region_set.map(str::to_owned))
        }
        None => {
            let pairs = query_pairs(parts.uri.query()?).ok()?;
            let value = |wanted: &str| {
                let found = pairs.iter().find(|(name, _)| name == wanted.as_bytes());
                found.and_then(|(_, value)| std::str::from_utf8(value).ok())
            };
            let credential = value("X-Amz-Credential")?.to_owned();
            let algorithm = match value("X-Amz-Algorithm") {
                Some(name) => Algorithm::named(name)?,
                None => Algorithm::Symmetric,
            };
            (algorithm, credential, value(REGION_SET).map(str::to_owned))
        }
    };
    split_credential(&credential, algorithm, region_set.as_deref()).map(|(scope, _)| scope)
}

/// Parameters of a query that say that a request is signed, in lower case: Signature V4's and V2's.
const OF_SIGNATURES: [&[u8]; 5] = [
    b"x-amz-algorithm",
    b"x-amz-credential",
    b"x-amz-signature",
    b"awsaccesskeyid",
    b"signature",
];

/// Does the request carry a signature, or what is meant as one, of whatever form, also of those
/// that aren't taken? For services that take requests without any: one that has one is no such.
pub fn carries_signature(parts: &Parts) -> bool {
    if parts.headers.contains_key(AUTHORIZATION) {
        return true;
    }
    let Ok(pairs) = query_pairs(parts.uri.query().unwrap_or_default()) else {
        return true;
    };
    pairs.iter().any(|(name, _)| {
        let of_one = |known: &&[u8]| name.eq_ignore_ascii_case(known);
        OF_SIGNATURES.iter().any(of_one)
    })
}

/// The scope and the terminator of a credential, if it has five parts; of Signature V4A it has
/// four, and the Regions are said elsewhere.
pub(super) fn split_credential<'a>(
    credential: &'a str,
    algorithm: Algorithm,
    region_set: Option<&str>,
) -> Option<(Scope, &'a str)> {
    let mut elements = credential.split('/');
    let mut next = || elements.next().filter(|element| !element.is_empty());
    let (key, date) = (next()?, next()?);
    let region = match algorithm {
        Algorithm::Symmetric => next()?,
        Algorithm::Asymmetric => region_set?,
    };
    let (service, terminator) = (next()?, next()?);
    let scope = Scope {
        access_key_id: key.to_owned(),
        date: date.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
    };
    elements.next().is_none().then_some((scope, terminator))
}

/// Finds the one signature that a request must have, in whichever form.
pub(super) fn claim_of(parts: &Parts) -> Result<Claim, SignatureError> {
    let header = single(&parts.headers, "authorization")?;
    let query =
        query_pairs(parts.uri.query().unwrap_or_default()).map_err(SignatureError::Malformed)?;
    let presigned = query.iter().any(|(name, _)| name == b"X-Amz-Algorithm");
    match (header, presigned) {
        (Some(_), true) => Err(SignatureError::BothForms),
        (Some(header), false) => claim_of_header(header, &parts.headers),
        (None, true) => claim_of_query(query),
        (None, false) => Err(SignatureError::MissingToken),
    }
}

/// The value of a header that may be there once at most.
pub(super) fn single<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
) -> Result<Option<&'a str>, SignatureError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        let text = format!("The header '{name}' is in the request more than once.");
        return Err(SignatureError::Malformed(text));
    }
    let text = format!("The header '{name}' holds other than visible ASCII characters.");
    let value = value
        .to_str()
        .map_err(|_| SignatureError::Malformed(text))?;
    Ok(Some(value))
}

/// The three parameters of an `Authorization` header: credential, signed headers, signature.
fn parameters(header: &str, parameters: &str) -> Result<[Option<String>; 3], SignatureError> {
    let [mut credential, mut signed_headers, mut signature] = [None, None, None];
    let given = parameters.split(',').map(str::trim);
    for part in given.filter(|part| !part.is_empty()) {
        let Some((name, value)) = part.split_once('=') else {
            return Err(SignatureError::NotKeyValue {
                part: part.chars().take(REPEATED).collect(),
                authorization: repeated(header),
            });
        };
        let slot = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => {
                let text = "Authorization header has a parameter other than 'Credential', \
                            'SignedHeaders' and 'Signature'.";
                return Err(SignatureError::MalformedHeader(text.to_owned()));
            }
        };
        if slot.replace(value.to_owned()).is_some() {
            let text = format!("Authorization header has more than one '{name}' parameter.");
            return Err(SignatureError::MalformedHeader(text));
        }
    }
    Ok([credential, signed_headers, signature])
}

fn repeated(header: &str) -> String {
    header.chars().take(REPEATED).collect()
}

fn claim_of_header(header: &str, headers: &HeaderMap) -> Result<Claim, SignatureError> {
    if header.is_empty() {
        return Err(SignatureError::MissingToken);
    }
    if !header.starts_with("AWS4-") {
        return Err(SignatureError::Scheme);
    }
    let (algorithm, rest) = header.split_once(' ').unwrap_or((header, ""));
    let [credential, signed_headers, signature] = parameters(header, rest)?;
    let (date_header, date) = match single(headers, "x-amz-date")? {
        Some(date) => ("x-amz-date", Some(date)),
        None => ("date", single(headers, "date")?),
    };
    let region_set = single(headers, "x-amz-region-set")?.map(str::to_owned);
    let lacks_set = algorithm == Algorithm::Asymmetric.name() && region_set.is_none();
    match (credential, signature, signed_headers, date) {
        (Some(credential), Some(signature), Some(signed_headers), Some(date)) if !lacks_set => {
            Ok(Claim {
                algorithm: algorithm.to_owned(),
                credential,
                signed_headers,
                signature,
                date: date.trim().to_owned(),
                date_header: Some(date_header),
                session_token: single(headers, "x-amz-security-token")?.map(str::to_owned),
                expires: None,
                region_set,
                content_hash: None,
            })
        }
        (credential, signature, signed_headers, date) => Err(SignatureError::Incomplete {
            missing: lacking_in_header([
                credential.is_none(),
                signature.is_none(),
                signed_headers.is_none(),
                date.is_none(),
                lacks_set,
            ]),
            authorization: repeated(header),
        }),
    }
}

fn lacking_in_header(lacks: [bool; 5]) -> String {
    let sentences = [
        "Authorization header requires 'Credential' parameter. ",
        "Authorization header requires 'Signature' parameter. ",
        "Authorization header requires 'SignedHeaders' parameter. ",
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
        "Authorization header requires existence of a 'X-Amz-Region-Set' header. ",
    ];
    let pairs = sentences.into_iter().zip(lacks);
    pairs
        .filter_map(|(text, lacks)| lacks.then_some(text))
        .collect()
}

fn claim_of_query(query: Pairs) -> Result<Claim, SignatureError> {
    let mut values: [Option<String>; 5] = Default::default();
    let [mut session_token, mut expires] = [None, None];
    let [mut region_set, mut content_hash] = [None, None];
    for (name, value) in query {
        let position = QUERY_PARAMETERS
            .iter()
            .position(|parameter| parameter.as_bytes() == name);
        let slot = match (position, name.as_slice()) {
            (Some(position), _) => &mut values[position],
            (None, b"X-Amz-Security-Token") => &mut session_token,
            (None, b"X-Amz-Expires") => &mut expires,
            (None, b"X-Amz-Region-Set") => &mut region_set,
            (None, b"X-Amz-Content-Sha256") => &mut content_hash,
            // The operation's own parameter: it is signed, and not ours to read.
            (None, _) => continue,
        };
        let name = String::from_utf8_lossy(&name).into_owned();
        let Ok(value) = String::from_utf8(value) else {
            let text = format!("The query parameter '{name}' is not UTF-8.");
            return Err(SignatureError::MalformedQuery(text));
        };
        if slot.replace(value).is_some() {
            let text = format!("The query parameter '{name}' is in the request more than once.");
            return Err(SignatureError::MalformedQuery(text));
        }
    }
    let asymmetric = values[0].as_deref() == Some(Algorithm::Asymmetric.name());
    let lacking = QUERY_PARAMETERS
        .iter()
        .zip(&values)
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| *name);
    let lacking_set = (asymmetric && region_set.is_none()).then_some(REGION_SET);
    let missing: String = lacking
        .chain(lacking_set)
        .map(|name| format!("AWS query-string parameters must include '{name}'. "))
        .collect();
    if !missing.is_empty() {
        return Err(SignatureError::IncompleteQuery { missing });
    }
    let [
        Some(algorithm),
        Some(credential),
        Some(signature),
        Some(signed_headers),
        Some(date),
    ] = values
    else {
        return Err(SignatureError::IncompleteQuery { missing });
    };
    Ok(Claim {
        algorithm,
        credential,
        signed_headers,
        signature,
        date,
        date_header: None,
        session_token,
        expires,
        region_set,
        content_hash,
    })
}
