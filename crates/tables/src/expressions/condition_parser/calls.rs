//! Function calls in a condition: what each stands for, and what is wrong with how it is called.
//! It looks at complete calls, and reads no text.

use crate::expressions::Problem;
use crate::expressions::condition::{Operand, Test};
use crate::expressions::parser::Class;
use crate::{AttributeType, AttributeValue};

use super::{ConditionParser, Node, wrong_count};

impl ConditionParser<'_> {
    /// What a complete call is: `size` has a value, the others are tests.
    pub(super) fn call(&mut self, name: String, mut operands: Vec<Operand>) -> Node {
        if name != "size" {
            return Node::Call(name, operands);
        }
        if let Some(problem) = wrong_count("size", 1, operands.len()) {
            self.parser.note(Class::OperandCount, problem);
        }
        let operand = operands.swap_remove(0);
        let unsized_type = operand.known_type().filter(|known| {
            use AttributeType::{Bool, Null, Number};
            matches!(known, Number | Bool | Null)
        });
        if let Some(known) = unsized_type {
            self.wrong_type("size", known);
            // Nothing is nested in what is refused, so the tree stays flat.
            return Node::Operand(Operand::Size(Box::new(Operand::Literal(
                AttributeValue::Null,
            ))));
        }
        Node::Operand(Operand::Size(Box::new(operand)))
    }

    /// The operand that a node is; a call that is none is noted.
    pub(super) fn operand(&mut self, node: Node) -> Operand {
        match node {
            Node::Operand(operand) => operand,
            Node::Call(name, _) => {
                self.note_call(&name, true);
                Operand::Literal(AttributeValue::Null)
            }
            Node::Test(_) => unreachable!("tests are refused where operands are awaited"),
        }
    }

    /// Notes what is wrong with calling a function here, by its name alone.
    fn note_call(&mut self, name: &str, as_operand: bool) -> bool {
        let name_owned = name.to_owned();
        match name {
            "attribute_exists"
            | "attribute_not_exists"
            | "attribute_type"
            | "begins_with"
            | "contains" => {
                if as_operand {
                    let problem = Problem::MisusedFunction(name_owned);
                    self.parser.note(Class::Misuse, problem);
                }
                !as_operand
            }
            "if_not_exists" | "list_append" => {
                let problem = Problem::NotInCondition(name_owned);
                self.parser.note(Class::Function, problem);
                false
            }
            _ => {
                let problem = Problem::UnknownFunction(name_owned);
                self.parser.note(Class::Function, problem);
                false
            }
        }
    }

    /// The test that a call is; where it is none that is noted, and the test is a placeholder.
    pub(super) fn call_as_test(&mut self, name: &str, operands: Vec<Operand>) -> Test {
        let placeholder = Test::Any(Vec::new());
        if !self.note_call(name, false) {
            return placeholder;
        }
        let wanted = if name.starts_with("attribute_") && name != "attribute_type" {
            1
        } else {
            2
        };
        if let Some(problem) = wrong_count(name, wanted, operands.len()) {
            self.parser.note(Class::OperandCount, problem);
            return placeholder;
        }
        let mut operands = operands.into_iter();
        let (first, second) = (operands.next(), operands.next());
        match (name, first, second) {
            ("attribute_exists", Some(Operand::Path(path)), _) => Test::Exists(path),
            ("attribute_not_exists", Some(Operand::Path(path)), _) => Test::NotExists(path),
            ("attribute_type", Some(operand), Some(wanted)) => match self.type_named(&wanted) {
                Some(wanted) => Test::HasType(operand, wanted),
                None => placeholder,
            },
            ("begins_with", Some(value), Some(start)) => {
                self.check_distinct(name, &value, &start);
                self.check_begins_with(&value);
                self.check_begins_with(&start);
                Test::BeginsWith(value, start)
            }
            ("contains", Some(value), Some(part)) => {
                self.check_distinct(name, &value, &part);
                Test::Contains(value, part)
            }
            _ => {
                let problem = Problem::PathRequired(name.to_owned());
                self.parser.note(Class::Operands, problem);
                placeholder
            }
        }
    }

    /// The type that the second operand of `attribute_type` names.
    fn type_named(&mut self, operand: &Operand) -> Option<AttributeType> {
        let problem = match operand {
            Operand::Literal(AttributeValue::String(tag)) => match AttributeType::of_tag(tag) {
                Some(found) => return Some(found),
                None => Problem::UnknownType(tag.clone()),
            },
            other => Problem::OperandType {
                operator: "attribute_type".to_owned(),
                found: other.known_type().map_or_else(
                    || "{S,SS,N,NS,B,BS,BOOL,NULL,L,M}".to_owned(),
                    |known| known.to_string(),
                ),
            },
        };
        self.parser.note(Class::Operands, problem);
        None
    }

    fn check_begins_with(&mut self, operand: &Operand) {
        use AttributeType::{Binary, String};
        if let Some(known) = operand
            .known_type()
            .filter(|one| !matches!(one, String | Binary))
        {
            self.wrong_type("begins_with", known);
        }
    }
}
