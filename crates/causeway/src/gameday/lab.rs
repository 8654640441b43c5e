//! The lab under test: `causeway up` as a child of this process, in a temporary directory and on
//! free ports, so that several game days can run side by side. When this process ends, however it
//! ends, the lab ends, and with it every fault (the lab's supervisor holds their leases); then the
//! directory goes. It touches no other lab.

use std::ffi::OsString;
use std::fmt::Write;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gameday::Scenario;
use runtime::{DirectoryLock, Exit, Guard, ProcessGroup, ProgramSpec, SystemEnvironment};
use serde::de::DeserializeOwned;
use serde_json::Value;
use types::{Environment, Monotonic, Region, Span};

use super::api::Api;
use super::databases;
use crate::control::{self, Command, StatusReport};
use crate::failure::{Cause, ExitCode, Failure};
use crate::files;
use crate::lab::{HealthInterval, KeySource, Lab, Listening, OperatorKey, Settings, Wishes};

/// The ports a lab is put on: what is 10,000 further up is below those the kernel gives to
/// clients (from 32,768), so that no client of another takes one between the look and the start.
const PORTS: std::ops::Range<u16> = 10_000..22_000;

/// How often ports are drawn until a set is free, and how often a lab is started that found one
/// taken after all.
const DRAWS: usize = 200;
const STARTS: usize = 5;

/// How often a lab that starts is asked whether it is ready.
const LOOK: Span = Span::milliseconds(50);

/// How long a lab may take to stop before it is killed.
const GRACE: Duration = Duration::from_secs(15);

/// How often the directory is removed after that, and how long after each other.
const REMOVALS: usize = 20;
const BETWEEN_REMOVALS: Span = Span::milliseconds(100);

/// A running lab.
pub struct TestLab {
    /// The clock of this process.
    pub environment: Arc<SystemEnvironment>,
    lab: Lab,
    directory: PathBuf,
    group: ProcessGroup,
    /// Held for as long as anything of the lab is there.
    _lock: DirectoryLock,
    _guard: Guard,
}

/// Where a lab is put before it is there.
struct Site {
    directory: PathBuf,
    lock: DirectoryLock,
    guard: Guard,
    /// The operator's key, if the environment gives one: the lab has that environment too.
    key: Option<OperatorKey>,
}

/// Why a start came to nothing.
#[derive(PartialEq, Eq, Debug)]
enum StartError {
    /// Somebody else has one of the ports: others may be free.
    PortTaken(Failure),
    /// Anything else.
    Failed(Failure),
}

impl TestLab {
    /// Starts the scenario's lab with that command as its application, and waits until it serves.
    pub async fn start(
        scenario: &Scenario,
        app: Option<&str>,
        environment: &Arc<SystemEnvironment>,
    ) -> Result<TestLab, Failure> {
        let site = make_site()?;
        databases::let_servers_pass(scenario, &site.directory)?;
        let started = TestLab::start_in(&site, scenario, app, environment).await;
        let (lab, group) = match started {
            Ok(started) => started,
            Err(failure) => {
                remove(&site.directory, environment).await;
                return Err(not_started(failure));
            }
        };
        Ok(TestLab {
            environment: Arc::clone(environment),
            lab,
            directory: site.directory,
            group,
            _lock: site.lock,
            _guard: site.guard,
        })
    }

    async fn start_in(
        site: &Site,
        scenario: &Scenario,
        app: Option<&str>,
        environment: &Arc<SystemEnvironment>,
    ) -> Result<(Lab, ProcessGroup), Failure> {
        let mut attempt = 1;
        loop {
            let data = site.directory.join(format!("lab-{attempt}"));
            let settings = free_ports(&data, scenario, app.is_some(), environment)?;
            let spec = program(site, &data, scenario, &settings, app)?;
            let group = ProcessGroup::spawn(&spec, &site.guard);
            let group = group.map_err(|cause| {
                Failure::did_not_hold(format!("can't start {}: {cause}", spec.program.display()))
            })?;
            let deadline = environment.now().monotonic + scenario.measure.deploy_within;
            let ready =
                wait_until_ready(&group, &spec.log, (&data, site), environment, deadline).await;
            match ready {
                Ok(lab) => return Ok((lab, group)),
                Err(StartError::PortTaken(_)) if attempt < STARTS => attempt += 1,
                Err(StartError::PortTaken(failure) | StartError::Failed(failure)) => {
                    return Err(failure);
                }
            }
        }
    }

