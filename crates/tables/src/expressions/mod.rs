//! Expressions: conditions, filters, key conditions, updates and projections.
//!
//! Each is parsed once, against the request's `#names` and `:values`, into a tree that is then
//! evaluated against items. Parsing a condition takes no stack for what the text nests, trees are
//! bounded by the operator limit, and so no text overflows anything.

mod condition;
mod condition_parser;
mod key_condition;
mod legacy;
mod lexer;
mod parser;
mod projection;
mod reserved;
mod substitutions;
mod update;
mod update_parser;

use std::fmt;

use crate::Path;

pub use condition::Condition;
pub use key_condition::{KeyAttributes, KeyCondition, KeyConditionError};
pub use legacy::{
    AttributeUpdate, ConditionalOperator, ExpectedAttribute, LegacyCondition, LegacyError,
};
pub use projection::Projection;
pub use substitutions::{
    MAX_SUBSTITUTION_KEY, MAX_SUBSTITUTIONS_SIZE, SubstitutionError, Substitutions,
};
pub use update::{Update, UpdateError};

/// The greatest length of an expression in bytes (developer guide, "Service quotas").
pub const MAX_EXPRESSION_SIZE: usize = 4096;
/// Operators that an expression can have (developer guide, "Service quotas").
pub const MAX_OPERATORS: usize = 300;
/// Operands that `IN` can have (developer guide, "Service quotas").
pub const MAX_IN_OPERANDS: usize = 100;

/// Which parameter an expression is. `Display` is the parameter's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExpressionKind {
    /// `ConditionExpression`.
    Condition,
    /// `FilterExpression`.
    Filter,
    /// `KeyConditionExpression`.
    KeyCondition,
    /// `UpdateExpression`.
    Update,
    /// `ProjectionExpression`.
    Projection,
}

impl fmt::Display for ExpressionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ExpressionKind::Condition => "ConditionExpression",
            ExpressionKind::Filter => "FilterExpression",
            ExpressionKind::KeyCondition => "KeyConditionExpression",
            ExpressionKind::Update => "UpdateExpression",
            ExpressionKind::Projection => "ProjectionExpression",
        })
    }
}

/// An expression is refused. `Display` is the service's text, of a `ValidationException`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid {kind}: {problem}")]
pub struct ExpressionError {
    /// Which expression.
    pub kind: ExpressionKind,
    /// Why.
    pub problem: Problem,
}

