//! `causeway up`: makes or finds the lab, starts it, says where it is, and stops it when asked.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use runtime::{
    DirectoryLock, Guard, HttpLimits, HttpServer, ListenError, Listener, LockError,
    SystemEnvironment, Termination, leads_here, listen, listen_beside, look_at_datagrams,
};
use serde_json::json;
use tokio::sync::oneshot;
use types::{ByteSize, Environment, SiteName, Span, Timestamp, ZoneLetter};

use crate::cli;
use crate::failure::{Cause, Failure};
use crate::files;
use crate::lab::{KEY_VARIABLE, Lab, OTHER_DIRECTORY, OperatorKey, Settings, Wishes};
use crate::output;
use crate::supervisor::{AppCommand, Door, EntryReport, Supervisor};

/// The file of a directory's lock, as [`DirectoryLock`] names it.
const LOCK: &str = "lock";

/// The limits of the front door. It holds no bodies but those of control requests, which are
/// small; those that pass through are limited by the Region they go to.
const DOOR_LIMITS: HttpLimits = HttpLimits {
    body: ByteSize::mib(1),
    bodies: ByteSize::mib(16),
    head: ByteSize::kib(64),
    head_wait: Duration::from_secs(60),
    body_wait: Duration::from_secs(10),
    body_stall: Duration::from_secs(5),
    answer_stall: Duration::from_secs(60),
    connections: 4096,
    drain: Duration::from_secs(2),
};

/// Where the application runs unless other zones are named: in two, so that one can die.
pub const APP_ZONES: [ZoneLetter; 2] = [ZoneLetter::A, ZoneLetter::B];

/// How long `up` waits, once every site serves, for the links between them. Regions serve without
/// any, so what is missing then is only said.
const LINKS_WAIT: Span = Span::seconds(1);

/// How long `up` waits for the application's entry before it says where that is.
const ENTRY_WAIT: Duration = Duration::from_secs(5);

/// Runs a lab until it is asked to end.
pub fn up(options: &cli::Up) -> Result<(), Failure> {
    let source = options.key.source();
    OperatorKey::refuse_within(&source, &options.data)?;
    let key = source.given()?;
    // Held until everything of the lab has ended.
    let mut lock = None;
    let run = run(options, key.as_ref(), &mut lock);
    let ended = runtime::run(crate::worker_threads(), run);
    ended.map_err(anyhow::Error::from)?
}

/// Everything that can be refused is looked at before anything is made or changed: a refusal
/// leaves nothing behind.
async fn run(
    options: &cli::Up,
    key: Option<&OperatorKey>,
    held: &mut Option<DirectoryLock>,
) -> Result<(), Failure> {
    let environment = Arc::new(SystemEnvironment::new());
    let begun = environment.now().monotonic;
    let mut termination = Termination::listen().context("can't listen for signals")?;
    let wishes = wishes_of(options);
    let settings = plan(options, &wishes, key, held)?;
    let listener = listen_at_the_door(&settings, options.app.is_some())?;
    let (lab, key) = make(options, &wishes, key, held, environment.now().wall)?;
    say_what_comes_later(options);
    let guard = start_guard(held.as_ref().expect("a lab is made under its lock"))?;
    let banner = Banner::of(&lab, options);
    let tls = lab.door_tls()?;
    let (directory, own_key) = (lab.directory.clone(), key.clone());
    let app = app_of(options);
    let supervisor = Supervisor::new((lab, key), Arc::clone(&environment), guard, app)?;
    let supervisor = Arc::new(supervisor);
    let _relay = supervisor
        .relay_dns()
        .map_err(|cause| taken(cause, "--dns-port"))?;
    let started = tokio::select! {
        started = supervisor.start() => started,
        signal = termination.next() => Err(Failure::did_not_hold(format!("{signal} at start"))),
    };
    if let Err(failure) = started {
        stop(&supervisor, &mut termination).await;
        return Err(failure);
    }
    Lab::seal_credentials(&directory, &own_key)?;
    let door = Arc::new(Door::new(Arc::clone(&supervisor)));
    let server = HttpServer::open_door(listener, tls, door, DOOR_LIMITS);
    let server = server.context("can't open the front door")?;
    runtime::spawn_vital("leases", Arc::clone(&supervisor).keep_leases());
    runtime::spawn_vital("majorities", Arc::clone(&supervisor).keep_majorities());
    runtime::spawn_vital("certificates", Arc::clone(&supervisor).keep_certificates());
    let entry = start_entry(&supervisor);
    let ready = environment.now().monotonic - begun;
    let unconnected = supervisor.await_links(LINKS_WAIT).await;
    let connected = environment.now().monotonic - begun;
    runtime::within(ENTRY_WAIT, entry).await;
    banner.print(ready, connected, &unconnected, supervisor.entry())?;
    tokio::select! {
        signal = termination.next() => {
            output::note(format!("{signal}: stopping (again: at once)"));
        }
        () = supervisor.asked_down() => output::note("asked to stop: stopping"),
    }
    tokio::select! {
        () = server.stop() => {}
        _ = termination.next() => {}
    }
    stop(&supervisor, &mut termination).await;
    Ok(())
}

