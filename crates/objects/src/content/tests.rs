//! Content in and out again: whole, in ranges, refused, cut off, damaged, resumed, under a
//! customer's key; over blobs in memory and in files.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use md5::{Digest, Md5};
use store::{Batch, Space, Write};
use types::{Environment, Monotonic, Now, Sleep, Timestamp};

use super::*;
use crate::blob::MemoryBlobs;
use crate::blob::tests::{local, wait};
use crate::{ChecksumAlgorithm, Encryption, Extent};

/// An environment whose draws follow from one another, and whose time stands.
struct Still(AtomicU64);

impl Environment for Still {
    fn now(&self) -> Now {
        Now {
            wall: Timestamp(1_800_000_000_000),
            monotonic: Monotonic(0),
        }
    }

    fn sleep_until(&self, _: Monotonic) -> Sleep {
        Box::pin(std::future::ready(()))
    }

    fn random(&self) -> u64 {
        let n = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    }
}

fn contents(blobs: impl Blobs) -> Contents {
    let environment = Arc::new(Still(AtomicU64::new(0)));
    Contents::new(Arc::new(blobs), SiteKey::new([3; 32]), environment)
}

fn options() -> IngestOptions {
    IngestOptions {
        length: None,
        limit: 1 << 40,
        expected: Expected::default(),
        customer_key: None,
    }
}

/// Bytes that tell their place.
fn bytes_of(length: usize) -> Bytes {
    (0..length).map(|n| (n ^ n >> 8 ^ n >> 16) as u8).collect()
}

fn take(
    contents: &Contents,
    bytes: &Bytes,
    piece: usize,
    options: IngestOptions,
) -> Result<Ingested, ObjectError> {
    wait(async {
        let mut ingest = Ingest::new(contents, options);
        for start in (0..bytes.len()).step_by(piece) {
            let end = bytes.len().min(start + piece);
            ingest.push(bytes.slice(start..end)).await?;
        }
        ingest.finish(Vec::new()).await
    })
}

/// Names it, as a commit does.
fn enter(ingested: Ingested, rows: &mut BTreeMap<Bytes, Bytes>) -> Extent {
    let mut batch = Batch::new();
    let extent = ingested.enter(&mut batch);
    for write in batch.writes {
        match write {
            Write::Put {
                space: Space::Content,
                key,
                value,
            } => {
                rows.insert(key, value);
            }
            other => panic!("{other:?}"),
        }
    }
    extent
}

fn read(
    contents: &Contents,
    extents: &[(Extent, Range<u64>)],
    rows: &BTreeMap<Bytes, Bytes>,
    customer: Option<&CustomerKey>,
) -> Result<Bytes, ObjectError> {
    let row = |extent: &Extent| rows.get(&ingest::content_key(extent.blob)).cloned();
    let mut reader = ContentReader::new(contents, customer.cloned(), extents, row);
    let mut all = BytesMut::new();
    while let Some(step) = wait(reader.next()) {
        all.extend_from_slice(&step?);
    }
    assert!(wait(reader.next()).is_none());
    Ok(all.freeze())
}

fn customer_key(byte: u8) -> CustomerKey {
    let key = STANDARD.encode([byte; 32]);
    let md5 = STANDARD.encode(Md5::digest([byte; 32]));
    let parsed = CustomerKey::parse(Some("AES256"), Some(&key), Some(&md5));
    parsed.unwrap().unwrap()
}

const SIZES: [usize; 11] = [
    0,
    1,
    16 << 10,
    (16 << 10) + 1,
    (64 << 10) - 1,
    64 << 10,
    (64 << 10) + 1,
    256 << 10,
    (256 << 10) + 1,
    (320 << 10) - 1,
    (1 << 20) + 12_345,
];

