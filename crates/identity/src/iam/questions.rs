//! What each operation is done to: the ARNs that a caller must be allowed its action on, and the
//! condition keys that the request has beside those that every request has (Service Authorization
//! Reference, "Actions, resources, and condition keys for AWS Identity and Access Management").
//! A thing that isn't there is asked for by the name that the request gives it.

use aws::access::Question;

use super::error::IamError;
use super::parameters::{
    GROUP_NAME, INSTANCE_PROFILE_NAME, NEW_USER_NAME, PATH, PATH_PREFIX, PERMISSIONS_BOUNDARY,
    POLICY_ARN, POLICY_NAME, Parameter, ROLE_NAME, SERVER_CERTIFICATE_NAME, USER_NAME, arn,
};
use super::request::IamRequest;
use super::service_linked::{self, LinkedService};
use crate::entries::{self, Entry};
use crate::model::{
    self, AccessKey, Group, InstanceProfile, ManagedPolicy, Role, ServerCertificate, Tags, User,
};

/// What an operation's row finds in a request: everything that its caller must be allowed.
#[derive(Clone, Copy)]
pub(crate) struct Resources {
    /// What the operation is done to.
    pub(super) find: fn(&IamRequest<'_>, action: &'static str) -> Questions,
    /// The condition keys that its own parameters give.
    pub(super) gives: &'static [Gives],
}

/// A condition key that a parameter of some operations gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gives {
    /// `iam:PermissionsBoundary`, of the boundary that is to be; else it is of the one there is.
    Boundary,
    /// `iam:PolicyARN`, of the policy that is attached or detached.
    PolicyArn,
    /// `aws:RequestTag/…` and `aws:TagKeys`, of the tags that are to be.
    Tags,
    /// `aws:TagKeys`, of the tags that are taken away.
    TagKeys,
}

type Questions = Result<Vec<Question<'static>>, IamError>;

/// What a question needs to know of a thing in an account.
struct Subject<'a> {
    arn: String,
    tags: Option<&'a Tags>,
    boundary: Option<&'a str>,
}

/// Something that IAM's ARNs name by kind, path and name, and that a view may have.
trait Named: Entry {
    /// `user` in `arn:aws:iam::111122223333:user/alice`.
    const KIND: &'static str;

    /// Do its tags have the keys `iam:ResourceTag/…` beside `aws:ResourceTag/…`?
    const IAM_TAGS: bool = false;

    /// The action of giving it tags, if it can have some.
    const TAG_ACTION: Option<&'static str> = None;

    fn path(&self) -> &str;
    fn name(&self) -> &str;
    fn tags(&self) -> Option<&Tags>;
    fn boundary(&self) -> Option<&str> {
        None
    }
}

impl Named for User {
    const KIND: &'static str = "user";
    const IAM_TAGS: bool = true;
    const TAG_ACTION: Option<&'static str> = Some("iam:TagUser");

    fn path(&self) -> &str {
        &self.path
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn tags(&self) -> Option<&Tags> {
        Some(&self.tags)
    }

    fn boundary(&self) -> Option<&str> {
        self.boundary.as_deref()
    }
}

impl Named for Role {
    const KIND: &'static str = "role";
    const IAM_TAGS: bool = true;
    const TAG_ACTION: Option<&'static str> = Some("iam:TagRole");

    fn path(&self) -> &str {
        &self.path
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn tags(&self) -> Option<&Tags> {
        Some(&self.tags)
    }

    fn boundary(&self) -> Option<&str> {
        self.boundary.as_deref()
    }
}

impl Named for Group {
    const KIND: &'static str = "group";

    fn path(&self) -> &str {
        &self.path
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn tags(&self) -> Option<&Tags> {
        None
    }
}

impl Named for ManagedPolicy {
    const KIND: &'static str = "policy";
    const TAG_ACTION: Option<&'static str> = Some("iam:TagPolicy");

    fn path(&self) -> &str {
        &self.path
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn tags(&self) -> Option<&Tags> {
        Some(&self.tags)
    }
}

impl Named for InstanceProfile {
    const KIND: &'static str = "instance-profile";
    const TAG_ACTION: Option<&'static str> = Some("iam:TagInstanceProfile");

    fn path(&self) -> &str {
        &self.path
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn tags(&self) -> Option<&Tags> {
        Some(&self.tags)
    }
}

impl Named for ServerCertificate {
    const KIND: &'static str = "server-certificate";
    const TAG_ACTION: Option<&'static str> = Some("iam:TagServerCertificate");