    /// The AWS APIs of any Region, through the front door.
    pub fn api(&self) -> Api {
        self.api_at(self.lab.front_door())
    }

    /// The APIs of that Region alone, at its own address.
    pub fn api_of(&self, region: Region) -> Api {
        let site = self.lab.deployment().id_of(region);
        let site = site.expect("a scenario names Regions of its lab");
        self.api_at(self.lab.api_address(site))
    }

    fn api_at(&self, address: SocketAddr) -> Api {
        let environment = Arc::clone(&self.environment);
        Api::new(address, self.lab.root_key.clone(), environment)
    }

    /// Where the name server of the lab listens.
    pub fn dns(&self) -> SocketAddr {
        self.lab.settings.dns_address()
    }

    /// How many sites it has: Regions and edges.
    pub fn sites(&self) -> usize {
        self.lab.settings.sites.len()
    }

    /// Where the application of each Region listens, in the order of the Regions.
    pub fn applications(&self) -> Vec<(Region, SocketAddr)> {
        let deployment = self.lab.deployment();
        let regions = deployment.regions();
        regions
            .map(|(site, region)| (region, self.lab.app_address(site)))
            .collect()
    }

    /// Where the instances of a Region's application listen.
    pub fn instances(&self, region: Region) -> Vec<SocketAddr> {
        let Some(site) = self.lab.deployment().id_of(region) else {
            return Vec::new();
        };
        let zones = crate::up::APP_ZONES.into_iter();
        let addresses = zones.map(|zone| self.lab.instance_address(site, zone));
        addresses.collect()
    }

    /// Where the edges are.
    pub fn edges(&self) -> Vec<Region> {
        let sites = self.lab.settings.sites.iter();
        let edges = sites.filter(|site| site.name.region().is_none());
        edges.map(|site| site.place).collect()
    }

    /// Asks the control API.
    pub async fn ask<T: DeserializeOwned>(&self, command: &Command) -> Result<T, Failure> {
        let answer = self.ask_for_value(command).await?;
        serde_json::from_value(answer).map_err(Failure::did_not_hold)
    }

    /// Asks the control API, and takes its answer as it is.
    pub async fn ask_for_value(&self, command: &Command) -> Result<Value, Failure> {
        ask(&self.lab, &self.environment, command).await
    }

    /// Ends when the lab has ended by itself, which it never should.
    pub async fn ended(&self) -> Exit {
        self.group.ended().await
    }

    /// Stops everything and removes the directory.
    pub async fn stop(self) {
        self.group.terminate();
        let ended = runtime::within(GRACE, self.group.ended()).await;
        if ended.is_none() {
            self.group.kill();
            self.group.ended().await;
        }
        remove(&self.directory, &self.environment).await;
    }
}

async fn ask(
    lab: &Lab,
    environment: &SystemEnvironment,
    command: &Command,
) -> Result<Value, Failure> {
    let deployment = lab.deployment();
    let region = deployment.regions().next().map(|(_, region)| region);
    let region = region.ok_or_else(|| Failure::nothing_running("the lab has no Region"))?;
    let now = environment.now().wall;
    control::ask(&lab.endpoint()?, &lab.root_key, region, now, command).await
}

fn make_site() -> Result<Site, Failure> {
    let key = KeySource::default().given()?;
    let failed = |what: &str, cause: &dyn std::fmt::Display| {
        Failure::nothing_running(format!("can't {what}: {cause}"))
    };
    let mut random = [0; 8];
    runtime::fill_random(&mut random);
    let mut name = format!("causeway-gameday-{}-", std::process::id());
    for byte in random {
        write!(name, "{byte:02x}").expect("text takes everything");
    }
    let directory = std::env::temp_dir().join(name);
    files::create_directory(&directory).map_err(|cause| failed("make a directory", &cause))?;
    let directory = directory.canonicalize();
    let directory = directory.map_err(|cause| failed("find the directory it made", &cause))?;
    let lock = DirectoryLock::take(&directory);
    let lock = lock.map_err(|cause| failed("lock the directory it made", &cause))?;
    let own = std::env::current_exe();
    let own = own.map_err(|cause| failed("find this program's own file", &cause))?;
    let guard = Guard::start(&own, &["guard".into()], lock.as_fd());
    let guard = guard.map_err(|cause| failed("start the guard process", &cause))?;
    guard
        .remove_at_end(&directory)
        .map_err(|cause| failed("have the directory removed at the end", &cause))?;
    Ok(Site {
        directory,
        lock,
        guard,
        key,
    })
}