#[test]
fn what_goes_in_comes_out_whole_and_in_ranges() {
    let directory = tempfile::tempdir().unwrap();
    for contents in [
        contents(MemoryBlobs::new()),
        contents(local(directory.path())),
    ] {
        for (size, piece) in SIZES
            .into_iter()
            .zip([7, 65_536, 100_000, 1 << 20].into_iter().cycle())
        {
            let bytes = bytes_of(size);
            let piece = piece.max(size / 50);
            let mut rows = BTreeMap::new();
            let ingested = take(&contents, &bytes, piece, options()).unwrap();
            assert_eq!(ingested.md5, <[u8; 16]>::from(Md5::digest(&bytes)));
            assert_eq!(ingested.encryption, Encryption::Site);
            let extent = enter(ingested, &mut rows);
            assert_eq!(
                (extent.size, extent.inline),
                (size as u64, size <= 16 << 10)
            );
            let size = size as u64;
            let edges = [
                0,
                1,
                65_535,
                65_536,
                65_537,
                262_144,
                size / 3,
                size - size.min(1),
                size,
            ];
            for from in edges {
                for to in edges.into_iter().filter(|to| from <= *to && *to <= size) {
                    let found = read(&contents, &[(extent.clone(), from..to)], &rows, None);
                    let wanted = bytes.slice(from as usize..to as usize);
                    assert!(found == Ok(wanted), "{from}..{to} of {size}");
                }
            }
        }
    }
}

#[test]
fn pieces_follow_one_another() {
    let contents = contents(MemoryBlobs::new());
    let mut rows = BTreeMap::new();
    let (mut wanted, mut pieces) = (Vec::new(), Vec::new());
    for size in [300_000, 1, 70_000, 0, 16_000] {
        let bytes = bytes_of(size);
        let extent = enter(
            take(&contents, &bytes, 50_000, options()).unwrap(),
            &mut rows,
        );
        wanted.extend_from_slice(&bytes[size / 4..]);
        pieces.push((extent, size as u64 / 4..size as u64));
    }
    assert!(read(&contents, &pieces, &rows, None).unwrap() == wanted);
}

#[test]
fn a_wrong_digest_or_length_leaves_nothing() {
    let blobs = MemoryBlobs::new();
    let contents = contents(blobs.clone());
    let bytes = bytes_of(200_000);
    let crc = ChecksumAlgorithm::Crc32;
    let sha = ChecksumAlgorithm::Sha256;
    let right = |algorithm: ChecksumAlgorithm| (algorithm, algorithm.of(&bytes));
    let wrong = |algorithm: ChecksumAlgorithm| (algorithm, algorithm.of(b"other"));
    let outcome = |change: &dyn Fn(&mut IngestOptions)| {
        let mut options = options();
        change(&mut options);
        let taken = take(&contents, &bytes, 90_000, options);
        let outcome = taken.map(|ingested| ingested.extent.checksum.unwrap());
        assert_eq!(blobs.all(), [], "nothing stays");
        outcome
    };
    let md5 = |bytes: &[u8]| Some(Md5::digest(bytes).into());
    assert!(outcome(&|options| options.expected.md5 = md5(&bytes)).is_ok());
    assert_eq!(
        outcome(&|options| options.expected.md5 = md5(b"other")),
        Err(ObjectError::BadDigest)
    );
    let both = outcome(&|options| options.expected.checksums = vec![right(crc), right(sha)]);
    assert_eq!(both.unwrap().algorithm, crc);
    assert_eq!(
        outcome(&|options| options.expected.checksums = vec![right(crc), wrong(sha)]),
        Err(ObjectError::BadChecksum("SHA256"))
    );
    assert_eq!(
        outcome(&|_| ()).unwrap().algorithm,
        ChecksumAlgorithm::Crc64nvme
    );
    assert_eq!(
        outcome(&|options| options.length = Some(200_001)),
        Err(ObjectError::IncompleteBody)
    );
    assert_eq!(
        outcome(&|options| options.length = Some(199_999)),
        Err(ObjectError::IncompleteBody)
    );
    assert!(outcome(&|options| options.limit = 200_000).is_ok());
    assert_eq!(
        outcome(&|options| options.limit = 199_999),
        Err(ObjectError::EntityTooLarge)
    );
    assert_eq!(
        outcome(&|options| (options.limit, options.length) = (9, Some(10))),
        Err(ObjectError::EntityTooLarge)
    );
}

