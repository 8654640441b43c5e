//! Parses update expressions.
//!
//! The grammar nests only functions and parentheses in a value, and both to a small depth: what
//! goes deeper is refused, so recursion is bounded.

use crate::{AttributeType, AttributeValue, Path};

use super::condition_parser::wrong_count;
use super::lexer::TokenKind;
use super::parser::{Class, Parser};
use super::update::{Action, Change, Source, Update};
use super::{ExpressionError, ExpressionKind, Problem, Substitutions};

/// How deep functions and parentheses can stand in each other. The service documents no number;
/// no update that can be made has use for more.
const MAX_NESTING: usize = 32;

const SECTIONS: [&str; 4] = ["SET", "REMOVE", "ADD", "DELETE"];

fn is_keyword(word: &str) -> bool {
    section_of(word).is_some()
}

fn section_of(word: &str) -> Option<&'static str> {
    SECTIONS
        .into_iter()
        .find(|section| section.eq_ignore_ascii_case(word))
}

struct UpdateParser<'a> {
    parser: Parser<'a>,
    actions: Vec<Action>,
    read: Vec<Path>,
}

/// A value that was read. A sum can't be an operand.
struct Term {
    source: Source,
    parenthesised: bool,
}

pub(super) fn parse(
    text: &str,
    substitutions: &mut Substitutions,
) -> Result<Update, ExpressionError> {
    let mut state = UpdateParser {
        parser: Parser::new(ExpressionKind::Update, text, substitutions)?,
        actions: Vec::new(),
        read: Vec::new(),
    };
    let mut seen = Vec::new();
    while let Some(section) = state.section() {
        state.parser.advance();
        if seen.contains(&section) {
            let problem = Problem::RepeatedSection(section);
            state.parser.note(Class::Section, problem);
        }
        seen.push(section);
        state.actions_of(section)?;
    }
    if seen.is_empty() {
        return Err(state.parser.syntax_error());
    }
    let paths: Vec<Path> = state.actions.iter().map(|one| one.path.clone()).collect();
    state.parser.check_clashes(&paths);
    state.parser.finish()?;
    Ok(Update {
        actions: state.actions,
        paths,
        read: state.read,
    })
}

