//! Global clusters of a scenario, through the same APIs and endpoints that anybody would use: made
//! in each of their Regions, their writer moved, and their rows read. It merges nothing, and
//! believes nobody but RDS of who the writer is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gameday::scenario::{MoveKind, Table, WriterMove};
use gameday::{Order, Plan, Scan, Scenario};
use runtime::postgres::Postgres;
use runtime::{SqlConnection, SqlLogin};
use types::{Place, Region, Span};
use zeroize::Zeroizing;

use super::api::{Api, ApiError, element, required};
use super::deploy::Deployment;
use super::lab::TestLab;
use super::load::WATCHER;
use super::recorder::Recorder;
use crate::failure::Failure;

/// The table of the rows.
pub const ROWS: &str = "gameday_rows";

/// What RDS calls the engine and the class of the instances.
const ENGINE: &str = "aurora-postgresql";
const CLASS: &str = "db.r6g.large";

/// The database and its user.
const DATABASE: &str = "gameday";

/// How long a Region may take to say who the writer is.
const ASK: Duration = Duration::from_secs(1);

/// For how long it is asked for another writer while the sites can't decide, and how often.
const DECIDE: Span = Span::seconds(30);
const ASK_AGAIN: Span = Span::milliseconds(100);

/// A global cluster that was made.
#[derive(Clone)]
pub struct MadeCluster {
    /// Its name.
    pub name: String,
    /// Its cluster in each Region, the first writer's first.
    pub members: Vec<Member>,
    /// Who writes and reads.
    pub login: Arc<SqlLogin>,
}

/// The cluster of one Region.
#[derive(Clone, Debug)]
pub struct Member {
    /// The Region.
    pub region: Region,
    /// Its ARN.
    pub arn: String,
    /// Its writer endpoint, which serves while it is the writer.
    pub writer: SocketAddr,
    /// Its reader endpoint.
    pub reader: SocketAddr,
}

impl std::fmt::Debug for MadeCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("MadeCluster");
        shown
            .field("name", &self.name)
            .field("members", &self.members);
        shown.finish_non_exhaustive()
    }
}

/// Refuses a scenario with global clusters on a machine without PostgreSQL.
pub fn look_for_postgres(scenario: &Scenario) -> Result<(), Failure> {
    postgres_of(scenario).map(drop)
}

/// Opens the lab's own directory to the user that its database servers run as.
pub fn let_servers_pass(scenario: &Scenario, directory: &Path) -> Result<(), Failure> {
    let Some(postgres) = postgres_of(scenario)? else {
        return Ok(());
    };
    let opened = postgres.let_pass(directory);
    opened.map_err(|cause| Failure::nothing_running(format!("can't open its directory: {cause}")))
}

/// What the scenario's databases run on; none if it has none.
fn postgres_of(scenario: &Scenario) -> Result<Option<Postgres>, Failure> {
    if !scenario.tables.iter().any(Table::is_global_cluster) {
        return Ok(None);
    }
    let found = Postgres::find();
    let needed = |missing: runtime::postgres::PostgresMissing| {
        format!("this game day needs PostgreSQL: {missing}")
    };
    found
        .map(Some)
        .map_err(|missing| Failure::wrong_use(needed(missing)))
}

/// Makes a global cluster with a member in each Region, and the table of the rows; waits until
/// every member serves it.
pub async fn make(deployment: &Deployment<'_>, table: &Table) -> Result<MadeCluster, Failure> {
    let name = table.name.as_str();
    let login = SqlLogin {
        database: DATABASE.to_owned(),
        user: DATABASE.to_owned(),
        password: Zeroizing::new(deployment.unique()),
    };
    let mut made = MadeCluster {
        name: name.to_owned(),
        members: Vec::new(),
        login: Arc::new(login),
    };
    let Some(first) = table.regions.first().copied() else {
        return Ok(made);
    };
    let what = format!("the global cluster {name} is there");
    let world = [("GlobalClusterIdentifier", name), ("Engine", ENGINE)];
    create(deployment, &what, first, "CreateGlobalCluster", &world).await?;
    for region in &table.regions {
        let member = make_member(deployment, &made, *region).await?;
        made.members.push(member);
        if *region == first {
            create_table(deployment, &made).await?;
        }
        let what = format!("the cluster of {name} in {region} has the table {ROWS}");
        let member = &made.members[made.members.len() - 1];
        deployment
            .wait(&what, || async {
                Ok(ids(&made, member, member.reader).await.is_ok())
            })
            .await?;
    }
    Ok(made)
}