#[test]
fn trailers_are_checked_before_anything_is_there() {
    let blobs = MemoryBlobs::new();
    let contents = contents(blobs.clone());
    let algorithm = ChecksumAlgorithm::Crc32c;
    let finish = |computed, value: &[u8]| {
        let mut options = options();
        options.expected.computed = computed;
        let mut ingest = Ingest::new(&contents, options);
        wait(ingest.push(bytes_of(100_000))).unwrap();
        let trailing = vec![(algorithm, value.to_vec())];
        wait(ingest.finish(trailing)).map(|ingested| ingested.extent.checksum.unwrap())
    };
    let value = algorithm.of(&bytes_of(100_000));
    let kept = finish(Some(algorithm), &value).unwrap();
    assert_eq!(
        (kept.algorithm, kept.value),
        (algorithm, STANDARD.encode(&value))
    );
    let refused = Err(ObjectError::BadChecksum("CRC32C"));
    assert_eq!(finish(Some(algorithm), b"1234"), refused);
    assert_eq!(finish(Some(algorithm), b""), refused);
    // One that wasn't announced can't be checked any more.
    assert_eq!(finish(None, &value), refused);
    assert_eq!(blobs.all(), []);
}

#[test]
fn what_is_given_up_leaves_nothing() {
    let blobs = MemoryBlobs::new();
    let contents = contents(blobs.clone());
    let mut ingest = Ingest::new(&contents, options());
    wait(ingest.push(bytes_of(1 << 20))).unwrap();
    let blob = blobs.all()[0].0;
    assert!(contents.is_being_written(blob));
    drop(ingest);
    assert_eq!(blobs.all(), []);
    let ingested = take(&contents, &bytes_of(1 << 20), 1 << 16, options()).unwrap();
    assert_eq!(blobs.all(), [(BlobId(ingested.extent.blob), true)]);
    drop(ingested);
    assert_eq!(blobs.all(), []);
    let ingested = take(&contents, &bytes_of(1 << 20), 1 << 16, options()).unwrap();
    let extent = enter(ingested, &mut BTreeMap::new());
    assert_eq!(blobs.all().len(), 1);
    contents.take_back(&extent);
    assert_eq!(blobs.all(), []);
    assert!(!contents.is_being_written(blob));
}

#[test]
fn a_disk_that_fills_up_refuses_the_rest_and_keeps_nothing() {
    let blobs = MemoryBlobs::new();
    let contents = contents(blobs.clone());
    let mut ingest = Ingest::new(&contents, options());
    wait(ingest.push(bytes_of(600_000))).unwrap();
    blobs.set_full(true);
    let refused = wait(ingest.push(bytes_of(600_000))).unwrap_err();
    assert_eq!(refused.code(), ("ServiceUnavailable", 503));
    drop(ingest);
    assert_eq!(blobs.all(), []);
}

#[test]
fn a_power_cut_takes_what_was_not_finished_and_nothing_else() {
    let blobs = MemoryBlobs::new();
    let contents = contents(blobs.clone());
    let mut rows = BTreeMap::new();
    let bytes = bytes_of(500_000);
    let extent = enter(
        take(&contents, &bytes, 9_999, options()).unwrap(),
        &mut rows,
    );
    let mut half = Ingest::new(&contents, options());
    wait(half.push(bytes.clone())).unwrap();
    blobs.crash();
    assert!(wait(half.finish(Vec::new())).is_err());
    assert_eq!(blobs.all(), [(BlobId(extent.blob), true)]);
    let found = read(&contents, &[(extent, 0..500_000)], &rows, None);
    assert!(found == Ok(bytes));
}

