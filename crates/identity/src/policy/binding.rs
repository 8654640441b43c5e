//! The principals of a document where they stand in its text: each can be given another name, and
//! all else stays as it was written. Who they are, and who may be named, is not known here.

use super::json::{self, Member, Node, Value};

/// The document with other names for some of its principals. `rename` is told each one's kind
/// (`AWS`) and name; `None` of it leaves the name. Of `*` alone it isn't told, nor of anything in
/// what is no document.
///
/// # Errors
///
/// What `rename` says.
pub(crate) fn rename_principals<E>(
    document: &str,
    mut rename: impl FnMut(&str, &str) -> Result<Option<String>, E>,
) -> Result<String, E> {
    let mut renamed = String::with_capacity(document.len());
    let mut written = 0;
    let root = json::read(document);
    let elements = root.iter().flat_map(members);
    let statements = elements.filter(|member| member.name == "Statement");
    for statement in statements.flat_map(|member| items(&member.value)) {
        for principal in members(statement) {
            if !matches!(principal.name.as_str(), "Principal" | "NotPrincipal") {
                continue;
            }
            for kind in members(&principal.value) {
                for name in items(&kind.value) {
                    let Value::Text(text) = &name.value else {
                        continue;
                    };
                    if let Some(new) = rename(&kind.name, text)? {
                        renamed.push_str(&document[written..name.start]);
                        renamed.push_str(&quoted(&new));
                        written = name.end;
                    }
                }
            }
        }
    }
    renamed.push_str(&document[written..]);
    Ok(renamed)
}

fn members(node: &Node) -> &[Member] {
    match &node.value {
        Value::Object(members) => members,
        _ => &[],
    }
}

fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        _ => std::slice::from_ref(node),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn renamed(document: &str, old: &str, new: &str) -> String {
        let rename = |kind: &str, name: &str| {
            let is_it = kind == "AWS" && name == old;
            Ok::<_, Infallible>(is_it.then(|| new.to_owned()))
        };
        rename_principals(document, rename).unwrap()
    }

    #[test]
    fn a_principal_is_renamed_where_it_is_a_principal_and_nowhere_else() {
        let document = r#" {"Statement" : [{"Principal":{"AWS":["arn:a", "arn:b"],"Service":"arn:a"},
            "Condition":{"ArnEquals":{"aws:PrincipalArn":"arn:a"}},"Sid":"é"},
            {"Principal":{"AWS":"arn:\/a"}},	{"NotPrincipal":{"AWS": "arn:a" }}, {"Principal":"*"}],
            "Id":"arn:a"}"#;
        let once = renamed(document, "arn:a", "X\"\\");
        let expected = document
            .replacen("[\"arn:a\"", "[\"X\\\"\\\\\"", 1)
            .replacen("\"AWS\": \"arn:a\"", "\"AWS\": \"X\\\"\\\\\"", 1);
        assert_eq!(once, expected);
        let escaped = renamed(document, "arn:/a", "X");
        assert_eq!(escaped, document.replace(r#""arn:\/a""#, "\"X\""));
        assert_eq!(renamed(document, "arn:c", "X"), document);
        for none in ["", "{", "[]", "null", r#"{"Statement":1}"#] {
            assert_eq!(renamed(none, "arn:a", "X"), none);
        }
        let single = r#"{"Statement":{"Principal":{"AWS":"arn:a"}}}"#;
        assert_eq!(renamed(single, "arn:a", "X"), single.replace("arn:a", "X"));
    }

    #[test]
    fn what_is_said_of_a_principal_ends_it() {
        let document = r#"{"Statement":{"Principal":{"AWS":["a","b"]}}}"#;
        let refuse = |_: &str, name: &str| match name {
            "b" => Err("b"),
            _ => Ok(None),
        };
        assert_eq!(rename_principals(document, refuse), Err("b"));
    }
}
