//! What an instance's endpoint costs: the same server by its own Unix socket, through the endpoint,
//! and through HAProxy in TCP mode and PgBouncer where those can be had, in turns; and beside it a
//! server that has a TCP port of its own with nothing before it, which is what TCP alone costs. One
//! session that asks `SELECT 1`, and pgbench's TPC-B-like load of eight clients.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::super::{GOAL_HEAD, goal, spread};
use super::REGIONS;
use crate::Arguments;
use crate::databases::debian::{Lone, program};
use crate::databases::session::{Login, Session, Way};
use crate::databases::{self, proxy};
use crate::lab::Lab;
use crate::load::{Measured, Window, Worker, drive};
use crate::process;
use crate::report::Section;
use crate::statistics::Spread;

/// pgbench's scale: so many times 100,000 accounts.
const SCALE: &str = "10";

/// pgbench's clients, and its threads.
const CLIENTS: &str = "8";
const THREADS: &str = "2";

/// Where the ways begin that [`run`] always has: the direct one and the endpoint, to the instance;
/// the socket and the port, to the server by itself.
const DIRECT: usize = 0;
const ENDPOINT: usize = 1;
const LONE: usize = 2;
const PORT: usize = 3;

/// A way to the server, with what was measured on it round by round.
struct Arm {
    name: String,
    login: Login,
    /// The process whose time a query takes beside the server's; the Region's for the direct way,
    /// where it shows what the Region uses anyway. None where nothing stands between.
    proxy: Option<u32>,
    /// Which of the ways is the direct one to the same server.
    direct: usize,
    queries: Vec<Measured>,
    /// pgbench's transactions a second.
    rates: Vec<f64>,
}

impl Arm {
    fn new(name: &str, login: Login, proxy: Option<u32>, direct: usize) -> Arm {
        Arm {
            name: name.to_owned(),
            login,
            proxy,
            direct,
            queries: Vec::new(),
            rates: Vec::new(),
        }
    }

    fn median(&self) -> Spread {
        Spread::of(self.queries.iter().map(|it| 1000.0 * it.milliseconds(0.5)))
    }

    fn late(&self) -> Spread {
        Spread::of(self.queries.iter().map(|it| 1000.0 * it.milliseconds(0.99)))
    }

    /// Microseconds that a query took longer at the median than by the direct way, in pairs.
    fn past(&self, direct: &Arm) -> Spread {
        let pairs = self.queries.iter().zip(&direct.queries);
        let longer = |(own, direct): (&Measured, &Measured)| {
            1000.0 * (own.milliseconds(0.5) - direct.milliseconds(0.5))
        };
        Spread::of(pairs.map(longer))
    }

    /// Microseconds of the proxy's processor time a query. `idle`: the windows in which it had
    /// nothing to do, whose time isn't the queries'.
    fn processor(&self, idle: Option<&Arm>) -> Spread {
        let of = |(round, measured): (usize, &Measured)| {
            let idle = idle.and_then(|idle| idle.queries.get(round));
            let idle = idle.map_or(0.0, |idle| idle.processor / idle.seconds);
            let own = (measured.processor - idle * measured.seconds).max(0.0);
            1e6 * own / measured.latencies.len().max(1) as f64
        };
        Spread::of(self.queries.iter().enumerate().map(of))
    }

    /// pgbench's rates to the direct way's, round by round.
    fn ratios(&self, direct: &Arm) -> impl Iterator<Item = f64> {
        let pairs = self.rates.iter().zip(&direct.rates);
        pairs.map(|(own, direct)| own / direct)
    }
}

