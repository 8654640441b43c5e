//! Reading a request's body within its limits. Nothing here knows what a body means.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::EXPECT;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{HttpLimits, Refusal, SMALL_BODY};
use types::ByteSize;

/// How much of a body that is too large is still read and thrown away, so that its sender gets
/// to read the answer instead of a reset.
const DISCARDED: ByteSize = ByteSize::mib(64);

/// The memory that bodies may take together, in permits of 1 KiB.
pub(super) struct BodyBudget(Semaphore);

impl BodyBudget {
    pub(super) fn new(limits: &HttpLimits) -> BodyBudget {
        // A single body must always fit.
        let total = limits.bodies.0.max(limits.body.0);
        BodyBudget(Semaphore::new(kibibytes(total) as usize))
    }
}

/// A body and its share of the budget, given back when dropped.
pub(super) struct Held<'a> {
    pub(super) bytes: Bytes,
    pub(super) _share: Option<SemaphorePermit<'a>>,
}

/// Reads the whole body, or says why it may not.
pub(super) async fn read<'a>(
    headers: &HeaderMap,
    mut body: Incoming,
    limits: &HttpLimits,
    budget: &'a BodyBudget,
) -> Result<Held<'a>, Refusal> {
    let announced = body.size_hint().exact();
    if announced == Some(0) {
        return Ok(Held {
            bytes: Bytes::new(),
            _share: None,
        });
    }
    // A body that comes with its head is there without waiting: no timer is made for it.
    let mut reading = std::pin::pin!(read_in_time(headers, &mut body, announced, limits, budget));
    if let std::task::Poll::Ready(done) = futures_util::poll!(reading.as_mut()) {
        return done;
    }
    match tokio::time::timeout(limits.body_wait, reading).await {
        Ok(done) => done,
        Err(_) => Err(Refusal::BodyTooSlow),
    }
}

async fn read_in_time<'a>(
    headers: &HeaderMap,
    body: &mut Incoming,
    announced: Option<u64>,
    limits: &HttpLimits,
    budget: &'a BodyBudget,
) -> Result<Held<'a>, Refusal> {
    if announced.is_some_and(|length| length > limits.body.0) {
        // Whoever waits for "100 Continue" hasn't sent its body, and needn't now.
        if !headers.contains_key(EXPECT) {
            discard(body).await;
        }
        return Err(Refusal::BodyTooLarge(limits.body));
    }
    let Some(first) = more(body, limits).await? else {
        return Ok(Held {
            bytes: Bytes::new(),
            _share: None,
        });
    };
    if body.is_end_stream() && first.len() <= SMALL_BODY.as_usize() {
        return Ok(Held {
            bytes: first,
            _share: None,
        });
    }
    // Until it has sent as much as a small body may have, it has no claim on the budget: who
    // announces much and sends little holds nobody up.
    let mut all = BytesMut::with_capacity(first.len() * 2);
    all.extend_from_slice(&first);
    let mut share = None;
    loop {
        if share.is_none() && all.len() > SMALL_BODY.as_usize() {
            share = take_share(announced, limits, budget).await;
            let length = announced.map_or(2 * all.len(), |length| length as usize);
            all.reserve(length.saturating_sub(all.len()));
        }
        let Some(chunk) = more(body, limits).await? else {
            break;
        };
        if all.len() + chunk.len() > limits.body.as_usize() {
            discard(body).await;
            return Err(Refusal::BodyTooLarge(limits.body));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(Held {
        bytes: all.freeze(),
        _share: share,
    })
}

async fn take_share<'a>(
    announced: Option<u64>,
    limits: &HttpLimits,
    budget: &'a BodyBudget,
) -> Option<SemaphorePermit<'a>> {
    let size = announced.unwrap_or(limits.body.0);
    if size <= SMALL_BODY.0 {
        return None;
    }
    let share = budget.0.acquire_many(kibibytes(size)).await;
    Some(share.expect("the budget is never closed"))
}

/// The next piece, unless nothing comes for too long.
async fn more(body: &mut Incoming, limits: &HttpLimits) -> Result<Option<Bytes>, Refusal> {
    let piece = tokio::time::timeout(limits.body_stall, next(body)).await;
    piece.unwrap_or(Err(Refusal::BodyTooSlow))
}

async fn next(body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    while let Some(frame) = body.frame().await {
        // Trailers are dropped: no protocol of ours has any.
        if let Ok(data) = frame.map_err(|_| Refusal::BodyBroken)?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// Reads on and throws away, up to a limit.
pub(super) async fn discard(body: &mut Incoming) {
    let mut left = DISCARDED.as_usize();
    while let Ok(Some(chunk)) = next(body).await {
        if chunk.len() > left {
            return;
        }
        left -= chunk.len();
    }
}

fn kibibytes(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}
