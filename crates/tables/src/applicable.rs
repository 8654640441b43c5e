//! What a table's resource policy can be about: actions of DynamoDB on the table, its indexes and
//! its streams. A statement that names anything else would never apply, and a Deny that looks as
//! if it protected something would not; so such a document is refused whole.

use aws::pattern::{meet, without_variables};
use serde_json::Value;

use crate::TablesError;

/// What the policies of tables are about, as an action begins.
const SERVICE: &str = "dynamodb:";

/// Parts of an ARN; one that has fewer is completed with wildcards (IAM User Guide, "IAM JSON
/// policy elements: Resource").
const ARN_PARTS: usize = 6;

/// What is wrong with a document's actions and resources for the table of that ARN. Whether the
/// document is one at all the judge has said.
pub(crate) fn check(document: &str, table: &str) -> Result<(), TablesError> {
    let parsed: Value = serde_json::from_str(document).unwrap_or_default();
    let statements = match &parsed["Statement"] {
        Value::Array(statements) => statements.as_slice(),
        statement => std::slice::from_ref(statement),
    };
    let mut actions = statements.iter().flat_map(|one| texts(&one["Action"]));
    if let Some(action) = actions.find(|action| !is_action(action)) {
        return Err(refused("action names", action));
    }
    let mut resources = statements.iter().flat_map(|one| texts(&one["Resource"]));
    if let Some(resource) = resources.find(|resource| !is_resource(resource, table)) {
        return Err(refused("resources", resource));
    }
    Ok(())
}

fn refused(what: &str, name: &str) -> TablesError {
    TablesError::invalid(format!(
        "Invalid policy document: The following {what} are invalid: \"{name}\""
    ))
}

fn texts(element: &Value) -> impl Iterator<Item = &str> {
    let values = match element {
        Value::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    values.iter().filter_map(Value::as_str)
}

/// Can it be an action of DynamoDB? Case is of no account in actions.
fn is_action(pattern: &str) -> bool {
    meet(&pattern.to_ascii_lowercase(), SERVICE, true)
}

/// Can it be the table, one of its indexes or one of its streams? A variable can be anything.
fn is_resource(pattern: &str, table: &str) -> bool {
    let mut pattern = without_variables(pattern);
    let parts = pattern.split(':').count();
    if pattern != "*" {
        pattern.push_str(&":*".repeat(ARN_PARTS.saturating_sub(parts)));
    }
    meet(&pattern, table, false)
        || ["/index/", "/stream/"]
            .iter()
            .any(|part| meet(&pattern, &format!("{table}{part}"), true))
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: &str = "arn:aws:dynamodb:us-east-1:111122223333:table/Orders";

    #[test]
    fn actions_are_dynamodb_s() {
        for action in [
            "*",
            "dynamodb:*",
            "DynamoDB:GetItem",
            "dyn*",
            "*:GetItem",
            "d?namodb:x",
        ] {
            assert!(is_action(action), "{action}");
        }
        for action in [
            "s3:GetObject",
            "s3:*",
            "dynamodbx:*",
            "dax:*",
            "dynamo:*",
            "?:*",
        ] {
            assert!(!is_action(action), "{action}");
        }
    }

    #[test]
    fn resources_are_the_table_and_what_it_has() {
        for resource in [
            "*",
            T,
            "arn:aws:dynamodb:*:*:table/*",
            "arn:aws:dynamodb:us-east-1:111122223333:table/Ord*",
            "arn:aws:dynamodb:us-east-1:111122223333:table/Orders/index/*",
            "arn:aws:dynamodb:us-east-1:111122223333:table/Orders/index/by?time",
            "arn:aws:dynamodb:us-east-1:111122223333:table/Orders/stream/2026-01-01T00:00:00.000",
            "arn:aws:dynamodb:us-east-1:111122223333:table/*/index/x",
            "arn:aws:dynamodb:us-east-1:111122223333:table/${aws:PrincipalTag/team}",
            "arn:aws:dynamodb",
            "arn:aws:dynamodb:us-east-1",
        ] {
            assert!(is_resource(resource, T), "{resource}");
        }
        for resource in [
            "arn:aws:dynamodb:us-east-1:111122223333:table/Other",
            "arn:aws:dynamodb:us-east-1:111122223333:table/Order",
            "arn:aws:dynamodb:us-east-1:111122223333:table/Orders2",
            "arn:aws:dynamodb:us-east-1:111122223333:table/Orders/backup/1",
            "arn:aws:dynamodb:eu-west-1:111122223333:table/Orders",
            "arn:aws:dynamodb:us-east-1:444455556666:table/Orders",
            "arn:aws:dynamodb:us-east-1:111122223333:table/x${aws:username}",
            "arn:aws:s3:::bucket/*",
            "arn:aws:s3",
        ] {
            assert!(!is_resource(resource, T), "{resource}");
        }
    }

    #[test]
    fn a_document_is_refused_for_its_first_stranger() {
        let of = |statement: &str| check(&format!("{{\"Statement\":{statement}}}"), T);
        let good = format!(r#"{{"Action":"dynamodb:GetItem","Resource":["{T}","{T}/index/*"]}}"#);
        assert!(of(&good).is_ok());
        let action = of(&format!(
            r#"[{good},{{"Action":["dynamodb:Scan","s3:Get"]}}]"#
        ));
        assert_eq!(
            action.unwrap_err().to_string(),
            "One or more parameter values were invalid: Invalid policy document: The following \
             action names are invalid: \"s3:Get\""
        );
        let resource = of(r#"{"Resource":"arn:aws:s3:::b"}"#).unwrap_err();
        assert!(
            resource
                .to_string()
                .ends_with("resources are invalid: \"arn:aws:s3:::b\"")
        );
        // What it is not about is no business of the table's.
        assert!(of(r#"{"NotAction":"s3:Get","NotResource":"arn:aws:s3:::b"}"#).is_ok());
    }
}
