//! How objects ask another Region what it knows of a bucket of its own, and the bytes of what is
//! answered.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use objects::{BucketFacts, BucketId, BucketName, Peers, Unreachable, Versioning};
use types::{Deployment, Region};

use crate::asking::Asking;
use crate::message::{Answer, Question};

/// Asks over the link. Of its own buckets a Region knows itself, and asks nobody.
pub(crate) struct BucketPeers {
    pub(crate) asking: Arc<Asking>,
    pub(crate) deployment: Deployment,
}

/// What a Region answers, on its way.
type Answered<'a> =
    Pin<Box<dyn Future<Output = Result<Option<BucketFacts>, Unreachable>> + Send + 'a>>;

impl Peers for BucketPeers {
    fn bucket(&self, region: Region, name: &BucketName) -> Answered<'_> {
        let question = Question::Bucket { name: name.clone() };
        Box::pin(async move {
            let site = self.deployment.id_of(region).ok_or(Unreachable)?;
            match self.asking.ask(site, question).await {
                Ok(Answer::Bucket(facts)) => Ok(facts),
                // Another answer than was asked for says nothing.
                Ok(_) | Err(_) => Err(Unreachable),
            }
        })
    }
}

/// The bytes of facts: an id and three small numbers.
const FACTS_BYTES: usize = 11;

/// Writes facts.
pub(crate) fn put_facts(facts: &BucketFacts, out: &mut BytesMut) {
    out.put_u64(facts.id.0);
    out.put_u8(match facts.versioning {
        Versioning::Unversioned => 0,
        Versioning::Enabled => 1,
        Versioning::Suspended => 2,
    });
    out.put_u8(u8::from(facts.object_lock));
    out.put_u8(u8::from(facts.requester_pays));
}

/// Reads facts; `None`: they are none.
pub(crate) fn take_facts(bytes: &mut Bytes) -> Option<BucketFacts> {
    if bytes.remaining() < FACTS_BYTES {
        return None;
    }
    let id = BucketId(bytes.get_u64());
    let versioning = match bytes.get_u8() {
        0 => Versioning::Unversioned,
        1 => Versioning::Enabled,
        2 => Versioning::Suspended,
        _ => return None,
    };
    Some(BucketFacts {
        id,
        versioning,
        object_lock: flag(bytes)?,
        requester_pays: flag(bytes)?,
    })
}

fn flag(bytes: &mut Bytes) -> Option<bool> {
    match bytes.get_u8() {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}