#[test]
fn damage_is_an_error_and_never_wrong_bytes() {
    let blobs = MemoryBlobs::new();
    let contents = contents(blobs.clone());
    let bytes = bytes_of(400_000);
    let mut rows = BTreeMap::new();
    let extent = enter(
        take(&contents, &bytes, 64_000, options()).unwrap(),
        &mut rows,
    );
    let blob = BlobId(extent.blob);
    let whole = [(extent.clone(), 0..400_000)];
    let stored = 8 + 400_000 + 7 * 20;
    for at in (8..stored)
        .step_by(7_919)
        .chain([8, 65_543, 65_544, stored - 5])
    {
        assert!(blobs.flip(blob, at));
        let found = read(&contents, &whole, &rows, None);
        assert!(matches!(found, Err(ObjectError::Damaged(_))), "byte {at}");
        assert!(contents.damaged().contains_key(&blob));
        // Blocks that are whole are served still.
        let block = (at - 8) / (65_536 + 20);
        let other = if block == 0 {
            70_000..80_000
        } else {
            0..65_536
        };
        assert!(read(&contents, &[(extent.clone(), other)], &rows, None).is_ok());
        assert!(blobs.flip(blob, at));
        contents.forget_damage(blob);
    }
    // Whoever has the key goes by the tags: a checksum that alone is wrong is the scrub's affair.
    assert!(blobs.flip(blob, stored - 1));
    assert!(read(&contents, &whole, &rows, None).unwrap() == bytes);
    assert!(blobs.flip(blob, stored - 1));
    assert!(read(&contents, &whole, &rows, None).unwrap() == bytes);
    let mut stranger = extent.clone();
    stranger.sealed_key = take(&contents, &bytes, 64_000, options())
        .unwrap()
        .extent
        .sealed_key;
    let found = read(&contents, &[(stranger, 0..1)], &rows, None);
    assert!(matches!(found, Err(ObjectError::Damaged(_))));
    for length in [stored - 1, 65_544, 9, 0] {
        blobs.cut(blob, length);
        let found = read(&contents, &whole, &rows, None);
        assert!(
            matches!(found, Err(ObjectError::Damaged(_))),
            "cut at {length}"
        );
    }
    wait(contents.blobs().remove(blob)).unwrap();
    let found = read(&contents, &whole, &rows, None);
    assert!(matches!(found, Err(ObjectError::Damaged(_))));
}

#[test]
fn a_damaged_row_is_an_error_too() {
    let contents = contents(MemoryBlobs::new());
    let mut rows = BTreeMap::new();
    let bytes = bytes_of(1000);
    let extent = enter(take(&contents, &bytes, 300, options()).unwrap(), &mut rows);
    let whole = [(extent.clone(), 0..1000)];
    let key = ingest::content_key(extent.blob);
    let row = rows[&key].clone();
    for at in 0..row.len() {
        let mut damaged = row.to_vec();
        damaged[at] ^= 4;
        rows.insert(key.clone(), Bytes::from(damaged));
        let found = read(&contents, &whole, &rows, None);
        // The last four are the block's checksum, which the scrub looks at.
        match at < row.len() - 4 {
            true => assert!(matches!(found, Err(ObjectError::Damaged(_))), "byte {at}"),
            false => assert!(found.unwrap() == bytes, "byte {at}"),
        }
        rows.insert(key.clone(), row.slice(..at));
        let found = read(&contents, &whole, &rows, None);
        assert!(matches!(found, Err(ObjectError::Damaged(_))), "cut at {at}");
    }
}

