//! What a simulation is asked: as whom, which actions on which resources, with which condition
//! keys. Whatever of it makes no sense is refused before anything is evaluated.

use types::AccountId;

use super::keys::Keys;
use super::source::{PolicySet, Source};
use crate::iam::IamError;
use crate::iam::parameters::{self, check_length};
use crate::iam::request::IamRequest;

/// Pairs of action and resource of one simulation, at most. Ours; AWS documents no limit.
const MOST_PAIRS: usize = 100_000;

/// What a simulation is asked.
pub(crate) struct Asked<'a> {
    /// Actions, `dynamodb:GetItem`.
    pub(crate) actions: Vec<&'a str>,
    /// Resources: ARNs, or `*`.
    pub(crate) resources: Vec<&'a str>,
    /// As whom.
    pub(crate) principal: Principal,
    /// With which condition keys.
    pub(crate) keys: Keys,
    /// Who owns a resource whose ARN doesn't say.
    owner: AccountId,
}

/// As whom it is simulated.
pub(crate) enum Principal {
    /// A user, by ARN; an empty one, where nobody was named, is no user that a policy can name.
    User(AccountId, String),
    /// A session of a role: the ARNs of both.
    Session(AccountId, String, String),
}

impl Principal {
    fn account(&self) -> AccountId {
        match self {
            Principal::User(account, _) | Principal::Session(account, ..) => *account,
        }
    }
}

impl<'a> Asked<'a> {
    /// What a request asks, of the policies of `source` if they are simulated.
    ///
    /// # Errors
    ///
    /// It can't be asked.
    pub(crate) fn read(
        request: &IamRequest<'a>,
        source: Option<&Source>,
        policies: &PolicySet,
    ) -> Result<Asked<'a>, IamError> {
        if request.members().value("ResourceHandlingOption").is_some() {
            return Err(IamError::NotBuilt("ResourceHandlingOption"));
        }
        let actions = actions(request)?;
        let resources = resources(request)?;
        if actions.len().saturating_mul(resources.len()) > MOST_PAIRS {
            return Err(IamError::InvalidInput(format!(
                "More than {MOST_PAIRS} pairs of action and resource can't be simulated at once."
            )));
        }
        let caller = caller_arn(request)?;
        let is_user = matches!(source, Some(Source::User(_)));
        if policies.resource.is_some() && caller.is_none() && !is_user {
            return Err(IamError::InvalidInput(
                "CallerArn is required when a ResourcePolicy is given and the policies are not a \
                 user's."
                    .to_owned(),
            ));
        }
        let principal = principal(request, source, caller);
        let owner = owner(request)?.unwrap_or(principal.account());
        let mut keys = Keys::given(request)?;
        add_principal_keys(&mut keys, &principal, source, caller.is_none());
        Ok(Asked {
            actions,
            resources,
            principal,
            keys,
            owner,
        })
    }

    /// The account that owns a resource: the one in its ARN, or else the one the request says.
    pub(crate) fn owner_of(&self, resource: &str) -> AccountId {
        let account = resource.split(':').nth(4);
        let account = account.and_then(|account| account.parse().ok());
        account.unwrap_or(self.owner)
    }
}

fn actions<'a>(request: &IamRequest<'a>) -> Result<Vec<&'a str>, IamError> {
    let actions = request.members().values("ActionNames")?;
    if actions.is_empty() {
        return Err(parameters::constraint(
            "actionNames",
            None,
            "Member must not be null",
        ));
    }
    for (index, action) in actions.iter().enumerate() {
        check_length(&format!("actionNames.{}.member", index + 1), action, 3, 128)?;
        let is_word = |word: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            !word.is_empty() && word.bytes().all(allowed)
        };
        let halves = action.split_once(':');
        if !halves.is_some_and(|(service, name)| is_word(service) && is_word(name)) {
            return Err(IamError::InvalidInput(format!(
                "Invalid Action Name: {action} must be a service and an action, as in \
                 iam:CreateUser."
            )));
        }
    }
    Ok(actions)
}