/// What the command line asks of the lab's settings.
fn wishes_of(options: &cli::Up) -> Wishes {
    Wishes {
        regions: options.regions.clone(),
        edges: options.edges,
        api_port: options.api_port,
        dns_port: options.dns_port,
        app_port: options.app_port,
        delay_scale: options.delay_scale,
        health_interval: options.health_interval,
        flow_log_interval: options.flow_log_interval,
        tail_limit: options.tail_limit,
        health_targets: options.health_targets.clone(),
        webhooks: options.webhooks.clone(),
        blob_store: options.blob_store.clone(),
        geo_database: options.geo_database.clone(),
        certificates: options.certificates.clone(),
        ipv6: options.ipv6,
        endpoint: options.endpoint.wishes(),
    }
}

/// Begins to make the application's entry; rings when it is whole or given up.
fn start_entry(supervisor: &Arc<Supervisor>) -> oneshot::Receiver<()> {
    let (ring, rung) = oneshot::channel();
    let entry = Arc::clone(supervisor).keep_entry();
    runtime::spawn(async move {
        entry.await;
        // Nobody listens any more once `up` has said what there is.
        ring.send(()).ok();
    });
    rung
}

/// The application that runs in every Region, if there is to be one.
fn app_of(options: &cli::Up) -> Option<AppCommand> {
    let command = options.app.clone()?;
    let zones = options.app_zones.iter().flatten().copied();
    let mut zones: BTreeSet<ZoneLetter> = zones.collect();
    if zones.is_empty() {
        zones.extend(APP_ZONES);
    }
    let zones = zones.into_iter().collect();
    Some(AppCommand { command, zones })
}

/// In order; at once if another signal comes. Whatever is left then, the guard ends.
async fn stop(supervisor: &Supervisor, termination: &mut Termination) {
    tokio::select! {
        () = supervisor.stop() => {}
        _ = termination.next() => {}
    }
}

/// What the lab's settings are, or would be. Nothing is made or changed.
fn plan(
    options: &cli::Up,
    wishes: &Wishes,
    key: Option<&OperatorKey>,
    held: &mut Option<DirectoryLock>,
) -> Result<Settings, Failure> {
    if options.data.join(LOCK).exists() {
        // Waits for what a supervisor that died has left: until it has ended, it has the ports.
        *held = Some(lock(&options.data)?);
    }
    Ok(Lab::plan(&options.data, wishes, key)?)
}

/// Makes or finds the lab under its directory's lock.
fn make(
    options: &cli::Up,
    wishes: &Wishes,
    key: Option<&OperatorKey>,
    held: &mut Option<DirectoryLock>,
    now: Timestamp,
) -> Result<(Lab, OperatorKey), Failure> {
    let data = &options.data;
    if held.is_none() {
        files::create_new_directories(data).map_err(|cause| {
            let failure = format!("can't make the directory {}: {cause}", data.display());
            Failure::wrong_use(failure).then(OTHER_DIRECTORY)
        })?;
        *held = Some(lock(data)?);
    }
    Ok(Lab::find_or_make(data, wishes, now, key)?)
}

