//! What each command does, apart from `up`: one question to the running lab, and its answer in
//! words or JSON.

mod balancers;
mod conflicts;
mod council;
mod databases;
mod edge;
mod env;
mod explain;
mod fault;
mod flows;
mod identity;
mod lab;
mod places;
mod rotate;
mod status;
mod verify;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ::identity::RootKey;
use runtime::{DirectoryLock, Endpoint, SystemEnvironment, Trust};
use serde_json::Value;
use types::{Environment, Region};

use crate::cli;
use crate::control::{self, Command};
use crate::failure::Failure;
use crate::files;
use crate::lab::Lab;
use crate::output;

pub use balancers::{balancer, balancers};
pub use conflicts::conflicts;
pub use council::council;
pub use databases::databases;
pub use edge::edge;
pub use env::env;
pub use explain::explain;
pub use fault::fault;
pub use flows::{accelerator, flows};
pub use identity::identity;
pub use lab::{down, lag, metrics};
pub use places::places;
pub use rotate::rotate;
pub use status::status;
pub use verify::verify;

/// A lab that runs, as far as a command needs to know it.
struct RunningLab {
    front_door: Endpoint,
    /// That as a URL for clients.
    url: String,
    /// The file with the authority that they must be told to trust, if there is one.
    authority: Option<PathBuf>,
    /// The operator's key.
    root_key: RootKey,
    /// A Region that requests to it are signed for.
    region: Region,
    /// The supervisor's process, if its directory was found.
    holder: Option<i32>,
}

impl RunningLab {
    /// The lab that was named, if it runs: by its directory; by its port alone, the key is in
    /// that directory or, as `causeway env` puts it, in the environment.
    fn find(named: &cli::Lab) -> Result<RunningLab, Failure> {
        let data = &named.data;
        let start = "start it with `causeway up`, or name another with --data DIR";
        let given = named.key.source().given()?;
        let lab = Lab::find(data, given.as_ref())?;
        let holder = lab.as_ref().and_then(|_| DirectoryLock::holder(data));
        let port_of = |lab: &Lab| lab.settings.api_port;
        let meant = match (&lab, named.api_port) {
            (Some(lab), Some(port)) => port_of(lab) == port,
            (found, None) => found.is_some(),
            (None, Some(_)) => false,
        };
        match (lab, named.api_port) {
            (Some(lab), _) if meant && holder.is_some() => RunningLab::of(&lab, holder),
            (lab, Some(port)) => match (RunningLab::of_environment(port)?, lab) {
                (Some(found), _) => Ok(found),
                (None, Some(lab)) => RunningLab::of(&lab, holder).map(|found| RunningLab {
                    front_door: Endpoint {
                        address: SocketAddr::new(found.front_door.address.ip(), port),
                        ..found.front_door
                    },
                    url: lab.settings.endpoint.url(port),
                    ..found
                }),
                (None, None) => Err(Failure::wrong_use(format!(
                    "there is no lab in {} whose key would open the one at port {port}",
                    data.display()
                ))
                .then("name its directory with --data DIR, or set what its `causeway env` prints")),
            },
            (Some(_), None) => {
                let data = data.display();
                let failure = Failure::nothing_running(format!("the lab in {data} is not running"));
                Err(failure.then(start))
            }
            (None, None) => {
                let data = data.display();
                Err(Failure::nothing_running(format!("there is no lab in {data}")).then(start))
            }
        }
    }

    fn of(lab: &Lab, holder: Option<i32>) -> Result<RunningLab, Failure> {
        let deployment = lab.deployment();
        let region = deployment.regions().next().map(|(_, region)| region);
        Ok(RunningLab {
            front_door: lab.endpoint()?,
            url: lab.url(),
            authority: lab.authority_file(),
            root_key: lab.root_key.clone(),
            region: region.ok_or_else(|| Failure::wrong_use("the lab has no Region"))?,
            holder,
        })
    }

    /// The lab at that port, if the environment has a key and a Region.
    fn of_environment(port: u16) -> Result<Option<RunningLab>, Failure> {
        let variable = |name| runtime::variable(name).filter(|text| !text.is_empty());
        let (Some(id), Some(secret), Some(region)) = (
            variable("AWS_ACCESS_KEY_ID"),
            variable("AWS_SECRET_ACCESS_KEY"),
            variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")),
        ) else {
            return Ok(None);
        };
        let wrong = |cause: &dyn std::fmt::Display| {
            Failure::wrong_use(format!(
                "the environment's credentials are no lab's: {cause}"
            ))
            .then("`eval \"$(causeway env --data DIR)\"` sets those of a lab")
        };
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        let has_tls = variable("AWS_ENDPOINT_URL").is_some_and(|url| url.starts_with("https:"));
        let authority = variable("AWS_CA_BUNDLE")
            .filter(|_| has_tls)
            .map(PathBuf::from);
        let trust = match &authority {
            Some(file) => {
                let trust = Trust::authorities(&files::read(file)?);
                Some(trust.map_err(|cause| wrong(&cause))?)
            }
            None => None,
        };
        let scheme = if trust.is_some() { "https" } else { "http" };
        Ok(Some(RunningLab {
            front_door: Endpoint { address, trust },
            url: format!("{scheme}://{address}"),
            authority,
            root_key: RootKey::new(&id, &secret).map_err(|cause| wrong(&cause))?,
            region: region.parse().map_err(|cause| wrong(&cause))?,
            holder: None,
        }))
    }

    /// Asks its control API.
    async fn ask(&self, command: &Command) -> Result<Value, Failure> {
        let now = SystemEnvironment::new().now().wall;
        control::ask(&self.front_door, &self.root_key, self.region, now, command).await
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
