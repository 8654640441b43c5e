//! The checksums that S3 knows, summed up as bytes come. A value's form and its algorithm's name
//! are S3's (API Reference, "Checking object integrity").

use crc_fast::CrcAlgorithm;
use ring::digest;

use crate::ChecksumAlgorithm;

/// A checksum of bytes that come in pieces.
pub struct RunningChecksum {
    algorithm: ChecksumAlgorithm,
    state: State,
}

enum State {
    Crc(crc_fast::Digest),
    Sha(digest::Context),
}

impl ChecksumAlgorithm {
    /// All of them.
    pub const ALL: [ChecksumAlgorithm; 5] = [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32c,
        ChecksumAlgorithm::Crc64nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ];

    /// As requests name it: `CRC32` and the like.
    pub fn name(self) -> &'static str {
        match self {
            ChecksumAlgorithm::Crc32 => "CRC32",
            ChecksumAlgorithm::Crc32c => "CRC32C",
            ChecksumAlgorithm::Crc64nvme => "CRC64NVME",
            ChecksumAlgorithm::Sha1 => "SHA1",
            ChecksumAlgorithm::Sha256 => "SHA256",
        }
    }

    /// The algorithm of that name, as requests have it.
    pub fn from_name(name: &str) -> Option<ChecksumAlgorithm> {
        let mut all = ChecksumAlgorithm::ALL.into_iter();
        all.find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The header, or trailer, that has its value in base64.
    pub fn header(self) -> &'static str {
        match self {
            ChecksumAlgorithm::Crc32 => "x-amz-checksum-crc32",
            ChecksumAlgorithm::Crc32c => "x-amz-checksum-crc32c",
            ChecksumAlgorithm::Crc64nvme => "x-amz-checksum-crc64nvme",
            ChecksumAlgorithm::Sha1 => "x-amz-checksum-sha1",
            ChecksumAlgorithm::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// How many bytes a value has.
    pub fn length(self) -> usize {
        match self {
            ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => 4,
            ChecksumAlgorithm::Crc64nvme => 8,
            ChecksumAlgorithm::Sha1 => 20,
            ChecksumAlgorithm::Sha256 => 32,
        }
    }

    /// The value for those bytes.
    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        let mut running = RunningChecksum::new(self);
        running.update(bytes);
        running.finish()
    }

    /// The CRC that it is, unless it is a hash.
    pub(super) fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            ChecksumAlgorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            ChecksumAlgorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            ChecksumAlgorithm::Crc64nvme => Some(CrcAlgorithm::Crc64Nvme),
            ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256 => None,
        }
    }
}

impl RunningChecksum {
    /// Of no bytes yet.
    pub fn new(algorithm: ChecksumAlgorithm) -> RunningChecksum {
        let state = match (algorithm, algorithm.crc()) {
            (_, Some(crc)) => State::Crc(crc_fast::Digest::new(crc)),
            (ChecksumAlgorithm::Sha1, _) => {
                State::Sha(digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY))
            }
            (_, None) => State::Sha(digest::Context::new(&digest::SHA256)),
        };
        RunningChecksum { algorithm, state }
    }

    /// By which algorithm.
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        self.algorithm
    }

    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Crc(crc) => crc.update(bytes),
            State::Sha(sha) => sha.update(bytes),
        }
    }

    /// The value for all of them: `algorithm.length()` bytes, big-endian.
    pub fn finish(self) -> Vec<u8> {
        match self.state {
            State::Crc(crc) => crc_bytes(self.algorithm, crc.finalize()),
            State::Sha(sha) => sha.finish().as_ref().to_vec(),
        }
    }
}

/// A CRC as S3 has it.
pub(super) fn crc_bytes(algorithm: ChecksumAlgorithm, value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    bytes[bytes.len() - algorithm.length()..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_standards_check_texts() {
        // The catalogue of CRCs' check values, and FIPS 180's of "abc".
        let hex =
            |bytes: Vec<u8>| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        let check = |algorithm: ChecksumAlgorithm| hex(algorithm.of(b"123456789"));
        assert_eq!(check(ChecksumAlgorithm::Crc32), "cbf43926");
        assert_eq!(check(ChecksumAlgorithm::Crc32c), "e3069283");
        assert_eq!(check(ChecksumAlgorithm::Crc64nvme), "ae8b14860a799888");
        assert_eq!(
            hex(ChecksumAlgorithm::Sha1.of(b"abc")),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert_eq!(
            hex(ChecksumAlgorithm::Sha256.of(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn names_headers_and_lengths_belong_together() {
        for algorithm in ChecksumAlgorithm::ALL {
            let name = algorithm.name();
            assert_eq!(ChecksumAlgorithm::from_name(name), Some(algorithm));
            let header = format!("x-amz-checksum-{}", name.to_ascii_lowercase());
            assert_eq!(algorithm.header(), header);
            assert_eq!(algorithm.of(b"").len(), algorithm.length());
        }
        assert_eq!(ChecksumAlgorithm::from_name("XXHASH3"), None);
    }
}
