//! `CopyObject`, and what every copy reads of its source: where it is, whether the caller may read
//! it, its conditions and its key. The source is in a bucket of this Region; one of another Region
//! is refused by name.

use std::ops::Range;

use objects::content::{ContentReader, CustomerKey, Expected, Ingest, IngestOptions, Ingested};
use objects::{
    Bucket, ChecksumAlgorithm, Creation, Encryption, Extent, NewContent, ObjectData, ObjectError,
    ObjectKey, ObjectVersion, VersionId,
};
use s3s::S3Response;
use s3s::dto::{ChecksumType, CopyObjectInput, CopyObjectOutput, CopyObjectResult};
use store::Engine;

use super::object_tagging::told_id;
use super::put::{Asked, made};
use super::uploads::Sums;
use super::{facts, get};
use crate::access::{On, action_on};
use crate::address::{decode, invalid_bucket, parse_key};
use crate::context::{self, Context, Outcome};
use crate::digest::parse_algorithm;
use crate::error::Fault;
use crate::guard::{self, LARGEST_BODY};
use crate::values;

/// Headers that make a copy onto itself a change.
const CHANGES: [&str; 4] = [
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-customer-algorithm",
];

/// What is copied from.
pub(crate) struct Source {
    pub(crate) bucket: Bucket,
    pub(crate) key: ObjectKey,
    /// The version that the request names.
    pub(crate) named: Option<VersionId>,
    pub(crate) version: std::sync::Arc<ObjectVersion>,
    extents: Vec<Extent>,
    customer_key: Option<CustomerKey>,
}

/// `CopyObject`.
pub(crate) async fn copy_object<E: Engine>(
    context: &Context<E>,
    _: CopyObjectInput,
) -> Outcome<CopyObjectOutput> {
    let (bucket, key) = (context.bucket()?, context.key()?);
    let replaces_metadata = directive(context, "x-amz-metadata-directive", "metadata")?;
    let replaces_tags = directive(context, "x-amz-tagging-directive", "tagging")?;
    let mut asked = Asked::of(context)?;
    let source = Source::of(context).await?;
    let data = source.object()?;
    let is_itself = source.bucket.entry.id == bucket.entry.id && source.key == *key;
    let changes = CHANGES
        .iter()
        .any(|name| context.headers.contains_key(*name));
    if is_itself && source.named.is_none() && !replaces_metadata && !changes {
        return Err(Fault::bad(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself \
             without changing the object's metadata, storage class, website redirect location or \
             encryption attributes.",
        ));
    }
    if data.size > LARGEST_BODY {
        return Err(too_large());
    }
    if !replaces_metadata {
        let redirect = asked.metadata.website_redirect_location.take();
        asked.metadata = data.metadata.clone();
        asked.metadata.website_redirect_location = redirect;
    }
    if !replaces_tags {
        source.ask_tags(context).await?;
        asked.tags = data.tags.clone();
    }
    let objects = &context.objects;
    objects
        .check_conditions(bucket, key, &asked.conditions)
        .await?;
    let whole = 0..data.size;
    let ingested = source
        .copy(context, whole, asked.customer_key.clone())
        .await?;
    let new = asked.object(context, NewContent::Whole(ingested), Creation::Copy);
    let version = objects.put(bucket, key, new).await?;
    let mut headers = made(context, &version)?;
    // What is told of the bytes is told in the document.
    headers.remove(http::header::ETAG);
    headers.remove("x-amz-checksum-type");
    for algorithm in ChecksumAlgorithm::ALL {
        headers.remove(algorithm.header());
    }
    source.tell(&mut headers);
    let output = CopyObjectOutput {
        copy_object_result: Some(result(&version)),
        version_id: told_id(context, &version)?,
        ..CopyObjectOutput::default()
    };
    Ok(S3Response::with_headers(output, headers))
}

fn result(version: &ObjectVersion) -> CopyObjectResult {
    let data = version.object();
    let checksum = data.and_then(|data| data.checksum.as_ref());
    let sums = Sums::of(checksum);
    CopyObjectResult {
        e_tag: data.map(|data| values::etag(&data.etag)),
        last_modified: Some(values::time(version.stamp.last_modified())),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        checksum_type: checksum.map(|_| ChecksumType::from_static(ChecksumType::FULL_OBJECT)),
    }
}

