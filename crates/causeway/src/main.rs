//! The `causeway` binary: reads the command line and carries out one command.

mod announce;
mod cli;
mod commands;
mod control;
mod drain;
mod duration;
mod failure;
mod faults;
mod files;
mod gameday;
mod lab;
mod listing;
mod output;
mod protocol;
mod site;
mod supervisor;
mod up;

use std::ffi::OsString;

use clap::Parser;
use cli::{Cli, Command, EdgeCommand};
use failure::{ExitCode, Failure};

fn main() -> std::process::ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let as_json = cli::asks_for_json(&words);
    let done = match Cli::try_parse_from(&words) {
        Ok(cli) => {
            log(&cli.command);
            carry_out(&cli.command)
        }
        Err(error) if as_json && error.use_stderr() => Err(cli::failure(&error)),
        // Help and version, which are no failures, and what clap tells people best itself.
        Err(error) => error.exit(),
    };
    match done {
        Ok(()) => code(ExitCode::Done),
        Err(failure) => {
            output::print_failure(&failure, as_json);
            code(failure.code)
        }
    }
}

fn carry_out(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Up(options) => up::up(options),
        Command::Env(query) => commands::env(query),
        Command::Status(query) => commands::status(query),
        Command::Down(query) => commands::down(query),
        Command::Lag(query) => commands::lag(query),
        Command::Metrics(query) => commands::metrics(query),
        Command::Conflicts(command) => commands::conflicts(command),
        Command::Places(options) => commands::places(options),
        Command::Explain(question) => commands::explain(question),
        Command::Accelerator(command) => commands::accelerator(command),
        Command::Flows(query) => commands::flows(query),
        Command::Edge(command) => commands::edge(command),
        Command::Balancers(query) => commands::balancers(query),
        Command::Balancer(command) => commands::balancer(command),
        Command::Databases(command) => commands::databases(command),
        Command::Verify(query) => commands::verify(query),
        Command::Rotate(query) => commands::rotate(query),
        Command::Identity(command) => commands::identity(command),
        Command::Fault(command) => commands::fault(command),
        Command::Council(command) => commands::council(command),
        Command::Gameday(command) => gameday::gameday(command),
        Command::Announce(options) => announce::announce(options),
        Command::Region(arguments) => site::run_region(&arguments.config),
        Command::Guard => {
            runtime::guard_main();
            Ok(())
        }
    }
}

/// Logs go to stderr: a site's to its log file, and those of what stands beside an edge, which is
/// all of them from `info` on; a command's to the terminal, from `warn` on. `CAUSEWAY_LOG` (as in
/// `debug`, `runtime=debug`) says otherwise.
fn log(command: &Command) {
    let is_site = matches!(
        command,
        Command::Region(_) | Command::Edge(EdgeCommand::Run(_)) | Command::Announce(_)
    );
    let default = if is_site { "info" } else { "warn" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("CAUSEWAY_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    // S3's codec calls every "no such key" an error, and would show whole requests.
    let filter = filter.add_directive("s3s=off".parse().expect("a level for a crate is one"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    match is_site {
        true => subscriber.init(),
        false => subscriber.without_time().with_target(false).init(),
    }
}

/// Threads of a long-running process: one for each processor, and not more than are of use.
fn worker_threads() -> usize {
    let available = std::thread::available_parallelism();
    available.map_or(1, |threads| threads.get().min(8))
}

fn code(code: ExitCode) -> std::process::ExitCode {
    std::process::ExitCode::from(code as u8)
}
