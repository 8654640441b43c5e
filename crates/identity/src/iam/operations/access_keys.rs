//! Access keys of users. A secret is drawn here, sealed with the operator's key, and told once.
//! The keys of an account's root are the operator's to make and take away; here they are listed.

use std::collections::BTreeSet;

use aws::query::Reply;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::iam::change::{put, remove};
use crate::iam::ids::time;
use crate::iam::limits::ACCESS_KEYS_PER_USER;
use crate::iam::paging::Paging;
use crate::iam::parameters::{ACCESS_KEY_ID, Parameter, USER_NAME, one_of};
use crate::iam::request::IamRequest;
use crate::iam::{IamError, lookup};
use crate::model::{AccessKey, User};
use crate::sealer::Purpose;
use crate::{RootKey, Service, entries};

const STATUS: Parameter = one_of("Status", &["Active", "Inactive", "Expired"]);

/// Whose keys a request is about: a user's.
fn user_name<'a>(request: &IamRequest<'a>) -> Result<&'a str, IamError> {
    if request.optional(&USER_NAME)?.is_none() && request.is_root() {
        return Err(IamError::NotBuilt(
            "Making and changing the access keys of an account's root by IAM",
        ));
    }
    request.user_or_caller()
}

fn status(key: &AccessKey) -> &'static str {
    if key.active { "Active" } else { "Inactive" }
}

/// The key of that id if it is that user's, and where it stands.
fn key_of(
    request: &IamRequest<'_>,
    user: &User,
    id: &str,
) -> Result<(String, u64, AccessKey), IamError> {
    let place = entries::access_key_key(id);
    let known = user.keys.iter().any(|known| known == id);
    let found = if known {
        entries::at::<AccessKey>(request.view(), &place)?
    } else {
        None
    };
    let (revision, key) = found.ok_or_else(|| no_such_key(id))?;
    Ok((place, revision, key))
}

fn no_such_key(id: &str) -> IamError {
    IamError::NoSuchEntity(format!("The Access Key with id {id} cannot be found."))
}

/// `CreateAccessKey`: of the caller where no user is named.
pub(crate) async fn create(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let name = user_name(request)?;
    // It has the shape of a root key, and is made the same way.
    let pair = RootKey::generate(&service.random());
    let (id, secret) = (pair.access_key_id(), pair.secret().expose());
    let nonce = service.random();
    let sealer = &service.config.sealer;
    let sealed = sealer.seal(Purpose::AccessKey, id, secret.as_bytes(), &nonce);
    let key = AccessKey {
        account: request.account().to_string(),
        user: name.to_ascii_lowercase(),
        created: service.now().0,
        active: true,
        sealed: STANDARD.encode(sealed),
    };
    let place = entries::key::<User>(request.account(), name);
    let attempt = |request: &IamRequest<'_>| {
        let (revision, mut user) = lookup::user(request, name)?;
        if user.keys.len() >= ACCESS_KEYS_PER_USER {
            let most = ACCESS_KEYS_PER_USER;
            return Err(IamError::quota("AccessKeysPerUser", most));
        }
        user.keys.push(id.to_owned());
        let edits = vec![
            put(place.clone(), Some(revision), &user),
            put(entries::access_key_key(id), None, &key),
        ];
        Ok((edits, user.name))
    };
    let name = service.change_for(request, &place, attempt).await?;
    let mut reply = request.reply();
    reply
        .writer()
        .open("AccessKey")
        .value("UserName", name)
        .value("AccessKeyId", id)
        .value("Status", status(&key))
        .value("SecretAccessKey", secret)
        .value("CreateDate", time(key.created))
        .close();
    Ok(reply)
}

