//! DynamoDB: items, expressions, operations, and the global-table machine. Each operation has a
//! file of its own under `operations/` and a row in `operation_table`.
//!
//! It opens no socket and reads no clock. It knows neither peers nor envelopes: what a peer must
//! be told it hands out as bytes, and what a peer sent it is given as bytes.

mod access;
mod applicable;
mod capacity;
mod catalogue;
mod change;
mod codec;
mod compare;
mod condition_keys;
mod description;
mod error;
mod expressions;
mod global;
mod index;
mod item;
mod json;
mod key;
mod limits;
mod measure;
mod number;
mod operation_table;
mod operations;
mod page;
mod parameters;
mod path;
mod planted;
mod primary_key;
mod purge;
mod read;
mod request;
mod resource_policy;
mod resources;
mod schema;
mod service;
mod settings;
mod state;
mod table;
mod table_name;
mod value;
mod write;

pub use catalogue::{Catalogue, CatalogueChange, CatalogueError, descriptor_key, purge_key};
pub use change::{Change, SERVICE_TAG, UnknownChange};
pub use codec::{
    CodecError, FORMAT_VERSION, decode_item, decode_state, decode_state_header, encode_item,
    encode_state,
};
pub use compare::{begins_with, compare, contains};
pub use error::TablesError;
pub use expressions::{
    AttributeUpdate, Condition, ConditionalOperator, ExpectedAttribute, ExpressionError,
    ExpressionKind, KeyAttributes, KeyCondition, KeyConditionError, LegacyCondition, LegacyError,
    MAX_EXPRESSION_SIZE, MAX_IN_OPERANDS, MAX_OPERATORS, MAX_SUBSTITUTION_KEY,
    MAX_SUBSTITUTIONS_SIZE, Problem, Projection, SubstitutionError, Substitutions, Update,
    UpdateError,
};
pub use global::copy::CopyProgress;
pub use global::digest::{StatesDigest, TableDigest};
pub use global::export::Export;
pub use global::import::{Import, ImportError, ImportGuard, MAX_SKEW, ReadyImport};
pub use global::ledger::{
    ConflictCursor, ConflictFilter, ConflictId, ConflictPage, ConflictRecord, LedgerSize,
    NoConflictId,
};
pub use global::message::{MAX_RECORD, RecordError};
pub use global::replicas::{ExistingTable, ProbeAnswer, ReplicaProbe, Unreachable};
pub use global::restore::{RestoreError, Restored};
pub use global::{Group, GroupId, Imported, Member, MemberPhase, SettingStamps};
pub use index::index_writes;
pub use item::{MAX_ITEM_SIZE, item_size, value_size};
pub use json::{Parsed, serialization_message};
pub use key::{
    IndexKey, ItemKey, KeyError, KeyRange, MAX_PARTITION_KEY_SIZE, MAX_SORT_KEY_SIZE,
    SortCondition, after_prefix, decode_index_key, decode_item_key, decode_key_value,
    encode_key_value, index_key, index_partition_prefix, index_prefix, item_key, partition_hash,
    partition_prefix, table_prefix,
};
pub use measure::MeasureProgress;
pub use number::{MAX_DIGITS, NotANumber, Number, NumberError};
pub use path::{MAX_PATH_ELEMENTS, Path, PathElement};
pub use planted::PlantedBug;
pub use purge::PurgeProgress;
pub use resource_policy::ResourcePolicy;
pub use service::{Tables, TablesConfig};
pub use state::{Content, State};
pub use table::{
    Billing, DESCRIPTOR_FORMAT, DescriptorError, Index, IndexId, IndexKind, IndexProjection,
    KeyAttribute, KeySchema, Phase, ScalarType, Stream, Table, TableClass, TableId, Throughput,
};
pub use table_name::TableName;
pub use value::{AttributeType, AttributeValue, Item, MAX_LEVELS, MAX_NAME_SIZE, ValueError};
