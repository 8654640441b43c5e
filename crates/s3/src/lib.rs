//! The S3 protocol: requests as HTTP in, operations of `objects` carried out, answers as HTTP out.
//! `s3s` is the codec, and nothing outside this crate knows it. Signatures are verified before a
//! request comes here; every operation's caller is judged here, by its row of the operation table.

mod access;
mod acl;
mod address;
mod answer;
mod body;
mod budget;
mod codec;
mod condition_keys;
mod context;
mod digest;
mod error;
mod grants;
mod guard;
mod jobs;
mod operations;
mod policy;
mod post;
mod preflight;
mod query;
mod range;
mod schema;
mod service;
mod table;
mod values;

pub use address::{hosted_bucket, named_bucket};
pub use post::{Form, S3Form, is_form};
pub use service::{Body, BodyError, Caller, S3Call, S3Service, refuse};
pub use table::{Adapted, OPERATIONS, Target};
