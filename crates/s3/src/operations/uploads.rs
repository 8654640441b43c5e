//! Multipart uploads from their beginning to their end: `CreateMultipartUpload`, `ListParts`,
//! `CompleteMultipartUpload`, `AbortMultipartUpload`. Their parts are in `parts`.

use http::HeaderMap;
use objects::lifecycle::abort_date;
use objects::multipart::{
    CompletedPart, Completion, Part, Upload, UploadId, check_part_number, checksum_of,
};
use objects::{Checksum, ChecksumAlgorithm, ChecksumKind, Encryption};
use s3s::{S3Response, dto};
use store::Engine;

use super::facts;
use super::list::{initiator, kind_of, limit_of, owner};
use super::put::{Asked, cause};
use crate::context::{Context, Outcome, done};
use crate::digest::{parse_algorithm, parse_checksum};
use crate::error::Fault;
use crate::values;

/// The upload that the request names.
///
/// # Errors
///
/// `NoSuchUpload`: the text can't be an id.
pub(crate) fn upload_id<E: Engine>(context: &Context<E>) -> Result<UploadId, Fault> {
    let id = context.query.get("uploadId").unwrap_or_default();
    Ok(id.parse()?)
}

/// `CreateMultipartUpload`.
pub(crate) async fn create_multipart_upload<E: Engine>(
    context: &Context<E>,
    _: dto::CreateMultipartUploadInput,
) -> Outcome<dto::CreateMultipartUploadOutput> {
    let (bucket, key) = (context.bucket()?, context.key()?);
    let asked = Asked::of(context)?;
    let algorithm = context.header("x-amz-checksum-algorithm");
    let algorithm = algorithm.map(parse_algorithm).transpose()?;
    let kind = context.header("x-amz-checksum-type");
    let checksum = checksum_of(algorithm, kind.map(parse_kind).transpose()?)?;
    let key_of_customer = asked.customer_key.as_ref();
    let upload = Upload {
        owner: asked.owner,
        initiator: context.judge().arn().to_owned(),
        metadata: asked.metadata,
        storage_class: asked.storage_class,
        tags: asked.tags,
        acl: asked.acl,
        retention: asked.retention,
        legal_hold: asked.legal_hold,
        checksum,
        encryption: key_of_customer.map_or(Encryption::Site, |key| key.encryption()),
    };
    let id = context.objects.create_upload(bucket, key, &upload).await?;
    let mut headers = HeaderMap::new();
    facts::encryption(&mut headers, &upload.encryption);
    abort_headers(context, &mut headers, id)?;
    let output = dto::CreateMultipartUploadOutput {
        bucket: Some(context.bucket_name()?.to_string()),
        key: Some(key.as_str().to_owned()),
        upload_id: Some(id.to_string()),
        checksum_algorithm: checksum.map(|(algorithm, _)| algorithm.name().to_owned().into()),
        checksum_type: checksum.map(|(_, kind)| kind_of(kind)),
        ..dto::CreateMultipartUploadOutput::default()
    };
    Ok(S3Response::with_headers(output, headers))
}

/// When a rule of the bucket's lifecycle aborts the upload.
fn abort_headers<E: Engine>(
    context: &Context<E>,
    headers: &mut HeaderMap,
    id: UploadId,
) -> Result<(), Fault> {
    let rules = context.bucket()?.settings.lifecycle.as_ref();
    let key = context.key()?;
    if let Some(abort) = rules.and_then(|rules| abort_date(rules, key, id.initiated())) {
        let at = values::http_date_of(abort.at);
        facts::set_own(headers, "x-amz-abort-date", &at);
        facts::set_own(headers, "x-amz-abort-rule-id", &abort.rule);
    }
    Ok(())
}

