//! Words that reach SQL, a configuration file or a connection string: each is quoted here or
//! refused, and nowhere else.

use zeroize::Zeroizing;

use super::error::PostgresError;

/// The longest name of a role, a database or a slot, in bytes (NAMEDATALEN - 1). PostgreSQL cuts
/// longer ones, and two would be one.
const LONGEST_NAME: usize = 63;

/// An identifier of SQL, in double quotes.
pub(super) fn identifier(name: &str) -> Result<String, PostgresError> {
    let why = match name.len() {
        0 => "a name has at least one character",
        1..=LONGEST_NAME if !name.contains(char::is_control) => {
            return Ok(format!("\"{}\"", name.replace('"', "\"\"")));
        }
        1..=LONGEST_NAME => "a name has no control characters",
        _ => "a name has at most 63 bytes",
    };
    Err(refused(name, why))
}

/// A name that users may give a role or a database: none of our own. Quoted.
pub(super) fn users_identifier(name: &str) -> Result<String, PostgresError> {
    let ours = name.starts_with("causeway") || name == "rds_superuser";
    match ours {
        true => Err(refused(name, "such names are the service's own")),
        false => identifier(name),
    }
}

/// A literal of SQL, in single quotes (`standard_conforming_strings` is on in our sessions).
pub(super) fn literal(text: &str) -> Result<String, PostgresError> {
    match text.contains('\0') {
        true => Err(refused("a text", "it has a zero byte")),
        false => Ok(format!("'{}'", text.replace('\'', "''"))),
    }
}

/// The name of a slot, as PostgreSQL has them (replication/slot.c).
pub(super) fn slot(name: &str) -> Result<&str, PostgresError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    match !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(fits) {
        true => Ok(name),
        false => Err(refused(
            name,
            "a slot's name is 1 to 63 of a to z, 0 to 9 and _",
        )),
    }
}

/// A value of a configuration file, in single quotes. Backslashes are special there (guc.c:
/// GUC_scanstr), and a value is one line.
pub(super) fn setting(value: &str) -> Result<String, PostgresError> {
    match value.contains(char::is_control) {
        true => Err(refused("a parameter's value", "it has control characters")),
        false => Ok(format!(
            "'{}'",
            value.replace('\\', "\\\\").replace('\'', "''")
        )),
    }
}

/// The name of a parameter.
pub(super) fn parameter(name: &str) -> Result<&str, PostgresError> {
    let fits = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'.'
    };
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
    match begins && name.len() <= LONGEST_NAME && name.bytes().all(fits) {
        true => Ok(name),
        false => Err(refused(
            name,
            "a parameter's name is of a to z, 0 to 9, _ and .",
        )),
    }
}

/// A value of a connection string, in single quotes (libpq: 34.1.1.1).
pub(super) fn connection(value: &str) -> Result<String, PostgresError> {
    match value.contains(char::is_control) {
        true => Err(refused("a connection's value", "it has control characters")),
        false => Ok(format!(
            "'{}'",
            value.replace('\\', "\\\\").replace('\'', "\\'")
        )),
    }
}

/// What a standby may call itself: what PostgreSQL would keep as it is.
pub(super) fn application_name(name: &str) -> Result<&str, PostgresError> {
    let fits = |byte: u8| (b' '..=b'~').contains(&byte);
    match !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(fits) {
        true => Ok(name),
        false => Err(refused(name, "it is 1 to 63 printable characters of ASCII")),
    }
}

/// A field of a file of passwords (libpq: 34.16): colons and backslashes are special.
pub(super) fn password_field(word: &str) -> Result<Zeroizing<String>, PostgresError> {
    match word.is_empty() || word.contains(char::is_control) {
        true => Err(refused(
            "a password",
            "it is empty or has control characters",
        )),
        false => Ok(word.replace('\\', "\\\\").replace(':', "\\:").into()),
    }
}

