//! `causeway conflicts`: the ledger of writes that lost.

use serde_json::Value;
use types::Timestamp;

use super::{ask, rows};
use crate::cli::{Conflicts, Lab};
use crate::control::Command;
use crate::failure::Failure;
use crate::listing::PageStart;
use crate::output::{self, Table};

/// Characters of a key that a list shows.
const KEY_WIDTH: usize = 40;

/// Lists, shows or restores.
pub fn conflicts(command: &Conflicts) -> Result<(), Failure> {
    match command {
        Conflicts::List {
            query,
            table,
            limit,
            after,
        } => {
            let page = Page {
                lab: &query.lab,
                table: table.as_deref(),
                limit: *limit,
                after: *after,
            };
            let answer = ask(&query.lab, &page.command())?;
            match query.json {
                true => output::print_json(&answer),
                false => page.print(&answer),
            }
        }
        Conflicts::Objects { query, limit } => {
            let answer = ask(&query.lab, &Command::LostObjects { limit: *limit })?;
            match query.json {
                true => output::print_json(&answer),
                false => print_objects(&answer),
            }
        }
        Conflicts::Show { id, query } => {
            let answer = ask(&query.lab, &Command::Conflict { id: id.to_string() })?;
            // Items are JSON: there is no better form for people either.
            output::print_json(&answer)
        }
        Conflicts::Restore { id, query } => {
            let answer = ask(&query.lab, &Command::Restore { id: id.to_string() })?;
            match query.json {
                true => output::print_json(&answer),
                false => output::print(format!(
                    "{id} is written again in {}\n",
                    answer
                        .get("region")
                        .and_then(Value::as_str)
                        .unwrap_or("its Region")
                )),
            }
        }
    }
}

/// Versions of objects that lost.
fn print_objects(answer: &Value) -> Result<(), Failure> {
    let rows = rows(answer, "objects");
    if rows.is_empty() {
        return output::print("no version of an object has lost\n");
    }
    let columns = [
        ("REGION", "region"),
        ("BUCKET", "bucket"),
        ("KEY", "key"),
        ("LOST", "loser"),
        ("CURRENT", "winner"),
    ];
    output::print(Table::of_rows(&columns, &rows))?;
    if answer["more"] == true {
        output::note("there are more: --limit says how many are listed of each Region");
    }
    Ok(())
}

/// What was asked for.
struct Page<'a> {
    lab: &'a Lab,
    table: Option<&'a str>,
    limit: u32,
    after: Option<PageStart>,
}