/// `ListParts`.
pub(crate) async fn list_parts<E: Engine>(
    context: &Context<E>,
    _: dto::ListPartsInput,
) -> Outcome<dto::ListPartsOutput> {
    let (bucket, key, id) = (context.bucket()?, context.key()?, upload_id(context)?);
    let limit = limit_of(context, "max-parts")?;
    let after = match context.query.get("part-number-marker") {
        None | Some("") => 0,
        Some(text) => text.parse::<u32>().map_err(|_| {
            let message = "Argument part-number-marker must be an integer between 0 and 2147483647";
            Fault::argument("part-number-marker", text, message)
        })?,
    };
    let listed = context.objects.list_parts(bucket, key, id, after, limit);
    let listing = listed.await?;
    let upload = &listing.upload;
    let last = listing.parts.last().map_or(0, |part| part.extent.number);
    let parts = listing.parts.iter().map(|part| told_part(upload, part));
    let output = dto::ListPartsOutput {
        bucket: Some(context.bucket_name()?.to_string()),
        key: Some(key.as_str().to_owned()),
        upload_id: Some(id.to_string()),
        part_number_marker: i32::try_from(after).ok(),
        next_part_number_marker: i32::try_from(last).ok(),
        max_parts: i32::try_from(limit).ok(),
        is_truncated: Some(listing.more),
        parts: Some(parts.collect()),
        initiator: Some(initiator(&upload.initiator)),
        owner: Some(owner(upload.owner)),
        storage_class: Some(upload.storage_class.clone().into()),
        checksum_algorithm: upload
            .checksum
            .map(|(algorithm, _)| algorithm.name().to_owned().into()),
        checksum_type: upload.checksum.map(|(_, kind)| kind_of(kind)),
        ..dto::ListPartsOutput::default()
    };
    let mut headers = HeaderMap::new();
    abort_headers(context, &mut headers, id)?;
    Ok(S3Response::with_headers(output, headers))
}

fn told_part(upload: &Upload, part: &Part) -> dto::Part {
    let checksum = part.extent.checksum.as_ref();
    let sums = Sums::of(checksum.filter(|_| upload.tells_checksums()));
    dto::Part {
        part_number: i32::try_from(part.extent.number).ok(),
        e_tag: Some(values::etag(&part.extent.etag)),
        last_modified: Some(values::time(part.last_modified)),
        size: i64::try_from(part.extent.size).ok(),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
    }
}

/// A checksum by the member that it has in documents.
#[derive(Default)]
pub(crate) struct Sums {
    pub(crate) crc32: Option<String>,
    pub(crate) crc32c: Option<String>,
    pub(crate) crc64nvme: Option<String>,
    pub(crate) sha1: Option<String>,
    pub(crate) sha256: Option<String>,
}

impl Sums {
    /// That one, if there is one.
    pub(crate) fn of(checksum: Option<&Checksum>) -> Sums {
        let mut sums = Sums::default();
        if let Some(checksum) = checksum {
            let value = Some(checksum.value.clone());
            match checksum.algorithm {
                ChecksumAlgorithm::Crc32 => sums.crc32 = value,
                ChecksumAlgorithm::Crc32c => sums.crc32c = value,
                ChecksumAlgorithm::Crc64nvme => sums.crc64nvme = value,
                ChecksumAlgorithm::Sha1 => sums.sha1 = value,
                ChecksumAlgorithm::Sha256 => sums.sha256 = value,
            }
        }
        sums
    }

    /// Those that are there.
    fn given(self) -> Vec<(ChecksumAlgorithm, String)> {
        let all = [
            (ChecksumAlgorithm::Crc32, self.crc32),
            (ChecksumAlgorithm::Crc32c, self.crc32c),
            (ChecksumAlgorithm::Crc64nvme, self.crc64nvme),
            (ChecksumAlgorithm::Sha1, self.sha1),
            (ChecksumAlgorithm::Sha256, self.sha256),
        ];
        let given = all.into_iter();
        given
            .filter_map(|(algorithm, value)| Some((algorithm, value?)))
            .collect()
    }
}