/// Does the request replace what else is copied?
fn directive<E: Engine>(
    context: &Context<E>,
    header: &'static str,
    what: &str,
) -> Result<bool, Fault> {
    match context.header(header) {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(other) => {
            let text = format!("Unknown {what} directive.");
            Err(Fault::argument(header, other, text))
        }
    }
}

/// A source that can't be copied at once.
pub(crate) fn too_large() -> Fault {
    let text = format!(
        "The specified copy source is larger than the maximum allowable size for a copy source: \
         {LARGEST_BODY}"
    );
    Fault::bad("InvalidRequest", text)
}

impl Source {
    /// The source that the request names, if the caller may read it and the conditions hold.
    ///
    /// # Errors
    ///
    /// S3's own for each of these.
    pub(crate) async fn of<E: Engine>(context: &Context<E>) -> Result<Source, Fault> {
        let header = context.header("x-amz-copy-source").unwrap_or_default();
        let (bucket, key, named) = parse(header)?;
        let name = bucket.parse().map_err(|_| invalid_bucket(&bucket))?;
        let bucket = match context.objects.bucket(&name) {
            Err(ObjectError::Elsewhere(_)) => {
                return Err(Fault::not_built("A copy from a bucket of another Region"));
            }
            bucket => bucket?,
        };
        guard::expected_owner(context, "x-amz-source-expected-bucket-owner", &bucket)?;
        let on = On::Object(&bucket, &key, named);
        // Judged by the very version that is copied.
        let found = context.objects.find(&bucket, &key, named).await;
        let object = found.as_deref().ok();
        context.ask_about(action_on("s3:GetObject", named), on, object)?;
        let version = found.map_err(|error| match error {
            ObjectError::MethodNotAllowed { .. } => Fault::bad(
                "InvalidRequest",
                "The source of a copy request may not specifically refer to a delete marker by \
                 version id.",
            ),
            error => Fault::from(error).member("Key", key.as_str()),
        })?;
        let located = get::locate_in(context, &bucket, &key, version).await?;
        let data = located.object()?;
        let customer_key = values::customer_key(&context.headers, values::CUSTOMER_OF_SOURCE)?;
        data.encryption.admit(customer_key.as_ref())?;
        let conditions = values::read_conditions(&context.headers, "x-amz-copy-source-");
        let modified = located.version.stamp.last_modified();
        conditions.check_copied(&data.etag, modified)?;
        Ok(Source {
            bucket,
            key,
            named,
            version: located.version,
            extents: located.extents,
            customer_key,
        })
    }

    /// The object's facts.
    ///
    /// # Errors
    ///
    /// It is a delete marker, which nobody finds: ours.
    pub(crate) fn object(&self) -> Result<&ObjectData, Fault> {
        let data = self.version.object();
        data.ok_or_else(|| Fault::internal("a delete marker was found"))
    }

    /// May its tags be copied? Of an object without tags nothing is asked.
    async fn ask_tags<E: Engine>(&self, context: &Context<E>) -> Result<(), Fault> {
        if self.object()?.tags.is_empty() {
            return Ok(());
        }
        let on = On::Object(&self.bucket, &self.key, self.named);
        let action = action_on("s3:GetObjectTagging", self.named);
        context.ask_about(action, on, Some(&self.version))?;
        let on = On::Object(context.bucket()?, context.key()?, None);
        // A new version is made: nothing of what is there is given or changed.
        context.ask("s3:PutObjectTagging", on).await.map(drop)
    }

    /// Copies bytes of it.
    ///
    /// # Errors
    ///
    /// They are damaged; the disk is full.
    pub(crate) async fn copy<E: Engine>(
        &self,
        context: &Context<E>,
        range: Range<u64>,
        customer_key: Option<CustomerKey>,
    ) -> Result<Ingested, Fault> {
        let kept = self.object()?.checksum.as_ref();
        let named = context.header("x-amz-checksum-algorithm");
        let computed = match named.map(parse_algorithm).transpose()? {
            Some(named) => Some(named),
            None => kept.map(|checksum| checksum.algorithm),
        };
        self.copy_summed(context, range, customer_key, computed)
            .await
    }

