//! What is told of a bucket and means little here: who pays for requests, which is kept and told;
//! acceleration, logging and websites, which no bucket has. (Setting those isn't built.)

use s3s::dto;
use store::Engine;

use crate::context::{Context, Outcome, done};
use crate::error::Fault;

/// `GetBucketRequestPayment`.
pub(crate) async fn get_bucket_request_payment<E: Engine>(
    context: &Context<E>,
    _: dto::GetBucketRequestPaymentInput,
) -> Outcome<dto::GetBucketRequestPaymentOutput> {
    let payer = match context.bucket()?.settings.requester_pays {
        true => "Requester",
        false => "BucketOwner",
    };
    done(dto::GetBucketRequestPaymentOutput {
        payer: Some(dto::Payer::from_static(payer)),
    })
}

/// `PutBucketRequestPayment`.
pub(crate) async fn put_bucket_request_payment<E: Engine>(
    context: &Context<E>,
    input: dto::PutBucketRequestPaymentInput,
) -> Outcome<dto::PutBucketRequestPaymentOutput> {
    let requester_pays = match input.request_payment_configuration.payer.as_str() {
        "Requester" => true,
        "BucketOwner" => false,
        _ => return Err(Fault::malformed()),
    };
    let changed = context
        .objects
        .change_settings(context.bucket()?, |settings| {
            settings.requester_pays = requester_pays;
            Ok(())
        });
    changed.await?;
    done(dto::PutBucketRequestPaymentOutput::default())
}

/// `GetBucketAccelerateConfiguration`: it never was set.
pub(crate) async fn get_bucket_accelerate_configuration<E: Engine>(
    _: &Context<E>,
    _: dto::GetBucketAccelerateConfigurationInput,
) -> Outcome<dto::GetBucketAccelerateConfigurationOutput> {
    done(dto::GetBucketAccelerateConfigurationOutput::default())
}

/// `GetBucketLogging`: it is off.
pub(crate) async fn get_bucket_logging<E: Engine>(
    _: &Context<E>,
    _: dto::GetBucketLoggingInput,
) -> Outcome<dto::GetBucketLoggingOutput> {
    done(dto::GetBucketLoggingOutput::default())
}

/// `GetBucketWebsite`: there is none.
pub(crate) async fn get_bucket_website<E: Engine>(
    _: &Context<E>,
    _: dto::GetBucketWebsiteInput,
) -> Outcome<dto::GetBucketWebsiteOutput> {
    Err(Fault::new(
        http::StatusCode::NOT_FOUND,
        "NoSuchWebsiteConfiguration",
        "The specified bucket does not have a website configuration",
    ))
}
