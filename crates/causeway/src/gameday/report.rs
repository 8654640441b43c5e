//! What becomes of a game day's report: printed, written to a folder, and summed up in the exit
//! code. What it says is the crate `gameday`'s.

use std::path::Path;

use gameday::{Observations, Plan, Report};

use super::options::Run;
use crate::failure::Failure;
use crate::files::{self, Readers};
use crate::output;

/// Makes the folder for the report, so that nobody learns after the run that it can't be made.
pub fn prepare(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|cause| {
        let failure = format!("can't make the folder {}: {cause}", folder.display());
        Failure::wrong_use(failure).then("name another with --report DIR")
    })
}

/// Prints and writes the report. A failure says what did not hold.
pub fn finish(plan: &Plan, observations: &Observations, options: &Run) -> Result<(), Failure> {
    let report = Report::of(plan, observations);
    match options.json {
        true => output::print_json(&report.json())?,
        false => output::print(report.text())?,
    }
    if let Some(folder) = &options.report {
        write(&report, folder)?;
        let html = folder.join("report.html");
        output::note(format_args!("the report is {}", html.display()));
    }
    match report.holds() {
        true => Ok(()),
        false => Err(Failure::did_not_hold(verdict(&report))),
    }
}

fn write(report: &Report<'_>, folder: &Path) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(&report.json()).map_err(Failure::did_not_hold)?;
    for (name, text) in [
        ("report.html", report.html()),
        ("report.json", json + "\n"),
        ("junit.xml", report.junit()),
    ] {
        files::write(&folder.join(name), &text, Readers::Anyone)?;
    }
    Ok(())
}

/// What did not hold, in a sentence.
fn verdict(report: &Report<'_>) -> String {
    let steps = report.failed_steps();
    let steps = steps.iter().map(|step| format!("not done: {step}"));
    let outcomes = report.outcomes.iter().filter(|outcome| !outcome.holds);
    let outcomes = outcomes.map(|outcome| {
        let expectation = &outcome.expectation;
        let unit = expectation.metric.name.unit();
        format!("{} ({})", expectation.text, outcome.measured.show(unit))
    });
    let all: Vec<String> = steps.chain(outcomes).collect();
    format!("the game day did not hold: {}", all.join("; "))
}
