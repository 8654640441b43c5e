//! Listings of a bucket: `ListObjects`, `ListObjectsV2`, `ListObjectVersions`,
//! `ListMultipartUploads`. Which entries there are is `objects`' affair; here they are put as S3
//! words them.

use objects::list::{
    After, ListQuery, ListedVersion, ObjectListing, PAGE, UploadsAfter, VersionsAfter,
};
use objects::{Checksum, ChecksumKind, ObjectData, ObjectKey, ObjectVersion, VersionId};
use s3s::dto;
use store::Engine;
use types::AccountId;

use crate::context::{Context, Outcome, done};
use crate::error::Fault;
use crate::values;

/// What every listing's request says.
struct Asked {
    prefix: String,
    delimiter: String,
    limit: usize,
    /// Are keys told as URLs have them?
    encoded: bool,
}

impl Asked {
    fn of<E: Engine>(context: &Context<E>, limit: &'static str) -> Result<Asked, Fault> {
        let text = |name| context.query.get(name).unwrap_or_default().to_owned();
        let encoded = match context.query.get("encoding-type") {
            None | Some("") => false,
            Some("url") => true,
            Some(other) => {
                let text = "Invalid Encoding Method specified in Request";
                return Err(Fault::argument("encoding-type", other, text));
            }
        };
        Ok(Asked {
            prefix: text("prefix"),
            delimiter: text("delimiter"),
            limit: limit_of(context, limit)?,
            encoded,
        })
    }

    fn query(&self) -> ListQuery<'_> {
        ListQuery {
            prefix: &self.prefix,
            delimiter: &self.delimiter,
            limit: self.limit,
        }
    }

    /// A text as it is told.
    fn told(&self, text: &str) -> String {
        match self.encoded {
            true => encoded(text),
            false => text.to_owned(),
        }
    }

    fn told_delimiter(&self) -> Option<String> {
        let given = !self.delimiter.is_empty();
        given.then(|| self.told(&self.delimiter))
    }

    fn encoding(&self) -> Option<dto::EncodingType> {
        let url = || dto::EncodingType::from_static(dto::EncodingType::URL);
        self.encoded.then(url)
    }

    fn told_limit(&self) -> Option<i32> {
        i32::try_from(self.limit).ok()
    }

    fn prefixes(&self, prefixes: &[String]) -> Option<Vec<dto::CommonPrefix>> {
        let told = prefixes.iter().map(|prefix| dto::CommonPrefix {
            prefix: Some(self.told(prefix)),
        });
        Some(told.collect())
    }

    fn objects(
        &self,
        objects: &[(ObjectKey, ObjectVersion)],
        owners: bool,
    ) -> Option<Vec<dto::Object>> {
        let told = objects.iter().filter_map(|(key, version)| {
            let data = version.object()?;
            let (algorithm, kind) = checksum(data.checksum.as_ref());
            Some(dto::Object {
                key: Some(self.told(key.as_str())),
                last_modified: Some(values::time(version.stamp.last_modified())),
                e_tag: Some(values::etag(&data.etag)),
                size: Some(size(data)),
                storage_class: Some(data.storage_class.clone().into()),
                checksum_algorithm: algorithm,
                checksum_type: kind,
                owner: owners.then(|| owner(version.owner)),
                ..dto::Object::default()
            })
        });
        Some(told.collect())
    }
}

/// `ListObjects`.
pub(crate) async fn list_objects<E: Engine>(
    context: &Context<E>,
    _: dto::ListObjectsInput,
) -> Outcome<dto::ListObjectsOutput> {
    let asked = Asked::of(context, "max-keys")?;
    let marker = context.query.get("marker").unwrap_or_default();
    let after = After::marker(&asked.query(), marker);
    let page = whole_page(context, &asked, after).await?;
    let next = page.next.clone().filter(|_| asked.limit > 0);
    done(dto::ListObjectsOutput {
        name: Some(context.bucket_name()?.to_string()),
        prefix: Some(asked.told(&asked.prefix)),
        marker: Some(asked.told(marker)),
        max_keys: asked.told_limit(),
        is_truncated: Some(next.is_some()),
        contents: asked.objects(&page.objects, true),
        common_prefixes: asked.prefixes(&page.prefixes),
        delimiter: asked.told_delimiter(),
        next_marker: next
            .filter(|_| !asked.delimiter.is_empty())
            .map(|next| asked.told(&next.into_marker())),
        encoding_type: asked.encoding(),
        ..dto::ListObjectsOutput::default()
    })
}

