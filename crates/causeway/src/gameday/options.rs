//! The command line of `causeway gameday`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use gameday::Setting;

#[derive(Subcommand, Debug)]
pub enum GameDayCommand {
    /// Run a game day: a lab of its own, load, faults, and a report of what they cost
    #[command(
        after_help = "FILE is a scenario's path, or the name of a shipped one (`causeway gameday \
        list`). Everything it starts is gone when it ends, also when it is killed.\n\n\
        Exit code 0: every expectation held. 1: one did not, or the run was broken off. 2: the \
        scenario is wrong. 3: the lab could not start.\n\nExamples:\n  \
        causeway gameday run region-outage --report report\n  \
        causeway gameday run gamedays/mine.toml --set outage=20s --json"
    )]
    Run(Run),
    /// List the shipped scenarios and those of a folder
    #[command(after_help = "Examples:\n  causeway gameday list\n  causeway gameday list drills")]
    List(List),
    /// Check a scenario and print what it would do
    #[command(
        after_help = "Exit code 0: it can be run. 2: it can't, and the output says what is wrong \
        where.\n\nExample:\n  causeway gameday check gamedays/mine.toml"
    )]
    Check(Check),
}

#[derive(Args, Debug)]
pub struct Run {
    #[command(flatten)]
    pub scenario: ScenarioArguments,
    /// Write report.html, report.json and junit.xml into this folder
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Run this command as the application, in place of the scenario's
    #[arg(long, value_name = "COMMAND")]
    pub app: Option<String>,
    /// Draw every choice from this seed, in place of the scenario's
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// Tell nothing while it runs
    #[arg(long)]
    pub quiet: bool,
}

#[derive(Args, Debug)]
pub struct List {
    /// The folder to look in beside
    #[arg(default_value = "gamedays", value_name = "DIR")]
    pub folder: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct Check {
    #[command(flatten)]
    pub scenario: ScenarioArguments,
    /// Print the plan as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct ScenarioArguments {
    /// The scenario: a file, or the name of a shipped one
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Set a variable of the scenario; may be given again
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub settings: Vec<Setting>,
}
