//! A bucket's default encryption: always SSE-S3, with keys of the site. Keys of KMS aren't here,
//! so a bucket that asks for one is refused rather than left without it.

use aws::xml::{self, XmlLimits};
use s3s::dto;
use store::Engine;

use crate::context::{Context, Outcome, done};
use crate::error::Fault;

/// How large the document is.
const LIMITS: XmlLimits = XmlLimits {
    depth: 8,
    elements: 64,
};

/// The one algorithm.
const SSE_S3: &str = "AES256";

/// `GetBucketEncryption`.
pub(crate) async fn get_bucket_encryption<E: Engine>(
    _: &Context<E>,
    _: dto::GetBucketEncryptionInput,
) -> Outcome<dto::GetBucketEncryptionOutput> {
    let rule = dto::ServerSideEncryptionRule {
        apply_server_side_encryption_by_default: Some(dto::ServerSideEncryptionByDefault {
            kms_master_key_id: None,
            sse_algorithm: dto::ServerSideEncryption::from_static(SSE_S3),
        }),
        bucket_key_enabled: Some(false),
    };
    done(dto::GetBucketEncryptionOutput {
        server_side_encryption_configuration: Some(dto::ServerSideEncryptionConfiguration {
            rules: vec![rule],
        }),
    })
}

/// `PutBucketEncryption`.
pub(crate) async fn put_bucket_encryption<E: Engine>(
    context: &Context<E>,
    input: dto::PutBucketEncryptionInput,
) -> Outcome<dto::PutBucketEncryptionOutput> {
    check_document(&context.document)?;
    check(&input.server_side_encryption_configuration)?;
    done(dto::PutBucketEncryptionOutput::default())
}

/// `DeleteBucketEncryption`: back to SSE-S3, which it never left.
pub(crate) async fn delete_bucket_encryption<E: Engine>(
    _: &Context<E>,
    _: dto::DeleteBucketEncryptionInput,
) -> Outcome<dto::DeleteBucketEncryptionOutput> {
    done(dto::DeleteBucketEncryptionOutput::default())
}

/// The codec doesn't know kinds of encryption that a bucket refuses; here it refuses none.
fn check_document(document: &[u8]) -> Result<(), Fault> {
    let root = xml::read(document, LIMITS).map_err(|_| Fault::malformed())?;
    let rules = root.children().iter();
    let blocked = rules.flat_map(|rule| rule.child("BlockedEncryptionTypes"));
    let mut kinds = blocked.flat_map(|blocked| blocked.children());
    match kinds.all(|kind| kind.text().is_ok_and(|name| name.trim() == "NONE")) {
        true => Ok(()),
        false => Err(Fault::not_built("Refusing a kind of encryption")),
    }
}

fn check(configuration: &dto::ServerSideEncryptionConfiguration) -> Result<(), Fault> {
    let [rule] = &configuration.rules[..] else {
        return Err(Fault::malformed());
    };
    let Some(default) = &rule.apply_server_side_encryption_by_default else {
        return match rule.bucket_key_enabled {
            Some(_) => Ok(()),
            None => Err(Fault::malformed()),
        };
    };
    match default.sse_algorithm.as_str() {
        SSE_S3 if default.kms_master_key_id.is_some() => Err(Fault::argument(
            "ApplyServerSideEncryptionByDefault",
            "KMSMasterKeyID",
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or \
             aws:kms:dsse",
        )),
        SSE_S3 => Ok(()),
        name @ ("aws:kms" | "aws:kms:dsse") => {
            Err(Fault::not_built(&format!("Default encryption by '{name}'")))
        }
        _ => Err(Fault::malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_of_encryption_is_refused() {
        let code = |kind: &str| {
            let document = format!(
                "<C><Rule><BlockedEncryptionTypes><EncryptionType>{kind}</EncryptionType>\
                 </BlockedEncryptionTypes></Rule></C>"
            );
            check_document(document.as_bytes()).map_err(|fault| fault.code)
        };
        assert_eq!(code("NONE"), Ok(()));
        assert_eq!(code("SSE-C").unwrap_err(), "NotImplemented");
    }

    #[test]
    fn only_what_is_done_is_taken() {
        let code = |name: &'static str, key: Option<&str>| {
            let rule = dto::ServerSideEncryptionRule {
                apply_server_side_encryption_by_default: Some(dto::ServerSideEncryptionByDefault {
                    kms_master_key_id: key.map(str::to_owned),
                    sse_algorithm: dto::ServerSideEncryption::from_static(name),
                }),
                bucket_key_enabled: None,
            };
            let configuration = dto::ServerSideEncryptionConfiguration { rules: vec![rule] };
            let checked = check(&configuration);
            checked.map_or_else(|fault| fault.code.into_owned(), |()| String::new())
        };
        assert_eq!(code("AES256", None), "");
        assert_eq!(code("AES256", Some("k")), "InvalidArgument");
        assert_eq!(code("aws:kms", None), "NotImplemented");
        assert_eq!(code("rot13", None), "MalformedXML");
        let none = dto::ServerSideEncryptionConfiguration { rules: vec![] };
        assert_eq!(check(&none).unwrap_err().code, "MalformedXML");
    }
}
