//! Accounts: who owns what. It knows no account's name or policies.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An account's number: 12 decimal digits, leading zeros kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(u64);

/// The text is no account's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an account is a number of 12 digits")]
pub struct InvalidAccountId;

impl AccountId {
    /// How many digits a number has.
    pub const DIGITS: usize = 12;

    /// The account that owns everything in a lab which names no other: 111122223333.
    pub const LAB: AccountId = AccountId(111_122_223_333);

    /// Nobody's: of callers that signed nothing. It is no account's number, and no text that a
    /// user gives stands for it; what such a caller wrote keeps it all the same.
    pub const ANONYMOUS: AccountId = AccountId(1_000_000_000_000);
}

impl FromStr for AccountId {
    type Err = InvalidAccountId;

    fn from_str(text: &str) -> Result<AccountId, InvalidAccountId> {
        let digits = text.len() == Self::DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten();
        number.map(AccountId).ok_or(InvalidAccountId)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

impl Serialize for AccountId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AccountId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        if digits == AccountId::ANONYMOUS.to_string() {
            return Ok(AccountId::ANONYMOUS);
        }
        digits.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_twelve_digits_and_keeps_its_zeros() {
        let account: AccountId = "000000000012".parse().unwrap();
        assert_eq!(account.to_string(), "000000000012");
        assert_eq!("111122223333".parse(), Ok(AccountId::LAB));
        assert_eq!(AccountId::LAB.to_string(), crate::LAB_ACCOUNT);
        for text in [
            "",
            "1",
            "1111222233334",
            "11112222333a",
            "+11122223333",
            "١١١١٢٢",
        ] {
            assert_eq!(text.parse::<AccountId>(), Err(InvalidAccountId), "{text}");
        }
    }

    #[test]
    fn nobody_is_no_account_and_is_kept_as_itself() {
        let text = AccountId::ANONYMOUS.to_string();
        assert_eq!(text.parse::<AccountId>(), Err(InvalidAccountId));
        let kept: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
            serde::de::IntoDeserializer::into_deserializer(text.as_str());
        let read = AccountId::deserialize(kept).unwrap();
        assert_eq!(read, AccountId::ANONYMOUS);
    }
}
