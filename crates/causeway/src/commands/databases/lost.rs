//! `causeway databases lost`: what failovers lost, read a page at a time from the lists that
//! Regions of this machine keep beside their data; however long they are, a page is all that is in
//! memory.

use std::path::Path;

use runtime::postgres::{LostList, LostTransaction};
use serde_json::{Value, json};
use types::{ByteSize, Timestamp};

use super::super::{ask, rows};
use crate::cli::LostTransactions;
use crate::control::Command;
use crate::failure::Failure;
use crate::output::{self, Table};

/// What is told of every lost transaction.
const LOST: [(&str, &str); 9] = [
    ("REGION", "region"),
    ("CLUSTER", "cluster"),
    ("EPOCH", "epoch"),
    ("TRANSACTION", "transaction"),
    ("COMMITTED", "committed"),
    ("LSN", "lsn"),
    ("TABLE", "table"),
    ("ROWS IN", "inserted"),
    ("CHANGED", "changed"),
];

/// Lines of a table: one that is longer is printed as several.
const TABLE_LINES: usize = 5_000;

/// Prints what failovers lost.
pub(super) fn lost(wanted: &LostTransactions) -> Result<(), Failure> {
    let answer = ask(&wanted.query.lab, &Command::LostTransactions)?;
    let tails = rows(&answer, "lost");
    if wanted.query.json {
        return print_json(&tails, &answer["silent"]);
    }
    // Those that are silent are told on stderr.
    let all_answered = answer["silent"].as_array().is_none_or(Vec::is_empty);
    if wanted.sql {
        return print_all_sql(&tails, all_answered);
    }
    if tails.is_empty() {
        return output::print(match all_answered {
            true => "no failover has lost anything that is known by now\n",
            false => "no Region that answered keeps anything that a failover lost\n",
        });
    }
    for tail in &tails {
        missing_of(tail).iter().for_each(output::note);
    }
    let (mut lines, mut is_begun) = (Vec::new(), false);
    for tail in &tails {
        each_page(tail, |page| {
            lines.extend(page.iter().flat_map(|it| lines_of(tail, it)));
            if lines.len() < TABLE_LINES {
                return Ok(());
            }
            is_begun = true;
            output::print(Table::of_rows(&LOST, &std::mem::take(&mut lines)))
        })?;
    }
    if !lines.is_empty() || !is_begun {
        output::print(Table::of_rows(&LOST, &lines))?;
    }
    tails.iter().try_for_each(print_sum)
}

fn print_sum(tail: &Value) -> Result<(), Failure> {
    let word = |field: &str| tail[field].as_str().unwrap_or("?").to_owned();
    let counted = |field: &str| tail[field].as_u64().unwrap_or(0);
    output::print(format!(
        "\n{}: {} transactions from {} to {} ({} not listed), kept in {}\n",
        word("cluster"),
        counted("count"),
        word("begin"),
        word("end"),
        counted("unlisted"),
        word("directory"),
    ))
}

/// Prints all rows as SQL; fails where some may be missing.
fn print_all_sql(tails: &[Value], all_answered: bool) -> Result<(), Failure> {
    tails.iter().try_for_each(print_sql)?;
    if !all_answered {
        let text = "not every Region answered: rows that they keep are missing in this SQL";
        let next = "start those Regions, or wait until they answer, and print it again";
        return Err(Failure::did_not_hold(text).then(next));
    }
    match tails.iter().any(is_short) {
        false => Ok(()),
        true => Err(Failure::did_not_hold(
            "not all that was lost could be listed: rows may be missing in this SQL",
        )
        .then(
            "look at what it says at the head of each part, and at the data that are kept aside",
        )),
    }
}

/// May something of it be neither listed nor in its file of rows? Older ones say so by a number.
fn is_short(tail: &Value) -> bool {
    tail["short"] == true || tail["unlisted"].as_u64().is_some_and(|count| count > 0)
}

