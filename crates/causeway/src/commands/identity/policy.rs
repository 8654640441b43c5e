//! `causeway identity policy`: the policies that an organisation puts over accounts.

use std::path::Path;

use region::{OperatorQuestion, OverAccount, PolicyRow};
use serde_json::Value;

use super::{question, read, text};
use crate::cli::{PolicyCommand, Query};
use crate::failure::Failure;
use crate::output::{self, Table};

/// Sets, removes or lists.
pub(super) fn policy(command: &PolicyCommand) -> Result<(), Failure> {
    match command {
        PolicyCommand::Set {
            name,
            service_control,
            resource_control,
            account,
            query,
        } => {
            let (kind, file) = match (service_control, resource_control) {
                (Some(file), None) => (OverAccount::ServiceControl, file),
                (None, Some(file)) => (OverAccount::ResourceControl, file),
                // The command line is refused before.
                _ => return Err(Failure::wrong_use("one file with a policy is needed")),
            };
            let asked = OperatorQuestion::SetPolicy {
                account: account.number,
                name: name.clone(),
                kind,
                document: document(file)?,
            };
            let answer = question(&query.lab, asked)?;
            say(query, &answer, "stands over")
        }
        PolicyCommand::Remove {
            name,
            service_control,
            resource_control,
            account,
            query,
        } => {
            let kind = match (service_control, resource_control) {
                (true, _) => Some(OverAccount::ServiceControl),
                (_, true) => Some(OverAccount::ResourceControl),
                (false, false) => None,
            };
            let asked = OperatorQuestion::RemovePolicy {
                account: account.number,
                name: name.clone(),
                kind,
            };
            let answer = question(&query.lab, asked)?;
            say(query, &answer, "stands no longer over")
        }
        PolicyCommand::List { account, query } => {
            let account = *account;
            let answer = question(&query.lab, OperatorQuestion::ListPolicies { account })?;
            if query.json {
                return output::print_json(&answer);
            }
            let rows: Vec<PolicyRow> = read(answer)?;
            match rows.is_empty() {
                true => output::print("No policy stands over an account.\n"),
                false => output::print(table(&rows)),
            }
        }
    }
}

fn document(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|cause| Failure::wrong_use(format!("can't read {}: {cause}", file.display())))
}

fn say(query: &Query, answer: &Value, what: &str) -> Result<(), Failure> {
    if query.json {
        return output::print_json(answer);
    }
    let kind = read(answer["kind"].clone())?;
    let (name, account) = (text(answer, "name"), text(answer, "account"));
    let name = output::printable(name);
    output::print(format!(
        "The {} {name} {what} account {account}.\n",
        words(kind)
    ))
}

fn words(kind: OverAccount) -> &'static str {
    match kind {
        OverAccount::ServiceControl => "service control policy",
        OverAccount::ResourceControl => "resource control policy",
    }
}

fn table(rows: &[PolicyRow]) -> Table {
    let mut table = Table::new(["ACCOUNT", "POLICY", "KIND", "DOCUMENT"]);
    for row in rows {
        // As it was given it may be of many lines.
        let document = serde_json::from_str::<Value>(&row.document);
        let document = document.map_or_else(|_| row.document.clone(), |value| value.to_string());
        table.row([
            row.account.to_string(),
            row.name.clone(),
            words(row.kind).to_owned(),
            document,
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::AccountId;

    #[test]
    fn a_policy_is_listed_on_one_line() {
        let rows = [PolicyRow {
            account: AccountId::LAB,
            name: "p".to_owned(),
            kind: OverAccount::ServiceControl,
            document: "{\n  \"Statement\": []\n}".to_owned(),
        }];
        let expected = "     ACCOUNT  POLICY  KIND                    DOCUMENT
111122223333  p       service control policy  {\"Statement\":[]}
";
        assert_eq!(table(&rows).to_string(), expected);
    }
}