/// A page that ends because it is full or because there is no more: this operation's marker can't
/// tell of a group whether it was told already.
async fn whole_page<E: Engine>(
    context: &Context<E>,
    asked: &Asked,
    after: After,
) -> Result<ObjectListing, Fault> {
    let (objects, bucket) = (&context.objects, context.bucket()?);
    let mut page = objects.list_current(bucket, &asked.query(), &after).await?;
    let most = asked.limit.min(PAGE);
    while let Some(after) = page.next.clone()
        && page.objects.len() + page.prefixes.len() < most
    {
        let query = ListQuery {
            limit: most - page.objects.len() - page.prefixes.len(),
            ..asked.query()
        };
        let rest = objects.list_current(bucket, &query, &after).await?;
        page.objects.extend(rest.objects);
        page.prefixes.extend(rest.prefixes);
        page.next = rest.next;
    }
    Ok(page)
}

/// `ListObjectsV2`.
pub(crate) async fn list_objects_v2<E: Engine>(
    context: &Context<E>,
    _: dto::ListObjectsV2Input,
) -> Outcome<dto::ListObjectsV2Output> {
    let asked = Asked::of(context, "max-keys")?;
    let token = context.query.get("continuation-token");
    let start_after = context.query.get("start-after");
    let after = match (token, start_after) {
        (Some(""), _) => {
            let text = "The continuation token provided is incorrect";
            return Err(Fault::argument("continuation-token", "", text));
        }
        (Some(token), _) => After::from_token(token)?,
        (None, None | Some("")) => After::Nothing,
        (None, Some(key)) => After::Key(key.to_owned()),
    };
    let (objects, bucket) = (&context.objects, context.bucket()?);
    let page = objects.list_current(bucket, &asked.query(), &after).await?;
    let owners = context.query.get("fetch-owner") == Some("true");
    let count = page.objects.len() + page.prefixes.len();
    done(dto::ListObjectsV2Output {
        name: Some(context.bucket_name()?.to_string()),
        prefix: Some(asked.told(&asked.prefix)),
        max_keys: asked.told_limit(),
        key_count: i32::try_from(count).ok(),
        continuation_token: token.map(str::to_owned),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.as_ref().map(After::token),
        contents: asked.objects(&page.objects, owners),
        common_prefixes: asked.prefixes(&page.prefixes),
        delimiter: asked.told_delimiter(),
        encoding_type: asked.encoding(),
        start_after: start_after.map(|key| asked.told(key)),
        ..dto::ListObjectsV2Output::default()
    })
}

/// `ListObjectVersions`.
pub(crate) async fn list_object_versions<E: Engine>(
    context: &Context<E>,
    _: dto::ListObjectVersionsInput,
) -> Outcome<dto::ListObjectVersionsOutput> {
    let asked = Asked::of(context, "max-keys")?;
    let key_marker = context.query.get("key-marker").unwrap_or_default();
    let id_marker = context.query.get("version-id-marker");
    let after = versions_after(&asked, key_marker, id_marker)?;
    let (objects, bucket) = (&context.objects, context.bucket()?);
    let page = objects
        .list_versions(bucket, &asked.query(), &after)
        .await?;
    let (next_key, next_id) = match page.next.clone() {
        None => (None, None),
        Some(VersionsAfter::Keys(after)) => (Some(after.into_marker()), None),
        Some(VersionsAfter::Version(key, id)) => {
            (Some(key.as_str().to_owned()), Some(id.to_string()))
        }
    };
    let versions = page.versions.iter().filter_map(|listed| {
        let data = listed.version.object()?;
        Some(told_version(&asked, listed, data))
    });
    let markers = page.versions.iter();
    let markers = markers.filter(|listed| listed.version.is_delete_marker());
    done(dto::ListObjectVersionsOutput {
        name: Some(context.bucket_name()?.to_string()),
        prefix: Some(asked.told(&asked.prefix)),
        key_marker: Some(asked.told(key_marker)),
        version_id_marker: Some(id_marker.unwrap_or_default().to_owned()),
        max_keys: asked.told_limit(),
        is_truncated: Some(page.next.is_some()),
        versions: Some(versions.collect()),
        delete_markers: Some(markers.map(|listed| told_marker(&asked, listed)).collect()),
        common_prefixes: asked.prefixes(&page.prefixes),
        delimiter: asked.told_delimiter(),
        encoding_type: asked.encoding(),
        next_key_marker: next_key.map(|key| asked.told(&key)),
        next_version_id_marker: next_id,
        ..dto::ListObjectVersionsOutput::default()
    })
}

