//! Access control lists as requests give them (canned, in headers, in a document) and as answers
//! show them, and where they may be set (S3 User Guide, "Access control list overview"). What they
//! grant is judged in `grants`.

use http::HeaderMap;
use objects::{
    Acl, Bucket, Grant, Grantee, ObjectOwnership, Permission, canonical_account, canonical_id,
};
use s3s::dto;
use types::AccountId;

use crate::error::Fault;

/// Grants in a list at most (S3 User Guide, "Access control list overview").
const MOST_GRANTS: usize = 100;

/// The groups, by the last of their URIs.
const GROUPS: &str = "http://acs.amazonaws.com/groups/";

/// What each of the headers grants.
const HEADERS: [(&str, Permission); 5] = [
    ("x-amz-grant-full-control", Permission::FullControl),
    ("x-amz-grant-read", Permission::Read),
    ("x-amz-grant-read-acp", Permission::ReadAcp),
    ("x-amz-grant-write", Permission::Write),
    ("x-amz-grant-write-acp", Permission::WriteAcp),
];

/// Whose list it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Of {
    /// A bucket's.
    Bucket,
    /// An object's, in a bucket of that owner.
    Object(AccountId),
}

/// The list that a request's headers ask for; none: they ask for none.
///
/// # Errors
///
/// `InvalidRequest`, `InvalidArgument`, and `UnresolvableGrantByEmailAddress`: nobody is known by
/// an address here.
pub(crate) fn requested(
    headers: &HeaderMap,
    of: Of,
    owner: AccountId,
) -> Result<Option<Acl>, Fault> {
    let text = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or("\u{0}"))
    };
    let mut grants = Vec::new();
    let mut given = false;
    for (name, permission) in HEADERS {
        if let Some(value) = text(name) {
            given = true;
            for grantee in grantees(name, value)? {
                grants.push(Grant {
                    grantee,
                    permission,
                });
            }
        }
    }
    match text("x-amz-acl") {
        Some(_) if given => Err(Fault::bad(
            "InvalidRequest",
            "Specifying both Canned ACLs and Header Grants is not allowed",
        )),
        Some(name) => canned(name, of, owner).map(Some),
        None if given => listed(owner, grants).map(Some),
        None => Ok(None),
    }
}

/// The list that a request asks for, by its headers or by its document.
///
/// # Errors
///
/// As [`requested`] and [`of_document`]; and where it asks by both, or by neither.
pub(crate) fn of_request(
    headers: &HeaderMap,
    document: Option<&dto::AccessControlPolicy>,
    of: Of,
    owner: AccountId,
) -> Result<Acl, Fault> {
    match (requested(headers, of, owner)?, document) {
        (Some(list), None) => Ok(list),
        (None, Some(document)) => of_document(document, owner),
        (Some(_), Some(_)) => {
            let text = "This request does not support content";
            Err(Fault::bad("UnexpectedContent", text))
        }
        (None, None) => {
            let text = "Your request was missing a required header";
            let fault = Fault::bad("MissingSecurityHeader", text);
            Err(fault.member("MissingHeaderName", "x-amz-acl"))
        }
    }
}

/// The list that a document has, for a thing of that owner.
///
/// # Errors
///
/// `MalformedACLError` and its kin; `AccessDenied` where it names another owner.
pub(crate) fn of_document(
    document: &dto::AccessControlPolicy,
    owner: AccountId,
) -> Result<Acl, Fault> {
    let named = document
        .owner
        .as_ref()
        .and_then(|owner| owner.id.as_deref());
    let Some(named) = named else {
        return Err(malformed());
    };
    if canonical_account(named) != Some(owner) {
        return Err(Fault::denied(crate::error::ACCESS_DENIED));
    }
    let grants = document.grants.iter().flatten();
    let grants = grants.map(|grant| {
        let grantee = grant.grantee.as_ref().ok_or_else(malformed)?;
        let permission = grant.permission.as_ref().ok_or_else(malformed)?;
        Ok(Grant {
            grantee: grantee_of_document(grantee)?,
            permission: parse_permission(permission.as_str()).ok_or_else(malformed)?,
        })
    });
    listed(owner, grants.collect::<Result<_, Fault>>()?)
}

/// The list as answers show it: without one of its own a thing has `private`.
pub(crate) fn shown(acl: Option<&Acl>, owner: AccountId) -> (dto::Owner, Vec<dto::Grant>) {
    let private = private(acl.map_or(owner, |acl| acl.owner));
    let acl = acl.unwrap_or(&private);
    let grants = acl.grants.iter().map(|grant| dto::Grant {
        grantee: Some(shown_grantee(&grant.grantee)),
        permission: Some(dto::Permission::from_static(permission_name(
            grant.permission,
        ))),
    });
    (shown_owner(acl.owner), grants.collect())
}

