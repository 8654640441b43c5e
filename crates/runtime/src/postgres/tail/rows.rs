//! The names of what was changed, and the rows as they were left: asked of the server alone, which
//! nobody can reach. Users' tables are read by plain scans: nothing that a user has made runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

use super::copy_text;
use super::scan::{Committed, Relation, Scan};
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

/// What is read of a list of names.
const LONGEST_LIST: usize = 256 * 1024 * 1024;

/// What the list may take where it is written down, in bytes: whoever tells of it reads 64 MiB.
const LONGEST_FACTS: usize = 48 * 1024 * 1024;

/// What a transaction takes of that, and a table, without its names: more than any names of fields
/// and numbers.
const TRANSACTION_FACTS: usize = 192;
const TABLE_FACTS: usize = 160;

/// Before everything that is asked: no name is found but PostgreSQL's own, and nothing is written.
const PLAIN: &str = "SET search_path = pg_catalog, pg_temp;\n\n\
     SET default_transaction_read_only = on;\n\nSET client_encoding = 'UTF8';\n\n";

/// At the head of the file of rows.
const HEAD: &str = "\
-- Rows as transactions left them that were committed and then lost in a failover: each as its last
-- such transaction left it. Rows that were taken away are not in here, nor changes of schemas.
-- A row whose key is there already stays as it is: look at what differs before you change it.
";