pub fn run(arguments: &Arguments, section: &mut Section) -> Result<()> {
    let lab = Lab::start(&REGIONS[..1], 0, 0.0)?;
    let region = lab.regions()?[0];
    let instance = databases::create(&lab, &lab.clients[0], "orders")?;
    let sockets = instance.home.join("run");
    let peers = [
        ("HAProxy", proxy::start(&sockets)),
        ("PgBouncer", proxy::start_bouncer(&sockets, &instance.login)),
    ];
    let lone = Lone::start()?;
    let mut arms = vec![
        Arm::new(
            "the server's Unix socket",
            instance.direct(),
            Some(region),
            DIRECT,
        ),
        Arm::new(
            "Causeway's endpoint",
            instance.login.clone(),
            Some(region),
            DIRECT,
        ),
        Arm::new(
            "Debian's server: its Unix socket",
            lone.socket(),
            None,
            LONE,
        ),
        Arm::new("Debian's server: its TCP port", lone.port(), None, LONE),
    ];
    for peer in peers.iter().filter_map(|(_, peer)| peer.as_ref().ok()) {
        let login = Login {
            way: Way::Address(peer.address),
            ..instance.login.clone()
        };
        arms.push(Arm::new(&peer.title, login, Some(peer.pid()), DIRECT));
    }
    for login in [instance.direct(), lone.socket()] {
        pgbench(&login, &["-i", "-q", "-s", SCALE])?;
    }
    for round in 0..arguments.rounds as usize {
        // Each is first in turn, so that none has always what another left.
        for turn in 0..arms.len() {
            let index = (round + turn) % arms.len();
            eprintln!("   round {}: {}", round + 1, arms[index].name);
            measure(&mut arms[index], arguments.seconds)?;
        }
    }
    lab.stop();
    report(arguments, section, &arms);
    for (name, peer) in peers {
        if let Err(error) = peer {
            section.text(&format!("Not measured: {name}: {error:#}"));
        }
    }
    Ok(())
}

/// One window of queries and one of pgbench.
fn measure(arm: &mut Arm, seconds: u64) -> Result<()> {
    let mut session = Session::open(&arm.login)?;
    session.query("checkpoint")?;
    let worker: Worker<'_> = Box::new(move || session.query("select 1").map(|_| ()));
    let proxy: Vec<u32> = arm.proxy.into_iter().collect();
    let processor = || process::processor_seconds(&proxy);
    let measured = drive(vec![worker], Window::closed(seconds), &processor)?;
    arm.queries.push(measured);
    let seconds = seconds.to_string();
    let words = ["-c", CLIENTS, "-j", THREADS, "-T", &seconds];
    let printed = pgbench(&arm.login, &words)?;
    arm.rates.push(rate(&printed)?);
    Ok(())
}

