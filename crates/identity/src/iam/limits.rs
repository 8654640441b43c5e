//! IAM's quotas (IAM User Guide, "IAM and AWS STS quotas"), by the names its errors have for them.
//! Numbers of users and groups are counted at the site that takes the request: of requests at
//! several Regions at the same time a few may together pass a quota.

/// Users of an account: `UsersPerAccount`.
pub(crate) const USERS_PER_ACCOUNT: usize = 5_000;

/// Groups of an account: `GroupsPerAccount`.
pub(crate) const GROUPS_PER_ACCOUNT: usize = 300;

/// Groups that a user may be in: `GroupsPerUser`.
pub(crate) const GROUPS_PER_USER: usize = 10;

/// Access keys of a user: `AccessKeysPerUser`.
pub(crate) const ACCESS_KEYS_PER_USER: usize = 2;

/// Tags of a user, a role, a policy or an instance profile.
pub(crate) const TAGS: usize = 50;

/// Roles of an account: `RolesPerAccount`.
pub(crate) const ROLES_PER_ACCOUNT: usize = 1_000;

/// Managed policies of an account: `PoliciesPerAccount`.
pub(crate) const POLICIES_PER_ACCOUNT: usize = 1_500;

/// Instance profiles of an account: `InstanceProfilesPerAccount`.
pub(crate) const INSTANCE_PROFILES_PER_ACCOUNT: usize = 1_000;

/// Server certificates of an account: `ServerCertificatesPerAccount`.
pub(crate) const SERVER_CERTIFICATES_PER_ACCOUNT: usize = 20;

/// Former ARNs by which listeners use one server certificate. AWS has no such limit.
pub(crate) const FORMER_NAMES_PER_SERVER_CERTIFICATE: usize = 16;

/// Versions of a managed policy: `VersionsPerPolicy`.
pub(crate) const VERSIONS_PER_POLICY: usize = 5;

/// Characters of a managed policy's document that aren't white space: `PolicySize`.
pub(crate) const POLICY_SIZE: usize = 6_144;

/// Characters of a role's trust policy that aren't white space: `ACLSizePerRole`.
pub(crate) const TRUST_POLICY_SIZE: usize = 2_048;

/// Characters of all inline policies of a user that aren't white space, together.
pub(crate) const USER_INLINE_SIZE: usize = 2_048;

/// The same of a group.
pub(crate) const GROUP_INLINE_SIZE: usize = 5_120;

/// The same of a role.
pub(crate) const ROLE_INLINE_SIZE: usize = 10_240;

/// Managed policies attached to a user, a group or a role: `PoliciesPerUser` and so on.
pub(crate) const ATTACHED_POLICIES: usize = 10;
