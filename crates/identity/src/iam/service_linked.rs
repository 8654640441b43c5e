//! Roles that are linked to a service: the service alone may assume them, and their owner can
//! only make and delete them. There is one, as one of the services of a deployment has one.

use super::error::IamError;
use super::parameters::{self, Parameter};
use crate::model::{Milliseconds, Policies, Role, Tags};

/// A service, by its name as a principal.
pub(crate) const SERVICE_NAME: Parameter = parameters::name("AWSServiceName", 128);

/// What the path of every role that is linked to a service begins with.
const PATH_PREFIX: &str = "/aws-service-role/";

/// A service that has a role linked to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LinkedService {
    /// Its name as a principal.
    pub(crate) name: &'static str,
    /// The name of its role.
    role: &'static str,
    /// The ARN of the managed policy that the role has.
    policy: &'static str,
}

/// The services of a deployment that have one (DynamoDB Developer Guide, "Using service-linked
/// roles with global tables").
const SERVICES: &[LinkedService] = &[LinkedService {
    name: "replication.dynamodb.amazonaws.com",
    role: "AWSServiceRoleForDynamoDBReplication",
    policy: "arn:aws:iam::aws:policy/aws-service-role/DynamoDBReplicationServiceRolePolicy",
}];

impl LinkedService {
    /// The service of that name, whose role takes no suffix.
    ///
    /// # Errors
    ///
    /// The deployment has no such service, or a suffix was given.
    pub(crate) fn find(name: &str, suffix: Option<&str>) -> Result<LinkedService, IamError> {
        let found = SERVICES.iter().find(|service| service.name == name);
        let Some(service) = found else {
            return Err(IamError::InvalidInput(format!(
                "Service-linked roles are not supported for {name}"
            )));
        };
        if suffix.is_some() {
            return Err(IamError::InvalidInput(format!(
                "Custom suffix is not allowed for {name}"
            )));
        }
        Ok(*service)
    }

    /// Its role's path.
    pub(crate) fn path(&self) -> String {
        path_of(self.name)
    }

    /// Its role's name.
    pub(crate) fn role_name(&self) -> &'static str {
        self.role
    }

    /// Its role, with that id.
    pub(crate) fn role(
        &self,
        id: String,
        created: Milliseconds,
        description: Option<String>,
    ) -> Role {
        let trust = format!(
            "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":\
             {{\"Service\":\"{}\"}},\"Action\":\"sts:AssumeRole\"}}]}}",
            self.name
        );
        Role {
            name: self.role.to_owned(),
            id,
            path: self.path(),
            created,
            trust: trust.into(),
            longest_session: 3600,
            description,
            policies: Policies {
                attached: vec![self.policy.to_owned()],
                ..Policies::default()
            },
            boundary: None,
            tags: Tags::new(),
        }
    }
}

/// The path of the roles that are linked to that service.
pub(crate) fn path_of(service: &str) -> String {
    format!("{PATH_PREFIX}{service}/")
}

/// Is this role linked to a service?
pub(crate) fn is_linked(role: &Role) -> bool {
    is_reserved_path(&role.path)
}

/// Is this a path that only roles linked to a service may have?
pub(crate) fn is_reserved_path(path: &str) -> bool {
    path.starts_with(PATH_PREFIX)
}

/// May its owner change it?
///
/// # Errors
///
/// It is linked to a service.
pub(crate) fn check_modifiable(role: &Role) -> Result<(), IamError> {
    if is_linked(role) {
        return Err(IamError::Unmodifiable(format!(
            "Cannot perform the operation on the protected role '{}' - this role is only \
             modifiable by AWS",
            role.name
        )));
    }
    Ok(())
}

/// The id of the task that deletes a role: what AWS documents of it, and the role's own id, which
/// tells two roles apart that had the same name.
pub(crate) fn deletion_task(role: &Role) -> String {
    format!("task{}{}/{}", role.path, role.name, role.id)
}

/// The name and id of the role that a task deletes; `None`: it is no task's id.
pub(crate) fn role_of_task(task: &str) -> Option<(&str, &str)> {
    let rest = task.strip_prefix("task")?.strip_prefix(PATH_PREFIX)?;
    let mut parts = rest.split('/');
    let (service, name, id) = (parts.next()?, parts.next()?, parts.next()?);
    let known = SERVICES
        .iter()
        .any(|known| known.name == service && known.role == name);
    (known && id.starts_with("AROA") && parts.next().is_none()).then_some((name, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DYNAMODB: &str = "replication.dynamodb.amazonaws.com";

    #[test]
    fn only_services_of_a_deployment_have_roles_and_none_takes_a_suffix() {
        let service = LinkedService::find(DYNAMODB, None).unwrap();
        let role = service.role("AROAX".to_owned(), 7, None);
        assert_eq!(
            role.path,
            "/aws-service-role/replication.dynamodb.amazonaws.com/"
        );
        assert!(check_modifiable(&role).is_err());
        assert!(crate::aws_managed::document(&role.policies.attached[0]).is_some());
        assert!(LinkedService::find("es.amazonaws.com", None).is_err());
        assert!(LinkedService::find(DYNAMODB, Some("x")).is_err());
    }

    #[test]
    fn a_task_names_the_role_that_it_deletes() {
        let service = LinkedService::find(DYNAMODB, None).unwrap();
        let role = service.role("AROAX".to_owned(), 7, None);
        let task = deletion_task(&role);
        assert_eq!(role_of_task(&task), Some((service.role_name(), "AROAX")));
        for other in [
            "",
            "task",
            "task/x",
            &task[..task.len() - 5],
            &format!("{task}/x"),
        ] {
            assert_eq!(role_of_task(other), None, "{other}");
        }
    }
}
