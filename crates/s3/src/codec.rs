//! The codec between HTTP and typed inputs and outputs: `s3s`, with nothing of it but that. It
//! verifies no signature, asks no question of access and reads no body of an object; a request
//! comes to it routed, judged, and without what it must not see. Were it to take a request for
//! another operation than the table did, the request is refused.
//!
//! To build an operation: write its adapter, one file of `operations` for an operation or a close
//! family, `async fn(&Context<E>, Input) -> Outcome<Output>`, and add its line to `adapters!`.

use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::validation::NameValidation;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto};
use store::Engine;

use crate::body::DOCUMENT;
use crate::context::Context;
use crate::operations as adapt;

/// The codec over the operations of that engine's objects.
struct Codec<E>(PhantomData<fn() -> E>);

/// What a request carries through the codec.
type Carried<E> = Arc<Context<E>>;

/// A codec; its calls need the request's context among its extensions.
pub(crate) fn codec<E: Engine>() -> S3Service {
    let mut builder = S3ServiceBuilder::new(Codec::<E>(PhantomData));
    let mut config = S3Config::default();
    config.xml_max_body_size = usize::try_from(DOCUMENT).unwrap_or(usize::MAX);
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    // Without the one, the other isn't asked.
    builder.set_auth(Unsigned);
    builder.set_access(Routed::<E>(PhantomData));
    builder.set_validation(Named);
    builder.build()
}

/// Every request comes without its signature.
struct Unsigned;

#[async_trait]
impl S3Auth for Unsigned {
    async fn get_secret_key(&self, _: &str) -> S3Result<SecretKey> {
        Err(S3Error::new(S3ErrorCode::AccessDenied))
    }
}

/// Buckets were named before.
struct Named;

impl NameValidation for Named {
    fn validate_bucket_name(&self, name: &str) -> bool {
        !name.is_empty()
    }
}

/// Is the codec's operation the one that was judged?
struct Routed<E>(PhantomData<fn() -> E>);

#[async_trait]
impl<E: Engine> S3Access for Routed<E> {
    async fn check(&self, access: &mut S3AccessContext<'_>) -> S3Result<()> {
        let context = access.extensions_mut().get::<Carried<E>>();
        let judged = context.map(|context| context.row.name);
        match judged.is_some_and(|judged| judged == access.s3_op().name()) {
            true => Ok(()),
            false => Err(S3Error::new(S3ErrorCode::NotImplemented)),
        }
    }
}

/// The context that the request carries, and its typed input.
fn carried<E: Engine, T>(mut request: S3Request<T>) -> S3Result<(Carried<E>, T)> {
    match request.extensions.remove::<Carried<E>>() {
        Some(context) => Ok((context, request.input)),
        None => Err(S3Error::new(S3ErrorCode::InternalError)),
    }
}

/// A line an operation: its name in the model, then the codec's method with its input and output,
/// then the adapter.
macro_rules! adapters {
    ($($operation:ident: $method:ident($input:ident) -> $output:ident = $adapter:path;)*) => {
        /// The operations that are built.
        pub(crate) const BUILT: &[&str] = &[$(stringify!($operation)),*];

        #[async_trait]
        impl<E: Engine> S3 for Codec<E> {
            $(
                async fn $method(
                    &self,
                    request: S3Request<dto::$input>,
                ) -> S3Result<S3Response<dto::$output>> {
                    let (context, input) = carried::<E, _>(request)?;
                    context.settle($adapter(&context, input).await)
                }
            )*
        }
    };
}

