//! The policies of a simulation: those that a user, group or role has, and those that the request
//! gives. A policy that can't be read denies everything, as it does when somebody calls.

use aws::access::PolicyKind;
use types::AccountId;

use crate::entries;
use crate::iam::IamError;
use crate::iam::documents;
use crate::iam::holder::Holder;
use crate::iam::managed::Managed;
use crate::iam::parameters::{self, arn};
use crate::iam::request::IamRequest;
use crate::model::{Account, Group, Policies, Role, Tags, User};
use crate::policy::Policy;

/// A policy of a simulation.
pub(crate) struct Given {
    /// What the answer calls it: its name, or its place in the request, `PolicyInputList.1`.
    pub(crate) id: String,
    /// What kind of policy it is, as the answer says: `user`, `aws-managed`, `none`.
    pub(crate) kind: &'static str,
    /// What says which it is among all of a simulation.
    pub(crate) label: String,
    /// It, compiled.
    pub(crate) policy: Policy,
}

/// All policies of a simulation, by layer.
#[derive(Default)]
pub(crate) struct PolicySet {
    /// Of the principal.
    pub(crate) identity: Vec<Given>,
    /// The boundary.
    pub(crate) boundary: Option<Given>,
    /// Of the resource.
    pub(crate) resource: Option<Given>,
    /// Of the organisation, if one limits the account.
    pub(crate) service_control: Option<Vec<Given>>,
    /// Bytes of all their documents.
    pub(crate) weight: usize,
    /// How many there are.
    count: usize,
}

/// Whose policies are simulated.
pub(crate) enum Source {
    /// A user.
    User(Box<User>),
    /// A group.
    Group(Box<Group>),
    /// A role.
    Role(Box<Role>),
}

impl Source {
    /// The one that `PolicySourceArn` names.
    ///
    /// # Errors
    ///
    /// It names none, or none that is there.
    pub(crate) fn named(request: &IamRequest<'_>) -> Result<Source, IamError> {
        let given = request.required(&arn("PolicySourceArn"))?;
        let own = format!("arn:aws:iam::{}:", request.account());
        let unclear = || {
            let shown: String = given.chars().take(512).collect();
            IamError::InvalidInput(format!(
                "Invalid Entity Arn: {shown} does not clearly define entity type and name."
            ))
        };
        let parts = given.strip_prefix("arn:aws:iam::").ok_or_else(unclear)?;
        let (_, resource) = parts.split_once(':').ok_or_else(unclear)?;
        let (kind, path) = resource.split_once('/').ok_or_else(unclear)?;
        let name = path.rsplit('/').next().unwrap_or("");
        if name.is_empty() {
            return Err(unclear());
        }
        match kind {
            "user" => Ok(Source::User(Box::new(read(request, given, &own, name)?))),
            "group" => Ok(Source::Group(Box::new(read(request, given, &own, name)?))),
            "role" => Ok(Source::Role(Box::new(read(request, given, &own, name)?))),
            _ => Err(unclear()),
        }
    }

    /// Its tags; a group has none.
    pub(crate) fn tags(&self) -> Option<&Tags> {
        match self {
            Source::User(user) => Some(&user.tags),
            Source::Role(role) => Some(&role.tags),
            Source::Group(_) => None,
        }
    }
}

fn read<T: Holder>(
    request: &IamRequest<'_>,
    given: &str,
    own: &str,
    name: &str,
) -> Result<T, IamError> {
    let found = match given.starts_with(own) {
        true => entries::read::<T>(request.view(), request.account(), name)?,
        // Of another account's principals nobody is told here.
        false => None,
    };
    let found = found.filter(|(_, holder)| holder.arn(request.account()) == given);
    let missing = || {
        let word = T::WORD;
        let shown: String = name.chars().take(128).collect();
        IamError::NoSuchEntity(format!("The {word} with name {shown} cannot be found."))
    };
    found.map(|(_, holder)| holder).ok_or_else(missing)
}

impl PolicySet {
    /// Takes in what a user, group or role has: a user's groups' policies too, its boundary, and
    /// what its account's organisation says.
    ///
    /// # Errors
    ///
    /// Something of it can't be read.
    pub(crate) fn take_source(
        &mut self,
        request: &IamRequest<'_>,
        source: &Source,
    ) -> Result<(), IamError> {
        match source {
            Source::User(user) => {
                self.take_policies(request, User::WORD, &user.policies)?;
                for name in &user.groups {
                    let group = entries::read::<Group>(request.view(), request.account(), name)?;
                    match group {
                        Some((_, group)) => {
                            self.take_policies(request, Group::WORD, &group.policies)?;
                        }
                        // What the group would deny is not known.
                        None => {
                            let denial = self.stored(PolicyKind::Identity, name, Group::WORD, "");
                            self.identity.push(denial);
                        }
                    }
                }
                self.take_boundary(request, user.boundary.as_deref())?;
            }
            Source::Group(group) => self.take_policies(request, Group::WORD, &group.policies)?,
            Source::Role(role) => {
                self.take_policies(request, Role::WORD, &role.policies)?;
                self.take_boundary(request, role.boundary.as_deref())?;
            }
        }
        self.take_organization(request, request.account())
    }

