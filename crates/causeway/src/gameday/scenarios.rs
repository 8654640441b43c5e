//! Where scenarios come from: files, and those that are shipped within the binary; and the
//! application that they run.

use std::path::{Path, PathBuf};

use gameday::scenario::{App, Table as Orders};
use gameday::{Scenario, Setting};
use serde_json::json;

use super::options::List;
use crate::failure::Failure;
use crate::output::{self, Table};

/// A shipped scenario: its name and text.
macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        [$((
            $name,
            include_str!(concat!("../../../../gamedays/", $name, ".toml")),
        )),*]
    };
}

/// The shipped scenarios, in the order in which they are listed.
const SHIPPED: [(&str, &str); 16] = shipped![
    "region-outage",
    "active-active-latency",
    "residency-geolocation",
    "bucket-replication",
    "aurora-global-failover",
    "accelerator-vs-dns",
    "endpoint-refuses",
    "endpoint-hangs",
    "endpoint-drops",
    "endpoint-errors",
    "endpoint-slow",
    "endpoint-flaps",
    "checker-only-partition",
    "all-unhealthy",
    "control-plane-away",
    "edge-dies",
];

/// The example application's file, beside this program's.
const ORDERS: &str = "orders";

/// A scenario's text and how messages name it.
pub struct Source {
    /// `gamedays/region-outage.toml`
    pub name: String,
    text: String,
}

impl Source {
    /// The file; or, where there is none, the shipped scenario of that name.
    pub fn find(file: &Path) -> Result<Source, Failure> {
        let shown = file.display().to_string();
        let shipped = SHIPPED.iter().find(|(name, _)| *name == shown);
        match (std::fs::read(file), shipped) {
            (Ok(bytes), _) => match String::from_utf8(bytes) {
                Ok(text) => Ok(Source { name: shown, text }),
                Err(_) => Err(Failure::wrong_use(format!("{shown} is not text"))),
            },
            (Err(_), Some((name, text))) => Ok(Source {
                name: format!("{name}.toml"),
                text: (*text).to_owned(),
            }),
            (Err(cause), None) => {
                let failure = Failure::wrong_use(format!("can't read {shown}: {cause}"));
                Err(failure.then("`causeway gameday list` shows the scenarios there are"))
            }
        }
    }

    /// The scenario, with these variables; or everything that is wrong with it.
    pub fn parse(&self, settings: &[Setting]) -> Result<Scenario, Failure> {
        let parsed = Scenario::parse(&self.name, &self.text, settings);
        parsed.map_err(|problems| {
            let text = problems.to_string();
            Failure::wrong_use(format!("the scenario is wrong\n{}", text.trim_end()))
        })
    }
}

/// `causeway gameday list`.
pub fn list(options: &List) -> Result<(), Failure> {
    let shipped = SHIPPED.iter().map(|(name, text)| Source {
        name: (*name).to_owned(),
        text: (*text).to_owned(),
    });
    let found = files(&options.folder)?.into_iter();
    let found = found.filter_map(|file| Source::find(&file).ok());
    // In the project's own folder the shipped ones lie as files.
    let is_shipped = |source: &Source| SHIPPED.iter().any(|(_, text)| *text == source.text);
    let found = found.filter(|source| !is_shipped(source));
    let titles = shipped.chain(found).map(|source| {
        let title = match source.parse(&[]) {
            Ok(scenario) => Some(scenario.title),
            Err(_) => None,
        };
        (source.name, title)
    });
    let titles: Vec<(String, Option<String>)> = titles.collect();
    if options.json {
        let rows = titles.iter();
        let rows = rows.map(|(name, title)| json!({ "scenario": name, "title": title }));
        return output::print_json(&rows.collect::<Vec<_>>());
    }
    let mut table = Table::new(["SCENARIO", "TITLE"]);
    for (name, title) in titles {
        let wrong = || {
            format!(
                "wrong: `causeway gameday check {}` says why",
                output::quoted(&name)
            )
        };
        let title = title.unwrap_or_else(wrong);
        table.row([name, title]);
    }
    output::print(table)
}

