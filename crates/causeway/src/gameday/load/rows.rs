//! One client that writes rows to a global cluster: where it believes the writer to be, which
//! connections it keeps, and one row from the question for the writer to its acknowledgement. It
//! follows: when a connection or a statement fails it asks RDS of the cluster's Regions, one after
//! the other, who the writer is now. It makes one connection at a time, whatever becomes of the row
//! that needed it first: else rows that time out would leave connections half made, and the more
//! of them the slower each is. It tries no row again.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use runtime::{SqlConnection, SqlError};
use types::{Monotonic, Region, Span};

use super::client::Trouble;
use super::network::Network;
use crate::gameday::api::Api;
use crate::gameday::databases::{self, MadeCluster, Member, ROWS};

/// Idle connections that a client keeps; more are closed.
const IDLE: usize = 16;

/// How often it asks who the writer is at most. Between two questions it tries the one it knows.
const ASK_EVERY: Span = Span::milliseconds(500);

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// Round trips behind TCP's until a connection may be used: the greeting's and two of SCRAM's.
const LOGIN_TRIPS: u64 = 3;

/// What clients of a global cluster know from their configuration.
pub struct Database {
    /// The cluster.
    pub made: MadeCluster,
    /// RDS of each Region it is in.
    pub apis: Vec<(Region, Api)>,
}

/// A client.
pub struct RowClient {
    place: Region,
    address: Ipv4Addr,
    database: Arc<Database>,
    network: Arc<Network>,
    /// Held while it asks: of the rows that need it then, one asks.
    belief: tokio::sync::Mutex<Belief>,
    idle: Mutex<Vec<Session>>,
    /// Held while a connection is made.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// Who the writer is.
struct Belief {
    writer: Option<Region>,
    /// Something has failed since.
    is_doubted: bool,
    /// When it asked last.
    asked: Option<Monotonic>,
    /// Which Region it asks next.
    next: usize,
}

/// A connection to a member.
struct Session {
    connection: SqlConnection,
    region: Region,
    delay: Span,
}

impl RowClient {
    /// A client at an address of that place, which takes the first Region's cluster for the writer.
    pub fn new(
        (place, address): (Region, Ipv4Addr),
        database: &Arc<Database>,
        network: &Arc<Network>,
    ) -> RowClient {
        let first = database.made.members.first();
        RowClient {
            place,
            address,
            database: Arc::clone(database),
            network: Arc::clone(network),
            belief: tokio::sync::Mutex::new(Belief {
                writer: first.map(|member| member.region),
                is_doubted: false,
                asked: None,
                next: 0,
            }),
            idle: Mutex::default(),
            turn: Arc::default(),
        }
    }

    /// Inserts a row of that id; gives the Region that acknowledged it and the timeline that its
    /// server is on. Whoever drops it before its end has given up, and its connection is closed.
    pub async fn insert(self: &Arc<Self>, id: &str) -> Result<(Region, u32), Trouble> {
        let session = self.session().await?;
        self.network.wait(session.delay).await;
        let answer = session.connection.rows(&insertion(id)).await;
        self.network.wait(session.delay).await;
        match answer {
            Ok(rows) => {
                let field = rows.first().and_then(|row| row.first());
                let timeline = field.and_then(|field| field.parse().ok());
                let region = session.region;
                self.put_idle(session);
                timeline.map(|it| (region, it)).ok_or(Trouble::Malformed)
            }
            Err(cause) => {
                self.doubt().await;
                Err(cause.into())
            }
        }
    }

    /// A connection that nobody uses, or a new one.
    async fn session(self: &Arc<Self>) -> Result<Session, Trouble> {
        if let Some(session) = self.take_idle() {
            return Ok(session);
        }
        let turn = Arc::clone(&self.turn).lock_owned().await;
        if let Some(session) = self.take_idle() {
            return Ok(session);
        }
        let (tell, made) = tokio::sync::oneshot::channel();
        let client = Arc::clone(self);
        runtime::spawn(async move {
            let _turn = turn;
            let connected = runtime::within(CONNECT, client.connect()).await;
            let connected = connected.unwrap_or(Err(Trouble::Unreachable));
            // The row that needed it may have been given up: then it is the next one's.
            if let Err(Ok(session)) = tell.send(connected) {
                client.put_idle(session);
            }
        });
        made.await.unwrap_or(Err(Trouble::Broken))
    }

    async fn connect(&self) -> Result<Session, Trouble> {
        let member = self.writer().await?;
        let delay = self.network.way(self.place, member.region);
        self.network.wait(delay).await;
        let login = &self.database.made.login;
        let opened = SqlConnection::open(self.address, member.writer, login).await;
        self.network.wait(delay).await;
        match opened {
            Ok(connection) => {
                self.network.wait(Span(delay.0 * 2 * LOGIN_TRIPS)).await;
                Ok(Session {
                    connection,
                    region: member.region,
                    delay,
                })
            }
            Err(cause) => {
                self.doubt().await;
                Err(cause.into())
            }
        }
    }

    /// The member that it takes for the writer, after a question if there is doubt.
    async fn writer(&self) -> Result<Member, Trouble> {
        let mut belief = self.belief.lock().await;
        let now = self.network.now();
        let may_ask = belief.asked.is_none_or(|asked| now - asked >= ASK_EVERY);
        if belief.is_doubted && may_ask {
            belief.asked = Some(now);
            if let Some(writer) = self.ask(&mut belief).await {
                belief.writer = Some(writer);
                belief.is_doubted = false;
            }
        }
        let mut members = self.database.made.members.iter();
        let member = members.find(|member| Some(member.region) == belief.writer);
        member.cloned().ok_or(Trouble::Unanswered)
    }

    /// Asks one Region after the other until one answers; begins with another one each time.
    async fn ask(&self, belief: &mut Belief) -> Option<Region> {
        let apis = &self.database.apis;
        for _ in 0..apis.len() {
            let (region, api) = &apis[belief.next % apis.len()];
            belief.next += 1;
            let delay = self.network.way(self.place, *region);
            self.network.wait(delay).await;
            let writer = databases::writer_by(api, &self.database.made, *region).await;
            self.network.wait(delay).await;
            if writer.is_some() {
                return writer;
            }
        }
        None
    }

    /// What it knew may be so no more: its other connections lead there too.
    async fn doubt(&self) {
        self.idle().clear();
        self.belief.lock().await.is_doubted = true;
    }

    fn take_idle(&self) -> Option<Session> {
        let mut idle = self.idle();
        idle.retain(|session| session.connection.is_open());
        idle.pop()
    }

    fn put_idle(&self, session: Session) {
        let mut idle = self.idle();
        if idle.len() < IDLE {
            idle.push(session);
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The row, with the timeline that the server which inserts it is on: the first eight digits of the
/// name of the log's file. An id of a plan has letters, digits, `-` and `_`.
fn insertion(id: &str) -> String {
    let id = id.replace('\'', "''");
    format!(
        "insert into {ROWS} (id, timeline) values ('{id}', \
         ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int) \
         returning timeline"
    )
}

impl From<SqlError> for Trouble {
    fn from(cause: SqlError) -> Trouble {
        match cause {
            SqlError::Refused { .. } => Trouble::Sql,
            SqlError::Unanswered(cause) => cause.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_t_end_its_quotes() {
        let statement = insertion("a'b");
        assert!(statement.contains("('a''b', "), "{statement}");
    }
}
