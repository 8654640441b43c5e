//! What parts' digests come to: the entity tag of an object made of parts, and its checksum, either
//! of all bytes (CRCs can be combined) or of the parts' checksums. It reads no bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

use super::digest::crc_bytes;
use crate::{Checksum, ChecksumAlgorithm, ChecksumKind, Extent, ObjectError};

/// The entity tag of an object of those parts: MD5 of their MD5s, a hyphen, how many there are.
///
/// # Errors
/// `Internal` if a part's tag isn't an MD5 in hexadecimal.
pub fn multipart_etag(parts: &[Extent]) -> Result<String, ObjectError> {
    let mut md5 = Md5::new();
    for part in parts {
        let bytes = from_hex(&part.etag);
        let bytes = bytes.ok_or_else(|| {
            ObjectError::Internal(format!("part {} has no MD5 for its tag", part.number))
        })?;
        md5.update(bytes);
    }
    Ok(format!("{}-{}", hex(&md5.finalize()), parts.len()))
}

/// The checksum of an object of those parts; none if a part has none by that algorithm.
///
/// # Errors
/// `InvalidRequest` for a kind that the algorithm can't have: hashes of all bytes can't be had
/// from the parts', and CRC64NVME is always of all bytes.
pub fn combine_checksums(
    algorithm: ChecksumAlgorithm,
    kind: ChecksumKind,
    parts: &[Extent],
) -> Result<Option<Checksum>, ObjectError> {
    let possible = match kind {
        ChecksumKind::FullObject => algorithm.crc().is_some(),
        ChecksumKind::Composite => algorithm != ChecksumAlgorithm::Crc64nvme,
    };
    if !possible {
        let kind = match kind {
            ChecksumKind::FullObject => "FULL_OBJECT",
            ChecksumKind::Composite => "COMPOSITE",
        };
        return Err(ObjectError::refused(
            "InvalidRequest",
            format!(
                "The {kind} checksum type cannot be used with the {} checksum algorithm.",
                algorithm.name().to_ascii_lowercase()
            ),
        ));
    }
    let mut values = Vec::with_capacity(parts.len());
    for part in parts {
        let checksum = part.checksum.as_ref();
        let checksum = checksum.filter(|checksum| checksum.algorithm == algorithm);
        let value = checksum.and_then(|checksum| STANDARD.decode(&checksum.value).ok());
        match value.filter(|value| value.len() == algorithm.length()) {
            Some(value) => values.push((value, part.size)),
            None => return Ok(None),
        }
    }
    let value = match kind {
        ChecksumKind::FullObject => STANDARD.encode(full_object(algorithm, &values)),
        ChecksumKind::Composite => {
            let all: Vec<u8> = values
                .iter()
                .flat_map(|(value, _)| value)
                .copied()
                .collect();
            format!("{}-{}", STANDARD.encode(algorithm.of(&all)), parts.len())
        }
    };
    Ok(Some(Checksum {
        algorithm,
        kind,
        value,
    }))
}

fn full_object(algorithm: ChecksumAlgorithm, parts: &[(Vec<u8>, u64)]) -> Vec<u8> {
    let crc = algorithm.crc().expect("only CRCs are combined");
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    let mut combined = None;
    for (value, size) in parts {
        let value = number(value);
        combined = Some(match combined {
            None => value,
            Some(before) => crc_fast::checksum_combine(crc, before, value, *size),
        });
    }
    match combined {
        Some(value) => crc_bytes(algorithm, value),
        None => algorithm.of(b""),
    }
}

/// Bytes in hexadecimal, small letters.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The 16 bytes of an MD5 in hexadecimal.
pub(super) fn from_hex(text: &str) -> Option<[u8; 16]> {
    crate::blob::BlobId::from_hex(text).map(|number| number.0.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn part(number: u32, bytes: &[u8], algorithm: ChecksumAlgorithm) -> Extent {
        Extent {
            number,
            size: bytes.len() as u64,
            etag: hex(&Md5::digest(bytes)),
            checksum: Some(Checksum {
                algorithm,
                kind: ChecksumKind::FullObject,
                value: STANDARD.encode(algorithm.of(bytes)),
            }),
            blob: u128::from(number),
            inline: true,
            sealed_key: Bytes::new(),
        }
    }

    #[test]
    fn crcs_of_parts_combine_to_that_of_all_bytes() {
        let bytes: Vec<u8> = (0..100_000_u32)
            .map(|n| ((n ^ n >> 7).wrapping_mul(31) >> 3) as u8)
            .collect();
        for algorithm in ChecksumAlgorithm::ALL {
            for cuts in [vec![], vec![1], vec![50_000], vec![0, 7, 7, 99_999]] {
                let ends = cuts.iter().copied().chain([bytes.len()]);
                let starts = [0].into_iter().chain(cuts.iter().copied());
                let parts: Vec<Extent> = (1..)
                    .zip(starts.zip(ends))
                    .map(|(number, (start, end))| part(number, &bytes[start..end], algorithm))
                    .collect();
                let combined = combine_checksums(algorithm, ChecksumKind::FullObject, &parts);
                match algorithm.crc() {
                    Some(_) => {
                        let value = STANDARD.encode(algorithm.of(&bytes));
                        assert_eq!(combined.unwrap().unwrap().value, value, "{algorithm:?}");
                    }
                    None => assert_eq!(combined.unwrap_err().code().0, "InvalidRequest"),
                }
            }
        }
    }

    #[test]
    fn a_composite_checksum_is_of_the_parts_checksums() {
        let algorithm = ChecksumAlgorithm::Sha256;
        let parts = [part(1, b"one", algorithm), part(2, b"two", algorithm)];
        let all = [algorithm.of(b"one"), algorithm.of(b"two")].concat();
        let expected = format!("{}-2", STANDARD.encode(algorithm.of(&all)));
        let combined = combine_checksums(algorithm, ChecksumKind::Composite, &parts);
        assert_eq!(combined.unwrap().unwrap().value, expected);
        let crc = ChecksumAlgorithm::Crc64nvme;
        assert!(combine_checksums(crc, ChecksumKind::Composite, &parts).is_err());
        // A part without one: nothing is made up.
        let missing = combine_checksums(ChecksumAlgorithm::Sha1, ChecksumKind::Composite, &parts);
        assert_eq!(missing, Ok(None));
    }

    #[test]
    fn a_tag_of_parts_is_of_their_md5s() {
        let algorithm = ChecksumAlgorithm::Crc32;
        let mut parts = [part(1, b"one", algorithm), part(2, b"two", algorithm)];
        let all = [Md5::digest(b"one"), Md5::digest(b"two")].concat();
        let expected = format!("{}-2", hex(&Md5::digest(all)));
        assert_eq!(multipart_etag(&parts), Ok(expected));
        parts[1].etag = "no".to_owned();
        assert!(multipart_etag(&parts).is_err());
    }
}
