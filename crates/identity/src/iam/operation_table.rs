//! Every operation of IAM's published model (API version 2010-05-08), built or not, in the order
//! of their names: what each is done to, and what carries it out.
//!
//! To build one more: its own file under `operations/`, its row here, its test.

use std::pin::Pin;

use aws::Operation;
use aws::access::Access;
use aws::query::Reply;

use super::error::IamError;
use super::operations::{
    access_keys, account, attachments, authorization_details, credentials, groups, inline_policies,
    instance_profiles, memberships, policies, policy_entities, policy_versions, resource_tags,
    role_changes, roles, server_certificates, service_linked_roles, simulate, user_tags, users,
};
use super::questions::{self, Gives, Resources};
use super::request::IamRequest;
use crate::Service;
use crate::model::{Group, InstanceProfile, ManagedPolicy, Role, ServerCertificate, User};

/// What an operation is on its way to.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<Reply, IamError>> + Send + 'a>>;

/// What carries an operation out.
pub(crate) type Handler = for<'a> fn(&'a Service, &'a IamRequest<'a>) -> Answer<'a>;

/// One row of the table.
pub(crate) type Row = Operation<Handler, Resources>;

/// A row: the operation's name; the function of `questions` that finds what it is done to, and
/// after `+` the condition keys that its own parameters give; and the function of `operations`
/// that carries it out, if it is built.
macro_rules! row {
    ($name:literal, $find:ident $(+ $gives:ident)*) => {
        row!(@ $name, $find, [$($gives),*], None)
    };
    ($name:literal, $find:ident $(+ $gives:ident)*, $module:ident::$function:ident) => {
        row!(@ $name, $find, [$($gives),*], Some(|service, request| {
            Box::pin($module::$function(service, request))
        }))
    };
    (
        $name:literal,
        $find:ident $(+ $gives:ident)*,
        $module:ident::$function:ident::<$kind:ident>
    ) => {
        row!(@ $name, $find, [$($gives),*], Some(|service, request| {
            Box::pin($module::$function::<$kind>(service, request))
        }))
    };
    (@ $name:literal, $find:ident, [$($gives:ident),*], $handler:expr) => {
        Operation {
            name: $name,
            access: Access::Judged {
                action: concat!("iam:", $name),
                resources: Resources {
                    find: questions::$find,
                    gives: &[$(Gives::$gives),*],
                },
            },
            handler: $handler,
        }
    };
}

