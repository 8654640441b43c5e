//! Parses conditions: an operator-precedence parser with a stack of its own, so that what a text
//! nests costs heap and never the thread's stack.
//!
//! It builds a tree or says why not; it evaluates nothing but constants against each other.

mod calls;

use crate::value::render;
use crate::{AttributeType, Path, compare};

use super::condition::{Comparator, Condition, Operand, Test};
use super::lexer::TokenKind;
use super::parser::{Class, Parser};
use super::{ExpressionError, ExpressionKind, MAX_IN_OPERANDS, Problem, Substitutions};

/// What has been read so far, and waits for more.
enum Pending {
    Any(Vec<Test>),
    All(Vec<Test>),
    Not,
    Parenthesis,
    Compare(Comparator, Operand),
    BetweenLow(Operand),
    BetweenHigh(Operand, Operand),
    In(Operand, Vec<Operand>),
    Call(String, Vec<Operand>),
}

/// Something complete.
enum Node {
    Test(Test),
    Operand(Operand),
    /// A function other than `size`, which may stand for a test and not for an operand.
    Call(String, Vec<Operand>),
}

struct ConditionParser<'a> {
    parser: Parser<'a>,
    pending: Vec<Pending>,
    paths: Vec<Path>,
}

/// What comes next: something complete to go on with, or a term to read.
enum Next {
    Term,
    Node(Node, Parenthesised),
}

/// Does a node stand directly in parentheses?
#[derive(Clone, Copy, PartialEq, Eq)]
struct Parenthesised(bool);

fn is_keyword(word: &str) -> bool {
    ["AND", "OR", "NOT", "BETWEEN", "IN"]
        .iter()
        .any(|keyword| keyword.eq_ignore_ascii_case(word))
}

pub(super) fn parse(
    kind: ExpressionKind,
    text: &str,
    substitutions: &mut Substitutions,
) -> Result<Condition, ExpressionError> {
    let mut state = ConditionParser {
        parser: Parser::new(kind, text, substitutions)?,
        pending: Vec::new(),
        paths: Vec::new(),
    };
    let mut next = Next::Term;
    let test = loop {
        next = match next {
            Next::Term => state.term()?,
            Next::Node(node, parenthesised) => match state.place(node, parenthesised)? {
                Placed::Go(next) => next,
                Placed::Done(test) => break test,
            },
        };
    };
    state.parser.finish()?;
    Ok(Condition {
        test,
        paths: state.paths,
    })
}

enum Placed {
    Go(Next),
    Done(Test),
}

