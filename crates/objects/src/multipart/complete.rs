//! What the parts of an upload come to, and what S3 refuses of a request to complete it. Pure.

use std::collections::BTreeMap;

use super::{GREATEST_OBJECT, LEAST_PART, MOST_PARTS, Part, Upload};
use crate::content::{combine_checksums, multipart_etag};
use crate::{Checksum, ChecksumAlgorithm, ChecksumKind, Extent, ObjectError};

/// A request to complete an upload.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Completion {
    /// The parts to be put together, in the order given.
    pub parts: Vec<CompletedPart>,
    /// The checksum that the object is to have (`x-amz-checksum-…`): base64, of parts' checksums
    /// with or without `-N` after it.
    pub checksum: Option<(ChecksumAlgorithm, String)>,
    /// The kind that it is said to be of (`x-amz-checksum-type`).
    pub kind: Option<ChecksumKind>,
    /// The size that the object is to have, in bytes (`x-amz-mp-object-size`).
    pub size: Option<u64>,
}

/// A part as a request to complete names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CompletedPart {
    /// Its number.
    pub number: u32,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// Its checksums, in base64.
    pub checksums: Vec<(ChecksumAlgorithm, String)>,
}

/// An object of parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Assembled {
    pub(super) extents: Vec<Extent>,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) checksum: Option<Checksum>,
}

/// Puts the parts together that the request names.
///
/// # Errors
/// S3's refusals.
pub(super) fn assemble(
    upload: &Upload,
    parts: &BTreeMap<u32, Part>,
    request: &Completion,
) -> Result<Assembled, ObjectError> {
    check_numbers(request)?;
    let (algorithm, kind) = upload.checksum_of_object();
    if let Some(given) = request.kind
        && given != kind
    {
        return Err(invalid(format!(
            "The upload was created using the {} checksum mode. The complete request must use \
             the same checksum mode.",
            kind_name(kind)
        )));
    }
    let mut extents = Vec::with_capacity(request.parts.len());
    for (at, named) in request.parts.iter().enumerate() {
        check_numbered(upload, named, at)?;
        let part = parts.get(&named.number);
        let part = part.filter(|part| part.extent.etag.eq_ignore_ascii_case(&named.etag));
        let extent = &part.ok_or_else(invalid_part)?.extent;
        check_checksum(upload, named, extent)?;
        extents.push(extent.clone());
    }
    if let Some((_, others)) = extents.split_last()
        && others.iter().any(|extent| extent.size < LEAST_PART)
    {
        return Err(ObjectError::refused(
            "EntityTooSmall",
            "Your proposed upload is smaller than the minimum allowed size",
        ));
    }
    let size = extents.iter().map(|extent| extent.size).sum::<u64>();
    if size > GREATEST_OBJECT {
        return Err(ObjectError::EntityTooLarge);
    }
    if let Some(given) = request.size
        && given != size
    {
        return Err(invalid(format!(
            "The provided 'x-amz-mp-object-size' header value {given} does not match what was \
             computed: {size}"
        )));
    }
    let checksum = combine_checksums(algorithm, kind, &extents)?;
    check_whole(request, checksum.as_ref())?;
    Ok(Assembled {
        etag: multipart_etag(&extents)?,
        extents,
        size,
        checksum,
    })
}

/// The entity tag that the parts of that request come to, if they have the tags that it says.
pub(super) fn etag_of(request: &Completion) -> Result<String, ObjectError> {
    let extents = request.parts.iter().map(|part| Extent {
        number: part.number,
        size: 0,
        etag: part.etag.to_ascii_lowercase(),
        checksum: None,
        blob: 0,
        inline: false,
        sealed_key: bytes::Bytes::new(),
    });
    multipart_etag(&extents.collect::<Vec<_>>())
}

/// There are parts, not too many, and their numbers ascend.
fn check_numbers(request: &Completion) -> Result<(), ObjectError> {
    let parts = &request.parts;
    if parts.is_empty() || parts.len() > MOST_PARTS as usize {
        return Err(ObjectError::refused(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published \
             schema",
        ));
    }
    let ascending = parts.windows(2).all(|pair| pair[0].number < pair[1].number);
    match ascending {
        true => Ok(()),
        false => Err(invalid_order()),
    }
}

/// With checksums of parts, numbers count from 1 without gaps (S3 API Reference,
/// `CompletedPart`).
fn check_numbered(upload: &Upload, named: &CompletedPart, at: usize) -> Result<(), ObjectError> {
    let counts = !matches!(upload.checksum, Some((_, ChecksumKind::Composite)))
        || usize::try_from(named.number) == Ok(at + 1);
    match counts {
        true => Ok(()),
        false => Err(invalid_order()),
    }
}

fn check_checksum(
    upload: &Upload,
    named: &CompletedPart,
    extent: &Extent,
) -> Result<(), ObjectError> {
    let Some((algorithm, kind)) = upload.checksum else {
        return Ok(());
    };
    let given = named
        .checksums
        .iter()
        .find(|(given, _)| *given == algorithm);
    match (given, &extent.checksum) {
        (Some((_, given)), Some(checksum)) if *given == checksum.value => Ok(()),
        (Some(_), _) => Err(invalid_part()),
        (None, _) if kind == ChecksumKind::FullObject => Ok(()),
        (None, _) => match named.checksums.first() {
            Some((other, _)) => Err(ObjectError::refused(
                "BadDigest",
                format!(
                    "The {} you specified for part {} did not match what we received.",
                    other.name().to_ascii_lowercase(),
                    named.number
                ),
            )),
            None => Err(invalid(format!(
                "The upload was created using a {} checksum. The complete request must include \
                 the checksum for each part. It was missing for part {} in the request.",
                algorithm.name().to_ascii_lowercase(),
                named.number
            ))),
        },
    }
}

/// Is the object's checksum the one that was sent?
fn check_whole(request: &Completion, checksum: Option<&Checksum>) -> Result<(), ObjectError> {
    let Some((algorithm, given)) = &request.checksum else {
        return Ok(());
    };
    let holds = checksum.is_some_and(|checksum| {
        let bare = checksum.value.split('-').next().unwrap_or_default();
        checksum.algorithm == *algorithm && (*given == checksum.value || given == bare)
    });
    match holds {
        true => Ok(()),
        false => Err(ObjectError::refused(
            "BadDigest",
            format!(
                "The {} you specified did not match the calculated checksum.",
                algorithm.name().to_ascii_lowercase()
            ),
        )),
    }
}

fn kind_name(kind: ChecksumKind) -> &'static str {
    match kind {
        ChecksumKind::FullObject => "FULL_OBJECT",
        ChecksumKind::Composite => "COMPOSITE",
    }
}

fn invalid(text: String) -> ObjectError {
    ObjectError::refused("InvalidRequest", text)
}

fn invalid_order() -> ObjectError {
    ObjectError::refused(
        "InvalidPartOrder",
        "The list of parts was not in ascending order. Parts must be ordered by part number.",
    )
}

fn invalid_part() -> ObjectError {
    ObjectError::refused(
        "InvalidPart",
        "One or more of the specified parts could not be found.  The part may not have been \
         uploaded, or the specified entity tag may not match the part's entity tag.",
    )
}
