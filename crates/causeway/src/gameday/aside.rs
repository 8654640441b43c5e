//! The rows that old writers of a global cluster alone held and that Regions keep aside, read from
//! the files that `causeway databases lost --sql` prints. It repairs nothing.

use std::collections::BTreeMap;
use std::path::Path;

use gameday::{Order, Plan};
use serde_json::Value;
use types::Region;

use super::lab::TestLab;
use crate::control::Command;
use crate::failure::Failure;

/// The largest file of lost rows that is read, in bytes.
const LONGEST: u64 = 512 * 1024 * 1024;

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
        let region = tail["region"].as_str().and_then(|name| name.parse().ok());
        let (Some(region), Some(file)) = (region, tail["sql"].as_str()) else {
            continue;
        };
        match read_aside(Path::new(file)) {
            Ok(text) => aside.extend(orders_in(plan, &text).map(|order| (order, region))),
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

fn read_aside(file: &Path) -> std::io::Result<String> {
    if std::fs::metadata(file)?.len() > LONGEST {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    std::fs::read_to_string(file)
}

/// The ids of rows that a file of `INSERT`s has, each in quotes of its own.
fn orders_in<'a>(plan: &'a Plan, text: &'a str) -> impl Iterator<Item = Order> + 'a {
    text.split('\'').filter_map(|word| plan.order(word))
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
        let found: Vec<Order> = orders_in(&plan, sql).collect();
        assert_eq!(found, [Order::Placed { load: 0, number: 3 }]);
    }
}