/// What is wrong with an expression. `Display` is the service's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is the empty string.
    #[error("The expression can not be empty;")]
    Empty,
    /// It is longer than [`MAX_EXPRESSION_SIZE`].
    #[error("Expression size has exceeded the maximum allowed size; expression size: {0}")]
    TooLong(usize),
    /// It has more than [`MAX_OPERATORS`].
    #[error("The expression contains too many operators; operator count: {0}")]
    TooManyOperators(usize),
    /// It doesn't follow the grammar.
    #[error("Syntax error; token: \"{token}\", near: \"{near}\"")]
    Syntax {
        /// The token that can't stand where it does.
        token: String,
        /// The text from the token before to the token after.
        near: String,
    },
    /// A pair of parentheses directly inside another.
    #[error("The expression has redundant parentheses;")]
    RedundantParentheses,
    /// A name written without `#` is a reserved word.
    #[error("Attribute name is a reserved keyword; reserved keyword: {0}")]
    ReservedKeyword(String),
    /// `#name` isn't among the request's.
    #[error(
        "An expression attribute name used in the document path is not defined; attribute name: {0}"
    )]
    UndefinedName(String),
    /// `:value` isn't among the request's.
    #[error(
        "An expression attribute value used in expression is not defined; attribute value: {0}"
    )]
    UndefinedValue(String),
    /// No such function.
    #[error("Invalid function name; function: {0}")]
    UnknownFunction(String),
    /// A function of update expressions in a condition.
    #[error("The function is not allowed in a condition expression; function: {0}")]
    NotInCondition(String),
    /// A function of conditions in an update expression.
    #[error("The function is not allowed in an update expression; function: {0}")]
    NotInUpdate(String),
    /// A function where its result can't be used.
    #[error("The function is not allowed to be used this way in an expression; function: {0}")]
    MisusedFunction(String),
    /// A function with too few or too many operands.
    #[error(
        "Incorrect number of operands for operator or function; operator or function: {function}, \
         number of operands: {count}"
    )]
    OperandCount {
        /// The function.
        function: String,
        /// Its operands.
        count: usize,
    },
    /// An operand whose type the operator or function doesn't take.
    #[error(
        "Incorrect operand type for operator or function; operator or function: {operator}, \
         operand type: {found}"
    )]
    OperandType {
        /// The operator or function.
        operator: String,
        /// The type, or where any would be wrong, all there are.
        found: String,
    },
    /// `ADD` or `DELETE` with a value of a type that it doesn't take.
    #[error(
        "Incorrect operand type for operator or function; operator: {section}, operand type: \
         {found}, typeSet: ALLOWED_FOR_{section}_OPERAND"
    )]
    SectionOperandType {
        /// The section.
        section: &'static str,
        /// The type, in words.
        found: &'static str,
    },
    /// A function that needs a path has something else.
    #[error("Operator or function requires a document path; operator or function: {0}")]
    PathRequired(String),
    /// `attribute_type` with no type's tag.
    #[error(
        "Invalid attribute type name found; type: {0}, valid types: \
         {{S,SS,N,NS,B,BS,BOOL,NULL,L,M}}"
    )]
    UnknownType(String),
    /// An operator between a path and itself.
    #[error(
        "The first operand must be distinct from the remaining operands for this operator or \
         function; operator: {operator}, first operand: {path}"
    )]
    SameOperands {
        /// The operator or function.
        operator: String,
        /// The path.
        path: Path,
    },
    /// `BETWEEN` with bounds of different types.
    #[error(
        "The BETWEEN operator requires same data type for lower and upper bounds; lower bound \
         operand: AttributeValue: {{{lower}}}, upper bound operand: AttributeValue: {{{upper}}}"
    )]
    BetweenTypes {
        /// The lower bound, as `type:value`.
        lower: String,
        /// The upper bound, as `type:value`.
        upper: String,
    },
    /// `BETWEEN` with the greater bound first.
    #[error(
        "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; \
         lower bound operand: AttributeValue: {{{lower}}}, upper bound operand: AttributeValue: \
         {{{upper}}}"
    )]
    BetweenOrder {
        /// The lower bound, as `type:value`.
        lower: String,
        /// The upper bound, as `type:value`.
        upper: String,
    },
    /// `IN` with more than [`MAX_IN_OPERANDS`].
    #[error("The IN operator is provided with too many operands; number of operands: {0}")]
    TooManyInOperands(usize),
    /// A section of an update expression twice.
    #[error("The \"{0}\" section can only be used once in an update expression;")]
    RepeatedSection(&'static str),
    /// Two paths of which one leads through the other.
    #[error(
        "Two document paths overlap with each other; must remove or rewrite one of these paths; \
         path one: {0}, path two: {1}"
    )]
    Overlap(Path, Path),
    /// Two paths that see a list and a map in the same place.
    #[error(
        "Two document paths conflict with each other; must remove or rewrite one of these paths; \
         path one: {0}, path two: {1}"
    )]
    Conflict(Path, Path),
    /// A list index that no list reaches.
    #[error("List index is not within the allowable range; index: [{0}]")]
    ListIndex(String),
    /// A path with more than [`crate::MAX_PATH_ELEMENTS`].
    #[error("The document path has too many nesting levels; nesting levels: {0}")]
    PathTooDeep(usize),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::{AttributeValue, Item, Parsed};

    use super::Substitutions;

    /// An item from its JSON.
    pub(super) fn item(text: &str) -> Item {
        let parsed: Parsed<Item> = serde_json::from_str(text).unwrap();
        parsed.0.unwrap()
    }

    /// Substitutions from their JSON; an empty object stands for a missing one.
    pub(super) fn substitutions(names: &str, values: &str) -> Substitutions {
        let names: BTreeMap<String, String> = serde_json::from_str(names).unwrap();
        let values: BTreeMap<String, Parsed<AttributeValue>> =
            serde_json::from_str(values).unwrap();
        let names = Some(names).filter(|names| !names.is_empty());
        let values = Some(values).filter(|values| !values.is_empty());
        Substitutions::new(names, values).unwrap()
    }
}
