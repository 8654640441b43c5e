//! `causeway identity list`: accounts, users, roles and keys, as tables.

use std::time::Duration;

use region::{AccountRow, KeyRow, Listing, OperatorQuestion, PrincipalRow};
use runtime::SystemEnvironment;
use types::{AccountId, Environment, Timestamp};

use super::{question, read};
use crate::cli::Query;
use crate::duration;
use crate::failure::Failure;
use crate::output::{self, Table};

/// Prints it.
pub(super) fn list(account: Option<AccountId>, limit: u32, query: &Query) -> Result<(), Failure> {
    let answer = question(&query.lab, OperatorQuestion::List { account, limit })?;
    if query.json {
        return output::print_json(&answer);
    }
    let listing: Listing = read(answer)?;
    let now = SystemEnvironment::new().now().wall;
    output::print(render(&listing, now))
}

fn render(listing: &Listing, now: Timestamp) -> String {
    let mut text = accounts(&listing.accounts, now).to_string();
    if !listing.users.is_empty() {
        text.push_str(&format!("\n{}", users(&listing.users, now)));
    }
    if !listing.roles.is_empty() {
        text.push_str(&format!("\n{}", roles(&listing.roles, now)));
    }
    for fault in &listing.faults {
        text.push_str(&format!("\nunreadable: {}\n", output::printable(fault)));
    }
    if listing.more > 0 {
        text.push_str(&format!(
            "\n{} more users and roles; --limit shows more, --account one account's\n",
            listing.more
        ));
    }
    text
}

fn accounts(accounts: &[AccountRow], now: Timestamp) -> Table {
    let mut table = Table::new([
        "ACCOUNT",
        "ALIAS",
        "AGE",
        "USERS",
        "ROLES",
        "POLICIES OVER IT",
        "ROOT KEY",
    ]);
    for row in accounts {
        let over = row.service_control_policies.iter();
        let over = over.chain(&row.resource_control_policies);
        let over: Vec<&str> = over.map(String::as_str).collect();
        let mut keys = list_of(row.root_keys.iter().map(String::as_str));
        if row.is_first {
            keys.push_str(" (the operator's)");
        }
        table.row([
            row.account.to_string(),
            row.alias.clone().unwrap_or_else(|| "-".to_owned()),
            age(row.created, now),
            row.users.to_string(),
            row.roles.to_string(),
            list_of(over),
            keys,
        ]);
    }
    table
}

/// A row a key; one for a user without keys.
fn users(users: &[PrincipalRow], now: Timestamp) -> Table {
    let mut table = Table::new([
        "ACCOUNT",
        "USER",
        "GROUPS",
        "POLICIES",
        "BOUNDARY",
        "ACCESS KEY",
        "AGE",
        "STATE",
    ]);
    for user in users {
        let none = [KeyRow {
            id: "-".to_owned(),
            created: None,
            state: "-".to_owned(),
        }];
        let keys = match user.keys.as_slice() {
            [] => none.as_slice(),
            keys => keys,
        };
        for key in keys {
            table.row([
                user.account.to_string(),
                user.name.clone(),
                list_of(user.groups.iter().map(String::as_str)),
                policies(user),
                boundary(user),
                key.id.clone(),
                age(key.created, now),
                key.state.clone(),
            ]);
        }
    }
    table
}

fn roles(roles: &[PrincipalRow], now: Timestamp) -> Table {
    let mut table = Table::new(["ACCOUNT", "ROLE", "POLICIES", "BOUNDARY", "AGE"]);
    for role in roles {
        table.row([
            role.account.to_string(),
            role.name.clone(),
            policies(role),
            boundary(role),
            age(Some(role.created), now),
        ]);
    }
    table
}

fn policies(principal: &PrincipalRow) -> String {
    let attached = principal.attached.iter().map(|arn| last_part(arn));
    list_of(attached.chain(principal.inline.iter().map(String::as_str)))
}

fn boundary(principal: &PrincipalRow) -> String {
    list_of(principal.boundary.iter().map(|arn| last_part(arn)))
}

/// `ReadOnlyAccess` of `arn:aws:iam::aws:policy/ReadOnlyAccess`.
fn last_part(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

fn list_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match names.is_empty() {
        true => "-".to_owned(),
        false => names.join(","),
    }
}

fn age(created: Option<u64>, now: Timestamp) -> String {
    /// Hours from which an age is told in days.
    const DAYS_FROM: u64 = 48;
    let Some(created) = created else {
        return "-".to_owned();
    };
    let age = Duration::from_millis(now.0.saturating_sub(created));
    match age.as_secs() / 3600 {
        hours if hours >= DAYS_FROM => format!("{}d", hours / 24),
        _ => duration::show(age),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn row(name: &str) -> PrincipalRow {
        PrincipalRow {
            account: AccountId::LAB,
            name: name.to_owned(),
            arn: format!("arn:aws:iam::111122223333:user/{name}"),
            created: NOW.0 - 3_600_000,
            groups: Vec::new(),
            attached: Vec::new(),
            inline: Vec::new(),
            boundary: None,
            keys: Vec::new(),
        }
    }

    #[test]
    fn a_listing_is_tables_of_accounts_users_and_roles() {
        let key = |id: &str, days: u64, state: &str| KeyRow {
            id: id.to_owned(),
            created: Some(NOW.0 - days * 86_400_000),
            state: state.to_owned(),
        };
        let listing = Listing {
            revision: 7,
            accounts: vec![AccountRow {
                account: AccountId::LAB,
                alias: Some("shop".to_owned()),
                created: None,
                is_first: true,
                root_keys: vec!["AKIAROOT".to_owned()],
                users: 2,
                roles: 1,
                service_control_policies: vec!["only-europe".to_owned()],
                resource_control_policies: Vec::new(),
            }],
            users: vec![
                PrincipalRow {
                    groups: vec!["admins".to_owned()],
                    attached: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()],
                    inline: vec!["own".to_owned()],
                    keys: vec![key("AKIA1", 3, "active"), key("AKIA2", 0, "inactive")],
                    ..row("alice")
                },
                row("bob"),
            ],
            roles: vec![row("reader")],
            more: 4,
            faults: vec!["'identity/user/1/x' is malformed".to_owned()],
        };
        let expected = "     ACCOUNT  ALIAS  AGE  USERS  ROLES  POLICIES OVER IT  ROOT KEY
111122223333  shop     -      2      1  only-europe       AKIAROOT (the operator's)

     ACCOUNT  USER   GROUPS  POLICIES            BOUNDARY  ACCESS KEY  AGE   STATE
111122223333  alice  admins  ReadOnlyAccess,own         -  AKIA1       3d    active
111122223333  alice  admins  ReadOnlyAccess,own         -  AKIA2       0 ms  inactive
111122223333  bob    -       -                          -  -           -     -

     ACCOUNT  ROLE    POLICIES  BOUNDARY  AGE
111122223333  reader         -         -  1h 0m

unreadable: 'identity/user/1/x' is malformed

4 more users and roles; --limit shows more, --account one account's
";
        assert_eq!(render(&listing, NOW), expected);
    }
}
