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
    let authority = found.authority.map(|file| file.display().to_string());
    let key = &found.root_key;
    let mut variables = vec![
        ("AWS_ACCESS_KEY_ID", key.access_key_id()),
        ("AWS_SECRET_ACCESS_KEY", key.secret().expose()),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_ENDPOINT_URL", &found.url),
    ];
    if let Some(file) = &authority {
        variables.push(("AWS_CA_BUNDLE", file));
    }
    if query.json {
        let pairs = variables.iter();
        let object: serde_json::Map<_, _> = pairs
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        return output::print_json(&object);
    }
    let pairs = variables.iter();
    let mut lines: String = pairs
        .map(|(name, value)| format!("export {name}={}\n", output::quoted(value)))
        .collect();
    // A session token of another account would be sent along, and refused.
    lines.push_str("unset AWS_SESSION_TOKEN AWS_PROFILE\n");
    if authority.is_none() {
        // Another lab's authority, say; the SDKs' own is what remains.
        lines.push_str("unset AWS_CA_BUNDLE\n");
    }
    output::print(lines)
}
