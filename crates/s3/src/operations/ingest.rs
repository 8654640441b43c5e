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
    let mut payload = context.payload()?;
    let digests = &context.digests;
    let options = IngestOptions {
        length: payload.length(),
        limit: LARGEST_BODY,
        expected: Expected {
            md5: digests.md5,
            checksums: digests.checksum.iter().cloned().collect(),
            computed: digests.algorithm(),
        },
        customer_key,
    };
    let mut ingest = Ingest::new(context.objects.contents(), options);
    while let Some(bytes) = payload.next().await? {
        ingest.push(bytes).await?;
    }
    let trailing = digests.trailer(payload.trailers())?;
    Ok(ingest.finish(trailing.into_iter().collect()).await?)
}