fn lock(data: &Path) -> Result<DirectoryLock, Failure> {
    DirectoryLock::take(data).map_err(|cause| match cause {
        LockError::InUse { .. } => {
            let failure = Failure::wrong_use(format!("{cause}: a lab runs there already"));
            failure.then(
                "stop it with `causeway down`, or start another with --data DIR and --api-port PORT",
            )
        }
        LockError::Io { .. } => Failure::wrong_use(cause).then(OTHER_DIRECTORY),
    })
}

fn start_guard(lock: &DirectoryLock) -> anyhow::Result<Guard> {
    let own = std::env::current_exe().context("can't find this program's own file")?;
    let guard = Guard::start(&own, &["guard".into()], lock.as_fd());
    guard.context("can't start the guard process")
}

/// The front door's listener, once all of the lab's addresses are known to be free.
fn listen_at_the_door(settings: &Settings, with_apps: bool) -> Result<Listener, Failure> {
    let address = settings.door_listens();
    let failed = |cause| not_at_the_door(cause);
    let listener = listen(address).map_err(failed)?;
    if !address.ip().is_unspecified() {
        look_at_addresses(settings, with_apps)?;
        return Ok(listener);
    }
    // On every address it would be in the way of the sites' own.
    drop(listener);
    look_at_addresses(settings, with_apps)?;
    listen_beside(address).map_err(failed)
}

/// The addresses that the sites' own processes will take.
fn look_at_addresses(settings: &Settings, with_apps: bool) -> Result<(), Failure> {
    settings.refuse_clashes(with_apps)?;
    for listening in settings.listening(with_apps) {
        let looked = match listening.datagrams {
            true => look_at_datagrams(listening.address),
            false => Ok(()),
        };
        let looked = looked.and_then(|()| listen(listening.address).map(drop));
        looked.map_err(|cause| taken(cause, listening.option))?;
    }
    look_at_ipv6(settings)
}

/// The static IPv6 addresses that accelerators will have: the host must take the whole network for
/// its own, as it takes 127.0.0.0/8.
fn look_at_ipv6(settings: &Settings) -> Result<(), Failure> {
    let Some(network) = settings.ipv6 else {
        return Ok(());
    };
    for address in network.samples() {
        if !leads_here(address) {
            let failure = format!("the network {network} of --ipv6 isn't this host's");
            return Err(Failure::wrong_use(failure).then(format!(
                "give the host the network with `ip -6 route add local {network} dev lo` (as root, \
                 until it restarts), or start without: --ipv6 off"
            )));
        }
    }
    Ok(())
}

fn not_at_the_door(cause: ListenError) -> Failure {
    match &cause {
        ListenError::Io { cause: why, .. } if why.kind() == ErrorKind::AddrNotAvailable => {
            Failure::wrong_use(&cause).then("give an address of this machine with --bind ADDRESS")
        }
        _ => taken(cause, "--api-port"),
    }
}

fn taken(cause: impl std::fmt::Display, option: &str) -> Failure {
    let failure = Failure::wrong_use(cause).because(Cause::PortTaken);
    failure.then(format!("choose another port with {option} PORT"))
}

fn say_what_comes_later(options: &cli::Up) {
    let later = [(
        "--console-port",
        options.console_port.is_some(),
        "the web console",
    )];
    for (option, _, what) in later.iter().filter(|(_, given, _)| *given) {
        output::note(format!(
            "{option} has no effect yet: {what} comes with a later version"
        ));
    }
}

/// What a lab that is ready says of itself.
struct Banner {
    json: bool,
    front_door: String,
    /// None of a lab without edges.
    dns: Option<String>,
    sites: Vec<BannerSite>,
    data: String,
    region: String,
    /// What a command of another shell needs to find the lab and open its key, a space before each.
    named: String,
    /// The key came by the variable, which other shells need too.
    by_variable: bool,
}

struct BannerSite {
    name: String,
    /// None of an edge.
    api: Option<String>,
    /// Of a Region, if one was asked for.
    app: Option<String>,
    /// Of an edge: where it answers DNS.
    dns: Option<String>,
    /// In the council.
    votes: bool,
}

