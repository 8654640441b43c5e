//! The names of what was changed, and the rows as they were left: asked of the server alone, which
//! nobody can reach. Users' tables are read by plain scans: nothing that a user has made runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use super::copy_text;
use super::room::Room;
use super::scan::Relation;
use super::spool::{Spool, Spooled};
use super::sql::RowsFile;
use super::store::ROWS;
use crate::postgres::bootstrap::DATABASE;
use crate::postgres::error::PostgresError;
use crate::postgres::files;
use crate::postgres::home::{ServerHome, blocking};
use crate::postgres::installation::Postgres;
use crate::postgres::model::{LostTransaction, TableChanges};
use crate::postgres::text;

/// Where the server writes what it is asked for, until it has been read.
pub(super) const DIRECTORY: &str = "rows";

/// The file there with the numbers of what was committed.
const NUMBERS: &str = "numbers";

/// What is read of a list of names.
const LONGEST_LIST: usize = 256 * 1024 * 1024;

/// Before everything that is asked: no name is found but PostgreSQL's own, and nothing is written.
const PLAIN: &str = "SET search_path = pg_catalog, pg_temp;\n\n\
     SET default_transaction_read_only = on;\n\nSET client_encoding = 'UTF8';\n\n";

/// What is known of a file of tables' rows.
struct Table {
    schema: String,
    name: String,
    kind: Kind,
    /// Its columns, quoted, of which rows are made.
    columns: String,
}

/// What rows in it are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A user's.
    Rows,
    /// Of the catalogue: what tables there are.
    Schema,
    /// Large values of another's rows, figures for the planner: nobody's rows.
    Internal,
}

/// What a database is asked for rows by, and how they are put in: the name of the file with them,
/// and what comes before each one's values.
struct Asked {
    ask: String,
    insertions: Vec<(String, String)>,
}

/// The names of databases and tables.
#[derive(Default)]
pub(super) struct Names {
    databases: BTreeMap<u32, String>,
    /// Our own.
    own: Option<u32>,
    tables: BTreeMap<Relation, Table>,
    /// Databases of which not all was asked, since nobody may connect, or for odd names.
    left_out: BTreeSet<u32>,
    /// How many files of those that were asked for are no table's any more.
    rewritten: u64,
}

impl Names {
    /// The files of users' tables that were changed, by their databases.
    fn files_of(&self, spool: &Spool) -> BTreeMap<u32, BTreeSet<u32>> {
        let mut files_of: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for relation in &spool.relations {
            let of = files_of.entry(relation.database).or_default();
            of.insert(relation.file);
        }
        files_of.retain(|database, _| *database != 0 && Some(*database) != self.own);
        files_of
    }

