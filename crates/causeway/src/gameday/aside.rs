//! The rows that old writers of a global cluster alone held and that Regions keep aside, read from
//! the files that `causeway databases lost --sql` prints. It repairs nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};

use gameday::{Order, Plan};
use serde_json::Value;
use types::Region;

use super::lab::TestLab;
use crate::control::Command;
use crate::failure::Failure;

/// The longest value that is looked at, in bytes: an order's id is shorter.
const LONGEST: usize = 1024;

/// The rows of loads that old writers alone held and that Regions keep aside, as `causeway
/// databases lost` tells of them, and what could not be looked through.
pub async fn kept_aside(
    lab: &TestLab,
    plan: &Plan,
) -> Result<(BTreeMap<Order, Region>, Vec<String>), Failure> {
    let answer = lab.ask_for_value(&Command::LostTransactions).await?;
    let mut aside = BTreeMap::new();
    let mut troubles = Vec::new();
    for tail in answer["lost"].as_array().into_iter().flatten() {
        if let Some(trouble) = tail["trouble"].as_str() {
            troubles.push(format!(
                "what an old writer kept aside is not whole: {trouble}"
            ));
        }
        if let Some(count @ 1..) = tail["unlisted"].as_u64() {
            troubles.push(format!(
                "{count} transactions that an old writer alone held are not listed"
            ));
        }
        let region = tail["region"].as_str().and_then(|name| name.parse().ok());
        let (Some(region), Some(file)) = (region, tail["sql"].as_str()) else {
            continue;
        };
        let mut add = |order| {
            aside.insert(order, region);
        };
        let file = File::open(file).map(BufReader::new);
        match file.and_then(|mut rows| orders_in(plan, &mut rows, &mut add)) {
            Ok(()) => {}
            Err(why) => troubles.push(format!("what {region} kept aside can't be read: {why}")),
        }
    }
    for silent in answer["silent"].as_array().into_iter().flatten() {
        troubles.push(format!(
            "a Region doesn't say what it kept aside: {}",
            said(silent)
        ));
    }
    Ok((aside, troubles))
}

fn said(silent: &Value) -> String {
    let region = silent["region"].as_str();
    region.map_or_else(|| silent.to_string(), str::to_owned)
}

/// The ids of rows that a file of `INSERT`s has, each in quotes of its own. However long the file
/// and its values are, a piece of it is in memory.
fn orders_in(
    plan: &Plan,
    rows: &mut impl BufRead,
    add: &mut impl FnMut(Order),
) -> std::io::Result<()> {
    let (mut word, mut is_longer) = (Vec::new(), false);
    loop {
        let part = rows.fill_buf()?;
        let end = part.iter().position(|byte| *byte == b'\'');
        let piece = &part[..end.unwrap_or(part.len())];
        is_longer |= word.len() + piece.len() > LONGEST;
        if !is_longer {
            word.extend_from_slice(piece);
        }
        let (length, is_over) = (piece.len(), part.is_empty());
        rows.consume(length + usize::from(end.is_some()));
        if end.is_none() && !is_over {
            continue;
        }
        let text = std::str::from_utf8(&word).ok().filter(|_| !is_longer);
        text.and_then(|text| plan.order(text))
            .into_iter()
            .for_each(&mut *add);
        if is_over {
            return Ok(());
        }
        word.clear();
        is_longer = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_their_ids_and_nothing_else_is() {
        let text = "title = \"x\"\n[lab]\nregions = [\"us-east-1\"]\n[[global_cluster]]\n\
                    name = \"orders\"\nregions = [\"us-east-1\"]\n[[load]]\nname = \"ohio\"\n\
                    place = \"us-east-2\"\nclient = \"follows_the_writer\"\nrate = 1\n\
                    does = \"insert_rows\"\nglobal_cluster = \"orders\"\n[measure]\n\
                    length = \"5s\"\n";
        let scenario = gameday::Scenario::parse("x.toml", text, &[]);
        let plan = Plan::of(scenario.unwrap_or_else(|problems| panic!("{problems}")));
        let sql = "\\connect 'dbname=gameday'\nINSERT INTO public.gameday_rows (\"row\", id) \
                   VALUES ('7', 'ohio-000003'); -- transaction 731\n\
                   INSERT INTO public.others (id) VALUES ('paris-000004'), (E'a\\\\b');\n";
        let long = "x".repeat(3 * LONGEST);
        let sql = format!("VALUES ('{long}'), ('{long}ohio-000009');\n{sql}");
        for size in [1, 7, 8192] {
            let mut rows = BufReader::with_capacity(size, sql.as_bytes());
            let mut found = Vec::new();
            orders_in(&plan, &mut rows, &mut |order| found.push(order)).unwrap();
            assert_eq!(found, [Order::Placed { load: 0, number: 3 }], "{size}");
        }
    }
}