    /// Copies bytes of it and sums them up by that algorithm.
    ///
    /// # Errors
    ///
    /// They are damaged; the disk is full.
    pub(crate) async fn copy_summed<E: Engine>(
        &self,
        context: &Context<E>,
        range: Range<u64>,
        customer_key: Option<CustomerKey>,
        computed: Option<ChecksumAlgorithm>,
    ) -> Result<Ingested, Fault> {
        let options = IngestOptions {
            length: Some(range.end - range.start),
            limit: LARGEST_BODY,
            expected: Expected {
                computed,
                ..Expected::default()
            },
            customer_key,
        };
        let mut reader = self.reader(context, range).await?;
        let mut ingest = Ingest::new(context.objects.contents(), options);
        while let Some(bytes) = reader.next().await {
            ingest.push(bytes?).await?;
        }
        Ok(ingest.finish(Vec::new()).await?)
    }

    async fn reader<E: Engine>(
        &self,
        context: &Context<E>,
        range: Range<u64>,
    ) -> Result<ContentReader, Fault> {
        let encryption: &Encryption = &self.object()?.encryption;
        let key = self.customer_key.as_ref();
        let objects = &context.objects;
        Ok(objects
            .read_extents(encryption, &self.extents, range, key)
            .await?)
    }

    /// Tells which version it was.
    pub(crate) fn tell(&self, headers: &mut http::HeaderMap) {
        let mut id = http::HeaderMap::new();
        facts::id(&mut id, &self.bucket, &self.version);
        if let Some(id) = id.remove(crate::error::VERSION_ID)
            && let Ok(id) = id.to_str()
        {
            facts::set_own(headers, "x-amz-copy-source-version-id", id);
        }
    }
}

/// `BUCKET/KEY` or `/BUCKET/KEY`, encoded, perhaps with `?versionId=ID`.
fn parse(header: &str) -> Result<(String, ObjectKey, Option<VersionId>), Fault> {
    let invalid = || {
        Fault::argument(
            "x-amz-copy-source",
            header,
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        )
    };
    if header.starts_with("arn:") {
        return Err(Fault::not_built("A copy from an access point"));
    }
    let (path, version) = match header.rsplit_once("?versionId=") {
        Some((path, version)) => (path, Some(version)),
        None => (header, None),
    };
    let path = decode(path).ok_or_else(invalid)?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (bucket, key) = path.split_once('/').ok_or_else(invalid)?;
    let key = parse_key(key)?.ok_or_else(invalid)?;
    let version = version.map(context::version_id).transpose()?;
    Ok((bucket.to_owned(), key, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_bucket_a_key_and_perhaps_a_version() {
        let parsed = |header: &str| {
            let (bucket, key, version) = parse(header).map_err(|fault| fault.code.into_owned())?;
            Ok((bucket, key.to_string(), version.map(|id| id.to_string())))
        };
        let is = |bucket: &str, key: &str, version: Option<&str>| {
            Ok((
                bucket.to_owned(),
                key.to_owned(),
                version.map(str::to_owned),
            ))
        };
        assert_eq!(parsed("a-b/c/d"), is("a-b", "c/d", None));
        assert_eq!(parsed("/a-b/c%3Fd+%C3%A4"), is("a-b", "c?d+ä", None));
        assert_eq!(parsed("a-b/c?versionId=null"), is("a-b", "c", Some("null")));
        for bad in ["a-b", "", "/a-b/", "a-b/c?versionId=x", "a-b/%f"] {
            assert_eq!(parsed(bad), Err("InvalidArgument".to_owned()), "{bad}");
        }
        let arn = "arn:aws:s3:us-east-1:111122223333:accesspoint/a/object/b";
        assert_eq!(parsed(arn), Err("NotImplemented".to_owned()));
    }
}
