//! What the scenario of databases is made of: instances of a lab, PostgreSQL as Debian has it
//! beside them, and who writes to and reads from either.

pub mod debian;
pub mod global;
pub mod install;
pub mod patroni;
pub mod proxy;
pub mod relay;
pub mod session;
pub mod writers;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::client::Client;
use crate::lab::Lab;
use session::{Login, Refused, Session, Way};

/// The class of every instance, the smallest.
pub const CLASS: &str = "db.t3.micro";

/// The account of every lab.
const ACCOUNT: &str = "111122223333";

/// How long an instance may take until it is available, and a server until it is reached.
pub const PATIENCE: Duration = Duration::from_secs(180);

const USER: &str = "clerk";
const PASSWORD: &str = "correct-horse";
const DATABASE: &str = "orders";

/// An instance that is available.
pub struct Instance {
    /// The user's way in: through the endpoint.
    pub login: Login,
    /// Its server's own directory.
    pub home: PathBuf,
}

impl Instance {
    /// The same user by the server's own socket, without the endpoint.
    pub fn direct(&self) -> Login {
        Login {
            way: Way::Socket(self.home.join("run")),
            ..self.login.clone()
        }
    }

    /// Its server's first process.
    pub fn postmaster(&self) -> Result<u32> {
        let file = self.home.join("data/postmaster.pid");
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("can't read {}", file.display()))?;
        let first = text.lines().next().context("postmaster.pid is empty")?;
        first.trim().parse().context("postmaster.pid has no number")
    }

    /// Gives back the few bytes of System V memory that a server leaves that was killed; its next
    /// start would, but there is none when the lab goes. Line 7 of postmaster.pid names it.
    pub fn release_memory(&self) -> Result<()> {
        let file = self.home.join("data/postmaster.pid");
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("can't read {}", file.display()))?;
        let words = text.lines().nth(6).map(str::split_whitespace);
        let segment = words.and_then(|mut words| words.nth(1));
        let segment = segment.context("postmaster.pid names no memory")?;
        // It fails if the memory is gone already, which is what is wanted.
        std::process::Command::new("ipcrm")
            .args(["-m", segment])
            .stderr(std::process::Stdio::null())
            .status()?;
        Ok(())
    }
}

/// Makes an instance in that Region of the lab and waits until it is available.
pub fn create(lab: &Lab, client: &Client, name: &str) -> Result<Instance> {
    let parameters = [
        ("Action", "CreateDBInstance"),
        ("DBInstanceIdentifier", name),
        ("DBInstanceClass", CLASS),
        ("Engine", "postgres"),
        ("AllocatedStorage", "20"),
        ("MasterUsername", USER),
        ("MasterUserPassword", PASSWORD),
        ("DBName", DATABASE),
        ("BackupRetentionPeriod", "1"),
    ];
    client.form("rds", &parameters)?;
    available(lab, client, name)
}

/// Makes a replica of an instance in another Region and waits until it is available.
pub fn replicate(lab: &Lab, source: (&Client, &str), to: (&Client, &str)) -> Result<Instance> {
    let ((from, source), (client, name)) = (source, to);
    let arn = format!("arn:aws:rds:{}:{ACCOUNT}:db:{source}", from.region.name());
    let parameters = [
        ("Action", "CreateDBInstanceReadReplica"),
        ("DBInstanceIdentifier", name),
        ("SourceDBInstanceIdentifier", &arn),
    ];
    client.form("rds", &parameters)?;
    available(lab, client, name)
}

/// Asks for the promotion of a replica, again while its Region says that its state doesn't allow
/// it; gives how often it was asked.
pub fn promote(client: &Client, name: &str) -> Result<u32> {
    let parameters = [
        ("Action", "PromoteReadReplica"),
        ("DBInstanceIdentifier", name),
    ];
    let started = Instant::now();
    for attempt in 1.. {
        match client.form("rds", &parameters) {
            Ok(_) => return Ok(attempt),
            Err(error)
                if error.to_string().contains("InvalidDBInstanceState")
                    && started.elapsed() < PATIENCE =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error),
        }
    }
    bail!("asked too often")
}

