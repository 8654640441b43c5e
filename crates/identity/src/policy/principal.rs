//! The Principal and NotPrincipal elements: who can be named, and whether somebody is. A name
//! stands for exactly one principal, for an account as a whole, or for everybody: there are no
//! wildcards in it (IAM User Guide, "AWS JSON policy elements: Principal").

use types::AccountId;

use super::error::{Fault, Flaw, shown};
use super::json::{Node, Value};
use super::request::PrincipalView;

/// The principals of a statement.
#[derive(Debug)]
pub(super) struct Principals {
    /// NotPrincipal: everybody but these.
    pub(super) negated: bool,
    names: Box<[Name]>,
}

#[derive(PartialEq, Eq, Debug)]
enum Name {
    Everybody,
    /// The account, and with it all that belongs to it.
    Account(AccountId),
    /// A user, a role or a session by its ARN.
    Arn(Box<str>),
    /// A user or a role by its unique id: what stands in a policy that is stored.
    Id(Box<str>),
    /// A session by the unique id of its role and its own name.
    SessionOf(Box<str>, Box<str>),
    Service(Box<str>),
    /// What nobody here can be: a canonical user, an identity provider.
    Nobody,
}

/// How a statement names somebody: later ones say more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Named {
    No,
    /// By the account: whether it may is for the account's own policies to say.
    ByAccount,
    /// By the role of which it is a session.
    ByRole,
    /// By itself, or as everybody.
    Itself,
}

impl Principals {
    /// Reads the value of a Principal or NotPrincipal element.
    pub(super) fn read(node: &Node, negated: bool) -> Result<Principals, Flaw> {
        let mut names = Vec::new();
        match &node.value {
            Value::Text(text) if text == "*" => names.push(Name::Everybody),
            Value::Object(members) => {
                for member in members {
                    let kind = Kind::parse(&member.name).ok_or_else(|| {
                        let expected = "AWS, Service, Federated or CanonicalUser is expected";
                        Flaw::syntax(member.at, expected)
                    })?;
                    read_names(kind, &member.value, &mut names)?;
                }
            }
            _ => return Err(Flaw::syntax(node.start, "\"*\" or an object is expected")),
        }
        if names.is_empty() {
            return Err(Flaw::syntax(node.start, "a principal is expected"));
        }
        Ok(Principals {
            negated,
            names: names.into(),
        })
    }

    /// How the names stand for somebody: what says most counts.
    pub(super) fn names(&self, principal: &PrincipalView<'_>) -> Named {
        let named = self.names.iter().map(|name| name.stands_for(principal));
        named.max().unwrap_or(Named::No)
    }

    /// NotPrincipal: is it one of those that are excepted? It must be named with all that it is:
    /// its account, its role and its session. One with a permissions boundary never is (IAM User
    /// Guide, "AWS JSON policy elements: NotPrincipal").
    pub(super) fn excepts(&self, principal: &PrincipalView<'_>, bounded: bool) -> bool {
        use PrincipalView::{Session, User};
        if bounded && matches!(principal, User { .. } | Session { .. }) {
            return false;
        }
        if self.names.contains(&Name::Everybody) {
            return true;
        }
        let account = |account: &AccountId| self.names.contains(&Name::Account(*account));
        let any = |is_it: &dyn Fn(&Name) -> bool| self.names.iter().any(is_it);
        match principal {
            PrincipalView::Root { account: own } => account(own),
            User {
                account: own,
                arn,
                id,
            } => account(own) && any(&|name| name.is_user_or_role(arn, id)),
            Session {
                account: own,
                role,
                session,
                role_id,
            } => {
                account(own)
                    && any(&|name| name.is_user_or_role(role, role_id))
                    && any(&|name| name.is_session(session, role_id))
            }
            PrincipalView::Service { .. } | PrincipalView::Anonymous => {
                self.names(principal) == Named::Itself
            }
        }
    }
}

impl Name {
    fn stands_for(&self, principal: &PrincipalView<'_>) -> Named {
        match (self, principal) {
            (Name::Everybody, _) => Named::Itself,
            (Name::Account(account), PrincipalView::Root { account: own }) if account == own => {
                Named::Itself
            }
            (Name::Account(account), _) if principal.account() == Some(*account) => {
                Named::ByAccount
            }
            (name, PrincipalView::User { arn, id, .. }) if name.is_user_or_role(arn, id) => {
                Named::Itself
            }
            (
                name,
                PrincipalView::Session {
                    session, role_id, ..
                },
            ) if name.is_session(session, role_id) => Named::Itself,
            (name, PrincipalView::Session { role, role_id, .. })
                if name.is_user_or_role(role, role_id) =>
            {
                Named::ByRole
            }
            (Name::Service(name), PrincipalView::Service { name: own }) if **name == **own => {
                Named::Itself
            }
            _ => Named::No,
        }
    }