/// Makes something, once the sites can decide; that it is there already is as good.
async fn create(
    deployment: &Deployment<'_>,
    what: &str,
    region: Region,
    operation: &str,
    parameters: &[(&str, &str)],
) -> Result<(), Failure> {
    deployment
        .wait(what, || async {
            let made = deployment
                .api()
                .databases(region, operation, parameters)
                .await;
            match made {
                Err(ApiError::Refused {
                    code: Some(code), ..
                }) if code.contains("AlreadyExists") => Ok(true),
                other => other.map(|_| true),
            }
        })
        .await
}

/// A cluster of that Region with its one instance.
async fn make_member(
    deployment: &Deployment<'_>,
    made: &MadeCluster,
    region: Region,
) -> Result<Member, Failure> {
    let name = format!("{}-{region}", made.name);
    let instance = format!("{name}-1");
    let mut cluster = vec![
        ("DBClusterIdentifier", name.as_str()),
        ("Engine", ENGINE),
        ("GlobalClusterIdentifier", made.name.as_str()),
    ];
    if made.members.is_empty() {
        cluster.extend([
            ("DatabaseName", made.login.database.as_str()),
            ("MasterUsername", made.login.user.as_str()),
            ("MasterUserPassword", made.login.password.as_str()),
        ]);
    }
    let what = format!("the cluster {name} is there");
    create(deployment, &what, region, "CreateDBCluster", &cluster).await?;
    let head = [
        ("DBInstanceIdentifier", instance.as_str()),
        ("DBClusterIdentifier", name.as_str()),
        ("DBInstanceClass", CLASS),
        ("Engine", ENGINE),
    ];
    let what = format!("the instance {instance} is there");
    create(deployment, &what, region, "CreateDBInstance", &head).await?;
    let what = format!("the instance {instance} is available");
    let api = deployment.api();
    deployment
        .wait(&what, || async {
            let described = [("DBInstanceIdentifier", instance.as_str())];
            let answer = api.databases(region, "DescribeDBInstances", &described);
            Ok(element(&answer.await?, "DBInstanceStatus").as_deref() == Some("available"))
        })
        .await?;
    let described = [("DBClusterIdentifier", name.as_str())];
    let answer = api
        .databases(region, "DescribeDBClusters", &described)
        .await?;
    member(region, &answer).map_err(Failure::from)
}

/// A cluster as it is described.
fn member(region: Region, answer: &str) -> Result<Member, ApiError> {
    let text = |name| required(answer, name, "DescribeDBClusters");
    let port = text("Port")?;
    let address = |name| {
        let host = text(name)?;
        let address = format!("{host}:{port}").parse::<SocketAddr>();
        address.map_err(|_| ApiError::Strange {
            operation: "DescribeDBClusters".to_owned(),
            answer: format!("{name} {host}:{port}"),
        })
    };
    Ok(Member {
        region,
        arn: text("DBClusterArn")?,
        writer: address("Endpoint")?,
        reader: address("ReaderEndpoint")?,
    })
}

/// The rows have a number of the database's own, so that one that is there twice is seen.
async fn create_table(deployment: &Deployment<'_>, made: &MadeCluster) -> Result<(), Failure> {
    let Some(writer) = made.members.first() else {
        return Ok(());
    };
    let statement = format!(
        "create table if not exists {ROWS} (row bigint generated always as identity primary key, \
         id text not null, timeline int not null)"
    );
    let what = format!("the writer of {} has the table {ROWS}", made.name);
    deployment
        .wait(&what, || async {
            Ok(query(made, writer, writer.writer, &statement).await.is_ok())
        })
        .await
}

/// What a statement gives at an endpoint of a member, asked from its own place.
async fn query(
    made: &MadeCluster,
    member: &Member,
    endpoint: SocketAddr,
    statement: &str,
) -> Result<Vec<Vec<String>>, String> {
    let source = Place(member.region).address(WATCHER);
    let connection = SqlConnection::open(source, endpoint, &made.login).await;
    let connection = connection.map_err(|cause| cause.to_string())?;
    let rows = connection.rows(statement).await;
    rows.map_err(|cause| cause.to_string())
}