/// Waits until an instance is available; gives the ways in.
fn available(lab: &Lab, client: &Client, name: &str) -> Result<Instance> {
    let parameters = [
        ("Action", "DescribeDBInstances"),
        ("DBInstanceIdentifier", name),
    ];
    let started = Instant::now();
    let described = loop {
        let described = client.form("rds", &parameters)?;
        match element(&described, "DBInstanceStatus") {
            Some("available") => break described,
            status if started.elapsed() > PATIENCE => {
                bail!("{name} isn't available after {PATIENCE:?}: {status:?}")
            }
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    let of = |name: &str| element(&described, name).with_context(|| format!("no {name}"));
    let (address, port) = (of("Address")?.parse()?, of("Port")?.parse()?);
    let login = Login {
        way: Way::Address(std::net::SocketAddr::new(address, port)),
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
        database: DATABASE.to_owned(),
    };
    // The directory's name is made of the first letters of the resource's id.
    let resource = of("DbiResourceId")?.trim_start_matches("db-");
    let short = resource.get(..12).unwrap_or(resource).to_ascii_lowercase();
    let home = lab.servers_of(client.region).join(short);
    opened(&login)?;
    Ok(Instance { login, home })
}

/// Tries until a row with that number is written, a millisecond apart.
///
/// # Errors
/// It isn't after [`PATIENCE`].
pub fn first_write(login: &Login, number: u64) -> Result<()> {
    /// Between two attempts to write.
    const PAUSE: Duration = Duration::from_millis(1);
    let statement = format!("insert into {} values ({number}, now())", writers::TABLE);
    let started = Instant::now();
    let mut session = None;
    loop {
        let tried = match session.take() {
            None => Session::open(login),
            Some(session) => Ok(session),
        };
        let error = match tried {
            Err(error) => error,
            Ok(mut open) => match open.query(&statement) {
                Ok(_) => return Ok(()),
                Err(error) => {
                    // A standby says that it is one; the session is good.
                    session = error.is::<Refused>().then_some(open);
                    error
                }
            },
        };
        if started.elapsed() > PATIENCE {
            return Err(error.context("no write succeeds after the promotion"));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Waits until that row is seen, by a session of its own each time.
///
/// # Errors
/// It isn't after [`PATIENCE`].
pub fn seen(login: &Login, number: u64) -> Result<()> {
    let statement = format!(
        "select count(*) from {} where id = {number}",
        writers::TABLE
    );
    let started = Instant::now();
    loop {
        let count = Session::open(login).and_then(|mut session| session.value(&statement));
        match count {
            Ok(count) if count == "1" => return Ok(()),
            _ if started.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(10)),
            Ok(_) => bail!("row {number} isn't there after {PATIENCE:?}"),
            Err(error) => return Err(error.context("a reader isn't reached")),
        }
    }
}

/// The numbers of all rows, as they are there.
pub fn kept(login: &Login) -> Result<std::collections::BTreeSet<u64>> {
    let rows = opened(login)?.query(&format!("select id from {}", writers::TABLE))?;
    let ids = rows.into_iter().flatten().flatten();
    let ids: Result<_, _> = ids.map(|id| id.parse::<u64>()).collect();
    Ok(ids?)
}

/// A session, as soon as there can be one.
pub fn opened(login: &Login) -> Result<Session> {
    let started = Instant::now();
    loop {
        match Session::open(login) {
            Ok(session) => return Ok(session),
            Err(error) if started.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// The text of the first element of that name.
pub fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_their_whole_name() {
        let xml = "<A><PortX>1</PortX><Port>2</Port></A>";
        assert_eq!(element(xml, "Port"), Some("2"));
        assert_eq!(element(xml, "Po"), None);
    }
}
