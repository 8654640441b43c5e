//! The rows as they were left: asked of the server alone, which nobody can reach. Users' tables are
//! read by plain scans: nothing that a user has made runs.

use std::fmt::Write as _;
use std::path::Path;

use super::names::Names;
use super::room::Room;
use super::spool::Spool;
use super::sql::RowsFile;
use super::store::ROWS;
use crate::postgres::error::PostgresError;
use crate::postgres::files;
use crate::postgres::home::{ServerHome, blocking};
use crate::postgres::installation::Postgres;
use crate::postgres::text;

/// Where the server writes what it is asked for, until it has been read.
pub(super) const DIRECTORY: &str = "rows";

/// The file there with the numbers of what was committed.
const NUMBERS: &str = "numbers";

/// Before everything that is asked: no name is found but PostgreSQL's own, and nothing is written.
pub(super) const PLAIN: &str = "SET search_path = pg_catalog, pg_temp;\n\n\
     SET default_transaction_read_only = on;\n\nSET client_encoding = 'UTF8';\n\n";

/// What a database is asked for rows by, and how they are put in: the name of the file with them,
/// and what comes before each one's values.
struct Asked {
    ask: String,
    insertions: Vec<(String, String)>,
}

impl Asked {
    /// What a database is asked for its rows, each table's into a file of that directory.
    fn of(
        names: &Names,
        database: u32,
        place: &Path,
        condition: &str,
    ) -> Result<Asked, PostgresError> {
        let mut asked = Asked {
            ask: String::from(PLAIN),
            insertions: Vec::new(),
        };
        for (file, table) in names.tables_of(database) {
            let full = format!("{}.{}", quoted(&table.schema), quoted(&table.name));
            let target = literal_of(&place.join(file.to_string()))?;
            let columns = &table.columns;
            write!(
                asked.ask,
                "COPY (SELECT xmin, {columns} FROM ONLY {full} WHERE {condition}) TO {target};\n\n"
            )
            .expect("a String takes everything");
            let before = format!("INSERT INTO {full} ({columns}) OVERRIDING SYSTEM VALUE VALUES (");
            asked.insertions.push((file.to_string(), before));
        }
        Ok(asked)
    }
}

impl Postgres {
    /// Writes the rows out of which names are known, as far as there is room.
    pub(super) async fn export(
        &self,
        home: &ServerHome,
        (to, room): (&Path, Room),
        spool: &Spool,
        names: &Names,
    ) -> Result<RowsFile, PostgresError> {
        let place = to.join(DIRECTORY);
        let failed = || PostgresError::io("can't write a tail's rows");
        let mut bits = Vec::new();
        spool.numbers.write(&mut bits).map_err(failed())?;
        let (account, target) = (*self.account(), place.clone());
        let write = blocking("can't write a tail's numbers", move || {
            let directory = files::open_directory(&target)?;
            files::write_in(&directory, NUMBERS, &bits, &account)
        });
        write.await?;
        let condition = spool.numbers.condition(&literal_of(&place.join(NUMBERS))?);
        let mut file = RowsFile::new(&to.join(ROWS), room).map_err(failed())?;
        for (database, name) in names.asked() {
            let asked = (name, Asked::of(names, database, &place, &condition)?);
            file = self.write_rows(home, &place, asked, file).await?;
            if !file.is_whole {
                break;
            }
        }
        Ok(file)
    }

    /// Writes one database's rows.
    async fn write_rows(
        &self,
        home: &ServerHome,
        place: &Path,
        (name, Asked { ask, insertions }): (&str, Asked),
        mut file: RowsFile,
    ) -> Result<RowsFile, PostgresError> {
        if insertions.is_empty() {
            return Ok(file);
        }
        let asked = file
            .room()
            .watch(place, self.alone(home, name, &ask))
            .await?;
        if asked.is_none() {
            file.is_whole = false;
            return Ok(file);
        }
        let reached = text::connection(name)?;
        let reached = quoted(&format!("dbname={reached}"));
        let place = place.to_owned();
        blocking("can't write a tail's rows", move || {
            file.begin_database(&reached)?;
            for (of, before) in insertions {
                file.append(&place, &of, &before)?;
            }
            Ok(file)
        })
        .await
    }
}

/// A name as SQL has it: nothing in it ends it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The path of a file that the server writes or reads.
pub(super) fn literal_of(path: &Path) -> Result<String, PostgresError> {
    text::literal(&path.to_string_lossy())
}