/// Runs pgbench; gives what it prints.
fn pgbench(login: &Login, words: &[&str]) -> Result<String> {
    let (host, port) = match &login.way {
        Way::Address(address) => (address.ip().to_string(), address.port()),
        Way::Socket(directory) => (directory.display().to_string(), 5432),
    };
    let mut command = Command::new(program("pgbench")?);
    command
        .args(words)
        .args(["-h", &host, "-p", &port.to_string()]);
    command.args(["-U", &login.user, &login.database]);
    let output = command.env("PGPASSWORD", &login.password).output()?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("pgbench ended with {}: {error}", output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The transactions a second that pgbench prints, connecting not included.
fn rate(printed: &str) -> Result<f64> {
    let mut lines = printed
        .lines()
        .filter_map(|line| line.strip_prefix("tps = "));
    let value = lines.next().and_then(|line| line.split(' ').next());
    let value = value.with_context(|| format!("pgbench prints no rate: {printed}"))?;
    Ok(value.parse()?)
}

fn report(arguments: &Arguments, section: &mut Section, arms: &[Arm]) {
    section.text(&format!(
        "An instance's server reached in {} ways, and one of Debian's with the same settings in \
         two; {} windows of {} s each in turn: a session that asks `SELECT 1`, then pgbench, \
         TPC-B-like, scale {SCALE}, {CLIENTS} clients in {THREADS} threads. The direct way is the \
         Unix socket of the same server. Processor time is the proxy's process's; what the Region \
         uses while it carries nothing is not in it.",
        arms.len() - 2,
        arguments.rounds,
        arguments.seconds,
    ));
    let mut rows = Vec::new();
    for (index, arm) in arms.iter().enumerate() {
        let direct = &arms[arm.direct];
        let is_direct = index == arm.direct;
        let idle = (index == ENDPOINT).then_some(direct);
        let blank_if = |blank: bool, value: Spread| match blank {
            true => String::new(),
            false => value.to_string(),
        };
        rows.push(vec![
            arm.name.clone(),
            arm.median().to_string(),
            arm.late().to_string(),
            blank_if(is_direct, arm.past(direct)),
            blank_if(is_direct || arm.proxy.is_none(), arm.processor(idle)),
            Spread::of(arm.rates.iter().copied()).to_string(),
            blank_if(is_direct, Spread::of(arm.ratios(direct))),
        ]);
        section.value(
            &format!("endpoint: {}", arm.name),
            values(arm, direct, idle),
        );
    }
    let head = [
        "way",
        "SELECT 1, median µs",
        "p99 µs",
        "µs past the direct way",
        "proxy's processor µs",
        "pgbench transactions/s",
        "to the direct way's",
    ];
    section.table(&head, &rows);
    goals(section, arms);
}

/// What was asked for, and beside it what the endpoint adds to what TCP costs without a proxy.
fn goals(section: &mut Section, arms: &[Arm]) {
    let (direct, ours) = (&arms[DIRECT], &arms[ENDPOINT]);
    let past = ours.past(direct).median;
    let ratio = Spread::of(ours.ratios(direct)).median;
    let goals = [
        goal(
            "the endpoint, a simple query at the median",
            "60 µs or less",
            past,
            "µs",
            past <= 60.0,
        ),
        goal(
            "pgbench through the endpoint, to the direct way's",
            "0.90 or more",
            ratio,
            "",
            ratio >= 0.9,
        ),
    ];
    section.table(&GOAL_HEAD, &goals);
    let of_tcp = to_tcp(ours.ratios(direct), arms[PORT].ratios(&arms[LONE]));
    section.text(&format!(
        "To what a TCP port without a proxy has of its socket's rate, round by round: the endpoint \
         {of_tcp}."
    ));
    section.value("endpoint: pgbench_ratio_to_tcp", spread(of_tcp));
}

/// What a proxy has of its server's direct rate, to what a TCP port of a server without one has of
/// it, in pairs: the proxy's own part, without TCP's.
fn to_tcp(proxy: impl Iterator<Item = f64>, port: impl Iterator<Item = f64>) -> Spread {
    Spread::of(proxy.zip(port).map(|(proxy, port)| proxy / port))
}

fn values(arm: &Arm, direct: &Arm, idle: Option<&Arm>) -> Value {
    json!({
        "median_microseconds": spread(arm.median()),
        "p99_microseconds": spread(arm.late()),
        "microseconds_past_direct": spread(arm.past(direct)),
        "proxy_processor_microseconds": spread(arm.processor(idle)),
        "pgbench_transactions_per_second": arm.rates,
        "pgbench_ratio_to_direct": spread(Spread::of(arm.ratios(direct))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pgbench_s_rate_is_the_one_without_connecting() {
        let printed = "scaling factor: 10\ninitial connection time = 13.2 ms\n\
                       tps = 1234.500000 (without initial connection time)\n";
        assert_eq!(rate(printed).unwrap(), 1234.5);
        assert!(rate("pgbench: error").is_err());
    }

    #[test]
    fn the_part_of_tcp_is_not_the_proxy_s() {
        let of_tcp = to_tcp([0.72, 0.8].into_iter(), [0.9, 0.8].into_iter());
        assert!((of_tcp.least - 0.8).abs() < 1e-9 && (of_tcp.greatest - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_a_region_uses_anyway_is_not_the_queries() {
        let window = |processor| Measured {
            seconds: 2.0,
            latencies: vec![10; 1000],
            processor,
        };
        let way = || Way::Socket("/x".into());
        let login = || Login {
            way: way(),
            user: String::new(),
            password: String::new(),
            database: String::new(),
        };
        let (mut idle, mut busy) = (
            Arm::new("a", login(), Some(1), 0),
            Arm::new("b", login(), Some(1), 0),
        );
        idle.queries.push(window(0.02));
        busy.queries.push(window(0.07));
        assert!((busy.processor(Some(&idle)).median - 50.0).abs() < 1e-6);
        assert!((busy.processor(None).median - 70.0).abs() < 1e-6);
    }
}
