//! `causeway env`: what a shell needs so that every AWS tool talks to the lab.

use serde_json::json;

use super::RunningLab;
use crate::cli::Query;
use crate::failure::Failure;
use crate::output;

/// Prints `export` lines for a POSIX shell, or JSON.
pub fn env(query: &Query) -> Result<(), Failure> {
    let found = RunningLab::find(&query.lab)?;
    let region = found.region.name();
    let endpoint = format!("http://{}", found.front_door);
    let key = &found.root_key;
    let variables = [
        ("AWS_ACCESS_KEY_ID", key.access_key_id()),
        ("AWS_SECRET_ACCESS_KEY", key.secret().expose()),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_ENDPOINT_URL", &endpoint),
    ];
    if query.json {
        let object: serde_json::Map<_, _> = variables
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .into_iter()
            .collect();
        return output::print_json(&object);
    }
    // None of the values has a character that a shell would look at twice but '+' and '/'.
    let mut lines = variables
        .map(|(name, value)| format!("export {name}={value}\n"))
        .concat();
    // A session token of another account would be sent along, and refused.
    lines.push_str("unset AWS_SESSION_TOKEN AWS_PROFILE\n");
    output::print(lines)
}
