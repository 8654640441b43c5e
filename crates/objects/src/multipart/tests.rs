//! Uploads from their beginning to their end.

use std::sync::Arc;

use bytes::Bytes;
use store::{Batch, Direction, EmbeddedEngine, EmbeddedOptions, Engine, KeyRange, Snapshot, Space};
use types::{AccountId, Timestamp};

use super::*;
use crate::content::{CustomerKey, Expected, Ingest};
use crate::keys::kind;
use crate::testing::{Lab, Place, cause, code, now};
use crate::{
    Bucket, BucketSettings, ChecksumAlgorithm, ChecksumKind, Encryption, EtagMatch, NewBucket,
    ObjectKey, Versioning, WriteConditions,
};

const MIB: usize = 1 << 20;

struct Bench {
    lab: Lab,
    bucket: Bucket,
    key: ObjectKey,
}

pub(crate) fn upload(checksum: Option<(ChecksumAlgorithm, ChecksumKind)>) -> Upload {
    Upload {
        owner: AccountId::LAB,
        initiator: "arn:aws:iam::111122223333:root".to_owned(),
        metadata: Metadata {
            content_type: Some("text/plain".to_owned()),
            ..Metadata::default()
        },
        storage_class: "STANDARD".to_owned(),
        tags: [("k".to_owned(), "v".to_owned())].into(),
        acl: None,
        retention: None,
        legal_hold: false,
        checksum,
        encryption: Encryption::Site,
    }
}

impl Bench {
    fn new(versioning: Versioning) -> Bench {
        let lab = Lab::new(Timestamp(1_000_000));
        Bench {
            bucket: lab.bucket("bucket", versioning),
            key: "a/key".parse().unwrap(),
            lab,
        }
    }

    fn create(&self, upload: &Upload) -> UploadId {
        let created = self
            .lab
            .objects
            .create_upload(&self.bucket, &self.key, upload);
        now(created).unwrap()
    }

    fn put(&self, id: UploadId, number: u32, bytes: Bytes) -> Result<Part, ObjectError> {
        let objects = &self.lab.objects;
        let upload = now(objects.upload(&self.bucket, &self.key, id))?;
        let options = upload.part_options(None, Expected::default(), None);
        let mut ingest = Ingest::new(objects.contents(), options);
        now(ingest.push(bytes))?;
        let ingested = now(ingest.finish(Vec::new()))?;
        now(objects.put_part(&self.bucket, &self.key, id, number, ingested))
    }

    fn complete(&self, id: UploadId, parts: &[&Part]) -> Result<Completed, ObjectError> {
        self.complete_as(id, &completion(parts), &WriteConditions::default())
    }

    fn complete_as(
        &self,
        id: UploadId,
        request: &Completion,
        conditions: &WriteConditions,
    ) -> Result<Completed, ObjectError> {
        let cause = cause();
        let (bucket, key) = (&self.bucket, &self.key);
        let completed = self
            .lab
            .objects
            .complete_upload(bucket, key, id, request, conditions, &cause);
        now(completed)
    }

    fn body(&self) -> Vec<u8> {
        let objects = &self.lab.objects;
        let version = now(objects.find(&self.bucket, &self.key, None)).unwrap();
        let size = version.object().unwrap().size;
        let bucket = self.bucket.entry.id;
        let read = objects.read(bucket, &self.key, &version, 0..size, None);
        let mut reader = now(read).unwrap();
        let mut body = Vec::new();
        while let Some(bytes) = now(reader.next()) {
            body.extend_from_slice(&bytes.unwrap());
        }
        body
    }

    /// How many rows of that kind there are.
    fn rows(&self, kind: u8) -> usize {
        let range = KeyRange::prefix(&[kind]);
        let snapshot = self.lab.objects.engine.snapshot();
        let page = snapshot.scan(Space::Objects, range, Direction::Forward, 10_000);
        now(page).unwrap().entries.len()
    }
}

fn completion(parts: &[&Part]) -> Completion {
    let named = parts.iter().map(|part| {
        let checksum = part.extent.checksum.iter();
        let checksums = checksum.map(|checksum| (checksum.algorithm, checksum.value.clone()));
        CompletedPart {
            number: part.extent.number,
            etag: part.extent.etag.clone(),
            checksums: checksums.collect(),
        }
    });
    Completion {
        parts: named.collect(),
        ..Completion::default()
    }
}