fn versions_after(asked: &Asked, key: &str, id: Option<&str>) -> Result<VersionsAfter, Fault> {
    let invalid =
        |text: &'static str| Fault::argument("version-id-marker", id.unwrap_or_default(), text);
    match (key, id) {
        ("", Some(_)) => Err(invalid(
            "A version-id marker cannot be specified without a key marker.",
        )),
        (_, Some("")) => Err(invalid("A version-id marker cannot be empty.")),
        (key, Some(id)) => {
            let id: VersionId = id
                .parse()
                .map_err(|_| invalid("Invalid version id specified"))?;
            match (After::marker(&asked.query(), key), key.parse()) {
                (After::Key(_), Ok(key)) => Ok(VersionsAfter::Version(key, id)),
                (after, _) => Ok(VersionsAfter::Keys(after)),
            }
        }
        (key, None) => Ok(VersionsAfter::Keys(After::marker(&asked.query(), key))),
    }
}

fn told_version(asked: &Asked, listed: &ListedVersion, data: &ObjectData) -> dto::ObjectVersion {
    let (algorithm, kind) = checksum(data.checksum.as_ref());
    let version = &listed.version;
    dto::ObjectVersion {
        key: Some(asked.told(listed.key.as_str())),
        version_id: Some(version.id().to_string()),
        is_latest: Some(listed.is_latest),
        last_modified: Some(values::time(version.stamp.last_modified())),
        e_tag: Some(values::etag(&data.etag)),
        size: Some(size(data)),
        storage_class: Some(data.storage_class.clone().into()),
        checksum_algorithm: algorithm,
        checksum_type: kind,
        owner: Some(owner(version.owner)),
        ..dto::ObjectVersion::default()
    }
}

fn told_marker(asked: &Asked, listed: &ListedVersion) -> dto::DeleteMarkerEntry {
    let version = &listed.version;
    dto::DeleteMarkerEntry {
        key: Some(asked.told(listed.key.as_str())),
        version_id: Some(version.id().to_string()),
        is_latest: Some(listed.is_latest),
        last_modified: Some(values::time(version.stamp.last_modified())),
        owner: Some(owner(version.owner)),
    }
}