impl UpdateParser<'_> {
    /// The section that begins at the cursor.
    fn section(&self) -> Option<&'static str> {
        match self.parser.kind() {
            TokenKind::Word => section_of(self.parser.token()),
            _ => None,
        }
    }

    /// Reads the actions of a section, which commas separate.
    fn actions_of(&mut self, section: &'static str) -> Result<(), ExpressionError> {
        loop {
            let path = self.parser.path(is_keyword)?;
            let change = match section {
                "SET" => {
                    self.parser.expect_symbol("=")?;
                    Change::Set(self.value(0)?.source)
                }
                "REMOVE" => Change::Remove,
                "ADD" => Change::Add(self.section_value(section)?),
                _ => Change::Delete(self.section_value(section)?),
            };
            self.actions.push(Action { path, change });
            if !self.parser.take_symbol(",") {
                return Ok(());
            }
        }
    }

    /// Reads the `:value` of `ADD` or `DELETE`.
    fn section_value(&mut self, section: &'static str) -> Result<AttributeValue, ExpressionError> {
        if self.parser.kind() != TokenKind::Value {
            return Err(self.parser.syntax_error());
        }
        let value = self.parser.value();
        let found = match value.attribute_type() {
            AttributeType::StringSet | AttributeType::NumberSet | AttributeType::BinarySet => None,
            AttributeType::Number if section == "ADD" => None,
            AttributeType::Number => Some("NUMBER"),
            AttributeType::String => Some("STRING"),
            AttributeType::Binary => Some("BINARY"),
            AttributeType::Bool => Some("BOOLEAN"),
            AttributeType::Null => Some("NULL"),
            AttributeType::List => Some("LIST"),
            AttributeType::Map => Some("MAP"),
        };
        if let Some(found) = found {
            let problem = Problem::SectionOperandType { section, found };
            self.parser.note(Class::Operands, problem);
        }
        Ok(value)
    }

    /// Reads a value: a term, or the sum or difference of two.
    fn value(&mut self, depth: usize) -> Result<Term, ExpressionError> {
        let left = self.term(depth)?;
        let operator = self.parser.token();
        if !(self.parser.at_symbol("+") || self.parser.at_symbol("-")) {
            return Ok(left);
        }
        if is_sum(&left.source) {
            return Err(self.parser.syntax_error());
        }
        self.parser.count_operator()?;
        self.parser.advance();
        let right = self.term(depth)?;
        if is_sum(&right.source) {
            return Err(self.parser.syntax_error());
        }
        self.check_type(operator, &left.source, AttributeType::Number);
        self.check_type(operator, &right.source, AttributeType::Number);
        let (left, right) = (Box::new(left.source), Box::new(right.source));
        Ok(Term {
            source: match operator {
                "+" => Source::Add(left, right),
                _ => Source::Subtract(left, right),
            },
            parenthesised: false,
        })
    }

    /// Reads a value in parentheses, a function, a `:value` or a path.
    fn term(&mut self, depth: usize) -> Result<Term, ExpressionError> {
        if self.parser.take_symbol("(") {
            if depth == MAX_NESTING {
                return Err(self.parser.error(Problem::RedundantParentheses));
            }
            let inner = self.value(depth + 1)?;
            self.parser.expect_symbol(")")?;
            if inner.parenthesised {
                let problem = Problem::RedundantParentheses;
                self.parser.note(Class::Parentheses, problem);
            }
            return Ok(Term {
                source: inner.source,
                parenthesised: true,
            });
        }
        let source = if self.parser.kind() == TokenKind::Value {
            Source::Literal(self.parser.value())
        } else if self.parser.kind() == TokenKind::Word && self.parser.next_token() == "(" {
            self.call(depth)?
        } else {
            let path = self.parser.path(is_keyword)?;
            self.read.push(path.clone());
            Source::Path(path)
        };
        Ok(Term {
            source,
            parenthesised: false,
        })
    }

    /// Reads a function.
    fn call(&mut self, depth: usize) -> Result<Source, ExpressionError> {
        let name = self.parser.token();
        if depth == MAX_NESTING {
            let problem = match self.function_problem(name) {
                Some(problem) => problem,
                None => Problem::MisusedFunction(name.to_owned()),
            };
            return Err(self.parser.error(problem));
        }
        self.parser.advance();
        self.parser.advance();
        let mut operands = Vec::new();
        loop {
            let operand = self.term(depth + 1)?.source;
            if is_sum(&operand) {
                return Err(self.parser.syntax_error());
            }
            operands.push(operand);
            if !self.parser.take_symbol(",") {
                break;
            }
        }
        self.parser.expect_symbol(")")?;
        Ok(self.function(name, operands))
    }

    /// What is wrong with calling a function in an update, by its name alone.
    fn function_problem(&self, name: &str) -> Option<Problem> {
        match name {
            "if_not_exists" | "list_append" => None,
            "attribute_exists"
            | "attribute_not_exists"
            | "attribute_type"
            | "begins_with"
            | "contains"
            | "size" => Some(Problem::NotInUpdate(name.to_owned())),
            _ => Some(Problem::UnknownFunction(name.to_owned())),
        }
    }

    /// The value of a function; where something is wrong that is noted, and it is a placeholder.
    fn function(&mut self, name: &str, operands: Vec<Source>) -> Source {
        let placeholder = Source::Literal(AttributeValue::Null);
        if let Some(problem) = self.function_problem(name) {
            self.parser.note(Class::Function, problem);
            return placeholder;
        }
        if let Some(problem) = wrong_count(name, 2, operands.len()) {
            self.parser.note(Class::OperandCount, problem);
            return placeholder;
        }
        if operands
            .iter()
            .any(|one| matches!(one, Source::ListAppend(..)))
        {
            let problem = Problem::MisusedFunction("list_append".to_owned());
            self.parser.note(Class::Misuse, problem);
            return placeholder;
        }
        let mut operands = operands.into_iter();
        let (Some(first), Some(second)) = (operands.next(), operands.next()) else {
            unreachable!("the count was checked");
        };
        if name == "list_append" {
            self.check_type(name, &first, AttributeType::List);
            self.check_type(name, &second, AttributeType::List);
            return Source::ListAppend(Box::new(first), Box::new(second));
        }
        match first {
            Source::Path(path) => Source::IfNotExists(path, Box::new(second)),
            _ => {
                let problem = Problem::PathRequired(name.to_owned());
                self.parser.note(Class::Operands, problem);
                placeholder
            }
        }
    }

    /// Notes an operand that is of another type whatever the item is.
    fn check_type(&mut self, operator: &str, operand: &Source, wanted: AttributeType) {
        if let Some(known) = operand.known_type().filter(|known| *known != wanted) {
            let problem = Problem::OperandType {
                operator: operator.to_owned(),
                found: known.to_string(),
            };
            self.parser.note(Class::Operands, problem);
        }
    }
}