#[test]
fn parts_become_one_version_and_what_was_replaced_or_not_named_is_let_go() {
    let bench = Bench::new(Versioning::Enabled);
    let id = bench.create(&upload(None));
    bench.put(id, 1, Bytes::from(vec![1; 5 * MIB])).unwrap();
    let first = bench.put(id, 1, Bytes::from(vec![2; 5 * MIB])).unwrap();
    let last = bench.put(id, 7, Bytes::from_static(b"the end")).unwrap();
    bench.put(id, 8, Bytes::from_static(b"not named")).unwrap();
    assert_eq!(bench.rows(kind::GARBAGE), 1, "the part that was replaced");
    let listing = bench
        .lab
        .objects
        .list_parts(&bench.bucket, &bench.key, id, 1, 1);
    let listing = now(listing).unwrap();
    assert_eq!((listing.parts, listing.more), (vec![last.clone()], true));
    let completed = bench.complete(id, &[&first, &last]).unwrap();
    assert!(completed.etag.ends_with("-2"));
    assert_eq!(bench.rows(kind::PART), 0);
    assert_eq!(bench.rows(kind::UPLOAD), 0);
    assert_eq!(
        bench.rows(kind::GARBAGE),
        2,
        "and the part that wasn't named"
    );
    let mut expected = vec![2; 5 * MIB];
    expected.extend_from_slice(b"the end");
    assert_eq!(bench.body(), expected);
    let found = now(bench.lab.objects.find(&bench.bucket, &bench.key, None)).unwrap();
    assert_eq!(Some(found.id()), completed.version);
    let object = found.object().unwrap();
    assert_eq!(object.tags.len(), 1);
    assert_eq!(object.metadata.content_type.as_deref(), Some("text/plain"));
    // The whole's CRC64NVME, though its parts were summed up apart.
    let whole = object.checksum.clone().unwrap();
    assert_eq!(whole.kind, ChecksumKind::FullObject);
    let sum = ChecksumAlgorithm::Crc64nvme.of(&expected);
    use base64::Engine as _;
    assert_eq!(
        whole.value,
        base64::engine::general_purpose::STANDARD.encode(sum)
    );
}

#[test]
fn whoever_asks_again_gets_the_same_answer_for_a_day() {
    let bench = Bench::new(Versioning::Enabled);
    let id = bench.create(&upload(None));
    let part = bench.put(id, 1, Bytes::from_static(b"x")).unwrap();
    let completed = bench.complete(id, &[&part]).unwrap();
    assert_eq!(bench.complete(id, &[&part]), Ok(completed));
    assert_eq!(bench.rows(kind::VERSION), 1, "nothing was made twice");
    let mut other = part.clone();
    other.extent.etag = "0".repeat(32);
    assert_eq!(code(bench.complete(id, &[&other])), "NoSuchUpload");
    assert_eq!(
        code(bench.put(id, 1, Bytes::from_static(b"late"))),
        "NoSuchUpload"
    );
    bench.lab.clock.set(Timestamp(1_000_000 + 24 * 3_600_000));
    now(bench.lab.objects.lifecycle_pass());
    assert_eq!(code(bench.complete(id, &[&part])), "NoSuchUpload");
}

#[test]
fn completions_are_refused_in_the_words_of_the_service() {
    let bench = Bench::new(Versioning::Unversioned);
    let sums = Some((ChecksumAlgorithm::Sha256, ChecksumKind::Composite));
    let id = bench.create(&upload(sums));
    let first = bench.put(id, 1, Bytes::from_static(b"small")).unwrap();
    let second = bench.put(id, 2, Bytes::from_static(b"last")).unwrap();
    let refused = |change: &dyn Fn(&mut Completion)| {
        let mut request = completion(&[&first, &second]);
        change(&mut request);
        let error = bench.complete_as(id, &request, &WriteConditions::default());
        let error = error.unwrap_err();
        (error.code().0, error.to_string())
    };
    let (code, _) = refused(&|_| {});
    assert_eq!(code, "EntityTooSmall");
    let (code, _) = refused(&|request| request.parts.clear());
    assert_eq!(code, "MalformedXML");
    let (code, _) = refused(&|request| request.parts.reverse());
    assert_eq!(code, "InvalidPartOrder");
    let (code, _) = refused(&|request| request.parts[1].number = 9);
    assert_eq!(code, "InvalidPartOrder", "composite checksums leave no gap");
    let (code, _) = refused(&|request| request.parts[0].etag = "f".repeat(32));
    assert_eq!(code, "InvalidPart");
    let (code, _) = refused(&|request| request.parts[0].checksums[0].1 = "AAAA".to_owned());
    assert_eq!(code, "InvalidPart");
    let refusal = refused(&|request| request.parts[0].checksums.clear());
    let text = "The upload was created using a sha256 checksum. The complete request must include \
                the checksum for each part. It was missing for part 1 in the request.";
    assert_eq!(refusal, ("InvalidRequest", text.to_owned()));
    let alone = |request: &mut Completion| request.parts.truncate(1);
    let refusal = refused(&|request| {
        alone(request);
        request.kind = Some(ChecksumKind::FullObject);
    });
    let text = "The upload was created using the COMPOSITE checksum mode. The complete request \
                must use the same checksum mode.";
    assert_eq!(refusal, ("InvalidRequest", text.to_owned()));
    let refusal = refused(&|request| {
        alone(request);
        request.size = Some(4);
    });
    let text = "The provided 'x-amz-mp-object-size' header value 4 does not match what was \
                computed: 5";
    assert_eq!(refusal, ("InvalidRequest", text.to_owned()));
    let (code, _) = refused(&|request| {
        alone(request);
        request.checksum = Some((ChecksumAlgorithm::Sha256, "AAAA".to_owned()));
    });
    assert_eq!(code, "BadDigest");
    // The upload is still there, whole.
    let completed = bench.complete(id, &[&first]).unwrap();
    assert!(completed.checksum.unwrap().value.ends_with("-1"));
}