impl Page<'_> {
    fn command(&self) -> Command {
        Command::Conflicts {
            table: self.table.map(str::to_owned),
            after: self.after,
            limit: self.limit,
        }
    }

    /// The rows on stdout; what isn't among them, and why, on stderr.
    fn print(&self, answer: &Value) -> Result<(), Failure> {
        let rows = rows(answer, "conflicts");
        if rows.is_empty() {
            output::print(self.nothing(answer))?;
        } else {
            output::print(table(&rows))?;
        }
        for ledger in answer["ledgers"].as_array().into_iter().flatten() {
            if let Some(dropped @ 1..) = ledger["dropped"].as_u64() {
                let region = text(&ledger["region"]);
                output::note(format!(
                    "{region} has dropped its {dropped} oldest rows: its ledger was full"
                ));
            }
        }
        if let Some(next) = answer["next"].as_str() {
            let (shown, following) = (rows.len(), self.following(next));
            let in_all = self.in_all(answer).filter(|in_all| *in_all > shown as u64);
            let in_all = in_all.map_or(String::new(), |in_all| {
                format!(" (at least {in_all} in all)")
            });
            output::note(format!(
                "{shown} shown, there are more{in_all}: {following}"
            ));
        }
        Ok(())
    }

    /// How many rows there are at least: as many as the fullest ledger has. It doesn't count them
    /// by table.
    fn in_all(&self, answer: &Value) -> Option<u64> {
        let ledgers = answer["ledgers"].as_array().into_iter().flatten();
        let fullest = ledgers.filter_map(|ledger| ledger["rows"].as_u64()).max();
        fullest.filter(|_| self.table.is_none())
    }

    fn nothing(&self, answer: &Value) -> String {
        let more = if self.after.is_some() { " more" } else { "" };
        let table = self
            .table
            .map_or(String::new(), |table| format!(" of {table}"));
        let all_answered = answer["silent"].as_array().is_none_or(Vec::is_empty);
        let known = match all_answered {
            true => "",
            false => ", as far as the Regions know that answered",
        };
        format!("no{more} write{table} has lost{known}\n")
    }

    /// The command that shows the page after this one.
    fn following(&self, next: &str) -> String {
        let mut command = "causeway conflicts list".to_owned();
        let mut option = |name: &str, value: String| {
            command.push_str(&format!(" {name} {value}"));
        };
        if let Some(table) = self.table {
            option("--table", table.to_owned());
        }
        if self.limit != 100 {
            option("--limit", self.limit.to_string());
        }
        if self.lab.data != std::path::Path::new(".causeway") {
            option("--data", output::quoted(&self.lab.data.to_string_lossy()));
        }
        if let Some(port) = self.lab.api_port {
            option("--api-port", port.to_string());
        }
        if let Some(file) = &self.lab.key.operator_key {
            option("--operator-key", output::quoted(&file.to_string_lossy()));
        }
        if let Some(command) = &self.lab.key.operator_key_command {
            option("--operator-key-command", output::quoted(command));
        }
        option("--after", next.to_owned());
        command
    }
}

fn table(rows: &[Value]) -> Table {
    let mut table = Table::new([
        "ID", "TABLE", "KEY", "KIND", "WON IN", "LOST IN", "LOST BY", "FOUND AT", "FOUND IN",
    ]);
    for row in rows {
        let time = |side: &str| row[side]["time"].as_u64().unwrap_or_default();
        let found = row["regions"].as_array().into_iter().flatten().map(text);
        let found_at = row["detectedAt"].as_u64().map(Timestamp);
        table.row([
            text(&row["id"]),
            text(&row["table"]),
            key(&row["key"]),
            text(&row["kind"]),
            text(&row["winner"]["region"]),
            text(&row["loser"]["region"]),
            format!("{} ms", time("winner").saturating_sub(time("loser"))),
            found_at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
            found.collect::<Vec<_>>().join(", "),
        ]);
    }
    table
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// An item's key in short: the values of its attributes, without their types.
fn key(key: &Value) -> String {
    let attributes = key.as_object().into_iter().flatten();
    let values = attributes.map(|(name, value)| {
        let typed = value.as_object().and_then(|typed| typed.values().next());
        format!("{name}={}", text(typed.unwrap_or(value)))
    });
    let key = values.collect::<Vec<_>>().join(" ");
    match key.char_indices().nth(KEY_WIDTH) {
        Some((end, _)) => format!("{}…", &key[..end]),
        None => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_following_page_is_asked_for_as_this_one_was() {
        let following = |data: &str, api_port, table, limit| {
            let lab = Lab {
                data: data.into(),
                api_port,
                key: crate::cli::OperatorKey::default(),
            };
            let page = Page {
                lab: &lab,
                table,
                limit,
                after: None,
            };
            page.following("N")
        };
        let plain = following(".causeway", None, None, 100);
        assert_eq!(plain, "causeway conflicts list --after N");
        let full = following("a lab", Some(5566), Some("Orders"), 7);
        let options = "--table Orders --limit 7 --data 'a lab' --api-port 5566 --after N";
        assert_eq!(full, format!("causeway conflicts list {options}"));
    }

    #[test]
    fn long_keys_are_cut_short() {
        assert_eq!(
            key(&json!({"id": {"S": "1"}, "at": {"N": "2"}})),
            "at=2 id=1"
        );
        let long = key(&json!({"id": {"S": "é".repeat(100)}}));
        assert_eq!(long.chars().count(), KEY_WIDTH + 1);
    }
}