    /// What a database is asked for the rows of those files, each into a file of that directory.
    fn asked(
        &self,
        database: u32,
        wanted: &BTreeSet<u32>,
        place: &Path,
        condition: &str,
    ) -> Result<Asked, PostgresError> {
        let mut asked = Asked {
            ask: String::from(PLAIN),
            insertions: Vec::new(),
        };
        for file in wanted.iter().copied() {
            let table = self.tables.get(&Relation { database, file });
            let has_rows = |table: &&Table| table.kind == Kind::Rows && !table.columns.is_empty();
            let Some(table) = table.filter(has_rows) else {
                continue;
            };
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

    /// Which rows aren't all there, if any.
    pub(super) fn left_out(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        let names = self.left_out.iter().map(u32::to_string);
        let names = names.collect::<Vec<_>>().join(", ");
        if !names.is_empty() {
            reasons.push(format!("not all of the databases {names} can be asked for"));
        }
        if self.rewritten > 0 {
            reasons.push(format!(
                "rows of {} files of tables aren't exported: the tables were rewritten, emptied \
                 or dropped later",
                self.rewritten
            ));
        }
        reasons
    }

    /// What a transaction did, by name; `None`: it is our own (nobody else writes to our database),
    /// or did nothing that is anybody's.
    pub(super) fn transaction(&self, committed: &Spooled) -> Option<LostTransaction> {
        let mut changed_schema = false;
        let mut tables = Vec::new();
        for (relation, counts) in &committed.changes {
            if Some(relation.database) == self.own {
                return None;
            }
            let table = self.tables.get(relation);
            match table.map(|table| table.kind) {
                Some(Kind::Internal) => continue,
                Some(Kind::Schema) => {
                    changed_schema = true;
                    continue;
                }
                // Shared by all databases: roles, and databases themselves.
                None if relation.database == 0 => {
                    changed_schema = true;
                    continue;
                }
                _ => {}
            }
            let database = self.databases.get(&relation.database);
            tables.push(TableChanges {
                database: database.cloned().unwrap_or(relation.database.to_string()),
                schema: table.map(|table| table.schema.clone()).unwrap_or_default(),
                table: table.map_or(relation.file.to_string(), |table| table.name.clone()),
                inserted: counts.inserted,
                updated: counts.updated,
                deleted: counts.deleted,
            });
        }
        let is_known = !committed.is_partial && tables.is_empty() && !changed_schema;
        (!is_known).then_some(LostTransaction {
            xid: committed.xid,
            committed: committed.at,
            lsn: committed.lsn,
            changed_schema,
            tables,
        })
    }
}

impl Postgres {
    /// Finds the names. What is found is in `names` also if it fails later.
    pub(super) async fn find_names(
        &self,
        home: &ServerHome,
        to: &Path,
        spool: &Spool,
        names: &mut Names,
    ) -> Result<(), PostgresError> {
        let place = to.join(DIRECTORY);
        // It may have been told what a server alone is not to be told.
        self.prepare_alone(home, &self.control_text(home).await?)?;
        self.find_databases(home, &place, names).await?;
        for (database, files) in names.files_of(spool) {
            match names.databases.get(&database).cloned() {
                Some(name) if !name.contains(char::is_control) => {
                    let asked = (database, &*name);
                    self.find_tables(home, &place, asked, &files, names).await?;
                }
                _ => {
                    names.left_out.insert(database);
                }
            }
        }
        Ok(())
    }

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
        for (database, files) in names.files_of(spool) {
            let name = names.databases.get(&database).cloned();
            let Some(name) = name.filter(|it| !it.contains(char::is_control)) else {
                continue;
            };
            let asked = (&*name, names.asked(database, &files, &place, &condition)?);
            file = self.write_rows(home, &place, asked, file).await?;
            if !file.is_whole {
                break;
            }
        }
        Ok(file)
    }

    async fn find_databases(
        &self,
        home: &ServerHome,
        place: &Path,
        names: &mut Names,
    ) -> Result<(), PostgresError> {
        let file = literal_of(&place.join("databases"))?;
        let ask = format!(
            "{PLAIN}COPY (SELECT oid, datname FROM pg_database WHERE datallowconn) TO {file};\n\n"
        );
        self.alone(home, DATABASE, &ask).await?;
        for fields in read_list(place, "databases").await? {
            let (Some(number), Some(name)) = (fields.first(), fields.get(1)) else {
                continue;
            };
            let Ok(number) = number.parse() else { continue };
            if name == DATABASE {
                names.own = Some(number);
            }
            names.databases.insert(number, name.clone());
        }
        Ok(())
    }

    /// Asks one database what those files are.
    async fn find_tables(
        &self,
        home: &ServerHome,
        place: &Path,
        (database, name): (u32, &str),
        wanted: &BTreeSet<u32>,
        names: &mut Names,
    ) -> Result<(), PostgresError> {
        let file = literal_of(&place.join("tables"))?;
        let numbers: Vec<String> = wanted.iter().map(u32::to_string).collect();
        let ask = format!(
            "{PLAIN}COPY (SELECT f.n, s.nspname, c.relname, CASE \
               WHEN c.relkind = 't' OR c.relname LIKE 'pg_statistic%' AND c.oid < 16384 THEN 'i' \
               WHEN c.oid < 16384 THEN 's' WHEN c.relkind = 'r' THEN 'r' ELSE 'i' END, \
               (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) \
                FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 \
                AND NOT a.attisdropped AND a.attgenerated = '') \
             FROM unnest('{{{}}}'::oid[]) AS f (n) \
             JOIN pg_class c ON c.oid = pg_filenode_relation(0, f.n) \
             JOIN pg_namespace s ON s.oid = c.relnamespace) TO {file};\n\n",
            numbers.join(",")
        );
        self.alone(home, name, &ask).await?;
        for fields in read_list(place, "tables").await? {
            let [number, schema, table, kind, columns] = &fields[..] else {
                continue;
            };
            let Ok(file) = number.parse() else { continue };
            let kind = match &**kind {
                "r" => Kind::Rows,
                "s" => Kind::Schema,
                _ => Kind::Internal,
            };
            // A server alone ends a statement there, wherever it stands.
            let odd = [schema, table, columns]
                .iter()
                .any(|it| it.contains(";\n\n"));
            if odd {
                names.left_out.insert(database);
            }
            let found = Table {
                schema: schema.clone(),
                name: table.clone(),
                kind,
                columns: if odd { String::new() } else { columns.clone() },
            };
            names.tables.insert(Relation { database, file }, found);
        }
        let gone = |file: &&u32| {
            let file = **file;
            !names.tables.contains_key(&Relation { database, file })
        };
        names.rewritten += wanted.iter().filter(gone).count() as u64;
        Ok(())
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

/// A list that the server has written, a line a row, and each field as it was; removes it.
async fn read_list(place: &Path, name: &'static str) -> Result<Vec<Vec<String>>, PostgresError> {
    let place = place.to_owned();
    let bytes = blocking("can't read what a server wrote out", move || {
        let directory = files::open_directory(&place)?;
        let bytes = files::read_in(&directory, name, LONGEST_LIST)?.unwrap_or_default();
        files::remove_in(&directory, name)?;
        Ok(bytes)
    });
    let bytes = bytes.await?;
    let text = String::from_utf8_lossy(&bytes);
    let fields = |line: &str| line.split('\t').map(copy_text::field).collect();
    Ok(text.lines().map(fields).collect())
}

/// A name as SQL has it: nothing in it ends it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The path of a file that the server writes or reads.
fn literal_of(path: &Path) -> Result<String, PostgresError> {
    text::literal(&path.to_string_lossy())
}
