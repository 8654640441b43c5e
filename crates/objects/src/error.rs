//! What can go wrong, and the one table to S3's codes, statuses and texts (S3 API Reference,
//! "Error responses"). A stage that fails in many ways of its own has an enum of its own.

use std::borrow::Cow;

use store::{CommitError, ReadError};
use types::{ConfigurationError, Region};

/// Why a request isn't carried out. [`ObjectError::code`] is the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// There is no such bucket.
    #[error("The specified bucket does not exist")]
    NoSuchBucket,
    /// The bucket is in another Region.
    #[error(
        "The bucket you are attempting to access must be addressed using the specified endpoint. \
         Please send all future requests to this endpoint."
    )]
    Elsewhere(Region),
    /// There is no such key, or its current version is a delete marker.
    #[error("The specified key does not exist.")]
    NoSuchKey {
        /// The current version is a delete marker of that id.
        delete_marker: Option<String>,
    },
    /// There is no such version.
    #[error("The specified version does not exist.")]
    NoSuchVersion,
    /// There is no such upload.
    #[error(
        "The specified upload does not exist. The upload ID may be invalid, or the upload may \
         have been aborted or completed."
    )]
    NoSuchUpload,
    /// The request names a delete marker, which can only be deleted.
    #[error("The specified method is not allowed against this resource.")]
    MethodNotAllowed {
        /// Its id.
        delete_marker: String,
    },
    /// A range that begins past the end.
    #[error("The requested range is not satisfiable")]
    InvalidRange,
    /// A condition doesn't hold; its name as S3 tells it (`If-None-Match`).
    #[error("At least one of the pre-conditions you specified did not hold")]
    PreconditionFailed(&'static str),
    /// The reader has that state already.
    #[error("Not Modified")]
    NotModified,
    /// The body's MD5 isn't the one that was sent.
    #[error("The Content-MD5 you specified did not match what we received.")]
    BadDigest,
    /// The body's checksum isn't the one that was sent; the algorithm's name.
    #[error("The {0} you specified did not match the calculated checksum.")]
    BadChecksum(&'static str),
    /// The body ended early.
    #[error("You did not provide the number of bytes specified by the Content-Length HTTP header")]
    IncompleteBody,
    /// The body is larger than one may be.
    #[error("Your proposed upload exceeds the maximum allowed size")]
    EntityTooLarge,
    /// What the object's lock forbids.
    #[error("Access Denied because object protected by object lock.")]
    Locked,
    /// The caller may not, in the judge's words.
    #[error("{0}")]
    AccessDenied(String),
    /// Bytes on disk aren't what was written: never served.
    #[error("We encountered an internal error. Please try again.")]
    Damaged(String),
    /// The disk is nearly full, or a part of the system can't be reached now.
    #[error("{0}")]
    Unavailable(String),
    /// Any other refusal by S3's own code, status and text.
    #[error("{message}")]
    Refused {
        /// `InvalidRequest` and the like.
        code: &'static str,
        /// The HTTP status.
        status: u16,
        /// S3's text.
        message: Cow<'static, str>,
    },
    /// A broken part of this Region.
    #[error("We encountered an internal error. Please try again.")]
    Internal(String),
}

impl ObjectError {
    /// A refusal with HTTP status 400.
    pub fn refused(code: &'static str, message: impl Into<Cow<'static, str>>) -> ObjectError {
        ObjectError::refused_with(400, code, message)
    }

    /// A refusal with that HTTP status.
    pub fn refused_with(
        status: u16,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> ObjectError {
        ObjectError::Refused {
            code,
            status,
            message: message.into(),
        }
    }

    /// A body that isn't of the operation's schema.
    pub fn malformed_xml() -> ObjectError {
        ObjectError::refused(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published \
             schema",
        )
    }

    /// What is to be logged: of a fault inside the cause, which callers aren't told.
    pub fn reason(&self) -> String {
        match self {
            ObjectError::Damaged(reason) | ObjectError::Internal(reason) => reason.clone(),
            other => other.to_string(),
        }
    }

    /// S3's code and the HTTP status.
    pub fn code(&self) -> (&'static str, u16) {
        match self {
            ObjectError::NoSuchBucket => ("NoSuchBucket", 404),
            ObjectError::Elsewhere(_) => ("PermanentRedirect", 301),
            ObjectError::NoSuchKey { .. } => ("NoSuchKey", 404),
            ObjectError::NoSuchVersion => ("NoSuchVersion", 404),
            ObjectError::NoSuchUpload => ("NoSuchUpload", 404),
            ObjectError::MethodNotAllowed { .. } => ("MethodNotAllowed", 405),
            ObjectError::InvalidRange => ("InvalidRange", 416),
            ObjectError::PreconditionFailed(_) => ("PreconditionFailed", 412),
            ObjectError::NotModified => ("NotModified", 304),
            ObjectError::BadDigest | ObjectError::BadChecksum(_) => ("BadDigest", 400),
            ObjectError::IncompleteBody => ("IncompleteBody", 400),
            ObjectError::EntityTooLarge => ("EntityTooLarge", 400),
            ObjectError::Locked | ObjectError::AccessDenied(_) => ("AccessDenied", 403),
            ObjectError::Unavailable(_) => ("ServiceUnavailable", 503),
            ObjectError::Refused { code, status, .. } => (code, *status),
            ObjectError::Damaged(_) | ObjectError::Internal(_) => ("InternalError", 500),
        }
    }
}

impl From<ReadError> for ObjectError {
    fn from(error: ReadError) -> ObjectError {
        ObjectError::Internal(error.to_string())
    }
}

impl From<CommitError> for ObjectError {
    fn from(error: CommitError) -> ObjectError {
        match error {
            CommitError::Failed(reason) => ObjectError::Internal(reason),
            other => ObjectError::Unavailable(other.to_string()),
        }
    }
}

impl From<ConfigurationError> for ObjectError {
    fn from(error: ConfigurationError) -> ObjectError {
        match error {
            ConfigurationError::Conflict => ObjectError::refused_with(
                409,
                "OperationAborted",
                "A conflicting conditional operation is currently in progress against this \
                 resource. Please try again.",
            ),
            other => ObjectError::Unavailable(other.to_string()),
        }
    }
}
