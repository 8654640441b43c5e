//! Whom the policies that are stored with resources and roles name. When one is saved, every user
//! and role in it is bound to its unique id, and one that doesn't exist is refused; so a name
//! never stands for another principal than the one that was meant (IAM User Guide, "AWS JSON
//! policy elements: Principal"). When it is read, ids are shown as the ARNs of now; the id of one
//! that is gone stays, and stands for nobody. What may stand in a document is `policy`'s to say.

use aws::access::{PolicyKind, PolicyRefusal};
use serde::Deserialize;
use types::{AccountId, ConfigurationView};

use crate::Identity;
use crate::entries::{self, Entry, EntryError, PREFIX};
use crate::identity::Directory;
use crate::model::{self, Role, User};
use crate::policy::{Fault, Policy, PolicyError, is_unique_id, rename_principals};

/// Identity providers of the web that AWS knows without being told (IAM User Guide, "AWS JSON
/// policy elements: Principal").
const WEB_PROVIDERS: [&str; 4] = [
    "accounts.google.com",
    "cognito-identity.amazonaws.com",
    "graph.facebook.com",
    "www.amazon.com",
];

/// A document is as long as a request: no error repeats more of it than a name can have, in
/// characters.
const MAX_SHOWN: usize = 512;

/// Why a document can't be saved.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum BindError {
    /// It is no such policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// It names somebody who doesn't exist: the kind as IAM's error has it, and the name.
    #[error("Invalid principal in policy: \"{0}\":\"{1}\"")]
    Principal(String, String),
    /// Somebody whom it names can't be read.
    #[error(transparent)]
    Entry(#[from] EntryError),
}

/// The document as it is to be stored: users and roles by their unique ids.
///
/// # Errors
///
/// [`BindError`].
pub(crate) fn bind(
    view: Option<&dyn ConfigurationView>,
    kind: PolicyKind,
    document: &str,
) -> Result<String, BindError> {
    Policy::parse(kind, document)?;
    rename_principals(document, |kind, name| {
        let found = match kind {
            "AWS" => aws_principal(view, name)?,
            "Service" if is_service(name) => Found::AsNamed,
            "Federated" if WEB_PROVIDERS.contains(&name) => Found::AsNamed,
            _ => Found::Nobody,
        };
        match found {
            Found::AsNamed => Ok(None),
            Found::Bound(id) => Ok(Some(id)),
            Found::Nobody => {
                let shown = name.chars().take(MAX_SHOWN).collect();
                Err(BindError::Principal(kind.to_ascii_uppercase(), shown))
            }
        }
    })
}

/// What a principal's name stands for.
enum Found {
    /// For nothing.
    Nobody,
    /// For what keeps its name for ever.
    AsNamed,
    /// For a user, a role or a session of a role: what stands for it in a stored policy.
    Bound(String),
}

/// `*`, an account by number or root, a user, a role, or a session of a role.
fn aws_principal(view: Option<&dyn ConfigurationView>, name: &str) -> Result<Found, EntryError> {
    let as_named = |exists: bool| {
        if exists {
            Found::AsNamed
        } else {
            Found::Nobody
        }
    };
    if name == "*" {
        return Ok(Found::AsNamed);
    }
    if let Ok(account) = name.parse::<AccountId>() {
        return Ok(as_named(account_exists(view, account)));
    }
    let parts: Vec<&str> = name.splitn(6, ':').collect();
    let ["arn", "aws", service, "", account, resource] = parts[..] else {
        return Ok(Found::Nobody);
    };
    let Ok(account) = account.parse::<AccountId>() else {
        return Ok(Found::Nobody);
    };
    let (kind, rest) = resource.split_once('/').unwrap_or((resource, ""));
    let last = rest.rsplit('/').next().unwrap_or("");
    let bound = match (service, kind) {
        ("iam", "root") => {
            let is_root = resource == "root" && account_exists(view, account);
            return Ok(as_named(is_root));
        }
        ("iam", "user") => {
            let user = read::<User>(view, account, last)?;
            let user = user.filter(|user| arn_of_user(account, user) == name);
            user.map(|user| user.id)
        }
        ("iam", "role") => {
            let role = read::<Role>(view, account, last)?;
            let role = role.filter(|role| arn_of_role(account, role) == name);
            role.map(|role| role.id)
        }
        ("sts", "assumed-role") => {
            let (role_name, session) = rest.split_once('/').unwrap_or((rest, ""));
            let role = read::<Role>(view, account, role_name)?;
            let role = role.filter(|role| role.name == role_name && is_session_name(session));
            role.map(|role| format!("{}:{session}", role.id))
        }
        _ => None,
    };
    Ok(bound.map_or(Found::Nobody, Found::Bound))
}

fn read<T: Entry>(
    view: Option<&dyn ConfigurationView>,
    account: AccountId,
    name: &str,
) -> Result<Option<T>, EntryError> {
    let Some(view) = view else {
        return Ok(None);
    };
    let found = entries::read::<T>(view, account, name)?;
    Ok(found.map(|(_, value)| value))
}