/// A lab that can't start is exit code 3, unless its scenario is what is wrong.
fn not_started(failure: Failure) -> Failure {
    match failure.code {
        ExitCode::WrongUse => failure,
        _ => Failure {
            code: ExitCode::NothingRunning,
            message: format!("the lab could not start: {}", failure.message),
            ..failure
        },
    }
}

/// Draws ports until all that the lab would listen on are free now.
fn free_ports(
    data: &Path,
    scenario: &Scenario,
    with_apps: bool,
    environment: &SystemEnvironment,
) -> Result<Settings, Failure> {
    let draw = || PORTS.start + (environment.random() % PORTS.len() as u64) as u16;
    for number in 0..DRAWS {
        let wishes = wishes(scenario, [draw(), draw(), draw()]);
        let settings = Lab::plan(data, &wishes, None).map_err(Failure::from)?;
        if number == 0
            && with_apps
            && let Some(port) = scenario.lab.app_port
        {
            look_at_app_port(&settings, port)?;
        }
        if settings.refuse_clashes(with_apps).is_ok() && are_free(&settings, with_apps) {
            return Ok(settings);
        }
    }
    let failure = Failure::nothing_running(format!("{DRAWS} sets of ports were not free"));
    Err(failure.then("stop labs that are no longer needed"))
}

fn wishes(scenario: &Scenario, [api, dns, app]: [u16; 3]) -> Wishes {
    let lab = &scenario.lab;
    Wishes {
        regions: Some(lab.regions.clone()),
        edges: Some(lab.edges),
        api_port: Some(api),
        dns_port: Some(dns),
        app_port: Some(lab.app_port.unwrap_or(app)),
        delay_scale: Some(lab.delay_scale),
        health_interval: lab
            .health_interval
            .map(|interval| HealthInterval::Milliseconds(interval.0 / 1000)),
        ..Wishes::default()
    }
}

/// The port that the scenario itself gives to the applications: no draw makes it free.
fn look_at_app_port(settings: &Settings, port: u16) -> Result<(), Failure> {
    let listening = settings.listening(true);
    let mut of_apps = listening
        .iter()
        .filter(|listening| listening.address.port() == port && listening.option == "--app-port");
    of_apps.try_for_each(|listening| match runtime::listen(listening.address) {
        Ok(_) => Ok(()),
        Err(cause) => {
            let failure = Failure::wrong_use(cause).because(Cause::PortTaken);
            Err(failure.then("give the lab another app_port, or none for a free one"))
        }
    })
}

fn are_free(settings: &Settings, with_apps: bool) -> bool {
    let is_free = |listening: &Listening| {
        runtime::listen(listening.address).is_ok()
            && (!listening.datagrams || runtime::look_at_datagrams(listening.address).is_ok())
    };
    runtime::listen(settings.door_listens()).is_ok()
        && settings.listening(with_apps).iter().all(is_free)
}

