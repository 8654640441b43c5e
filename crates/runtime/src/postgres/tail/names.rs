//! The names of what was changed, asked of the server alone, which nobody can reach; and which of
//! it nobody can be asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use super::copy_text;
use super::rows::{DIRECTORY, PLAIN, literal_of};
use super::scan::Relation;
use super::spool::{Spool, Spooled};
use crate::postgres::bootstrap::DATABASE;
use crate::postgres::error::PostgresError;
use crate::postgres::files;
use crate::postgres::home::{ServerHome, blocking};
use crate::postgres::installation::Postgres;
use crate::postgres::model::{LostTransaction, TableChanges};

/// The longest list of names that is read, in bytes.
const LONGEST_LIST: usize = 256 * 1024 * 1024;

/// What is known of a file of tables' rows.
pub(super) struct Table {
    pub(super) schema: String,
    pub(super) name: String,
    kind: Kind,
    /// Its columns, quoted, of which rows are made; empty if it can't be asked for any.
    pub(super) columns: String,
}

impl Table {
    /// Is it asked for its rows?
    pub(super) fn has_rows(&self) -> bool {
        self.kind == Kind::Rows && !self.columns.is_empty()
    }
}

/// What rows in it are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A user's.
    Rows,
    /// Parts of users' large objects, which aren't rows of theirs.
    Large,
    /// Of the catalogue: what tables there are.
    Schema,
    /// Large values of another's rows, figures for the planner: nobody's rows.
    Internal,
}

/// The names of databases and tables.
#[derive(Default)]
pub(super) struct Names {
    pub(super) databases: BTreeMap<u32, String>,
    /// Our own.
    own: Option<u32>,
    /// What was changed, and what may hold rows of what was rewritten later.
    tables: BTreeMap<Relation, Table>,
    /// Databases of which not all can be asked, for odd names.
    left_out: BTreeSet<u32>,
    /// Databases that were changed and are there no more.
    dropped: BTreeSet<u32>,
    /// Databases whose large objects may have been changed in a file that is gone.
    large: BTreeSet<u32>,
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

    /// The databases that can be asked for rows, by their numbers.
    pub(super) fn asked(&self) -> impl Iterator<Item = (u32, &str)> {
        let all = self.databases.iter();
        let asked = all.filter(|(_, name)| !is_odd(name));
        asked.map(|(number, name)| (*number, &**name))
    }

    /// The tables of a database that are asked for rows, by their files.
    pub(super) fn tables_of(&self, database: u32) -> impl Iterator<Item = (u32, &Table)> {
        let of = |file| Relation { database, file };
        let tables = self.tables.range(of(0)..=of(u32::MAX));
        let tables = tables.filter(|(_, table)| table.has_rows());
        tables.map(|(relation, table)| (relation.file, table))
    }

    /// Takes a line of the list of tables.
    fn add(&mut self, database: u32, wanted: &BTreeSet<u32>, fields: &[String]) {
        let [number, schema, table, kind, columns] = fields else {
            return;
        };
        let Ok(file) = number.parse() else { return };
        let kind = match &**kind {
            "r" => Kind::Rows,
            "l" => Kind::Large,
            "s" => Kind::Schema,
            _ => Kind::Internal,
        };
        // A server alone ends a statement there, wherever it stands.
        let names = [schema, table, columns];
        let odd = columns.is_empty() || names.iter().any(|it| it.contains(";\n\n"));
        if odd && kind == Kind::Rows {
            self.left_out.insert(database);
        }
        if kind == Kind::Large && !wanted.contains(&file) {
            self.large.insert(database);
        }
        let found = Table {
            schema: schema.clone(),
            name: table.clone(),
            kind,
            columns: if odd { String::new() } else { columns.clone() },
        };
        self.tables.insert(Relation { database, file }, found);
    }

    /// Which rows only the server's data hold, if any.
    pub(super) fn left_out(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(numbers) = numbers(&self.left_out) {
            reasons.push(format!(
                "not all of the databases {numbers} can be asked for"
            ));
        }
        if let Some(numbers) = numbers(&self.large) {
            reasons.push(format!(
                "large objects of the databases {numbers} may have been changed before \
                 pg_largeobject was rewritten: they aren't exported"
            ));
        }
        reasons
    }

    /// Which rows aren't anywhere any more, if any: whoever took them away did so later.
    pub(super) fn gone(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(numbers) = numbers(&self.dropped) {
            reasons.push(format!(
                "the databases {numbers} were dropped later, and their rows with them"
            ));
        }
        if self.rewritten > 0 {
            reasons.push(format!(
                "{} files of tables are gone: if the tables were rewritten later their rows are \
                 exported, if they were emptied or dropped nothing is left of them",
                self.rewritten
            ));
        }
        reasons
    }