fn arn_of_user(account: AccountId, user: &User) -> String {
    model::arn(account, "user", &user.path, &user.name)
}

fn arn_of_role(account: AccountId, role: &Role) -> String {
    model::arn(account, "role", &role.path, &role.name)
}

/// The first account is there without having been made.
fn account_exists(view: Option<&dyn ConfigurationView>, account: AccountId) -> bool {
    let made = || view.is_some_and(|view| view.get(&entries::account_key(account)).is_some());
    account == AccountId::LAB || made()
}

/// What names a session of a role: 2 to 64 of those characters (STS API reference, AssumeRole).
fn is_session_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    (2..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// `ec2.amazonaws.com`. Services that a deployment doesn't have are named as well, as a
/// configuration for AWS names them; nobody can call as one of them here.
fn is_service(name: &str) -> bool {
    let label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(allowed)
    };
    let name = name.strip_suffix(".cn").unwrap_or(name);
    name.strip_suffix(".amazonaws.com")
        .or_else(|| name.strip_suffix(".amazon.com"))
        .or_else(|| name.strip_suffix(".aws.internal"))
        .is_some_and(|rest| rest.split('.').all(label))
}

/// The keys of users and roles by their unique ids, in the order of these.
pub(crate) struct Ids(Vec<(Box<str>, Box<str>)>);

impl Ids {
    fn of(view: &dyn ConfigurationView) -> Ids {
        let mut ids = Vec::new();
        for kind in [User::NAME, Role::NAME] {
            view.visit(&format!("{PREFIX}{kind}/"), &mut |key, _, bytes| {
                // One that can't be read was noted when it came, and is nobody.
                if let Ok(Id { id }) = entries::decode_as::<Id>(key, bytes) {
                    ids.push((id, key.into()));
                }
            });
        }
        ids.sort_unstable();
        Ids(ids)
    }

    fn key(&self, id: &str) -> Option<&str> {
        let found = self.0.binary_search_by(|(known, _)| (**known).cmp(id));
        found.ok().map(|at| &*self.0[at].1)
    }
}

/// The part of a user or a role that tells which it is.
#[derive(Deserialize)]
struct Id {
    id: Box<str>,
}

impl Identity {
    /// As [`bind`], of the configuration that this is of.
    pub(crate) fn bind_policy(
        &self,
        kind: PolicyKind,
        document: &str,
    ) -> Result<String, PolicyRefusal> {
        let view = self.directory.as_ref().map(|directory| &*directory.view);
        bind(view, kind, document).map_err(|error| match error {
            BindError::Policy(PolicyError {
                fault: Fault::Principal { kind, name },
                ..
            }) => PolicyRefusal::Principal {
                kind: kind.to_owned(),
                name,
            },
            BindError::Principal(kind, name) => PolicyRefusal::Principal { kind, name },
            other => PolicyRefusal::Document(other.to_string()),
        })
    }

    /// A stored document as it is shown: the ids of users and roles that exist are their ARNs.
    pub(crate) fn show_policy(&self, document: &str) -> String {
        let shown = rename_principals(document, |kind, name| {
            Ok::<_, std::convert::Infallible>(match (&self.directory, kind) {
                (Some(directory), "AWS") => directory.shown(name),
                _ => None,
            })
        });
        match shown {
            Ok(shown) => shown,
            Err(never) => match never {},
        }
    }
}

impl Directory {
    /// What is shown for a principal of a stored document, if it is not as it is stored.
    fn shown(&self, name: &str) -> Option<String> {
        let (id, session) = match name.split_once(':') {
            Some((id, session)) => (id, Some(session)),
            None => (name, None),
        };
        if !is_unique_id(id) {
            return None;
        }
        let found = self.arn_of(id, session);
        // Of a session whose role is gone the id of that is shown.
        found.or_else(|| session.map(|_| id.to_owned()))
    }

    /// The ARN of the user or role of that id, or of a session of the role.
    fn arn_of(&self, id: &str, session: Option<&str>) -> Option<String> {
        let key = self
            .ready
            .ids
            .get_or_init(|| Ids::of(&*self.view))
            .key(id)?;
        let mut parts = key.strip_prefix(PREFIX)?.splitn(3, '/');
        let kind = parts.next()?;
        let account = parts.next()?.parse().ok()?;
        if kind == User::NAME {
            let (_, user) = entries::at::<User>(&*self.view, key).ok()??;
            return Some(arn_of_user(account, &user));
        }
        let (_, role) = entries::at::<Role>(&*self.view, key).ok()??;
        let name = &role.name;
        Some(match session {
            Some(session) => format!("arn:aws:sts::{account}:assumed-role/{name}/{session}"),
            None => arn_of_role(account, &role),
        })
    }
}