pub(crate) const OPERATIONS: &[Row] = &[
    row!("AcceptDelegationRequest", everything),
    row!("AddClientIDToOpenIDConnectProvider", everything),
    row!(
        "AddRoleToInstanceProfile",
        role_into_profile,
        instance_profiles::add_role
    ),
    row!("AddUserToGroup", group, memberships::add),
    row!("AssociateDelegationRequest", everything),
    row!(
        "AttachGroupPolicy",
        group + PolicyArn,
        attachments::attach::<Group>
    ),
    row!(
        "AttachRolePolicy",
        role + PolicyArn,
        attachments::attach::<Role>
    ),
    row!(
        "AttachUserPolicy",
        user + PolicyArn,
        attachments::attach::<User>
    ),
    row!("ChangePassword", everything),
    row!("CreateAccessKey", user, access_keys::create),
    row!("CreateAccountAlias", everything, account::create_alias),
    row!("CreateDelegationRequest", everything),
    row!("CreateGroup", new_group, groups::create),
    row!(
        "CreateInstanceProfile",
        new_instance_profile + Tags,
        instance_profiles::create
    ),
    row!("CreateLoginProfile", user),
    row!("CreateOpenIDConnectProvider", everything),
    row!("CreatePolicy", new_policy + Tags, policies::create),
    row!("CreatePolicyVersion", policy, policy_versions::create),
    row!("CreateRole", new_role + Boundary + Tags, roles::create),
    row!("CreateSAMLProvider", everything),
    row!(
        "CreateServiceLinkedRole",
        new_service_linked_role,
        service_linked_roles::create
    ),
    row!("CreateServiceSpecificCredential", user),
    row!("CreateUser", new_user + Boundary + Tags, users::create),
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
    row!("DeleteGroupPolicy", group, inline_policies::delete::<Group>),
    row!(
        "DeleteInstanceProfile",
        instance_profile,
        instance_profiles::delete
    ),
    row!("DeleteLoginProfile", user, credentials::login_profile),
    row!("DeleteOpenIDConnectProvider", everything),
    row!("DeletePolicy", policy, policies::delete),
    row!("DeletePolicyVersion", policy, policy_versions::delete),
    row!("DeleteRole", role, roles::delete),
    row!(
        "DeleteRolePermissionsBoundary",
        role,
        attachments::delete_boundary::<Role>
    ),
    row!("DeleteRolePolicy", role, inline_policies::delete::<Role>),
    row!("DeleteSAMLProvider", everything),
    row!("DeleteSSHPublicKey", user),
    row!(
        "DeleteServerCertificate",
        server_certificate,
        server_certificates::delete
    ),
    row!(
        "DeleteServiceLinkedRole",
        role,
        service_linked_roles::delete
    ),
    row!("DeleteServiceSpecificCredential", user),
    row!("DeleteSigningCertificate", user),
    row!("DeleteUser", user, users::delete),
    row!(
        "DeleteUserPermissionsBoundary",
        user,
        attachments::delete_boundary::<User>
    ),
    row!("DeleteUserPolicy", user, inline_policies::delete::<User>),
    row!("DeleteVirtualMFADevice", everything),
    row!(
        "DetachGroupPolicy",
        group + PolicyArn,
        attachments::detach::<Group>
    ),
    row!(
        "DetachRolePolicy",
        role + PolicyArn,
        attachments::detach::<Role>
    ),
    row!(
        "DetachUserPolicy",
        user + PolicyArn,
        attachments::detach::<User>
    ),
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
    row!(
        "GetAccountAuthorizationDetails",
        everything,
        authorization_details::get
    ),
    row!(
        "GetAccountPasswordPolicy",
        everything,
        credentials::password_policy
    ),
    row!("GetAccountSummary", everything, account::summary),
    row!(
        "GetContextKeysForCustomPolicy",
        everything,
        simulate::custom_keys
    ),
    row!(
        "GetContextKeysForPrincipalPolicy",
        policy_source,
        simulate::principal_keys
    ),
    row!("GetCredentialReport", everything),
    row!("GetDelegationRequest", everything),
    row!("GetGroup", group, groups::get),
    row!("GetGroupPolicy", group, inline_policies::get::<Group>),
    row!("GetHumanReadableSummary", everything),
    row!(
        "GetInstanceProfile",
        instance_profile,
        instance_profiles::get
    ),
    row!("GetLoginProfile", user, credentials::login_profile),
    row!("GetMFADevice", user),
    row!("GetOpenIDConnectProvider", everything),
    row!("GetOrganizationsAccessReport", everything),
    row!("GetOutboundWebIdentityFederationInfo", everything),
    row!("GetPolicy", policy, policies::get),
    row!("GetPolicyVersion", policy, policy_versions::get),
    row!("GetRole", role, roles::get),
    row!("GetRolePolicy", role, inline_policies::get::<Role>),
    row!("GetSAMLProvider", everything),
    row!("GetSSHPublicKey", user),
    row!(
        "GetServerCertificate",
        server_certificate,
        server_certificates::get
    ),
    row!("GetServiceLastAccessedDetails", everything),
    row!("GetServiceLastAccessedDetailsWithEntities", everything),
    row!(
        "GetServiceLinkedRoleDeletionStatus",
        everything,
        service_linked_roles::deletion_status
    ),
    row!("GetUser", user, users::get),
    row!("GetUserPolicy", user, inline_policies::get::<User>),
    row!("ListAccessKeys", user, access_keys::list),
    row!("ListAccountAliases", everything, account::list_aliases),
    row!(
        "ListAttachedGroupPolicies",
        group,
        attachments::list::<Group>
    ),
    row!("ListAttachedRolePolicies", role, attachments::list::<Role>),
    row!("ListAttachedUserPolicies", user, attachments::list::<User>),
    row!("ListDelegationRequests", everything),
    row!("ListEntitiesForPolicy", policy, policy_entities::list),
    row!("ListGroupPolicies", group, inline_policies::list::<Group>),
    row!("ListGroups", groups, groups::list),
    row!("ListGroupsForUser", user, memberships::list),
    row!(
        "ListInstanceProfileTags",
        instance_profile,
        resource_tags::list::<InstanceProfile>
    ),
    row!(
        "ListInstanceProfiles",
        instance_profiles,
        instance_profiles::list
    ),
    row!(
        "ListInstanceProfilesForRole",
        role,
        instance_profiles::list_for_role
    ),
    row!("ListMFADeviceTags", everything),
    row!("ListMFADevices", user, credentials::mfa_devices),
    row!("ListOpenIDConnectProviderTags", everything),
    row!(
        "ListOpenIDConnectProviders",
        everything,
        credentials::openid_connect_providers
    ),
    row!("ListOrganizationsFeatures", everything),
    row!("ListPolicies", everything, policies::list),
    row!("ListPoliciesGrantingServiceAccess", by_arn),
    row!(
        "ListPolicyTags",
        policy,
        resource_tags::list::<ManagedPolicy>
    ),
    row!("ListPolicyVersions", policy, policy_versions::list),
    row!("ListRolePolicies", role, inline_policies::list::<Role>),
    row!("ListRoleTags", role, resource_tags::list::<Role>),
    row!("ListRoles", roles, roles::list),
    row!("ListSAMLProviderTags", everything),
    row!("ListSAMLProviders", everything, credentials::saml_providers),
    row!("ListSSHPublicKeys", user, credentials::ssh_public_keys),
    row!(
        "ListServerCertificateTags",
        server_certificate,
        resource_tags::list::<ServerCertificate>
    ),
    row!(
        "ListServerCertificates",
        server_certificates,
        server_certificates::list
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
    row!("ListUserPolicies", user, inline_policies::list::<User>),
    row!("ListUserTags", user, user_tags::list),
    row!("ListUsers", users, users::list),
    row!(
        "ListVirtualMFADevices",
        everything,
        credentials::virtual_mfa_devices
    ),
    row!("PutGroupPolicy", group, inline_policies::put::<Group>),
    row!(
        "PutRolePermissionsBoundary",
        role + Boundary,
        attachments::put_boundary::<Role>
    ),
    row!("PutRolePolicy", role, inline_policies::put::<Role>),
    row!(
        "PutUserPermissionsBoundary",
        user + Boundary,
        attachments::put_boundary::<User>
    ),
    row!("PutUserPolicy", user, inline_policies::put::<User>),
    row!("RejectDelegationRequest", everything),
    row!("RemoveClientIDFromOpenIDConnectProvider", everything),
    row!(
        "RemoveRoleFromInstanceProfile",
        instance_profile,
        instance_profiles::remove_role
    ),
    row!("RemoveUserFromGroup", group, memberships::remove),
    row!("ResetServiceSpecificCredential", user),
    row!("ResyncMFADevice", user),
    row!("SendDelegationToken", everything),
    row!(
        "SetDefaultPolicyVersion",
        policy,
        policy_versions::set_default
    ),
    row!("SetSecurityTokenServicePreferences", everything),
    row!("SimulateCustomPolicy", everything, simulate::custom),
    row!(
        "SimulatePrincipalPolicy",
        policy_source,
        simulate::principal
    ),
    row!(
        "TagInstanceProfile",
        instance_profile + Tags,
        resource_tags::tag::<InstanceProfile>
    ),
    row!("TagMFADevice", everything),
    row!("TagOpenIDConnectProvider", everything),
    row!(
        "TagPolicy",
        policy + Tags,
        resource_tags::tag::<ManagedPolicy>
    ),
    row!("TagRole", role + Tags, resource_tags::tag::<Role>),
    row!("TagSAMLProvider", everything),
    row!(
        "TagServerCertificate",
        server_certificate + Tags,
        resource_tags::tag::<ServerCertificate>
    ),
    row!("TagUser", user + Tags, user_tags::tag),
    row!(
        "UntagInstanceProfile",
        instance_profile + TagKeys,
        resource_tags::untag::<InstanceProfile>
    ),
    row!("UntagMFADevice", everything),
    row!("UntagOpenIDConnectProvider", everything),
    row!(
        "UntagPolicy",
        policy + TagKeys,
        resource_tags::untag::<ManagedPolicy>
    ),
    row!("UntagRole", role + TagKeys, resource_tags::untag::<Role>),
    row!("UntagSAMLProvider", everything),
    row!(
        "UntagServerCertificate",
        server_certificate + TagKeys,
        resource_tags::untag::<ServerCertificate>
    ),
    row!("UntagUser", user + TagKeys, user_tags::untag),
    row!("UpdateAccessKey", user, access_keys::update),
    row!("UpdateAccountPasswordPolicy", everything),
    row!("UpdateAssumeRolePolicy", role, role_changes::update_trust),
    row!("UpdateDelegationRequest", everything),
    row!("UpdateGroup", group_and_new_name, groups::update),
    row!("UpdateLoginProfile", user),
    row!("UpdateOpenIDConnectProviderThumbprint", everything),
    row!("UpdateRole", role, role_changes::update),
    row!(
        "UpdateRoleDescription",
        role,
        role_changes::update_description
    ),
    row!("UpdateSAMLProvider", everything),
    row!("UpdateSSHPublicKey", user),
    row!(
        "UpdateServerCertificate",
        renamed_certificate,
        server_certificates::update
    ),
    row!("UpdateServiceSpecificCredential", user),
    row!("UpdateSigningCertificate", user),
    row!("UpdateUser", user_and_new_name, users::update),
    row!("UploadSSHPublicKey", user),
    row!(
        "UploadServerCertificate",
        new_server_certificate + Tags,
        server_certificates::upload
    ),
    row!("UploadSigningCertificate", user),
];