/// A SCRAM verifier, which PostgreSQL stores as it is: anything else it would take for a password
/// (libpq/crypt.c: get_password_type). RFC 5803 with 32-byte keys.
pub(super) fn verifier(text: &str) -> Result<&str, PostgresError> {
    match is_verifier(text) {
        true => Ok(text),
        // The text itself may be a password.
        false => Err(refused(
            "a verifier",
            "it is SCRAM-SHA-256$iterations:salt$stored:server",
        )),
    }
}

fn is_verifier(text: &str) -> bool {
    let parts = || {
        let rest = text.strip_prefix("SCRAM-SHA-256$")?;
        let (head, keys) = rest.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        Some((iterations, salt, stored, server))
    };
    let Some((iterations, salt, stored, server)) = parts() else {
        return false;
    };
    let digits = iterations.bytes().all(|byte| byte.is_ascii_digit());
    let count = iterations.parse::<i32>();
    digits && count.is_ok_and(|count| count > 0) && is_base64(salt, 8..=1024)
        // 32 bytes are 44 characters.
        && is_base64(stored, 44..=44) && is_base64(server, 44..=44)
}

fn is_base64(text: &str, lengths: std::ops::RangeInclusive<usize>) -> bool {
    let digits = text.trim_end_matches('=');
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    lengths.contains(&text.len())
        && text.len().is_multiple_of(4)
        && text.len() - digits.len() <= 2
        && digits.bytes().all(fits)
}

fn refused(what: &str, why: &'static str) -> PostgresError {
    PostgresError::Refused {
        what: format!("'{}'", what.escape_debug().take(100).collect::<String>()),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_where_they_go() {
        assert_eq!(identifier(r#"a"b;--"#).unwrap(), r#""a""b;--""#);
        assert_eq!(literal(r"it's \ so").unwrap(), r"'it''s \ so'");
        assert_eq!(setting(r"it's \n").unwrap(), r"'it''s \\n'");
        assert_eq!(connection(r"it's \ so").unwrap(), r"'it\'s \\ so'");
        assert_eq!(**password_field(r"a:b\c").unwrap(), *r"a\:b\\c");
        assert_eq!(slot("causeway_9").unwrap(), "causeway_9");
        assert_eq!(
            parameter("plpgsql.check_asserts").unwrap(),
            "plpgsql.check_asserts"
        );
    }

    #[test]
    fn what_can_t_be_quoted_is_refused() {
        let longer = "a".repeat(64);
        assert!(identifier(&longer[1..]).is_ok());
        for name in ["", "a\0b", "a\nb", &longer] {
            assert!(identifier(name).is_err(), "{name:?}");
        }
        for name in ["causeway", "causeway_admin", "causeway_x", "rds_superuser"] {
            assert!(users_identifier(name).is_err(), "{name}");
        }
        for name in ["", "A", "a-b", "ä", &longer] {
            assert!(slot(name).is_err(), "{name}");
            assert!(parameter(name).is_err(), "{name}");
        }
        for text in ["a\nb", "a\0"] {
            assert!(setting(text).is_err() && connection(text).is_err());
            assert!(password_field(text).is_err() && application_name(text).is_err());
        }
        assert!(literal("a\0").is_err() && application_name("ä").is_err());
    }

    #[test]
    fn nothing_but_a_verifier_is_one_and_none_is_ever_repeated() {
        let key = format!("{}=", "A".repeat(43));
        let good = format!("SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==${key}:{key}");
        assert_eq!(verifier(&good).unwrap(), good);
        for bad in [
            "geheim",
            "",
            "SCRAM-SHA-256$4096",
            &good.replace("4096", "0"),
            &good.replace("4096", "-1"),
            &good.replace("SHA-256", "SHA-1"),
            &good[..good.len() - 1],
            &format!("{good}'"),
            &good.replace("A=", "="),
        ] {
            let refused = verifier(bad).unwrap_err().to_string();
            assert!(bad.is_empty() || !refused.contains(bad), "{refused}");
        }
    }
}