/// The scenarios' files in a folder, by name. A folder that isn't there has none.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => {
            let failure = format!("can't read {}: {cause}", folder.display());
            return Err(Failure::wrong_use(failure));
        }
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let is_scenario = |path: &PathBuf| path.extension().is_some_and(|end| end == "toml");
    let mut files: Vec<PathBuf> = paths.filter(is_scenario).collect();
    files.sort();
    Ok(files)
}

/// The command that runs the scenario's application, as `causeway up --app` takes it.
pub fn application(scenario: &Scenario) -> Result<Option<String>, Failure> {
    match &scenario.lab.app {
        None => Ok(None),
        Some(App::Command(command)) => Ok(Some(format!("{}{command}", exported(scenario)))),
        Some(App::Orders) => {
            let table = scenario
                .measure
                .table
                .or((!scenario.tables.is_empty()).then_some(0));
            let table = table.map(|index| &scenario.tables[index]);
            let name = table.map_or("Orders", |table| table.name.as_str());
            let kept_in = match table.is_some_and(Orders::is_buckets) {
                true => "BUCKET",
                false => "TABLE",
            };
            let program = orders()?;
            let program = output::quoted(&program.to_string_lossy());
            let set = set_variables(scenario);
            Ok(Some(format!(
                "{set}{kept_in}={} exec {program}",
                output::quoted(name)
            )))
        }
    }
}

/// The variables of the application's environment, before a command of the shell.
fn set_variables(scenario: &Scenario) -> String {
    let set = scenario.lab.environment.iter();
    let set = set.map(|(name, value)| format!("{name}={} ", output::quoted(value)));
    set.collect()
}

/// The same for a command that may be anything the shell understands.
fn exported(scenario: &Scenario) -> String {
    let set = scenario.lab.environment.iter();
    let set = set.map(|(name, value)| format!("export {name}={}; ", output::quoted(value)));
    set.collect()
}

fn orders() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().map_err(Failure::did_not_hold)?;
    let beside = own.with_file_name(ORDERS);
    match beside.is_file() {
        true => Ok(beside),
        false => Err(Failure::wrong_use(format!(
            "the application of this scenario is not there: {}",
            beside.display()
        ))
        .then("`cargo build -p orders` builds it; or name another with --app COMMAND")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_scenarios_are_right_and_found_by_name() {
        for (name, _) in SHIPPED {
            let source = Source::find(Path::new(name)).unwrap();
            let scenario = source
                .parse(&[])
                .unwrap_or_else(|failure| panic!("{failure}"));
            assert_eq!(scenario.name, name);
            assert!(
                !scenario.expectations.is_empty(),
                "{name} expects something"
            );
        }
    }

    #[test]
    fn every_file_of_the_project_s_folder_is_shipped() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../gamedays");
        let mut lying: Vec<String> = files(&folder)
            .unwrap()
            .iter()
            .map(|file| file.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        let mut shipped: Vec<String> = SHIPPED.map(|(name, _)| name.to_owned()).to_vec();
        lying.sort();
        shipped.sort();
        assert_eq!(lying, shipped);
    }

    #[test]
    fn an_environment_stands_before_the_application_s_command() {
        let text = "title = \"x\"\n[lab]\nregions = [\"us-east-1\"]\napp = \"serve | tee log\"\n\
                    [lab.environment]\nLOG = \"a b\"\n[measure]\nlength = \"5s\"\n";
        let scenario = Scenario::parse("x.toml", text, &[]).unwrap();
        let command = application(&scenario).unwrap();
        assert_eq!(
            command.as_deref(),
            Some("export LOG='a b'; serve | tee log")
        );
    }

    #[test]
    fn what_is_no_scenario_is_told_by_name_and_place() {
        let absent = Source::find(Path::new("no-such-game-day")).err().unwrap();
        assert!(absent.to_string().contains("no-such-game-day"), "{absent}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("broken.toml");
        std::fs::write(&file, "title = \"x\"\nlaod = 3\n").unwrap();
        let source = Source::find(&file).unwrap();
        let wrong = source.parse(&[]).unwrap_err();
        assert!(wrong.to_string().contains("broken.toml:2:1"), "{wrong}");
        assert_eq!(files(folder.path()).unwrap(), [file]);
        assert!(files(&folder.path().join("absent")).unwrap().is_empty());
    }
}
