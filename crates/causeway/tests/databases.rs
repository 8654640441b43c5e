//! A program on tokio-postgres reaches a lab's database through its endpoint: prepared statements
//! with binary parameters, transactions, errors by their codes, a statement that is cancelled, many
//! under way at once. Says so and tests nothing where there is no PostgreSQL.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test opens sockets and waits"
)]

#[allow(dead_code, reason = "each test binary uses a part")]
#[path = "identity/caller.rs"]
mod caller;
mod support;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use caller::{Caller, element};
use futures_util::future::try_join_all;
use support::{Lab, eventually};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

/// Every character that RDS allows in a password.
fn password() -> String {
    let printable = (b'!'..=b'~').map(char::from);
    printable.filter(|it| !"/@\"".contains(*it)).collect()
}

/// An instance that is available; the settings of a connection to its endpoint.
fn instance(lab: &Lab) -> Config {
    // Its server's user passes through, once somebody is in the folder who needs it.
    let folder = lab.data();
    let folder = folder.parent().unwrap();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711)).unwrap();
    let caller = Caller::operator(lab, "us-east-1");
    let password = password();
    let wanted = [
        ("DBInstanceIdentifier", "orders"),
        ("DBInstanceClass", "db.t3.micro"),
        ("Engine", "postgres"),
        ("AllocatedStorage", "20"),
        ("MasterUsername", "clerk"),
        ("MasterUserPassword", &password),
        ("DBName", "orders"),
    ];
    caller.must("rds", "CreateDBInstance", &wanted);
    let named = [("DBInstanceIdentifier", "orders")];
    let mut described = String::new();
    eventually("the instance is available", || {
        described = caller.must("rds", "DescribeDBInstances", &named);
        element(&described, "DBInstanceStatus") == "available"
    });
    let mut config = Config::new();
    config
        .host(element(&described, "Address"))
        .port(element(&described, "Port").parse().unwrap())
        .user("clerk")
        .password(password)
        .dbname("orders")
        .connect_timeout(Duration::from_secs(10));
    config
}

async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[test]
fn tokio_postgres_reaches_a_database_through_its_endpoint() {
    if !std::path::Path::new("/usr/lib/postgresql/15/bin/postgres").exists() {
        eprintln!("NOT TESTED: PostgreSQL is not installed (apt-get install postgresql)");
        return;
    }
    let lab = Lab::start(&["--regions", "us-east-1", "--delay-scale", "0"]);
    let config = instance(&lab);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut client = connect(&config).await.unwrap();
        writes_and_reads(&mut client).await.unwrap();
        is_cancelled(&client).await;
        let wrong = connect(config.clone().password("not the word")).await;
        let code = wrong.err().and_then(|error| error.code().cloned());
        assert_eq!(code, Some(SqlState::INVALID_PASSWORD));
        // The session is good after all of it.
        let row = client.query_one("select count(*) from lines", &[]).await;
        assert_eq!(row.unwrap().get::<_, i64>(0), 101);
    });
}

async fn writes_and_reads(client: &mut Client) -> Result<(), tokio_postgres::Error> {
    let made = "create table lines (id bigint primary key, word text, bytes bytea)";
    client.batch_execute(made).await?;
    let insert = client
        .prepare("insert into lines values ($1, $2, $3) returning id")
        .await?;
    let bytes = vec![0_u8, 255, 10, 92];
    // All are sent before the first is answered.
    let numbers: Vec<i64> = (1..=100).collect();
    let writes = numbers.iter().map(|number| {
        let (insert, bytes) = (&insert, &bytes);
        let client = &*client;
        async move {
            let word = format!("line {number} ✓");
            client.query_one(insert, &[number, &word, bytes]).await
        }
    });
    for (row, number) in try_join_all(writes).await?.iter().zip(&numbers) {
        assert_eq!(row.get::<_, i64>(0), *number);
    }
    let error = client.query_one(&insert, &[&1_i64, &"twice", &bytes]).await;
    assert_eq!(error.unwrap_err().code(), Some(&SqlState::UNIQUE_VIOLATION));
    let undone = client.transaction().await?;
    undone.execute("delete from lines", &[]).await?;
    undone.rollback().await?;
    let kept = client.transaction().await?;
    kept.execute(&insert, &[&0_i64, &"kept", &bytes]).await?;
    kept.commit().await?;
    let row = client
        .query_one("select word, bytes from lines where id = $1", &[&7_i64])
        .await?;
    assert_eq!(row.get::<_, &str>(0), "line 7 ✓");
    assert_eq!(row.get::<_, Vec<u8>>(1), bytes);
    Ok(())
}

async fn is_cancelled(client: &Client) {
    let token = client.cancel_token();
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        token.cancel_query(NoTls).await
    };
    let (outcome, asked) = tokio::join!(client.execute("select pg_sleep(60)", &[]), cancel);
    asked.unwrap();
    assert_eq!(outcome.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
}