adapters! {
    AbortMultipartUpload: abort_multipart_upload(AbortMultipartUploadInput)
        -> AbortMultipartUploadOutput = adapt::uploads::abort_multipart_upload;
    CompleteMultipartUpload: complete_multipart_upload(CompleteMultipartUploadInput)
        -> CompleteMultipartUploadOutput = adapt::uploads::complete_multipart_upload;
    CopyObject: copy_object(CopyObjectInput) -> CopyObjectOutput = adapt::copy::copy_object;
    CreateBucket: create_bucket(CreateBucketInput) -> CreateBucketOutput
        = adapt::buckets::create_bucket;
    CreateMultipartUpload: create_multipart_upload(CreateMultipartUploadInput)
        -> CreateMultipartUploadOutput = adapt::uploads::create_multipart_upload;
    DeleteBucket: delete_bucket(DeleteBucketInput) -> DeleteBucketOutput
        = adapt::buckets::delete_bucket;
    DeleteBucketCors: delete_bucket_cors(DeleteBucketCorsInput) -> DeleteBucketCorsOutput
        = adapt::bucket_cors::delete_bucket_cors;
    DeleteBucketEncryption: delete_bucket_encryption(DeleteBucketEncryptionInput)
        -> DeleteBucketEncryptionOutput
        = adapt::bucket_encryption::delete_bucket_encryption;
    DeleteBucketLifecycle: delete_bucket_lifecycle(DeleteBucketLifecycleInput)
        -> DeleteBucketLifecycleOutput
        = adapt::bucket_lifecycle::delete_bucket_lifecycle;
    DeleteBucketOwnershipControls: delete_bucket_ownership_controls(
        DeleteBucketOwnershipControlsInput
    ) -> DeleteBucketOwnershipControlsOutput
        = adapt::bucket_access::delete_bucket_ownership_controls;
    DeleteBucketPolicy: delete_bucket_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput
        = adapt::bucket_policy::delete_bucket_policy;
    DeleteBucketReplication: delete_bucket_replication(DeleteBucketReplicationInput)
        -> DeleteBucketReplicationOutput
        = adapt::bucket_replication::delete_bucket_replication;
    DeleteBucketTagging: delete_bucket_tagging(DeleteBucketTaggingInput)
        -> DeleteBucketTaggingOutput
        = adapt::bucket_tagging::delete_bucket_tagging;
    DeleteObject: delete_object(DeleteObjectInput) -> DeleteObjectOutput
        = adapt::delete::delete_object;
    DeleteObjectTagging: delete_object_tagging(DeleteObjectTaggingInput)
        -> DeleteObjectTaggingOutput
        = adapt::object_tagging::delete_object_tagging;
    DeleteObjects: delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput
        = adapt::delete::delete_objects;
    DeletePublicAccessBlock: delete_public_access_block(DeletePublicAccessBlockInput)
        -> DeletePublicAccessBlockOutput
        = adapt::bucket_access::delete_public_access_block;
    GetBucketAccelerateConfiguration: get_bucket_accelerate_configuration(
        GetBucketAccelerateConfigurationInput
    ) -> GetBucketAccelerateConfigurationOutput
        = adapt::bucket_facts::get_bucket_accelerate_configuration;
    GetBucketAcl: get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput
        = adapt::bucket_access::get_bucket_acl;
    GetBucketCors: get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput
        = adapt::bucket_cors::get_bucket_cors;
    GetBucketEncryption: get_bucket_encryption(GetBucketEncryptionInput)
        -> GetBucketEncryptionOutput
        = adapt::bucket_encryption::get_bucket_encryption;
    GetBucketLifecycleConfiguration: get_bucket_lifecycle_configuration(
        GetBucketLifecycleConfigurationInput
    ) -> GetBucketLifecycleConfigurationOutput
        = adapt::bucket_lifecycle::get_bucket_lifecycle_configuration;
    GetBucketLocation: get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput
        = adapt::buckets::get_bucket_location;
    GetBucketLogging: get_bucket_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput
        = adapt::bucket_facts::get_bucket_logging;
    GetBucketNotificationConfiguration: get_bucket_notification_configuration(
        GetBucketNotificationConfigurationInput
    ) -> GetBucketNotificationConfigurationOutput
        = adapt::bucket_notification::get_bucket_notification_configuration;
    GetBucketOwnershipControls: get_bucket_ownership_controls(GetBucketOwnershipControlsInput)
        -> GetBucketOwnershipControlsOutput
        = adapt::bucket_access::get_bucket_ownership_controls;
    GetBucketPolicy: get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput
        = adapt::bucket_policy::get_bucket_policy;
    GetBucketPolicyStatus: get_bucket_policy_status(GetBucketPolicyStatusInput)
        -> GetBucketPolicyStatusOutput
        = adapt::bucket_policy::get_bucket_policy_status;
    GetBucketReplication: get_bucket_replication(GetBucketReplicationInput)
        -> GetBucketReplicationOutput
        = adapt::bucket_replication::get_bucket_replication;
    GetBucketRequestPayment: get_bucket_request_payment(GetBucketRequestPaymentInput)
        -> GetBucketRequestPaymentOutput
        = adapt::bucket_facts::get_bucket_request_payment;
    GetBucketTagging: get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput
        = adapt::bucket_tagging::get_bucket_tagging;
    GetBucketVersioning: get_bucket_versioning(GetBucketVersioningInput)
        -> GetBucketVersioningOutput
        = adapt::bucket_versioning::get_bucket_versioning;
    GetBucketWebsite: get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput
        = adapt::bucket_facts::get_bucket_website;
    GetObject: get_object(GetObjectInput) -> GetObjectOutput = adapt::get::get_object;
    GetObjectAcl: get_object_acl(GetObjectAclInput) -> GetObjectAclOutput
        = adapt::object_acl::get_object_acl;
    GetObjectAttributes: get_object_attributes(GetObjectAttributesInput)
        -> GetObjectAttributesOutput
        = adapt::object_attributes::get_object_attributes;
    GetObjectLegalHold: get_object_legal_hold(GetObjectLegalHoldInput) -> GetObjectLegalHoldOutput
        = adapt::object_holds::get_object_legal_hold;
    GetObjectLockConfiguration: get_object_lock_configuration(GetObjectLockConfigurationInput)
        -> GetObjectLockConfigurationOutput
        = adapt::object_lock::get_object_lock_configuration;
    GetObjectRetention: get_object_retention(GetObjectRetentionInput) -> GetObjectRetentionOutput
        = adapt::object_holds::get_object_retention;
    GetObjectTagging: get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput
        = adapt::object_tagging::get_object_tagging;
    GetPublicAccessBlock: get_public_access_block(GetPublicAccessBlockInput)
        -> GetPublicAccessBlockOutput
        = adapt::bucket_access::get_public_access_block;
    HeadBucket: head_bucket(HeadBucketInput) -> HeadBucketOutput
        = adapt::buckets::head_bucket;
    HeadObject: head_object(HeadObjectInput) -> HeadObjectOutput = adapt::get::head_object;
    ListBuckets: list_buckets(ListBucketsInput) -> ListBucketsOutput
        = adapt::buckets::list_buckets;
    ListMultipartUploads: list_multipart_uploads(ListMultipartUploadsInput)
        -> ListMultipartUploadsOutput = adapt::list::list_multipart_uploads;
    ListObjectVersions: list_object_versions(ListObjectVersionsInput)
        -> ListObjectVersionsOutput = adapt::list::list_object_versions;
    ListObjects: list_objects(ListObjectsInput) -> ListObjectsOutput = adapt::list::list_objects;
    ListObjectsV2: list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output
        = adapt::list::list_objects_v2;
    ListParts: list_parts(ListPartsInput) -> ListPartsOutput = adapt::uploads::list_parts;
    PutBucketAcl: put_bucket_acl(PutBucketAclInput) -> PutBucketAclOutput
        = adapt::bucket_access::put_bucket_acl;
    PutBucketCors: put_bucket_cors(PutBucketCorsInput) -> PutBucketCorsOutput
        = adapt::bucket_cors::put_bucket_cors;
    PutBucketEncryption: put_bucket_encryption(PutBucketEncryptionInput)
        -> PutBucketEncryptionOutput
        = adapt::bucket_encryption::put_bucket_encryption;
    PutBucketLifecycleConfiguration: put_bucket_lifecycle_configuration(
        PutBucketLifecycleConfigurationInput
    ) -> PutBucketLifecycleConfigurationOutput
        = adapt::bucket_lifecycle::put_bucket_lifecycle_configuration;
    PutBucketNotificationConfiguration: put_bucket_notification_configuration(
        PutBucketNotificationConfigurationInput
    ) -> PutBucketNotificationConfigurationOutput
        = adapt::bucket_notification::put_bucket_notification_configuration;
    PutBucketOwnershipControls: put_bucket_ownership_controls(PutBucketOwnershipControlsInput)
        -> PutBucketOwnershipControlsOutput
        = adapt::bucket_access::put_bucket_ownership_controls;
    PutBucketPolicy: put_bucket_policy(PutBucketPolicyInput) -> PutBucketPolicyOutput
        = adapt::bucket_policy::put_bucket_policy;
    PutBucketReplication: put_bucket_replication(PutBucketReplicationInput)
        -> PutBucketReplicationOutput
        = adapt::bucket_replication::put_bucket_replication;
    PutBucketRequestPayment: put_bucket_request_payment(PutBucketRequestPaymentInput)
        -> PutBucketRequestPaymentOutput
        = adapt::bucket_facts::put_bucket_request_payment;
    PutBucketTagging: put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput
        = adapt::bucket_tagging::put_bucket_tagging;
    PutBucketVersioning: put_bucket_versioning(PutBucketVersioningInput)
        -> PutBucketVersioningOutput
        = adapt::bucket_versioning::put_bucket_versioning;
    PutObject: put_object(PutObjectInput) -> PutObjectOutput = adapt::put::put_object;
    PutObjectAcl: put_object_acl(PutObjectAclInput) -> PutObjectAclOutput
        = adapt::object_acl::put_object_acl;
    PutObjectLegalHold: put_object_legal_hold(PutObjectLegalHoldInput) -> PutObjectLegalHoldOutput
        = adapt::object_holds::put_object_legal_hold;
    PutObjectLockConfiguration: put_object_lock_configuration(PutObjectLockConfigurationInput)
        -> PutObjectLockConfigurationOutput
        = adapt::object_lock::put_object_lock_configuration;
    PutObjectRetention: put_object_retention(PutObjectRetentionInput) -> PutObjectRetentionOutput
        = adapt::object_holds::put_object_retention;
    PutObjectTagging: put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput
        = adapt::object_tagging::put_object_tagging;
    PutPublicAccessBlock: put_public_access_block(PutPublicAccessBlockInput)
        -> PutPublicAccessBlockOutput
        = adapt::bucket_access::put_public_access_block;
    UploadPart: upload_part(UploadPartInput) -> UploadPartOutput = adapt::parts::upload_part;
    UploadPartCopy: upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput
        = adapt::parts::upload_part_copy;
}
