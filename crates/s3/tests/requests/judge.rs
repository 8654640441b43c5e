//! A judge of its own for these tests: an account's own things it may use, others' by what the
//! resource's policy says of it. It reads what policies these tests make, and no more.

use std::sync::{Arc, Mutex};

use aws::access::{Authorizer, Denied, PolicyKind, PolicyRefusal, Question};
use s3::Caller;
use serde_json::Value;
use types::AccountId;

pub struct Stranger {
    account: AccountId,
    arn: String,
}

/// Somebody of that account.
pub fn somebody(account: &str) -> Caller {
    Caller::Signed(Arc::new(Stranger {
        account: account.parse().unwrap(),
        arn: format!("arn:aws:iam::{account}:user/alice"),
    }))
}

/// Nobody who is known.
pub fn nobody() -> Caller {
    Caller::Anonymous(Arc::new(Stranger {
        account: AccountId::ANONYMOUS,
        arn: "anonymous".to_owned(),
    }))
}

impl Stranger {
    fn applies(&self, statement: &Value, question: &Question<'_>) -> bool {
        let principal = &statement["Principal"];
        let names = texts(principal).chain(texts(&principal["AWS"]));
        let mut names = names.filter(|name| *name == "*" || *name == self.account.to_string());
        let fits = |pattern: &str, text: &str| match pattern.strip_suffix('*') {
            Some(start) => text.starts_with(start),
            None => pattern == text,
        };
        names.next().is_some()
            && texts(&statement["Action"]).any(|pattern| fits(pattern, &question.action))
            && texts(&statement["Resource"]).any(|pattern| fits(pattern, &question.resource))
    }
}

fn texts(element: &Value) -> impl Iterator<Item = &str> {
    let values = match element {
        Value::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    values.iter().filter_map(Value::as_str)
}

impl Authorizer for Stranger {
    fn account(&self) -> AccountId {
        self.account
    }

    fn arn(&self) -> &str {
        &self.arn
    }

    fn region(&self) -> &str {
        "us-east-1"
    }

    fn authorize(&self, question: &Question<'_>) -> Result<(), Denied> {
        let document: Value = match question.policy {
            None => Value::Null,
            Some(text) => serde_json::from_str(text).unwrap(),
        };
        let statements = match &document["Statement"] {
            Value::Array(statements) => statements.as_slice(),
            Value::Null => &[],
            one => std::slice::from_ref(one),
        };
        let says = |effect: &str| {
            let mut statements = statements.iter();
            statements.any(|one| one["Effect"] == effect && self.applies(one, question))
        };
        let own = question.account == self.account;
        match !says("Deny") && (own || says("Allow")) {
            true => Ok(()),
            false => Err(Denied {
                message: "Access Denied".to_owned(),
            }),
        }
    }

    fn bind_policy(&self, _: PolicyKind, document: &str) -> Result<String, PolicyRefusal> {
        Ok(document.to_owned())
    }

    fn show_policy(&self, document: &str) -> String {
        document.to_owned()
    }
}

/// A caller who may all, and whose judge looks at one condition key of each question.
pub struct Curious {
    name: &'static str,
    seen: Mutex<Vec<Option<Vec<String>>>>,
}

impl Curious {
    /// One whose judge looks at that key.
    pub fn about(name: &'static str) -> Arc<Curious> {
        Arc::new(Curious {
            name,
            seen: Mutex::default(),
        })
    }

    /// The key's values in the last question; none if it wasn't there.
    pub fn last(&self) -> Option<String> {
        let seen = self.seen.lock().unwrap();
        let values = seen.last().expect("it was asked").clone();
        values.map(|values| values.join(","))
    }
}

impl Authorizer for Curious {
    fn account(&self) -> AccountId {
        AccountId::LAB
    }

    fn arn(&self) -> &str {
        "arn:aws:iam::111122223333:user/curious"
    }

    fn region(&self) -> &str {
        "us-east-1"
    }

    fn authorize(&self, question: &Question<'_>) -> Result<(), Denied> {
        let values = question.values(self.name);
        let values = values.map(std::borrow::Cow::into_owned);
        self.seen.lock().unwrap().push(values);
        Ok(())
    }

    fn bind_policy(&self, _: PolicyKind, document: &str) -> Result<String, PolicyRefusal> {
        Ok(document.to_owned())
    }

    fn show_policy(&self, document: &str) -> String {
        document.to_owned()
    }
}
