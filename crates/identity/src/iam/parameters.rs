//! The parameters of IAM's operations by kind: which lengths and characters the model allows
//! them, and what IAM says of others. It looks nothing up.

use super::error::IamError;

/// The most characters of a refused value that its refusal repeats.
const MOST_SHOWN: usize = 512;

/// A parameter: its name in the model, and what it may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    /// As requests name it: `UserName`.
    pub(crate) name: &'static str,
    /// The fewest characters.
    pub(crate) shortest: usize,
    /// The most characters.
    pub(crate) longest: usize,
    /// Which characters, in which order.
    pub(crate) text: Text,
}

/// Which characters a parameter is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Text {
    /// Any.
    Any,
    /// `[\w+=,.@-]+`: the name of a user, group, role, policy or instance profile.
    Name,
    /// `/`, or more between two of it.
    Path,
    /// What a path begins with.
    PathPrefix,
    /// `[\w]+`: the id of a key.
    Word,
    /// An account's alias.
    Alias,
    /// One of these.
    OneOf(&'static [&'static str]),
}

/// A user that is to be: 1 to 64 characters.
pub(crate) const NEW_USER_NAME: Parameter = name("UserName", 64);
/// A user that is.
pub(crate) const USER_NAME: Parameter = name("UserName", 128);
/// A group.
pub(crate) const GROUP_NAME: Parameter = name("GroupName", 128);
/// A role.
pub(crate) const ROLE_NAME: Parameter = name("RoleName", 64);
/// A managed policy that is to be, or an inline policy.
pub(crate) const POLICY_NAME: Parameter = name("PolicyName", 128);
/// An instance profile.
pub(crate) const INSTANCE_PROFILE_NAME: Parameter = name("InstanceProfileName", 128);
/// A server certificate.
pub(crate) const SERVER_CERTIFICATE_NAME: Parameter = name("ServerCertificateName", 128);
/// A path.
pub(crate) const PATH: Parameter = Parameter {
    name: "Path",
    shortest: 1,
    longest: 512,
    text: Text::Path,
};
/// What the paths of the listed begin with.
pub(crate) const PATH_PREFIX: Parameter = Parameter {
    name: "PathPrefix",
    shortest: 1,
    longest: 512,
    text: Text::PathPrefix,
};
/// The id of an access key.
pub(crate) const ACCESS_KEY_ID: Parameter = Parameter {
    name: "AccessKeyId",
    shortest: 16,
    longest: 128,
    text: Text::Word,
};
/// An account's alias.
pub(crate) const ACCOUNT_ALIAS: Parameter = Parameter {
    name: "AccountAlias",
    shortest: 3,
    longest: 63,
    text: Text::Alias,
};
/// The ARN of a managed policy.
pub(crate) const POLICY_ARN: Parameter = arn("PolicyArn");
/// The ARN of the managed policy that bounds a user or a role.
pub(crate) const PERMISSIONS_BOUNDARY: Parameter = arn("PermissionsBoundary");

/// The name of something: 1 to `longest` characters.
pub(crate) const fn name(name: &'static str, longest: usize) -> Parameter {
    Parameter {
        name,
        shortest: 1,
        longest,
        text: Text::Name,
    }
}

/// An ARN, by its length.
pub(crate) const fn arn(name: &'static str) -> Parameter {
    Parameter {
        name,
        shortest: 20,
        longest: 2048,
        text: Text::Any,
    }
}

/// A text in PEM, by its length.
pub(crate) const fn pem(name: &'static str, longest: usize) -> Parameter {
    Parameter {
        name,
        shortest: 1,
        longest,
        text: Text::Any,
    }
}

