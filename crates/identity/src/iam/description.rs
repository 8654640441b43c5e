//! What a role is for, in its owner's words.

use super::error::IamError;
use super::parameters::{Parameter, Text};
use super::request::IamRequest;

/// 1,000 characters at most (API reference, `roleDescriptionType`).
const DESCRIPTION: Parameter = Parameter {
    name: "Description",
    shortest: 0,
    longest: 1000,
    text: Text::Any,
};

/// What the request gives.
///
/// # Errors
///
/// It is too long, or has characters that the API doesn't take.
pub(crate) fn given<'a>(request: &IamRequest<'a>) -> Result<Option<&'a str>, IamError> {
    let description = request.optional(&DESCRIPTION)?;
    check(description)?;
    Ok(description)
}

/// The same where the request must give one; it may be empty.
///
/// # Errors
///
/// As of [`given`], or it isn't there.
pub(crate) fn required<'a>(request: &IamRequest<'a>) -> Result<&'a str, IamError> {
    let description = request.required(&DESCRIPTION)?;
    check(Some(description))?;
    Ok(description)
}

fn check(description: Option<&str>) -> Result<(), IamError> {
    let allowed = |character| {
        matches!(
            character,
            '\t' | '\n' | '\r' | '\u{20}'..='\u{7e}' | '\u{a1}'..='\u{ff}'
        )
    };
    if description.is_none_or(|text| text.chars().all(allowed)) {
        return Ok(());
    }
    let rule = "Member must satisfy regular expression pattern: \
                [\\u0009\\u000A\\u000D\\u0020-\\u007E\\u00A1-\\u00FF]*";
    Err(super::parameters::constraint(
        "description",
        description,
        rule,
    ))
}