/// Gives a tail's transactions, a page at a time.
fn each_page(
    tail: &Value,
    mut take: impl FnMut(&[Value]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // Of before lists were files of their own.
    if let Some(all) = tail["transactions"].as_array() {
        return take(all);
    }
    let Some(file) = tail["list"].as_str() else {
        return Ok(());
    };
    let bytes = ByteSize(tail["list_bytes"].as_u64().unwrap_or(0));
    let mut list = LostList::open(Path::new(file), bytes).map_err(Failure::did_not_hold)?;
    loop {
        let page = list.page().map_err(Failure::did_not_hold)?;
        if page.is_empty() {
            return Ok(());
        }
        let page: Vec<Value> = page.iter().map(told).collect();
        take(&page)?;
    }
}

/// A transaction as `--json` has it.
fn told(transaction: &LostTransaction) -> Value {
    let tables = transaction.tables.iter().map(|table| {
        let name = match table.schema.as_str() {
            "" => table.table.clone(),
            schema => format!("{schema}.{}", table.table),
        };
        json!({
            "database": table.database,
            "table": name,
            "inserted": table.inserted,
            "updated": table.updated,
            "deleted": table.deleted,
        })
    });
    json!({
        "transaction": transaction.xid,
        "committed": transaction.committed.0,
        "lsn": transaction.lsn.to_string(),
        "changed_schema": transaction.changed_schema,
        "tables": tables.collect::<Vec<_>>(),
    })
}

/// Prints it all as one JSON object, of which a page at a time is in memory.
fn print_json(tails: &[Value], silent: &Value) -> Result<(), Failure> {
    output::print("{\"lost\": [")?;
    for (place, tail) in tails.iter().enumerate() {
        let mut facts = tail.clone();
        if let Some(facts) = facts.as_object_mut() {
            facts.remove("transactions");
        }
        let facts = facts.to_string();
        let open = facts.strip_suffix('}').unwrap_or(&facts);
        let before = if place == 0 { "" } else { "," };
        output::print(format!("{before}\n{open},\"transactions\": ["))?;
        let mut is_first = true;
        each_page(tail, |page| {
            let mut text = String::new();
            for transaction in page {
                let before = if is_first { "\n" } else { ",\n" };
                is_first = false;
                text += &format!("{before}{transaction}");
            }
            output::print(text)
        })?;
        output::print("]}")?;
    }
    output::print(format!("],\n\"silent\": {silent}}}\n"))
}

/// A line for each table that a lost transaction changed.
fn lines_of(tail: &Value, transaction: &Value) -> Vec<Value> {
    let line = |table: &Value| {
        let counted = |field: &str| table[field].as_u64().unwrap_or(0);
        let committed = transaction["committed"].as_u64().unwrap_or(0);
        json!({
            "region": tail["region"],
            "cluster": tail["cluster"],
            "epoch": tail["epoch"],
            "transaction": transaction["transaction"],
            "committed": Timestamp(committed).to_string(),
            "lsn": transaction["lsn"],
            "table": table["table"],
            "inserted": table["inserted"],
            "changed": counted("updated") + counted("deleted"),
        })
    };
    match transaction["tables"].as_array() {
        Some(tables) if !tables.is_empty() => tables.iter().map(line).collect(),
        _ => vec![line(&Value::Null)],
    }
}

/// Prints the rows of a tail as they are kept, beside the Region's data on this machine, after
/// what isn't in them.
fn print_sql(tail: &Value) -> Result<(), Failure> {
    for missing in missing_of(tail) {
        output::note(&missing);
        output::print(format!("-- {missing}\n"))?;
    }
    let Some(file) = tail["sql"].as_str() else {
        return Ok(());
    };
    output::copy(Path::new(file))
}

/// What of a tail isn't in its list, or in its file of rows, a line each.
fn missing_of(tail: &Value) -> Vec<String> {
    let folder = output::printable(tail["directory"].as_str().unwrap_or("?"));
    let place = |field: &str| {
        let lsn = output::printable(tail[field]["lsn"].as_str()?);
        let at = Timestamp(tail[field]["committed"].as_u64()?);
        Some(format!("{lsn} at {at}"))
    };
    let unlisted = tail["unlisted"].as_u64().filter(|count| *count > 0);
    let unlisted = unlisted.map(|count| {
        let span = match (place("first_unlisted"), place("last_unlisted")) {
            (Some(first), Some(last)) => format!(" (committed from {first} to {last})"),
            _ => String::new(),
        };
        format!(
            "{folder}: {count} transactions aren't listed{span}, and their rows may be missing here"
        )
    });
    let trouble = tail["trouble"].as_str();
    let trouble = trouble.map(|trouble| format!("{folder}: {}", output::printable(trouble)));
    let aside = tail["aside"].as_array().into_iter().flatten();
    let aside = aside.filter_map(|place| {
        let place = output::printable(&output::quoted(place.as_str()?));
        Some(format!(
            "what isn't here is in the data that are kept aside in {place}, a data directory of \
             PostgreSQL 15; `rm -r {place}` lets go of them"
        ))
    });
    let said = trouble.into_iter().chain(unlisted);
    said.chain(aside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_of_rows_lacks_is_said() {
        let whole = json!({ "directory": "/d", "unlisted": 0, "trouble": null, "short": false });
        assert!(missing_of(&whole).is_empty() && !is_short(&whole));
        let short = json!({ "directory": "/d", "unlisted": 3, "trouble": "its log\n is gone" });
        let missing = missing_of(&short);
        assert_eq!(
            missing[0], "/d: its log\\n is gone",
            "a line, behind -- as well"
        );
        assert!(missing[1].starts_with("/d: 3 transactions aren't listed, and"));
        assert_eq!((missing.len(), is_short(&short)), (2, true));
        let place = |lsn: &str, at: u64| json!({ "lsn": lsn, "committed": at });
        let aside = json!({
            "directory": "/d",
            "unlisted": 2,
            "first_unlisted": place("0/5", 1000),
            "last_unlisted": place("0/9", 2000),
            "aside": ["/d/home", "/d/a b\n"],
        });
        let missing = missing_of(&aside);
        assert!(
            missing[0].contains("from 0/5 at 1970-01-01T00:00:01"),
            "{missing:?}"
        );
        assert!(missing[1].contains("`rm -r /d/home`"), "{missing:?}");
        assert!(!missing[2].contains('\n'), "{missing:?}");
    }

    #[test]
    fn lists_of_both_formats_are_read() {
        let mut seen = Vec::new();
        let mut see = |page: &[Value]| {
            seen.extend(page.to_vec());
            Ok(())
        };
        let old = json!({ "transactions": [{ "transaction": 7, "tables": [] }] });
        each_page(&old, &mut see).unwrap();
        assert_eq!(seen.len(), 1);
        assert_eq!(lines_of(&old, &seen[0])[0]["transaction"], 7);
        let gone = json!({ "list": "/nowhere/transactions", "list_bytes": 16 });
        assert!(
            each_page(&gone, |_| Ok(())).is_err(),
            "a list that isn't there is no empty one"
        );
    }
}