impl BannerSite {
    fn words(&self) -> String {
        match (&self.api, &self.app, &self.dns) {
            (Some(api), Some(app), _) => format!("{api}  application {app}"),
            (Some(api), None, _) => api.clone(),
            (None, _, dns) => {
                let vote = match self.votes {
                    true => "votes in the council",
                    false => "no vote in the council",
                };
                let dns = dns.as_deref().unwrap_or("nowhere");
                format!("DNS on {dns}  {vote}")
            }
        }
    }
}

/// The options with which a command names the lab that these start.
fn naming(options: &cli::Up) -> String {
    let data = (options.data != Path::new(".causeway")).then_some(options.data.as_path());
    let file = options.key.operator_key.as_deref();
    let command = options.key.operator_key_command.as_deref();
    let given = [
        ("--data", data.map(Path::to_string_lossy)),
        ("--operator-key", file.map(Path::to_string_lossy)),
        ("--operator-key-command", command.map(Into::into)),
    ];
    let given = given.iter().filter_map(|(option, value)| {
        let value = output::quoted(value.as_ref()?);
        Some(format!(" {option} {value}"))
    });
    given.collect()
}

impl Banner {
    fn of(lab: &Lab, options: &cli::Up) -> Banner {
        let deployment = lab.deployment();
        let voters = council::voters(&deployment);
        let settings = &lab.settings;
        let sites = settings.sites.iter().map(|site| BannerSite {
            name: site.name.to_string(),
            api: site.name.region().map(|_| lab.url_of(site.id)),
            app: options
                .app
                .as_ref()
                .and(site.name.region())
                .map(|_| format!("http://{}", lab.app_address(site.id))),
            dns: settings.edge_dns(site).map(|dns| dns.address.to_string()),
            votes: voters.contains(&site.id),
        });
        let first = deployment.regions().next();
        let first = first.map(|(_, region)| region.name().to_owned());
        let variable = runtime::variable(KEY_VARIABLE);
        let is_given =
            options.key.operator_key.is_some() || options.key.operator_key_command.is_some();
        Banner {
            json: options.json,
            front_door: lab.url(),
            dns: settings
                .has_edges()
                .then(|| settings.dns_address().to_string()),
            sites: sites.collect(),
            data: lab.directory.display().to_string(),
            region: first.unwrap_or_default(),
            named: naming(options),
            by_variable: variable.is_some() && !is_given,
        }
    }

    fn print(
        &self,
        ready: Span,
        connected: Span,
        unconnected: &[(SiteName, SiteName)],
        entry: Option<EntryReport>,
    ) -> Result<(), Failure> {
        if self.json {
            return self.print_json(ready, connected, unconnected, entry);
        }
        let mut sites = String::new();
        for site in &self.sites {
            sites.push_str(&format!("  {:<16}{}\n", site.name, site.words()));
        }
        let dns = match &self.dns {
            Some(address) => format!("{address}, UDP and TCP, from the nearest edge"),
            None => "nobody answers: the lab has no edge".to_owned(),
        };
        let entry = entry.iter().flat_map(EntryReport::lines);
        let entry: String = entry
            .map(|line| format!("  {:<16}{line}\n", "the application"))
            .collect();
        let pairs = unconnected
            .iter()
            .map(|(from, to)| format!("{from} -> {to}"));
        let links = match unconnected.is_empty() {
            true => format!("connected after {:.2} s", seconds(connected)),
            false => format!(
                "still connecting (`causeway status`): {}",
                pairs.collect::<Vec<_>>().join(", ")
            ),
        };
        output::print(format!(
            "\
Ready after {ready:.2} s. Data in {data}. Ctrl-C stops everything.

  {all:<16}{front_door}
{sites}{entry}  {names:<16}{dns}
  {between:<16}{links}

In another shell{variable}:
  eval \"$(causeway env{named})\"

Then try:
  aws dynamodb list-tables --region {region}
  causeway status{named}
  causeway fault list{named}
",
            ready = seconds(ready),
            data = self.data,
            all = "every Region",
            names = "DNS",
            between = "links",
            front_door = self.front_door,
            named = self.named,
            variable = match self.by_variable {
                true => format!(", with {KEY_VARIABLE} set as here"),
                false => String::new(),
            },
            region = self.region,
        ))
    }

