//! Roles that are linked to a service: to make them, and to delete them by a task, which is done
//! when the request is answered. Whether the service still needs a role IAM doesn't know here: it
//! is its owner's to say.

use aws::query::Reply;

use crate::Service;
use crate::entries;
use crate::iam::error::IamError;
use crate::iam::holder;
use crate::iam::ids::{self, IdKind};
use crate::iam::parameters::{self, Parameter, ROLE_NAME, Text};
use crate::iam::request::IamRequest;
use crate::iam::service_linked::{self, LinkedService};
use crate::iam::shapes::Detail;
use crate::iam::{change, description, role_shapes};
use crate::model::Role;

/// What tells several roles of one service apart; no service here has several.
const CUSTOM_SUFFIX: Parameter = parameters::name("CustomSuffix", 64);

/// What deletes a role.
const TASK: Parameter = Parameter {
    name: "DeletionTaskId",
    shortest: 1,
    longest: 1000,
    text: Text::Any,
};

/// `CreateServiceLinkedRole`.
pub(crate) async fn create(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let name = request.required(&service_linked::SERVICE_NAME)?;
    let suffix = request.optional(&CUSTOM_SUFFIX)?;
    let description = description::given(request)?.map(str::to_owned);
    let linked = LinkedService::find(name, suffix)?;
    let id = ids::unique_id(&*service.config.environment, IdKind::Role);
    let role = linked.role(id, service.now().0, description);
    let key = entries::key::<Role>(request.account(), &role.name);
    service
        .change_for(request, &key, |request| {
            if request.view().get(&key).is_some() {
                return Err(IamError::InvalidInput(format!(
                    "Service role name {} has been taken in this account, please try a different \
                     suffix.",
                    role.name
                )));
            }
            Ok((vec![change::put(key.clone(), None, &role)], ()))
        })
        .await?;
    let mut reply = request.reply();
    let account = request.account();
    role_shapes::role(reply.writer(), "Role", account, &role, Detail::Whole);
    Ok(reply)
}

/// `DeleteServiceLinkedRole`.
pub(crate) async fn delete(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let name = request.required(&ROLE_NAME)?;
    let key = entries::key::<Role>(request.account(), name);
    let task = service
        .change_for(request, &key, |request| {
            let (revision, role) = holder::named::<Role>(request)?;
            if !service_linked::is_linked(&role) {
                return Err(IamError::InvalidInput(format!(
                    "The role with name {name} is not a service-linked role."
                )));
            }
            let task = service_linked::deletion_task(&role);
            Ok((vec![change::remove(key.clone(), revision)], task))
        })
        .await?;
    let mut reply = request.reply();
    reply.writer().value("DeletionTaskId", task);
    Ok(reply)
}

/// `GetServiceLinkedRoleDeletionStatus`.
pub(crate) async fn deletion_status(
    _: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let task = request.required(&TASK)?;
    let Some((name, id)) = service_linked::role_of_task(task) else {
        let shown: String = task.chars().take(512).collect();
        return Err(IamError::NoSuchEntity(format!(
            "The deletion task with id {shown} cannot be found."
        )));
    };
    let found = entries::read::<Role>(request.view(), request.account(), name)?;
    // A task is given out when its role is gone: one whose role is there was never given out,
    // or this site has not heard of the deletion yet.
    let status = match found {
        Some((_, role)) if role.id == id => "IN_PROGRESS",
        _ => "SUCCEEDED",
    };
    let mut reply = request.reply();
    reply.writer().value("Status", status);
    Ok(reply)
}