#[test]
fn a_reader_whose_wait_is_given_up_skips_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let contents = contents(local(directory.path()));
    let bytes = bytes_of(2_000_000);
    let extent = enter(
        take(&contents, &bytes, 64_000, options()).unwrap(),
        &mut BTreeMap::new(),
    );
    let mut reader = ContentReader::new(&contents, None, &[(extent, 0..2_000_000)], |_| None);
    let mut all = BytesMut::new();
    loop {
        let step = match reader.next().now_or_never() {
            Some(step) => step,
            None => wait(reader.next()),
        };
        match step {
            Some(step) => all.extend_from_slice(&step.unwrap()),
            None => break,
        }
    }
    assert!(all == bytes);
}

#[test]
fn what_is_read_is_known_as_long_as_it_is() {
    let contents = contents(MemoryBlobs::new());
    let extent = enter(
        take(&contents, &bytes_of(100_000), 9_000, options()).unwrap(),
        &mut BTreeMap::new(),
    );
    let blob = BlobId(extent.blob);
    let reader = || ContentReader::new(&contents, None, &[(extent.clone(), 0..1)], |_| None);
    let (one, two) = (reader(), reader());
    drop(one);
    assert!(contents.is_being_read(blob));
    drop(two);
    assert!(!contents.is_being_read(blob));
}

#[test]
fn a_transfer_goes_on_after_a_crash_where_it_was_staged() {
    let blobs = MemoryBlobs::new();
    let contents = contents(blobs.clone());
    let bytes = bytes_of(900_000);
    let mut options = options();
    options.expected.md5 = Some(Md5::digest(&bytes).into());
    let mut ingest = Ingest::new(&contents, options.clone());
    let nothing = wait(ingest.stage()).unwrap();
    assert_eq!(nothing.length, 0);
    wait(ingest.push(bytes.slice(..500_000))).unwrap();
    let staged = wait(ingest.stage()).unwrap();
    assert_eq!(staged.length, 7 * 65_536);
    wait(ingest.push(bytes.slice(500_000..800_000))).unwrap();
    blobs.crash();
    drop(ingest);
    let kept = serde_json::to_string(&staged).unwrap();
    let staged: Staged = serde_json::from_str(&kept).unwrap();
    let mut ingest = wait(Ingest::resume(&contents, &staged, options.clone())).unwrap();
    assert_eq!(ingest.size(), staged.length);
    wait(ingest.push(bytes.slice(staged.length as usize..))).unwrap();
    let mut rows = BTreeMap::new();
    let extent = enter(wait(ingest.finish(Vec::new())).unwrap(), &mut rows);
    let found = read(&contents, &[(extent, 0..900_000)], &rows, None);
    assert!(found == Ok(bytes.clone()));
    // What was damaged meanwhile isn't gone on with.
    let mut ingest = Ingest::new(&contents, options.clone());
    wait(ingest.push(bytes.slice(..500_000))).unwrap();
    let staged = wait(ingest.stage()).unwrap();
    drop(ingest);
    assert!(blobs.flip(staged.blob, 100_000));
    let resumed = wait(Ingest::resume(&contents, &staged, options));
    assert!(matches!(resumed.err(), Some(ObjectError::Damaged(_))));
    assert!(
        blobs.all().contains(&(staged.blob, false)),
        "its row's owner removes it"
    );
}

#[test]
fn a_customers_content_is_read_with_its_key_alone() {
    let contents = contents(MemoryBlobs::new());
    for size in [10, 200_000] {
        let bytes = bytes_of(size);
        let mut options = options();
        options.customer_key = Some(customer_key(1));
        let ingested = take(&contents, &bytes, 64_000, options).unwrap();
        assert!(ingested.encryption.admit(Some(&customer_key(1))).is_ok());
        let mut rows = BTreeMap::new();
        let extent = enter(ingested, &mut rows);
        let whole = [(extent, 0..size as u64)];
        let read = |key: Option<&CustomerKey>| read(&contents, &whole, &rows, key);
        assert!(read(Some(&customer_key(1))).unwrap() == bytes);
        assert!(read(Some(&customer_key(2))).is_err());
        assert!(read(None).is_err());
    }
}

