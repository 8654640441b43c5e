//! A global cluster in a lab of two Regions and an edge: made, and its writer moved, through the
//! API as a user would.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use types::Region;

use super::session::{Login, Way};
use super::{ACCOUNT, DATABASE, PASSWORD, PATIENCE, USER, available, element};
use crate::client::Client;
use crate::lab::Lab;

/// The global cluster's name.
const WORLD: &str = "world";

/// The engine of its members.
const ENGINE: &str = "aurora-postgresql";

/// The class of its instances, the smallest that Aurora has.
const HEAD_CLASS: &str = "db.t3.medium";

/// How long a call is tried while the council has no leader.
const DECIDED: Duration = Duration::from_secs(60);

/// Between two tries of a call.
const PAUSE: Duration = Duration::from_millis(5);

/// A member, with its endpoints.
pub struct Member {
    /// Its Region.
    pub region: Region,
    /// The way to the writer, if the cluster has it.
    pub writer: Login,
    /// The way to its own instance, to read.
    pub reader: Login,
}

/// How the writer is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `SwitchoverGlobalCluster`.
    Switchover,
    /// `FailoverGlobalCluster` with `AllowDataLoss`.
    Failover,
}

/// Makes the global cluster with a member in each Region of the lab; the first writes.
pub fn create(lab: &Lab) -> Result<Vec<Member>> {
    let first = lab.clients.first().context("a lab has Regions")?;
    let world = [
        ("Action", "CreateGlobalCluster"),
        ("GlobalClusterIdentifier", WORLD),
        ("Engine", ENGINE),
        ("DatabaseName", DATABASE),
    ];
    ask(first, &world)?;
    let mut members = Vec::new();
    for client in &lab.clients {
        members.push(join(lab, client, members.is_empty())?);
    }
    Ok(members)
}

fn name(region: Region) -> String {
    format!("orders-{}", region.name())
}

fn join(lab: &Lab, client: &Client, is_first: bool) -> Result<Member> {
    let name = name(client.region);
    let head = format!("{name}-1");
    let mut cluster = vec![
        ("Action", "CreateDBCluster"),
        ("DBClusterIdentifier", &name),
        ("Engine", ENGINE),
        ("GlobalClusterIdentifier", WORLD),
    ];
    if is_first {
        cluster.extend([("MasterUsername", USER), ("MasterUserPassword", PASSWORD)]);
    }
    ask(client, &cluster)?;
    let instance = [
        ("Action", "CreateDBInstance"),
        ("DBInstanceIdentifier", &head),
        ("DBClusterIdentifier", &name),
        ("DBInstanceClass", HEAD_CLASS),
        ("Engine", ENGINE),
    ];
    client.form("rds", &instance)?;
    available(lab, client, &head)?;
    let described = [
        ("Action", "DescribeDBClusters"),
        ("DBClusterIdentifier", &name),
    ];
    let described = client.form("rds", &described)?;
    let login = |endpoint: &str| -> Result<Login> {
        let of = |name: &str| element(&described, name).with_context(|| format!("no {name}"));
        let address = std::net::SocketAddr::new(of(endpoint)?.parse()?, of("Port")?.parse()?);
        Ok(Login {
            way: Way::Address(address),
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
            database: DATABASE.to_owned(),
        })
    };
    Ok(Member {
        region: client.region,
        writer: login("Endpoint")?,
        reader: login("ReaderEndpoint")?,
    })
}

/// Asks for a move to the member in that Region; gives how often it was asked.
pub fn ask_for(client: &Client, call: Call, to: Region) -> Result<u32> {
    let target = format!("arn:aws:rds:{}:{ACCOUNT}:cluster:{}", to.name(), name(to));
    let mut parameters = vec![
        ("GlobalClusterIdentifier", WORLD),
        ("TargetDbClusterIdentifier", &*target),
    ];
    match call {
        Call::Switchover => parameters.push(("Action", "SwitchoverGlobalCluster")),
        Call::Failover => {
            parameters.extend([
                ("Action", "FailoverGlobalCluster"),
                ("AllowDataLoss", "true"),
            ]);
        }
    }
    ask(client, &parameters)
}

/// Gives leave to fail over without a call, once the writer's Region has been silent for that
/// long, or takes it back.
///
/// # Errors
/// The build doesn't know of it.
pub fn set_automatic(client: &Client, after: Option<&str>) -> Result<()> {
    const TAG: &str = "causeway:failover-after";
    let arn = format!("arn:aws:rds::{ACCOUNT}:global-cluster:{WORLD}");
    let mut parameters = vec![("ResourceName", &*arn)];
    match after {
        Some(after) => parameters.extend([
            ("Action", "AddTagsToResource"),
            ("Tags.Tag.1.Key", TAG),
            ("Tags.Tag.1.Value", after),
        ]),
        None => parameters.extend([
            ("Action", "RemoveTagsFromResource"),
            ("TagKeys.member.1", TAG),
        ]),
    }
    ask(client, &parameters).map(|_| ())
}

/// A call that the council decides, again while it can't; gives how often it was asked.
fn ask(client: &Client, parameters: &[(&str, &str)]) -> Result<u32> {
    let started = Instant::now();
    for attempt in 1.. {
        match client.form("rds", parameters) {
            Ok(_) => return Ok(attempt),
            Err(error) if started.elapsed() > DECIDED || !is_passing(&error.to_string()) => {
                return Err(error);
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
    bail!("asked too often")
}

/// Does an answer say that the council can't decide now?
fn is_passing(answer: &str) -> bool {
    ["ServiceUnavailable", "Throttling"]
        .iter()
        .any(|code| answer.contains(code))
}

/// Waits until no move is under way, as that Region knows it.
pub fn settled(client: &Client) -> Result<()> {
    let parameters = [
        ("Action", "DescribeGlobalClusters"),
        ("GlobalClusterIdentifier", WORLD),
    ];
    let started = Instant::now();
    loop {
        let described = client.form("rds", &parameters)?;
        if element(&described, "FailoverState").is_none() {
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            bail!("a move is still under way after {PATIENCE:?}");
        }
        std::thread::sleep(PAUSE);
    }
}