/// One of some words.
pub(crate) const fn one_of(name: &'static str, words: &'static [&'static str]) -> Parameter {
    Parameter {
        name,
        shortest: 0,
        longest: usize::MAX,
        text: Text::OneOf(words),
    }
}

impl Parameter {
    /// The same under another name: `NewUserName`.
    pub(crate) const fn named(self, name: &'static str) -> Parameter {
        Parameter { name, ..self }
    }

    /// May it have that value?
    ///
    /// # Errors
    ///
    /// `ValidationError`, in IAM's words.
    pub(crate) fn check(&self, value: &str) -> Result<(), IamError> {
        check_length(&self.member(), value, self.shortest, self.longest)?;
        let allowed = match self.text {
            Text::Any => true,
            Text::Name => value.chars().all(is_name_character),
            Text::Path => is_path(value),
            Text::PathPrefix => {
                value.starts_with('/') && value.bytes().all(|byte| matches!(byte, 0x21..=0x7f))
            }
            Text::Word => value.chars().all(is_word_character),
            Text::Alias => is_alias(value),
            Text::OneOf(words) => words.contains(&value),
        };
        if allowed {
            return Ok(());
        }
        Err(self.refused(value))
    }

    /// As errors name it: `userName`.
    fn member(&self) -> String {
        lower_first(self.name)
    }

    fn refused(&self, value: &str) -> IamError {
        let member = self.member();
        let rule = match self.text {
            Text::Any => return constraint(&member, Some(value), "Member must be valid"),
            Text::OneOf(words) => {
                let words = words.join(", ");
                let rule = format!("Member must satisfy enum value set: [{words}]");
                return constraint(&member, Some(value), &rule);
            }
            Text::Name => {
                "It must contain only alphanumeric characters and/or the following: +=,.@_-"
            }
            Text::Path => {
                "It must begin and end with / and contain only alphanumeric characters and/or / \
                 characters."
            }
            Text::PathPrefix => {
                "It must begin with / and contain only alphanumeric characters and/or / characters."
            }
            Text::Word => "It must contain only alphanumeric characters.",
            Text::Alias => {
                "It must contain only digits, lowercase letters, and hyphens (-), but cannot \
                 begin or end with a hyphen, nor contain two hyphens in a row."
            }
        };
        IamError::Validation(format!(
            "The specified value for {member} is invalid. {rule}"
        ))
    }

    /// It must be there and isn't.
    pub(crate) fn missing(&self) -> IamError {
        constraint(&self.member(), None, "Member must not be null")
    }
}

/// A parameter's name as errors have it: `userName`.
pub(crate) fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

/// Is the number of characters of a member within those bounds?
///
/// # Errors
///
/// `ValidationError`, in IAM's words.
pub(crate) fn check_length(
    member: &str,
    value: &str,
    shortest: usize,
    longest: usize,
) -> Result<(), IamError> {
    let length = value.chars().count();
    let rule = if length < shortest {
        format!("Member must have length greater than or equal to {shortest}")
    } else if length > longest {
        format!("Member must have length less than or equal to {longest}")
    } else {
        return Ok(());
    };
    Err(constraint(member, Some(value), &rule))
}

/// A value that the model doesn't allow a member, by the rule it breaks. `None`: no value.
pub(crate) fn constraint(member: &str, value: Option<&str>, rule: &str) -> IamError {
    let value = value.map(|value| {
        let shown: String = value.chars().take(MOST_SHOWN).collect();
        format!("'{shown}'")
    });
    let value = value.as_deref().unwrap_or("null");
    IamError::Validation(format!(
        "1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: \
         {rule}"
    ))
}

/// `\w` as IAM means it: of ASCII alone.
fn is_word_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn is_name_character(character: char) -> bool {
    is_word_character(character) || "+=,.@-".contains(character)
}

fn is_path(value: &str) -> bool {
    if value == "/" {
        return true;
    }
    let inner = value.strip_prefix('/').and_then(|v| v.strip_suffix('/'));
    inner.is_some_and(|inner| {
        inner.bytes().all(|byte| matches!(byte, 0x21..=0x7e))
            && inner.split('/').all(|part| !part.is_empty())
    })
}

fn is_alias(value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    value.bytes().all(plain)
        && !value.starts_with('-')
        && !value.ends_with('-')
        && !value.contains("--")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(parameter: Parameter, value: &str) -> String {
        parameter.check(value).unwrap_err().to_string()
    }

    #[test]
    fn names_have_their_characters_and_lengths() {
        for name in ["a", "A_z+=,.@-0", &"x".repeat(64)] {
            assert_eq!(NEW_USER_NAME.check(name), Ok(()), "{name}");
        }
        for name in ["a b", "a/b", "a:b", "é", "a*", "a\u{0}"] {
            assert_eq!(
                refusal(NEW_USER_NAME, name),
                "The specified value for userName is invalid. It must contain only alphanumeric \
                 characters and/or the following: +=,.@_-"
            );
        }
        assert_eq!(
            refusal(NEW_USER_NAME, &"x".repeat(65)),
            format!(
                "1 validation error detected: Value '{}' at 'userName' failed to satisfy \
                 constraint: Member must have length less than or equal to 64",
                "x".repeat(65)
            )
        );
        assert!(refusal(NEW_USER_NAME, "").contains("greater than or equal to 1"));
        assert!(refusal(NEW_USER_NAME, &"x".repeat(1 << 20)).len() < 1_000);
        assert_eq!(
            NEW_USER_NAME.missing().to_string(),
            "1 validation error detected: Value null at 'userName' failed to satisfy constraint: \
             Member must not be null"
        );
    }

    #[test]
    fn paths_begin_and_end_with_a_slash() {
        for path in ["/", "/a/", "/a/b~!/"] {
            assert_eq!(PATH.check(path), Ok(()), "{path}");
        }
        for path in ["a", "/a", "a/", "//", "/a//b/", "/a b/", "/é/"] {
            let text = refusal(PATH, path);
            assert!(text.starts_with("The specified value for path is invalid. It must begin"));
        }
        assert_eq!(PATH_PREFIX.check("/a"), Ok(()));
        assert!(PATH_PREFIX.check("a/").is_err());
    }

    #[test]
    fn aliases_ids_and_words_have_their_rules() {
        for alias in ["abc", "a-1", &"a".repeat(63)] {
            assert_eq!(ACCOUNT_ALIAS.check(alias), Ok(()), "{alias}");
        }
        for alias in ["ab", "-ab", "ab-", "a--b", "Abc", "a_b", &"a".repeat(64)] {
            assert!(ACCOUNT_ALIAS.check(alias).is_err(), "{alias}");
        }
        assert!(ACCESS_KEY_ID.check("AKIAIOSFODNN7EXAMPLE").is_ok());
        assert!(ACCESS_KEY_ID.check("AKIA/OSFODNN7EXAMPLE").is_err());
        assert_eq!(
            refusal(one_of("Status", &["Active", "Inactive"]), "On"),
            "1 validation error detected: Value 'On' at 'status' failed to satisfy constraint: \
             Member must satisfy enum value set: [Active, Inactive]"
        );
    }
}