/// `CompleteMultipartUpload`.
pub(crate) async fn complete_multipart_upload<E: Engine>(
    context: &Context<E>,
    input: dto::CompleteMultipartUploadInput,
) -> Outcome<dto::CompleteMultipartUploadOutput> {
    let (bucket, key, id) = (context.bucket()?, context.key()?, upload_id(context)?);
    let conditions = values::write_conditions(&context.headers)?;
    let request = completion(input)?;
    let completed = context
        .objects
        .complete_upload(bucket, key, id, &request, &conditions, &cause(context))
        .await?;
    let mut headers = HeaderMap::new();
    facts::encryption(&mut headers, &completed.encryption);
    if bucket.settings.versioning != objects::Versioning::Unversioned
        && let Some(version) = completed.version
    {
        facts::set(&mut headers, crate::error::VERSION_ID, &version.to_string());
    }
    let sums = Sums::of(completed.checksum.as_ref());
    let output = dto::CompleteMultipartUploadOutput {
        bucket: Some(context.bucket_name()?.to_string()),
        key: Some(key.as_str().to_owned()),
        location: Some(location(context)?),
        e_tag: Some(values::etag(&completed.etag)),
        checksum_type: completed.checksum.map(|checksum| kind_of(checksum.kind)),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        ..dto::CompleteMultipartUploadOutput::default()
    };
    Ok(S3Response::with_headers(output, headers))
}

/// What the request says of the object and its parts.
fn completion(input: dto::CompleteMultipartUploadInput) -> Result<Completion, Fault> {
    let named = input.multipart_upload.and_then(|upload| upload.parts);
    let parts = named.unwrap_or_default().into_iter().map(|part| {
        let (Some(number), Some(etag)) = (part.part_number, part.e_tag) else {
            return Err(Fault::malformed());
        };
        let sums = Sums {
            crc32: part.checksum_crc32,
            crc32c: part.checksum_crc32c,
            crc64nvme: part.checksum_crc64nvme,
            sha1: part.checksum_sha1,
            sha256: part.checksum_sha256,
        };
        Ok(CompletedPart {
            number: check_part_number(number.into())?,
            etag: etag.value().to_owned(),
            checksums: sums.given(),
        })
    });
    let parts = parts.collect::<Result<_, Fault>>()?;
    let sums = Sums {
        crc32: input.checksum_crc32,
        crc32c: input.checksum_crc32c,
        crc64nvme: input.checksum_crc64nvme,
        sha1: input.checksum_sha1,
        sha256: input.checksum_sha256,
    };
    let checksum = sums.given().into_iter().next();
    if let Some((algorithm, value)) = &checksum {
        let bare = value.split('-').next().unwrap_or_default();
        parse_checksum(*algorithm, bare)?;
    }
    let kind = input.checksum_type.as_ref();
    let size = input.mpu_object_size.map(|size| {
        u64::try_from(size).map_err(|_| {
            let text = "Value for x-amz-mp-object-size header is invalid.";
            Fault::bad("InvalidRequest", text)
        })
    });
    Ok(Completion {
        parts,
        checksum,
        kind: kind.map(|kind| parse_kind(kind.as_str())).transpose()?,
        size: size.transpose()?,
    })
}

/// Where the object is, as the request addressed it.
fn location<E: Engine>(context: &Context<E>) -> Result<String, Fault> {
    let host = context.header("host").unwrap_or("localhost");
    let address = context.about.address.as_ref();
    let hosted = address.is_some_and(|address| address.is_hosted);
    let key = crate::query::encode(context.key()?.as_str());
    Ok(match hosted {
        true => format!("http://{host}/{key}"),
        false => format!("http://{host}/{}/{key}", context.bucket_name()?),
    })
}

/// A kind of checksums as headers have it.
fn parse_kind(text: &str) -> Result<ChecksumKind, Fault> {
    match text {
        "FULL_OBJECT" => Ok(ChecksumKind::FullObject),
        "COMPOSITE" => Ok(ChecksumKind::Composite),
        _ => Err(Fault::bad(
            "InvalidRequest",
            "Value for x-amz-checksum-type header is invalid.",
        )),
    }
}

/// `AbortMultipartUpload`.
pub(crate) async fn abort_multipart_upload<E: Engine>(
    context: &Context<E>,
    _: dto::AbortMultipartUploadInput,
) -> Outcome<dto::AbortMultipartUploadOutput> {
    let (bucket, key, id) = (context.bucket()?, context.key()?, upload_id(context)?);
    context.objects.abort_upload(bucket, key, id).await?;
    done(dto::AbortMultipartUploadOutput::default())
}
