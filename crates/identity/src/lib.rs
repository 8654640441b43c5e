//! Who calls: the deployment's root keys, how they are written down, and the caller that a
//! verified signature stands for. Only the account's root exists so far; users, roles, sessions
//! and policies come with IAM, as further kinds of [`Principal`] behind the same [`Identity`].
//! It draws no randomness and opens no file: both are handed to it.

pub mod aws_managed;
mod caller;
mod credentials;
pub mod entries;
#[allow(dead_code, reason = "its operations are being built")]
mod iam;
pub mod model;
mod root_key;
mod root_keys;
#[allow(dead_code, reason = "its operations are being built")]
mod service;

pub use caller::{Caller, Identity, Principal};
pub use credentials::{CredentialsError, parse_credentials, write_credentials};
pub use root_key::{InvalidRootKey, RANDOM_BYTES, RootKey};
pub use root_keys::{RootKeys, RootKeysError};
pub use service::{Service, ServiceConfig};