/// `causeway up` with what the scenario wants.
fn program(
    site: &Site,
    data: &Path,
    scenario: &Scenario,
    settings: &Settings,
    app: Option<&str>,
) -> Result<ProgramSpec, Failure> {
    let own = std::env::current_exe().map_err(|cause| {
        Failure::nothing_running(format!("can't find this program's own file: {cause}"))
    })?;
    let regions: Vec<&str> = scenario
        .lab
        .regions
        .iter()
        .map(|region| region.name())
        .collect();
    let mut arguments: Vec<OsString> = Vec::new();
    let mut add = |option: &str, value: OsString| {
        arguments.extend([option.into(), value]);
    };
    add("--regions", regions.join(",").into());
    add("--edges", scenario.lab.edges.to_string().into());
    add("--data", data.into());
    add("--delay-scale", settings.delay_scale.to_string().into());
    add("--api-port", settings.api_port.to_string().into());
    add("--dns-port", settings.dns_port.to_string().into());
    add("--app-port", settings.app_port.to_string().into());
    if let Some(milliseconds) = settings.health_interval_milliseconds {
        add("--health-interval", format!("{milliseconds}ms").into());
    }
    if let Some(app) = app {
        add("--app", app.into());
    }
    let fixed: [OsString; 2] = ["up".into(), "--json".into()];
    Ok(ProgramSpec {
        program: own,
        arguments: fixed.into_iter().chain(arguments).collect(),
        environment: Vec::new(),
        log: site.directory.join("up.log"),
    })
}

/// Waits until the lab answers on its control API, or has ended.
async fn wait_until_ready(
    group: &ProcessGroup,
    log: &Path,
    (data, site): (&Path, &Site),
    environment: &SystemEnvironment,
    deadline: Monotonic,
) -> Result<Lab, StartError> {
    let failed = |failure| Err(StartError::Failed(failure));
    loop {
        let now = environment.now().monotonic;
        if now >= deadline {
            return failed(Failure::nothing_running("it was not ready in time"));
        }
        tokio::select! {
            exit = group.ended() => return Err(ended(exit, log)),
            () = environment.sleep_until(now + LOOK) => {}
        }
        // It makes its files first: until they are whole there is nobody to ask.
        let Ok(Some(lab)) = Lab::find(data, site.key.as_ref()) else {
            continue;
        };
        let status = ask(&lab, environment, &Command::Status).await;
        let status = status.map(serde_json::from_value::<StatusReport>);
        if let Ok(Ok(_)) = status {
            return Ok(lab);
        }
    }
}

/// What a lab that has ended at once has said.
fn ended(exit: Exit, log: &Path) -> StartError {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    last_words(exit, &text)
}

/// What its log says: its last line is its failure, as JSON.
fn last_words(exit: Exit, text: &str) -> StartError {
    let last = text.lines().last().unwrap_or_default();
    match serde_json::from_str::<Failure>(last) {
        Ok(failure) if failure.cause == Some(Cause::PortTaken) => StartError::PortTaken(failure),
        Ok(failure) => StartError::Failed(failure),
        Err(_) => StartError::Failed(Failure::nothing_running(format!(
            "it ended with {exit}: {last}"
        ))),
    }
}

/// Removes the directory, also when something was still being written to it. What is left then,
/// the guard removes.
async fn remove(directory: &Path, environment: &SystemEnvironment) {
    for _ in 0..REMOVALS {
        std::fs::remove_dir_all(directory).ok();
        if !directory.exists() {
            return;
        }
        let until = environment.now().monotonic + BETWEEN_REMOVALS;
        environment.sleep_until(until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_taken_port_is_worth_another_start() {
        let words = |failure: &Failure| {
            let log = format!("starting\n{}\n", serde_json::to_string(failure).unwrap());
            last_words(Exit::Code(2), &log)
        };
        let taken = Failure::wrong_use("somebody listens").because(Cause::PortTaken);
        assert_eq!(words(&taken), StartError::PortTaken(taken));
        let wrong = Failure::wrong_use("no such Region");
        assert_eq!(words(&wrong), StartError::Failed(wrong));
        let strange = last_words(Exit::Code(101), "it panicked");
        assert!(matches!(strange, StartError::Failed(failure) if failure.message.contains("101")));
    }

    #[tokio::test]
    async fn a_given_port_of_the_applications_that_is_taken_is_refused() {
        let wishes = |port| Wishes {
            regions: Some(vec!["us-east-1".parse().unwrap()]),
            app_port: Some(port),
            ..Wishes::default()
        };
        let data = Path::new("/nonexistent/lab");
        let settings = |port| Lab::plan(data, &wishes(port), None).unwrap();
        let held = runtime::listen("127.1.1.1:0".parse().unwrap()).unwrap();
        let port = held.local_addr().unwrap().port();
        let refused = look_at_app_port(&settings(port), port).unwrap_err();
        assert_eq!(refused.cause, Some(Cause::PortTaken));
    }
}
