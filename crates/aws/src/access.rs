//! What an operation demands of its caller, and the judge that a service is handed with every
//! request. A service says what is done to what; who calls and which policies hold is the
//! judge's affair, and the service never learns it. This room has no policy of its own.

use std::borrow::Cow;
use std::fmt;

use types::AccountId;

use crate::ServiceError;

/// What an operation's row demands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access<R> {
    /// The caller must be allowed this action on everything that the request is about.
    Judged {
        /// As policies name it: `dynamodb:PutItem`.
        action: &'static str,
        /// How the service finds what the request is about.
        resources: R,
    },
    /// Every caller whose signature holds may, whatever policies say, as AWS documents it of
    /// very few operations (`sts:GetCallerIdentity`).
    Anyone,
}

/// May this be done? A service asks once for each thing that a request touches. What a judge wants
/// to know of the request's condition keys it reads by [`Question::values`] and in no other way.
#[derive(Clone)]
pub struct Question<'a> {
    /// As policies name it: `dynamodb:PutItem`.
    pub action: Cow<'a, str>,
    /// The ARN of what it is done to, or `*` for actions that are done to nothing in particular.
    pub resource: Cow<'a, str>,
    /// The account that owns it.
    pub account: AccountId,
    /// The condition keys that the service knows of this request. They win over those that the
    /// judge has of every request.
    pub keys: ConditionKeys,
    /// Further ones, which cost something to find: asked only for keys that a policy names.
    pub lazy: Option<&'a dyn LazyKeys>,
    /// The policy that the resource itself has: the text of its document, which
    /// [`Authorizer::bind_policy`] made once.
    pub policy: Option<&'a str>,
}

impl<'a> Question<'a> {
    /// A question without condition keys or a policy of the resource.
    pub fn new(
        action: impl Into<Cow<'a, str>>,
        resource: impl Into<Cow<'a, str>>,
        account: AccountId,
    ) -> Question<'a> {
        Question {
            action: action.into(),
            resource: resource.into(),
            account,
            keys: ConditionKeys::default(),
            lazy: None,
            policy: None,
        }
    }

    /// With that condition key.
    pub fn key(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.keys.set(name, vec![value.into()]);
        self
    }

    /// The values that the service has for a condition key, by any case of its name; `None` if it
    /// has no such key.
    pub fn values(&self, name: &str) -> Option<Cow<'_, [String]>> {
        match self.keys.get(name) {
            Some(values) => Some(Cow::Borrowed(values)),
            None => self.lazy?.values(name).map(Cow::Owned),
        }
    }
}

impl fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question")
            .field("action", &self.action)
            .field("resource", &self.resource)
            .field("account", &self.account)
            .field("keys", &self.keys)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// Condition keys of a request that are found when somebody asks for them.
pub trait LazyKeys: Send + Sync {
    /// The values of a key, by any case of its name; `None` if the request has no such key.
    fn values(&self, name: &str) -> Option<Vec<String>>;
}

/// Condition keys of a request and their values: `dynamodb:LeadingKeys`, `aws:RequestTag/team`.
/// Names are compared without regard to case, as policies are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConditionKeys(Vec<(Cow<'static, str>, Vec<String>)>);

impl ConditionKeys {
    /// Sets a key; an earlier one of that name is replaced. No values: the key is there and empty.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, values: Vec<String>) {
        let name = name.into();
        match self
            .0
            .iter_mut()
            .find(|(known, _)| known.eq_ignore_ascii_case(&name))
        {
            Some((_, known)) => *known = values,
            None => self.0.push((name, values)),
        }
    }

    /// The values of a key; `None` if the request has no such key.
    pub fn get(&self, name: &str) -> Option<&[String]> {
        let found = self
            .0
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, values)| values.as_slice())
    }

    /// All of them, in the order in which they were set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0
            .iter()
            .map(|(name, values)| (name.as_ref(), values.as_slice()))
    }
}

/// What a policy document is for: it decides what may stand in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PolicyKind {
    /// Of a user, group or role, a boundary, or a session: no principals.
    Identity,
    /// Of a resource: principals.
    Resource,
    /// Who may assume a role: principals, no resources.
    Trust,
    /// Of an organisation (service or resource control policy).
    Organization,
}

/// The judge of one request's caller.
pub trait Authorizer: Send + Sync {
    /// The caller's account.
    fn account(&self) -> AccountId;

    /// The caller's name: `arn:aws:iam::111122223333:user/alice`.
    fn arn(&self) -> &str;

    /// The Region that the request was made to, as `aws:RequestedRegion` has it.
    fn region(&self) -> &str;

