//! What is asked of policies: who wants to do what to which resource, and what is known of the
//! request. It holds no policy.

use std::borrow::Cow;

use types::AccountId;

/// One question to the policies.
#[derive(Clone, Copy)]
pub struct Inquiry<'a> {
    /// What is to be done: `dynamodb:PutItem`. Policies compare it without regard to case.
    pub action: &'a str,
    /// What it is done to: an ARN, or `*` for nothing in particular.
    pub resource: &'a str,
    /// The account that owns the resource.
    pub account: AccountId,
    /// Who wants to do it.
    pub principal: PrincipalView<'a>,
    /// The condition keys of the request, for conditions and variables.
    pub keys: &'a dyn KeySource,
}

/// Who wants to do something, by the names under which policies know them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrincipalView<'a> {
    /// The account itself.
    Root {
        /// The account.
        account: AccountId,
    },
    /// A user, also in a session of `sts:GetSessionToken`.
    User {
        /// Its account.
        account: AccountId,
        /// `arn:aws:iam::111122223333:user/division/alice`.
        arn: &'a str,
        /// Its unique id, `AIDA…`; empty: none is known, so no policy names it by that.
        id: &'a str,
    },
    /// A session of a role.
    Session {
        /// The role's account.
        account: AccountId,
        /// The role: `arn:aws:iam::111122223333:role/path/name`.
        role: &'a str,
        /// The session: `arn:aws:sts::111122223333:assumed-role/name/session`.
        session: &'a str,
        /// The role's unique id, `AROA…`; empty: none is known.
        role_id: &'a str,
    },
    /// A service on its own behalf: `s3.amazonaws.com`.
    Service {
        /// Its name.
        name: &'a str,
    },
    /// Nobody that is known: a request that isn't signed.
    Anonymous,
}

impl<'a> PrincipalView<'a> {
    /// The principal's account; services, and nobody, have none.
    pub fn account(&self) -> Option<AccountId> {
        match self {
            PrincipalView::Root { account }
            | PrincipalView::User { account, .. }
            | PrincipalView::Session { account, .. } => Some(*account),
            PrincipalView::Service { .. } | PrincipalView::Anonymous => None,
        }
    }

    /// Is it a session of a role that is linked to a service? Organisations' policies don't
    /// affect those (AWS Organizations User Guide, "SCP effects on permissions"). Only the path
    /// counts, from its beginning: one that its owner chose may have anything further on.
    pub(super) fn is_service_linked(&self) -> bool {
        let PrincipalView::Session { role, .. } = self else {
            return false;
        };
        let name = role.splitn(6, ':').nth(5);
        name.is_some_and(|name| name.starts_with("role/aws-service-role/"))
    }
}

/// The condition keys of a request.
pub trait KeySource {
    /// The values of a key, by any case of its name; `None` if the request has no such key. No
    /// values at all are taken as no such key.
    fn get(&self, name: &str) -> Option<Values<'_>>;
}

/// The values of a condition key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Values<'a> {
    /// One.
    One(Cow<'a, str>),
    /// Those of a key that may have several (`aws:TagKeys`), also if there is one at the moment.
    Many(Cow<'a, [String]>),
}

impl Values<'_> {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let (one, many): (Option<&str>, &[String]) = match self {
            Values::One(value) => (Some(value), &[]),
            Values::Many(values) => (None, values),
        };
        one.into_iter().chain(many.iter().map(String::as_str))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Values::One(_) => 1,
            Values::Many(values) => values.len(),
        }
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// No keys at all.
impl KeySource for () {
    fn get(&self, _: &str) -> Option<Values<'_>> {
        None
    }
}

impl KeySource for aws::access::ConditionKeys {
    fn get(&self, name: &str) -> Option<Values<'_>> {
        let values = aws::access::ConditionKeys::get(self, name)?;
        Some(Values::Many(Cow::Borrowed(values)))
    }
}
