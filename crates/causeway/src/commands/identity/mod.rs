//! `causeway identity`: who may call, new accounts and keys, and why something is allowed or not.

mod explain;
mod list;
mod policy;

use region::OperatorQuestion;
use serde_json::Value;
use types::AccountId;

use super::{ask, read};
use crate::cli::{IdentityCommand, Lab, Query};
use crate::control::Command;
use crate::failure::Failure;
use crate::output::{self, Table};

/// Carries one of them out.
pub fn identity(command: &IdentityCommand) -> Result<(), Failure> {
    match command {
        IdentityCommand::List {
            account,
            limit,
            query,
        } => list::list(*account, *limit, query),
        IdentityCommand::CreateAccount { account, query } => create_account(*account, query),
        IdentityCommand::CreateKey {
            user,
            account,
            query,
        } => create_key(user, account.number, query),
        IdentityCommand::Revoke { key, query } => revoke(key, query),
        IdentityCommand::Explain(command) => explain::explain(command),
        IdentityCommand::Policy(command) => policy::policy(command),
    }
}

/// Asks the lab.
fn question(lab: &Lab, question: OperatorQuestion) -> Result<Value, Failure> {
    ask(lab, &Command::Identity { question })
}

fn create_account(account: Option<AccountId>, query: &Query) -> Result<(), Failure> {
    let answer = question(&query.lab, OperatorQuestion::CreateAccount { account })?;
    if query.json {
        return output::print_json(&answer);
    }
    let account = text(&answer, "account");
    output::note(format!(
        "Made the account {account}. This is its root key; it can't be read again:"
    ));
    output::print(exports(&answer))
}

fn create_key(user: &str, account: AccountId, query: &Query) -> Result<(), Failure> {
    let user = user.to_owned();
    let asked = OperatorQuestion::CreateKey { account, user };
    let answer = question(&query.lab, asked)?;
    if query.json {
        return output::print_json(&answer);
    }
    let (user, account) = (text(&answer, "user"), text(&answer, "account"));
    output::note(format!(
        "Made a key of {user} in account {account}; it can't be read again:"
    ));
    output::print(exports(&answer))
}

/// A key as a POSIX shell takes it. The note beside it is on stderr, so `eval` gets these alone.
fn exports(answer: &Value) -> String {
    let (id, secret) = (
        text(answer, "access_key_id"),
        text(answer, "secret_access_key"),
    );
    // None of the values has a character that a shell would look at twice but '+' and '/'.
    format!(
        "export AWS_ACCESS_KEY_ID={id}\nexport AWS_SECRET_ACCESS_KEY={secret}\n\
         unset AWS_SESSION_TOKEN AWS_PROFILE\n"
    )
}

fn revoke(key: &str, query: &Query) -> Result<(), Failure> {
    let asked = OperatorQuestion::Revoke {
        key: key.to_owned(),
    };
    let answer = question(&query.lab, asked)?;
    let regions: Vec<Value> = read(answer["regions"].clone())?;
    match query.json {
        true => output::print_json(&answer)?,
        false => {
            let whose = match answer["user"].as_str() {
                Some(user) => format!(" of {user} in account {}", text(&answer, "account")),
                None => String::new(),
            };
            output::print(format!(
                "The key {key}{whose} is deleted.\n\n{}\n{SESSIONS}\n",
                refusals(&regions)
            ))?;
        }
    }
    match regions.iter().all(|region| region["refuses"] == true) {
        true => Ok(()),
        false => Err(Failure::did_not_hold(
            "the key is deleted, but not every Region refuses it yet",
        )
        .then("those named accept it until they have heard the others")),
    }
}

/// What a revocation doesn't end.
const SESSIONS: &str = "\
Sessions that were begun with it (GetSessionToken) last until they expire, 36 hours at most. To end
them now, deny what is older in a policy of the user: DateLessThan of aws:TokenIssueTime.";

fn refusals(regions: &[Value]) -> Table {
    let mut table = Table::new(["REGION", "THE KEY THERE"]);
    for region in regions {
        let said = match region["refuses"].as_bool() {
            Some(true) => format!("is refused, after {} ms", region["milliseconds"]),
            _ => format!(
                "is accepted until the Region has heard the others ({})",
                text(region, "reason")
            ),
        };
        table.row([text(region, "region").to_owned(), said]);
    }
    table
}

fn text<'a>(answer: &'a Value, member: &str) -> &'a str {
    answer[member].as_str().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_key_is_printed_for_a_shell() {
        let answer = json!({ "access_key_id": "AKIAX", "secret_access_key": "a+/b" });
        let expected = "export AWS_ACCESS_KEY_ID=AKIAX\nexport AWS_SECRET_ACCESS_KEY=a+/b\n\
                        unset AWS_SESSION_TOKEN AWS_PROFILE\n";
        assert_eq!(exports(&answer), expected);
    }

    #[test]
    fn each_region_says_whether_it_refuses_a_revoked_key() {
        let regions = [
            json!({ "region": "us-east-1", "refuses": true, "milliseconds": 3 }),
            json!({ "region": "eu-west-1", "refuses": false, "reason": "it is killed" }),
            json!({ "region": "sa-east-1", "refuses": false,
                    "reason": "it did not answer within 10 s" }),
        ];
        let expected = "\
REGION     THE KEY THERE
us-east-1  is refused, after 3 ms
eu-west-1  is accepted until the Region has heard the others (it is killed)
sa-east-1  is accepted until the Region has heard the others (it did not answer within 10 s)
";
        assert_eq!(refusals(&regions).to_string(), expected);
    }
}
