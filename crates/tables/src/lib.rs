//! DynamoDB: items, expressions, operations, and the global-table machine. Each operation has a
//! file of its own under `operations/` and a row in `operation_table`.
//!
//! It opens no socket and reads no clock. It knows neither peers nor envelopes: what a peer must
//! be told it hands out as bytes, and what a peer sent it is given as bytes.

mod catalogue;
mod change;
mod error;
mod group;
mod limits;
mod locks;
mod operation_table;
mod operations;
mod service;
mod state;
mod table;
mod value;

pub use catalogue::{Catalogue, CatalogueChange, CatalogueError, descriptor_key, purge_key};
pub use change::{Change, SERVICE_TAG, UnknownChange};
pub use error::TablesError;
pub use group::{Group, Member, MemberPhase};
pub use locks::{ItemGuard, ItemLocks};
pub use service::{Tables, TablesConfig};
pub use state::{Content, State};
pub use table::{
    Billing, DESCRIPTOR_FORMAT, DescriptorError, Index, IndexId, IndexKind, KeyAttribute,
    KeySchema, Phase, Projection, ScalarType, Stream, Table, TableClass, TableId, Throughput,
};
pub use value::{AttributeValue, Item};
