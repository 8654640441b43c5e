//! Server certificates: to upload, read, list, rename and delete them. What is uploaded is held
//! against its key once; the key is kept sealed and is in no answer.
//!
//! IAM is every Region's, and load balancers are their Region's alone: whether a listener uses a
//! certificate is known of this site's Region, and of the others as they last said. What a Region
//! hasn't told yet doesn't keep `DeleteServerCertificate` from deleting it.
//!
//! One that is renamed while a listener uses it has another ARN from then on and the same id (IAM
//! User Guide, "Manage server certificates in IAM"). The listener names the old ARN still, so that
//! is kept beside: it goes on with the certificate, which counts as used, and nothing else gets
//! that ARN as long as that is so.

use aws::query::Reply;
use aws::xml::XmlWriter;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use types::AccountId;

use crate::Service;
use crate::entries;
use crate::iam::error::IamError;
use crate::iam::ids::{self, IdKind};
use crate::iam::paging::Paging;
use crate::iam::parameters::{PATH, PATH_PREFIX, Parameter, SERVER_CERTIFICATE_NAME, pem};
use crate::iam::request::IamRequest;
use crate::iam::{change, limits, lookup, shapes, time};
use crate::model::ServerCertificate;
use crate::sealer::Purpose;
use crate::server_certificate::{self, formerly};

const BODY: Parameter = pem("CertificateBody", 16_384);
const KEY: Parameter = pem("PrivateKey", 16_384);
const CHAIN: Parameter = pem("CertificateChain", 2_097_152);

/// `UploadServerCertificate`.
pub(crate) async fn upload(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let name = request.required(&SERVER_CERTIFICATE_NAME)?;
    let body = request.required(&BODY)?;
    let secret = request.required(&KEY)?;
    let chain = request.optional(&CHAIN)?;
    let expires = server_certificate::check(body, secret, chain)?;
    let id = ids::unique_id(&*service.config.environment, IdKind::ServerCertificate);
    let nonce = service.random();
    let sealer = &service.config.sealer;
    let sealed = sealer.seal(Purpose::ServerCertificate, &id, secret.as_bytes(), &nonce);
    let certificate = ServerCertificate {
        name: name.to_owned(),
        id,
        path: request.optional(&PATH)?.unwrap_or("/").to_owned(),
        created: service.now().0,
        expires,
        // As clients compare them with what they have: without what stands around them in a file.
        body: body.trim().into(),
        chain: chain.map(|chain| chain.trim().into()),
        sealed: STANDARD.encode(sealed),
        former: Vec::new(),
        tags: request.tags()?,
    };
    let key = entries::key::<ServerCertificate>(request.account(), name);
    service
        .change_for(request, &key, |request| {
            if request.view().get(&key).is_some() {
                return Err(exists(name));
            }
            leave_to_listeners(service, request, &certificate)?;
            let most = limits::SERVER_CERTIFICATES_PER_ACCOUNT;
            if lookup::count::<ServerCertificate>(request) >= most {
                return Err(IamError::quota("ServerCertificatesPerAccount", most));
            }
            Ok((vec![change::put(key.clone(), None, &certificate)], ()))
        })
        .await?;
    let mut reply = request.reply();
    let writer = reply.writer();
    metadata(
        writer,
        "ServerCertificateMetadata",
        request.account(),
        &certificate,
    );
    if !certificate.tags.is_empty() {
        shapes::tags(writer, &certificate.tags);
    }
    Ok(reply)
}

/// The load balancer with a listener that uses a certificate by that ARN, as far as is known here.
fn user(service: &Service, arn: &str) -> Option<String> {
    (service.config.certificate_user)(arn)
}

/// Refuses a certificate an ARN by which listeners use another one.
fn leave_to_listeners(
    service: &Service,
    request: &IamRequest<'_>,
    certificate: &ServerCertificate,
) -> Result<(), IamError> {
    let arn = certificate.arn(request.account());
    let other = formerly(request.view(), request.account(), &arn)?;
    let other = other.filter(|other| other.id != certificate.id);
    match other.and_then(|_| user(service, &arn)) {
        Some(_) => Err(exists(&certificate.name)),
        None => Ok(()),
    }
}

fn exists(name: &str) -> IamError {
    let words = format!("The Server Certificate with name {name} already exists.");
    IamError::EntityAlreadyExists(words)
}

