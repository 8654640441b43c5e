//! Every operation of IAM's published model (API version 2010-05-08), built or not, in the order
//! of their names: what each is done to, and what carries it out.
//!
//! To build one more: its own file under `operations/`, its row here, its test.

use std::pin::Pin;

use aws::Operation;
use aws::access::Access;
use aws::query::Reply;

use super::error::IamError;
use super::operations::{access_keys, account, credentials, groups, memberships, user_tags, users};
use super::questions::{self, Resources};
use super::request::IamRequest;
use crate::Service;

/// What an operation is on its way to.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<Reply, IamError>> + Send + 'a>>;

/// What carries an operation out.
pub(crate) type Handler = for<'a> fn(&'a Service, &'a IamRequest<'a>) -> Answer<'a>;

/// One row of the table.
pub(crate) type Row = Operation<Handler, Resources>;

/// A row: the operation's name, the function of `questions` that finds what it is done to, and the
/// function of `operations` that carries it out, if it is built.
macro_rules! row {
    ($name:literal, $resources:ident) => {
        row!(@ $name, $resources, None)
    };
    ($name:literal, $resources:ident, $module:ident::$function:ident) => {
        row!(@ $name, $resources, Some(|service, request| {
            Box::pin($module::$function(service, request))
        }))
    };
    (@ $name:literal, $resources:ident, $handler:expr) => {
        Operation {
            name: $name,
            access: Access::Judged {
                action: concat!("iam:", $name),
                resources: questions::$resources,
            },
            handler: $handler,
        }
    };
}

