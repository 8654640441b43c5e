//! Damaged bytes are replaced by those of the Region that has a replica, or that a replica came
//! from; and stay damaged, never wrong, where nobody has them whole.

use super::ReplicaRepair;
use super::lab::{Lab, rule};
use crate::blob::BlobId;
use crate::content::CustomerKey;
use crate::scrub::Scrubbed;
use crate::{Content, ObjectError, ObjectVersion};

const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const KEY_MD5: &str = "KYvwGXoFFJ42a2u2GDWhwQ==";

fn one_way() -> Lab {
    let lab = Lab::new(77, 2);
    lab.make_bucket(0, "one");
    lab.make_bucket(1, "two");
    lab.replicate(0, "one", vec![rule("all", 1, "two")]);
    lab
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ at >> 9) as u8).collect()
}

fn blob_of(version: &ObjectVersion) -> BlobId {
    match &version.object().unwrap().content {
        Content::Whole(extent) => BlobId(extent.blob),
        Content::Parts(_) => panic!("it was put whole"),
    }
}

fn scrub(lab: &mut Lab, at: usize) -> Scrubbed {
    lab.meanwhile(at, |objects| async move {
        let repair = ReplicaRepair(objects.clone());
        objects.scrub_once(None, &repair).await.unwrap()
    })
}

fn scrub_damaged(lab: &mut Lab, at: usize) -> Scrubbed {
    lab.meanwhile(at, |objects| async move {
        let repair = ReplicaRepair(objects.clone());
        objects.scrub_damaged(&repair).await.unwrap()
    })
}

#[test]
fn what_a_reader_finds_damaged_is_repaired_without_a_whole_pass() {
    let mut lab = one_way();
    let put = lab.put(0, "one", "k", &bytes(100_000));
    lab.settle();
    assert_eq!(scrub_damaged(&mut lab, 0), Scrubbed::default());
    let version = lab.find(0, "one", "k", Some(put.id())).unwrap();
    lab.at(0, async |objects| {
        objects
            .contents()
            .blobs()
            .remove(blob_of(&version))
            .await
            .unwrap();
    });
    let read = lab.read(0, "one", "k", &version);
    assert!(matches!(read, Err(ObjectError::Damaged(_))));
    let found = scrub_damaged(&mut lab, 0);
    assert_eq!((found.versions, found.repaired, found.damaged), (1, 1, 0));
    let version = lab.find(0, "one", "k", None).unwrap();
    assert!(lab.read(0, "one", "k", &version).unwrap() == bytes(100_000));
}

#[test]
fn a_customers_bytes_are_repaired_without_its_key() {
    let mut lab = one_way();
    let key = CustomerKey::parse(Some("AES256"), Some(KEY), Some(KEY_MD5));
    let key = key.unwrap();
    let put = lab.put_encrypted(0, "one", "k", &bytes(300_000), key.clone());
    lab.settle();
    let version = lab.find(0, "one", "k", Some(put.id())).unwrap();
    assert!(lab.blobs(0).flip(blob_of(&version), 70_000));
    let found = scrub(&mut lab, 0);
    assert_eq!((found.repaired, found.damaged), (1, 0));
    let version = lab.find(0, "one", "k", None).unwrap();
    let read = lab.read_with(0, "one", "k", &version, key.as_ref());
    assert!(read.unwrap() == bytes(300_000));
}

#[test]
fn what_nobody_has_whole_stays_damaged_and_is_told() {
    let mut lab = one_way();
    let put = lab.put(0, "one", "k", &bytes(100_000));
    let alone = lab.put(1, "two", "alone", &bytes(100_000));
    lab.settle();
    for (at, bucket) in [(0, "one"), (1, "two")] {
        let version = lab.find(at, bucket, "k", Some(put.id())).unwrap();
        assert!(lab.blobs(at).flip(blob_of(&version), 1_000));
    }
    assert!(lab.blobs(1).flip(blob_of(&alone), 1_000));
    assert_eq!(scrub(&mut lab, 0).damaged, 1);
    let found = scrub(&mut lab, 1);
    assert_eq!((found.repaired, found.damaged), (0, 2));
    let version = lab.find(0, "one", "k", None).unwrap();
    let read = lab.read(0, "one", "k", &version);
    assert!(matches!(read, Err(ObjectError::Damaged(_))));
}