    /// May the caller do that?
    ///
    /// # Errors
    ///
    /// [`Denied`], with the service's text.
    fn authorize(&self, question: &Question<'_>) -> Result<(), Denied>;

    /// The document of such a policy as it is to be stored with a resource: the users and roles
    /// that it names are bound to their unique ids, so that a name which is given to another one
    /// later doesn't stand for that.
    ///
    /// # Errors
    ///
    /// [`PolicyRefusal`].
    fn bind_policy(&self, kind: PolicyKind, document: &str) -> Result<String, PolicyRefusal>;

    /// A stored document as it is shown: who exists by the ARN of now, who is gone by the id.
    fn show_policy(&self, document: &str) -> String;
}

/// Why a document is not stored.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PolicyRefusal {
    /// It is no policy of that kind: what is wrong and where, as IAM words it.
    #[error("{0}")]
    Document(String),
    /// It names somebody who doesn't exist.
    #[error("Invalid principal in policy: \"{kind}\":\"{name}\"")]
    Principal {
        /// `AWS`, `SERVICE`, `FEDERATED` or `CANONICALUSER`.
        kind: String,
        /// What was given.
        name: String,
    },
}

/// The caller may not. It prints as AWS words it (IAM User Guide, "Troubleshoot access denied
/// error messages").
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Denied {
    /// `User: … is not authorized to perform: … on resource: … because …`.
    pub message: String,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Denied {
    /// As the JSON services answer it: `AccessDeniedException`, HTTP 400.
    pub fn in_json(self) -> ServiceError {
        ServiceError::caller("AccessDeniedException", self.message)
    }

    /// As the services with XML answer it: `AccessDenied`, HTTP 403.
    pub fn in_xml(self) -> ServiceError {
        ServiceError {
            status: 403,
            ..ServiceError::caller("AccessDenied", self.message)
        }
    }
}

/// An account's owner at work on its own things: what a simulation and tests of a service call as.
/// The front door makes none; whoever comes through it is judged by `identity`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owner {
    account: AccountId,
    arn: String,
    region: String,
}

impl Owner {
    /// The owner of that account, calling in that Region.
    pub fn new(account: AccountId, region: impl Into<String>) -> Owner {
        Owner {
            account,
            arn: format!("arn:aws:iam::{account}:root"),
            region: region.into(),
        }
    }
}

impl Authorizer for Owner {
    fn account(&self) -> AccountId {
        self.account
    }

    fn arn(&self) -> &str {
        &self.arn
    }

    fn region(&self) -> &str {
        &self.region
    }

    fn authorize(&self, question: &Question<'_>) -> Result<(), Denied> {
        if question.account == self.account {
            return Ok(());
        }
        let (arn, action, resource) = (&self.arn, &question.action, &question.resource);
        Err(Denied {
            message: format!(
                "User: {arn} is not authorized to perform: {action} on resource: {resource} \
                 because no resource-based policy allows the {action} action"
            ),
        })
    }

    fn bind_policy(&self, _: PolicyKind, document: &str) -> Result<String, PolicyRefusal> {
        let read = serde_json::from_str::<serde_json::Value>(document);
        let bound = read.map(|_| document.to_owned());
        bound.map_err(|error| PolicyRefusal::Document(error.to_string()))
    }

    fn show_policy(&self, document: &str) -> String {
        document.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_whatever_their_case_and_set_once() {
        let mut keys = ConditionKeys::default();
        keys.set("aws:TagKeys", vec!["a".to_owned()]);
        keys.set("AWS:tagkeys", vec!["b".to_owned(), "c".to_owned()]);
        let expected = ["b".to_owned(), "c".to_owned()];
        assert_eq!(keys.get("aws:tagKeys"), Some(expected.as_slice()));
        assert_eq!(keys.get("aws:RequestTag/a"), None);
        assert_eq!(keys.iter().count(), 1);
    }

    #[test]
    fn a_question_asks_lazily_what_it_was_not_told() {
        struct Tags;
        impl LazyKeys for Tags {
            fn values(&self, name: &str) -> Option<Vec<String>> {
                let known = name.eq_ignore_ascii_case("aws:TagKeys");
                known.then(|| vec!["lazy".to_owned()])
            }
        }
        let mut question = Question::new("a:B", "*", AccountId::LAB).key("aws:x", "1");
        assert_eq!(question.values("AWS:X").unwrap()[..], ["1".to_owned()]);
        assert_eq!(question.values("aws:tagkeys"), None);
        question.lazy = Some(&Tags);
        let values = |question: &Question<'_>| question.values("aws:tagkeys").unwrap().into_owned();
        assert_eq!(values(&question), ["lazy"]);
        assert_eq!(values(&question.key("aws:TagKeys", "told")), ["told"]);
    }

    #[test]
    fn an_owner_may_do_all_to_its_own_and_nothing_to_others() {
        let owner = Owner::new(AccountId::LAB, "us-east-1");
        let own = Question::new("dynamodb:PutItem", "*", AccountId::LAB);
        assert_eq!(owner.authorize(&own), Ok(()));
        let other = "444455556666".parse().unwrap();
        let others = Question::new("dynamodb:PutItem", "*", other).key("aws:x", "1");
        let denied = owner.authorize(&others).unwrap_err();
        assert_eq!(
            denied.clone().in_json().to_string(),
            "AccessDeniedException: User: arn:aws:iam::111122223333:root is not authorized to \
             perform: dynamodb:PutItem on resource: * because no resource-based policy allows \
             the dynamodb:PutItem action"
        );
        assert_eq!(denied.in_xml().status, 403);
    }
}