/// An owner as answers show it.
pub(crate) fn shown_owner(owner: AccountId) -> dto::Owner {
    dto::Owner {
        display_name: None,
        id: Some(canonical_id(owner)),
    }
}

/// May that list be set on a bucket, or on an object in it, as `action` by that caller? Where lists
/// are disabled an object takes one that says what holds anyway: that the bucket's owner may all.
///
/// # Errors
///
/// `AccessControlListNotSupported`; `AccessDenied` of a public one where the bucket blocks those.
pub(crate) fn check(
    bucket: &Bucket,
    acl: &Acl,
    of: Of,
    action: &str,
    caller: &str,
) -> Result<(), Fault> {
    if bucket.settings.ownership == Some(ObjectOwnership::BucketOwnerEnforced) {
        let holds = match of {
            Of::Bucket => false,
            Of::Object(owner) => gives_all_to(acl, owner),
        };
        if !holds {
            return Err(disabled());
        }
    }
    let blocks = bucket.settings.public_access_block.unwrap_or_default();
    match blocks.block_public_acls && is_public(acl) {
        true => Err(Fault::denied(format!(
            "User: {caller} is not authorized to perform: {action} on resource: \"{}\" because \
             public access control lists (ACLs) are prevented by the BlockPublicAcls setting in \
             S3 Block Public Access.",
            bucket.name.arn()
        ))),
        false => Ok(()),
    }
}

/// The bucket's ownership controls disable lists.
pub(crate) fn disabled() -> Fault {
    Fault::bad(
        "AccessControlListNotSupported",
        "The bucket does not allow ACLs",
    )
}

/// Does it grant something to everyone, or to everyone with an account?
pub(crate) fn is_public(acl: &Acl) -> bool {
    let public = [Grantee::AllUsers, Grantee::AuthenticatedUsers];
    acl.grants
        .iter()
        .any(|grant| public.contains(&grant.grantee))
}

/// Is it one that gives the bucket's owner all, and others but its own owner nothing?
pub(crate) fn gives_all_to(acl: &Acl, owner: AccountId) -> bool {
    let all = |grant: &Grant| {
        grant.permission == Permission::FullControl && grant.grantee == Grantee::Account(owner)
    };
    let own = Grantee::Account(acl.owner);
    acl.grants.iter().any(all)
        && acl
            .grants
            .iter()
            .all(|grant| all(grant) || grant.grantee == own)
}

/// A canned list's name as it stands for one.
///
/// # Errors
///
/// `InvalidArgument`; `NotImplemented` of the one that grants to a service which isn't here.
fn canned(name: &str, of: Of, owner: AccountId) -> Result<Acl, Fault> {
    let mut acl = private(owner);
    let mut grant = |grantee: Grantee, permission| {
        acl.grants.push(Grant {
            grantee,
            permission,
        })
    };
    match (name, of) {
        ("private", _) | ("bucket-owner-read" | "bucket-owner-full-control", Of::Bucket) => {}
        ("public-read", _) => grant(Grantee::AllUsers, Permission::Read),
        ("public-read-write", _) => {
            grant(Grantee::AllUsers, Permission::Read);
            grant(Grantee::AllUsers, Permission::Write);
        }
        ("authenticated-read", _) => grant(Grantee::AuthenticatedUsers, Permission::Read),
        ("log-delivery-write", Of::Bucket) => {
            grant(Grantee::LogDelivery, Permission::Write);
            grant(Grantee::LogDelivery, Permission::ReadAcp);
        }
        // The bucket's owner that is the object's, too, has all already.
        ("bucket-owner-read", Of::Object(bucket)) if bucket != owner => {
            grant(Grantee::Account(bucket), Permission::Read);
        }
        ("bucket-owner-full-control", Of::Object(bucket)) if bucket != owner => {
            grant(Grantee::Account(bucket), Permission::FullControl);
        }
        ("bucket-owner-read" | "bucket-owner-full-control", Of::Object(_)) => {}
        ("aws-exec-read", _) => {
            return Err(Fault::not_built("The canned ACL 'aws-exec-read'"));
        }
        _ => return Err(Fault::argument("x-amz-acl", name, "")),
    }
    Ok(acl)
}

fn private(owner: AccountId) -> Acl {
    Acl {
        owner,
        grants: vec![Grant {
            grantee: Grantee::Account(owner),
            permission: Permission::FullControl,
        }],
    }
}

fn listed(owner: AccountId, grants: Vec<Grant>) -> Result<Acl, Fault> {
    match grants.len() > MOST_GRANTS {
        true => Err(Fault::bad(
            "InvalidRequest",
            "The number of grants exceeds the limit of 100.",
        )),
        false => Ok(Acl { owner, grants }),
    }
}

