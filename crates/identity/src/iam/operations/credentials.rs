//! Credentials that IAM has beside access keys: passwords, devices, certificates, keys for other
//! services, identity providers. None of them can be made here, so there are none, and that is
//! what these operations say.

use aws::query::Reply;

use crate::Service;
use crate::iam::paging::{Page, Paging};
use crate::iam::parameters::{USER_NAME, one_of};
use crate::iam::request::IamRequest;
use crate::iam::{IamError, lookup};

/// The user that the request is about is there, or the account's root calls about itself.
fn check_user(request: &IamRequest<'_>) -> Result<(), IamError> {
    if request.optional(&USER_NAME)?.is_none() && request.is_root() {
        return Ok(());
    }
    lookup::user(request, request.user_or_caller()?).map(drop)
}

/// An empty list, as the element of that name.
fn nothing(request: &IamRequest<'_>, list: &'static str) -> Result<Reply, IamError> {
    Paging::of(request)?;
    let page: Page<()> = Page {
        items: Vec::new(),
        next: None,
    };
    let mut reply = request.reply();
    page.write(reply.writer(), list, |_, ()| {});
    Ok(reply)
}

/// `ListMFADevices`.
pub(crate) async fn mfa_devices(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    check_user(request)?;
    nothing(request, "MFADevices")
}

/// `ListVirtualMFADevices`.
pub(crate) async fn virtual_mfa_devices(
    _: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    request.optional(&one_of(
        "AssignmentStatus",
        &["Assigned", "Unassigned", "Any"],
    ))?;
    nothing(request, "VirtualMFADevices")
}

/// `ListSSHPublicKeys`.
pub(crate) async fn ssh_public_keys(
    _: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    check_user(request)?;
    nothing(request, "SSHPublicKeys")
}

/// `ListServiceSpecificCredentials`: of a user, or of all.
pub(crate) async fn service_specific_credentials(
    _: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    if request.flag("AllUsers")? != Some(true) {
        check_user(request)?;
    }
    nothing(request, "ServiceSpecificCredentials")
}

/// `ListSigningCertificates`.
pub(crate) async fn signing_certificates(
    _: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    check_user(request)?;
    nothing(request, "Certificates")
}

/// `ListSAMLProviders`.
pub(crate) async fn saml_providers(
    _: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let mut reply = request.reply();
    reply.writer().open("SAMLProviderList").close();
    Ok(reply)
}

/// `ListOpenIDConnectProviders`.
pub(crate) async fn openid_connect_providers(
    _: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let mut reply = request.reply();
    reply.writer().open("OpenIDConnectProviderList").close();
    Ok(reply)
}

/// `GetLoginProfile` and `DeleteLoginProfile`: nobody has a password.
pub(crate) async fn login_profile(
    _: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let name = request.user_or_caller()?;
    let (_, user) = lookup::user(request, name)?;
    Err(IamError::NoSuchEntity(format!(
        "Login Profile for User {} cannot be found.",
        user.name
    )))
}

/// `GetAccountPasswordPolicy` and `DeleteAccountPasswordPolicy`: there are no passwords to rule.
pub(crate) async fn password_policy(
    _: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    Err(IamError::NoSuchEntity(format!(
        "The Password Policy with domain name {} cannot be found.",
        request.account()
    )))
}