    fn path(&self) -> &str {
        &self.path
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn tags(&self) -> Option<&Tags> {
        Some(&self.tags)
    }
}

/// Done to nothing in particular.
pub(crate) fn everything(request: &IamRequest<'_>, action: &'static str) -> Questions {
    Ok(vec![Question::new(action, "*", request.account())])
}

/// Done to the user that `UserName` names, or else to the one who calls.
pub(crate) fn user(request: &IamRequest<'_>, action: &'static str) -> Questions {
    if request.optional(&USER_NAME)?.is_none() && request.is_root() {
        let account = request.account();
        let root = format!("arn:aws:iam::{account}:root");
        return Ok(vec![Question::new(action, root, account)]);
    }
    named::<User>(request, action, request.user_or_caller()?)
}

/// Done to a user that is to be.
pub(crate) fn new_user(request: &IamRequest<'_>, action: &'static str) -> Questions {
    new::<User>(request, action, &NEW_USER_NAME)
}

/// Done to a user and to what it becomes: who renames must be allowed it of both.
pub(crate) fn user_and_new_name(request: &IamRequest<'_>, action: &'static str) -> Questions {
    let name = request.required(&USER_NAME)?;
    renamed::<User>(request, action, name, &NEW_USER_NAME.named("NewUserName"))
}

/// Done to all users at `PathPrefix`.
pub(crate) fn users(request: &IamRequest<'_>, action: &'static str) -> Questions {
    all_at_path::<User>(request, action)
}

/// Done to the user whose access key it is; to nothing in particular if nobody has that key here.
pub(crate) fn user_of_key(request: &IamRequest<'_>, action: &'static str) -> Questions {
    let id = request.required(&super::parameters::ACCESS_KEY_ID)?;
    let key = entries::at::<AccessKey>(request.view(), &entries::access_key_key(id))?;
    match key {
        Some((_, key)) if key.account == request.account().to_string() => {
            named::<User>(request, action, &key.user)
        }
        _ => everything(request, action),
    }
}

/// Done to the group that `GroupName` names.
pub(crate) fn group(request: &IamRequest<'_>, action: &'static str) -> Questions {
    named::<Group>(request, action, request.required(&GROUP_NAME)?)
}

/// Done to a group that is to be.
pub(crate) fn new_group(request: &IamRequest<'_>, action: &'static str) -> Questions {
    new::<Group>(request, action, &GROUP_NAME)
}

/// Done to a group and to what it becomes.
pub(crate) fn group_and_new_name(request: &IamRequest<'_>, action: &'static str) -> Questions {
    let name = request.required(&GROUP_NAME)?;
    renamed::<Group>(request, action, name, &GROUP_NAME.named("NewGroupName"))
}

/// Done to all groups at `PathPrefix`.
pub(crate) fn groups(request: &IamRequest<'_>, action: &'static str) -> Questions {
    all_at_path::<Group>(request, action)
}

/// Done to the role that `RoleName` names.
pub(crate) fn role(request: &IamRequest<'_>, action: &'static str) -> Questions {
    named::<Role>(request, action, request.required(&ROLE_NAME)?)
}

/// Done to a role that is to be.
pub(crate) fn new_role(request: &IamRequest<'_>, action: &'static str) -> Questions {
    new::<Role>(request, action, &ROLE_NAME)
}

/// Done to the role that is to be linked to the service that `AWSServiceName` names.
pub(crate) fn new_service_linked_role(request: &IamRequest<'_>, action: &'static str) -> Questions {
    let account = request.account();
    let service = request.required(&service_linked::SERVICE_NAME)?;
    // The role of a service that isn't known has some name or other.
    let arn = LinkedService::find(service, None).map_or_else(
        |_| model::arn(account, "role", &service_linked::path_of(service), "*"),
        |linked| model::arn(account, "role", &linked.path(), linked.role_name()),
    );
    let question = Question::new(action, arn, account);
    Ok(vec![question.key("iam:AWSServiceName", service)])
}

/// Done to all roles at `PathPrefix`.
pub(crate) fn roles(request: &IamRequest<'_>, action: &'static str) -> Questions {
    all_at_path::<Role>(request, action)
}

/// Done to the managed policy that `PolicyArn` names.
pub(crate) fn policy(request: &IamRequest<'_>, action: &'static str) -> Questions {
    arn_given(request, action, &POLICY_ARN)
}

/// Done to a managed policy that is to be.
pub(crate) fn new_policy(request: &IamRequest<'_>, action: &'static str) -> Questions {
    new::<ManagedPolicy>(request, action, &POLICY_NAME)
}

/// Done to the instance profile that `InstanceProfileName` names.
pub(crate) fn instance_profile(request: &IamRequest<'_>, action: &'static str) -> Questions {
    let name = request.required(&INSTANCE_PROFILE_NAME)?;
    named::<InstanceProfile>(request, action, name)
}

/// Done to an instance profile that is to be.
pub(crate) fn new_instance_profile(request: &IamRequest<'_>, action: &'static str) -> Questions {
    new::<InstanceProfile>(request, action, &INSTANCE_PROFILE_NAME)
}

/// Done to all instance profiles at `PathPrefix`.
pub(crate) fn instance_profiles(request: &IamRequest<'_>, action: &'static str) -> Questions {
    all_at_path::<InstanceProfile>(request, action)
}

/// Done to the server certificate that `ServerCertificateName` names.
pub(crate) fn server_certificate(request: &IamRequest<'_>, action: &'static str) -> Questions {
    let name = request.required(&SERVER_CERTIFICATE_NAME)?;
    named::<ServerCertificate>(request, action, name)
}

/// Done to a server certificate that is to be.
pub(crate) fn new_server_certificate(request: &IamRequest<'_>, action: &'static str) -> Questions {
    new::<ServerCertificate>(request, action, &SERVER_CERTIFICATE_NAME)
}

/// Done to a server certificate and to what it becomes.
pub(crate) fn renamed_certificate(request: &IamRequest<'_>, action: &'static str) -> Questions {
    let name = request.required(&SERVER_CERTIFICATE_NAME)?;
    let new_name = SERVER_CERTIFICATE_NAME.named("NewServerCertificateName");
    renamed::<ServerCertificate>(request, action, name, &new_name)
}

/// Done to all server certificates at `PathPrefix`.
pub(crate) fn server_certificates(request: &IamRequest<'_>, action: &'static str) -> Questions {
    all_at_path::<ServerCertificate>(request, action)
}

/// Done to the instance profile that `InstanceProfileName` names, and hands it the role that
/// `RoleName` names, which is an action of its own: machines are EC2's.
pub(crate) fn role_into_profile(request: &IamRequest<'_>, action: &'static str) -> Questions {
    let mut questions = instance_profile(request, action)?;
    let role = request.required(&ROLE_NAME)?;
    let passed = named::<Role>(request, "iam:PassRole", role)?.into_iter();
    questions.extend(passed.map(|role| role.key("iam:PassedToService", "ec2.amazonaws.com")));
    Ok(questions)
}

/// Done to the user, group or role that `PolicySourceArn` names.
pub(crate) fn policy_source(request: &IamRequest<'_>, action: &'static str) -> Questions {
    arn_given(request, action, &arn("PolicySourceArn"))
}

/// Done to the user, group, role or policy that `Arn` names.
pub(crate) fn by_arn(request: &IamRequest<'_>, action: &'static str) -> Questions {
    arn_given(request, action, &arn("Arn"))
}

/// What the ARN of a parameter names: of this account's own things with their tags.
fn arn_given(request: &IamRequest<'_>, action: &'static str, parameter: &Parameter) -> Questions {
    let arn = request.required(parameter)?;
    let own = format!("arn:aws:iam::{}:", request.account());
    let kind_and_name = arn.strip_prefix(&own).and_then(|rest| {
        let (kind, path) = rest.split_once('/')?;
        Some((kind, path.rsplit('/').next()?))
    });
    let found = match kind_and_name {
        Some((User::KIND, name)) => named::<User>(request, action, name)?,
        Some((Role::KIND, name)) => named::<Role>(request, action, name)?,
        Some((ManagedPolicy::KIND, name)) => named::<ManagedPolicy>(request, action, name)?,
        _ => Vec::new(),
    };
    // One at another path isn't the one that was named.
    let mut found = found
        .into_iter()
        .filter(|question| question.resource == arn);
    if let Some(question) = found.next() {
        return Ok(vec![question]);
    }
    let subject = Subject {
        arn: arn.to_owned(),
        tags: None,
        boundary: None,
    };
    Ok(vec![question::<ManagedPolicy>(request, action, &subject)?])
}

/// What has that name in the caller's account, or would have it.
fn named<T: Named>(request: &IamRequest<'_>, action: &'static str, name: &str) -> Questions {
    let account = request.account();
    let found = entries::read::<T>(request.view(), account, name)?;
    let found = found.as_ref().map(|(_, thing)| thing);
    let subject = Subject {
        arn: match found {
            Some(thing) => model::arn(account, T::KIND, thing.path(), thing.name()),
            None => model::arn(account, T::KIND, "/", name),
        },
        tags: found.and_then(T::tags),
        boundary: found.and_then(T::boundary),
    };
    Ok(vec![question::<T>(request, action, &subject)?])
}

/// What is to be: by the path and the name that the request gives it, with what it asks for it.
/// With tags it must be allowed to tag it, too (IAM User Guide, "Tags for IAM resources").
fn new<T: Named>(request: &IamRequest<'_>, action: &'static str, name: &Parameter) -> Questions {
    let path = request.optional(&PATH)?.unwrap_or("/");
    let name = request.required(name)?;
    let subject = Subject {
        arn: model::arn(request.account(), T::KIND, path, name),
        tags: None,
        boundary: None,
    };
    let mut questions = vec![question::<T>(request, action, &subject)?];
    if let Some(action) = T::TAG_ACTION
        && request.gives(Gives::Tags)
        && !request.members().structures("Tags")?.is_empty()
    {
        let tagging = Question::new(action, subject.arn, request.account());
        questions.push(with_request_tags(request, tagging)?);
    }
    Ok(questions)
}

fn renamed<T: Named>(
    request: &IamRequest<'_>,
    action: &'static str,
    name: &str,
    new_name: &Parameter,
) -> Questions {
    let account = request.account();
    let mut questions = named::<T>(request, action, name)?;
    let found = entries::read::<T>(request.view(), account, name)?;
    let found = found.as_ref().map(|(_, thing)| thing);
    let path = request.optional(&PATH.named("NewPath"))?;
    let path = path.or(found.map(T::path)).unwrap_or("/");
    let name = request.optional(new_name)?.unwrap_or(name);
    let arn = model::arn(account, T::KIND, path, name);
    if questions.iter().all(|question| question.resource != arn) {
        let subject = Subject {
            arn,
            tags: found.and_then(T::tags),
            boundary: found.and_then(T::boundary),
        };
        questions.push(question::<T>(request, action, &subject)?);
    }
    Ok(questions)
}

/// `arn:aws:iam::111122223333:user/division/`: AWS asks for lists by the path that they are of.
fn all_at_path<T: Named>(request: &IamRequest<'_>, action: &'static str) -> Questions {
    let path = request.optional(&PATH_PREFIX)?.unwrap_or("/");
    let arn = model::arn(request.account(), T::KIND, path, "");
    Ok(vec![Question::new(action, arn, request.account())])
}

/// The question whether an action may be done to that, with the keys of what it is and has, and
/// those that the operation's own parameters give.
fn question<T: Named>(
    request: &IamRequest<'_>,
    action: &'static str,
    subject: &Subject<'_>,
) -> Result<Question<'static>, IamError> {
    let mut question = Question::new(action, subject.arn.clone(), request.account());
    for (key, value) in subject.tags.into_iter().flatten() {
        question = question.key(format!("aws:ResourceTag/{key}"), value);
        if T::IAM_TAGS {
            question = question.key(format!("iam:ResourceTag/{key}"), value);
        }
    }
    let boundary = match request.gives(Gives::Boundary) {
        true => request.members().value(PERMISSIONS_BOUNDARY.name),
        false => subject.boundary,
    };
    if let Some(boundary) = boundary {
        question = question.key("iam:PermissionsBoundary", boundary);
    }
    if request.gives(Gives::PolicyArn)
        && let Some(policy) = request.members().value(POLICY_ARN.name)
    {
        question = question.key("iam:PolicyARN", policy);
    }
    with_request_tags(request, question)
}

/// With the tags that the request gives or takes away. Which of them are in order the operation
/// says; here all count that it could read.
fn with_request_tags(
    request: &IamRequest<'_>,
    mut question: Question<'static>,
) -> Result<Question<'static>, IamError> {
    let members = request.members();
    let mut names = Vec::new();
    if request.gives(Gives::Tags) {
        for tag in members.structures("Tags")? {
            let Some(key) = tag.value("Key") else {
                continue;
            };
            let value = tag.value("Value").unwrap_or_default();
            question = question.key(format!("aws:RequestTag/{key}"), value);
            names.push(key.to_owned());
        }
    }
    if request.gives(Gives::TagKeys) {
        let removed = members.values("TagKeys")?;
        names.extend(removed.into_iter().map(str::to_owned));
    }
    if !names.is_empty() {
        question.keys.set("aws:TagKeys", names);
    }
    Ok(question)
}