impl ConditionParser<'_> {
    /// Reads a term, or what stands before one.
    fn term(&mut self) -> Result<Next, ExpressionError> {
        if self.parser.take_symbol("(") {
            self.pending.push(Pending::Parenthesis);
            return Ok(Next::Term);
        }
        if self.parser.at_keyword("NOT") && self.awaits_test() {
            self.parser.count_operator()?;
            self.parser.advance();
            self.pending.push(Pending::Not);
            return Ok(Next::Term);
        }
        if self.parser.kind() == TokenKind::Value {
            let value = self.parser.value();
            return Ok(node(Node::Operand(Operand::Literal(value))));
        }
        let is_call = self.parser.kind() == TokenKind::Word
            && self.parser.next_token() == "("
            && !is_keyword(self.parser.token());
        if is_call {
            let name = self.parser.token().to_owned();
            self.parser.advance();
            self.parser.advance();
            self.pending.push(Pending::Call(name, Vec::new()));
            return Ok(Next::Term);
        }
        let path = self.parser.path(is_keyword)?;
        self.paths.push(path.clone());
        Ok(node(Node::Operand(Operand::Path(path))))
    }

    /// Could a test begin here? Not where an operand is awaited.
    fn awaits_test(&self) -> bool {
        matches!(
            self.pending.last(),
            None | Some(Pending::Any(_) | Pending::All(_) | Pending::Not | Pending::Parenthesis)
        )
    }

    /// Puts something complete where it belongs.
    fn place(
        &mut self,
        node: Node,
        parenthesised: Parenthesised,
    ) -> Result<Placed, ExpressionError> {
        let goes_on = parenthesised.0 && (self.parser.at_symbol(".") || self.parser.at_symbol("["));
        match node {
            Node::Operand(Operand::Path(path)) if goes_on => {
                let path = self.parser.path_tail(path, is_keyword)?;
                if let Some(last) = self.paths.last_mut() {
                    last.clone_from(&path);
                }
                Ok(Placed::Go(self::node(Node::Operand(Operand::Path(path)))))
            }
            node if !self.awaits_test() => self.place_operand(node).map(Placed::Go),
            Node::Test(test) => self.place_test(test, parenthesised),
            node => self.go_on_after(node, parenthesised),
        }
    }

    /// After an operand or a call, where a test is awaited: an operator, or the call is the test.
    fn go_on_after(
        &mut self,
        node: Node,
        parenthesised: Parenthesised,
    ) -> Result<Placed, ExpressionError> {
        let comparator = match self.parser.kind() {
            TokenKind::Symbol => Comparator::of_symbol(self.parser.token()),
            _ => None,
        };
        if let Some(comparator) = comparator {
            self.parser.count_operator()?;
            self.parser.advance();
            let left = self.operand(node);
            self.pending.push(Pending::Compare(comparator, left));
        } else if self.parser.at_keyword("BETWEEN") {
            self.parser.count_operator()?;
            self.parser.advance();
            let operand = self.operand(node);
            self.pending.push(Pending::BetweenLow(operand));
        } else if self.parser.at_keyword("IN") {
            self.parser.count_operator()?;
            self.parser.advance();
            self.parser.expect_symbol("(")?;
            let operand = self.operand(node);
            self.pending.push(Pending::In(operand, Vec::new()));
        } else {
            return self.end_of_term(node, parenthesised);
        }
        Ok(Placed::Go(Next::Term))
    }

    /// No operator follows: a parenthesis ends, or the node must be a test.
    fn end_of_term(
        &mut self,
        node: Node,
        parenthesised: Parenthesised,
    ) -> Result<Placed, ExpressionError> {
        let closes =
            matches!(self.pending.last(), Some(Pending::Parenthesis)) && self.parser.at_symbol(")");
        match node {
            // Whether a call in parentheses is a test shows after them.
            node @ (Node::Operand(_) | Node::Call(..)) if closes => {
                Ok(Placed::Go(self.close(node, parenthesised)))
            }
            Node::Call(name, operands) => {
                let test = self.call_as_test(&name, operands);
                self.place_test(test, parenthesised)
            }
            Node::Operand(Operand::Size(_)) => {
                let problem = Problem::MisusedFunction("size".to_owned());
                self.parser.note(Class::Misuse, problem);
                self.place_test(Test::Any(Vec::new()), parenthesised)
            }
            _ => Err(self.parser.syntax_error()),
        }
    }

    /// Moves over the parenthesis that ends what the last one began.
    fn close(&mut self, node: Node, parenthesised: Parenthesised) -> Next {
        self.parser.advance();
        self.pending.pop();
        if parenthesised.0 {
            self.parser
                .note(Class::Parentheses, Problem::RedundantParentheses);
        }
        Next::Node(node, Parenthesised(true))
    }

    /// An operand was awaited, and here is one.
    fn place_operand(&mut self, node: Node) -> Result<Next, ExpressionError> {
        if matches!(node, Node::Test(_)) {
            return Err(self.parser.syntax_error());
        }
        let operand = self.operand(node);
        let pending = self.pending.pop().expect("an operand is awaited");
        match pending {
            Pending::Compare(comparator, left) => {
                self.check_comparison(comparator, &left, &operand);
                Ok(self::node(Node::Test(Test::Compare(
                    comparator, left, operand,
                ))))
            }
            Pending::BetweenLow(value) => {
                if !self.parser.at_keyword("AND") {
                    return Err(self.parser.syntax_error());
                }
                self.parser.advance();
                self.pending.push(Pending::BetweenHigh(value, operand));
                Ok(Next::Term)
            }
            Pending::BetweenHigh(value, low) => {
                self.check_between(&value, &low, &operand);
                Ok(self::node(Node::Test(Test::Between(value, low, operand))))
            }
            Pending::In(value, mut list) => {
                list.push(operand);
                if self.parser.take_symbol(",") {
                    self.pending.push(Pending::In(value, list));
                    return Ok(Next::Term);
                }
                self.parser.expect_symbol(")")?;
                self.check_in(&value, &list);
                Ok(self::node(Node::Test(Test::In(value, list))))
            }
            Pending::Call(name, mut operands) => {
                operands.push(operand);
                if self.parser.take_symbol(",") {
                    self.pending.push(Pending::Call(name, operands));
                    return Ok(Next::Term);
                }
                self.parser.expect_symbol(")")?;
                Ok(self::node(self.call(name, operands)))
            }
            Pending::Any(_) | Pending::All(_) | Pending::Not | Pending::Parenthesis => {
                unreachable!("only what awaits an operand comes here")
            }
        }
    }

    /// A test is complete: what awaited it takes it, by precedence.
    fn place_test(
        &mut self,
        mut test: Test,
        mut parenthesised: Parenthesised,
    ) -> Result<Placed, ExpressionError> {
        while let Some(Pending::Not) = self.pending.last() {
            self.pending.pop();
            test = Test::Not(Box::new(test));
            parenthesised = Parenthesised(false);
        }
        if self.parser.at_keyword("AND") {
            self.parser.count_operator()?;
            self.parser.advance();
            let mut tests = self.take_all();
            tests.push(test);
            self.pending.push(Pending::All(tests));
            return Ok(Placed::Go(Next::Term));
        }
        let mut tests = self.take_all();
        if !tests.is_empty() {
            tests.push(test);
            test = Test::All(tests);
            parenthesised = Parenthesised(false);
        }
        let mut tests = match self.pending.pop() {
            Some(Pending::Any(tests)) => tests,
            Some(other) => {
                self.pending.push(other);
                Vec::new()
            }
            None => Vec::new(),
        };
        if self.parser.at_keyword("OR") {
            self.parser.count_operator()?;
            self.parser.advance();
            tests.push(test);
            self.pending.push(Pending::Any(tests));
            return Ok(Placed::Go(Next::Term));
        }
        if !tests.is_empty() {
            tests.push(test);
            test = Test::Any(tests);
            parenthesised = Parenthesised(false);
        }
        match self.pending.last() {
            None if self.parser.kind() == TokenKind::End => Ok(Placed::Done(test)),
            Some(Pending::Parenthesis) if self.parser.at_symbol(")") => {
                Ok(Placed::Go(self.close(Node::Test(test), parenthesised)))
            }
            _ => Err(self.parser.syntax_error()),
        }
    }

    /// The tests that an `AND` before has collected.
    fn take_all(&mut self) -> Vec<Test> {
        match self.pending.pop() {
            Some(Pending::All(tests)) => tests,
            Some(other) => {
                self.pending.push(other);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn check_comparison(&mut self, comparator: Comparator, left: &Operand, right: &Operand) {
        self.check_distinct(comparator.symbol(), left, right);
        if !matches!(comparator, Comparator::Equal | Comparator::NotEqual) {
            self.check_ordered(comparator.symbol(), left);
            self.check_ordered(comparator.symbol(), right);
        }
    }

    /// An operand of a type without an order can't be compared by order.
    fn check_ordered(&mut self, operator: &str, operand: &Operand) {
        if let Some(known) = operand.known_type().filter(|known| !known.is_key_type()) {
            self.wrong_type(operator, known);
        }
    }

    fn check_between(&mut self, value: &Operand, low: &Operand, high: &Operand) {
        for operand in [value, low, high] {
            self.check_ordered("BETWEEN", operand);
        }
        let (Operand::Literal(low), Operand::Literal(high)) = (low, high) else {
            return;
        };
        let bounds = || (render(low), render(high));
        let problem = if low.attribute_type() != high.attribute_type() {
            let (lower, upper) = bounds();
            Problem::BetweenTypes { lower, upper }
        } else if compare(low, high).is_some_and(|order| order.is_gt()) {
            let (lower, upper) = bounds();
            Problem::BetweenOrder { lower, upper }
        } else {
            return;
        };
        self.parser.note(Class::Operands, problem);
    }

    fn check_in(&mut self, value: &Operand, list: &[Operand]) {
        if list.len() > MAX_IN_OPERANDS {
            let problem = Problem::TooManyInOperands(list.len());
            self.parser.note(Class::OperandCount, problem);
        }
        for other in list {
            self.check_distinct("IN", value, other);
        }
    }

    fn check_distinct(&mut self, operator: &str, left: &Operand, right: &Operand) {
        if let (Some(left), Some(right)) = (left.path(), right.path())
            && left == right
        {
            let problem = Problem::SameOperands {
                operator: operator.to_owned(),
                path: left.clone(),
            };
            self.parser.note(Class::Operands, problem);
        }
    }

    fn wrong_type(&mut self, operator: &str, found: AttributeType) {
        let problem = Problem::OperandType {
            operator: operator.to_owned(),
            found: found.to_string(),
        };
        self.parser.note(Class::Operands, problem);
    }
}

fn node(node: Node) -> Next {
    Next::Node(node, Parenthesised(false))
}

/// A function with another number of operands than it takes.
pub(super) fn wrong_count(function: &str, wanted: usize, count: usize) -> Option<Problem> {
    (wanted != count).then(|| Problem::OperandCount {
        function: function.to_owned(),
        count,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::substitutions;
    use super::*;

    fn refused(text: &str) -> String {
        let mut substitutions = substitutions(
            r##"{"#n":"name"}"##,
            r#"{":v":{"S":"x"},":n":{"N":"5"},":four":{"N":"4"},":z":{"S":"a"},
            ":b":{"B":"eg=="},":B":{"B":"YQ=="},":t":{"BOOL":true},":m":{"M":{}},
            ":STRING":{"S":"STRING"},":nul":{"NULL":true}}"#,
        );
        parse(ExpressionKind::Condition, text, &mut substitutions)
            .expect_err(text)
            .to_string()
            .strip_prefix("Invalid ConditionExpression: ")
            .expect("every text has the prefix")
            .to_owned()
    }

    #[test]
    fn syntax_errors_name_the_token_and_its_neighbours() {
        for (text, token, near) in [
            ("foo", "<EOF>", "foo"),
            ("a =", "<EOF>", "="),
            ("a = :v AND", "<EOF>", "AND"),
            ("a = :v)", ")", ":v)"),
            ("(a = :v", "<EOF>", ":v"),
            ("a = b = c", "=", "b = c"),
            ("a AND b", "AND", "a AND b"),
            ("[object", "[", "[object"),
            ("c!=:v", "!", "c!="),
            ("_a = :v", "_", "_a"),
            ("attribute_type()", ")", "()"),
            ("a IN ()", ")", "()"),
            ("a IN :v", ":v", "IN :v"),
            ("a BETWEEN :v OR :z", "OR", ":v OR :z"),
            ("a[abc] = :v", "abc", "[abc]"),
            ("a[-1] = :v", "-", "[-1"),
            ("a[0.b = :v", ".", "0.b"),
            ("a. = :v", "=", ". = :v"),
            ("a = NOT b", "NOT", "= NOT b"),
            ("a = (b = c)", "<EOF>", ")"),
            ("and = :v", "and", "and ="),
            ("1 = :v", "1", "1 ="),
            ("a = 1", "1", "= 1"),
            (" ", "<EOF>", ""),
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
                "name = :v",
                "Attribute name is a reserved keyword; reserved keyword: name",
            ),
            (
                "m.COMMENT = :v",
                "Attribute name is a reserved keyword; reserved keyword: COMMENT",
            ),
            (
                "a = :missing",
                "An expression attribute value used in expression is not defined; attribute value: :missing",
            ),
            (
                "#x = :v",
                "An expression attribute name used in the document path is not defined; attribute name: #x",
            ),
            ("((a = :v))", "The expression has redundant parentheses;"),
            ("((a)) = :v", "The expression has redundant parentheses;"),
            (
                "(a = :v) AND ((b = :v))",
                "The expression has redundant parentheses;",
            ),
            ("f(a)", "Invalid function name; function: f"),
            ("SIZE(a) = :n", "Invalid function name; function: SIZE"),
            (
                "if_not_exists(a, :v) = :v",
                "The function is not allowed in a condition expression; function: if_not_exists",
            ),
            (
                "size(a)",
                "The function is not allowed to be used this way in an expression; function: size",
            ),
            (
                "size(contains(a, :v)) = :n",
                "The function is not allowed to be used this way in an expression; function: contains",
            ),
            (
                "begins_with(a, :v) = :t",
                "The function is not allowed to be used this way in an expression; function: begins_with",
            ),
            (
                "contains(#n)",
                "Incorrect number of operands for operator or function; operator or function: contains, number of operands: 1",
            ),
            (
                "begins_with(a, :v, :z)",
                "Incorrect number of operands for operator or function; operator or function: begins_with, number of operands: 3",
            ),
            (
                "size(a, b) = :n",
                "Incorrect number of operands for operator or function; operator or function: size, number of operands: 2",
            ),
            (
                "begins_with(a, :n)",
                "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
            ),
            (
                "size(:n) = :n",
                "Incorrect operand type for operator or function; operator or function: size, operand type: N",
            ),
            (
                "size(size(a)) = :n",
                "Incorrect operand type for operator or function; operator or function: size, operand type: N",
            ),
            (
                "a < :t",
                "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL",
            ),
            (
                "a BETWEEN :m AND :m",
                "Incorrect operand type for operator or function; operator or function: BETWEEN, operand type: M",
            ),
            (
                "attribute_exists(:v)",
                "Operator or function requires a document path; operator or function: attribute_exists",
            ),
            (
                "attribute_type(a, b)",
                "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: {S,SS,N,NS,B,BS,BOOL,NULL,L,M}",
            ),
            (
                "attribute_type(a, :n)",
                "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: N",
            ),
            (
                "attribute_type(a, :STRING)",
                "Invalid attribute type name found; type: STRING, valid types: {S,SS,N,NS,B,BS,BOOL,NULL,L,M}",
            ),
            (
                "contains(a.b[0], a.b[0])",
                "The first operand must be distinct from the remaining operands for this operator or function; operator: contains, first operand: [a, b, [0]]",
            ),
            (
                "a = a",
                "The first operand must be distinct from the remaining operands for this operator or function; operator: =, first operand: [a]",
            ),
            (
                "a BETWEEN :n AND :four",
                "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {N:5}, upper bound operand: AttributeValue: {N:4}",
            ),
            (
                "a BETWEEN :b AND :B",
                "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {B:eg==}, upper bound operand: AttributeValue: {B:YQ==}",
            ),
            (
                "a BETWEEN :n AND :v",
                "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {N:5}, upper bound operand: AttributeValue: {S:x}",
            ),
            (
                "a[2147483648] = :v",
                "List index is not within the allowable range; index: [2147483648]",
            ),
        ] {
            assert_eq!(refused(text), message, "{text}");
        }
        let many = format!("a IN ({})", vec![":v"; 101].join(","));
        assert_eq!(
            refused(&many),
            "The IN operator is provided with too many operands; number of operands: 101"
        );
        let deep = format!("a{} = :v", ".b".repeat(32));
        assert_eq!(
            refused(&deep),
            "The document path has too many nesting levels; nesting levels: 33"
        );
    }

    #[test]
    fn size_and_operators_are_limited() {
        assert_eq!(
            refused(&"x".repeat(4097)),
            "Expression size has exceeded the maximum allowed size; expression size: 4097"
        );
        let conjunction = |count: usize| vec!["a<b"; count].join(" or ");
        assert!(refused_or_ok(&conjunction(150)).is_ok(), "299 operators");
        assert_eq!(
            refused(&conjunction(151)),
            "The expression contains too many operators; operator count: 301"
        );
    }

    fn refused_or_ok(text: &str) -> Result<Condition, ExpressionError> {
        parse(
            ExpressionKind::Condition,
            text,
            &mut Substitutions::default(),
        )
    }

    /// Runs on a thread with a small stack, so that recursion on the text's nesting would show.
    #[test]
    fn no_nesting_overflows_the_stack() {
        let run = || {
            let nest = |open: &str, inner: &str, close: &str, depth: usize| {
                refused_or_ok(&format!(
                    "{}{inner}{}",
                    open.repeat(depth),
                    close.repeat(depth)
                ))
            };
            let too_long = |result: Result<Condition, ExpressionError>| {
                matches!(result.unwrap_err().problem, Problem::TooLong(_))
            };
            assert!(too_long(nest("(", "a<b", ")", 100_000)));
            assert!(too_long(nest("not ", "a<b", "", 100_000)));
            assert!(too_long(refused_or_ok(&"(".repeat(100_000))));
            let problem = |result: Result<Condition, ExpressionError>| result.unwrap_err().problem;
            assert_eq!(
                problem(nest("(", "a<b", ")", 2046)),
                Problem::RedundantParentheses
            );
            assert!(matches!(
                problem(refused_or_ok(&"(".repeat(4096))),
                Problem::Syntax { .. }
            ));
            assert_eq!(
                problem(nest("not ", "a<b", "", 1000)),
                Problem::TooManyOperators(301)
            );
            assert_eq!(
                problem(refused_or_ok(&format!(
                    "a < {}b{}",
                    "f(".repeat(1355),
                    ")".repeat(1355)
                ))),
                Problem::UnknownFunction("f".to_owned())
            );
            assert!(matches!(
                problem(refused_or_ok(&format!(
                    "a < {}b{}",
                    "size(".repeat(680),
                    ")".repeat(680)
                ))),
                Problem::OperandType { .. }
            ));
            let deepest = nest("not (", "a<b", ")", 299).unwrap();
            assert!(
                deepest.holds(&crate::Item::new()),
                "an odd number of negations"
            );
            let right = format!("a<b {}{}", "or (a<b ".repeat(149), ")".repeat(149));
            assert!(!refused_or_ok(&right).unwrap().holds(&crate::Item::new()));
        };
        let thread = std::thread::Builder::new().stack_size(512 * 1024);
        thread.spawn(run).unwrap().join().unwrap();
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,80}") {
            let _ = refused_or_ok(&text);
        }

        #[test]
        fn parsing_tokens_never_panics(tokens in prop::collection::vec(prop::sample::select(vec![
            "a", "#n", ":v", "AND", "OR", "NOT", "BETWEEN", "IN", "(", ")", "[", "]", "0", ",",
            ".", "=", "<>", "<", "size", "contains", "attribute_exists", "f", "+", "!",
        ]), 0..25)) {
            let text = tokens.join(" ");
            if let Ok(condition) = refused_or_ok(&text) {
                condition.holds(&crate::Item::new());
            }
        }
    }
}