/// `UpdateAccessKey`: whether the key is accepted.
pub(crate) async fn update(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let name = user_name(request)?;
    let id = request.required(&ACCESS_KEY_ID)?;
    let active = match request.required(&STATUS)? {
        "Active" => true,
        "Inactive" => false,
        // The model names it for what IAM itself sets.
        _ => {
            return Err(IamError::InvalidInput(
                "The status of an access key can be set to Active or Inactive only.".to_owned(),
            ));
        }
    };
    let subject = entries::access_key_key(id);
    let attempt = |request: &IamRequest<'_>| {
        let (_, user) = lookup::user(request, name)?;
        let (place, revision, mut key) = key_of(request, &user, id)?;
        if key.active == active {
            return Ok((Vec::new(), ()));
        }
        key.active = active;
        Ok((vec![put(place, Some(revision), &key)], ()))
    };
    service.change_for(request, &subject, attempt).await?;
    Ok(request.done())
}

/// `DeleteAccessKey`.
pub(crate) async fn delete(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let name = user_name(request)?;
    let id = request.required(&ACCESS_KEY_ID)?;
    let subject = entries::key::<User>(request.account(), name);
    let attempt = |request: &IamRequest<'_>| {
        let (user_revision, mut user) = lookup::user(request, name)?;
        let (place, revision, _) = key_of(request, &user, id)?;
        user.keys.retain(|known| known != id);
        let edits = vec![
            put(subject.clone(), Some(user_revision), &user),
            remove(place, revision),
        ];
        Ok((edits, ()))
    };
    service.change_for(request, &subject, attempt).await?;
    Ok(request.done())
}

/// `ListAccessKeys`: of the caller where no user is named.
pub(crate) async fn list(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    if request.optional(&USER_NAME)?.is_none() && request.is_root() {
        return list_of_root(service, request);
    }
    let (_, user) = lookup::user(request, user_name(request)?)?;
    let mut keys = Vec::new();
    for id in &user.keys {
        let (_, _, key) = key_of(request, &user, id)?;
        keys.push((id.clone(), (id, key)));
    }
    keys.sort_by(|(one, _), (other, _)| one.cmp(other));
    let page = Paging::of(request)?.page(keys);
    let mut reply = request.reply();
    let writer = reply.writer();
    writer.value("UserName", &user.name);
    page.write(writer, "AccessKeyMetadata", |writer, (id, key)| {
        writer
            .open("member")
            .value("UserName", &user.name)
            .value("AccessKeyId", id)
            .value("Status", status(key))
            .value("CreateDate", time(key.created))
            .close();
    });
    Ok(reply)
}

/// The keys of an account's root, which the operator makes and takes away. They have no dates.
fn list_of_root(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let identity = service.identity();
    let keys = identity.accounts.root_keys(request.account());
    let keys = keys.map(|keys| std::iter::once(keys.current()).chain(keys.previous()));
    let ids = keys.into_iter().flatten().map(RootKey::access_key_id);
    let ids: BTreeSet<&str> = ids.collect();
    let page = Paging::of(request)?.page(ids.into_iter().map(|id| (id.to_owned(), id)));
    let mut reply = request.reply();
    page.write(reply.writer(), "AccessKeyMetadata", |writer, id| {
        writer
            .open("member")
            .value("AccessKeyId", id)
            .value("Status", "Active")
            .close();
    });
    Ok(reply)
}

/// `GetAccessKeyLastUsed`: whose key it is. When it was used nobody keeps, and `N/A` is what the
/// API has for that.
pub(crate) async fn last_used(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let id = request.required(&ACCESS_KEY_ID)?;
    let key = entries::at::<AccessKey>(request.view(), &entries::access_key_key(id))?;
    let key = key.filter(|(_, key)| key.account == request.account().to_string());
    let (_, key) = key.ok_or_else(|| no_such_key(id))?;
    let (_, user) = lookup::user(request, &key.user)?;
    let mut reply = request.reply();
    reply
        .writer()
        .value("UserName", user.name)
        .open("AccessKeyLastUsed")
        .value("Region", "N/A")
        .value("ServiceName", "N/A")
        .close();
    Ok(reply)
}
