//! `ListTagsForResource`.

use crate::access::Allowed;
use crate::request::{Reply, Request, document};
use crate::tags::Resource;
use crate::{RoutingError, Service};

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let resource = Resource::read(
        request.labels.get("ResourceType"),
        request.labels.get("ResourceId"),
    )?;
    let tags = resource.tags(&*service.view(), allowed.account())?;
    let mut writer = document("ListTagsForResourceResponse");
    resource.shape(&mut writer, &tags);
    Ok(Reply::ok(writer))
}