#[test]
fn conditions_are_judged_when_it_is_completed() {
    let bench = Bench::new(Versioning::Enabled);
    let absent = WriteConditions {
        if_none_match: true,
        ..WriteConditions::default()
    };
    let (first, second) = (bench.create(&upload(None)), bench.create(&upload(None)));
    let one = bench.put(first, 1, Bytes::from_static(b"1")).unwrap();
    let two = bench.put(second, 1, Bytes::from_static(b"2")).unwrap();
    let completed = bench.complete_as(first, &completion(&[&one]), &absent);
    let etag = completed.unwrap().etag;
    let refused = bench.complete_as(second, &completion(&[&two]), &absent);
    assert_eq!(code(refused), "PreconditionFailed");
    let matching = WriteConditions {
        if_match: Some(EtagMatch::OneOf(vec![etag])),
        ..WriteConditions::default()
    };
    assert!(
        bench
            .complete_as(second, &completion(&[&two]), &matching)
            .is_ok()
    );
    assert_eq!(bench.body(), b"2");
}

#[test]
fn an_aborted_upload_leaves_nothing() {
    let bench = Bench::new(Versioning::Unversioned);
    let id = bench.create(&upload(None));
    bench.put(id, 1, Bytes::from(vec![1; 100_000])).unwrap();
    bench.put(id, 2, Bytes::from_static(b"2")).unwrap();
    let abort = || {
        now(bench
            .lab
            .objects
            .abort_upload(&bench.bucket, &bench.key, id))
    };
    abort().unwrap();
    assert_eq!(code(abort()), "NoSuchUpload");
    for kind in [kind::UPLOAD, kind::PART, kind::ENDED, kind::VERSION] {
        assert_eq!(bench.rows(kind), 0, "{kind}");
    }
    assert_eq!(bench.rows(kind::GARBAGE), 2);
    assert_eq!(
        code(bench.put(id, 3, Bytes::from(vec![1; 100_000]))),
        "NoSuchUpload"
    );
    assert_eq!(
        bench.lab.blobs.all().len(),
        1,
        "the late part's blob is gone"
    );
}

#[test]
fn parts_have_the_upload_s_checksum_and_key() {
    let sha = ChecksumAlgorithm::Sha1;
    let asked = upload(Some((sha, ChecksumKind::Composite)));
    assert!(
        asked
            .admit_checksums(&[ChecksumAlgorithm::Crc32, sha])
            .is_ok()
    );
    let refused = asked
        .admit_checksums(&[ChecksumAlgorithm::Crc32])
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Checksum Type mismatch occurred, expected checksum Type: sha1, actual checksum Type: \
         crc32"
    );
    assert!(upload(None).admit_checksums(&[]).is_ok());
    let key = |byte: u8| {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        use md5::Digest as _;
        let bytes = [byte; 32];
        let md5 = STANDARD.encode(md5::Md5::digest(bytes));
        CustomerKey::parse(Some("AES256"), Some(&STANDARD.encode(bytes)), Some(&md5))
            .unwrap()
            .unwrap()
    };
    let locked = Upload {
        encryption: key(1).encryption(),
        ..upload(None)
    };
    assert!(locked.admit_key(Some(&key(1))).is_ok());
    for (upload, key) in [
        (&locked, None),
        (&locked, Some(key(2))),
        (&upload(None), Some(key(1))),
    ] {
        assert_eq!(code(upload.admit_key(key.as_ref())), "InvalidRequest");
    }
}