/// In every session that reads the file, whatever its database or its user has been given: what
/// the values below are written by. psql begins a session at each `\connect`.
const SESSION: &str = "SET standard_conforming_strings = on;\nSET client_encoding = 'UTF8';\n";

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

    /// What was lost, by name, without what is our own; and how many more there are for which
    /// there is no room.
    pub(super) fn transactions(&self, scan: &Scan) -> (Vec<LostTransaction>, u64) {
        let (mut listed, mut beyond, mut room) = (Vec::new(), 0, LONGEST_FACTS);
        for committed in &scan.committed {
            let its = self.transaction(committed);
            let own = |it: &Relation| Some(it.database) == self.own;
            let is_unknown = committed.is_partial && !committed.changes.keys().any(own);
            if its.tables.is_empty() && !its.changed_schema && !is_unknown {
                continue;
            }
            match room.checked_sub(length_of(&its)) {
                Some(rest) => {
                    room = rest;
                    listed.push(its);
                }
                None => beyond += 1,
            }
        }
        (listed, beyond)
    }

    fn transaction(&self, committed: &Committed) -> LostTransaction {
        let mut changed_schema = false;
        let mut tables = Vec::new();
        for (relation, counts) in &committed.changes {
            if Some(relation.database) == self.own {
                continue;
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
        LostTransaction {
            xid: committed.xid,
            committed: committed.at,
            lsn: committed.lsn,
            changed_schema,
            tables,
        }
    }
}

impl Postgres {
    /// Finds the names and writes the rows out; gives how many there are. What is found is in
    /// `names` also if it fails later.
    pub(super) async fn export(
        &self,
        home: &ServerHome,
        to: &Path,
        scan: &Scan,
        names: &mut Names,
    ) -> Result<u64, PostgresError> {
        let place = to.join(DIRECTORY);
        let numbers: Vec<String> = scan.numbers().iter().map(u32::to_string).collect();
        let (written, account) = (numbers.join(" "), *self.account());
        let target = place.clone();
        let write = blocking("can't write a tail's numbers", move || {
            let directory = files::open_directory(&target)?;
            files::write_in(&directory, "numbers", written.as_bytes(), &account)
        });
        write.await?;
        // It may have been told what a server alone is not to be told.
        self.prepare_alone(home, &self.control_text(home).await?)?;
        self.find_databases(home, &place, names).await?;
        let mut files_of: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for relation in scan.committed.iter().flat_map(|it| it.changes.keys()) {
            let of = files_of.entry(relation.database).or_default();
            of.insert(relation.file);
        }
        files_of.retain(|database, _| *database != 0 && Some(*database) != names.own);
        let mut writer = create(&to.join(ROWS))?;
        let mut count = 0;
        for (database, files) in files_of {
            match names.databases.get(&database).cloned() {
                Some(name) if !name.contains(char::is_control) => {
                    let asked = (database, &*name);
                    self.find_tables(home, &place, asked, &files, names).await?;
                    count += self
                        .write_rows(home, &place, asked, &files, names, &mut writer)
                        .await?;
                }
                _ => {
                    names.left_out.insert(database);
                }
            }
        }
        writer
            .flush()
            .map_err(PostgresError::io("can't write a tail's rows"))?;
        Ok(count)
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
        (database, name): (u32, &str),
        wanted: &BTreeSet<u32>,
        names: &Names,
        writer: &mut BufWriter<std::fs::File>,
    ) -> Result<u64, PostgresError> {
        let numbers = literal_of(&place.join("numbers"))?;
        let mut ask = String::from(PLAIN);
        let mut insertions = Vec::new();
        for file in wanted {
            let table = names.tables.get(&Relation {
                database,
                file: *file,
            });
            let has_rows = |table: &&Table| table.kind == Kind::Rows && !table.columns.is_empty();
            let Some(table) = table.filter(has_rows) else {
                continue;
            };
            let full = format!("{}.{}", quoted(&table.schema), quoted(&table.name));
            let target = literal_of(&place.join(file.to_string()))?;
            let columns = &table.columns;
            write!(
                ask,
                "COPY (SELECT xmin, {columns} FROM ONLY {full} WHERE xmin IN (SELECT x::xid FROM \
                 unnest(string_to_array(pg_read_file({numbers}), ' ')) AS l (x))) TO {target};\n\n"
            )
            .expect("a String takes everything");
            let before = format!("INSERT INTO {full} ({columns}) OVERRIDING SYSTEM VALUE VALUES (");
            insertions.push((file.to_string(), before));
        }
        if insertions.is_empty() {
            return Ok(0);
        }
        self.alone(home, name, &ask).await?;
        let failed = || PostgresError::io("can't write a tail's rows");
        let reached = text::connection(name)?;
        let reached = quoted(&format!("dbname={reached}"));
        writeln!(writer, "\n\\connect -reuse-previous=on {reached}").map_err(failed())?;
        writer.write_all(SESSION.as_bytes()).map_err(failed())?;
        let mut count = 0;
        for (file, before) in insertions {
            count += append(place, &file, &before, writer).map_err(failed())?;
        }
        Ok(count)
    }
}

/// What a transaction takes where it is written down, at most.
fn length_of(its: &LostTransaction) -> usize {
    let word = |text: &String| -> usize {
        let letter = |byte: u8| match byte {
            0..0x20 => 6,
            b'"' | b'\\' => 2,
            _ => 1,
        };
        text.bytes().map(letter).sum()
    };
    let table =
        |it: &TableChanges| TABLE_FACTS + word(&it.database) + word(&it.schema) + word(&it.table);
    TRANSACTION_FACTS + its.tables.iter().map(table).sum::<usize>()
}

/// Makes INSERTs of the rows in that file, and removes it.
fn append(place: &Path, file: &str, before: &str, writer: &mut impl Write) -> io::Result<u64> {
    let directory = files::open_directory(place)?;
    let rows = files::open_in(&directory, file)?;
    let count = copy_text::inserts(&mut BufReader::new(rows), before, writer)?;
    files::remove_in(&directory, file)?;
    Ok(count)
}

fn create(path: &Path) -> Result<BufWriter<std::fs::File>, PostgresError> {
    use std::os::unix::fs::OpenOptionsExt;
    let failed = || PostgresError::io(format!("can't write {}", path.display()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut writer = BufWriter::new(options.open(path).map_err(failed())?);
    writer.write_all(HEAD.as_bytes()).map_err(failed())?;
    Ok(writer)
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

#[cfg(test)]
mod tests {
    use types::Timestamp;

    use super::*;
    use crate::postgres::model::Lsn;
    use crate::postgres::tail::scan::Counts;

    #[test]
    fn a_list_is_never_longer_than_what_is_read_and_the_rest_is_counted() {
        let changes = (0..20_000).map(|file| (Relation { database: 5, file }, Counts::default()));
        let committed = Committed {
            xid: 1,
            parts: Vec::new(),
            at: Timestamp(0),
            lsn: Lsn(1),
            changes: changes.collect(),
            is_partial: false,
        };
        let mut scan = Scan::new(Lsn(0));
        scan.committed = vec![committed; 20];
        let mut names = Names::default();
        names.databases.insert(5, "\u{1}".repeat(63));
        let (listed, beyond) = names.transactions(&scan);
        assert_eq!(listed.len() as u64 + beyond, 20);
        assert!(!listed.is_empty() && beyond > 0);
        let each = listed.iter().flat_map(|it| &it.tables);
        let written = each.map(|it| serde_json::to_string(&it.database).unwrap().len() + 150);
        let written: usize = written.sum();
        assert!(
            written < LONGEST_FACTS && written > LONGEST_FACTS / 2,
            "{written}"
        );
    }
}
