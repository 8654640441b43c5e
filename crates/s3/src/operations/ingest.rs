//! Bytes of a request go into the store: measured, summed up and compared with what was promised,
//! before anything is named by a version. An adapter that fails after this leaves nothing behind.

use objects::content::{CustomerKey, Expected, Ingest, IngestOptions, Ingested};
use store::Engine;

use crate::context::Context;
use crate::error::Fault;
use crate::guard::LARGEST_BODY;

/// Takes the request's body.
///
/// # Errors
///
/// The body isn't what was signed or promised, or is too large; the disk is full.
pub(crate) async fn body<E: Engine>(
    context: &Context<E>,
    customer_key: Option<CustomerKey>,
) -> Result<Ingested, Fault> {
    let digests = &context.digests;
    let options = IngestOptions {
        length: None,
        limit: LARGEST_BODY,
        expected: Expected {
            md5: digests.md5,
            checksums: digests.checksum.iter().cloned().collect(),
            computed: digests.algorithm(),
            announced: None,
        },
        customer_key,
    };
    with(context, options).await
}

/// Takes the request's body so, in its length.
///
/// # Errors
///
/// As [`body`].
pub(crate) async fn with<E: Engine>(
    context: &Context<E>,
    options: IngestOptions,
) -> Result<Ingested, Fault> {
    let mut payload = context.payload()?;
    let options = IngestOptions {
        length: payload.length(),
        ..options
    };
    let mut ingest = Ingest::new(context.objects.contents(), options);
    while let Some(bytes) = payload.next().await? {
        ingest.push(bytes).await?;
    }
    let trailing = context.digests.trailer(payload.trailers())?;
    Ok(ingest.finish(trailing.into_iter().collect()).await?)
}