#[test]
fn checksums_of_uploads_are_checked() {
    use ChecksumAlgorithm::{Crc32, Crc64nvme, Sha256};
    use ChecksumKind::{Composite, FullObject};
    assert_eq!(checksum_of(None, None), Ok(None));
    assert_eq!(checksum_of(Some(Crc32), None), Ok(Some((Crc32, Composite))));
    let full = Some((Crc64nvme, FullObject));
    assert_eq!(checksum_of(Some(Crc64nvme), None), Ok(full));
    assert_eq!(
        checksum_of(Some(Sha256), Some(FullObject))
            .unwrap_err()
            .to_string(),
        "The FULL_OBJECT checksum type cannot be used with the sha256 checksum algorithm."
    );
    assert!(checksum_of(Some(Crc64nvme), Some(Composite)).is_err());
    assert!(checksum_of(None, Some(Composite)).is_err());
}

#[test]
fn ranges_to_be_copied_are_read_strictly() {
    assert_eq!(copied_range("bytes=0-9", 10), Ok(0..10));
    assert_eq!(copied_range("bytes=3-3", 10), Ok(3..4));
    for bad in [
        "bytes=0-10",
        "bytes=-5",
        "bytes=5-",
        "bytes=4-3",
        "0-9",
        "bytes=+1-2",
    ] {
        assert_eq!(code(copied_range(bad, 10)), "InvalidArgument", "{bad}");
    }
}

#[test]
fn a_part_may_come_with_another_checksum_than_is_kept() {
    let bench = Bench::new(Versioning::Unversioned);
    let objects = &bench.lab.objects;
    let upload = upload(None);
    let id = bench.create(&upload);
    let take = |trailer: Vec<u8>| {
        let expected = Expected {
            announced: Some(ChecksumAlgorithm::Crc32),
            ..Expected::default()
        };
        let options = upload.part_options(None, expected, None);
        let mut ingest = Ingest::new(objects.contents(), options);
        now(ingest.push(Bytes::from_static(b"hello"))).unwrap();
        now(ingest.finish(vec![(ChecksumAlgorithm::Crc32, trailer)]))
    };
    let sum = ChecksumAlgorithm::Crc32.of(b"hello");
    assert_eq!(code(take(vec![0; 4])), "BadDigest");
    let part = objects.put_part(&bench.bucket, &bench.key, id, 1, take(sum).unwrap());
    let part = now(part).unwrap();
    let kept = part.extent.checksum.clone().unwrap().algorithm;
    assert_eq!(kept, ChecksumAlgorithm::Crc64nvme);
}

/// Waits for a future of an engine that has a thread of its own.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::task::Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

#[test]
fn ten_thousand_parts_become_one_version_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions::modest();
    let engine = EmbeddedEngine::open(directory.path(), options).unwrap();
    let place = Place::new(1, Timestamp(1_000_000), Arc::default());
    let objects = place.open(engine.clone());
    let new = NewBucket {
        name: "bucket".parse().unwrap(),
        owner: AccountId::LAB,
        settings: BucketSettings::new(false),
    };
    let bucket = wait(objects.create_bucket(new)).unwrap();
    let key: ObjectKey = "k".parse().unwrap();
    let id = wait(objects.create_upload(&bucket, &key, &upload(None))).unwrap();
    // Their rows alone: completing reads no byte.
    let parts: Vec<Part> = (1..=MOST_PARTS).map(fake_part).collect();
    let mut batch = Batch::new();
    for part in &parts {
        let row = rows::part_row(bucket.entry.id, id, part.extent.number);
        batch.put(Space::Objects, row, part.encode());
    }
    wait(engine.commit(batch)).unwrap();
    let request = completion(&parts.iter().collect::<Vec<_>>());
    let (conditions, cause) = (WriteConditions::default(), cause());
    let completed = objects.complete_upload(&bucket, &key, id, &request, &conditions, &cause);
    assert!(wait(completed).unwrap().etag.ends_with("-10000"));
    let version = wait(objects.find(&bucket, &key, None)).unwrap();
    let object = version.object().unwrap();
    assert_eq!(object.size, u64::from(MOST_PARTS) * LEAST_PART);
    let extents = objects.extents(bucket.entry.id, &key, version.stamp, object);
    let numbers = wait(extents)
        .unwrap()
        .into_iter()
        .map(|extent| extent.number);
    assert!(numbers.eq(1..=MOST_PARTS));
    let left = engine.snapshot();
    let range = KeyRange::prefix(&[kind::PART]);
    let left = left.scan(Space::Objects, range, Direction::Forward, 1);
    assert!(wait(left).unwrap().entries.is_empty());
}

fn fake_part(number: u32) -> Part {
    Part {
        extent: Extent {
            number,
            size: LEAST_PART,
            etag: format!("{number:032x}"),
            checksum: Some(Checksum {
                algorithm: ChecksumAlgorithm::Crc64nvme,
                kind: ChecksumKind::FullObject,
                value: "AAAAAAAAAAA=".to_owned(),
            }),
            blob: number.into(),
            inline: false,
            sealed_key: Bytes::from(vec![7; 60]),
        },
        last_modified: Timestamp(1_000_000),
    }
}
