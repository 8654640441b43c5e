//! The master user's password. Nothing repeats it, not even what refuses it.

use types::Environment;

use crate::error::DatabasesError;
use crate::model::Verifier;
use crate::scram;

/// Characters of a password: RDS's bounds for PostgreSQL.
const LENGTH: (usize, usize) = (8, 128);

/// The verifier of a password that RDS would take.
///
/// # Errors
///
/// It is too short or too long, or has a character that it may not.
pub(crate) fn verifier(
    password: &str,
    environment: &dyn Environment,
) -> Result<Verifier, DatabasesError> {
    let refuse = |why: &str| {
        let text = format!("The parameter MasterUserPassword is not a valid password{why}");
        Err(DatabasesError::value(text))
    };
    let (least, most) = LENGTH;
    let count = password.chars().count();
    if count < least {
        return refuse(&format!(" because it is shorter than {least} characters."));
    }
    if count > most {
        return refuse(&format!(" because it is longer than {most} characters."));
    }
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"/@\"".contains(&byte);
    if !password.bytes().all(allowed) {
        let rule = ". Only printable ASCII characters besides '/', '@', '\"', ' ' may be used.";
        return refuse(rule);
    }
    Ok(scram::verifier(password, environment))
}
