//! The adapters: one operation, or a close family, a file. Each makes a call of `objects` of its
//! typed input and its context, and a typed output of what that gives; the rules are in `objects`.
//!
//! One more is a file here (`async fn(&Context<E>, Input) -> Outcome<Output>`) and its line in
//! `codec::adapters!`; the operation's row stands in `table` already. When an adapter is called the
//! caller was judged by that row, `context.bucket()` was found, and a document's digests hold.
//! Bytes come by `context.payload()` and go by `context.answer_with`; headers that the codec isn't
//! given (`guard::HIDDEN`) are read from `context.headers`. Further questions: `context.ask`. An
//! object is read by `context.object` and amended by `amend`: the caller may have been judged by
//! another version.

pub(crate) mod amend;
pub(crate) mod bucket_access;
pub(crate) mod bucket_cors;
pub(crate) mod bucket_encryption;
pub(crate) mod bucket_facts;
pub(crate) mod bucket_lifecycle;
pub(crate) mod bucket_notification;
pub(crate) mod bucket_policy;
pub(crate) mod bucket_replication;
pub(crate) mod bucket_tagging;
pub(crate) mod bucket_versioning;
pub(crate) mod buckets;
pub(crate) mod copy;
pub(crate) mod delete;
pub(crate) mod facts;
pub(crate) mod get;
pub(crate) mod ingest;
pub(crate) mod list;
pub(crate) mod object_acl;
pub(crate) mod object_attributes;
pub(crate) mod object_holds;
pub(crate) mod object_lock;
pub(crate) mod object_tagging;
pub(crate) mod parts;
pub(crate) mod put;
pub(crate) mod uploads;