/// Every id that is there, with its timeline and how often it is there.
async fn ids(
    made: &MadeCluster,
    member: &Member,
    endpoint: SocketAddr,
) -> Result<Vec<Vec<String>>, String> {
    let statement = format!("select id, max(timeline), count(*) from {ROWS} group by id");
    query(made, member, endpoint, &statement).await
}

/// The Region whose cluster is the writer, as the first of those Regions has it that answers.
pub async fn writer(lab: &TestLab, made: &MadeCluster, regions: &[Region]) -> Option<Region> {
    for region in regions {
        if let Some(writer) = writer_by(&lab.api_of(*region), made, *region).await {
            return Some(writer);
        }
    }
    None
}

/// The Region whose cluster is the writer, as RDS of that Region has it.
pub async fn writer_by(api: &Api, made: &MadeCluster, region: Region) -> Option<Region> {
    let world = [("GlobalClusterIdentifier", made.name.as_str())];
    let asked = api.databases(region, "DescribeGlobalClusters", &world);
    let answer = runtime::within(ASK, asked).await?.ok()?;
    let arn = writer_arn(&answer)?;
    let member = made.members.iter().find(|member| member.arn == arn);
    member.map(|member| member.region)
}

/// The ARN of the member that is the writer.
fn writer_arn(answer: &str) -> Option<String> {
    let members = answer.split("<GlobalClusterMember>").skip(1);
    let members = members.filter_map(|rest| rest.split("</GlobalClusterMember>").next());
    let mut writers = members.filter(|one| element(one, "IsWriter").as_deref() == Some("true"));
    element(writers.next()?, "DBClusterArn")
}

/// Asks the Region that is to be the writer for it; again, while that can't be decided.
pub async fn move_writer(
    lab: &TestLab,
    made: &MadeCluster,
    moved: &WriterMove,
    recorder: &Recorder,
) -> Result<(), Failure> {
    let target = made.members.iter().find(|member| member.region == moved.to);
    let target = target.ok_or_else(|| Failure::did_not_hold("it has no cluster there"))?;
    let mut parameters = vec![
        ("GlobalClusterIdentifier", made.name.as_str()),
        ("TargetDbClusterIdentifier", target.arn.as_str()),
    ];
    let operation = match moved.kind {
        MoveKind::Switchover => "SwitchoverGlobalCluster",
        MoveKind::Failover { allow_data_loss } => {
            parameters.extend(allow_data_loss.then_some(("AllowDataLoss", "true")));
            "FailoverGlobalCluster"
        }
    };
    let api = lab.api_of(moved.to);
    let deadline = Span(recorder.elapsed().0 + DECIDE.0);
    loop {
        let refused = match api.databases(moved.to, operation, &parameters).await {
            Ok(_) => return Ok(()),
            Err(refused) => refused,
        };
        if recorder.elapsed() >= deadline || !is_undecided(&refused) {
            return Err(refused.into());
        }
        recorder.wait(ASK_AGAIN).await;
    }
}

/// Is it for want of a majority, of another change's end, of a target that follows, or of the
/// Region itself?
fn is_undecided(refused: &ApiError) -> bool {
    match refused {
        ApiError::Refused { status, code, .. } => {
            let code = code.as_deref().unwrap_or_default();
            status.is_server_error()
                || code == "Throttling"
                || code.contains("InvalidGlobalCluster")
                || code.contains("InvalidDBCluster")
        }
        // It is being started.
        ApiError::Unanswered { .. } => true,
        ApiError::Strange { .. } => false,
    }
}

