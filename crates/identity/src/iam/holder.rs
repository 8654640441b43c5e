//! What users, groups and roles have in common for the operations on their policies, which are
//! the same for all three but for names and limits.

use types::AccountId;

use super::error::IamError;
use super::limits::{GROUP_INLINE_SIZE, ROLE_INLINE_SIZE, USER_INLINE_SIZE};
use super::parameters::{GROUP_NAME, Parameter, ROLE_NAME, USER_NAME};
use super::request::IamRequest;
use super::service_linked;
use crate::entries::{self, Entry};
use crate::model::{self, Group, Policies, Role, User};

/// A user, a group or a role.
pub(crate) trait Holder: Entry + Clone {
    /// What IAM's texts call it: `user`.
    const WORD: &'static str;

    /// The parameter that names it: `UserName`.
    const PARAMETER: Parameter;

    /// The quota of managed policies attached to it, as IAM's texts name it.
    const QUOTA: &'static str;

    /// Characters of all its inline policies together, without white space.
    const MAX_INLINE: usize;

    /// Its name, in the case it was given.
    fn name(&self) -> &str;

    /// Its path.
    fn path(&self) -> &str;

    /// Its id.
    fn id(&self) -> &str;

    /// What says what it may do.
    fn policies(&self) -> &Policies;

    /// The same, to be changed.
    fn policies_mut(&mut self) -> &mut Policies;

    /// The ARN of its boundary; a group has none.
    fn boundary(&self) -> Option<&str> {
        None
    }

    /// Its ARN in that account.
    fn arn(&self, account: AccountId) -> String {
        model::arn(account, Self::WORD, self.path(), self.name())
    }

    /// May its owner change it?
    ///
    /// # Errors
    ///
    /// It is a role that is linked to a service.
    fn check_modifiable(&self) -> Result<(), IamError> {
        Ok(())
    }
}

macro_rules! holder {
    ($kind:ty, $word:literal, $parameter:ident, $quota:literal, $inline:ident, {
        $($more:item)*
    }) => {
        impl Holder for $kind {
            const WORD: &'static str = $word;
            const PARAMETER: Parameter = $parameter;
            const QUOTA: &'static str = $quota;
            const MAX_INLINE: usize = $inline;

            fn name(&self) -> &str {
                &self.name
            }

            fn path(&self) -> &str {
                &self.path
            }

            fn id(&self) -> &str {
                &self.id
            }

            fn policies(&self) -> &Policies {
                &self.policies
            }

            fn policies_mut(&mut self) -> &mut Policies {
                &mut self.policies
            }

            $($more)*
        }
    };
}

holder!(
    Group,
    "group",
    GROUP_NAME,
    "PoliciesPerGroup",
    GROUP_INLINE_SIZE,
    {}
);

holder!(
    User,
    "user",
    USER_NAME,
    "PoliciesPerUser",
    USER_INLINE_SIZE,
    {
        fn boundary(&self) -> Option<&str> {
            self.boundary.as_deref()
        }
    }
);

holder!(
    Role,
    "role",
    ROLE_NAME,
    "PoliciesPerRole",
    ROLE_INLINE_SIZE,
    {
        fn boundary(&self) -> Option<&str> {
            self.boundary.as_deref()
        }

        fn check_modifiable(&self) -> Result<(), IamError> {
            service_linked::check_modifiable(self)
        }
    }
);

/// The user, group or role that the request names, with the revision that set it.
///
/// # Errors
///
/// The name can't be one, or there is none of that name.
pub(crate) fn named<T: Holder>(request: &IamRequest<'_>) -> Result<(u64, T), IamError> {
    let name = request.required(&T::PARAMETER)?;
    let found = entries::read(request.view(), request.account(), name)?;
    found.ok_or_else(|| {
        let word = T::WORD;
        IamError::NoSuchEntity(format!("The {word} with name {name} cannot be found."))
    })
}

/// The same, if its owner may change it.
///
/// # Errors
///
/// As of [`named`], or it is a role that is linked to a service.
pub(crate) fn modifiable<T: Holder>(request: &IamRequest<'_>) -> Result<(u64, T), IamError> {
    let (revision, holder) = named::<T>(request)?;
    holder.check_modifiable()?;
    Ok((revision, holder))
}
