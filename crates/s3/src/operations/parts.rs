//! Parts of multipart uploads: `UploadPart` and `UploadPartCopy`.

use http::HeaderMap;
use objects::content::Expected;
use objects::multipart::{Upload, check_part_number, copied_range};
use s3s::{S3Response, dto};
use store::Engine;

use super::copy::{Source, too_large};
use super::uploads::{Sums, upload_id};
use super::{facts, ingest};
use crate::context::{Context, Outcome};
use crate::error::Fault;
use crate::guard::LARGEST_BODY;
use crate::values;

/// The number that the request has for its part.
fn number<E: Engine>(context: &Context<E>) -> Result<u32, Fault> {
    let text = context.query.get("partNumber").unwrap_or_default();
    let number = text.parse().unwrap_or(0);
    check_part_number(number).map_err(|error| {
        Fault::from(error)
            .member("ArgumentName", "partNumber")
            .member("ArgumentValue", text)
    })
}

/// `UploadPart`.
pub(crate) async fn upload_part<E: Engine>(
    context: &Context<E>,
    _: dto::UploadPartInput,
) -> Outcome<dto::UploadPartOutput> {
    let (bucket, key, id) = (context.bucket()?, context.key()?, upload_id(context)?);
    let number = number(context)?;
    let objects = &context.objects;
    let upload = objects.upload(bucket, key, id).await?;
    let customer_key = values::customer_key(&context.headers, values::CUSTOMER)?;
    upload.admit_key(customer_key.as_ref())?;
    let digests = &context.digests;
    let told = digests.algorithm();
    upload.admit_checksums(told.as_slice())?;
    let expected = Expected {
        md5: digests.md5,
        checksums: digests.checksum.iter().cloned().collect(),
        computed: None,
        announced: digests.trailing,
    };
    let options = upload.part_options(None, expected, customer_key);
    let ingested = ingest::with(context, options).await?;
    let part = objects.put_part(bucket, key, id, number, ingested).await?;
    let mut headers = HeaderMap::new();
    facts::set(
        &mut headers,
        http::header::ETAG,
        &format!("\"{}\"", part.extent.etag),
    );
    facts::encryption(&mut headers, &upload.encryption);
    if let Some(checksum) = part.extent.checksum.filter(|_| upload.tells_checksums()) {
        facts::set_own(&mut headers, checksum.algorithm.header(), &checksum.value);
    }
    let output = dto::UploadPartOutput::default();
    Ok(S3Response::with_headers(output, headers))
}

/// `UploadPartCopy`.
pub(crate) async fn upload_part_copy<E: Engine>(
    context: &Context<E>,
    _: dto::UploadPartCopyInput,
) -> Outcome<dto::UploadPartCopyOutput> {
    let (bucket, key, id) = (context.bucket()?, context.key()?, upload_id(context)?);
    let number = number(context)?;
    let objects = &context.objects;
    let upload = objects.upload(bucket, key, id).await?;
    let customer_key = values::customer_key(&context.headers, values::CUSTOMER)?;
    upload.admit_key(customer_key.as_ref())?;
    let source = Source::of(context).await?;
    let size = source.object()?.size;
    let range = match context.header("x-amz-copy-source-range") {
        Some(header) => copied_range(header, size)?,
        None => 0..size,
    };
    if range.end - range.start > LARGEST_BODY {
        return Err(too_large());
    }
    let (algorithm, _) = upload.checksum_of_object();
    let copied = source.copy_summed(context, range, customer_key, Some(algorithm));
    let ingested = copied.await?;
    let part = objects.put_part(bucket, key, id, number, ingested).await?;
    let mut headers = HeaderMap::new();
    facts::encryption(&mut headers, &upload.encryption);
    source.tell(&mut headers);
    let sums = told_sums(&upload, part.extent.checksum.as_ref());
    let result = dto::CopyPartResult {
        e_tag: Some(values::etag(&part.extent.etag)),
        last_modified: Some(values::time(part.last_modified)),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
    };
    let output = dto::UploadPartCopyOutput {
        copy_part_result: Some(result),
        ..dto::UploadPartCopyOutput::default()
    };
    Ok(S3Response::with_headers(output, headers))
}

fn told_sums(upload: &Upload, checksum: Option<&objects::Checksum>) -> Sums {
    Sums::of(checksum.filter(|_| upload.tells_checksums()))
}