fn metadata(
    writer: &mut XmlWriter,
    element: &'static str,
    account: AccountId,
    certificate: &ServerCertificate,
) {
    writer
        .open(element)
        .value("Path", &certificate.path)
        .value("ServerCertificateName", &certificate.name)
        .value("ServerCertificateId", &certificate.id)
        .value("Arn", certificate.arn(account))
        .value("UploadDate", time(certificate.created))
        .value("Expiration", time(certificate.expires))
        .close();
}

/// `GetServerCertificate`.
pub(crate) async fn get(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let name = request.required(&SERVER_CERTIFICATE_NAME)?;
    let (_, certificate) = lookup::server_certificate(request, name)?;
    let mut reply = request.reply();
    let writer = reply.writer();
    writer.open("ServerCertificate");
    metadata(
        writer,
        "ServerCertificateMetadata",
        request.account(),
        &certificate,
    );
    writer
        .value("CertificateBody", &certificate.body)
        .optional("CertificateChain", certificate.chain.as_ref());
    if !certificate.tags.is_empty() {
        shapes::tags(writer, &certificate.tags);
    }
    writer.close();
    Ok(reply)
}

/// `ListServerCertificates`: in the order of their names, those at a path or below.
pub(crate) async fn list(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let prefix = request.optional(&PATH_PREFIX)?.unwrap_or("/");
    let below = |certificate: &ServerCertificate| certificate.path.starts_with(prefix);
    let page = Paging::of(request)?.entries::<ServerCertificate>(request, below)?;
    let account = request.account();
    let mut reply = request.reply();
    let list = "ServerCertificateMetadataList";
    page.write(reply.writer(), list, |writer, certificate| {
        metadata(writer, "member", account, certificate);
    });
    Ok(reply)
}

/// `UpdateServerCertificate`: another name, another path, or both.
pub(crate) async fn update(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let name = request.required(&SERVER_CERTIFICATE_NAME)?;
    let new_name = request.optional(&SERVER_CERTIFICATE_NAME.named("NewServerCertificateName"))?;
    let new_path = request.optional(&PATH.named("NewPath"))?;
    let account = request.account();
    let key = entries::key::<ServerCertificate>(account, name);
    let new_key = entries::key::<ServerCertificate>(account, new_name.unwrap_or(name));
    service
        .change_for(request, &key, |request| {
            let (revision, mut certificate) = lookup::server_certificate(request, name)?;
            if new_key != key && request.view().get(&new_key).is_some() {
                return Err(exists(new_name.unwrap_or(name)));
            }
            let before = certificate.arn(account);
            if let Some(name) = new_name {
                certificate.name = name.to_owned();
            }
            if let Some(path) = new_path {
                certificate.path = path.to_owned();
            }
            leave_to_listeners(service, request, &certificate)?;
            let after = certificate.arn(account);
            let mut former = std::mem::take(&mut certificate.former);
            former.push(before);
            former.retain(|arn| *arn != after && user(service, arn).is_some());
            let most = limits::FORMER_NAMES_PER_SERVER_CERTIFICATE;
            if former.len() > most {
                let quota = "FormerNamesPerServerCertificate";
                return Err(IamError::quota(quota, most));
            }
            certificate.former = former;
            let edits = match new_key == key {
                true => vec![change::put(key.clone(), Some(revision), &certificate)],
                false => vec![
                    change::remove(key.clone(), revision),
                    change::put(new_key.clone(), None, &certificate),
                ],
            };
            Ok((edits, ()))
        })
        .await?;
    Ok(request.done())
}

/// `DeleteServerCertificate`.
pub(crate) async fn delete(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let name = request.required(&SERVER_CERTIFICATE_NAME)?;
    let key = entries::key::<ServerCertificate>(request.account(), name);
    service
        .change_for(request, &key, |request| {
            let (revision, certificate) = lookup::server_certificate(request, name)?;
            let user = certificate
                .arns(request.account())
                .find_map(|arn| user(service, &arn));
            if let Some(user) = user {
                return Err(IamError::CertificateInUse(certificate.id, user));
            }
            Ok((vec![change::remove(key.clone(), revision)], ()))
        })
        .await?;
    Ok(request.done())
}
