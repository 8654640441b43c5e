//! `[variables]`: names for what a scenario repeats or a command line changes, and `--set`.

use std::collections::BTreeMap;

use super::Setting;
use super::problem::nearest;
use super::reading::{Constant, Place, Reader, Section};
use super::value::{Value, show, variable_name};
use crate::limits;

/// Reads the table, puts the settings in force, and gives the names with their places.
pub(super) fn read(root: &Section<'_, '_>, settings: &[Setting]) -> BTreeMap<String, Place> {
    let mut places = BTreeMap::new();
    let reader = root.reader;
    if let Some(section) = root.section("variables", "[variables]") {
        let keys = section.keys();
        if let Some((_, place)) = keys.get(limits::VARIABLES) {
            let most = limits::VARIABLES;
            reader.problem(place, format!("at most {most} variables are allowed"));
        }
        for (name, place) in keys.into_iter().take(limits::VARIABLES) {
            if variable_name(&format!("${name}")).is_none() {
                let message = "a variable's name has letters, digits and `_`";
                reader.problem(&place, message);
                continue;
            }
            if let Some(constant) = section.constant(name) {
                reader.define(name, constant);
                places.insert(name.to_owned(), place);
            }
        }
    }
    for setting in settings {
        set(reader, setting);
    }
    places
}

impl<'r> Section<'r, '_> {
    /// The constant of a key whose name isn't one of the language's words. Variables don't refer
    /// to variables.
    fn constant(&self, name: &str) -> Option<Constant> {
        let (place, value) = self.entry(name)?;
        match Value::plain(value) {
            Some(Constant::Text(text)) if text.contains('$') => {
                let message = "a variable can't refer to another";
                self.reader.problem_help(&place, message, "write its value");
                None
            }
            Some(constant) => Some(constant),
            None => {
                let message = "a variable is a text, a number, or true or false";
                self.reader.problem(&place, message);
                None
            }
        }
    }
}

/// Gives a variable the value of the command line, as the type it was declared with.
fn set(reader: &Reader<'_>, setting: &Setting) {
    let Setting { name, value } = setting;
    let variables = reader.variables();
    let Some(declared) = variables.get(name) else {
        let names: Vec<&str> = variables.keys().map(String::as_str).collect();
        let help = match (nearest(name, names.iter().copied()), names.is_empty()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, true) => "the scenario has no [variables]".to_owned(),
            (None, false) => format!("it has {}", super::problem::listed(names)),
        };
        let message = format!("--set {name}={value}: there is no variable `{name}`");
        return reader.problem_elsewhere(message, Some(help));
    };
    let given = match declared {
        Constant::Text(_) => Some(Constant::Text(value.clone())),
        Constant::Flag(_) => value.parse().ok().map(Constant::Flag),
        Constant::Whole(_) | Constant::Decimal(_) => {
            let whole = value.parse().ok().map(Constant::Whole);
            let decimal = value
                .parse::<f64>()
                .ok()
                .filter(|number| number.is_finite());
            whole.or(decimal.map(Constant::Decimal))
        }
    };
    match given {
        Some(constant) => reader.define(name, constant),
        None => {
            let message = format!("--set {name}={value}: `{value}` is not of the variable's kind");
            let help = format!("in the scenario it is {}", show(declared));
            reader.problem_elsewhere(message, Some(help));
        }
    }
}

/// The variables and their values as text.
pub(super) fn shown(reader: &Reader<'_>) -> Vec<(String, String)> {
    let variables = reader.variables().into_iter();
    variables
        .map(|(name, value)| (name, show(&value)))
        .collect()
}

/// Notes the variables that nothing uses: most likely a slip.
pub(super) fn check_used(root: &Section<'_, '_>, places: &BTreeMap<String, Place>) {
    for (name, place) in places {
        if !root.reader.is_used(name) {
            let message = format!("the variable `{name}` is used nowhere");
            let help = format!("write \"${name}\" where it is to stand, or remove it");
            root.reader.problem_help(place, message, help);
        }
    }
}
