//! What an upload asks of its parts, and which bytes of a source one is copied from. It moves no
//! bytes.

use std::ops::Range;

use super::{GREATEST_PART, Upload};
use crate::content::{CustomerKey, Expected, IngestOptions};
use crate::{Encryption, ObjectError};

impl Upload {
    /// Is a part encrypted as the upload asks?
    ///
    /// # Errors
    /// `InvalidRequest`, as S3 words it.
    pub fn admit_key(&self, key: Option<&CustomerKey>) -> Result<(), ObjectError> {
        let refused = |text: &'static str| Err(ObjectError::refused("InvalidRequest", text));
        match (&self.encryption, key) {
            (Encryption::Site, None) => Ok(()),
            (Encryption::Site, Some(_)) => refused(
                "The multipart upload initiate did not request encryption. Please resend the \
                 request without sending encryption parameters.",
            ),
            (Encryption::Customer { .. }, None) => refused(
                "The multipart upload initiate requested encryption. Subsequent part requests \
                 must include the appropriate encryption parameters.",
            ),
            (encryption, Some(_)) if encryption.admit(key).is_err() => refused(
                "The provided encryption parameters did not match the ones used originally.",
            ),
            _ => Ok(()),
        }
    }

    /// How a part of this upload is taken in, if it is of that length and has these digests.
    pub fn part_options(
        &self,
        length: Option<u64>,
        mut expected: Expected,
        customer_key: Option<CustomerKey>,
    ) -> IngestOptions {
        let (algorithm, _) = self.checksum_of_object();
        expected.computed = Some(algorithm);
        IngestOptions {
            length,
            limit: GREATEST_PART,
            expected,
            customer_key,
        }
    }

    /// Are checksums of its parts told? Not those that nobody asked for.
    pub fn tells_checksums(&self) -> bool {
        self.checksum.is_some()
    }
}

/// The range that `x-amz-copy-source-range` names of an object of that size: `bytes=first-last`
/// and nothing else.
///
/// # Errors
/// `InvalidArgument`, as S3 words it.
pub fn copied_range(header: &str, size: u64) -> Result<Range<u64>, ObjectError> {
    let parsed = header.strip_prefix("bytes=").and_then(|range| {
        let (first, last) = range.split_once('-')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(first) || !digits(last) {
            return None;
        }
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some((first, last))
    });
    let Some((first, last)) = parsed else {
        return Err(ObjectError::refused(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first \
             and last are the zero-based offsets of the first and last bytes to copy",
        ));
    };
    if last >= size {
        return Err(ObjectError::refused(
            "InvalidArgument",
            format!("Range specified is not valid for source object of size: {size}"),
        ));
    }
    Ok(first..last + 1)
}