    /// Does it name the user or the role of that ARN and that unique id?
    fn is_user_or_role(&self, arn: &str, id: &str) -> bool {
        match self {
            Name::Arn(own) => **own == *arn,
            Name::Id(own) => **own == *id,
            _ => false,
        }
    }

    /// Does it name the session of that ARN, of the role of that unique id?
    fn is_session(&self, arn: &str, role_id: &str) -> bool {
        match self {
            Name::Arn(own) => **own == *arn,
            Name::SessionOf(role, session) => {
                let name = arn.rsplit_once('/').map(|(_, name)| name);
                **role == *role_id && name == Some(&**session)
            }
            _ => false,
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Aws,
    Service,
    Federated,
    CanonicalUser,
}

impl Kind {
    fn parse(name: &str) -> Option<Kind> {
        Some(match name {
            "AWS" => Kind::Aws,
            "Service" => Kind::Service,
            "Federated" => Kind::Federated,
            "CanonicalUser" => Kind::CanonicalUser,
            _ => return None,
        })
    }

    /// As IAM's error has it.
    fn label(self) -> &'static str {
        match self {
            Kind::Aws => "AWS",
            Kind::Service => "SERVICE",
            Kind::Federated => "FEDERATED",
            Kind::CanonicalUser => "CANONICALUSER",
        }
    }

    fn name(self, text: &str) -> Option<Name> {
        match self {
            Kind::Aws => aws(text),
            Kind::Service => {
                let is_label = |label: &str| {
                    let valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
                    !label.is_empty() && label.bytes().all(valid)
                };
                let valid = text.contains('.') && text.split('.').all(is_label);
                valid.then(|| Name::Service(text.into()))
            }
            Kind::Federated => {
                let valid = !text.is_empty() && !text.contains(['*', '?', ' ']);
                valid.then_some(Name::Nobody)
            }
            Kind::CanonicalUser => {
                let valid = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                valid.then_some(Name::Nobody)
            }
        }
    }
}

fn read_names(kind: Kind, node: &Node, names: &mut Vec<Name>) -> Result<(), Flaw> {
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if items.is_empty() {
        return Err(Flaw::syntax(node.start, "a principal is expected"));
    }
    for item in items {
        let Value::Text(text) = &item.value else {
            return Err(Flaw::syntax(item.start, "a principal's name is expected"));
        };
        names.push(kind.name(text).ok_or_else(|| {
            let fault = Fault::Principal {
                kind: kind.label(),
                name: shown(text),
            };
            Flaw::new(fault, item.start)
        })?);
    }
    Ok(())
}

/// The partitions of AWS.
pub(super) const PARTITIONS: [&str; 3] = ["aws", "aws-cn", "aws-us-gov"];

fn aws(text: &str) -> Option<Name> {
    if text == "*" {
        return Some(Name::Everybody);
    }
    if let Ok(account) = text.parse() {
        return Some(Name::Account(account));
    }
    if is_unique_id(text) {
        return Some(Name::Id(text.into()));
    }
    if let Some((role, session)) = text.split_once(':')
        && role.starts_with("AROA")
        && is_unique_id(role)
    {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
        let valid = !session.is_empty() && session.bytes().all(valid);
        return valid.then(|| Name::SessionOf(role.into(), session.into()));
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, service, "", account, resource] = parts[..] else {
        return None;
    };
    let account: AccountId = account.parse().ok()?;
    let plain = |name: &str| !name.is_empty() && !name.contains(['*', '?', ':', ' ']);
    if !PARTITIONS.contains(&partition) || !plain(resource) {
        return None;
    }
    if (service, resource) == ("iam", "root") {
        return Some(Name::Account(account));
    }
    let (kind, name) = resource.split_once('/')?;
    let valid = match (service, kind) {
        ("iam", "user" | "role") => plain(name) && !name.ends_with('/'),
        ("sts", "assumed-role") => name.split('/').count() == 2 && name.split('/').all(plain),
        ("sts", "federated-user") => plain(name) && !name.contains('/'),
        _ => false,
    };
    valid.then(|| Name::Arn(text.into()))
}

/// `AIDA…` or `AROA…`: a user or a role for ever, whatever its name (IAM User Guide, "IAM
/// identifiers").
pub(crate) fn is_unique_id(text: &str) -> bool {
    let known = text.starts_with("AIDA") || text.starts_with("AROA");
    let valid = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    known && (16..=128).contains(&text.len()) && text.bytes().all(valid)
}
