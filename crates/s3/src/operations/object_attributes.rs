//! `GetObjectAttributes`: what is known of an object without its bytes.

use aws::xml::XmlWriter;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LAST_MODIFIED};
use objects::{Checksum, ChecksumAlgorithm, ChecksumKind, Content, Extent, ObjectData};
use s3s::S3Response;
use s3s::dto::{GetObjectAttributesInput, GetObjectAttributesOutput};
use store::Engine;

use super::{facts, get};
use crate::answer::full;
use crate::context::{Context, Outcome};
use crate::error::Fault;
use crate::values;

/// The document's namespace.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// What can be asked for.
const KNOWN: [&str; 5] = [
    "ETag",
    "Checksum",
    "ObjectParts",
    "StorageClass",
    "ObjectSize",
];

/// Parts of a page at most.
const PAGE: usize = 1000;

/// `GetObjectAttributes`. Its document is written here: the codec puts the entity tag in quotes,
/// and S3 doesn't.
pub(crate) async fn get_object_attributes<E: Engine>(
    context: &Context<E>,
    _: GetObjectAttributesInput,
) -> Outcome<GetObjectAttributesOutput> {
    let asked = asked(context)?;
    let (bucket, key) = (context.bucket()?, context.key()?);
    let version = context.object().await?;
    let located = get::locate_in(context, bucket, key, version).await?;
    let data = located.object()?;
    let customer_key = values::customer_key(&context.headers, values::CUSTOMER)?;
    data.encryption.admit(customer_key.as_ref())?;
    let mut writer = XmlWriter::document("GetObjectAttributesResponse", NAMESPACE);
    for name in asked {
        match name {
            "ETag" => writer.value("ETag", &data.etag),
            "Checksum" => checksum(&mut writer, data.checksum.as_ref()),
            "ObjectParts" => parts(context, &mut writer, data, &located.extents)?,
            "StorageClass" => writer.value("StorageClass", &data.storage_class),
            _ => writer.value("ObjectSize", data.size),
        };
    }
    let document = writer.finish();
    let mut headers = HeaderMap::new();
    facts::id(&mut headers, bucket, &located.version);
    let modified = values::http_date_of(located.version.stamp.last_modified());
    facts::set(&mut headers, LAST_MODIFIED, &modified);
    facts::set(&mut headers, CONTENT_TYPE, "application/xml");
    headers.insert(CONTENT_LENGTH, document.len().into());
    context.answer_with(full(document));
    let output = GetObjectAttributesOutput::default();
    Ok(S3Response::with_headers(output, headers))
}

/// What the request asks for, in the order of the document.
fn asked<E: Engine>(context: &Context<E>) -> Result<Vec<&'static str>, Fault> {
    let values = context.headers.get_all("x-amz-object-attributes").iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let names: Vec<&str> = values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let unknown = names.iter().find(|name| !KNOWN.contains(name));
    if names.is_empty() || unknown.is_some() {
        let text = "Invalid attribute name specified.";
        let name = unknown.copied().unwrap_or_default();
        return Err(Fault::argument("x-amz-object-attributes", name, text));
    }
    let known = KNOWN.into_iter();
    Ok(known.filter(|name| names.contains(name)).collect())
}

fn checksum<'a>(writer: &'a mut XmlWriter, checksum: Option<&Checksum>) -> &'a mut XmlWriter {
    let Some(checksum) = checksum else {
        return writer;
    };
    let kind = match checksum.kind {
        ChecksumKind::FullObject => "FULL_OBJECT",
        ChecksumKind::Composite => "COMPOSITE",
    };
    // Of parts' checksums the document has no count.
    let value = checksum.value.split('-').next().unwrap_or_default();
    writer
        .open("Checksum")
        .value(element(checksum.algorithm), value)
        .value("ChecksumType", kind)
        .close()
}

fn element(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "ChecksumCRC32",
        ChecksumAlgorithm::Crc32c => "ChecksumCRC32C",
        ChecksumAlgorithm::Crc64nvme => "ChecksumCRC64NVME",
        ChecksumAlgorithm::Sha1 => "ChecksumSHA1",
        ChecksumAlgorithm::Sha256 => "ChecksumSHA256",
    }
}

/// The parts of an object that was made of some.
fn parts<'a, E: Engine>(
    context: &Context<E>,
    writer: &'a mut XmlWriter,
    data: &ObjectData,
    extents: &[Extent],
) -> Result<&'a mut XmlWriter, Fault> {
    if !matches!(data.content, Content::Parts(_)) {
        return Ok(writer);
    }
    let number = |name: &'static str| match context.header(name) {
        None => Ok(None),
        Some(text) => match text.parse::<usize>() {
            Ok(number) if number <= 2_147_483_647 => Ok(Some(number)),
            _ => {
                let reason = format!("Provided {name} not an integer or within integer range");
                Err(Fault::argument(name, text, reason))
            }
        },
    };
    let most = number("x-amz-max-parts")?.unwrap_or(PAGE).min(PAGE);
    let after = number("x-amz-part-number-marker")?.unwrap_or(0);
    let numbered = extents.iter().enumerate();
    let mut rest = numbered.filter(|(index, _)| index + 1 > after).peekable();
    let page: Vec<(usize, &Extent)> = rest.by_ref().take(most).collect();
    let last = page.last().map_or(after, |(index, _)| index + 1);
    writer
        .open("ObjectParts")
        .value("PartsCount", extents.len())
        .value("PartNumberMarker", after)
        .value("NextPartNumberMarker", last)
        .value("MaxParts", most)
        .value("IsTruncated", rest.peek().is_some());
    for (index, extent) in page {
        // Parts are told only where a checksum of each was asked for when they were put.
        writer.open("Part");
        if let Some(checksum) = &extent.checksum {
            writer.value(element(checksum.algorithm), &checksum.value);
        }
        writer
            .value("PartNumber", index + 1)
            .value("Size", extent.size)
            .close();
    }
    Ok(writer.close())
}