fn is_sum(source: &Source) -> bool {
    matches!(source, Source::Add(..) | Source::Subtract(..))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::substitutions;
    use super::*;

    fn refused(text: &str) -> String {
        let mut substitutions = substitutions(
            r##"{"#x":"fieldx"}"##,
            r#"{":s":{"S":"x"},":n":{"N":"5"},":l":{"L":[]},":t":{"BOOL":true},":m":{"M":{}}}"#,
        );
        parse(text, &mut substitutions)
            .expect_err(text)
            .to_string()
            .strip_prefix("Invalid UpdateExpression: ")
            .expect("every text has the prefix")
            .to_owned()
    }

    #[test]
    fn syntax_errors_name_the_token_and_its_neighbours() {
        for (text, token, near) in [
            ("SET", "<EOF>", "SET"),
            ("foo", "foo", "foo"),
            ("a = :s", "a", "a ="),
            ("SET _123 = :s", "_", "SET _123"),
            ("SET a = :s,", "<EOF>", ","),
            ("SET a = :s + ", "<EOF>", "+"),
            ("SET a = b * :n", "*", "b * :n"),
            ("SET a = :n + :n + :n", "+", ":n + :n"),
            ("SET a = (:n + :n) + :n", "+", ") + :n"),
            ("SET a :s", ":s", "a :s"),
            ("SET a = f(:n + :n)", "+", ":n + :n"),
            ("ADD numx", "<EOF>", "numx"),
            ("ADD numx 1", "1", "numx 1"),
            ("DELETE setx a", "a", "setx a"),
            ("REMOVE a = :s", "=", "a = :s"),
            ("SET a = :s; REMOVE b", ";", ":s; REMOVE"),
            ("SET add = :s", "add", "SET add ="),
            ("SET l[0.#x = :s", ".", "0.#x"),
            ("SET (a) = :s", "(", "SET (a"),
        ] {
            let expected = format!("Syntax error; token: \"{token}\", near: \"{near}\"");
            assert_eq!(refused(text), expected, "{text}");
        }
    }

    #[test]
    fn other_errors_have_the_services_texts() {
        for (text, message) in [
            ("", "The expression can not be empty;"),
            (
                "SET name = :s",
                "Attribute name is a reserved keyword; reserved keyword: name",
            ),
            (
                "SET a = status",
                "Attribute name is a reserved keyword; reserved keyword: status",
            ),
            (
                "SET a = :missing",
                "An expression attribute value used in expression is not defined; attribute value: :missing",
            ),
            (
                "SET #q = :s",
                "An expression attribute name used in the document path is not defined; attribute name: #q",
            ),
            (
                "SET a = :s SET b = :s",
                "The \"SET\" section can only be used once in an update expression;",
            ),
            (
                "REMOVE a REMOVE b",
                "The \"REMOVE\" section can only be used once in an update expression;",
            ),
            (
                "SET fieldx = :s, #x = :s",
                "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [fieldx], path two: [fieldx]",
            ),
            (
                "SET a = :m, a.b = :s",
                "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a, b]",
            ),
            (
                "SET l[0] = :s REMOVE l[0].ok",
                "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [l, [0]], path two: [l, [0], ok]",
            ),
            (
                "SET a.b = :s, a[0] = :s",
                "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [a, b], path two: [a, [0]]",
            ),
            ("SET a = f(b)", "Invalid function name; function: f"),
            (
                "SET a = contains(b, :s)",
                "The function is not allowed in an update expression; function: contains",
            ),
            (
                "SET a = size(b)",
                "The function is not allowed in an update expression; function: size",
            ),
            (
                "SET a = list_append(list_append(l, :l), :l)",
                "The function is not allowed to be used this way in an expression; function: list_append",
            ),
            (
                "SET a = if_not_exists(if_not_exists(b, :s), :s)",
                "Operator or function requires a document path; operator or function: if_not_exists",
            ),
            (
                "SET a = if_not_exists(:s, :s)",
                "Operator or function requires a document path; operator or function: if_not_exists",
            ),
            (
                "SET a = if_not_exists(b)",
                "Incorrect number of operands for operator or function; operator or function: if_not_exists, number of operands: 1",
            ),
            (
                "SET a = list_append(b, :s)",
                "Incorrect operand type for operator or function; operator or function: list_append, operand type: S",
            ),
            (
                "SET a = b + :s",
                "Incorrect operand type for operator or function; operator or function: +, operand type: S",
            ),
            (
                "SET a = :t - b",
                "Incorrect operand type for operator or function; operator or function: -, operand type: BOOL",
            ),
            (
                "ADD a :l",
                "Incorrect operand type for operator or function; operator: ADD, operand type: LIST, typeSet: ALLOWED_FOR_ADD_OPERAND",
            ),
            (
                "DELETE a :s",
                "Incorrect operand type for operator or function; operator: DELETE, operand type: STRING, typeSet: ALLOWED_FOR_DELETE_OPERAND",
            ),
            ("SET a = ((b))", "The expression has redundant parentheses;"),
            (
                "SET a[9999999999] = :s",
                "List index is not within the allowable range; index: [9999999999]",
            ),
        ] {
            assert_eq!(refused(text), message, "{text}");
        }
        assert!(refused(&format!("SET {} = :s", "a".repeat(5000))).starts_with("Expression size"));
    }

    /// Runs on a thread with a small stack, so that recursion on the text's nesting would show.
    #[test]
    fn no_nesting_overflows_the_stack() {
        let run = || {
            let nest = |open: &str, inner: &str, close: &str, depth: usize| {
                refused(&format!(
                    "SET a = {}{inner}{}",
                    open.repeat(depth),
                    close.repeat(depth)
                ))
            };
            assert!(nest("(", ":n", ")", 100_000).starts_with("Expression size"));
            assert_eq!(
                nest("(", ":n", ")", 2000),
                "The expression has redundant parentheses;"
            );
            assert!(nest("f(", ":n", ")", 1000).starts_with("Invalid function name"));
            assert!(nest("if_not_exists(b,", ":n", ")", 200).starts_with("The function is not"));
            let operators = format!(
                "SET {}",
                (0..301)
                    .map(|n| format!("a{n}=b+b"))
                    .collect::<Vec<_>>()
                    .join(",")
            );
            assert_eq!(
                refused(&operators),
                "The expression contains too many operators; operator count: 301"
            );
        };
        let thread = std::thread::Builder::new().stack_size(512 * 1024);
        thread.spawn(run).unwrap().join().unwrap();
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,80}") {
            let _ = parse(&text, &mut Substitutions::default());
        }

        #[test]
        fn parsing_tokens_never_panics(tokens in prop::collection::vec(prop::sample::select(vec![
            "a", "b.c", "l[0]", "#x", ":n", ":l", "SET", "REMOVE", "ADD", "DELETE", "(", ")", ",",
            "=", "+", "-", "if_not_exists(", "list_append(", "size(", "l[7]",
        ]), 0..25)) {
            let mut substitutions =
                substitutions(r##"{"#x":"x"}"##, r#"{":n":{"N":"5"},":l":{"L":[]}}"#);
            if let Ok(update) = parse(&tokens.join(" "), &mut substitutions) {
                let item = super::super::tests::item(
                    r#"{"a":{"N":"1"},"b":{"M":{"c":{"L":[]}}},"l":{"L":[{"N":"1"}]}}"#,
                );
                let _ = update.apply(&item);
            }
        }
    }
}