    fn print_json(
        &self,
        ready: Span,
        connected: Span,
        unconnected: &[(SiteName, SiteName)],
        entry: Option<EntryReport>,
    ) -> Result<(), Failure> {
        let sites = self.sites.iter().map(|site| {
            json!({
                "site": site.name,
                "api": site.api,
                "app": site.app,
                "dns": site.dns,
                "votes": site.votes,
            })
        });
        let pairs = unconnected.iter();
        let pairs = pairs.map(|(from, to)| json!({ "from": from, "to": to }));
        output::print_json(&json!({
            "ready_milliseconds": ready.0 / 1000,
            "links_milliseconds": unconnected.is_empty().then_some(connected.0 / 1000),
            "endpoint": self.front_door,
            "dns": self.dns,
            "entry": entry,
            "data": self.data,
            "sites": sites.collect::<Vec<_>>(),
            "unconnected": pairs.collect::<Vec<_>>(),
        }))
    }
}

fn seconds(span: Span) -> f64 {
    span.as_milliseconds() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Timestamp;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        up: cli::Up,
    }

    #[test]
    fn the_banner_s_commands_name_the_lab_and_its_key() {
        let naming = |words: &[&str]| {
            let words = ["up"].iter().chain(words);
            super::naming(&<Line as clap::Parser>::parse_from(words).up)
        };
        assert_eq!(naming(&[]), "");
        let both = naming(&["--data", "d1", "--operator-key", "my key"]);
        assert_eq!(both, " --data d1 --operator-key 'my key'");
        let command = naming(&["--operator-key-command", "pass show lab"]);
        assert_eq!(command, " --operator-key-command 'pass show lab'");
    }

    #[test]
    fn another_port_doesn_t_help_with_an_address_that_isn_t_here() {
        let address = "192.0.2.1:4566".parse().unwrap();
        let told = |kind: std::io::ErrorKind| {
            let cause = kind.into();
            not_at_the_door(ListenError::Io { address, cause }).to_string()
        };
        assert!(told(std::io::ErrorKind::AddrNotAvailable).contains("--bind"));
        assert!(told(std::io::ErrorKind::PermissionDenied).contains("--api-port PORT"));
        let taken = not_at_the_door(ListenError::Taken(address));
        assert_eq!(taken.cause, Some(Cause::PortTaken));
    }

    fn edge_words(regions: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let wishes = Wishes {
            regions: Some(regions.iter().map(|name| name.parse().unwrap()).collect()),
            edges: Some(1),
            ..Wishes::default()
        };
        let now = Timestamp(1_700_000_000_000);
        let (lab, _) = Lab::find_or_make(&data, &wishes, now, None).unwrap();
        let options = cli::Up {
            regions: None,
            edges: None,
            data,
            key: cli::OperatorKey::default(),
            delay_scale: None,
            api_port: None,
            endpoint: cli::EndpointArguments::default(),
            dns_port: None,
            console_port: None,
            app: None,
            app_zones: None,
            app_port: None,
            health_interval: None,
            flow_log_interval: None,
            tail_limit: None,
            health_targets: None,
            webhooks: None,
            blob_store: None,
            geo_database: None,
            certificates: None,
            ipv6: None,
            json: false,
        };
        let banner = Banner::of(&lab, &options);
        let edge = banner.sites.iter().find(|site| site.name == "edge-1");
        edge.unwrap().words()
    }

    #[test]
    fn the_banner_says_whether_an_edge_votes() {
        let two = edge_words(&["us-east-1", "eu-west-1"]);
        assert_eq!(two, "DNS on 127.1.3.1:5300  votes in the council");
        let three = edge_words(&["us-east-1", "eu-west-1", "ap-southeast-1"]);
        assert!(three.ends_with("no vote in the council"), "{three}");
    }
}
