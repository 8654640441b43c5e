//! Tags of roles, managed policies, instance profiles and server certificates: to set, take away
//! and list them.

use aws::query::Reply;

use crate::Service;
use crate::entries::{self, Entry};
use crate::iam::change::put;
use crate::iam::parameters::{
    INSTANCE_PROFILE_NAME, POLICY_ARN, Parameter, ROLE_NAME, SERVER_CERTIFICATE_NAME,
};
use crate::iam::request::IamRequest;
use crate::iam::{IamError, holder, lookup, managed, tags};
use crate::model::{InstanceProfile, ManagedPolicy, Role, ServerCertificate, Tags};

/// Something that has tags.
pub(crate) trait Tagged: Entry {
    /// The parameter that names it.
    const PARAMETER: Parameter;

    /// Its quota of tags, as IAM's texts name it.
    const QUOTA: &'static str;

    /// The one that the request names, if its owner may change it, with the revision that set it.
    fn modifiable(request: &IamRequest<'_>) -> Result<(u64, Self), IamError>;

    /// The tags of the one that the request names.
    fn tags_of(request: &IamRequest<'_>) -> Result<Tags, IamError>;

    /// Its key.
    fn key(&self, request: &IamRequest<'_>) -> String;

    /// Its tags.
    fn tags_mut(&mut self) -> &mut Tags;
}

impl Tagged for Role {
    const PARAMETER: Parameter = ROLE_NAME;
    const QUOTA: &'static str = "TagsPerRole";

    fn modifiable(request: &IamRequest<'_>) -> Result<(u64, Role), IamError> {
        holder::named(request)
    }

    fn tags_of(request: &IamRequest<'_>) -> Result<Tags, IamError> {
        Ok(holder::named::<Role>(request)?.1.tags)
    }

    fn key(&self, request: &IamRequest<'_>) -> String {
        entries::key::<Role>(request.account(), &self.name)
    }

    fn tags_mut(&mut self) -> &mut Tags {
        &mut self.tags
    }
}

impl Tagged for ManagedPolicy {
    const PARAMETER: Parameter = POLICY_ARN;
    const QUOTA: &'static str = "TagsPerPolicy";

    fn modifiable(request: &IamRequest<'_>) -> Result<(u64, ManagedPolicy), IamError> {
        managed::own(request)
    }

    fn tags_of(request: &IamRequest<'_>) -> Result<Tags, IamError> {
        Ok(match managed::named(request)? {
            (_, managed::Managed::Local(_, policy)) => policy.tags,
            (_, managed::Managed::Aws(_)) => Tags::new(),
        })
    }

    fn key(&self, request: &IamRequest<'_>) -> String {
        entries::key::<ManagedPolicy>(request.account(), &self.name)
    }

    fn tags_mut(&mut self) -> &mut Tags {
        &mut self.tags
    }
}

impl Tagged for InstanceProfile {
    const PARAMETER: Parameter = INSTANCE_PROFILE_NAME;
    const QUOTA: &'static str = "TagsPerInstanceProfile";

    fn modifiable(request: &IamRequest<'_>) -> Result<(u64, InstanceProfile), IamError> {
        lookup::instance_profile(request, request.required(&INSTANCE_PROFILE_NAME)?)
    }

    fn tags_of(request: &IamRequest<'_>) -> Result<Tags, IamError> {
        Ok(InstanceProfile::modifiable(request)?.1.tags)
    }

    fn key(&self, request: &IamRequest<'_>) -> String {
        entries::key::<InstanceProfile>(request.account(), &self.name)
    }

    fn tags_mut(&mut self) -> &mut Tags {
        &mut self.tags
    }
}

impl Tagged for ServerCertificate {
    const PARAMETER: Parameter = SERVER_CERTIFICATE_NAME;
    const QUOTA: &'static str = "TagsPerServerCertificate";

    fn modifiable(request: &IamRequest<'_>) -> Result<(u64, ServerCertificate), IamError> {
        lookup::server_certificate(request, request.required(&SERVER_CERTIFICATE_NAME)?)
    }

    fn tags_of(request: &IamRequest<'_>) -> Result<Tags, IamError> {
        Ok(ServerCertificate::modifiable(request)?.1.tags)
    }

    fn key(&self, request: &IamRequest<'_>) -> String {
        entries::key::<ServerCertificate>(request.account(), &self.name)
    }

    fn tags_mut(&mut self) -> &mut Tags {
        &mut self.tags
    }
}

/// `TagRole`, `TagPolicy`, `TagInstanceProfile`, `TagServerCertificate`: sets tags beside those
/// that are there.
pub(crate) async fn tag<T: Tagged>(
    service: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let given = request.required_tags()?;
    change::<T>(service, request, |known| tags::set(known, &given, T::QUOTA)).await
}

/// `UntagRole`, `UntagPolicy`, `UntagInstanceProfile`: keys that aren't there are no fault.
pub(crate) async fn untag<T: Tagged>(
    service: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let keys = request.required_tag_keys()?;
    change::<T>(service, request, |known| {
        tags::remove(known, &keys);
        Ok(())
    })
    .await
}

/// `ListRoleTags`, `ListPolicyTags`, `ListInstanceProfileTags`.
pub(crate) async fn list<T: Tagged>(
    _: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    tags::listed(request, &T::tags_of(request)?)
}

async fn change<T: Tagged>(
    service: &Service,
    request: &IamRequest<'_>,
    change: impl Fn(&mut Tags) -> Result<(), IamError>,
) -> Result<Reply, IamError> {
    let named = request.required(&T::PARAMETER)?;
    let attempt = |request: &IamRequest<'_>| {
        let (revision, mut thing) = T::modifiable(request)?;
        let before = thing.tags_mut().clone();
        change(thing.tags_mut())?;
        if *thing.tags_mut() == before {
            return Ok((Vec::new(), ()));
        }
        let key = thing.key(request);
        Ok((vec![put(key, Some(revision), &thing)], ()))
    };
    service.change_for(request, named, attempt).await?;
    Ok(request.done())
}