/// What each member has that can be asked, the writer through its writer endpoint; and why others
/// could not be read.
pub async fn scan(
    lab: &TestLab,
    plan: &Plan,
    made: &MadeCluster,
    (at, outage): (Span, Option<Region>),
    wait: Duration,
) -> (Scan, Vec<(Region, String)>) {
    let mut scan = Scan {
        at,
        ..Scan::default()
    };
    let mut unread = Vec::new();
    let regions = made.members.iter().map(|member| member.region);
    let living: Vec<Region> = regions.filter(|it| Some(*it) != outage).collect();
    scan.writer = writer(lab, made, &living)
        .await
        .filter(|it| Some(*it) != outage);
    for member in &made.members {
        let region = member.region;
        let endpoint = match scan.writer == Some(region) {
            true => member.writer,
            false => member.reader,
        };
        let read = runtime::within(wait, ids(made, member, endpoint)).await;
        let rows = match read {
            Some(Ok(rows)) => rows,
            Some(Err(why)) => {
                unread.push((region, why));
                continue;
            }
            None => {
                unread.push((
                    region,
                    format!("no whole answer within {} s", wait.as_secs()),
                ));
                continue;
            }
        };
        let (orders, twice) = held(plan, &rows);
        scan.regions.insert(region, orders);
        scan.twice.insert(region, twice);
    }
    (scan, unread)
}

/// The rows of loads by their timeline, and how many there are beyond one of each.
fn held(plan: &Plan, rows: &[Vec<String>]) -> (BTreeMap<Order, u32>, u64) {
    let mut orders = BTreeMap::new();
    let mut twice = 0;
    for row in rows {
        let [id, timeline, count] = row.as_slice() else {
            continue;
        };
        if let Some(order) = plan.order(id) {
            orders.insert(order, timeline.parse().unwrap_or(0));
            twice += count.parse::<u64>().unwrap_or(1).saturating_sub(1);
        }
    }
    (orders, twice)
}

/// Why the members don't hold the same; nothing if they do. Readers are asked at their reader
/// endpoints, which answer once what was a writer follows again.
pub async fn difference(lab: &TestLab, made: &MadeCluster, wait: Duration) -> Option<String> {
    let all: Vec<Region> = made.members.iter().map(|member| member.region).collect();
    let Some(writer) = writer(lab, made, &all).await else {
        return Some(format!("no Region says who the writer of {} is", made.name));
    };
    let statement = format!(
        "select count(*), md5(coalesce(string_agg(id || ' ' || timeline, ',' order by row), '')) \
         from {ROWS}"
    );
    let mut known: Option<(Region, Vec<Vec<String>>)> = None;
    for member in &made.members {
        let region = member.region;
        let endpoint = match region == writer {
            true => member.writer,
            false => member.reader,
        };
        let asked = runtime::within(wait, query(made, member, endpoint, &statement));
        let rows = match asked.await {
            Some(Ok(rows)) => rows,
            Some(Err(why)) => return Some(format!("{} in {region}: {why}", made.name)),
            None => return Some(format!("{} in {region} doesn't answer", made.name)),
        };
        match &known {
            Some((first, theirs)) if *theirs != rows => {
                return Some(format!(
                    "{} has other rows in {region} than in {first}",
                    made.name
                ));
            }
            Some(_) => {}
            None => known = Some((region, rows)),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_is_the_member_that_is_said_to_be_it() {
        let member = |arn: &str, writes: bool| {
            format!(
                "<GlobalClusterMember><DBClusterArn>{arn}</DBClusterArn><Readers><member>other\
                 </member></Readers><IsWriter>{writes}</IsWriter></GlobalClusterMember>"
            )
        };
        let two = |one, other| {
            let (one, other) = (member("a", one), member("b", other));
            format!("<GlobalClusterMembers>{one}{other}</GlobalClusterMembers>")
        };
        assert_eq!(writer_arn(&two(false, true)).as_deref(), Some("b"));
        assert_eq!(writer_arn(&two(true, false)).as_deref(), Some("a"));
        assert_eq!(writer_arn(&two(false, false)), None);
        assert_eq!(
            writer_arn("<GlobalClusterMembers></GlobalClusterMembers>"),
            None
        );
    }

    #[test]
    fn a_cluster_is_described_by_its_two_endpoints() {
        let answer = "<Endpoint>127.35.1.3</Endpoint><ReaderEndpoint>127.35.1.4</ReaderEndpoint>\
                      <Port>5433</Port><DBClusterArn>arn</DBClusterArn>";
        let region = "us-east-1".parse().unwrap();
        let member = member(region, answer).unwrap();
        assert_eq!(member.writer, "127.35.1.3:5433".parse().unwrap());
        assert_eq!(member.reader, "127.35.1.4:5433".parse().unwrap());
    }
}
