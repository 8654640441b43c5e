//! Canonical user ids: how access control lists and listings name an account, in 64 hexadecimal
//! digits. Here the number of the account is in its id, so that the id alone tells it; on AWS an
//! id tells nothing.

use ring::digest::{SHA256, digest};
use types::AccountId;

/// Digits of an id (S3 User Guide, "Access control list overview").
const DIGITS: usize = 64;

/// The id of that account: digits that a digest of its number begins with, then the number.
pub fn canonical_id(account: AccountId) -> String {
    let number = account.to_string();
    let digest = digest(&SHA256, format!("canonical user {number}").as_bytes());
    let mut id = String::with_capacity(DIGITS);
    for byte in digest.as_ref() {
        id.push_str(&format!("{byte:02x}"));
    }
    id.truncate(DIGITS - AccountId::DIGITS);
    id.push_str(&number);
    id
}

/// The account of that id; none if it isn't one's.
pub fn canonical_account(id: &str) -> Option<AccountId> {
    let number = id.get(DIGITS - AccountId::DIGITS..)?;
    let account = number.parse().ok()?;
    (canonical_id(account) == id).then_some(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_account_s() {
        let id = canonical_id(AccountId::LAB);
        assert_eq!(id.len(), DIGITS);
        assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(canonical_account(&id), Some(AccountId::LAB));
        let other = id.replace("111122223333", "111122223334");
        for text in ["", "111122223333", &other, &id[1..], &format!("{id}0")] {
            assert_eq!(canonical_account(text), None, "{text}");
        }
    }
}