/// The grantees of a header: `id="…", uri="…"`.
fn grantees(header: &'static str, value: &str) -> Result<Vec<Grantee>, Fault> {
    let unreadable = || Fault::argument(header, value, "Argument format not recognized");
    let parts = value
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let grantees = parts.map(|part| {
        let (kind, name) = part.split_once('=').ok_or_else(unreadable)?;
        let name = name.trim().trim_matches('"');
        match kind.trim() {
            "id" => account(name),
            "uri" => group(name),
            "emailAddress" => Err(unresolvable()),
            _ => Err(unreadable()),
        }
    });
    grantees.collect()
}

fn grantee_of_document(grantee: &dto::Grantee) -> Result<Grantee, Fault> {
    match grantee.type_.as_str() {
        "CanonicalUser" => account(grantee.id.as_deref().ok_or_else(malformed)?),
        "Group" => group(grantee.uri.as_deref().ok_or_else(malformed)?),
        "AmazonCustomerByEmail" => Err(unresolvable()),
        _ => Err(malformed()),
    }
}

fn account(id: &str) -> Result<Grantee, Fault> {
    match canonical_account(id) {
        Some(account) => Ok(Grantee::Account(account)),
        None => Err(Fault::argument("CanonicalUser/ID", id, "Invalid id")),
    }
}

fn group(uri: &str) -> Result<Grantee, Fault> {
    match uri.strip_prefix(GROUPS) {
        Some("global/AllUsers") => Ok(Grantee::AllUsers),
        Some("global/AuthenticatedUsers") => Ok(Grantee::AuthenticatedUsers),
        Some("s3/LogDelivery") => Ok(Grantee::LogDelivery),
        _ => Err(Fault::argument("uri", uri, "Invalid group uri")),
    }
}

fn shown_grantee(grantee: &Grantee) -> dto::Grantee {
    let (kind, id, group) = match grantee {
        Grantee::Account(account) => ("CanonicalUser", Some(canonical_id(*account)), None),
        Grantee::AllUsers => ("Group", None, Some("global/AllUsers")),
        Grantee::AuthenticatedUsers => ("Group", None, Some("global/AuthenticatedUsers")),
        Grantee::LogDelivery => ("Group", None, Some("s3/LogDelivery")),
    };
    dto::Grantee {
        display_name: None,
        email_address: None,
        id,
        type_: dto::Type::from_static(kind),
        uri: group.map(|group| format!("{GROUPS}{group}")),
    }
}

fn parse_permission(name: &str) -> Option<Permission> {
    let all = [
        Permission::FullControl,
        Permission::Write,
        Permission::WriteAcp,
        Permission::Read,
        Permission::ReadAcp,
    ];
    all.into_iter().find(|one| permission_name(*one) == name)
}

fn permission_name(permission: Permission) -> &'static str {
    match permission {
        Permission::FullControl => "FULL_CONTROL",
        Permission::Write => "WRITE",
        Permission::WriteAcp => "WRITE_ACP",
        Permission::Read => "READ",
        Permission::ReadAcp => "READ_ACP",
    }
}

fn malformed() -> Fault {
    Fault::bad(
        "MalformedACLError",
        "The XML you provided was not well-formed or did not validate against our published schema",
    )
}

