//! Tests of whole keys: against a model, under crashes and calls that are dropped, and of what
//! comes from other Regions in any order. The checker of rows knows nothing of how they are made.

mod buckets;
mod checker;
mod crash;
mod imports;
mod model;
mod versions;

use std::collections::BTreeMap;

use bytes::Bytes;
use store::MemoryEngine;
use types::AccountId;

use crate::content::{Expected, Ingest, IngestOptions, Ingested};
use crate::notify::Origin;
use crate::testing::now;
use crate::{
    Bucket, Cause, Creation, DeleteOptions, Metadata, NewContent, NewObject, ObjectError,
    ObjectKey, ObjectVersion, Objects, WriteConditions,
};

/// Numbers that follow from a seed (Steele, Lea, Flood: SplitMix64).
pub(crate) struct Seeded(u64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Seeded {
        Seeded(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

/// Somebody's request.
fn request() -> Cause {
    Cause::Request(Origin {
        principal: "arn:aws:iam::111122223333:user/alice".to_owned(),
        source_address: "127.0.0.1".to_owned(),
        request_id: "R".to_owned(),
        host_id: "H".to_owned(),
    })
}

/// Bytes taken in: rows of few, a blob of many.
async fn ingest(
    objects: &Objects<MemoryEngine>,
    bytes: impl Into<Bytes>,
) -> Result<Ingested, ObjectError> {
    let options = IngestOptions {
        length: None,
        limit: 1 << 30,
        expected: Expected::default(),
        customer_key: None,
    };
    let mut ingest = Ingest::new(objects.contents(), options);
    ingest.push(bytes.into()).await?;
    ingest.finish(Vec::new()).await
}

fn new_object(content: NewContent) -> NewObject {
    NewObject {
        owner: AccountId::LAB,
        content,
        metadata: Metadata::default(),
        storage_class: "STANDARD".to_owned(),
        tags: BTreeMap::new(),
        acl: None,
        retention: None,
        legal_hold: false,
        conditions: WriteConditions::default(),
        how: Creation::Put,
        cause: request(),
    }
}

/// An object of those bytes, put.
fn put(
    objects: &Objects<MemoryEngine>,
    bucket: &Bucket,
    at: &ObjectKey,
    bytes: &str,
) -> Result<std::sync::Arc<ObjectVersion>, ObjectError> {
    let ingested = now(ingest(objects, bytes.to_owned()))?;
    now(objects.put(bucket, at, new_object(NewContent::Whole(ingested))))
}

fn options() -> DeleteOptions {
    DeleteOptions {
        owner: AccountId::LAB,
        bypass_governance: false,
        if_match: None,
        cause: request(),
    }
}

/// What a version's reader reads.
async fn read(
    objects: &Objects<MemoryEngine>,
    bucket: &Bucket,
    at: &ObjectKey,
    version: &ObjectVersion,
) -> Result<Vec<u8>, ObjectError> {
    let size = version.object().map_or(0, |data| data.size);
    let reader = objects.read(bucket.entry.id, at, version, 0..size, None);
    let mut reader = reader.await?;
    let mut bytes = Vec::new();
    while let Some(step) = reader.next().await {
        bytes.extend_from_slice(&step?);
    }
    Ok(bytes)
}
