//! `causeway verify`: is every Region's data sound, and do replicas agree?

use serde_json::Value;

use super::ask;
use crate::cli::Query;
use crate::control::Command;
use crate::failure::Failure;
use crate::output;

/// Prints what was found; fails with exit code 1 if anything was.
pub fn verify(query: &Query) -> Result<(), Failure> {
    let answer = ask(&query.lab, &Command::Verify)?;
    let sound = answer.get("sound").and_then(Value::as_bool) == Some(true);
    match query.json {
        true => output::print_json(&answer)?,
        false => print(&answer)?,
    }
    match sound {
        true => Ok(()),
        false => Err(Failure::did_not_hold("the verification did not hold")),
    }
}

fn print(answer: &Value) -> Result<(), Failure> {
    let list = |value: &Value, name: &str| {
        let list = value.get(name).and_then(Value::as_array);
        list.cloned().unwrap_or_default()
    };
    for region in list(answer, "regions") {
        let name = region.get("region").and_then(Value::as_str).unwrap_or("?");
        let findings = list(&region, "findings");
        if findings.is_empty() {
            output::print(format!("{name}: sound\n"))?;
        }
        for finding in findings {
            let text = finding
                .as_str()
                .map_or_else(|| finding.to_string(), str::to_owned);
            output::print(format!("{name}: {text}\n"))?;
        }
    }
    Ok(())
}