    /// Did it put anything into large objects? That isn't exported.
    pub(super) fn fills_large(&self, committed: &Spooled) -> bool {
        committed.changes.iter().any(|(relation, counts)| {
            let table = self.tables.get(relation);
            let is_large = table.is_some_and(|table| table.kind == Kind::Large);
            is_large && counts.inserted + counts.updated > 0
        })
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
                Some(name) if !is_odd(&name) => {
                    let asked = (database, &*name);
                    self.find_tables(home, &place, asked, &files, names).await?;
                }
                Some(_) => {
                    names.left_out.insert(database);
                }
                None => {
                    names.dropped.insert(database);
                }
            }
        }
        Ok(())
    }

    /// A server alone lets us into databases too that let nobody connect. One whose dropping was
    /// cut off is as good as dropped: nobody can ask it (catalog/pg_database.h:
    /// `DATCONNLIMIT_INVALID_DB`).
    async fn find_databases(
        &self,
        home: &ServerHome,
        place: &Path,
        names: &mut Names,
    ) -> Result<(), PostgresError> {
        let file = literal_of(&place.join("databases"))?;
        let ask = format!(
            "{PLAIN}COPY (SELECT oid, datname FROM pg_database WHERE datconnlimit <> -2) \
             TO {file};\n\n"
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
        let ask = tables_question(wanted, &literal_of(&place.join("tables"))?);
        self.alone(home, name, &ask).await?;
        for fields in read_list(place, "tables").await? {
            names.add(database, wanted, &fields);
        }
        let gone = |file: &&u32| {
            let file = **file;
            !names.tables.contains_key(&Relation { database, file })
        };
        names.rewritten += wanted.iter().filter(gone).count() as u64;
        Ok(())
    }
}

/// What tables those files are of. Where one is no table's any more, also those whose rows are in
/// another file than they were first: a table that was rewritten (`VACUUM FULL`, `CLUSTER`) has its
/// rows there as transactions left them, and of that the log has pages alone. A new table's file
/// has its own number (catalog/heap.c: `heap_create`). 2613 is `pg_largeobject`.
fn tables_question(wanted: &BTreeSet<u32>, file: &str) -> String {
    let numbers: Vec<String> = wanted.iter().map(u32::to_string).collect();
    format!(
        "{PLAIN}COPY (WITH wanted AS ( \
           SELECT n, pg_filenode_relation(0, n)::oid AS its FROM unnest('{{{}}}'::oid[]) AS f (n) \
         ), found AS ( \
           SELECT n, its FROM wanted WHERE its IS NOT NULL \
           UNION SELECT pg_relation_filenode(oid), oid FROM pg_class \
           WHERE EXISTS (SELECT FROM wanted WHERE its IS NULL) \
           AND relkind = 'r' AND relpersistence = 'p' AND pg_relation_filenode(oid) <> oid \
           AND (oid >= 16384 OR oid = 2613 AND EXISTS (SELECT FROM pg_largeobject)) \
         ) SELECT f.n, s.nspname, c.relname, CASE \
           WHEN c.oid = 2613 THEN 'l' \
           WHEN c.relkind = 't' OR c.relname LIKE 'pg_statistic%' AND c.oid < 16384 THEN 'i' \
           WHEN c.oid < 16384 THEN 's' WHEN c.relkind = 'r' THEN 'r' ELSE 'i' END, \
           coalesce((SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) \
            FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 \
            AND NOT a.attisdropped AND a.attgenerated = ''), '') \
         FROM found f JOIN pg_class c ON c.oid = f.its \
         JOIN pg_namespace s ON s.oid = c.relnamespace) TO {file};\n\n",
        numbers.join(",")
    )
}

/// No session can be begun in a database of such a name, nor psql be told of it.
fn is_odd(database: &str) -> bool {
    database.contains(char::is_control)
}

/// `5, 16384`; `None`: there are none.
fn numbers(databases: &BTreeSet<u32>) -> Option<String> {
    let numbers: Vec<String> = databases.iter().map(u32::to_string).collect();
    (!numbers.is_empty()).then(|| numbers.join(", "))
}

/// A list that the server has written, a line a row, and each field as it was; removes it.
async fn read_list(place: &Path, name: &'static str) -> Result<Vec<Vec<String>>, PostgresError> {
    let place = place.to_owned();
    let lines = blocking("can't read what a server wrote out", move || {
        let directory = files::open_directory(&place)?;
        let bytes = files::read_in(&directory, name, LONGEST_LIST + 1)?.unwrap_or_default();
        files::remove_in(&directory, name)?;
        lines_of(&bytes, LONGEST_LIST)
    });
    lines.await
}

/// The lines of a list; one that is longer than that is an error, since its end would be missing
/// unseen.
fn lines_of(list: &[u8], longest: usize) -> io::Result<Vec<Vec<String>>> {
    if list.len() > longest {
        return Err(io::Error::other("a list of names is too long"));
    }
    let text = String::from_utf8_lossy(list);
    let fields = |line: &str| line.split('\t').map(copy_text::field).collect();
    Ok(text.lines().map(fields).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_whole_or_not_at_all() {
        let list = b"1\ta\\tb\n2\t\n";
        let lines = lines_of(list, list.len()).unwrap();
        assert_eq!(lines, [["1", "a\tb"], ["2", ""]]);
        assert!(lines_of(list, list.len() - 1).is_err());
    }
}
