//! `causeway gameday`: lists and checks scenarios, and runs one against a lab of its own. The
//! language, the plan, the figures and the report are the crate `gameday`'s; here is the way to
//! real processes.

mod accelerators;
pub(crate) mod api;
mod aside;
mod breaks;
mod buckets;
mod databases;
mod deploy;
mod lab;
mod load;
mod options;
mod progress;
mod recorder;
mod records;
mod report;
mod run;
mod scenarios;
mod steps;
mod tables;
mod watch;

use std::sync::Arc;

use gameday::Plan;
use gameday::scenario::App;

use crate::failure::Failure;
use crate::output;
use progress::Progress;
use scenarios::Source;

pub use options::GameDayCommand;
use options::{Check, Run};

/// Carries out one of the game day commands.
pub fn gameday(command: &GameDayCommand) -> Result<(), Failure> {
    match command {
        GameDayCommand::Run(options) => run(options),
        GameDayCommand::List(options) => scenarios::list(options),
        GameDayCommand::Check(options) => check(options),
    }
}

fn run(options: &Run) -> Result<(), Failure> {
    let source = Source::find(&options.scenario.file)?;
    let mut scenario = source.parse(&options.scenario.settings)?;
    if let Some(seed) = options.seed {
        scenario.seed = seed;
    }
    if let Some(command) = &options.app {
        scenario.lab.app = Some(App::Command(command.clone()));
    }
    let app = scenarios::application(&scenario)?;
    if let Some(folder) = &options.report {
        report::prepare(folder)?;
    }
    let plan = Arc::new(Plan::of(scenario));
    databases::look_for_postgres(&plan.scenario)?;
    let progress = Progress::new(options.quiet);
    progress.say(format_args!(
        "{} (seed {})",
        plan.scenario.title, plan.scenario.seed
    ));
    let running = run::run(&plan, app.as_deref(), &progress);
    let observations = runtime::run(crate::worker_threads(), running);
    let observations = observations.map_err(anyhow::Error::from)??;
    report::finish(&plan, &observations, options)
}

fn check(options: &Check) -> Result<(), Failure> {
    let source = Source::find(&options.scenario.file)?;
    let plan = Plan::of(source.parse(&options.scenario.settings)?);
    match options.json {
        true => output::print_json(&plan),
        false => output::print(plan),
    }
}
