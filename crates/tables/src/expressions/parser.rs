//! What the parsers of all expressions share: the cursor over tokens, paths, and the findings.
//!
//! A text that breaks the grammar fails at once. What else is wrong is noted, one finding a
//! class, and reported in the service's order when the whole text is read.

use std::collections::BTreeMap;

use crate::path::{MAX_PATH_ELEMENTS, PathClash};
use crate::{AttributeValue, Path, PathElement};

use super::lexer::{Token, TokenKind, tokens};
use super::reserved::is_reserved;
use super::{
    ExpressionError, ExpressionKind, MAX_EXPRESSION_SIZE, MAX_OPERATORS, Problem, Substitutions,
};

/// The greatest list index: the service counts in signed 32 bits.
const MAX_LIST_INDEX: usize = i32::MAX as usize;

/// The classes of findings, in the order in which they are reported.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Class {
    Parentheses,
    Function,
    Misuse,
    Reserved,
    Section,
    Undefined,
    Paths,
    OperandCount,
    Operands,
}

/// A cursor over an expression's tokens.
pub(super) struct Parser<'a> {
    kind: ExpressionKind,
    text: &'a str,
    tokens: Vec<Token>,
    position: usize,
    operators: usize,
    findings: BTreeMap<Class, Problem>,
    substitutions: &'a mut Substitutions,
}