pub(crate) const OPERATIONS: &[Row] = &[
    row!("AcceptDelegationRequest", everything),
    row!("AddClientIDToOpenIDConnectProvider", everything),
    row!("AddRoleToInstanceProfile", role_into_profile),
    row!("AddUserToGroup", group, memberships::add),
    row!("AssociateDelegationRequest", everything),
    row!("AttachGroupPolicy", group),
    row!("AttachRolePolicy", role),
    row!("AttachUserPolicy", user),
    row!("ChangePassword", everything),
    row!("CreateAccessKey", user, access_keys::create),
    row!("CreateAccountAlias", everything, account::create_alias),
    row!("CreateDelegationRequest", everything),
    row!("CreateGroup", new_group, groups::create),
    row!("CreateInstanceProfile", new_instance_profile),
    row!("CreateLoginProfile", user),
    row!("CreateOpenIDConnectProvider", everything),
    row!("CreatePolicy", new_policy),
    row!("CreatePolicyVersion", policy),
    row!("CreateRole", new_role),
    row!("CreateSAMLProvider", everything),
    row!("CreateServiceLinkedRole", everything),
    row!("CreateServiceSpecificCredential", user),
    row!("CreateUser", new_user, users::create),
    row!("CreateVirtualMFADevice", everything),
    row!("DeactivateMFADevice", user),
    row!("DeleteAccessKey", user, access_keys::delete),
    row!("DeleteAccountAlias", everything, account::delete_alias),
    row!(
        "DeleteAccountPasswordPolicy",
        everything,
        credentials::password_policy
    ),
    row!("DeleteGroup", group, groups::delete),
    row!("DeleteGroupPolicy", group),
    row!("DeleteInstanceProfile", instance_profile),
    row!("DeleteLoginProfile", user, credentials::login_profile),
    row!("DeleteOpenIDConnectProvider", everything),
    row!("DeletePolicy", policy),
    row!("DeletePolicyVersion", policy),
    row!("DeleteRole", role),
    row!("DeleteRolePermissionsBoundary", role),
    row!("DeleteRolePolicy", role),
    row!("DeleteSAMLProvider", everything),
    row!("DeleteSSHPublicKey", user),
    row!("DeleteServerCertificate", everything),
    row!("DeleteServiceLinkedRole", role),
    row!("DeleteServiceSpecificCredential", user),
    row!("DeleteSigningCertificate", user),
    row!("DeleteUser", user, users::delete),
    row!("DeleteUserPermissionsBoundary", user),
    row!("DeleteUserPolicy", user),
    row!("DeleteVirtualMFADevice", everything),
    row!("DetachGroupPolicy", group),
    row!("DetachRolePolicy", role),
    row!("DetachUserPolicy", user),
    row!("DisableOrganizationsRootCredentialsManagement", everything),
    row!("DisableOrganizationsRootSessions", everything),
    row!("DisableOutboundWebIdentityFederation", everything),
    row!("EnableMFADevice", user),
    row!("EnableOrganizationsRootCredentialsManagement", everything),
    row!("EnableOrganizationsRootSessions", everything),
    row!("EnableOutboundWebIdentityFederation", everything),
    row!("GenerateCredentialReport", everything),
    row!("GenerateOrganizationsAccessReport", everything),
    row!("GenerateServiceLastAccessedDetails", by_arn),
    row!("GetAccessKeyLastUsed", user_of_key, access_keys::last_used),
    row!("GetAccountAuthorizationDetails", everything),
    row!(
        "GetAccountPasswordPolicy",
        everything,
        credentials::password_policy
    ),
    row!("GetAccountSummary", everything, account::summary),
    row!("GetContextKeysForCustomPolicy", everything),
    row!("GetContextKeysForPrincipalPolicy", policy_source),
    row!("GetCredentialReport", everything),
    row!("GetDelegationRequest", everything),
    row!("GetGroup", group, groups::get),
    row!("GetGroupPolicy", group),
    row!("GetHumanReadableSummary", everything),
    row!("GetInstanceProfile", instance_profile),
    row!("GetLoginProfile", user, credentials::login_profile),
    row!("GetMFADevice", user),
    row!("GetOpenIDConnectProvider", everything),
    row!("GetOrganizationsAccessReport", everything),
    row!("GetOutboundWebIdentityFederationInfo", everything),
    row!("GetPolicy", policy),
    row!("GetPolicyVersion", policy),
    row!("GetRole", role),
    row!("GetRolePolicy", role),
    row!("GetSAMLProvider", everything),
    row!("GetSSHPublicKey", user),
    row!("GetServerCertificate", everything),
    row!("GetServiceLastAccessedDetails", everything),
    row!("GetServiceLastAccessedDetailsWithEntities", everything),
    row!("GetServiceLinkedRoleDeletionStatus", everything),
    row!("GetUser", user, users::get),
    row!("GetUserPolicy", user),
    row!("ListAccessKeys", user, access_keys::list),
    row!("ListAccountAliases", everything, account::list_aliases),
    row!("ListAttachedGroupPolicies", group),
    row!("ListAttachedRolePolicies", role),
    row!("ListAttachedUserPolicies", user),
    row!("ListDelegationRequests", everything),
    row!("ListEntitiesForPolicy", policy),
    row!("ListGroupPolicies", group),
    row!("ListGroups", groups, groups::list),
    row!("ListGroupsForUser", user, memberships::list),
    row!("ListInstanceProfileTags", instance_profile),
    row!("ListInstanceProfiles", instance_profiles),
    row!("ListInstanceProfilesForRole", role),
    row!("ListMFADeviceTags", everything),
    row!("ListMFADevices", user, credentials::mfa_devices),
    row!("ListOpenIDConnectProviderTags", everything),
    row!(
        "ListOpenIDConnectProviders",
        everything,
        credentials::openid_connect_providers
    ),
    row!("ListOrganizationsFeatures", everything),
    row!("ListPolicies", everything),
    row!("ListPoliciesGrantingServiceAccess", by_arn),
    row!("ListPolicyTags", policy),
    row!("ListPolicyVersions", policy),
    row!("ListRolePolicies", role),
    row!("ListRoleTags", role),
    row!("ListRoles", roles),
    row!("ListSAMLProviderTags", everything),
    row!("ListSAMLProviders", everything, credentials::saml_providers),
    row!("ListSSHPublicKeys", user, credentials::ssh_public_keys),
    row!("ListServerCertificateTags", everything),
    row!(
        "ListServerCertificates",
        everything,
        credentials::server_certificates
    ),
    row!(
        "ListServiceSpecificCredentials",
        user,
        credentials::service_specific_credentials
    ),
    row!(
        "ListSigningCertificates",
        user,
        credentials::signing_certificates
    ),
    row!("ListUserPolicies", user),
    row!("ListUserTags", user, user_tags::list),
    row!("ListUsers", users, users::list),
    row!(
        "ListVirtualMFADevices",
        everything,
        credentials::virtual_mfa_devices
    ),
    row!("PutGroupPolicy", group),
    row!("PutRolePermissionsBoundary", role),
    row!("PutRolePolicy", role),
    row!("PutUserPermissionsBoundary", user),
    row!("PutUserPolicy", user),
    row!("RejectDelegationRequest", everything),
    row!("RemoveClientIDFromOpenIDConnectProvider", everything),
    row!("RemoveRoleFromInstanceProfile", instance_profile),
    row!("RemoveUserFromGroup", group, memberships::remove),
    row!("ResetServiceSpecificCredential", user),
    row!("ResyncMFADevice", user),
    row!("SendDelegationToken", everything),
    row!("SetDefaultPolicyVersion", policy),
    row!("SetSecurityTokenServicePreferences", everything),
    row!("SimulateCustomPolicy", everything),
    row!("SimulatePrincipalPolicy", policy_source),
    row!("TagInstanceProfile", instance_profile),
    row!("TagMFADevice", everything),
    row!("TagOpenIDConnectProvider", everything),
    row!("TagPolicy", policy),
    row!("TagRole", role),
    row!("TagSAMLProvider", everything),
    row!("TagServerCertificate", everything),
    row!("TagUser", user, user_tags::tag),
    row!("UntagInstanceProfile", instance_profile),
    row!("UntagMFADevice", everything),
    row!("UntagOpenIDConnectProvider", everything),
    row!("UntagPolicy", policy),
    row!("UntagRole", role),
    row!("UntagSAMLProvider", everything),
    row!("UntagServerCertificate", everything),
    row!("UntagUser", user, user_tags::untag),
    row!("UpdateAccessKey", user, access_keys::update),
    row!("UpdateAccountPasswordPolicy", everything),
    row!("UpdateAssumeRolePolicy", role),
    row!("UpdateDelegationRequest", everything),
    row!("UpdateGroup", group_and_new_name, groups::update),
    row!("UpdateLoginProfile", user),
    row!("UpdateOpenIDConnectProviderThumbprint", everything),
    row!("UpdateRole", role),
    row!("UpdateRoleDescription", role),
    row!("UpdateSAMLProvider", everything),
    row!("UpdateSSHPublicKey", user),
    row!("UpdateServerCertificate", everything),
    row!("UpdateServiceSpecificCredential", user),
    row!("UpdateSigningCertificate", user),
    row!("UpdateUser", user_and_new_name, users::update),
    row!("UploadSSHPublicKey", user),
    row!("UploadServerCertificate", everything),
    row!("UploadSigningCertificate", user),
];
