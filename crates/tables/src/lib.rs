//! DynamoDB as one Region serves it: the data model, expressions, tables and their replication.

mod codec;
mod compare;
mod expressions;
mod item;
mod json;
mod key;
mod number;
mod path;
mod state;
mod value;

pub use codec::{
    CodecError, FORMAT_VERSION, decode_item, decode_state, decode_state_header, encode_item,
    encode_state,
};
pub use compare::{begins_with, compare, contains};
pub use expressions::{
    Condition, ExpressionError, ExpressionKind, KeyAttributes, KeyCondition, KeyConditionError,
    MAX_EXPRESSION_SIZE, MAX_IN_OPERANDS, MAX_OPERATORS, MAX_SUBSTITUTION_KEY,
    MAX_SUBSTITUTIONS_SIZE, Problem, Projection, SubstitutionError, Substitutions, Update,
    UpdateError,
};
pub use item::{MAX_ITEM_SIZE, item_size, value_size};
pub use json::{Parsed, serialization_message};
pub use key::{
    IndexKey, ItemKey, KeyError, KeyRange, MAX_PARTITION_KEY_SIZE, MAX_SORT_KEY_SIZE,
    SortCondition, after_prefix, decode_index_key, decode_item_key, decode_key_value,
    encode_key_value, index_key, index_partition_prefix, index_prefix, item_key, partition_hash,
    partition_prefix, table_prefix,
};
pub use number::{MAX_DIGITS, NotANumber, Number, NumberError};
pub use path::{MAX_PATH_ELEMENTS, Path, PathElement};
pub use state::{Content, State};
pub use value::{AttributeType, AttributeValue, Item, MAX_LEVELS, ValueError};
