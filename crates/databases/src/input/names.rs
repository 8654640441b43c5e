//! Names of instances, snapshots, groups, users and databases. What passes here is safe in keys,
//! paths and SQL identifiers all the same; nobody relies on it without quoting.

use crate::error::DatabasesError;
use crate::request::shown;

/// The longest name of an instance, a user or a database, in characters.
const MAX_SHORT: usize = 63;

/// The longest name of a snapshot or a group.
const MAX_LONG: usize = 255;

/// User names that RDS or Causeway keep for themselves.
const RESERVED_USERS: &[&str] = &[
    "admin",
    "public",
    "none",
    "rdsadmin",
    "rdsrepladmin",
    "rdstopmgr",
    "rds_superuser",
    "rds_replication",
    "rds_password",
    "rds_iam",
    "current_user",
    "current_role",
    "session_user",
    "user",
];

/// What the names of Causeway's and PostgreSQL's own roles begin with.
const RESERVED_PREFIXES: &[&str] = &["causeway_", "pg_"];

/// Databases that every server has, or that RDS keeps for itself.
const RESERVED_DATABASES: &[&str] = &["rdsadmin", "template0", "template1"];

/// Does a name begin with a letter, have letters, digits and hyphens alone, neither two hyphens in
/// a row nor one at its end?
fn is_identifier(name: &str, most: usize) -> bool {
    (1..=most).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !name.ends_with('-')
        && !name.contains("--")
}

fn refused(parameter: &str) -> DatabasesError {
    DatabasesError::value(format!(
        "The parameter {parameter} is not a valid identifier. Identifiers must begin with a \
         letter; must contain only ASCII letters, digits, and hyphens; and must not end with a \
         hyphen or contain two consecutive hyphens."
    ))
}

/// A new instance's name, in small letters.
pub(crate) fn instance(parameter: &str, name: &str) -> Result<String, DatabasesError> {
    match is_identifier(name, MAX_SHORT) {
        true => Ok(name.to_ascii_lowercase()),
        false => Err(refused(parameter)),
    }
}

/// A new snapshot's, parameter group's or option group's name, in small letters.
pub(crate) fn long(parameter: &str, name: &str) -> Result<String, DatabasesError> {
    match is_identifier(name, MAX_LONG) {
        true => Ok(name.to_ascii_lowercase()),
        false => Err(refused(parameter)),
    }
}

/// A new subnet group's name, in small letters.
pub(crate) fn subnet_group(name: &str) -> Result<String, DatabasesError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_. ".contains(&byte);
    // It is part of an ARN, which has no spaces.
    let is_one = (1..=MAX_LONG).contains(&name.len())
        && name.bytes().all(|byte| allowed(byte) && byte != b' ');
    if !is_one {
        let text = "The parameter DBSubnetGroupName is not a valid identifier. It must contain \
                    only ASCII letters, digits, periods, underscores and hyphens, and no more \
                    than 255 of them.";
        return Err(DatabasesError::value(text));
    }
    let name = name.to_ascii_lowercase();
    if name == "default" {
        let text = "DBSubnetGroupName can not be 'default', it is reserved.";
        return Err(DatabasesError::value(text));
    }
    Ok(name)
}

/// A text that says what something is for.
pub(crate) fn description(parameter: &str, text: &str) -> Result<String, DatabasesError> {
    let is_one = text.len() <= MAX_LONG && text.chars().all(|it| !it.is_control());
    match is_one {
        true => Ok(text.to_owned()),
        false => Err(DatabasesError::value(format!(
            "The parameter {parameter} must be a text of no more than {MAX_LONG} characters."
        ))),
    }
}

/// Begins a name with a letter, and has it letters, digits and `_` alone?
fn is_word(name: &str) -> bool {
    (1..=MAX_SHORT).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A new instance's first user.
pub(crate) fn master(name: &str) -> Result<String, DatabasesError> {
    if !is_word(name) {
        let text = format!(
            "The parameter MasterUsername must begin with a letter and contain only \
             alphanumeric characters and underscores, no more than {MAX_SHORT} of them."
        );
        return Err(DatabasesError::value(text));
    }
    let small = name.to_ascii_lowercase();
    let is_reserved = RESERVED_USERS.contains(&small.as_str())
        || RESERVED_PREFIXES
            .iter()
            .any(|prefix| small.starts_with(prefix));
    if is_reserved {
        let name = shown(name);
        return Err(DatabasesError::value(format!(
            "MasterUsername {name} cannot be used as it is a reserved word used by the engine"
        )));
    }
    // As SQL folds names that nobody quotes: whoever logs in by either spelling is meant.
    Ok(small)
}

/// A new instance's first database; `None`: the one that every server has.
pub(crate) fn database(name: &str) -> Result<Option<String>, DatabasesError> {
    if !is_word(name) {
        let text = "DBName must begin with a letter and contain only alphanumeric characters.";
        return Err(DatabasesError::value(text));
    }
    let small = name.to_ascii_lowercase();
    if RESERVED_DATABASES.contains(&small.as_str()) {
        let name = shown(name);
        return Err(DatabasesError::value(format!(
            "Database name {name} cannot be used as it is a reserved word used by the engine"
        )));
    }
    Ok((small != "postgres").then_some(small))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_by_the_rules_and_in_small_letters() {
        assert_eq!(instance("I", "Shop-1").unwrap(), "shop-1");
        let long_name = "a".repeat(64);
        for name in [
            "", "1a", "a-", "a--b", "a_b", "ä", "a b", "a/b", "-a", &long_name,
        ] {
            assert!(instance("I", name).is_err(), "{name}");
        }
        assert!(long("S", &long_name).is_ok());
        assert!(subnet_group("a.b_c-1").is_ok());
        for name in ["", "default", "Default", "a b", "a/b"] {
            assert!(subnet_group(name).is_err(), "{name}");
        }
    }

    #[test]
    fn users_that_others_are_can_t_be_the_master() {
        assert_eq!(master("Postgres").unwrap(), "postgres");
        for name in [
            "",
            "1a",
            "a-b",
            "admin",
            "ADMIN",
            "causeway_admin",
            "pg_monitor",
            "a\"b",
        ] {
            assert!(master(name).is_err(), "{name}");
        }
        assert_eq!(database("Shop").unwrap().as_deref(), Some("shop"));
        assert_eq!(database("postgres").unwrap(), None);
        for name in ["", "1a", "template1", "a;b", "rdsadmin"] {
            assert!(database(name).is_err(), "{name}");
        }
    }
}