#[test]
fn a_customers_content_is_copied_without_its_key() {
    let (here, there) = (contents(MemoryBlobs::new()), MemoryBlobs::new());
    let elsewhere = contents(there.clone());
    for size in [0, 10, 65_536, 700_000] {
        let bytes = bytes_of(size);
        let mut options = options();
        options.customer_key = Some(customer_key(1));
        let ingested = take(&here, &bytes, 64_000, options).unwrap();
        let encryption = ingested.encryption.clone();
        let (mut rows, mut copied) = (BTreeMap::new(), BTreeMap::new());
        let extent = enter(ingested, &mut rows);
        let row = rows.get(&ingest::content_key(extent.blob)).cloned();
        // Cut twice: with the receiver's crash, and at an odd place.
        let mut ingest = RawIngest::new(&elsewhere, &extent, encryption.clone());
        let mut at = 0;
        for stop in [100_000, 300_001, u64::MAX] {
            let mut reader = RawReader::new(&here, &extent, at, row.clone());
            while let Some(step) = wait(reader.next()) {
                let mut step = step.unwrap();
                step.truncate((stop - at).min(step.len() as u64) as usize);
                at += step.len() as u64;
                wait(ingest.push(step)).unwrap();
                if at == stop {
                    break;
                }
            }
            assert_eq!(ingest.progress().0, at);
            if stop != u64::MAX && size > 16 << 10 {
                let staged = wait(ingest.stage()).unwrap();
                assert_eq!(staged.length, at);
                there.crash();
                let resumed = RawIngest::resume(&elsewhere, &staged, &extent, encryption.clone());
                ingest = wait(resumed).unwrap();
            }
        }
        let copy = enter(wait(ingest.finish()).unwrap(), &mut copied);
        assert_eq!(
            (copy.etag.clone(), copy.inline),
            (extent.etag.clone(), extent.inline)
        );
        let whole = [(copy, 0..size as u64)];
        let found = read(&elsewhere, &whole, &copied, Some(&customer_key(1)));
        assert!(found == Ok(bytes), "{size} bytes");
    }
}

#[test]
fn a_damaged_copy_is_refused_by_both_ends() {
    let blobs = MemoryBlobs::new();
    let here = contents(blobs.clone());
    let mut rows = BTreeMap::new();
    let ingested = take(&here, &bytes_of(300_000), 64_000, options()).unwrap();
    let encryption = ingested.encryption.clone();
    let extent = enter(ingested, &mut rows);
    let mut reader = RawReader::new(&here, &extent, 0, None);
    let header = wait(reader.next()).unwrap().unwrap();
    let blocks = wait(reader.next()).unwrap().unwrap();
    let mut ingest = RawIngest::new(&here, &extent, encryption);
    wait(ingest.push(header)).unwrap();
    let mut damaged = blocks.to_vec();
    damaged[70_000] ^= 1;
    let refused = wait(ingest.push(Bytes::from(damaged)));
    assert!(matches!(refused, Err(ObjectError::Damaged(_))));
    blobs.flip(BlobId(extent.blob), 290_000);
    let mut reader = RawReader::new(&here, &extent, 70_000, None);
    let mut last = None;
    while let Some(step) = wait(reader.next()) {
        last = Some(step);
    }
    assert!(matches!(last, Some(Err(ObjectError::Damaged(_)))));
}

#[test]
fn rows_of_parts_are_read_back_and_refused_when_they_make_no_sense() {
    let contents = contents(MemoryBlobs::new());
    let parts: Vec<Extent> = (1..=3)
        .map(|number| {
            let ingested = take(&contents, &bytes_of(20), 9, options()).unwrap();
            ingested.numbered(number).extent.clone()
        })
        .collect();
    let row = encode_extents(&parts);
    assert_eq!(decode_extents(&row), Some(parts));
    assert_eq!(decode_extents(&row[1..]), None);
    assert_eq!(decode_extents(&row[..row.len() - 1]), None);
    assert_eq!(decode_extents(b""), None);
}
