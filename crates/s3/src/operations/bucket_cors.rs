//! A bucket's rules of cross-origin resource sharing. (What they do is in `preflight`.)

use objects::cors::{CorsConfiguration, CorsRule};
use s3s::dto;
use store::Engine;

use crate::context::{Context, Outcome, done};
use crate::error::Fault;

/// `GetBucketCors`.
pub(crate) async fn get_bucket_cors<E: Engine>(
    context: &Context<E>,
    _: dto::GetBucketCorsInput,
) -> Outcome<dto::GetBucketCorsOutput> {
    let Some(configuration) = &context.bucket()?.settings.cors else {
        return Err(Fault::new(
            http::StatusCode::NOT_FOUND,
            "NoSuchCORSConfiguration",
            "The CORS configuration does not exist",
        ));
    };
    done(dto::GetBucketCorsOutput {
        cors_rules: Some(configuration.rules.iter().map(shown).collect()),
    })
}

/// `PutBucketCors`.
pub(crate) async fn put_bucket_cors<E: Engine>(
    context: &Context<E>,
    input: dto::PutBucketCorsInput,
) -> Outcome<dto::PutBucketCorsOutput> {
    let rules = input.cors_configuration.cors_rules.into_iter().map(taken);
    let configuration = CorsConfiguration {
        rules: rules.collect(),
    };
    configuration.check()?;
    let changed = context
        .objects
        .change_settings(context.bucket()?, |settings| {
            settings.cors = Some(configuration.clone());
            Ok(())
        });
    changed.await?;
    done(dto::PutBucketCorsOutput::default())
}

/// `DeleteBucketCors`.
pub(crate) async fn delete_bucket_cors<E: Engine>(
    context: &Context<E>,
    _: dto::DeleteBucketCorsInput,
) -> Outcome<dto::DeleteBucketCorsOutput> {
    let changed = context
        .objects
        .change_settings(context.bucket()?, |settings| {
            settings.cors = None;
            Ok(())
        });
    changed.await?;
    done(dto::DeleteBucketCorsOutput::default())
}

fn taken(rule: dto::CORSRule) -> CorsRule {
    CorsRule {
        id: rule.id,
        allowed_headers: rule.allowed_headers.unwrap_or_default(),
        allowed_methods: rule.allowed_methods,
        allowed_origins: rule.allowed_origins,
        expose_headers: rule.expose_headers.unwrap_or_default(),
        max_age_seconds: rule.max_age_seconds,
    }
}

fn shown(rule: &CorsRule) -> dto::CORSRule {
    let some = |texts: &Vec<String>| (!texts.is_empty()).then(|| texts.clone());
    dto::CORSRule {
        allowed_headers: some(&rule.allowed_headers),
        allowed_methods: rule.allowed_methods.clone(),
        allowed_origins: rule.allowed_origins.clone(),
        expose_headers: some(&rule.expose_headers),
        id: rule.id.clone(),
        max_age_seconds: rule.max_age_seconds,
    }
}
