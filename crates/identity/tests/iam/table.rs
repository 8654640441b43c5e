//! The table of operations against the published model, and what answers for what isn't in it.

use identity::Service;

use crate::support::Api;

/// The operations of IAM's model, API version 2010-05-08.
const MODEL: &str = "\
    AcceptDelegationRequest AddClientIDToOpenIDConnectProvider AddRoleToInstanceProfile \
    AddUserToGroup AssociateDelegationRequest AttachGroupPolicy AttachRolePolicy \
    AttachUserPolicy ChangePassword CreateAccessKey CreateAccountAlias \
    CreateDelegationRequest CreateGroup CreateInstanceProfile CreateLoginProfile \
    CreateOpenIDConnectProvider CreatePolicy CreatePolicyVersion CreateRole \
    CreateSAMLProvider CreateServiceLinkedRole CreateServiceSpecificCredential CreateUser \
    CreateVirtualMFADevice DeactivateMFADevice DeleteAccessKey DeleteAccountAlias \
    DeleteAccountPasswordPolicy DeleteGroup DeleteGroupPolicy DeleteInstanceProfile \
    DeleteLoginProfile DeleteOpenIDConnectProvider DeletePolicy DeletePolicyVersion \
    DeleteRole DeleteRolePermissionsBoundary DeleteRolePolicy DeleteSAMLProvider \
    DeleteSSHPublicKey DeleteServerCertificate DeleteServiceLinkedRole \
    DeleteServiceSpecificCredential DeleteSigningCertificate DeleteUser \
    DeleteUserPermissionsBoundary DeleteUserPolicy DeleteVirtualMFADevice DetachGroupPolicy \
    DetachRolePolicy DetachUserPolicy DisableOrganizationsRootCredentialsManagement \
    DisableOrganizationsRootSessions DisableOutboundWebIdentityFederation EnableMFADevice \
    EnableOrganizationsRootCredentialsManagement EnableOrganizationsRootSessions \
    EnableOutboundWebIdentityFederation GenerateCredentialReport \
    GenerateOrganizationsAccessReport GenerateServiceLastAccessedDetails \
    GetAccessKeyLastUsed GetAccountAuthorizationDetails GetAccountPasswordPolicy \
    GetAccountSummary GetContextKeysForCustomPolicy GetContextKeysForPrincipalPolicy \
    GetCredentialReport GetDelegationRequest GetGroup GetGroupPolicy GetHumanReadableSummary \
    GetInstanceProfile GetLoginProfile GetMFADevice GetOpenIDConnectProvider \
    GetOrganizationsAccessReport GetOutboundWebIdentityFederationInfo GetPolicy \
    GetPolicyVersion GetRole GetRolePolicy GetSAMLProvider GetSSHPublicKey \
    GetServerCertificate GetServiceLastAccessedDetails \
    GetServiceLastAccessedDetailsWithEntities GetServiceLinkedRoleDeletionStatus GetUser \
    GetUserPolicy ListAccessKeys ListAccountAliases ListAttachedGroupPolicies \
    ListAttachedRolePolicies ListAttachedUserPolicies ListDelegationRequests \
    ListEntitiesForPolicy ListGroupPolicies ListGroups ListGroupsForUser \
    ListInstanceProfileTags ListInstanceProfiles ListInstanceProfilesForRole \
    ListMFADeviceTags ListMFADevices ListOpenIDConnectProviderTags \
    ListOpenIDConnectProviders ListOrganizationsFeatures ListPolicies \
    ListPoliciesGrantingServiceAccess ListPolicyTags ListPolicyVersions ListRolePolicies \
    ListRoleTags ListRoles ListSAMLProviderTags ListSAMLProviders ListSSHPublicKeys \
    ListServerCertificateTags ListServerCertificates ListServiceSpecificCredentials \
    ListSigningCertificates ListUserPolicies ListUserTags ListUsers ListVirtualMFADevices \
    PutGroupPolicy PutRolePermissionsBoundary PutRolePolicy PutUserPermissionsBoundary \
    PutUserPolicy RejectDelegationRequest RemoveClientIDFromOpenIDConnectProvider \
    RemoveRoleFromInstanceProfile RemoveUserFromGroup ResetServiceSpecificCredential \
    ResyncMFADevice SendDelegationToken SetDefaultPolicyVersion \
    SetSecurityTokenServicePreferences SimulateCustomPolicy SimulatePrincipalPolicy \
    TagInstanceProfile TagMFADevice TagOpenIDConnectProvider TagPolicy TagRole \
    TagSAMLProvider TagServerCertificate TagUser UntagInstanceProfile UntagMFADevice \
    UntagOpenIDConnectProvider UntagPolicy UntagRole UntagSAMLProvider \
    UntagServerCertificate UntagUser UpdateAccessKey UpdateAccountPasswordPolicy \
    UpdateAssumeRolePolicy UpdateDelegationRequest UpdateGroup UpdateLoginProfile \
    UpdateOpenIDConnectProviderThumbprint UpdateRole UpdateRoleDescription \
    UpdateSAMLProvider UpdateSSHPublicKey UpdateServerCertificate \
    UpdateServiceSpecificCredential UpdateSigningCertificate UpdateUser UploadSSHPublicKey \
    UploadServerCertificate UploadSigningCertificate";

#[test]
fn the_table_has_every_operation_of_the_model_in_order_and_no_other() {
    let model: Vec<&str> = MODEL.split_whitespace().collect();
    let table: Vec<&str> = Service::iam_operations().map(|(name, _)| name).collect();
    assert_eq!(table, model);
    assert_eq!(model.len(), 176);
}

#[test]
fn what_is_not_built_says_so_by_name_and_what_is_unknown_too() {
    let api = Api::new();
    for (name, built) in Service::iam_operations() {
        if built {
            continue;
        }
        let (code, message) = api.refused(name, &[]);
        assert_eq!(code, "NotImplemented");
        assert!(
            message.starts_with(&format!("{name} is not built yet")),
            "{message}"
        );
    }
    let unknown =
        |version: &str| format!("Could not find operation GetNobody for version {version}");
    let (code, message) = api.refused("GetNobody", &[]);
    assert_eq!(
        (code.as_str(), message),
        ("InvalidAction", unknown("2010-05-08"))
    );
    let owner = aws::access::Owner::new(types::AccountId::LAB, "us-east-1");
    let other = api
        .send(&owner, "Action=GetUser&Version=2011-06-15")
        .error();
    assert_eq!(other.0, "InvalidAction");
    let none = api.send(&owner, "Action=GetUser").error();
    assert!(none.1.ends_with("NO_VERSION_SPECIFIED"), "{}", none.1);
    assert_eq!(
        api.send(&owner, "Version=2010-05-08").error().0,
        "MissingAction"
    );
    assert_eq!(
        api.send(&owner, "Action=%").error().0,
        "MalformedQueryString"
    );
}
