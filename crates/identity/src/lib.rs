//! IAM and STS: who calls, and may they. Accounts with their users, groups, roles and policies as
//! the global configuration keeps them ([`Identity`]), the caller that a verified signature stands
//! for ([`Caller`]), the judge of what it asks for ([`Call`]), and the operations by which all of
//! it is changed ([`Service`]). It draws no randomness and opens no file: both are handed to it.

mod accounts;
mod anonymous;
mod assume;
pub mod aws_managed;
mod cache;
mod call;
mod caller;
mod check;
mod context;
mod credentials;
mod documents;
pub mod entries;
mod explain;
mod faults;
mod holder;
mod iam;
mod identity;
mod judge;
mod keys;
pub mod model;
pub mod policy;
mod principals;
mod root_key;
mod root_keys;
mod sealer;
mod server_certificate;
mod service;
mod service_principal;
mod session;
mod sts;

pub use anonymous::Anonymous;
pub use assume::AssumeRefusal;
pub use call::Call;
pub use caller::{Caller, Principal};
pub use context::RequestContext;
pub use credentials::{CredentialsError, parse_credentials, write_credentials};
pub use explain::{
    DecidingStatement, Explain, Explained, ExplainedLayer, ExplainedStatement, LayerResult,
    NoSuchPrincipal, owner,
};
pub use identity::{Bootstrap, Identity};
pub use keys::Keys;
pub use root_key::{InvalidRootKey, RANDOM_BYTES, RootKey};
pub use root_keys::{RootKeys, RootKeysError};
pub use sealer::{
    NONCE_BYTES, OPERATOR_KEY_BYTES, OVERHEAD_BYTES, Purpose, SealError, Sealer, random,
};
pub use server_certificate::OpenedCertificate;
pub use service::{CertificateUser, Service, ServiceConfig};