/// `ListMultipartUploads`.
pub(crate) async fn list_multipart_uploads<E: Engine>(
    context: &Context<E>,
    _: dto::ListMultipartUploadsInput,
) -> Outcome<dto::ListMultipartUploadsOutput> {
    let asked = Asked::of(context, "max-uploads")?;
    let key_marker = context.query.get("key-marker").unwrap_or_default();
    let id_marker = context.query.get("upload-id-marker").unwrap_or_default();
    let after = After::marker(&asked.query(), key_marker);
    let after = match (after, key_marker.parse(), id_marker.parse()) {
        (After::Key(_), Ok(key), Ok(id)) => UploadsAfter::Upload(key, id),
        // Without a key, or with no id of ours, the id says nothing.
        (after, _, _) => UploadsAfter::Keys(after),
    };
    let (objects, bucket) = (&context.objects, context.bucket()?);
    let page = objects.list_uploads(bucket, &asked.query(), &after).await?;
    let (next_key, next_id) = match page.next.clone() {
        None => (None, None),
        Some(UploadsAfter::Keys(after)) => (Some(after.into_marker()), None),
        Some(UploadsAfter::Upload(key, id)) => {
            (Some(key.as_str().to_owned()), Some(id.to_string()))
        }
    };
    let uploads = page.uploads.iter().map(|listed| {
        let asked_for = listed.upload.checksum;
        dto::MultipartUpload {
            key: Some(asked.told(listed.key.as_str())),
            upload_id: Some(listed.id.to_string()),
            initiated: Some(values::time(listed.id.initiated())),
            initiator: Some(initiator(&listed.upload.initiator)),
            owner: Some(owner(listed.upload.owner)),
            storage_class: Some(listed.upload.storage_class.clone().into()),
            checksum_algorithm: asked_for.map(|(algorithm, _)| algorithm.name().to_owned().into()),
            checksum_type: asked_for.map(|(_, kind)| kind_of(kind)),
        }
    });
    done(dto::ListMultipartUploadsOutput {
        bucket: Some(context.bucket_name()?.to_string()),
        prefix: Some(asked.told(&asked.prefix)),
        key_marker: Some(asked.told(key_marker)),
        upload_id_marker: Some(id_marker.to_owned()),
        max_uploads: asked.told_limit(),
        is_truncated: Some(page.next.is_some()),
        uploads: Some(uploads.collect()),
        common_prefixes: asked.prefixes(&page.prefixes),
        delimiter: asked.told_delimiter(),
        encoding_type: asked.encoding(),
        next_key_marker: next_key.map(|key| asked.told(&key)),
        next_upload_id_marker: next_id,
        ..dto::ListMultipartUploadsOutput::default()
    })
}

/// How many entries a parameter asks for; a thousand if it doesn't, and never more.
///
/// # Errors
///
/// `InvalidArgument`: it is no number, or a negative one.
pub(crate) fn limit_of<E: Engine>(
    context: &Context<E>,
    name: &'static str,
) -> Result<usize, Fault> {
    let Some(text) = context.query.get(name).filter(|text| !text.is_empty()) else {
        return Ok(PAGE);
    };
    match text.parse::<i64>() {
        Ok(limit) if (0..=i64::from(i32::MAX)).contains(&limit) => {
            Ok(usize::try_from(limit).unwrap_or(PAGE).min(PAGE))
        }
        Ok(_) => {
            let message = format!("Argument {name} must be an integer between 0 and 2147483647");
            Err(Fault::argument(name, text, message))
        }
        Err(_) => {
            let message = "Provided ".to_owned() + name + " not an integer or within integer range";
            Err(Fault::argument(name, text, message))
        }
    }
}

/// An account as owner.
pub(crate) fn owner(account: AccountId) -> dto::Owner {
    dto::Owner {
        display_name: None,
        id: Some(objects::canonical_id(account)),
    }
}

/// Who began an upload.
pub(crate) fn initiator(arn: &str) -> dto::Initiator {
    dto::Initiator {
        display_name: arn.rsplit('/').next().map(str::to_owned),
        id: Some(arn.to_owned()),
    }
}

/// A kind of checksums as the codec has it.
pub(crate) fn kind_of(kind: ChecksumKind) -> dto::ChecksumType {
    dto::ChecksumType::from_static(match kind {
        ChecksumKind::FullObject => dto::ChecksumType::FULL_OBJECT,
        ChecksumKind::Composite => dto::ChecksumType::COMPOSITE,
    })
}

fn checksum(
    checksum: Option<&Checksum>,
) -> (
    Option<Vec<dto::ChecksumAlgorithm>>,
    Option<dto::ChecksumType>,
) {
    let algorithm = checksum.map(|checksum| vec![checksum.algorithm.name().to_owned().into()]);
    (algorithm, checksum.map(|checksum| kind_of(checksum.kind)))
}

fn size(data: &ObjectData) -> i64 {
    i64::try_from(data.size).unwrap_or(i64::MAX)
}

/// A text as `encoding-type=url` has it: everything but letters, digits and `-_.*/` in percent
/// signs, so that whoever reads a plus sign as a space and whoever doesn't read the same.
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => {
                encoded.push(char::from(byte));
            }
            other => write!(encoded, "%{other:02X}").expect("a text takes what is written"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_encoded_as_urls_have_them() {
        assert_eq!(encoded("test_file(3).png"), "test_file%283%29.png");
        assert_eq!(encoded("a b+ä/\u{0}"), "a%20b%2B%C3%A4/%00");
    }
}