impl<'a> Parser<'a> {
    pub(super) fn new(
        kind: ExpressionKind,
        text: &'a str,
        substitutions: &'a mut Substitutions,
    ) -> Result<Parser<'a>, ExpressionError> {
        let problem = match text.len() {
            0 => Some(Problem::Empty),
            size if size > MAX_EXPRESSION_SIZE => Some(Problem::TooLong(size)),
            _ => None,
        };
        if let Some(problem) = problem {
            return Err(ExpressionError { kind, problem });
        }
        Ok(Parser {
            kind,
            text,
            tokens: tokens(text),
            position: 0,
            operators: 0,
            findings: BTreeMap::new(),
            substitutions,
        })
    }

    /// The kind of the token at the cursor.
    pub(super) fn kind(&self) -> TokenKind {
        self.tokens[self.position].kind
    }

    /// The text of the token at the cursor.
    pub(super) fn token(&self) -> &'a str {
        self.text_of(self.position)
    }

    /// The text of the token after the one at the cursor.
    pub(super) fn next_token(&self) -> &'a str {
        self.text_of((self.position + 1).min(self.tokens.len() - 1))
    }

    /// Moves the cursor on, over the token it stands at.
    pub(super) fn advance(&mut self) {
        self.position = (self.position + 1).min(self.tokens.len() - 1);
    }

    /// Is the token at the cursor this symbol?
    pub(super) fn at_symbol(&self, symbol: &str) -> bool {
        self.kind() == TokenKind::Symbol && self.token() == symbol
    }

    /// Is the token at the cursor this keyword, in whatever case?
    pub(super) fn at_keyword(&self, keyword: &str) -> bool {
        self.kind() == TokenKind::Word && self.token().eq_ignore_ascii_case(keyword)
    }

    /// Moves over this symbol if it is at the cursor.
    pub(super) fn take_symbol(&mut self, symbol: &str) -> bool {
        let there = self.at_symbol(symbol);
        if there {
            self.advance();
        }
        there
    }

    pub(super) fn expect_symbol(&mut self, symbol: &str) -> Result<(), ExpressionError> {
        if self.take_symbol(symbol) {
            Ok(())
        } else {
            Err(self.syntax_error())
        }
    }

    /// The token at the cursor can't stand there.
    pub(super) fn syntax_error(&self) -> ExpressionError {
        let token = self.tokens[self.position];
        let before = self.position.checked_sub(1).map(|index| self.tokens[index]);
        let after = self.tokens.get(self.position + 1).unwrap_or(&token);
        let (start, end) = (before.unwrap_or(token).start, after.end.max(token.end));
        let near = if token.kind == TokenKind::End {
            before.map_or("", |before| &self.text[before.start..before.end])
        } else {
            self.text[start..end].trim_end()
        };
        let token = match token.kind {
            TokenKind::End => "<EOF>",
            _ => self.token(),
        };
        self.error(Problem::Syntax {
            token: token.to_owned(),
            near: near.to_owned(),
        })
    }

    pub(super) fn error(&self, problem: Problem) -> ExpressionError {
        ExpressionError {
            kind: self.kind,
            problem,
        }
    }

    /// Notes what is wrong; the first of a class is kept.
    pub(super) fn note(&mut self, class: Class, problem: Problem) {
        self.findings.entry(class).or_insert(problem);
    }

    /// Counts an operator.
    pub(super) fn count_operator(&mut self) -> Result<(), ExpressionError> {
        self.operators += 1;
        if self.operators > MAX_OPERATORS {
            return Err(self.error(Problem::TooManyOperators(self.operators)));
        }
        Ok(())
    }

    /// The end of the text must be here, and nothing been found wrong.
    pub(super) fn finish(mut self) -> Result<(), ExpressionError> {
        if self.kind() != TokenKind::End {
            return Err(self.syntax_error());
        }
        match self.findings.pop_first() {
            Some((_, problem)) => Err(self.error(problem)),
            None => Ok(()),
        }
    }

    /// Is a path at the cursor?
    pub(super) fn at_path(&self, is_keyword: fn(&str) -> bool) -> bool {
        match self.kind() {
            TokenKind::Name => true,
            TokenKind::Word => !is_keyword(self.token()),
            _ => false,
        }
    }

    /// Reads a path.
    pub(super) fn path(&mut self, is_keyword: fn(&str) -> bool) -> Result<Path, ExpressionError> {
        let path = Path::of_attribute(self.path_name(is_keyword)?);
        self.path_tail(path, is_keyword)
    }

    /// Reads what follows the beginning of a path.
    pub(super) fn path_tail(
        &mut self,
        mut path: Path,
        is_keyword: fn(&str) -> bool,
    ) -> Result<Path, ExpressionError> {
        loop {
            if self.take_symbol(".") {
                path.push(PathElement::Name(self.path_name(is_keyword)?));
            } else if self.take_symbol("[") {
                path.push(PathElement::Index(self.list_index()?));
                self.expect_symbol("]")?;
            } else {
                break;
            }
        }
        let levels = path.elements().len();
        if levels > MAX_PATH_ELEMENTS {
            self.note(Class::Paths, Problem::PathTooDeep(levels));
        }
        Ok(path)
    }

    fn path_name(&mut self, is_keyword: fn(&str) -> bool) -> Result<String, ExpressionError> {
        if !self.at_path(is_keyword) {
            return Err(self.syntax_error());
        }
        let token = self.token();
        let name = if self.kind() == TokenKind::Word {
            if is_reserved(token) {
                self.note(Class::Reserved, Problem::ReservedKeyword(token.to_owned()));
            }
            token.to_owned()
        } else {
            let name = self.substitutions.name(token);
            name.unwrap_or_else(|| {
                self.note(Class::Undefined, Problem::UndefinedName(token.to_owned()));
                token.to_owned()
            })
        };
        self.advance();
        Ok(name)
    }

    fn list_index(&mut self) -> Result<usize, ExpressionError> {
        if self.kind() != TokenKind::Digits {
            return Err(self.syntax_error());
        }
        let digits = self.token();
        let index = digits.parse().ok().filter(|index| *index <= MAX_LIST_INDEX);
        let index = index.unwrap_or_else(|| {
            self.note(Class::Paths, Problem::ListIndex(digits.to_owned()));
            0
        });
        self.advance();
        Ok(index)
    }

    /// Reads `:value`, which is at the cursor.
    pub(super) fn value(&mut self) -> AttributeValue {
        let token = self.token();
        let value = self.substitutions.value(token);
        self.advance();
        value.unwrap_or_else(|| {
            self.note(Class::Undefined, Problem::UndefinedValue(token.to_owned()));
            AttributeValue::Null
        })
    }

    /// Notes the first two paths that can't be used together.
    pub(super) fn check_clashes(&mut self, paths: &[Path]) {
        for (position, second) in paths.iter().enumerate() {
            for first in &paths[..position] {
                let problem = match first.clash(second) {
                    Some(PathClash::Overlap) => Problem::Overlap(first.clone(), second.clone()),
                    Some(PathClash::Conflict) => Problem::Conflict(first.clone(), second.clone()),
                    None => continue,
                };
                self.note(Class::Paths, problem);
                return;
            }
        }
    }

    fn text_of(&self, position: usize) -> &'a str {
        let token = self.tokens[position];
        &self.text[token.start..token.end]
    }
}
