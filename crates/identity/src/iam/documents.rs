//! Policy documents as IAM takes and gives them: how long they count, how they are held against
//! the limits, and how they are written into responses. What stands in them `policy` reads.

use std::fmt;

use aws::access::PolicyKind;

use super::error::IamError;
use super::holder::Holder;
use super::limits;
use super::parameters::{self, Parameter, Text};
use super::request::IamRequest;
use crate::policy::{Policy, size};

/// Characters of a document, with its white space (API reference, `policyDocumentType`).
pub(crate) const LONGEST: usize = 131_072;

/// The document that a request gives under that name.
///
/// # Errors
///
/// It isn't there, is longer than any can be, or has characters that the API doesn't take.
pub(crate) fn given<'a>(request: &IamRequest<'a>, name: &'static str) -> Result<&'a str, IamError> {
    let document = request.required(&parameter(name))?;
    check_characters(name, document)?;
    Ok(document)
}

/// A parameter that is a document.
pub(crate) const fn parameter(name: &'static str) -> Parameter {
    Parameter {
        name,
        shortest: 1,
        longest: LONGEST,
        text: Text::Any,
    }
}

/// Has a document only characters that the API takes? `name` is the parameter that gives it.
///
/// # Errors
///
/// It has others.
pub(crate) fn check_characters(name: &str, document: &str) -> Result<(), IamError> {
    let allowed = |character| matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}');
    if document.chars().all(allowed) {
        return Ok(());
    }
    let member = parameters::lower_first(name);
    Err(IamError::Validation(format!(
        "The specified value for {member} is invalid. It must contain only printable ASCII \
         characters."
    )))
}

/// Reads a document that a request gave, for what it says.
///
/// # Errors
///
/// `MalformedPolicyDocument`, with what is wrong and where.
pub(crate) fn parse(kind: PolicyKind, document: &str) -> Result<Policy, IamError> {
    Policy::parse(kind, document)
        .map_err(|error| IamError::MalformedPolicyDocument(error.to_string()))
}

/// Is this the document of a managed policy, and short enough?
///
/// # Errors
///
/// It isn't.
pub(crate) fn check_managed(document: &str) -> Result<(), IamError> {
    parse(PolicyKind::Identity, document)?;
    if size(document) > limits::POLICY_SIZE {
        return Err(IamError::quota("PolicySize", limits::POLICY_SIZE));
    }
    Ok(())
}

/// Is this the document of an inline policy that `holder` can have under that name beside those
/// that it has?
///
/// # Errors
///
/// It isn't, or all of them together are too long.
pub(crate) fn check_inline<T: Holder>(
    holder: &T,
    name: &str,
    document: &str,
) -> Result<(), IamError> {
    parse(PolicyKind::Identity, document)?;
    let others = holder.policies().inline.iter();
    let others = others.filter(|(other, _)| *other != name);
    let total = size(document) + others.map(|(_, other)| size(other)).sum::<usize>();
    if total > T::MAX_INLINE {
        return Err(IamError::LimitExceeded(format!(
            "Maximum policy size of {} bytes exceeded for {} {}",
            T::MAX_INLINE,
            T::WORD,
            holder.name()
        )));
    }
    Ok(())
}

/// A document as responses have it: percent-encoded (RFC 3986, section 2.1), all but unreserved
/// characters.
pub(crate) struct Encoded<'a>(pub(crate) &'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    write!(f, "{}", char::from(byte))?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Group, Policies};

    #[test]
    fn a_document_is_percent_encoded_as_rfc_3986_has_it() {
        let encoded = Encoded("{\"a-b_c.d~\": \"*/é+\"}\n").to_string();
        assert_eq!(
            encoded,
            "%7B%22a-b_c.d~%22%3A%20%22%2A%2F%C3%A9%2B%22%7D%0A"
        );
    }

    #[test]
    fn inline_policies_count_together_and_the_replaced_one_no_more() {
        let document = |length: usize| {
            let rest = "x".repeat(length - 68);
            format!(
                "{{\"Version\":\"2012-10-17\",\"Statement\":{{\"Effect\":\"Deny\",\"Action\":\"a:{rest}\"}}}}"
            )
        };
        let with_resource = |length: usize| {
            let shorter = document(length - 15);
            shorter.replace("\"}}", "\",\"Resource\":\"*\"}}")
        };
        let mut group = Group {
            name: "Staff".to_owned(),
            id: String::new(),
            path: "/".to_owned(),
            created: 0,
            policies: Policies::default(),
        };
        group
            .policies
            .inline
            .insert("a".to_owned(), with_resource(5000).into());
        let check = |name: &str, length: usize| check_inline(&group, name, &with_resource(length));
        assert_eq!(size(&with_resource(120)), 120);
        assert_eq!(check("b", 120), Ok(()));
        assert_eq!(check("a", 5120), Ok(()));
        assert_eq!(
            check("b", 121).unwrap_err().to_string(),
            "Maximum policy size of 5120 bytes exceeded for group Staff"
        );
    }
}
