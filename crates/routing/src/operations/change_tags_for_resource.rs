//! `ChangeTagsForResource`: adds or replaces tags, then removes some.

use aws::rest::ROUTE53;

use crate::access::Allowed;
use crate::api_limits::MAX_TAGS;
use crate::request::{Reply, Request, document};
use crate::tags::{Resource, Tags};
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
    let members = request.members(&["AddTags", "RemoveTagKeys"])?;
    let mut added = Tags::new();
    if let Some(tags) = members.optional("AddTags") {
        for tag in tags.items("Tag")? {
            let tag = tag.members(&["Key", "Value"])?;
            let key = tag.required("Key", ROUTE53.namespace)?.bounded(1, 128)?;
            let value = tag
                .optional("Value")
                .map(|value| value.bounded(0, 256))
                .transpose()?;
            added.insert(key.to_owned(), value.unwrap_or_default().to_owned());
        }
    }
    let mut removed = Vec::new();
    if let Some(keys) = members.optional("RemoveTagKeys") {
        for key in keys.items("Key")? {
            removed.push(key.bounded(0, 128)?.to_owned());
        }
    }
    if added.is_empty() && removed.is_empty() {
        return Err(RoutingError::invalid(
            "Invalid request: AddTags or RemoveTagKeys must name a tag.",
        ));
    }
    service
        .change(resource.id(), |view| {
            let before = resource.tags(view, allowed.account())?;
            let mut tags = before.clone();
            tags.extend(added.clone());
            tags.retain(|key, _| !removed.contains(key));
            if tags.len() > MAX_TAGS {
                return Err(RoutingError::invalid(format!(
                    "A resource can't have more than {MAX_TAGS} tags."
                )));
            }
            let edits = match tags == before {
                true => Vec::new(),
                false => vec![resource.write(view, &tags)],
            };
            Ok((edits, ()))
        })
        .await?;
    Ok(Reply::ok(document("ChangeTagsForResourceResponse")))
}
