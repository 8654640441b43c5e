//! `ListTagsForResources`: of up to ten of one type.

use aws::rest::ROUTE53;

use crate::access::Allowed;
use crate::api_limits::MAX_TAGGED;
use crate::request::{Reply, Request, document};
use crate::tags::Resource;
use crate::{RoutingError, Service};

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let kind = request.labels.get("ResourceType");
    let members = request.members(&["ResourceIds"])?;
    let ids = members.required("ResourceIds", ROUTE53.namespace)?;
    let items = ids.items("ResourceId")?;
    if items.is_empty() || items.len() > MAX_TAGGED {
        return Err(ids
            .constraint(format!(
                "Member must have length between 1 and {MAX_TAGGED}"
            ))
            .into());
    }
    let view = service.view();
    let mut writer = document("ListTagsForResourcesResponse");
    writer.open("ResourceTagSets");
    for item in items {
        let resource = Resource::read(kind, item.bounded(0, 64)?)?;
        let tags = resource.tags(&*view, allowed.account())?;
        resource.shape(&mut writer, &tags);
    }
    Ok(Reply::ok(writer))
}
