//! The tags of users.

use aws::query::Reply;

use crate::Service;
use crate::entries;
use crate::iam::change::put;
use crate::iam::parameters::USER_NAME;
use crate::iam::request::IamRequest;
use crate::iam::{IamError, lookup, tags};
use crate::model::{Tags, User};

/// `TagUser`: sets tags beside those that are there.
pub(crate) async fn tag(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let given = request.required_tags()?;
    change(service, request, |known| {
        tags::set(known, &given, "TagsPerUser")
    })
    .await
}

/// `UntagUser`: takes tags away; those that aren't there are no fault.
pub(crate) async fn untag(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let keys = request.required_tag_keys()?;
    change(service, request, |known| {
        tags::remove(known, &keys);
        Ok(())
    })
    .await
}

/// `ListUserTags`.
pub(crate) async fn list(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let (_, user) = lookup::user(request, request.required(&USER_NAME)?)?;
    tags::listed(request, &user.tags)
}

async fn change(
    service: &Service,
    request: &IamRequest<'_>,
    change: impl Fn(&mut Tags) -> Result<(), IamError>,
) -> Result<Reply, IamError> {
    let name = request.required(&USER_NAME)?;
    let key = entries::key::<User>(request.account(), name);
    let attempt = |request: &IamRequest<'_>| {
        let (revision, mut user) = lookup::user(request, name)?;
        let before = user.tags.clone();
        change(&mut user.tags)?;
        let edit = (user.tags != before).then(|| put(key.clone(), Some(revision), &user));
        Ok((edit.into_iter().collect(), ()))
    };
    service.change_for(request, &key, attempt).await?;
    Ok(request.done())
}