    fn take_policies(
        &mut self,
        request: &IamRequest<'_>,
        kind: &'static str,
        policies: &Policies,
    ) -> Result<(), IamError> {
        for policy_arn in &policies.attached {
            let given = self.managed(request, policy_arn)?;
            self.identity.push(given);
        }
        for (name, document) in &policies.inline {
            let given = self.stored(PolicyKind::Identity, name, kind, document);
            self.identity.push(given);
        }
        Ok(())
    }

    fn take_boundary(
        &mut self,
        request: &IamRequest<'_>,
        policy_arn: Option<&str>,
    ) -> Result<(), IamError> {
        if let Some(policy_arn) = policy_arn {
            self.boundary = Some(self.managed(request, policy_arn)?);
        }
        Ok(())
    }

    fn take_organization(
        &mut self,
        request: &IamRequest<'_>,
        account: AccountId,
    ) -> Result<(), IamError> {
        let found = entries::at::<Account>(request.view(), &entries::account_key(account))?;
        let policies = found.map(|(_, account)| account.service_control_policies);
        let policies = policies.unwrap_or_default();
        if !policies.is_empty() {
            let policies = policies.iter().map(|(name, document)| {
                self.stored(PolicyKind::Organization, name, "none", document)
            });
            self.service_control = Some(policies.collect());
        }
        Ok(())
    }

    fn managed(&mut self, request: &IamRequest<'_>, policy_arn: &str) -> Result<Given, IamError> {
        let found = Managed::find(request.view(), request.account(), policy_arn)?;
        let kind = match &found {
            Some(Managed::Aws(_)) => "aws-managed",
            _ => "user-managed",
        };
        // One that is gone can't be read.
        let document = found.as_ref().and_then(Managed::document).unwrap_or("");
        let name = found.as_ref().map_or(policy_arn, Managed::name);
        Ok(self.stored(PolicyKind::Identity, name, kind, document))
    }

    fn stored(
        &mut self,
        policy_kind: PolicyKind,
        name: &str,
        kind: &'static str,
        document: &str,
    ) -> Given {
        let policy = Policy::parse(policy_kind, document);
        let policy = policy.unwrap_or_else(|_| Policy::unreadable(policy_kind));
        self.given(name.to_owned(), kind, document, policy)
    }

    fn given(&mut self, id: String, kind: &'static str, document: &str, policy: Policy) -> Given {
        self.count += 1;
        self.weight += document.len();
        Given {
            id,
            kind,
            label: self.count.to_string(),
            policy,
        }
    }

    /// Takes in the policies that `PolicyInputList` gives.
    ///
    /// # Errors
    ///
    /// One of them is no policy.
    pub(crate) fn take_inputs(&mut self, request: &IamRequest<'_>) -> Result<(), IamError> {
        let inputs = self.inputs(request, "PolicyInputList")?;
        self.identity.extend(inputs);
        Ok(())
    }

    /// Takes the boundary that the request gives, in place of one that is there.
    ///
    /// # Errors
    ///
    /// It is no policy, or there are several.
    pub(crate) fn take_given_boundary(&mut self, request: &IamRequest<'_>) -> Result<(), IamError> {
        let mut inputs = self.inputs(request, "PermissionsBoundaryPolicyInputList")?;
        if inputs.len() > 1 {
            return Err(IamError::InvalidInput(
                "You can input only one permissions boundary policy.".to_owned(),
            ));
        }
        if let Some(boundary) = inputs.pop() {
            self.boundary = Some(boundary);
        }
        Ok(())
    }

    fn inputs(
        &mut self,
        request: &IamRequest<'_>,
        list: &'static str,
    ) -> Result<Vec<Given>, IamError> {
        let documents = request.members().values(list)?;
        let mut inputs = Vec::with_capacity(documents.len());
        for (index, document) in documents.into_iter().enumerate() {
            let id = format!("{list}.{}", index + 1);
            inputs.push(self.input(id, "none", PolicyKind::Identity, document)?);
        }
        Ok(inputs)
    }

    /// Takes the resource's policy that the request gives.
    ///
    /// # Errors
    ///
    /// It is no policy.
    pub(crate) fn take_resource_policy(
        &mut self,
        request: &IamRequest<'_>,
    ) -> Result<(), IamError> {
        if let Some(document) = request.members().value("ResourcePolicy") {
            let id = "ResourcePolicy".to_owned();
            self.resource = Some(self.input(id, "resource", PolicyKind::Resource, document)?);
        }
        Ok(())
    }

    fn input(
        &mut self,
        id: String,
        kind: &'static str,
        policy_kind: PolicyKind,
        document: &str,
    ) -> Result<Given, IamError> {
        let member = parameters::lower_first(&id);
        parameters::check_length(&member, document, 1, documents::LONGEST)?;
        documents::check_characters(&id, document)?;
        let policy = Policy::parse(policy_kind, document)
            .map_err(|error| IamError::InvalidInput(format!("{id}: {error}")))?;
        Ok(self.given(id, kind, document, policy))
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Given> {
        let organization = self.service_control.iter().flatten();
        let others = self.boundary.iter().chain(&self.resource);
        self.identity.iter().chain(others).chain(organization)
    }
}
