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
            if added.keys().any(|known| known.eq_ignore_ascii_case(key)) {
                return Err(repeated(key));
            }
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
            for key in added.keys() {
                let is_other = |known: &String| known != key && known.eq_ignore_ascii_case(key);
                if tags.contains_key(key) && tags.keys().any(is_other) {
                    return Err(repeated(key));
                }
            }
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

/// The names of condition keys are compared without regard to case, so there is one tag of a name,
/// however it is spelled: else a policy would be asked about one, and another kept.
fn repeated(key: &str) -> RoutingError {
    RoutingError::invalid(format!(
        "Invalid request: duplicate tag key {key}. The keys of tags are told apart without regard \
         to case."
    ))
}
