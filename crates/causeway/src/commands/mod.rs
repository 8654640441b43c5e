//! What each command does, apart from `up`: one question to the running lab, and its answer in
//! words or JSON.

mod conflicts;
mod council;
mod env;
mod fault;
mod lab;
mod places;
mod rotate;
mod status;
mod verify;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};

use runtime::{DirectoryLock, SystemEnvironment};
use serde_json::Value;
use types::Environment;

use crate::cli;
use crate::control::{self, Command};
use crate::failure::Failure;
use crate::lab::Lab;
use crate::output;

pub use conflicts::conflicts;
pub use council::council;
pub use env::env;
pub use fault::fault;
pub use lab::{down, lag};
pub use places::places;
pub use rotate::rotate;
pub use status::status;
pub use verify::verify;

/// A lab that runs.
struct RunningLab {
    lab: Lab,
    front_door: SocketAddr,
    /// The supervisor's process.
    holder: Option<i32>,
}

impl RunningLab {
    /// The lab that was named, if it runs.
    fn find(named: &cli::Lab) -> Result<RunningLab, Failure> {
        let data = &named.data;
        let start = "start it with `causeway up`, or name another with --data DIR";
        let lab = Lab::find(data)?.ok_or_else(|| {
            let data = data.display();
            Failure::nothing_running(format!("there is no lab in {data}")).then(start)
        })?;
        let holder = DirectoryLock::holder(data);
        if holder.is_none() && named.api_port.is_none() {
            let data = data.display();
            let failure = Failure::nothing_running(format!("the lab in {data} is not running"));
            return Err(failure.then(start));
        }
        let front_door = match named.api_port {
            Some(port) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
            None => lab.front_door(),
        };
        Ok(RunningLab {
            lab,
            front_door,
            holder,
        })
    }

    /// Asks its control API.
    async fn ask(&self, command: &Command) -> Result<Value, Failure> {
        let deployment = self.lab.deployment();
        let (_, region) = deployment
            .regions()
            .next()
            .ok_or_else(|| Failure::wrong_use("the lab has no Region"))?;
        let now = SystemEnvironment::new().now().wall;
        control::ask(self.front_door, &self.lab.root_key, region, now, command).await
    }
}

/// Finds the lab, asks it and gives the answer.
fn ask(named: &cli::Lab, command: &Command) -> Result<Value, Failure> {
    let lab = RunningLab::find(named)?;
    block_on(async { lab.ask(command).await })
}

fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    runtime::run(0, future).map_err(anyhow::Error::from)?
}

/// The answer as the type it has.
fn read<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|cause| {
        Failure::did_not_hold(format!(
            "the lab answers in a way this binary doesn't understand ({cause})"
        ))
        .then("it may be another version's; stop it and start it with this one")
    })
}

/// The rows of an answer that every Region contributed to; those that didn't are told on stderr.
fn rows(answer: &Value, name: &str) -> Vec<Value> {
    let list = |name| answer.get(name).and_then(Value::as_array).cloned();
    for silent in list("silent").unwrap_or_default() {
        let text = |name| silent.get(name).and_then(Value::as_str).unwrap_or("?");
        let (region, reason) = (text("region"), text("reason"));
        output::note(format!("{region} did not answer: {reason}"));
    }
    list(name).unwrap_or_default()
}
