//! The language of scenarios: one TOML file to a checked [`Scenario`], or everything that is wrong
//! with it. `docs/gamedays.md` documents each word. It reads no file and looks at no clock.

mod accelerators;
mod codes;
mod expect;
mod global;
mod lab;
mod load;
mod names;
mod policy;
mod problem;
mod reading;
mod span;
mod steps;
mod timeline;
mod value;
mod variables;

use sha2::{Digest, Sha256};
use toml::de::DeTable;

use crate::limits;
use crate::scenario::Scenario;
pub use problem::{Position, Problem, Problems};
use reading::{Part, Reader, Section};

pub(crate) use reading::meant;
pub(crate) use span::show as show_span;

/// A variable set on the command line: `--set outage=5s`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The variable.
    pub name: String,
    /// Its value, as the command line has it.
    pub value: String,
}

impl std::str::FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Setting, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => Ok(Setting {
                name: name.trim().to_owned(),
                value: value.trim().to_owned(),
            }),
            _ => Err(format!(
                "`{text}` sets no variable; write NAME=VALUE, such as outage=5s"
            )),
        }
    }
}

impl Scenario {
    /// Reads a scenario. `file` is how messages name it, and where the scenario's name comes from;
    /// `settings` go before the values in `[variables]`.
    pub fn parse(file: &str, text: &str, settings: &[Setting]) -> Result<Scenario, Problems> {
        let reader = Reader::new(text);
        let scenario = match text.len() > limits::FILE_BYTES {
            true => {
                let most = limits::FILE_BYTES / 1024;
                reader.problem_elsewhere(format!("a scenario has at most {most} KiB"), None);
                None
            }
            false => read_text(&reader, file, text, settings),
        };
        let (problems, further) = reader.into_problems();
        match (Problems::of(file, problems, further), scenario) {
            (Some(problems), _) => Err(problems),
            (None, Some(scenario)) => Ok(scenario),
            // What can't be read is noted as a problem; were that forgotten, nothing may start.
            (None, None) => Err(Problems {
                file: file.to_owned(),
                list: Vec::new(),
                more: 1,
            }),
        }
    }
}

fn read_text<'t>(
    reader: &Reader<'t>,
    file: &str,
    text: &'t str,
    settings: &[Setting],
) -> Option<Scenario> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let place = error.span().unwrap_or(0..0);
        reader.problem(&place, error.message().trim());
    }
    if !errors.is_empty() {
        return None;
    }
    let root = Section::new(reader, "a scenario", document.get_ref(), 0..0);
    read(&root, file, text, settings)
}

fn read(root: &Section<'_, '_>, file: &str, text: &str, settings: &[Setting]) -> Option<Scenario> {
    let reader = root.reader;
    let variables = reader.part(Part::Variables, || variables::read(root, settings));
    let title = root.required("title", "title = \"What happens\"");
    let title = title.and_then(|value| value.line(200));
    let description = root.get("description").and_then(|value| value.line(4_000));
    let seed = root
        .get("seed")
        .and_then(|value| value.whole((0, i64::MAX)));
    let lab = reader.part(Part::Lab, || lab::read(root));
    let lab = lab.as_ref();
    let tables = reader.part(Part::Tables, || {
        let tables = lab::tables(root, lab);
        let tables = lab::buckets(root, lab, tables);
        global::read(root, lab, tables)
    });
    let measure_section = measure_section(root);
    let measure = measure_section.as_ref().map(load::measure);
    let zones = reader.part(Part::Zones, || names::zones(root));
    let checks = reader.part(Part::HealthChecks, || names::health_checks(root, lab));
    let accelerators = reader.part(Part::Accelerators, || accelerators::read(root, lab));
    let context = names::Context {
        lab,
        zones: &zones,
        checks: &checks,
        accelerators: &accelerators,
        tables: &tables,
    };
    let records = reader.part(Part::Records, || names::records(root, &context));
    let length = measure.as_ref().and_then(|measure| measure.length);
    let loads = reader.part(Part::Loads, || {
        load::loads(root, &context, &records, length)
    });
    let steps = reader.part(Part::Steps, || {
        steps::read(root, &context, &records, length)
    });
    let measure = measure_section.zip(measure).and_then(|(section, draft)| {
        load::finish_measure(&section, draft, (&tables, &loads), &steps)
    });
    timeline::check_needs(root, lab, &zones, &loads, &tables);
    let expectations = expect::read(root, lab, &loads, &steps);
    let shown = variables::shown(reader);
    root.check_unknown();
    // What is read wrong may be why a variable seems to be of no use.
    if reader.count() == 0 {
        variables::check_used(root, &variables);
    }
    let scenario = Scenario {
        name: stem(file),
        title: title?,
        description,
        seed: seed.and_then(|seed| u64::try_from(seed).ok()).unwrap_or(1),
        digest: digest(text, &shown),
        variables: shown,
        lab: lab?.clone(),
        tables,
        zones,
        accelerators,
        health_checks: checks,
        records: names::in_order(records),
        loads,
        steps: steps.into_iter().map(|(step, _)| step).collect(),
        measure: measure?,
        expectations,
    };
    Some(scenario)
}

fn measure_section<'r, 't>(root: &Section<'r, 't>) -> Option<Section<'r, 't>> {
    if root.has("measure") {
        return root.section("measure", "[measure]");
    }
    let help = "write how long the load runs: [measure] and length = \"60s\" below it";
    root.reader
        .problem_help(root.place(), "a scenario needs [measure]", help);
    None
}

/// The file's name without folders and ending.
fn stem(file: &str) -> String {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    name.strip_suffix(".toml").unwrap_or(name).to_owned()
}

/// What identifies a scenario: its text, and the variables in force.
fn digest(text: &str, variables: &[(String, String)]) -> String {
    let mut hash = Sha256::new();
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text);
    for part in variables.iter().flat_map(|(name, value)| [name, value]) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