fn resources<'a>(request: &IamRequest<'a>) -> Result<Vec<&'a str>, IamError> {
    let resources = request.members().values("ResourceArns")?;
    if resources.is_empty() {
        return Ok(vec!["*"]);
    }
    for (index, resource) in resources.iter().enumerate() {
        let member = format!("resourceArns.{}.member", index + 1);
        check_length(&member, resource, 1, 2048)?;
        let is_arn = resource.starts_with("arn:") && resource.splitn(6, ':').count() == 6;
        if !is_arn && *resource != "*" {
            let shown: String = resource.chars().take(512).collect();
            return Err(IamError::InvalidInput(format!(
                "Resource {shown} must be in ARN format or \"*\"."
            )));
        }
    }
    Ok(resources)
}

/// `CallerArn`: a user's account and ARN.
fn caller_arn<'a>(request: &IamRequest<'a>) -> Result<Option<(AccountId, &'a str)>, IamError> {
    let Some(caller) = request.members().value("CallerArn") else {
        return Ok(None);
    };
    check_length("callerArn", caller, 1, 2048)?;
    let user = caller.strip_prefix("arn:aws:iam::").and_then(|rest| {
        let (account, resource) = rest.split_once(':')?;
        let name = resource.strip_prefix("user/")?;
        (!name.is_empty() && !name.ends_with('/')).then_some(account.parse().ok()?)
    });
    let invalid = || {
        let shown: String = caller.chars().take(512).collect();
        IamError::InvalidInput(format!(
            "Invalid CallerArn: {shown} is not the ARN of a user."
        ))
    };
    Ok(Some((user.ok_or_else(invalid)?, caller)))
}

fn principal(
    request: &IamRequest<'_>,
    source: Option<&Source>,
    caller: Option<(AccountId, &str)>,
) -> Principal {
    use crate::iam::holder::Holder;

    let account = request.account();
    match (caller, source) {
        (Some((account, caller)), _) => Principal::User(account, caller.to_owned()),
        (None, Some(Source::User(user))) => Principal::User(account, user.arn(account)),
        (None, Some(Source::Role(role))) => {
            let session = format!(
                "arn:aws:sts::{account}:assumed-role/{}/simulated",
                role.name
            );
            Principal::Session(account, role.arn(account), session)
        }
        (None, Some(Source::Group(_)) | None) => Principal::User(account, String::new()),
    }
}

/// `ResourceOwner`: an account by number, or by its root's ARN.
fn owner(request: &IamRequest<'_>) -> Result<Option<AccountId>, IamError> {
    let Some(owner) = request.members().value("ResourceOwner") else {
        return Ok(None);
    };
    check_length("resourceOwner", owner, 1, 2048)?;
    let root = owner.strip_prefix("arn:aws:iam::");
    let number = root.map_or(owner, |rest| rest.strip_suffix(":root").unwrap_or(rest));
    let invalid = |_| {
        let shown: String = owner.chars().take(512).collect();
        IamError::InvalidInput(format!("Invalid ResourceOwner: {shown} is not an account."))
    };
    number.parse().map(Some).map_err(invalid)
}

/// What a call of that principal would have whatever it asks for.
fn add_principal_keys(
    keys: &mut Keys,
    principal: &Principal,
    source: Option<&Source>,
    is_source: bool,
) {
    let (arn, kind) = match principal {
        Principal::User(_, arn) if arn.is_empty() => return,
        Principal::User(_, arn) => (arn, "User"),
        Principal::Session(_, role, _) => (role, "AssumedRole"),
    };
    keys.add("aws:PrincipalArn", arn);
    keys.add("aws:PrincipalAccount", principal.account().to_string());
    keys.add("aws:PrincipalType", kind);
    if let Principal::User(_, arn) = principal {
        keys.add("aws:username", arn.rsplit('/').next().unwrap_or(""));
    }
    let source = source.filter(|_| is_source);
    if let Some(Source::User(user)) = source {
        keys.add("aws:userid", &user.id);
    }
    for (key, value) in source.and_then(Source::tags).into_iter().flatten() {
        keys.add(&format!("aws:PrincipalTag/{key}"), value);
    }
}