fn unresolvable() -> Fault {
    Fault::bad(
        "UnresolvableGrantByEmailAddress",
        "The e-mail address you provided does not match any account on record.",
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use objects::{BucketEntry, BucketId, BucketSettings, PublicAccessBlock};
    use types::Timestamp;

    use super::*;

    fn other() -> AccountId {
        "444455556666".parse().unwrap()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, value.parse().unwrap())
        });
        pairs.collect()
    }

    fn asked(pairs: &[(&'static str, &str)], of: Of) -> Result<Vec<String>, String> {
        let acl = requested(&headers(pairs), of, AccountId::LAB);
        let acl = acl.map_err(|fault| fault.code.into_owned())?;
        let grants = acl.map(|acl| acl.grants).unwrap_or_default();
        let shown = grants.iter().map(|grant| {
            let permission = permission_name(grant.permission);
            format!("{:?} {permission}", grant.grantee)
        });
        Ok(shown.collect())
    }

    #[test]
    fn headers_ask_for_canned_lists_or_for_grants() {
        let own = "Account(111122223333) FULL_CONTROL".to_owned();
        assert_eq!(asked(&[], Of::Bucket), Ok(vec![]));
        let canned = |name, of| asked(&[("x-amz-acl", name)], of);
        assert_eq!(canned("private", Of::Bucket), Ok(vec![own.clone()]));
        assert_eq!(
            canned("public-read-write", Of::Bucket),
            Ok(vec![
                own.clone(),
                "AllUsers READ".to_owned(),
                "AllUsers WRITE".to_owned()
            ])
        );
        let theirs = "Account(444455556666) FULL_CONTROL".to_owned();
        assert_eq!(
            canned("bucket-owner-full-control", Of::Object(other())),
            Ok(vec![own.clone(), theirs])
        );
        assert_eq!(
            canned("bucket-owner-full-control", Of::Object(AccountId::LAB)),
            Ok(vec![own])
        );
        let refused = |name, of| canned(name, of).unwrap_err();
        assert_eq!(refused("open", Of::Bucket), "InvalidArgument");
        assert_eq!(
            refused("log-delivery-write", Of::Object(other())),
            "InvalidArgument"
        );
        assert_eq!(refused("aws-exec-read", Of::Bucket), "NotImplemented");

        let id = canonical_id(other());
        let value = format!("id=\"{id}\", uri=\"{GROUPS}global/AllUsers\"");
        assert_eq!(
            asked(&[("x-amz-grant-read", &value)], Of::Bucket),
            Ok(vec![
                "Account(444455556666) READ".to_owned(),
                "AllUsers READ".to_owned()
            ])
        );
        for (value, code) in [
            ("id=\"1234\"", "InvalidArgument"),
            ("uri=\"http://example.com\"", "InvalidArgument"),
            ("nobody", "InvalidArgument"),
            ("name=\"x\"", "InvalidArgument"),
            (
                "emailAddress=\"a@example.com\"",
                "UnresolvableGrantByEmailAddress",
            ),
        ] {
            let refused = asked(&[("x-amz-grant-write-acp", value)], Of::Bucket);
            assert_eq!(refused, Err(code.to_owned()), "{value}");
        }
        let both = [
            ("x-amz-acl", "private"),
            ("x-amz-grant-read", value.as_str()),
        ];
        assert_eq!(asked(&both, Of::Bucket), Err("InvalidRequest".to_owned()));
    }

    #[test]
    fn a_document_is_read_as_it_was_shown_and_changes_no_owner() {
        let mut acl = private(AccountId::LAB);
        acl.grants.push(Grant {
            grantee: Grantee::AuthenticatedUsers,
            permission: Permission::ReadAcp,
        });
        let (owner, grants) = shown(Some(&acl), other());
        let mut document = dto::AccessControlPolicy {
            grants: Some(grants),
            owner: Some(owner),
        };
        assert_eq!(of_document(&document, AccountId::LAB).unwrap(), acl);
        let refused = of_document(&document, other()).unwrap_err();
        assert_eq!(refused.code, "AccessDenied");
        document.owner = None;
        let refused = of_document(&document, AccountId::LAB).unwrap_err();
        assert_eq!(refused.code, "MalformedACLError");
        let (owner, grants) = shown(None, AccountId::LAB);
        assert_eq!(owner.id, Some(canonical_id(AccountId::LAB)));
        assert_eq!(grants.len(), 1);
    }

    #[test]
    fn lists_are_refused_where_they_are_disabled_and_public_ones_where_they_are_blocked() {
        let mut settings = BucketSettings::new(false);
        let bucket = |settings: &BucketSettings| Bucket {
            name: "orders".parse().unwrap(),
            entry: BucketEntry {
                id: BucketId(1),
                owner: AccountId::LAB,
                region: "us-east-1".parse().unwrap(),
                created: Timestamp(0),
                object_lock: false,
            },
            settings: Arc::new(settings.clone()),
        };
        let list = |name, of, owner| canned(name, of, owner).unwrap();
        let code = |settings: &BucketSettings, acl: &Acl, of| {
            let checked = check(&bucket(settings), acl, of, "s3:PutObjectAcl", "somebody");
            checked.map_err(|fault| fault.code.into_owned())
        };
        let object = Of::Object(AccountId::LAB);
        let full = list("bucket-owner-full-control", object, other());
        assert_eq!(code(&settings, &full, object), Ok(()));
        let refused = Err("AccessControlListNotSupported".to_owned());
        let public = list("public-read", object, AccountId::LAB);
        assert_eq!(code(&settings, &public, object), refused);
        assert_eq!(code(&settings, &full, Of::Bucket), refused);
        settings.ownership = Some(ObjectOwnership::ObjectWriter);
        assert_eq!(
            code(&settings, &public, object),
            Err("AccessDenied".to_owned())
        );
        settings.public_access_block = Some(PublicAccessBlock::default());
        assert_eq!(code(&settings, &public, object), Ok(()));
    }
}
